"""The marginal log-likelihood three ways: closed form, adaptive quadrature, importance sampling.

Referees are dense matrices (``naive.py``) and the quadrature of ``bernoulli_referee.py``.
"""

from __future__ import annotations

import math
from dataclasses import replace

import naive
import numpy as np
import pandas as pd
import pytest
import toy_family
from bernoulli_family import bernoulli, simulated
from bernoulli_referee import Marginal
from integrating import dimension, interpreted, joint_at
from linear_family import examples
from test_likelihood import CASES, setup

import saem
from saem.errors import SaemWarning
from saem.families.problem import Problem
from saem.inference import log_likelihood as module
from saem.inference.log_likelihood import LogLikelihood, log_likelihood_at


def check_importance(found: LogLikelihood, exact: np.ndarray) -> None:
    """The sum within 4 errors, each cluster within 5: false alarms below 10^-4 for every call."""
    z = (found.contributions["loglik"] - exact) / found.contributions["mcse"]
    assert np.abs(z).max() < 5.0
    assert abs(found.value - exact.sum()) < 4.0 * found.mcse


def check_three_ways(problem: Problem, x: np.ndarray) -> None:
    """Quadrature of a Gaussian density is exact to rounding, even with one node."""
    exact = log_likelihood_at(problem, x)
    for nodes in (1, 2, 3):
        found = log_likelihood_at(problem, x, "quadrature", nodes=nodes)
        assert found.value == pytest.approx(exact.value, abs=1e-9)
        difference = found.contributions["loglik"] - exact.contributions["loglik"]
        assert np.abs(difference).max() < 1e-9
    check_importance(log_likelihood_at(problem, x, "importance"), exact.contributions["loglik"].to_numpy())


@pytest.mark.parametrize("name", CASES)
def test_the_closed_form_by_clusters(name: str) -> None:
    """Beside dense matrices, cluster by cluster."""
    found = setup(name)
    for x in found.points:
        parts = log_likelihood_at(found.problem, x).contributions["loglik"].to_numpy()
        expected = np.empty(len(parts))
        r = naive.deviations(found.dense, x)
        for clusters, rows, v in naive.marginal_blocks(found.dense, x):
            for c, own, covariance in zip(clusters, rows, v, strict=True):
                square = r[own] @ np.linalg.solve(covariance, r[own])
                expected[c] = -0.5 * (len(own) * naive.LOG_2PI + np.linalg.slogdet(covariance)[1] + square)
        np.testing.assert_allclose(parts, expected, rtol=1e-9, atol=1e-9)
        assert parts.sum() == pytest.approx(naive.marginal(found.dense, x), rel=1e-10)


@pytest.mark.parametrize("name", CASES)
def test_the_joint_density(name: str) -> None:
    """Beside that of the responses and of the random effects ``theta = L u``, by the Jacobian ``|L|``."""
    found = setup(name)
    rng = np.random.default_rng(3)
    for x in found.points:
        omega = naive.random_covariance(found.dense, x)
        roots = np.linalg.cholesky(omega)[found.dense.group]
        u = rng.standard_normal((len(roots), omega.shape[1]))
        values = [joint_at(found.problem, x, c, np.stack([u[c], 2.0 * u[c]])) for c in range(len(u))]
        for k in range(2):
            theta = np.einsum("cjk,ck->cj", roots, (k + 1) * u)
            expected = naive.complete_data(found.dense, x, theta) + np.log(np.linalg.det(roots)).sum()
            assert sum(value[k] for value in values) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("name", CASES)
def test_three_ways_agree_on_random_designs(name: str) -> None:
    found = setup(name)
    check_three_ways(found.problem, found.points[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "seed"), [("few", 3), ("posted", 1), ("many", 1), ("over", 1), ("slopes", 1), ("missing", 2)]
)
def test_three_ways_agree_at_estimates(name: str, seed: int) -> None:
    """Six problems, one with 600 clusters; the closed form is what the fit reports."""
    from experiments.studies.problems import problems

    problem = problems()[name]
    fit = saem.fit(problem.model, problem.table(seed), "ml")
    exact = saem.log_likelihood(fit)
    assert exact.value == pytest.approx(fit.loglik, abs=1e-9) and exact.mcse == 0.0
    assert saem.log_likelihood(fit, "quadrature", nodes=3).value == pytest.approx(fit.loglik, abs=1e-9)
    check_importance(saem.log_likelihood(fit, "importance"), exact.contributions["loglik"].to_numpy())


SINGULAR = {
    "no slopes": {"sd_slope": 0.0},
    "no intercepts": {"sd_intercept": 0.0},
    "neither": {"sd_slope": 0.0, "sd_intercept": 0.0},
    "correlation one": {"corr_intercept_slope": 1.0},
    "correlation minus one": {"corr_intercept_slope": -1.0},
}


