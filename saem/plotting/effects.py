"""The random effects of a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from saem.errors import ModelError, nearest
from saem.fitting.levels import effect_terms, level_effects
from saem.plotting.style import COLOURS, NORMAL_95, new_figure, verbatim

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from saem.fitting.result import Fit


def plot_random_effects(fit: Fit, ax: Axes | None = None, term: str | None = None) -> Axes:
    """Caterpillar plot: the conditional mode of every cluster's random effect with its 95 % interval.

    Clusters are sorted by size within their variance group, and coloured by it; or the levels of a factor.

    Parameters
    ----------
    fit : Fit
    ax : Axes, optional
        Where to draw; a new pyplot figure if omitted.
    term : str, optional
        Which term of the random effects; the first if omitted.
    """
    term, levels = checked_term(fit, term), level_effects(fit)
    if levels is None:
        k = fit.term_names.index(term)
        at: Any = (slice(None), k)
        group = fit.cluster_group
        names = [", ".join(map(str, row)) for row in fit.cluster_labels.itertuples(index=False)]
        columns, word = ", ".join(map(str, fit.cluster_labels.columns)), f"{fit.model.label_word}s"
    else:
        own = levels.of_term(term)
        at, group = (levels.cluster[own], levels.coordinate[own]), np.empty(0, dtype=np.int64)
        names, columns, word = [levels.level[i] for i in own], term.split(".")[0], "levels"
    modes, half = fit.random_effects[at], NORMAL_95 * fit.random_effect_sds[at]
    group = group if len(group) else np.zeros(len(modes), np.int64)
    order = np.lexsort((modes, group))
    height = float(np.clip(1.0 + 0.16 * len(modes), 2.5, 9.0))
    axes = new_figure(None, (6.0, height)).subplots() if ax is None else ax
    for g in np.unique(group):
        places = np.flatnonzero(group[order] == g)
        members = order[places]
        colour = COLOURS[g % len(COLOURS)]
        label = (verbatim(fit.group_levels[g]) or None) if g < len(fit.group_levels) else None
        axes.hlines(
            places, modes[members] - half[members], modes[members] + half[members], color=colour, lw=1.0, alpha=0.7
        )
        axes.plot(modes[members], places, "o", ms=3.5 if len(modes) <= 200 else 1.0, color=colour, label=label)
    axes.axvline(0.0, color="0.6", lw=0.8, zorder=0)
    columns = verbatim(columns)
    if len(modes) <= 60:
        axes.set_yticks(np.arange(len(modes)), [verbatim(names[c]) for c in order], fontsize=7)
        axes.set_ylabel(columns, fontsize=9)
    else:
        axes.set_yticks([])
        axes.set_ylabel(f"{len(modes):,} {word} ({columns})", fontsize=9)
    axes.set_ylim(-1, len(modes))
    axes.set_xlabel(verbatim(f"random effect: {term}"), fontsize=9)
    if any(fit.group_levels):
        axes.legend(fontsize=8, frameon=False, loc="lower right")  # the lowest modes are on the left
    return axes


def checked_term(fit: Fit, term: str | None) -> str:
    """A term of the random effects; the first if none is named."""
    if term is None:
        return effect_terms(fit)[0]
    if term not in effect_terms(fit):
        raise ModelError(
            f"there is no random-effect term {term!r}{nearest(term, effect_terms(fit))}; "
            f"the terms are {', '.join(map(repr, effect_terms(fit)))}"
        )
    return term
