"""What a figure shows: all of a study where it fits on a page, otherwise a part by a rule that is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from saem.errors import ModelError, listing, nearest
from saem.plotting.style import NORMAL_95

from .style import PAGE

if TYPE_CHECKING:
    import pandas as pd

    from ..results import Results

MOST_METHODS = 15
Names = Sequence[str] | None


@dataclass(frozen=True)
class Choice:
    """What of a study a figure is to show.

    Attributes
    ----------
    estimands, methods, cells : sequence of str, optional
        Names; those that are given are all shown, however high the figure becomes. If omitted as many as fit on a page.
    on : str
        'complete' or 'pairs', as for `performance`.
    """

    estimands: Names = None
    methods: Names = None
    cells: Names = None
    on: str = "complete"

    def lacks(self, *names: str) -> None:
        """Refuse what a figure has no use for.

        Raises
        ------
        ModelError
            When one of these was given.
        """
        for name in names:
            if getattr(self, name) != getattr(ALL, name):
                raise ModelError(f"this figure has no {name} to choose; got {getattr(self, name)!r}: leave it out")


ALL = Choice()


@dataclass(frozen=True)
class Shown:
    """What is shown, in the order of the study.

    Attributes
    ----------
    cells, methods, estimands : tuple of str
    left_out : tuple of str
        What of the study is not shown, in words for the caption.
    on : str
        'complete' or 'pairs'.
    """

    cells: tuple[str, ...]
    methods: tuple[str, ...]
    estimands: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    on: str = "complete"

    @property
    def counts(self) -> tuple[int, int, int]:
        """Numbers of cells, methods and estimands."""
        return len(self.cells), len(self.methods), len(self.estimands)

    def note(self) -> str:
        """What is not shown, as the end of a caption."""
        return f" Not all is shown: {'; '.join(self.left_out)}." if self.left_out else ""


def choose(
    results: Results,
    height: Callable[[int, int, int], float],
    step: int,
    choice: Choice = ALL,
    most_methods: int = MOST_METHODS,
    among: Sequence[str] | None = None,
) -> Shown:
    """What is named, or else as much as fits on a page.

    The rule: the first `most_methods` methods; all estimands, or as many as fit, in steps of `step` and at least so
    many; all cells, or as many as then fit, spread evenly over the design in its order, the first and the last among
    them.

    Parameters
    ----------
    results : Results
    height : callable
        ``height(cells, methods, estimands)``: that of the figure in inches, of numbers of them.
    step : int
        Estimands side by side; 0 shows all estimands.
    choice : Choice
    most_methods : int
    among : sequence of str, optional
        Estimands to choose from if none are given; all if omitted.

    Raises
    ------
    ModelError
        When a name is not known, or a list is empty.
    """
    estimands, methods, cells = choice.estimands, choice.methods, choice.cells
    all_cells = [cell.name for cell in results.study.design.all()]
    known = (("cell", cells, all_cells), ("method", methods, list(results.study.methods)))
    shown = {what: named(what, given, names) for what, given, names in known}
    every = list(results.study.estimands)
    shown["estimand"] = named("estimand", estimands, every) if among is None or estimands is not None else list(among)
    left_out = []
    if methods is None and len(shown["method"]) > most_methods:
        left_out.append(f"the first {most_methods} of {len(shown['method'])} methods")
        shown["method"] = shown["method"][:most_methods]
    n_cells, n_methods = len(shown["cell"]), len(shown["method"])
    n_estimands = len(shown["estimand"])
    if estimands is None and 0 < step < n_estimands and height(n_cells, n_methods, n_estimands) > PAGE:
        fitting = [count for count in range(step, n_estimands, step) if height(n_cells, n_methods, count) <= PAGE]
        shown["estimand"] = shown["estimand"][: max(fitting, default=step)]
        left_out.append(f"{len(shown['estimand'])} of {n_estimands} estimands")
    if cells is None:
        count = n_cells
        while count > 1 and height(count, n_methods, len(shown["estimand"])) > PAGE:
            count -= 1
        if count < n_cells:
            left_out.append(f"{count} of {n_cells} cells, spread evenly over the design")
            places = np.unique(np.linspace(0, n_cells - 1, count).round().astype(int))
            shown["cell"] = [shown["cell"][k] for k in places]
    return Shown(tuple(shown["cell"]), tuple(shown["method"]), tuple(shown["estimand"]), tuple(left_out), choice.on)


def with_values(results: Results, measure: str) -> list[str]:
    """Estimands for which a measure has a value in some cell; all if there are none."""
    found = results.complete
    own = set(found.loc[(found["measure"] == measure) & found["value"].notna(), "estimand"].astype(str))
    return [name for name in results.study.estimands if name in own] or list(results.study.estimands)


def named(what: str, given: Names, known: Sequence[str]) -> list[str]:
    """The names that are given, or all."""
    if given is None:
        return list(known)
    names = [given] if isinstance(given, str) else list(dict.fromkeys(given))
    for name in names:
        if name not in known:
            raise ModelError(f"the study has no {what} {name!r}{nearest(str(name), known)}; it has {listing(known)}")
    if not names:
        raise ModelError(f"a figure needs at least one {what}; got an empty list")
    return names


def measured(results: Results, measures: Sequence[str], shown: Shown) -> pd.DataFrame:
    """Measures of what is shown, a row for every cell, method, estimand and measure, in the order of the study.

    Parameters
    ----------
    results : Results
    measures : sequence of str
        Of `experiments.performance.performance`, or of the study's own.
    shown : Shown

    Returns
    -------
    DataFrame
        Columns `cell`, `method`, `estimand`, `measure`, `value`, `mcse`, `n`, and `lower` and `upper`, 1.96 Monte
        Carlo standard errors below and above. nan, and n = 0, where the study has no result yet.

    Raises
    ------
    ModelError
        When there is no such measure.
    """
    import pandas as pd

    if shown.on not in ("complete", "pairs"):
        raise ModelError(f"on must be 'complete' or 'pairs'; got {shown.on!r}")
    table = results.complete if shown.on == "complete" else results.pairs
    there = [str(name) for name in table["measure"].unique()]
    for name in measures:
        if name not in there:
            raise ModelError(f"there is no measure {name!r}{nearest(name, there)}; there are {listing(there, 60)}")
    keys = ["cell", "method", "estimand", "measure"]
    wanted = pd.MultiIndex.from_product([shown.cells, shown.methods, shown.estimands, measures], names=keys)
    part = table[table["measure"].isin(measures)].drop_duplicates(keys).set_index(keys)
    found = part[["value", "mcse", "n"]].reindex(wanted).reset_index()
    found["n"] = found["n"].fillna(0).astype(int)
    for name, sign in (("lower", -1.0), ("upper", 1.0)):
        found[name] = found["value"] + sign * NORMAL_95 * found["mcse"]
    return found


def grid_of(table: pd.DataFrame, column: str, shown: Shown, estimand: str, measure: str) -> np.ndarray:
    """A column of `measured` as an array (cells, methods)."""
    part = table[(table["estimand"] == estimand) & (table["measure"] == measure)]
    return part[column].to_numpy(float).reshape(len(shown.cells), len(shown.methods))
