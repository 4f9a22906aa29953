"""Parameter expansion: the same law of the data, a faster EM to the same maximum, refusals where it would do harm."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from drawing import drawn, expected
from linear_family import (
    BY_DEVICE,
    MEAN,
    PEPTIDE,
    SLOPES,
    Example,
    build,
    crossed_design,
    examples,
    peptide_design,
    slopes_design,
)
from parameterkinds import kinds_of
from test_families import check_derivatives, check_expectation, differences, places

from saem import recipes
from saem.errors import ModelError
from saem.families import Model
from saem.families.problem import Problem
from saem.mstep import sqp
from saem.mstep.solver import Solver

SUBJECT = {"response": "y", "cluster": "subject", "mean": MEAN}
SLEEP = {"mu": 251.0, "slope": 10.5, "sd_intercept": 14.0, "sd_slope": 5.9, "corr_intercept_slope": 0.1, "sigma": 25.6}


@cache
def expandable() -> dict[str, Example]:
    """The examples of the family that can be expanded, and others."""
    common = {"mu": 1.0, "slope": 0.3, "sigma": 0.4, "tau": 0.8}
    grouped = common | {"sd_slope_a": 0.5, "sd_slope_b": 0.4}
    grouped |= {"corr_intercept_slope_a": 0.3, "corr_intercept_slope_b": -0.3}
    tied = {"mu": 1.0, "slope": 0.3, "sd_intercept": 0.6, "sigma_x": 0.4, "sigma_y": 0.8}
    arms = {"terms": SLOPES, "by": "arm"}
    own = {name: {"intercept": "tau", "slope": f"sd_slope_{name}"} for name in "ab"}
    same = {name: {"intercept": "tau", "slope": "sd_slope"} for name in "ab"}
    visits = pd.DataFrame([(s, float(t)) for s in range(18) for t in range(10)], columns=["subject", "time"])
    small = PEPTIDE | {"sigma1": 0.2, "sigma2": 0.3, "sigma": 0.4}
    peptide = Model.from_text(recipes.text("peptide_unconstrained"))
    names = ("unbalanced", "two residual groups", "correlated slopes", "slopes by arm and device", "independent slopes")
    return {name: examples()[name] for name in names} | {
        "shared intercept": build(Model(**SUBJECT, random=arms | {"sd": own}), grouped, slopes_design()),
        "shared SDs": build(
            Model(**SUBJECT, random=arms | {"sd": same, "covariance": "diagonal"}),
            common | {"sd_slope": 0.5},
            slopes_design(),
        ),
        "constrained": build(
            Model(
                **SUBJECT,
                random={"sd": "sd_intercept"},
                residual=BY_DEVICE,
                constraints={"noise": "sigma_y == 2 * sigma_x", "means": "mu * slope == 0.3"},
            ),
            tied,
            crossed_design(),
        ),
        "sleep": build(Model(**SUBJECT, random={"terms": SLOPES}), SLEEP, visits, seed=3),
        "peptide": build(peptide, small, peptide_design(30)),
        "posed": examples()["balanced"],
        "tied slopes": build(
            Model(
                **SUBJECT,
                random={"terms": SLOPES},
                constraints={"g": "mu == sd_slope**2 + 250", "h": "sd_intercept * corr_intercept_slope == slope / 7.5"},
            ),
            SLEEP | {"mu": 284.81},
            visits,
            seed=3,
        ),
    }


every = pytest.mark.parametrize("name", list(expandable()))


def expanded_places(problem: Problem) -> list[np.ndarray]:
    """Parameters of the expanded problem, the first at the identity."""
    expansion = problem.latent.expand()
    rng = np.random.default_rng(3)
    found = [expansion.extended(x) for x in places(problem, 1)]
    found[1][len(problem.parameters) :] += rng.uniform(-0.2, 0.2, len(expansion.identity))
    return found


@every
def test_the_complete_likelihood_has_its_derivatives(name):
    problem = expandable()[name].problem
    solver = Solver(problem.latent.expand().problem)
    for x in expanded_places(problem):
        check_derivatives(solver, solver.complete(expected(solver.problem, x)), x)


@every
def test_at_the_identity_it_is_the_model_itself(name):
    problem = expandable()[name].problem
    expansion = problem.latent.expand()
    n = len(problem.parameters)
    plain, expanded = Solver(problem), Solver(expansion.problem)
    for x in places(problem):
        own = plain.derivatives(plain.complete(expected(problem, x)), x)
        extended = expansion.extended(x)
        other = expanded.derivatives(expanded.complete(expected(expansion.problem, extended)), extended)
        size = np.sqrt(np.abs(np.diag(own.hessian)))
        assert other.value == pytest.approx(own.value, rel=1e-10)
        np.testing.assert_allclose(other.gradient[:n] / size, own.gradient / size, atol=1e-8, rtol=1e-8)
        scale = np.outer(size, size)
        np.testing.assert_allclose(other.hessian[:n, :n] / scale, own.hessian / scale, atol=1e-9)
        np.testing.assert_allclose(expansion.reduced(extended), x, rtol=1e-13, atol=1e-15)


@every
def test_the_expected_score_of_the_working_parameters_is_that_of_the_reduction(name):
    """Fisher's identity at ``A = I``, for all parameters: the marginal likelihood is that of the reduced parameters."""
    problem = expandable()[name].problem
    expansion = problem.latent.expand()
    plain, expanded = Solver(problem), Solver(expansion.problem)
    for x in places(problem):
        point = expansion.extended(x)
        at = expanded.derivatives(expanded.complete(expected(expansion.problem, point)), point)
        score = differences(lambda u: plain.derivatives(plain.observed(), expansion.reduced(u)).value, point)
        size = np.sqrt(np.abs(np.diag(at.hessian)))
        np.testing.assert_allclose(at.gradient / size, score / size, atol=1e-5, rtol=1e-6)


