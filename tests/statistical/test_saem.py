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
from functools import cache, partial

import numpy as np
import pandas as pd
import pytest
from drawing import expected
from linear_family import PEPTIDE, peptide_design
from scipy.optimize import minimize_scalar
from scipy.stats import chi2

import saem
from saem import recipes
from saem.algorithms.saem import SAEM
from saem.data import arrange
from saem.errors import FitError
from saem.models import pose
from saem.schedules import AveragedSchedule, RobbinsMonroSchedule, Steps
from saem.specification import Model
from saem.stopping import Target

MODEL = Model.from_text(recipes.text("peptide"))
UNCONSTRAINED = Model.from_text(recipes.text("peptide_unconstrained"))
SDS = slice(5, 8)
ALPHA2 = 2
TEXTBOOK = RobbinsMonroSchedule(500, 500, 1.0, draws=1)


@dataclass(frozen=True)
class ConstantSchedule:
    """Mutant: a step size that never falls. Averaged from the 500th iteration on, or (``last``) not at all."""

    gamma: float
    last: bool = False
    burn_in: int = 300

    def steps(self, n_latent: int) -> Steps:
        steps = AveragedSchedule().steps(n_latent)
        n = len(steps.draws)
        return Steps(np.full(n, self.gamma), steps.draws, n - 1 if self.last else steps.averaging_from)


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


def example_table(replicates: int, seed: int) -> pd.DataFrame:
    """Data of the example of the design notes."""
    return saem.simulate(MODEL, PEPTIDE, peptide_design(replicates), seed)


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
    check_distances(*distances("saem", 60))


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
    [
        TEXTBOOK,
        RobbinsMonroSchedule(20, 500, 2 / 3, draws=1),
        AveragedSchedule(burn_in=0, iterations=30, transient=0),
        AveragedSchedule(draws=1),
    ],
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


@pytest.mark.parametrize(("replicates", "seed"), [(4, 3), (12, 1), (60, 1)])
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


@pytest.mark.parametrize(
    ("replicates", "method"),
    [
        (12, SAEM(schedule=ConstantSchedule(1.0))),
        (60, SAEM(schedule=ConstantSchedule(1.0))),
        (60, SAEM(schedule=ConstantSchedule(0.05, last=True))),
    ],
    ids=["constant", "constant", "constant, last iterate"],
)
def test_wrong_step_sizes_are_noticed(replicates, method):
    with pytest.raises(AssertionError):
        check_calibration(standardised(example_table(replicates, 1), method, 40))


def test_the_textbook_step_size_leaves_more_error_than_its_draws_promise():
    """1/k has not averaged out the slow directions: spread 1.6 to 3.1 times that of as many averaged draws."""
    table = example_table(60, 1)
    ml, touched = saem.fit(MODEL, table, "ml"), np.arange(8) != ALPHA2
    mcse = saem.fit(MODEL, table).mcse * np.sqrt(800 / 500)
    textbook = SAEM(schedule=RobbinsMonroSchedule(500, 500, 1.0))
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
    few, many = saem.fit(MODEL, table), saem.fit(MODEL, table, SAEM(schedule=AveragedSchedule(latent=2400)))
    np.testing.assert_allclose(np.delete(few.mcse, ALPHA2) / np.delete(many.mcse, ALPHA2), 2.0, rtol=0.1)


# 3. No information is dropped: parameters that are shared by means and variances


LINKED = Model(
    response="y",
    cluster="cluster",
    mean={"mu": "1"},
    random={"sd": "omega"},
    residual={"sd": "sigma"},
    constraints={"link": "sigma == 0.4 + 1.5 * omega"},
)
CLUSTERS, SIZE = 150, 4


def linked_data(seed: int) -> np.ndarray:
    """Responses (150, 4) of the model with a scalar link between two variances."""
    rng = np.random.default_rng([41, seed])
    return 1.0 + 0.5 * rng.standard_normal((CLUSTERS, 1)) + (0.4 + 1.5 * 0.5) * rng.standard_normal((CLUSTERS, SIZE))


