"""The figures by which a fit is judged: what they show is what the tables have."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from linear_family import PEPTIDE, example_table, examples, peptide_design
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import beta, norm

import saem
from saem import Model, recipes
from saem.errors import ModelError
from saem.plotting import (
    plot_effect_quantiles,
    plot_influence,
    plot_npde,
    plot_observed,
    plot_quantiles,
    plot_residuals,
)
from saem.plotting.influence import named
from saem.plotting.quantiles import quantiles
from saem.plotting.residuals import binned, cells

MODEL = Model.from_text(recipes.text("peptide"))


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def fit() -> saem.Fit:
    return saem.fit(MODEL, example_table(30, 1), "ml")


@pytest.fixture(scope="module")
def residuals(fit: saem.Fit) -> pd.DataFrame:
    return saem.residuals(fit)


def points(axes: Axes, marker: str = "o") -> np.ndarray:
    """All points with this marker, (k, 2)."""
    return np.vstack([line.get_xydata() for line in axes.lines if line.get_marker() == marker])


def test_the_band_of_quantiles() -> None:
    """Order statistics of normals by SciPy's beta; of 2,000 samples each point is inside in 95 %, within 4 errors."""
    found = quantiles([0.3, -1.0, 2.0, np.nan, 0.1])
    assert list(found["observed"]) == [-1.0, 0.1, 0.3, 2.0] and list(found.index) == [1, 4, 0, 2]
    rank = np.arange(1, 5)
    for name, share in (("lower", 0.025), ("expected", 0.5), ("upper", 0.975)):
        np.testing.assert_allclose(found[name], norm.ppf(beta(rank, 5 - rank).ppf(share)), rtol=1e-9)
    samples = np.sort(np.random.default_rng(1).standard_normal((2000, 15)), axis=1)
    band = quantiles(samples[0])

    def share(values: np.ndarray) -> np.ndarray:
        return np.mean((values > band["lower"].to_numpy()) & (values < band["upper"].to_numpy()), axis=0)

    error = np.sqrt(0.95 * 0.05 / 2000)
    assert np.all(np.abs(share(samples) - 0.95) < 4 * error)
    assert np.any(np.abs(share(1.1 * samples) - 0.95) > 4 * error)  # a mutant: values too wide by 10 %
    with pytest.raises(ModelError, match="no value"):
        quantiles([np.nan])
    with pytest.raises(saem.SaemError, match="between 0 and 1"):
        quantiles([1.0], level=95)


def test_quantiles_are_drawn_and_those_outside_in_another_colour(residuals: pd.DataFrame) -> None:
    values = residuals["normalised"].to_numpy().copy()
    values[0] = 9.0
    axes = plot_quantiles(values)
    table = quantiles(values)
    drawn = points(axes)
    assert len(drawn) == len(values)
    np.testing.assert_allclose(np.sort(drawn[:, 1]), table["observed"])
    colours = [line.get_color() for line in axes.lines if line.get_marker() == "o"]
    assert len(set(colours)) == 2
    outside = [line for line in axes.lines if line.get_marker() == "o"][1]
    assert 9.0 in outside.get_ydata()


@pytest.mark.parametrize(
    ("kind", "against"), [("standardised", "fitted_conditional"), ("normalised", "fitted_marginal")]
)
def test_residuals_against_their_fitted_values(residuals: pd.DataFrame, kind: str, against: str) -> None:
    axes = plot_residuals(residuals, kind=kind)
    np.testing.assert_array_equal(points(axes), residuals[[against, kind]].to_numpy())
    largest = residuals[kind].abs().sort_values().index[-3:]
    assert {text.get_text() for text in axes.texts} == {str(label) for label in largest}
    with pytest.raises(ModelError, match="did you mean 'normalised'"):
        plot_residuals(residuals, kind="normalized")


def test_means_of_bins() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=200), rng.normal(size=200)
    found = binned(x, y)
    assert len(found) == 12 and found["rows"].sum() == 200 and found["rows"].between(15, 18).all()
    first = y[np.argsort(x)][: int(found["rows"].iloc[0])]
    assert found["mean"].iloc[0] == pytest.approx(first.mean())
    assert found["se"].iloc[0] == pytest.approx(first.std(ddof=1) / np.sqrt(len(first)))
    few = binned(np.repeat([1.0, 2.0, 4.0], 10), y[:30])
    np.testing.assert_allclose(few["mean"], y[:30].reshape(3, 10).mean(axis=1))
    assert list(few["x"]) == [1.0, 2.0, 4.0] and len(binned(x[:15], y[:15])) == 0


