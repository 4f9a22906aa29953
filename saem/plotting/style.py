"""What the figures share: colours, and where they are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from saem.errors import ModelError
from saem.fitting.result import Fit
from saem.system.display import printable

if TYPE_CHECKING:
    from numpy.typing import NDArray

LINE = "#1f5a8a"
ESTIMATE = "#c2410c"
SHADE = "#e7e5e4"
AVERAGE = "#111111"
#: Okabe & Ito's colours but the yellow, which is too light for lines: told apart by colour-blind people too.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
MARKERS = "osD^vPX*"
NORMAL_95 = 1.96
LONGEST = 60  # characters of a text from data

Fits = Fit | Sequence[Fit] | Mapping[str, Fit]


def verbatim(text: object) -> str:
    """A text from data as a figure shows it: no mathematics between dollars, no control characters, not too long.

    Matplotlib also leaves out of legends what begins with an underscore.
    """
    shown = printable(str(text), keep="")
    shown = shown if len(shown) <= LONGEST else shown[: LONGEST - 2] + ".."
    shown = shown.replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def look_of(k: int) -> dict[str, Any]:
    """Colour, marker and line style of the k-th curve; all three differ where the colours come round again."""
    dashes = ("-", "--", ":")[k // len(COLOURS) % 3]
    return {"color": COLOURS[k % len(COLOURS)], "marker": MARKERS[k % len(MARKERS)], "ls": dashes}


def labelled(fits: Fits) -> dict[str, Fit]:
    """One or several fits by their labels: the method, with the seed where a method occurs twice.

    Raises
    ------
    ModelError
        When there is none, or two have the same method and seed.
    """
    if isinstance(fits, Mapping):
        return dict(fits)
    given = [fits] if isinstance(fits, Fit) else list(fits)
    methods = [fit.method for fit in given]
    labels = [
        name if methods.count(name) == 1 else f"{name}, seed {fit.seed}"
        for name, fit in zip(methods, given, strict=True)
    ]
    if not given or len(set(labels)) < len(labels):
        raise ModelError(
            "a figure needs one or several fits with different methods or seeds, or a dict of fits by label; "
            f"got {', '.join(labels) or 'none'}"
        )
    return dict(zip(labels, given, strict=True))


def chosen(fit: Fit, parameters: str | Sequence[str] | None) -> NDArray[np.int64]:
    """Indices (k,) of the parameters to show; all that are not fixed if none are named."""
    if parameters is None:
        return np.flatnonzero(~fit.parameters.fixed)
    names = [parameters] if isinstance(parameters, str) else parameters
    shown = np.array([fit.parameters.index(name) for name in names], dtype=np.int64)
    if not len(shown):
        raise ModelError("the figure needs at least one parameter; got an empty list")
    return shown


def new_figure(figure: Any, size: tuple[float, float]) -> Any:
    """The figure that is given, or else a new pyplot figure, which `plt.show()` will show."""
    if figure is not None:
        return figure
    import matplotlib.pyplot as plt

    return plt.figure(figsize=size, layout="constrained")


def panels(figure: Any, count: int, height: float, sharex: bool = False) -> tuple[Any, np.ndarray]:
    """A figure with so many panels, at most three in a row; empty ones are removed.

    Returns
    -------
    figure : Figure
    grid : (count,) ndarray of Axes
    """
    n_columns = min(3, count)
    n_rows = -(-count // n_columns)
    figure = new_figure(figure, (3.6 * n_columns, 0.8 + height * n_rows))
    grid = figure.subplots(n_rows, n_columns, sharex=sharex, squeeze=False).ravel()
    for axes in grid[count:]:
        axes.remove()
    for axes in grid[:count]:
        axes.tick_params(labelsize=8)
    return figure, np.asarray(grid[:count])


def shared_legend(figure: Any, grid: np.ndarray, columns: int) -> None:
    """One legend of all panels, below them; in the first of them where nothing would make room for it outside."""
    labels: dict[str, Any] = {}
    for axes in grid:
        labels |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    if figure.get_layout_engine() is None:
        grid[0].legend(labels.values(), labels.keys(), fontsize=7, frameon=False)
    else:
        below = {"loc": "outside lower center", "ncols": min(len(labels), columns)}
        figure.legend(labels.values(), labels.keys(), fontsize=8, frameon=False, **below)
