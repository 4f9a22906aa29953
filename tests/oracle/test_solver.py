"""The Lagrange-Newton solver: against SciPy, from infeasible starts, with bad constraints, in any units and order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from designs import Case, peptide_table, random_case
from naive import complete_data, draw_effects, gradient, marginal, statistics
from parameterkinds import kinds_of
from scipy.optimize import minimize
from selecting import few

import saem
from saem import Fit, Model, recipes
from saem.errors import ConstraintError, SaemError
from saem.families import arrange, pose
from saem.families.problem import Problem
from saem.maxima.boundary import climb
from saem.mstep import sqp
from saem.mstep.solver import Solver

Array = np.ndarray

# constraints between the parameters of `random_case(arms=2, terms=2, kinds=2)`, and the same for SciPy
CONSTRAINTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "bt == sd_one_A0**2 - sd_one_A1": lambda v: v["bt"] - v["sd_one_A0"] ** 2 + v["sd_one_A1"],
    "b0 == 3 + exp(-sd_t_A1)": lambda v: v["b0"] - 3.0 - np.exp(-v["sd_t_A1"]),
    "sigma_k0 == 0.3 + sd_one_A0": lambda v: v["sigma_k0"] - 0.3 - v["sd_one_A0"],
    "b0_k0 == bt * sigma_k1": lambda v: v["b0_k0"] - v["bt"] * v["sigma_k1"],
    "sd_t_A0 * sd_t_A1 == 0.5": lambda v: v["sd_t_A0"] * v["sd_t_A1"] - 0.5,
}
SETS = [(0,), (1,), (2,), (3,), (4,), (0, 3), (1, 2), (2, 4), (0, 1, 2), (0, 1, 2, 3)]


SEEDS = [(0,), pytest.param((1, 2), marks=pytest.mark.slow)]  # of data


def texts_of(which: tuple[int, ...]) -> dict[str, str]:
    return {f"c{i}": list(CONSTRAINTS)[i] for i in which}


def problem_of(seed: int, which: tuple[int, ...]) -> tuple[Case, Problem, list[Callable[[dict[str, Any]], Any]]]:
    case = random_case(seed, terms=2, arms=2, kinds=2, n_clusters=40)
    rng = np.random.default_rng([12, seed])
    case = case.simulated(case.point(case.dense.names, rng), case.dense.names, rng)
    model = Model(**case.model, constraints=texts_of(which))
    return case, pose(model, arrange(model, case.table)), [list(CONSTRAINTS.values())[i] for i in which]


def tangent_gradient(slope: Array, jacobian: Array) -> Array:
    """The part of the gradient that no multipliers can explain."""
    return slope - jacobian.T @ np.linalg.lstsq(jacobian.T, slope, rcond=None)[0]


def violation(x: Array, names: tuple[str, ...], constraints: list[Callable[[dict[str, Any]], Any]]) -> Array:
    values = dict(zip(names, x, strict=True))
    return np.array([constraint(values) for constraint in constraints])


def jacobian(x: Array, names: tuple[str, ...], constraints: list[Callable[[dict[str, Any]], Any]]) -> Array:
    rows = [gradient(lambda v, c=c: violation(v, names, [c])[0], x) for c in constraints]
    return np.array(rows).reshape(len(constraints), len(names))


def named_kinds(problem: Problem) -> list[tuple[str, str]]:
    return list(zip(problem.parameters.names, kinds_of(problem.parameters), strict=True))


def by_slsqp(function: Callable[[Array], Any], start: Array, problem: Problem, constraints: list[Any]) -> Any:
    """SciPy's answer, with dense derivatives."""
    names = problem.parameters.names
    lowest = {"mean": None, "sd": 1e-9}
    bounds = [(0.05 if name.startswith("sigma") else lowest[kind], None) for name, kind in named_kinds(problem)]
    found = minimize(
        lambda v: -np.real(function(v)),
        start,
        jac=lambda v: -gradient(function, v),
        method="SLSQP",
        bounds=bounds,
        constraints={
            "type": "eq",
            "fun": lambda v: violation(v, names, constraints),
            "jac": lambda v: jacobian(v, names, constraints),
        },
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert np.max(np.abs(violation(found.x, names, constraints))) < 1e-6
    return found


def check_kkt(function: Callable[[Array], Any], x: Array, free: Array, names: Any, constraints: Any) -> None:
    """Feasible and stationary along the constraints, by dense derivatives."""
    assert np.max(np.abs(violation(x, names, constraints))) < 1e-10
    slope = gradient(function, x)[free]
    along = tangent_gradient(slope, jacobian(x, names, constraints)[:, free])
    assert np.max(np.abs(along)) < 1e-7 * max(1.0, np.max(np.abs(slope)))


def infeasible_start(problem: Problem, constraints: list[Any], rng: np.random.Generator) -> Array:
    is_sd = np.array(kinds_of(problem.parameters)) == "sd"
    while True:
        start = np.array(problem.starts.first) + np.where(is_sd, 0.1, 0.5) * rng.standard_normal(len(is_sd))
        start = np.where(is_sd, np.abs(start) + 0.2, start)
        if np.max(np.abs(violation(start, problem.parameters.names, constraints))) > 0.01:
            return start


@pytest.mark.parametrize("seeds", SEEDS, ids=str)
@pytest.mark.parametrize("which", SETS, ids=str)
def test_m_step_agrees_with_scipy(which: tuple[int, ...], seeds: tuple[int, ...]) -> None:
    """The M-step from infeasible starts: KKT by dense derivatives, and SLSQP comes back to it from nearby."""
    for seed in seeds:
        case, problem, constraints = problem_of(seed, which)
        names = problem.parameters.names
        dense, solver = case.dense.with_names(names), Solver(problem)
        rng = np.random.default_rng([11, seed, *which])
        theta = draw_effects(dense, case.point(names, rng), rng)

        def function(x: Array, dense: Any = dense, theta: Array = theta) -> Any:
            return complete_data(dense, x, theta)

        x = infeasible_start(problem, constraints, rng)
        objective = solver.complete(statistics(dense, theta, problem.arrays.beta_reference))
        result = solver.maximise(objective, x, solver.free)
        assert result.status == sqp.CONVERGED
        assert result.rank == len(which)
        check_kkt(function, x, solver.free, names, constraints)
        slope = gradient(function, x)
        residual = slope + solver.multipliers @ jacobian(x, names, constraints)
        assert np.max(np.abs(residual)) < 1e-7 * max(1.0, np.max(np.abs(slope)))
        assert result.value == pytest.approx(function(x), rel=1e-10)
        found = by_slsqp(function, x + 0.03 * rng.standard_normal(len(x)), problem, constraints)
        assert result.value == pytest.approx(-found.fun, abs=1e-6)
        np.testing.assert_allclose(x, found.x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("seeds", SEEDS, ids=str)
@pytest.mark.parametrize("which", few(SETS, [(0,), (0, 1, 2, 3)], one_argument=True), ids=str)
def test_direct_ml_agrees_with_scipy(which: tuple[int, ...], seeds: tuple[int, ...]) -> None:
    """The marginal likelihood: local climbs from infeasible starts, and the fit against SLSQP from the same starts.

    A climb from a bad start may end where the violation cannot be made smaller, if it says so; half must not.
    """
    climbs = []
    for seed in seeds:
        case, problem, constraints = problem_of(seed, which)
        names = problem.parameters.names
        dense, solver = case.dense.with_names(names), Solver(problem)
        rng = np.random.default_rng([13, seed, *which])

        def function(x: Array, dense: Any = dense) -> Any:
            return marginal(dense, x)

        starts = [infeasible_start(problem, constraints, rng) for _ in range(4 if len(seeds) > 1 else 2)]
        for start in starts:
            x, pinned, result = climb(problem, solver, start)
            climbs.append(result.status)
            if result.status == sqp.CONVERGED:
                check_kkt(function, x, solver.free & ~pinned, names, constraints)
                assert result.value == pytest.approx(function(x), rel=1e-10)

        fit = saem.fit(Model(**case.model, constraints=texts_of(which)), case.table, "ml")
        best = max(-by_slsqp(function, start, problem, constraints).fun for start in starts)
        assert fit.loglik > best - 1e-6
        again = by_slsqp(function, np.maximum(fit.values, 1e-3 - 1e9 * (fit.values < 0.0)), problem, constraints)
        assert -again.fun == pytest.approx(fit.loglik, abs=1e-6)
        np.testing.assert_allclose(fit.values, again.x, rtol=1e-3, atol=1e-3)
    assert set(climbs) <= {sqp.CONVERGED, sqp.INFEASIBLE}
    assert climbs.count(sqp.CONVERGED) >= len(climbs) / 2


def test_mutants_of_a_maximum_are_caught() -> None:
    """A point moved along the constraint, and one moved off it, fail the conditions above."""
    case, problem, (constraint,) = problem_of(0, (2,))
    names, solver = problem.parameters.names, Solver(problem)
    dense = case.dense.with_names(names)
    x = np.array(problem.starts.first)
    solver.maximise(solver.observed(), x, solver.free)
    moved = x.copy()
    moved[names.index("sigma_k0")] += 1e-3
    moved[names.index("sd_one_A0")] += 1e-3
    assert abs(constraint(dict(zip(names, moved, strict=True)))) < 1e-10
    jacobian = np.array([[{"sigma_k0": 1.0, "sd_one_A0": -1.0}.get(name, 0.0) for name in names]])
    for point, passes in ((x, True), (moved, False)):
        slope = gradient(lambda v: marginal(dense, v), point)
        assert (np.max(np.abs(tangent_gradient(slope, jacobian))) < 1e-7 * max(1.0, np.max(np.abs(slope)))) == passes


def peptide(fixed: dict[str, float] | None = None, **constraints: str) -> Model:
    model = Model.from_text(recipes.text("peptide"))
    return model.replace(fixed=fixed or {}, constraints=constraints or dict(model.constraints))


TABLE = peptide_table(np.random.default_rng(17), (9, 7), 0.15, b21=0.0)


IMPOSSIBLE = ["sigma1**2 == -1", "sigma1**2 + sigma2**2 + 0.1 == 0", "mu**2 + sigma**2 == -3"]


@pytest.mark.parametrize("text", few(IMPOSSIBLE, IMPOSSIBLE[:1]))
def test_impossible_constraint(text: str) -> None:
    """The solver says infeasible, and both methods raise an error that names the constraint; no estimate comes out."""
    model = peptide({"b21": 0.0}, wrong=text)
    problem = pose(model, arrange(model, TABLE))
    solver = Solver(problem)
    for start in problem.starts.values:
        assert solver.maximise(solver.observed(), np.array(start), solver.free).status == sqp.INFEASIBLE
    with pytest.raises(ConstraintError, match="wrong"):
        saem.fit(model, TABLE, "ml")
    with pytest.raises(SaemError):
        saem.fit(model, TABLE, "saem")


@pytest.mark.parametrize("method", ["ml", "saem"])
def test_constraint_that_holds_only_at_infinity(method: str) -> None:
    """``exp(mu) + sigma == 0`` can be approached, at ever worse parameters: an error, not an estimate."""
    with pytest.raises(SaemError):
        saem.fit(peptide({"b21": 0.0}, wrong="exp(mu) + sigma == 0"), TABLE, method)


def test_constraints_that_contradict_each_other() -> None:
    """Each alone can be satisfied; both together cannot, and no linear relation says so."""
    model = peptide({"b21": 0.0}, one="mu**2 + alpha2**2 == 4", two="mu == 5 + sigma**2")
    with pytest.raises(ConstraintError):
        saem.fit(model, TABLE, "ml")


def test_not_finite_at_the_start() -> None:
    """A logarithm of a negative number at every start is an error, not a hang or a nan."""
    with pytest.raises(SaemError):
        saem.fit(peptide({"b21": 0.0}, wrong="log(-1 - sigma1**2) == c2"), TABLE, "ml")


LINK = "c2 == exp(log(2)**2/2 * (sigma2**2 - sigma1**2)) * (1 + 2**b22) / 2"


@pytest.mark.parametrize(
    "second",
    [
        "(c2 - exp(log(2)**2/2 * (sigma2**2 - sigma1**2)) * (1 + 2**b22) / 2) * (1 + mu**2) == 0",
        "exp(c2) == exp(exp(log(2)**2/2 * (sigma2**2 - sigma1**2)) * (1 + 2**b22) / 2)",
    ],
)
def test_the_same_constraint_in_other_words(second: str) -> None:
    """No linear relation betrays the repetition, and the Jacobian loses rank where both hold: an error, no estimate."""
    with pytest.raises(SaemError):
        saem.fit(peptide({"b21": 0.0}, g=LINK, again=second), TABLE, "ml")


def test_constraint_that_does_not_bind() -> None:
    """A constraint through the unconstrained maximum has multiplier zero and changes no estimate."""
    free = saem.fit(peptide({"b21": 0.0}).replace(constraints={}), TABLE, "ml")
    b22, sigma = (float(free.estimates.loc[name, "estimate"]) for name in ("b22", "sigma"))
    through = saem.fit(peptide({"b21": 0.0}, line=f"b22 - {b22!r} == 3 * (sigma - {sigma!r})"), TABLE, "ml")
    np.testing.assert_allclose(through.values, free.values, rtol=1e-7, atol=1e-8)
    assert abs(through.multipliers[0]) < 1e-6
    assert through.loglik == pytest.approx(free.loglik, abs=1e-10)


def test_multiplier_is_the_price_of_the_constraint() -> None:
    """The log-likelihood falls by ``lambda`` for each unit that the right side is moved (envelope theorem)."""

    def fit(shift: float) -> Fit:
        return saem.fit(peptide({"b21": 0.0}, link=f"c2 == sigma2**2 - sigma1**2 + 0.7 + {shift}"), TABLE, "ml")

    h = 1e-3
    middle = fit(0.0)
    slope = (fit(h).loglik - fit(-h).loglik) / (2.0 * h)
    assert abs(slope) > 0.1
    assert abs(middle.multipliers[0]) == pytest.approx(abs(slope), rel=1e-5)


def check_same(one: Fit, other: Fit, factor: float = 1.0, rtol: float = 1e-8) -> None:
    """Estimates and standard errors in proportion (correlations equal), log-likelihoods apart by ``n log(factor)``."""
    units = np.array([1.0 if kind == "corr" else factor for kind in kinds_of(one.parameters)])
    assert other.parameters.names == one.parameters.names
    size = np.max(np.abs(one.values * units))
    np.testing.assert_allclose(other.values, one.values * units, rtol=rtol, atol=rtol * size * 1e-2)
    np.testing.assert_allclose(other.se, one.se * units, rtol=1e3 * rtol)
    assert other.loglik == pytest.approx(one.loglik - one.n_rows * np.log(factor), rel=1e-9, abs=1e-8)
    assert other.status == one.status
    assert other.at_boundary == one.at_boundary


SCALED: dict[str, tuple[Model, str, Callable[[int], pd.DataFrame]]] = {
    "peptide": (
        peptide({"b21": 0.0}, ratio="sigma2 == 2 * sigma1", means="b22 == -alpha2 + c2 / 3"),
        "log2_intensity",
        lambda seed: peptide_table(np.random.default_rng(seed), (7, 9), 0.2),
    ),
    "no constraint": (
        peptide({"b21": 0.0}).replace(constraints={}),
        "log2_intensity",
        lambda seed: peptide_table(np.random.default_rng(seed), (7, 9), 0.2, sigma1=0.0),
    ),
    "homogeneous": (
        peptide({"b21": 0.0}, square="c2 * sigma == sigma2**2 - sigma1**2"),
        "log2_intensity",
        lambda seed: peptide_table(np.random.default_rng(seed), (7, 9), 0.2, c2=0.8),
    ),
    "full": (
        Model(**random_case(3, terms=2, arms=2, kinds=2, covariance="full").model),
        "y",
        lambda seed: random_case(seed, terms=2, arms=2, kinds=2, covariance="full", n_clusters=24).table,
    ),
}


@pytest.mark.parametrize("factor", few([1000.0, 1e-6], [1000.0]))
@pytest.mark.parametrize("name", SCALED)
def test_units_of_the_response(name: str, factor: float) -> None:
    """Everything follows a change of units."""
    model, response, tables = SCALED[name]
    table = tables(0)
    scaled = table.assign(**{response: table[response] * factor})
    check_same(saem.fit(model, table, "ml"), saem.fit(model, scaled, "ml"), factor)


def test_units_of_the_response_under_saem() -> None:
    """The draws are the same, so is the path: only rounding and the stopping of Newton's method differ."""
    model, response, tables = SCALED["homogeneous"]
    table = tables(0)
    one = saem.fit(model, table, "saem", seed=2)
    other = saem.fit(model, table.assign(**{response: table[response] * 1000.0}), "saem", seed=2)
    check_same(one, other, 1000.0, rtol=1e-5)


@pytest.mark.parametrize("name", few(SCALED, ["peptide"]))
def test_order_of_rows_and_clusters(name: str) -> None:
    """Shuffled rows, and clusters with other labels in another order."""
    model, _, tables = SCALED[name]
    for seed in range(3):
        table = tables(seed)
        expected = saem.fit(model, table, "ml")
        shuffled = table.sample(frac=1.0, random_state=seed).reset_index(drop=True)
        check_same(expected, saem.fit(model, shuffled, "ml"))
        column = model.cluster[-1]
        rng = np.random.default_rng(seed)
        labels = dict(zip(table[column].unique(), rng.permutation(1000)[: table[column].nunique()], strict=True))
        check_same(expected, saem.fit(model, shuffled.assign(**{column: shuffled[column].map(labels)}), "ml"))


def test_mutants_of_the_invariances_are_caught() -> None:
    """A constraint that is not homogeneous, and rows that change their cluster, do not pass."""
    model, response, tables = SCALED["peptide"]
    table = tables(0)
    one = saem.fit(peptide({"b21": 0.0}, g="c2 == 1 + sigma2**2"), table, "ml")
    scaled = saem.fit(one.model, table.assign(**{response: table[response] * 1000.0}), "ml")
    with pytest.raises(AssertionError):
        check_same(one, scaled, 1000.0)
    moved = table.copy()
    moved.loc[[0, 5], response] = moved.loc[[5, 0], response].to_numpy()
    with pytest.raises(AssertionError):
        check_same(saem.fit(model, table, "ml"), saem.fit(model, moved, "ml"))
