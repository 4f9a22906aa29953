"""By which rule the random effects of each cluster are integrated, and where it is put."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from saem.estep.integration.marginal import Quadrature
from saem.estep.integration.rules import MOST_EFFECTS, SCRAMBLES, VARIANTS, Kind, part_of, rule_of, table_of
from saem.families.contract import n_effects
from saem.system.jit import entry

Array = np.ndarray
COMPONENTS = 7  # of a mixture


@entry
def fill_numbers(arrays: Any, x: Array, numbers: Array) -> None:
    """Write the numbers (C,) of random effects of the clusters."""
    for cluster in range(numbers.shape[0]):
        numbers[cluster] = n_effects(arrays, x, cluster)


def numbers_of_effects(arrays: Any, x: Array, n_clusters: int) -> Array:
    """The numbers (C,) of random effects of the clusters."""
    numbers = np.zeros(n_clusters, dtype=np.int64)
    fill_numbers(arrays, np.array(x, dtype=float), numbers)
    return numbers


@dataclass(frozen=True, eq=False)
class Placing:
    """By which rule the random effects of each cluster are integrated, and where it is put.

    Attributes
    ----------
    nodes, draws : (C,) int64 ndarray
        Nodes in each direction of a product rule; or, where that is zero, points of a mixture of t distributions.
    effects : (C,) int64 ndarray
        Numbers of random effects.
    held : (C,) bool ndarray
        Whether the rule is where the parameters do not move it: it then is one for the random effects themselves.
    shift : (C, d) ndarray
        Of the rule: from the mode in coordinates of unit curvature, or of one that is held from zero.
    stretch : (C, d, d) ndarray
        What it is multiplied by there; upper triangular.
    shares, means, roots : (C, M), (C, M, d) and (C, M, d, d) ndarray
        Of the components of a mixture of the random effects: roots of their covariances, lower triangular.
    correction : (C,) ndarray
        Added to the logarithms of the integrals: what the next number of nodes changed them by where it was tried.
    variance : (C,) ndarray
        Of the logarithm of the integral, by points of a mixture or by what two costly product rules differ by; else 0.
    """

    nodes: Array
    draws: Array
    effects: Array
    held: Array
    shift: Array
    stretch: Array
    shares: Array
    means: Array
    roots: Array
    correction: Array
    variance: Array

    @classmethod
    def at_modes(cls, effects: Array, nodes: int | Array) -> Placing:
        """Product rules at the modes, with so many nodes in each direction: in all clusters, or in each (C,)."""
        count, most = len(effects), int(effects.max(initial=0))
        return cls(
            np.array(np.broadcast_to(np.asarray(nodes, dtype=np.int64), count)),
            np.zeros(count, dtype=np.int64),
            effects,
            np.zeros(count, dtype=bool),
            np.zeros((count, most)),
            np.tile(np.eye(most), (count, 1, 1)),
            np.zeros((count, 0)),
            np.zeros((count, 0, most)),
            np.zeros((count, 0, most, most)),
            np.zeros(count),
            np.zeros(count),
        )

    def with_room(self) -> Placing:
        """The same with room for mixtures, which many clusters that need none do without."""
        count, most = self.shift.shape
        if self.shares.shape[1]:
            return self
        room = np.zeros((count, COMPONENTS)), np.zeros((count, COMPONENTS, most))
        return replace(self, shares=room[0], means=room[1], roots=np.zeros((count, COMPONENTS, most, most)))

    def with_those_of(self, other: Placing, where: Array) -> Placing:
        """The same, with the rules of another one for some of the clusters (C,) bool."""
        a, b = self, other
        if a.shares.shape[1] != b.shares.shape[1]:
            a, b = a.with_room(), b.with_room()
        mixed = {
            name: np.where(where.reshape(-1, *[1] * (mine.ndim - 1)), theirs, mine)
            for (name, mine), theirs in zip(vars(a).items(), vars(b).values(), strict=True)
        }
        return Placing(**mixed)

    @property
    def is_beyond_products(self) -> Array:
        """Whether clusters (C,) have too many random effects for any product rule."""
        return self.effects > MOST_EFFECTS

    @property
    def variants(self) -> Array:
        """Which (C,) of the variants of a rule clusters have: errors of different ones are independent."""
        return np.where(self.draws > 0, np.arange(len(self.draws)) % VARIANTS, 0)

    @property
    def mcse(self) -> float:
        """Standard error of the log-likelihood."""
        return float(np.sqrt(self.variance.sum()))

    def objective(
        self, arrays: Any, constant: float = 0.0, part: int | None = None, clusters: Array | None = None
    ) -> Quadrature:
        """The marginal log-likelihood by these rules, or by one ``part`` of those that consist of several.

        It is that of all the clusters, or of some (k,).
        """
        own = np.arange(len(self.nodes)) if clusters is None else clusters
        each = np.column_stack([self.nodes, self.draws, self.effects, self.variants])[own]
        rows, inverse = np.unique(each, axis=0, return_inverse=True)
        which = np.zeros(len(self.nodes), dtype=np.int64)
        which[own] = inverse.reshape(-1)
        kinds = [Kind(*row) for row in rows.tolist()]
        rules = [rule_of(kind) if part is None else part_of(rule_of(kind), kind, part) for kind in kinds]
        table, parts = table_of(rules), SCRAMBLES if part is None else 1
        mixed = self.draws > 0
        return Quadrature(
            arrays,
            table.points,
            table.log_weights,
            table.begins,
            which,
            self.shift,
            self.stretch,
            self.correction,
            self.held | mixed,
            mixed,
            parts,
            self.shares,
            self.means,
            self.roots,
            constant,
            own,
        )
