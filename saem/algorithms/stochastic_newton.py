"""Stochastic Newton with Louis' information and constraints (Gu & Kong 1998; Cai 2010).

    draw   z_m ~ p(z | y; x_k), m = 1..m_k
    score  u_k = mean_m d log f(y, z_m; x_k)                         (Fisher's identity)
    info   I_k = mean of -d2 log f(y, z; x_j) - Cov d log f(y, z; x_j) over the draws so far      (Louis)
    step   x_{k+1} = restore(x_k + gamma_k V_k u_k),  V_k = T (T' L_k T)^-1 T'

``T`` spans the tangent space of the constraints, ``L`` is the information of the Lagrangian, and ``restore`` brings a
point back onto the constraints. With step sizes like ``1/k`` the last iterate is the mean of all Newton steps, to first
order: whatever the rate of EM, there are no slow directions. The steps begin at the maximiser for the mean statistics
of the second half of the burn-in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from saem.algorithms.accuracy.error import weights_of
from saem.algorithms.course.base import MonteCarloAlgorithm
from saem.algorithms.engine.chain import Chain
from saem.algorithms.engine.stepwise import StepwiseIteration
from saem.algorithms.registry import DECLARED, Declaration
from saem.errors import MStepError
from saem.estep.score_noise import scores_of
from saem.families.problem import Problem
from saem.maxima.information import information_of
from saem.mstep.restore import move
from saem.mstep.solver import Derivatives
from saem.schedules import NewtonSchedule, Schedule

Array = np.ndarray
LONGEST = 2.0  # standard errors, of a step before it is multiplied by the step size
NOISE = 4.0  # over the number of draws: variance of the share of the information that is missing, twofold


@dataclass(frozen=True)
class StochasticNewton(MonteCarloAlgorithm):
    """Robbins-Monro with Newton steps.

    Attributes
    ----------
    schedule : NewtonSchedule
        A burn-in of SAEM, in the second half of which the information is learned, then Newton steps.
    tolerance, target, search, mstep, truncation
        As in `saem.algorithms.course.base.MonteCarloAlgorithm`; the M-step is that of the burn-in.
    """

    schedule: Schedule = field(default_factory=NewtonSchedule)
    name: ClassVar[str] = "stochastic_newton"
    declaration: ClassVar[Declaration] = DECLARED["stochastic_newton"]
    last_iterate: ClassVar[bool] = True

    def iteration(self, problem: Problem, seed: int) -> NewtonIteration:
        """Iterations of SAEM, then Newton steps."""
        iteration = self.make(NewtonIteration, problem, seed)
        iteration.burn_in = self.schedule.burn_in
        return iteration.with_maximiser(self.mstep)


class NewtonIteration(StepwiseIteration):
    """Iterations of SAEM in the burn-in, then Newton steps."""

    draws_singly: ClassVar[bool] = True
    last_is_mean: ClassVar[bool] = True
    burn_in: int

    def begin(self, start: Array, pinned: Array | None = None, skipped: int = 0) -> Chain:
        """A chain at its start, without information."""
        chain = super().begin(start, pinned, skipped)
        n, s = len(start), self.problem.latent.n_statistics
        chain.memory |= {"complete": np.zeros((n, n)), "missing": np.zeros((n, n)), "mean": np.zeros(s)}
        chain.memory |= {"learned": np.zeros(1), "draws": np.zeros(1), "count": np.full(1, max(0.0, skipped - 1.0))}
        return chain

    def reviews(self, burn_in: int) -> tuple[int, ...]:
        """See `Iteration.reviews`; before the information is learned."""
        return (burn_in // 2,)

    def cost(self, chain: Chain, m: int) -> float:
        """Draws of the next iteration."""
        return max(m, len(chain.state.x) + 2) if self.is_learning(chain) else m

    def is_learning(self, chain: Chain) -> bool:
        """Whether the next iteration takes draws one by one."""
        return bool(chain.memory["count"][0] >= self.burn_in // 2)

    def step(self, chain: Chain, gamma: float, m: int, constrained: bool = True) -> None:
        """A step of SAEM with step size one in the burn-in, and a Newton step after it."""
        count, half, burn_in = chain.memory["count"], self.burn_in // 2, self.burn_in
        count[0] += 1.0
        if not constrained or count[0] <= half:
            super().step(chain, gamma, m, constrained)
            return
        state, mean = chain.state, chain.memory["mean"]
        if count[0] == burn_in + 1:
            state.statistics[:] = mean
            state.x[:] = self.maximiser_at(chain, mean)
        statistics = self.draw_each(chain, max(m, len(state.x) + 2))
        state.statistics[:] += gamma * (state.latest - state.statistics)
        free = self.solver.free & ~chain.pinned
        at = self.solver.derivatives(self.solver.complete(state.latest), state.x, free)
        multipliers = self.solver.multipliers
        learned, draws = chain.memory["learned"], chain.memory["draws"]
        learned += 1.0
        draws += len(statistics)
        missing = np.cov(scores_of(self.problem.arrays, statistics, state.x).scores, rowvar=False)
        chain.memory["complete"] += (-at.hessian - chain.memory["complete"]) / learned
        chain.memory["missing"] += (missing - chain.memory["missing"]) * len(statistics) / draws
        if count[0] <= burn_in:
            mean += (state.latest - mean) / learned
            self.maximise(chain)
            return
        root = self.root(chain, at, multipliers, free)
        along = root.T @ at.gradient  # the step in standard errors
        direction = root @ along * min(1.0, LONGEST / max(float(np.linalg.norm(along)), 1e-300))
        if not move(self.problem, state.x, gamma * direction, free):
            raise MStepError("a Newton step leads to where the constraints cannot be satisfied", True)

    def root(self, chain: Chain, at: Derivatives, multipliers: Array, free: Array) -> Array:
        """Columns (n, d) along the tangent space with ``root root' = V``.

        Where so much is missing that the noise of Louis' information exceeds what is left of it, that noise is a lower
        bound: an information near zero would throw the estimate far away.
        """
        complete = information_of(self.problem, at, multipliers, chain.memory["complete"], free).root
        share, turn = np.linalg.eigh(complete.T @ chain.memory["missing"] @ complete)
        least = float(np.sqrt(NOISE / chain.memory["draws"][0]))
        return np.asarray(complete @ turn / np.sqrt(np.maximum(1.0 - share, least)))

    def weights(self, step_sizes: Array, iota: Array, first: int, averaged: bool) -> Array:
        """Weights (K + 1, d) of the start and of the draws in the last iterate.

        The start of the Newton steps is about a mean of such steps over the second half of the burn-in.
        """
        burn_in = int(np.sum(np.cumprod(step_sizes == 1.0)))
        if len(step_sizes) == burn_in:  # it ended before the first Newton step
            return weights_of(step_sizes, iota, first)
        steps = weights_of(step_sizes[burn_in:], np.ones(len(iota)), len(step_sizes) - burn_in - 1)
        weights = np.zeros((len(step_sizes) + 1, len(iota)))
        half = burn_in // 2
        weights[1 + half : 1 + burn_in] = steps[0] / max(1, burn_in - half)
        weights[1 + burn_in :] = steps[1:]
        return weights