def linked_optimum(y: np.ndarray) -> float:
    """omega at the maximum of the likelihood, by the textbook formulas of a balanced one-way layout."""
    means = y.mean(axis=1)
    within, between = ((y - means[:, None]) ** 2).sum(), SIZE * ((means - means.mean()) ** 2).sum()

    def deviance(omega: float) -> float:
        noise = (0.4 + 1.5 * omega) ** 2
        total = noise + SIZE * omega**2
        return CLUSTERS * ((SIZE - 1) * np.log(noise) + np.log(total)) + within / noise + between / total

    return float(minimize_scalar(deviance, bounds=(0.01, 3.0), method="bounded", options={"xatol": 1e-10}).x)


def linked_decoupled(y: np.ndarray) -> float:
    """Mutant: omega from the moments of the random effects alone, then plugged into the link (EM's fixed point)."""
    means = y.mean(axis=1)
    spread = ((means - means.mean()) ** 2).mean()
    omega, last = 0.5, 0.0
    while abs(omega - last) > 1e-9:
        noise = (0.4 + 1.5 * omega) ** 2
        variance = 1 / (1 / omega**2 + SIZE / noise)
        last, omega = omega, np.sqrt(variance + (variance * SIZE / noise) ** 2 * spread)
    return float(omega)


def check_within_error(estimates: np.ndarray, maxima: np.ndarray, mcse: np.ndarray) -> None:
    """All within 5 Monte Carlo standard errors: at most 200 comparisons, false alarms below 2e-4."""
    assert np.all(np.abs(estimates - maxima) < 5 * mcse)


def test_a_link_between_variances_uses_all_information():
    tables = [linked_data(seed) for seed in range(12)]
    frames = [pd.DataFrame({"cluster": np.repeat(np.arange(CLUSTERS), SIZE), "y": y.ravel()}) for y in tables]
    fits = [saem.fit(LINKED, frame, seed=seed) for seed, frame in enumerate(frames)]
    maxima = np.array([linked_optimum(y) for y in tables])
    mcse = np.array([fit.mcse[1] for fit in fits])
    assert (mcse < 0.02 * np.array([fit.se[1] for fit in fits])).all()
    check_within_error(np.array([fit.values[1] for fit in fits]), maxima, mcse)
    with pytest.raises(AssertionError):
        check_within_error(np.array([linked_decoupled(y) for y in tables]), maxima, mcse)


def test_the_decoupled_update_has_three_times_the_variance():
    """Why it matters; measured 3.1. The ratio of 300 pairs has a relative standard error of about 10 %."""
    pairs = np.array([(linked_optimum(y), linked_decoupled(y)) for y in map(linked_data, range(300))])
    assert 2.2 < pairs[:, 1].var() / pairs[:, 0].var() < 4.2


def over_identified(recipe: str, fixed: tuple[str, ...], seed: int) -> tuple[Model, pd.DataFrame]:
    """A sub-model, and data that contradict it, so that the link pulls the variances away from their moments."""
    rng = np.random.default_rng([5, seed])
    truth = {
        "mu": 10.0,
        "alpha2": rng.normal(-1, 0.7),
        "b21": rng.normal(1, 1),
        "b22": rng.normal(1, 1),
        "sigma1": np.exp(rng.normal(-0.9, 0.5)),
        "sigma2": np.exp(rng.normal(-0.5, 0.5)),
        "sigma": np.exp(rng.normal(-1.2, 0.4)),
    }
    table = saem.simulate(UNCONSTRAINED, truth, peptide_design(int(rng.integers(4, 40))), seed)
    return Model.from_text(recipes.text(recipe)).replace(fixed=dict.fromkeys(fixed, 0.0)), table


SUB_MODELS = [
    (recipe, fixed)
    for recipe in ("peptide", "peptide_log2", "peptide_conservation")
    for fixed in (("b21",), ("b21", "b22"))
]


