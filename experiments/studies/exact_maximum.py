"""The exact maximum of a likelihood that is integrated, and how far below it other estimates are by the same rules."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

import numpy as np
import pandas as pd

import saem
from saem.estep.integration.placing import Placing
from saem.estep.integration.rules import SCRAMBLES
from saem.estep.integration.settling import settled, settled_of
from saem.families.problem import Problem
from saem.inference.rows import estimate, posed, rows_of
from saem.mstep.solver import Solver


class Maximum:
    """The exact maximum on a table, with the rules of integration that it was found by.

    Attributes
    ----------
    fit : saem.Fit
    seconds : float
        Of processor time.
    """

    def __init__(self, model: saem.Model, table: pd.DataFrame) -> None:
        began = time.process_time()
        self.fit = saem.fit(model, table, "ml")
        self.seconds = time.process_time() - began
        self.problem: Problem = posed(self.fit, rows_of(self.fit)[1])
        assert self.problem.clusters.joint is not None
        self.arrays, self.x = self.problem.clusters.joint(), estimate(self.fit, self.problem)
        self.placing: Placing = settled_of(self.problem).placing

    def deficit(self, values: Mapping[str, float]) -> tuple[float, float]:
        """-2 log-likelihood above that of the maximum, and its Monte Carlo error: of the differences by parts."""
        names = self.problem.parameters.names
        x = self.problem.coordinates.to_inner(np.array([values[name] for name in names]))
        # product rules are good where they were placed only; points of mixtures are the same ones at both
        there = settled(self.arrays, self.problem.clusters.count, x).with_those_of(self.placing, self.placing.draws > 0)
        own = [self.heights(self.placing, self.x), self.heights(there, x)]
        away = 2.0 * (own[0] - own[1])
        error = float(away[1:].std(ddof=1) / math.sqrt(SCRAMBLES)) if np.any(self.placing.draws) else 0.0
        return float(away[0]), error

    def heights(self, placing: Placing, x: np.ndarray) -> np.ndarray:
        """The log-likelihood (1 + SCRAMBLES,) at ``x`` (n,) by some rules, by all points and by each part of them."""
        solver, parts = Solver(self.problem), range(SCRAMBLES) if np.any(self.placing.draws) else ()
        objectives = [placing.objective(self.arrays, part=part) for part in (None, *parts)]
        return np.array([solver.derivatives(objective, x).value for objective in objectives])