def test_observed_values_by_cell(fit: saem.Fit, residuals: pd.DataFrame) -> None:
    axes = plot_observed(fit, residuals)
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["Ctrl, unmodified", "Ctrl, modified", "CCCP, unmodified", "CCCP, modified"]
    for line in axes.lines:
        if line.get_label() in labels:
            here = (cells(fit) == line.get_label()).to_numpy()
            np.testing.assert_allclose(line.get_ydata(), fit.table["log2_intensity"][here])
            np.testing.assert_allclose(line.get_xdata(), residuals["fitted_conditional"][here])
    large = [line.get_xydata()[0] for line in axes.lines if line.get_markersize() == 9]
    np.testing.assert_allclose(
        large, [(m, m) for m in np.unique(residuals["fitted_marginal"])[[1, 0, 3, 2]]], atol=1e-6
    )
    by_arm = plot_observed(fit, residuals, by="treatment")
    assert [text.get_text() for text in by_arm.get_legend().get_texts()] == ["Ctrl", "CCCP"]
    many = plot_observed(fit, residuals, by=["replicate"])
    assert many.get_legend() is None and len(points(many)) == len(residuals)
    with pytest.raises(ModelError, match="did you mean 'treatment'"):
        plot_observed(fit, residuals, by="treatmnt")
    with pytest.raises(ModelError, match="without its table"):
        plot_observed(replace(fit, table=None), residuals)


def test_prediction_errors_in_three_panels(fit: saem.Fit) -> None:
    found = saem.npde(fit, 200)
    figure = Figure()
    left, middle, right = plot_npde(found, figure)
    assert plt.get_fignums() == [] and left.figure is figure
    np.testing.assert_allclose(np.sort(points(left)[:, 1]), np.sort(found.table["npde"]))
    assert sum(bar.get_height() for bar in middle.patches) == len(found.table)
    (expected,) = [line for line in middle.lines if line.get_label() == "expected"]
    assert sum(expected.get_ydata()) == pytest.approx(len(found.table), rel=0.01)
    np.testing.assert_array_equal(points(right), found.table[["fitted_marginal", "npde"]].to_numpy())
    assert f"p = {found.tests.loc['variance', 'p']:.2g}" in middle.get_title()


def test_influence_names_the_largest(fit: saem.Fit) -> None:
    found = saem.influence(fit)
    axes = plot_influence(found)
    heads = np.vstack([line.get_xydata() for line in axes.lines])
    np.testing.assert_allclose(heads[:, 1], found.table["cooks_distance"])
    top = found.table.sort_values("cooks_distance").iloc[-1]
    label = f"{top.name[0]}, {top.name[1]}: {top['largest']} {top['change']:+.2f} SE"
    assert label in {text.get_text() for text in axes.texts}
    other = plot_influence(found, measure="displacement")
    np.testing.assert_allclose(
        np.vstack([line.get_xydata() for line in other.lines])[:, 1], found.table["displacement"]
    )
    with pytest.raises(ModelError, match="'cooks_distance' or 'displacement'"):
        plot_influence(found, measure="leverage")
    assert named(np.array([1.0, 0.99, 0.5, 0.01, np.nan])) == [0, 2] and named(np.full(3, np.nan)) == []


def test_influence_of_clusters_that_cannot_be_left_out() -> None:
    fit = saem.fit(MODEL, example_table(2, 1), "ml")
    axes = plot_influence(saem.influence(fit))
    (crosses,) = [line for line in axes.lines if line.get_marker() == "x"]
    assert list(crosses.get_xdata()) == [0, 1, 2, 3] and axes.get_ylim()[1] > 1.0
    assert "cannot be left out" in {text.get_text() for text in axes.get_legend().get_texts()}
    assert axes.get_xticklabels()[0].get_text() == "Ctrl, 0"


def test_quantiles_of_random_effects() -> None:
    example = examples()["slopes by arm and device"]
    found = saem.random_effects(saem.fit(example.model, example.table, "ml"))
    axes = plot_effect_quantiles(found, term="slope")
    expected = found.table["standardised"].xs("slope", level="term").dropna()
    np.testing.assert_allclose(np.sort(points(axes)[:, 1]), np.sort(expected))
    with pytest.raises(ModelError, match="did you mean 'slope'"):
        plot_effect_quantiles(found, term="slpe")
    absent = saem.fit(MODEL, saem.simulate(MODEL, PEPTIDE | {"sigma1": 0.0, "sigma2": 0.0}, peptide_design(6), 2), "ml")
    zero = replace(absent, values=np.where(np.array(absent.parameters.names) == "sigma", 0.3, 0.0))
    with pytest.raises(ModelError, match="'intercept' is absent"):
        plot_effect_quantiles(saem.random_effects(zero))
