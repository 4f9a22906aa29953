"""Which directions a likelihood without a closed form leaves free: from responses that the model itself draws.

At parameters ``x`` a direction ``v`` of the constraints' tangent space is free where the law of the data stays the same
along it: where ``v' s(y) = 0`` for the score ``s`` of every response ``y`` (Rothenberg 1971). So responses are drawn at
``x``, more than there are parameters, and ``v`` is a null direction of the sum of ``s s'``: almost surely of that of
the expected information alone, for their null spaces are the same as soon as the scores span all directions that are
not free. No response is observed for that: what is found is of the design.

The score is that of the quadrature. A rule of few nodes has a null direction of its integrand exactly, and of its
integral (two random effects that are but added) up to its error. So where few nodes do not show clearly that nothing is
free, the largest rule that can be had decides: with it the curvature in such a direction is rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from saem.errors import ModelError, SaemError
from saem.estep.integration.ladder import LADDER
from saem.families import arrange, family_of, pose
from saem.maxima.identification import Look
from saem.mstep.solver import Solver
from saem.system.streams import stream

if TYPE_CHECKING:
    import pandas as pd

    from saem.families import Model
    from saem.families.arranged import Arranged
    from saem.families.problem import Problem

Array = np.ndarray

CLUSTERS = 40  # of a large table, that are looked at first: what they determine, all do
MORE = 4  # responses more than parameters, with the largest rule
CLEAR = 0.05  # smallest eigenvalue, on the scale of a correlation matrix, with few nodes: nothing is free
NULL = 1e-7  # the same of a free direction with the largest rule
LARGEST = 5_000  # points of it, for a cluster
MOST = 10**7  # densities of a row that are computed at a point: some seconds


def drawn_look(model: Model, data: Arranged, problem: Problem) -> Look | None:
    """How to look for free directions of a model whose likelihood is a quadrature.

    None where there is no quadrature, or no response can be drawn.

    Parameters
    ----------
    model : Model
    data : Arranged
        On the user's scale.
    problem : Problem
        Posed of them.
    """
    likelihood = problem.likelihood
    if likelihood.kind != "quadrature" or not problem.coordinates.is_users or data.table is None:
        return None
    drawn = Drawn(model.plain(), data, len(problem.parameters))
    try:
        drawn.responses(data, problem.starts.first, 1)
    except ModelError:
        return None
    looks = [(drawn.roughly, CLEAR), (drawn.exactly, NULL)]
    if len(data.cluster_group) > CLUSTERS:
        looks.append((drawn.exactly_of_all, NULL))
    informations, clear = zip(*looks, strict=True)
    return Look(informations, clear)


@dataclass(frozen=True, eq=False)
class Drawn:
    """Sums of products of the scores of responses that a model draws.

    Attributes
    ----------
    model : Model
        One that is plain.
    data : Arranged
    n : int
        Number of parameters.
    """

    model: Model
    data: Arranged
    n: int

    def roughly(self, x: Array) -> Array:
        """The products (n, n) at ``x`` (n,) with few nodes, of some clusters; nan where there are none."""
        return self.products(self.some_clusters, x, 2 * self.n, largest=False)

    def exactly(self, x: Array) -> Array:
        """The same with the largest rule."""
        return self.products(self.some_clusters, x, self.n + MORE)

    def exactly_of_all(self, x: Array) -> Array:
        """The same of all clusters."""
        return self.products(lambda: self.data, x, self.n + MORE)

    def some_clusters(self) -> Arranged:
        """The data of some clusters, spread over the table; all of them where there are few."""
        count = len(self.data.cluster_group)
        if count <= CLUSTERS:
            return self.data
        chosen = np.unique(np.linspace(0, count - 1, CLUSTERS).astype(np.int64))
        return arrange(self.model, self.table()[np.isin(self.data.cluster, chosen)])

    def table(self) -> pd.DataFrame:
        """The rows of the data."""
        assert self.data.table is not None
        return self.data.table

    def responses(self, data: Arranged, x: Array, count: int) -> list[pd.DataFrame]:
        """Tables of responses that are drawn at ``x`` (n,)."""
        family, table, found = family_of(self.model), data.table, []
        assert table is not None
        for k in range(count):
            streams = (stream(0, "identifiability", str(k), part) for part in ("effects", "rows"))
            response = family.draw_response(data, x, *streams)
            found.append(table.assign(**family.recorded(self.model, table, response)))
        return found

    def products(self, of: Callable[[], Arranged], x: Array, count: int, largest: bool = True) -> Array:
        """Sum of ``s s'`` (n, n) over so many tables of responses; nan where a score cannot be had."""
        try:
            return self.summed(of(), x, count, largest)
        except SaemError:  # no response at these parameters, or too few clusters for the model
            return np.full((self.n, self.n), np.nan)

    def summed(self, data: Arranged, x: Array, count: int, largest: bool) -> Array:
        """`products` of some data."""
        start = dict(zip(data.parameters.names, x.tolist(), strict=True))
        start = {name: value for name, value in start.items() if name not in self.model.fixed}
        has_start = "start" in type(self.model).model_fields  # others start from the table
        model = self.model.replace(constraints={}, **({"start": start} if has_start else {}))
        total = np.zeros((self.n, self.n))
        for table in self.responses(data, x, count):
            problem = pose(model, arrange(model, table))
            if largest:
                nodes = most_nodes(len(data.term_names), len(data.response) * count)
                problem = replace(problem, likelihood=replace(problem.likelihood, nodes=nodes))
            solver = Solver(problem)
            score = solver.derivatives(solver.observed(), x).gradient
            total += np.outer(score, score)
        return total / count


def most_nodes(effects: int, rows: int) -> int:
    """The number of nodes for every random effect of the largest rule for so many rows."""
    points = min(LARGEST, MOST // rows)
    return max([nodes for nodes in LADDER if nodes**effects <= points], default=LADDER[1]) if effects else 1
