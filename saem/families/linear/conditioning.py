"""Mean columns that are nearly, but not exactly, combinations of each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saem.errors import DataError
from saem.system.remembered import remembered

if TYPE_CHECKING:
    from saem.families.gaussian_data import GaussianData

EXACT = 1e-12  # singular values of unit columns, over the largest: below, columns are combinations of each other ..
NEAR = 5e-4  # .. and below this they nearly are: their squares are lost in the rounding of second derivatives
ENOUGH = 20_000  # rows that are looked at
PART = 1e-3  # of the largest: a column that belongs to the combination


def check_conditioning(data: GaussianData) -> None:
    """Refuse columns of free means from whose differences a fit could not tell the parameters.

    Columns that are exactly dependent are left to the constraints.

    Raises
    ------
    DataError
        Naming the columns, and what to do.
    """
    free = np.flatnonzero(~data.parameters.fixed[data.mean_index])
    names = [data.parameters.names[data.mean_index[j]] for j in free]
    labels = [data.mean_labels[j] for j in free]
    columns = data.mean_design if len(free) == len(data.mean_index) else data.mean_design[:, free]
    found = near_combination(columns)
    if found is None:
        return
    left, parts = found
    shown = [f"{names[j]} ({labels[j]!r})" for j in np.argsort(-parts) if parts[j] > PART * parts.max()]
    raise DataError(
        f"the columns of the means {' and '.join(shown[:6])} are nearly combinations of each other (to "
        f"{left:.1g} of their size), so their parameters would be lost in rounding: subtract a typical "
        "value from a column that is far from zero, such as 'year - 2000' in place of 'year'"
    )


@remembered
def near_combination(columns: NDArray[np.float64], near_zero: float = NEAR) -> tuple[float, NDArray[np.float64]] | None:
    """The size of a combination of columns (n, k) that is nearly zero, and the parts (k,) of each column, if any."""
    if len(columns) > ENOUGH:
        columns = columns[np.linspace(0, len(columns) - 1, ENOUGH).astype(int)]
    lengths = np.linalg.norm(columns, axis=0)
    if columns.shape[1] < 2 or not np.all(lengths > 0.0):
        return None
    _, singular, vt = np.linalg.svd(columns / lengths, full_matrices=False)
    near = np.flatnonzero((singular > EXACT * singular[0]) & (singular < near_zero * singular[0]))
    return (float(singular[near[-1]]), np.abs(vt[near[-1]])) if len(near) else None
