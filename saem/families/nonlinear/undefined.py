"""Which rows have no density at the start, in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saem.data.table import Rows
from saem.errors import DataError
from saem.expressions.columns import Factor, Values
from saem.families.nonlinear.data import NonlinearData
from saem.families.nonlinear.other_rows import own_rows

Floats = NDArray[np.float64]
SHOWN = 3  # rows


def undefined_rows(data: NonlinearData, x: Floats) -> DataError:
    """The error for a start (n,) at which rows have no density without random effects, naming rows and columns."""
    rows, names = own_rows(data), data.parameters.names
    value = rows.values(data.structure.log_density, x, rows.centres(x))
    bad = ~np.isfinite(value)
    told = ", ".join(f"{name} = {at:.4g}" for name, at in zip(names, x, strict=True) if name in _read(data))
    advice = "look at the expressions where a column is zero or negative, or give other values in [start]"
    if not bad.any():  # each row has one, and their sum or a derivative has not
        return DataError(f"the outcome has no finite log-density at the start ({told}); {advice}")
    table: Any = data.table
    where = f"row {int(np.argmax(bad)) + 1}" if table is None else Rows(table).first(bad)
    shown = np.flatnonzero(bad)[:SHOWN]
    what = "; ".join(", ".join(_cells(data.columns.items(), int(row))) for row in shown)
    also = f", and of {int(bad.sum()) - 1} more" if bad.sum() > 1 else ""
    return DataError(
        f"the outcome of {where}{also} of {len(rows)} has the log-density {value[shown[0]]:g} at the start, without "
        f"random effects (rows: {what}; parameters: {told}); {advice}"
    )


def _read(data: NonlinearData) -> set[str]:
    """The parameters that the log-density may depend on: those of the random effects alone it does not."""
    structure = data.structure
    spread = {data.parameters.names[i] for i in (*structure.sd_index.ravel(), *structure.corr_index.ravel()) if i >= 0}
    return set(data.parameters.names) - spread


def _cells(columns: Iterable[tuple[str, Values]], row: int) -> list[str]:
    """A row as ``column = value``."""
    found = []
    for name, values in columns:
        if isinstance(values, Factor):
            found.append(f"{name} = {values.levels[int(values.codes[row])]}")
        else:
            found.append(f"{name} = {float(values[row]):g}")
    return found
