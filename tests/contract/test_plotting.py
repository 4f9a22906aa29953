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
from saem.plotting import plot_acceptance, plot_deficit, plot_error, plot_estimates, plot_random_effects, plot_trace


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def legend(figure):
    return {text.get_text() for text in figure.legends[0].get_texts()}


ODD = ("$\\frac{a$", "_hidden", "\x1b[31mred\r", "$x$")


def test_texts_of_data_are_no_mathematics():
    """A level may be no formula that can be read, and one that begins with an underscore is not left out."""
    labels = pd.DataFrame({"$\\sum_$": [*ODD, "a" * 500, "b"]})
    fit = handmade_fit(cluster_labels=labels, group_levels=ODD[:2], term_names=("$\\alpha_{$",))
    axes = plot_random_effects(fit, plt.figure().subplots())
    axes.figure.canvas.draw()
    shown = [text.get_text() for text in axes.get_yticklabels()]
    assert r"\$\frac{a\$" in shown and r"\x1b[31mred\r" in shown and max(map(len, shown)) <= 61
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [r"\$\frac{a\$", " _hidden"]
    assert axes.get_xlabel() == r"random effect: \$\alpha_{\$"


@pytest.mark.parametrize("label", ODD)
def test_labels_of_fits_are_no_mathematics(label):
    plot_estimates({label: handmade_fit()})[0].figure.canvas.draw()


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
    assert legend(axes.figure) == {
        "burn-in",
        "averaging starts",
        "path",
        "averaged path",
        "estimate",
        "estimate ± 1.96 MCSE",
    }


def test_trace_of_a_solver_has_no_burn_in():
    exact = {"burn_in": 0, "averaging_from": 0, "path": np.zeros((5, 8)), "mcse": np.zeros(8)}
    (axes,) = plot_trace(handmade_fit(**exact), ["mu"])
    assert legend(axes.figure) == {"path", "estimate"}


def test_the_averaged_path_is_the_running_mean_of_the_iterations_that_are_averaged():
    fit = handmade_fit()
    (axes,) = plot_trace(fit, ["mu"])
    drawn = next(line for line in axes.lines if line.get_label() == "averaged path")
    rows = drawn.get_xdata()
    assert rows[0] == fit.averaging_from + 1 and rows[-1] == len(fit.path) - 2, "not the estimate, which is no iterate"
    naive = [fit.path[fit.averaging_from + 1 : row + 1, 0].mean() for row in rows]
    np.testing.assert_allclose(drawn.get_ydata(), naive, rtol=1e-14)
    too_early = [fit.path[fit.burn_in + 1 : row + 1, 0].mean() for row in rows]
    assert np.abs(drawn.get_ydata() - too_early).max() > 1e-3, "the comparison can fail"


def test_the_band_of_a_trace_is_the_monte_carlo_error():
    fit = handmade_fit()
    (axes,) = plot_trace(fit, ["sigma2"])
    band = next(patch for patch in axes.patches if patch.get_label() == "estimate ± 1.96 MCSE")
    assert band.get_y() == pytest.approx(0.7 - 1.96 * fit.mcse[5])
    assert band.get_height() == pytest.approx(2 * 1.96 * fit.mcse[5])


def test_the_trace_of_chains_has_all_of_them():
    path = handmade_fit().path
    fit = handmade_fit(method="chains", chain_paths=(path, path + 0.1, path[:80]), chains=np.zeros((3, 8)))
    (axes,) = plot_trace(fit, ["mu"])
    lines = {line.get_label(): line for line in axes.lines}
    assert {"chain 1", "chain 2", "chain 3"} < set(lines) and "path" not in lines
    np.testing.assert_array_equal(lines["chain 2"].get_ydata(), path[:, 0] + 0.1)
    assert len({lines[f"chain {k}"].get_color() for k in (1, 2, 3)}) == 3


