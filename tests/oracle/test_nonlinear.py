"""Nonlinear models from model file to estimate, against other families, known maxima and each other.

The compiled core is held to more in `test_nonlinear_kernels` and `test_nonlinear_complete`; here is what a user does.
"""

from __future__ import annotations

import json
from pathlib import Path

import nonlinear_family
import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from selecting import few

import saem
from saem import recipes

SHARED = Path(__file__).parents[3] / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="the reference results, ../shared/data, are not here")
KNOWN = 1.4  # the logarithm of a mean clearance, which the data alone would put at 1.1


def close(fit: saem.Fit, values: list[float], digits: float) -> None:
    """To so many digits, or a thousandth of a standard error; there is none of what is at its bound."""
    allowed = np.maximum(10.0**-digits * np.abs(values), 1e-3 * np.nan_to_num(fit.se))
    assert np.all(np.abs(fit.values - values) <= allowed)


# Other families, written as models of this one


@pytest.fixture(scope="module")
def growth() -> pd.DataFrame:
    rng = np.random.default_rng(21)
    table = pd.DataFrame({"id": np.repeat(np.arange(14), 5), "t": np.tile(np.arange(5.0), 14)})
    own = rng.standard_normal((14, 2)) @ np.array([[1.0, 0.2], [0.0, 0.4]])
    i = table["id"].to_numpy()
    return table.assign(y=5.0 + own[i, 0] + (1.0 + own[i, 1]) * table["t"] + 0.6 * rng.standard_normal(70))


LINES = saem.Model(
    family="nonlinear",
    response="y",
    cluster="id",
    columns=["t"],
    individual={"a": "normal(a_pop, s_a)", "b": "normal(b_pop, s_b)"},
    random={"correlated": [["a", "b"]]},
    outcome={"distribution": "normal", "mean": "a + b * t", "sd": "sigma"},
)


@pytest.fixture(scope="module")
def lines(growth: pd.DataFrame) -> saem.Fit:
    return saem.fit(LINES, growth, "ml")


@pytest.fixture(scope="module")
def closed(growth: pd.DataFrame) -> pd.DataFrame:
    model = saem.Model(cluster="id", mean="y ~ t", random={"terms": {"a": "1", "b": "t"}, "covariance": "full"})
    fit = saem.fit(model, growth, "ml")
    names = {"intercept": "a_pop", "t": "b_pop", "sd_a": "s_a", "sd_b": "s_b", "corr_a_b": "corr_a_b", "sigma": "sigma"}
    assert set(names) == set(fit.estimates.index)
    return fit.estimates.rename(index=names).assign(loglik=fit.loglik)


def test_a_linear_model_has_the_likelihood_of_the_linear_family(lines: saem.Fit, closed: pd.DataFrame) -> None:
    """The integrand is normal, so that any number of nodes is exact."""
    known = closed.loc[list(lines.estimates.index)]
    assert lines.converged and lines.loglik == pytest.approx(known["loglik"].iloc[0], abs=1e-6)
    np.testing.assert_allclose(lines.values, known["estimate"], rtol=1e-5)
    np.testing.assert_allclose(lines.se, known["se"], rtol=1e-5)


def test_saem_is_at_the_maximum_of_the_linear_family(growth: pd.DataFrame, closed: pd.DataFrame) -> None:
    """Six estimates within 4 of their Monte Carlo errors (false alarm 4e-4); mutant: 4 of their errors further off."""
    fit = saem.fit(LINES, growth, "saem", seed=2)
    known = closed.loc[list(fit.estimates.index), "estimate"]
    assert fit.converged and np.all(np.abs(fit.values - known) < 4.0 * fit.mcse)
    assert np.all(fit.mcse < 0.1 * fit.se)


