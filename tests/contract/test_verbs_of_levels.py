"""What is done with fits of the families that have levels within clusters, several factors, or residuals of their own.

Every verb is run for each; what it gives is looked at where the family could get it wrong.
"""

from __future__ import annotations

from functools import cache

import crossed_family
import crossed_glmm_family
import numpy as np
import pandas as pd
import pytest
from commandline import invoke
from occasions_model import occasions
from scipy.stats import norm

import saem
from saem import Fit, Model
from saem.errors import ModelError
from saem.plotting import plot_effect_quantiles, plot_individual, plot_random_effects

OCCASIONS = occasions("lognormal")
EXTENDED = """
family = "extended"
response = "y"
cluster = "id"
[mean]
a = "1"
b = "x"
[random]
terms = { u = "1" }
[residual]
correlation = "exponential(span, t)"
"""
CROSSED = crossed_family.CROSSED.replace('terms = { intercept = "1", x = "x" }\n', "")
TEXTS = {"occasions": OCCASIONS, "crossed": CROSSED, "crossed_glmm": crossed_glmm_family.TEXT, "extended": EXTENDED}
SDS = {"occasions": "gamma", "crossed": "sd_a", "crossed_glmm": "sd_herd", "extended": "sd_u"}


def subjects() -> pd.DataFrame:
    """Twelve subjects with one or two visits of three rows, of which every other one has them in reverse order."""
    rng, rows = np.random.default_rng(1), []
    for i in range(12):
        visits = [f"v{k}" for k in range(2 - (i % 3 == 2))]
        own = 0.8 * np.cos(i)
        for k, visit in enumerate(visits if i % 2 else visits[::-1]):
            level = 2.0 * np.exp(own + 0.3 * rng.normal())
            rows += [(f"s{i}", visit, x, 3 * k + x, level + 0.5 * x + 0.3 * rng.normal()) for x in (0.0, 1.0, 2.0)]
    return pd.DataFrame(rows, columns=["id", "visit", "x", "t", "y"])


@cache
def table(name: str) -> pd.DataFrame:
    if name == "crossed":
        return crossed_family.table()
    return crossed_glmm_family.table(herds=14) if name == "crossed_glmm" else subjects()


@cache
def fitted(name: str) -> Fit:
    return saem.fit(Model.from_text(TEXTS[name]), table(name), "ml")


every = pytest.mark.parametrize("name", list(TEXTS))


@every
def test_the_rows_of_a_fit_are_predicted_as_the_same_rows_of_a_table(name):
    """Also where residuals are correlated: a new row's response is independent of the others given the effects."""
    pd.testing.assert_frame_equal(saem.predict(fitted(name), table(name)), saem.predict(fitted(name)))


@every
def test_what_is_inferred_from_a_fit(name, tmp_path):
    fit, sd = fitted(name), SDS[name]
    assert np.isfinite(saem.profile(fit, [sd]).intervals["upper"]).all()
    assert len(saem.influence(fit, workers=1).table) == fit.n_clusters
    assert saem.bootstrap(fit, replicates=20, workers=1).table["se"].notna().all()
    assert saem.npde(fit, draws=1000).table["npde"].notna().all()
    assert saem.verify(fit, starts=0).deficit < 1e-3
    smaller = saem.fit(fit.model.replace(fixed={sd: 0.0}), table(name), "ml")
    assert saem.likelihood_ratio(smaller, fit).statistic == pytest.approx(2.0 * (fit.loglik - smaller.loglik))
    assert saem.identifiability(fit.model, table(name), starts=0).locally_identified
    fit.save(tmp_path)
    again = saem.random_effects(saem.load(tmp_path)).table
    pd.testing.assert_frame_equal(again, saem.random_effects(fit).table, atol=5e-3)  # rules of integration may differ


@every
def test_saem_goes_on_from_a_saved_fit(name, tmp_path):
    """Within five Monte Carlo errors of the maximum, beside a hundredth of a standard error."""
    fit = saem.fit(fitted(name).model, table(name), seed=2)
    fit.save(tmp_path)
    target = saem.Target(mcse=0.02)
    again = saem.load(tmp_path).resume(target)
    np.testing.assert_array_equal(again.values, fit.resume(target).values)
    exact = fitted(name).estimates
    scale = np.hypot(again.estimates["mcse"], 0.01 * exact["se"])
    assert again.converged and ((again.estimates["estimate"] - exact["estimate"]).abs() / scale).max() < 5.0


@every
def test_the_program_has_all_of_it(name, tmp_path):
    model, data = tmp_path / "model.toml", tmp_path / "data.csv"
    model.write_text(TEXTS[name])
    table(name).to_csv(data, index=False)
    invoke("check", model, data)
    invoke("fit", model, data, "--method", "ml", "--output", tmp_path / "fit")
    invoke("diagnose", tmp_path / "fit", "--draws", 100, "--workers", 1, "--output", tmp_path / "found")
    effects = pd.read_csv(tmp_path / "found" / "random_effects.csv")
    assert len(effects) == len(saem.random_effects(fitted(name)).table)
    assert (tmp_path / "found" / "random_effects.png").stat().st_size > 0
    invoke("predict", tmp_path / "fit", data, "--output", tmp_path / "predicted.csv")
    assert pd.read_csv(tmp_path / "predicted.csv")["predicted"].notna().all()
    pd.concat([table(name).assign(half=half) for half in "ab"]).to_csv(data, index=False)
    invoke("fit", model, data, "--method", "ml", "--by", "half", "--output", tmp_path / "each")
    logliks = pd.read_csv(tmp_path / "each" / "fits.csv")["loglik"]
    np.testing.assert_allclose(logliks, fitted(name).loglik, rtol=1e-6)


