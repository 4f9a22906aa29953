"""Elimination of explicit constraints: ``name == expression`` is put in place of the name (chain rule).

Each constraint ``c = name - expression(others)`` gives one parameter as a function of the others, which the constraint
itself evaluates where the name is zero. With ``D = dx/dr`` and ``T_i = d2 x_i/dr2`` of all parameters in the remaining
ones ``r``, the reduced gradient is ``D'g`` and the reduced Hessian ``D'HD + sum_i g_i T_i`` (Nocedal & Wright 2006,
section 15.3).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, product
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from saem.errors import ModelError, listing
from saem.expressions.constraint import Constraints, split
from saem.expressions.grammar import names_in
from saem.mstep import sqp
from saem.mstep.certify import certify, scale_of
from saem.mstep.methods.newton import Local, ascend

if TYPE_CHECKING:
    from saem.families.problem import Problem
    from saem.mstep.solver import Search

Array = np.ndarray
CHOICES = 4096  # ways of choosing one name for each constraint that are looked at


class Explicit(NamedTuple):
    """A constraint solved for a parameter."""

    constraint: int
    parameter: int
    sign: float  # of the parameter in left side - right side


@dataclass(frozen=True)
class Elimination:
    """Newton's method for the parameters that explicit constraints leave over; without constraints, for all.

    An eliminated standard deviation must stay positive. A search is done by the compiled Lagrange-Newton solver instead
    where its start gives one that is not, or where a constraint's names are all held on the boundary.
    """

    name: ClassVar[str] = "elimination"
    single_step: ClassVar[bool] = False

    def check(self, problem: Problem) -> None:
        """Refuse constraints that are not explicit.

        Raises
        ------
        ModelError
            When neither side of a constraint is a free parameter that does not occur on the other side, or the
            parameters cannot be computed one after the other.
        """
        plan_for(problem.constraints, tuple(problem.parameters.fixed.tolist()))

    def maximise(self, search: Search) -> sqp.SearchResult:
        """Maximise from ``search.x``, which is overwritten; see `saem.mstep.solver.Maximiser.maximise`."""
        solver, x, region = search.solver, search.x, search.region
        constraints = solver.problem.constraints
        self.check(solver.problem)
        try:
            plan = plan_for(constraints, tuple((~region.free).tolist()))
        except ModelError:
            return solver.lagrange_newton(search)
        eliminated = [e.parameter for e in plan]
        rest = np.array([i for i in np.flatnonzero(region.free) if i not in eliminated], dtype=int)
        base = x.copy()

        def evaluate(r: Array) -> Local | None:
            point = base.copy()
            point[rest] = r
            substitute(constraints, plan, point)
            if not region.room(point).min(initial=np.inf) > 0.0:
                return None
            at = search.derivatives(point)
            if not np.isfinite(at.value):
                return None
            slopes, bends = chain_rule(plan, rest, at.jacobian, at.c_hessian)
            hessian = slopes.T @ at.hessian @ slopes
            hessian += np.tensordot(at.gradient[eliminated], bends, axes=1)
            k = len(rest)
            scale = scale_of(solver.problem, at.hessian)[rest]
            none = np.empty((0, k))
            gradient = slopes.T @ at.gradient
            return Local(point, at.value, gradient, hessian, none, scale, np.empty(0), none, np.empty((0, k, k)))

        found = ascend(evaluate, x[rest], rest, region, np.empty(0), search.tolerance, search.max_iterations)
        if found is None:
            return solver.lagrange_newton(search)
        x[:] = found.at.x
        return certify(search, found.iterations)


def substitute(constraints: Constraints, plan: tuple[Explicit, ...], x: Array) -> None:
    """Compute the eliminated parameters from the others: changes ``x``."""
    for constraint, parameter, sign in plan:
        x[parameter] = 0.0  # no other value of it would matter, but this one costs no digits
        x[parameter] = -sign * constraints.evaluate(x)[0][constraint]


def chain_rule(plan: tuple[Explicit, ...], rest: Array, jacobian: Array, c_hessian: Array) -> tuple[Array, Array]:
    """Derivatives of the parameters in those that remain.

    Returns
    -------
    slopes : (n, k) ndarray
        Of all parameters.
    bends : (m, k, k) ndarray
        Second derivatives of the eliminated ones, in the order of the plan.
    """
    k = len(rest)
    slopes, bends = np.zeros((jacobian.shape[1], k)), np.zeros((len(plan), k, k))
    slopes[rest, np.arange(k)] = 1.0
    for j, (constraint, parameter, sign) in enumerate(plan):
        first = -sign * jacobian[constraint]
        first[parameter] = 0.0
        slopes[parameter] = first @ slopes
        bends[j] = -sign * slopes.T @ c_hessian[constraint] @ slopes
        for i in range(j):
            bends[j] += first[plan[i].parameter] * bends[i]
    return slopes, bends


@lru_cache(maxsize=256)
def plan_for(constraints: Constraints, held: tuple[bool, ...]) -> tuple[Explicit, ...]:
    """Which constraint gives which parameter, in an order in which they can be computed.

    Parameters
    ----------
    constraints : Constraints
    held : tuple of bool
        (n,) parameters that cannot be eliminated.

    Raises
    ------
    ModelError
        Where there is no such choice.
    """
    options: list[list[Explicit]] = []
    needs: list[set[int]] = []
    for k, (name, text) in enumerate(zip(constraints.names, constraints.texts, strict=True)):
        needs.append(parameters_in(constraints, k))
        found = explicit_forms(constraints, k)
        if not found:
            raise ModelError(
                f"elimination needs constraints of the form 'name == expression'; neither side of {name!r} is a "
                f"parameter that does not occur on the other side: {text!r}. Rewrite it, or use another maximiser"
            )
        options.append([e for e in found if not held[e.parameter]])
        if not options[-1]:
            names = listing(constraints.parameters[e.parameter] for e in found)
            raise ModelError(
                f"elimination would replace {names} in the constraint {name!r}, but its value is fixed; free it, "
                "rewrite the constraint, or use another maximiser"
            )
    plan = first_order(options, needs)
    if plan is None:
        raise ModelError(
            f"elimination cannot solve {listing(constraints.names)} one after the other: they give the same parameter, "
            "or each needs the other's. Rewrite them, or use another maximiser"
        )
    return plan


def parameters_in(constraints: Constraints, k: int) -> set[int]:
    """Positions of the parameters that a constraint involves."""
    sides = split(constraints.names[k], constraints.texts[k])
    return {constraints.parameters.index(used) for side in sides for used in names_in(side)}


def explicit_forms(constraints: Constraints, k: int) -> list[Explicit]:
    """The parameters that stand alone on one side of a constraint, and not on the other."""
    sides = split(constraints.names[k], constraints.texts[k])
    bare = [i for i in (0, 1) if isinstance(sides[i], ast.Name) and names_in(sides[i])]
    solved = [i for i in bare if sides[i].id not in names_in(sides[1 - i])]  # type: ignore[attr-defined]
    return [Explicit(k, constraints.parameters.index(sides[i].id), 1.0 - 2.0 * i) for i in solved]  # type: ignore[attr-defined]


def first_order(options: list[list[Explicit]], needs: list[set[int]]) -> tuple[Explicit, ...] | None:
    """The first choice of one option for each constraint that can be computed one after the other, in that order."""
    for choice in islice(product(*options), CHOICES):
        ordered = tuple(in_order(choice, needs))
        if len(ordered) == len(choice) and len({e.parameter for e in choice}) == len(choice):
            return ordered
    return None


def in_order(choice: tuple[Explicit, ...], needs: list[set[int]]) -> Iterator[Explicit]:
    """Those of the explicit constraints that can be computed, each after all that it needs."""
    waiting = list(choice)
    while waiting:
        unknown = {e.parameter for e in waiting}
        ready = [e for e in waiting if needs[e.constraint] & unknown == {e.parameter}]
        if not ready:
            return
        yield from ready
        waiting = [e for e in waiting if e not in ready]
