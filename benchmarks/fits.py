"""Whole fits: direct ML at 60 + 60 clusters, and SAEM by default for data sets of 3 to 60 replicates an arm."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

import saem
from benchmarks.problems import peptide_problem
from benchmarks.timing import Row, interleaved, ratio, timed
from experiments.studies.peptide import peptide_model, peptide_table
from saem.algorithms.direct_ml import DirectML
from saem.algorithms.saem import SAEM
from saem.families import arrange, pose

SIZES = (3, 4, 6, 9, 12, 20, 30, 60)
SEEDS = 6


def measure() -> Iterator[Row]:
    """Times of ML and SAEM, of the algorithms alone and with all that is around them."""
    model, table, problem = peptide_model(), peptide_table(60, seed=1), peptide_problem(60)
    seconds = interleaved(
        {
            "ml": lambda: DirectML().run(problem),
            "fit ml": lambda: saem.fit(model, table, method="ml"),
            "saem": lambda: SAEM().run(problem),
            "fit saem": lambda: saem.fit(model, table),
            "arrange": lambda: arrange(model, table),
            "pose": lambda: pose(model, arrange(model, table)),
        },
        25,
        warm=2,
    )
    yield timed("direct ML, the algorithm", seconds["ml"], "ms", 2.0)
    yield timed("saem.fit(method='ml')", seconds["fit ml"], "ms", 2.0, "the table in, a Fit out")
    yield ratio("  the same, times the algorithm", seconds["fit ml"], seconds["ml"], 2.0)
    yield timed("  of which: read the table", seconds["arrange"], "ms")
    yield timed("  of which: read and pose", seconds["pose"], "ms")
    yield timed("SAEM, the algorithm", seconds["saem"], "ms")
    yield timed("saem.fit(method='saem')", seconds["fit saem"], "ms")

    inside: list[float] = []
    boundary: list[float] = []
    for seed in range(SEEDS):
        for size in SIZES:
            data = peptide_table(size, seed=100 + seed)
            started = time.perf_counter()
            fit = saem.fit(model, data, seed=seed)
            elapsed = time.perf_counter() - started
            (boundary if fit.at_boundary else inside).append(elapsed)
    n = f"{len(inside)} data sets"
    yield timed("SAEM, 3 to 60 replicates, interior", inside, "ms", 30.0, n)
    yield Row("  95 % of them below", 1e3 * float(np.quantile(inside, 0.95)), "ms")
    if len(boundary) > 1:
        yield timed("  at the boundary", boundary, "ms", None, f"{len(boundary)} data sets")
