"""The functions of the study `plan_simulated`: new data sets of the scenarios of Plan et al. (2012)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

import saem

from ..harness.study.cells import Cell
from ..harness.study.functions import Outcome
from .dose_response import every_truth, fitted, performance, scenario_of

__all__ = ["estimate", "generate", "performance", "truth"]


def truth(cell: Cell) -> Mapping[str, float]:
    """The parameters that data are drawn with."""
    return every_truth(scenario_of(cell["scenario"]))


def generate(cell: Cell, seed: int) -> pd.DataFrame:
    """A data set of a scenario."""
    scenario = scenario_of(cell["scenario"])
    return saem.simulate(scenario.model, dict(scenario.truth), scenario.design, seed)


def estimate(data: pd.DataFrame, cell: Cell, options: Mapping[str, Any], seed: int) -> Outcome:
    """Fit by a method of saem."""
    return fitted(scenario_of(cell["scenario"]), data, options, seed)
