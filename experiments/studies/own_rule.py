"""Every method by its own rule to stop, beside the exact maximum: the functions of the studies `calibration*`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

import saem
from saem.stopping import Target

from ..harness.performance import CONVERGED
from ..harness.performance.jackknife import mean, share
from ..harness.study.cells import Cell
from ..harness.study.functions import Outcome
from .beside_maximum import beside, grouped, long, outcome_of
from .problems import problem_of, truth_of

TARGET = Target()
ALLOWANCE = 3.0  # an estimate whose MCSE is just at its target is further away with a probability of 0.3 %
ROUNDING = 1e-9  # of a log-likelihood, and relative of an MCSE that was brought to its target exactly

truth = truth_of


def generate(cell: Cell, seed: int) -> pd.DataFrame:
    """A table of the cell's problem."""
    return problem_of(cell).table(seed)


def estimate(data: pd.DataFrame, cell: Cell, options: Mapping[str, Any], seed: int) -> Outcome:
    """Fit until the method's own rule ends it."""
    return outcome_of(saem.fit(problem_of(cell).model, data, options["method"], seed))


def performance(rows: pd.DataFrame) -> pd.DataFrame:
    """Whether fits that claim to have converged did, where the exact method converged on the same data.

    Returns
    -------
    DataFrame
        Measures of every cell and method, of the fits with a status of `CONVERGED`:

        targets_met
            share with a log-likelihood at most 0.01 below the maximum and every ``abs(t - t_ml)`` at most
            ``3 * 0.05 se_ml``; of errors that are as small as they say, a share of 0.997 or more meets the latter,
            for each parameter whose MCSE is at its target.
        deficit_met
            share of which the former is true.
        mcse_met
            share whose MCSE are all at most ``0.05 se_ml``.
        largest_distance
            mean of the largest ``abs(t - t_ml) / se_ml`` of the parameters.
    """
    fits = beside(rows, "ml")
    groups, names = grouped(fits)
    claims = fits["status"].isin(CONVERGED).to_numpy()
    fits = fits[claims]
    groups = groups.where(claims)
    is_high = fits["deficit"].to_numpy() <= TARGET.deficit + ROUNDING
    is_near = fits["distance"].to_numpy() <= ALLOWANCE * TARGET.mcse
    return long(
        names,
        {
            "targets_met": share(groups, is_high & is_near),
            "deficit_met": share(groups, is_high),
            "mcse_met": share(groups, fits["share"].to_numpy() <= TARGET.mcse * (1.0 + ROUNDING)),
            "largest_distance": mean(groups, fits["distance"].to_numpy(float)),
        },
    )
