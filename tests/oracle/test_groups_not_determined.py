"""Groups that the data do not determine, or fit exactly: the same answer from every method, with the group's name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import saem
from saem import Model
from saem.errors import FitError
from saem.families import arrange, pose

METHODS = ["ml", "saem", "em", "mcem", "stochastic_newton"]
BY_ARM = {"random": {"by": "arm"}, "residual": {"by": "arm"}}


def table(clusters: int = 8, arms: str = "ab") -> pd.DataFrame:
    rng = np.random.default_rng(1)
    g, x = np.repeat(np.arange(clusters), 4), np.tile(np.arange(4.0), clusters)
    arm = np.array(list(arms))[np.arange(clusters) * len(arms) // clusters][g]
    y = 5 + rng.normal(size=clusters)[g] + 0.5 * x + 0.3 * rng.normal(size=4 * clusters)
    return pd.DataFrame({"g": g, "x": x, "arm": arm, "y": y.round(3)})


def model(**parts: object) -> Model:
    return Model(**({"response": "y", "cluster": "g", "mean": "y ~ x"} | parts))


def constant(arms: str, among: str = "ab") -> pd.DataFrame:
    rows = table(arms=among)
    return rows.assign(y=np.where(rows["arm"].isin(list(arms)), rows["arm"].map(ord) / 10.0, rows["y"]))


@pytest.mark.parametrize("method", METHODS)
def test_a_constant_residual_group_is_named(method: str) -> None:
    with pytest.raises(FitError, match=r"'sigma_a' of the residual group 'a' goes to zero: the response is 9.7 in all"):
        saem.fit(model(mean="y ~ arm", **BY_ARM), constant("a"), method)


def test_two_constant_groups_are_named() -> None:
    with pytest.raises(FitError, match=r"(?s)residual group 'a' goes.*residual group 'b' goes"):
        saem.fit(model(mean="y ~ arm", residual={"by": "arm"}), constant("ab", "abc"), "ml")


def test_rows_that_the_means_fit_are_named() -> None:
    rows = table()
    rows = rows.assign(y=np.where(rows["arm"] == "b", 1.0 + 2.0 * rows["x"], rows["y"]))
    with pytest.raises(FitError, match="residual group 'b' goes to zero: the model fits its 16 rows exactly"):
        saem.fit(model(mean="y ~ x*arm", **BY_ARM), rows, "ml")
    assert saem.fit(model(mean="y ~ arm", **BY_ARM), rows, "ml").converged, "these means have no slope"


def test_rows_that_repeat_within_clusters_are_named() -> None:
    rows = table()
    means = rows.groupby("g")["y"].transform("mean")
    rows = rows.assign(y=np.where(rows["arm"] == "a", means, rows["y"]))
    with pytest.raises(FitError, match="residual group 'a' goes to zero"):
        saem.fit(model(mean="y ~ arm", **BY_ARM), rows, "ml")


@pytest.mark.parametrize("method", METHODS)
def test_a_group_of_singletons_is_not_identified(method: str) -> None:
    rows = table()
    rows = rows[(rows["arm"] == "b") | (rows["x"] == 0.0)]
    fit = saem.fit(model(mean="y ~ x + arm", **BY_ARM), rows, method)
    assert fit.status == "not_identified"
    assert "sigma_a (residual group 'a')" in fit.message
    assert "sd_intercept_a (variance group 'a')" in fit.message
    assert not fit.at_boundary
    unknown = set(np.array(fit.parameters.names)[np.isnan(fit.se)])
    assert unknown == {"sigma_a", "sd_intercept_a"}
    if method == "ml":
        shared = saem.fit(model(mean="y ~ x + arm", residual={"by": "arm"}), rows, "ml")
        assert shared.converged, "a shared standard deviation tells the two apart"
        assert len(fit.solutions) == 1


def test_a_restricted_likelihood_that_is_flat_is_not_identified() -> None:
    """A cluster for every treatment: the means take all that their standard deviation could explain."""
    rows = table(6).assign(arm=lambda t: np.array(list("uvwxyz"))[t["g"]])
    fit = saem.fit(model(mean="y ~ arm"), rows, "reml")
    assert fit.status == "not_identified"
    assert "sd_intercept can take any value" in fit.message
    assert not fit.at_boundary
    assert np.isnan(fit.se[fit.parameters.index("sd_intercept")])
    assert np.isnan(fit.se[fit.parameters.index("arm_v")]), "how much the means vary depends on it"
    assert np.isfinite(fit.se[fit.parameters.index("sigma")])
    assert "no standard error" in fit.summary()
    assert saem.fit(model(mean="y ~ arm"), rows, "ml").status == "boundary", "which the likelihood itself is not"
    assert saem.fit(model(mean="y ~ x"), rows, "reml").converged


def test_restricted_information_by_dense_matrices() -> None:
    """Of the variances it is tr(M V_i M V_j) / 2 with the projection M off the means."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"y": rng.normal(size=60), "x": rng.normal(size=60).round(1), "g": np.repeat(range(15), 4)})
    rows = rows.assign(t=np.repeat(list("ABC"), 20), k=np.tile(["u", "v"], 30))
    random = {"terms": {"i": "1", "s": "x"}, "covariance": "full", "by": "t"}
    whole = model(mean="y ~ x + t", random=random, residual={"by": "k"})
    data = arrange(whole, rows)
    problem = pose(whole, data, restricted=True)
    assert problem.likelihood.expected_information is not None
    x = problem.starts.first + 0.1

    def covariance(x: np.ndarray) -> np.ndarray:
        v = np.diag(x[data.residual_index][data.residual_group] ** 2)
        for c, g in enumerate(data.cluster_group):
            members = np.flatnonzero(data.cluster == c)
            corr, sd = data.corr_index[g], x[data.sd_index[g]]
            z = data.random_design[members]
            v[np.ix_(members, members)] += z @ (np.where(corr >= 0, x[corr], 1.0) * np.outer(sd, sd)) @ z.T
        return v

    steps = 1e-5 * np.eye(len(x))
    slopes = [(covariance(x + step) - covariance(x - step)) / 2e-5 for step in steps]
    design = data.mean_design
    off = np.eye(60) - design @ np.linalg.pinv(design)
    dense = np.array([[0.5 * np.trace(off @ a @ off @ b) for b in slopes] for a in slopes])
    dense[:4, :4] = design.T @ design
    np.testing.assert_allclose(problem.likelihood.expected_information(x), dense, atol=1e-7)


@pytest.mark.parametrize("method", METHODS[1:4])
def test_a_correlation_of_one_is_the_same_boundary(method: str) -> None:
    """No draw exists there: the simulated methods go towards it, and are put there with the errors of ML."""
    rng = np.random.default_rng(0)
    g, x = np.repeat(np.arange(10), 3), np.tile(np.arange(3.0), 10)
    y = 3 + rng.normal(size=10)[g] * (1 + 0.5 * x) + 0.6 * rng.normal(size=30)
    rows = pd.DataFrame({"g": g, "x": x, "y": y})
    whole = model(random={"terms": {"i": "1", "s": "x"}, "covariance": "full"})
    ml, fit = saem.fit(whole, rows, "ml"), saem.fit(whole, rows, method)
    assert ml.status == fit.status == "boundary"
    assert ml.at_boundary == fit.at_boundary == ("corr_i_s",)
    assert fit.loglik == pytest.approx(ml.loglik, abs=0.01)
    assert fit.values[4] == ml.values[4] == 1.0
    np.testing.assert_allclose(fit.se, ml.se, rtol=1e-5)
