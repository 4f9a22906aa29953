"""The log posterior density and its gradient against a dense twin, with explicit and implicit constraints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
import pytest
from designs import exact_peptide_table, peptide_columns, peptide_dense, peptide_table, random_case
from overidentified import LN2, g, ratio
from parameterkinds import kinds_of
from posterior_twin import Twin, as_text, log_density, root
from selecting import few

from saem import Model, recipes
from saem.algorithms.bayes.algorithm import LogPosterior
from saem.algorithms.bayes.determined import branch_warnings, plan_of
from saem.algorithms.bayes.space import coordinates, priors_of, space_of
from saem.errors import ModelError
from saem.families import arrange, pose
from saem.families.problem import Problem
from saem.maxima.identification import towards_feasible

Array = np.ndarray
Prior = tuple[Any, ...]
NORMAL: Prior = ("normal", 0.3, 1.7)
#: Priors of means, standard deviations and correlations; between them all distributions.
PRIORS: list[dict[str, list[Prior]]] = [
    {
        "mean": [NORMAL, ("student_t", 3.0, 1.0, 2.0), ("uniform", -7.0, 9.0)],
        "sd": [("half_normal", 1.3), ("half_student_t", 3.0, 2.0), ("half_cauchy", 0.8), ("exponential", 1.5)],
        "corr": [("lkj", 2.5), ("uniform", -0.9, 0.8)],
    },
    {
        "mean": [("lognormal", 0.2, 0.9), ("gamma", 2.0, 0.7), ("half_normal", 4.0)],
        "sd": [("lognormal", -0.5, 0.6), ("gamma", 3.0, 2.5), ("inverse_gamma", 2.5, 1.5), ("uniform", 0.1, 5.0)],
        "corr": [("lkj", 0.7), ("lkj", 1.0)],
    },
]
CASES: dict[str, dict[str, Any]] = {
    "intercept, arms and kinds": {"arms": 2, "kinds": 2},
    "slope, full, arms": {"terms": 2, "arms": 2, "covariance": "full"},
    "shared, full": {"terms": 2, "kinds": 2, "covariance": "full", "shared": "terms residual"},
    "fixed": {"terms": 2, "arms": 2, "fixed": {"bt": 0.5, "sd_t_A1": 0.7}},
    "prior weights": {"terms": 2, "kinds": 2, "weights": True},
}


@dataclass(frozen=True, eq=False)
class Pair:
    """A posterior as saem and as dense matrices have it, with points to look at."""

    density: LogPosterior
    twin: Twin
    points: list[Array]


def near(problem: Problem) -> Array:
    return towards_feasible(problem, problem.starts.first)[0]


def posterior_of(model: Model, table: Any) -> LogPosterior:
    """The compiled density, whose independent parameters all have priors of the model's own."""
    problem = pose(model, arrange(model, table))
    at = near(problem)
    plan = plan_of(problem, at)
    return LogPosterior(problem, space_of(problem, plan, priors_of(problem, plan), at))


@lru_cache
def unconstrained(name: str, which: int) -> Pair:
    case = random_case(list(CASES).index(name) + 5, **CASES[name])
    model = Model(**case.model)
    own = {kind: iter(priors * 5) for kind, priors in PRIORS[which].items()}
    priors = {parameter: next(own[kind]) for parameter, kind in case.kinds.items() if parameter not in model.fixed}
    density = posterior_of(model.replace(priors={k: as_text(v) for k, v in priors.items()}), case.table)
    names = density.problem.parameters.names
    ordered = {name: priors[name] for name in names if name in priors}
    twin = Twin(case.dense.with_names(names), ordered, case.kinds, lambda x: dict(model.fixed))
    points = [0.8 * np.random.default_rng(k).standard_normal(len(ordered)) for k in range(2)]
    return Pair(density, twin, points)


