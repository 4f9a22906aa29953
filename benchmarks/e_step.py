"""E-step and statistics, against the bare cost of drawing the normals.

The peptide design with two rows a cluster: one draw for each of a million clusters is one iteration of SAEM.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.problems import at_truth, peptide_problem, take_turns
from benchmarks.timing import Row, interleaved, ratio, timed
from saem.families.contract import draw
from saem.system.jit import entry

SIZES = (60, 500_000)  # clusters in each arm
REPEATS = 15


@entry
def bare_normals(rng: np.random.Generator, n: int) -> float:
    """The sum of ``n`` normals."""
    total = 0.0
    for _ in range(n):
        total += rng.standard_normal()
    return total


@entry
def e_steps(arrays: Any, x: np.ndarray, rng: np.random.Generator, m: int, statistics: np.ndarray, times: int) -> None:
    """The E-step of any family, ``times`` times."""
    for _ in range(times):
        draw(arrays, x, rng, m, statistics)


def measure() -> Iterator[Row]:
    """Ratios for a small and a large number of clusters."""
    for replicates in SIZES:
        yield from measure_at(replicates, np.random.Generator(np.random.SFC64(1)))


def measure_at(replicates: int, rng: np.random.Generator) -> Iterator[Row]:
    """Ratios for a number of clusters in each arm."""
    problem = peptide_problem(replicates)
    x = at_truth(problem)
    statistics = np.empty(problem.latent.n_statistics)
    large = replicates > 1000
    m = 1 if large else 5
    times = max(1, 1_000_000 // (m * problem.latent.size))
    n = times * m * problem.latent.size
    seconds = interleaved(
        {
            "bare": lambda: bare_normals(rng, n),
            "draw": lambda: e_steps(problem.arrays, x, rng, m, statistics, times),
            "iteration": lambda: take_turns(problem, x, rng, m, times),
        },
        REPEATS,
    )
    at = f"at {problem.latent.size:,} clusters, {m} draw{'s' if m > 1 else ''}"
    note = "times the bare normals"
    yield timed("one normal", [value / n for value in seconds["bare"]], "ns")
    yield ratio(f"E-step and statistics {at}", seconds["draw"], seconds["bare"], 1.6 if large else None, note)
    yield ratio(f"the same with the M-step {at}", seconds["iteration"], seconds["bare"], None, note)
