"""The functions of the study `headline`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

import saem
from saem.fitting.fit import Algorithm
from saem.schedules import RobbinsMonroSchedule

from ..harness.performance import WHOLE_FIT
from ..harness.study.cells import Cell
from ..harness.study.functions import Outcome
from .peptide import TRUTH, g, peptide_design, peptide_model
from .uncentred import uncentred

TEXTBOOK = uncentred(RobbinsMonroSchedule(500, 500, 1.0, draws=1), target=saem.Target(max_iterations=0))
LOST = 0.01  # of the SD at the maximum


@lru_cache(maxsize=1)
def model() -> saem.Model:
    """The peptide model with the posted link."""
    return peptide_model()


def truth(cell: Cell) -> Mapping[str, float]:
    """The parameters of a cell: c2 follows from the others."""
    known = TRUTH | {"sigma2": float(cell["ratio"]) * TRUTH["sigma1"]}
    return known | {"c2": g(known["b21"], known["b22"], known["sigma1"], known["sigma2"])}


def performance(rows: pd.DataFrame) -> pd.DataFrame:
    """The share of fits that lose a variance which the data have.

    `collapse_rate`: of the fits that gave an estimate, to data sets whose maximum is interior, those with an SD of
    random effects below `LOST` of that at the maximum.
    """
    own = rows[rows["estimand"].isin(["sigma1", "sigma2"]) & rows["estimate"].notna()]
    best = own[(own["method"] == "ml") & (own["status"] == "ok")]
    keys = ["cell", "replicate", "estimand"]
    pairs = own.merge(best[[*keys, "estimate"]].rename(columns={"estimate": "top"}), on=keys)
    pairs["lost"] = pairs["estimate"] < LOST * pairs["top"]
    fits = pairs.groupby(["cell", "method", "replicate"], observed=True)["lost"].any()
    found = fits.groupby(level=["cell", "method"], observed=True).agg(value="mean", n="size").reset_index()
    found["mcse"] = np.sqrt(found["value"] * (1.0 - found["value"]) / found["n"])
    return found.assign(estimand=WHOLE_FIT, measure="collapse_rate")


def generate(cell: Cell, seed: int) -> pd.DataFrame:
    """A table of the cell."""
    return saem.simulate(model(), truth(cell), peptide_design(int(cell["replicates"])), seed)


def estimate(data: pd.DataFrame, cell: Cell, options: Mapping[str, Any], seed: int) -> Outcome:
    """Fit by a method of saem, or by the textbook's schedule."""
    name = options["method"]
    method: str | Algorithm = TEXTBOOK if name == "textbook" else name
    return Outcome.of(saem.fit(model(), data, method, seed))
