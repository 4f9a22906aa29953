"""The likelihood-ratio test by bootstrap: under a true null, beside laws that are known, and with failures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, kstest
from selecting import few

import saem
from saem import Model
from saem.inference import bootstrap_ratio as module
from saem.inference.bootstrap_ratio import BootstrapTest, statistics

INTERCEPT = Model(response="y", cluster="s", mean={"mu": "1", "slope": "t"}, random={"sd": "omega"})
TERMS = {"terms": {"intercept": "1", "slope": "t"}, "covariance": "diagonal"}
BOTH = Model(response="y", cluster="s", mean={"mu": "1", "slope": "t"}, random=TERMS)
TRUTH = {"mu": 1.0, "slope": 0.0, "omega": 0.5, "sigma": 0.5}


def design(subjects: int) -> pd.DataFrame:
    """Three times for each subject."""
    return pd.DataFrame([(s, t) for s in range(subjects) for t in (0.0, 0.5, 1.0)], columns=["s", "t"])


def fits(subjects: int, seed: int, larger: Model = INTERCEPT, **fixed: float) -> tuple[saem.Fit, saem.Fit]:
    """A smaller and a larger model, fitted to data of the smaller one."""
    smaller = larger.replace(fixed=fixed)
    truth = {name: value for name, value in TRUTH.items() if name != "omega" or larger is INTERCEPT} | fixed
    table = saem.simulate(smaller, truth, design(subjects), seed)
    return saem.fit(smaller, table, "ml"), saem.fit(larger, table, "ml")


def test_a_mean_in_a_large_sample_is_chi_square() -> None:
    """Share beyond each quantile within 4 binomial errors and 2 %: a false alarm below 3 in 10^4."""
    found = saem.bootstrap_test(*fits(60, 1, slope=0.0), 200, workers=1)
    for level in (0.5, 0.2, 0.05):
        share = np.mean(found.ratios >= chi2.isf(level, 1))
        assert abs(share - level) < 4.0 * np.sqrt(level * (1.0 - level) / 200) + 0.02
    theory = saem.likelihood_ratio(*fits(60, 1, slope=0.0))
    assert found.statistic == theory.statistic and found.df == 1 and found.failed == 0
    assert abs(found.p - theory.p) < 4.0 * found.p_mcse + 0.02
    assert found.p == (1 + np.sum(found.ratios >= found.statistic)) / 201 and found.p_bounds == (found.p, found.p)


def check_mixture(found: BootstrapTest) -> None:
    """Half a mass at zero and half a chi-square(1), as Self & Liang have it; 4 binomial errors and 3 %."""
    n = len(found.ratios)
    for value in (1e-6, 0.5, 2.706, 3.841):
        level = 0.5 * chi2.sf(value, 1)
        assert abs(np.mean(found.ratios >= value) - level) < 4.0 * np.sqrt(level * (1.0 - level) / n) + 0.03


@pytest.mark.slow
def test_one_zero_variance_in_a_large_sample_is_the_half_half_mixture() -> None:
    smaller, larger = fits(150, 2, omega=0.0)
    found = saem.bootstrap_test(smaller, larger, 200, workers=1)
    check_mixture(found)
    assert abs(found.p - saem.likelihood_ratio(smaller, larger).p) < 4.0 * found.p_mcse + 0.03
    with pytest.raises(AssertionError):  # mutant: one chi-square
        check_mixture(BootstrapTest(0.0, 1, pd.DataFrame({"statistic": chi2.ppf((np.arange(300) + 0.5) / 300, 1)})))


@pytest.mark.slow
def test_two_zero_variances_at_once() -> None:
    """What `likelihood_ratio` refuses: the statistic is zero in a part of the replicates, and p is in their scale."""
    smaller, larger = fits(15, 1, BOTH, sd_intercept=0.0, sd_slope=0.0)
    with pytest.raises(saem.SaemError, match="bootstrap_test"):
        saem.likelihood_ratio(smaller, larger)
    found = saem.bootstrap_test(smaller, larger, 100, workers=1)
    assert found.failed == 0 and 0.15 < np.mean(found.ratios < 1e-6) < 0.6
    assert found.df == 2 and 0.0 < found.p <= 1.0


def check_uniform(p: np.ndarray) -> None:
    """Kolmogorov and Smirnov's test at the level 10^-4; p is a multiple of 1/50."""
    assert kstest(p - 0.01, "uniform").pvalue > 1e-4


