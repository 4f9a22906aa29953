"""The exact maximum of a likelihood that is integrated, and how far below it other estimates are by the same rules."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

import numpy as np
import pandas as pd

import saem
from saem.estep.placing import Placing
from saem.estep.rules import SCRAMBLES
from saem.estep.settling import settled_of
from saem.families.problem import Problem
from saem.inference.rows import estimate, posed, rows_of
from saem.maxima.simulated import stay
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
        self.placing: Placing = stay(self.arrays, settled_of(self.problem).placing, self.x)

    def deficit(self, values: Mapping[str, float]) -> tuple[float, float]:
        """-2 log-likelihood above that of the maximum, and its Monte Carlo error: of the differences by parts."""
        names = self.problem.parameters.names
        x = self.problem.coordinates.to_inner(np.array([values[name] for name in names]))
        own = [self.heights(point) for point in (self.x, x)]
        away = 2.0 * (own[0] - own[1])
        error = float(away[1:].std(ddof=1) / math.sqrt(SCRAMBLES)) if np.any(self.placing.draws) else 0.0
        return float(away[0]), error

    def heights(self, x: np.ndarray) -> np.ndarray:
        """The log-likelihood (1 + SCRAMBLES,) at ``x`` (n,), by all points and by each part of them."""
        solver, parts = Solver(self.problem), range(SCRAMBLES) if np.any(self.placing.draws) else ()
        objectives = [self.placing.objective(self.arrays, part=part) for part in (None, *parts)]
        return np.array([solver.derivatives(objective, x).value for objective in objectives])
