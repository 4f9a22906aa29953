"""Axes that show most values well: one that is wild must not make all others a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..tables import with_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WILD = 25.0  # distances from the median, in units of the third quarter of them
LABEL: dict[str, Any] = {"fontsize": 5.5, "zorder": 5, "bbox": {"fc": "white", "ec": "none", "pad": 0.6}}


def calm(values: np.ndarray, always: float | None = None) -> tuple[float, float] | None:
    """Ends of an axis where some values are wild; None where none is.

    A value is wild that is more than `WILD` times as far from the median as the third of four values is. Where most
    values are equal, the smallest distance that is not zero takes its place.

    Parameters
    ----------
    values : ndarray
        What is to be shown, ends of error bars among them; nan and infinite ones do not count.
    always : float, optional
        What the axis has to hold.
    """
    known = values[np.isfinite(values)]
    if len(known) < 4:
        return None
    away = np.abs(known - np.median(known))
    unit = np.quantile(away, 0.75, method="lower") or away[away > 0.0].min(initial=np.inf)
    shown = known[away <= WILD * unit]
    if len(shown) == len(known):
        return None
    ends = [*shown, *([] if always is None else [always])]
    low, high = float(min(ends)), float(max(ends))
    space = 0.05 * (high - low) or abs(high) or 1.0
    return low - space, high + space


def cut_across(axes: Axes, at: np.ndarray, value: np.ndarray, mcse: np.ndarray, ends: tuple[float, float]) -> None:
    """End a horizontal axis, with the numbers of what is beyond it."""
    axes.set_xlim(*ends)
    for place, x, error in zip(at.ravel(), value.ravel(), mcse.ravel(), strict=True):
        if x > ends[1]:
            axes.text(ends[1], place, f"{with_error(x, error)} ▸", ha="right", va="center", **LABEL)
        elif x < ends[0]:
            axes.text(ends[0], place, f"◂ {with_error(x, error)}", ha="left", va="center", **LABEL)


def cut_up(axes: Axes, at: np.ndarray, value: np.ndarray, mcse: np.ndarray, ends: tuple[float, float]) -> None:
    """End a vertical axis, with the numbers of what is beyond it."""
    axes.set_ylim(*ends)
    for place, y, error in zip(at.ravel(), value.ravel(), mcse.ravel(), strict=True):
        if y > ends[1]:
            axes.text(place, ends[1], f"{with_error(y, error)} ▸", ha="center", va="top", rotation=90, **LABEL)
        elif y < ends[0]:
            axes.text(place, ends[0], f"◂ {with_error(y, error)}", ha="center", va="bottom", rotation=90, **LABEL)
