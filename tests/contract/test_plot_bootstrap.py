"""The figure of a bootstrap."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from handmade import handmade_fit
from scipy.stats import chi2

from saem.errors import ModelError
from saem.inference.bootstrap import Bootstrap
from saem.inference.bootstrap_ratio import BootstrapTest
from saem.plotting import plot_bootstrap, plot_ratio


@pytest.fixture
def handmade() -> Bootstrap:
    """100 replicates; one standard deviation is zero in 30 of them, in which a correlation is undefined."""
    fit = handmade_fit()
    rng = np.random.default_rng(1)
    values = fit.values + 0.1 * rng.standard_normal((100, len(fit.values)))
    names = list(fit.parameters.names)
    values[:30, names.index("sigma1")] = 0.0
    values[30:, names.index("sigma1")] = rng.uniform(0.1, 0.6, 70)
    values[:30, names.index("rho")] = np.nan
    yield Bootstrap(fit, pd.DataFrame(values, columns=names), pd.DataFrame(index=range(100)))
    plt.close("all")


def test_every_free_parameter_has_a_histogram_of_all_replicates(handmade: Bootstrap) -> None:
    grid = plot_bootstrap(handmade)
    titles = ["mu", "c2", "alpha2", "sigma1 (30 % at zero)", "sigma2", "rho (30 undefined)", "sigma"]
    assert [axes.get_title() for axes in grid] == titles
    for axes, counted in zip(grid, (100, 100, 100, 100, 100, 70, 100), strict=True):
        bars = [patch for patch in axes.patches if patch.get_y() == 0.0 and patch.get_height() > 0.0]
        heights = [bar.get_height() for bar in bars if bar.get_facecolor()[:3] != matplotlib.colors.to_rgb("#e7e5e4")]
        assert sum(heights) == counted


def test_estimate_interval_and_zeros(handmade: Bootstrap) -> None:
    (axes,) = plot_bootstrap(handmade, ["sigma1"], level=0.8)
    (line,) = axes.lines
    assert set(line.get_xdata()) == {handmade.table.loc["sigma1", "estimate"]}
    band = next(patch for patch in axes.patches if patch.get_facecolor()[:3] == matplotlib.colors.to_rgb("#e7e5e4"))
    ends = handmade.intervals(0.8).loc["sigma1"]
    assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx(tuple(ends))
    zeros = next(patch for patch in axes.patches if patch.get_facecolor()[:3] == (0.0, 0.0, 0.0))
    assert zeros.get_height() == 30 and zeros.get_x() + zeros.get_width() / 2 == pytest.approx(0.0)
    assert "80 %" in axes.figure.get_supxlabel()
    with pytest.raises(ModelError):
        plot_bootstrap(handmade, ["nothing"])


def test_the_law_of_a_ratio() -> None:
    """The share beyond each value of the replicates, those that failed left out."""
    statistic = [0.5, 2.0, np.nan, 4.0, 1.0]
    test = BootstrapTest(1.5, 1, pd.DataFrame({"statistic": statistic, "message": ""}))
    axes = plot_ratio(test)
    drawn, law, observed = axes.lines
    np.testing.assert_allclose(drawn.get_xdata(), [0.5, 1.0, 2.0, 4.0])
    np.testing.assert_allclose(drawn.get_ydata(), [1.0, 0.75, 0.5, 0.25])
    np.testing.assert_allclose(law.get_ydata(), chi2.sf(law.get_xdata(), 1))
    assert set(observed.get_xdata()) == {1.5} and f"p = {test.p:.3g}" in observed.get_label()
