"""Tests between nested models and derived quantities, beside nlme, SciPy and simulation."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from linear_family import PEPTIDE, example_table, peptide_design
from scipy.stats import chi2
from test_reference_lmm import FILE, MODELS, fitted, needs_file, table_of

import saem
from saem import Model, recipes

MODEL = Model.from_text(recipes.text("peptide"))
TABLE = example_table(12, 1)


@needs_file
def test_the_ratio_of_two_models_of_orthodont_is_that_of_nlme() -> None:
    """anova() of nlme takes the difference of these log-likelihoods, and of the numbers of parameters."""
    nlme = json.loads(FILE.read_text())["nlme"]
    small, large = nlme["Orthodont_lme_ML"], nlme["Orthodont_lme_ML_sex_hetero"]
    by_us = {"one": fitted("Orthodont", "ml"), "by sex": fitted("Orthodont, by sex", "ml")}
    table = saem.compare_models(by_us)
    for label, theirs in (("one", small), ("by sex", large)):
        assert table.loc[label, "n_free"] == theirs["df"]
        assert table.loc[label, "aic"] == pytest.approx(theirs["AIC"], abs=2e-3)
    assert list(table.index) == ["by sex", "one"] and table["delta_aic"].iloc[0] == 0.0


def test_an_over_identifying_constraint() -> None:
    """Two degrees of freedom for b21 = b22 = 0, by hand."""
    small = saem.fit(MODEL.replace(fixed={"b21": 0.0, "b22": 0.0}), TABLE, "ml")
    large = saem.fit(MODEL, TABLE, "ml")
    found = saem.likelihood_ratio(small, large)
    assert found.df == 2 and found.weights == {2: 1.0}
    assert found.statistic == pytest.approx(2 * (large.loglik - small.loglik))
    assert found.p == pytest.approx(chi2.sf(found.statistic, 2))
    with pytest.raises(saem.SaemError, match="more free parameters"):
        saem.likelihood_ratio(large, large)


def test_a_variance_of_zero_is_a_mixture() -> None:
    small = saem.fit(MODEL.replace(fixed={"sigma1": 0.0}), TABLE, "ml")
    found = saem.likelihood_ratio(small, saem.fit(MODEL, TABLE, "ml"))
    assert found.weights == {0: 0.5, 1: 0.5}
    assert found.p == pytest.approx(0.5 * chi2.sf(found.statistic, 1))


def test_a_random_slope_is_a_mixture_of_one_and_two() -> None:
    """Stram & Lee (1994), case 3: the slope's variance and its covariance with the intercept."""
    whole = MODELS["sleepstudy"]
    small = Model(**(whole | {"random": {"sd": "sd_intercept"}}))
    small_fit = saem.fit(small, table_of("sleepstudy"), "ml")
    assert small_fit.loglik == pytest.approx(-897.0393, abs=1e-3)  # lme4: REML = FALSE, (1 | Subject)
    found = saem.likelihood_ratio(small_fit, fitted("sleepstudy", "ml"))
    assert found.df == 2 and found.weights == {1: 0.5, 2: 0.5}
    assert found.statistic == pytest.approx(42.139, abs=2e-3)  # anova() of lme4: Chisq 42.139, Df 2


@pytest.mark.slow
def test_the_mixture_has_its_level() -> None:
    """In 300 tables with a variance of zero the test at 10 % rejects 10 %, within 4 binomial standard errors: 0.07.

    False alarms 6e-5. The mutant, one chi-square, rejects 5 %.
    """
    large = MODEL.replace(fixed={"b21": 0.0})
    small = MODEL.replace(fixed={"b21": 0.0, "sigma1": 0.0})
    found = []
    for seed in range(300):
        table = saem.simulate(large, PEPTIDE | {"b21": 0.0, "sigma1": 0.0}, peptide_design(25), seed)
        found.append(saem.likelihood_ratio(saem.fit(small, table, "ml"), saem.fit(large, table, "ml")))
    assert abs(np.mean([each.p < 0.1 for each in found]) - 0.1) < 0.07
    assert np.mean([chi2.sf(each.statistic, 1) < 0.1 for each in found]) < 0.075


def test_variances_that_are_shared_in_another_way_are_not_nested() -> None:
    """Two of three arms share one in both models, but not the same two."""
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"arm": np.repeat(list("ABC"), 20), "id": np.repeat(np.arange(30), 2)})
    table["y"] = np.repeat(rng.normal(size=30), 2) + 0.5 * rng.normal(size=60)

    def shared(**sd: str) -> Model:
        random = {"by": "arm", "sd": sd}
        return Model(
            response="y", cluster="id", mean={"a": "1", "b": "arm == 'B'"}, random=random, residual={"sd": "e"}
        )

    larger = saem.fit(shared(A="s1", B="s2", C="s2"), table, "ml")
    other = saem.fit(shared(A="s1", B="s1", C="s2").replace(fixed={"b": 0.0}), table, "ml")
    with pytest.raises(saem.SaemError, match="shared in another way"):
        saem.likelihood_ratio(other, larger)
    nested = saem.fit(shared(A="s1", B="s1", C="s1"), table, "ml")
    assert saem.likelihood_ratio(nested, larger).df == 1


def test_a_correlation_of_one_by_a_constraint_is_refused() -> None:
    model = Model.from_text(recipes.text("random_slopes"))
    table = table_of("sleepstudy")
    with pytest.raises(saem.SaemError, match="cannot be met by"):
        saem.fit(model.replace(constraints={"line": "corr_intercept_days == 1"}), table, "ml")


