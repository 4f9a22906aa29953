"""The functions of the study `plan`: the published data sets, and what saemix 3.1 found on them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Any

import pandas as pd

from saem.errors import DataError, SaemError

from ..harness.study.cells import Cell
from ..harness.study.functions import Outcome
from .dose_response import NOTHING, Scenario, completed, every_truth, fitted, maximum_of, performance, scenario_of
from .elsewhere import published

__all__ = ["estimate", "generate", "performance", "truth"]

FIXED = {
    "E0": "E0_pop",
    "Emax": "Emax_pop",
    "ED50": "ED50_pop",
    "gamma": "gamma",
    "Imax": "Imax",
    "beta_group(ED50)": "beta",
    "a.1": "a",
    "b.1": "b",
}  # by the names that saemix has for them
RANDOM = ("E0", "Emax", "ED50")
Z = 1.959964


@cache
def tables() -> pd.DataFrame:
    """All data sets."""
    return pd.read_parquet(published("plan_suite") / "data.parquet")


@cache
def estimates() -> pd.DataFrame:
    """What saemix 3.1 found, by scenario, setting and data set."""
    found = pd.read_csv(published("plan_suite") / "saemix31.csv")
    return found.set_index(["scenario", "setting", "Simulation"])


def truth(cell: Cell) -> Mapping[str, float]:
    """The parameters that the data were drawn with."""
    return every_truth(scenario_of(cell["scenario"]))


def generate(cell: Cell, seed: int, replicate: int) -> tuple[int, pd.DataFrame]:
    """Number and table of a data set, ``replicate + 1`` of the scenario; the seed plays no part."""
    scenario, every = scenario_of(cell["scenario"]), tables()
    found = every[(every["scenario"] == cell["scenario"]) & (every["dataset"] == replicate + 1)]
    if not len(found):
        raise DataError(
            f"there is no data set {replicate + 1} of {cell['scenario']}; let run.replicates be 100 or less"
        )
    return replicate + 1, found[[*scenario.design.columns, "y"]].astype(float).reset_index(drop=True)


def estimate(data: tuple[int, pd.DataFrame], cell: Cell, options: Mapping[str, Any], seed: int) -> Outcome:
    """Fit by a method of saem, or look at what saemix found."""
    number, table = data
    scenario = scenario_of(cell["scenario"])
    if "saemix" in options:
        return of_saemix(scenario, table, (str(cell["scenario"]), str(options["saemix"]), number))
    return fitted(scenario, table, options, seed)


def of_saemix(scenario: Scenario, table: pd.DataFrame, key: tuple[str, str, int]) -> Outcome:
    """What saemix found, by scenario, setting and number of the data set, with intervals of 1.96 standard errors.

    Residual SDs are told without a sign, variances as standard deviations with errors by the delta method; the
    correlation has no error.

    Raises
    ------
    SaemError
        Where it was not run.
    """
    if key not in estimates().index:
        raise SaemError(f"saemix was not run on {key[0]} under the setting {key[1]}")
    row = estimates().loc[key]
    found = {ours: (float(row[theirs]), float(row[f"SE.{theirs}"])) for theirs, ours in FIXED.items()}
    for name in ("a", "b"):  # whose signs saemix leaves open
        found[name] = abs(found[name][0]), found[name][1]
    for effect in RANDOM:
        sd = math.sqrt(row[f"omega2.{effect}"])
        found[f"omega_{effect}"] = sd, float(row[f"SE.omega2.{effect}"]) / (2.0 * sd)
    sds = found["omega_Emax"][0] * found["omega_ED50"][0]
    found["corr_Emax_ED50"] = float(row["cov.Emax.ED50"]) / sds, NOTHING
    found = {parameter: found[parameter] for parameter in scenario.truth}
    numbers = {
        parameter: (value, se, value - Z * se, value + Z * se, NOTHING) for parameter, (value, se) in found.items()
    }
    top = maximum_of(scenario, table)
    deficit = top.deficit({parameter: value for parameter, (value, _) in found.items()})
    return completed(Outcome(numbers, loglik=top.fit.loglik - 0.5 * deficit[0]), *deficit, NOTHING)
