"""Iterations with working parameters: draw at the identity, maximise over all parameters, reduce (see `px_saem`)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from saem.algorithms.engine.chain import Chain
from saem.algorithms.engine.loop import State
from saem.algorithms.engine.rescue import failure, nearest_solution
from saem.algorithms.engine.stepwise import NEARLY, StepwiseIteration
from saem.errors import MStepError
from saem.estep.expectation import conditional_expectations
from saem.estep.samplers import own_copy
from saem.estep.score_noise import draw_mean
from saem.families.problem import Expansion
from saem.maxima.information import Information, information_of
from saem.maxima.singular import correlation, inner
from saem.mstep import sqp
from saem.mstep.solver import Solver

Array = np.ndarray

ROUNDING = 1e-7  # of the observed information: what differences of the reduction leave where nothing is missing
SINGULAR = 1e-6  # smallest eigenvalue of a correlation matrix


class ExpandedIteration(StepwiseIteration):
    """Iterations of parameter-expanded SAEM; the state's statistics are those of the expanded model."""

    plain: ClassVar[str] = "parameter expansion scales plain random effects"

    expansion: Expansion
    expanded: Solver

    def with_expansion(self, expansion: Expansion) -> ExpandedIteration:
        """This iteration with an expanded model."""
        self.expansion, self.expanded = expansion, Solver(expansion.problem)
        self.drawing = own_copy(expansion.problem.arrays)
        return self

    def begin(self, start: Array, pinned: Array | None = None, skipped: int = 0) -> Chain:
        """A chain at its start."""
        chain = super().begin(start, pinned, skipped)
        chain.state = State(start.copy(), *np.zeros((3, self.expansion.problem.latent.n_statistics)))
        return chain

    def latent_data(self, chain: Chain) -> str:
        """See `Iteration.latent_data`."""
        after = self.counts.taken_over
        if not after:
            return ""
        return f"random effects, rescaled by parameter expansion after {after:,} iterations (less is missing)"

    def draw(self, chain: Chain, m: int) -> None:
        """E-step: write the mean of the expanded statistics over ``m`` draws to the state."""
        draw_mean(self.drawing, self.expansion.extended(chain.state.x), self.rng, m, chain.state.latest)
        self.spent.count(0, m)

    def maximise(self, chain: Chain, constrained: bool = True) -> None:
        """M-step of the expanded model, and the reduction."""
        x = chain.state.x
        try:
            x[:] = self.maximised(chain, chain.state.statistics, self.tolerance, constrained)
        except MStepError:
            nearest = (
                nearest_solution(self.problem, self.solver, x, self.solver.free & ~chain.pinned)
                if constrained
                else None
            )
            if nearest is None:
                raise
            x[:] = nearest
            x[:] = self.maximised(chain, chain.state.statistics, self.tolerance, constrained)

    def maximised(self, chain: Chain, statistics: Array, tolerance: float, constrained: bool = True) -> Array:
        """The reduced maximiser (n,) at expanded statistics."""
        x = self.expansion.extended(chain.state.x)
        free = self.expanded.free.copy()
        n = len(chain.pinned)
        free[:n] &= ~chain.pinned
        for i in np.flatnonzero(chain.pinned):  # the working parameters of an absent effect
            free[list(self.expansion.problem.boundary.dependents.get(int(i), ()))] = False
        objective = self.expanded.complete(statistics)
        result = self.expanded.maximise(objective, x, free, tolerance=tolerance, constrained=constrained)
        nearly = result.status in (sqp.ITERATION_LIMIT, sqp.LINE_SEARCH_FAILED) and result.stationarity < NEARLY
        if result.status != sqp.CONVERGED and not nearly:
            raise failure(self.problem, self.solver, x[:n], result.status)
        return self.inside(self.expansion.reduced(x))

    def inside(self, x: Array) -> Array:
        """The parameters (n,), with smaller correlations where a covariance matrix is singular up to rounding.

        A working matrix of lower rank, as two clusters have, makes it so in one step, and no draw comes back.
        """
        for sd, corr in self.problem.boundary.blocks:
            if np.all(x[sd] > 0.0) and np.linalg.eigvalsh(correlation(x, corr))[0] < SINGULAR:
                x[inner(corr)] *= 1.0 - SINGULAR
        return x

    def maximiser_at(self, chain: Chain, statistics: Array) -> Array:
        """The reduced maximiser (n,) at averaged expanded statistics."""
        return self.maximised(chain, statistics, 1e-10)

    def missing(self, x: Array, pinned: Array, information: Information) -> Array:
        """See `Iteration.missing`; less is missing when the working parameters are estimated with the others.

        A step has the inverse information ``B = D A^-1 D'``, and its score the covariance ``B^-1 - I_o``.
        """
        expectation = self.expectations(x[None])[0]
        coordinates = self.coordinates(x, pinned, information, expectation)[0]
        share, axes = np.linalg.eigh(np.linalg.pinv(coordinates @ coordinates.T) - np.eye(len(coordinates)))
        efficient = (axes * np.where(share > ROUNDING, share, 0.0)) @ axes.T
        to_coordinates = np.linalg.pinv(information.root)
        return np.asarray(to_coordinates.T @ efficient @ to_coordinates)

    def coordinates(self, x: Array, pinned: Array, information: Information, expectation: Array) -> tuple[Array, Array]:
        """``D`` in coordinates in which both informations are one (d, e), and the root (n + W, e) of ``A^-1``.

        ``A`` is the information of the expanded complete data, ``D`` the derivative of the reduction.
        """
        point = self.expansion.extended(x)
        free = self.expanded.free.copy()
        free[: len(pinned)] &= ~pinned
        at = self.expanded.derivatives(self.expanded.complete(expectation), point, free)
        root = information_of(self.expansion.problem, at, self.expanded.multipliers, -at.hessian, free).root
        return np.linalg.pinv(information.root) @ self.slope(point) @ root, root

    def expectations(self, points: Array) -> Array:
        """See `Iteration.expectations`; of the expanded model's statistics."""
        extended = np.array([self.expansion.extended(point) for point in points])
        return conditional_expectations(self.expansion.problem, extended)

    def score_left(self, chain: Chain, x: Array, information: Information, here: Array, excess: Array) -> Array:
        """See `Iteration.score_left`: ``-B^-1 D A^-1`` times the excess of the expanded score."""
        coordinates, root = self.coordinates(x, chain.pinned, information, here)
        point, solver = self.expansion.extended(x), self.expanded
        at, beyond = (solver.derivatives(solver.complete(each), point).gradient for each in (here, here + excess))
        return np.asarray(np.linalg.pinv(coordinates @ coordinates.T) @ coordinates @ root.T @ (at - beyond))

    def slope(self, x: Array) -> Array:
        """Derivative (n, n + W) of the reduction, by central differences."""
        columns = []
        for i, size in enumerate(1e-6 * self.expansion.problem.scale):
            step = np.where(np.arange(len(x)) == i, size, 0.0)
            columns.append((self.expansion.reduced(x + step) - self.expansion.reduced(x - step)) / (2.0 * size))
        return np.array(columns).T