def test_a_poisson_model_has_the_likelihood_of_the_glmm_family() -> None:
    """With spreads by group, one of which is zero at the maximum, and equal means."""
    example = nonlinear_family.counts(tie=nonlinear_family.TIE)
    fit = saem.fit(example.model, example.table, "ml")
    glmm = saem.Model(
        family="glmm",
        response="y",
        cluster="id",
        predictor={"m_control": "group == 'control'", "m_ill": "group == 'ill'", "beta": "x"},
        outcome={"distribution": "poisson"},
        random={"by": "group", "sd": {"control": "omega_control", "ill": "omega_ill"}},
        constraints={"tie": nonlinear_family.TIE},
    )
    known = saem.fit(glmm, example.table, "ml")
    assert fit.loglik == pytest.approx(known.loglik, abs=1e-5)
    close(fit, list(known.estimates.loc[list(fit.estimates.index), "estimate"]), 5)
    np.testing.assert_allclose(fit.se, known.estimates.loc[list(fit.estimates.index), "se"], rtol=1e-3)


def test_a_bernoulli_model_has_the_likelihood_of_the_glmm_family() -> None:
    rng = np.random.default_rng(22)
    table = pd.DataFrame({"id": np.repeat(np.arange(40), 6), "x": np.tile(np.linspace(0.0, 2.0, 6), 40)})
    table["y"] = rng.binomial(1, expit(-1.0 + table["x"] + 1.2 * rng.standard_normal(40)[table["id"]]))
    glmm = saem.Model(family="glmm", cluster="id", predictor="y ~ x", outcome={"distribution": "bernoulli"})
    known = saem.fit(glmm, table, "ml")
    model = saem.Model(
        family="nonlinear",
        response="y",
        cluster="id",
        columns=["x"],
        individual={"u": "normal(m, s)"},
        outcome={"distribution": "bernoulli", "probability": "expit(u + b * x)"},
    )
    fit = saem.fit(model, table, "ml")
    assert fit.loglik == pytest.approx(known.loglik, abs=1e-4)
    names = {"m": "intercept", "s": "sd_intercept", "b": "x"}
    close(fit, [known.estimates.loc[names[name], "estimate"] for name in fit.estimates.index], 4)
    by_formula = model.replace(
        columns=[], individual={"u": "normal(0, s)"}, linear={"eta": "~ x"}, outcome={
            "distribution": "bernoulli", "probability": "expit(eta + u)"
        },
    )  # fmt: skip
    assert saem.fit(by_formula, table, "ml").loglik == pytest.approx(known.loglik, abs=1e-4)


# Known maxima


@needs_shared
def test_booth_and_hobert() -> None:
    model = saem.Model(
        family="nonlinear",
        response="y",
        cluster="cluster",
        columns=["x"],
        individual={"u": "normal(0, sigma)"},
        outcome={"distribution": "bernoulli", "probability": "expit(beta * x + u)"},
    )
    fit = saem.fit(model, pd.read_csv(SHARED / "booth_hobert.csv"), "ml")
    at = fit.estimates["estimate"]
    assert [at["beta"], at["sigma"] ** 2] == pytest.approx([6.132163, 1.766461], rel=1e-4)
    assert fit.loglik == pytest.approx(-44.05626, abs=1e-4)


def theophylline(clearance: str) -> saem.Model:
    """The model of the recipe, with another clearance and without its [start] of the effect of weight."""
    recipe = saem.Model.from_text(recipes.text("theophylline"))
    columns = [name for name in recipe.columns if name != "Weight" or name in clearance]
    return recipe.replace(individual={**recipe.individual, "CL": f"lognormal({clearance}, omega_CL)"}, columns=columns)


def known(name: str) -> dict:
    return json.loads((SHARED / "reference_nonlinear.json").read_text())[name]


