"""The records of a study as one long table, which the performance measures take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from experiments.performance import COLUMNS

if TYPE_CHECKING:
    import pandas as pd

    from experiments.store import Store
    from experiments.study import Study
    from experiments.study.functions import Functions

NUMBERS = ("estimate", "se", "lower", "upper", "mcse")
OF_FITS = ("loglik", "seconds", "draws", "iterations")
TEXTS = ("message", "warnings", "stream")  # beside what is measured: why, and whose random numbers


def rows_of(store: Store, study: Study, functions: Functions) -> pd.DataFrame:
    """One row for each cell, replicate, method and estimand; failed fits have rows without numbers.

    `deficit` is the log-likelihood below that of the study's reference method on the same data; `stream` is what the
    method's random numbers are keyed by, below the study's seed.
    """
    import pandas as pd

    estimands = list(study.estimands)
    cells = {cell.key: cell for cell in study.design.all()}
    truths = {key: functions.truth(cell) for key, cell in cells.items()}
    nothing = [[np.nan] * len(NUMBERS)] * len(estimands)
    found: dict[str, list[object]] = {name: [] for name in ("cell", "replicate", "method", "status", *OF_FITS, *TEXTS)}
    numbers, truth = [], []
    for key, replicate, record in store.records():
        if key not in cells or record["method"] not in study.methods:
            continue  # of a larger design that was run before
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