@pytest.mark.slow
def test_p_values_of_a_true_null_are_uniform(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight subjects, where chi-square is not good. Mutant: the larger model draws, and p is above 1/2 or so."""
    cases = [fits(8, seed, slope=0.0) for seed in range(40)]
    check_uniform(np.array([saem.bootstrap_test(*case, 49, seed=k, workers=1).p for k, case in enumerate(cases)]))
    draw = module.draw_responses
    for k, (_, larger) in enumerate(cases):
        monkeypatch.setattr(module, "draw_responses", lambda fit, *rest, larger=larger: draw(larger, *rest))
        cases[k] = saem.bootstrap_test(*cases[k], 49, seed=k, workers=1).p
    with pytest.raises(AssertionError):
        check_uniform(np.array(cases))


@pytest.mark.parametrize("workers", few([1, 2], [1]))
def test_an_interruption_changes_nothing(tmp_path, workers: int) -> None:
    """Also the number of workers; and more replicates change none of the first."""
    smaller, larger = fits(8, 3, slope=0.0)
    whole = saem.bootstrap_test(smaller, larger, 24, seed=4, workers=1)
    fewer = saem.bootstrap_test(smaller, larger, 20, seed=4, workers=1)
    pd.testing.assert_frame_equal(fewer.replicates, whole.replicates.iloc[:20])
    seen: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        seen.append((done, total))
        if done == 30:  # in the second model
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        saem.bootstrap_test(smaller, larger, 24, seed=4, workers=1, output=tmp_path, progress=stop)
    assert {total for _, total in seen} == {48}
    seen.clear()
    again = saem.bootstrap_test(
        smaller, larger, 24, seed=4, workers=workers, output=tmp_path, progress=lambda *at: seen.append(at)
    )
    assert seen[0] == (24, 48) and seen[1][0] >= 30 and seen[-1] == (48, 48)
    pd.testing.assert_frame_equal(again.replicates, whole.replicates)


def test_failures_are_counted_and_never_dropped() -> None:
    """A fit that ended in nothing, and a larger model below the smaller one."""
    index = pd.RangeIndex(5, name="replicate")
    status = ["converged", "boundary", "not_converged", "converged", "converged"]
    smaller = pd.DataFrame({"status": status, "loglik": [-3.0, -3.0, -3.0, -3.0, -3.0], "message": "why"}, index=index)
    larger = smaller.assign(status="converged", loglik=[-2.0, -3.0 - 1e-9, -2.0, -3.5, -1.0])
    table = statistics(smaller, larger)
    np.testing.assert_array_equal(table["statistic"], [2.0, 0.0, np.nan, np.nan, 4.0])
    assert table["message"].tolist()[2] == "the smaller model: not_converged: why"
    assert "lower maximum" in table["message"].iloc[3] and (table["message"].iloc[[0, 1, 4]] == "").all()
    found = BootstrapTest(2.0, 1, table)
    assert (found.failed, found.exceeding, len(found.ratios)) == (2, 2, 3)
    assert found.p == 3 / 4 and found.p_bounds == (3 / 6, 5 / 6) and found.p_mcse == pytest.approx(np.sqrt(3 / 16 / 3))
    assert "2 failed" in repr(found)
    error = larger.assign(status="error", loglik=np.nan)
    assert statistics(smaller, error)["statistic"].isna().all()


def test_bad_input() -> None:
    smaller, larger = fits(8, 1, slope=0.0)
    for arguments, words in (
        ((larger, smaller), "fixes slope"),
        ((smaller, smaller), "more free parameters"),
        ((smaller, larger, 3), "20 or larger; got 3"),
    ):
        with pytest.raises(saem.SaemError, match=words):
            saem.bootstrap_test(*arguments)
