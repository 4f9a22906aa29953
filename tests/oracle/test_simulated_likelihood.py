"""The likelihood by points of mixtures, where random effects lie along a curved ridge, beside sums over fine grids."""

from __future__ import annotations

from functools import cache

import nonlinear_family
import numpy as np
import pandas as pd
import pytest
from interpreted_core import Core
from nonlinear_family import Example
from scipy.optimize import minimize, minimize_scalar

import saem
from saem import recipes
from saem.errors import SaemWarning
from saem.estep.conditional import conditional_law
from saem.estep.integration.marginal import parts_of
from saem.estep.integration.matching import match
from saem.estep.integration.placing import Placing, numbers_of_effects
from saem.estep.integration.rules import t_rule
from saem.estep.integration.settling import FINE, Accuracy, by_points, refined, settled_of
from saem.maxima.boundary import climb
from saem.maxima.simulated import climb_simulated, placed, simulated_at
from saem.mstep import sqp
from saem.mstep.solver import Solver

GRID = np.arange(-6.0, 6.0001, 0.02)


@cache
def ridge() -> Example:
    """One row tells of two parameters, and well: ``A / (1 + B)`` is known to 5 %."""
    rng = np.random.default_rng(5)
    a, b = np.exp(1.0 + rng.standard_normal(8)), np.exp(0.5 + rng.standard_normal(8))
    table = pd.DataFrame({"id": np.arange(8), "y": a / (1.0 + b) * np.exp(0.05 * rng.standard_normal(8))})
    return nonlinear_family.made(
        {
            "response": "y",
            "individual": {"A": "lognormal(A_pop, omega_A)", "B": "lognormal(B_pop, omega_B)"},
            "outcome": {"distribution": "lognormal", "median": "A / (1 + B)", "sd": "a"},
            "start": {"A_pop": 2.7, "B_pop": 1.6, "omega_A": 1.0, "omega_B": 1.0, "a": 0.05},
        },
        table,
    )


def on_a_grid(example: Example, x: np.ndarray) -> np.ndarray:
    """The integrals (C,) by the trapezium rule over independent standard normals."""
    at = dict(zip(example.data.parameters.names, x, strict=True))
    u, v = np.meshgrid(GRID, GRID)
    a = at["A_pop"] * np.exp(at["omega_A"] * u)
    b = at["B_pop"] * np.exp(at["omega_B"] * v)
    prior = np.exp(-(u**2 + v**2) / 2.0) / (2.0 * np.pi) * (GRID[1] - GRID[0]) ** 2
    y = np.asarray(example.data.response)
    away = (np.log(y)[:, None, None] - np.log(a / (1.0 + b))) / at["a"]
    density = np.exp(-(away**2) / 2.0) / np.sqrt(2.0 * np.pi) / at["a"] / y[:, None, None]
    return np.log(np.sum(density * prior, axis=(1, 2)))


def test_few_points_where_the_random_effects_are_do_what_many_do_at_the_mode() -> None:
    """Thirteen nodes in each direction, on a ridge that is not so narrow."""
    example = ridge()
    x = np.where(np.array(example.data.parameters.names) == "a", 0.2, example.x)
    every, exact = np.arange(8), on_a_grid(example, x)
    plain = Placing.at_modes(numbers_of_effects(example.arrays, x, 8), 13)
    placed = plain, match(example.arrays, plain, every, x)
    error = [np.abs(parts_of(rule.objective(example.arrays), x, every) - exact).sum() for rule in placed]
    assert error[1] < 0.2 * error[0]


def by_mixtures(example: Example, x: np.ndarray, accuracy: Accuracy = FINE) -> Placing:
    """Rules of all clusters, by points of mixtures."""
    count = example.problem.clusters.count
    placing = Placing.at_modes(numbers_of_effects(example.arrays, x, count), 3)
    every = np.arange(count)
    return by_points(example.arrays, match(example.arrays, placing, every, x), every, x, accuracy)


