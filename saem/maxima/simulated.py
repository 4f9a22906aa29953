"""The maximum of a likelihood that is integrated with points of mixtures (simulated maximum likelihood).

Such an objective is believed near the parameters at which its points were placed, and not beyond: a search on it would
go where it is wrong. So the points are placed anew for every step of Newton's method, which ends where the step is lost
in the error of the gradient. What the scrambled parts of the points differ by tells that error, and for costly product
rules what they differ by from one with fewer nodes.

A standard deviation that goes to zero is held there, as in `saem.maxima.boundary`, where the likelihood is no lower.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from saem.errors import FitError, ModelError
from saem.estep.integration.ladder import LADDER
from saem.estep.integration.marginal import parts_of
from saem.estep.integration.matching import hold_clusters
from saem.estep.integration.mixtures import moved
from saem.estep.integration.placing import Placing
from saem.estep.integration.rules import SCRAMBLES
from saem.estep.integration.settling import COARSE, FINEST, Accuracy, keep, settled, sizes
from saem.estep.integration.worth import Worth, worth_of
from saem.families.problem import Problem
from saem.maxima.boundary import GAIN, can_be_feasible, gains, pin, unpin
from saem.maxima.information import Information, information_of, uphill
from saem.mstep.solver import Derivatives, Solver

Array = np.ndarray

STEPS, HALVINGS = 30, 5
ROUGH = 0.5  # log-likelihood left to gain, above which few points do
ENOUGH = 1e-3  # of it, where a search ends
SHRINKS = 0.5  # of what was left before: where more is left, it is the error of the gradient
LOWER = 3.0  # standard errors that a step may lead lower
AGAIN, NEAR = 3, 0.1  # climbs with rules placed anew, until a parameter moves by less of its size
ON_TO, MET = 20, 1e-12  # steps onto the constraints, and what is left of them
SHARE = 0.04  # largest error of a parameter, in standard errors, that may be left
KNOWN = 0.01  # log-likelihood that may be left to gain, with its doubt
FINISHED = 5e-5  # of it, where a step more moves no parameter by more than a hundredth of a standard error
POLISHES = 6  # steps with more points until then
MORE, MOST_DRAWS = 8, 131_072  # points of a cluster: times as many at once, and the most
MOST_OF_IT = 0.9  # of the variance: the clusters that it comes from get more points
SMALL, CLOSE, NEARER = 0.1, 0.05, 0.2  # of its size, where a standard deviation is tried at zero; of one; next time
RELEASES = 1  # times that what is held at a boundary is let go
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
    pinned: Array  # (n,) bool, what is held at a boundary
    off: Array  # (n,) what costly product rules with fewer nodes change of the gradient: a part of the noise
    worth: Worth | None = None  # of the points, at a maximum

    @property
    def deficit(self) -> tuple[float, float]:
        """The log-likelihood below the maximum beside it, and what it may be larger by (95 %, one-sided)."""
        return deficit_by(self.information, self.noise)

    @property
    def doubts(self) -> str:
        """A sentence on the cluster that is known worst, where its points are not worth enough; else empty."""
        return "" if self.worth is None else self.worth.doubts


def error_of(found: Simulated) -> Array:
    """Covariance (n, n) of the error of a maximum that Newton's method found on a simulated likelihood."""
    root = found.information.root
    return np.asarray(root @ (root.T @ found.noise @ root) @ root.T)


