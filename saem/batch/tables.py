"""The records of a run as the two tables `estimates` and `fits`, and these as CSV and Parquet files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from saem.batch.work import Record
from saem.system.files import make_folder, write_csv, write_parquet

if TYPE_CHECKING:
    import pandas as pd

NUMBERS = ("estimate", "se", "mcse", "lower", "upper")
FIT_COLUMNS = ("method", "status", "loglik", "n_rows", "n_clusters", "seconds", "message")


def assemble(keys: pd.DataFrame, records: Sequence[tuple[int, Record]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables of estimates and of fits.

    Parameters
    ----------
    keys : (n_levels, n_columns) DataFrame
        The by-columns; none for a single fit.
    records : sequence of (level, record)
        In the order of the rows.

    Returns
    -------
    estimates, fits : DataFrame
    """
    import pandas as pd

    repeats = [len(record["parameters"]) for _, record in records]
    levels = np.array([level for level, _ in records], dtype=np.int64)
    numbers = [row for _, record in records for row in record["numbers"]]
    estimates = pd.DataFrame(
        {
            "method": np.repeat(np.array([record["method"] for _, record in records], dtype=object), repeats),
            "parameter": [name for _, record in records for name in record["parameters"]],
        }
    ).astype("str")
    estimates[list(NUMBERS)] = np.array(numbers, dtype=np.float64).reshape(-1, len(NUMBERS))
    fits = pd.DataFrame({name: [record[name] for _, record in records] for name in FIT_COLUMNS})
    fits = fits.astype(
        {
            "method": "str",
            "status": "str",
            "loglik": "float64",
            "n_rows": "int64",
            "n_clusters": "Int64",
            "seconds": "float64",
            "message": "str",
        }
    )
    return _with_keys(keys, np.repeat(levels, repeats), estimates), _with_keys(keys, levels, fits)


def _with_keys(keys: pd.DataFrame, levels: np.ndarray, table: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    return pd.concat([keys.take(levels).reset_index(drop=True), table], axis=1) if len(keys.columns) else table


def write_tables(folder: Path, estimates: pd.DataFrame, fits: pd.DataFrame) -> None:
    """Write `estimates` and `fits` as .csv and .parquet; each file is replaced in one step."""
    make_folder(folder)
    for name, table in (("estimates", estimates), ("fits", fits)):
        write_csv(table, folder / f"{name}.csv", index=False)
        write_parquet(table, folder / f"{name}.parquet")