@pytest.mark.parametrize(("recipe", "fixed"), SUB_MODELS)
def test_over_identified_sub_models_reach_their_maximum(recipe, fixed):
    """Where the maximum is interior and the only one that direct maximum likelihood finds; 8 data sets each.

    SAEM calls an estimate converged when it is within 0.01 of the maximum of the log-likelihood.
    """
    fits = []
    for seed in range(30):
        model, table = over_identified(recipe, fixed, seed)
        ml = saem.fit(model, table, "ml")
        if ml.status == "converged" and len(ml.solutions) == 1 and len(fits) < 8:
            fits.append((ml, saem.fit(model, table, seed=seed)))
    assert len(fits) == 8
    settled = [(ml, fit) for ml, fit in fits if fit.status == "converged"]
    assert len(settled) >= 7  # SAEM says when it misses its target
    for ml, fit in settled:
        check_within_error(fit.values, ml.values, fit.mcse + 1e-9)
        assert ml.loglik - fit.loglik < 0.01 + 1e-9
    assert np.median([ml.loglik - fit.loglik for ml, fit in fits]) < 0.005
    assert max(abs(fit.constraint_residuals[0]) for _, fit in fits) < 1e-10


def test_direct_maximum_likelihood_is_not_beaten_where_a_constraint_has_many_branches():
    """``sin(20 mu) = 1/2`` cuts the parameter space into many pieces, each with a maximum of its own."""
    model = UNCONSTRAINED.replace(constraints={"g": "sin(20 * mu) == 0.5"})
    for seed in range(6):
        table = example_table(8, seed)
        ml = saem.fit(model, table, "ml")
        free = saem.fit(UNCONSTRAINED, table, "ml")
        # the branches are pi / 20 and 2 pi / 20 apart by turns: the best are among those around the free maximum
        branches = [(np.pi / 6 + 2 * np.pi * k) / 20 for k in range(200)]
        branches += [(5 * np.pi / 6 + 2 * np.pi * k) / 20 for k in range(200)]
        near = sorted(branches, key=lambda mu: abs(mu - free.values[0]))[:4]
        best = max(saem.fit(UNCONSTRAINED.replace(fixed={"mu": mu}), table, "ml").loglik for mu in near)
        assert ml.loglik == pytest.approx(best, abs=1e-6)
        assert ml.loglik > saem.fit(model, table, seed=seed).loglik - 1e-6


def decoupled_em(model: Model, table: pd.DataFrame) -> np.ndarray:
    """Mutant: exact EM that updates sigma1 and sigma2 by their moments alone, and then c2 by the link."""
    problem = pose(model, arrange(model, table))
    arrays, names = problem.arrays, problem.parameters.names
    x = problem.starts[0].copy()
    c2, free = names.index("c2"), [names.index(name) for name in ("mu", "alpha2")]
    for _ in range(200):
        s = expected(problem, x)
        xy, square, moments = s[:5], s[5], s[6:]
        x[arrays.sd_index[:, 0]] = np.sqrt(moments / arrays.n_clusters)
        x[c2] -= problem.constraints.evaluate(x)[0][0]
        beta = x[:5] - arrays.beta_reference
        xx = arrays.xx[0]
        beta[free] = 0.0
        beta[free] = np.linalg.solve(xx[np.ix_(free, free)], (xy - xx @ beta)[free])
        x[:5] = beta + arrays.beta_reference
        x[names.index("sigma")] = np.sqrt((square - 2 * beta @ xy + beta @ xx @ beta) / arrays.n_rows[0])
    return x


def test_a_decoupled_update_of_the_peptide_is_noticed():
    model, table = over_identified("peptide", ("b21", "b22"), 0)
    ml, fit = saem.fit(model, table, "ml"), saem.fit(model, table)
    check_within_error(fit.values, ml.values, fit.mcse + 1e-9)
    mutant = decoupled_em(model, table)
    assert abs(pose(model, arrange(model, table)).constraints.evaluate(mutant)[0][0]) < 1e-10
    with pytest.raises(AssertionError):
        check_within_error(mutant, ml.values, fit.mcse + 1e-9)


# 4. Boundary maxima


