"""Long tables of measures made wide, to be read."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from saem.errors import DataError, listing, nearest


def wide(
    table: pd.DataFrame,
    measures: Sequence[str] | None = None,
    *,
    across: str = "measure",
    fields: Sequence[str] = ("value", "mcse"),
) -> pd.DataFrame:
    """A table of `performance` or `paired` with measures, or methods, side by side.

    Parameters
    ----------
    table : DataFrame
        Long, as `performance` and `paired` return it, or a part of it.
    measures : sequence of str, optional
        Which, in this order; by default all.
    across : str
        The key whose values become columns: 'measure', 'method', 'estimand' or 'cell'.
    fields : sequence of str
        Of 'value', 'mcse' and 'n'.

    Returns
    -------
    DataFrame
        Indexed by the other keys, in order of appearance; columns (value of `across`, field), or only the former if
        there is one field. nan where the long table has no row.
    """
    keys = [name for name in ("cell", "method", "reference", "estimand", "measure") if name in table.columns]
    if across not in keys:
        raise DataError(f"across must be one of {listing(keys)}; got {across!r}")
    wrong = [name for name in fields if name not in ("value", "mcse", "n")]
    if isinstance(fields, str) or wrong or not len(fields):
        raise DataError(f"fields must be a list of some of 'value', 'mcse' and 'n'; got {fields!r}")
    if measures is not None:
        there = [str(name) for name in table["measure"].unique()]
        unknown = [name for name in measures if name not in there]
        if unknown:
            raise DataError(
                f"the table has no measure {unknown[0]!r}{nearest(unknown[0], there)}; it has {listing(there, 40)}"
            )
        rank = {name: k for k, name in enumerate(measures)}
        table = table[table["measure"].isin(rank)]
        table = table.sort_values("measure", key=lambda column: column.map(rank), kind="stable")
    others = [name for name in keys if name != across]
    orders = {name: list(dict.fromkeys(table[name])) for name in keys}
    long = table.set_index(keys)[list(fields)]
    side = long.unstack(across).swaplevel(axis=1)
    side = side[[(name, field) for name in orders[across] for field in fields]]
    if len(others) == 1:
        side = side.loc[orders[others[0]]]
    else:
        rows = table[others].drop_duplicates()
        ranks = [rows[name].map({label: k for k, label in enumerate(orders[name])}) for name in others]
        rows = rows.loc[pd.concat(ranks, axis=1, keys=others).sort_values(others).index]
        side = side.loc[pd.MultiIndex.from_frame(rows)]
    return side.droplevel(1, axis=1) if len(fields) == 1 else side
