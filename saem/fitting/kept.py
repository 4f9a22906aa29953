"""The rows and the problem of a fit as they were arranged and posed, kept for what is done with it in this process.

They are kept beside the fit, and go with it: a fit that is loaded, unpickled or made of another by
`dataclasses.replace` has none, and is arranged and posed anew from its table, to the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

from saem.families import arrange, pose
from saem.families.arranged import Arranged
from saem.families.coordinates import USERS
from saem.families.problem import Problem
from saem.fitting.record import Record


@dataclass(eq=False)
class Kept:
    """The rows of a fit as arrays, and its problem, once it is posed."""

    data: Arranged
    problem: Problem | None = None


_KEPT: WeakKeyDictionary[Record, Kept] = WeakKeyDictionary()


def keep(fit: Record, data: Arranged, problem: Problem) -> None:
    """Keep what a fit was made of."""
    _KEPT[fit] = Kept(data, replace(problem))


def hand_on(fit: Record, other: Record) -> None:
    """Keep for another object of the same fit what is kept for one."""
    if fit in _KEPT:
        _KEPT[other] = _KEPT[fit]


def arranged(fit: Record) -> Arranged:
    """The rows of a fit as arrays; it must have its table."""
    if fit not in _KEPT:
        assert fit.table is not None
        _KEPT[fit] = Kept(arrange(fit.model, fit.table, formula_state=dict(fit.formula_state) or None))
    return _KEPT[fit].data


def posed(fit: Record, data: Arranged) -> Problem:
    """The problem of a fit on its rows, in the coordinates in which it was fitted.

    Each who asks gets a copy, for objects are kept by the problem that they belong to, such as a quadrature whose nodes
    grow: nobody is to find what another has left.
    """
    kept = _KEPT.get(fit)
    if kept is None or kept.data is not data:
        return pose(fit.model, data, fit.method == "reml", None if len(fit.inner) else USERS)
    if kept.problem is None:
        kept.problem = pose(fit.model, data, fit.method == "reml", None if len(fit.inner) else USERS)
    return replace(kept.problem)
