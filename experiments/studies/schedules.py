"""The functions of the study `schedules`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

import saem
from saem.schedules import AveragedSchedule, RobbinsMonroSchedule, Schedule

from ..harness.performance import CONVERGED
from ..harness.performance.jackknife import Groups, jackknife
from ..harness.study.cells import Cell
from ..harness.study.functions import Outcome
from .beside_maximum import outcome_of
from .problems import problem_of, truth_of
from .uncentred import uncentred

BURN_IN = 500
KEYS = ["cell", "replicate", "estimand"]

truth = truth_of


def schedule_of(steps: str, iterations: int) -> Schedule:
    """The schedule that a method names, one draw in each iteration; no step size but by `k` is changed."""
    if steps == "one_over_k":
        return RobbinsMonroSchedule(BURN_IN, iterations, 1.0, draws=1)
    if steps == "two_thirds":
        return RobbinsMonroSchedule(BURN_IN, iterations, 2.0 / 3.0, draws=1)
    exponent, transient = {"averaged_067": (2.0 / 3.0, 0), "averaged_055": (0.55, 200)}[steps]
    return AveragedSchedule(BURN_IN, iterations, exponent, transient, draws=1, clock=0.0)


def generate(cell: Cell, seed: int) -> pd.DataFrame:
    """A table of the cell's problem."""
    return problem_of(cell).table(seed)


def estimate(data: pd.DataFrame, cell: Cell, options: Mapping[str, Any], seed: int) -> Outcome:
    """Fit by direct maximum likelihood, or go through the schedule once."""
    model = problem_of(cell).model
    if options["steps"] == "none":
        return outcome_of(saem.fit(model, data, "ml", seed))
    schedule = schedule_of(str(options["steps"]), int(cell["iterations"]))
    once = uncentred(schedule, target=saem.Target(max_iterations=0), search=False)
    return outcome_of(saem.fit(model, data, once, seed))


def performance(rows: pd.DataFrame) -> pd.DataFrame:
    """The distance whose law the theory gives.

    Returns
    -------
    DataFrame
        rms_distance
            root of the mean of ``((t - t_ml) / se_ml)^2`` for every estimand, of the fits whose maximum is interior.
    """
    exact = rows.loc[(rows["method"] == "ml") & rows["status"].isin(CONVERGED), [*KEYS, "estimate", "se"]]
    others = rows.loc[rows["method"] != "ml", [*KEYS, "method", "estimate"]]
    pairs = others.merge(exact.rename(columns={"estimate": "top"}), on=KEYS)
    pairs = pairs[(pairs["se"] > 0.0) & pairs["estimate"].notna()]
    squares = ((pairs["estimate"] - pairs["top"]) / pairs["se"]).to_numpy() ** 2
    names = pairs[["cell", "method", "estimand"]].drop_duplicates(ignore_index=True)
    codes = pairs.groupby(["cell", "method", "estimand"], sort=False, observed=True).ngroup().to_numpy()
    found = jackknife(Groups(codes, len(names)), [squares], root)
    return names.assign(measure="rms_distance", value=found.value, mcse=found.mcse, n=found.n)


def root(n: Any, squares: Any) -> Any:
    """The root of a mean of squares."""
    return squares**0.5
