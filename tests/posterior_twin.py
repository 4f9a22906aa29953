"""The log posterior density written from its definition: dense matrices, scipy.stats, and roots by bisection.

Nothing here is shared with `saem`. Coordinates are those of the independent parameters, in their order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from naive import Dense, marginal
from scipy import stats
from scipy.optimize import brentq

Array = np.ndarray
Solve = Callable[[dict[str, float]], dict[str, float]]

DISTRIBUTIONS: dict[str, Callable[..., Any]] = {
    "normal": lambda m, s: stats.norm(m, s),
    "student_t": lambda df, m, s: stats.t(df, m, s),
    "half_normal": lambda s: stats.halfnorm(scale=s),
    "half_cauchy": lambda s: stats.halfcauchy(scale=s),
    "exponential": lambda rate: stats.gamma(1.0, scale=1.0 / rate),
    "lognormal": lambda m, s: stats.lognorm(s, scale=np.exp(m)),
    "gamma": lambda shape, rate: stats.gamma(shape, scale=1.0 / rate),
    "inverse_gamma": lambda shape, scale: stats.invgamma(shape, scale=scale),
    "uniform": lambda a, b: stats.uniform(a, b - a),
}


def log_density(prior: tuple[Any, ...], x: float) -> float:
    """Of a prior ``(name, number, ...)``, normalised."""
    name, *numbers = prior
    if name == "half_student_t":
        return float(np.log(2.0) + stats.t(numbers[0], 0.0, numbers[1]).logpdf(x))
    if name == "lkj":  # normalised by quadrature
        v = np.linspace(-40.0, 40.0, 200_001)  # r = tanh(v), dr = (1 - r^2) dv
        area = np.trapezoid(np.cosh(v) ** (-2.0 * numbers[0]), v)
        return float((numbers[0] - 1.0) * np.log(1.0 - x**2) - np.log(area))
    return float(DISTRIBUTIONS[name](*numbers).logpdf(x))


def bounds(prior: tuple[Any, ...], kind: str) -> tuple[float, float]:
    """Between which numbers a parameter lies."""
    if prior[0] == "uniform":
        return prior[1], prior[2]
    if kind == "corr":
        return -1.0, 1.0
    return (-np.inf, np.inf) if prior[0] in ("normal", "student_t") else (0.0, np.inf)


@dataclass(frozen=True, eq=False)
class Twin:
    """The posterior of a dense model.

    Attributes
    ----------
    dense : Dense
    priors : dict of str to tuple
        Of the independent parameters, in the order of the coordinates.
    kinds : dict of str to str
    solve : callable
        From the independent parameters by name to those that the constraints determine, and the fixed ones.
    jacobian : bool
        False makes a mutant, which forgets that the coordinates are not the parameters.
    """

    dense: Dense
    priors: dict[str, tuple[Any, ...]]
    kinds: dict[str, str]
    solve: Solve
    jacobian: bool = True

    def parameters(self, u: Array) -> tuple[dict[str, float], float]:
        """All parameters, and the logarithm of the Jacobian."""
        x, log_jacobian = {}, 0.0
        for value, (name, prior) in zip(u, self.priors.items(), strict=True):
            low, high = bounds(prior, self.kinds[name])
            if np.isfinite(high):
                x[name] = low + (high - low) / (1.0 + np.exp(-value))
                log_jacobian += np.log((x[name] - low) * (high - x[name]) / (high - low))
            elif np.isfinite(low):
                x[name] = low + np.exp(value)
                log_jacobian += value
            else:
                x[name] = value
        return x | self.solve(x), log_jacobian

    def likelihood(self, x: dict[str, float]) -> float:
        """Marginal log-likelihood."""
        return float(marginal(self.dense, np.array([x[name] for name in self.dense.names])))

    def value(self, u: Array) -> float:
        """The log posterior density."""
        x, log_jacobian = self.parameters(u)
        priors = sum(log_density(prior, x[name]) for name, prior in self.priors.items())
        return self.likelihood(x) + priors + self.jacobian * log_jacobian

    def gradient(self, u: Array, step: float = 2e-3) -> Array:
        """By central differences, extrapolated twice (Richardson)."""
        return differences(self.value, u, step)

    def frozen_gradient(self, u: Array, step: float = 2e-3) -> Array:
        """A mutant: what the constraints determine does not move."""
        held = self.solve(self.parameters(u)[0])
        return differences(Twin(self.dense, self.priors, self.kinds, lambda x: held).value, u, step)


def differences(function: Callable[[Array], float], u: Array, step: float) -> Array:
    """Gradient by central differences with three steps; the error is of the sixth order."""

    def at(h: float) -> Array:
        return np.array([(function(u + e) - function(u - e)) / (2.0 * h) for e in h * np.eye(len(u))])

    coarse, middle, fine = at(step), at(step / 2.0), at(step / 4.0)
    first, second = (4.0 * middle - coarse) / 3.0, (4.0 * fine - middle) / 3.0
    return np.asarray((16.0 * second - first) / 15.0)


def root(function: Callable[[float], float], low: float, high: float) -> float:
    """Of a function that changes its sign."""
    return float(brentq(function, low, high, xtol=1e-14, rtol=1e-14))


def as_text(prior: tuple[Any, ...]) -> str:
    """As a model file has it."""
    return f"{prior[0]}({', '.join(map(repr, prior[1:]))})"
