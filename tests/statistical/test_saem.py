"""SAEM reaches the maximum of the likelihood, within the Monte Carlo error that it reports.

Measured (defaults; the exact maximum is that of direct maximum likelihood, which has tests of its own):

* 267 random data sets with 3 to 60 replicates and an interior maximum: log-likelihood deficit 0.00065 in the median,
  0.0038 in 95 %, 0.029 at most; no variance component lost.
* (estimate - maximum) / MCSE over 300 seeds for each of 12 data sets with 4, 12 and 60 replicates: spread 0.80 to 1.23
  for 11 of them, up to 1.5 in three means of the twelfth; mean at most 0.25 for 11, 0.35 for the twelfth. (Its MCSE is
  below 2 % of the SE.)
* 4 replicates: the textbook schedule loses a variance component in 64 % of 134 data sets, the default in none.
* The decoupled update has 3.1 times the variance.

All seeds are fixed. Each check states how often it would reject a correct program on other seeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
import pytest
from linear_family import example_table, peptide_design
from scipy.stats import chi2
from selecting import few

import saem
from experiments.studies.uncentred import uncentred
from saem import recipes
from saem.algorithms.saem import SAEM
from saem.errors import FitError
from saem.families import Model, arrange, pose
from saem.schedules import AveragedSchedule, RobbinsMonroSchedule, Steps
from saem.stopping import Target

MODEL = Model.from_text(recipes.text("peptide"))
UNCONSTRAINED = Model.from_text(recipes.text("peptide_unconstrained"))
SDS = slice(5, 8)
ALPHA2 = 2
TEXTBOOK = RobbinsMonroSchedule(500, 500, 1.0, draws=1)
POOR = [
    TEXTBOOK,
    RobbinsMonroSchedule(20, 500, 2 / 3, draws=1),
    AveragedSchedule(burn_in=0, iterations=30, transient=0),
    AveragedSchedule(draws=1),
]


@dataclass(frozen=True)
class ConstantSchedule:
    """Mutant: a step size that never falls, averaged from the 500th iteration on."""

    gamma: float
    burn_in: int = 300

    def steps(self, n_latent: int) -> Steps:
        steps = AveragedSchedule().steps(n_latent)
        n = len(steps.draws)
        return Steps(np.full(n, self.gamma), steps.draws, steps.averaging_from)


def random_table(seed: int) -> pd.DataFrame:
    """Data of a random peptide with 3 to 60 replicates; in every second table 15 % of the rows are missing."""
    rng = np.random.default_rng([2024, seed])
    n = int(np.round(np.exp(rng.uniform(np.log(3), np.log(60)))))
    truth = {
        "mu": 10 + rng.normal(),
        "alpha2": rng.normal(-1, 1),
        "b21": rng.normal(0, 0.7),
        "b22": rng.normal(),
        "sigma1": np.exp(rng.normal(-0.9, 0.5)),
        "sigma2": np.exp(rng.normal(-0.5, 0.5)),
        "sigma": np.exp(rng.normal(-1.2, 0.4)),
    }
    return saem.simulate(MODEL, truth, peptide_design(n, keep=1.0 if seed % 2 else 0.85, seed=seed), seed)


# 1. The maximum is reached, and no variance component is lost


@cache
def interior(n: int) -> list[tuple[int, pd.DataFrame, saem.Fit]]:
    """The first ``n`` random tables whose maximum is in the interior, with it."""
    found, seed = [], 0
    while len(found) < n:
        table = random_table(seed)
        ml = saem.fit(MODEL, table, "ml")
        if ml.status == "converged":
            found.append((seed, table, ml))
        seed += 1
    return found


def distances(method: SAEM | str, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Log-likelihood deficits (n,) and the smallest ratios (n,) of a standard deviation to that of the maximum."""
    deficits, ratios = [], []
    for seed, table, ml in interior(n):
        try:
            fit = saem.fit(MODEL, table, method, seed)
            deficits.append(ml.loglik - fit.loglik)
            ratios.append(float(np.min(fit.values[SDS] / ml.values[SDS])))
        except FitError:
            deficits.append(np.inf)
            ratios.append(0.0)
    return np.array(deficits), np.array(ratios)


def check_distances(deficits: np.ndarray, ratios: np.ndarray) -> None:
    """The issue's bounds: three times the measured median, five times the measured 95 % point.

    With the measured rate of 1.1 % above 0.02, more than 5 % of 60 data sets would be by chance in 0.6 % of the cases.
    """
    assert ratios.min() > 1e-3, f"{np.sum(ratios <= 1e-3)} of {len(ratios)} fits lost a variance component"
    assert deficits.min() > -1e-7, "SAEM is above the maximum"
    assert np.median(deficits) < 0.002
    assert np.quantile(deficits, 0.95) < 0.02


