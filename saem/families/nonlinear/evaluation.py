"""Values of a model's expressions on rows, for simulation, prediction and residuals."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saem.expressions.columns import Factor, Values
from saem.expressions.rows import RowExpression
from saem.families.nonlinear.structure import Structure

Floats = NDArray[np.float64]
AT_ONCE = 500_000  # rows times points that are evaluated together


@dataclass(frozen=True, eq=False)
class NonlinearRows:
    """m rows of a model.

    Attributes
    ----------
    structure : Structure
    columns : mapping of str to Values
        (m,) the columns that the expressions read.
    cluster : (m,) int64 ndarray
        Of the fit; -1 for a new one.
    group : (m,) int64 ndarray
        Variance group.
    weights : (m, d) ndarray or None
        Of a sum of the coordinates, where that is all of them that a row depends on.
    fresh : (m, d) ndarray of bool or None
        Coordinates that stand for those of a unit that a known cluster did not have in the fit (a new occasion): they
        have their own law, whatever the data.
    """

    structure: Structure
    columns: Mapping[str, Values]
    cluster: NDArray[np.int64]
    group: NDArray[np.int64]
    weights: Floats | None = None
    fresh: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.cluster)

    def take(self, rows: NDArray[Any]) -> NonlinearRows:
        """Some of the rows, or rows again and again."""
        columns = {name: v.take(rows) if isinstance(v, Factor) else v[rows] for name, v in self.columns.items()}
        weights, fresh = (None if each is None else each[rows] for each in (self.weights, self.fresh))
        return NonlinearRows(self.structure, columns, self.cluster[rows], self.group[rows], weights, fresh)

    def inputs(self, x: Floats, z: Floats) -> dict[str, Values]:
        """Columns, parameters (.., n_parameters) and coordinates (.., m, d) by their names.

        The first axes are those of points, so that what is the same at all of them is computed once.
        """
        found = dict(self.columns)
        found |= {name: x[..., i] for i, name in enumerate(self.structure.parameters.names)}
        return found | {f"z.{effect.name}": z[..., j] for j, effect in enumerate(self.structure.effects)}

    def values(self, expression: ast.expr, x: Floats, z: Floats) -> Floats:
        """An expression (.., m) at parameters and coordinates (.., m, d); not to be written to."""
        return np.broadcast_to(value_of(expression, self.inputs(x, z), len(self)), z.shape[:-1])

    def arguments(self, x: Floats, z: Floats) -> dict[str, Floats]:
        """The arguments (.., m) of the rows' own laws at parameters and coordinates (.., m, d)."""
        return {name: self.values(tree, x, z) for name, tree in self.structure.alone.items()}

    def centres(self, x: Floats) -> Floats:
        """The centres (.., m, d) of the coordinates at parameters (.., n_parameters)."""
        many = np.broadcast_shapes(x.shape[:-1], (len(self),))
        found = np.zeros((*many, len(self.structure.effects)))
        inputs = self.inputs(x, found)
        for j, effect in enumerate(self.structure.effects):
            for a, b in effect.centre:
                found[..., j] += value_of(a, inputs, len(self)) * value_of(b, inputs, len(self))
        return found

    def root(self, x: Floats) -> Floats:
        """Matrices (G, d, d) whose products with their transposes are the covariances of the random effects."""
        structure = self.structure
        found = []
        for sd, corr in zip(structure.sd_index, structure.corr_index, strict=True):
            correlation = np.where(corr >= 0, x[corr], 0.0) + np.eye(len(sd))
            values, vectors = np.linalg.eigh(correlation)
            found.append(np.where(sd >= 0, x[sd], 0.0)[:, None] * vectors * np.sqrt(np.maximum(values, 0.0)))
        return np.array(found).reshape(-1, len(structure.effects), len(structure.effects))

    def seen(self, root: Floats) -> Floats:
        """Of roots (m, d, d) of covariances of the coordinates, what the rows see: one column where they see a sum."""
        if self.weights is None or not len(self.structure.effects):
            return root
        moves = np.einsum("rij,ri->rj", root, self.weights)
        size = np.sqrt(np.sum(moves**2, axis=1, keepdims=True))
        return np.asarray(np.einsum("rij,rj->ri", root, moves / np.where(size > 0.0, size, 1.0))[:, :, None])


def value_of(expression: ast.expr, inputs: Mapping[str, Values], n: int) -> Floats:
    """An expression (n,) of named values; nan where it is not defined."""
    with np.errstate(all="ignore"):
        return np.asarray(RowExpression.of_tree(expression).values(inputs, n), dtype=float)
