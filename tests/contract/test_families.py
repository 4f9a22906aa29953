"""What every family of models promises, and what algorithms do with a family that they have never heard of.

Families are found, not listed: each module of `saem.families` but the contract, with examples in
``tests/<name>_family.py``; and each ``tests/<name>_family.py`` of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import toy_family
from drawing import drawn, expected, plausible
from numba.core.caching import FunctionCache
from parameterkinds import kinds_of
from scipy.optimize import brentq
from selecting import few

from saem import families as models
from saem.algorithms.engine import loop
from saem.algorithms.saem import SAEM
from saem.estep.samplers import own_copy
from saem.estep.score_noise import draw_means
from saem.families.problem import Problem
from saem.mstep import sqp
from saem.mstep.solver import Solver
from saem.schedules import Steps

TESTS = Path(__file__).parents[1]
SHIPPED = models.families()
FAMILIES = sorted({path.name.removesuffix("_family.py") for path in TESTS.glob("*_family.py")})


@pytest.fixture(autouse=True)
def families_of_the_tests_stay_out_of_the_cache(request):
    """While Numba's own keys name the class of a family, processes that cannot import it could not read the cache."""
    parameters = getattr(getattr(request.node, "callspec", None), "params", {})
    entries = (sqp.maximise, loop.run_block, draw_means)
    if parameters.get("family") in SHIPPED or any(type(entry._cache) is not FunctionCache for entry in entries):
        yield
        return
    for entry in entries:
        entry._cache.disable()
    yield
    for entry in entries:
        entry._cache.enable()


@cache
def problems_of(family: str) -> dict[str, Problem]:
    """Its examples."""
    found: dict[str, Problem] = import_module(f"{family}_family").problems()
    return found


def cases(condition=lambda problem: True, slow=()):
    """All examples of all families that satisfy a condition; those of some families are slow."""
    pairs = [
        (family, name) for family in FAMILIES for name, problem in problems_of(family).items() if condition(problem)
    ]
    fast = [(family, name) for family, name in pairs if family not in slow]
    ids = [f"{family}: {name}" for family, name in pairs]
    return pytest.mark.parametrize(("family", "name"), few(pairs, fast), ids=ids)


def places(problem: Problem, n: int = 2) -> list[np.ndarray]:
    """Parameters at which to look: the first start and others around it."""
    rng = np.random.default_rng(4)
    kinds, start = np.array(kinds_of(problem.parameters)), problem.starts.first
    found = [start]
    for _ in range(n):
        x = start * np.exp(rng.normal(scale=0.3, size=len(start)))
        found.append(np.where(kinds == "corr", rng.uniform(-0.6, 0.6, len(start)), x))
    return found


def test_every_family_that_is_shipped_has_examples():
    assert set(SHIPPED) <= set(FAMILIES), "write tests/<family>_family.py with problems()"
    assert "toy" in FAMILIES


# What a family promises


def differences(function, x: np.ndarray) -> np.ndarray:
    """Central differences of order four; the last axis is the parameter."""
    columns = []
    for i in range(len(x)):
        h = 1e-3 * max(1e-2, abs(x[i])) * (np.arange(len(x)) == i)
        f1, f2 = function(x + h) - function(x - h), function(x + 2 * h) - function(x - 2 * h)
        columns.append((8 * f1 - f2) / (12 * h[i]))
    return np.stack(columns, axis=-1)


def check_derivatives(solver: Solver, objective, x: np.ndarray) -> None:
    """Gradient and Hessian are those of the value, and the Hessian is symmetric."""
    at = solver.derivatives(objective, x)
    size = np.sqrt(np.maximum(np.abs(np.diag(at.hessian)), 1e-12))
    gradient = differences(lambda point: solver.derivatives(objective, point).value, x)
    hessian = differences(lambda point: solver.derivatives(objective, point).gradient, x)
    unit = np.maximum(size, np.abs(at.value) * 1e-3)
    np.testing.assert_allclose(at.gradient / unit, gradient / unit, atol=1e-6, rtol=1e-6)
    np.testing.assert_allclose(at.hessian / np.outer(size, size), hessian / np.outer(size, size), atol=1e-6, rtol=1e-6)
    np.testing.assert_allclose(at.hessian / np.outer(size, size), at.hessian.T / np.outer(size, size), atol=1e-12)


