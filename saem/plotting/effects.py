"""The random effects of a fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from saem.errors import ModelError, nearest
from saem.inference.random_effects import listed_effects
from saem.plotting.style import COLOURS, NORMAL_95, new_figure, verbatim

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from saem.fitting.result import Fit

Codes = NDArray[np.int64]


def plot_random_effects(fit: Fit, ax: Axes | None = None, term: str | None = None) -> Axes:
    """Caterpillar plot: the conditional mode of every cluster's random effect with its 95 % interval.

    Clusters are sorted by size within their variance group, and coloured by it.

    Parameters
    ----------
    fit : Fit
    ax : Axes, optional
        Where to draw; a new pyplot figure if omitted.
    term : str, optional
        Which term of the random effects, as `saem.random_effects` names them; the first if omitted.
    """
    names, places = shown(fit, term)
    modes, half = fit.random_effects[places], NORMAL_95 * fit.random_effect_sds[places]
    group = fit.cluster_group[places[0]] if len(fit.cluster_group) else np.zeros(len(modes), np.int64)
    same = np.array([fit.group_levels.index(level) for level in fit.group_levels])  # one level: numbers of units differ
    group = same[group] if len(same) else group
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
    term, columns = names.pop("term"), verbatim(", ".join(names))
    if len(modes) <= 60:
        axes.set_yticks(
            np.arange(len(modes)),
            [verbatim(", ".join(str(each[k]) for each in names.values())) for k in order],
            fontsize=7,
        )
        axes.set_ylabel(columns, fontsize=9)
    else:
        axes.set_yticks([])
        axes.set_ylabel(f"{len(modes):,} {fit.model.label_word}s ({columns})", fontsize=9)
    axes.set_ylim(-1, len(modes))
    axes.set_xlabel(verbatim(f"random effect: {term}"), fontsize=9)
    if any(fit.group_levels):
        axes.legend(fontsize=8, frameon=False, loc="lower right")  # the lowest modes are on the left
    return axes


def checked_term(names: Sequence[str], term: str | None) -> str:
    """A term of the random effects; the first if none is named."""
    if term is None:
        return names[0]
    if term not in names:
        raise ModelError(
            f"there is no random-effect term {term!r}{nearest(term, names)}; "
            f"the terms are {', '.join(map(repr, names))}"
        )
    return term


def terms_of(fit: Fit) -> list[str]:
    """The terms of the random effects, as `saem.random_effects` names them."""
    listed = listed_effects(fit)
    return list(fit.term_names if listed is None else dict.fromkeys(listed.index.get_level_values("term")))


def shown(fit: Fit, term: str | None) -> tuple[dict[str, Any], tuple[Codes, Codes]]:
    """The random effects (k,) of a term: the names of their units by column, and their clusters and coordinates."""
    listed, term = listed_effects(fit), checked_term(terms_of(fit), term)
    if listed is None:
        every = np.arange(len(fit.random_effects))
        names: dict[str, Any] = {str(name): list(values) for name, values in fit.cluster_labels.items()}
        return names | {"term": term}, (every, np.full(len(every), fit.term_names.index(term)))
    own = np.flatnonzero(listed.index.get_level_values("term") == term)
    frame = listed.index[own].to_frame(index=False).drop(columns="term").dropna(axis=1, how="all")
    names = {str(name): list(values) for name, values in frame.items()}
    return names | {"term": term}, (listed.cluster[own], listed.coordinate[own])
