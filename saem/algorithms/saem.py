"""Stochastic-approximation EM with a constrained M-step (Delyon, Lavielle & Moulines 1999; Polyak & Juditsky 1992).

    E    z_m ~ p(z | y; x_k), m = 1..m_k
    SA   s_{k+1} = s_k + gamma_k (mean_m S(y, z_m) - s_k)
    M    x_{k+1} = argmax { complete(s_{k+1}, x) : c(x) = 0 }

The estimate is the maximiser at the average of the statistics, without its second-order bias
(`saem.algorithms.engine.correction`). A standard deviation whose maximum is zero is approached ever more slowly by any
EM algorithm; where the marginal likelihood says that zero is better, the model without that random effect is fitted,
and the estimate is reported as one on the boundary. Where a direction of the variances stays slow, it goes on with
parameter expansion (`saem.algorithms.engine.handover`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from saem.algorithms.course.base import MonteCarloAlgorithm, Watch
from saem.algorithms.engine.passes import Engine
from saem.algorithms.engine.placement import AUTO
from saem.algorithms.registry import DECLARED, Declaration
from saem.families.problem import Problem


@dataclass(frozen=True)
class SAEM(MonteCarloAlgorithm):
    """Stochastic-approximation EM, with averaging (the default schedule) or any other step sizes.

    Attributes
    ----------
    schedule : Schedule
        `saem.schedules.AveragedSchedule`, `RobbinsMonroSchedule`, or one of your own.
    tolerance, target, search, mstep, truncation
        As in `saem.algorithms.course.base.MonteCarloAlgorithm`.
    """

    name: ClassVar[str] = "saem"
    declaration: ClassVar[Declaration] = DECLARED["saem"]

    def engine(self, problem: Problem, seed: int, watch: Watch | None = None) -> Engine:
        """See `MonteCarloAlgorithm.engine`; it may hand over unless it is to draw or maximise in a given way."""
        engine = super().engine(problem, seed, watch)
        engine.counts.hands_over = int(self.mstep is None and self.sampler is None and self.augmentation == AUTO)
        return engine