def test_estimates_have_their_intervals_and_their_monte_carlo_errors():
    fit = handmade_fit()
    first, second = plot_estimates([fit, handmade_fit(method="ml", mcse=np.zeros(8))], ["mu", "sigma1"])
    assert [line.get_xdata()[0] for line in first.lines] == [10.0, 10.0]
    spans = [tuple(np.ravel(lines.get_segments()[0][:, 0])) for lines in first.collections]
    bounds = tuple(fit.intervals().loc["mu"])
    assert spans == [bounds, (10.0 - 1.96 * 0.001, 10.0 + 1.96 * 0.001), bounds], "ML has no Monte Carlo error"
    assert len(second.collections) == 0, "at the boundary there is none"
    assert [tick.get_text() for tick in first.get_yticklabels()] == ["saem", "ml"]


def looked_at(**changes):
    """A fit with three looks, at the last of which the deficit is rounding."""
    columns = {
        "iteration": [250.0, 500, 1000],
        "draws": [1e4, 2e4, 4e4],
        "seconds": [0.1, 0.2, 0.4],
        "loglik": [-100.1, -100.01, -100.0],
        "deficit": [0.1, 0.01, -1e-14],
        "mcse_share": [np.nan, 0.06, 0.04],
        "acceptance": [0.4, 0.3, 0.35],
    }
    return handmade_fit(looks=np.column_stack(list(columns.values())), drawn=40_000, **changes)


def curves(axes):
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def test_the_error_against_the_cost():
    single = handmade_fit(method="chains", drawn=80_000)
    without = handmade_fit(method="stochastic_em", drawn=10, mcse=np.full(8, np.nan))
    axes = plot_error([looked_at(), single, without, handmade_fit(method="ml", drawn=0)], cost="draws")
    lines = curves(axes)
    assert list(lines) == ["saem", "chains", "stochastic_em (not known)", "target 0.05"]
    np.testing.assert_array_equal(lines["saem"].get_xydata(), [[2e4, 0.06], [4e4, 0.04]])
    share = np.nanmax(single.mcse / np.where(single.se > 0, single.se, np.nan))
    np.testing.assert_allclose(lines["chains"].get_xydata(), [[8e4, share]])
    assert axes.get_xscale() == axes.get_yscale() == "log" and axes.get_xlabel() == "random effects drawn"
    assert list(curves(plot_error(looked_at(), cost="seconds"))["saem"].get_xdata()) == [0.2, 0.4]
    assert list(curves(plot_error(looked_at(), cost="iteration"))["saem"].get_xdata()) == [500, 1000]


def test_a_deficit_that_is_rounding_is_drawn_at_the_floor_and_said():
    axes = plot_deficit({"mine": looked_at()})
    np.testing.assert_allclose(curves(axes)["mine"].get_ydata(), [0.1, 0.01, 1e-10])
    (marks,) = [line for line in axes.lines if line.get_marker() == "v"]
    np.testing.assert_array_equal(marks.get_xydata(), [[4e4, 1e-10]])
    assert "less than 1e-10" in axes.get_ylabel()
    higher = plot_deficit(looked_at(), maximum=-99.0)
    np.testing.assert_allclose(curves(higher)["saem"].get_ydata(), [1.1, 1.01, 1.0])
    assert "1e-10" not in higher.get_ylabel()


def test_figures_of_costs_say_what_they_cannot_show():
    with pytest.raises(ModelError, match="did you mean 'draws'"):
        plot_error(looked_at(), cost="draw")
    with pytest.raises(ModelError, match="exact methods draw nothing"):
        plot_deficit(handmade_fit(method="ml", drawn=0))
    with pytest.raises(ModelError, match="different methods or seeds"):
        plot_error([looked_at(), looked_at()])
    assert {"saem, seed 7", "saem, seed 8"} < set(curves(plot_error([looked_at(), looked_at(seed=8)])))


def test_acceptance_where_there_is_a_kernel():
    (line,) = plot_acceptance(looked_at()).lines
    np.testing.assert_array_equal(line.get_xydata(), [[250, 0.4], [500, 0.3], [1000, 0.35]])
    with pytest.raises(ModelError, match="has no acceptance rate"):
        plot_acceptance(handmade_fit())


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