def test_integrals_along_a_ridge_are_those_of_a_grid() -> None:
    """Within five errors, each by eight parts, in each of eight clusters: a false alarm in one of 80 scramblings."""
    example = ridge()
    placing = by_mixtures(example, example.x)
    found = parts_of(placing.objective(example.arrays), example.x, np.arange(8))
    exact = on_a_grid(example, example.x)
    assert np.all(np.abs(found - exact) < 5.0 * np.sqrt(placing.variance) + 1e-5)
    assert abs(found.sum() - exact.sum()) < 4.0 * placing.mcse and 0.0 < placing.mcse < 0.1


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("density += dealt[k] * height_of_t(", "density += height_of_t("),
        ("volume *= root[i, i]", "volume *= 1.0"),
        ("if power % 2:", "if not power % 2:"),
    ],
)
def test_points_that_are_weighted_by_another_density_are_noticed(right: str, wrong: str) -> None:
    """Weights times the density of the mixture sum to one: here its integral, by the points of a fixed mixture."""
    rng = np.random.default_rng(2)
    base = t_rule(4_096, 2).points
    shares, means = np.array([0.5, 0.3, 0.2]), rng.standard_normal((3, 2))
    roots = np.array([[[1.0, 0.0], [0.5, 0.8]], [[0.6, 0.0], [-0.2, 1.1]], [[1.5, 0.0], [0.1, 0.7]]])

    def integral(core: Core) -> float:
        points, logs = np.empty((4_096, 2)), np.empty(4_096)
        core["saem.estep.integration.mixing"].mix_points(base, 8, shares, means, roots, points, logs)
        density = np.exp(-0.5 * np.sum((points - 0.3) ** 2, axis=1)) / (2.0 * np.pi)
        return float(np.sum(np.exp(logs) * density))

    assert integral(Core()) == pytest.approx(1.0, abs=5e-3)
    assert integral(Core("saem.estep.integration.mixing", right, wrong)) != pytest.approx(1.0, abs=5e-2)


def test_derivatives_are_those_of_points_that_stay() -> None:
    """Beside differences of the sums over a grid: gradients within 5 errors, and the Hessian within 5 %."""
    example = ridge()
    solver, x, n = Solver(example.problem), example.x, len(example.x)

    def exact(point: np.ndarray) -> float:
        return float(on_a_grid(example, point).sum())

    free = ~example.data.parameters.fixed
    at, noise = (
        (found := simulated_at(example.problem, solver, x, free, accuracy=replaced())).at,
        np.sqrt(np.diag(found.noise)),
    )
    steps = 1e-3 * np.diag(x)
    value = exact(x)
    for i in range(n):
        up, down = exact(x + steps[i]), exact(x - steps[i])
        slope, bend = (up - down) / (2.0 * steps[i, i]), (up - 2.0 * value + down) / steps[i, i] ** 2
        assert abs(at.gradient[i] - slope) < 5.0 * noise[i] + 1e-3 * abs(slope)
        assert abs(at.hessian[i, i] - bend) < 0.05 * (abs(bend) + 8.0 / x[i] ** 2)


def replaced() -> Accuracy:
    """An accuracy that asks for points of mixtures in all clusters."""
    return Accuracy(few=1e-12, many=1e-12, most=1e-12, simulated=0.002, points=5, dear_points=5)


def test_the_simulated_maximum_is_that_of_quadrature() -> None:
    """Log-likelihood within what the error allows, on data whose quadrature settles."""
    example = nonlinear_family.absorption()
    problem, solver = example.problem, Solver(example.problem)
    refined(problem, climb(problem, solver, problem.starts.first)[0])
    top, pinned, result = climb(problem, solver, problem.starts.first)
    assert result.status == sqp.CONVERGED and not pinned.any()
    found = simulated_at(problem, solver, top, solver.free, accuracy=replaced())
    assert found.mcse > 0.0 and abs(found.at.value - result.value) < 5.0 * found.mcse + 0.01
    deficit, doubt = found.deficit
    assert deficit < 3.0 * doubt + 0.01
    x, end = climb_simulated(problem, solver, problem.starts.first, pinned)
    assert solver.height(x) > result.value - 0.05
    assert np.isfinite(end.deficit).all()


