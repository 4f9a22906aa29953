"""Outcomes that the means separate, so that the likelihood rises without end (Albert & Anderson 1984)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saem.errors import DataError, listing
from saem.expressions.constraint import Constraints
from saem.families.glmm.arrays import BINOMIAL, GlmmArrays
from saem.specification.parameters import Parameters

Floats = NDArray[np.float64]
MOVED = 1e-6  # of a direction whose largest entry is one, on columns of size one
FAR = 10.0  # linear predictors at the pooled start, below which nothing can be separated


def check_separation(arrays: GlmmArrays, parameters: Parameters, constraints: Constraints, start: Floats) -> None:
    """Refuse outcomes that the free means separate, unless a constraint involves one of those means.

    Raises
    ------
    DataError
        Naming the means.
    """
    eta = arrays.offset + arrays.design @ start[arrays.mean_index]
    if np.max(np.abs(eta)) < FAR:
        return
    direction = separating(arrays, parameters)
    if direction is None:
        return
    moved = np.flatnonzero(np.abs(direction) > MOVED)
    tied = set().union(*(np.flatnonzero(row).tolist() for row in gradient_pattern(constraints, len(parameters))))
    if tied & set(moved.tolist()):
        return
    raise DataError(
        f"the outcomes are separated by {listing(parameters.names[i] for i in moved)}: where these are moved, all "
        "outcomes on one side are the smallest or largest that are possible, so that the likelihood rises without end. "
        "Leave out a column, join levels of a factor, or give a mean a value in [fixed]"
    )


def gradient_pattern(constraints: Constraints, n: int) -> NDArray[np.bool_]:
    """Which parameters (m, n) each constraint involves."""
    if not len(constraints):
        return np.zeros((1, n), dtype=bool)
    points = np.random.default_rng(0).uniform(0.2, 0.8, size=(4, n))
    return np.asarray(np.any([constraints.evaluate(point)[1] != 0.0 for point in points], axis=0))


def separating(arrays: GlmmArrays, parameters: Parameters) -> Floats | None:
    """A direction (n,) of the free means along which no row's likelihood falls and some rise; None without one."""
    from scipy.optimize import linprog

    n = len(parameters)
    design = np.zeros((len(arrays.y), n))
    np.add.at(design.T, arrays.mean_index, arrays.design.T)
    free = np.flatnonzero(~parameters.fixed & np.any(design != 0.0, axis=0))
    size = np.sqrt(np.mean(design[:, free] ** 2, axis=0))
    columns = design[:, free] / size
    low = arrays.y == 0.0
    high = arrays.y == arrays.trials if arrays.outcome == BINOMIAL else np.zeros(len(low), dtype=bool)
    inside = ~low & ~high
    signed = np.vstack([-columns[low], columns[high]])
    if not len(signed):
        return None
    equal = np.unique(columns[inside], axis=0) if inside.any() else None
    found = linprog(
        -signed.sum(axis=0),
        A_ub=-np.unique(signed, axis=0),
        b_ub=np.zeros(len(np.unique(signed, axis=0))),
        A_eq=equal,
        b_eq=None if equal is None else np.zeros(len(equal)),
        bounds=(-1.0, 1.0),
    )
    if found.status != 0 or -found.fun <= MOVED * len(signed):
        return None
    direction = np.zeros(n)
    direction[free] = found.x
    return direction
