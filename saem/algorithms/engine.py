"""Passes of the compiled loop through a schedule, for one problem and one random stream."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from saem.algorithms.loop import MAX_NEWTON, State, run_block
from saem.errors import EXACT_FIT, MStepError
from saem.models.contract import Problem
from saem.mstep import sqp
from saem.mstep.solver import Solver
from saem.mstep.starts import solutions_along
from saem.schedules import Extendable, Schedule, Steps

Array = np.ndarray

BLOCK = 250  # iterations between two looks by Python
RESCUES = 100  # failed M-steps of a block after which it is given up
DEGENERATE = 1e-4  # of its typical size: a residual SD below, where an M-step fails, goes to zero
WARM_DRAWS = 50  # iterations' worth of draws for the statistics that belong to a given estimate

FAILURES = {
    sqp.ITERATION_LIMIT: "Newton's method did not converge",
    sqp.LINE_SEARCH_FAILED: "no step along the constraints increases the complete-data likelihood",
    sqp.INFEASIBLE: "the constraints cannot be satisfied from the current estimate",
    sqp.COLLAPSED: "a standard deviation went to zero",
    sqp.BAD_START: "the complete-data likelihood or a constraint is not finite at the current estimate",
}


@dataclass(eq=False)
class Chain:
    """A pass through a schedule under way: all that it takes to go on.

    Attributes
    ----------
    state : State
    pinned : (n,) bool ndarray
        Parameters held at the boundary.
    done : int
        Iterations of the schedule that are done, those that were skipped among them.
    paths : list of (k, n) ndarray
        The start, then the estimates block by block.
    skipped : int
        Iterations of the schedule that were left out.
    """

    state: State
    pinned: Array
    done: int
    paths: list[Array]
    skipped: int


@dataclass(frozen=True, eq=False)
class Run:
    """What a pass through a schedule has led to.

    Attributes
    ----------
    x : (n,) ndarray
        The estimate: the maximiser at the averaged statistics, or the last one where nothing is averaged.
    pinned : (n,) bool ndarray
        Parameters held at the boundary.
    path : (k, n) ndarray
        The start, all iterations, and the estimate.
    burn_in, averaging_from : int
        Rows of the path.
    draws : float
        Draws of all random effects that were averaged; nan where none were, or the step size stays one.
    chain : Chain
        To go on from.
    before : Run or None
        The run that this one began from.
    """

    x: Array
    pinned: Array
    path: Array
    burn_in: int
    averaging_from: int
    draws: float
    chain: Chain
    before: Run | None = None

    def after(self, earlier: Run) -> Run:
        """This run as the continuation of an earlier one."""
        path = np.vstack([earlier.path[:-1], self.path])
        averaging_from = len(earlier.path) - 1 + self.averaging_from if self.averaging_from else 0
        return Run(self.x, self.pinned, path, earlier.burn_in, averaging_from, self.draws, self.chain, earlier)


class Engine:
    """Runs the loop for a problem.

    Parameters
    ----------
    problem : Problem
    schedule : Schedule
    tolerance : float
        Of each M-step, in units of the complete-data standard errors.
    rng : Generator
    """

    def __init__(self, problem: Problem, schedule: Schedule, tolerance: float, rng: np.random.Generator) -> None:
        self.problem = problem
        self.solver = Solver(problem)
        self.schedule = schedule
        self.steps: Steps = schedule.steps(problem.n_latent)
        self.once = len(self.steps.step_sizes)  # iterations of the schedule as it was given
        self.tolerance = tolerance
        self.rng = rng
        self.nothing_pinned = np.zeros(len(problem.parameters), dtype=bool)
        self.drawn = 0  # draws of all random effects so far
        self.iterations = 0  # so far, those of passes that were given up included

    def loglik(self, x: Array, pinned: Array) -> float:
        """Marginal log-likelihood at a point, for families that have it."""
        free = self.solver.free & ~pinned
        return self.solver.derivatives(self.solver.observed(), x, free).value

    def few_iterations(self, start: Array, k: int, constrained: bool = True) -> Array:
        """Where ``k`` iterations with step size one lead to."""
        state = self.state(start)
        draws = np.full(k, self.steps.draws[0])
        self.iterate(state, self.nothing_pinned, np.ones(k), draws, constrained=constrained)
        return state.x

    def pass_through(self, start: Array, pinned: Array, burn_in: bool = True) -> Run:
        """Go through the schedule once; without the burn-in, from statistics that belong to the start."""
        skipped = 0 if burn_in else self.schedule.burn_in
        chain = Chain(self.state(start), pinned, skipped, [start[None]], skipped)
        if skipped:
            self.iterate(chain.state, pinned, np.ones(1), WARM_DRAWS * self.steps.draws[:1])
        return self.advance(chain, self.once)

    def advance(self, chain: Chain, until: int) -> Run:
        """Go on with a chain, which is changed, until so many iterations of the schedule are done."""
        if until > len(self.steps.step_sizes):
            if not isinstance(self.schedule, Extendable):
                raise MStepError(f"the schedule {self.schedule!r} ends after {self.once} iterations")
            self.steps = self.schedule.longer(until).steps(self.problem.n_latent)
        steps, skipped = self.steps, chain.skipped
        while chain.done < until:
            block = slice(chain.done, min(until, chain.done + BLOCK))
            averaging_from = steps.averaging_from - chain.done
            path = self.iterate(chain.state, chain.pinned, steps.step_sizes[block], steps.draws[block], averaging_from)
            chain.paths.append(path)
            chain.done = block.stop
        x = chain.state.x.copy()
        averaged = steps.averaging_from < until
        decreasing = averaged and steps.step_sizes[until - 1] < 1.0  # else the average is biased
        if averaged:
            free = self.solver.free & ~chain.pinned
            outcome = self.solver.maximise(self.solver.complete(chain.state.average), x, free)
            nearly = outcome.status in (sqp.ITERATION_LIMIT, sqp.LINE_SEARCH_FAILED) and outcome.stationarity <= 1e-4
            if outcome.status != sqp.CONVERGED and not nearly:
                raise MStepError(f"no maximum at the averaged statistics was found: {FAILURES[outcome.status]}")
        return Run(
            x=x,
            pinned=chain.pinned,
            path=np.vstack([*chain.paths, x]),
            burn_in=self.schedule.burn_in - skipped,
            averaging_from=steps.averaging_from - skipped if averaged else 0,
            draws=float(steps.draws[steps.averaging_from : until].sum()) if decreasing else np.nan,
            chain=chain,
        )

    def go_on(self, run: Run, iterations: int) -> Run:
        """More iterations of a run's chain, averaged with those before."""
        longer = self.advance(run.chain, run.chain.done + iterations)
        return longer if run.before is None else longer.after(run.before)

    def state(self, start: Array) -> State:
        """The loop's state at a start, without statistics."""
        return State(start.copy(), *np.zeros((3, self.problem.n_statistics)))

    def iterate(
        self,
        state: State,
        pinned: Array,
        step_sizes: Array,
        draws: Array,
        averaging_from: int | None = None,
        constrained: bool = True,
    ) -> Array:
        """Run the loop for as many iterations as there are step sizes, changing the state; return the path.

        Raises
        ------
        MStepError
            When an M-step fails.
        """
        averaging_from = len(step_sizes) if averaging_from is None else averaging_from
        path = np.empty((len(step_sizes), len(state.x)))
        low = 0
        for _ in range(RESCUES):
            done, status = self.run(
                state, pinned, step_sizes[low:], draws[low:], averaging_from - low, constrained, path[low:]
            )
            self.drawn += int(draws[low : low + done].sum())
            self.iterations += done
            low += done
            if low == len(step_sizes):
                return path
            nearest = self.nearest_solution(state.x, pinned) if constrained else None
            if nearest is None:
                break
            state.x[:] = nearest
        residual = ~self.problem.collapsible & (self.solver.kinds == sqp.SD) & self.solver.free
        if np.any(residual & (state.x < DEGENERATE * self.problem.scale)):
            raise MStepError(EXACT_FIT)
        is_infeasible = status in (sqp.INFEASIBLE, sqp.BAD_START) and len(self.problem.constraints) > 0
        raise MStepError(f"no maximum of the complete-data likelihood was found: {FAILURES[status]}", is_infeasible)

    def run(
        self,
        state: State,
        pinned: Array,
        step_sizes: Array,
        draws: Array,
        averaging_from: int,
        constrained: bool,
        path: Array,
    ) -> tuple[int, int]:
        """Call the compiled loop; returns the iterations done and the status of the last M-step."""
        solver = self.solver
        return run_block(
            self.problem.arrays,
            self.problem.constraints.address,
            solver.free & ~pinned,
            solver.kinds,
            solver.no_floor,
            self.rng,
            step_sizes,
            draws,
            max(0, -averaging_from),
            averaging_from,
            self.tolerance,
            MAX_NEWTON,
            state,
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


def conditional_expectation(problem: Problem, solver: Solver, x: Array) -> Array:
    """``E[S | y; x]`` (s,): the statistics of one iteration of the loop without draws."""
    state = State(x.copy(), *np.zeros((3, problem.n_statistics)))
    run_block(
        problem.arrays,
        problem.constraints.address,
        np.zeros(len(x), dtype=bool),
        solver.kinds,
        solver.no_floor,
        np.random.Generator(np.random.SFC64(0)),
        np.ones(1),
        np.zeros(1, dtype=np.int64),
        0,
        1,
        1.0,
        MAX_NEWTON,
        state,
        solver.constrained,
        np.empty((1, len(x))),
    )
    return state.drawn
