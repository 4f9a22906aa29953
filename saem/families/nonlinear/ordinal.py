"""Ordinal outcomes, ``P(y <= k) = expit(cut_k - predictor)``: a sum of cells with as many terms as there are cuts."""

from __future__ import annotations

import ast
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from saem.families.nonlinear import trees
from saem.families.nonlinear.trees import filled

# Of two neighbours a < b: P(y <= b) - P(y <= a), and its logarithm, without a difference of nearly equal numbers.
LOG_CELL = "log_expit(b) + log_expit(-a) + log(1 - exp(a - b))"
SLOPE = "expit(a) * expit(-a)"


def starting_cuts(cuts: Sequence[ast.expr], response: NDArray[np.float64]) -> dict[str, float]:
    """Cuts (K - 1,) at which categories are as frequent as among responses (n,) of 1 to K, if all are parameters."""
    if not all(isinstance(cut, ast.Name) for cut in cuts):
        return {}
    counts = np.bincount(response.astype(np.int64), minlength=len(cuts) + 2)[1:] + 0.5  # none is empty: in order
    below = np.cumsum(counts)[:-1] / counts.sum()
    levels = np.log(below / (1.0 - below)).tolist()
    return {cut.id: level for cut, level in zip(cuts, levels, strict=True) if isinstance(cut, ast.Name)}


def quantity(k: int) -> str:
    """The name of ``cut_k - predictor``, from 1."""
    return f"cuts[{k}] - predictor"


def log_density(response: ast.expr, distances: Sequence[ast.expr]) -> ast.expr:
    """The log-density of a response of 1 to K.

    Parameters
    ----------
    response : ast.expr
    distances : sequence of ast.expr
        (K - 1,) ``cut_k - predictor``, increasing.
    """
    last = len(distances)
    found = filled("log_expit(-a)", {"a": distances[-1]})
    for k in range(last, 0, -1):
        b = distances[k - 1]
        cell = filled("log_expit(b)", {"b": b}) if k == 1 else filled(LOG_CELL, {"a": distances[k - 2], "b": b})
        found = trees.call("where", filled("y == k", {"y": response, "k": trees.number(k)}), cell, found)
    return found


def information(distances: Sequence[ast.expr]) -> dict[tuple[str, str], ast.expr]:
    """Fisher's information in these quantities: each cell has two neighbours, so it is tridiagonal."""
    found = {}
    for k, a in enumerate(distances, start=1):
        below = distances[k - 2] if k > 1 else None
        above = distances[k] if k < len(distances) else None
        inverse = trees.add(
            filled("exp(-cell)", {"cell": _log_cell(below, a)}), filled("exp(-cell)", {"cell": _log_cell(a, above)})
        )
        slope = filled(SLOPE, {"a": a})
        found[quantity(k), quantity(k)] = filled("slope**2 * inverse", {"slope": slope, "inverse": inverse})
        if above is not None:
            parts = {"slope": slope, "other": filled(SLOPE, {"a": above}), "cell": _log_cell(a, above)}
            found[quantity(k), quantity(k + 1)] = filled("-slope * other * exp(-cell)", parts)
    return found


def _log_cell(below: ast.expr | None, above: ast.expr | None) -> ast.expr:
    """Logarithm of the probability between two neighbours, of which one may be infinite."""
    if below is None:
        assert above is not None
        return filled("log_expit(b)", {"b": above})
    return filled("log_expit(-a)", {"a": below}) if above is None else filled(LOG_CELL, {"a": below, "b": above})


def moments(distances: Sequence[ast.expr]) -> tuple[ast.expr, ast.expr]:
    """Mean and variance of the response as a number."""
    beyond = [filled("expit(-a)", {"a": a}) for a in distances]  # P(y > k)
    mean = trees.add(trees.ONE, trees.total(beyond))
    square = trees.add(
        trees.ONE, trees.total(trees.multiply(trees.number(2 * k + 1), p) for k, p in enumerate(beyond, start=1))
    )
    return mean, filled("square - mean**2", {"square": square, "mean": mean})
