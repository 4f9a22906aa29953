"""An example of a generalised linear mixed model with several grouping factors, for tests that all families pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

import saem
from saem.estep.samplers import drawing_of
from saem.families import arrange, pose
from saem.families.problem import Likelihood, Problem

TEXT = """
family = "glmm"
response = "y"
[predictor]
b0 = "1"
b1 = "x"
[outcome]
distribution = "poisson"
[random.herd]
cluster = "herd"
[random.pen]
cluster = ["herd", "pen"]
"""


def table(seed: int = 5, herds: int = 8) -> pd.DataFrame:
    """Counts in pens, one or two in each herd."""
    rng = np.random.default_rng(seed)
    rows = []
    for herd in range(herds):
        own = 0.6 * rng.standard_normal()
        for pen in range(1 + herd % 2):
            here = own + 0.4 * rng.standard_normal()
            rows += [(herd, pen, x, rng.poisson(np.exp(0.5 + 0.3 * x + here))) for x in np.linspace(-1.0, 1.0, 4)]
    return pd.DataFrame(rows, columns=["herd", "pen", "x", "y"])


def nested(nodes: int = 20) -> Problem:
    """Herds and their pens; half of the herds lack the second."""
    found = pose(saem.Model.from_text(TEXT), arrange(saem.Model.from_text(TEXT), table()))
    return replace(found, arrays=drawing_of(found), likelihood=Likelihood("quadrature", nodes=nodes))


def problems() -> dict[str, Problem]:
    """The examples by name."""
    return {"nested": nested()}
