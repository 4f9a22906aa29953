"""Predictions beside Henderson's equations, numerical derivatives, lme4, and the design of the whole table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from linear_family import SLOPES, example_table, examples
from test_reference_lmm import MODELS, fitted, table_of

import saem
from saem import Model, recipes
from saem.expressions.columns import column_of
from saem.families import arrange
from saem.specification.formula import design
from saem.stopping import Status

Z95 = 1.959963984540054
MODEL = Model.from_text(recipes.text("peptide"))


def test_lme4s_fitted_values() -> None:
    """The first of ``fitted(fm1)``, fm1 the REML fit of sleepstudy of Bates et al. (2015), as lme4 prints them."""
    found = saem.predict(fitted("sleepstudy", "reml"))
    np.testing.assert_allclose(found["predicted"].iloc[:3], [253.6637, 273.3299, 292.9962], atol=1e-3)
    assert found["known"].all()


def test_hendersons_equations() -> None:
    """With known variances: mean and prediction error variance of x'b + z'u from the mixed-model equations.

    Mutants leave out the uncertainty of the random effects, or of the means.
    """
    sds = {"sd_intercept": 24.0, "sd_days": 6.0, "corr_intercept_days": 0.1, "sigma": 25.0}
    model = Model(**MODELS["sleepstudy"]).replace(fixed=sds)
    table = table_of("sleepstudy")
    fit = saem.fit(model, table, "ml")
    subject, labels = pd.factorize(table["Subject"])
    own = np.column_stack([np.ones(len(table)), table["Days"]]).astype(float)
    z = np.zeros((len(table), 2 * len(labels)))
    for row, s in enumerate(subject):
        z[row, 2 * s : 2 * s + 2] = own[row]
    omega = np.array([[24.0**2, 0.1 * 24 * 6], [0.1 * 24 * 6, 36.0]])
    design_all = np.hstack([own, z])
    left = design_all.T @ design_all / 25.0**2
    left[2:, 2:] += np.kron(np.eye(len(labels)), np.linalg.inv(omega))
    inverse = np.linalg.inv(left)
    solution = inverse @ design_all.T @ table["Reaction"].to_numpy() / 25.0**2

    new = pd.DataFrame({"Subject": [labels[0], labels[0], labels[7], "new"], "Days": [0.0, 20.0, 4.5, 9.0]})
    found = saem.predict(fit, new)
    rows = np.zeros((4, design_all.shape[1]))
    rows[:, :2] = np.column_stack([np.ones(4), new["Days"]])
    for row, s in ((0, 0), (1, 0), (2, 7)):
        rows[row, 2 + 2 * s : 4 + 2 * s] = rows[row, :2]
    se = np.sqrt(np.einsum("ri,ij,rj->r", rows, inverse, rows))
    np.testing.assert_allclose(found["predicted"], rows @ solution, rtol=1e-9)
    np.testing.assert_allclose(found["se"], se, rtol=1e-8)
    extra = np.array([0.0, 0.0, 0.0, rows[3, :2] @ omega @ rows[3, :2]]) + 25.0**2
    np.testing.assert_allclose(found["upper"] - found["predicted"], Z95 * np.sqrt(se**2 + extra), rtol=1e-8)
    np.testing.assert_allclose(found["predicted"] - found["lower"], Z95 * np.sqrt(se**2 + extra), rtol=1e-8)
    means = np.sqrt(np.einsum("ri,ij,rj->r", rows[:, :2], inverse[:2, :2], rows[:, :2]))
    np.testing.assert_allclose(found["marginal_se"], means, rtol=1e-8)
    spread = np.einsum("ri,ij,rj->r", rows[:, :2], omega, rows[:, :2]) + 25.0**2
    np.testing.assert_allclose(found["marginal_upper"] - found["marginal"], Z95 * np.sqrt(means**2 + spread), rtol=1e-8)
    assert list(found["known"]) == [True, True, True, False]
    effects = saem.random_effects(fit).covariance
    given = np.sqrt(np.einsum("ri,rij,rj->r", rows[:3, :2], effects[[0, 0, 7]], rows[:3, :2]))
    for mutant in (given, means[:3]):
        assert np.max(np.abs(found["se"].iloc[:3] / mutant - 1.0)) > 0.01


@pytest.mark.parametrize("name", ["balanced", "unbalanced", "shared SD", "slopes by arm and device"])
def test_the_delta_method(name: str) -> None:
    """Gradients by all parameters from central differences of the prediction itself; constraints are in V."""
    example = examples()[name]
    fit = saem.fit(example.model, example.table, "ml")
    if np.isnan(fit.se).any():  # at the boundary: what is tested elsewhere
        fit = replace(fit, values=example.x, covariance=np.diag((0.1 * np.arange(1, len(example.x) + 1)) ** 2))
        fit = replace(fit, at_boundary=(), status=Status.CONVERGED)
    found = saem.predict(fit)
    gradient, marginal = [], []
    for i in range(len(fit.values)):
        step = 1e-5 * (np.arange(len(fit.values)) == i)
        up, down = (saem.predict(replace(fit, values=fit.values + move)) for move in (step, -step))
        gradient.append((up["predicted"] - down["predicted"]).to_numpy() / 2e-5)
        marginal.append((up["marginal"] - down["marginal"]).to_numpy() / 2e-5)
    data = arrange(example.model, example.table)
    effects = saem.random_effects(fit).covariance[data.cluster]
    given = np.einsum("ri,rij,rj->r", data.random_design, effects, data.random_design)
    g, m = np.array(gradient), np.array(marginal)
    expected = np.sqrt(np.einsum("ir,ij,jr->r", g, fit.covariance, g) + given)
    np.testing.assert_allclose(found["se"], expected, rtol=1e-6)
    np.testing.assert_allclose(found["marginal_se"], np.sqrt(np.einsum("ir,ij,jr->r", m, fit.covariance, m)), rtol=1e-6)


def test_the_rows_of_the_fit_have_its_fitted_values() -> None:
    fit = saem.fit(MODEL, example_table(6, 1).sample(frac=1.0, random_state=1), "ml")
    found, fitted_values = saem.predict(fit), saem.residuals(fit)
    assert list(found.index) == list(fit.table.index)
    np.testing.assert_allclose(found["predicted"], fitted_values["fitted_conditional"], rtol=1e-10)
    np.testing.assert_allclose(found["marginal"], fitted_values["fitted_marginal"], rtol=1e-10)
    pd.testing.assert_frame_equal(saem.predict(fit, fit.table), found)


FORMULAS = [
    "y ~ a * b",
    "y ~ a * center(x)",
    "y ~ scale(x) + b",
    "y ~ C(k) * x",
    "y ~ C(k, Treatment(2))",
    "y ~ C(a, Treatment('z'))",
    "y ~ C(a, Sum())",
    "y ~ 0 + a",
    "y ~ 1",
    "y ~ category * x",
    "y ~ (a + b + x) ** 2",
    "y ~ center(log(x))",
]


def factorial() -> pd.DataFrame:
    """Six clusters of eight rows, factors of all kinds."""
    rng = np.random.default_rng(2)
    table = pd.DataFrame(
        {
            "a": np.resize(list("xyz"), 48),
            "b": np.repeat(["u", "v"], 24),
            "x": rng.uniform(1, 9, 48).round(2),
            "k": np.resize([1, 2, 3, 3, 2], 48),
            "s": np.repeat(range(6), 8),
        }
    )
    category = pd.Categorical(table["a"], categories=["z", "y", "unused", "x"])
    return table.assign(category=category, y=rng.normal(size=48))


@pytest.mark.parametrize("formula", FORMULAS)
def test_some_rows_have_the_coding_of_all(formula: str) -> None:
    """A few rows, in another order, and with numbers of another type, are predicted as they are among all."""
    table = factorial()
    fit = saem.fit(Model(response="y", cluster="s", mean=formula, random={"sd": "tau"}), table, "ml")
    whole = saem.predict(fit)
    for rows in ([7], [30, 3, 12], list(np.flatnonzero(table["a"] == "y"))):
        some = table.iloc[rows].drop(columns="y").assign(k=table["k"].iloc[rows].astype(float))
        pd.testing.assert_frame_equal(saem.predict(fit, some), whole.iloc[rows], rtol=1e-12)
    some = table.iloc[[7]].assign(category=["y"], s=["0"])  # text where there was a category, or a number
    pd.testing.assert_frame_equal(saem.predict(fit, some), whole.iloc[[7]], rtol=1e-12)


def test_a_mutant_that_codes_anew() -> None:
    table = factorial()

    def designs(formula: str, rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        columns, some = ({name: column_of(part, name) for name in part} for part in (table, rows))
        state = design(formula, columns, len(table)).state
        return design(formula, some, len(rows), state).matrix, design(formula, some, len(rows)).matrix

    kept, anew = designs("y ~ center(x)", table[table["a"] == "y"])
    assert kept.shape == anew.shape and not np.allclose(kept, anew)
    kept, anew = designs("y ~ a", table[table["a"] != "x"])
    assert kept.shape[1] == 3 and anew.shape[1] == 2


def test_rows_without_some_levels_and_with_new_covariates() -> None:
    fit = saem.fit(MODEL, example_table(6, 1), "ml")
    whole = saem.predict(fit)
    rows = fit.table.drop(columns="log2_intensity")
    only = rows[rows["modification"] == "modified"]
    pd.testing.assert_frame_equal(saem.predict(fit, only), whole.loc[only.index])
    cells = rows.groupby(["treatment", "modification"], as_index=False).first().assign(replicate=None)
    found = saem.predict(fit, cells)
    assert not found["known"].any() and list(found["predicted"]) == list(found["marginal"])
    means = dict(zip(fit.parameters.names, fit.values, strict=True))
    expected = means["mu"] + means["c2"] + means["alpha2"] + means["b22"]
    assert found["predicted"][(cells["treatment"] == "CCCP") & (cells["modification"] == "modified")].item() == (
        pytest.approx(expected)
    )
    other = saem.predict(fit, cells.assign(replicate=["a", "b", "c", "d"]))
    pd.testing.assert_frame_equal(found, other)


def test_parameters_at_the_boundary_are_known() -> None:
    """Without random effects: the standard errors of ordinary regression, with the ML variance."""
    fit, table = fitted("Theoph", "ml"), table_of("Theoph")
    found = saem.predict(fit)
    x = np.column_stack([np.ones(len(table)), table["Time"]])
    sigma = fit.values[fit.parameters.index("sigma")]
    se = sigma * np.sqrt(np.einsum("ri,ij,rj->r", x, np.linalg.inv(x.T @ x), x))
    for name in ("se", "marginal_se"):
        np.testing.assert_allclose(found[name], se, rtol=1e-7)
    np.testing.assert_allclose(found["upper"] - found["predicted"], Z95 * np.sqrt(se**2 + sigma**2), rtol=1e-7)


def test_an_absent_slope_leaves_no_gap() -> None:
    """Predictions are those without the term; and those with a correlation of one have standard errors, too."""
    design = pd.DataFrame([(s, float(t)) for s in range(12) for t in range(4)], columns=["subject", "time"])
    content: dict[str, Any] = {"response": "y", "cluster": "subject", "mean": {"mu": "1", "slope": "time"}}
    table = saem.simulate(Model(**content), {"mu": 1.0, "slope": 0.3, "sd_intercept": 0.8, "sigma": 0.5}, design, 0)
    plain = saem.predict(saem.fit(Model(**content), table, "ml"))
    absent = saem.fit(Model(**content, random={"terms": SLOPES, "covariance": "diagonal"}), table, "ml")
    assert absent.at_boundary == ("sd_slope",)
    pd.testing.assert_frame_equal(saem.predict(absent), plain, rtol=1e-6)
    singular = saem.fit(Model(**content, random={"terms": SLOPES}), table, "ml")
    assert singular.at_boundary == ("corr_intercept_slope",) and np.isnan(singular.se).sum() == 1
    assert np.isfinite(saem.predict(singular).to_numpy(float)).all()


def test_means_that_the_data_do_not_determine() -> None:
    """Without its constraint the model has five means for four cells: the cells are determined, all the same."""
    table = example_table(6, 1)
    free, tied = (saem.fit(MODEL.replace(constraints=c), table, "ml") for c in ({}, MODEL.constraints))
    assert free.status == "not_identified"
    pd.testing.assert_frame_equal(saem.predict(free), saem.predict(tied), rtol=1e-5)
    rows = [(s, t) for s in range(8) for t in range(3)]
    table = pd.DataFrame(rows, columns=["s", "t"]).assign(x=lambda t: 2.0 * (t["t"] == 1), w=lambda t: t["t"] == 1)
    model = Model(response="y", cluster="s", mean={"mu": "1", "a": "x", "b": "w * 1"}, random={"sd": "tau"})
    table = saem.simulate(model, {"mu": 1.0, "a": 0.2, "b": 0.4, "tau": 0.5, "sigma": 0.4}, table, 1)
    fit = saem.fit(model, table, "ml")
    new = pd.DataFrame({"s": [0, 0, 0], "x": [2.0, 0.0, 2.0], "w": [True, False, False]})
    found = saem.predict(fit, new)
    assert np.isfinite(found.iloc[:2].to_numpy(float)).all()
    assert found.drop(columns="known").iloc[2].isna().all() and found["known"].iloc[2]


def test_variances_that_the_data_do_not_determine() -> None:
    """Clusters of one row in arm b, which alone has device y: the sum of its two variances is all that is known."""
    rows = [("a", s, "x") for s in range(12) for _ in range(3)] + [("b", s, "y") for s in range(12, 24)]
    design = pd.DataFrame(rows, columns=["arm", "s", "device"])
    sds = {"by": "arm", "sd": {"a": "ta", "b": "tb"}}
    errors = {"by": "device", "sd": {"x": "sx", "y": "sy"}}
    model = Model(response="y", cluster="s", mean={"mu": "1"}, random=sds, residual=errors)
    truth = {"mu": 1.0, "ta": 0.8, "tb": 0.6, "sx": 0.3, "sy": 0.5}
    fit = saem.fit(model, saem.simulate(model, truth, design, 1), "ml")
    assert fit.status == "not_identified"
    new = pd.DataFrame([("a", 0, "x"), ("b", 12, "y"), ("b", 99, "y"), ("b", 99, "x")], columns=design.columns)
    found = saem.predict(fit, new)
    values = dict(zip(fit.parameters.names, fit.values, strict=True))
    width = Z95 * np.sqrt(values["tb"] ** 2 + values["sy"] ** 2 + found["marginal_se"].iloc[2] ** 2)
    assert found["upper"].iloc[2] - found["predicted"].iloc[2] == pytest.approx(width)
    assert list(found["predicted"].isna()) == [False, True, False, False]
    assert list(found["upper"].isna()) == [False, True, False, True]
    assert list(found["marginal_upper"].isna()) == [False, False, False, True]
    assert found["marginal_se"].notna().all()


def test_parameters_that_are_not_known() -> None:
    """A standard error of nan comes through where it is involved, and only there."""
    fit = saem.fit(MODEL, example_table(6, 1), "ml")
    covariance, i = fit.covariance.copy(), fit.parameters.index("b22")
    covariance[i] = covariance[:, i] = np.nan
    found = saem.predict(replace(fit, covariance=covariance))
    touched = (fit.table["treatment"] == "CCCP") & (fit.table["modification"] == "modified")
    assert (found["marginal_se"].isna() == touched).all() and found["predicted"].notna().all()


def test_a_residual_sd_of_zero() -> None:
    """One of two residual groups has none: its rows tell the random effects, and their own means, exactly."""
    example = examples()["two residual groups"]
    design = pd.DataFrame([(s, d) for s in range(20) for d in "xyy"], columns=["subject", "device"]).assign(time=0.0)
    design["time"] = np.resize([0.0, 1.0, 2.0], 60)
    truth = {"mu": 1.0, "slope": 0.3, "sd_intercept": 0.6, "sigma_x": 0.0, "sigma_y": 0.9}
    table = saem.simulate(example.model, truth, design, 2)
    fit = saem.fit(example.model, table, "ml")
    if "sigma_x" not in fit.at_boundary:
        fit = replace(fit, values=np.array([truth[name] for name in fit.parameters.names]), at_boundary=("sigma_x",))
    found, exact = saem.predict(fit), table["device"] == "x"
    np.testing.assert_allclose(found["predicted"][exact], table["y"][exact], atol=1e-4)
    assert found["se"][exact].max() < 1e-2 and np.isfinite(found.to_numpy(float)).all()


def sleep(**changes: Any) -> tuple[saem.Fit, pd.DataFrame]:
    fit = fitted("sleepstudy", "ml")
    return fit, pd.DataFrame({"Subject": ["308"], "Days": [1.0]} | changes)


def test_bad_tables() -> None:
    fit, table = sleep()
    with pytest.raises(saem.SaemError, match=r"a prediction needs column 'Days' \(did you mean 'days'\?\)"):
        saem.predict(fit, table.rename(columns={"Days": "days"}))
    with pytest.raises(saem.SaemError, match=r"needs column 'Subject' \(did you mean 'Subjct'\?\)"):
        saem.predict(fit, table.rename(columns={"Subject": "Subjct"}))
    with pytest.raises(saem.SaemError, match="'Days' has missing or infinite values in 1 of 1 rows"):
        saem.predict(fit, table.assign(Days=[np.nan]))
    with pytest.raises(saem.SaemError, match="'Days' holds numbers in the data of the fit, but text"):
        saem.predict(fit, table.assign(Days=["one"]))
    with pytest.raises(saem.SaemError, match="no rows"):
        saem.predict(fit, table.iloc[:0])
    with pytest.raises(saem.SaemError, match="1 of 1 rows are of clusters that the fit does not know"):
        saem.predict(fit, table.assign(Subject="new"), new_clusters="refuse")
    with pytest.raises(saem.SaemError, match="'marginal' or 'refuse'; got 'drop'"):
        saem.predict(fit, table, new_clusters="drop")
    with pytest.raises(saem.SaemError, match="between 0 and 1"):
        saem.predict(fit, table, level=95)
    with pytest.raises(saem.SaemError, match="must be a pandas DataFrame"):
        saem.predict(fit, {"Days": [1]})  # type: ignore[arg-type]


def test_new_levels_where_they_make_no_sense() -> None:
    fit = saem.fit(MODEL, example_table(4, 1), "ml")
    row = fit.table.iloc[[0]]
    with pytest.raises(saem.SaemError, match=r"'modification' has the level 'modifed' \(did you mean 'modified'\?\)"):
        saem.predict(fit, row.assign(modification="modifed"))
    with pytest.raises(saem.SaemError, match="'treatment' has the level 'Drug'"):
        saem.predict(fit, row.assign(treatment="Drug"))
    arms = examples()["slopes by arm and device"]
    grouped = saem.fit(arms.model, arms.table, "ml")
    row = grouped.table.iloc[[0]]
    with pytest.raises(saem.SaemError, match="'device' has the level 'z'"):
        saem.predict(grouped, row.assign(device="z"))
    with pytest.raises(saem.SaemError, match="variance group 'a' of 'arm' in the data of the fit, not in 'b'"):
        saem.predict(grouped, row.assign(arm="b"))
    table = factorial()
    table = table[~((table["a"] == "x") & (table["b"] == "v"))]
    with pytest.warns(saem.errors.SaemWarning, match="no row has the combination"):
        fit = saem.fit(Model(response="y", cluster="s", mean="y ~ 0 + a:b", random={"sd": "tau"}), table, "ml")
        with pytest.raises(saem.SaemError, match=r"no row of the data of the fit has .*'a\[x\]:b\[v\]'"):
            saem.predict(fit, table.iloc[[0]].assign(b="v"))
    with pytest.raises(saem.SaemError, match=r"has the level '7' in C\(k\) of the formula"):
        model = Model(response="y", cluster="s", mean="y ~ C(k)", random={"sd": "tau"})
        saem.predict(saem.fit(model, table, "ml"), table.iloc[[0]].assign(k=7))


def simulated_errors(count: int) -> dict[str, np.ndarray]:
    """Of so many sets of data: errors of the conditional mean, and new observations, by what is said of them.

    40 subjects with 4 visits, slopes of their own; one row of each set of data, so that the sets are independent.
    """
    model = Model(response="y", cluster="subject", mean={"mu": "1", "slope": "time"}, random={"terms": SLOPES})
    truth = {"mu": 1.0, "slope": 0.3, "sd_intercept": 0.8, "sd_slope": 0.5, "corr_intercept_slope": -0.4, "sigma": 0.5}
    rows = pd.DataFrame([(s, float(t)) for s in range(41) for t in range(6)], columns=["subject", "time"])
    seen = (rows["time"] < 4) & (rows["subject"] < 40)
    found = []
    for k in range(count):
        table = saem.simulate(model, truth, rows, k)
        noiseless = saem.simulate(model, truth | {"sigma": 0.0}, rows, k)["y"]
        fit = saem.fit(model, table[seen], "ml")
        new = saem.predict(fit, table.iloc[[k % 40 * 6 + 4, 40 * 6 + 4]])
        own, other = new.iloc[0], new.iloc[1]
        place = k % 40 * 6 + 4
        effects = saem.random_effects(fit).covariance[k % 40]
        z = np.array([1.0, 4.0])
        found.append(
            {
                "mean": (noiseless[place] - own["predicted"]) / own["se"],
                "parameters alone": (noiseless[place] - own["predicted"])
                / np.sqrt(max(1e-6, own["se"] ** 2 - z @ effects @ z)),
                "known": float(own["lower"] < table["y"][place] < own["upper"]),
                "new": float(other["lower"] < table["y"][244] < other["upper"]),
                "new, by its mean": float(abs(table["y"][244] - other["predicted"]) < Z95 * other["se"]),
                "cell": (1.0 + 4 * 0.3 - other["marginal"]) / other["marginal_se"],
            }
        )
    return {name: np.array([row[name] for row in found]) for name in found[0]}


@pytest.mark.slow
def test_predictions_cover() -> None:
    """1,000 sets of data: standardised errors have a spread of 1 and intervals cover 95 %, within 4 Monte Carlo errors.

    And within what 40 subjects leave of a theory for many, which takes variances for known: 4 % of the spread, 2 % of
    the coverage. Mutants fail: a standard error of the parameters alone; the interval of a mean for an observation.
    """
    found = simulated_errors(1000)

    def spread_is_one(errors: np.ndarray) -> bool:
        return bool(abs(errors.std() - 1.0) < 4.0 / np.sqrt(2 * len(errors)) + 0.04)

    def covers(hits: np.ndarray) -> bool:
        return bool(abs(hits.mean() - 0.95) < 4.0 * np.sqrt(0.95 * 0.05 / len(hits)) + 0.02)

    assert spread_is_one(found["mean"]) and spread_is_one(found["cell"])
    assert covers(found["known"]) and covers(found["new"])
    assert not spread_is_one(found["parameters alone"]) and not covers(found["new, by its mean"])
