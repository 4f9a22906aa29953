"""Restricted likelihoods of models with the same means, and REML under constraints among standard deviations."""

from __future__ import annotations

from functools import cache
from typing import Any

import naive
import numpy as np
import pandas as pd
import pytest
from designs import random_case
from scipy.optimize import minimize
from test_reference_lmm import table_of

import saem
from saem import Model

TERMS = {"i": "1", "d": "Days"}


@cache
def fitted(mean: Any = "Reaction ~ Days", method: str = "reml", diagonal: bool = False, **changes: Any) -> saem.Fit:
    random = {"terms": TERMS, "covariance": "diagonal" if diagonal else "full"}
    parts = {"random": random, "mean": dict(mean) if isinstance(mean, tuple) else mean}
    parts |= {key: dict(value) for key, value in changes.items()}
    return saem.fit(Model(response="Reaction", cluster="Subject", **parts), table_of("sleepstudy"), method)


CENTRED = (("a", "1"), ("b", "2 * Days - 9"))
LEVELS = (("early", "Days < 5"), ("late", "Days >= 5"))
CONTRAST = (("one", "1"), ("late", "Days >= 5"))


def test_anova_of_lme4() -> None:
    """anova(.., refit = FALSE) of lme4 1.1-31: chi-square .041 on 1, p .8395; with (1 | Subject) 42.837 on 2."""
    found = saem.likelihood_ratio(fitted(diagonal=True), fitted())
    assert found.statistic == pytest.approx(0.0410, abs=5e-5) and found.df == 1
    assert found.p == pytest.approx(0.8395, abs=5e-5)
    table = saem.compare_models({"full": fitted(), "diagonal": fitted(diagonal=True)})
    assert list(table.index) == ["diagonal", "full"]
    np.testing.assert_allclose(table["aic"], [1753.7, 1755.6], atol=0.05)
    np.testing.assert_allclose(table["bic"], [1769.6, 1774.8], atol=0.05)
    one = saem.fit(
        Model(response="Reaction", cluster="Subject", mean="Reaction ~ Days", random={"terms": {"i": "1"}}),
        table_of("sleepstudy"),
        "reml",
    )
    found = saem.likelihood_ratio(one, fitted())
    assert found.statistic == pytest.approx(42.837, abs=5e-4) and found.weights == {1: 0.5, 2: 0.5}


def test_the_coding_of_the_means_is_no_matter() -> None:
    """The same line as a + b (2 Days - 9): another restricted likelihood by log 2, and the same test."""
    other = fitted(CENTRED, diagonal=True)
    assert other.loglik - fitted(diagonal=True).loglik == pytest.approx(-np.log(2.0), abs=1e-6)
    same, recoded = (saem.likelihood_ratio(small, fitted()) for small in (fitted(diagonal=True), other))
    assert recoded.statistic == pytest.approx(same.statistic, abs=1e-6) and recoded.df == same.df
    table = saem.compare_models({"full": fitted(), "recoded": other, "diagonal": fitted(diagonal=True)})
    assert table.loc["recoded", "aic"] == pytest.approx(table.loc["diagonal", "aic"], abs=1e-6)
    assert table.loc["diagonal", "loglik"] == fitted(diagonal=True).loglik
    assert saem.likelihood_ratio(fitted(LEVELS, diagonal=True), fitted(CONTRAST)).statistic >= 0.0


def test_different_means_are_refused() -> None:
    sizes = [fitted("Reaction ~ 1", diagonal=True), fitted((("a", "1"), ("b", "Days ** 2")), diagonal=True)]
    for other in sizes:  # fewer columns; as many others
        with pytest.raises(saem.SaemError, match=r"have different means .*fit both by 'ml'"):
            saem.likelihood_ratio(other, fitted())
        with pytest.raises(saem.SaemError, match="the models 'a' and 'b' have different means"):
            saem.compare_models({"a": fitted(), "b": other})
    with pytest.raises(saem.SaemError, match=r"is a fit by 'reml', .* by 'ml'"):
        saem.likelihood_ratio(fitted(method="ml", diagonal=True), fitted())
    with pytest.raises(saem.SaemError, match="b is a fit by 'reml', a by 'ml'"):
        saem.compare_models({"a": fitted(method="ml"), "b": fitted()})
    at_250 = fitted(diagonal=True, fixed=(("intercept", 250.0),))
    with pytest.raises(saem.SaemError, match="have different means"):
        saem.likelihood_ratio(at_250, fitted())
    with pytest.raises(saem.SaemError, match="fix means at different values"):
        saem.likelihood_ratio(at_250, fitted(fixed=(("intercept", 240.0),)))
    assert saem.likelihood_ratio(at_250, fitted(fixed=(("intercept", 250.0),))).df == 1


