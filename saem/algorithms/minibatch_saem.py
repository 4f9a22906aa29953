"""Mini-batch SAEM for many clusters (Kuhn, Matias & Rebafka 2020).

    batch  a random share of the clusters
    E      z_c ~ p(z_c | y_c; x_k) for the clusters of the batch; the others keep theirs
    SA     s_{k+1} = s_k + gamma_k (sum_c S_c(y_c, z_c) - s_k)
    M      x_{k+1} = argmax { complete(s_{k+1}, x) : c(x) = 0 }

The first iterations move the estimate for a fraction of the cost of a full E-step. What a cluster contributes changes
with every ``1/share``-th iteration only, so that the noise is correlated: a draw is worth ``share / (2 - share)`` of
one in an iteration over all clusters, and ``1 / (2 - share)`` of one at equal numbers of draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from saem.algorithms.course.base import MonteCarloAlgorithm
from saem.algorithms.engine.chain import Chain, Run
from saem.algorithms.engine.stepwise import StepwiseIteration
from saem.algorithms.registry import DECLARED, Declaration
from saem.errors import ModelError
from saem.estep.samplers import clusters_of, shared
from saem.families.contract import draw_clusters
from saem.families.problem import Problem
from saem.maxima.information import Information
from saem.system.jit import entry

Array = np.ndarray
REFRESH = 1000  # iterations after which the running total is summed again, against rounding


@entry
def redraw(
    arrays: Any, x: Array, rng: np.random.Generator, m: int, clusters: Array, held: Array, fresh: Array, total: Array
) -> None:
    """Draw some clusters anew: changes their rows of ``held`` (C, s), and the ``total`` (s,) over all rows."""
    draw_clusters(arrays, x, rng, m, clusters, fresh)
    for i in range(clusters.shape[0]):
        cluster = clusters[i]
        for j in range(total.shape[0]):
            total[j] += fresh[i, j] - held[cluster, j]
            held[cluster, j] = fresh[i, j]


@dataclass(frozen=True)
class MiniBatchSAEM(MonteCarloAlgorithm):
    """SAEM that draws a random share of the clusters in an iteration.

    Attributes
    ----------
    share : float
        In (0, 1]: clusters of a batch, as a share of all.
    schedule, tolerance, target, search, mstep, truncation
        As in `saem.algorithms.course.base.MonteCarloAlgorithm`. The schedule's draws are those of the clusters of a
        batch.
    """

    share: float = 0.2
    name: ClassVar[str] = "minibatch_saem"
    declaration: ClassVar[Declaration] = DECLARED["minibatch_saem"]

    def __post_init__(self) -> None:
        if not 0.0 < self.share <= 1.0:
            raise ModelError(f"the share of a mini-batch must lie in (0, 1]; got {self.share}")

    def iteration(self, problem: Problem, seed: int) -> MiniBatchIteration:
        """Iterations that draw some of the clusters."""
        if self.sampler is not None:
            raise ModelError("mini-batches draw single clusters in the family's own way; leave sampler out")
        iteration = self.make(MiniBatchIteration, problem, seed)
        iteration.clusters = clusters_of(problem, iteration.drawing)
        iteration.size = max(1, round(self.share * problem.clusters.count))
        return iteration.with_maximiser(self.mstep)


class MiniBatchIteration(StepwiseIteration):
    """Iterations of SAEM with mini-batches; the chain remembers the statistics of every cluster."""

    plain: ClassVar[str] = "statistics are kept cluster by cluster, of plain random effects"

    clusters: Any
    size: int

    @property
    def share(self) -> float:
        """Share of the clusters that a batch has."""
        return self.size / self.problem.clusters.count

    def begin(self, start: Array, pinned: Array | None = None, skipped: int = 0) -> Chain:
        """A chain at its start, with no cluster drawn yet."""
        chain = super().begin(start, pinned, skipped)
        chain.memory["held"] = np.zeros((self.problem.clusters.count, self.problem.latent.n_statistics))
        chain.memory["rounds"] = np.zeros(1, dtype=np.int64)
        return chain

    def cost(self, chain: Chain, m: int) -> float:
        """Draws of all random effects in the next iteration: the first draws every cluster."""
        return m if chain.memory["rounds"][0] == 0 else m * self.share

    def draw(self, chain: Chain, m: int) -> None:
        """E-step for the clusters of a batch."""
        state, held, rounds = chain.state, chain.memory["held"], chain.memory["rounds"]
        self.spent.count(0, self.cost(chain, m))
        n = self.problem.clusters.count
        batch = np.arange(n) if rounds[0] == 0 else np.sort(self.rng.choice(n, self.size, replace=False))
        if rounds[0] % REFRESH == 0:
            state.latest[:] = held.sum(axis=0)
        fresh = np.empty((len(batch), self.problem.latent.n_statistics))
        with shared(self.clusters) as drawing:
            redraw(drawing, state.x, self.rng, m, batch, held, fresh, state.latest)
        rounds[0] += 1

    def error(
        self, run: Run, information: Information, missing: Array, noise: Array, top: Array
    ) -> tuple[Array | None, str]:
        """See `Iteration.error`, with the correlation between iterations."""
        return super().error(run, information, missing, (2.0 - self.share) * noise, top)
