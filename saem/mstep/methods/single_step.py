"""One step in place of a maximum: generalised EM (Dempster, Laird & Rubin 1977; Lange 1995 for a Newton step).

A step that does not lower the complete-data likelihood is enough for EM to climb. For direct maximum likelihood such
steps are repeated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from saem.errors import ModelError
from saem.mstep import sqp
from saem.mstep.certify import (
    FEASIBLE,
    STATIONARY,
    certify,
    check_positive,
    relative_residual,
    scale_of,
)
from saem.mstep.region import Region
from saem.mstep.solver import Maximiser

if TYPE_CHECKING:
    from saem.families.problem import Problem
    from saem.mstep.solver import Derivatives, Search, Solver

Array = np.ndarray
RELAXED = 0.8  # of the step to the maximum along the gradient: full steps would zigzag
LONGEST = 10.0  # gradient step, in standard errors
PATIENCE = 500  # repeated steps without a smaller gradient after which they are given up


@dataclass(frozen=True)
class NewtonStep:
    """One step of the compiled Lagrange-Newton solver; the constraint holds to second order in its length.

    `INFEASIBLE` is reported only where no step brings the constraints nearer to zero.
    """

    name: ClassVar[str] = "newton_step"
    single_step: ClassVar[bool] = True

    def check(self, problem: Problem) -> None:
        """Any problem will do."""

    def maximise(self, search: Search) -> sqp.SearchResult:
        """Make one step from ``search.x``, which is overwritten; see `saem.mstep.solver.Maximiser.maximise`."""
        result = search.solver.lagrange_newton(replace(search, max_iterations=1))
        if result.status == sqp.INFEASIBLE and result.iterations == 1:  # the step was made; the next gets nearer
            return result._replace(status=sqp.ITERATION_LIMIT)
        return result


@dataclass(frozen=True)
class GradientStep:
    """One step along the gradient on the tangent space, in units of standard errors, and back onto the constraints.

    Its length is that of the maximum along the gradient, halved until the objective does not fall.

    Attributes
    ----------
    restorations : int
        Gauss-Newton steps at most by which the constraints are restored.
    """

    restorations: int = 30
    name: ClassVar[str] = "gradient_step"
    single_step: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_positive("the gradient step", restorations=self.restorations)

    def check(self, problem: Problem) -> None:
        """Any problem will do."""

    def maximise(self, search: Search) -> sqp.SearchResult:
        """Make one step from ``search.x``, which is overwritten; see `saem.mstep.solver.Maximiser.maximise`."""
        solver, x, region = search.solver, search.x, search.region
        at = search.derivatives(x)
        if not np.isfinite(at.value):
            return sqp.SearchResult(sqp.BAD_START, -np.inf, 0, np.inf, np.inf, 0)
        scale = np.where(region.free, scale_of(solver.problem, at.hessian), 0.0)
        if relative_residual(at.c, at.jacobian, x) > FEASIBLE:
            restored = self.restore(solver, x, scale, region)
            if restored is None:
                return certify(search, 0)
            at = search.derivatives(restored)
            if not np.isfinite(at.value):
                return certify(search, 0)
            x[:] = restored
        direction, length = tangent_step(at, scale, solver.multipliers)
        noise = sqp.ROUNDING * (1.0 + abs(at.value))
        rise = float(direction @ direction)
        alpha = length
        while rise > 0.0 and alpha > 1e-12 * length:
            trial = self.restore(solver, x + alpha * scale * direction, scale, region)
            if trial is not None and region.admits(x, trial):
                value = search.derivatives(trial).value
                if value >= at.value + sqp.ARMIJO * alpha * rise - noise:
                    x[:] = trial
                    break
            alpha *= 0.5
        return certify(search, 1)

    def restore(self, solver: Solver, x: Array, scale: Array, region: Region) -> Array | None:
        """The point on the constraints near ``x``, by shortest Gauss-Newton steps; None where there is none."""
        point = x.copy()
        for _ in range(self.restorations):
            if not region.room(point).min(initial=np.inf) > 0.0:
                return None
            c, jacobian, _ = solver.problem.constraints.evaluate(point)
            if not (np.isfinite(c).all() and np.isfinite(jacobian).all()):
                return None
            if relative_residual(c, jacobian, point) <= 0.1 * sqp.FEASIBLE:
                return point
            step = scale * np.linalg.lstsq(jacobian * scale, -c, rcond=1e-12)[0]
            point = point + region.longest(point, step) * step
        return None


def tangent_step(at: Derivatives, scale: Array, multipliers: Array) -> tuple[Array, float]:
    """The scaled gradient (n,) on the tangent space, and how far along it the quadratic model rises."""
    jacobian, slope = at.jacobian * scale, at.gradient * scale
    direction = slope
    if len(jacobian):
        direction = slope - jacobian.T @ np.linalg.lstsq(jacobian.T, slope, rcond=1e-12)[0]
    lagrangian = (at.hessian + np.tensordot(multipliers, at.c_hessian, axes=1)) * np.outer(scale, scale)
    size = float(np.linalg.norm(direction))
    bend = -float(direction @ lagrangian @ direction)
    longest = LONGEST / max(size, 1e-300)
    return direction, min(longest, RELAXED * size**2 / bend) if bend > 0.0 else longest


@dataclass(frozen=True)
class Repeated:
    """A single step, repeated until the maximum is reached: what direct maximum likelihood needs of it.

    Attributes
    ----------
    step : Maximiser
    most : int
        Steps at most.
    """

    step: Maximiser
    most: int = 20_000
    name: ClassVar[str] = "repeated"
    single_step: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.step.single_step:
            raise ModelError(f"only a single step can be repeated; {self.step.name!r} finds the maximum by itself")
        check_positive("repeated steps", most=self.most)

    def check(self, problem: Problem) -> None:
        """Refuse what the step refuses."""
        self.step.check(problem)

    def maximise(self, search: Search) -> sqp.SearchResult:
        """Maximise from ``search.x``, which is overwritten; see `saem.mstep.solver.Maximiser.maximise`."""
        steps, best, found_at = 0, np.inf, 0
        for steps in range(1, self.most + 1):
            before = search.x.copy()
            result = self.step.maximise(search)
            if result.status in (sqp.COLLAPSED, sqp.BAD_START):
                return result._replace(iterations=steps)
            if result.stationarity < best:
                best, found_at = result.stationarity, steps
            done = result.status == sqp.CONVERGED and result.stationarity <= max(search.tolerance, 0.01 * STATIONARY)
            # steps without memory can go round in circles
            if done or np.array_equal(before, search.x) or steps - found_at > PATIENCE:
                break
        return certify(search, steps)
