"""The family of EM algorithms on one problem: all reach the maximum, and none promises an error it does not have."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from linear_family import PEPTIDE, peptide_design

import saem
from saem import Fit, Model, recipes
from saem.algorithms.monte_carlo_em import MonteCarloEM
from saem.algorithms.saem import SAEM
from saem.algorithms.stochastic_em import StochasticEM
from saem.schedules import AveragedSchedule, GrowingSchedule, RobbinsMonroSchedule, StochasticSchedule
from saem.stopping import Target

MODEL = Model.from_text(recipes.text("peptide")).replace(fixed={"b21": 0.0})
BUDGET = Target(max_iterations=0)


@cache
def data(seed: int = 1) -> tuple[pd.DataFrame, Fit]:
    """A table of 12 + 12 replicates, and the maximum; over-identified, so that it is not where the algorithms start."""
    table = saem.simulate(MODEL, {k: v for k, v in PEPTIDE.items() if k not in ("b21", "c2")}, peptide_design(12), seed)
    return table, saem.fit(MODEL, table, "ml")


def deficits(method: Any, n: int = 10) -> np.ndarray:
    table, ml = data()
    return np.array([ml.loglik - saem.fit(MODEL, table, method, seed).loglik for seed in range(n)])


@pytest.mark.parametrize("method", ["em", "mcem", "stochastic_em", "saem"])
def test_every_algorithm_reaches_the_maximum(method: str) -> None:
    table, ml = data()
    fit = saem.fit(MODEL, table, method)
    assert fit.method == method
    assert fit.status == "converged"
    assert -1e-8 < ml.loglik - fit.loglik < 0.01
    assert np.max(np.abs(fit.constraint_residuals)) < 1e-10
    again, other = saem.fit(MODEL, table, method), saem.fit(MODEL, table, method, seed=1)
    assert np.array_equal(fit.values, again.values)
    assert np.array_equal(fit.values, other.values) == (method == "em")


TEXTBOOK = SAEM(RobbinsMonroSchedule(500, 500, 1.0), target=BUDGET, augmentation="uncentred")


@pytest.mark.parametrize(("method", "why"), [("stochastic_em", "is biased"), (TEXTBOOK, "slow direction of")])
def test_an_error_that_is_not_known_is_not_given(method: Any, why: str) -> None:
    table, _ = data()
    fit = saem.fit(MODEL, table, method)
    assert np.isnan(fit.mcse[~fit.parameters.fixed]).all()
    assert "No Monte Carlo error is given" in fit.message and why in fit.message
    assert "No Monte Carlo error is given" not in saem.fit(MODEL, table, "saem").message


@pytest.mark.slow
def test_monte_carlo_em_needs_growing_draws() -> None:
    """At the same number of draws (22,650), draws that grow end nearer: the deficits' medians differ 3-fold or more.

    The mutant keeps them fixed: its last step is no better than its first ones after the burn-in.
    """
    growing = deficits(MonteCarloEM(GrowingSchedule(150, 2, 1.0), target=BUDGET))
    fixed = deficits(MonteCarloEM(GrowingSchedule(2265, 10, 0.0), target=BUDGET))
    assert np.median(growing) < np.median(fixed) / 3.0
    assert np.median(deficits(MonteCarloEM(GrowingSchedule(150, 20, 1.0), target=BUDGET))) < np.median(growing) / 3.0


@pytest.mark.slow
def test_the_average_of_stochastic_em_is_biased_and_that_of_saem_is_not() -> None:
    """With one draw of the 24 random effects, in units of the error that the average would have without a bias.

    20 seeds: their mean has a standard error of 0.22, so that 1.0 is 4.5 of them for each of 6 parameters (4e-5).
    """
    table, ml = data()
    free = np.flatnonzero(~ml.parameters.fixed & (np.array(ml.parameters.names) != "alpha2"))
    one = AveragedSchedule(draws=1, iterations=3000)
    fits = [saem.fit(MODEL, table, SAEM(one, target=BUDGET), seed) for seed in range(20)]
    error = np.median([fit.mcse[free] for fit in fits], axis=0)
    saem_bias = np.mean([(fit.values - ml.values)[free] / error for fit in fits], axis=0)
    stochastic = StochasticEM(StochasticSchedule(iterations=2800, draws=1), target=BUDGET)
    others = [saem.fit(MODEL, table, stochastic, seed) for seed in range(20)]
    bias = np.mean([(fit.values - ml.values)[free] / error for fit in others], axis=0)
    assert np.max(np.abs(saem_bias)) < 1.0 < 2.0 < np.max(np.abs(bias))


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (lambda: GrowingSchedule(growth=4.0), "growth"),
        (lambda: GrowingSchedule(draws=0), "draws"),
        (lambda: GrowingSchedule(iterations=0), "iterations"),
        (lambda: StochasticSchedule(iterations=0), "iterations"),
        (lambda: StochasticSchedule(latent=0), "latent"),
    ],
)
def test_schedules_that_make_no_sense(schedule: Any, message: str) -> None:
    with pytest.raises(saem.SaemError, match=message):
        schedule()
