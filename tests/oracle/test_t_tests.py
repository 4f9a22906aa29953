"""t-tests of means with Satterthwaite's degrees of freedom: lmerTest, closed forms, and a dense twin by differences."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import naive
import numpy as np
import pandas as pd
import pytest
from designs import random_case
from scipy import stats
from selecting import few
from test_reference_lmm import MODELS, fitted, table_of

import saem
from saem import Model

# summary() of lmerTest 3.1-3, lmer(Reaction ~ Days + (Days | Subject), sleepstudy): estimate, se, df, t, p
SLEEPSTUDY = {
    "reml": {
        "intercept": (251.405105, 6.82459669, 16.9997263, 36.83808965, 1.17155811e-17),
        "Days": (10.467286, 1.54578964, 16.9999837, 6.77148149, 3.26382447e-06),
    },
    "ml": {
        "intercept": (251.405105, 6.63212274, 18.0011348, 37.9071852, 1.26375194e-18),
        "Days": (10.467286, 1.50223021, 18.0001769, 6.9678308, 1.65222791e-06),
    },
}
# the same of lmer(Reaction ~ Days + (1 | Subject)) on the rows in which (7 * row) % 13 < 6 (rows from 0) or Days < 3
UNBALANCED = {
    "reml": {
        "intercept": (250.70351212, 9.078415874, 23.39988592, 27.61533682, 2.302156713e-19),
        "Days": (10.90678507, 0.964511329, 94.33549266, 11.30809431, 3.018151367e-19),
    },
    "ml": {
        "intercept": (250.69939969, 8.8547130642, 25.10842766, 28.31253795, 1.420605576e-20),
        "Days": (10.90843542, 0.9593661914, 95.36093439, 11.37046053, 1.924862346e-19),
    },
}


def check(found: pd.DataFrame, expected: dict[str, tuple[float, ...]], rtol: float = 2e-4) -> None:
    for name, row in expected.items():
        np.testing.assert_allclose(found.loc[name, ["estimate", "se", "df", "t"]].to_numpy(float), row[:4], rtol=rtol)
        assert np.log(found.loc[name, "p"]) == pytest.approx(np.log(row[4]), rel=rtol)


@pytest.mark.parametrize("method", ["reml", "ml"])
def test_lmertest_on_sleepstudy(method: str) -> None:
    found = saem.t_tests(fitted("sleepstudy", method))
    assert list(found.columns) == ["estimate", "se", "df", "t", "p", "lower", "upper"]
    check(found, SLEEPSTUDY[method])
    other = "ml" if method == "reml" else "reml"
    with pytest.raises(AssertionError):  # mutant: the information of the other likelihood
        check(found, SLEEPSTUDY[other])


@pytest.mark.parametrize("method", ["reml", "ml"])
def test_lmertest_on_unbalanced_rows(method: str) -> None:
    table = unbalanced()
    fit = saem.fit(Model(cluster="Subject", mean="Reaction ~ Days", response="Reaction"), table, method)
    found = saem.t_tests(fit)
    check(found, UNBALANCED[method], rtol=1e-5)
    with pytest.raises(AssertionError):  # mutant: standard errors from the observed information
        check(found.assign(se=fit.se[:2]), UNBALANCED[method], rtol=1e-5)


def unbalanced() -> pd.DataFrame:
    table = table_of("sleepstudy").reset_index(drop=True)
    return table[((7 * np.arange(len(table))) % 13 < 6) | (table["Days"] < 3)]


def test_balanced_one_way_layout_is_the_t_test_of_the_cluster_means() -> None:
    """By REML, balanced clusters: df = C - 2 for the difference of two arms, and the t-test of cluster means."""
    rng = np.random.default_rng(5)
    table = pd.DataFrame({"id": np.repeat(np.arange(10), 4), "arm": np.repeat(["a", "b"], 20)})
    table["y"] = np.repeat(rng.normal(size=10), 4) + 0.4 * rng.normal(size=40)
    fit = saem.fit(Model(cluster="id", mean="y ~ arm", response="y"), table, "reml")
    row = saem.t_tests(fit, {"difference": fit.parameters.names[1]}, level=0.9).iloc[0]
    means = table.groupby(["arm", "id"])["y"].mean()
    exact = stats.ttest_ind(means["b"], means["a"])
    assert row["df"] == pytest.approx(8.0, rel=1e-5)
    assert row["t"] == pytest.approx(exact.statistic, rel=1e-6) and row["p"] == pytest.approx(exact.pvalue, rel=1e-5)
    interval = exact.confidence_interval(0.9)
    np.testing.assert_allclose([row["lower"], row["upper"]], [interval.low, interval.high], rtol=1e-5)


def twin_df(dense: naive.Dense, x: np.ndarray, contrast: np.ndarray, method: str) -> tuple[float, float]:
    """``v`` and ``2 v^2 / g'A g`` with dense matrices, ``A`` by the Hessian of the profile over the means."""
    means = dense.mean_at
    others = np.setdiff1d(np.arange(len(x)), means)

    def covariance(variances: np.ndarray) -> Any:
        at = x.astype(variances.dtype)
        at[others] = variances
        total = np.zeros((len(means),) * 2, dtype=variances.dtype)
        for _, rows, v in naive.marginal_blocks(dense, at):
            design = dense.mean_design[rows]
            total = total + np.einsum("cra,crb->ab", design, np.linalg.solve(v, design))
        return np.linalg.inv(total)

    def variance(variances: np.ndarray) -> Any:
        return contrast @ covariance(variances) @ contrast

    likelihood = {"ml": naive.marginal, "reml": naive.restricted}[method]
    hessian = naive.hessian(lambda v: likelihood(dense, v), x)
    profile = hessian[np.ix_(others, others)] - hessian[np.ix_(others, means)] @ np.linalg.solve(
        hessian[np.ix_(means, means)], hessian[np.ix_(means, others)]
    )
    v, g = float(np.real(variance(x[others]))), naive.gradient(variance, x[others])
    return v, float(2.0 * v**2 / (g @ np.linalg.solve(-profile, g)))


