"""What is known of a likelihood that costs much is recalled: its derivatives, and the maxima that searches led to.

A fit looks at the same few points again and again: where a run ended, and the top of the hill beside it. Where each
look is an integral for every cluster, the last ones are kept with the data.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from saem.estep.integration.settling import settled_of
from saem.families.problem import Clusters, Problem

T = TypeVar("T")
KEPT = 64  # results for a table
_KNOWN: WeakKeyDictionary[Clusters, OrderedDict[Hashable, Any]] = WeakKeyDictionary()


def remember(problem: Problem, key: tuple[Hashable, ...], found: object) -> None:
    """Keep what is known of a likelihood that costs much, for `recalled`."""
    if problem.likelihood.kind != "quadrature":
        return
    known = _KNOWN.setdefault(problem.clusters, OrderedDict())
    known[in_full(problem, key)] = found
    while len(known) > KEPT:
        known.popitem(last=False)


def in_full(problem: Problem, key: tuple[Hashable, ...]) -> tuple[Hashable, ...]:
    """A key with the rules of integration, the constraints, and what is fixed or may end at a boundary."""
    parameters, collapsible = problem.parameters, problem.boundary.collapsible
    held = parameters.fixed.tobytes(), parameters.fixed_values.tobytes(), collapsible.tobytes()
    return (*key, settled_of(problem).key, problem.constraints.names, problem.constraints.texts, *held)


def recalled(problem: Problem, key: tuple[Hashable, ...], make: Callable[[], T]) -> T:
    """The result of `make`, or what it gave for the same key; in closed form nothing is kept.

    Parameters
    ----------
    problem : Problem
    key : tuple
        What the result depends on beside the data, the constraints and the rule of quadrature.
    make : callable
    """
    if problem.likelihood.kind != "quadrature":
        return make()
    known, full = _KNOWN.setdefault(problem.clusters, OrderedDict()), in_full(problem, key)
    if full in known:
        kept: T = known[full]
        return kept
    found = make()
    remember(problem, key, found)
    return found
