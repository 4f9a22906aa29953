"""Every method with the same budget of random effects: the functions of the studies `algorithms*`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import saem
from saem.comparison.budget import Budget, judged
from saem.errors import FitError
from saem.families import arrange, pose
from saem.fitting.fit import resolve
from saem.stopping import Target

from ..harness.performance.jackknife import jackknife, mean, share
from ..harness.study.cells import Cell
from ..harness.study.functions import Outcome
from .beside_maximum import beside, grouped, long, outcome_of
from .problems import problem_of, truth_of

DEFICIT = Target().deficit

truth = truth_of


@dataclass(frozen=True, eq=False)
class Data:
    """A table, and what a budget and its verdict need.

    Attributes
    ----------
    table : DataFrame
    n_latent : int
        Random effects of one draw.
    highest : float
        The maximum of the log-likelihood; nan where direct maximum likelihood finds none.
    """

    table: pd.DataFrame
    n_latent: int
    highest: float


def generate(cell: Cell, seed: int) -> Data:
    """A table of the cell's problem."""
    problem = problem_of(cell)
    table = problem.table(seed)
    try:
        highest = saem.fit(problem.model, table, "ml").loglik
    except FitError:  # no reason for the others to fail; the method ml will say why it did
        highest = float("nan")
    return Data(table, pose(problem.model, arrange(problem.model, table)).latent.size, highest)


def estimate(data: Data, cell: Cell, options: Mapping[str, Any], seed: int) -> Outcome:
    """Fit until the cell's budget is used up; the exact methods as they are.

    The status is what the method's own target would say of the result: of the Monte Carlo errors, and of the deficit,
    which is exact.
    """
    method, _ = resolve(options["method"])
    budget = Budget.of(float(cell["budget"]), None)
    fit = saem.fit(problem_of(cell).model, data.table, budget.given_to(method, data.n_latent), seed)
    return outcome_of(judged(fit, data.highest - fit.loglik, method, budget))


def performance(rows: pd.DataFrame) -> pd.DataFrame:
    """Distances of whole fits to the exact maximum.

    Returns
    -------
    DataFrame
        Measures of every cell and method:

        largest_distance
            mean over the fits of the largest ``abs(t - t_ml) / se_ml`` of the parameters.
        rms_largest_distance
            root of the mean of its square.
        deficit_met
            share of the fits whose log-likelihood is at most 0.01 below the maximum; one that failed is not.
    """
    fits = beside(rows, "ml")
    groups, names = grouped(fits)
    distance = fits["distance"].to_numpy(float)
    known = np.isfinite(distance)
    away = distance[known]
    return long(
        names,
        {
            "largest_distance": mean(groups.where(known), away),
            "rms_largest_distance": jackknife(groups.where(known), [away**2], lambda n, q: np.sqrt(q)),
            "deficit_met": share(groups, fits["deficit"].to_numpy() <= DEFICIT),
        },
    )
