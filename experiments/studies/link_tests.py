"""The functions of the study `link_tests`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

import saem
from saem.errors import SaemError

from ..harness.performance import WHOLE_FIT
from ..harness.study.cells import Cell
from ..harness.study.functions import Outcome
from .examine import HELD, restricted, tested
from .peptide import TRUTH, peptide_design

LEVELS = {"rejected_5": 0.05, "rejected_1": 0.01}
NOTHING = math.nan


def truth(cell: Cell) -> Mapping[str, float]:
    """A p-value has no true value."""
    return {"p": NOTHING}


def generate(cell: Cell, seed: int) -> pd.DataFrame:
    """A table of the cell's link, which holds."""
    link = str(cell["link"])
    values = {name: value for name, value in TRUTH.items() if name not in (*HELD[link], "c2")}
    return saem.simulate(restricted(link)[0], values, peptide_design(int(cell["replicates"])), seed)


def estimate(data: pd.DataFrame, cell: Cell, options: Mapping[str, Any], seed: int) -> Outcome:
    """Test the link against none.

    Raises
    ------
    SaemError
        When it cannot be tested.
    """
    draws = int(options["draws"])
    found = tested(str(cell["link"]), data, draws, seed)
    if "untested" in found:
        raise SaemError(str(found["untested"]))
    p = float(str(found["p_bootstrap" if draws else "p"]))
    return Outcome({"p": (p, NOTHING, NOTHING, NOTHING, NOTHING)}, message=str(found["doubt"]))


def performance(rows: pd.DataFrame) -> pd.DataFrame:
    """The share of p-values that reject.

    Returns
    -------
    DataFrame
        rejected_5, rejected_1
            share of the tests with a p-value of at most 0.05 and 0.01.
    """
    tests = rows[rows["estimate"].notna()]
    found = []
    for measure, level in LEVELS.items():
        groups = tests.assign(rejected=tests["estimate"] <= level).groupby(["cell", "method"], observed=True)
        share = groups["rejected"].agg(value="mean", n="size").reset_index()
        share["mcse"] = np.sqrt(share["value"] * (1.0 - share["value"]) / share["n"])
        found.append(share.assign(estimand=WHOLE_FIT, measure=measure))
    return pd.concat(found, ignore_index=True)
