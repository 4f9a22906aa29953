"""Every constrained maximiser against the compiled Lagrange-Newton solver: M-steps, direct ML, penalty paths, EM."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from linear_family import PEPTIDE, peptide_design
from selecting import few
from test_solver import SETS, problem_of, texts_of

import saem
from saem import Model, recipes
from saem.algorithms.direct_ml import DirectML
from saem.errors import ModelError
from saem.estep.expectation import conditional_expectation
from saem.families import arrange, pose
from saem.families.problem import Problem
from saem.maxima.boundary import floors
from saem.mstep import sqp
from saem.mstep.certify import certify
from saem.mstep.maximisers import MAXIMISERS
from saem.mstep.methods import elimination, single_step
from saem.mstep.methods.elimination import Elimination, chain_rule, plan_for, substitute
from saem.mstep.methods.penalties import AugmentedLagrangian, L1Penalty, QuadraticPenalty
from saem.mstep.methods.scipy_reference import SLSQP, TrustConstr
from saem.mstep.methods.single_step import GradientStep, NewtonStep, Repeated
from saem.mstep.solver import Maximiser, Solver

Array = np.ndarray

SLOPES = {"intercept": 250.0, "Days": 10.0, "sd_intercept": 25.0, "sd_days": 6.0, "corr_intercept_days": 0.1}
SLOPES |= {"sigma": 25.0}
DAYS = pd.DataFrame([(s, t) for s in range(18) for t in range(10)], columns=["Subject", "Days"])
# over-identified sub-models, in which the constraints cost likelihood: without them all multipliers would be near zero
RESTRICTED = {
    "tied": {"g": "c2 == sigma2**2 - sigma1**2 + 0.3"},
    "two constraints": {"ratio": "sigma2 == 2 * sigma1", "means": "b22 == c2 / 3 - alpha2"},
    "chained": {"first": "sigma2 == sigma + 0.1", "second": "c2 == exp(sigma2) - sigma1"},
    "implicit": {"product": "sigma1 * sigma2 == 0.2"},
}
LINEAR = [name for name in recipes.names() if Model.from_text(recipes.text(name)).family == "linear"]
CASES = [*LINEAR, *RESTRICTED]
# in standard errors (others known). A repeated gradient step stops at a slope of 1e-7, times the condition number;
# the quadratic penalty leaves a residual of up to 1e-9 of the parameters, in which the likelihood is steep
FAR = {"gradient_step": 2e-5, "quadratic_penalty": 2e-6}


def simulated(recipe: str, seed: int = 1, replicates: int = 8, **change: float) -> tuple[Model, pd.DataFrame]:
    model = Model.from_text(recipes.text(recipe))
    if recipe == "random_slopes":
        return model, saem.simulate(model, SLOPES | change, DAYS.astype(float), seed)
    values = {name: value for name, value in (PEPTIDE | change).items() if name in (model.parameter_names or ())}
    return model, saem.simulate(model, values | dict(model.fixed), peptide_design(replicates), seed)


@cache
def problem_for(name: str) -> Problem:
    model, table = simulated("peptide" if name in RESTRICTED else name)
    if name in RESTRICTED:
        model = model.replace(fixed={"b21": 0.0}, constraints=RESTRICTED[name])
    return pose(model, arrange(model, table))


def objectives(problem: Problem) -> tuple[Solver, dict[str, Any]]:
    """The M-step at the statistics of the first start, and direct ML."""
    solver = Solver(problem)
    statistics = conditional_expectation(problem, problem.starts.first)
    return solver, {"m_step": solver.complete(statistics), "ml": solver.observed()}


def standard_errors(solver: Solver, objective: Any, x: Array) -> Array:
    steepness = np.abs(np.diag(solver.derivatives(objective, x).hessian))
    return 1.0 / np.sqrt(np.maximum(steepness, 1e-4 / solver.problem.scale**2))


def reference(solver: Solver, objective: Any) -> Array:
    x = np.array(solver.problem.starts.first)
    assert solver.maximise(objective, x, solver.free).status == sqp.CONVERGED
    return x


def call(
    maximiser: Maximiser, solver: Solver, objective: Any, x: Array, floor: Array | None = None
) -> sqp.SearchResult:
    whole = Repeated(maximiser) if maximiser.single_step else maximiser
    return whole.maximise(solver.search(objective, x, solver.free, floor, max_iterations=500))


def refused(name: str, case: str, problem: Problem) -> bool:
    """Only elimination refuses, only what is not explicit, and it says so."""
    if (name, case) != ("elimination", "implicit"):
        MAXIMISERS[name]().check(problem)
        return False
    with pytest.raises(ModelError, match="neither side of 'product' is a parameter that does not occur on the other"):
        MAXIMISERS[name]().check(problem)
    return True


@pytest.mark.parametrize("name", MAXIMISERS)
@pytest.mark.parametrize("case", CASES)
def test_agrees_with_the_compiled_solver(case: str, name: str) -> None:
    """Both objectives, from a start that violates the constraints."""
    problem = problem_for(case)
    if refused(name, case, problem):
        return
    solver, both = objectives(problem)
    for objective in both.values():
        x, best = np.array(problem.starts.first), reference(solver, objective)
        result = call(MAXIMISERS[name](), solver, objective, x)
        assert result.status == sqp.CONVERGED
        assert result.rank == len(problem.constraints)
        assert np.max(np.abs(x - best) / standard_errors(solver, objective, best)) < FAR.get(name, 1e-6)
        assert result.value == pytest.approx(solver.derivatives(objective, best).value, abs=1e-7)


@pytest.mark.parametrize("name", MAXIMISERS)
@pytest.mark.parametrize("case", few(LINEAR, ["peptide"]))
def test_direct_ml(case: str, name: str) -> None:
    """`fit` finds the same maxima by each, inside and on the boundary."""
    check_direct_ml(case, name, seeds=(2,))


@pytest.mark.slow
@pytest.mark.parametrize("name", MAXIMISERS)
@pytest.mark.parametrize("case", LINEAR)
def test_direct_ml_on_more_tables(case: str, name: str) -> None:
    check_direct_ml(case, name, seeds=range(3, 13))


def check_direct_ml(case: str, name: str, seeds: Any) -> None:
    for seed in seeds:
        for change in ({}, {"sd_days": 0.3} if case == "random_slopes" else {"sigma1": 0.05}):
            model, table = simulated(case, seed, 5, **change)
            check_same_fit(
                saem.fit(model, table, "ml"), saem.fit(model, table, DirectML(mstep=MAXIMISERS[name]())), name
            )


def check_same_fit(expected: saem.Fit, fit: saem.Fit, name: str) -> None:
    size = np.where(np.isfinite(expected.se) & (expected.se > 0.0), expected.se, 1.0)
    assert np.max(np.abs(fit.values - expected.values) / size) < FAR.get(name, 1e-6)
    assert fit.loglik == pytest.approx(expected.loglik, abs=1e-7)
    assert (fit.status, fit.at_boundary) == (expected.status, expected.at_boundary)
    assert len(fit.solutions) == len(expected.solutions)
    assert len(fit.path) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("which", SETS, ids=str)
def test_direct_ml_under_many_constraints(which: tuple[int, ...]) -> None:
    case, _, _ = problem_of(0, which)
    model = Model(**case.model, constraints=texts_of(which))
    expected = saem.fit(model, case.table, "ml")
    for name, make in MAXIMISERS.items():
        if name == "elimination" and 4 in which:
            with pytest.raises(ModelError, match="'c4'"):
                saem.fit(model, case.table, DirectML(mstep=make()))
        else:
            check_same_fit(expected, saem.fit(model, case.table, DirectML(mstep=make())), name)


@pytest.mark.parametrize("name", MAXIMISERS)
def test_units_of_the_response(name: str) -> None:
    """A thousandfold response under a constraint that follows: the same point in the new units."""
    model, table = simulated("peptide")
    model = model.replace(fixed={"b21": 0.0}, constraints={"g": "c2 == 3 * sigma2 - sigma1"})
    found = []
    for factor in (1.0, 1e3):
        scaled = table.assign(log2_intensity=factor * table["log2_intensity"])
        problem = pose(model, arrange(model, scaled))
        solver, both = objectives(problem)
        for objective in both.values():
            x = np.array(problem.starts.first)
            assert call(MAXIMISERS[name](), solver, objective, x).status == sqp.CONVERGED
            found.append(x / factor)
    for one, other in zip(found[:2], found[2:], strict=True):
        np.testing.assert_allclose(one, other, rtol=FAR.get(name, 1e-6), atol=1e-7)


@pytest.mark.parametrize("name", MAXIMISERS)
def test_a_standard_deviation_that_goes_to_zero(name: str) -> None:
    """The search ends below the floor, and says so: then the caller can try zero."""
    model, table = simulated("peptide", 2, 5, sigma1=0.05)
    problem = pose(model, arrange(model, table))
    solver, x = Solver(problem), np.array(problem.starts.first)
    floor = floors(problem, solver)
    assert call(MAXIMISERS[name](), solver, solver.observed(), x, floor).status == sqp.COLLAPSED
    at = problem.parameters.index("sigma1")
    assert 0.0 < x[at] < floor[at]


@pytest.mark.parametrize("name", few([name for name in MAXIMISERS if name != "slsqp"], ["elimination", "l1_penalty"]))
def test_standard_deviations_on_the_boundary_together(name: str) -> None:
    """Where a constraint ties two of them: also for elimination, which then has nothing left to eliminate.

    SLSQP gets stuck at its bounds, and says that it does: the constraint leads to the edge itself.
    """
    _, table = simulated("peptide", 2, 5, sigma1=0.0, sigma2=0.0)
    model = Model.from_text(recipes.text("peptide_unconstrained")).replace(constraints={"g": "sigma2 == 2 * sigma1"})
    expected = saem.fit(model, table, "ml")
    check_same_fit(expected, saem.fit(model, table, DirectML(mstep=MAXIMISERS[name]())), name)


IMPOSSIBLE = ["sigma1**2 == -1", "mu**2 + sigma**2 == -3", "sigma1 == -1 - sigma2**2"]


@pytest.mark.parametrize("name", MAXIMISERS)
@pytest.mark.parametrize("text", [IMPOSSIBLE[0], *(pytest.param(t, marks=pytest.mark.slow) for t in IMPOSSIBLE[1:])])
def test_impossible_constraint(text: str, name: str) -> None:
    """No maximiser calls a point converged that violates the constraint."""
    model, table = simulated("peptide")
    model = model.replace(fixed={"b21": 0.0}, constraints={"wrong": text})
    problem = pose(model, arrange(model, table))
    if name == "elimination" and text != IMPOSSIBLE[-1]:
        return
    solver, x = Solver(problem), np.array(problem.starts.first)
    assert call(MAXIMISERS[name](), solver, solver.observed(), x).status == sqp.INFEASIBLE
    assert np.isfinite(x).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", MAXIMISERS)
@pytest.mark.parametrize("text", IMPOSSIBLE)
def test_direct_ml_under_an_impossible_constraint(text: str, name: str) -> None:
    model, table = simulated("peptide")
    model = model.replace(fixed={"b21": 0.0}, constraints={"wrong": text})
    with pytest.raises(ModelError, match="wrong"):
        saem.fit(model, table, DirectML(mstep=MAXIMISERS[name]()))


# Penalties


@pytest.mark.parametrize("objective", ["m_step", "ml"])
@pytest.mark.parametrize("case", ["peptide_conservation", *RESTRICTED])
def test_the_l1_penalty_is_exact_beyond_the_largest_multiplier(case: str, objective: str) -> None:
    solver, both = objectives(problem_for(case))
    best = reference(solver, both[objective])
    value = solver.derivatives(both[objective], best).value
    threshold = np.max(np.abs(solver.multipliers))
    assert threshold > 0.1
    weights = threshold * np.array([100.0, 2.0, 1.1, 1.01, 1.001, 0.999, 0.99, 0.5])
    path = L1Penalty().path(solver, both[objective], best, solver.free, list(weights))
    assert [point.weight for point in path] == list(weights)
    for point in path:
        assert point.gap < 1e-7
        if point.weight > threshold:
            assert np.max(np.abs(point.residuals)) < 1e-9
            assert point.value == pytest.approx(value, abs=1e-8)
        else:
            assert np.max(np.abs(point.residuals)) > 1e-6
            assert point.value > value + 1e-6
    # the mutant, a quadratic penalty of the same weights, fails the first of the two checks
    smooth = QuadraticPenalty().path(solver, both[objective], best, solver.free, [weights[0]])[0]
    assert np.max(np.abs(smooth.residuals)) > 1e-6


def test_a_concave_l1_path_does_not_depend_on_its_order() -> None:
    solver, both = objectives(problem_for("peptide_conservation"))
    best = reference(solver, both["ml"])
    solver.derivatives(both["ml"], best)
    weights = list(np.abs(solver.multipliers[0]) * np.array([0.1, 0.5, 0.99, 1.01, 10.0]))
    up = L1Penalty().path(solver, both["ml"], problem_for("peptide_conservation").starts.first, solver.free, weights)
    down = L1Penalty().path(solver, both["ml"], best, solver.free, weights[::-1])[::-1]
    for one, other in zip(up, down, strict=True):
        np.testing.assert_allclose(one.x, other.x, atol=1e-7)


@pytest.mark.parametrize("case", ["peptide_conservation", *RESTRICTED])
def test_the_quadratic_penalty_is_never_exact(case: str) -> None:
    """Its residual is the multiplier divided by ``lambda``."""
    solver, both = objectives(problem_for(case))
    for objective in both.values():
        best = reference(solver, objective)
        solver.derivatives(objective, best)
        multipliers = solver.multipliers
        path = QuadraticPenalty().path(solver, objective, best, solver.free, [1e9, 1e8, 1e7, 1e6])
        for point in path:
            np.testing.assert_allclose(-point.weight * point.residuals, multipliers, rtol=1e4 / point.weight, atol=1e-5)
        ratios = np.array([np.abs(path[i + 1].residuals) / np.abs(path[i].residuals) for i in range(3)])
        np.testing.assert_allclose(ratios, 10.0, rtol=2e-2)


@pytest.mark.parametrize("make", [QuadraticPenalty, L1Penalty])
def test_mutant_penalty_that_stops_too_early(make: Any) -> None:
    """A penalty below the threshold is not called converged, though SciPy or Newton would be content with it."""
    solver, both = objectives(problem_for("peptide_conservation"))
    for objective in both.values():
        x = np.array(solver.problem.starts.first)
        weak = make(first=1e-2, largest=1e-2)
        assert call(weak, solver, objective, x).status == sqp.INFEASIBLE


# Elimination


@pytest.mark.parametrize("case", ["peptide", "peptide_log2", "tied", "two constraints", "chained"])
def test_chain_rule(case: str) -> None:
    """First and second derivatives of all parameters in those that remain, by differences."""
    constraints = problem_for(case).constraints
    held = tuple(problem_for(case).parameters.fixed)
    plan = plan_for(constraints, held)
    rest = np.array([i for i in range(len(held)) if not held[i] and i not in [e.parameter for e in plan]])
    x = np.linspace(0.3, 0.9, len(held))

    def solved(r: Array) -> Array:
        point = x.copy()
        point[rest] = r
        substitute(constraints, plan, point)
        return point

    def slopes(r: Array) -> Array:
        _, jacobian, c_hessian = constraints.evaluate(solved(r))
        return chain_rule(plan, rest, jacobian, c_hessian)[0]

    np.testing.assert_allclose(constraints.evaluate(solved(x[rest]))[0], 0.0, atol=1e-14)
    _, jacobian, c_hessian = constraints.evaluate(solved(x[rest]))
    first, second = chain_rule(plan, rest, jacobian, c_hessian)
    for j, move in enumerate(1e-6 * np.eye(len(rest))):
        up, down = x[rest] + move, x[rest] - move
        np.testing.assert_allclose(first[:, j], (solved(up) - solved(down)) / 2e-6, atol=1e-7)
        bends = (slopes(up) - slopes(down))[[e.parameter for e in plan]] / 2e-6
        np.testing.assert_allclose(second[:, :, j], bends, atol=1e-6)


@pytest.mark.slow
def test_mutant_elimination_without_the_chain_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the eliminated parameter's part of the gradient it ends elsewhere, and the compiled code says so."""

    def forgetful(plan: Any, rest: Array, jacobian: Array, c_hessian: Array) -> tuple[Array, Array]:
        slopes, bends = chain_rule(plan, rest, jacobian, c_hessian)
        slopes[[e.parameter for e in plan]] = 0.0
        return slopes, bends

    solver, both = objectives(problem_for("tied"))
    monkeypatch.setattr(elimination, "chain_rule", forgetful)
    x = np.array(solver.problem.starts.first)
    assert call(Elimination(), solver, both["m_step"], x).status != sqp.CONVERGED