def exactly(example: Example, a_pop: float, at: dict[str, float]) -> float:
    """The log-likelihood by an integral in one dimension: given B, the logarithm of y is normal."""
    v = np.arange(-8.0, 8.0, 1e-3)
    y = np.log(np.asarray(example.data.response))[:, None]
    mean = np.log(a_pop) - np.log1p(at["B_pop"] * np.exp(at["omega_B"] * v))
    variance = at["omega_A"] ** 2 + at["a"] ** 2
    density = np.exp(-((y - mean) ** 2) / (2.0 * variance) - v**2 / 2.0) / (2.0 * np.pi * np.sqrt(variance))
    return float(np.sum(np.log(np.sum(density, axis=1) * 1e-3) - y[:, 0]))


def test_a_model_on_a_narrow_ridge_is_fitted_and_says_how_well() -> None:
    """The maximum over one parameter within five errors, and the log-likelihood there."""
    example = ridge()
    table = pd.DataFrame({"id": np.arange(8), "y": np.asarray(example.data.response)})
    known = {"omega_A": 1.0, "omega_B": 1.0, "a": 0.01, "B_pop": 1.6}
    fit = saem.fit(example.model.replace(fixed=known, start={"A_pop": 2.7}), table, "ml")
    assert fit.loglik_mcse > 0.0 and fit.status == "converged"
    top = minimize_scalar(lambda a: -exactly(example, a, known), bounds=(0.5, 10.0), method="bounded").x
    place = example.data.parameters.names.index("A_pop")
    assert abs(fit.values[place] - top) < 5.0 * fit.mcse[place] + 1e-3
    assert abs(fit.loglik - exactly(example, fit.values[place], known)) < 5.0 * fit.loglik_mcse + 1e-3


def test_a_simulated_maximum_satisfies_the_constraints() -> None:
    """Whatever the step that ended the search."""
    example = ridge()
    table = pd.DataFrame({"id": np.arange(8), "y": np.asarray(example.data.response)})
    model = example.model.replace(
        fixed={"a": 0.015, "omega_B": 1.0, "omega_A": 1.0},
        constraints={"tie": "A_pop == exp(B_pop - 1)"},
        start={"A_pop": 5.0, "B_pop": 1.6},
    )
    problem = nonlinear_family.posed(model, table).problem
    nothing = np.zeros(len(problem.parameters), dtype=bool)
    x, found = climb_simulated(problem, Solver(problem), problem.starts.first, nothing)
    assert abs(problem.constraints.evaluate(x)[0][0]) < 1e-8
    assert found.placing.draws.any() and sum(found.deficit) < 0.1


@pytest.mark.parametrize(("spread", "held"), [(0.15, False), (0.15, True), (1.2, False), (1.2, True)])
def test_a_standard_deviation_goes_to_zero_and_comes_back(spread: float, held: bool) -> None:
    """It is zero where the responses vary less than without it, whatever it began at; the likelihood is the highest."""
    rng = np.random.default_rng(9)
    z = rng.standard_normal(12)
    y = np.exp(0.3 + spread * (z - z.mean()) / z.std())
    known = {"omega_A": 0.3, "a": 0.02, "B_pop": 1.6}
    model = ridge().model.replace(fixed=known, start={"A_pop": 2.7, "omega_B": 0.6})
    example = nonlinear_family.posed(model, pd.DataFrame({"id": np.arange(12), "y": y}))
    problem, names = example.problem, list(example.data.parameters.names)
    which = np.array(names) == "omega_B"
    start = np.where(which, 0.0, problem.starts.first) if held else problem.starts.first
    x, found = climb_simulated(problem, Solver(problem), start, which & held)
    at = dict(zip(names, x, strict=True))
    assert found.pinned[which][0] == (at["omega_B"] == 0.0) == (spread < 0.3)

    def below(free: np.ndarray) -> float:
        return -exactly(example, np.exp(free[0]), known | {"omega_B": abs(free[1])})

    top = minimize(below, [1.0, 0.5], method="Nelder-Mead")
    assert exactly(example, at["A_pop"], known | at) > -top.fun - 0.02
    assert sum(found.deficit) < 0.1


