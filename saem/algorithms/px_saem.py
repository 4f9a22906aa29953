"""Parameter-expanded SAEM (Lavielle & Meza 2007; PX-EM of Liu, Rubin & Wu 1998).

    E    z_m ~ p(z | y; x_k), m = 1..m_k                       working parameters at the identity
    SA   s_{k+1} = s_k + gamma_k (mean_m S+(y, z_m) - s_k)      statistics of the expanded model
    M    (x, a) = argmax { complete+(s_{k+1}, x, a) : c(x) = 0 }
         x_{k+1} = reduce(x, a)                                the same law of the data, with a at the identity

The working parameters ``a`` rescale the random effects in the likelihood of the rows, so that a step of EM that is
small because the draws remember the old variance becomes a long one. The reduction changes the variances of the random
effects after the constrained maximisation: where a constraint ties them, the algorithm is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from saem.algorithms.base import MonteCarloAlgorithm, Watch
from saem.algorithms.chain import Chain, Run
from saem.algorithms.loop import State
from saem.algorithms.samplers import own_copy
from saem.algorithms.sampling import draw_mean
from saem.algorithms.stepwise import NEARLY, StepwiseEngine
from saem.errors import ModelError
from saem.information import Information, information_of
from saem.models.contract import Expansion, Problem
from saem.mstep import sqp
from saem.mstep.solver import Solver
from saem.streams import offshoot

Array = np.ndarray


@dataclass(frozen=True)
class PXSAEM(MonteCarloAlgorithm):
    """SAEM by parameter expansion.

    Attributes
    ----------
    schedule, tolerance, target, search, truncation
        As in `saem.algorithms.base.MonteCarloAlgorithm`. The M-step is that of the expanded model, so ``mstep`` must
        be None.
    """

    name: ClassVar[str] = "px_saem"

    def engine(self, problem: Problem, seed: int, watch: Watch | None = None) -> PXEngine:
        """What runs the iterations for a problem."""
        if problem.expand is None:
            raise ModelError("parameter expansion needs a family that offers it; use method 'saem'")
        if self.mstep is not None:
            raise ModelError("parameter expansion has an M-step of its own; leave mstep out")
        if self.sampler is not None:
            raise ModelError("parameter expansion draws in the way of the expanded model; leave sampler out")
        engine = self.make(PXEngine, problem, seed, watch)
        return engine.with_expansion(problem.expand())


class PXEngine(StepwiseEngine):
    """Iterations of parameter-expanded SAEM; the state's statistics are those of the expanded model."""

    plain: ClassVar[str] = "parameter expansion scales plain random effects"

    corrects: ClassVar[bool] = False  # the M-step is another, and with it the bias
    expansion: Expansion
    expanded: Solver

    def with_expansion(self, expansion: Expansion) -> PXEngine:
        """This engine with an expanded model."""
        self.expansion, self.expanded = expansion, Solver(expansion.problem)
        self.drawing = own_copy(expansion.problem.arrays)
        return self

    def begin(self, start: Array, pinned: Array | None = None, skipped: int = 0) -> Chain:
        """A chain at its start."""
        chain = super().begin(start, pinned, skipped)
        chain.state = State(start.copy(), *np.zeros((3, self.expansion.problem.n_statistics)))
        return chain

    def draw(self, chain: Chain, m: int) -> None:
        """E-step: write the mean of the expanded statistics over ``m`` draws to the state."""
        draw_mean(self.drawing, self.expansion.extended(chain.state.x), self.rng, m, chain.state.drawn)
        self.spent.count(0, m)

    def maximise(self, chain: Chain, constrained: bool = True) -> None:
        """M-step of the expanded model, and the reduction."""
        chain.state.x[:] = self.maximised(chain, chain.state.statistics, self.tolerance, constrained)

    def maximised(self, chain: Chain, statistics: Array, tolerance: float, constrained: bool = True) -> Array:
        """The reduced maximiser (n,) at expanded statistics."""
        x = self.expansion.extended(chain.state.x)
        free = self.expanded.free.copy()
        n = len(chain.pinned)
        free[:n] &= ~chain.pinned
        for i in np.flatnonzero(chain.pinned):  # the working parameters of an absent effect
            free[list(self.expansion.problem.dependents.get(int(i), ()))] = False
        objective = self.expanded.complete(statistics)
        outcome = self.expanded.maximise(objective, x, free, tolerance=tolerance, constrained=constrained)
        nearly = outcome.status in (sqp.ITERATION_LIMIT, sqp.LINE_SEARCH_FAILED) and outcome.stationarity < NEARLY
        if outcome.status != sqp.CONVERGED and not nearly:
            raise self.failure(x[:n], outcome.status)
        return self.expansion.reduced(x)

    def maximiser_at(self, chain: Chain, statistics: Array) -> Array:
        """The reduced maximiser (n,) at averaged expanded statistics."""
        return self.maximised(chain, statistics, 1e-10)

    def error(
        self, run: Run, information: Information, missing: Array, noise: Array, top: Array
    ) -> tuple[Array | None, str]:
        """See `Engine.error`; less is missing when the working parameters are estimated with the others.

        With the information ``A`` of the expanded complete data and the derivative ``D`` of the reduction, a step has
        the inverse information ``B = D A^-1 D'``, and its score the covariance ``B^-1 - I_o``.
        """
        problem, x = self.expansion.problem, self.expansion.extended(run.x)
        if not problem.has_expectation:
            return super().error(run, information, missing, noise, top)
        expectation = np.empty(problem.n_statistics)
        draw_mean(problem.arrays, x, offshoot(self.rng, "error"), 0, expectation)
        free = self.expanded.free.copy()
        free[: len(run.pinned)] &= ~run.pinned
        at = self.expanded.derivatives(self.expanded.complete(expectation), x, free)
        root = information_of(problem, at, self.expanded.multipliers, -at.hessian, free).root
        inverse = self.slope(x) @ root
        coordinates = np.linalg.pinv(information.root) @ inverse  # in which the observed information is one
        efficient = np.linalg.pinv(coordinates @ coordinates.T) - np.eye(len(coordinates))
        to_scores = np.linalg.pinv(information.root).T
        efficient = to_scores @ efficient @ to_scores.T
        return super().error(run, information, efficient, efficient, top)

    def slope(self, x: Array) -> Array:
        """Derivative (n, n + W) of the reduction, by central differences."""
        columns = []
        for i, size in enumerate(1e-6 * self.expansion.problem.scale):
            step = np.where(np.arange(len(x)) == i, size, 0.0)
            columns.append((self.expansion.reduced(x + step) - self.expansion.reduced(x - step)) / (2.0 * size))
        return np.array(columns).T
