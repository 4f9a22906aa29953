"""The study `scale`: what it measures of memory, and a replicate of it."""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from effort import PATIENCE
from simulated_study import study_rows

import experiments
from experiments.harness.performance import WHOLE_FIT
from experiments.harness.running import job_of
from experiments.harness.study import Cell, load_study
from experiments.harness.study.functions import functions_in
from experiments.harness.study.tasks import Task, run_task
from experiments.studies.peptide import TRUTH, g
from experiments.studies.scale import MEMORY, METHODS, PeakMemory, generate, performance
from saem.errors import SaemError

PATH = Path(experiments.__file__).parent / "studies" / "scale.toml"
STUDY = load_study(PATH, quick=True)


def test_the_truth_satisfies_the_link() -> None:
    """That of another variance does not (mutant)."""
    for cell in load_study(PATH).design.all():
        x = functions_in(PATH.with_suffix(".py")).truth(cell)
        assert x["c2"] == g(x["b21"], x["b22"], x["sigma1"], x["sigma2"])
        assert abs(x["c2"] - g(x["b21"], x["b22"], x["sigma1"], 0.8)) > 0.01
        assert math.isnan(x[MEMORY])


def test_methods_are_those_that_there_are() -> None:
    assert [method.options for method in STUDY.methods.values()] == [{"method": name} for name in METHODS]


def test_memory_that_is_given_back_is_seen() -> None:
    """48 MiB until somebody has looked, and none afterwards; who looks at the end alone sees none of them (mutant)."""
    with PeakMemory() as memory:
        held, until = np.ones(6 * 2**20), time.monotonic() + PATIENCE
        while memory.mib < 47.0 and time.monotonic() < until:
            time.sleep(0.01)
        del held
        end = memory.process.memory_info().rss
    assert 47.0 < memory.mib < 60.0
    assert (end - memory.start) / 2**20 < 24.0


def test_what_is_needed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(SaemError, match="pip install psutil"), PeakMemory():
        pass


def test_mean_memory_by_hand() -> None:
    """Of fits that ended; the mean over failures, too (mutant), would be another."""
    status = np.array(["ok", "ok", "not_converged", "error"])
    peaks = np.array([1.0, 2.0, 6.0, np.nan])
    other = study_rows(4, method="ml", estimand="mu", estimate=10.0, status=status)
    rows = pd.concat(
        [
            study_rows(4, method="ml", estimand=MEMORY, estimate=peaks, status=status),
            study_rows(4, method="saem", estimand=MEMORY, estimate=[4.0, np.nan, np.nan, np.nan], status="ok"),
            other,
        ]
    )
    found = performance(rows).set_index("method")
    assert set(found["measure"]) == {"mean_memory_mib"} and set(found["estimand"]) == {WHOLE_FIT}
    assert found.loc["ml", ["value", "mcse", "n"]].tolist() == pytest.approx([3.0, math.sqrt(7.0 / 3.0), 3.0])
    assert np.nan_to_num(peaks).mean() != pytest.approx(3.0)
    assert found.loc["saem", "value"] == 4.0 and math.isnan(found.loc["saem", "mcse"])


def test_a_replicate_of_the_smallest_cell() -> None:
    """Every method gives finite numbers, within 6 standard errors of direct ML."""
    cell = min(STUDY.design.all(), key=lambda cell: cell["clusters"])
    records = run_task(job_of(STUDY, PATH), Task(cell, 1, tuple(STUDY.methods))).records
    names = list(STUDY.estimands)
    reference = np.array(records[0]["numbers"])
    for record in records:
        numbers = np.array(record["numbers"])
        assert record["status"] in ("ok", "not_converged") and record["warnings"] == []
        assert np.isfinite(numbers[:, 0]).all() and 0.0 <= numbers[names.index(MEMORY), 0] < 100.0
        parameters = [k for k, name in enumerate(names) if name in TRUTH]
        away = np.abs(numbers - reference)[parameters, 0] / reference[parameters, 1]
        assert away.max() < 6.0


def test_clusters_in_two_equal_arms() -> None:
    assert len(generate(Cell({"clusters": 10}), 0)) == 20
    with pytest.raises(SaemError, match="even number, 4 or more; got 7"):
        generate(Cell({"clusters": 7}), 0)