@cases()
def test_the_complete_data_likelihood_has_its_derivatives(family, name):
    problem = problems_of(family)[name]
    solver = Solver(problem)
    statistics = plausible(problem, problem.starts.first)
    for x in places(problem):
        check_derivatives(solver, solver.complete(statistics), x)


@cases(lambda problem: problem.likelihood.is_available)
def test_the_marginal_likelihood_has_its_derivatives(family, name):
    problem = problems_of(family)[name]
    solver = Solver(problem)
    for x in places(problem):
        check_derivatives(solver, solver.observed(), x)


class WrongSlope(Solver):
    """Mutant: one component of the gradient is off by 10^-4 standard errors."""

    def derivatives(self, objective, x, free=None):
        at = super().derivatives(objective, x, free)
        at.gradient[0] += 1e-4 * np.sqrt(abs(at.hessian[0, 0]))
        return at


@pytest.mark.parametrize("family", FAMILIES)
def test_a_slope_that_is_slightly_wrong_is_noticed(family):
    problem = next(iter(problems_of(family).values()))
    solver = WrongSlope(problem)
    with pytest.raises(AssertionError):
        check_derivatives(solver, solver.complete(plausible(problem, problem.starts.first)), problem.starts.first)


@cases(lambda problem: problem.latent.has_expectation)
def test_draws_have_the_expectation_that_m_0_gives(family, name):
    """At most 14 statistics at 3 places, |z| < 5: a false alarm in fewer than 3 of 10^5 examples."""
    problem = problems_of(family)[name]
    for x in places(problem):
        check_expectation(drawn(problem, x, 4000, m=2, seed=1), expected(problem, x))


def check_expectation(sample: np.ndarray, mean: np.ndarray) -> None:
    """The sample (N, s) has this mean within 5 standard errors."""
    error = sample.std(axis=0) / np.sqrt(len(sample)) + 1e-10 * (1 + np.abs(mean))
    assert np.abs((sample.mean(axis=0) - mean) / error).max() < 5


@pytest.mark.parametrize("family", [f for f in FAMILIES if next(iter(problems_of(f).values())).latent.has_expectation])
def test_draws_at_other_parameters_are_noticed(family):
    """Mutant: draws at parameters that are 10 % off."""
    problem = next(iter(problems_of(family).values()))
    x = problem.starts.first
    with pytest.raises(AssertionError):
        check_expectation(drawn(problem, 1.1 * x, 4000, m=2, seed=1), expected(problem, x))


def flat(arrays) -> list[np.ndarray]:
    """All arrays and numbers, those of nested tuples too."""
    return [part for field in arrays for part in (flat(field) if isinstance(field, tuple) else [field])]


@cases()
def test_draws_depend_on_the_stream_and_on_nothing_else(family, name):
    problem = problems_of(family)[name]
    x = problem.starts.first
    before = [np.copy(array) for array in flat(problem.arrays)]
    first = drawn(problem, x, 5, m=3, seed=2)
    drawn(problem, 1.2 * x, 5)
    np.testing.assert_array_equal(drawn(problem, x, 5, m=3, seed=2), first)
    assert not np.array_equal(drawn(problem, x, 5, m=3, seed=3), first)
    assert np.isfinite(first).all()
    for array, copy in zip(flat(problem.arrays), before, strict=True):
        np.testing.assert_array_equal(array, copy)


@cases(lambda problem: "latent" in problem.arrays._fields)  # of its own; kernels of `saem.estep` are held to more
def test_a_chain_goes_on_from_its_state_and_counts_its_moves(family, name):
    problem = problems_of(family)[name]
    x, arrays = problem.starts.first, own_copy(problem.arrays)
    rng = np.random.Generator(np.random.SFC64(2))
    statistics = np.zeros((3, problem.latent.n_statistics))
    draw_means(arrays, x, rng, 1, statistics)
    accepted, proposed = arrays.acceptance
    assert arrays.latent.dtype == arrays.acceptance.dtype == float
    assert not np.array_equal(arrays.latent, problem.arrays.latent) and 0 < accepted < proposed
    # m draws are m sweeps of the chain, and the next call begins where the last one ended
    np.testing.assert_allclose(drawn(problem, x, 1, m=3, seed=2)[0], statistics.mean(axis=0), rtol=1e-12)
    before = statistics[0].copy()
    draw_means(arrays, x, np.random.Generator(np.random.SFC64(2)), 1, statistics)
    assert not np.array_equal(statistics[0], before)
    assert arrays.acceptance[1] == 2 * proposed
    assert np.isnan(expected(problem, x)).all(), "an expectation that is not available must not look like one"