def largest_share(found: Simulated, noise: Array | None = None) -> float:
    """The largest error of a parameter at a simulated maximum, in standard errors; or that by a part of the noise."""
    found = found if noise is None else found._replace(noise=noise)
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
    problem: Problem, solver: Solver, x: Array, free: Array, near: Placing | None = None, accuracy: Accuracy = FINEST
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
        See `saem.estep.integration.settling.settled`.
    """
    x = np.array(x, dtype=float)
    arrays, placing, constant = placed(problem, x, near, accuracy)
    is_mixed, is_known = placing.draws > 0, placing.variance == 0.0
    cheap, dear, mixed = map(np.flatnonzero, (~is_mixed & is_known, ~is_mixed & ~is_known, is_mixed))

    def derivatives(rules: Placing, clusters: Array, constant: float = 0.0, part: int | None = None) -> Derivatives:
        return solver.derivatives(rules.objective(arrays, constant, part, clusters), x, free)

    at, noise, mcse = derivatives(placing, cheap, constant), np.zeros((len(x),) * 2), 0.0
    off = np.zeros(len(x))
    if len(dear):
        coarser = with_fewer_nodes(placing, dear)
        own, fewer = derivatives(placing, dear), derivatives(coarser, dear)
        at, off = added(at, own), own.gradient - fewer.gradient
        change = parts_of(placing.objective(arrays), x, dear) - parts_of(coarser.objective(arrays), x, dear)
        variance = placing.variance.copy()  # two rules that agree where they were chosen need not agree here
        variance[dear] = np.maximum(variance[dear], change**2)
        placing = replace(placing, variance=variance)
        noise += np.outer(off, off)
    if len(mixed):
        at = added(at, derivatives(placing, mixed))
        # each variant of the points tells an error of its own: together more than the seven degrees of freedom of one
        variants = placing.variants[mixed]
        for own in (mixed[variants == variant] for variant in np.unique(variants)):
            parts = [derivatives(placing, own, part=part) for part in range(SCRAMBLES)]
            # how many points a cluster has was chosen by its error: that of the sum was not
            mcse += float(np.var([part.value for part in parts], ddof=1) / SCRAMBLES)
            noise += np.atleast_2d(np.cov(np.array([part.gradient for part in parts]), rowvar=False)) / SCRAMBLES
    mcse = max(np.sqrt(mcse), placing.mcse)
    return seen(problem, placing, at, free)._replace(mcse=mcse, noise=noise, off=off)


def added(at: Derivatives, more: Derivatives) -> Derivatives:
    """The sum of two objectives at the same point."""
    return replace(
        at, value=at.value + more.value, gradient=at.gradient + more.gradient, hessian=at.hessian + more.hessian
    )


def with_fewer_nodes(placing: Placing, clusters: Array) -> Placing:
    """The number of nodes before in some clusters (k,)."""
    nodes = placing.nodes.copy()
    nodes[clusters] = [max((n for n in LADDER if n < count), default=LADDER[0]) for count in nodes[clusters]]
    return replace(placing, nodes=nodes)


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
    placing = stay(arrays, settled(arrays, clusters.count, x, accuracy), x) if near is None else moved(arrays, near, x)
    return arrays, placing, clusters.constant


def stay(arrays: Any, placing: Placing, x: Array) -> Placing:
    """The same rules at parameters (n,), but none that is matched from the mode: it would follow another mode.

    Where a cluster has several, which one is found at the next step is an accident, and the log-likelihood fell by 6.
    """
    leaning = np.any(placing.shift != 0.0, axis=1) & (placing.draws == 0) & ~placing.held
    shift, stretch = placing.shift.copy(), placing.stretch.copy()
    hold_clusters(arrays, x, np.flatnonzero(leaning), shift, stretch)
    return replace(placing, shift=shift, stretch=stretch, held=placing.held | leaning)


def seen(problem: Problem, placing: Placing, at: Derivatives, free: Array) -> Simulated:
    """Derivatives with what follows from them."""
    multipliers, nothing = multipliers_of(at, free), np.full(at.hessian.shape, np.nan)
    information = information_of(problem, at, multipliers, -at.hessian, free)
    pinned = ~free & ~problem.parameters.fixed
    return Simulated(placing, at, multipliers, information, placing.mcse, nothing, pinned, np.zeros(len(at.gradient)))


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

    What is held at a boundary there is in `Simulated.pinned`. The last rules are those of the problem from now on.

    Parameters
    ----------
    start : (n,) ndarray
    pinned : (n,) bool ndarray
        What is held at a boundary to begin with.

    Raises
    ------
    ModelError, FitError
        Where the likelihood cannot be simulated.
    """
    pinned = pinned.copy()
    x = onto_constraints(problem, np.array(start, dtype=float), solver.free & ~pinned)
    for release in range(RELEASES + 1):
        x, _ = climb_with(problem, solver, x, pinned, COARSE, ROUGH)
        for _ in range(AGAIN):  # rules that are no mixtures stay where they were placed
            before = x
            x, placing = climb_with(problem, solver, x, pinned, FINEST, ENOUGH)
            if np.all(np.abs(x - before) <= NEAR * sizes(problem, x)):
                break
        x, found = polished(problem, solver, x, solver.free & ~pinned, placing)
        loose = gains(problem, found.at, found.multipliers, x, pinned) > GAIN
        if release == RELEASES or not loose.any():
            break
        unpin(problem, x, pinned, loose)
    keep(problem, found.placing, x)
    assert problem.clusters.joint is not None
    return x, found._replace(worth=worth_of(problem.clusters.joint(), found.placing, x))


