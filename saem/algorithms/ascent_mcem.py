"""Ascent-based Monte Carlo EM: a step counts when it surely climbs (Caffo, Jank & Jones 2005, sections 3.1 to 3.3).

    E    z_m ~ p(z | y; x_k), m = 1..m_k
    M    x' = argmax { mean_m log f(y, z_m; x) : c(x) = 0 }
         D = mean_m L_m,  L_m = log f(y, z_m; x') - log f(y, z_m; x_k),  E = sd(L) / sqrt(m)
         D - q_a E > 0      the step is made;  m_{k+1} = max(m_0, sd(L)^2 (q_a + q_b)^2 / D^2)
         otherwise          m / divisor more draws are added, and the M-step is done again
         D + q_c E < tol    the step is made whatever it is worth: nothing is left to climb

With high probability the likelihood climbs at every step, as in exact EM.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import NormalDist
from typing import ClassVar

import numpy as np

from saem.algorithms.course.base import MOST_DRAWS, MonteCarloAlgorithm
from saem.algorithms.engine.chain import Chain
from saem.algorithms.engine.stepwise import AdaptiveIteration
from saem.algorithms.registry import DECLARED, Declaration
from saem.errors import ModelError
from saem.estep.score_noise import scores_of
from saem.families.problem import Problem
from saem.schedules import GrowingSchedule, Schedule

Array = np.ndarray
MOST = 2.0  # factor by which the draws of an iteration may begin above those of the last


@dataclass(frozen=True)
class AscentMCEM(MonteCarloAlgorithm):
    """Monte Carlo EM that adds draws until a step climbs with high probability.

    Attributes
    ----------
    schedule : GrowingSchedule
        Numbers of iterations before the first look at the target and of draws in the first one; its growth is 0.
    miss, waste, end : float
        Probabilities a, b and c: to make a step that does not climb, to need more draws than planned, and to end early.
    divisor : float
        Draws are added in portions of their number divided by this.
    rise : float
        ``tol``: an expected rise of the log-likelihood below is none.
    tolerance, target, search, mstep, truncation
        As in `saem.algorithms.course.base.MonteCarloAlgorithm`.
    """

    schedule: Schedule = field(default_factory=lambda: GrowingSchedule(20, 20, 0.0))
    miss: float = 0.25
    waste: float = 0.25
    end: float = 0.1
    divisor: float = 3.0
    rise: float = 1e-3
    name: ClassVar[str] = "ascent_mcem"
    declaration: ClassVar[Declaration] = DECLARED["ascent_mcem"]
    most_draws: ClassVar[int | None] = MOST_DRAWS
    last_iterate: ClassVar[bool] = True
    gamma_one: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("miss", "waste", "end"):
            if not 0.0 < getattr(self, name) <= 0.5:
                raise ModelError(f"{name} of ascent-based MCEM must lie in (0, 0.5]; got {getattr(self, name)}")
        if not self.divisor >= 1.0:
            raise ModelError(f"the divisor of ascent-based MCEM must be at least 1; got {self.divisor}")
        if not self.rise > 0.0:
            raise ModelError(f"the rise of ascent-based MCEM must be positive; got {self.rise}")

    def iteration(self, problem: Problem, seed: int) -> AscentIteration:
        """Iterations that add draws until a step climbs."""
        iteration = self.make(AscentIteration, problem, seed)
        iteration.settings = self
        return iteration.with_maximiser(self.mstep)


class AscentIteration(AdaptiveIteration):
    """Iterations of ascent-based Monte Carlo EM."""

    draws_singly: ClassVar[bool] = True
    settings: AscentMCEM

    def step(self, chain: Chain, gamma: float, m: int, constrained: bool = True) -> None:
        """Draw and maximise until the step climbs."""
        settings, first = self.settings, m
        m = self.planned(chain, m)
        normal = NormalDist()
        lower, upper = -normal.inv_cdf(settings.miss), -normal.inv_cdf(settings.end)
        before = chain.state.x.copy()
        statistics = self.draw_each(chain, m)
        while True:
            chain.state.statistics[:] = statistics.mean(axis=0)
            self.maximise(chain, constrained)
            if self.is_racing:
                return
            rise, spread = self.climbed(before, chain.state.x, statistics)
            error = spread / np.sqrt(len(statistics))
            if rise + upper * error < settings.rise:
                self.plan(chain, len(statistics) + int(np.ceil(len(statistics) * self.more(chain))))
                return
            if rise - lower * error > 0.0:
                needed = (spread * (lower - normal.inv_cdf(settings.waste)) / rise) ** 2
                self.plan(chain, int(np.clip(needed, first, MOST * len(statistics))))
                return
            after = chain.state.x.copy()
            chain.state.x[:] = before
            more = self.draw_each(chain, int(np.ceil(len(statistics) / settings.divisor)))
            chain.state.x[:] = after  # a good start for the next M-step
            statistics = np.vstack([statistics, more])
            if not self.spent.admits(0.0):
                return

    def more(self, chain: Chain) -> float:
        """Share of draws that an iteration adds where nothing is left to climb, which makes their number one of k^2.

        By a third each time they would be used up before a slow direction has forgotten where it began.
        """
        return min(1.0 / self.settings.divisor, 2.0 / (1 + chain.done))

    def climbed(self, before: Array, after: Array, statistics: Array) -> tuple[float, float]:
        """Mean and standard deviation of the rise of the complete-data log-likelihood over the draws."""
        arrays = self.problem.arrays
        rises = scores_of(arrays, statistics, after).values - scores_of(arrays, statistics, before).values
        return float(rises.mean()), float(np.sqrt(self.covariance(rises[:, None])[0, 0]))
