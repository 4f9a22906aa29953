"""Directions in which model and table leave the parameters free, whatever the response.

A Gaussian model is the pair of its means and covariance matrices. Parameters are locally identified where the map
from them to this pair has an injective derivative on the tangent space of the constraints (Rothenberg 1971). Its
rank does not depend on the metric, so the expected information at unit variance serves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from saem.errors import ConstraintError
from saem.maxima.information import Information, null_space
from saem.maxima.starts import infeasible
from saem.mstep.solver import Solver

if TYPE_CHECKING:
    from saem.families.problem import Problem

RANK_TOLERANCE = 1e-12
POINTS = 5
MOVED = 1e-6  # of the largest move, in typical sizes
EXACT = 1e-8  # slope, in standard errors, of what is a maximum and not only near one
CURVED = 1e-6  # curvature, where that of a parameter alone is one: of less it must be seen whether it is rounding
FEASIBLE = 1e-8  # of a typical size: a constraint that so small a step would satisfy is satisfied


class Look(NamedTuple):
    """How to look for free directions at a point.

    Attributes
    ----------
    informations : tuple of callable
        From parameters (n,) to information matrices (n, n), the quickest first. A matrix with a nan tells nothing.
    clear : tuple of float
        For each the eigenvalue, as a share of the largest (or of one, if that is less) on the scale of a correlation
        matrix, from which on a direction is not free. What the last one leaves below is.
    """

    informations: tuple[Callable[[np.ndarray], np.ndarray], ...]
    clear: tuple[float, ...]


def closed_look(problem: Problem) -> Look | None:
    """How to look by the expected information in closed form; None for families that have none."""
    known = problem.likelihood.expected_information
    return None if known is None else Look((known,), (RANK_TOLERANCE,))


def moved_by(direction: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Which parameters (n,) a direction moves, by their typical sizes: their units must not tell."""
    sizes = np.abs(direction) / scale
    return np.asarray(sizes > MOVED * np.max(sizes, initial=0.0))


def describe_direction(
    names: tuple[str, ...], direction: np.ndarray, scale: np.ndarray, labels: tuple[str, ...] = ()
) -> str:
    """A sentence on a direction (n,) in which the parameters, of typical sizes (n,), can move together.

    ``labels`` are their names with the groups that they belong to.
    """
    labels = labels or names
    moved = moved_by(direction, scale)
    involved = [i for i in np.argsort(-np.abs(direction) / scale) if moved[i]]
    if len(involved) == 1:
        return f"{labels[involved[0]]} can take any value: nothing in the data depends on it."
    moves = ", ".join(f"{names[i]} by {direction[i]:+.3g}" for i in involved[:8])
    more = f" and {len(involved) - 8} more" if len(involved) > 8 else ""
    together = " and ".join(labels[i] for i in involved[:8])
    return f"{together}{more} can move together ({moves}) without a change of the fit."