@pytest.mark.parametrize("method", few(["reml", "ml"], ["reml"]))
@pytest.mark.parametrize("weights", [False, True])
def test_the_dense_twin(method: str, weights: bool) -> None:
    """Variance groups, residual groups, correlations, prior weights: what lmerTest does not fit."""
    case = random_case(77, terms=2, kinds=2, covariance="full", n_clusters=30, weights=weights)
    fit = saem.fit(Model(**case.model), case.table, method)
    assert fit.status == "converged"
    dense = case.dense.with_names(fit.parameters.names)
    quantities = {"b0": "b0", "sum": "b0 + 0.7 * bt", "ratio": "bt / b0"}
    found = saem.t_tests(fit, quantities)
    b0, bt = (fit.values[fit.parameters.index(name)] for name in ("b0", "bt"))
    for name, contrast in {"b0": [1, 0, 0], "sum": [1, 0.7, 0], "ratio": [-bt / b0**2, 1 / b0, 0]}.items():
        v, df = twin_df(dense, fit.values, np.array(contrast, float), method)
        assert found.loc[name, "se"] == pytest.approx(np.sqrt(v), rel=1e-7)
        assert found.loc[name, "df"] == pytest.approx(df, rel=1e-4)


def test_a_variance_of_zero_leaves_the_degrees_of_freedom_of_a_regression() -> None:
    """n - p by REML and n by ML, as lmerTest has them at a singular fit."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"g": np.repeat(np.arange(8), 5), "x": rng.normal(size=40)})
    table["y"] = 1.0 + 0.5 * table["x"] + rng.normal(size=40)
    table["y"] -= 0.9 * table.groupby("g")["y"].transform("mean")
    model = Model(cluster="g", mean="y ~ x", response="y")
    for method, df in (("reml", 38.0), ("ml", 40.0)):
        fit = saem.fit(model, table, method)
        assert fit.at_boundary == ("sd_intercept",)
        np.testing.assert_allclose(saem.t_tests(fit)["df"], df, rtol=1e-6)


def test_fixed_means_simulated_fits_and_constraints_among_sds() -> None:
    whole, table = MODELS["sleepstudy"], table_of("sleepstudy")
    fixed = saem.fit(Model(**whole, fixed={"intercept": 250.0}), table, "reml")
    assert list(saem.t_tests(fixed).index) == ["Days"]
    row = saem.t_tests(fixed, {"i": "intercept"}).loc["i"]
    assert row["se"] == 0.0 and np.isnan(row[["df", "t", "p"]].to_numpy(float)).all()
    simulated = saem.t_tests(saem.fit(Model(**whole), table, "saem", seed=1))
    np.testing.assert_allclose(simulated["df"], 18.0, rtol=0.02)
    tied = saem.fit(Model(**whole, constraints={"e": "sd_intercept == 4 * sd_days"}), table, "reml")
    df = saem.t_tests(tied)["df"]
    assert (df > 17.0).all() and (df < 60.0).all(), "one standard deviation less to estimate"


def test_what_cannot_be_tested_says_why() -> None:
    fit = fitted("sleepstudy", "reml")
    with pytest.raises(saem.SaemError, match="involves 'sigma': t-tests are for functions of means alone"):
        saem.t_tests(fit, {"cv": "sigma / intercept"})
    with pytest.raises(saem.SaemError, match="no value"):
        saem.t_tests(fit, {"log": "log(-Days)"})
    with pytest.raises(saem.SaemError, match="standard errors of their own"):
        saem.derive(fit, {"d": "Days"}, information=saem.fisher_information(fit), t_tests=True)


def test_constraints_among_means_are_a_smaller_design() -> None:
    """b == 2 a: the model of the one column 1 + 2 x, its standard error and degrees of freedom."""
    case = random_case(77, n_clusters=20)
    two = Model(**case.model | {"mean": {"a": "1", "b": "t"}})
    tied = saem.fit(two.replace(constraints={"e": "b == 2 * a"}), case.table, "ml")
    one = saem.fit(two.replace(mean={"a": "1 + 2 * t"}), case.table, "ml")
    found, expected = saem.t_tests(tied), saem.t_tests(one).loc["a"]
    np.testing.assert_allclose(found.loc["a"], expected, rtol=1e-5)
    np.testing.assert_allclose(found.loc["b", ["df", "t", "p"]], expected[["df", "t", "p"]], rtol=1e-5)


def test_a_mean_that_is_tied_to_variances() -> None:
    """mu = .5 + 1.5 tau^2 beside the free parametrisation (b, tau, sigma), by dense matrices and the complex step."""
    case = random_case(77, n_clusters=20)
    model = Model(
        **case.model | {"mean": {"mu": "1", "b": "t"}, "constraints": {"e": "mu == 0.5 + 1.5 * sd_one_A0**2"}}
    )
    fit = saem.fit(model, case.table, "ml")
    assert fit.status == "converged"
    names = fit.parameters.names
    dense = replace(case.dense, means=("mu", "b")).with_names(names)
    b, tau, sigma = (names.index(name) for name in ("b", "sd_one_A0", "sigma_k0"))

    def all_of(free: np.ndarray) -> np.ndarray:
        x = np.zeros(len(names), dtype=free.dtype)
        x[[b, tau, sigma]] = free
        x[names.index("mu")] = 0.5 + 1.5 * free[1] ** 2
        return x

    def variance(free: np.ndarray, contrast: np.ndarray) -> Any:
        total = np.zeros((3, 3), dtype=free.dtype)
        x = all_of(free)
        slopes = np.array([[0.0, 3.0 * free[1], 0.0], [1.0, 0.0, 0.0]])  # of the means by the free parameters
        for _, rows, v in naive.marginal_blocks(dense, x):
            ones = np.ones(rows.shape[1])
            for own, matrix in zip(rows, v, strict=True):
                inverse = np.linalg.inv(matrix)
                design = dense.mean_design[own] @ slopes
                total = total + design.T @ inverse @ design
                parts = [2.0 * x[tau] * np.outer(ones, ones), 2.0 * x[sigma] * np.eye(len(own))]
                for i, first in enumerate(parts):
                    for j, second in enumerate(parts):
                        total[i + 1, j + 1] += 0.5 * np.trace(inverse @ first @ inverse @ second)
        along = contrast @ slopes
        return along @ np.linalg.solve(total, along)

    free = fit.values[[b, tau, sigma]]
    a = np.linalg.inv(-naive.hessian(lambda v: naive.marginal(dense, all_of(v)), free))
    found = saem.t_tests(fit, {"mu": "mu", "b": "b", "sum": "mu + 2 * b"})
    for name, contrast in zip(found.index, np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 2.0]]), strict=True):
        v = float(variance(free, contrast))
        g = naive.gradient(lambda p, c=contrast: variance(p, c), free)
        assert found.loc[name, "se"] == pytest.approx(np.sqrt(v), rel=1e-6)
        assert found.loc[name, "df"] == pytest.approx(2.0 * v**2 / (g @ a @ g), rel=1e-4)


def test_derive_and_summary_have_them() -> None:
    fit = fitted("sleepstudy", "reml")
    quantities = {"at5": "intercept + 5 * Days"}
    pd.testing.assert_frame_equal(saem.derive(fit, quantities, t_tests=True), saem.t_tests(fit, quantities))
    plain, more = fit.summary(), fit.summary(t_tests=True)
    assert "Satterthwaite" not in plain and "Satterthwaite" in more and len(more.splitlines()) > len(plain.splitlines())
    line = next(line for line in more.splitlines() if line.startswith("Days") and "3.26e-06" in line)
    assert line.split() == ["Days", "10.47", "1.55", "17.00", "6.771", "3.26e-06", "7.21", "13.73"]


def test_means_that_the_data_do_not_determine() -> None:
    """Of three means in two cells one contrast alone is determined; the others have no test."""
    rng = np.random.default_rng(2)
    table = pd.DataFrame({"id": np.repeat(np.arange(12), 3), "arm": np.repeat([0, 1], 18)})
    table["y"] = np.repeat(rng.normal(size=12), 3) + rng.normal(size=36)
    model = Model(response="y", cluster="id", mean={"a": "arm == 0", "b": "arm == 1", "c": "1", "d": "arm * arm"})
    found = saem.t_tests(saem.fit(model, table, "ml"))
    assert found["se"].isna().all() and found["df"].isna().all()
    assert found["estimate"].notna().all()


@pytest.mark.slow
def test_the_size_of_the_test_in_small_samples() -> None:
    """A random-intercept model with 3 clusters an arm of unequal sizes, no effect, REML, 400 sets, 5 %.

    The t-test is within 4 binomial standard errors of 5 %: 4.4 (false alarms 6e-5). The mutant with infinite degrees of
    freedom rejects far more than that.
    """
    rng = np.random.default_rng(8)
    rows = pd.DataFrame({"id": np.repeat(np.arange(6), [2, 4, 6, 2, 4, 6])})
    rows["arm"] = np.where(rows["id"] < 3, 0.0, 1.0)
    model = Model(response="y", cluster="id", mean={"a": "1", "b": "arm"})
    rejected = []
    for _ in range(400):
        rows["y"] = rng.normal(size=6)[rows["id"]] + 0.5 * rng.normal(size=len(rows))
        row = saem.t_tests(saem.fit(model, rows, "reml"), {"b": "b"}).iloc[0]
        rejected.append((row["p"] < 0.05, 2.0 * stats.norm.sf(abs(row["t"])) < 0.05))
    by_t, by_z = np.mean(rejected, axis=0)
    assert abs(by_t - 0.05) < 0.044
    assert by_z > 0.094
