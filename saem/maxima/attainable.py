"""Constraints that no standard deviation and no correlation can meet, in words that name them.

A maximum under ``sigma == -1`` does not exist, but a search for it only sees that ``sigma`` goes to zero. So before a
search it is asked whether any point inside the ranges of the parameters satisfies the constraints; where none is found,
what a solution without the ranges would ask for tells why.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from saem.errors import ConstraintError, ModelError
from saem.expressions.constraint import compile_constraints, parameters_of
from saem.families.coordinates import USERS
from saem.families.problem import Problem
from saem.mstep.methods.elimination import plan_for, substitute
from saem.mstep.restore import restore
from saem.specification.domains import SD, Domain

Array = np.ndarray

TRIES = 12  # scattered starts besides the first
TOLERANCE = 1e-8  # of a constraint, in units of its slope times the typical sizes: it is met
BEYOND = 1e-6  # of a typical size: a solution further outside a range does not lie in it
LARGEST = 1.0 - 1e-6  # correlation


def check_attainable(problem: Problem, texts: Mapping[str, str]) -> None:
    """Refuse constraints that no point inside the ranges of the parameters satisfies, where the ranges are the reason.

    Parameters
    ----------
    problem : Problem
    texts : mapping of str to str
        The constraints as the user has them. They are looked at on the user's scale: an equation of correlations in
        inner coordinates has none of its digits where a covariance matrix is singular.

    Raises
    ------
    ConstraintError
        Naming the constraint, and what it asks for.
    """
    if not len(problem.constraints) or gives_means(problem):
        return
    problem = as_users_have_it(problem, texts)
    constraints = problem.constraints
    involved = [parameters_of(name, text) for name, text in zip(constraints.names, constraints.texts, strict=True)]
    has_bounds = ~problem.parameters.domains.is_real
    ranged = {name for name, has in zip(problem.parameters.names, has_bounds, strict=True) if has}
    if not any(ranged & set(names) for names in involved) or is_attainable(problem):
        return
    for name, text, names in zip(constraints.names, constraints.texts, involved, strict=True):
        alone = replace(problem, constraints=compile_constraints({name: text}, constraints.parameters))
        if not ranged & set(names) or is_attainable(alone):
            continue
        found = asked_for(alone, names)
        if found or set(names) <= ranged:  # else means may meet it where nobody looked
            raise out_of_range(alone, name, text, names, found)
    for name, text, names in zip(constraints.names, constraints.texts, involved, strict=True):
        if ranged & set(names) and (found := asked_for(problem, names)):
            raise out_of_range(problem, name, text, names, found)


def gives_means(problem: Problem) -> bool:
    """Whether the constraints are equations for means one after the other, which are numbers at the first start."""
    parameters = problem.parameters
    held = parameters.fixed | ~parameters.domains.is_real
    try:
        plan = plan_for(problem.constraints, tuple(held.tolist()))
    except ModelError:
        return False
    point = problem.starts.first.copy()
    substitute(problem.constraints, plan, point)
    return bool(np.isfinite(point).all())


def as_users_have_it(problem: Problem, texts: Mapping[str, str]) -> Problem:
    """A problem with constraints, starts and sizes on the user's scale; its likelihood is still that of inner ones."""
    place = problem.coordinates
    if place.is_users:
        return problem
    parameters = place.parameters(problem.parameters)
    return replace(
        problem,
        parameters=parameters,
        constraints=compile_constraints(texts, parameters.names),
        starts=replace(problem.starts, values=tuple(place.to_user(start) for start in problem.starts.values)),
        scale=place.sizes(problem.scale),
        coordinates=USERS,
    )


def is_attainable(problem: Problem) -> bool:
    """Whether a point inside the ranges satisfies the constraints; also where that cannot be decided."""
    return any(is_met_near(problem, start) for start in attempts(problem))


def attempts(problem: Problem) -> Iterator[Array]:
    """Points (n,) to look for a solution from: the family's starts, and others of several sizes around the first."""
    yield from problem.starts.values
    rng, first = np.random.default_rng(2), problem.starts.first
    domains, fixed = problem.parameters.domains, problem.parameters.fixed
    for size in np.resize([0.3, 1.0, 3.0], TRIES):
        normal = size * rng.standard_normal(len(first))
        moved = np.where(domains.is_between, domains.from_free(normal), domains.moved(first, problem.scale, normal))
        yield np.where(fixed, first, moved)


def is_met_near(problem: Problem, start: Array) -> bool:
    """Whether a point that satisfies the constraints inside the ranges is found from a start."""
    free = ~problem.parameters.fixed
    point = start.copy()
    with np.errstate(all="ignore"):
        if restore(problem, point, free) and not outside(problem, point):
            return True
        if not free.any():
            return False
        return is_met_within(problem, start)