def on_users_scale(problem: Problem, x: np.ndarray, directions: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Directions (k, n) at ``x`` on the user's scale, largest entry 1, each with the typical sizes (n,) there."""
    place = problem.coordinates
    if place.is_users:
        return [(direction, problem.scale) for direction in directions]
    moved = directions @ place.jacobian(x).T
    return [(move / np.max(np.abs(move)), place.sizes(problem.scale)) for move in moved]


def null_directions(problem: Problem, near: np.ndarray, look: Look | None = None) -> np.ndarray:
    """Directions (k, n), largest entry 1, in which the parameters are not determined at almost any point.

    Parameters
    ----------
    near : (n,) ndarray
        The points that are looked at lie scattered around it. One point would not do: it may be singular by accident.
    look : Look, optional
        Where it is not by the expected information in closed form.

    Raises
    ------
    ConstraintError
        When no point that satisfies the constraints is found.
    """
    look = look or closed_look(problem)
    if look is None:
        return np.empty((0, len(near)))
    rng = np.random.default_rng(0)
    domains = problem.parameters.domains
    fewest: np.ndarray | None = None
    smallest = np.inf
    for _ in range(POINTS):
        step = rng.uniform(0.1, 0.5, len(near))
        step = np.where(domains.is_correlation & (near + 0.3 * step >= 1.0), -step, step)  # to where effects have a law
        x = near + np.where(domains.is_between, 0.3, problem.scale) * step
        x = np.where(domains.is_between & ~domains.is_correlation, domains.moved(near, problem.scale, step), x)
        x = np.where(problem.parameters.fixed, problem.parameters.fixed_values, x)
        x, violation = towards_feasible(problem, x)
        smallest = min(smallest, violation)
        free = ~problem.parameters.fixed
        found = null_directions_at(problem, x, free, look) if violation < FEASIBLE else None
        if found is not None and (fewest is None or len(found) < len(fewest)):
            fewest = found
        if fewest is not None and len(fewest) == 0:
            break
    if fewest is None:
        raise infeasible(problem, POINTS, smallest)
    return fewest


def towards_feasible(problem: Problem, x: np.ndarray) -> tuple[np.ndarray, float]:
    """A point near ``x`` that satisfies the constraints, where Newton's method finds one.

    Returns
    -------
    x : (n,) ndarray
    violation : float
        The largest constraint there, as the step in typical sizes of the parameters that would remove it.
    """
    if len(problem.constraints) == 0:
        return x, 0.0
    scale = np.where(problem.parameters.fixed, 0.0, problem.scale)
    best, violation, lowest, unit, factor = x, np.inf, np.inf, np.ones(len(problem.constraints)), 1.0
    step: np.ndarray = np.zeros(len(x))
    for _ in range(60):
        point = best + factor * step
        c, jacobian, _ = problem.constraints.evaluate(point)
        slopes = jacobian * scale
        lengths = np.maximum(np.linalg.norm(slopes, axis=1), 1e-300)
        is_defined = bool(np.isfinite(c).all() and np.isfinite(jacobian).all())
        if not np.isfinite(lowest):
            if not is_defined:
                return x, np.inf
            unit = lengths
        height = float(np.max(np.abs(c) / unit)) if is_defined else np.inf  # slopes change, so this must not have them
        if height < lowest:
            best, lowest, factor = point, height, 1.0
            violation = float(np.max(np.abs(c) / lengths))
            step = np.linalg.lstsq(slopes, -c, rcond=1e-10)[0] * scale
        elif violation < FEASIBLE:
            break
        else:
            factor *= 0.5
    return best, violation


def null_directions_at(
    problem: Problem, x: np.ndarray, free: np.ndarray, look: Look | None = None
) -> np.ndarray | None:
    """Null directions (k, n) of the reduced information of the free parameters at a point; see `null_directions`.

    None where a constraint or the information is not finite, and where there is none.
    """
    look = look or closed_look(problem)
    _, jacobian, _ = problem.constraints.evaluate(x)
    if look is None or not np.isfinite(jacobian).all():
        return None
    found: np.ndarray | None = None
    for information, clear in zip(*look, strict=True):
        matrix = information(x)
        found = null_space_of(problem, matrix, jacobian, free, clear) if np.isfinite(matrix).all() else None
        if found is not None and not len(found):
            break
    return found


def null_space_of(
    problem: Problem, information: np.ndarray, jacobian: np.ndarray, free: np.ndarray, clear: float
) -> np.ndarray:
    """Null directions (k, n), largest entry 1, of an information matrix (n, n) on the constraints' tangent space."""
    index = np.flatnonzero(free)
    information = information[np.ix_(index, index)]
    diagonal = np.diag(information)
    scale = np.where(diagonal > 0, 1.0 / np.sqrt(np.maximum(diagonal, 1e-300)), problem.scale[index])
    tangent = null_space(jacobian[:, index] * scale)
    reduced = tangent.T @ (information * np.outer(scale, scale)) @ tangent
    if len(reduced) == 0:  # the constraints determine everything
        return np.empty((0, len(free)))
    values, vectors = np.linalg.eigh(reduced)
    null = scale[:, None] * (tangent @ vectors[:, values < clear * max(1.0, float(values[-1]))])
    null = null / np.maximum(np.max(np.abs(null), axis=0, initial=0.0), 1e-300)
    directions = np.zeros((null.shape[1], len(free)))
    directions[:, index] = null.T
    return directions


def free_directions(
    problem: Problem,
    x: np.ndarray,
    pinned: np.ndarray,
    information: Information | None = None,
    look: Look | None = None,
) -> np.ndarray:
    """Directions (k, n) in which the parameters are free near an estimate, and almost everywhere.

    A point may be singular by accident. And where the likelihood is flat, a search may end at a standard deviation of
    zero, which says nothing: what is at the boundary is looked at inside. A maximum that is curved in all directions
    (as the ``information`` tells, if given) has none that is free: it would be flat along that. ``look`` is that of
    `null_directions`.
    """
    if information is not None and information.score_norm < EXACT and is_curved(information):
        return np.empty((0, len(x)))
    fixed = problem.parameters.fixed
    looks = [(x, ~fixed & ~pinned)] + ([(inside(problem, x, pinned), ~fixed)] if pinned.any() else [])
    for point, free in looks:
        directions = null_directions_at(problem, point, free, look)
        if directions is not None and len(directions) and free_almost_everywhere(problem, point, look):
            return directions
    return np.empty((0, len(fixed)))


def is_curved(information: Information) -> bool:
    """Whether the likelihood clearly falls in all directions from an estimate inside the ranges of its parameters."""
    return bool(np.isfinite(information.covariance).all() and information.curvatures.min(initial=1.0) > CURVED)


def inside(problem: Problem, x: np.ndarray, pinned: np.ndarray) -> np.ndarray:
    """An estimate (n,) with what is at the boundary moved away from it."""
    domains = problem.parameters.domains
    point = np.where(pinned & domains.is_positive, 0.3 * problem.scale, x)
    return np.where(pinned & domains.is_between, 0.5 * point, point)


def means_without_error(
    problem: Problem, estimate: np.ndarray, pinned: np.ndarray, directions: np.ndarray
) -> np.ndarray:
    """Means (bool) whose sampling variance changes along free directions.

    Where the restricted likelihood is flat in a variance, the means vary by as much as that variance is.
    """
    solver, x = Solver(problem), inside(problem, estimate, pinned)
    out = np.zeros(len(x), dtype=bool)
    means = np.flatnonzero(solver.free & solver.domains.is_real)
    if not problem.likelihood.is_available or len(means) == 0:
        return out

    def variances(point: np.ndarray) -> np.ndarray:
        hessian = solver.derivatives(solver.observed(), point).hessian[np.ix_(means, means)]
        size = np.sqrt(np.maximum(np.abs(np.diag(hessian)), 1e-300))
        return np.asarray(np.diag(np.linalg.pinv(-hessian / np.outer(size, size), hermitian=True)) / size**2)

    before = variances(x)
    for direction in directions:
        step = 1e-3 * direction / np.max(np.abs(direction) / problem.scale)
        out[means] |= np.abs(variances(x + step) - before) > 1e-5 * before
    return out


def free_almost_everywhere(problem: Problem, x: np.ndarray, look: Look | None = None) -> bool:
    """Whether directions are free not at ``x`` alone; yes where no other feasible point is found."""
    try:
        return len(null_directions(problem, x, look)) > 0
    except ConstraintError:
        return True
