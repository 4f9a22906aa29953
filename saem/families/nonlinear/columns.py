"""The expressions of a model with their columns taken apart, and the values of these."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from saem.expressions.columns import Values
from saem.expressions.lifting import lift_columns
from saem.expressions.rows import RowExpression
from saem.families.nonlinear.structure import Scale, Structure

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Lifted:
    """A structure whose expressions name parameters, coordinates and prepared columns.

    Attributes
    ----------
    parameters, coordinates : tuple of str
    log_density : ast.expr
    arguments, information, scored
        As in `Structure`.
    scales : tuple of Scale
        ``indicator`` and ``square`` so prepared.
    scale_index : tuple of int
        The parameters of the scales.
    terms : tuple of ast.expr
        (K,) the parameters' part of the centres.
    term_effect : tuple of int
        (K,) the effect of each.
    basis : tuple of ast.expr
        (K,) the columns' part.
    prepared : dict of str to RowExpression
        The columns, in the order of their inputs.
    constant : frozenset of int
        Positions of those that are constant in every cluster.
    """

    parameters: tuple[str, ...]
    coordinates: tuple[str, ...]
    log_density: ast.expr
    arguments: dict[str, ast.expr]
    information: dict[tuple[str, str], ast.expr]
    scored: tuple[str, ...]
    scales: tuple[Scale, ...]
    scale_index: tuple[int, ...]
    terms: tuple[ast.expr, ...]
    term_effect: tuple[int, ...]
    basis: tuple[ast.expr, ...]
    prepared: dict[str, RowExpression]
    constant: frozenset[int]

    @cached_property
    def inputs(self) -> dict[str, int]:
        """The position of every input of the graph."""
        names = (*self.parameters, *self.coordinates, *self.prepared)
        return {name: position for position, name in enumerate(names)}

    def matrix(self, columns: Mapping[str, Values], n: int) -> Array:
        """The prepared columns (n, k) of rows."""
        return values_of(tuple(self.prepared.values()), columns, n)

    def centre_columns(self, columns: Mapping[str, Values], n: int) -> Array:
        """The columns' parts (n, K) of the terms on rows."""
        return values_of(tuple(map(RowExpression.of_tree, self.basis)), columns, n)


def values_of(expressions: tuple[RowExpression, ...], columns: Mapping[str, Values], n: int) -> Array:
    """Values (n, k) of expressions of columns."""
    found = np.empty((n, len(expressions)))
    for k, expression in enumerate(expressions):
        found[:, k] = expression.values(columns, n)
    return found


def lifted(structure: Structure, columns: frozenset[str], constant: frozenset[str]) -> Lifted:
    """Take the columns of a structure's expressions apart.

    Parameters
    ----------
    structure : Structure
    columns : frozenset of str
        The names that are columns.
    constant : frozenset of str
        Those that are constant in every cluster.
    """
    found: dict[str, RowExpression] = {}

    def lift(node: ast.expr) -> ast.expr:
        return lift_columns(node, columns, found)

    density = lift(structure.log_density)
    arguments = {name: lift(node) for name, node in structure.arguments.items()}
    information = {pair: lift(node) for pair, node in structure.information.items()}
    scales = tuple(Scale(s.parameter, lift(s.indicator), lift(s.square)) for s in structure.scales)
    terms = [(k, a, b) for k, effect in enumerate(structure.effects) for a, b in effect.centre]
    kept = frozenset(k for k, expression in enumerate(found.values()) if frozenset(expression.columns) <= constant)
    return Lifted(
        parameters=structure.parameters.names,
        coordinates=tuple(f"z.{effect.name}" for effect in structure.effects),
        log_density=density,
        arguments=arguments,
        information=information,
        scored=structure.scored,
        scales=scales,
        scale_index=tuple(structure.parameters.index(scale.parameter) for scale in scales),
        terms=tuple(a for _, a, _ in terms),
        term_effect=tuple(k for k, _, _ in terms),
        basis=tuple(b for _, _, b in terms),
        prepared=found,
        constant=kept,
    )
