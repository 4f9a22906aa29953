"""What the figures of studies share: sizes, the look of a method, names as they are printed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saem.plotting.style import look_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..study import Study

STYLE = Path(__file__).with_name("study.mplstyle")
COLUMN, FULL, PAGE = 3.5, 7.2, 9.2  # inches: widths of a column and of both, height of a page
DARK, MIDDLE, LIGHT, BAND = "#7f1d06", "#5b7f9c", "#a9cbe3", "0.93"  # dark to light in grey, too
TRUTH = "#111111"
DASHES = (0, (4, 2.5))
LINES = ("-", "--", "-.", ":")
N_MARKERS = 8  # of `look_of`; from there on markers are open
GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi "
    "omega"
).split()


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """A function that draws with the style file, and leaves the settings of matplotlib as they were."""

    @wraps(draw)
    def drawn(*args: Any, **kwargs: Any) -> Figure:
        import matplotlib

        with matplotlib.rc_context(fname=STYLE):
            return draw(*args, **kwargs)

    return drawn


def look(k: int) -> dict[str, Any]:
    """Colour, marker, filling and line style of the k-th method; markers alone tell 16 of them apart."""
    own = look_of(k)
    face = own["color"] if k // N_MARKERS % 2 == 0 else "white"
    return own | {"ls": LINES[k % len(LINES)], "mfc": face, "mec": own["color"]}


def symbol(name: str) -> str:
    """A name as it is printed: `sigma1` and `b21` as symbols with an index, others as they are."""
    match = re.fullmatch(r"([A-Za-z]+?)_?(\d*)", name)
    if match and (match[1] in GREEK or len(match[1]) == 1):
        letter = f"\\{match[1]}" if match[1] in GREEK else match[1]
        return f"${letter}_{{{match[2]}}}$" if match[2] else f"${letter}$"
    return plain(name)


def plain(text: str) -> str:
    """Text that matplotlib does not take for a formula, in one line."""
    return " ".join(str(text).split()).replace("$", r"\$")


BETWEEN = " / "  # levels in the label of a cell
NAME = 4  # letters of a factor's name below which it tells nothing


def shortened(names: Iterable[str], most: int) -> dict[str, str]:
    """Names of at most so many letters, with the middle left out of longer ones; different names stay different."""
    found: dict[str, str] = {}
    for name in names:
        text = short = str(name)
        if len(text) > most:
            tail = most // 3
            short = f"{text[: most - tail - 1]}…{text[len(text) - tail :]}"
        k = 1
        while short in found.values():
            k += 1
            short = f"{text[: most - 1 - len(str(k))]}…{k}"
        found[name] = short
    return {name: plain(short) for name, short in found.items()}


def cell_labels(study: Study, cells: Sequence[str], most: int, lines: int = 1) -> dict[str, str]:
    """Names of cells on so many lines of at most so many letters: names of factors are cut before their levels are.

    Where little would be left of the names, all cells have the levels alone (see `named_by_levels`). Different cells
    have different labels.
    """
    levels = {cell.name: cell.levels for cell in study.design.all()}
    factors = list(next(iter(levels.values())))
    per_line = max(1, -(-len(factors) // lines))
    room = max(4, (most + 2) // per_line - 2)
    bare, bare_per_line = named_by_levels(study, cells, most, lines), max(1, -(-len(factors) // (lines + 1)))
    found: dict[str, str] = {}
    for cell in cells:
        parts = []
        for factor, level in levels[cell].items():
            text, left = f"{factor}={level}", room - len(str(level)) - 2
            if bare:
                text = str(level)
            elif len(text) > room:
                text = f"{factor[:left]}…={level}" if left >= 2 else text[: room - 1] + "…"
            parts.append(plain(text))
        comma, together = (BETWEEN, bare_per_line) if bare else (", ", per_line)
        groups = [comma.join(parts[k : k + together]) for k in range(0, len(parts), together)]
        label, k = "\n".join(groups) or plain(cell), 1
        while label in found.values():
            k += 1
            label = "\n".join([*groups[:-1], f"{groups[-1]} ({k})"])
        found[cell] = label
    return found


def named_by_levels(study: Study, cells: Sequence[str], most: int, lines: int = 1) -> str:
    """The factors in the order in which `cell_labels` has their levels; empty where it has their names, too."""
    levels = {cell.name: cell.levels for cell in study.design.all()}
    factors = list(next(iter(levels.values())))
    per_line = max(1, -(-len(factors) // lines))
    room = max(4, (most + 2) // per_line - 2)
    texts = [[str(level) for level in levels[cell].values()] for cell in cells]
    together = max(1, -(-len(factors) // (lines + 1)))  # one line more than with names
    rows = [BETWEEN.join(row[k : k + together]) for row in texts for k in range(0, len(row), together)]
    left = min(
        (
            room - len(level) - 2
            for row in texts
            for factor, level in zip(factors, row, strict=True)
            if len(f"{factor}={level}") > room
        ),
        default=room,
    )
    return BETWEEN.join(factors) if left < NAME and max(map(len, rows), default=0) <= most + 8 else ""


def new_page(width: float, height: float) -> Figure:
    """A figure of its own, unknown to pyplot."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def label_below(figure: Figure, text: str) -> None:
    """The label of all horizontal axes, in as many lines as the width asks for."""
    figure.supxlabel(folded(text, figure.get_figwidth()))


def label_left(figure: Figure, text: str) -> None:
    """The label of all vertical axes, in as many lines as the height asks for."""
    figure.supylabel(folded(text, figure.get_figheight()))


def folded(text: str, inches: float) -> str:
    """Text in lines that are no longer than this."""
    from textwrap import fill

    return "\n".join(fill(line, int(15.0 * inches)) for line in text.split("\n"))


def legend_above(figure: Figure, handles: Sequence[Any], width: float) -> None:
    """A legend above all panels, as wide as the figure allows; below, it would cover the label of the axis."""
    if handles:
        letters = max(len(str(handle.get_label())) for handle in handles)
        columns = max(1, min(len(handles), int(width / (0.48 + 0.062 * letters))))
        figure.legend(handles=handles, loc="outside upper center", ncols=columns)


def legend_rows(labels: Sequence[str], width: float) -> int:
    """How many lines `legend_above` needs."""
    letters = max((len(label) for label in labels), default=0)
    return -(-len(labels) // max(1, min(len(labels), int(width / (0.48 + 0.062 * letters)))))
