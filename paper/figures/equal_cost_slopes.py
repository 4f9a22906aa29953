"""Algorithms at equal cost without a constraint, parameter expansion among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from experiments.harness.figures.style import styled
from paper.digest import Digest
from paper.shared.dots import equal_cost_page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STUDIES = ("algorithms_slopes",)


@styled
def draw(digests: Mapping[str, Digest]) -> Figure:
    """Random intercepts and slopes."""
    return equal_cost_page(digests["algorithms_slopes"])
