"""What figures of algorithms share: the look of a method, its curve with error bars, ticks, letters of panels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.harness.figures.style import look
from paper.shared.bars import cut_ends
from paper.shared.methods import METHODS, method_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIRST = ("saem", "mcem", "ml", "saem_once", "minibatch_once", "textbook", "em")  # have a colour of their own each
COLOUR_OF = {"averaged": "textbook", "several": "mcem", "programs": "mcem", "many": "saem", "once": "saem"}
FILLED = ("several", "once")  # of two methods of a colour


def method_look(name: str) -> dict[str, Any]:
    """Colour, marker and line of a method, the same in all figures."""
    known = list(dict.fromkeys([*FIRST, *METHODS]))
    own = look(known.index(name) if name in known else len(known))
    if name in COLOUR_OF:
        colour = method_look(COLOUR_OF[name])["color"]
        own |= {"color": colour, "mec": colour, "mfc": colour if name in FILLED else "white"}
    return own


def letter(axes: Axes, k: int, text: str = "") -> None:
    """The panel's letter above its left end, with what it shows."""
    axes.set_title(f"({chr(ord('a') + k)}) {text}".strip(), loc="left", fontsize=7.5)


def dodged(x: np.ndarray, k: int, count: int, factor: float = 1.025) -> np.ndarray:
    """Places on a logarithmic axis, moved such that the bars of several methods do not hide one another."""
    return np.asarray(x * factor ** (2.0 * k - (count - 1)))


def curve(axes: Axes, x: np.ndarray, y: np.ndarray, errors: np.ndarray, style: dict[str, Any], **changes: Any) -> None:
    """Points joined by a line, with error bars; arrows where these are cut."""
    own = style | {"lw": 0.9, "ms": 3.4, "mew": 0.7, "elinewidth": 0.7, "capsize": 1.2, "capthick": 0.7} | changes
    axes.errorbar(x, y, yerr=errors, **own)
    cut_ends(axes, x, y, errors, style["color"])


def whole_numbers(axes: Axes, levels: Sequence[float]) -> None:
    """Ticks of a logarithmic axis at the levels themselves."""
    from matplotlib.ticker import FixedLocator, NullFormatter

    powers = all(level < 1_000 or float(np.log10(level)).is_integer() for level in levels) and max(levels) > 10_000
    axes.set_xticks(list(levels), [short(level, 1_000 if powers else 10_000) for level in levels])
    axes.xaxis.set_minor_locator(FixedLocator([]))
    axes.xaxis.set_minor_formatter(NullFormatter())


def plain_decades(axis: Any) -> None:
    """Ticks of a logarithmic axis of few decades at 1, 2 and 5, as plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def short(level: float, long: float = 10_000) -> str:
    """`300`, `3,000`, or `$10^6$` for a power of ten that is long."""
    exponent = round(np.log10(level)) if level > 0 else 0
    if level >= long and level == 10**exponent:
        return f"$10^{{{exponent}}}$"
    return f"{level:,.0f}"


def methods_above(figure: Figure, methods: Sequence[str], columns: int) -> None:
    """A legend of methods above all panels."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], label=method_name(name), **(method_look(name) | {"ms": 3.6})) for name in methods]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(columns, len(handles)))
