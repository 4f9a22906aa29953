"""Stochastic Newton with Louis' information and constraints (Gu & Kong 1998; Cai 2010).

    draw   z_m ~ p(z | y; x_k), m = 1..m_k
    score  u_k = mean_m d log f(y, z_m; x_k)                         (Fisher's identity)
    info   I_{k+1} = I_k + (mean_m -d2 log f(y, z_m; x_k) - Cov_m d log f(y, z_m; x_k) - I_k) / (k + 1)      (Louis)
    step   x_{k+1} = restore(x_k + gamma_k V_k u_k),  V_k = T (T' L_k T)^-1 T'

``T`` spans the tangent space of the constraints, ``L`` is the information of the Lagrangian, and ``restore`` brings a
point back onto the constraints. With ``gamma_k = 1/k`` the last iterate is, to first order, the mean of all Newton
steps, whatever the rate of EM: there are no slow directions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from saem.algorithms.base import MonteCarloAlgorithm, Watch
from saem.algorithms.chain import Chain, Run
from saem.algorithms.error import of_average
from saem.algorithms.sampling import scores_of
from saem.algorithms.stepwise import StepwiseEngine
from saem.errors import MStepError
from saem.information import Information, information_of
from saem.models.contract import Problem
from saem.mstep.restore import move
from saem.schedules import NewtonSchedule, Schedule
from saem.streams import stream

Array = np.ndarray


@dataclass(frozen=True)
class StochasticNewton(MonteCarloAlgorithm):
    """Robbins-Monro with Newton steps; the estimate is the last iterate.

    Attributes
    ----------
    schedule : NewtonSchedule
        A burn-in of SAEM, in the second half of which the information is learned, then Newton steps.
    tolerance, target, search, mstep, truncation
        As in `saem.algorithms.base.MonteCarloAlgorithm`; the M-step is that of the burn-in.
    """

    schedule: Schedule = field(default_factory=NewtonSchedule)
    name: ClassVar[str] = "stochastic_newton"

    def engine(self, problem: Problem, seed: int, watch: Watch | None = None) -> NewtonEngine:
        """What runs the iterations for a problem."""
        engine = NewtonEngine(
            problem, self.schedule, self.tolerance, stream(seed, self.name), self.target, watch, self.truncation
        )
        return engine.with_maximiser(self.mstep)


class NewtonEngine(StepwiseEngine):
    """Iterations of SAEM in the burn-in, then Newton steps."""

    def begin(self, start: Array, pinned: Array | None = None, skipped: int = 0) -> Chain:
        """A chain at its start, without information."""
        chain = super().begin(start, pinned, skipped)
        n = len(start)
        chain.memory |= {"information": np.zeros((n, n)), "learned": np.zeros(1), "count": np.zeros(1)}
        return chain

    def step(self, chain: Chain, gamma: float, m: int, constrained: bool = True) -> None:
        """A step of SAEM with step size one in the burn-in, and a Newton step after it."""
        count = chain.memory["count"]
        count[0] += 1.0
        in_burn_in = chain.done + 1 <= self.schedule.burn_in and gamma == 1.0
        if not constrained or (in_burn_in and count[0] <= self.schedule.burn_in // 2):
            super().step(chain, gamma, m, constrained)
            return
        state = chain.state
        statistics = self.draw_each(chain, max(m, len(state.x) + 2))
        state.statistics[:] += gamma * (state.drawn - state.statistics)
        free = self.solver.free & ~chain.pinned
        at = self.solver.derivatives(self.solver.complete(state.drawn), state.x, free)
        multipliers = self.solver.multipliers
        missing = np.cov(scores_of(self.arrays, statistics, state.x).scores, rowvar=False)
        self.learn(chain, -at.hessian, missing)
        if in_burn_in:
            self.maximise(chain)
            return
        information = information_of(self.problem, at, multipliers, chain.memory["information"], free)
        direction = information.root @ (information.root.T @ at.gradient)
        if not move(self.problem, self.solver.kinds, state.x, gamma * direction, free):
            raise MStepError("a Newton step leads to where the constraints cannot be satisfied", True)

    def learn(self, chain: Chain, complete: Array, missing: Array) -> None:
        """Take an iteration's information into the mean; the first has the complete one, which is never singular."""
        learned, information = chain.memory["learned"], chain.memory["information"]
        if learned[0] == 0.0:
            information[:] = complete
        learned[0] += 1.0
        information += (complete - missing - information) / (learned[0] + 1.0)

    def error(self, run: Run, information: Information, missing: Array, noise: Array) -> tuple[Array | None, str]:
        """Monte Carlo covariance of the last iterate: Newton steps weigh ``gamma_k prod_j>k (1 - gamma_j)``."""
        later = np.append(np.cumprod(1.0 - run.step_sizes[:0:-1])[::-1], 1.0)
        weights = run.step_sizes * later
        return of_average(information.root, noise, 1.0 / float(np.sum(weights**2 / run.drawn))), ""
