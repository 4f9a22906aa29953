"""The log-likelihoods of the linear family, their derivatives and the E-step, against dense matrices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import naive
import numpy as np
import pytest
from designs import Case, random_case
from scipy import stats
from selecting import few

from saem import Model
from saem.estep.expectation import conditional_expectation
from saem.estep.score_noise import draw_means
from saem.families import arrange, pose
from saem.families.coordinates import USERS
from saem.families.problem import Problem
from saem.mstep.solver import Derivatives, Solver

CASES: dict[str, dict[str, Any]] = {
    "intercept": {},
    "intercept, arms": {"arms": 2},
    "intercept, kinds": {"kinds": 3},
    "intercept, arms and kinds": {"arms": 2, "kinds": 2},
    "slope, diagonal": {"terms": 2},
    "slope, full": {"terms": 2, "covariance": "full"},
    "slope, full, arms and kinds": {"terms": 2, "arms": 2, "kinds": 2, "covariance": "full"},
    "three terms, diagonal, kinds": {"terms": 3, "kinds": 2},
    "three terms, full": {"terms": 3, "covariance": "full"},
    "three terms, full, arms and kinds": {"terms": 3, "arms": 2, "kinds": 3, "covariance": "full"},
    "shared by arms": {"arms": 3, "shared": "arms"},
    "shared by terms, full": {"terms": 2, "covariance": "full", "shared": "terms"},
    "shared by kinds": {"kinds": 3, "shared": "kinds"},
    "shared by effect and residual": {"kinds": 2, "terms": 2, "shared": "residual"},
    "shared by all, full": {
        "terms": 3,
        "arms": 2,
        "kinds": 2,
        "covariance": "full",
        "shared": "arms terms kinds residual",
    },
    "overparametrised": {"terms": 2, "covariance": "full", "overparametrised": True},
    "fixed": {"terms": 2, "arms": 2, "fixed": {"bt": 0.5, "sd_t_A1": 0.7}},
    "prior weights": {"terms": 2, "arms": 2, "kinds": 2, "covariance": "full", "weights": True},
}

#: Of the restricted likelihood, whose naive twin takes long: one case of each kind.
RESTRICTED = [
    "intercept, arms and kinds",
    "slope, full, arms and kinds",
    "shared by effect and residual",
    "fixed",
    "prior weights",
]


@dataclass(frozen=True, eq=False)
class Setup:
    """A random design, as saem and as dense matrices see it."""

    case: Case
    dense: naive.Dense  # parameters in saem's order
    problem: Problem
    restricted: Problem
    points: list[np.ndarray]

    def restricted_likelihood(self, x: np.ndarray) -> Any:
        """The naive one, over columns that span those of the free means."""
        fixed = self.problem.parameters.fixed[[self.problem.parameters.names.index(name) for name in self.dense.means]]
        chosen: list[int] = []
        for j in np.flatnonzero(~fixed):
            if np.linalg.matrix_rank(self.dense.mean_design[:, [*chosen, j]]) > len(chosen):
                chosen.append(int(j))
        return naive.restricted(self.dense, x, np.array(chosen))

    def reference(self) -> np.ndarray:
        return self.problem.arrays.beta_reference


@lru_cache
def setup(name: str) -> Setup:
    case = random_case(list(CASES).index(name), **CASES[name])
    model = Model(**case.model)
    data = arrange(model, case.table)
    problem, restricted = pose(model, data), pose(model, data, restricted=True)
    names = problem.parameters.names
    rng = np.random.default_rng(1)
    return Setup(case, case.dense.with_names(names), problem, restricted, [case.point(names, rng) for _ in range(3)])


def at_boundary(s: Setup, x: np.ndarray) -> list[np.ndarray]:
    """The point with one random effect absent, and with one correlation (of two terms) at 1."""
    out = []
    sds = [i for i in s.dense.at(s.dense.sds[0]) if i not in s.dense.residual_at]
    if sds:
        out.append(x.copy())
        out[-1][sds[0]] = 0.0
    if len(s.dense.sds[0]) == 2 and s.dense.correlations:
        out.append(x.copy())
        out[-1][s.dense.at(s.dense.correlations.values())[0]] = 1.0
    return out


def check_derivatives(found: Derivatives, function: Any, x: np.ndarray) -> None:
    """Value to 1e-10, gradient and Hessian to 1e-7, relative to the size that rounding leaves."""
    np.testing.assert_allclose(found.value, function(x), rtol=1e-10)
    slope = naive.gradient(function, x)
    np.testing.assert_allclose(found.gradient, slope, rtol=1e-8, atol=1e-9 * np.max(np.abs(slope)))
    curvature = naive.hessian(function, x)
    size = np.sqrt(np.abs(np.outer(np.diag(curvature), np.diag(curvature))))
    np.testing.assert_array_less(np.abs(found.hessian - curvature), 1e-7 * (np.abs(curvature) + size) + 1e-7)


@pytest.mark.parametrize("name", CASES)
def test_marginal(name: str) -> None:
    s = setup(name)
    solver = Solver(s.problem)
    for x in [s.points[0], *at_boundary(s, s.points[1])]:
        check_derivatives(solver.derivatives(solver.observed(), x), lambda v: naive.marginal(s.dense, v), x)


@pytest.mark.parametrize("name", few(CASES, RESTRICTED))
def test_restricted(name: str) -> None:
    s = setup(name)
    solver = Solver(s.restricted)
    for x in [s.points[0], *at_boundary(s, s.points[1])]:
        check_derivatives(solver.derivatives(solver.observed(), x), s.restricted_likelihood, x)


@pytest.mark.parametrize("name", CASES)
def test_complete(name: str) -> None:
    """The objective of the M-step at the statistics of some random effects is their density with the data."""
    s = setup(name)
    solver = Solver(s.problem)
    x, other = s.points[:2]
    theta = naive.draw_effects(s.dense, other, np.random.default_rng(2))
    found = solver.derivatives(solver.complete(naive.statistics(s.dense, theta, s.reference())), x)
    check_derivatives(found, lambda v: naive.complete_data(s.dense, v, theta), x)


def test_mutants_of_the_likelihoods_are_caught() -> None:
    """The comparison above fails for a lost correlation, a lost variance group, ML in place of REML."""
    s = setup("slope, full, arms and kinds")
    x, solver, reml = s.points[0], Solver(s.problem), Solver(s.restricted)
    found = solver.derivatives(solver.observed(), x)
    uncorrelated = replace(s.dense, correlations={})
    one_group = replace(s.dense, group=np.zeros_like(s.dense.group))
    for wrong in (
        lambda v: naive.marginal(uncorrelated, v),
        lambda v: naive.marginal(one_group, v),
        lambda v: naive.marginal(s.dense, v) * (1 + 1e-9),
        lambda v: naive.restricted(s.dense, v),
    ):
        with pytest.raises(AssertionError):
            check_derivatives(found, wrong, x)
    with pytest.raises(AssertionError):
        check_derivatives(reml.derivatives(reml.observed(), x), lambda v: naive.marginal(s.dense, v), x)
    wrong_hessian = replace(found, hessian=found.hessian * (1 + 1e-6))
    with pytest.raises(AssertionError):
        check_derivatives(wrong_hessian, lambda v: naive.marginal(s.dense, v), x)


def test_outside_the_domain() -> None:
    """Minus infinity, not a number that a search could climb to."""
    s = setup("three terms, full")
    solver, x = Solver(s.problem), s.points[0]
    sd, residual = s.dense.at(s.dense.sds[0])[0], s.dense.residual_at[0]
    correlations = s.dense.at(s.dense.correlations.values())
    statistics = naive.expected_statistics(s.dense, x, s.reference())
    for objective in (solver.observed(), solver.complete(statistics)):
        for changes in ({sd: -0.1}, {residual: 0.0}, {residual: -1.0}, {correlations[0]: 1.01}, {residual: np.nan}):
            point = x.copy()
            point[list(changes)] = list(changes.values())
            assert solver.derivatives(objective, point).value == -np.inf
        point = x.copy()
        point[correlations] = 0.9, 0.9, -0.9  # each is in (-1, 1), but no covariance matrix has them
        assert solver.derivatives(objective, point).value == -np.inf


def test_large_offset_and_scale_cost_no_digits() -> None:
    """The responses are centred, so a large mean does not cancel against itself."""
    s = setup("slope, full")
    offset = 1e6
    model = Model(**s.case.model)
    problem = pose(model, arrange(model, s.case.table.assign(y=s.case.table["y"] + offset)), coordinates=USERS)
    solver, original = Solver(problem), Solver(s.problem)
    x = s.points[0].copy()
    before = original.derivatives(original.observed(), x)
    x[0] += offset
    after = solver.derivatives(solver.observed(), x)
    # y itself has 16 digits, so its deviations from 1e6 have 10
    assert after.value == pytest.approx(before.value, rel=1e-8)
    np.testing.assert_allclose(after.hessian, before.hessian, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_expected_statistics(name: str) -> None:
    s = setup(name)
    for x in [s.points[0], *at_boundary(s, s.points[1])]:
        check_expectation(conditional_expectation(s.problem, x), s, x)


def check_expectation(found: np.ndarray, s: Setup, x: np.ndarray) -> None:
    expected = naive.expected_statistics(s.dense, x, s.reference())
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-11 * np.max(np.abs(expected)))


def test_mutants_of_the_expectation_are_caught() -> None:
    s = setup("slope, full")
    x = s.points[0]
    modes, _ = naive.conditional(s.dense, x)
    with pytest.raises(AssertionError):  # conditional means plugged in, without their variance
        check_expectation(naive.statistics(s.dense, modes, s.reference()), s, x)
    with pytest.raises(AssertionError):  # statistics about zero, not about the reference
        check_expectation(naive.expected_statistics(s.dense, x, 0.0 * s.reference()), s, x)


@pytest.mark.parametrize("name", CASES)
def test_fisher_identity(name: str) -> None:
    """The observed score is the complete-data score at the expected statistics."""
    s = setup(name)
    solver = Solver(s.problem)
    for x in s.points:
        observed = solver.derivatives(solver.observed(), x).gradient
        expectation = conditional_expectation(s.problem, x)
        complete = solver.derivatives(solver.complete(expectation), x).gradient
        np.testing.assert_allclose(complete, observed, rtol=1e-9, atol=1e-10 * np.max(np.abs(observed)))


@pytest.mark.parametrize("name", CASES)
def test_louis(name: str) -> None:
    """Missing information: the Hessians differ by the variance of the complete-data score (Louis 1982)."""
    s = setup(name)
    solver = Solver(s.problem)
    x = s.points[0]
    expectation = conditional_expectation(s.problem, x)
    complete = solver.derivatives(solver.complete(expectation), x)
    missing = solver.derivatives(solver.observed(), x).hessian - complete.hessian
    # the complete-data score is linear in the statistics: its slope is a difference, without error
    slope = np.array(
        [
            solver.derivatives(solver.complete(expectation + unit), x).gradient - complete.gradient
            for unit in np.eye(len(expectation))
        ]
    )
    variance = slope.T @ naive.statistics_covariance(s.dense, x, s.reference()) @ slope
    size = np.sqrt(np.outer(np.diag(variance), np.diag(variance)))
    np.testing.assert_array_less(np.abs(missing - variance), 1e-8 * (size + np.max(size)))


def draws_of_statistics(s: Setup, x: np.ndarray, seed: int, m: int, repeats: int) -> np.ndarray:
    """Means (repeats, n_statistics) of the statistics over ``m`` draws."""
    out = np.empty((repeats, s.problem.latent.n_statistics))
    draw_means(s.problem.arrays, x, np.random.Generator(np.random.SFC64(seed)), m, out)
    return out


def check_draws(drawn: np.ndarray, m: int, s: Setup, x: np.ndarray) -> None:
    """Mean and covariance of drawn statistics against the exact ones.

    In coordinates in which the exact covariance is the identity, the mean must pass a chi-squared test at 1e-6, and
    the mean of each product of two coordinates be within 5.5 of its own standard errors: with at most 150 products
    the false-alarm rate is about 7e-6 in all for one call.
    """
    covariance = naive.statistics_covariance(s.dense, x, s.reference()) / m
    scale = np.sqrt(np.where(np.diag(covariance) > 0.0, np.diag(covariance), 1.0))
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    keep = values > 1e-8 * values[-1]
    rotated = (drawn - naive.expected_statistics(s.dense, x, s.reference())) / scale @ vectors
    assert np.max(np.abs(rotated[:, ~keep]), initial=0.0) < 1e-4  # what does not vary must be equal
    white = rotated[:, keep] / np.sqrt(values[keep])
    n, rank = white.shape
    assert stats.chi2.sf(n * np.sum(white.mean(axis=0) ** 2), rank) > 1e-6
    products = np.einsum("ni,nj->nij", white, white)
    z = (products.mean(axis=0) - np.eye(rank)) / (products.std(axis=0) / np.sqrt(n))
    assert np.max(np.abs(z)) < 5.5


DRAWN = ("intercept, arms and kinds", "slope, full", "three terms, full")


@pytest.mark.parametrize("name", DRAWN)
def test_draws_are_exact(name: str) -> None:
    """False-alarm rate about 1e-5 for each of three designs (seeds are fixed)."""
    s = setup(name)
    x = s.points[2]
    check_draws(draws_of_statistics(s, x, seed=3, m=1, repeats=3000), 1, s, x)
    check_draws(draws_of_statistics(s, x, seed=4, m=8, repeats=1500), 8, s, x)


def test_a_mean_of_many_draws_is_the_expectation() -> None:
    """100,000 draws: an error of a per cent of a standard deviation would show; false-alarm rate 1e-6 a design."""
    for name in DRAWN:
        s = setup(name)
        x = s.points[2]
        covariance = naive.statistics_covariance(s.dense, x, s.reference()) / 100_000
        error = draws_of_statistics(s, x, 5, 100_000, 1)[0] - naive.expected_statistics(s.dense, x, s.reference())
        inverse = np.linalg.pinv(covariance, rcond=1e-10, hermitian=True)
        assert stats.chi2.sf(error @ inverse @ error, np.linalg.matrix_rank(covariance, hermitian=True)) > 1e-6


def test_mutants_of_the_draws_are_caught() -> None:
    """The naive draws pass; draws with lost covariances, too small a spread, or averaged effects do not."""
    s = setup("slope, full")
    x, rng = s.points[2], np.random.default_rng(6)
    mean, variance = naive.conditional(s.dense, x)

    def drawn(variance: np.ndarray, repeats: int = 2000) -> np.ndarray:
        roots = np.linalg.cholesky(variance)
        normals = rng.standard_normal((repeats, *mean.shape))
        effects = mean + np.einsum("cjk,rck->rcj", roots, normals)
        return np.array([naive.statistics(s.dense, theta, s.reference()) for theta in effects])

    check_draws(drawn(variance), 1, s, x)
    with pytest.raises(AssertionError):  # the terms drawn as if they were independent given the data
        check_draws(drawn(variance * np.eye(2)), 1, s, x)
    with pytest.raises(AssertionError):
        check_draws(drawn(0.95 * variance), 1, s, x)
    pairs = drawn(variance, 3000).reshape(1500, 2, -1).mean(axis=1)
    check_draws(pairs, 2, s, x)
    roots = np.linalg.cholesky(variance)
    averaged = [
        naive.statistics(s.dense, mean + np.einsum("cjk,ck->cj", roots, normals), s.reference())
        for normals in rng.standard_normal((1500, 2, *mean.shape)).mean(axis=1)
    ]
    with pytest.raises(AssertionError):  # draws averaged before second moments are formed: variances collapse
        check_draws(np.array(averaged), 2, s, x)
