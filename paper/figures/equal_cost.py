"""Algorithms at equal cost: how far below the maximum they are when a budget of random effects is used up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from experiments.harness.figures.style import styled
from paper.digest import Digest
from paper.shared.dots import equal_cost_page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STUDIES = ("algorithms",)


@styled
def draw(digests: Mapping[str, Digest]) -> Figure:
    """Peptide problems, with the link."""
    return equal_cost_page(digests["algorithms"])