def boundary_table(seed: int) -> tuple[pd.DataFrame, str]:
    """Data with a true variance of zero in one of the arms, whose standard deviation is named."""
    rng = np.random.default_rng([77, seed])
    zero = ("sigma1", "sigma2")[seed % 2]
    return saem.simulate(MODEL, PEPTIDE | {zero: 0.0}, peptide_design(int(rng.integers(3, 25))), 5000 + seed), zero


def is_clear(ml: saem.Fit, table: pd.DataFrame) -> bool:
    """Whether the maximum on the boundary is more than a tie: a tenth of the residual SD costs 0.01 or more."""
    away = saem.fit(ml.model.replace(fixed=dict.fromkeys(ml.at_boundary, 0.1 * ml.values[-1])), table, "ml")
    return bool(ml.loglik - away.loglik > 0.01)


def check_boundary(ml: saem.Fit, fit: saem.Fit) -> None:
    """The same standard deviation is zero, exactly, and the other estimates agree."""
    assert fit.status == ml.status == "boundary"
    assert fit.at_boundary == ml.at_boundary
    names = list(fit.parameters.names)
    for name in fit.at_boundary:
        i = names.index(name)
        assert fit.values[i] == ml.values[i] == 0.0 and np.isnan(fit.se[i])
    others = [i for i, name in enumerate(names) if name not in fit.at_boundary]
    check_within_error(fit.values[others], ml.values[others], fit.mcse[others] + 1e-9)
    assert ml.loglik - fit.loglik < 0.02


def boundary_cases(n: int) -> list[tuple[int, pd.DataFrame, saem.Fit]]:
    """Tables whose maximum lies clearly on the boundary."""
    found = []
    for seed in range(n):
        table, _ = boundary_table(seed)
        ml = saem.fit(MODEL, table, "ml")
        if ml.status == "boundary" and is_clear(ml, table):
            found.append((seed, table, ml))
    return found


def test_zero_variances_are_found_and_said():
    """150 comparisons at 5 standard errors: false alarms below 1e-3 (spreads of up to 1.2)."""
    cases = boundary_cases(60)
    assert len(cases) > 20
    for seed, table, ml in cases:
        check_boundary(ml, saem.fit(MODEL, table, seed=seed))
    # a mutant: a small standard deviation instead of zero, and no word about it
    seed, table, ml = cases[0]
    index = ml.parameters.names.index(ml.at_boundary[0])
    fixed = ml.model.replace(fixed={ml.at_boundary[0]: 1e-3})
    silent = saem.fit(fixed, table, seed=seed)
    assert silent.values[index] == 1e-3
    with pytest.raises(AssertionError):
        check_boundary(ml, silent)


def test_a_clear_zero_is_found_when_the_pass_at_zero_ends_below_the_margin():
    """The pass with sigma1 = 0 ends 0.007 below the maximum by chance, the free one 0.0014; zero is clearly better."""
    table, _ = boundary_table(164)
    ml = saem.fit(MODEL, table, "ml")
    assert is_clear(ml, table)
    check_boundary(ml, saem.fit(MODEL, table, seed=164))


@pytest.mark.slow
def test_zero_variances_are_found_and_said_in_many_tables():
    for seed, table, ml in boundary_cases(300):
        check_boundary(ml, saem.fit(MODEL, table, seed=seed))


def test_true_zeros_with_an_interior_maximum_are_not_forced_to_zero():
    """In about half of all tables the maximum is positive although the truth is zero."""
    tables = [boundary_table(seed)[0] for seed in range(30)]
    mls = list(map(partial(saem.fit, MODEL, method="ml"), tables))
    both = [(ml, saem.fit(MODEL, table, seed=seed)) for seed, (table, ml) in enumerate(zip(tables, mls, strict=True))]
    inside = [(ml, fit) for ml, fit in both if ml.status == "converged" and ml.values[SDS].min() > 0.02]
    assert 5 < len(inside) < 25
    for _, fit in inside:
        assert fit.status != "boundary" and fit.values[SDS].min() > 0