@cases(lambda problem: problem.likelihood.is_available and problem.latent.has_expectation)
def test_the_observed_score_is_the_expected_complete_score(family, name):
    """Fisher's identity: the gradients agree at E[S | y; x]."""
    problem = problems_of(family)[name]
    solver = Solver(problem)
    for x in places(problem):
        observed = solver.derivatives(solver.observed(), x)
        complete = solver.derivatives(solver.complete(expected(problem, x)), x)
        size = np.sqrt(np.abs(np.diag(complete.hessian)))
        np.testing.assert_allclose(observed.gradient / size, complete.gradient / size, rtol=1e-8, atol=1e-8)


@cases(lambda problem: problem.likelihood.is_available and problem.latent.has_expectation)
def test_missing_information_is_the_variance_of_the_complete_score(family, name):
    """Louis' identity, by draws: at most 55 entries at |z| < 5, false alarms below 10^-4 for each example."""
    problem = problems_of(family)[name]
    solver = Solver(problem)
    x = places(problem)[1]
    observed = solver.derivatives(solver.observed(), x).hessian
    complete = solver.derivatives(solver.complete(expected(problem, x)), x).hessian
    scores = np.array([solver.derivatives(solver.complete(s), x).gradient for s in drawn(problem, x, 4000, seed=5)])
    size = np.sqrt(np.abs(np.diag(complete)))
    scores = (scores - scores.mean(axis=0)) / size
    products = scores[:, :, None] * scores[:, None, :]
    error = products.std(axis=0) / np.sqrt(len(scores)) + 1e-9
    z = (products.mean(axis=0) - (observed - complete) / np.outer(size, size)) / error
    assert np.abs(z).max() < 5


@cases()
def test_statistics_and_scales_have_the_promised_shapes(family, name):
    problem = problems_of(family)[name]
    n = len(problem.parameters)
    assert plausible(problem, problem.starts.first).shape == (problem.latent.n_statistics,)
    assert problem.latent.size >= 1
    assert problem.scale.shape == problem.boundary.collapsible.shape == (n,)
    assert (problem.scale > 0).all() and problem.boundary.collapsible.dtype == bool
    for start in problem.starts.values:
        assert start.shape == (n,) and np.isfinite(start).all()


# An algorithm on a family that it has never heard of


@dataclass(frozen=True)
class ExactEM:
    """A schedule without draws: the E-step is E[S | y]."""

    iterations: int = 500
    burn_in: int = 500

    def steps(self, n_latent: int) -> Steps:
        return Steps(np.ones(self.iterations), np.zeros(self.iterations, dtype=np.int64), self.iterations)


EXACT_EM = SAEM(schedule=ExactEM(), tolerance=1e-10)
RAO = (15 + np.sqrt(15**2 + 4 * 197 * 68)) / 394  # the root of 197 t^2 - 15 t - 68 = 0
POISSON = (-38 + np.sqrt(38**2 + 4 * 98.5 * 68)) / 197, 38 / 98.5
MISSING = 125 * 2 / (2 + RAO) ** 2 / RAO  # information about the latent split, missing from the counts
INFORMATION = 125 / (2 + RAO) ** 2 + 38 / (1 - RAO) ** 2 + 34 / RAO**2
DRAWS = 200 * 8  # of the default schedule: 200 averaged iterations of 8 draws of 125 animals
MCSE = np.sqrt(MISSING / DRAWS) / INFORMATION


def test_the_reference_is_that_of_the_literature():
    assert pytest.approx(0.626821498, abs=5e-10) == RAO  # Dempster, Laird & Rubin (1977), table 1
    assert MCSE == pytest.approx(5.03e-4, rel=0.02)


def test_exact_em_reaches_the_maximum():
    outcome = EXACT_EM.run(toy_family.linkage(total="a + b == 1"))
    assert outcome.x == pytest.approx([RAO, 1 - RAO], abs=1e-8)
    outcome = EXACT_EM.run(toy_family.linkage())
    assert outcome.x == pytest.approx(POISSON, abs=1e-8)


