"""From the expressions of a model to compiled functions of the rows of a cluster, with their derivatives.

All come from one graph of operations, so that what they share is computed once. Columns are taken apart beforehand:
what depends on columns alone is a column by itself, computed once for a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from saem.expressions.graph import Graph
from saem.expressions.program import Program, program_of
from saem.expressions.row_reads import Reads
from saem.expressions.row_sums import RowSums, compile_row_sums
from saem.families.nonlinear.arrays import RowFunctions
from saem.families.nonlinear.columns import Lifted

MAX_OPERATIONS = 20_000  # of a model's functions together
Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Functions:
    """The compiled functions of a model, which keep their machine code.

    Attributes
    ----------
    centred, uncentred : RowFunctions
        For coordinates that are the latent data, and with derivatives by those that are not.
    observed : RowFunctions
        As `uncentred`, with the curvature of the rows in place of its expectation.
    slopes, bends, terms : Program
    term_values : RowSums
    kept : tuple
        Owners of the machine code.
    """

    centred: RowFunctions
    uncentred: RowFunctions
    observed: RowFunctions
    slopes: Program
    bends: Program
    terms: Program
    term_values: RowSums
    kept: tuple[Any, ...]


class Builder:
    """Adds a model's expressions to a graph and differentiates them.

    Parameters
    ----------
    lifted : Lifted
    index : (p,) int64 ndarray
        Parameters that are expanded.
    gathers : bool
        Whether the coordinates are those that a row reads, of many; see `saem.families.nonlinear.gathered`.
    """

    def __init__(self, lifted: Lifted, index: Array, gathers: bool) -> None:
        self.lifted, self.index, self.gathers = lifted, index, gathers
        self.n, self.d = len(lifted.parameters), len(lifted.coordinates)
        self.graph = Graph(MAX_OPERATIONS, admits_zero=True)
        self.graph.owner = "the outcome"
        self.density = self.add(lifted.log_density)

    def add(self, expression: Any) -> int:
        """The node of an expression."""
        return self.graph.translate(expression, self.lifted.inputs)

    def used(self, nodes: Sequence[int]) -> list[int]:
        """The parameters that some nodes depend on."""
        return sorted(i for i in set().union(*(self.graph.inputs(node) for node in nodes), set()) if i < self.n)

    def total(self, nodes: Sequence[int]) -> int:
        """The sum of nodes."""
        found = self.graph.const(0.0)
        for node in nodes:
            found = self.graph.binary("add", found, node)
        return found

    def gradient(self, node: int, variables: Sequence[int]) -> list[int]:
        """First derivatives."""
        return [self.graph.derivative(node, v) for v in variables]

    def curvature(self, node: int, variables: Sequence[int]) -> list[int]:
        """A node, its gradient and the lower triangle of its Hessian."""
        first = self.gradient(node, variables)
        pairs = [(i, j) for i in range(len(variables)) for j in range(i + 1)]
        return [node, *first, *(self.graph.derivative(first[i], variables[j]) for i, j in pairs)]

    def information(self, variables: Sequence[int]) -> list[int]:
        """The lower triangle of the information of a row, given the coordinates.

        Fisher's, through the arguments of the distribution; of a density of the user's own, the products of its score.
        """
        multiply = self.graph.binary
        pairs = [(i, j) for i in range(len(variables)) for j in range(i + 1)]
        if not self.lifted.information:
            score = self.gradient(self.density, variables)
            return [multiply("mul", score[i], score[j]) for i, j in pairs]
        slopes = {
            name: self.gradient(self.add(expression), variables) for name, expression in self.lifted.arguments.items()
        }
        beside = self.beside(variables)
        found = []
        for i, j in pairs:
            parts = [multiply("mul", beside[i], beside[j])] if i in beside and j in beside else []
            for (a, b), expression in self.lifted.information.items():
                weight = self.add(expression)
                both = multiply("mul", slopes[a][i], slopes[b][j])
                if a != b:
                    both = multiply("add", both, multiply("mul", slopes[b][i], slopes[a][j]))
                parts.append(multiply("mul", weight, both))
            found.append(self.total(parts))
        return found

    def beside(self, variables: Sequence[int]) -> dict[int, int]:
        """Score by the variables, by their positions, of arguments whose information is the product of their scores."""
        nodes = [self.add(self.lifted.arguments[name]) for name in self.lifted.scored]
        moved = set().union(*(self.graph.inputs(node) for node in nodes), set())
        return {i: self.graph.derivative(self.density, v) for i, v in enumerate(variables) if v in moved}

    def compiled(self, targets: Sequence[int], direct: int | None = None) -> RowSums:
        """The C function of some targets; ``direct`` counts the parameters beside which there are coordinates."""
        reads = Reads(len(self.lifted.prepared), direct) if self.gathers else None
        return compile_row_sums(self.graph, targets, self.n, self.d, self.lifted.constant, reads)

    def positions(self, parameters: Sequence[int]) -> Array:
        """Positions of parameters among the expanded ones."""
        where = {int(i): at for at, i in enumerate(self.index)}
        return np.array([where[i] for i in parameters], dtype=np.int64)

    def build(self) -> Functions:
        """Compile all functions of the model."""
        coordinates = list(range(self.n, self.n + self.d))
        direct = self.used([self.density, *map(self.add, self.lifted.arguments.values())])
        value = self.compiled([self.density])
        curvature = self.compiled(self.curvature(self.density, [*direct, *coordinates]), len(direct))
        squares = [
            self.graph.binary("mul", self.add(scale.indicator), self.add(scale.square)) for scale in self.lifted.scales
        ]
        expanded = [i for i in direct if i not in self.lifted.scale_index] if squares else direct
        alone = self.compiled([*self.scored(expanded), *squares])
        beside = self.compiled(self.scored([*direct, *coordinates]), len(direct))
        by_both = self.positions(direct)
        curved = np.array(direct, dtype=np.int64)
        term_nodes = [self.add(term) for term in self.lifted.terms]
        terms = compile_row_sums(self.graph, term_nodes, self.n, 0, frozenset())
        both = value.address, curvature.address
        return Functions(
            RowFunctions(*both, alone.address, curved, self.positions(expanded), 0, len(squares), 0),
            RowFunctions(*both, beside.address, curved, by_both, 1, 0, 0),
            RowFunctions(*both, curvature.address, curved, by_both, 1, 0, 1),
            program_of(self.graph, [self.density, *self.gradient(self.density, coordinates)]),
            program_of(self.graph, self.curvature(self.density, coordinates)),
            program_of(self.graph, term_nodes),
            terms,
            (value, curvature, alone, beside, terms),
        )

    def scored(self, variables: Sequence[int]) -> list[int]:
        """Log-density, gradient and information."""
        return [self.density, *self.gradient(self.density, variables), *self.information(variables)]
