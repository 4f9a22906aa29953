"""The picture of all sites."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from saem.plotting.style import look_of

from ...harness.figures.style import new_page, styled, symbol
from ...studies.examine import POSTED
from ...studies.peptide import TRUTH

APART = 0.5  # standard errors, between the ends of two intervals that disagree


@styled
def draw(sites: pd.DataFrame, parameters: pd.DataFrame) -> Figure:
    """How far the ends of both intervals lie apart, by parameter; and the p-values of the posted link."""
    figure = new_page(7.2, 2.85)
    left, right = figure.subplots(1, 2)
    for k, name in enumerate(TRUTH):
        own = np.sort(parameters.loc[parameters["parameter"] == name, "apart"].dropna())
        look = look_of(k) | {"marker": "none"}
        left.step(own, np.arange(1, len(own) + 1) / max(1, len(own)), label=symbol(name), where="post", **look)
    left.axvline(APART, color="0.6", lw=0.8)
    left.set_xscale("log")
    left.set_xlabel("largest distance of the ends of Wald and profile intervals (SE)")
    left.set_ylabel("share of sites with both")
    left.legend(fontsize=6, ncols=2)
    tested = sites[sites["link"] == POSTED].reindex(columns=["p", "p_bootstrap"]).dropna(subset="p")
    bins = np.linspace(0, 1, 21)
    right.hist(tested["p"], bins=bins, color="#6fa5d6", edgecolor="white", label="chi-square")
    own = tested["p_bootstrap"].dropna()
    if len(own):
        right.hist(own, bins=bins, histtype="step", color="black", lw=1.2, label="bootstrap")
        right.legend(fontsize=6)
    right.axhline(len(tested) / 20, color="0.3", lw=0.8, ls="--")
    right.set_xlabel("p-value of the link in the additive model")
    right.set_ylabel(f"sites (of {len(tested)})")
    return figure