def test_a_zero_that_the_constraint_forces() -> None:
    """An estimate of zero under a constraint is doubtful and said; a constraint that admits nothing else is refused."""
    free = Model.from_text(recipes.text("peptide_unconstrained"))
    table = saem.simulate(free, {**PEPTIDE, "sigma1": 0.3, "sigma2": 0.1}, peptide_design(4), 0)
    forced = free.replace(constraints={"none": "exp(sigma1) == 1"})
    with pytest.raises(saem.SaemError, match="sigma1 is zero under the constraint"):
        saem.likelihood_ratio(saem.fit(forced, table, "ml"), saem.fit(free, table, "ml"))
    tied = free.replace(constraints={"link": "b21 == exp(sigma2**2 - sigma1**2)"})
    small = saem.fit(tied, table, "ml")
    assert small.at_boundary == ("sigma2",)
    found = saem.likelihood_ratio(small, saem.fit(free, table, "ml"))
    assert found.df == 1 and found.weights == {1: 1.0} and 0.0 < found.p < 1.0
    assert "'sigma2' is at the boundary" in found.note
    inside = saem.fit(MODEL.replace(fixed={"b21": 0.0}), TABLE, "ml")
    assert saem.likelihood_ratio(inside, saem.fit(MODEL, TABLE, "ml")).note == ""


@pytest.mark.parametrize(
    ("small", "large", "words"),
    [
        (MODEL, MODEL.replace(constraints={"g": "c2 == 1"}), "lacks a constraint"),
        (MODEL.replace(fixed={"b21": 0.5}), MODEL.replace(fixed={"b21": 0.0}), "fixes b21 at 0"),
        (MODEL.replace(fixed={"sigma1": 0.0, "sigma2": 0.0}), MODEL, "2 standard deviations"),
        (MODEL.replace(cluster=["replicate"], random={"sd": "sigma1"}, constraints={}), MODEL, "different clusters"),
        (
            MODEL.replace(mean=dict(MODEL.mean) | {"alpha2": "treatment == 'CCCP'"}, fixed={"b21": 0}),
            MODEL,
            "alpha2 acts",
        ),
    ],
)
def test_what_is_not_nested_is_refused(small: Model, large: Model, words: str) -> None:
    with pytest.raises(saem.SaemError, match=words):
        saem.likelihood_ratio(saem.fit(small, TABLE, "ml"), saem.fit(large, TABLE, "ml"))


def test_other_rows_are_refused() -> None:
    small = saem.fit(MODEL.replace(fixed={"b21": 0.0}), TABLE.iloc[:40], "ml")
    with pytest.raises(saem.SaemError, match="same rows"):
        saem.likelihood_ratio(small, saem.fit(MODEL, TABLE, "ml"))
    with pytest.raises(saem.SaemError, match="same rows"):
        saem.compare_models({"a": small, "b": saem.fit(MODEL, TABLE, "ml")})


# Derived quantities


def test_a_derived_quantity_by_the_delta_method() -> None:
    """The right side of the constraint has the estimate and the standard error of its left side."""
    fit = saem.fit(MODEL, TABLE, "ml")
    g = MODEL.constraints["g"].split("==")[1]
    found = saem.derive(fit, {"g": g, "variance": "sigma**2", "icc": "sigma1**2 / (sigma1**2 + sigma**2)"})
    i = fit.parameters.index("c2")
    assert found.loc["g", "estimate"] == pytest.approx(fit.values[i], rel=1e-12)
    assert found.loc["g", "se"] == pytest.approx(fit.se[i], rel=1e-8)
    assert found.loc["variance", "se"] == pytest.approx(2 * fit.values[-1] * fit.se[-1])

    def icc(x: np.ndarray) -> float:
        return float(x[5] ** 2 / (x[5] ** 2 + x[7] ** 2))

    h = 1e-6
    gradient = np.array([(icc(fit.values + h * e) - icc(fit.values - h * e)) / (2 * h) for e in np.eye(8)])
    assert found.loc["icc", "se"] == pytest.approx(np.sqrt(gradient @ fit.covariance @ gradient), rel=1e-6)
    half = found.loc["icc", "upper"] - found.loc["icc", "estimate"]
    assert half == pytest.approx(1.959964 * found.loc["icc", "se"], rel=1e-6)


def test_what_has_no_standard_error_has_none() -> None:
    table = saem.simulate(MODEL, PEPTIDE | {"sigma1": 0.0}, peptide_design(8), 5003)
    fit = saem.fit(MODEL, table, "ml")
    quantities = {"sum": "sigma1 + sigma", "other": "2 * sigma", "icc": "sigma1**2 / (sigma1**2 + sigma**2)"}
    found = saem.derive(fit, quantities)
    assert found.loc["icc", "estimate"] == 0.0 and found.loc["icc", ["se", "lower", "upper"]].isna().all()
    assert saem.variances(fit).loc["sigma1**2", ["se", "lower", "upper"]].isna().all()
    assert np.isnan(found.loc["sum", "se"]) and found.loc["other", "se"] == pytest.approx(2 * fit.se[-1])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sgma", "'sigma'"),
        ("2 +", "cannot be derived"),
        ("b21) + (b22", "cannot be derived"),
        ("log(b21 - 10)", "has no value"),
    ],
)
def test_bad_quantities(text: str, words: str) -> None:
    with pytest.raises(saem.SaemError, match=words):
        saem.derive(saem.fit(MODEL, TABLE, "ml"), {"q": text})
