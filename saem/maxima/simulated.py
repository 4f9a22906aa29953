"""The maximum of a likelihood that is integrated with points of mixtures (simulated maximum likelihood).

Such an objective is believed near the parameters at which its points were placed, and not beyond: a search on it would
go where it is wrong. So the points are placed anew for every step of Newton's method, which ends where the step is lost
in the error of the gradient. What the scrambled parts of the points differ by tells that error.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from saem.errors import FitError, ModelError
from saem.estep.mixtures import moved
from saem.estep.placing import Placing
from saem.estep.rules import SCRAMBLES
from saem.estep.settling import COARSE, FINE, Accuracy, settled, sizes
from saem.families.problem import Problem
from saem.maxima.information import Information, information_of, uphill
from saem.mstep.solver import Derivatives, Solver

Array = np.ndarray

STEPS, HALVINGS = 30, 5
ROUGH = 0.5  # log-likelihood left to gain, above which few points do
ENOUGH = 1e-3  # of it, where a search ends
SHRINKS = 0.5  # of what was left before: where more is left, it is the error of the gradient
LOWER = 3.0  # standard errors that a step may lead lower
AGAIN, NEAR = 3, 0.2  # climbs with rules placed anew, until a parameter moves by less of its size
ON_TO, MET = 20, 1e-12  # steps onto the constraints, and what is left of them
SHARE = 0.04  # largest error of a parameter, in standard errors, that may be left
KNOWN = 0.01  # log-likelihood that may be left to gain, with its doubt
POLISHES = 6  # steps with more points until then
MORE, MOST_DRAWS = 4, 131_072  # points of a cluster: times as many, and the most
FARTHEST = 0.7  # of the size of a parameter, that a step may be long
NORMAL_95 = 1.645


class Simulated(NamedTuple):
    """The marginal log-likelihood at a point by simulation, with its derivatives."""

    placing: Placing
    at: Derivatives
    multipliers: Array  # (m,) of the constraints
    information: Information
    mcse: float  # of the log-likelihood
    noise: Array  # (n, n) covariance of the gradient's error; nan where it was not asked for

    @property
    def deficit(self) -> tuple[float, float]:
        """The log-likelihood below the maximum beside it, and what it may be larger by (95 %, one-sided)."""
        return deficit_by(self.information, self.noise)


def error_of(found: Simulated) -> Array:
    """Covariance (n, n) of the error of a maximum that Newton's method found on a simulated likelihood."""
    root = found.information.root
    return np.asarray(root @ (root.T @ found.noise @ root) @ root.T)


def largest_share(found: Simulated) -> float:
    """The largest error of a parameter at a simulated maximum, in standard errors."""
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = np.sqrt(np.diag(error_of(found)) / np.diag(found.information.covariance))
    return float(np.nanmax(shares, initial=0.0))


def deficit_by(information: Information, noise: Array) -> tuple[float, float]:
    """The deficit by a score with noise (n, n), and what it may be larger by (95 %, one-sided)."""
    # the square of the score's own noise would count as deficit
    spread = np.linalg.eigvalsh(information.root.T @ noise @ information.root)
    deficit = max(0.0, information.deficit - 0.5 * float(spread.sum()))
    return deficit, NORMAL_95 * float(np.sqrt(0.5 * np.sum(spread**2) + 2.0 * deficit * spread.max(initial=0.0)))


def multipliers_of(at: Derivatives, free: Array) -> Array:
    """Least-squares multipliers (m,) of the constraints at a point."""
    if not len(at.c):
        return np.empty(0)
    return np.asarray(np.linalg.lstsq(at.jacobian[:, free].T, -at.gradient[free], rcond=1e-12)[0])


def simulated_at(
    problem: Problem, solver: Solver, x: Array, free: Array, near: Placing | None = None, accuracy: Accuracy = FINE
) -> Simulated:
    """The log-likelihood at ``x`` (n,) with derivatives, and what is not known of them.

    Parameters
    ----------
    near : Placing, optional
        Rules that were chosen at parameters that are not far.
    accuracy : Accuracy
        With which they are chosen otherwise.

    Raises
    ------
    ModelError, FitError
        See `saem.estep.settling.settled`.
    """
    x = np.array(x, dtype=float)
    arrays, placing, constant = placed(problem, x, near, accuracy)
    at = solver.derivatives(placing.objective(arrays, constant), x, free)
    parts = [solver.derivatives(placing.objective(arrays, constant, part), x, free) for part in range(SCRAMBLES)]
    # how many points a cluster has was chosen by its error: that of the sum was not
    mcse = float(np.std([part.value for part in parts], ddof=1) / np.sqrt(SCRAMBLES))
    noise = np.atleast_2d(np.cov(np.array([part.gradient for part in parts]), rowvar=False)) / SCRAMBLES
    return seen(problem, placing, at, free)._replace(mcse=max(mcse, placing.mcse), noise=noise)


def evaluated(
    problem: Problem, solver: Solver, x: Array, free: Array, near: Placing | None, accuracy: Accuracy
) -> Simulated:
    """`simulated_at` without the error of the gradient."""
    arrays, placing, constant = placed(problem, x, near, accuracy)
    return seen(problem, placing, solver.derivatives(placing.objective(arrays, constant), x, free), free)


