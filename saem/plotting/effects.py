"""The random effects of a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from saem.errors import ModelError, nearest
from saem.plotting.style import COLOURS, NORMAL_95, new_figure, verbatim

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from saem.fitting.result import Fit


def plot_random_effects(fit: Fit, ax: Axes | None = None, term: str | None = None) -> Axes:
    """Caterpillar plot: the conditional mode of every cluster's random effect with its 95 % interval.

    Clusters are sorted by size within their variance group, and coloured by it.

    Parameters
    ----------
    fit : Fit
    ax : Axes, optional
        Where to draw; a new pyplot figure if omitted.
    term : str, optional
        Which term of the random effects; the first if omitted.
    """
    term = checked_term(fit, term)
    k = fit.term_names.index(term)
    modes, half = fit.random_effects[:, k], NORMAL_95 * fit.random_effect_sds[:, k]
    group = fit.cluster_group if len(fit.cluster_group) else np.zeros(len(modes), np.int64)
    order = np.lexsort((modes, group))
    height = float(np.clip(1.0 + 0.16 * len(modes), 2.5, 9.0))
    axes = new_figure(None, (6.0, height)).subplots() if ax is None else ax
    for g in np.unique(group):
        at = np.flatnonzero(group[order] == g)
        members = order[at]
        colour = COLOURS[g % len(COLOURS)]
        label = (verbatim(fit.group_levels[g]) or None) if g < len(fit.group_levels) else None
        axes.hlines(at, modes[members] - half[members], modes[members] + half[members], color=colour, lw=1.0, alpha=0.7)
        axes.plot(modes[members], at, "o", ms=3.5 if len(modes) <= 200 else 1.0, color=colour, label=label)
    axes.axvline(0.0, color="0.6", lw=0.8, zorder=0)
    columns = verbatim(", ".join(map(str, fit.cluster_labels.columns)))
    if len(modes) <= 60:
        axes.set_yticks(np.arange(len(modes)), [_label(fit, c) for c in order], fontsize=7)
        axes.set_ylabel(columns, fontsize=9)
    else:
        axes.set_yticks([])
        axes.set_ylabel(f"{len(modes):,} {fit.model.label_word}s ({columns})", fontsize=9)
    axes.set_ylim(-1, len(modes))
    axes.set_xlabel(verbatim(f"random effect: {term}"), fontsize=9)
    if any(fit.group_levels):
        axes.legend(fontsize=8, frameon=False, loc="lower right")  # the lowest modes are on the left
    return axes


def checked_term(fit: Fit, term: str | None) -> str:
    """A term of the random effects; the first if none is named."""
    if term is None:
        return fit.term_names[0]
    if term not in fit.term_names:
        raise ModelError(
            f"there is no random-effect term {term!r}{nearest(term, fit.term_names)}; "
            f"the terms are {', '.join(map(repr, fit.term_names))}"
        )
    return term


def _label(fit: Fit, cluster: int) -> str:
    return verbatim(", ".join(str(value) for value in fit.cluster_labels.iloc[cluster]))
