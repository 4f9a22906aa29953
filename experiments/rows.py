"""The records of a study as one long table, which the performance measures take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from experiments.performance import COLUMNS, performance
from experiments.study.specification import Design

if TYPE_CHECKING:
    import pandas as pd

    from experiments.store import Store
    from experiments.study import Cell, Study
    from experiments.study.functions import Functions
    from experiments.study.tasks import Record

NUMBERS = ("estimate", "se", "lower", "upper", "mcse")
OF_FITS = ("loglik", "seconds", "draws", "iterations")
TEXTS = ("message", "warnings", "stream")  # beside what is measured: why, and whose random numbers


def rows_of(store: Store, study: Study, functions: Functions, replicates: int | None = None) -> pd.DataFrame:
    """What a store has of a study, or of the first replicates of its cells; see `table_of_records`."""
    keys = [cell.key for cell in study.design.all()]
    return table_of_records(store.records(keys, replicates), study, functions)


def table_of_records(records: Iterable[tuple[str, int, Record]], study: Study, functions: Functions) -> pd.DataFrame:
    """One row for each cell, replicate, method and estimand; failed fits have rows without numbers.

    `deficit` is the log-likelihood below that of the study's reference method on the same data; `stream` is what the
    method's random numbers are keyed by, below the study's seed.

    Parameters
    ----------
    records : iterable of (cell key, replicate, record)
        Records of other methods than the study has are left out.
    study : Study
    functions : Functions
    """
    import pandas as pd

    estimands = list(study.estimands)
    cells = {cell.key: cell for cell in study.design.all()}
    truths = {key: functions.truth(cell) for key, cell in cells.items()}
    nothing = [[np.nan] * len(NUMBERS)] * len(estimands)
    found: dict[str, list[object]] = {name: [] for name in ("cell", "replicate", "method", "status", *OF_FITS, *TEXTS)}
    numbers, truth = [], []
    for key, replicate, record in records:
        if record["method"] not in study.methods:
            continue
        found["cell"].append(cells[key].name)
        found["replicate"].append(replicate)
        for name in ("method", "status", "message", *OF_FITS):
            found[name].append(record[name])
        found["warnings"].append("; ".join(record["warnings"]))
        found["stream"].append(f"{key}/{replicate}/{record['method']}")
        numbers.append(record["numbers"] or nothing)
        truth.append([truths[key][name] for name in estimands])
    fits = pd.DataFrame(found)
    for name in ("cell", "method", "status", "message", "warnings"):
        fits[name] = fits[name].astype("category")  # a few texts, many times
    fits["deficit"] = deficits(fits, study.reference)
    rows = fits.loc[fits.index.repeat(len(estimands))].reset_index(drop=True)
    rows["estimand"] = pd.Categorical(np.tile(estimands, len(fits)), categories=estimands)
    values = np.array(numbers, dtype=float).reshape(-1, len(NUMBERS))
    for name, column in zip(NUMBERS, values.T, strict=True):
        rows[name] = column
    rows["truth"] = np.array(truth, dtype=float).ravel()
    return rows[[*COLUMNS, *TEXTS]]


def measured(store: Store, study: Study, functions: Functions, cell: Cell, replicates: int) -> pd.DataFrame:
    """Performance in one cell by its first replicates."""
    own = study.model_copy(update={"design": Design(cells=[dict(cell.levels)])})
    rows = rows_of(store, own, functions, replicates).drop(columns=list(TEXTS))
    return performance(rows, reference=study.reference, null=nulls_of(study))


def deficits(fits: pd.DataFrame, reference: str | None) -> np.ndarray:
    """How far each log-likelihood is below that of the reference on the same data; nan without one."""
    if reference is None or not len(fits):
        return np.full(len(fits), np.nan)
    keys = ["cell", "replicate"]
    best = fits.loc[fits["method"] == reference, [*keys, "loglik"]].rename(columns={"loglik": "top"})
    return (fits[keys].merge(best, on=keys, how="left")["top"] - fits["loglik"]).to_numpy()


def nulls_of(study: Study) -> Mapping[str, float]:
    """The values of the hypotheses, by estimand."""
    return {name: estimand.null for name, estimand in study.estimands.items() if estimand.null is not None}
