"""The step size is one throughout, and the draws grow: Monte Carlo EM."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from saem.errors import SaemError
from saem.schedules.contract import Steps
from saem.schedules.writing import check_whole


@dataclass(frozen=True)
class GrowingSchedule:
    """Step size one and ``draws * k ** growth`` draws in iteration ``k``: Monte Carlo EM (Wei & Tanner 1990).

    Attributes
    ----------
    iterations : int
    draws : int
        In the first iteration.
    growth : float
        Exponent of their growth, 0 (fixed) to 3; the error of the last estimate falls only if they grow.
    """

    iterations: int = 150
    draws: int = 10
    growth: float = 1.0

    burn_in: ClassVar[int] = 0

    def longer(self, iterations: int) -> GrowingSchedule:
        """The same with so many iterations."""
        return replace(self, iterations=iterations)

    def __post_init__(self) -> None:
        check_whole(self)
        if self.iterations < 1:
            raise SaemError(f"iterations must be positive; got {self.iterations}")
        if not 0.0 <= self.growth <= 3.0:
            raise SaemError(f"the growth of the number of draws must lie in [0, 3]; got {self.growth}")

    def steps(self, n_latent: int) -> Steps:
        """The schedule, which does not depend on the number of random effects."""
        k = np.arange(1, self.iterations + 1, dtype=float)
        return Steps(np.ones(len(k)), np.ceil(self.draws * k**self.growth).astype(np.int64), len(k))
