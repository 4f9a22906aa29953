"""Marginal posterior densities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from saem.errors import ModelError
from saem.fitting.result import Fit
from saem.plotting.style import COLOURS, ESTIMATE, chosen, panels, shared_legend, verbatim
from saem.specification.priors import parse_prior

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure, SubFigure

POINTS = 200
MARGIN = 0.08  # of the range of the draws, on both sides


def marginal_densities(fit: Fit, parameters: str | Sequence[str] | None = None) -> pd.DataFrame:
    """Kernel estimates of the marginal posterior densities, chain by chain, beside the priors.

    A normal kernel with Scott's bandwidth, reflected at the bounds of standard deviations and correlations.

    Parameters
    ----------
    fit : Fit
        By "bayes".
    parameters : str or sequence of str, optional
        All that are not fixed if omitted.

    Returns
    -------
    DataFrame with the columns `parameter, chain, value, density, prior`: the densities of the chain and of the prior at
    a value. `prior` is nan for parameters that a constraint determines.

    Raises
    ------
    ModelError
        When the fit has no draws.
    """
    import pandas as pd
    from scipy.stats import gaussian_kde

    if fit.posterior is None:
        raise ModelError(f"only a fit by 'bayes' has a posterior density; this one is by {fit.method!r}")
    parts = []
    for i in chosen(fit, parameters):
        name, draws = fit.parameters.names[i], fit.posterior.draws[:, :, i]
        low, high = fit.parameters.domains.low[i], fit.parameters.domains.high[i]
        margin = MARGIN * np.ptp(draws)
        grid = np.linspace(max(low, draws.min() - margin), min(high, draws.max() + margin), POINTS)
        prior = np.full(POINTS, np.nan)
        if name in fit.posterior.priors:
            prior = parse_prior(fit.posterior.priors[name]).density(grid)
        for chain, own in enumerate(draws):
            kernel = gaussian_kde(own)
            density = kernel(grid)
            for bound in (low, high):
                if np.isfinite(bound):
                    density = density + kernel(2.0 * bound - grid)
            columns = {"parameter": name, "chain": chain, "value": grid, "density": density, "prior": prior}
            parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def plot_posterior(
    fit: Fit,
    parameters: str | Sequence[str] | None = None,
    maximum: Fit | None = None,
    figure: Figure | SubFigure | None = None,
) -> np.ndarray:
    """Marginal posterior densities, one panel a parameter and one line a chain.

    Chains that disagree show as lines that differ, several solutions as several peaks. The dashed line is the prior,
    and the vertical line the estimate by maximum likelihood. The numbers are those of `marginal_densities`.

    Parameters
    ----------
    fit : Fit
        By "bayes".
    parameters : str or sequence of str, optional
        All that are not fixed if omitted.
    maximum : Fit, optional
        Of the same model, by "ml".
    figure : Figure, optional
        Where to draw; a new pyplot figure if omitted.

    Returns
    -------
    (n_parameters,) ndarray of Axes
    """
    shown = chosen(fit, parameters)
    names = [fit.parameters.names[i] for i in shown]
    densities = marginal_densities(fit, names)
    figure, grid = panels(figure, len(names), 2.2)
    for axes, name in zip(grid, names, strict=True):
        own = densities[densities["parameter"] == name]
        for chain, curve in own.groupby("chain"):
            colour = COLOURS[int(chain) % len(COLOURS)]
            axes.plot(curve["value"], curve["density"], color=colour, lw=1.1, label=f"chain {int(chain) + 1}")
        top = float(own["density"].max())
        axes.plot(curve["value"], curve["prior"], color="black", lw=1.0, ls="--", label="prior")
        if maximum is not None:
            value = maximum.values[maximum.parameters.index(name)]
            axes.axvline(value, color=ESTIMATE, lw=1.1, label="maximum likelihood")
        axes.set_title(verbatim(name), fontsize=10)
        axes.set_ylim(0.0, 1.08 * top)
        axes.set_yticks([])
        axes.locator_params(axis="x", nbins=5)
    shared_legend(figure, grid, 6)
    return grid
