"""What can be done with a fit of a nonlinear model: saving, predicting, drawing, checking, and plotting."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy.special import expit
from test_storage import assert_same

import saem
from saem import plotting
from saem.errors import DataError, ModelError
from saem.families import arrange, family_of, pose
from saem.families.nonlinear.prediction_errors import conditional_ranks, uncorrelated
from saem.inference import replicates, visual_check
from saem.inference.curves import curves
from saem.inference.visual_check import kaplan_meier

HEAD = (
    'family = "nonlinear"\nresponse = "y"\ncluster = "id"\ncolumns = ["time"]\n[individual]\nb = "normal(mu, omega)"\n'
)
NORMAL = HEAD + '[outcome]\ndistribution = "normal"\nmean = "b + slope * time"\nsd = "a"\n'
TEXTS = {
    "normal": NORMAL + '[parameters]\nslope = "interval(-2, 2)"\n',
    "limited": NORMAL + "lower = 0.5\n",
    "counts": HEAD
    + '[outcome]\ndistribution = "poisson"\nrate = "exp(b + eta)"\n[linear]\neta = "~ 0 + center(time)"\n',
    "chances": HEAD + '[outcome]\ndistribution = "bernoulli"\nprobability = "expit(b + slope * time)"\n',
}
AT = {
    "normal": {"mu": 1.0, "omega": 1.0, "slope": 0.4, "a": 0.7},
    "limited": {"mu": 0.2, "omega": 1.0, "slope": 0.4, "a": 0.7},
    "counts": {"mu": 1.0, "omega": 0.5, "eta_center_time": 0.2},
    "chances": {"mu": -0.5, "omega": 1.0, "slope": 0.3},
}
TIMES = (
    'family = "nonlinear"\nresponse = "time"\ncluster = "id"\ncolumns = ["x"]\n[individual]\nb = "normal(0, omega)"\n'
    '[outcome]\ndistribution = "weibull"\nscale = "T * exp(beta * x + b)"\nshape = "k"\nevent = "status"\n'
)
OF_TIMES = {"T": 10.0, "beta": 0.5, "omega": 0.4, "k": 1.5}


def design(clusters: int = 25, rows: int = 5) -> pd.DataFrame:
    return pd.DataFrame({"id": np.repeat(np.arange(clusters), rows), "time": np.tile(np.arange(float(rows)), clusters)})


@cache
def fitted(name: str) -> saem.Fit:
    model = saem.Model.from_text(TEXTS[name])
    values = dict(AT[name])
    names = model.parameter_names or arrange(model, design().assign(y=1.0 + design()["time"])).parameters.names
    unknown = [key for key in values if key not in names]
    for key, own in zip(unknown, [each for each in names if each not in values], strict=True):
        values[own] = values.pop(key)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", saem.errors.SaemWarning)
        return saem.fit(model, saem.simulate(model, values, design(), seed=3), "ml")


@cache
def fitted_times() -> saem.Fit:
    model = saem.Model.from_text(TIMES)
    rng = np.random.default_rng(1)
    rows = pd.DataFrame({"id": np.repeat(np.arange(40), 4), "x": np.tile([0, 1, 0, 1], 40), "status": 0})
    rows["time"] = rng.uniform(5.0, 25.0, len(rows))
    return saem.fit(model, saem.simulate(model, OF_TIMES, rows, seed=1), "ml")


def test_a_loaded_fit_is_the_same_to_the_last_bit(tmp_path):
    """With domains that other families do not have."""
    fit = fitted("normal")
    assert {domain.name for domain in fit.parameters.domains} == {"real", "interval(-2.0, 2.0)", "scale", "sd"}
    fit.save(tmp_path)
    loaded = saem.load(tmp_path)
    assert_same(fit, loaded)
    pd.testing.assert_frame_equal(saem.predict(loaded), saem.predict(fit))


@pytest.mark.parametrize("name", ["normal", "counts", "chances"])
def test_other_rows_are_predicted_as_those_of_the_fit(name):
    """Also where a formula has constants of the fit, and a column of the design is one in all of the other rows."""
    fit = fitted(name)
    own = saem.predict(fit)
    pd.testing.assert_frame_equal(saem.predict(fit, fit.table.drop(columns="y")), own)
    some = fit.table[fit.table["time"] == 1.0]
    again = saem.predict(fit, some)
    np.testing.assert_allclose(again["predicted"], own.loc[some.index, "predicted"], rtol=1e-12)
    new = saem.predict(fit, some.assign(id=-1))
    assert not new["known"].any()
    np.testing.assert_allclose(new["predicted"], own.loc[some.index, "marginal"], rtol=1e-12)


def test_whole_numbers_are_drawn_as_such():
    assert fitted("counts").table["y"].dtype == np.int64
    assert set(fitted("chances").table["y"]) == {0, 1}


def test_what_is_drawn_beyond_a_limit_is_at_it():
    y = fitted("limited").table["y"]
    assert y.min() == 0.5 and 0.05 < np.mean(y == 0.5) < 0.6


def test_drawn_times_end_where_nobody_watched_any_more():
    """A row without an event tells until when it was watched; rows with one do not, and a design says nothing."""
    model, rows = saem.Model.from_text(TIMES), pd.DataFrame({"id": np.repeat(np.arange(50), 2), "x": 0})
    free = saem.simulate(model, OF_TIMES, rows, seed=2)
    assert np.all(free["status"] == 1)
    until = rows.assign(time=np.where(np.arange(100) % 2, 0.0, 8.0), status=0)
    until.loc[0, "status"] = 1
    made = saem.simulate(model, OF_TIMES, until, seed=2)
    happened = (free["time"] <= until["time"]) | (until["status"] == 1)
    np.testing.assert_array_equal(made["status"], happened)
    np.testing.assert_array_equal(made["time"], np.where(happened, free["time"], until["time"]))
    assert 10 < happened.sum() < 50


def test_a_bootstrap_of_times_records_them_in_the_same_way(monkeypatch):
    fit, seen = fitted_times(), []
    monkeypatch.setattr(replicates, "fit_by", lambda model, table, *more, **options: seen.append(table))
    replicates.fit_replicates(fit, np.full((2, len(fit.table)), 1e6), "ml", 0, 1, None, None)
    for _, made in seen[0].groupby(replicates.REPLICATE):
        np.testing.assert_array_equal(made["status"], fit.table["status"])
        watched = (fit.table["status"] == 0).to_numpy()
        np.testing.assert_array_equal(made["time"], np.where(watched, fit.table["time"], 1e6))


def test_conditional_means_modes_and_shrinkage():
    fit = fitted("counts")
    found = saem.random_effects(fit)
    np.testing.assert_array_equal(found.table["mode"], fit.random_effects[:, 0])
    assert 1e-4 < np.abs(found.table["mode"] - found.table["mean"]).max() < 0.2  # the law is not normal
    omega = fit.estimates.loc["omega", "estimate"]
    expected = 1.0 - found.mean[:, 0].var(ddof=1) / omega**2
    np.testing.assert_allclose(found.shrinkage.loc["", "b"], expected)
    assert 0.0 < expected < 0.5


def test_continuous_responses_are_made_uncorrelated_by_drawn_moments():
    fit = fitted("normal")
    data = arrange(fit.model, fit.table)
    rng = [np.random.default_rng(k) for k in (1, 2)]
    made = np.column_stack([family_of(fit.model).draw_response(data, fit.values, *rng) for _ in range(400)])
    own = uncorrelated(data, fit.values, made)[:5]
    np.testing.assert_allclose(own.mean(axis=1), 0.0, atol=5 * 0.05 + 5 * 0.0224)
    np.testing.assert_allclose(np.cov(own), np.eye(5), atol=0.4)
    assert np.linalg.norm(np.corrcoef(made[:5]) - np.eye(5)) > 1.0  # as they were


def test_ranks_given_the_earlier_rows_are_those_of_quadrature():
    """Bernoulli: P(y_2 = 0 | y_1) is a ratio of integrals over the random effect."""
    fit = fitted("chances")
    data = arrange(fit.model, fit.table)
    low, high = conditional_ranks(data, fit.values, 20_000, np.random.default_rng(1), None)
    values = dict(zip(fit.parameters.names, fit.values, strict=True))
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    b, weights = values["mu"] + values["omega"] * nodes, weights / weights.sum()
    for cluster in range(4):
        y = fit.table["y"].to_numpy()[5 * cluster : 5 * cluster + 5]
        earlier = weights.copy()
        for j in range(5):
            p = expit(b + values["slope"] * j)
            none = float(earlier @ (1.0 - p) / earlier.sum())
            expected = (0.0, none) if y[j] == 0 else (none, 1.0)
            np.testing.assert_allclose((low[5 * cluster + j], high[5 * cluster + j]), expected, atol=0.02)
            earlier *= p if y[j] else 1.0 - p


@pytest.mark.parametrize("name", ["normal", "limited", "counts", "chances"])
def test_prediction_errors_of_the_right_model_are_not_refused(name):
    """False alarms: four tests at p < 0.001, and none for these seeds."""
    found = saem.npde(fitted(name), 400, seed=1)
    assert found.table["npde"].notna().all() and found.tests["p"].min() > 0.001
    again = saem.npde(fitted(name), 400, seed=1)
    pd.testing.assert_frame_equal(found.table, again.table)


def test_prediction_errors_see_a_wrong_model():
    fit = fitted("counts")
    table = fit.table.assign(y=np.where(np.arange(len(fit.table)) % 2, 3 * fit.table["y"], fit.table["y"] // 3))
    again = saem.fit(fit.model, table, "ml")
    assert saem.npde(again, 400).tests.loc["global", "p"] < 1e-4


def test_rows_that_say_nothing_have_no_prediction_error():
    fit = fitted_times()
    zero = fit.table.iloc[:8].assign(time=0.0, status=0)
    again = saem.fit(fit.model, pd.concat([fit.table, zero], ignore_index=True), "ml")
    found = saem.npde(again, 200)
    assert found.table["npde"].isna().sum() == 8 and np.isfinite(found.tests["value"].iloc[:3]).all()
    np.testing.assert_allclose(again.values, fit.values, rtol=1e-3)
    assert len(plotting.plot_npde(found, Figure())) == 3


def test_kaplan_and_meier_by_hand():
    times, happened = np.array([3.0, 1.0, 2.0, 2.0, 4.0]), np.array([True, True, True, False, False])
    found = kaplan_meier(times, happened, np.array([0.5, 1.0, 2.0, 2.5, 3.0, 9.0]))
    np.testing.assert_allclose(found, [1.0, 0.8, 0.6, 0.6, 0.3, 0.3])


def test_a_visual_check_of_percentiles_and_of_the_share_beyond_a_limit():
    fit = fitted("limited")
    found = saem.visual_check(fit, draws=50)
    y = fit.table["y"].to_numpy().reshape(-1, 5)
    assert found.kind == "percentiles" and found.column == "time"
    by = found.table.pivot(index="x", columns="quantity", values="observed")
    for p in (10, 50, 90):
        np.testing.assert_allclose(by[f"{p} %"], np.percentile(y, p, axis=0))
    np.testing.assert_allclose(by["beyond a limit"], np.mean(y == 0.5, axis=0))
    beyond = found.table[found.table["quantity"] == "beyond a limit"]
    assert np.all((beyond["lower"] <= beyond["observed"]) & (beyond["observed"] <= beyond["upper"]))
    assert len(plotting.plot_visual_check(found, Figure(layout="constrained"))) == 2


def test_a_visual_check_of_categories():
    found = saem.visual_check(fitted("chances"), draws=50)
    assert found.kind == "shares" and list(dict.fromkeys(found.table["quantity"])) == ["0", "1"]
    for column in ("observed", "median"):
        total = found.table.pivot(index="x", columns="quantity", values=column).sum(axis=1)
        np.testing.assert_allclose(total, 1.0, atol=1e-12 if column == "observed" else 0.05)
    assert len(plotting.plot_visual_check(found, Figure(layout="constrained"))) == 2


def test_a_visual_check_of_times():
    fit = fitted_times()
    found = saem.visual_check(fit, draws=50)
    table = found.table
    assert found.kind == "events" and found.column == "time"
    inside = (table["lower"] <= table["observed"]) & (table["observed"] <= table["upper"])
    assert inside.mean() > 0.8 and table["observed"].is_monotonic_decreasing
    with pytest.raises(ModelError, match="along the time itself"):
        saem.visual_check(fit, "x")


@pytest.mark.parametrize("name", ["normal", "counts", "chances"])
def test_curves_pass_through_the_fitted_values(name):
    fit = fitted(name)
    found = curves(fit, points=9)  # every half a unit of time
    on_rows = found[found["time"] == np.floor(found["time"])]
    residuals = saem.residuals(fit)
    np.testing.assert_allclose(on_rows["individual"], residuals["fitted_conditional"], rtol=1e-9)
    assert on_rows.groupby("time")["typical"].nunique().max() == 1
    (axes,) = plotting.plot_individual(fit, figure=Figure(layout="constrained"), clusters=[3])
    assert axes.get_title() == "3" and len(axes.lines) == 3
    with pytest.raises(ModelError, match=r"no column 'tine' of numbers .did you mean 'time'"):
        curves(fit, "tine")


def test_a_parameter_that_is_called_as_a_column():
    text = NORMAL.replace('columns = ["time"]\n', "")
    rows = design().assign(y=np.arange(125.0))
    with pytest.raises(DataError, match="'time' is taken for a parameter, and the table has the column 'time'"):
        arrange(saem.Model.from_text(text), rows)
    with pytest.raises(DataError, match="add it to columns and write 'Time'"):
        arrange(saem.Model.from_text(text), rows.rename(columns={"time": "Time"}))
    said = saem.Model.from_text(text + '[parameters]\ntime = "real"\n')
    assert "time" in arrange(said, rows).parameters.names


def test_rows_without_a_density_at_the_start_are_named():
    text = HEAD + '[outcome]\ndistribution = "normal"\nmean = "b * log(time - 1)"\nsd = "a"\n'
    model, rows = saem.Model.from_text(text), design(4).assign(y=np.arange(20.0))
    words = r"data row 1 .counted .* and of 7 more of 20 has the log-density nan at the start.*y = 0, time = 0.*mu = "
    with pytest.raises(DataError, match=words):
        pose(model, arrange(model, rows))


def test_one_event_for_every_cluster_is_weakly_identified():
    """A row at time 0 without an event says nothing, and is none of them."""
    rows = pd.DataFrame({"id": np.repeat(np.arange(9), 2), "x": 0, "time": np.tile([0.0, 3.0], 9)})
    rows = rows.assign(status=np.tile([0, 1], 9))
    rows.loc[1, "time"] = 4.0
    found = " ".join(arrange(saem.Model.from_text(TIMES), rows).warnings)
    assert "no cluster has more than one row that tells something" in found and "weakly identified" in found


@pytest.mark.parametrize(("of_y", "of_time"), [(1e6, 1.0), (1e-6, 1.0), (1.0, 1e6)])
def test_starts_are_found_in_any_units(of_y, of_time):
    """The likelihood without random effects is that of a line."""
    fit = fitted("normal")
    table = fit.table.assign(y=of_y * fit.table["y"], time=of_time * fit.table["time"])
    model = saem.Model.from_text(NORMAL)
    start = dict(
        zip(*(lambda p: (p.parameters.names, p.starts.first))(pose(model, arrange(model, table))), strict=True)
    )
    slope, level = np.polyfit(table["time"], table["y"], 1)
    spread = np.std(table["y"] - level - slope * table["time"])
    np.testing.assert_allclose([start["mu"], start["slope"], start["a"]], [level, slope, spread], rtol=0.02)


def test_bins_end_where_values_leave_a_gap(monkeypatch):
    """Of eleven visits: no bin has rows of 12 and of 24 hours; with bins of equal numbers one has."""
    visits = np.array([0.0, 0.25, 0.5, 1.0, 2.0, 3.5, 5.0, 7.0, 9.0, 12.0, 24.0])
    values = np.repeat(visits, 12) + np.tile(np.linspace(0.0, 0.1, 12), 11)

    def mixed() -> bool:
        codes, means = visual_check.binned_by(values, None)
        assert set(codes) == set(range(len(means))) and np.all(np.diff(means) > 0.0)
        return bool(set(codes[values >= 24.0]) & set(codes[values < 13.0]))

    assert not mixed()
    monkeypatch.setattr(visual_check, "NEAR", 0.0)
    assert mixed()


def test_a_visual_check_says_what_is_drawn():
    figure = Figure(layout="constrained")
    axes = plotting.plot_visual_check(saem.visual_check(fitted("chances"), draws=20), figure)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["95 % of drawn data sets", "their median", "the data"]
    assert len({each.get_ylim() for each in axes}) == 1  # shares are compared
    bare = plotting.plot_visual_check(saem.visual_check(fitted("normal"), draws=20), Figure())
    assert "responses" in [text.get_text() for text in bare[0].get_legend().get_texts()]