def climb_with(
    problem: Problem, solver: Solver, x: Array, pinned: Array, accuracy: Accuracy, enough: float
) -> tuple[Array, Placing]:
    """Newton's steps, until little is left to gain, or no less than before; and the rules there. May pin more."""
    found = evaluated(problem, solver, x, solver.free & ~pinned, None, accuracy)
    small = np.where(problem.parameters.domains.can_vanish, SMALL * problem.scale, CLOSE)
    for _ in range(STEPS):
        left = found.information.deficit
        if left <= enough:
            break
        better = stepped(problem, solver, x, ~found.pinned & solver.free, found, accuracy)
        if better is None:
            break
        rise = better[1].at.value - found.at.value
        x, found = better
        close = problem.boundary.collapsible & ~found.pinned & solver.free & (solver.domains.room(x) < small)
        if close.any():
            held = at_boundary(problem, solver, x, close, found, accuracy)
            small[close] *= NEARER
            if held is not None:
                x, found = held
                pinned[:] = found.pinned
                continue
        if np.isfinite(left) and found.information.deficit > SHRINKS * left and rise <= LOWER * found.mcse:
            break
    return x, found.placing


def at_boundary(
    problem: Problem, solver: Solver, x: Array, close: Array, found: Simulated, accuracy: Accuracy
) -> tuple[Array, Simulated] | None:
    """With what is close (n,) held at its boundary; None where the likelihood is lower, or a constraint forbids it."""
    point, pinned = x.copy(), found.pinned.copy()
    pin(problem, point, pinned, close)
    free = solver.free & ~pinned
    if not can_be_feasible(problem, point, free):
        return None
    point = onto_constraints(problem, point, free)
    try:
        tried = evaluated(problem, solver, point, free, found.placing, accuracy)
    except (ModelError, FitError):
        return None
    return (point, tried) if tried.at.value > found.at.value - KNOWN else None


def polished(problem: Problem, solver: Solver, x: Array, free: Array, placing: Placing) -> tuple[Array, Simulated]:
    """After a few more of Newton's steps, with more points where the error of the gradient asks for them."""
    found = simulated_at(problem, solver, x, free, placing)
    for polish in range(POLISHES):
        (deficit, doubt), share = found.deficit, largest_share(found)
        by_rules = float(np.sqrt(found.placing.variance[found.placing.draws == 0].sum()))
        is_known = deficit + doubt <= KNOWN and share <= SHARE and by_rules <= FINEST.left
        if (is_known and deficit <= FINISHED) or not np.isfinite(deficit):
            break
        near: Placing | None = found.placing
        wanted = max((share / SHARE) ** 2, doubt / (0.5 * KNOWN))
        is_off = by_rules > FINEST.left or largest_share(found, np.outer(found.off, found.off)) > 0.5 * SHARE
        if polish == 0 and is_off and not is_known:
            near = None  # rules are chosen anew
        elif wanted > 1.0:
            near = with_more_points(found.placing, 2 ** int(np.ceil(np.log2(min(wanted, MORE)))))
        point = newton_step(problem, x, found, free)
        tried = simulated_at(problem, solver, point, free, near)
        if not np.isfinite(tried.at.value):
            break
        x, found = point, tried
    return x, found


def with_more_points(placing: Placing, times: int) -> Placing:
    """The same with so many times the points in the clusters that most of the variance comes from."""
    variance = np.where(placing.draws > 0, placing.variance, 0.0)
    order = np.argsort(-variance)
    before = np.cumsum(variance[order]) - variance[order]
    few = order[(before < MOST_OF_IT * variance.sum()) & (placing.draws[order] > 0)]
    draws, variance = placing.draws.copy(), placing.variance.copy()
    draws[few] = np.minimum(times * draws[few], MOST_DRAWS)
    variance[few] *= placing.draws[few] / draws[few]
    return replace(placing, draws=draws, variance=variance)


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
