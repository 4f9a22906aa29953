"""Designs of which it is said that their likelihood has one maximum, and nobody looks for another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import saem
from saem.families import arrange, pose
from saem.families.problem import Problem
from saem.maxima.boundary import climb
from saem.maxima.search import find_maxima
from saem.mstep.solver import Solver

Array = np.ndarray
BY_ARM = {"sd": {"a": "s1", "b": "s2"}, "by": "arm"}


def table(sites: int = 6, rows: int = 4) -> pd.DataFrame:
    """Two arms of sites, ``day`` the same in all, ``age`` between and ``dose`` in and between them."""
    rng = np.random.default_rng(3)
    site, day = np.repeat(np.arange(2 * sites), rows), np.tile(np.arange(rows), 2 * sites)
    arm = np.where(site < sites, "a", "b")
    own = rng.normal(size=2 * sites)[site] * np.where(arm == "a", 0.2, 1.0)
    columns = {"site": site, "day": day, "arm": arm, "age": rng.normal(size=2 * sites)[site]}
    return pd.DataFrame(columns | {"dose": rng.normal(size=len(site)), "y": own + rng.normal(size=len(site))})


def problem(rows: pd.DataFrame, mean: str = "y ~ arm*day + arm*age", **more: object) -> Problem:
    kinds = {"mean": mean, "response": "y", "cluster": "site", "random": BY_ARM} | more
    model = saem.Model(**kinds)
    return pose(model, arrange(model, rows))


def restricted(problem: Problem) -> Problem:
    """The problem of the restricted likelihood."""
    return replace(problem, likelihood=replace(problem.likelihood, restricted=True))


def said(problem: Problem) -> bool:
    assert problem.likelihood.has_one_maximum is not None
    return problem.likelihood.has_one_maximum()


BALANCED = {
    "arms": problem(table()),
    "one standard deviation": problem(table(), "y ~ arm*day + age", random={"sd": "s"}),
    "a slope alone": problem(table(), "y ~ arm*day", random={"terms": {"d": "day - 1.5"}}),
    "restricted": restricted(problem(table())),
    "sizes by arm": problem(table().query("arm == 'a' or day > 0"), "y ~ arm"),
}
OTHERS = {
    "a row is missing": problem(table().iloc[1:]),
    "a covariate varies in and between clusters": problem(table(), "y ~ arm*day + arm*dose"),
    "arms of different variances share a coefficient": problem(table(), "y ~ arm*day + age"),
    "an arm has a day less": problem(table().query("arm == 'a' or day > 0"), "y ~ day"),
    "one standard deviation of two sizes": problem(
        table().query("arm == 'a' or day > 0"), "y ~ arm", random={"sd": "s"}
    ),
    "two random effects": problem(table(), random={"terms": {"i": "1", "d": "day"}, "covariance": "diagonal"}),
    "two residual standard deviations": problem(table(), residual={"by": "arm"}),
    "a standard deviation is known": problem(table(), fixed={"s1": 0.5}),
}


@pytest.mark.parametrize("name", BALANCED)
def test_the_likelihood_is_concave(name: str) -> None:
    """In the logarithms of the eigenvalues, at the means of least squares, which are best at all variances."""
    of = BALANCED[name]
    assert said(of)
    solver, rng = Solver(of), np.random.default_rng(0)
    sds = list(dict.fromkeys(of.arrays.sd_index[:, 0].tolist()))
    size = [of.arrays.zz[of.arrays.pattern_group == list(of.arrays.sd_index[:, 0]).index(i)][0, 0, 0, 0] for i in sds]
    (residual,) = of.arrays.residual_index
    x = of.starts.first.copy()
    x[of.arrays.mean_index] = of.arrays.beta_reference

    def height(logarithms: Array) -> float:
        values = np.exp(logarithms)
        x[residual], x[sds] = np.sqrt(values[0]), np.sqrt((values[1:] - values[0]) / size)
        at = solver.derivatives(solver.observed(), x)
        assert np.abs(at.gradient[of.arrays.mean_index]).max() < 1e-7 * abs(at.value)
        return at.value

    for _ in range(40):
        first, other = (rng.normal() + np.append(0.0, rng.exponential(1.5, len(sds))) for _ in range(2))
        assert height((first + other) / 2) >= (height(first) + height(other)) / 2 - 1e-9


@pytest.mark.parametrize("name", OTHERS)
def test_nothing_is_said_of_other_designs(name: str) -> None:
    assert not said(OTHERS[name])


@pytest.mark.parametrize("name", BALANCED)
def test_one_search_finds_what_many_find(name: str) -> None:
    of = BALANCED[name]
    solver = Solver(of)
    peaks, failures = find_maxima(of, solver)
    assert len(peaks) == 1 and not failures
    many, _ = find_maxima(replace(of, likelihood=replace(of.likelihood, has_one_maximum=None)), solver, 12)
    assert [peak.loglik for peak in many] == pytest.approx([peaks[0].loglik])


def test_constraints_can_make_several() -> None:
    """Nothing is skipped under constraints: one with two branches has a maximum on each."""
    tied = problem(table(), "y ~ arm", constraints={"branches": "(arm_b - 2) * (arm_b + 2) == 0"})
    peaks, _ = find_maxima(tied, Solver(tied))
    assert said(tied) and len(peaks) == 2
    assert {round(float(peak.x[1]), 6) for peak in peaks} == {-2.0, 2.0}
    assert climb(tied, Solver(tied), tied.starts.first)[2].value <= peaks[0].loglik
