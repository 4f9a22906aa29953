"""The study `constraints`: its scenes, methods and estimands, and what theory has of its cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.studies.links import scene_named, true_parameters
from paper.theory.links import Setting, setting
from paper.theory.uniqueness import gain_of, steepness

LINKED, WRONG = "linked", "wrong"  # methods: with the link that the cell names, with another
AT_BORDER = "border"  # the scene across the border of uniqueness, which has figures and numbers of its own
DEPARTING = {"scene": "additive", "link": "posted"}  # where the truth departs from the link by so much, and so much
C2 = {"c2": 1.0}
ESTIMANDS = {  # that a link is to make precise: sums of parameters, by their weights
    "effect1": {"c2": 1.0, "b21": 1.0},
    "effect2": {"c2": 1.0, "b22": 1.0},
    "sigma2": {"sigma2": 1.0},
}
Cell = Mapping[str, Any]


def product(sigma2: float) -> float:
    """``C (1 - 2^d)`` at the truth of a cell at the border."""
    x = true_parameters(AT_BORDER, "posted", sigma2)
    return steepness(gain_of(sigma2**2 - x["sigma1"] ** 2), x["b22"] - x["b21"])


def other_link(cell: Cell) -> str:
    """The link that the method `wrong` fits."""
    return next(link for link in scene_named(cell["scene"]).links if link != cell["link"])


def theory_of(cell: Cell, fitted: str | None = None) -> Setting:
    """What theory has of a cell."""
    return setting(
        cell["scene"], cell["link"], cell["sigma2"], cell["replicates"], departure=cell["departure"], fitted=fitted
    )
