"""The random effects of a fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from saem.errors import ModelError, nearest
from saem.inference.random_effects import listed_effects
from saem.plotting.style import COLOURS, NORMAL_95, new_figure, verbatim
from saem.specification.grouping import has_factors

if TYPE_CHECKING:
    import pandas as pd
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
        Which term of the random effects, as `saem.random_effects` names them; of several factors the name of a factor,
        or ``factor.term`` where it has several. The first if omitted.
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
    """The terms of the random effects, as `panels` names them."""
    return list(dict.fromkeys(panels(indexed(fit)[0])))


def panels(index: pd.Index[Any]) -> list[str]:
    """The term (k,) of each random effect of a table; where there are several factors, each factor's are its own."""
    terms = [str(term) for term in index.get_level_values("term")]
    if not {"factor", "level"} <= set(index.names):
        return terms
    factors = [str(factor) for factor in index.get_level_values("factor")]
    several = {factor for factor, term in zip(factors, terms, strict=True) if term != "intercept"}
    return [f"{f}.{t}" if f in several else f for f, t in zip(factors, terms, strict=True)]


def indexed(fit: Fit) -> tuple[pd.MultiIndex, Codes, Codes]:
    """The index (k,) of the random effects of a fit as in `saem.random_effects`, their clusters and coordinates."""
    import pandas as pd

    listed = listed_effects(fit)
    if listed is not None:
        return listed.index, listed.cluster, listed.coordinate
    cluster, coordinate = (each.ravel() for each in np.indices(fit.random_effects.shape))
    rows = fit.cluster_labels.iloc[cluster].reset_index(drop=True)
    rows["term"] = np.array(fit.term_names)[coordinate]
    random: Any = getattr(fit.model, "random", None)
    if has_factors(random):  # a level has the terms of its factor
        own = [term in random[f].terms for f, term in zip(rows["factor"], rows["term"], strict=True)]
        rows, cluster, coordinate = rows[own], cluster[own], coordinate[own]
    return pd.MultiIndex.from_frame(rows), cluster, coordinate


def shown(fit: Fit, term: str | None) -> tuple[dict[str, Any], tuple[Codes, Codes]]:
    """The random effects (k,) of a term: the names of their units by column, and their clusters and coordinates."""
    index, cluster, coordinate = indexed(fit)
    every = panels(index)
    term = checked_term(list(dict.fromkeys(every)), term)
    own = np.flatnonzero(np.array(every) == term)
    frame = index[own].to_frame(index=False).drop(columns="term").dropna(axis=1, how="all")
    if {"factor", "level"} <= set(frame):
        frame = frame.drop(columns="factor")  # the term names it
    names: dict[str, Any] = {str(name): list(values) for name, values in frame.items()}
    return names | {"term": term}, (cluster[own], coordinate[own])
