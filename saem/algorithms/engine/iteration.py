"""One iteration of stochastic-approximation EM in blocks: draw (E), approximate (SA), maximise (M).

    E    z_m ~ p(z | y; x_k), m = 1..m_k
    SA   s_{k+1} = s_k + gamma_k (mean_m S(y, z_m) - s_k)
    M    x_{k+1} = argmax { complete(s_{k+1}, x) : c(x) = 0 }

It is compiled (`saem.algorithms.engine.loop`). Of schedules, passes and targets it knows nothing: these are the
business of `saem.algorithms.engine.passes`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import ClassVar

import numpy as np

from saem.algorithms.accuracy.error import directions, weights_of
from saem.algorithms.accuracy.first_order import BIASED, square_of
from saem.algorithms.engine.chain import Chain, Run
from saem.algorithms.engine.loop import MAX_NEWTON, State, run_block
from saem.algorithms.engine.placement import AUTO, EARLY, PLACEMENT, Placement
from saem.algorithms.engine.rescue import FAILURES, failure, nearest_solution
from saem.algorithms.engine.spending import Counts, Spending
from saem.errors import FitError, ModelError, MStepError
from saem.estep.expectation import conditional_expectation, conditional_expectations
from saem.estep.integration.settling import GOOD, choose_again, refined, rules_of, settled_of
from saem.estep.samplers import (
    Sampler,
    are_dependent,
    begin_anew,
    drawing_of,
    is_drawn_by_kernels,
    is_markov,
    shared,
    with_arrays_of,
)
from saem.families.problem import Problem
from saem.maxima.information import Information, missing_information
from saem.mstep import sqp
from saem.stopping import Target

Array = np.ndarray

RULES = "rules"  # in a chain's memory: the parameters at which its rules of integration were chosen and looked at
RESCUES = 100  # failed M-steps of a block after which it is given up
WARM_DRAWS = 50  # iterations' worth of draws for the statistics that belong to a given estimate


class Iteration:
    """Iterations of SAEM for one problem and one random stream, and what their estimate is worth.

    An algorithm that differs in what an iteration does has a subclass (see `saem.algorithms.engine.stepwise`); passes,
    going on, budgets, zero variances and the rule to stop stay as they are. What an iteration carries over belongs in
    the chain (``chain.memory``, made in `begin`), with which it is kept.

    Parameters
    ----------
    problem : Problem
    tolerance : float
        Of each M-step, in units of the complete-data standard errors.
    rng : Generator
    target : Target, optional
        Its budget limits what is spent.
    sampler : str or Sampler, optional
        Another way to draw the latent data than the family's own.
    augmentation : str
        Which latent data are drawn, where the family has a choice.

    Attributes
    ----------
    solver : Solver
        Maximises for the problem with the latent data of the moment.
    drawing : NamedTuple
        Arrays by which the latent data are drawn.
    spent : Spending
    counts : Counts
    """

    last_is_mean: ClassVar[bool] = False  # whether a last iterate is by itself the mean of many steps
    corrects: ClassVar[bool] = True  # whether averages are rid of their bias
    block: ClassVar[int | None] = None  # iterations between two looks, if not `BLOCK`
    growth: ClassVar[float] = 1.25  # of the iterations, from one look at the target to the next; one more at least
    draws_singly: ClassVar[bool] = False  # whether it looks at draws one by one
    plain: ClassVar[str] = ""  # why it draws the family's plain latent data only, if so

    def __init__(
        self,
        problem: Problem,
        tolerance: float,
        rng: np.random.Generator,
        target: Target | None = None,
        sampler: str | Sampler | None = None,
        augmentation: str = AUTO,
    ) -> None:
        self.sampler = sampler
        self.drawing = drawing_of(problem, sampler)
        self.is_paired = are_dependent(self.drawing, problem)
        if self.is_paired and self.draws_singly:
            raise ModelError(f"this method takes draws one by one; sampler {sampler!r} has them depend on each other")
        by_name = isinstance(sampler, str) and is_drawn_by_kernels(problem)
        own = sampler is None or by_name or self.is_paired
        reason = self.plain if own else "a sampler other than the family's own draws plain random effects"
        self.placement = Placement(problem, augmentation, reason)
        self.problem, self.solver = self.placement.at(None)
        self.tolerance = tolerance
        self.rng = rng
        self.spent = Spending(Target() if target is None else target, problem.latent.size)
        self.counts = Counts()
        self.nothing_pinned = np.zeros(len(problem.parameters), dtype=bool)
        self.moves = np.zeros(2)  # of a Markov kernel, until the last look: accepted and proposed

    @property
    def is_markov(self) -> bool:
        """Whether draws depend on those before."""
        return is_markov(self.drawing)

    def loglik(self, x: Array) -> float:
        """Marginal log-likelihood at a point, for families that have it."""
        return self.solver.height(x)

    def few_iterations(self, start: Array, k: int, m: int, constrained: bool = True) -> Array:
        """Where ``k`` iterations with step size one and ``m`` draws each lead to."""
        chain = self.begin(start)
        self.iterate(chain, np.ones(k), np.full(k, m), constrained=constrained)
        return chain.state.x

    def begin(self, start: Array, pinned: Array | None = None, skipped: int = 0) -> Chain:
        """A chain at its start, without statistics; a Markov kernel begins anew, for it comes from elsewhere."""
        begin_anew(self.drawing)
        state = State(start.copy(), *np.zeros((3, self.problem.latent.n_statistics)))
        self.counts.passes += 1
        pinned = self.nothing_pinned if pinned is None else pinned
        chain = Chain(state, pinned, skipped, [start[None]], skipped, number=self.counts.passes)
        self.place(chain, self.choose(start, pinned))
        return chain

    def choose(self, x: Array, pinned: Array, current: Array | None = None) -> Array | None:
        """The placement at ``x``; uncentred from when centred ones were given up."""
        if self.counts.uncentred and self.placement.augmentation is not None:
            return self.placement.augmentation.uncentred(x)
        return self.placement.choose(x, pinned, current)

    def place(self, chain: Chain, placement: Array | None) -> None:
        """Let a chain have the latent data of a placement from now on."""
        if placement is not None:
            chain.memory[PLACEMENT] = placement
        self.take_up(chain)

    def take_up(self, chain: Chain) -> None:
        """Draw and maximise with the latent data of a chain, which may differ from those of the last one."""
        if self.placement.augmentation is not None:
            self.problem, self.solver = self.placement.at(chain.memory.get(PLACEMENT))
            self.drawing = with_arrays_of(self.problem, self.drawing, self.sampler)

    def with_likelihood(self, kind: str, chain: Chain) -> None:
        """Go on as where the likelihood is "simulated", or there is "none", with the latent data of a chain."""
        self.placement.with_likelihood(kind)
        self.problem, self.solver = self.placement.at(chain.memory.get(PLACEMENT))

    def look_closely(self, run: Run) -> str:
        """A likelihood by quadrature gets the rules that an estimate needs; where none suffice, it is simulated.

        Returns
        -------
        str
            Why it is not known from now on; empty where it is.
        """
        problem = self.placement.problem
        try:
            refined(problem, run.x, GOOD)
            if problem.likelihood.kind == "quadrature" and settled_of(problem).placing.mcse > 0.0:
                self.with_likelihood("simulated", run.chain)
        except (ModelError, FitError) as error:
            self.with_likelihood("none", run.chain)
            return str(error)
        return ""

    def rules(self) -> dict[str, Array]:
        """By which rules the likelihood is integrated, for the memory of a chain; nothing before it was looked at."""
        problem = self.placement.problem
        chosen = rules_of(problem) if problem.likelihood.kind == "quadrature" else None
        return {} if chosen is None else {RULES: chosen}

    def take_up_rules(self, chain: Chain) -> None:
        """Integrate by the rules that a chain remembers."""
        if RULES in chain.memory:
            choose_again(self.placement.problem, chain.memory[RULES], GOOD)

    @property
    def ends_by_newton(self) -> bool:
        """Whether Newton's method goes on from where iterations end: that of SAEM, with a simulated likelihood."""
        return self.problem.likelihood.kind == "simulated" and self.counts.hands_over > 0

    def latent_data(self, chain: Chain) -> str:
        """What a chain draws, in words; empty where there is no choice."""
        return self.placement.describe(chain.memory.get(PLACEMENT), self.counts.uncentred > 0)

    def reviews(self, burn_in: int) -> tuple[int, ...]:
        """After so many iterations of step size one the placement is looked at again, if there are as many."""
        return (burn_in or EARLY,)

    def plainer(self) -> AbstractContextManager[None] | None:
        """In this context a pass whose M-steps failed is made once more; None where there is no plainer way."""
        return None

    def warm(self, chain: Chain, draws: Array) -> None:
        """Give a chain statistics that belong to its estimate, where an iteration makes ``draws`` (1,) draws."""
        self.iterate(chain, np.ones(1), WARM_DRAWS * draws)

    def acceptance(self) -> float:
        """Share of the moves of a Markov kernel that were accepted since the last look; nan without one."""
        counts = getattr(self.drawing, "acceptance", None)
        if counts is None:
            return float("nan")
        new, self.moves = counts - self.moves, counts.copy()
        return float(new[0] / new[1]) if new[1] > 0.0 else float("nan")

    def affordable(self, draws: Array) -> int:
        """How many of the next iterations, which are to make so many draws (k,), the budget admits."""
        return self.spent.affordable(draws)

    def estimate(self, chain: Chain, is_averaged: bool) -> Array:
        """The maximiser (n,) at the averaged statistics, or the last iterate.

        Raises
        ------
        MStepError
            When there is no maximum at the averaged statistics.
        """
        return self.maximiser_at(chain, chain.state.average) if is_averaged else chain.state.x.copy()

    def expectations(self, points: Array) -> Array:
        """Closed-form expectations (k, s) of the statistics at points (k, n)."""
        return conditional_expectations(self.problem, points)

    def score_left(self, chain: Chain, x: Array, information: Information, here: Array, excess: Array) -> Array:
        """The observed score (d,) at a maximiser ``x`` of statistics that are in excess of their expectation ``here``.

        In coordinates in which the observed information is one.
        """
        solver = self.solver
        at, beyond = (solver.derivatives(solver.complete(each), x).gradient for each in (here, here + excess))
        return np.asarray(information.root.T @ (at - beyond))

    def maximiser_at(self, chain: Chain, statistics: Array) -> Array:
        """The constrained maximiser (n,) at averaged statistics, nearest to where a chain is.

        Raises
        ------
        MStepError
            When there is none.
        """
        x: Array = chain.state.x.copy()
        result = self.solver.maximise(self.solver.complete(statistics), x, self.solver.free & ~chain.pinned)
        nearly = result.status in (sqp.ITERATION_LIMIT, sqp.LINE_SEARCH_FAILED) and result.stationarity <= 1e-4
        if result.status != sqp.CONVERGED and not nearly:
            raise MStepError(f"no maximum at the averaged statistics was found: {FAILURES[result.status]}")
        return x

    def error(
        self, run: Run, information: Information, missing: Array, noise: Array, top: Array
    ) -> tuple[Array | None, str]:
        """Mean square (n, n) of the Monte Carlo error of a run, or None and the reason why it is not known.

        Parameters
        ----------
        information : Information
            At the estimate, or the maximum beside it.
        missing : (n, n) ndarray
            Missing information.
        noise : (n, n) ndarray
            Long-run covariance of the complete-data score of single draws.
        top : (n,) ndarray
            The maximum, or the estimate where it is not known.
        """
        averaged = bool(run.averaging_from)
        if averaged and np.isnan(run.draws):
            return None, BIASED
        along = directions(information.root, missing, noise)
        first = run.first if averaged else len(run.step_sizes) - 1
        weights = self.weights(run.step_sizes, along.iota, first, averaged)
        return square_of(self.problem, run, along, weights, top, self.last_is_mean)

    def missing(self, x: Array, pinned: Array, information: Information) -> Array:
        """Missing information (n, n) of an iteration at ``x``, where the E-step has a closed form.

        It is also the covariance of the complete-data score of one independent draw.
        """
        return missing_information(self.solver, x, conditional_expectation(self.problem, x))

    def weights(self, step_sizes: Array, iota: Array, first: int, averaged: bool) -> Array:
        """Weights (K + 1, d) of the start and of the draws in the estimate, see `saem.algorithms.accuracy.error`."""
        return weights_of(step_sizes, iota, first)

    def iterate(
        self,
        chain: Chain,
        step_sizes: Array,
        draws: Array,
        averaging_from: int | None = None,
        constrained: bool = True,
    ) -> tuple[Array, Array]:
        """Run the loop for as many iterations as there are step sizes, changing the chain.

        Returns
        -------
        path : (k, n) ndarray
        draws : (k,) float64 ndarray
            Draws of all random effects that were made in each iteration.

        Raises
        ------
        MStepError
            When an M-step fails.
        """
        averaging_from = len(step_sizes) if averaging_from is None else averaging_from
        path = np.empty((len(step_sizes), len(chain.state.x)))
        free, low = self.solver.free & ~chain.pinned, 0
        for _ in range(RESCUES):
            with shared(self.drawing) as drawing:
                done, status = run_block(
                    drawing,
                    self.problem.arrays,
                    self.problem.constraints.address,
                    free,
                    self.solver.domains.low,
                    self.solver.domains.high,
                    self.solver.no_floor,
                    self.rng,
                    step_sizes[low:],
                    draws[low:],
                    max(0, low - averaging_from),
                    averaging_from - low,
                    self.tolerance,
                    MAX_NEWTON,
                    chain.state,
                    self.solver.constrained if constrained else self.solver.unconstrained,
                    path[low:],
                )
            self.spent.count(done, int(draws[low : low + done].sum()))
            low += done
            if low == len(step_sizes):
                return path, draws.astype(float)
            nearest = nearest_solution(self.problem, self.solver, chain.state.x, free) if constrained else None
            if nearest is None:
                break
            chain.state.x[:] = nearest
        raise failure(self.problem, self.solver, chain.state.x, status)
