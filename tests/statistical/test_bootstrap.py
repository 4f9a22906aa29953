"""The parametric bootstrap: its replicates, its referee by theory, and what an interruption changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from linear_family import PEPTIDE, example_table, peptide_design
from scipy.stats import chi2, norm

import saem
from saem import Model, recipes
from saem.inference.bootstrap import Bootstrap, corrected, jackknife_of_sd

MODEL = Model.from_text(recipes.text("peptide"))


@pytest.fixture(scope="module")
def fit() -> saem.Fit:
    return saem.fit(MODEL, example_table(60, 1), "ml")


@pytest.fixture(scope="module")
def found(fit: saem.Fit):
    return saem.bootstrap(fit, 200, seed=1, workers=1)


def check_errors(table: pd.DataFrame, se: np.ndarray) -> None:
    """With 60 replicates an arm the standard errors are those of large samples, within 4.5 errors and 5 %."""
    assert np.all(np.abs(table["se"] - se) < 4.5 * table["se_mcse"] + 0.05 * se)


def test_standard_errors_are_those_of_the_information(fit: saem.Fit, found) -> None:
    assert len(found.estimates) == 200 and (found.fits["status"] == "converged").all()
    check_errors(found.table, fit.se)
    with pytest.raises(AssertionError):  # a mutant: clusters of a fourth of the size
        check_errors(found.table, 2.0 * fit.se)
    small = found.table["bias"].abs() < 4.5 * found.table["bias_mcse"] + 0.15 * fit.se
    assert small.all()


def test_percentiles_and_their_reflection(fit: saem.Fit, found) -> None:
    values = found.estimates["mu"].to_numpy()
    percentile, basic = found.intervals(0.9), found.intervals(0.9, kind="basic")
    low, high = np.quantile(values, [0.05, 0.95])
    assert tuple(percentile.loc["mu"]) == (low, high)
    assert tuple(basic.loc["mu"]) == pytest.approx((2 * fit.values[0] - high, 2 * fit.values[0] - low))
    low, high = np.quantile(found.estimates["sigma"], [0.05, 0.95])
    assert tuple(basic.loc["sigma"]) == pytest.approx((fit.values[-1] ** 2 / high, fit.values[-1] ** 2 / low))
    for arguments, words in (
        ({"level": 0}, "between 0 and 1"),
        ({"kind": "bca"}, "one of 'percentile'"),
    ):
        with pytest.raises(saem.SaemError, match=words):
            found.intervals(**arguments)


def test_the_jackknife() -> None:
    """Beside leaving out one by one."""
    values = np.random.default_rng(1).gamma(2.0, size=(30, 2))
    one_by_one = np.array([np.delete(values, k, axis=0).std(axis=0, ddof=1) for k in range(30)])
    expected = np.sqrt(29 / 30 * np.sum((one_by_one - one_by_one.mean(axis=0)) ** 2, axis=0))
    np.testing.assert_allclose(jackknife_of_sd(values), expected, rtol=1e-10)


def test_corrected_intervals_of_a_biased_estimator() -> None:
    """The standard deviation of 8 normals by maximum likelihood: the coverage of both kinds is known by chi-squares.

    1000 samples: within 4 binomial errors of it (false alarm 1e-4); the kinds in each other's place are not.
    """
    rng, shares = np.random.default_rng(1), [0.025, 0.975]
    hits = {"percentile": 0, "corrected": 0}
    for _ in range(1000):
        estimate = np.sqrt(rng.chisquare(7) / 8)
        values = estimate * np.sqrt(rng.chisquare(7, 1999) / 8)
        for kind in hits:
            at = corrected(shares, values, estimate) if kind == "corrected" else shares
            ends = np.quantile(values, at)
            hits[kind] += int(ends[0] <= 1.0 <= ends[1])
    known = {}
    moved = norm.cdf(2.0 * norm.ppf(chi2.cdf(8, 7)) + norm.ppf(shares))
    for kind, at in (("percentile", shares), ("corrected", moved)):
        low, high = chi2.ppf(at, 7) / 8  # of replicates over estimates, squared
        known[kind] = float(chi2.cdf(8 / low, 7) - chi2.cdf(8 / high, 7))
    for kind, p in known.items():
        assert abs(hits[kind] / 1000 - p) < 4 * np.sqrt(p * (1 - p) / 1000), (kind, hits, known)
    assert known["corrected"] - known["percentile"] > 0.08
    assert corrected([0.025, 0.975], np.array([1.0, 2.0]), 0.0) == [0.0, 0.0]
    assert corrected([0.025, 0.975], np.array([-1.0, 1.0]), 0.0) == pytest.approx([0.025, 0.975])


@pytest.mark.slow
def test_more_replicates_and_workers_change_nothing(fit: saem.Fit, found, tmp_path) -> None:
    """Also after an interruption: the same folder goes on."""
    fewer = saem.bootstrap(fit, 30, seed=1, workers=1)
    pd.testing.assert_frame_equal(fewer.estimates, found.estimates.iloc[:30])
    seen = []

    def stop(done: int, total: int) -> None:
        seen.append(done)
        if done == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        saem.bootstrap(fit, 40, seed=1, workers=1, output=tmp_path, progress=stop)
    begun: list[int] = []
    again = saem.bootstrap(fit, 40, seed=1, workers=2, output=tmp_path, progress=lambda done, total: begun.append(done))
    assert begun[0] >= 12
    pd.testing.assert_frame_equal(again.estimates, found.estimates.iloc[:40])
    more = saem.bootstrap(fit, 50, seed=1, workers=1, output=tmp_path, progress=lambda done, _: begun.append(done))
    assert 40 in begun and begun[-11:] == list(range(40, 51))  # none of the first again
    pd.testing.assert_frame_equal(more.estimates, found.estimates.iloc[:50])
    less = saem.bootstrap(fit, 30, seed=1, workers=1, output=tmp_path)
    pd.testing.assert_frame_equal(less.estimates, fewer.estimates)
    with pytest.raises(saem.SaemError, match="another run"):
        saem.bootstrap(fit, 30, seed=2, workers=1, output=tmp_path)
    other = saem.bootstrap(fit, 30, seed=2, workers=1)
    assert not np.allclose(other.estimates, fewer.estimates)


def test_estimates_at_the_boundary_are_kept() -> None:
    """With 3 replicates an arm some replicates have a variance of zero: they are no failures."""
    fit = saem.fit(MODEL, saem.simulate(MODEL, PEPTIDE | {"sigma1": 0.15}, peptide_design(6), 3), "ml")
    found = saem.bootstrap(fit, 60, workers=1)
    zero = (found.estimates[["sigma1", "sigma2"]] == 0.0).any(axis=1)
    assert zero.any() and set(found.fits.loc[zero[zero].index, "status"]) == {"boundary"}
    assert found.table.loc["sigma1", "at_zero"] > 0.0 and np.isnan(found.table.loc["mu", "at_zero"])
    basic = found.intervals(kind="basic")
    assert basic.loc["sigma1"].isna().all() and basic.loc["mu"].notna().all()
    assert found.intervals().loc["sigma1", "lower"] >= 0.0


def slopes_fit() -> saem.Fit:
    """Random intercepts and slopes; the intercepts hardly differ, so that in some replicates they do not at all."""
    model = Model(
        response="y", cluster="s", mean={"mu": "1", "slope": "t"}, random={"terms": {"intercept": "1", "slope": "t"}}
    )
    design = pd.DataFrame([(s, t) for s in range(15) for t in (0.0, 0.5, 1.0)], columns=["s", "t"])
    truth = {"mu": 1.0, "slope": 0.5, "sd_intercept": 0.05, "sd_slope": 0.8, "corr_intercept_slope": 0.2, "sigma": 0.6}
    return saem.fit(model, saem.simulate(model, truth, design, 5), "ml")


def check_undefined(found: Bootstrap) -> None:
    """A correlation has no value where one of its standard deviations is zero, and only there."""
    zero = (found.estimates[["sd_intercept", "sd_slope"]] == 0.0).any(axis=1)
    undefined = found.estimates["corr_intercept_slope"].isna()
    assert 2 <= zero.sum() < len(zero) and undefined.equals(zero)
    rest = found.estimates.loc[~zero, "corr_intercept_slope"]
    row = found.table.loc["corr_intercept_slope"]
    assert row["undefined"] == zero.sum() and found.table["undefined"].sum() == zero.sum()
    assert row["se"] == pytest.approx(rest.std()) and row["bias"] + row["estimate"] == pytest.approx(rest.mean())
    ends = found.intervals(0.9).loc["corr_intercept_slope"]
    assert tuple(ends) == pytest.approx(tuple(rest.quantile([0.05, 0.95])))


def test_the_correlation_of_an_absent_effect_is_undefined() -> None:
    found = saem.bootstrap(slopes_fit(), 40, workers=1)
    check_undefined(found)
    with pytest.raises(AssertionError):  # mutant: it counts as zero
        check_undefined(replace(found, estimates=found.estimates.fillna(0.0)))
    never = found.estimates.assign(corr_intercept_slope=np.nan)
    row = replace(found, estimates=never).table.loc["corr_intercept_slope"]
    assert row[["bias", "se", "se_mcse"]].isna().all() and row["undefined"] == 40
    assert replace(found, estimates=never).intervals().loc["corr_intercept_slope"].isna().all()


def test_bad_input(fit: saem.Fit) -> None:
    with pytest.raises(saem.SaemError, match="20 or larger; got 3"):
        saem.bootstrap(fit, 3)
    free = saem.fit(MODEL.replace(constraints={}), example_table(8, 1), "ml")
    with pytest.raises(
        saem.SaemError, match=r"of 20 replicates 0 were fitted; the first that was not: .* can move together"
    ):
        saem.bootstrap(free, 20, workers=1)
