"""Influence of clusters beside fits by hand, closed forms, and what cannot be fitted without a cluster."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from linear_family import Example, dense, example_table, examples
from scipy.stats import multivariate_normal
from test_reference_lmm import MODELS, fitted, table_of

import saem
from saem import Model, recipes
from saem.families import arrange, pose
from saem.inference import influence as module

MODEL = Model.from_text(recipes.text("peptide"))


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return example_table(8, 2)


@pytest.fixture(scope="module")
def fit(table: pd.DataFrame) -> saem.Fit:
    return saem.fit(MODEL, table, "ml")


@pytest.mark.parametrize("method", ["ml", "reml"])
def test_every_row_is_a_fit_by_hand(method: str) -> None:
    fit, table = fitted("sleepstudy", method), table_of("sleepstudy")
    found = saem.influence(fit)
    assert found.table.index.name == "Subject" and len(found.table) == 18
    for subject in ("308", "332", "371"):
        left = saem.fit(Model(**MODELS["sleepstudy"]), table[table["Subject"].astype(str) != subject], method)
        at = found.table.index.astype(str) == subject
        np.testing.assert_allclose(found.estimates[at].to_numpy()[0], left.values, rtol=1e-6)
        changes = (fit.values - left.values) / fit.se
        np.testing.assert_allclose(found.changes[at].to_numpy()[0], changes, atol=1e-5)
        row = found.table[at].iloc[0]
        distance = changes @ np.linalg.inv(fit.covariance / np.outer(fit.se, fit.se)) @ changes / 6
        assert row["cooks_distance"] == pytest.approx(distance, rel=1e-5)
        assert row["largest"] == fit.parameters.names[np.abs(changes).argmax()]
        assert row["change"] == pytest.approx(changes[np.abs(changes).argmax()], abs=1e-5)
        assert row["rows"] == 10 and row["status"] == "converged" and row["note"] == ""


def loglik(example: Example, x: np.ndarray) -> float:
    """The marginal log-likelihood (n,) by dense matrices."""
    twin = dense(example, x)
    mean = example.data.mean_design @ x[example.data.mean_index]
    covariance = twin.z @ twin.omega @ twin.z.T + np.diag(twin.noise)
    return float(multivariate_normal(mean, covariance).logpdf(example.data.response))


def test_displacement_under_a_constraint(fit: saem.Fit, table: pd.DataFrame) -> None:
    """By the dense likelihood of all data, at fits by hand; a mutant takes that of the data that are left."""
    found = saem.influence(fit)
    example = Example(MODEL, table, arrange(MODEL, table), pose(MODEL, arrange(MODEL, table)), fit.values)
    for place, ((treatment, replicate), row) in enumerate(found.table.iterrows()):
        left = table[(table["treatment"] != treatment) | (table["replicate"] != replicate)]
        other = saem.fit(MODEL, left, "ml")
        np.testing.assert_allclose(found.estimates.iloc[place], other.values, rtol=1e-5, atol=1e-6)
        fallen = 2.0 * (loglik(example, fit.values) - loglik(example, other.values))
        assert row["displacement"] == pytest.approx(fallen, rel=1e-5)
        assert row["displacement"] != pytest.approx(2.0 * abs(fit.loglik - other.loglik), rel=0.05)


def known_variances(constraints: dict[str, str]) -> Model:
    """Regression with known variances, so that all is a closed form."""
    return MODEL.replace(constraints=constraints, fixed={"sigma1": 0.0, "sigma2": 0.0, "b21": 0.0, "sigma": 0.3})


@pytest.mark.parametrize("constraints", [{}, {"tie": "b22 == 2 * alpha2"}])
def test_cooks_distance_of_a_regression(constraints: dict[str, str], table: pd.DataFrame) -> None:
    """The textbook's, with the constraint substituted. A mutant divides by all parameters, another by none."""
    found = saem.influence(saem.fit(known_variances(constraints), table, "ml"))
    treated, modified = table["treatment"] == "CCCP", table["modification"] == "modified"
    x = np.column_stack([np.ones(len(table)), treated, modified, treated & modified]).astype(float)
    if constraints:
        x = x @ np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 2]])
    y = table["log2_intensity"].to_numpy()
    best = np.linalg.lstsq(x, y, rcond=None)[0]
    expected, shifts = [], []
    for key in found.table.index:
        keep = ~((table["treatment"] == key[0]) & (table["replicate"] == key[1])).to_numpy()
        moved = best - np.linalg.lstsq(x[keep], y[keep], rcond=None)[0]
        expected.append(moved @ (x.T @ x) @ moved / 0.3**2)
        shifts.append(moved)
    distance = found.table["cooks_distance"].to_numpy()
    np.testing.assert_allclose(distance, np.array(expected) / x.shape[1], rtol=1e-7)
    np.testing.assert_allclose(found.table["displacement"], expected, rtol=1e-6, atol=1e-9)
    for wrong in (1, 8):
        assert not np.allclose(distance, np.array(expected) / wrong, rtol=0.1)
    se = np.sqrt(np.diag(np.linalg.inv(x.T @ x))) * 0.3
    np.testing.assert_allclose(found.changes["mu"], np.array(shifts)[:, 0] / se[0], atol=1e-8)
    assert (found.changes["sigma"] == 0.0).all()


