"""Columns of the design of a formula that its rows cannot tell from others: they are left out, and said."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from saem.errors import DataError, listing
from saem.specification.formula import Design, missing_cells

TOLERANCE = 1e-7  # of a column's length, what earlier columns leave of it: R's `lm` has the same

Floats = NDArray[np.float64]


def without_aliased(formula: str, found: Design, named: Collection[str]) -> Design:
    """The design of a formula without the columns that combinations of levels without rows make superfluous.

    Left out are columns that are zero in all rows, and columns of interactions that are combinations of columns before
    them, as in R's `lm` and lme4; the latter only where no constraint is about means, which may determine them.

    Parameters
    ----------
    formula : str
    found : Design
        Its state is filled with `kept`, the columns that remain, and `aliased`: for each other column what it is as a
        combination of those. Where a state has them already, they are used.
    named : collection of str
        Parameters of which constraints or fixed values say something.
    """
    state, matrix = found.state, found.matrix
    warnings = list(found.warnings)
    if "kept" not in state:
        empty = np.flatnonzero(~np.any(matrix, axis=0)).tolist()
        superfluous = _superfluous(matrix, found.optional - set(empty), empty) if found.cells else []
        if superfluous and not set(named) & set(found.names):
            warnings.append(
                f"{missing_cells(found) or 'levels coincide'}, so that the rows cannot tell "
                f"{listing([found.labels[j] for j in superfluous])} of the formula {formula!r} from the other "
                "columns: left out of the model, as in R"
            )
        elif superfluous:
            warnings.append(f"{missing_cells(found) or 'levels coincide'}: the rows leave means to the constraints")
            superfluous = []
        if empty:
            warnings.append(
                f"no row has the combination of levels {listing([found.labels[j] for j in empty])} of the formula "
                f"{formula!r}: left out of the model"
            )
        left_out = {*empty, *superfluous}
        kept = [j for j in range(matrix.shape[1]) if j not in left_out]
        state["kept"] = kept
        state["aliased"] = {
            str(j): np.linalg.lstsq(matrix[:, kept], matrix[:, j], rcond=None)[0].round(9).tolist()
            if j in superfluous
            else []
            for j in sorted(left_out)
        }
    kept = state["kept"]
    if not all(isinstance(j, int) and 0 <= j < matrix.shape[1] for j in kept):
        raise DataError(f"the constants that the fit keeps for the formula {formula!r} do not belong to it; fit again")
    if len(kept) < matrix.shape[1]:
        matrix = np.ascontiguousarray(matrix[:, kept])
    names, labels = (tuple(texts[j] for j in kept) for texts in (found.names, found.labels))
    return replace(found, matrix=matrix, names=names, labels=labels, warnings=tuple(warnings))


def _superfluous(matrix: Floats, optional: frozenset[int], empty: list[int]) -> list[int]:
    """Those of the optional columns that are combinations of columns before them."""
    rows = np.unique(matrix, axis=0)
    basis: list[Floats] = []
    found = []
    for j, column in enumerate(rows.T):
        length = float(np.linalg.norm(column))
        if j in empty or length == 0.0:
            continue
        rest = column / length
        for _ in range(2):  # once more against rounding
            for direction in basis:
                rest = rest - (direction @ rest) * direction
        size = float(np.linalg.norm(rest))
        if size > TOLERANCE:
            basis.append(rest / size)
        elif j in optional:
            found.append(j)
    return found
