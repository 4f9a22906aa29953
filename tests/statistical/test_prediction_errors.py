"""Normalised prediction distribution errors: their law under the model, and their referee, exact residuals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from linear_family import PEPTIDE, examples, peptide_design
from scipy.special import ndtri
from scipy.stats import binomtest, kstest, norm
from selecting import few

import saem
from saem import Model, recipes
from saem.families import arrange, family_of
from saem.inference.prediction_errors import one_draw
from saem.inference.prediction_errors import tests_of as judged

MODEL = Model.from_text(recipes.text("peptide"))


@pytest.fixture(scope="module")
def fit() -> saem.Fit:
    """With the truth as the estimate: 300 replicates an arm, in an order of no meaning."""
    table = saem.simulate(MODEL, PEPTIDE, peptide_design(300), 11).sample(frac=1.0, random_state=1)
    return at_truth(saem.fit(MODEL, table, "ml"))


def at_truth(fit: saem.Fit, **changes: float) -> saem.Fit:
    """The fit with the parameters of the simulation as its estimate, but for some."""
    names, truth = fit.parameters.names, PEPTIDE | {"c2": true_c2()} | changes
    return replace(fit, values=np.array([truth[name] for name in names]))


def true_c2() -> float:
    spread = np.log(2) ** 2 / 2 * (PEPTIDE["sigma2"] ** 2 - PEPTIDE["sigma1"] ** 2)
    return float(np.exp(spread) * (1 + 2 ** PEPTIDE["b22"]) / (1 + 2 ** PEPTIDE["b21"]))


def check_law(table: pd.DataFrame, errors: np.ndarray) -> None:
    """Standard normals, two rows of a cluster independent: a false alarm in 1 of 3,000 runs."""
    assert kstest(errors, "norm").pvalue > 1e-4
    assert abs(errors.var() - 1.0) < 3.9 * np.sqrt(2.0 / len(errors))
    products = pd.Series(errors, index=table.index).groupby([table["treatment"], table["replicate"]]).prod()
    assert abs(products.mean()) < 3.9 / np.sqrt(len(products))  # their variance is one


def test_the_law_under_the_model(fit: saem.Fit) -> None:
    """Mutants: decorrelation forgotten; too large a residual SD; no random effects; a mean shifted."""
    found = saem.npde(fit, 1000, seed=1)
    assert list(found.table.index) == list(fit.table.index) and found.draws == 1000
    check_law(fit.table, found.table["npde"].to_numpy())
    assert found.tests.loc["global", "p"] > 1e-3
    data = arrange(MODEL, fit.table)
    drawn = np.column_stack([one_draw(family_of(MODEL), data, fit.values, 1, k) for k in range(1000)])
    forgotten = ndtri(np.clip(np.mean(drawn < data.response[:, None], axis=1), 1 / 2000, 1 - 1 / 2000))
    assert kstest(forgotten, "norm").pvalue > 1e-4  # each row by itself is normal
    with pytest.raises(AssertionError):
        check_law(fit.table, forgotten)
    for changes in ({"sigma": 1.25 * PEPTIDE["sigma"]}, {"sigma1": 0.0, "sigma2": 0.0}, {"mu": PEPTIDE["mu"] + 0.2}):
        wrong = saem.npde(at_truth(fit, **changes), 1000, seed=1)
        with pytest.raises(AssertionError):
            check_law(fit.table, wrong.table["npde"].to_numpy())
        assert wrong.tests.loc["global", "p"] < 1e-3, changes


def check_near(errors: np.ndarray, exact: np.ndarray, draws: int) -> None:
    """The error of a share of the draws, seen through the normal quantile: 4.75 of it, 1 in 1,000 for 500 rows."""
    middle = np.abs(exact) < 2.3
    p = norm.cdf(exact[middle])
    error = np.sqrt(p * (1 - p) / draws) / norm.pdf(exact[middle])
    assert np.max(np.abs(errors[middle] - exact[middle]) / error) < 4.75


@pytest.mark.parametrize(
    "name", few(["balanced", "two residual groups", "slopes by arm and device"], ["slopes by arm and device"])
)
def test_the_referee_are_normalised_residuals(name: str) -> None:
    example = examples()[name]
    fit = saem.fit(example.model, example.table, "ml")
    exact = saem.residuals(fit)
    found = saem.npde(fit, 4000, seed=2).table
    check_near(found["npde"].to_numpy(), exact["normalised"].to_numpy(), 4000)
    np.testing.assert_allclose(found["fitted_marginal"], exact["fitted_marginal"], rtol=1e-14)
    with pytest.raises(AssertionError):  # a mutant: the decorrelation takes the rows the other way round
        check_near(found["npde"].to_numpy(), exact["marginal"].to_numpy() / exact["marginal"].std(), 4000)


def test_ranks_of_nought_and_all() -> None:
    """Far from all draws: within the last of the K + 1 parts; finite."""
    example = examples()["balanced"]
    fit = saem.fit(example.model, example.table, "ml")
    values = fit.values.copy()
    values[fit.parameters.index("mu")] += 100.0
    table = saem.npde(replace(fit, values=values), 200).table
    first = table.groupby(example.table["treatment"].astype(str) + example.table["replicate"].astype(str)).head(1)
    assert first["pde"].between(0.0, 1 / 201, inclusive="neither").all() and np.isfinite(first["npde"]).all()
    values[fit.parameters.index("mu")] -= 200.0
    assert 1.0 - 1 / 201 < saem.npde(replace(fit, values=values), 200).table["pde"].max() < 1.0


def test_few_draws_do_not_spread_the_errors() -> None:
    """Ranks among 100 draws of 20,000 rows: the variance is one within 4 standard errors.

    Mutant: ranks kept half a rank from the ends, of which the variance is 1.035.
    """
    rng = np.random.default_rng(3)
    below = rng.integers(0, 101, 20_000)
    fair = ndtri((below + rng.random(20_000)) / 101)
    clipped = ndtri(np.clip(below / 100, 0.5 / 100, 1.0 - 0.5 / 100))
    bound = 4.0 * np.sqrt(2.0 / 20_000)
    table = saem.simulate(MODEL, PEPTIDE, peptide_design(5000), 2)
    truth = at_truth(saem.fit(MODEL, table, "ml"))
    found = saem.npde(truth, 100).table["npde"].to_numpy()
    assert abs(found.var() - 1.0) < bound and abs(fair.var() - 1.0) < bound
    assert abs(clipped.var() - 1.0) > bound


def test_more_draws_change_none_of_the_first(fit: saem.Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    few = saem.npde(fit, 300, seed=5).table
    monkeypatch.setattr("saem.inference.prediction_errors.AT_ONCE", 70 * len(few))
    pd.testing.assert_frame_equal(saem.npde(fit, 300, seed=5).table, few)
    more = saem.npde(fit, 301, seed=5).table
    step = np.round(301 * more["pde"]) - np.round(300 * few["pde"])
    inside = few["pde"].between(0.01, 0.99)
    assert set(step[inside]) == {0.0, 1.0}
    assert not saem.npde(fit, 300, seed=6).table.equals(few)


@pytest.mark.slow
def test_the_tests_hold_their_level() -> None:
    """Of 200 samples of normals, some 5 % at most are refused at 5 %; of samples that are not, most."""
    rng = np.random.default_rng(3)

    def refused(make, samples: int) -> int:
        return sum(judged(make(), 0).loc["global", "p"] < 0.05 for _ in range(samples))

    assert binomtest(refused(lambda: rng.standard_normal(60), 200), 200, 0.05, "greater").pvalue > 1e-3
    for wrong in (
        lambda: rng.standard_normal(60) + 0.6,
        lambda: 1.5 * rng.standard_normal(60),
        lambda: rng.exponential(size=60) - 1.0,
    ):
        assert refused(wrong, 50) > 38


@pytest.mark.slow
def test_the_level_of_the_whole() -> None:
    """400 sets of data with 12 replicates an arm, at the truth: each test refuses 5 %, within 4.5 errors.

    At their own estimates they are conservative: the means are fitted, so that the mean of the npde is near zero.
    """
    at_the_truth, at_estimate = [], []
    for k in range(400):
        fit = saem.fit(MODEL, saem.simulate(MODEL, PEPTIDE, peptide_design(12), 1000 + k), "ml")
        at_the_truth.append(saem.npde(at_truth(fit), 200, k).tests["p"].to_numpy() < 0.05)
        at_estimate.append(saem.npde(fit, 200, k).tests["p"].to_numpy() < 0.05)
    error = np.sqrt(0.05 * 0.95 / 400)
    assert np.all(np.abs(np.mean(at_the_truth, axis=0)[:3] - 0.05) < 4.5 * error)
    assert np.mean(at_the_truth, axis=0)[3] < 0.05 + 4.5 * error  # Bonferroni's
    assert np.mean(at_estimate, axis=0)[3] < 0.05 and np.mean(at_estimate, axis=0)[0] < 0.01


def test_the_tests_are_those_of_the_package() -> None:
    """The variance by hand; a sample of at most 5,000 for normality; 'global' is Bonferroni's."""
    errors = np.random.default_rng(1).standard_normal(6000)
    found = judged(errors, 0)
    assert found.loc["mean", "value"] == errors.mean() and found.loc["variance", "value"] == errors.var(ddof=1)
    z = (errors.var(ddof=1) - 1.0) / np.sqrt(2.0 / 5999)  # nearly normal with 5,999 degrees of freedom
    assert found.loc["variance", "p"] == pytest.approx(2 * norm.sf(abs(z)), abs=0.01)
    smallest = found["p"].iloc[:3].min()
    assert found.loc["global", "p"] == min(1.0, 3 * smallest)


def test_bad_input(fit: saem.Fit) -> None:
    with pytest.raises(saem.SaemError, match="from 100 to 100000; got 10"):
        saem.npde(fit, 10)
    with pytest.raises(saem.SaemError, match="residual standard deviation is zero"):
        saem.npde(at_truth(fit, sigma=0.0))
