"""Rows that read but few of the many coordinates of a cluster: what is compiled is a function of these few."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saem.expressions.columns import Factor, Values
from saem.families.nonlinear.structure import Structure


@dataclass(frozen=True, eq=False)
class Gathered:
    """The likelihood of a row as a function of the m coordinates that it reads.

    Attributes
    ----------
    structure : Structure
        As that of all coordinates, but for its effects (m,) and the trees, which name these.
    columns : mapping of str to Values
        (n,) what the trees read beside the columns of the others.
    positions : (n, m) int64 ndarray
        Which coordinates of the cluster these are.
    """

    structure: Structure
    columns: Mapping[str, Values]
    positions: NDArray[np.int64]

    def take(self, rows: NDArray[np.bool_]) -> Gathered:
        """The same for some of the rows (n,)."""
        columns = {name: v.take(rows) if isinstance(v, Factor) else v[rows] for name, v in self.columns.items()}
        return Gathered(self.structure, columns, self.positions[rows])
