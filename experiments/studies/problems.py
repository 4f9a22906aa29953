"""Linear problems with known truths, from which studies draw data: a model, true values, and a design."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

import saem
from saem.errors import ModelError, listing, nearest

from ..harness.study.cells import Cell
from .peptide import TRUTH, g, peptide_design, peptide_model

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
DAYS = 10


@dataclass(frozen=True, eq=False)
class LinearProblem:
    """What data are drawn from.

    Attributes
    ----------
    name : str
    what : str
        In words.
    model : saem.Model
    truth : mapping of str to float
        The true value of every parameter, the fixed ones among them; they satisfy the constraints.
    design : DataFrame
        The rows of a complete table.
    keep : float
        The probability of a row to be there.
    """

    name: str
    what: str
    model: saem.Model
    truth: Mapping[str, float]
    design: pd.DataFrame
    keep: float = 1.0

    def table(self, seed: int) -> pd.DataFrame:
        """Data: what is drawn with a seed is the same, bit for bit; so are the rows that are missing."""
        table = saem.simulate(self.model, self.truth, self.design, seed)
        if self.keep == 1.0:
            return table
        return table[np.random.default_rng(seed).random(len(table)) < self.keep].reset_index(drop=True)


def peptide(name: str, what: str, replicates: int, keep: float = 1.0, **fixed: float) -> LinearProblem:
    """Peptide data with so many replicates an arm and the posted link; parameters that are fixed are so in truth."""
    model = peptide_model()
    truth = TRUTH | fixed
    truth |= {"c2": g(truth["b21"], truth["b22"], truth["sigma1"], truth["sigma2"])}
    return LinearProblem(
        name, what, model.replace(fixed=fixed) if fixed else model, truth, peptide_design(replicates), keep
    )


def growth(subjects: int) -> LinearProblem:
    """Subjects measured on ten days, with a random intercept and slope, which are correlated."""
    rows = pd.MultiIndex.from_product([range(subjects), range(DAYS)], names=["subject", "day"]).to_frame(index=False)
    what = f"random intercept and slope, {subjects} subjects, {DAYS} days"
    return LinearProblem("slopes", what, saem.Model.from_text(SLOPES), GROWTH, rows)


@cache
def problems() -> dict[str, LinearProblem]:
    """The problems on which algorithms are compared, by name."""
    found = [
        peptide("few", "posted g, 6 replicates an arm", 6),
        peptide("small", "posted g, 10 replicates an arm", 10),
        peptide("posted", "posted g, 30 replicates an arm", 30),
        peptide("many", "posted g, 300 replicates an arm", 300),
        peptide("over", "b21 = 0: over-identified, 20 replicates an arm", 20, b21=0.0),
        peptide("missing", "posted g, 15 replicates an arm, a quarter of the rows missing", 15, keep=0.75),
        growth(18),
    ]
    return {problem.name: problem for problem in found}


@cache
def subjects(count: int) -> LinearProblem:
    """The problem with slopes, with so many subjects."""
    return growth(count)


def problem_of(cell: Cell) -> LinearProblem:
    """The problem of a cell of a study: the one that its factor `problem` names, or that with so many `subjects`.

    Raises
    ------
    ModelError
        When there is no such problem.
    """
    if "subjects" in cell.levels:
        return subjects(int(cell["subjects"]))
    name = str(cell["problem"])
    if name not in problems():
        raise ModelError(
            f"there is no problem {name!r}{nearest(name, problems())}; there are {listing(problems(), 20)}"
        )
    return problems()[name]


def truth_of(cell: Cell) -> Mapping[str, float]:
    """The true values of a cell; nan for what its model fixes, which is not estimated."""
    problem = problem_of(cell)
    return dict(problem.truth) | {name: float("nan") for name in problem.model.fixed}
