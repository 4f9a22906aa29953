"""Stochastic gradient with Fisher preconditioning (Baey, Delattre, Kuhn, Leger & Lemler 2023, algorithm 1).

    draw   z_c ~ p(z_c | y_c; x_k) for every cluster c
    score  v_c = v_c + gamma_k (d log f(y_c, z_c; x_k) - v_c)
    info   F = sum_c v_c v_c' - v v' / C,  v = sum_c v_c              (the Fisher information from first derivatives)
    step   x_{k+1} = restore(x_k + gamma_k T (T' F T)^-1 T' v)

It needs first derivatives of single clusters only, no M-step and no second derivatives; ``T`` spans the tangent space
of the constraints, on which ``restore`` keeps the estimates. The estimate is the maximiser of the complete-data
likelihood at the average of the statistics that were drawn, which has the error of the averaged path and satisfies the
constraints.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from saem.algorithms.base import MonteCarloAlgorithm, Watch
from saem.algorithms.chain import Chain
from saem.algorithms.stepwise import StepwiseEngine
from saem.algorithms.stochastic_newton import newton_weights
from saem.errors import ModelError, MStepError
from saem.information import information_of
from saem.jit import entry
from saem.models.contract import Problem, complete_clusters, draw_clusters
from saem.mstep.restore import move
from saem.schedules import AveragedSchedule, Schedule

Array = np.ndarray
RIDGE = 1e-3  # of its diagonal, added to the information


@entry
def cluster_scores(
    arrays: Any,
    x: Array,
    rng: np.random.Generator,
    m: int,
    clusters: Array,
    statistics: Array,
    scores: Array,
    values: Array,
    hessian: Array,
) -> None:
    """Write statistics (C, s) and complete-data scores (C, n) of clusters, means over ``m`` draws."""
    draw_clusters(arrays, x, rng, m, clusters, statistics)
    complete_clusters(arrays, clusters, statistics, x, values, scores, hessian)


@dataclass(frozen=True)
class FisherGradient(MonteCarloAlgorithm):
    """Preconditioned stochastic gradient ascent.

    Attributes
    ----------
    schedule : Schedule
        A burn-in of SAEM brings the estimate near; then the step sizes of the gradient.
    tolerance, target, search, mstep, truncation
        As in `saem.algorithms.base.MonteCarloAlgorithm`; the M-step is that of the burn-in and of the estimate.
    """

    schedule: Schedule = field(default_factory=lambda: AveragedSchedule(exponent=0.6))
    name: ClassVar[str] = "fisher_gradient"

    def engine(self, problem: Problem, seed: int, watch: Watch | None = None) -> FisherEngine:
        """What runs the iterations for a problem."""
        if problem.clusterwise is None:
            raise ModelError("Fisher preconditioning needs a family that draws single clusters; use method 'saem'")
        if self.sampler is not None:
            raise ModelError("Fisher preconditioning draws single clusters in the family's own way; leave sampler out")
        engine = self.make(FisherEngine, problem, seed, watch)
        engine.clusters = problem.clusterwise()
        return engine.with_maximiser(self.mstep)


class FisherEngine(StepwiseEngine):
    """Iterations of SAEM in the burn-in, then gradient steps."""

    clusters: Any

    def begin(self, start: Array, pinned: Array | None = None, skipped: int = 0) -> Chain:
        """A chain at its start, without scores."""
        chain = super().begin(start, pinned, skipped)
        chain.memory["scores"] = np.zeros((self.problem.n_clusters, len(start)))
        chain.memory["count"] = np.full(1, max(0.0, skipped - 1.0))
        return chain

    def step(self, chain: Chain, gamma: float, m: int, constrained: bool = True) -> None:
        """A step of SAEM in the burn-in, and a gradient step after it."""
        count = chain.memory["count"]
        count[0] += 1.0
        half = self.schedule.burn_in // 2
        if not constrained or count[0] <= half:
            super().step(chain, gamma, m, constrained)
            return
        state, held, n_clusters = chain.state, chain.memory["scores"], self.problem.n_clusters
        statistics = np.empty((n_clusters, self.problem.n_statistics))
        scores, values, total = np.zeros(held.shape), np.empty(n_clusters), np.empty((len(state.x),) * 2)
        everyone = np.arange(n_clusters)
        cluster_scores(self.clusters, state.x, self.rng, m, everyone, statistics, scores, values, total)
        self.count(0, m)
        state.drawn[:] = statistics.sum(axis=0)
        learning = count[0] <= self.schedule.burn_in
        rate = 1.0 / (count[0] - half) if learning else gamma
        held += rate * (scores - held)
        if learning:  # the scores settle at the iterates of SAEM
            state.statistics[:] = state.drawn
            self.maximise(chain)
            return
        state.statistics[:] = state.drawn  # their average belongs to the estimate
        free = self.solver.free & ~chain.pinned
        at = self.solver.derivatives(self.solver.complete(state.drawn), state.x, free)
        score = held.sum(axis=0)
        fisher = held.T @ held - np.outer(score, score) / n_clusters
        fisher += RIDGE * np.diag(np.diag(fisher) + 1e-12 / self.problem.scale**2)
        root = information_of(self.problem, at, np.zeros(len(self.problem.constraints)), fisher, free).root
        if not move(self.problem, self.solver.kinds, state.x, gamma * root @ (root.T @ score), free):
            raise MStepError("a gradient step leads to where the constraints cannot be satisfied", True)

    def weights(self, step_sizes: Array, iota: Array, first: int, averaged: bool) -> Array:
        """Weights of the start and of the draws, as of Newton steps, which these are on average."""
        return newton_weights(step_sizes, iota, first, averaged)
