"""The peptide model as a curved exponential family, with links written out: twins of the paper's section 2.

Nothing here is shared with `saem`: marginal likelihood, conditional moments and derivatives are those of `naive`, and
maxima on the constraint are found by SLSQP and polished by Newton's method on the equations of Lagrange.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pandas as pd
from designs import peptide_columns, peptide_dense, peptide_table
from naive import Dense, expected_statistics, gradient, hessian, marginal, statistics_covariance
from scipy.optimize import minimize

Array = np.ndarray
LN2 = np.log(2.0)
NAMES = ("mu", "c2", "alpha2", "b21", "b22", "sigma1", "sigma2", "sigma")
MEANS, SD1, SD2, SD = slice(0, 5), 5, 6, 7
SIZE = 8  # statistics of uncentred random effects: X'(y - Z theta), |y - Z theta|^2, two sums of theta^2
TRUTH = np.array([10.0, 1.3, -1.0, 0.5, 1.2, 0.6, 0.8, 0.4])


def ratio(x: Array) -> Any:
    """``C`` of the paper."""
    return np.exp(LN2**2 / 2.0 * (x[SD2] ** 2 - x[SD1] ** 2))


def power(exponent: Any) -> Any:
    return np.exp(LN2 * exponent)


def g(x: Array) -> Any:
    return ratio(x) * (1.0 + power(x[4])) / (1.0 + power(x[3]))


def posted(x: Array) -> Any:
    return x[1] - g(x)


def log2(x: Array) -> Any:
    return x[1] - np.log(g(x)) / LN2


def conservation(x: Array) -> Any:
    amount = (1.0 + power(x[2])) / (power(x[3]) + power(x[2] + x[4])) / ratio(x)
    return x[1] - np.log(amount) / LN2


LINKS = {"posted": posted, "log2": log2, "conservation": conservation}


def rough_hessian(function: Callable[[Array], Any], x: Array) -> Array:
    """Good to some eight digits, which Newton's method does not need."""
    h = 1e-5
    out = np.array([gradient(function, x + e) - gradient(function, x - e) for e in h * np.eye(len(x))]) / (2.0 * h)
    return 0.5 * (out + out.T)


