"""The figures of a fit."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from handmade import handmade_fit
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from saem.errors import ModelError
from saem.plotting import plot_random_effects, plot_trace


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_trace_has_a_panel_for_every_free_parameter():
    axes = plot_trace(handmade_fit())
    assert all(isinstance(each, Axes) for each in axes)
    assert [each.get_title() for each in axes] == ["mu", "c2", "alpha2", "sigma1", "sigma2", "rho", "sigma"]
    assert len(axes[0].figure.axes) == 7, "no empty panels"


def test_trace_shows_the_path_and_the_estimate():
    fit = handmade_fit()
    (axes,) = plot_trace(fit, ["sigma2"])
    path = next(line for line in axes.lines if line.get_label() == "path")
    np.testing.assert_array_equal(path.get_ydata(), fit.path[:, 5])
    estimate = next(line for line in axes.lines if line.get_label() == "estimate")
    assert set(estimate.get_ydata()) == {0.7}
    labels = {text.get_text() for text in axes.get_legend().get_texts()}
    assert labels == {"burn-in", "averaging starts", "path", "estimate"}


def test_trace_of_a_solver_has_no_burn_in():
    (axes,) = plot_trace(handmade_fit(burn_in=0, averaging_from=0, path=np.zeros((5, 8))), ["mu"])
    assert {text.get_text() for text in axes.get_legend().get_texts()} == {"path", "estimate"}


def test_a_path_that_hardly_moves_is_drawn_flat():
    path = np.full((50, 8), 10.0) + 1e-12 * np.arange(50)[:, None]
    (axes,) = plot_trace(handmade_fit(path=path), ["mu"])
    low, high = axes.get_ylim()
    assert high - low == pytest.approx(2 * 0.05 * 0.2)


def test_trace_in_a_given_figure_touches_no_pyplot():
    figure = Figure()
    axes = plot_trace(handmade_fit(), figure=figure)
    assert axes[0].figure is figure and plt.get_fignums() == []


def test_trace_of_an_unknown_parameter_suggests_the_nearest():
    with pytest.raises(ModelError, match=r"did you mean 'sigma2'"):
        plot_trace(handmade_fit(), ["sigmaa2"])
    with pytest.raises(ModelError, match="at least one"):
        plot_trace(handmade_fit(), [])
    assert len(plot_trace(handmade_fit(), "mu")) == 1


def test_random_effects_are_sorted_within_their_group():
    fit = handmade_fit()
    axes = plot_random_effects(fit)
    assert isinstance(axes, Axes)
    points = [line for line in axes.lines if line.get_marker() == "o"]
    assert [line.get_label() for line in points] == ["Ctrl", "CCCP"]
    for line, rows in zip(points, (slice(0, 3), slice(3, 6)), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), np.sort(fit.random_effects[rows, 0]))
    assert {tick.get_text().split(", ")[0] for tick in axes.get_yticklabels()[:3]} == {"Ctrl"}


def test_random_effects_have_95_percent_intervals():
    fit = handmade_fit()
    axes = plot_random_effects(fit)
    widths = [path.vertices[1, 0] - path.vertices[0, 0] for lines in axes.collections for path in lines.get_paths()]
    np.testing.assert_allclose(widths, 2 * 1.96 * 0.2)


def test_random_effects_of_many_clusters_and_of_one_group():
    n = 500
    fit = handmade_fit(
        random_effects=np.random.default_rng(0).normal(size=(n, 2)),
        random_effect_sds=np.ones((n, 2)),
        cluster_labels=pd.DataFrame({"s": range(n)}),
        n_clusters=n,
        term_names=("intercept", "days"),
        cluster_group=np.zeros(0, np.int64),
        group_levels=(),
    )
    _, given = plt.subplots()
    axes = plot_random_effects(fit, given, term="days")
    assert axes is given and "500 clusters (s)" in axes.get_ylabel() and axes.get_xlabel().endswith("days")
    with pytest.raises(ModelError, match="did you mean 'days'"):
        plot_random_effects(fit, term="day")