def test_exact_em_takes_the_steps_of_the_literature():
    """Table 1 of Dempster, Laird & Rubin: from 0.5 in one step to 0.608247423, in two to 0.624321051."""
    outcome = SAEM(schedule=ExactEM(3)).run(toy_family.linkage(total="a + b == 1"))
    assert outcome.path[:4, 0] == pytest.approx([0.5, 0.608247423, 0.624321051, 0.626488879], abs=1e-9)


def test_another_constraint_works_too():
    """``b = exp(-a)``: the maximum by bisection of the slope of the marginal likelihood."""

    def slope(a: float) -> float:
        b = np.exp(-a)
        return 125 / (2 + a) + 34 / a - 98.5 - (38 / b - 98.5) * b

    a = brentq(slope, 0.1, 2.0, xtol=1e-13)
    outcome = EXACT_EM.run(toy_family.linkage(g="b == exp(-a)"))
    assert outcome.x == pytest.approx([a, np.exp(-a)], abs=1e-8)
    assert abs(outcome.x[1] - np.exp(-outcome.x[0])) < 1e-10


def check_linkage(estimates: np.ndarray) -> None:
    """Estimates (N,) of a scatter around the maximum with their Monte Carlo error: neither off, nor too near or far.

    Mean at |z| < 4 and chi-square of the spread between its 10^-4 quantiles, widened by 10 %: false alarms below 3e-4.
    """
    z = (estimates - RAO) / MCSE
    assert abs(z.mean()) * np.sqrt(len(z)) < 4
    assert np.abs(z).max() < 5
    assert 0.45 < z.std() < 1.75  # 30 seeds


def test_saem_reaches_the_maximum_within_its_monte_carlo_error():
    problem = toy_family.linkage(total="a + b == 1")
    outcomes = [SAEM().run(problem, seed) for seed in range(30)]
    assert all(outcome.status == "converged" and outcome.draws == DRAWS for outcome in outcomes)
    assert all(abs(outcome.x.sum() - 1) < 1e-10 for outcome in outcomes)
    check_linkage(np.array([outcome.x[0] for outcome in outcomes]))
    # mutants: the last iterate instead of the average; an estimate whose error has one sign
    with pytest.raises(AssertionError):
        check_linkage(np.array([outcome.path[-2, 0] for outcome in outcomes]))
    with pytest.raises(AssertionError):
        check_linkage(np.array([RAO + abs(outcome.x[0] - RAO) for outcome in outcomes]))
    assert (SAEM().run(problem, 7).x == outcomes[7].x).all()
    assert len({outcome.x[0] for outcome in outcomes}) == 30


# A family of one's own and the cache on disk, which all processes of a user share


def expectation(family: str, folder: Path) -> str:
    """What a process prints that imports the module ``family`` from a folder and nothing else of the kind."""
    code = f"from drawing import drawn; import {family}; print(drawn({family}.linkage(), [0.5, 0.5], 1, m=0)[0, 0])"
    environment = os.environ | {"SAEM_CACHE_DIR": str(folder / "cache"), "NUMBA_CACHE_DIR": ""}
    environment["PYTHONPATH"] = os.pathsep.join([str(folder), str(TESTS), *filter(None, sys.path)])
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr[-800:]
    return result.stdout.strip()


def test_a_family_of_ones_own_disturbs_no_process_that_does_not_know_it(tmp_path):
    text = (TESTS / "toy_family.py").read_text()
    (tmp_path / "own.py").write_text(text)
    assert expectation("own", tmp_path) == "25.0"
    (tmp_path / "own.py").rename(tmp_path / "other.py")
    assert expectation("other", tmp_path) == "25.0"


def test_a_family_of_ones_own_may_be_edited(tmp_path):
    text = (TESTS / "toy_family.py").read_text()
    (tmp_path / "own.py").write_text(text)
    assert expectation("own", tmp_path) == "25.0"
    (tmp_path / "own.py").write_text(text.replace("x[0] / (2.0 + x[0])", "x[0] / (2.5 - x[0])"))
    assert expectation("own", tmp_path) == "31.25"
