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

from saem.algorithms.accuracy.error import Directions, law, weights_of
from saem.algorithms.accuracy.first_order import NOT_AVERAGED
from saem.algorithms.course.base import MonteCarloAlgorithm
from saem.algorithms.engine.chain import Chain, Run
from saem.algorithms.engine.stepwise import StepwiseIteration
from saem.algorithms.registry import DECLARED, Declaration
from saem.errors import ModelError, MStepError
from saem.estep.samplers import clusters_of
from saem.estep.score_noise import cluster_scores
from saem.families.problem import Problem
from saem.maxima.information import Information, information_of
from saem.mstep.restore import move
from saem.schedules import AveragedSchedule, Schedule

Array = np.ndarray
LEAST_CLUSTERS = 2  # for each free parameter
LONGEST = 2.0  # standard errors, of a step before it is multiplied by the step size
RIDGE = 1e-3  # of its diagonal, added to the information


@dataclass(frozen=True)
class FisherGradient(MonteCarloAlgorithm):
    """Preconditioned stochastic gradient ascent.

    Attributes
    ----------
    schedule : Schedule
        A burn-in of SAEM brings the estimate near; then the step sizes of the gradient.
    tolerance, target, search, mstep, truncation
        As in `saem.algorithms.course.base.MonteCarloAlgorithm`; the M-step is that of the burn-in and of the estimate.
    """

    schedule: Schedule = field(
        default_factory=lambda: AveragedSchedule(300, 1000, exponent=0.6, transient=200, clock=0.0)
    )
    name: ClassVar[str] = "fisher_gradient"
    declaration: ClassVar[Declaration] = DECLARED["fisher_gradient"]

    def iteration(self, problem: Problem, seed: int) -> FisherIteration:
        """Iterations of SAEM, then gradient steps."""
        free = int((~problem.parameters.fixed).sum()) - len(problem.constraints)
        if problem.clusters.count < LEAST_CLUSTERS * free:
            raise ModelError(
                f"Fisher preconditioning estimates the information of {free} parameters from one score for each "
                f"cluster, and needs {LEAST_CLUSTERS * free} at least; got {problem.clusters.count}. Use method 'saem'"
            )
        if self.sampler is not None:
            raise ModelError("Fisher preconditioning draws single clusters in the family's own way; leave sampler out")
        iteration = self.make(FisherIteration, problem, seed)
        iteration.clusters = clusters_of(problem, iteration.drawing)
        iteration.burn_in = self.schedule.burn_in
        return iteration.with_maximiser(self.mstep)


class FisherIteration(StepwiseIteration):
    """Iterations of SAEM in the burn-in, then gradient steps."""

    plain: ClassVar[str] = "scores are taken cluster by cluster, of plain random effects"

    clusters: Any
    burn_in: int

    def begin(self, start: Array, pinned: Array | None = None, skipped: int = 0) -> Chain:
        """A chain at its start, without scores."""
        chain = super().begin(start, pinned, skipped)
        n = len(start)
        chain.memory |= {"scores": np.zeros((self.problem.clusters.count, n)), "fisher": np.eye(n)}
        chain.memory |= {"count": np.full(1, max(0.0, skipped - 1.0)), "learned": np.zeros(1)}
        return chain

    def step(self, chain: Chain, gamma: float, m: int, constrained: bool = True) -> None:
        """A step of SAEM in the burn-in, in whose second half the scores settle, and a gradient step after it."""
        count, learned, held = chain.memory["count"], chain.memory["learned"], chain.memory["scores"]
        count[0] += 1.0
        if not constrained or count[0] <= self.burn_in // 2:
            super().step(chain, gamma, m, constrained)
            return
        state, n_clusters = chain.state, self.problem.clusters.count
        statistics = np.empty((n_clusters, self.problem.latent.n_statistics))
        scores, values, hessian = np.zeros(held.shape), np.empty(n_clusters), np.empty((len(state.x),) * 2)
        everyone = np.arange(n_clusters)
        cluster_scores(self.clusters, state.x, self.rng, m, everyone, statistics, scores, values, hessian)
        self.spent.count(0, m)
        state.latest[:] = statistics.sum(axis=0)
        state.statistics[:] = state.latest  # their average belongs to the estimate
        learned[0] += 1.0
        held += max(gamma, 1.0 / learned[0]) * (scores - held) if gamma < 1.0 else (scores - held) / learned[0]
        if count[0] <= self.burn_in:
            self.maximise(chain)
            return
        free = self.solver.free & ~chain.pinned
        at = self.solver.derivatives(self.solver.complete(state.latest), state.x, free)
        score = held.sum(axis=0)
        fisher = held.T @ held - np.outer(score, score) / n_clusters
        fisher += RIDGE * np.diag(np.diag(fisher) + 1e-12 / self.problem.scale**2)
        chain.memory["fisher"] = fisher
        root = information_of(self.problem, at, np.zeros(len(self.problem.constraints)), fisher, free).root
        along = root.T @ score  # the step in standard errors
        direction = root @ along * min(1.0, LONGEST / max(float(np.linalg.norm(along)), 1e-300))
        if not move(self.problem, state.x, gamma * direction, free):
            raise MStepError("a gradient step leads to where the constraints cannot be satisfied", True)

    def error(
        self, run: Run, information: Information, missing: Array, noise: Array, top: Array
    ) -> tuple[Array | None, str]:
        """See `Iteration.error`; the rates of the steps are the eigenvalues of ``F^-1 I_o`` on the tangent space."""
        if not run.averaging_from:
            return None, NOT_AVERAGED.format("the gradient")
        free = self.solver.free & ~run.pinned
        at = self.solver.derivatives(self.solver.complete(run.chain.state.statistics), run.x, free)
        nothing = np.zeros(len(self.problem.constraints))
        step = information_of(self.problem, at, nothing, run.chain.memory["fisher"], free).root
        inverse = np.linalg.pinv(information.root) @ step
        rates, turn = np.linalg.eigh(inverse @ inverse.T)  # in coordinates in which the observed information is one
        vectors = information.root @ turn
        along = Directions(vectors, np.minimum(rates, 1.0), vectors.T @ noise @ vectors)
        weights = weights_of(run.step_sizes, along.iota, run.first)
        found = law(along, weights, run.made, run.chain.paths[0][0] - top, run.burn_in, top is run.x)
        if found.is_settled:
            return found.square, ""
        return None, NOT_AVERAGED.format("the Fisher information")