PEPTIDE_PRIORS: dict[str, Prior] = {
    "mu": ("normal", 10.0, 3.0),
    "alpha2": ("normal", 0.0, 2.0),
    "b21": ("normal", 0.0, 1.5),
    "b22": ("student_t", 4.0, 0.5, 1.0),
    "sigma1": ("half_normal", 1.0),
    "sigma2": ("lognormal", -0.5, 0.5),
    "sigma": ("half_student_t", 3.0, 0.7),
}
RATIO = "exp(log(2)**2/2 * (sigma2**2 - sigma1**2))"
#: constraints, priors that are left out and added, and how to solve them by hand
Constrained = tuple[dict[str, str], dict[str, Prior | None], Callable[[dict[str, float]], dict[str, float]]]
CONSTRAINED: dict[str, Constrained] = {
    "explicit": ({"g": f"c2 == {RATIO} * (1 + 2**b22) / (1 + 2**b21)"}, {}, lambda x: {"c2": float(g(x))}),
    "implicit": ({"g": f"c2 * (1 + 2**b21) == {RATIO} * (1 + 2**b22)"}, {}, lambda x: {"c2": float(g(x))}),
    "implicit, another determined": (
        {"g": f"c2 * (1 + 2**b21) == {RATIO} * (1 + 2**b22)"},
        {"c2": ("normal", 1.0, 1.0), "b22": None},
        lambda x: {"b22": float(np.log2(x["c2"] * (1 + 2 ** x["b21"]) / ratio(x) - 1.0))},
    ),
    "implicit, transcendental": (
        {"h": "exp(c2) + c2 == b21 + 3 * sigma2"},
        {},
        lambda x: {"c2": root(lambda c: np.exp(c) + c - x["b21"] - 3 * x["sigma2"], -50.0, 20.0)},
    ),
    "implicit, of an SD": (
        {"h": "sigma2 + log(sigma2) == 2 * sigma1 - 1"},
        {"sigma2": None, "c2": NORMAL},
        lambda x: {"sigma2": root(lambda s: s + np.log(s) - 2 * x["sigma1"] + 1.0, 1e-12, 50.0)},
    ),
    "explicit, of an SD": (
        {"h": "sigma2 == 2 * sigma1"},
        {"sigma2": None, "c2": NORMAL},
        lambda x: {"sigma2": 2 * x["sigma1"]},
    ),
    "two explicit ones, one after the other": (
        {"g": f"c2 == {RATIO} * (1 + 2**b22) / (1 + 2**b21)", "h": "sigma2 == 2 * sigma1 + 0.1 * b22**2"},
        {"sigma2": None},
        lambda x: (lambda s: {"sigma2": s, "c2": float(g(x | {"sigma2": s}))})(2 * x["sigma1"] + 0.1 * x["b22"] ** 2),
    ),
    "an implicit one after an explicit one": (
        {"h": "exp(c2) + c2 == b21 + 3 * sigma2", "k": "b21 == log(sigma1) + b22"},
        {"b21": None},
        lambda x: (lambda b: {"b21": b, "c2": root(lambda c: np.exp(c) + c - b - 3 * x["sigma2"], -50.0, 20.0)})(
            np.log(x["sigma1"]) + x["b22"]
        ),
    ),
}


@lru_cache
def constrained(name: str) -> Pair:
    constraints, changes, solve = CONSTRAINED[name]
    priors = {k: v for k, v in (PEPTIDE_PRIORS | changes).items() if v is not None}
    table = peptide_table(np.random.default_rng(1), (5, 4), missing=0.2)
    model = Model.from_text(recipes.text("peptide")).replace(
        constraints=constraints, priors={k: as_text(v) for k, v in priors.items()}
    )
    density = posterior_of(model, table)
    parameters = density.problem.parameters
    ordered = {k: priors[k] for k in parameters.names if k in priors}
    kinds = dict(zip(parameters.names, kinds_of(parameters), strict=True))
    twin = Twin(peptide_dense(table, peptide_columns(table), parameters.names), ordered, kinds, solve)
    centre = coordinates(density.problem, density.space, near(density.problem))
    rng = np.random.default_rng(2)
    points = [centre + 0.3 * rng.standard_normal(len(centre)) for _ in range(3)]
    return Pair(density, twin, points)


def check(density: LogPosterior, twin: Twin, u: Array, gradient: Array | None = None) -> None:
    """Value to 1e-10 and gradient to 1e-7, relative to their sizes."""
    value, slope = density(u)
    assert np.isfinite(value)
    np.testing.assert_allclose(value, twin.value(u), rtol=1e-10)
    expected = twin.gradient(u) if gradient is None else gradient
    np.testing.assert_allclose(slope, expected, rtol=1e-7, atol=1e-7 * np.max(np.abs(expected)))


