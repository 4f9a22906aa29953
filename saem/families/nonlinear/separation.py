"""Outcomes that parameters separate, so that the likelihood rises without end (Albert & Anderson 1984).

It is looked for along parameters that a linear predictor adds with columns as their weights. Where all outcomes on one
side are the smallest or largest that are possible, it rises whatever the random effects and other parameters are.
"""

from __future__ import annotations

import ast

import numpy as np
from numpy.typing import NDArray

from saem.errors import DataError, listing
from saem.expressions.constraint import Constraints
from saem.expressions.rows import RowExpression
from saem.families.nonlinear import trees
from saem.families.nonlinear.data import NonlinearData
from saem.families.nonlinear.evaluation import value_of
from saem.families.nonlinear.other_rows import own_rows
from saem.families.nonlinear.separated import terms_of

Floats = NDArray[np.float64]
MOVED = 1e-6  # of a direction whose largest entry is one, on columns of size one
FAR = {"logit": 10.0, "probit": 4.0, "rate": 10.0}  # predictors at the start, below which nothing can be separated


def check_separation(data: NonlinearData, constraints: Constraints, start: Floats) -> None:
    """Refuse outcomes that free parameters separate, unless a constraint involves one of these.

    Parameters
    ----------
    data : NonlinearData
    constraints : Constraints
    start : (n,) ndarray
        Where the likelihood without random effects is largest.

    Raises
    ------
    DataError
        Naming the parameters.
    """
    link, predictor = predictor_of(data)
    if predictor is None:
        return
    rows = own_rows(data)
    at = np.abs(rows.values(predictor, start, rows.centres(start)))
    if not np.max(at, where=np.isfinite(at), initial=0.0) >= FAR[link]:
        return
    direction = separating(data, design_of(data, predictor))
    if direction is None:
        return
    moved = np.flatnonzero(np.abs(direction) > MOVED)
    tied = set().union(*(np.flatnonzero(row).tolist() for row in gradient_pattern(constraints, len(start))))
    if tied & set(moved.tolist()):
        return
    raise DataError(
        f"the outcomes are separated by {listing(data.parameters.names[i] for i in moved)}: where these are moved, all "
        "outcomes on one side are the smallest or largest that are possible, so that the likelihood rises without end. "
        "Leave out a column, join levels of a factor, or give a mean a value in [fixed]"
    )


def predictor_of(data: NonlinearData) -> tuple[str, ast.expr | None]:
    """The logit or probit of a probability, or the logarithm of a rate, with its name; None where there is none."""
    arguments = data.structure.arguments
    for link in ("logit", "probit"):
        if link in arguments:
            return link, arguments[link]
    rate = arguments.get("rate") if data.outcome.distribution == "poisson" else None
    return "rate", trees.argument(rate) if rate is not None and trees.is_call(rate, "exp") else None


def design_of(data: NonlinearData, predictor: ast.expr) -> Floats:
    """Weights (n, n_parameters) of the free parameters that a predictor adds, and in which it is linear; else zero."""
    structure, names, n = data.structure, data.parameters.names, len(data.response)
    moved = {}
    for effect in structure.effects:
        at = trees.coordinate(effect.name)
        moved[f"z.{effect.name}"] = trees.add(at, trees.total(trees.multiply(a, b) for a, b in effect.centre))
    terms = terms_of(trees.substitute(predictor, moved), frozenset(data.columns))
    found = np.zeros((n, len(names)))
    elsewhere: set[str] = set()
    for a, b in ((part, b) for whole, b in terms or () for part in addends(whole)):
        if isinstance(a, ast.Name) and a.id in names:
            found[:, names.index(a.id)] += RowExpression.of_tree(b).values(data.columns, n)
        else:
            elsewhere |= {node.id for node in ast.walk(a) if isinstance(node, ast.Name)}
    lost = [name in elsewhere for name in names] | data.parameters.fixed | ~data.parameters.domains.is_real
    found[:, lost] = 0.0
    return found


def addends(tree: ast.expr) -> list[ast.expr]:
    """The parts of a sum, also of one of sums."""
    if isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Add):
        return [*addends(tree.left), *addends(tree.right)]
    return [tree]


def gradient_pattern(constraints: Constraints, n: int) -> NDArray[np.bool_]:
    """Which parameters (m, n) each constraint involves."""
    if not len(constraints):
        return np.zeros((1, n), dtype=bool)
    points = np.random.default_rng(0).uniform(0.2, 0.8, size=(4, n))
    return np.asarray(np.any([constraints.evaluate(point)[1] != 0.0 for point in points], axis=0))


def separating(data: NonlinearData, design: Floats) -> Floats | None:
    """A direction (n,) of the parameters along which no row's likelihood falls and some rise; None without one."""
    from scipy.optimize import linprog

    free = np.flatnonzero(np.any(design != 0.0, axis=0))
    size = np.sqrt(np.mean(design[:, free] ** 2, axis=0))
    columns = design[:, free] / size
    low, high = data.response == 0.0, np.zeros(len(design), dtype=bool)
    if "rate" not in data.structure.arguments:
        trials = data.structure.arguments.get("trials", trees.ONE)
        high = data.response == value_of(trials, data.columns, len(design))
    inside = ~low & ~high
    signed = np.vstack([-columns[low], columns[high]])
    if not len(signed) or not len(free):
        return None
    different = np.unique(signed, axis=0)
    equal = np.unique(columns[inside], axis=0) if inside.any() else None
    found = linprog(
        -signed.sum(axis=0),
        A_ub=-different,
        b_ub=np.zeros(len(different)),
        A_eq=equal,
        b_eq=None if equal is None else np.zeros(len(equal)),
        bounds=(-1.0, 1.0),
    )
    if found.status != 0 or -found.fun <= MOVED * len(signed):
        return None
    direction = np.zeros(design.shape[1])
    direction[free] = found.x
    return direction
