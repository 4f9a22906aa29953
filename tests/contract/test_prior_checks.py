"""What priors expect, and how far a posterior hangs on them."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commandline import invoke
from linear_family import example_table
from matplotlib.figure import Figure
from overidentified import g
from scipy import stats

import saem
from saem import Bayes, Model, recipes
from saem.errors import ModelError, SaemError
from saem.inference.prior_sensitivity import DELTA
from saem.plotting import plot_prior_predictive

PEPTIDE = Model.from_text(recipes.text("peptide"))
needs_sampler = pytest.mark.skipif(
    importlib.util.find_spec("nutpie") is None, reason="the extra 'bayes' is not installed"
)
HELD = {"alpha2": -1.0, "b21": 0.5, "b22": 1.2, "sigma1": 0.4, "sigma2": 0.7, "sigma": 0.3}
#: one free parameter, mu; c2 is a constant that the constraint determines
ONLY_MU = PEPTIDE.replace(fixed=HELD, priors={"mu": "normal(9, 0.5)"})


def test_what_a_constraint_determines_follows_from_the_priors() -> None:
    found = saem.prior_predictive(PEPTIDE, example_table(4, 1), draws=200, seed=3)
    x = {name: found.parameters[name].to_numpy() for name in found.parameters}
    np.testing.assert_allclose(x["c2"], g(x), rtol=1e-10)
    assert found.determined == {"c2": "g"} and set(found.priors) == set(found.parameters) - {"c2"}
    implied = found.implied()
    assert implied.loc["c2", "prior"] == "determined by g"
    assert implied.loc["c2", "lower"] == pytest.approx(np.quantile(x["c2"], 0.025))
    again = saem.prior_predictive(PEPTIDE, example_table(4, 1), draws=200, seed=3)
    assert again.responses.tobytes() == found.responses.tobytes()
    other = saem.prior_predictive(PEPTIDE, example_table(4, 1), draws=200, seed=4)
    assert other.responses.tobytes() != found.responses.tobytes()


def check_law(found: object, prior_sd: float) -> None:
    """Mean and SD of the mean response within 4.5 of their Monte Carlo errors: a false alarm in 1.4e-5.

    With 6 clusters of 2 rows an arm its variance is that of mu, plus a quarter of (sigma1^2 + sigma2^2) / 6 and
    sigma^2 / 24.
    """
    means = found.statistics["mean"].to_numpy()  # type: ignore[attr-defined]
    c2 = g(HELD)
    expected = 9.0 + 0.5 * (c2 + HELD["alpha2"]) + 0.25 * (HELD["b21"] + HELD["b22"])
    sd = np.sqrt(prior_sd**2 + 0.25 * (0.4**2 + 0.7**2) / 6 + 0.3**2 / 24)
    n = len(means)
    assert abs(means.mean() - expected) < 4.5 * sd / np.sqrt(n)
    assert abs(means.std(ddof=1) / sd - 1.0) < 4.5 / np.sqrt(2 * n)


def test_the_data_that_are_expected_have_the_right_law() -> None:
    found = saem.prior_predictive(ONLY_MU, example_table(6, 1), draws=3000, seed=1)
    check_law(found, 0.5)
    for mutant in (0.0, 0.6):  # without the prior's own share, and with another prior
        with pytest.raises(AssertionError):
            check_law(found, mutant)


def test_summaries_are_those_of_the_data() -> None:
    table = example_table(6, 1)
    found = saem.prior_predictive(ONLY_MU, table, draws=100)
    y, cluster = table["log2_intensity"], table["treatment"] + table["replicate"].astype(str)
    means = y.groupby(cluster).mean()
    within = np.sqrt(sum((part - part.mean()).pow(2).sum() for _, part in y.groupby(cluster)) / (len(y) - len(means)))
    expected = [y.mean(), y.std(), y.min(), y.max(), means.std(), within]
    np.testing.assert_allclose(found.observed_statistics, expected, rtol=1e-12)
    shown = found.table(0.5)
    np.testing.assert_allclose(shown["lower"], np.quantile(found.statistics, 0.25, axis=0), rtol=1e-12)
    assert ((shown["share"] >= 0) & (shown["share"] <= 1)).all()
    for axes in plot_prior_predictive(found, Figure()):
        assert len(axes.patches) == 40 and len(axes.get_lines()) == 1


def test_priors_that_contradict_the_data_are_named() -> None:
    table = example_table(6, 1)
    assert saem.prior_predictive(PEPTIDE, table).findings == []
    far = saem.prior_predictive(ONLY_MU.replace(priors={"mu": "normal(0, 0.5)"}), table)
    assert any("the mean of the data" in text and "larger than in 100.0 %" in text for text in far.findings)
    wide = PEPTIDE.replace(priors={"sigma2": "half_normal(1000)", "sigma1": "half_normal(1000)"})
    assert any("narrower priors" in text for text in saem.prior_predictive(wide, table).findings)


def test_what_cannot_be_expected_is_refused() -> None:
    table = example_table(4, 1)
    for wrong in ({"draws": 5}, {"draws": 2.5}, {"seed": -1}):
        with pytest.raises(SaemError, match=next(iter(wrong))):
            saem.prior_predictive(PEPTIDE, table, **wrong)
    with pytest.raises(SaemError, match="level"):
        saem.prior_predictive(PEPTIDE, table, draws=100).table(1.5)
    with pytest.raises(ModelError, match="only a fit by 'bayes'"):
        saem.prior_sensitivity(saem.fit(PEPTIDE, table, "ml"))


# Power scaling, where everything is normal


@lru_cache
def mu_fit() -> saem.Fit:
    return saem.fit(ONLY_MU, example_table(3, 1), Bayes(chains=2, tune=300, draws=4000), seed=1)


def distance(at: np.ndarray, p: stats.rv_continuous, q: stats.rv_continuous) -> float:
    """The cumulative Jensen-Shannon distance on a grid, by its definition (Nguyen & Vreeken 2015)."""

    def one(cdf_p: np.ndarray, cdf_q: np.ndarray) -> float:
        with np.errstate(divide="ignore", invalid="ignore"):
            mixed = 0.5 * (cdf_p + cdf_q)
            a = np.where(cdf_p > 0, cdf_p * np.log2(cdf_p / mixed), 0.0)
            b = np.where(cdf_q > 0, cdf_q * np.log2(cdf_q / mixed), 0.0)
        return float(np.sqrt(np.trapezoid(a + b, at) / np.trapezoid(cdf_p + cdf_q, at)))

    return max(one(p.cdf(at), q.cdf(at)), one(p.sf(at), q.sf(at)))


def exact(fit: saem.Fit, prior_power: bool) -> float:
    """The sensitivity of mu: its likelihood and its prior are normal, and so is the posterior at any power."""
    ml = saem.fit(ONLY_MU, fit.table, "ml")
    i = fit.parameters.index("mu")
    estimate, precision = ml.values[i], ml.se[i] ** -2
    draws = fit.posterior.pooled[:, i]
    grid = np.linspace(draws.min(), draws.max(), 4001)

    def law(power: float) -> stats.rv_continuous:
        own = 0.5**-2 * (power if prior_power else 1.0)
        data = precision * (1.0 if prior_power else power)
        return stats.norm((own * 9.0 + data * estimate) / (own + data), (own + data) ** -0.5)

    both = sum(distance(grid, law(1.0), law(power)) for power in (1 + DELTA, 1 / (1 + DELTA)))
    return both / (2 * np.log2(1 + DELTA))


@needs_sampler
def test_the_sensitivity_is_that_of_normal_distributions() -> None:
    """Within 10 %, which is some four of its Monte Carlo errors; the likelihood's is no stand-in for the prior's."""
    fit = mu_fit()
    found = saem.prior_sensitivity(fit)
    assert list(found.table.index) == ["mu"] and found.table.loc["mu", "most"] == "mu"
    by_prior, by_likelihood = exact(fit, True), exact(fit, False)
    assert found.table.loc["mu", "prior"] == pytest.approx(by_prior, rel=0.1)
    assert found.table.loc["mu", "likelihood"] == pytest.approx(by_likelihood, rel=0.1)
    assert found.table.loc["mu", "alone"] == pytest.approx(found.table.loc["mu", "prior"])
    wrong = replace(fit.posterior, priors={"mu": "normal(9, 0.25)"})  # a mutant: not the prior of the draws
    mutant = saem.prior_sensitivity(replace(fit, posterior=wrong))
    assert mutant.table.loc["mu", "prior"] != pytest.approx(by_prior, rel=0.1)
    assert max(found.pareto_k.values()) < 0.7


@needs_sampler
def test_strong_priors_are_named() -> None:
    table = example_table(6, 1)
    quick = Bayes(chains=2, tune=300, draws=500)
    strong = saem.prior_sensitivity(saem.fit(PEPTIDE.replace(priors={"b22": "normal(-2, 0.1)"}), table, quick, seed=1))
    assert strong.table.loc["b22", "most"] == "b22" and strong.table.loc["b22", "diagnosis"]
    assert any("b22" in text for text in strong.findings)


def test_the_commands(tmp_path: Path) -> None:
    (tmp_path / "model.toml").write_text(recipes.text("peptide") + '\n[priors]\nsigma2 = "half_normal(1)"\n')
    example_table(6, 1).to_csv(tmp_path / "data.csv", index=False)
    files = [str(tmp_path / "model.toml"), str(tmp_path / "data.csv")]
    done = invoke("prior", *files, "--draws", "200", "-o", str(tmp_path / "out"))
    for words in ("determined by g", "half_normal(1)", "SD within clusters", "share below the data"):
        assert words in done.output
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "prior.csv",
        "parameters.csv",
        "statistics.csv",
        "prior.png",
    }
    assert len(pd.read_csv(tmp_path / "out" / "statistics.csv")) == 200
    checked = invoke("check", *files)
    assert "c2 is determined by g; before the data it is expected at" in checked.output
    refused = invoke("sensitivity", tmp_path, code=2)
    assert "no saved posterior" in refused.output


@needs_sampler
def test_the_command_sensitivity(tmp_path: Path) -> None:
    mu_fit().save(tmp_path / "bayes")
    done = invoke("sensitivity", tmp_path, "-o", tmp_path / "out")
    assert "most by the prior of" in done.output and "mu" in done.output
    assert (tmp_path / "out" / "sensitivity.csv").is_file()
