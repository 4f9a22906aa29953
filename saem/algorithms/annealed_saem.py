"""SAEM with simulated annealing (Lavielle 2014, section 9.3; as in Monolix and saemix), inside the constrained M-step.

    M    x_{k+1} = argmax { complete(s_{k+1}, x) : c(x) = 0, sd_i >= sqrt(tau) sd_{k,i} }     for k <= K_a

A variance may not fall by more than the factor ``tau`` in an iteration, so that the first iterations explore a
flattened likelihood. Monolix and saemix clip the variances after the M-step; here the bounds belong to it, so that
means that are tied to variances follow them. Large variances may lead them to a branch of the constraints that ends;
then the pass is made once more without annealing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from saem.algorithms.course.base import MonteCarloAlgorithm
from saem.algorithms.engine.chain import Chain
from saem.algorithms.engine.stepwise import StepwiseIteration
from saem.algorithms.registry import DECLARED, Declaration
from saem.errors import ModelError
from saem.families.problem import Problem
from saem.mstep import sqp
from saem.mstep.methods.bounded import maximise_above
from saem.schedules import AveragedSchedule, Schedule

Array = np.ndarray


@dataclass(frozen=True)
class AnnealedSAEM(MonteCarloAlgorithm):
    """SAEM whose variances fall slowly at first.

    Attributes
    ----------
    tau : float
        Factor, in (0, 1), by which a variance may fall in an iteration.
    annealing : int
        Iterations with these bounds, from the start of a pass; at most those of the burn-in.
    inflation : float
        Factor by which the standard deviations at the start are larger than those of the data's moments.
    schedule, tolerance, target, search, mstep, truncation
        As in `saem.algorithms.course.base.MonteCarloAlgorithm`.
    """

    schedule: Schedule = field(default_factory=lambda: AveragedSchedule(burn_in=200))
    tau: float = 0.95
    annealing: int = 150
    inflation: float = 2.0
    name: ClassVar[str] = "annealed_saem"
    declaration: ClassVar[Declaration] = DECLARED["annealed_saem"]

    def __post_init__(self) -> None:
        if not 0.0 < self.tau < 1.0:
            raise ModelError(f"tau of the annealing must lie in (0, 1); got {self.tau}")
        if not 0 <= self.annealing <= self.schedule.burn_in:
            raise ModelError(
                f"annealing must lie between 0 and the {self.schedule.burn_in} iterations of the burn-in; "
                f"got {self.annealing}"
            )
        if not self.inflation >= 1.0:
            raise ModelError(f"inflation must be at least 1; got {self.inflation}")

    def iteration(self, problem: Problem, seed: int) -> AnnealedIteration:
        """Iterations with bounds on the variances."""
        iteration = self.make(AnnealedIteration, problem, seed)
        iteration.settings = self
        return iteration.with_maximiser(self.mstep)


class AnnealedIteration(StepwiseIteration):
    """Iterations of SAEM, the first of them with bounds."""

    settings: AnnealedSAEM
    annealed = True

    @contextmanager
    def plainer(self) -> Iterator[None]:
        """See `Iteration.plainer`: without annealing."""
        self.annealed = False
        try:
            yield
        finally:
            self.annealed = True

    def begin(self, start: Array, pinned: Array | None = None, skipped: int = 0) -> Chain:
        """A chain at its start, whose standard deviations are larger where there is a burn-in."""
        chain = super().begin(start, pinned, skipped)
        annealed = self.annealed and not skipped
        chain.memory["annealing"] = np.array([self.settings.annealing if annealed else 0])
        if annealed:
            larger = self.solver.free & ~chain.pinned & self.solver.domains.can_vanish
            chain.state.x[larger] *= self.settings.inflation
        return chain

    def step(self, chain: Chain, gamma: float, m: int, constrained: bool = True) -> None:
        """One iteration of SAEM, with the bounds of the moment."""
        left = chain.memory["annealing"]
        bounded = left[0] > 0 and constrained
        falling = np.where(self.solver.domains.can_vanish, np.sqrt(self.settings.tau) * chain.state.x, -np.inf)
        self.lower = falling if bounded else None
        super().step(chain, gamma, m, constrained)
        self.lower = None
        left[0] = max(0, left[0] - 1)

    lower: Array | None = None

    def solve(self, objective: Any, x: Array, free: Array, constrained: bool) -> sqp.SearchResult:
        """Maximise from ``x``, which is overwritten, above the bounds."""
        if self.lower is None:
            return super().solve(objective, x, free, constrained)

        def inside(objective: Any, x: Array, free: Array) -> sqp.SearchResult:
            return super(AnnealedIteration, self).solve(objective, x, free, constrained)

        return maximise_above(self.solver, inside, objective, x, free, self.lower)
