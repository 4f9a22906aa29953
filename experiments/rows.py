"""The records of a study as one long table, which the performance measures take."""

from __future__ import annotations

import json
import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.performance import COLUMNS, CONVERGED, performance
from experiments.study.specification import Design
from saem.errors import StorageError, listing

if TYPE_CHECKING:
    import pandas as pd

    from experiments.store import Store
    from experiments.study import Cell, Study
    from experiments.study.functions import Functions
    from experiments.study.tasks import Record

NUMBERS = ("estimate", "se", "lower", "upper", "mcse")
OF_FITS = ("loglik", "seconds", "draws", "iterations")
TEXTS = ("message", "warnings")  # beside what is measured: why


def rows_of(store: Store, study: Study, functions: Functions, replicates: int | None = None) -> pd.DataFrame:
    """What a store has of a study, or of the first replicates of its cells; see `table_of_records`.

    Raises
    ------
    StorageError
        When the store has no numbers for an estimand of the study.
    """
    keys = [cell.key for cell in study.design.all()]
    kept = json.loads(store.identity().get("the estimands", "[]")) or list(study.estimands)
    unknown = [name for name in study.estimands if name not in kept]
    if unknown:
        raise StorageError(
            f"{store.folder} has no estimates of {unknown[0]!r}: it was run with {listing(kept)}. Run the study in "
            "another folder, or undo the change"
        )
    return table_of_records(store.records(keys, replicates), study, functions, kept)


def table_of_records(
    records: Iterable[tuple[str, int, Record]], study: Study, functions: Functions, kept: Sequence[str] | None = None
) -> pd.DataFrame:
    """One row for each cell, replicate, method and estimand; failed fits have rows without numbers.

    `deficit` is the log-likelihood below that of the study's reference method on the same data, where that converged.

    Parameters
    ----------
    records : iterable of (cell key, replicate, record)
        Records of other methods than the study has are left out.
    study : Study
    functions : Functions
    kept : sequence of str, optional
        The estimands whose numbers the records have, in order; those of the study if omitted.
    """
    import pandas as pd

    estimands = list(study.estimands)
    kept = estimands if kept is None else list(kept)
    cells = {cell.key: cell for cell in study.design.all()}
    truths = {key: functions.truth(cell) for key, cell in cells.items()}
    nothing = [np.nan] * (len(kept) * len(NUMBERS))
    columns: dict[str, list[str]] = {name: [] for name in ("key", "method", "status", "message", "warnings")}
    numbers = {name: array("d") for name in ("estimates", *OF_FITS)}  # a million Python floats would take 24 MB
    replicates = array("q")
    for key, replicate, record in records:
        if record["method"] not in study.methods:
            continue
        columns["key"].append(key)
        replicates.append(replicate)
        for name in ("method", "status", "message"):
            columns[name].append(sys.intern(record[name]))
        columns["warnings"].append(sys.intern("; ".join(record["warnings"])))
        for name in OF_FITS:
            numbers[name].append(record[name])
        numbers["estimates"].extend(chain.from_iterable(record["numbers"]) if record["numbers"] else nothing)
    fits = pd.DataFrame({name: pd.Categorical(columns.pop(name)) for name in list(columns)})
    fits["cell"] = fits["key"].cat.rename_categories({key: cell.name for key, cell in cells.items()})
    fits["replicate"] = np.array(replicates)
    for name in OF_FITS:
        fits[name] = np.array(numbers.pop(name))
    fits["deficit"] = deficits(fits, study.reference)
    # column by column, since a table that is repeated as a whole is there three times for a moment
    many = len(estimands)
    rows: dict[str, Any] = {name: repeated(fits[name], many) for name in fits if name != "key"}
    rows["estimand"] = pd.Categorical(np.tile(estimands, len(fits)), categories=estimands)
    values = np.frombuffer(numbers["estimates"]).reshape(len(fits), len(kept), len(NUMBERS))
    places = [kept.index(name) for name in estimands]
    for k, name in enumerate(NUMBERS):
        rows[name] = values[:, places, k].ravel()
    known = np.array([[truths[key][name] for name in estimands] for key in fits["key"].cat.categories], dtype=float)
    rows["truth"] = known[fits["key"].cat.codes.to_numpy()].ravel()
    return pd.DataFrame({name: rows.pop(name) for name in (*COLUMNS, *TEXTS)}, copy=False)


def with_streams(rows: pd.DataFrame, study: Study) -> pd.DataFrame:
    """The rows with a column `stream`: what a method's random numbers are keyed by, below the study's seed."""
    keys = {cell.name: cell.key for cell in study.design.all()}
    fits = zip(rows["cell"].map(keys), rows["replicate"], rows["method"], strict=True)
    return rows.assign(stream=[f"{key}/{replicate}/{method}" for key, replicate, method in fits])


def repeated(column: pd.Series, times: int) -> Any:
    """Every value so many times."""
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        return pd.Categorical.from_codes(np.repeat(column.cat.codes.to_numpy(), times), dtype=column.dtype)
    return np.repeat(column.to_numpy(), times)


def measured(store: Store, study: Study, functions: Functions, cell: Cell, replicates: int) -> pd.DataFrame:
    """Performance in one cell by its first replicates."""
    own = study.model_copy(update={"design": Design(cells=[dict(cell.levels)])})
    rows = rows_of(store, own, functions, replicates).drop(columns=list(TEXTS))
    return performance(rows, reference=reference_in(rows, study), null=nulls_of(study))


def deficits(fits: pd.DataFrame, reference: str | None) -> np.ndarray:
    """How far each log-likelihood is below that of the reference on the same data; nan where that did not converge."""
    if reference is None or not len(fits):
        return np.full(len(fits), np.nan)
    keys = ["cell", "replicate"]
    exact = (fits["method"] == reference) & fits["status"].isin(CONVERGED)
    best = fits.loc[exact, [*keys, "loglik"]].rename(columns={"loglik": "top"})
    return (fits[keys].merge(best, on=keys, how="left")["top"] - fits["loglik"]).to_numpy()


def reference_in(rows: pd.DataFrame, study: Study) -> str | None:
    """The study's reference, if it has results already."""
    return study.reference if study.reference in set(rows["method"]) else None


def nulls_of(study: Study) -> Mapping[str, float]:
    """The values of the hypotheses, by estimand."""
    return {name: estimand.null for name, estimand in study.estimands.items() if estimand.null is not None}