@pytest.mark.parametrize(
    ("name", "which"),
    few(
        product(CASES, range(len(PRIORS))),
        [(name, k % len(PRIORS)) for k, name in enumerate(CASES)],  # every case, and all priors
    ),
)
def test_without_constraints(name: str, which: int) -> None:
    pair = unconstrained(name, which)
    for u in pair.points:
        check(pair.density, pair.twin, u)


#: Solved for one parameter that the constraint names, or does not; of a standard deviation; and one after the other.
FAST = [
    "explicit",
    "implicit, another determined",
    "implicit, of an SD",
    "two explicit ones, one after the other",
    "an implicit one after an explicit one",
]


@pytest.mark.parametrize("name", few(CONSTRAINED, FAST))
def test_with_constraints(name: str) -> None:
    pair = constrained(name)
    for u in pair.points:
        check(pair.density, pair.twin, u)
        x = pair.density.parameters(u[None])[0]
        named = pair.twin.parameters(u)[0]
        np.testing.assert_allclose(x, [named[k] for k in pair.density.problem.parameters.names], rtol=1e-11, atol=1e-12)
        residuals = pair.density.problem.constraints.evaluate(x)[0]
        assert np.max(np.abs(residuals)) < 1e-12 * (1.0 + np.abs(x).max())


@pytest.mark.slow
def test_mutants_are_caught() -> None:
    """A forgotten Jacobian, a forgotten prior, and determined parameters that do not move with the others."""
    pair = unconstrained("intercept, arms and kinds", 0)
    with pytest.raises(AssertionError):
        check(pair.density, replace(pair.twin, jacobian=False), pair.points[0])
    other = dict(pair.twin.priors)
    other[next(iter(other))] = ("normal", 0.3, 1.7 * (1 + 1e-6))
    with pytest.raises(AssertionError):
        check(pair.density, replace(pair.twin, priors=other), pair.points[0])
    for name in CONSTRAINED:
        pair = constrained(name)
        u = pair.points[0]
        check(pair.density, pair.twin, u, pair.twin.gradient(u))
        with pytest.raises(AssertionError):
            check(pair.density, pair.twin, u, pair.twin.frozen_gradient(u))


def test_the_form_of_a_constraint_does_not_matter() -> None:
    """Explicit and implicit, with the same parameter determined, are the same density."""
    explicit, implicit = constrained("explicit").density, constrained("implicit").density
    assert explicit.space.sign[0] != 0.0 and implicit.space.sign[0] == 0.0
    for u in constrained("explicit").points:
        (a, slope_a), (b, slope_b) = explicit(u), implicit(u)
        assert a == pytest.approx(b, rel=1e-13)
        np.testing.assert_allclose(slope_a, slope_b, rtol=1e-9, atol=1e-9 * np.abs(slope_a).max())


def test_a_change_of_the_determined_parameter_is_a_change_of_variables() -> None:
    """With the prior of c2 that the one of b22 implies, the two densities differ by the derivative dc2/db22."""
    by_b22, by_c2 = constrained("implicit"), constrained("implicit, another determined")
    names = list(by_b22.twin.priors)
    for u in by_b22.points:
        x = by_b22.twin.parameters(u)[0]
        v = np.array([x["c2"] if k == "c2" else u[names.index(k)] for k in by_c2.twin.priors])
        slope = x["c2"] * LN2 * 2 ** x["b22"] / (1 + 2 ** x["b22"])  # dc2/db22 at given others
        lost = log_density(PEPTIDE_PRIORS["b22"], x["b22"])
        gained = log_density(("normal", 1.0, 1.0), x["c2"])
        # p(c2, ..) dc2 = p(b22, ..) db22, where p(b22) / (dc2/db22) stands in for the prior of c2
        implied = by_c2.density(v)[0] - gained + (lost - np.log(slope))
        assert implied + np.log(slope) == pytest.approx(by_b22.density(u)[0], rel=1e-12)
        assert abs(implied - by_b22.density(u)[0]) > 0.01  # a mutant: without the derivative