# Occasions


def test_random_effects_of_occasions_have_the_names_of_occasions():
    found, fit = saem.random_effects(fitted("occasions")), fitted("occasions")
    assert found.table.index.names == ["id", "visit", "term"]
    assert len(found.table) == 12 + 20  # what a cluster lacks is not there
    assert found.table["mean"].loc[("s0", "v0", "A[visit]")] == found.mean[0, fit.term_names.index("A[2]")]
    assert found.table["mean"].loc[("s0", "v1", "A[visit]")] == found.mean[0, fit.term_names.index("A[1]")]
    own = found.table.xs("A", level="term")
    assert own.index.get_level_values("visit").isna().all()
    np.testing.assert_array_equal(own["mean"], found.mean[:, fit.term_names.index("A")])
    assert set(found.shrinkage.columns) == {"A", "A[visit]"} and found.shrinkage.notna().all(axis=None)
    assert plot_random_effects(fit, term="A[visit]").get_xlabel() == "random effect: A[visit]"
    plot_effect_quantiles(found, term="A[visit]")
    with pytest.raises(ModelError, match=r"no random-effect term 'A\[1\]'"):
        plot_random_effects(fit, term="A[1]")


def test_individual_parameters_are_those_of_occasions():
    """The lognormal has its moments in closed form."""
    fit, law = fitted("occasions"), saem.random_effects(fitted("occasions"))
    found = saem.individual_parameters(fit, level=0.9)
    assert found.index.names == ["id", "visit", "parameter"]
    assert len(found) == 20
    at = fit.estimates["estimate"]
    j, k = fit.term_names.index("A"), fit.term_names.index("A[2]")  # s0 had v1 first, v0 then
    mean = np.log(at["b0"]) + law.mean[0, j] + law.mean[0, k]
    cov = law.covariance[0]
    variance = cov[j, j] + cov[k, k] + 2.0 * cov[j, k]
    row = found.loc[("s0", "v0", "A")]
    assert row["mean"] == pytest.approx(np.exp(mean + variance / 2.0))
    assert row["sd"] == pytest.approx(np.exp(mean + variance / 2.0) * np.sqrt(np.expm1(variance)))
    assert row["upper"] == pytest.approx(np.exp(mean + norm.ppf(0.95) * np.sqrt(variance)))
    assert row["mode"] == pytest.approx(at["b0"] * np.exp(fit.random_effects[0, j] + fit.random_effects[0, k]))


def test_individual_parameters_of_a_posterior_are_those_of_its_draws():
    posterior = saem.fit(
        fitted("occasions").model, table("occasions"), saem.Bayes(chains=2, tune=200, draws=200), seed=1
    )
    found, exact = saem.individual_parameters(posterior), saem.individual_parameters(fitted("occasions"))
    assert list(found.columns) == ["mean", "sd", "lower", "upper"]
    assert found.index.equals(exact.index)
    assert ((found["mean"] - exact["mean"]).abs() / exact["sd"]).max() < 1.0
    assert saem.random_effects(posterior).table.index.equals(saem.random_effects(fitted("occasions")).table.index)
    dims = posterior.to_arviz().posterior["A"]
    assert dims.dims == ("chain", "draw", "occasion")
    assert list(dims["occasion"].values[:2]) == ["s0, v1", "s0, v0"]


def test_models_without_individual_parameters_name_what_they_have():
    with pytest.raises(ModelError, match=r"see saem\.random_effects"):
        saem.individual_parameters(fitted("crossed"))


# Several factors


def test_random_effects_of_factors_are_listed_by_level():
    """Alike for linear and generalised linear models."""
    found = saem.random_effects(fitted("crossed_glmm"))
    assert found.table.index.names == saem.random_effects(fitted("crossed")).table.index.names
    assert len(found.table) == 14 + 21
    assert found.table["mean"].loc[("pen", "1 : 1", "intercept")] in found.mean[1]
    assert set(found.shrinkage.columns) == {"intercept"}


def test_a_new_level_beside_known_ones_has_the_law_of_its_factor():
    """In closed form: all is lognormal, where the effects of the herd are normal given the data."""
    fit, law = fitted("crossed_glmm"), saem.random_effects(fitted("crossed_glmm"))
    at, x = fit.estimates["estimate"], 0.5
    found = saem.predict(fit, pd.DataFrame({"herd": [3], "pen": [99], "x": [x]}))
    mean = at["b0"] + at["b1"] * x + law.mean[3, 0]
    variance = law.covariance[3, 0, 0]
    expected = np.exp(mean + (variance + at["sd_pen"] ** 2) / 2.0)
    assert found["predicted"][0] == pytest.approx(expected, rel=1e-3)
    assert found["se"][0] > expected * np.sqrt(np.expm1(variance)) * 0.99  # and the errors of the estimates
    assert found["se"][0] < expected * np.sqrt(np.expm1(variance + at["sd_pen"] ** 2))


def test_identifiability_is_examined_where_a_correlation_is_one():
    model, rows = Model.from_text(crossed_family.CROSSED), crossed_family.table()
    assert saem.fit(model, rows, "ml").at_boundary == ("corr_b_intercept_x",)
    assert saem.identifiability(model, rows, starts=0).locally_identified


def test_scores_of_models_without_expectations_are_drawn():
    found = saem.fisher_information(fitted("occasions"), "sandwich")
    assert found.draws == 20_000
    assert np.isfinite(np.diag(found.covariance)).all()


def test_curves_of_single_clusters_are_refused_where_rows_are_of_several():
    with pytest.raises(ModelError, match=r"of no single cluster.*saem\.predict"):
        plot_individual(fitted("crossed_glmm"), "x")
