"""What the examples fit: the peptide experiment with 12 replicates an arm."""

from __future__ import annotations

from itertools import product

import pandas as pd

import saem
from saem import recipes

TRUTH = {"mu": 10.0, "alpha2": -1.0, "b21": 0.5, "b22": 1.2, "sigma1": 0.4, "sigma2": 0.7, "sigma": 0.3}
DESIGN = pd.DataFrame(
    list(product(("Ctrl", "CCCP"), range(1, 13), ("unmodified", "modified"))),
    columns=["treatment", "replicate", "modification"],
)


def model() -> saem.Model:
    """The recipe `peptide`; its constraint gives c2."""
    return saem.Model.from_text(recipes.text("peptide"))


def table() -> pd.DataFrame:
    """Data simulated from the truth."""
    return saem.simulate(model(), TRUTH, DESIGN, seed=1)
