"""The peptide experiment: the recipe `peptide`, a truth that satisfies its constraint, and data of any size from it."""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import product

import pandas as pd

import saem
from saem import recipes

TREATMENTS = ("Ctrl", "CCCP")
MODIFICATIONS = ("unmodified", "modified")


def g(b21: float, b22: float, sigma1: float, sigma2: float) -> float:
    """The treatment effect c2 that the recipe `peptide` demands."""
    return math.exp(math.log(2) ** 2 / 2 * (sigma2**2 - sigma1**2)) * (1 + 2**b22) / (1 + 2**b21)


TRUTH = {
    "mu": 10.0,
    "c2": g(b21=0.5, b22=1.2, sigma1=0.4, sigma2=0.7),
    "alpha2": -1.0,
    "b21": 0.5,
    "b22": 1.2,
    "sigma1": 0.4,
    "sigma2": 0.7,
    "sigma": 0.3,
}


def peptide_model(recipe: str = "peptide") -> saem.Model:
    """The model of one of the peptide recipes."""
    return saem.Model.from_text(recipes.text(recipe), recipe)


def peptide_design(replicates: int) -> pd.DataFrame:
    """Two rows (unmodified and modified) for each of `replicates` clusters in each of two arms."""
    return _design(replicates).copy(deep=False)  # pandas copies on write


@lru_cache(maxsize=16)
def _design(replicates: int) -> pd.DataFrame:
    rows = product(TREATMENTS, range(1, replicates + 1), MODIFICATIONS)
    return pd.DataFrame(list(rows), columns=["treatment", "replicate", "modification"])


def peptide_table(replicates: int = 60, seed: int = 0) -> pd.DataFrame:
    """Data simulated from the truth."""
    return saem.simulate(peptide_model(), TRUTH, peptide_design(replicates), seed=seed)
