"""The objective with penalties on the constraints, and the augmented Lagrangian, are maximised here by `newton`.

Residuals are penalised in units of the standard errors of the constraints (given the scales of the parameters), so that
neither the units of the response nor those of a constraint matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from saem.mstep.certify import scale_of
from saem.mstep.methods.newton import Ascent, Local, ascend
from saem.mstep.region import Region

if TYPE_CHECKING:
    from saem.mstep.solver import Derivatives, Solver

Array = np.ndarray
TINY = 1e-100  # a constraint whose gradient is shorter has no standard error


class PathPoint(NamedTuple):
    """A maximiser under a penalty is a point of its path.

    Attributes
    ----------
    weight : float
        ``lambda``, in the units of the multipliers (l1) or of multipliers by residuals (quadratic).
    x : (n,) ndarray
    residuals : (m,) ndarray
        ``c(x)``.
    value : float
        The objective, without the penalty.
    gap : float
        Distance from stationarity of the penalised objective, in standard errors.
    """

    weight: float
    x: Array
    residuals: Array
    value: float
    gap: float


class Penalised:
    """Maximises penalised objectives over the free parameters.

    Parameters
    ----------
    solver : Solver
    objective : CompleteData, Observed or Restricted
    x : (n,) ndarray
        Values of the parameters that do not move.
    region : Region
    """

    def __init__(self, solver: Solver, objective: Any, x: Array, region: Region) -> None:
        self.solver, self.objective, self.base, self.region = solver, objective, x.copy(), region
        self.index = np.flatnonzero(region.free)

    def look(self, u: Array) -> tuple[Array, Derivatives] | None:
        """The point (n,) where the free parameters are ``u``, and the derivatives there; None outside the domain."""
        point = self.base.copy()
        point[self.index] = u
        if not self.region.room(point).min(initial=np.inf) > 0.0:
            return None
        at = self.solver.derivatives(self.objective, point, self.region.free)
        return (point, at) if np.isfinite(at.value) else None

    def standard_errors(self, x: Array) -> Array | None:
        """Units (m,) of the constraints, and `Solver.multipliers` at a point; None where it is not finite."""
        at = self.solver.derivatives(self.objective, x, self.region.free)
        if not np.isfinite(at.value):
            return None
        scale = scale_of(self.solver.problem, at.hessian)[self.index]
        lengths: Array = np.linalg.norm(at.jacobian[:, self.index] * scale, axis=1)
        return np.where(lengths > TINY, lengths, 1.0)

    def augmented(
        self, x: Array, multipliers: Array, weights: Array, tolerance: float, max_iterations: int
    ) -> Ascent | None:
        """Maximise ``f + y'c - 1/2 sum_k w_k c_k^2``; with ``y = 0`` this is the quadratic penalty.

        Parameters
        ----------
        x : (n,) ndarray
            The start.
        multipliers, weights : (m,) ndarray
        """
        index, k = self.index, len(self.index)
        block, none = np.ix_(index, index), np.empty((0, len(self.index)))

        def evaluate(u: Array) -> Local | None:
            found = self.look(u)
            if found is None:
                return None
            point, at = found
            pull = multipliers - weights * at.c
            return Local(
                point,
                at.value + float(multipliers @ at.c - 0.5 * weights @ at.c**2),
                (at.gradient + pull @ at.jacobian)[index],
                (at.hessian + np.tensordot(pull, at.c_hessian, axes=1))[block],
                np.sqrt(weights)[:, None] * at.jacobian[:, index],
                scale_of(self.solver.problem, at.hessian)[index],
                np.empty(0),
                none,
                np.empty((0, k, k)),
            )

        return ascend(evaluate, x[index], index, self.region, np.empty(0), tolerance, max_iterations)

    def absolute(self, x: Array, weights: Array, tolerance: float, max_iterations: int) -> Ascent | None:
        """Maximise ``f - sum_k w_k |c_k|``.

        Parameters
        ----------
        x : (n,) ndarray
            The start.
        weights : (m,) ndarray
        """
        index = self.index
        block = np.ix_(index, index)

        def evaluate(u: Array) -> Local | None:
            found = self.look(u)
            if found is None:
                return None
            point, at = found
            return Local(
                point,
                at.value,
                at.gradient[index],
                at.hessian[block],
                np.empty((0, len(index))),
                scale_of(self.solver.problem, at.hessian)[index],
                at.c,
                at.jacobian[:, index],
                at.c_hessian[:, index][:, :, index],
            )

        return ascend(evaluate, x[index], index, self.region, weights, tolerance, max_iterations)
