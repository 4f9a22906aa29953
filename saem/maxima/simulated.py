"""The maximum of a likelihood that is integrated with points of a t distribution (simulated maximum likelihood).

Such an objective is believed near the parameters at which its points were placed, and not beyond: a search on it would
go where it is wrong. So the points are placed anew for every step of Newton's method, which ends where the step is lost
in the error of the gradient. What the scrambled parts of the points differ by tells that error.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from saem.errors import FitError, ModelError
from saem.estep.rules import SCRAMBLES
from saem.estep.settling import COARSE, FINE, Accuracy, settled
from saem.families.problem import Problem
from saem.maxima.information import Information, information_of, uphill
from saem.mstep.solver import Derivatives, Solver

Array = np.ndarray

STEPS, HALVINGS = 30, 5
ROUGH = 0.5  # log-likelihood left to gain, above which few points do
ENOUGH = 1e-3  # of it, where the error of the gradient is smaller
FARTHEST = 0.7  # of a positive parameter, or in typical sizes of another, that a step may be long
NORMAL_95 = 1.645


class Simulated(NamedTuple):
    """The marginal log-likelihood at a point by simulation, with its derivatives."""

    at: Derivatives
    multipliers: Array  # (m,) of the constraints
    information: Information
    noise: Array  # (n, n) covariance of the gradient's error
    mcse: float  # of the log-likelihood

    @property
    def deficit(self) -> tuple[float, float]:
        """The log-likelihood below the maximum beside it, and what it may be larger by (95 %, one-sided)."""
        return deficit_by(self.information, self.noise)


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


def simulated_at(problem: Problem, solver: Solver, x: Array, free: Array, accuracy: Accuracy = FINE) -> Simulated:
    """The log-likelihood at ``x`` (n,) with derivatives, and what is not known of them.

    Raises
    ------
    ModelError, FitError
        See `saem.estep.settling.settled`.
    """
    clusters = problem.clusters
    assert clusters.joint is not None
    arrays, x = clusters.joint(), np.array(x, dtype=float)
    placing = settled(arrays, clusters.count, x, accuracy)
    at = solver.derivatives(placing.objective(arrays, clusters.constant), x, free)
    parts = [solver.derivatives(placing.objective(arrays, part=part), x, free).gradient for part in range(SCRAMBLES)]
    noise = np.atleast_2d(np.cov(np.array(parts), rowvar=False)) / SCRAMBLES
    multipliers = multipliers_of(at, free)
    information = information_of(problem, at, multipliers, -at.hessian, free)
    return Simulated(at, multipliers, information, noise, placing.mcse)


def after_newton(problem: Problem, x: Array, step: Array) -> Array:
    """Where Newton's step leads (n,), at most half of the way to a bound, and not far in units of the parameters."""
    domains = problem.parameters.domains
    size = np.where(domains.is_positive, np.abs(x), np.maximum(np.abs(x), problem.scale))
    step = step * min(1.0, FARTHEST / max(float(np.max(np.abs(step) / np.maximum(size, 1e-300))), 1e-300))
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(step < 0.0, (domains.low - x) / step, np.where(step > 0.0, (domains.high - x) / step, np.inf))
    return np.asarray(x + min(1.0, 0.5 * float(np.min(room))) * step)


def newton_step(problem: Problem, x: Array, found: Simulated, free: Array) -> Array:
    """Newton's step (n,) along the constraints, and onto them."""
    step = uphill(problem, found.at, found.multipliers, -found.at.hessian, free)
    if len(found.at.c):
        size = problem.scale[free]
        step[free] -= size * np.linalg.lstsq(found.at.jacobian[:, free] * size, found.at.c, rcond=1e-12)[0]
    return step


def climb_simulated(problem: Problem, solver: Solver, start: Array, pinned: Array) -> tuple[Array, Simulated]:
    """The maximum (n,) that a start leads to, with the likelihood there; as far as the error of the gradient lets it.

    Raises
    ------
    ModelError, FitError
        Where the likelihood cannot be simulated.
    """
    free = solver.free & ~pinned
    x, accuracy = np.array(start, dtype=float), COARSE
    found = simulated_at(problem, solver, x, free, accuracy)
    for _ in range(STEPS):
        deficit, doubt = found.deficit
        known = np.isfinite(deficit)
        if accuracy is COARSE and known and deficit <= max(ROUGH, doubt):
            accuracy = FINE
            found = simulated_at(problem, solver, x, free, accuracy)
            continue
        if accuracy is FINE and known and deficit <= max(ENOUGH, doubt):
            break
        ahead = after_newton(problem, x, newton_step(problem, x, found, free)) - x
        for halving in range(HALVINGS):
            try:
                tried = simulated_at(problem, solver, x + ahead / 2.0**halving, free, accuracy)
            except (ModelError, FitError):
                continue
            if tried.at.value > found.at.value - 2.0 * np.hypot(tried.mcse, found.mcse):
                x, found = x + ahead / 2.0**halving, tried
                break
        else:
            break
    return x, found