def test_units_of_measurement_change_nothing() -> None:
    """Milliseconds or microseconds; a pseudo-inverse of the covariance itself, a mutant, would depend on them."""
    table = table_of("sleepstudy")
    small, large = (
        saem.fit(Model(**MODELS["sleepstudy"]), table.assign(Reaction=factor * table["Reaction"]), "ml")
        for factor in (1.0, 1000.0)
    )
    one, other = saem.influence(small), saem.influence(large)
    for name in ("cooks_distance", "displacement"):
        np.testing.assert_allclose(one.table[name], other.table[name], rtol=1e-4)
    np.testing.assert_allclose(one.changes, other.changes, atol=1e-4)


def test_an_outlier_is_found_and_moves_what_it_should(table: pd.DataFrame) -> None:
    """Both rows of a treated replicate are 4 higher: the standard deviation of the treated is what it raises."""
    odd = (table["treatment"] == "CCCP") & (table["replicate"] == 5)
    shifted = table.assign(log2_intensity=table["log2_intensity"] + 4.0 * odd)
    found = saem.influence(saem.fit(MODEL, shifted, "ml"))
    top = found.table.sort_values("cooks_distance").iloc[-1]
    assert top.name == ("CCCP", 5) and top["largest"] == "sigma2" and top["change"] > 1.0
    assert found.table["displacement"].idxmax() == ("CCCP", 5)


def test_a_fit_by_saem_has_the_influence_of_its_maximum(table: pd.DataFrame, fit: saem.Fit) -> None:
    simulated = saem.influence(saem.fit(MODEL, table, "saem", seed=3))
    exact = saem.influence(fit)
    np.testing.assert_allclose(simulated.changes, exact.changes, atol=1e-5)
    np.testing.assert_allclose(simulated.table["cooks_distance"], exact.table["cooks_distance"], atol=1e-5)


def test_clusters_that_cannot_be_spared() -> None:
    """Without the only cluster in a cell, or one of two of a standard deviation; the others have their rows."""
    table = example_table(4, 1)
    single = table[(table["treatment"] == "Ctrl") | (table["modification"] == "unmodified") | (table["replicate"] == 0)]
    found = saem.influence(saem.fit(MODEL, single, "ml")).table
    assert found.loc[("CCCP", 0), "status"] == "not_fitted"
    assert found.loc[("CCCP", 0), "note"] == "no other cluster has rows on which b22 acts"
    assert np.isnan(found.loc[("CCCP", 0), "cooks_distance"]) and found.loc[("CCCP", 0), "largest"] == ""
    assert (found["status"] == "not_fitted").sum() == 1
    pair = saem.influence(saem.fit(MODEL, table[(table["treatment"] == "Ctrl") | (table["replicate"] < 2)], "ml")).table
    notes = pair.loc["CCCP", "note"]
    assert (notes == "one other cluster is left for the standard deviation sigma2").all() and len(notes) == 2
    assert (pair.loc["Ctrl", "status"] == "converged").all()


def test_a_design_that_loses_its_rank() -> None:
    """No column is empty, but two coincide without a cluster."""
    rows = [(s, t, 1.0 * (t == 2) + 1.0 * (s == 0 and t == 1)) for s in range(8) for t in range(3)]
    table = pd.DataFrame(rows, columns=["subject", "time", "x"])
    model = Model(
        response="y", cluster="subject", mean={"mu": "1", "late": "time == 2", "x": "x"}, random={"sd": "tau"}
    )
    values = {"mu": 1.0, "late": 0.5, "x": 0.3, "tau": 0.7, "sigma": 0.4}
    found = saem.influence(saem.fit(model, saem.simulate(model, values, table, 1), "ml")).table
    assert found.loc[0, "note"] == "the other clusters do not determine 'late', 'x'"
    assert (found["status"].iloc[1:] != "not_fitted").all()