@pytest.mark.parametrize(("function", "held"), [("at_boundary", False), ("gains", True)])
def test_what_neither_holds_nor_lets_go_is_noticed(monkeypatch: pytest.MonkeyPatch, function: str, held: bool) -> None:
    """Without one of the two the maxima of the last test are not found."""
    nothing = {"at_boundary": lambda *_: None, "gains": lambda problem, *_: np.full(len(problem.scale), -np.inf)}
    monkeypatch.setattr(f"saem.maxima.simulated.{function}", nothing[function])
    with pytest.raises(AssertionError):
        test_a_standard_deviation_goes_to_zero_and_comes_back(1.2 if held else 0.15, held)


def test_random_effects_are_those_of_the_last_rules() -> None:
    """Conditional means (within .1 standard deviations) after a search that began far away, beside a grid."""
    example = ridge()
    table = pd.DataFrame({"id": np.arange(8), "y": np.asarray(example.data.response)})
    model = example.model.replace(
        fixed={"omega_A": 1.0, "omega_B": 1.0, "a": 0.02, "B_pop": 1.6}, start={"A_pop": 30.0}
    )
    problem = nonlinear_family.posed(model, table).problem
    before = settled_of(problem).placing
    x, found = climb_simulated(problem, Solver(problem), problem.starts.first, np.zeros(5, dtype=bool))
    assert settled_of(problem).placing is found.placing is not before
    at = dict(zip(problem.parameters.names, x, strict=True))
    u = np.arange(-6.0, 6.0, 2e-3)  # of B; given it, the logarithm of A is normal
    y = np.log(np.asarray(example.data.response))[:, None]
    away = y - np.log(at["A_pop"]) + np.log1p(at["B_pop"] * np.exp(u))
    weights = np.exp(-(away**2) / (2.0 * (1.0 + at["a"] ** 2)) - u**2 / 2.0)
    shares = weights / weights.sum(axis=1, keepdims=True)
    exact = np.column_stack([(shares * away).sum(axis=1) / (1.0 + at["a"] ** 2), shares @ u])
    assert np.all(np.abs(conditional_law(problem, x)[1].mean - exact) < 0.1)


def test_a_fit_ends_where_a_standard_deviation_is_zero() -> None:
    """Its status says so."""
    rng = np.random.default_rng(9)
    y = np.exp(0.3 + 0.15 * rng.standard_normal(12))
    known = {"omega_A": 0.3, "a": 0.005, "B_pop": 1.6}
    model = ridge().model.replace(fixed=known, start={"A_pop": 2.7, "omega_B": 0.6})
    with pytest.warns(SaemWarning, match="weakly identified"):
        fit = saem.fit(model, pd.DataFrame({"id": np.arange(12), "y": y}), "ml")
    assert fit.status == "boundary" and fit.values[fit.parameters.names.index("omega_B")] == 0.0


TWO_MODES = {  # two points of a climb on Plan's first data set of rich sigmoid curves, whose subject 26 has two modes
    "E0_pop": (4.889, 4.888),
    "Emax_pop": (31.547, 32.344),
    "ED50_pop": (473.374, 481.627),
    "gamma_pop": (3.007, 2.985),
    "b": (0.099, 0.1),
    "omega_E0": (0.330, 0.330),
    "omega_Emax": (0.854, 0.855),
    "omega_ED50": (0.727, 0.743),
    "corr_Emax_ED50": (0.649, 0.665),
}


@pytest.mark.parametrize("right", [True, False])
def test_rules_do_not_jump_to_another_mode(right: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules placed at one point and moved to the next tell what new ones tell; not so where they follow the mode."""
    if not right:
        monkeypatch.setattr("saem.maxima.simulated.stay", lambda arrays, placing, x: placing)
    model = saem.Model.from_text(recipes.text("emax"))
    dose, y = [0.0, 100.0, 300.0, 1000.0], [2.04015871, 2.13266879, 3.88071423, 6.84183774]
    table = pd.DataFrame({"subject": np.repeat(np.arange(10), 4), "dose": dose * 10, "response": y * 10})
    problem = nonlinear_family.posed(model, table).problem
    before, x = (np.array([TWO_MODES[name][k] for name in problem.parameters.names]) for k in (0, 1))
    arrays, first, _ = placed(problem, before, None, FINE)
    values = [
        parts_of(placed(problem, x, near, FINE)[1].objective(arrays), x, np.arange(1))[0] for near in (first, None)
    ]
    assert (abs(values[0] - values[1]) < 0.01) == right
