"""Automated Monte Carlo EM: the sandwich error of each step decides the draws (Booth & Hobert 1999, section 4).

    E    s_{k+1} = mean_m S(y, z_m),  z_m ~ p(z | y; x_k),  m = 1..m_k
    M    x_{k+1} = argmax { complete(s_{k+1}, x) : c(x) = 0 }
         V_k = A^-1 Cov(score) A^-1 / m_k,  A the complete-data information at x_{k+1}
         if x_k lies in the confidence ellipsoid of x_{k+1} by V_k:  m_{k+1} = m_k + m_k / divisor

While the steps of EM are larger than their Monte Carlo error few draws do; near the maximum, where a step is swamped by
it, the draws grow.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from saem.algorithms.course.base import MOST_DRAWS, MonteCarloAlgorithm
from saem.algorithms.engine.chain import Chain
from saem.algorithms.engine.stepwise import AdaptiveIteration
from saem.algorithms.registry import DECLARED, Declaration
from saem.errors import ModelError
from saem.estep.score_noise import scores_of
from saem.families.problem import Problem
from saem.maxima.information import information_of
from saem.schedules import GrowingSchedule, Schedule

Array = np.ndarray
NOTHING_MISSING = 1e-12  # of the complete information: directions without Monte Carlo error


@dataclass(frozen=True)
class BoothHobert(MonteCarloAlgorithm):
    """Monte Carlo EM whose number of draws grows when a step is swamped by its Monte Carlo error.

    Attributes
    ----------
    schedule : GrowingSchedule
        Numbers of iterations before the first look at the target and of draws in the first one; its growth is 0.
    confidence : float
        Level of the ellipsoid.
    divisor : float
        The draws grow by their number divided by this.
    tolerance, target, search, mstep, truncation
        As in `saem.algorithms.course.base.MonteCarloAlgorithm`.
    """

    schedule: Schedule = field(default_factory=lambda: GrowingSchedule(20, 20, 0.0))
    confidence: float = 0.75
    divisor: float = 3.0
    name: ClassVar[str] = "booth_hobert"
    declaration: ClassVar[Declaration] = DECLARED["booth_hobert"]
    most_draws: ClassVar[int | None] = MOST_DRAWS
    last_iterate: ClassVar[bool] = True
    gamma_one: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0.0 < self.confidence < 1.0:
            raise ModelError(f"the confidence of Booth & Hobert's ellipsoid must lie in (0, 1); got {self.confidence}")
        if not self.divisor >= 1.0:
            raise ModelError(f"the divisor of Booth & Hobert's rule must be at least 1; got {self.divisor}")

    def iteration(self, problem: Problem, seed: int) -> BoothHobertIteration:
        """Iterations that ask how large a step was."""
        iteration = self.make(BoothHobertIteration, problem, seed)
        iteration.confidence, iteration.divisor = self.confidence, self.divisor
        return iteration.with_maximiser(self.mstep)


class BoothHobertIteration(AdaptiveIteration):
    """Iterations of automated Monte Carlo EM."""

    draws_singly: ClassVar[bool] = True
    confidence: float
    divisor: float

    def step(self, chain: Chain, gamma: float, m: int, constrained: bool = True) -> None:
        """Draw, maximise, and ask whether the step was larger than its error."""
        m = self.planned(chain, m)
        statistics = self.draw_each(chain, m)
        before = chain.state.x.copy()
        chain.state.statistics[:] = chain.state.latest
        self.maximise(chain, constrained)
        if self.is_swamped(chain, before, statistics):
            self.plan(chain, m + int(np.ceil(m / self.divisor)))

    def is_swamped(self, chain: Chain, before: Array, statistics: Array) -> bool:
        """Whether the estimate before the step lies in the confidence ellipsoid around that after it."""
        from scipy.special import chdtri  # takes a tenth of a second to import

        x, m = chain.state.x, len(statistics)
        free = self.solver.free & ~chain.pinned
        at = self.solver.derivatives(self.solver.complete(chain.state.statistics), x, free)
        root = information_of(self.problem, at, self.solver.multipliers, -at.hessian, free).root
        sandwich = root.T @ self.covariance(scores_of(self.problem.arrays, statistics, x).scores) @ root / m
        moved = np.linalg.pinv(root) @ (before - x)  # in the coordinates of the root
        variance, axes = np.linalg.eigh(sandwich)
        noisy = variance * m > NOTHING_MISSING
        distance = float(np.sum((axes.T @ moved)[noisy] ** 2 / variance[noisy]))
        return distance <= float(chdtri(max(1, int(noisy.sum())), 1.0 - self.confidence))
