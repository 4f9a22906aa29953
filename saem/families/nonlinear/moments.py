"""Means of functions of the coordinates over their normal law, row by row."""

from __future__ import annotations

import ast
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from saem.families.nonlinear.evaluation import AT_ONCE, NonlinearRows

Floats = NDArray[np.float64]
NODES = {1: 40, 2: 15}  # a dimension of a product rule; beyond, quasi-random points
POINTS = 512


@lru_cache(maxsize=16)
def normal_points(d: int) -> tuple[Floats, Floats]:
    """Points (k, d) and weights (k,) of a standard normal law: a product rule, or scrambled Sobol points."""
    if d == 0:
        return np.zeros((1, 0)), np.ones(1)
    if d in NODES:
        points, weights = np.polynomial.hermite_e.hermegauss(NODES[d])
        grids = np.meshgrid(*[points] * d, indexing="ij")
        mass = np.meshgrid(*[weights / weights.sum()] * d, indexing="ij")
        return np.stack([g.ravel() for g in grids], axis=1), np.prod([m.ravel() for m in mass], axis=0)
    return sobol_points(d)


@lru_cache(maxsize=16)
def sobol_points(d: int) -> tuple[Floats, Floats]:
    """Scrambled Sobol points (`POINTS`, d) of a standard normal law, and equal weights."""
    from scipy.special import ndtri
    from scipy.stats import qmc

    uniform = qmc.Sobol(max(d, 1), seed=1).random(POINTS)[:, :d]
    return np.asarray(ndtri(np.clip(uniform, 1e-9, 1.0 - 1e-9))), np.full(POINTS, 1.0 / POINTS)


def mean_over(
    rows: NonlinearRows, expressions: list[ast.expr], x: Floats, shift: Floats, root: Floats
) -> tuple[list[Floats], list[Floats]]:
    """Means and variances (m,) of expressions, where coordinates are the centres and a normal effect.

    Parameters
    ----------
    rows : NonlinearRows
        (m,)
    expressions : list of ast.expr
    x : (n,) ndarray
    shift : (m, d) ndarray
        Mean of the random effect of each row.
    root : (m, d, d) ndarray
        Of its covariance.
    """
    root = rows.seen(root)
    points, weights = normal_points(root.shape[2])
    k, m = len(points), len(rows)
    centres = rows.centres(x) + shift
    first, second = np.empty((2, len(expressions), m))
    step = max(1, AT_ONCE // k)
    for begin in range(0, m, step):
        own = np.arange(begin, min(begin + step, m))
        z = centres[own] + np.einsum("rij,kj->kri", root[own], points)
        part = rows.take(own)
        for e, expression in enumerate(expressions):
            values = part.values(expression, x, z)
            first[e, own] = weights @ values
            second[e, own] = weights @ (values - first[e, own]) ** 2
    return list(first), list(second)


def spread_of_means(rows: NonlinearRows, expression: ast.expr, x: Floats, shift: Floats, root: Floats) -> Floats:
    """Variances (m,) of the mean of an expression over the `fresh` coordinates, where the others have their law.

    Parameters
    ----------
    rows : NonlinearRows
        (m,) with `fresh` coordinates.
    expression : ast.expr
    x, shift, root : ndarray
        See `mean_over`; `fresh` coordinates are independent of the others.
    """
    assert rows.fresh is not None
    parts = [np.where(which[:, :, None], root, 0.0) for which in (~rows.fresh, rows.fresh)]
    outer, inner = (
        rows.seen(part) if rows.weights is not None else part[:, :, part.any(axis=(0, 1))] for part in parts
    )
    (points, weights), (within, mass) = normal_points(outer.shape[2]), normal_points(inner.shape[2])
    centres = rows.centres(x) + shift
    found = np.empty(len(rows))
    step = max(1, AT_ONCE // (len(points) * len(within)))
    for begin in range(0, len(rows), step):
        own = np.arange(begin, min(begin + step, len(rows)))
        moved = centres[own] + np.einsum("rij,kj->kri", outer[own], points)
        z = moved[:, None] + np.einsum("rij,kj->kri", inner[own], within)
        means = np.einsum("l,klr->kr", mass, rows.take(own).values(expression, x, z))
        found[own] = weights @ (means - weights @ means) ** 2
    return found
