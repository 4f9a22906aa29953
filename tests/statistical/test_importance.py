"""Importance sampling of the likelihood: its Monte Carlo errors over many seeds, and a value of the literature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from bernoulli_family import bernoulli, booth_hobert, simulated
from linear_family import PEPTIDE, build, examples, peptide_design
from test_metropolis import FILE, needs_file

from saem import Model, recipes
from saem.families.problem import Problem
from saem.inference import log_likelihood as module
from saem.inference.log_likelihood import log_likelihood_at

SEEDS = 1000
BENCHMARK = np.array([6.132163, np.sqrt(1.766461)])  # Booth & Hobert (1999), whose log-likelihood there is -44.05626


@needs_file
def test_the_benchmark_of_booth_and_hobert() -> None:
    problem = booth_hobert(FILE)
    assert log_likelihood_at(problem, BENCHMARK, "quadrature", nodes=30).value == pytest.approx(-44.05626, abs=5e-6)
    sampled = log_likelihood_at(problem, BENCHMARK, "importance", draws=10_000)
    assert abs(sampled.value + 44.05626) < 4.0 * sampled.mcse < 0.05


def check_calibration(problem: Problem, x: np.ndarray, exact: float, draws: int) -> None:
    """Over 1000 seeds: no bias that 4.5 errors of the mean would show, and a spread of error/MCSE from 0.9 to 1.1.

    The spread of 1000 normals is off by a tenth in one of 10^5 cases, their mean by 4.5 errors in one of 10^5. It is
    the errors themselves that have no bias; divided by their MCSE, which is larger where a weight is, they have one.
    """
    found = [log_likelihood_at(problem, x, "importance", draws=draws, seed=seed) for seed in range(SEEDS)]
    errors = np.array([each.value for each in found]) - exact
    assert abs(errors.mean()) < 4.5 * errors.std(ddof=1) / np.sqrt(SEEDS)
    assert 0.9 < np.std(errors / np.array([each.mcse for each in found]), ddof=1) < 1.1


def linear() -> tuple[Problem, np.ndarray, float]:
    example = examples()["correlated slopes"]
    return example.problem, example.x, log_likelihood_at(example.problem, example.x).value


def many() -> tuple[Problem, np.ndarray, float]:
    example = build(Model.from_text(recipes.text("peptide")), PEPTIDE, peptide_design(60))
    return example.problem, example.x, log_likelihood_at(example.problem, example.x).value


def skewed() -> tuple[Problem, np.ndarray, float]:
    problem, x = bernoulli(simulated()), np.array([1.0, 2.0])
    return problem, x, log_likelihood_at(problem, x, "quadrature", nodes=60).value


@pytest.mark.slow
@pytest.mark.parametrize("case", [linear, many, skewed], ids=["two effects", "120 clusters", "Bernoulli"])
@pytest.mark.parametrize("draws", [30, 300])
def test_errors_are_calibrated(case: Callable[[], tuple[Problem, np.ndarray, float]], draws: int) -> None:
    problem, x, exact = case()
    check_calibration(problem, x, exact, draws)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["the bias is left", "the second moment is not centred", "antithetic pairs count twice"]
)
def test_mutants_are_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    problem, x, exact = many()
    draws = 30

    def wrong(*arguments: Any) -> int:
        code = int(integrate(*arguments))
        parts = arguments[-1]
        if name == "the bias is left":
            parts[:, 0] -= 0.5 * parts[:, 1]
        elif name == "the second moment is not centred":
            parts[:, 1] += 1.0 / (draws - 1)
        else:
            parts[:, 1] /= 2.0
        return code

    integrate = module.integrate
    monkeypatch.setattr(module, "integrate", wrong)
    with pytest.raises(AssertionError):
        check_calibration(problem, x, exact, draws)
