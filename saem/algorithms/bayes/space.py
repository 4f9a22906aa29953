"""The coordinates of a posterior: priors, transforms, and what the constraints determine."""

from __future__ import annotations

import math

import numpy as np

from saem.algorithms.bayes import density
from saem.algorithms.bayes.density import Space
from saem.errors import ModelError, listing
from saem.families.problem import Problem
from saem.mstep.methods.elimination import Explicit
from saem.specification.priors import Prior, parse_prior

Array = np.ndarray

INSIDE = 0.01  # of a typical size, or of the width of an interval: no start is nearer to a bound


def priors_of(problem: Problem, plan: tuple[Explicit, ...]) -> dict[str, str]:
    """The priors of the independent parameters: the model's own, and defaults for the others.

    Raises
    ------
    ModelError
        When the family has no defaults and the model names none, or the response does not vary.
    """
    determined = {e.parameter for e in plan}
    parameters = problem.parameters
    independent = [i for i in np.flatnonzero(~parameters.fixed) if i not in determined]
    missing = [parameters.names[i] for i in independent if parameters.names[i] not in problem.priors.named]
    if missing and problem.priors.default is None:
        raise ModelError(f"the family of the model has no default priors: write one in [priors] for {listing(missing)}")
    defaults = () if problem.priors.default is None else problem.priors.default()
    return {
        name: problem.priors.named[name] if name in problem.priors.named else defaults[i]
        for i, name in ((int(i), parameters.names[i]) for i in independent)
    }


def space_of(problem: Problem, plan: tuple[Explicit, ...], priors: dict[str, str], near: Array) -> Space:
    """The coordinates, as the compiled density wants them.

    Parameters
    ----------
    plan : tuple of Explicit
        What the constraints determine.
    priors : dict of str to str
        Of the independent parameters.
    near : (n,) ndarray
        Where implicit constraints are solved: at the root nearest to these values.

    Raises
    ------
    ModelError
        When three or more random effects are correlated.
    """
    parameters = problem.parameters
    for _, correlations in problem.boundary.blocks:
        partners = np.sum(correlations >= 0, axis=1)
        if np.any(partners > 1):
            raise ModelError(
                f"method 'bayes' knows correlations of two random effects; got {partners.max() + 1} correlated terms. "
                "Use covariance = 'diagonal', pairs, or fewer terms"
            )
    index = np.array([parameters.index(name) for name in priors], dtype=np.int64)
    d = len(index)
    low, high, numbers, constant = np.empty(d), np.empty(d), np.zeros((d, 3)), np.empty(d)
    transform, shape = np.empty(d, dtype=np.int64), np.empty(d, dtype=np.int64)
    for k, (i, text) in enumerate(zip(index, priors.values(), strict=True)):
        prior, domain = parse_prior(text), parameters.domains[i]
        low[k], high[k] = max(domain.low, prior.support[0]), min(domain.high, prior.support[1])
        bounds = int(np.isfinite(low[k])) + int(np.isfinite(high[k]))
        transform[k] = (density.IDENTITY, density.ABOVE, density.BETWEEN)[bounds]
        shape[k], numbers[k], constant[k] = compiled_form(prior)
    bounds_of = np.isfinite(parameters.domains.low).astype(np.int64) + np.isfinite(parameters.domains.high)
    parameter = np.array([e.parameter for e in plan], dtype=np.int64)
    return Space(
        free=index,
        transform=transform,
        low=low,
        high=high,
        prior=shape,
        numbers=numbers,
        constant=constant,
        base=np.where(parameters.fixed, parameters.fixed_values, 0.0),
        constraint=np.array([e.constraint for e in plan], dtype=np.int64),
        parameter=parameter,
        sign=np.array([e.sign for e in plan], dtype=float),
        anchor=np.array([anchor_of(problem, int(i), float(near[i])) for i in parameter]),
        scale=problem.scale[parameter].astype(float),
        kind=bounds_of[parameter],
    )


def compiled_form(prior: Prior) -> tuple[int, Array, float]:
    """The shape of a log density, its numbers (3,) and its normalising constant."""
    a, b, c = (*prior.numbers, 0.0, 0.0)[:3]
    half = math.log(2.0) if prior.name.startswith("half_") else 0.0
    match prior.name:
        case "normal" | "half_normal":
            mean, sd = (0.0, a) if half else (a, b)
            return density.NORMAL, np.array([mean, sd, 0.0]), half - math.log(sd) - 0.5 * math.log(2.0 * math.pi)
        case "student_t" | "half_student_t" | "half_cauchy":
            df, location, scale = {"student_t": (a, b, c), "half_student_t": (a, 0.0, b)}.get(prior.name, (1.0, 0.0, a))
            shape = math.lgamma(0.5 * (df + 1.0)) - math.lgamma(0.5 * df) - 0.5 * math.log(df * math.pi)
            return density.STUDENT, np.array([df, location, scale]), half + shape - math.log(scale)
        case "exponential":
            return density.EXPONENTIAL, np.array([a, 0.0, 0.0]), math.log(a)
        case "lognormal":
            return density.LOGNORMAL, np.array([a, b, 0.0]), -math.log(b) - 0.5 * math.log(2.0 * math.pi)
        case "gamma":
            return density.GAMMA, np.array([a, b, 0.0]), a * math.log(b) - math.lgamma(a)
        case "inverse_gamma":
            return density.INVERSE_GAMMA, np.array([a, b, 0.0]), a * math.log(b) - math.lgamma(a)
        case "uniform":
            return density.FLAT, np.zeros(3), -math.log(b - a)
    beta = 2.0 * math.lgamma(a) - math.lgamma(2.0 * a)  # (1 - r^2)^(a - 1) = 4^(a - 1) times that of a beta variable
    return density.LKJ, np.array([a, 0.0, 0.0]), -beta - (2.0 * a - 1.0) * math.log(2.0)


def anchor_of(problem: Problem, i: int, value: float) -> float:
    """Where a root is looked for first: a value, moved away from the bounds of its kind."""
    domain = problem.parameters.domains[i]
    if domain.low == -math.inf:
        return value
    if domain.high == math.inf:
        return max(value, domain.low + INSIDE * float(problem.scale[i]))
    return min(max(value, domain.low + INSIDE), domain.high - INSIDE)


def coordinates(problem: Problem, space: Space, x: Array) -> Array:
    """The coordinates (d,) of parameters (n,); those at a bound, or beyond, are moved inside."""
    values, typical = x[space.free], problem.scale[space.free]
    u = values.copy()
    above, between = space.transform == density.ABOVE, space.transform == density.BETWEEN
    u[above] = np.log(np.maximum(values - space.low, INSIDE * typical)[above])
    share = np.clip((values[between] - space.low[between]) / (space.high - space.low)[between], INSIDE, 1.0 - INSIDE)
    u[between] = np.log(share / (1.0 - share))
    return np.asarray(u)
