"""The law of a row given the earlier rows of its cluster, where residuals are correlated; see `correlation`."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from saem.expressions.columns import Factor, Values
from saem.families.nonlinear import trees
from saem.families.nonlinear.correlation import Correlation

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
RESIDUALS = {"mean": "(y - mean) / sd", "median": "(log(y) - log(median)) / sd"}
GIVEN = {"mean": "mean + sd * ({slope}) * u", "median": "median * exp(sd * ({slope}) * u)"}


def given_past(
    said: Correlation, law: Mapping[str, ast.expr], columns: Iterable[str], response: str, n_back: int
) -> dict[str, ast.expr]:
    """The arguments of a row's law given the earlier rows of its cluster.

    Parameters
    ----------
    said : Correlation
    law : mapping of str to ast.expr
        The arguments of the row alone: ``sd``, and ``mean`` or ``median``.
    columns : iterable of str
        That differ between rows of a cluster, the response among them.
    response : str
    n_back : int
        Earlier rows that a density depends on.
    """
    place = next(name for name in RESIDUALS if name in law)
    past = []
    for k in range(1, n_back + 1):
        back = {name: trees.column(f"back{k}[{name}]") for name in columns}
        values = {key: trees.substitute(tree, back) for key, tree in law.items()}
        values |= {"y": back[response], "had": trees.column(f"had{k}[]")}
        past.append(trees.filled(f"had * {RESIDUALS[place]}", values))
    parts = {"rho": trees.name(said.parameter), "gap": trees.column("gap[]"), "had": trees.column("had1[]")}
    parts |= {"u": trees.total(past), "k": trees.column("earlier[]"), **law}
    match said.kind:
        case "ar1" if said.time is None:
            slope, left = "rho", "1 - had * rho**2"
        case "ar1":
            # apart, so that derivatives are numbers at rho = 0, too
            slope, left = "where(gap == 1, rho, rho**gap)", "1 - had * rho**(2 * gap)"
        case "exponential":
            slope, left = "exp(-gap / rho)", "1 - had * exp(-2 * gap / rho)"
        case _:
            slope, left = "rho / (1 + (k - 1) * rho * had)", "1 - k * rho**2 / (1 + (k - 1) * rho * had)"
    return {
        place: trees.filled(GIVEN[place].format(slope=slope), parts),
        "sd": trees.filled(f"sd * sqrt({left})", parts),
    }


def columns_back(columns: dict[str, Values], back: Codes, gap: Floats) -> dict[str, Values]:
    """The columns of earlier rows: whether there is one, and what was there."""
    found: dict[str, Values] = {"gap[]": gap, "earlier[]": (back >= 0).sum(axis=0).astype(float)}
    own, position, at = np.arange(len(gap)), np.zeros(len(gap)), back[0].copy()
    while (there := at >= 0).any():
        position[there] += 1.0
        at[there] = back[0, at[there]]
    found["order[]"] = position
    for k, rows in enumerate(back, start=1):
        at = np.where(rows >= 0, rows, own)
        found[f"had{k}[]"] = (rows >= 0).astype(float)
        found |= {f"back{k}[{n}]": v.take(at) if isinstance(v, Factor) else v[at] for n, v in columns.items()}
    return found