@every
def test_the_reduction_gives_the_covariance_of_the_expanded_model(name):
    example = expandable()[name]
    expansion = example.problem.latent.expand()
    data, n = example.data, len(example.problem.parameters)
    rng = np.random.default_rng(6)

    def omega(x: np.ndarray, g: int) -> np.ndarray:
        correlation = np.where(data.corr_index[g] >= 0, x[data.corr_index[g]], 0.0) + np.eye(len(data.term_names))
        return correlation * np.outer(x[data.sd_index[g]], x[data.sd_index[g]])

    point = expansion.extended(example.x)
    point[n:] += rng.uniform(-0.4, 0.4, len(point) - n)
    point[n] *= -1.0
    columns = expansion.problem.arrays.work_column
    p = len(data.mean_index)
    for g in range(len(data.group_levels)):
        a = np.where(columns[g] >= 0, point[n + columns[g] - p], 0.0)
        np.testing.assert_allclose(omega(expansion.reduced(point), g), a @ omega(point, g) @ a.T, rtol=1e-12)
    kept = np.array(kinds_of(example.problem.parameters)) == "mean"
    np.testing.assert_array_equal(expansion.reduced(point)[kept], example.x[kept])


@every
def test_draws_have_their_expectation(name):
    """At most 110 statistics, |z| < 5: false alarms below 10^-4 for each example."""
    problem = expandable()[name].problem
    expanded = problem.latent.expand().problem
    x = expanded_places(problem)[0]
    check_expectation(drawn(expanded, x, 4000, m=2, seed=1), expected(expanded, x))
    with pytest.raises(AssertionError):  # mutant: the standard deviations are 10 % off
        other = np.where(np.array(kinds_of(expanded.parameters)) == "sd", 1.1 * x, x)
        check_expectation(drawn(expanded, other, 4000, m=2, seed=1), expected(expanded, x))


# EM


