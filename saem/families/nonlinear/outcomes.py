"""Responses drawn from a distribution, their distribution functions, and responses that mean nothing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from saem.errors import ModelError
from saem.families.nonlinear.distributions import DISTRIBUTIONS

Floats = NDArray[np.float64]


def placeholder(distribution: str | None, n: int) -> Floats:
    """Responses (n,) that a distribution can give and that mean nothing, for what only looks at a design."""
    if distribution is None or not (DISTRIBUTIONS[distribution].is_whole or DISTRIBUTIONS[distribution].is_time):
        return np.random.default_rng(0).standard_normal(n)
    about = DISTRIBUTIONS[distribution]
    lowest = 0.0 if about.is_whole and not about.has_cuts else 1.0
    return np.asarray(lowest + np.arange(n) % 2, dtype=np.float64)


def placeholder_between(low: Floats, high: Floats) -> Floats:
    """Responses (n,) that mean nothing and lie in intervals."""
    share = 0.4 + 0.2 * (np.arange(len(low)) % 2)
    with np.errstate(invalid="ignore"):
        return np.where(low < high, low + share * (high - low), low)


def draw(distribution: str | None, arguments: Mapping[str, Floats], rng: np.random.Generator) -> Floats:
    """Responses (n,), not censored: times to an event are the times of the event.

    Parameters
    ----------
    distribution : str
    arguments : mapping of str to ndarray
        (n,) those of the distribution, ``trials`` and ``cuts[k]`` among them; others are not used.
    rng : Generator

    Raises
    ------
    ModelError
        Where no response can be drawn.
    """
    get = arguments.__getitem__
    match distribution:
        case "normal":
            return rng.normal(get("mean"), _positive(arguments, "sd"))
        case "lognormal":
            return rng.lognormal(np.log(_positive(arguments, "median")), _positive(arguments, "sd"))
        case "student":
            return get("mean") + _positive(arguments, "sd") * rng.standard_t(_positive(arguments, "df"))
        case "bernoulli":
            return rng.binomial(1, _chance(arguments)).astype(np.float64)
        case "binomial":
            return rng.binomial(get("trials").astype(np.int64), _chance(arguments)).astype(np.float64)
        case "poisson":
            return _poisson(get("rate"), "rate", rng)
        case "negative_binomial":
            shape = _positive(arguments, "shape")
            return _poisson(rng.gamma(shape, get("mean") / shape), "mean", rng)
        case "ordinal":
            logistic = get("predictor") + rng.logistic(size=get("predictor").shape)
            return np.asarray(1.0 + np.sum([logistic > cut for cut in _cuts(arguments)], axis=0))
        case "exponential":
            return rng.exponential(_positive(arguments, "scale"))
        case "weibull":
            return _positive(arguments, "scale") * rng.weibull(_positive(arguments, "shape"))
        case "gompertz":
            shape = _positive(arguments, "shape")
            hazard = rng.standard_exponential(shape.shape)
            return np.asarray(np.log1p(hazard * shape / _positive(arguments, "rate")) / shape)
    raise ModelError("responses with a log_density of your own cannot be drawn; name a distribution")


def cdf(distribution: str | None, arguments: Mapping[str, Floats], response: Floats) -> Floats:
    """``P(Y <= y)`` (n,) at responses (n,), for quantile residuals; see `draw`.

    Raises
    ------
    ModelError
        Where there is none.
    """
    from scipy import special

    get = arguments.__getitem__
    with np.errstate(divide="ignore", over="ignore"):
        match distribution:
            case "normal":
                return np.asarray(special.ndtr((response - get("mean")) / get("sd")))
            case "lognormal":
                distance = (np.log(np.maximum(response, 0.0)) - np.log(get("median"))) / get("sd")
                return np.asarray(special.ndtr(distance))
            case "student":
                return np.asarray(special.stdtr(get("df"), (response - get("mean")) / get("sd")))
            case "bernoulli":
                return np.select([response < 0.0, response < 1.0], [0.0, 1.0 - get("probability")], 1.0)
            case "binomial":
                trials = get("trials").astype(np.int64)
                below = special.bdtr(np.clip(np.floor(response), 0.0, trials), trials, get("probability"))
                return np.where(response < 0.0, 0.0, below)
            case "poisson":
                return np.where(response < 0.0, 0.0, special.pdtr(np.maximum(np.floor(response), 0.0), get("rate")))
            case "negative_binomial":
                shape, count = get("shape"), np.maximum(np.floor(response), 0.0)
                below = special.betainc(shape, count + 1.0, shape / (shape + get("mean")))
                return np.where(response < 0.0, 0.0, below)
            case "ordinal":
                cuts = [np.full(response.shape, -np.inf), *_cuts(arguments), np.full(response.shape, np.inf)]
                position = np.clip(np.floor(response), 0, len(cuts) - 1).astype(np.int64)
                cut = np.take_along_axis(np.stack(cuts), position[None, :], axis=0)[0]
                return np.asarray(special.expit(cut - get("predictor")))
            case "exponential":
                return -np.expm1(-np.maximum(response, 0.0) / get("scale"))
            case "weibull":
                return -np.expm1(-((np.maximum(response, 0.0) / get("scale")) ** get("shape")))
            case "gompertz":
                shape = get("shape")
                return -np.expm1(-get("rate") / shape * np.expm1(shape * np.maximum(response, 0.0)))
    raise ModelError("a log_density of your own has no distribution function; name a distribution")


def _cuts(arguments: Mapping[str, Floats]) -> list[Floats]:
    """The cuts (n,) in order."""
    found: list[Floats] = []
    while f"cuts[{len(found) + 1}]" in arguments:
        found.append(arguments[f"cuts[{len(found) + 1}]"])
    return found


def _positive(arguments: Mapping[str, Floats], name: str) -> Floats:
    """An argument that must be positive."""
    return _within(arguments, name, arguments[name] > 0.0, "positive")


def _chance(arguments: Mapping[str, Floats]) -> Floats:
    """A probability."""
    p = arguments["probability"]
    return _within(arguments, "probability", (p >= 0.0) & (p <= 1.0), "between 0 and 1")


def _within(arguments: Mapping[str, Floats], name: str, good: NDArray[np.bool_], wanted: str) -> Floats:
    values = arguments[name]
    if not good.all():
        bad = values[np.argmin(good)]
        raise ModelError(
            f"the {name} of the outcome must be {wanted} in every row; got {bad:g} in {int((~good).sum())} rows at "
            "these parameters, so that no response can be drawn"
        )
    return values


def _poisson(rate: Floats, name: str, rng: np.random.Generator) -> Floats:
    """Counts, where the rates are such that a computer can hold them."""
    good = (rate >= 0.0) & (rate < 1e18)
    return rng.poisson(_within({name: rate}, name, good, "0 or larger, and below 1e18")).astype(np.float64)