def test_the_boundary() -> None:
    """A standard deviation of zero has no change in standard errors; the displacement is that of all."""
    fit = fitted("Theoph", "ml")
    found = saem.influence(fit)
    assert found.changes["omega"].isna().all() and found.changes["sigma"].notna().all()
    assert set(found.table["status"]) <= {"boundary", "converged"} and (found.table["displacement"] > 0.0).all()
    assert np.isfinite(found.table["cooks_distance"]).all()


def test_a_residual_sd_that_goes_to_zero() -> None:
    """What stands for zero is reported as zero; data that deny it have an infinite displacement."""
    example = examples()["two residual groups"]
    surface = module.Surface.of(saem.fit(example.model, example.table, "ml"))
    problem, top = surface.problem, surface.top
    i = problem.parameters.index("sigma_x")
    pinned = np.arange(len(top.x)) == i
    point = module.Point(np.where(pinned, 0.5 * problem.boundary.at_zero, top.x), pinned, 0.0)
    assert module.stands_for_zero(problem, point)[i] and module.loglik_at(problem, top, point) == -np.inf
    both = module.Point(np.where(pinned, problem.boundary.at_zero, top.x), pinned, 0.0)
    assert module.loglik_at(problem, both, point) == module.loglik_at(problem, both, both) > -np.inf
    assert np.isnan(module.loglik_at(problem, top, None))


def test_rows_that_are_fitted_exactly_without_a_cluster() -> None:
    """Two subjects of two rows each, with slopes of their own, are left: they determine nothing, and that is said."""
    rows = [(s, t) for s in range(3) for t in ((0.0, 1.0) if s < 2 else (0.0, 1.0, 2.0, 3.0))]
    table = pd.DataFrame(rows, columns=["s", "t"]).assign(y=np.random.default_rng(4).normal(size=8))
    model = Model(response="y", cluster="s", mean={"mu": "1"}, random={"terms": {"a": "1", "b": "t"}})
    found = saem.influence(saem.fit(model, table, "ml")).table
    assert saem.fit(model, table[table["s"] < 2], "ml").status == "not_identified"
    assert found.loc[2, "status"] != "converged" and found.loc[2, "note"]


def test_formulas_keep_their_centre_and_coding() -> None:
    """``center(Days)`` has the mean of all subjects, also without one of them."""
    table = table_of("sleepstudy")
    table = table[(table["Days"] > 3) | (table["Subject"].astype(str) < "335")]
    model = Model(**MODELS["sleepstudy"] | {"mean": "Reaction ~ center(Days)"})
    found = saem.influence(saem.fit(model, table, "ml"))
    fixed = table.assign(days=table["Days"] - table["Days"].mean())
    by_hand = model.replace(mean={"intercept": "1", "center_Days": "days"})
    left = saem.fit(by_hand, fixed[fixed["Subject"].astype(str) != "308"], "ml")
    np.testing.assert_allclose(found.estimates.iloc[0], left.values, rtol=1e-6)
    anew = saem.fit(model, table[table["Subject"].astype(str) != "308"], "ml")
    assert abs(anew.values[0] - left.values[0]) > 0.1  # a mutant: centred anew


@pytest.mark.slow
def test_workers_change_no_number(fit: saem.Fit) -> None:
    alone, several = saem.influence(fit), saem.influence(fit, workers=2)
    pd.testing.assert_frame_equal(alone.table, several.table)
    pd.testing.assert_frame_equal(alone.estimates, several.estimates)
    with pytest.raises(saem.SaemError, match="1 or more; got 0"):
        saem.influence(fit, workers=0)


def test_processes_are_started_where_they_save_time(fit: saem.Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def number(workers: int | None, count: int) -> int:
        asked.append(workers)
        return 1

    monkeypatch.setattr("saem.batch.driver.number_of_workers", number)
    saem.influence(fit)
    assert asked == []
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    saem.influence(fit)
    assert asked == [None]


def test_bad_input(fit: saem.Fit, table: pd.DataFrame) -> None:
    with pytest.raises(saem.SaemError, match=r"do not determine 'mu'|do not determine 'c2'"):
        saem.influence(saem.fit(MODEL.replace(constraints={}), table, "ml"))
    with pytest.raises(saem.SaemError, match="without its table"):
        saem.influence(replace(fit, table=None))
