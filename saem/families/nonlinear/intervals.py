"""The intervals in which drawn responses would have been recorded, as the rows of a table tell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saem.errors import ModelError

Floats = NDArray[np.float64]


def coarsened(
    names: tuple[str, str], low: Floats, high: Floats, lowest: float, response: Floats
) -> tuple[Floats, Floats]:
    """The ends (n,) between which responses (n,) would have been known to lie; equal where they would be exact.

    The intervals of all rows are taken for parts of one scale, of rounding or of common visits. Where other rows are
    exact, a response in none of the intervals is exact. Where none is, the scale has no gaps, and goes on beyond its
    ends in steps as long as the outermost interval.

    Parameters
    ----------
    names : (str, str)
        The columns of the ends.
    low, high : (n,) ndarray
        The ends that the table has.
    lowest : float
        Below it no response can be.
    response : (n,) ndarray

    Raises
    ------
    ModelError
        When intervals overlap, or an exact response lies within one: they are parts of no common scale.
    """
    wide = low < high
    if not wide.any():
        return response, response
    ends = np.unique(np.column_stack([low[wide], high[wide]]), axis=0)
    starts, stops, exact = ends[:, 0], ends[:, 1], low[~wide]
    inside = np.searchsorted(starts, exact, side="left") - 1  # the last interval that starts below
    if np.any(starts[1:] < stops[:-1]) or np.any((inside >= 0) & (exact < stops[np.maximum(inside, 0)])):
        raise ModelError(
            f"responses that are known to lie between {names[0]!r} and {names[1]!r} cannot be drawn: intervals of the "
            "table overlap, or hold a response that is exact, so that they are no parts of one scale, and the ends "
            "that would have been seen are not known; leave [outcome] interval out of the model to draw the responses "
            "themselves"
        )
    if len(exact):
        at = np.maximum(np.searchsorted(starts, response, side="left") - 1, 0)
        within = (response > starts[at]) & (response <= stops[at])
        return np.where(within, starts[at], response), np.where(within, stops[at], response)
    edges = np.unique(ends)
    at = np.searchsorted(edges, response, side="left") - 1  # the last edge below
    kept = np.clip(at, 0, len(edges) - 2)
    down, up = edges[1] - edges[0], edges[-1] - edges[-2]
    below = edges[0] - down * np.maximum(np.ceil((edges[0] - response) / down), 1.0)
    above = edges[-1] + up * np.maximum(np.ceil((response - edges[-1]) / up), 1.0)
    outside = [at < 0, at == len(edges) - 1]
    lower = np.select(outside, [below, above - up], edges[kept])
    return np.maximum(lower, lowest), np.select(outside, [below + down, above], edges[kept + 1])