@pytest.mark.parametrize(
    ("constraints", "fixed", "message"),
    [
        ({"g": "c2 + b22 == sigma1"}, {}, None),
        ({"g": "c2 + b22 == sigma1 * 2"}, {}, "neither side of 'g'"),
        ({"g": "c2 == c2 * b22 + 1"}, {}, "neither side of 'g'"),
        ({"g": "c2 == sigma1"}, {"c2": 0.5}, None),
        ({"g": "c2 == sigma1 + 1"}, {"c2": 1.5}, "replace 'c2' in the constraint 'g', but its value is fixed"),
        ({"f": "c2 == sigma1 + 1", "g": "c2 == sigma2 * b22"}, {}, "one after the other"),
        ({"f": "c2 == sigma1 + b22", "g": "b22 == sigma2 * c2"}, {}, "one after the other"),
        ({"f": "c2 == sigma1 + b22", "g": "b22 == sigma2"}, {}, None),
    ],
)
def test_what_elimination_refuses(constraints: dict[str, str], fixed: dict[str, float], message: str | None) -> None:
    model, table = simulated("peptide")
    model = model.replace(constraints=constraints, fixed=fixed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        problem = pose(model, arrange(model, table))
    if message is None:
        Elimination().check(problem)
        return
    with pytest.raises(ModelError, match=message):
        Elimination().check(problem)
    with pytest.raises(ModelError, match=message):
        DirectML(mstep=Elimination()).run(problem)


# Single steps and EM


def merits(step: Maximiser, solver: Solver, objective: Any) -> Array:
    """The merit function ``f - nu |c|_1`` along eight steps from a feasible point near the maximum."""
    best = reference(solver, objective)
    solver.derivatives(objective, best)
    price = 2.0 * np.max(np.abs(solver.multipliers), initial=0.0)
    x = best + 0.3 * standard_errors(solver, objective, best)
    search = solver.search(objective, x, solver.free, max_iterations=1)
    GradientStep().maximise(search)
    points = [x.copy()]
    for _ in range(8):
        step.maximise(search)
        points.append(x.copy())
    found = []
    for point in points:
        at = solver.derivatives(objective, point)
        found.append((at.value, np.abs(at.c).sum(), np.max(np.abs(solver.multipliers), initial=0.0)))
    values, violations, multipliers = np.array(found).T
    return np.asarray(values - max(price, 2.0 * np.max(multipliers)) * violations)


@pytest.mark.parametrize("make", [NewtonStep, GradientStep])
@pytest.mark.parametrize("case", CASES)
def test_single_steps_never_go_down(case: str, make: Any) -> None:
    solver, both = objectives(problem_for(case))
    for objective in both.values():
        rises = np.diff(merits(make(), solver, objective))
        assert np.min(rises) > -1e-8
        assert np.sum(rises) > 0.0


def test_mutant_gradient_step_that_accepts_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps too long by a factor of ten, not halved, go down."""
    solver, both = objectives(problem_for("tied"))
    monkeypatch.setattr(single_step, "RELAXED", 10.0)
    for objective in both.values():
        assert np.min(np.diff(merits(GradientStep(), solver, objective))) > -1e-8  # halving mends it
    monkeypatch.setattr(sqp, "ROUNDING", 1e9)
    for objective in both.values():
        assert np.min(np.diff(merits(GradientStep(), solver, objective))) < -1e-3


@pytest.mark.parametrize("name", few(MAXIMISERS, ["sqp", "newton_step", "augmented_lagrangian"]))
def test_em_with_each_m_step(name: str) -> None:
    """Exact EM, generalised where the M-step is a single step, climbs the likelihood to its maximum."""
    problem = problem_for("peptide_conservation")
    solver, maximiser = Solver(problem), MAXIMISERS[name]()
    best = reference(solver, solver.observed())
    x = np.array(problem.starts.first)
    GradientStep().maximise(solver.search(solver.observed(), x, solver.free, max_iterations=1))
    logliks = []
    for _ in range(100):
        objective = solver.complete(conditional_expectation(problem, x))
        maximiser.maximise(solver.search(objective, x, solver.free, max_iterations=50))
        logliks.append(solver.derivatives(solver.observed(), x).value)
    # the constraint of a Newton step, or under a quadratic penalty, holds nearly: the likelihood is a little too high
    near = 1e-5 if name == "newton_step" else 1e-8
    assert np.min(np.diff(logliks)) > -near
    top = solver.derivatives(solver.observed(), best).value
    assert logliks[-1] == pytest.approx(top, abs=1e-3 if name == "gradient_step" else 1e-5)


def test_mutants_of_a_result_are_not_called_converged() -> None:
    """A point moved along the constraint, and one moved off it."""
    solver, both = objectives(problem_for("tied"))
    names = solver.problem.parameters.names
    for objective in both.values():
        best = reference(solver, objective)
        assert certify(solver.search(objective, best, solver.free), 1).status == sqp.CONVERGED
        along, off = best.copy(), best.copy()
        along[names.index("mu")] += 1e-4
        off[names.index("c2")] += 1e-4
        assert certify(solver.search(objective, along, solver.free), 1).status == sqp.ITERATION_LIMIT
        assert certify(solver.search(objective, off, solver.free), 1).status == sqp.INFEASIBLE


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (QuadraticPenalty, {"first": 0.0}, "first of the quadratic penalty must be a positive number; got 0.0"),
        (QuadraticPenalty, {"growth": 1.0}, "growth of the quadratic penalty must be a number above 1"),
        (L1Penalty, {"largest": np.nan}, "largest of the l1 penalty"),
        (AugmentedLagrangian, {"rounds": 0}, "rounds of the augmented Lagrangian"),
        (SLSQP, {"rounds": -1}, "rounds of SLSQP"),
        (TrustConstr, {"rounds": 0}, "rounds of trust-constr"),
        (GradientStep, {"restorations": 0}, "restorations of the gradient step"),
        (Repeated, {"step": SLSQP()}, "only a single step can be repeated; 'slsqp' finds the maximum by itself"),
    ],
)
def test_settings(make: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make(**settings)