def test_saem_reaches_interior_maxima():
    """Of 20 data sets two must be above 0.02, which is chance in 2 % of the cases."""
    check_distances(*distances("saem", 20))


@pytest.mark.slow
def test_saem_reaches_them_without_looking_at_the_exact_likelihood_for_help():
    """Neither started again from a higher maximum, nor run longer where the exact deficit asks for it.

    The bounds are those of the issue; only the tail is allowed twice the length that the extensions leave.
    """
    deficits, ratios = distances(SAEM(search=False, target=Target(max_iterations=0)), 60)
    assert ratios.min() > 1e-3
    assert np.median(deficits) < 0.002
    assert np.quantile(deficits, 0.95) < 0.04


@pytest.mark.slow
def test_saem_reaches_200_interior_maxima():
    check_distances(*distances("saem", 200))


@pytest.mark.parametrize(
    "schedule",
    few(POOR, [AveragedSchedule(burn_in=0, iterations=30, transient=0)]),
    ids=["textbook", "short burn-in", "too few iterations", "one draw"],
)
def test_poor_schedules_are_noticed(schedule):
    with pytest.raises(AssertionError):
        check_distances(*distances(SAEM(schedule=schedule, target=Target(max_iterations=0)), 20))


@pytest.mark.slow
def test_the_textbook_schedule_loses_variance_components_and_the_default_does_not():
    """4 replicates an arm: 64 % measured (of 134 data sets) against none; fewer than 40 % of 60 is 1 case in 10,000."""
    lost = {"textbook": 0, "default": 0}
    n = 0
    for seed in range(80):
        table = example_table(4, 1000 + seed)
        ml = saem.fit(MODEL, table, "ml")
        if ml.status != "converged":
            continue
        n += 1
        for name, method in (("textbook", SAEM(schedule=TEXTBOOK)), ("default", "saem")):
            try:
                lost[name] += bool(np.any(saem.fit(MODEL, table, method, seed).values[SDS] < 1e-3 * ml.values[SDS]))
            except FitError:
                lost[name] += 1
    assert n > 60
    assert lost["default"] == 0
    assert lost["textbook"] > 0.4 * n


# 2. The Monte Carlo error is as large as reported


def standardised(table: pd.DataFrame, method: SAEM | str, n: int) -> np.ndarray:
    """(estimate - maximum) / MCSE for ``n`` seeds (n, p), of the parameters that missing information touches."""
    ml = saem.fit(MODEL, table, "ml")
    assert ml.status == "converged"
    fits = [saem.fit(MODEL, table, method, seed) for seed in range(n)]
    touched = np.arange(len(ml.values)) != ALPHA2
    return np.array([((fit.values - ml.values) / np.where(touched, fit.mcse, 1))[touched] for fit in fits])


def check_calibration(z: np.ndarray) -> None:
    """Spread within 0.85 to 1.2 and mean within 0.2, apart from what the number of seeds adds to it.

    For each of 7 parameters: spread beyond the 10^-5 quantiles of chi-square, mean beyond 4.4 standard errors. If the
    true values lie within the bounds, a false alarm has a probability below 3e-4.
    """
    n = len(z)
    low, high = np.sqrt(chi2.ppf([1e-5, 1 - 1e-5], n - 1) / (n - 1))
    spread = z.std(axis=0, ddof=1)
    assert np.isfinite(z).all()
    assert (spread > 0.85 * low).all() and (spread < 1.2 * high).all(), f"spread {spread.round(2)}"
    assert np.abs(z.mean(axis=0)).max() < 0.2 + 4.4 / np.sqrt(n), f"mean {z.mean(axis=0).round(2)}"


@pytest.mark.parametrize(("replicates", "seed"), few([(4, 3), (12, 1), (60, 1)], [(12, 1)]))
def test_estimates_scatter_as_reported(replicates, seed):
    check_calibration(standardised(example_table(replicates, seed), "saem", 40))


@pytest.mark.slow
@pytest.mark.parametrize(("replicates", "seed"), [(4, 3), (12, 1), (60, 1)])
def test_estimates_scatter_as_reported_over_300_seeds(replicates, seed):
    """The bounds as they are: with 300 seeds the spread has a standard error of 0.04, the mean of 0.06."""
    z = standardised(example_table(replicates, seed), "saem", 300)
    assert (z.std(axis=0) > 0.85).all() and (z.std(axis=0) < 1.2).all()
    assert np.abs(z.mean(axis=0)).max() < 0.2