def iterate(problem: Problem, expand: bool, k: int, forget: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Where ``k`` iterations of EM lead to, and the log-likelihoods (k + 1,) on the way; plain or expanded.

    ``forget`` makes a mutant: the working parameters are dropped, and not carried over into the covariance.
    """
    plain = Solver(problem)
    expansion = problem.latent.expand()
    solver = Solver(expansion.problem) if expand else plain
    x = feasible(problem)
    logliks = [plain.derivatives(plain.observed(), x).value]
    for _ in range(k):
        point = expansion.extended(x) if expand else x.copy()
        result = solver.maximise(solver.complete(expected(solver.problem, point)), point, solver.free)
        assert result.status == sqp.CONVERGED
        x = point if not expand else point[: len(x)] if forget else expansion.reduced(point)
        logliks.append(plain.derivatives(plain.observed(), x).value)
    return x, np.array(logliks)


def feasible(problem: Problem) -> np.ndarray:
    """The first start, on the constraints: the likelihood may fall on the way there."""
    solver, x = Solver(problem), problem.starts.first.copy()
    assert solver.maximise(solver.complete(expected(problem, x)), x, solver.free).status == sqp.CONVERGED
    return x


def maximum(problem: Problem, x: np.ndarray) -> tuple[np.ndarray, float]:
    """The maximum of the marginal likelihood near a point."""
    solver, top = Solver(problem), x.copy()
    result = solver.maximise(solver.observed(), top, solver.free)
    assert result.status == sqp.CONVERGED
    return top, result.value


INTERIOR = ["two residual groups", "correlated slopes", "independent slopes", "constrained", "sleep", "peptide"]
INTERIOR += ["posed", "tied slopes"]


@pytest.mark.parametrize("name", INTERIOR)
def test_expanded_em_climbs_to_the_maximum(name):
    problem = expandable()[name].problem
    x, logliks = iterate(problem, True, 400 if name == "tied slopes" else 120)  # its matrix is diagonal: slower
    top, value = maximum(problem, x)
    assert np.diff(logliks).min() > -1e-9 * abs(value)
    assert logliks[-1] == pytest.approx(value, abs=1e-8)
    np.testing.assert_allclose(x, top, rtol=1e-3, atol=1e-3)
    assert np.abs(problem.constraints.evaluate(x)[0]).max(initial=0.0) < 1e-10


@pytest.mark.parametrize("name", ["sleep", "peptide"])
def test_the_reduction_cannot_be_left_out(name):
    """Mutant: without it the iteration ends elsewhere or falls on the way."""
    problem = expandable()[name].problem
    value = maximum(problem, iterate(problem, True, 60)[0])[1]
    logliks = iterate(problem, True, 60, forget=True)[1]
    assert np.diff(logliks).min() < -1e-6 or logliks[-1] < value - 1e-4


@pytest.mark.parametrize(("name", "times"), [("sleep", 4), ("peptide", 4)])
def test_it_saves_iterations(name, times):
    """Until the log-likelihood is within 1e-6 of its maximum."""
    problem = expandable()[name].problem
    x, expanded = iterate(problem, True, 150)
    plain = iterate(problem, False, 150)[1]
    value = maximum(problem, x)[1]
    count, count_plain = (np.sum(logliks < value - 1e-6) for logliks in (expanded, plain))
    assert times * count <= count_plain


# What is refused, and what is not


def test_working_matrices_follow_the_standard_deviations():
    """Full where a group's SDs are its own, one number for each SD where groups or terms share it."""
    counts = {name: len(example.problem.latent.expand().identity) for name, example in expandable().items()}
    assert counts["slopes by arm and device"] == 8 and counts["sleep"] == 4
    assert counts["independent slopes"] == 2 and counts["shared SDs"] == 2 and counts["shared intercept"] == 3
    assert counts["peptide"] == 2 and counts["constrained"] == 1
    assert counts["posed"] == 2 and counts["tied slopes"] == 2  # diagonal, though they are correlated


def test_an_absent_effect_takes_its_working_parameters_along():
    expanded = expandable()["sleep"].problem.latent.expand().problem
    sd = expanded.parameters.index("sd_slope")
    names = [expanded.parameters.names[i] for i in expanded.boundary.dependents[sd]]
    assert names == ["corr_intercept_slope", "work_2", "work_3", "work_4"]


@pytest.mark.parametrize("name", ["posed", "tied slopes"])
def test_constraints_are_those_of_the_reduced_parameters(name):
    """With their derivatives, at any working parameters, negative ones too; the mutant leaves them out."""
    problem = expandable()[name].problem
    expansion, n = problem.latent.expand(), len(problem.parameters)
    rng = np.random.default_rng(9)
    for x in places(problem):
        point = expansion.extended(x)
        point[n:] += rng.uniform(-0.4, 0.4, len(point) - n)
        point[n] *= -1.0
        c, jacobian, _ = expansion.problem.constraints.evaluate(point)
        reduced = expansion.reduced(point)
        np.testing.assert_allclose(c, problem.constraints.evaluate(reduced)[0], rtol=1e-12, atol=1e-12)
        for k in range(len(c)):
            slope = differences(lambda u, k=k: problem.constraints.evaluate(expansion.reduced(u))[0][k], point)
            np.testing.assert_allclose(jacobian[k], slope, rtol=1e-5, atol=1e-6 * np.abs(slope).max())
        assert np.abs(c - problem.constraints.evaluate(point[:n])[0]).max() > 1e-3


def test_a_name_shared_with_the_residual_is_refused():
    with pytest.raises(ModelError, match="'tau' is the SD of a residual too"):
        examples()["shared SD"].problem.latent.expand()


def test_fixed_random_effects_are_refused():
    model = Model(**SUBJECT, random={"terms": SLOPES}, fixed={"corr_intercept_slope": 0.0})
    example = build(model, SLEEP | {"corr_intercept_slope": 0.0}, slopes_design())
    with pytest.raises(ModelError, match=r"'corr_intercept_slope' is in \[fixed\]"):
        example.problem.latent.expand()


def test_names_of_working_parameters_are_new():
    model = Model(**(SUBJECT | {"mean": {"work_1": "1"}}), random={"sd": "tau"})
    example = build(model, {"work_1": 1.0, "tau": 1.0, "sigma": 1.0}, crossed_design())
    assert example.problem.latent.expand().problem.parameters.names == ("work_1", "tau", "sigma", "work__1")
