"""The records of a study as one long table, which the performance measures take."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from saem.errors import StorageError, listing

from .performance import COLUMNS, CONVERGED, performance
from .store.content import damaged, damaged_record, parsed
from .study.specification import Design

if TYPE_CHECKING:
    import pandas as pd

    from .store import Store
    from .study import Cell, Study
    from .study.records import Record
    from .study.truths import Truths

NUMBERS = ("estimate", "se", "lower", "upper", "mcse")
OF_FITS = ("loglik", "seconds", "draws", "iterations")
TEXTS = ("message", "warnings")  # beside what is measured: why
DATA = "data"  # the hash of the data set as a number, 0 if it is not known


class Coded:
    """A column of texts of which few differ, as it grows."""

    def __init__(self) -> None:
        self.places: dict[str, int] = {}
        self.codes = array("i")

    def append(self, text: str) -> None:
        """Add a text."""
        self.codes.append(self.places.setdefault(text, len(self.places)))

    def column(self, names: Mapping[str, str] | None = None) -> Any:
        """The column, with other names for the texts if they are given."""
        import pandas as pd

        labels = [text if names is None else names[text] for text in self.places]
        return pd.Categorical.from_codes(np.frombuffer(self.codes, dtype=np.int32), categories=labels)


def rows_of(store: Store, study: Study, truths: Truths, replicates: int | None = None) -> pd.DataFrame:
    """What a store has of a study, or of the first replicates of its cells; see `table_of_records`.

    Raises
    ------
    StorageError
        When the store has no numbers for an estimand of the study.
    """
    keys = [cell.key for cell in study.design.all()]
    kept = parsed(store.identity().get("the estimands", "[]"), list, "the estimands") or list(study.estimands)
    if not all(isinstance(name, str) for name in kept):
        raise damaged("the list of the estimands")
    unknown = [name for name in study.estimands if name not in kept]
    if unknown:
        raise StorageError(
            f"{store.folder} has no estimates of {unknown[0]!r}: it was run with {listing(kept)}. Run the study in "
            "another folder, or undo the change"
        )
    return table_of_records(store.records(keys, replicates), study, truths, kept)


def table_of_records(
    records: Iterable[tuple[str, int, Record]], study: Study, truths: Truths, kept: Sequence[str] | None = None
) -> pd.DataFrame:
    """One row for each cell, replicate, method and estimand; failed fits have rows without numbers.

    `deficit` is the log-likelihood below that of the study's reference method on the same data, where that converged.

    Parameters
    ----------
    records : iterable of (cell key, replicate, record)
        Records of other methods than the study has are left out.
    study : Study
    truths : Truths
    kept : sequence of str, optional
        The estimands whose numbers the records have, in order; those of the study if omitted.
    """
    import pandas as pd

    estimands = list(study.estimands)
    kept = estimands if kept is None else list(kept)
    cells = {cell.key: cell for cell in study.design.all()}
    nothing = [np.nan] * (len(kept) * len(NUMBERS))
    texts = {name: Coded() for name in ("cell", "method", "status", *TEXTS)}
    numbers = {name: array("d") for name in ("estimates", *OF_FITS)}  # a million Python floats would take 24 MB
    replicates, data = array("q"), array("Q")
    for key, replicate, record in records:
        if record["method"] not in study.methods:
            continue
        replicates.append(replicate)
        data.append(int(record.get(DATA) or "0", 16))
        for name, text in (("cell", key), *((name, record[name]) for name in ("method", "status", "message"))):
            texts[name].append(text)
        texts["warnings"].append("; ".join(record["warnings"]))
        for name in OF_FITS:
            numbers[name].append(record[name])
        if len(record["numbers"]) not in (0, len(kept)):
            raise damaged_record(key, replicate, record["method"])
        numbers["estimates"].extend(chain.from_iterable(record["numbers"]) if record["numbers"] else nothing)
    keys, place = list(texts["cell"].places), np.frombuffer(texts["cell"].codes, dtype=np.int32)
    names = {key: cell.name for key, cell in cells.items()}
    fits: dict[str, Any] = {name: texts.pop(name).column(names if name == "cell" else None) for name in list(texts)} | {
        "replicate": np.array(replicates),
        DATA: np.array(data),
    }
    fits |= {name: np.array(numbers.pop(name)) for name in OF_FITS}
    fits["deficit"] = deficits(fits, study.reference)
    # column by column, since a table that is repeated as a whole is there three times for a moment
    many, count = len(estimands), len(replicates)
    rows: dict[str, Any] = {name: repeated(fits.pop(name), many) for name in list(fits)}
    rows["estimand"] = pd.Categorical.from_codes(np.tile(np.arange(many, dtype=np.int16), count), categories=estimands)
    values = np.frombuffer(numbers["estimates"]).reshape(count, len(kept), len(NUMBERS))
    places = [kept.index(name) for name in estimands]
    for k, name in enumerate(NUMBERS):
        rows[name] = values[:, places, k].ravel()
    known = np.array([[truths.of(cells[key])[name] for name in estimands] for key in keys], dtype=float)
    rows["truth"] = known.reshape(-1, many)[place].ravel()
    return pd.DataFrame({name: rows.pop(name) for name in (*COLUMNS, *TEXTS, DATA)}, copy=False)


def with_streams(rows: pd.DataFrame, study: Study) -> pd.DataFrame:
    """The rows with a column `stream`: what a method's random numbers are keyed by, below the study's seed."""
    keys = {cell.name: cell.key for cell in study.design.all()}
    fits = zip(rows["cell"].map(keys), rows["replicate"], rows["method"], strict=True)
    hashes = [f"{number:016x}" if number else "" for number in rows[DATA]] if DATA in rows else ""
    return rows.assign(stream=[f"{key}/{replicate}/{method}" for key, replicate, method in fits], **{DATA: hashes})


def repeated(column: Any, times: int) -> Any:
    """Every value so many times."""
    import pandas as pd

    if times == 1:
        return column
    if isinstance(column, pd.Categorical):
        return pd.Categorical.from_codes(np.repeat(column.codes, times), dtype=column.dtype)
    return np.repeat(column, times)


def measured(store: Store, study: Study, truths: Truths, cell: Cell, replicates: int) -> pd.DataFrame:
    """Performance in one cell by its first replicates."""
    own = study.model_copy(update={"design": Design(cells=[dict(cell.levels)])})
    rows = rows_of(store, own, truths, replicates).drop(columns=list(TEXTS))
    return performance(rows, reference=reference_in(rows, study), null=nulls_of(study))


def deficits(fits: Mapping[str, Any], reference: str | None) -> np.ndarray:
    """How far each log-likelihood is below that of the reference on the same data; nan where that did not converge."""
    loglik, method, status = fits["loglik"], fits["method"], fits["status"]
    nothing = np.full(len(loglik), np.nan)
    if reference not in set(method.categories) or not len(loglik):
        return nothing
    case = fits["cell"].codes.astype(np.int64) * (int(fits["replicate"].max()) + 1) + fits["replicate"]
    ended = np.isin(status.codes, [k for k, name in enumerate(status.categories) if name in CONVERGED])
    exact = np.flatnonzero(ended & (method.codes == list(method.categories).index(reference)))
    exact = exact[np.argsort(case[exact])]
    if not len(exact):
        return nothing
    place = np.minimum(np.searchsorted(case[exact], case), len(exact) - 1)
    found: np.ndarray = np.where(case[exact][place] == case, loglik[exact][place], np.nan) - loglik
    return found


def reference_in(rows: pd.DataFrame, study: Study) -> str | None:
    """The study's reference, if it has results already."""
    return study.reference if study.reference in set(rows["method"].unique()) else None


def nulls_of(study: Study) -> Mapping[str, float]:
    """The values of the hypotheses, by estimand."""
    return {name: estimand.null for name, estimand in study.estimands.items() if estimand.null is not None}
