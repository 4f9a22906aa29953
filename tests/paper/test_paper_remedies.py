"""The schedules of the study `remedies` differ in what they say they do, and in nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from experiments.harness.study.cells import Cell
from experiments.studies import remedies
from experiments.studies.uncentred import SCHEDULE
from saem.algorithms.annealed_saem import AnnealedSAEM
from saem.algorithms.saem import SAEM
from saem.schedules import RobbinsMonroSchedule

ALL = ("textbook", "averaged", "several", "programs", "many", "once")


@pytest.mark.parametrize(("replicates", "chains", "many"), [(3, 9, 167), (12, 3, 42), (30, 1, 17)])
def test_draws_are_as_many_as_said(replicates: int, chains: int, many: int) -> None:
    wanted = {"textbook": 1, "averaged": 1, "several": chains, "programs": chains, "many": many, "once": many}
    for name, draws in wanted.items():
        steps = remedies.algorithm(name, replicates).schedule.steps(2 * replicates)
        assert set(steps.draws) == {draws}, name


def test_step_sizes_are_those_of_the_textbook_or_of_the_default() -> None:
    of = {name: remedies.algorithm(name, 3).schedule.steps(6) for name in ALL}
    textbook, default = RobbinsMonroSchedule(500, 500, 1.0).steps(6), SCHEDULE.steps(6)
    for name in ("textbook", "several", "many"):
        np.testing.assert_array_equal(of[name].step_sizes, textbook.step_sizes)
    np.testing.assert_array_equal(of["once"].step_sizes, default.step_sizes)
    np.testing.assert_array_equal(of["averaged"].step_sizes, replace(SCHEDULE, draws=1).steps(6).step_sizes)
    assert of["averaged"].averaging_from == of["once"].averaging_from == 150
    assert [float(of["programs"].step_sizes[k]) for k in (299, 300, 301, 399)] == [1.0, 1.0, 0.5, 0.01]


def test_none_is_helped_and_one_is_annealed() -> None:
    for name in ALL:
        own = remedies.algorithm(name, 3)
        assert isinstance(own, AnnealedSAEM if name == "programs" else SAEM)
        assert own.target.max_iterations == 0 and not own.search, "one pass, and no search for higher maxima"
    annealed = remedies.algorithm("programs", 3)
    assert (annealed.tau, annealed.annealing, annealed.inflation) == (0.97, 150, 1.0)


@pytest.mark.slow
def test_every_method_fits_the_same_table() -> None:
    """Ten data sets with three replicates: one draw loses more variances than a hundred (4 data sets at the least)."""
    cell, lost = Cell({"replicates": 3, "ratio": 1}), dict.fromkeys(("ml", *ALL), 0)
    for seed in range(10):
        data = remedies.generate(cell, seed)
        for name in lost:
            fit = remedies.estimate(data, cell, {"schedule": "none" if name == "ml" else name}, seed)
            sds = [fit.numbers[sd][0] for sd in ("sigma1", "sigma2")]
            lost[name] += min(sds) < 1e-3
    assert lost["many"] <= lost["ml"] + 1 and lost["once"] <= lost["ml"] + 1
    assert lost["textbook"] >= lost["ml"] + 4