@needs_shared
@pytest.mark.parametrize(
    ("name", "clearance"),
    [("theo_base", "CL_pop"), ("theo_wtCL_const_diag", "CL_pop * exp(beta * Weight)")],
)
def test_theophylline(name: str, clearance: str) -> None:
    """The log-likelihood to a thousandth, and four digits of the estimates."""
    table, reference = pd.read_csv(SHARED / "saemix" / "theo.csv"), known(name)
    fit = saem.fit(theophylline(clearance), table, "ml")
    exact = reference["exact_mle"]
    sds = dict(zip(("omega_ka", "omega_V", "omega_CL"), np.sqrt(np.diag(exact["omega"])), strict=True))
    values = {"ka_pop": exact["ka"], "V_pop": exact["V"], "CL_pop": exact["CL"], "a": exact["a"], **sds}
    values["beta"] = exact["beta_Weight_CL"]
    assert fit.loglik == pytest.approx(reference["exact_loglik"], abs=1e-3)
    close(fit, [values[name] for name in fit.estimates.index], 4)


@needs_shared
def test_oxboys() -> None:
    """A log-normal and a normal parameter, correlated."""
    model = saem.Model(
        family="nonlinear",
        response="height",
        cluster="Subject",
        columns=["age"],
        individual={"base": "lognormal(base_pop, s_base)", "slope": "normal(slope_pop, s_slope)"},
        random={"correlated": [["base", "slope"]]},
        outcome={"distribution": "normal", "mean": "base + slope * age", "sd": "a"},
    )
    fit, reference = saem.fit(model, pd.read_csv(SHARED / "saemix" / "oxboys.csv"), "ml"), known("oxboys")
    exact, omega = reference["exact_mle"], np.array(reference["exact_mle"]["omega"])
    sds = np.sqrt(np.diag(omega))
    values = {"base_pop": exact["base"], "slope_pop": exact["slope"], "a": exact["a"]}
    values |= {"s_base": sds[0], "s_slope": sds[1], "corr_base_slope": omega[0, 1] / sds.prod()}
    assert fit.loglik == pytest.approx(reference["exact_loglik"], abs=1e-3)
    close(fit, [values[name] for name in fit.estimates.index], 4)


# Means tied to variances, and parameters of every kind


@pytest.mark.parametrize("method", few(["saem", "mcem"], ["saem"]))
def test_a_known_mean_holds_and_moves_all(method: str) -> None:
    """SAEM and direct maximum likelihood agree within 4.5 Monte Carlo errors; ignoring the tie leads elsewhere."""
    example = nonlinear_family.absorption()
    tied = example.model.replace(constraints={"known": f"log(CL_pop) + omega_CL**2 / 2 == {KNOWN}"})
    ml, fit = saem.fit(tied, example.table, "ml"), saem.fit(tied, example.table, method, seed=1)
    free = saem.fit(example.model, example.table, "ml")
    assert ml.converged and fit.converged
    at = fit.estimates["estimate"]
    assert np.log(at["CL_pop"]) + at["omega_CL"] ** 2 / 2 == pytest.approx(KNOWN, abs=1e-9)
    inside = ml.values < 0.9999  # a correlation at one has no Monte Carlo error
    away = np.abs(fit.values - ml.values) > 4.5 * fit.mcse
    assert not np.any(away & (inside | (ml.values > 1.0001)))
    assert abs(ml.loglik - fit.loglik) < 0.02 and free.loglik - ml.loglik > 0.5
    index = list(fit.estimates.index)
    moved = np.abs(fit.values - free.values) / fit.se
    assert moved[index.index("omega_CL")] > 0.5


@pytest.mark.parametrize("name", ["saturation", "trial", "curve"])
def test_saem_is_at_the_maximum(name: str) -> None:
    """Parameters without random effects, a covariate that varies, no random effects at all; within 4.5 errors."""
    example = nonlinear_family.EXAMPLES[name]()
    ml = saem.fit(example.model, example.table, "ml")
    fit = saem.fit(example.model, example.table, "saem", seed=3)
    assert ml.converged and fit.status in ("converged", "boundary")
    assert np.all(np.abs(fit.values - ml.values) <= 4.5 * fit.mcse + 1e-6 * np.abs(ml.values))
    assert abs(ml.loglik - fit.loglik) < 0.02