def test_means_fixed_at_values_that_free_ones_make_up_for() -> None:
    """0.5 (1 + Days) is in the span of 1 and Days: the error contrasts are the same."""
    extra = (("a", "1"), ("b", "Days"), ("c", "1 + Days"))
    found = saem.likelihood_ratio(fitted(extra, diagonal=True, fixed=(("c", 0.5),)), fitted())
    assert found.statistic == pytest.approx(saem.likelihood_ratio(fitted(diagonal=True), fitted()).statistic, abs=1e-6)


def test_constraints_among_sds() -> None:
    """A tie is a shared name; any other equation is beside a dense optimiser of the restricted likelihood."""
    case = random_case(5, terms=2, kinds=2, n_clusters=40)
    names = case.dense.names
    kinds = {"mean": 1.0, "sd": 0.9}
    case = case.simulated(np.array([kinds[case.kinds[name]] for name in names]), names, np.random.default_rng(2))
    model = Model(**case.model)
    sds = [name for name in names if case.kinds[name] == "sd"]
    tied = saem.fit(model.replace(constraints={"e": f"{sds[-1]} == {sds[-2]}"}), case.table, "reml")
    shared = {"by": "kind", "sd": {"k0": sds[-2], "k1": sds[-2]}}
    one = saem.fit(model.replace(residual=shared), case.table, "reml")
    assert tied.loglik == pytest.approx(one.loglik, abs=1e-8) and tied.n_free == one.n_free
    np.testing.assert_allclose([tied.values[i] for i in range(len(names) - 1)], one.values, rtol=1e-5)
    np.testing.assert_allclose(tied.se[: len(names) - 1], one.se, rtol=1e-5)

    fit = saem.fit(model.replace(constraints={"sum": f"{sds[0]}**2 + {sds[2]}**2 == 2.2"}), case.table, "reml")
    dense = case.dense.with_names(fit.parameters.names)
    at = [fit.parameters.index(name) for name in sds]

    def objective(free: np.ndarray) -> float:
        x = fit.values.copy()
        x[at[:2]], x[at[3]] = np.exp(free[:2]), np.exp(free[2])
        x[at[2]] = np.sqrt(max(2.2 - x[at[0]] ** 2, 1e-8))
        x[dense.mean_at] = gls(dense, x)
        return -float(naive.restricted(dense, x))

    best = minimize(objective, np.log(fit.values[[at[0], at[1], at[3]]] * 1.1), method="Nelder-Mead", tol=1e-10)
    assert fit.status == "converged" and fit.loglik == pytest.approx(-best.fun, abs=1e-7)
    assert np.abs(fit.constraint_residuals).max() < 1e-10
    by_ml = saem.fit(fit.model, case.table, "ml")  # mutant: the other likelihood
    assert naive.restricted(dense, by_ml.values) < fit.loglik - 1e-3


def gls(dense: naive.Dense, x: np.ndarray) -> np.ndarray:
    left, right = 0.0, 0.0
    for _, rows, v in naive.marginal_blocks(dense, x):
        design = dense.mean_design[rows]
        left = left + np.einsum("cra,crb->ab", design, np.linalg.solve(v, design))
        right = right + np.einsum("cra,cr->a", design, np.linalg.solve(v, dense.response[rows][:, :, None])[:, :, 0])
    return np.linalg.solve(left, right)


def test_constraints_on_means_are_refused() -> None:
    with pytest.raises(saem.SaemError, match=r"no constraint may involve a mean; 'e' \(Days == sd_i\) involves 'Days'"):
        fitted(constraints=(("e", "Days == sd_i"),))


@pytest.mark.slow
def test_the_test_has_its_level() -> None:
    """REML test of equal residual SDs of two groups, true, 200 sets at 5 %: within 4 errors of it, 6.2.

    False alarms 6e-5. The mutant compares likelihoods of means in different codings, off by log 8: it rejects always.
    """
    rng = np.random.default_rng(3)
    rows = pd.DataFrame({"id": np.repeat(np.arange(12), 4), "kind": np.tile(["p", "q"], 24)})
    rows["x"] = rng.normal(size=len(rows))
    two = Model(response="y", cluster="id", mean={"a": "1", "b": "x"}, residual={"by": "kind"})
    one = two.replace(residual={}, mean={"a": "1", "b": "8 * x"})
    found, off = [], []
    for _ in range(200):
        rows["y"] = rng.normal(size=12)[rows["id"]] + 0.6 * rng.normal(size=len(rows))
        small, large = saem.fit(one, rows, "reml"), saem.fit(two.replace(constraints={}), rows, "reml")
        tied = saem.fit(two.replace(constraints={"e": "sigma_p == sigma_q"}), rows, "reml")
        found.append(saem.likelihood_ratio(tied, large).p < 0.05)
        off.append(2.0 * (large.loglik - small.loglik) > 3.841)
    assert abs(np.mean(found) - 0.05) < 0.062
    assert np.mean(off) > 0.9