def placed(problem: Problem, x: Array, near: Placing | None, accuracy: Accuracy) -> tuple[Any, Placing, float]:
    """The arrays of the joint density, rules for parameters (n,), and the constant."""
    clusters = problem.clusters
    assert clusters.joint is not None
    arrays = clusters.joint()
    placing = settled(arrays, clusters.count, x, accuracy) if near is None else moved(arrays, near, x)
    return arrays, placing, clusters.constant


def seen(problem: Problem, placing: Placing, at: Derivatives, free: Array) -> Simulated:
    """Derivatives with what follows from them."""
    multipliers, nothing = multipliers_of(at, free), np.full(at.hessian.shape, np.nan)
    information = information_of(problem, at, multipliers, -at.hessian, free)
    return Simulated(placing, at, multipliers, information, placing.mcse, nothing)


def after_newton(problem: Problem, x: Array, step: Array) -> Array:
    """Where Newton's step leads (n,), at most half of the way to a bound, and not far in units of the parameters."""
    domains, size = problem.parameters.domains, sizes(problem, x)
    step = step * min(1.0, FARTHEST / max(float(np.max(np.abs(step) / np.maximum(size, 1e-300))), 1e-300))
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(step < 0.0, (domains.low - x) / step, np.where(step > 0.0, (domains.high - x) / step, np.inf))
    return np.asarray(x + min(1.0, 0.5 * float(np.min(room))) * step)


def newton_step(problem: Problem, x: Array, found: Simulated, free: Array) -> Array:
    """Where Newton's step along the constraints leads (n,), back on them."""
    root = found.information.root
    if np.isfinite(found.information.deficit):  # along a flat direction `uphill` takes but a part of the step
        step = root @ (root.T @ found.at.gradient)
    else:
        step = uphill(problem, found.at, found.multipliers, -found.at.hessian, free)
    return onto_constraints(problem, after_newton(problem, x, step), free)


def onto_constraints(problem: Problem, x: Array, free: Array) -> Array:
    """The parameters (n,) moved onto the constraints, by as little as Gauss-Newton steps take in typical sizes."""
    x, size = x.copy(), problem.scale[free]
    for _ in range(ON_TO if len(problem.constraints) else 0):
        values, jacobian = problem.constraints.evaluate(x)[:2]
        if not np.isfinite(values).all() or np.max(np.abs(values)) < MET:
            break
        step = np.zeros(len(x))
        step[free] = -size * np.linalg.lstsq(jacobian[:, free] * size, values, rcond=1e-12)[0]
        x = after_newton(problem, x, step)
    return x


def climb_simulated(problem: Problem, solver: Solver, start: Array, pinned: Array) -> tuple[Array, Simulated]:
    """The maximum (n,) that a start leads to, with the likelihood there; as far as the error of the gradient lets it.

    Raises
    ------
    ModelError, FitError
        Where the likelihood cannot be simulated.
    """
    free = solver.free & ~pinned
    x = onto_constraints(problem, np.array(start, dtype=float), free)
    x, placing = climb_with(problem, solver, x, free, COARSE, ROUGH)
    for _ in range(AGAIN):  # rules that are no mixtures stay where they were placed
        before = x
        x, placing = climb_with(problem, solver, x, free, FINE, ENOUGH)
        if np.all(np.abs(x - before) <= NEAR * sizes(problem, x)):
            break
    found = simulated_at(problem, solver, x, free, placing)
    for _ in range(POLISHES):
        (deficit, doubt), share = found.deficit, largest_share(found)
        if (deficit + doubt <= KNOWN and share <= SHARE) or not np.isfinite(deficit):
            break
        placing = found.placing
        if doubt > 0.5 * KNOWN or share > SHARE:
            placing = replace(placing, draws=np.minimum(MORE * placing.draws, MOST_DRAWS))
        point = newton_step(problem, x, found, free)
        tried = simulated_at(problem, solver, point, free, placing)
        if not np.isfinite(tried.at.value):
            break
        x, found = point, tried
    return x, found


def climb_with(
    problem: Problem, solver: Solver, x: Array, free: Array, accuracy: Accuracy, enough: float
) -> tuple[Array, Placing]:
    """Newton's steps, until little is left to gain, or no less than before; and the rules there."""
    found = evaluated(problem, solver, x, free, None, accuracy)
    for _ in range(STEPS):
        left = found.information.deficit
        if left <= enough:
            break
        better = stepped(problem, solver, x, free, found, accuracy)
        if better is None:
            break
        rise = better[1].at.value - found.at.value
        x, found = better
        if np.isfinite(left) and found.information.deficit > SHRINKS * left and rise <= LOWER * found.mcse:
            break
    return x, found.placing


def stepped(
    problem: Problem, solver: Solver, x: Array, free: Array, found: Simulated, accuracy: Accuracy
) -> tuple[Array, Simulated] | None:
    """After a step, or as much of it as does not lead lower; None where nothing does."""
    ahead = newton_step(problem, x, found, free) - x
    for halving in range(HALVINGS):
        point = onto_constraints(problem, x + ahead / 2.0**halving, free)
        try:
            tried = evaluated(problem, solver, point, free, found.placing, accuracy)
            if not np.isfinite(tried.at.value):
                tried = evaluated(problem, solver, point, free, None, accuracy)
        except (ModelError, FitError):
            continue
        if tried.at.value > found.at.value - LOWER * found.mcse:
            return point, tried
    return None
