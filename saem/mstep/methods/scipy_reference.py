"""SciPy's optimisers with exact derivatives, as references: SLSQP (Kraft 1988) and trust-constr (Lalee et al. 1998).

Both see variables in units of standard errors. They are begun again where they end, with new units, until a round
brings no more: their own tests of convergence know nothing of standard errors.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from saem.mstep import sqp
from saem.mstep.certify import certify, check_positive, scale_of

if TYPE_CHECKING:
    from saem.families.problem import Problem
    from saem.mstep.solver import Derivatives, Search

Array = np.ndarray
OUTSIDE = 1e10  # in place of an objective that is not finite, relative to its size
EDGE = 1e-13  # of its typical size: as near to zero as a standard deviation without a floor may come
STOP = 1e-8  # gradient in standard errors after which no other round is begun


class Scaled:
    """An objective to be minimised and its constraints, in standard errors from a point; remembers the last point."""

    def __init__(self, search: Search) -> None:
        self.search, self.x = search, search.x.copy()
        self.problem = search.solver.problem
        self.index = np.flatnonzero(search.region.free)
        at = search.derivatives(self.x)
        self.value = at.value
        self.scale = scale_of(self.problem, at.hessian)[self.index] if np.isfinite(at.value) else np.ones(0)
        lengths = np.linalg.norm(at.jacobian[:, self.index] * self.scale, axis=1) if len(self.scale) else np.ones(0)
        self.units = np.where(lengths > 0.0, lengths, 1.0)
        self.last: tuple[Array, Derivatives] | None = None

    def point(self, u: Array) -> Array:
        """Parameters (n,) at coordinates (k,)."""
        out = self.x.copy()
        out[self.index] += self.scale * u
        return out

    def at(self, u: Array) -> Derivatives:
        if self.last is None or not np.array_equal(self.last[0], u):
            self.last = u.copy(), self.search.derivatives(self.point(u))
        return self.last[1]

    def minus(self, u: Array) -> float:
        value = self.at(u).value
        return -value if np.isfinite(value) else OUTSIDE * (1.0 + abs(self.value))

    def slope(self, u: Array) -> Array:
        return finite(-self.at(u).gradient[self.index] * self.scale)

    def curvature(self, u: Array) -> Array:
        return finite(-self.block(self.at(u).hessian))

    def block(self, hessian: Array) -> Array:
        return np.asarray(hessian[np.ix_(self.index, self.index)] * np.outer(self.scale, self.scale))

    def residuals(self, u: Array) -> Array:
        return finite(self.problem.constraints.evaluate(self.point(u))[0] / self.units)

    def jacobian(self, u: Array) -> Array:
        rows = self.problem.constraints.evaluate(self.point(u))[1]
        return finite(rows[:, self.index] * self.scale / self.units[:, None])

    def bend(self, u: Array, weights: Array) -> Array:
        """Hessian (k, k) of the weighted sum of the residuals."""
        hessians = self.problem.constraints.evaluate(self.point(u))[2]
        return finite(self.block(np.tensordot(weights / self.units, hessians, axes=1)))


def finite(values: Array) -> Array:
    """The values, with a large number in place of what is not finite, which SciPy would stumble over."""
    return np.asarray(np.nan_to_num(values, nan=OUTSIDE, posinf=OUTSIDE, neginf=-OUTSIDE).clip(-OUTSIDE, OUTSIDE))


class InRounds:
    """A method that is called again from where it ended, until the compiled code is content or sees no progress."""

    single_step: ClassVar[bool] = False
    words: ClassVar[str]
    rounds: int

    def __post_init__(self) -> None:
        check_positive(self.words, rounds=self.rounds)

    def check(self, problem: Problem) -> None:
        """Any problem will do."""

    def minimise(self, scaled: Scaled, limit: int) -> tuple[Array, int]:
        """Where one round ends (k,), and its iterations, of which ``limit`` are allowed."""
        raise NotImplementedError

    def maximise(self, search: Search) -> sqp.SearchResult:
        """Maximise from ``search.x``, which is overwritten; see `saem.mstep.solver.Maximiser.maximise`."""
        x, iterations = search.x, 0
        best: tuple[float, Array, sqp.SearchResult] | None = None
        for _ in range(self.rounds):
            scaled = Scaled(search)
            if not np.isfinite(scaled.value):
                break
            try:
                u, used = self.minimise(scaled, search.max_iterations - iterations)
            except (ValueError, np.linalg.LinAlgError):  # SciPy's linear algebra, at points far outside the region
                break
            iterations += used
            x[:] = scaled.point(u)
            result = certify(search, iterations)
            if result.status == sqp.COLLAPSED:
                return result
            error = max(result.stationarity, float(np.max(np.abs(scaled.residuals(u)), initial=0.0)))
            improved = best is None or error < 0.5 * best[0]
            if best is None or error < best[0]:
                best = error, x.copy(), result
            if error <= max(search.tolerance, STOP) or not improved or iterations >= search.max_iterations:
                break
        if best is None:
            return certify(search, iterations)
        x[:] = best[1]
        return best[2]._replace(iterations=iterations)


def bounds_of(search: Search) -> tuple[Array, Array]:
    """Lower and upper bounds (n,): a little below the floors, so that a search that ends there has passed them."""
    floor, domains = search.region.floor, search.region.domains
    margin = np.where(floor > 0.0, 0.999 * floor, EDGE * search.solver.problem.scale)
    return domains.low + margin, domains.high - margin


@dataclass(frozen=True)
class SLSQP(InRounds):
    """Sequential least squares with updates of the Hessian, ``scipy.optimize.minimize(method="SLSQP")``.

    Attributes
    ----------
    rounds : int
        How often it is begun at most.
    """

    rounds: int = 10
    name: ClassVar[str] = "slsqp"
    words: ClassVar[str] = "SLSQP"

    def maximise(self, search: Search) -> sqp.SearchResult:
        """See `InRounds.maximise`; the start is moved between the bounds."""
        free, (lower, upper) = search.region.free, bounds_of(search)
        search.x[free] = np.clip(search.x, lower, upper)[free]
        return super().maximise(search)

    def minimise(self, scaled: Scaled, limit: int) -> tuple[Array, int]:
        """See `InRounds.minimise`."""
        from scipy.optimize import minimize

        ends = [(end - scaled.x)[scaled.index] / scaled.scale for end in bounds_of(scaled.search)]
        found = minimize(
            scaled.minus,
            np.zeros(len(scaled.index)),
            jac=scaled.slope,
            method="SLSQP",
            bounds=list(zip(*ends, strict=True)),
            constraints=[{"type": "eq", "fun": scaled.residuals, "jac": scaled.jacobian}],
            options={"ftol": 1e-15, "maxiter": limit},
        )
        return found.x, int(found.nit)


@dataclass(frozen=True)
class TrustConstr(InRounds):
    """The trust-region method with exact Hessians, ``scipy.optimize.minimize(method="trust-constr")``.

    Bounds would turn it into an interior-point method, which ends short of the maximum; instead the objective is
    infinitely bad outside, and the search ends where it passes a floor.

    Attributes
    ----------
    rounds : int
        How often it is begun at most.
    """

    rounds: int = 5
    name: ClassVar[str] = "trust_constr"
    words: ClassVar[str] = "trust-constr"

    def minimise(self, scaled: Scaled, limit: int) -> tuple[Array, int]:
        """See `InRounds.minimise`."""
        from scipy.optimize import NonlinearConstraint, minimize

        def has_passed(u: Array, state: Any) -> bool:
            return scaled.search.region.is_below_floor(scaled.point(u))

        equal = NonlinearConstraint(scaled.residuals, 0.0, 0.0, jac=scaled.jacobian, hess=scaled.bend)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a singular Jacobian: `certify` says what came of it
            found = minimize(
                scaled.minus,
                np.zeros(len(scaled.index)),
                jac=scaled.slope,
                hess=scaled.curvature,
                method="trust-constr",
                constraints=[equal] if len(scaled.problem.constraints) else [],
                callback=has_passed,
                options={"gtol": 1e-9, "xtol": 1e-13, "maxiter": max(1, limit), "initial_tr_radius": 10.0},
            )
        return found.x, int(found.nit)