@pytest.mark.parametrize("name", SINGULAR)
def test_singular_covariances_only_lower_the_dimension(name: str) -> None:
    example = examples()["correlated slopes"]
    x = example.x.copy()
    for parameter, value in SINGULAR[name].items():
        x[example.problem.parameters.index(parameter)] = value
    assert dimension(example.problem, x) == (0 if name == "neither" else 1)
    exact = log_likelihood_at(example.problem, x)
    for nodes in (1, 3):
        assert log_likelihood_at(example.problem, x, "quadrature", nodes=nodes).value == pytest.approx(exact.value)
    sampled = log_likelihood_at(example.problem, x, "importance")
    if name == "neither":  # nothing is integrated
        assert sampled.value == pytest.approx(exact.value, abs=1e-9)
        assert sampled.mcse == 0.0 and np.isnan(sampled.ess) and sampled.message == ""
    else:
        check_importance(sampled, exact.contributions["loglik"].to_numpy())


def test_narrow_and_distant_densities() -> None:
    """Residuals of 10^-4 and means that are 500 off: conditional standard deviations are small, modes far away."""
    example = examples()["correlated slopes"]
    for parameter, value in (("sigma", 1e-3), ("mu", 500.0)):
        x = example.x.copy()
        x[example.problem.parameters.index(parameter)] = value
        exact = log_likelihood_at(example.problem, x)
        found = log_likelihood_at(example.problem, x, "quadrature", nodes=3)
        assert found.value == pytest.approx(exact.value, rel=1e-12)
        check_importance(log_likelihood_at(example.problem, x, "importance"), exact.contributions["loglik"].to_numpy())


@pytest.mark.parametrize("method", ["exact", "quadrature", "importance"])
def test_outside_the_domain(method: str) -> None:
    example = examples()["correlated slopes"]
    for parameter, value in (("sd_slope", -0.1), ("corr_intercept_slope", 1.2), ("sigma", 0.0)):
        x = example.x.copy()
        x[example.problem.parameters.index(parameter)] = value
        assert log_likelihood_at(example.problem, x, method).value == -math.inf


# Without a closed form

PLACES = [np.array([2.0, 1.2]), np.array([1.0, 2.0]), np.array([6.0, 4.0])]


def check_bernoulli(x: np.ndarray) -> None:
    """40 nodes beside 60, and 10^4 draws."""
    problem, referee = bernoulli(simulated()), Marginal.of(simulated())
    parts = np.logaddexp.reduce(referee.nodes(x)[1], axis=1)
    found = log_likelihood_at(problem, x, "quadrature", nodes=40)
    np.testing.assert_allclose(found.contributions["loglik"], parts, atol=1e-8)
    check_importance(log_likelihood_at(problem, x, "importance", draws=10_000, seed=1), parts)


@pytest.mark.parametrize("x", PLACES, ids=str)
def test_the_bernoulli_family(x: np.ndarray) -> None:
    check_bernoulli(x)


def test_densities_with_bends() -> None:
    """Random effects of 20 and 50 on the logit scale: the density bends within a fiftieth of its width.

    Importance sampling is beside the trapezium rule on 40,000 points, at 4.5 errors: 24 clusters, false alarms below
    2 in 10^4. Quadrature does not settle, and says so.
    """
    rng = np.random.default_rng(2)
    grid = np.linspace(-10.0, 10.0, 40_001)
    for sigma, size in ((20.0, 1), (20.0, 40), (50.0, 1), (50.0, 10)):
        cluster = np.repeat(np.arange(6), size)
        table = {"cluster": cluster, "x": rng.standard_normal(len(cluster)), "y": cluster % 2 == 0}
        parts = []
        for c in range(6):
            eta = table["x"][cluster == c, None] + sigma * grid
            value = np.sum(np.where(c % 2 == 0, eta, 0.0) - np.logaddexp(0.0, eta), axis=0)
            density = value - 0.5 * grid**2 - 0.5 * np.log(2.0 * np.pi)
            parts.append(np.logaddexp.reduce(density) + np.log(grid[1] - grid[0]))
        found = log_likelihood_at(bernoulli(table), np.array([1.0, sigma]), "importance", draws=4000, seed=size)
        z = (found.contributions["loglik"] - parts) / found.contributions["mcse"]
        assert np.abs(z).max() < 4.5
        rule = log_likelihood_at(bernoulli(table), np.array([1.0, sigma]), "quadrature")
        assert "has not settled: 15 nodes give" in rule.message
        assert abs(rule.value - sum(parts)) < 2.0


def test_laplace_is_one_node() -> None:
    """``f(mode) + 1/2 log(2 pi) - 1/2 log(-f'')`` with the referee's mode and curvature."""
    x = PLACES[1]
    referee = Marginal.of(simulated())
    mode, sd = referee.centre(x)
    expected = np.sum(referee.log_joint(x, mode) + 0.5 * np.log(2.0 * np.pi) + np.log(sd))
    found = log_likelihood_at(bernoulli(simulated()), x, "quadrature", nodes=1)
    assert found.value == pytest.approx(expected, abs=1e-5)


