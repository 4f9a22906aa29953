"""Prior weights: all that reads rows, beside dense matrices in which the residual variance of a row is sigma^2 / w.

The likelihoods, their derivatives, single clusters and the posterior are in ``test_likelihood.py``,
``test_log_likelihood.py``, ``test_families.py`` and ``test_posterior.py``, whose cases have weights among them.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import naive
import numpy as np
import pandas as pd
import pytest
from designs import random_case
from test_reference_lmm import table_of

import saem
from saem import Model

SIMPLE = {"terms": 2, "kinds": 2, "covariance": "full", "n_clusters": 30}


@cache
def case() -> Any:
    return random_case(77, **SIMPLE, weights=True)


@cache
def fitted(method: str) -> saem.Fit:
    return saem.fit(Model(**case().model), case().table, method)


def dense(fit: saem.Fit) -> naive.Dense:
    return case().dense.with_names(fit.parameters.names)


# nlme 3.1-162, lme(.., weights = varFixed(~ I(1 / w))); lmer(.., weights = w) has the same log-likelihoods to 3e-8
NLME = [
    ("ml", -880.9484635676, [28.131209, 6.329944, -0.179, 41.260614]),
    ("reml", -876.6208460157, [29.200523, 6.546199, -0.188, 41.260614]),
]


def test_lme4_and_nlme() -> None:
    """sleepstudy with weights 1, 2, .., 5, 1, ..; the mutant without the constant is 1/2 sum log w = 86.2 too low."""
    table = table_of("sleepstudy").assign(w=np.resize(np.arange(1.0, 6.0), 180))
    model = Model(
        cluster="Subject", mean="Reaction ~ Days", random={"terms": {"i": "1", "d": "Days"}}, residual={"weights": "w"}
    )
    for method, loglik, sds in NLME:
        fit = saem.fit(model, table, method)
        assert fit.loglik == pytest.approx(loglik, abs=1e-6)
        np.testing.assert_allclose(fit.values[2:], sds, rtol=1e-5, atol=1e-3)
        assert fit.loglik - 0.5 * np.log(table["w"]).sum() < loglik - 80.0


@pytest.mark.parametrize("method", ["ml", "reml"])
def test_the_estimate_is_the_maximum_of_the_dense_likelihood(method: str) -> None:
    """No slope is left, in units of standard errors; of the likelihood without weights one is."""
    fit, twin = fitted(method), dense(fitted(method))
    likelihood = {"ml": naive.marginal, "reml": naive.restricted}[method]
    assert fit.loglik == pytest.approx(likelihood(twin, fit.values), rel=1e-10)
    slopes = [
        np.abs(naive.gradient(lambda v, of=of: likelihood(of, v), fit.values) * fit.se).max()
        for of in (twin, replace(twin, weights=1.0))
    ]
    assert slopes[0] < 1e-4 < 0.1 < slopes[1]


@pytest.mark.parametrize("method", ["em", "saem"])
def test_other_algorithms_find_it(method: str) -> None:
    fit, best = fitted(method), fitted("ml")
    assert fit.converged and fit.loglik == pytest.approx(best.loglik, abs=1e-2 if method == "saem" else 1e-6)


def test_random_effects() -> None:
    fit = fitted("ml")
    mean, variance = naive.conditional(dense(fit), fit.values)
    np.testing.assert_allclose(fit.random_effects, mean, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(fit.random_effect_sds, np.sqrt(np.einsum("cjj->cj", variance)), rtol=1e-8)
    unweighted = naive.conditional(replace(dense(fit), weights=1.0), fit.values)[0]
    assert np.abs(unweighted - mean).max() > 0.01


def test_residuals() -> None:
    fit, twin = fitted("ml"), dense(fitted("ml"))
    found = saem.residuals(fit)
    marginal = naive.deviations(twin, fit.values)
    np.testing.assert_allclose(found["marginal"], marginal, atol=1e-10)
    np.testing.assert_allclose(
        found["standardised"] * np.sqrt(naive.row_variances(twin, fit.values)), found["conditional"]
    )
    for _, rows, v in naive.marginal_blocks(twin, fit.values):
        for own, covariance in zip(rows, v, strict=True):
            independent = np.linalg.solve(np.linalg.cholesky(covariance), marginal[own])
            np.testing.assert_allclose(found["normalised"].to_numpy()[own], independent, atol=1e-8)


def test_prediction() -> None:
    """Of the rows of the fit, and of rows with other weights, whose observations spread by these."""
    fit, table = fitted("ml"), case().table
    twin = dense(fit)
    mean, variance = naive.conditional(twin, fit.values)
    z = twin.random_design
    found = saem.predict(fit)
    expected = twin.mean_design @ fit.values[twin.mean_at] + np.sum(z * mean[twin.cluster], axis=1)
    np.testing.assert_allclose(found["predicted"], expected, atol=1e-8)
    assert (found["se"] ** 2 >= np.einsum("ri,rij,rj->r", z, variance[twin.cluster], z) - 1e-12).all()
    other = saem.predict(fit, table.assign(w=4.0 * table["w"]))
    np.testing.assert_allclose(other["se"], found["se"])
    half = 1.959963984540054
    spread = [((each["upper"] - each["lower"]) / (2.0 * half)) ** 2 - each["se"] ** 2 for each in (found, other)]
    np.testing.assert_allclose(spread[0], naive.row_variances(twin, fit.values), rtol=1e-8)
    np.testing.assert_allclose(spread[1], naive.row_variances(twin, fit.values) / 4.0, rtol=1e-8)
    with pytest.raises(saem.SaemError, match=r"needs? .*'w'"):
        saem.predict(fit, table.drop(columns="w"))
    with pytest.raises(saem.SaemError, match="the weights 'w' must be positive; got 0 in data row 1"):
        saem.predict(fit, table.assign(w=0.0))


def test_prediction_errors_have_their_level() -> None:
    """Draws at the estimate have the variances of the data: npde are standard normal within 4 errors, 0.25 each.

    False alarms below 2e-4 (two statistics of 105 rows); the fitted mean makes them rarer.
    """
    fit = fitted("reml")
    errors = saem.npde(fit, draws=400, seed=1).table["npde"]
    n = len(errors)
    assert abs(errors.mean()) < 4.0 / np.sqrt(n) and abs(errors.var() - 1.0) < 4.0 * np.sqrt(2.0 / n)


def test_leaving_out_a_cluster_is_a_fit_without_its_rows() -> None:
    fit, table = fitted("ml"), case().table
    found = saem.influence(fit)
    for subject in ("s3", "s7"):
        left = saem.fit(Model(**case().model), table[table["subject"] != subject], "ml")
        at = found.estimates.index.get_level_values("subject") == subject
        np.testing.assert_allclose(found.estimates[at].to_numpy()[0], left.values, rtol=1e-5, atol=1e-6)


def test_simulated_rows_have_their_variance() -> None:
    """Residual variances 4 / w of three weights, 4000 rows each: within 5 errors; false alarms 2e-6."""
    rows = pd.DataFrame({"id": np.repeat(np.arange(2000), 6), "w": np.tile([0.25, 1.0, 9.0, 9.0, 1.0, 0.25], 2000)})
    model = Model(response="y", cluster="id", mean={"mu": "1"}, residual={"weights": "w"})
    drawn = saem.simulate(model, {"mu": 1.0, "sd_intercept": 0.0, "sigma": 2.0}, rows, 3)
    for weight, of_weight in drawn.groupby("w"):
        assert abs(of_weight["y"].var() * weight / 4.0 - 1.0) < 5.0 * np.sqrt(2.0 / 4000)


def test_weights_of_one_and_weights_in_another_unit() -> None:
    """One everywhere is no weight; times 100 they only multiply sigma by 10, at the same log-likelihood."""
    table, model = case().table, Model(**case().model)
    plain = model.replace(residual={"by": "kind", "sd": {"k0": "sigma_k0", "k1": "sigma_k1"}})
    ones, none = saem.fit(model, table.assign(w=1), "ml"), saem.fit(plain, table, "ml")
    np.testing.assert_array_equal(ones.values, none.values)
    assert ones.loglik == none.loglik and model.digest != plain.digest
    fit, large = fitted("ml"), saem.fit(model, table.assign(w=100.0 * table["w"]), "ml")
    assert large.loglik == pytest.approx(fit.loglik, abs=1e-6)
    ratio = np.array([10.0 if name.startswith("sigma") else 1.0 for name in fit.parameters.names])
    np.testing.assert_allclose(large.values, fit.values * ratio, rtol=1e-4, atol=1e-5)


def test_models_with_other_weights_are_not_nested_but_can_be_compared() -> None:
    table = case().table.assign(v=1.0)
    model = Model(**case().model)
    sds = {"k0": "sigma_k0", "k1": "sigma_k0"}
    small, other = (
        saem.fit(model.replace(residual={"by": "kind", "sd": sds, "weights": name}), table, "ml") for name in ("w", "v")
    )
    large = saem.fit(model, table, "ml")
    assert saem.likelihood_ratio(small, large).df == 1
    with pytest.raises(saem.SaemError, match="different prior weights"):
        saem.likelihood_ratio(other, large)
    rows = saem.compare_models({"w": small, "v": other})
    assert rows.loc["w", "loglik"] == small.loglik and rows.loc["v", "loglik"] == other.loglik


def test_bootstrap_draws_by_weight(tmp_path: Any) -> None:
    """Replicates are fitted with their weights: their mean sigma is that of the fit, not that without weights."""
    rng = np.random.default_rng(4)
    rows = pd.DataFrame({"id": np.repeat(np.arange(25), 6), "w": rng.choice([0.05, 20.0], 150)})
    model = Model(response="y", cluster="id", mean={"mu": "1"}, residual={"weights": "w"})
    table = saem.simulate(model, {"mu": 1.0, "sd_intercept": 1.0, "sigma": 1.0}, rows, 3)
    fit = saem.fit(model, table, "ml")
    found = saem.bootstrap(fit, 20, workers=1)
    drawn = found.estimates["sigma"]
    assert abs(drawn.mean() / fit.values[-1] - 1.0) < 0.15
    assert saem.fit(model.replace(residual={}), table, "ml").values[-1] > 1.5 * fit.values[-1]


def test_saved_and_by_level(tmp_path: Any) -> None:
    fit = fitted("ml")
    fit.save(tmp_path / "fit")
    loaded = saem.load(tmp_path / "fit")
    assert loaded.model == fit.model and "w" in loaded.table
    pd.testing.assert_frame_equal(saem.residuals(loaded), saem.residuals(fit))
    twice = pd.concat(
        [case().table.assign(site=site, w=case().table["w"] * factor) for site, factor in (("a", 1), ("b", 4))]
    )
    from saem.batch import fit_by

    logliks = fit_by(Model(**case().model), twice, ["site"], ["ml"], workers=1).fits["loglik"]
    np.testing.assert_allclose(logliks, fit.loglik, atol=1e-5)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (0.0, r"must be positive; got 0 in data row 4"),
        (-2.0, r"must be positive; got -2 in data row 4"),
        (np.nan, r"missing or infinite values in column 'w': 1 of 60 rows, the first is data row 4"),
        (np.inf, r"missing or infinite values in column 'w': 1 of 60 rows, the first is data row 4"),
        ("many", r"must be positive numbers; got the text 'many' in data row 4"),
        (1e-120, r"must lie between 1e-50 and 1e\+50; got 1e-120 in data row 4"),
    ],
)
def test_impossible_weights_are_refused(weights: object, words: str) -> None:
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"id": np.repeat(np.arange(15), 4), "y": rng.normal(size=60)})
    column = np.full(60, 2.0).astype(object)
    column[3] = weights
    table["w"] = column if isinstance(weights, str) else column.astype(float)
    model = Model(response="y", cluster="id", mean={"mu": "1"}, residual={"weights": "w"})
    with pytest.raises(saem.SaemError, match=words):
        saem.fit(model, table, "ml")


def test_weights_that_are_none() -> None:
    table = pd.DataFrame({"id": [1, 1, 2, 2, 3, 3], "y": [1.0, 2.0, 1.5, 3.0, 1.0, 0.5], "b": [True, False] * 3})
    plain = {"response": "y", "cluster": "id", "mean": {"mu": "1"}}
    with pytest.raises(saem.SaemError, match="'b' must be positive numbers; got true and false"):
        saem.fit(Model(**plain, residual={"weights": "b"}), table, "ml")
    with pytest.raises(saem.SaemError, match="needs column 'nope'"):
        saem.fit(Model(**plain, residual={"weights": "nope"}), table, "ml")
    with pytest.raises(saem.SaemError, match=r"residual.weights must not be the response 'y'"):
        Model(**plain, residual={"weights": "y"})
    with pytest.raises(saem.SaemError, match="weights must be a text in quotes"):
        Model(**plain, residual={"weights": 3})