def test_the_nearest_of_several_solutions_is_taken_and_said() -> None:
    """The link has three solutions for b21 where C = 6, b22 - b21 = -5 (see the design notes)."""
    constant = 6.0
    text = f"b21 + {constant} * (1 + 2**b21 / 32) / (1 + 2**b21) == c2"
    model = Model.from_text(recipes.text("peptide")).replace(
        constraints={"h": text + " + 0 * mu"},
        priors={"c2": "normal(3, 0.2)", "b22": "normal(0, 1)", "mu": "normal(10, 5)"},
    )
    table = exact_peptide_table(np.array([[10.0, 9.0], [13.0, 12.0]]), 0.4, 0.7, 0.3)
    problem = pose(model, arrange(model, table))
    for anchor in (-0.425, 0.0, 0.425):
        at = near(problem)
        plan = plan_of(problem, at)
        assert [problem.parameters.names[e.parameter] for e in plan] == ["b21"]
        at[problem.parameters.index("b21")] = anchor
        at[problem.parameters.index("c2")] = 3.09375
        space = space_of(problem, plan, priors_of(problem, plan), at)
        density = LogPosterior(problem, space)
        found = density.parameters(coordinates(problem, space, at)[None])
        assert found[0, problem.parameters.index("b21")] == pytest.approx(anchor, abs=1e-3)
        (warning,) = branch_warnings(problem, space, found)
        assert "3 solutions for b21" in warning and f"nearest to b21 = {anchor:.4g}" in warning
    pair = constrained("implicit")
    assert (
        branch_warnings(pair.density.problem, pair.density.space, pair.density.parameters(np.array(pair.points))) == []
    )


def test_no_root_is_no_density() -> None:
    """Where a constraint has no solution the density is zero, and a pole is no solution."""
    model = Model.from_text(recipes.text("peptide")).replace(
        constraints={"h": "c2**2 - 1/c2 == b21 - b22"},
        priors={name: as_text(PEPTIDE_PRIORS[name]) for name in ("b21", "b22")},
    )
    table = peptide_table(np.random.default_rng(1), (5, 4))
    problem = pose(model, arrange(model, table))
    at = near(problem)
    at[problem.parameters.index("c2")] = 0.5
    plan = plan_of(problem, at)
    density = LogPosterior(problem, space_of(problem, plan, priors_of(problem, plan), at))
    u = coordinates(problem, density.space, at)
    c2, b21 = problem.parameters.index("c2"), list(density.space.free).index(problem.parameters.index("b21"))
    for shift in (-3.0, 0.0, 3.0):
        moved = u.copy()
        moved[b21] += shift
        x = density.parameters(moved[None])[0]
        assert abs(problem.constraints.evaluate(x)[0][0]) < 1e-10 and abs(x[c2]) > 1e-3
    square = model.replace(constraints={"h": "c2**2 == b21 - b22"})
    problem = pose(square, arrange(square, table))
    density = LogPosterior(problem, space_of(problem, plan_of(problem, at), priors_of(problem, plan), at))
    moved[b21] = u[list(density.space.free).index(problem.parameters.index("b22"))] - 1.0
    assert density(moved)[0] == -np.inf


def test_what_cannot_be_done_is_refused() -> None:
    table = peptide_table(np.random.default_rng(1), (5, 4))
    model = Model.from_text(recipes.text("peptide"))
    with pytest.raises(ModelError, match=r"priors.c2: the constraint 'g' determines it"):
        model.replace(priors={"c2": "normal(0, 1)"})
    with pytest.raises(ModelError, match=r"must determine one of .* all of them have a prior"):
        model.replace(constraints={"h": "c2 * b21 == 1"}, priors={"c2": "normal(0, 1)", "b21": "normal(0, 1)"})
    circular = model.replace(constraints={"h": "c2 * b21 == 1", "k": "exp(b21) + c2**3 == 4"})
    problem = pose(circular, arrange(circular, table))
    with pytest.raises(ModelError, match="one after the other"):
        plan_of(problem, near(problem))
    case = random_case(3, terms=3, covariance="full")
    problem = pose(Model(**case.model), arrange(Model(**case.model), case.table))
    with pytest.raises(ModelError, match="3 correlated terms"):
        space_of(problem, (), priors_of(problem, ()), problem.starts.first)