def test_without_a_random_effect_the_bernoulli_family_is_a_regression() -> None:
    problem, table = bernoulli(simulated()), simulated()
    eta = 2.0 * table["x"]
    expected = np.sum(table["y"] * eta - np.logaddexp(0.0, eta))
    for method in ("quadrature", "importance"):
        assert log_likelihood_at(problem, np.array([2.0, 0.0]), method).value == pytest.approx(expected)
    with pytest.raises(saem.SaemError, match="no likelihood in closed form"):
        log_likelihood_at(problem, PLACES[0])


# Mutants of the compiled code, interpreted

MUTANTS = {
    "a forgotten Jacobian of quadrature": ("math.log(total) + log_determinant(scale)", "math.log(total)"),
    "a forgotten Jacobian of importance sampling": ("math.log(FREEDOM * math.pi) + log_determinant(scale)", "1.0"),
    "a proposal without its normalisation": ("- math.lgamma(0.5 * FREEDOM)", "+ 0.0"),
    "weights of a normal proposal": (
        "constant - 0.5 * (FREEDOM + d) * math.log1p(square / FREEDOM)",
        "-0.5 * (square + d * math.log(2.0 * math.pi)) - log_determinant(scale)",
    ),
    "errors a third too small": ("/ (draws - 1)", "/ (9.0 * (draws - 1))"),
}


def test_the_interpreted_twin_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """And gives what the compiled one gives."""
    problem = bernoulli(simulated())
    compiled = log_likelihood_at(problem, PLACES[1], "importance", draws=500)
    monkeypatch.setattr(module, "integrate", interpreted())
    twin = log_likelihood_at(problem, PLACES[1], "importance", draws=500)
    np.testing.assert_allclose(twin.contributions, compiled.contributions, rtol=1e-9)
    check_bernoulli(PLACES[1])


@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_are_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "integrate", interpreted(*MUTANTS[name]))
    with pytest.raises(AssertionError):
        for x in PLACES:
            check_bernoulli(x)


# What is refused, and what is said


def fit_of_four_effects() -> saem.Fit:
    """15 clusters of 8 rows with four random slopes."""
    rng = np.random.default_rng(1)
    names = [f"x{k}" for k in range(4)]
    table = pd.DataFrame(rng.standard_normal((120, 4)), columns=names).assign(s=np.arange(120) // 8)
    effects = rng.standard_normal((15, 4))[table["s"]]
    table["y"] = rng.standard_normal(120) + np.sum(table[names] * effects, axis=1)
    random = {"terms": {f"t{k}": name for k, name in enumerate(names)}, "covariance": "diagonal"}
    return saem.fit(saem.Model(response="y", cluster="s", mean={"mu": "1"}, random=random), table, "ml")


def test_too_many_nodes_are_refused() -> None:
    fit = fit_of_four_effects()
    assert saem.log_likelihood(fit, "quadrature", nodes=3).value == pytest.approx(fit.loglik, abs=1e-9)
    with pytest.raises(saem.SaemError, match=r"20\*\*4 points a cluster, more than 100,000; use 17 nodes or fewer"):
        saem.log_likelihood(fit, "quadrature", nodes=20)
    with pytest.warns(SaemWarning, match=r"15 clusters have fewer than 30 effective draws .* use more draws"):
        found = saem.log_likelihood(fit, "importance", draws=30)
    assert found.ess < 30.0 and found.message and 1.0 / 30.0 < found.max_weight_share < 1.0
    assert found.contributions.columns[0] == "s" and len(found.contributions) == 15
    assert saem.log_likelihood(fit, "quadrature", nodes=5).message == ""
    again = saem.log_likelihood(fit, "importance", draws=400)
    assert again.message == "" and again.value == saem.log_likelihood(fit, "importance", draws=400).value
    assert again.value != saem.log_likelihood(fit, "importance", draws=400, seed=1).value


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"method": "laplace"}, "'exact', 'quadrature' or 'importance'; got 'laplace'"),
        ({"method": "quadrature", "nodes": 0}, "from 1 to 100; got 0"),
        ({"method": "quadrature", "nodes": 2.5}, "got 2.5"),
        ({"method": "importance", "draws": 1}, "draws must be a whole number from 2"),
        ({"method": "importance", "seed": -1}, "seed"),
    ],
)
def test_bad_input(arguments: dict, words: str) -> None:
    example = examples()["balanced"]
    with pytest.raises(saem.SaemError, match=words):
        log_likelihood_at(example.problem, example.x, **arguments)


def test_fits_that_have_no_such_likelihood() -> None:
    example = examples()["correlated slopes"]
    with pytest.raises(saem.SaemError, match=r"restricted likelihood is not .* fit by 'ml'"):
        saem.log_likelihood(replace(saem.fit(example.model, example.table, "ml"), method="reml"))
    with pytest.raises(saem.SaemError, match="no joint density of single clusters"):
        log_likelihood_at(toy_family.linkage(), np.array([0.5, 0.5]), "quadrature")


def test_a_density_without_a_mode_is_an_error() -> None:
    """As where it is not a number: cluster 0 is named."""
    problem = bernoulli(simulated() | {"x": np.full(len(simulated()["x"]), np.inf)})
    with pytest.raises(saem.SaemError, match=r"cluster 0 was found"):
        log_likelihood_at(problem, PLACES[0], "quadrature")
