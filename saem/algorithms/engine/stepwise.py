"""The loop in Python, iteration by iteration: for other M-steps, and for algorithms whose iteration is another.

With the compiled M-step it gives the bits of the compiled loop (`saem.algorithms.engine.loop`), some ten times slower.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np

from saem.algorithms.engine.chain import Chain
from saem.algorithms.engine.iteration import Iteration
from saem.algorithms.engine.loop import MAX_NEWTON
from saem.algorithms.engine.rescue import failure, nearest_solution
from saem.estep.score_noise import batch_means, draw_each, draw_mean
from saem.mstep import sqp
from saem.mstep.maximisers import maximiser_of
from saem.mstep.restore import restore
from saem.mstep.solver import Maximiser

Array = np.ndarray
NEARLY = 1e-3  # gradient, in standard errors, with which an M-step that did not finish is good enough


class StepwiseIteration(Iteration):
    """A block of these iterations is `step` again and again, which algorithms override.

    Attributes
    ----------
    maximiser : Maximiser or None
        Of the M-step; the compiled one if None.
    """

    maximiser: Maximiser | None = None

    def with_maximiser(self, mstep: str | Maximiser | None) -> Self:
        """This iteration with another M-step, if there is one.

        Raises
        ------
        ModelError
            When the maximiser cannot be used for the problem.
        """
        self.maximiser = maximiser_of(mstep)
        if self.maximiser is not None:
            self.maximiser.check(self.problem)
        return self

    def iterate(
        self,
        chain: Chain,
        step_sizes: Array,
        draws: Array,
        averaging_from: int | None = None,
        constrained: bool = True,
    ) -> tuple[Array, Array]:
        """See `Iteration.iterate`."""
        averaging_from = len(step_sizes) if averaging_from is None else averaging_from
        path = np.empty((len(step_sizes), len(chain.state.x)))
        made = np.empty(len(step_sizes))
        n_averaged = max(0, -averaging_from)
        for k, (gamma, m) in enumerate(zip(step_sizes, draws, strict=True)):
            if not self.spent.admits(self.cost(chain, int(m))):
                return path[:k], made[:k]
            before = self.spent.drawn
            self.step(chain, float(gamma), int(m), constrained)
            self.spent.count(1, 0)
            path[k], made[k] = chain.state.x, self.spent.drawn - before
            if k >= averaging_from:
                n_averaged += 1
                self.average(chain, n_averaged)
        return path, made

    def affordable(self, draws: Array) -> int:
        """See `Iteration.affordable`; `iterate` itself looks at the budget of draws, before every iteration."""
        return self.spent.affordable(np.zeros(len(draws)))

    def cost(self, chain: Chain, m: int) -> float:
        """Draws of all random effects that the next iteration will make, where the schedule says ``m``."""
        return m

    def step(self, chain: Chain, gamma: float, m: int, constrained: bool = True) -> None:
        """One iteration: draw, approximate, maximise."""
        state = chain.state
        self.draw(chain, m)
        state.statistics[:] += gamma * (state.latest - state.statistics)
        self.maximise(chain, constrained)

    def draw(self, chain: Chain, m: int) -> None:
        """E-step: write the mean of the statistics over ``m`` draws to the state."""
        draw_mean(self.drawing, chain.state.x, self.rng, m, chain.state.latest)
        self.spent.count(0, m)

    def draw_each(self, chain: Chain, m: int) -> Array:
        """E-step: the statistics (m, s) of single draws; their mean is written to the state."""
        statistics = np.empty((m, self.problem.latent.n_statistics))
        draw_each(self.drawing, chain.state.x, self.rng, statistics)
        chain.state.latest[:] = statistics.mean(axis=0)
        self.spent.count(0, m)
        return statistics

    def maximise(self, chain: Chain, constrained: bool = True) -> None:
        """M-step: the constrained maximiser at the statistics.

        Raises
        ------
        MStepError
            When it fails.
        """
        state, objective = chain.state, self.solver.complete(chain.state.statistics)
        free = self.solver.free & ~chain.pinned
        result = self.solve(objective, state.x, free, constrained)
        if result.status == sqp.CONVERGED or (
            result.status == sqp.ITERATION_LIMIT and (result.stationarity < NEARLY or self.is_single_step)
        ):
            return
        nearest = nearest_solution(self.problem, self.solver, state.x, free) if constrained else None
        if nearest is None:
            raise failure(self.problem, self.solver, state.x, result.status)
        state.x[:] = nearest
        result = self.solve(objective, state.x, free, constrained)
        if result.status not in (sqp.CONVERGED, sqp.ITERATION_LIMIT):
            raise failure(self.problem, self.solver, state.x, result.status)

    def covariance(self, series: Array) -> Array:
        """Covariance (n, n) of single draws of a series (m, n): the long-run one of a Markov kernel."""
        if self.is_markov:
            return batch_means(series)
        return np.atleast_2d(np.cov(series, rowvar=False))

    @property
    def is_single_step(self) -> bool:
        """Whether the M-step only increases the complete-data likelihood (generalised EM)."""
        return self.maximiser is not None and self.maximiser.single_step

    def solve(self, objective: Any, x: Array, free: Array, constrained: bool) -> sqp.SearchResult:
        """Maximise from ``x``, which is overwritten."""
        if self.maximiser is None or not constrained:
            return self.solver.maximise(
                objective, x, free, tolerance=self.tolerance, max_iterations=MAX_NEWTON, constrained=constrained
            )
        search = self.solver.search(objective, x, free, tolerance=self.tolerance, max_iterations=MAX_NEWTON)
        return self.maximiser.maximise(search)

    def estimate(self, chain: Chain, is_averaged: bool) -> Array:
        """See `Iteration.estimate`; a single step need not end on the constraints, and is brought back onto them."""
        x = super().estimate(chain, is_averaged)
        if self.is_single_step:
            restore(self.problem, x, self.solver.free & ~chain.pinned)
        return x

    def maximiser_at(self, chain: Chain, statistics: Array) -> Array:
        """See `Iteration.maximiser_at`; by the M-step that was chosen, unless it is a single step."""
        if self.maximiser is None or self.is_single_step:
            return super().maximiser_at(chain, statistics)
        x: Array = chain.state.x.copy()
        result = self.solve(self.solver.complete(statistics), x, self.solver.free & ~chain.pinned, True)
        if result.status != sqp.CONVERGED:
            raise failure(self.problem, self.solver, x, result.status)
        return x

    def average(self, chain: Chain, n: int) -> None:
        """Take the n-th averaged iteration into the average."""
        chain.state.average[:] += (chain.state.statistics - chain.state.average) / n


class AdaptiveIteration(StepwiseIteration):
    """These iterations decide the number of draws themselves, and keep it in the chain's memory.

    The draws can grow at every iteration, so the target is looked at after every one.
    """

    is_racing = False  # whether starts are compared, with as few draws as in a first iteration
    growth: ClassVar[float] = 1.0
    block: ClassVar[int | None] = 1

    def cost(self, chain: Chain, m: int) -> float:
        """Draws that the next iteration will begin with."""
        return self.planned(chain, m)

    def planned(self, chain: Chain, m: int) -> int:
        """Draws that the next iteration will begin with; ``m`` in the first."""
        return int(chain.memory["draws"][0]) if "draws" in chain.memory else m

    def few_iterations(self, start: Array, k: int, m: int, constrained: bool = True) -> Array:
        """See `Iteration.few_iterations`; the draws do not grow."""
        self.is_racing = True
        try:
            return super().few_iterations(start, k, m, constrained)
        finally:
            self.is_racing = False

    def plan(self, chain: Chain, m: int) -> None:
        """Set the draws of the next iteration."""
        if self.is_racing:
            return
        chain.memory["draws"] = np.array([m], dtype=np.int64)