@pytest.mark.slow
def test_estimates_scatter_nearly_as_reported_whatever_the_data():
    """Twelve data sets, none chosen: bounds a little beyond what was measured (0.80 to 1.50, mean 0.35)."""
    for replicates in (4, 12, 60):
        for seed in (1, 2, 3, 4):
            z = standardised(example_table(replicates, seed), "saem", 100)
            assert (z.std(axis=0) > 0.65).all() and (z.std(axis=0) < 1.8).all()
            assert np.abs(z.mean(axis=0)).max() < 0.6


@pytest.mark.parametrize("replicates", few([12, 60], [12]))
def test_wrong_step_sizes_are_noticed(replicates):
    with pytest.raises(AssertionError):
        check_calibration(standardised(example_table(replicates, 1), SAEM(schedule=ConstantSchedule(1.0)), 40))


@pytest.mark.slow
def test_the_textbook_step_size_leaves_more_error_than_its_draws_promise():
    """1/k has not averaged out the slow directions: spread 1.6 to 3.1 times that of as many averaged draws."""
    table = example_table(60, 1)
    ml, touched = saem.fit(MODEL, table, "ml"), np.arange(8) != ALPHA2
    mcse = saem.fit(MODEL, table, uncentred()).mcse * np.sqrt(800 / 500)
    textbook = uncentred(RobbinsMonroSchedule(500, 500, 1.0))
    fits = [saem.fit(MODEL, table, textbook, seed) for seed in range(40)]
    assert np.isnan(fits[0].mcse[touched]).all()  # it does not promise any
    with pytest.raises(AssertionError, match="spread"):
        check_calibration(np.array([(fit.values - ml.values)[touched] / mcse[touched] for fit in fits]))


def test_averaged_estimates_are_noticed():
    """Mutants: the mean of the estimates instead of the maximiser at the mean of the statistics.

    Averaged over the iterations of SAEM it leaves the constraint; averaged over single draws it is biased as well.
    """
    table = example_table(12, 1)
    problem = pose(MODEL, arrange(MODEL, table))
    ml = saem.fit(MODEL, table, "ml")
    outcome = SAEM().run(problem)
    assert abs(problem.constraints.evaluate(outcome.x)[0][0]) < 1e-10
    mean = outcome.path[outcome.averaging_from + 1 : -1].mean(axis=0)
    assert abs(problem.constraints.evaluate(mean)[0][0]) > 1e-8

    @dataclass(frozen=True)
    class SingleDraws:
        burn_in: int = 300

        def steps(self, n_latent: int) -> Steps:
            return Steps(np.ones(3300), np.full(3300, 2, dtype=np.int64), 300)

    touched = np.arange(len(ml.values)) != ALPHA2
    mcse = saem.fit(MODEL, table).mcse[touched] * np.sqrt(outcome.draws / 6000)
    z = []
    for seed in range(15):
        path = SAEM(schedule=SingleDraws(), target=Target(max_iterations=0)).run(problem, seed).path
        z.append((path[301:-1].mean(axis=0) - ml.values)[touched] / mcse)
    with pytest.raises(AssertionError):
        check_calibration(np.array(z))


def test_no_monte_carlo_error_where_nothing_is_missing():
    """alpha_2 in a balanced design is an estimate of the complete data: exact, and its MCSE is nil."""
    for replicates in (4, 60):
        table = example_table(replicates, 1)
        fit, ml = saem.fit(MODEL, table), saem.fit(MODEL, table, "ml")
        assert abs(fit.values[ALPHA2] - ml.values[ALPHA2]) < 1e-10
        assert fit.mcse[ALPHA2] == 0.0
        assert (np.delete(fit.mcse, ALPHA2) > 1e-4 * np.delete(fit.se, ALPHA2)).all()
    unbalanced = saem.fit(MODEL, example_table(12, 1).drop(index=[0, 5]))
    assert unbalanced.mcse[ALPHA2] > 1e-4 * unbalanced.se[ALPHA2]


def test_more_draws_make_the_monte_carlo_error_smaller():
    table = example_table(12, 1)
    few, many = (saem.fit(MODEL, table, SAEM(AveragedSchedule(latent=latent))) for latent in (600, 2400))
    np.testing.assert_allclose(np.delete(few.mcse, ALPHA2) / np.delete(many.mcse, ALPHA2), 2.0, rtol=0.1)
