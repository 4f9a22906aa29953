"""The densities of nonlinear outcomes, and what else is known of them, against SciPy's distributions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import special, stats
from tree_values import value

from saem.families.nonlinear import outcomes, trees
from saem.families.nonlinear.distributions import DISTRIBUTIONS
from saem.families.nonlinear.specification import NonlinearModel
from saem.families.nonlinear.structure import Structure, structure_of


class Ordinal:
    """P(y <= k) = expit(cut_k - predictor)."""

    def __init__(self, predictor, cuts):
        ends = [-np.inf, *cuts, np.inf]
        self.p = np.diff([special.expit(end - predictor) for end in ends], axis=0)

    def logpmf(self, y):
        return np.log(np.take_along_axis(self.p, y.astype(int)[None, :] - 1, axis=0)[0])

    def cdf(self, y):
        return np.take_along_axis(np.cumsum(self.p, axis=0), y.astype(int)[None, :] - 1, axis=0)[0]

    def mean(self):
        return np.arange(1, len(self.p) + 1) @ self.p

    def var(self):
        return np.arange(1, len(self.p) + 1) ** 2 @ self.p - self.mean() ** 2


#: What an outcome says, the parameters that it has with their ranges, and SciPy's distribution of them.
CASES = {
    "normal": ({"mean": "m", "sd": "s"}, {"m": (-2, 2), "s": (0.3, 2)}, lambda m, s: stats.norm(m, s)),
    "lognormal": (
        {"median": "m", "sd": "s"},
        {"m": (0.3, 3), "s": (0.3, 1)},
        lambda m, s: stats.lognorm(s, scale=m),
    ),
    "student": (
        {"mean": "m", "sd": "s", "df": "nu"},
        {"m": (-2, 2), "s": (0.3, 2), "nu": (3, 9)},
        lambda m, s, nu: stats.t(nu, m, s),
    ),
    "bernoulli": ({"probability": "p"}, {"p": (0.1, 0.9)}, lambda p: stats.bernoulli(p)),
    "bernoulli, logit": (
        {"probability": "expit(e)"},
        {"e": (-3, 3)},
        lambda e: stats.bernoulli(special.expit(e)),
    ),
    "bernoulli, probit": (
        {"probability": "normal_cdf(e)"},
        {"e": (-2, 2)},
        lambda e: stats.bernoulli(special.ndtr(e)),
    ),
    "binomial": ({"probability": "p", "trials": 7}, {"p": (0.1, 0.9)}, lambda p: stats.binom(7, p)),
    "binomial, logit": (
        {"probability": "expit(e)", "trials": 7},
        {"e": (-3, 3)},
        lambda e: stats.binom(7, special.expit(e)),
    ),
    "binomial, probit": (
        {"probability": "normal_cdf(e)", "trials": 7},
        {"e": (-2, 2)},
        lambda e: stats.binom(7, special.ndtr(e)),
    ),
    "poisson": ({"rate": "r"}, {"r": (0.2, 6)}, lambda r: stats.poisson(r)),
    "poisson, log": ({"rate": "exp(e)"}, {"e": (-1, 2)}, lambda e: stats.poisson(np.exp(e))),
    "negative_binomial": (
        {"mean": "m", "shape": "k"},
        {"m": (0.3, 6), "k": (0.5, 4)},
        lambda m, k: stats.nbinom(k, k / (k + m)),
    ),
    "ordinal": (
        {"predictor": "e", "cuts": ["c1", "c2", "c3"]},
        {"e": (-2, 2), "c1": (-2, -1), "c2": (-0.5, 0.5), "c3": (1, 2)},
        lambda e, c1, c2, c3: Ordinal(e, (c1, c2, c3)),
    ),
    "exponential": ({"scale": "s"}, {"s": (0.3, 3)}, lambda s: stats.expon(scale=s)),
    "weibull": (
        {"scale": "s", "shape": "k"},
        {"s": (0.3, 3), "k": (0.6, 3)},
        lambda s, k: stats.weibull_min(k, scale=s),
    ),
    "gompertz": (
        {"rate": "r", "shape": "b"},
        {"r": (0.1, 1), "b": (0.2, 2)},
        lambda r, b: stats.gompertz(r / b, scale=1.0 / b),
    ),
}
N = 60


def distribution(case: str) -> str:
    return case.split(",")[0]


def structure(case: str, **more: object) -> Structure:
    """The structure of a model whose arguments are parameters."""
    says = {"distribution": distribution(case), **CASES[case][0], **more}
    model = NonlinearModel(response="y", cluster="id", outcome=says, parameters=dict.fromkeys(CASES[case][1], "real"))
    return structure_of(model, ("",), frozenset())


def parameters(case: str, n: int = N) -> dict[str, np.ndarray]:
    """Parameters (n,) in their ranges."""
    rng = np.random.default_rng(7)
    return {name: rng.uniform(low, high, n) for name, (low, high) in CASES[case][1].items()}


def scipys(case: str, at: dict[str, np.ndarray]):
    return CASES[case][2](**at)


def drawn(case: str, at: dict[str, np.ndarray], seed: int = 1) -> np.ndarray:
    """Responses (n,) as the family draws them."""
    found = structure(case)
    arguments = {name: np.broadcast_to(value(tree, at), (N,)) for name, tree in found.arguments.items()}
    return outcomes.draw(distribution(case), arguments, np.random.default_rng(seed))


def log_density(known, y: np.ndarray) -> np.ndarray:
    return known.logpmf(y) if hasattr(known, "logpmf") else known.logpdf(y)


def test_every_distribution_has_a_case():
    assert {distribution(case) for case in CASES} == set(DISTRIBUTIONS)


@pytest.mark.parametrize("case", CASES)
def test_the_density_is_scipys(case):
    at = parameters(case)
    y = drawn(case, at)
    known = log_density(scipys(case, at), y)
    np.testing.assert_allclose(value(structure(case).log_density, at | {"y": y}), known, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    ("case", "last", "end", "limit"),
    [
        ("student", "nu", lambda m, s: 1e6, lambda m, s, nu: stats.norm(m, s)),
        ("negative_binomial", "k", lambda m: 1e7 * (1.0 + m), lambda m, k: stats.poisson(m)),
    ],
)
def test_the_density_goes_to_its_limit_without_losing_digits(case, last, end, limit):
    """As differences of logarithms of gamma functions it would be off by hundreds, and maxima would lie there."""
    at, found = parameters(case), structure(case).log_density
    y = np.clip(drawn(case, at), -6.0, 6.0)
    for size in (1e9, 1e14, 1e19):
        here = at | {last: np.full(N, size)}
        known = log_density(limit(**here), y)
        np.testing.assert_allclose(value(found, here | {"y": y}), known, atol=1e-6)
    where = np.broadcast_to(end(**{name: values for name, values in at.items() if name != last}), N)
    below, above = (value(found, at | {last: where * (1.0 + off), "y": y}) for off in (-1e-9, 1e-9))
    np.testing.assert_allclose(below, above, atol=1e-6)  # where the series takes over


@pytest.mark.parametrize("case", [case for case in CASES if case != "gompertz"])
def test_mean_and_variance_are_scipys(case):
    at, found = parameters(case), structure(case)
    np.testing.assert_allclose(value(found.mean, at), scipys(case, at).mean(), rtol=1e-12)
    np.testing.assert_allclose(value(found.variance, at), scipys(case, at).var(), rtol=1e-10)


@pytest.mark.parametrize("case", CASES)
def test_the_distribution_function_is_scipys(case):
    at, found = parameters(case), structure(case)
    y = drawn(case, at)
    arguments = {name: np.broadcast_to(value(tree, at), (N,)) for name, tree in found.arguments.items()}
    np.testing.assert_allclose(outcomes.cdf(distribution(case), arguments, y), scipys(case, at).cdf(y), rtol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_draws_are_those_of_the_distribution(case):
    """Their probabilities, made continuous, are uniform: mean and variance within 5 of their standard errors."""
    n = 20_000
    at = {name: np.full(n, values[0]) for name, values in parameters(case).items()}
    arguments = {name: np.broadcast_to(value(tree, at), (n,)) for name, tree in structure(case).arguments.items()}
    y = outcomes.draw(distribution(case), arguments, np.random.default_rng(3))
    known = scipys(case, at)
    above, below = known.cdf(y), known.cdf(y)
    if DISTRIBUTIONS[distribution(case)].is_whole:
        below = above - np.exp(known.logpmf(y))
    uniform = below + (above - below) * np.random.default_rng(4).random(n)
    assert abs(uniform.mean() - 0.5) < 5.0 * np.sqrt(1 / 12 / n)
    assert abs(uniform.var() - 1 / 12) < 5.0 * np.sqrt(1 / 180 / n)


def scores(found: Structure, names: list[str], at: dict[str, np.ndarray], y: np.ndarray) -> np.ndarray:
    """Derivatives (k, n) of the log-density by parameters."""
    h = 1e-5
    return np.array(
        [
            (
                value(found.log_density, at | {"y": y, name: at[name] + h})
                - value(found.log_density, at | {"y": y, name: at[name] - h})
            )
            / (2.0 * h)
            for name in names
        ]
    )


#: The parameters of which the information is a quantity that `information` names, and that quantity.
NAMED = {
    "normal": {"m": "mean", "s": "sd"},
    "lognormal": {"m": "median", "s": "sd"},
    "student": {"m": "mean", "s": "sd", "nu": "df"},
    "bernoulli": {"p": "probability"},
    "bernoulli, logit": {"e": "logit"},
    "bernoulli, probit": {"e": "probit"},
    "binomial": {"p": "probability"},
    "binomial, logit": {"e": "logit"},
    "binomial, probit": {"e": "probit"},
    "poisson": {"r": "rate"},
    "negative_binomial": {"m": "mean", "k": "shape"},
    "exponential": {"s": "scale"},
    "weibull": {"s": "scale", "k": "shape"},
    "ordinal": {"c1": "cuts[1] - predictor", "c2": "cuts[2] - predictor", "c3": "cuts[3] - predictor"},
}


def support(case: str, one) -> tuple[np.ndarray, np.ndarray]:
    """Responses (k,) and their probabilities: all, or the middles of slices."""
    if DISTRIBUTIONS[distribution(case)].is_whole:
        y = np.arange(1.0, 5.0) if distribution(case) == "ordinal" else np.arange(200.0)
        if distribution(case) in ("bernoulli", "binomial"):
            y = np.arange(2.0 if distribution(case) == "bernoulli" else 8.0)
        return y, np.exp(one.logpmf(y))
    y = one.ppf((np.arange(20_000) + 0.5) / 20_000)
    return y, np.full(len(y), 1.0 / len(y))


def check_information(case: str, found: Structure) -> None:
    """It is the variance of the score, at three places."""
    named = NAMED[case]
    for k in range(3):
        point = {name: values[k] for name, values in parameters(case).items()}
        wide = {name: np.full(4, number) for name, number in point.items()} if case == "ordinal" else point
        y, mass = support(case, scipys(case, wide))
        at = {name: np.full(len(y), number) for name, number in point.items()}
        score = scores(found, list(named), at, y)
        outer = (score * mass) @ score.T
        for i, a in enumerate(named.values()):
            for j, b in enumerate(list(named.values())[: i + 1]):
                tree = found.information.get((a, b), found.information.get((b, a)))
                if tree is None:
                    size = np.sqrt(outer[i, i] * outer[j, j])
                    assert {a, b} & set(found.scored) or abs(outer[i, j]) < 1e-6 * size
                    continue
                mean = np.sum(mass * value(tree, at | {"y": y}))
                np.testing.assert_allclose(mean, outer[i, j], rtol=5e-3, atol=1e-9)


@pytest.mark.parametrize("case", NAMED)
def test_the_information_is_the_variance_of_the_score(case):
    check_information(case, structure(case))


@pytest.mark.parametrize("case", NAMED)
def test_an_information_that_is_wrong_by_a_hundredth_is_noticed(case):
    found = structure(case)
    pair, tree = next(iter(found.information.items()))
    mutant = replace(found, information=found.information | {pair: trees.multiply(trees.number(1.01), tree)})
    with pytest.raises(AssertionError):
        check_information(case, mutant)


@pytest.mark.parametrize("case", ["exponential", "weibull", "gompertz", "lognormal"])
def test_a_time_without_event_has_the_survivor_function(case):
    at, found = parameters(case), structure(case, event="status")
    y, status = drawn(case, at), np.arange(N) % 2.0
    known = np.where(status == 1.0, log_density(scipys(case, at), y), scipys(case, at).logsf(y))
    np.testing.assert_allclose(value(found.log_density, at | {"y": y, "status": status}), known, rtol=1e-10)


@pytest.mark.parametrize("case", ["exponential", "weibull", "gompertz", "lognormal"])
def test_a_time_of_0_without_event_says_nothing(case):
    found = structure(case, event="status")
    at = parameters(case) | {"y": np.zeros(N), "status": np.zeros(N)}
    assert np.all(value(found.log_density, at) == 0.0)
    for tree in found.information.values():
        assert np.all(value(tree, at) == 0.0)


@pytest.mark.parametrize("shape", [1e-9, 1e-4, 0.0099, 0.0101, 0.05])
def test_gompertz_hazards_of_small_shapes_keep_their_digits(shape):
    at = {"r": np.array([0.7]), "b": np.array([shape]), "y": np.array([1.0]), "status": np.array([0.0])}
    known = -0.7 * np.expm1(shape) / shape
    np.testing.assert_allclose(value(structure("gompertz", event="status").log_density, at), known, rtol=1e-13)


@pytest.mark.parametrize("case", ["normal", "lognormal"])
def test_beyond_limits_the_density_is_a_distribution_function(case):
    at = parameters(case)
    y, known = drawn(case, at), scipys(case, at)
    low, high = np.quantile(y, 0.3), np.quantile(y, 0.7)
    found = structure(case, lower=float(low), upper="top")
    top = np.full(N, high)
    expected = np.where(y <= low, known.logcdf(low), np.where(y >= high, known.logsf(high), known.logpdf(y)))
    np.testing.assert_allclose(value(found.log_density, at | {"y": y, "top": top}), expected, rtol=1e-11)


@pytest.mark.parametrize("case", ["normal", "lognormal"])
@pytest.mark.parametrize("side", ["lower", "upper"])
def test_the_information_of_a_censored_row_is_the_bend_of_its_density(case, side):
    """In the distance from the limit; that of the distance itself is left out, as in a Gauss-Newton step."""
    at, found = parameters(case), structure(case, **{side: 1.0})
    y = np.ones(N)
    sign = 1.0 if side == "lower" else -1.0
    centre = at["m"] if case == "normal" else np.log(at["m"])
    a = sign * ((1.0 if case == "normal" else 0.0) - centre) / at["s"]
    mills = np.exp(stats.norm.logpdf(a) - special.log_ndtr(a))
    slopes = {"m": -sign / at["s"] / (1.0 if case == "normal" else at["m"]), "s": -a / at["s"]}
    location = "mean" if case == "normal" else "median"
    for pair, (i, j) in {(location, location): "mm", (location, "sd"): "ms", ("sd", "sd"): "ss"}.items():
        expected = mills * (mills + a) * slopes[i] * slopes[j]
        np.testing.assert_allclose(value(found.information[pair], at | {"y": y}), expected, rtol=1e-9)


@pytest.mark.parametrize("case", ["normal", "lognormal"])
def test_between_two_columns_the_density_is_a_difference(case):
    at = parameters(case)
    y, known = drawn(case, at), scipys(case, at)
    low, high = y - 0.1 * np.abs(y), y + 0.2 * np.abs(y)
    low[::7] = high[::7] = y[::7]
    if case == "lognormal":
        low[1::7] = 0.0
    found = structure(case, interval=["low", "high"])
    with np.errstate(divide="ignore"):
        expected = np.where(low < high, np.log(known.cdf(high) - known.cdf(low)), known.logpdf(y))
    at |= {"y": y, "low": low, "high": high}
    np.testing.assert_allclose(value(found.log_density, at), expected, rtol=1e-7, atol=1e-9)


def test_an_interval_far_in_the_tail_keeps_its_digits():
    at = {"m": 0.0, "s": 1.0, "y": np.array([30.5, -30.5]), "low": np.array([30.0, -31.0]), "high": [31.0, -30.0]}
    known = special.log_ndtr(-30.0) + np.log1p(-np.exp(special.log_ndtr(-31.0) - special.log_ndtr(-30.0)))
    found = value(structure("normal", interval=["low", "high"]).log_density, at)
    np.testing.assert_allclose(found, [known, known], rtol=1e-12)


@pytest.mark.parametrize(("case", "y", "far"), [("bernoulli, logit", 1.0, -800.0), ("binomial, logit", 7.0, -800.0),
                                                ("bernoulli, probit", 1.0, -40.0)])  # fmt: skip
def test_links_keep_their_digits_in_the_tails(case, y, far):
    known = {"bernoulli, logit": -800.0, "binomial, logit": -5600.0, "bernoulli, probit": special.log_ndtr(-40.0)}
    assert value(structure(case).log_density, {"e": far, "y": y}) == pytest.approx(known[case], rel=1e-12)


def test_a_log_density_of_ones_own():
    model = NonlinearModel(response="y", cluster="id", outcome={"log_density": "-log(s) - abs(y - mu) / s - log(2)"},
                           parameters={"s": "positive"})  # fmt: skip
    found = structure_of(model, ("",), frozenset())
    at = {"y": np.array([0.3, 2.0]), "s": 0.7, "mu": 1.0}
    np.testing.assert_allclose(value(found.log_density, at), stats.laplace(1.0, 0.7).logpdf(at["y"]))
    assert found.information == found.arguments == {}
    assert found.mean is None and found.variance is None
