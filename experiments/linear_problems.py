"""Six linear problems on which algorithms are calibrated and ranked: data simulated from a fixed seed, and a model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

import saem
from experiments.peptide import TRUTH, peptide_design, peptide_model

SLOPES = """
response = "y"
cluster = "subject"
[mean]
level = "1"
slope = "day"
[random]
terms = { intercept = "1", slope = "day" }
covariance = "full"
[residual]
sd = "sigma"
"""
GROWTH = {
    "level": 250.0,
    "slope": 10.0,
    "sd_intercept": 24.0,
    "sd_slope": 6.0,
    "corr_intercept_slope": 0.1,
    "sigma": 25.0,
}


@dataclass(frozen=True, eq=False)
class LinearProblem:
    """A model with a table.

    Attributes
    ----------
    name : str
    what : str
        In words.
    model : saem.Model
    table : DataFrame
    """

    name: str
    what: str
    model: saem.Model
    table: pd.DataFrame


def peptide(name: str, what: str, replicates: int, seed: int, keep: float = 1.0, **fixed: float) -> LinearProblem:
    """Peptide data of a size, some rows of which may be missing, with parameters fixed at their true values."""
    model = peptide_model("peptide").replace(fixed=fixed) if fixed else peptide_model("peptide")
    truth = {key: value for key, value in TRUTH.items() if key != "c2"} | fixed
    free = {key: value for key, value in truth.items() if key not in fixed}
    table = saem.simulate(model, free, peptide_design(replicates), seed)
    kept = np.random.default_rng(seed).random(len(table)) < keep
    return LinearProblem(name, what, model, table[kept].reset_index(drop=True))


def growth(name: str, what: str, subjects: int, seed: int) -> LinearProblem:
    """Subjects measured on ten days, with a random intercept and slope."""
    model = saem.Model.from_text(SLOPES)
    rows = pd.MultiIndex.from_product([range(subjects), range(10)], names=["subject", "day"]).to_frame(index=False)
    return LinearProblem(name, what, model, saem.simulate(model, GROWTH, rows, seed))


@lru_cache(maxsize=1)
def six_problems() -> dict[str, LinearProblem]:
    """The problems by name."""
    found = [
        peptide("few", "posted g, 6 replicates an arm", 6, 3),
        peptide("posted", "posted g, 30 replicates an arm", 30, 1),
        peptide("many", "posted g, 300 replicates an arm", 300, 1),
        peptide("over", "b21 = 0: over-identified, 20 replicates an arm", 20, 1, b21=0.0),
        growth("slopes", "random intercept and slope, 18 subjects, 10 days", 18, 1),
        peptide("missing", "posted g, 15 replicates an arm, a quarter of the rows missing", 15, 2, keep=0.75),
    ]
    return {problem.name: problem for problem in found}