@dataclass(frozen=True, eq=False)
class Case:
    """A table with a link and with interactions that are held at zero; both are equations ``c(x) = 0``."""

    link: str
    held: tuple[int, ...]
    table: pd.DataFrame
    dense: Dense

    def constraint(self, x: Array) -> Array:
        return np.array([LINKS[self.link](x), *(x[i] for i in self.held)])

    def jacobian(self, x: Array) -> Array:
        return np.array([gradient(lambda p, j=j: self.constraint(p)[j], x) for j in range(1 + len(self.held))])

    def curvature(self, x: Array, multipliers: Array) -> Array:
        """Hessian of ``lambda'c``."""
        return hessian(lambda p: multipliers @ self.constraint(p), x)

    def loglik(self, x: Array) -> Any:
        return marginal(self.dense, x)

    def tangent(self, x: Array) -> Array:
        """A basis (p, p - r) of the null space of the constraint's Jacobian."""
        jacobian = self.jacobian(x)
        return np.linalg.svd(jacobian)[2][len(jacobian) :].T

    # The exponential family: L(s; x) = -psi(x) + <s, phi(x)>, with s as of `naive.statistics` without centring.

    def phi(self, x: Array) -> Array:
        return np.array([*(x[MEANS] / x[SD] ** 2), -0.5 / x[SD] ** 2, -0.5 / x[SD1] ** 2, -0.5 / x[SD2] ** 2])

    def psi(self, x: Array) -> Any:
        mean = self.dense.mean_design @ x[MEANS]
        sizes = np.bincount(self.dense.group)
        total = 0.5 * (mean @ mean) / x[SD] ** 2 + 0.5 * len(mean) * np.log(2.0 * np.pi * x[SD] ** 2)
        return total + sum(0.5 * n * np.log(2.0 * np.pi * x[i] ** 2) for n, i in zip(sizes, (SD1, SD2), strict=True))

    def complete(self, s: Array, x: Array) -> Any:
        """``L(s; x)``."""
        return -self.psi(x) + s @ self.phi(x)

    def phi_jacobian(self, x: Array) -> Array:
        return np.array([gradient(lambda p, j=j: self.phi(p)[j], x) for j in range(8)])

    def expected(self, x: Array) -> Array:
        """``E[S | y]``."""
        return expected_statistics(self.dense, x, np.zeros(5))[:SIZE]

    def covariance(self, x: Array) -> Array:
        """``Cov(S | y)``."""
        return statistics_covariance(self.dense, x, np.zeros(5))[:SIZE, :SIZE]

    def multipliers(self, x: Array, slope: Array) -> Array:
        """Of Lagrange, by least squares from a gradient."""
        return np.linalg.lstsq(self.jacobian(x).T, -slope, rcond=None)[0]

    def polish(self, function: Callable[[Array], Any], x: Array, steps: int = 30) -> Array:
        """The stationary point of a function on the constraint near ``x``, by Newton's method."""
        multipliers = self.multipliers(x, gradient(function, x))
        r = len(multipliers)
        for _ in range(steps):
            jacobian = self.jacobian(x)
            residual = np.concatenate([gradient(function, x) + jacobian.T @ multipliers, self.constraint(x)])
            curved = rough_hessian(lambda p, held=multipliers: function(p) + held @ self.constraint(p), x)
            matrix = np.block([[curved, jacobian.T], [jacobian, np.zeros((r, r))]])
            step = np.linalg.solve(matrix, -residual)
            x, multipliers = x + step[:8], multipliers + step[8:]
            if np.max(np.abs(step[:8])) < 1e-11:
                return x
        raise ArithmeticError("Newton's method has not converged")  # no AssertionError: mutants are to fail by checks

    def maximise(self, function: Callable[[Array], Any], start: Array) -> Array:
        """A maximum on the constraint, by SLSQP."""
        found = minimize(
            lambda p: -float(np.real(function(p))),
            start,
            jac=lambda p: -gradient(function, p),
            constraints={"type": "eq", "fun": self.constraint, "jac": self.jacobian},
            bounds=[(None, None)] * 5 + [(0.02, 10.0)] * 3,
            method="SLSQP",
            options={"maxiter": 500, "ftol": 1e-12},
        )
        return self.polish(function, found.x)

    @cached_property
    def maximum(self) -> Array:
        """The maximum of the likelihood on the constraint: the best of several starts."""
        starts = [TRUTH, np.array([10.0, 0.5, -1.0, 0.0, 0.0, 0.5, 0.5, 0.5])]
        found = [self.maximise(self.loglik, start) for start in starts]
        return max(found, key=self.loglik)

    def m_step(self, s: Array) -> Array:
        """``argmax L(s; x)`` on the constraint, near the maximum."""
        return self.polish(lambda p: self.complete(s, p), self.maximum.copy())

    def mean_field(self, s: Array) -> Array:
        """``h(s)``."""
        return self.expected(self.m_step(s)) - s

    def decoupled(self, s: Array) -> Array:
        """A wrong M-step that drops information: SDs of random effects from their own moments, and the rest follows."""
        sizes = np.bincount(self.dense.group)
        sds = np.sqrt(s[6:8] / sizes)

        def held(p: Array) -> Any:  # a stiff spring instead of two more equations
            return self.complete(s, p) - 1e7 * ((p[SD1] - sds[0]) ** 2 + (p[SD2] - sds[1]) ** 2)

        start = self.maximum.copy()
        start[[SD1, SD2]] = sds
        start[1] -= LINKS[self.link](start)
        return self.polish(held, start)


CASES = {
    "posted": ("posted", ()),
    "posted, b21 = 0": ("posted", (3,)),
    "posted, additive": ("posted", (3, 4)),
    "log2": ("log2", ()),
    "log2, b21 = 0": ("log2", (3,)),
    "log2, additive": ("log2", (3, 4)),
    "conservation, b21 = 0": ("conservation", (3,)),
    "conservation, additive": ("conservation", (3, 4)),
}
SATURATED = ("posted", "log2")
OVERIDENTIFIED = tuple(name for name in CASES if name not in SATURATED)


def dense_of(table: pd.DataFrame) -> Dense:
    return peptide_dense(table, peptide_columns(table), NAMES)


@lru_cache(maxsize=64)
def case(name: str, seed: int = 4) -> Case:
    """A small unbalanced table under one of the links; seeds 1 to 10 have clearly interior maxima under all."""
    link, held = CASES[name]
    rng = np.random.default_rng([6, seed])
    sizes = dict(zip(NAMES, map(float, TRUTH), strict=True)) | {"c2": 0.8, "b21": 0.0, "b22": 0.4}
    table = peptide_table(rng, replicates=(14, 12), missing=0.15, **sizes)
    return Case(link, held, table, dense_of(table))


def random_point(rng: np.random.Generator) -> Array:
    """Parameters away from every maximum and constraint."""
    return np.concatenate([TRUTH[:5] + rng.normal(0.0, 1.0, 5), rng.uniform(0.3, 1.5, 3)])
