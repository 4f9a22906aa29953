"""The studies in full form, whatever form a digest is of: a number's key is there in either."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from paper.shared.methods import METHODS
from paper.shared.problems import ordered

if TYPE_CHECKING:
    from experiments.harness.study import Study


@cache
def full_form(study: str) -> Study:
    """A study that ships, in its full form."""
    from experiments.harness.study import STUDIES, load_study

    return load_study(STUDIES / f"{study}.toml")


def full_cells(study: str) -> list[dict[str, Any]]:
    """The levels of the factors in every cell."""
    return [dict(cell.levels) for cell in full_form(study).design.all()]


def full_levels(study: str, factor: str) -> tuple[Any, ...]:
    """The levels of a factor."""
    return tuple(dict.fromkeys(cell[factor] for cell in full_cells(study)))


def full_methods(study: str, *left_out: str) -> tuple[str, ...]:
    """The methods of a study but some, in the order in which they are printed."""
    return tuple(name for name in ordered(full_form(study).methods, METHODS) if name not in left_out)
