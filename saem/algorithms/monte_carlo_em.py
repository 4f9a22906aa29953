"""Monte Carlo EM with a constrained M-step (Wei & Tanner 1990).

    E    s_{k+1} = mean_m S(y, z_m),  z_m ~ p(z | y; x_k),  m = 1..m_k
    M    x_{k+1} = argmax { complete(s_{k+1}, x) : c(x) = 0 }

It is SAEM's loop with step size one: nothing of earlier draws is kept, so the number of draws has to grow for the
estimates to settle.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from saem.algorithms.course.base import MOST_DRAWS, MonteCarloAlgorithm
from saem.algorithms.registry import DECLARED, Declaration
from saem.schedules import GrowingSchedule, Schedule


@dataclass(frozen=True)
class MonteCarloEM(MonteCarloAlgorithm):
    """Monte Carlo EM; the estimate is the last iterate.

    Attributes
    ----------
    schedule : Schedule
        `saem.schedules.GrowingSchedule`: numbers of draws that grow as a power of the iteration, or are fixed.
    tolerance, target, search, mstep, truncation
        As in `saem.algorithms.course.base.MonteCarloAlgorithm`.
    """

    schedule: Schedule = field(default_factory=GrowingSchedule)
    name: ClassVar[str] = "mcem"
    declaration: ClassVar[Declaration] = DECLARED["mcem"]
    most_draws: ClassVar[int | None] = MOST_DRAWS