def is_met_within(problem: Problem, start: Array) -> bool:
    """The same by least squares with bounds, for what Gauss-Newton steps leave on the way."""
    from scipy.optimize import least_squares

    free = ~problem.parameters.fixed
    lower, upper = ranges(problem)
    scale = problem.scale[free]
    c, jacobian, _ = problem.constraints.evaluate(start)
    unit = np.maximum(np.abs(jacobian) @ np.where(free, problem.scale, 0.0), 1e-300)
    if not (np.isfinite(c).all() and np.isfinite(unit).all()):
        return False

    def full(u: Array) -> Array:
        x = start.copy()
        x[free] = u * scale
        return x

    def values(u: Array) -> Array:
        c = problem.constraints.evaluate(full(u))[0]
        return np.asarray(np.where(np.isfinite(c), c / unit, 1e10))

    def slopes(u: Array) -> Array:
        jacobian = problem.constraints.evaluate(full(u))[1][:, free] * scale
        return np.asarray(np.where(np.isfinite(jacobian), jacobian, 0.0) / unit[:, None])

    bounds = lower[free] / scale, upper[free] / scale
    begin = np.clip(start[free] / scale, bounds[0] + 1e-6, np.maximum(bounds[0] + 2e-6, bounds[1] - 1e-6))
    found = least_squares(values, begin, jac=slopes, bounds=bounds, xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=200)
    x = full(found.x)
    c, jacobian, _ = problem.constraints.evaluate(x)
    size = np.maximum(np.abs(jacobian) @ np.where(free, problem.scale + np.abs(x), 0.0), 1e-300)
    return bool(np.all(np.abs(c) <= TOLERANCE * size) or np.all(np.abs(values(found.x)) <= TOLERANCE))


def ranges(problem: Problem) -> tuple[Array, Array]:
    """Lower and upper bounds (n,) of the parameters; a residual standard deviation that cannot vanish stays above."""
    domains = problem.parameters.domains
    stays = problem.boundary.has_stand_in & ~problem.boundary.collapsible | domains.is_positive & ~domains.can_vanish
    lower = np.where(stays, domains.low + BEYOND * problem.scale, domains.low)
    lower = np.where(domains.is_between, LARGEST * domains.low, lower)
    return lower, np.where(domains.is_between, LARGEST * domains.high, domains.high)


def outside(problem: Problem, x: Array) -> list[int]:
    """Parameters that lie outside of their ranges."""
    lower, upper = ranges(problem)
    beyond = (x < np.where(lower == 0.0, -BEYOND * problem.scale, lower)) | (x > upper)
    return [int(i) for i in np.flatnonzero(beyond & ~problem.parameters.fixed)]


def asked_for(problem: Problem, names: tuple[str, ...]) -> dict[int, float]:
    """What a solution without the ranges asks for, of those parameters that are out of range; empty without one."""
    free = ~problem.parameters.fixed
    for start in attempts(problem):
        point = start.copy()
        with np.errstate(all="ignore"):
            if not restore(problem, point, free):
                continue
        if found := {i: float(point[i]) for i in outside(problem, point) if problem.parameters.names[i] in names}:
            return found
    return {}


def out_of_range(
    problem: Problem, name: str, text: str, names: tuple[str, ...], found: dict[int, float]
) -> ConstraintError:
    """The error for a constraint that the ranges of its parameters do not admit; ``found`` is what it asks for."""
    parameters = problem.parameters
    of = sorted(found) or [i for i, other in enumerate(parameters.names) if other in names]
    domains = list(dict.fromkeys(parameters.domains[i] for i in of if not parameters.domains.is_real[i]))
    domains.sort(key=lambda domain: domain.high, reverse=True)
    what = domains[0].words
    rules = {domain: rule_of(domain) for domain in domains}
    zeros = [i for i in found if parameters.domains.can_vanish[i] and abs(found[i]) <= BEYOND * problem.scale[i]]
    if zeros and len(zeros) == len(found):
        rules[SD] = "a residual standard deviation of zero has no likelihood"
    if found:
        wish = ", ".join(f"{parameters.names[i]} = {found[i] + 0.0:.6g}" for i in sorted(found))
        reason = f"it asks for {wish}, and {' and '.join(rules[domain] for domain in domains)}"
    else:
        reason = f"no values of {', '.join(names)} satisfy it"
    return ConstraintError(f"the constraint {name!r} ({text}) cannot be met by {what}: {reason}. Correct the equation")


def rule_of(domain: Domain) -> str:
    """What a domain demands, in words."""
    if math.isfinite(domain.high):
        return f"{domain.words} lies between {domain.low:g} and {domain.high:g}"
    return f"{domain.words} is never negative" if domain.has_ends else f"{domain.words} is never {domain.low:g} or less"
