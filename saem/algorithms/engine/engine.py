"""Passes of the compiled loop through a schedule, for one problem and one random stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np

from saem.algorithms.accuracy.error import BIAS_OF_AVERAGE, BIAS_OF_ITERATE, REMEMBERED, directions, law, weights_of
from saem.algorithms.engine.chain import Chain, Run, Snapshot
from saem.algorithms.engine.correction import Correction, corrected, no_correction, remember
from saem.algorithms.engine.loop import MAX_NEWTON, State, run_block
from saem.algorithms.engine.placement import AUTO, EARLY, PLACEMENT, Placement
from saem.algorithms.engine.spending import Spending
from saem.algorithms.engine.truncation import Truncation, within_bounds
from saem.errors import FitError, ModelError, MStepError, exact_fit
from saem.estep.expectation import conditional_expectation, conditional_expectations
from saem.estep.samplers import Sampler, are_dependent, arrays_of, own_copy
from saem.families.contract import Problem
from saem.maxima.boundary import residual_labels
from saem.maxima.information import Information, missing_information
from saem.maxima.starts import solutions_along
from saem.mstep import sqp
from saem.schedules import Densable, Extendable, Schedule, Slowable, Steps
from saem.stopping import Target

Array = np.ndarray

BLOCK = 250  # iterations between two looks by Python, which come at its multiples wherever a chain was interrupted
RESCUES = 100  # failed M-steps of a block after which it is given up
THICKENED = 2  # times at most that the draws of an iteration are made more
DEGENERATE = 1e-4  # of its typical size: a residual SD below, where an M-step fails, goes to zero
WARM_DRAWS = 50  # iterations' worth of draws for the statistics that belong to a given estimate

FAILURES = {
    sqp.ITERATION_LIMIT: "Newton's method did not converge",
    sqp.LINE_SEARCH_FAILED: "no step along the constraints increases the complete-data likelihood",
    sqp.INFEASIBLE: "the constraints cannot be satisfied from the current estimate",
    sqp.COLLAPSED: "a standard deviation went to zero",
    sqp.BAD_START: "the complete-data likelihood or a constraint is not finite at the current estimate",
}

BIASED = (
    "No Monte Carlo error is given: it is known for averages over decreasing step sizes and for last iterates, but an "
    "average at step size one is biased."
)
NOT_AVERAGED = (
    "No Monte Carlo error is given: the step sizes have not averaged out the start and the burn-in along the slow "
    "direction of {}."
)


class Engine:
    """Runs the loop for a problem.

    An algorithm that differs in what an iteration does overrides `iterate` (see `saem.algorithms.engine.stepwise`), and
    has all else: passes, going on, budgets, zero variances, the rule to stop.

    Parameters
    ----------
    problem : Problem
    schedule : Schedule
    tolerance : float
        Of each M-step, in units of the complete-data standard errors.
    rng : Generator
    target : Target
        Its budget ends a pass early.
    watch : callable, optional
        Called as ``watch(engine, chain)`` after every block of iterations; a pass ends early when it returns True.
    truncation : Truncation, optional
        Bounds that a chain may not leave.
    sampler : str or Sampler, optional
        Another way to draw the latent data than the family's own.

    Attributes
    ----------
    drawing : NamedTuple
        Arrays by which the latent data are drawn.
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
        schedule: Schedule,
        tolerance: float,
        rng: np.random.Generator,
        target: Target | None = None,
        watch: Callable[[Engine, Chain], bool] | None = None,
        truncation: Truncation | None = None,
        sampler: str | Sampler | None = None,
        augmentation: str = AUTO,
    ) -> None:
        self.sampler = sampler
        self.drawing = own_copy(problem.arrays if sampler is None else arrays_of(sampler, problem))
        self.is_paired = are_dependent(self.drawing, problem)
        if self.is_paired and self.draws_singly:
            raise ModelError(f"this method takes draws one by one; sampler {sampler!r} has them depend on each other")
        own = sampler is None or self.is_paired
        reason = self.plain if own else "a sampler other than the family's own draws plain random effects"
        self.placement = Placement(problem, augmentation, reason)
        self.problem, self.solver = self.placement.at(None)
        self.schedule = schedule
        self.steps: Steps = schedule.steps(problem.n_latent)
        self.once = len(self.steps.step_sizes)  # iterations of the schedule as it was given
        self.tolerance = tolerance
        self.rng = rng
        self.target = Target() if target is None else target
        self.spent = Spending(self.target, problem.n_latent)
        self.watch = watch
        self.truncation = truncation
        self.truncated = 0  # how often a chain has left its bounds
        self.nothing_pinned = np.zeros(len(problem.parameters), dtype=bool)
        self.history: list[Snapshot] = []
        self.last_estimate: tuple[tuple[int, int, bytes], tuple[Array, Correction]] | None = None
        self.passes = 0
        self.uncentred = 0  # whether centred latent data were given up
        self.hands_over = 0  # whether another engine may go on in its place, see `saem.algorithms.engine.handover`
        self.taken_over = 0  # iterations that another engine had made before
        self.slowed = 0  # times that the step sizes were made to fall more slowly
        self.thickened = 0  # times that the draws of an iteration were made more
        self.moves = np.zeros(2)  # of a Markov kernel, until the last look: accepted and proposed
        self.keep: Callable[[Chain], None] | None = None  # called where a chain can go on as if it had not ended

    @property
    def is_markov(self) -> bool:
        """Whether draws depend on those before."""
        return "latent" in getattr(self.drawing, "_fields", ())

    def loglik(self, x: Array, pinned: Array) -> float:
        """Marginal log-likelihood at a point, for families that have it."""
        free = self.solver.free & ~pinned
        return self.solver.derivatives(self.solver.observed(), x, free).value

    def few_iterations(self, start: Array, k: int, constrained: bool = True) -> Array:
        """Where ``k`` iterations with step size one lead to."""
        chain = self.begin(start)
        draws = np.full(k, self.steps.draws[0])
        self.iterate(chain, np.ones(k), draws, constrained=constrained)
        return chain.state.x

    def begin(self, start: Array, pinned: Array | None = None, skipped: int = 0) -> Chain:
        """A chain at its start, without statistics."""
        state = State(start.copy(), *np.zeros((3, self.problem.n_statistics)))
        self.passes += 1
        held = self.nothing_pinned if pinned is None else pinned
        chain = Chain(state, held, skipped, [start[None]], skipped, number=self.passes)
        self.place(chain, self.choose(start, held))
        return chain

    def choose(self, x: Array, pinned: Array, current: Array | None = None) -> Array | None:
        """The placement at ``x``; uncentred from when centred ones were given up."""
        if self.uncentred and self.placement.augmentation is not None:
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
            self.drawing = self.problem.arrays if self.sampler is None else arrays_of(self.sampler, self.problem)

    def latent_data(self, chain: Chain) -> str:
        """What a chain draws, in words; empty where there is no choice."""
        return self.placement.describe(chain.memory.get(PLACEMENT), self.uncentred > 0)

    @property
    def reviews(self) -> tuple[int, ...]:
        """Iterations of the schedule, of step size one, after which the placement is looked at again."""
        ones = int(np.argmin(np.append(self.steps.step_sizes == 1.0, False)))
        return tuple(k for k in (self.schedule.burn_in or EARLY,) if k <= ones)

    def review(self, chain: Chain) -> None:
        """Look at the placement again, and give the chain the statistics that belong to another one."""
        now = chain.memory.get(PLACEMENT)
        placement = self.choose(chain.state.x, chain.pinned, now)
        if placement is None or now is None or np.array_equal(placement, now):
            return
        self.place(chain, placement)
        if self.steps.step_sizes[min(chain.done, len(self.steps.step_sizes) - 1)] < 1.0:
            self.warm(chain, self.steps.draws[:1])

    def pass_through(self, start: Array, pinned: Array, burn_in: bool = True) -> Run:
        """Go through the schedule once; without the burn-in, from statistics that belong to the start."""
        try:
            return self.advance(self.begun(start, pinned, burn_in), self.once)
        except MStepError:
            if self.uncentred or not self.placement.can_choose:
                raise
        self.uncentred = 1  # centred, a variance on its way to zero leaves the M-step nothing to go by
        return self.advance(self.begun(start, pinned, burn_in), self.once)

    def begun(self, start: Array, pinned: Array, burn_in: bool) -> Chain:
        """A chain at its start; without the burn-in, with statistics that belong to the start."""
        chain = self.begin(start, pinned, 0 if burn_in else self.schedule.burn_in)
        if chain.skipped:
            self.warm(chain, self.steps.draws[:1])
        return chain

    def warm(self, chain: Chain, draws: Array) -> None:
        """Give a chain statistics that belong to its estimate, where an iteration makes ``draws`` (1,) draws."""
        self.iterate(chain, np.ones(1), WARM_DRAWS * draws)

    def advance(self, chain: Chain, until: int) -> Run:
        """Go on with a chain, which is changed, until so many iterations of the schedule are done."""
        self.extend(until)
        self.take_up(chain)
        chain.until = until
        self.mark(chain)
        reviews = self.reviews
        while chain.done < until and not self.spent.stopped:
            length = BLOCK if self.block is None else self.block
            end = min([until, (chain.done // length + 1) * length, *(k for k in reviews if k > chain.done)])
            block = slice(chain.done, self.affordable(chain.done, end))
            if block.stop == block.start:
                break
            gammas, draws = self.steps.step_sizes[block], self.steps.draws[block]
            path, made = within_bounds(self, chain, gammas, draws, self.steps.averaging_from - block.start)
            if not len(path):
                break
            chain.paths.append(path)
            chain.draws.append(made)
            remember(chain, path[max(0, self.steps.averaging_from - block.start) :])
            chain.done = block.start + len(path)
            if chain.done in reviews:
                self.review(chain)
            self.look(chain)
        if not chain.draws and not self.history:
            raise FitError(f"not one iteration was made: {self.spent.stopped}; allow more")
        return self.run_of(chain)

    def mark(self, chain: Chain) -> None:
        """Let the chain be kept, unless its last block was cut short: without a budget it would have been another."""
        if self.keep is not None and not self.spent.stopped:
            self.keep(chain)

    def extend(self, until: int) -> None:
        """Write the schedule out to so many iterations."""
        if until > len(self.steps.step_sizes):
            if not isinstance(self.schedule, Extendable):
                raise MStepError(f"the schedule {self.schedule!r} ends after {self.once} iterations")
            self.steps = self.schedule.longer(until).steps(self.problem.n_latent)

    def slow_down(self) -> bool:
        """Let the step sizes of the next pass fall more slowly; whether the schedule admits it."""
        if not isinstance(self.schedule, Slowable):
            return False
        self.schedule = self.schedule.slower()
        self.steps = self.schedule.steps(self.problem.n_latent)
        self.slowed += 1
        return True

    def thicken(self) -> None:
        """Let the next pass make more draws in an iteration, if the schedule admits it."""
        if isinstance(self.schedule, Densable):
            self.schedule = self.schedule.denser()
            self.steps = self.schedule.steps(self.problem.n_latent)
            self.thickened += 1

    def affordable(self, start: int, end: int) -> int:
        """How far a block may go within the budget."""
        return start + self.spent.affordable(self.steps.draws[start:end])

    def look(self, chain: Chain) -> None:
        """Between two blocks: keep the history, and let others look."""
        try:
            x = self.corrected_estimate(chain)[0]
        except MStepError:
            x = chain.state.x.copy()
        so_far = self.spent.iterations, self.spent.drawn, self.spent.seconds
        self.history.append(Snapshot(chain.number, chain.done, *so_far, self.acceptance(), x))
        self.mark(chain)
        if self.watch is not None and self.watch(self, chain):
            self.spent.stopped = "it was stopped by the caller"

    def acceptance(self) -> float:
        """Share of the moves of a Markov kernel that were accepted since the last look; nan without one."""
        counts = getattr(self.drawing, "acceptance", None)
        if counts is None:
            return float("nan")
        new, self.moves = counts - self.moves, counts.copy()
        return float(new[0] / new[1]) if new[1] > 0.0 else float("nan")

    def estimate(self, chain: Chain) -> Array:
        """The maximiser at the averaged statistics, if there are such, or the last iterate.

        Raises
        ------
        MStepError
            When there is no maximum at the averaged statistics.
        """
        averaged = self.steps.averaging_from < chain.done
        return self.maximiser_at(chain, chain.state.average) if averaged else chain.state.x.copy()

    def corrected_estimate(self, chain: Chain) -> tuple[Array, Correction]:
        """The estimate (n,) of a chain where it is, without its second-order bias; computed once."""
        at = chain.number, chain.done, chain.state.x.tobytes()
        if self.last_estimate is None or self.last_estimate[0] != at:
            self.last_estimate = at, self.unbiased(chain, self.estimate(chain))
        return self.last_estimate[1]

    def unbiased(self, chain: Chain, estimate: Array) -> tuple[Array, Correction]:
        """An estimate (n,) without its second-order bias, if it is an average over decreasing step sizes."""
        decreasing = self.steps.averaging_from < chain.done and self.steps.step_sizes[chain.done - 1] < 1.0
        if decreasing and self.corrects:
            return corrected(self, chain, estimate)
        return estimate, no_correction(len(estimate))

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
        outcome = self.solver.maximise(self.solver.complete(statistics), x, self.solver.free & ~chain.pinned)
        nearly = outcome.status in (sqp.ITERATION_LIMIT, sqp.LINE_SEARCH_FAILED) and outcome.stationarity <= 1e-4
        if outcome.status != sqp.CONVERGED and not nearly:
            raise MStepError(f"no maximum at the averaged statistics was found: {FAILURES[outcome.status]}")
        return x

    def run_of(self, chain: Chain) -> Run:
        """What a chain has led to."""
        steps, (x, correction) = self.steps, self.corrected_estimate(chain)
        averaged = steps.averaging_from < chain.done
        drawn = np.concatenate([np.zeros(0), *chain.draws])
        first = steps.averaging_from - chain.skipped
        decreasing = averaged and steps.step_sizes[chain.done - 1] < 1.0  # else the average is biased
        run = Run(
            x=x,
            pinned=chain.pinned,
            path=np.vstack([*chain.paths, x]),
            burn_in=min(self.schedule.burn_in, chain.done) - chain.skipped,
            averaging_from=first if averaged else 0,
            draws=float(drawn[first:].sum()) if decreasing else np.nan,
            step_sizes=steps.step_sizes[chain.skipped : chain.done],
            drawn=drawn,
            chain=chain,
            correction=correction,
        )
        return run if chain.before is None else run.after(chain.before)

    def go_on(self, run: Run, iterations: int) -> Run:
        """More iterations of a run's chain, averaged with those before."""
        return self.advance(run.chain, run.chain.done + iterations)

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
        count = len(run.step_sizes)
        first = self.steps.averaging_from - run.chain.skipped if averaged else count - 1
        weights = self.weights(run.step_sizes, along.iota, first, averaged)
        bias = BIAS_OF_AVERAGE if averaged or self.last_is_mean else BIAS_OF_ITERATE
        found = law(along, weights, run.drawn, run.chain.paths[0][0] - top, run.burn_in, top is run.x, bias)
        if found.is_settled and (averaged or self.last_is_mean or not np.any(found.early > REMEMBERED)):
            return found.square, ""
        worst = int(np.argmax(found.early)) if found.is_settled else int(np.argmax(found.bias))
        slowest = found.vectors[:, worst] / self.problem.scale
        name = self.problem.parameters.names[int(np.argmax(np.abs(slowest)))]
        return None, NOT_AVERAGED.format(name)

    def missing(self, x: Array, pinned: Array, information: Information) -> Array:
        """Missing information (n, n) of an iteration at ``x``, where the E-step has a closed form.

        It is also the covariance of the complete-data score of one independent draw.
        """
        return missing_information(self.problem, self.solver, x, conditional_expectation(self.problem, x))

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
        low = 0
        for _ in range(RESCUES):
            done, status = self.call_loop(
                chain, step_sizes[low:], draws[low:], averaging_from - low, constrained, path[low:]
            )
            self.spent.count(done, int(draws[low : low + done].sum()))
            low += done
            if low == len(step_sizes):
                return path, draws.astype(float)
            nearest = self.nearest_solution(chain.state.x, chain.pinned) if constrained else None
            if nearest is None:
                break
            chain.state.x[:] = nearest
        raise self.failure(chain.state.x, status)

    def failure(self, x: Array, status: int) -> MStepError:
        """The error for an M-step that failed at ``x``."""
        problem, sd = self.problem, (self.solver.kinds == sqp.SD) & self.solver.free
        gone = sd & (~problem.collapsible | (problem.at_zero > 0.0)) & (x < DEGENERATE * problem.scale)
        if gone.any():
            return MStepError(exact_fit(residual_labels(problem, gone)), unbounded=True)
        is_infeasible = status in (sqp.INFEASIBLE, sqp.BAD_START) and len(self.problem.constraints) > 0
        return MStepError(f"no maximum of the complete-data likelihood was found: {FAILURES[status]}", is_infeasible)

    def call_loop(
        self, chain: Chain, step_sizes: Array, draws: Array, averaging_from: int, constrained: bool, path: Array
    ) -> tuple[int, int]:
        """Call the compiled loop; returns the iterations done and the status of the last M-step."""
        solver = self.solver
        return run_block(
            self.drawing,
            self.problem.arrays,
            self.problem.constraints.address,
            solver.free & ~chain.pinned,
            solver.kinds,
            solver.no_floor,
            self.rng,
            step_sizes,
            draws,
            max(0, -averaging_from),
            averaging_from,
            self.tolerance,
            MAX_NEWTON,
            chain.state,
            solver.constrained if constrained else solver.unconstrained,
            path,
        )

    def nearest_solution(self, x: Array, pinned: Array) -> Array | None:
        """The nearest point with the likelihood of ``x`` that satisfies the constraints.

        Where the noise pushes the statistics over a fold of the constraint, the branch on which the estimate was
        ends, and the M-step has to go on from another one.
        """
        if not self.problem.has_observed:
            return None
        points = solutions_along(self.problem, self.solver, x, self.solver.free & ~pinned)
        return min(points, key=lambda point: float(np.sum((point - x) ** 2))) if points else None
