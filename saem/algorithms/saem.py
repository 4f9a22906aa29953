"""Stochastic-approximation EM with a constrained M-step (Delyon, Lavielle & Moulines 1999; Polyak & Juditsky 1992).

    E    z_m ~ p(z | y; x_k), m = 1..m_k
    SA   s_{k+1} = s_k + gamma_k (mean_m S(y, z_m) - s_k)
    M    x_{k+1} = argmax { complete(s_{k+1}, x) : c(x) = 0 }

The estimate is the maximiser at the average of the statistics. A standard deviation whose maximum is zero is
approached ever more slowly by any EM algorithm; where the marginal likelihood says that zero is better, the model
without that random effect is fitted, and the estimate is reported as one on the boundary.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from saem.algorithms.loop import MAX_NEWTON, State, run_block
from saem.algorithms.outcome import Outcome
from saem.errors import FitError
from saem.information import observed_information
from saem.models.contract import Problem
from saem.mstep import sqp
from saem.mstep.boundary import pin, release
from saem.mstep.solver import Solver
from saem.mstep.starts import solutions_along
from saem.schedules import AveragedSchedule, RobbinsMonroSchedule
from saem.stopping import Status
from saem.streams import stream

Array = np.ndarray

BLOCK = 250  # iterations between two looks by Python
SMALL = 0.2  # of its typical size: a standard deviation below is compared with zero
RACE = 60  # iterations from each start, to choose among them


@dataclass(frozen=True)
class Run:
    """One pass through a schedule."""

    x: Array
    path: Array
    burn_in: int
    averaging_from: int
    draws: float

    def after(self, earlier: Run) -> Run:
        """This run as the continuation of an earlier one."""
        return Run(
            self.x,
            np.vstack([earlier.path[:-1], self.path]),
            earlier.burn_in,
            len(earlier.path) - 1 + self.averaging_from,
            self.draws,
        )


@dataclass(frozen=True)
class SAEM:
    """Stochastic-approximation EM.

    Attributes
    ----------
    schedule : AveragedSchedule or RobbinsMonroSchedule
    tolerance : float
        Of each M-step, in units of the complete-data standard errors.
    deficit : float
        While the log-likelihood is estimated to be further than this below its maximum, the averaged part of the
        schedule is run again from the estimate (for families with a closed-form likelihood) ..
    extensions : int
        .. at most so many times.
    """

    schedule: AveragedSchedule | RobbinsMonroSchedule = field(default_factory=AveragedSchedule)
    tolerance: float = 1e-6
    deficit: float = 0.005
    extensions: int = 3
    name: ClassVar[str] = "saem"

    def run(self, problem: Problem, seed: int = 0) -> Outcome:
        """Estimate the parameters.

        Parameters
        ----------
        problem : Problem
        seed : int
            The same seed gives the same estimate, bit for bit.

        Raises
        ------
        FitError
            When an M-step fails from every start.
        """
        solver = Solver(problem)
        rng = stream(seed, "saem")
        pinned = np.zeros(len(problem.parameters), dtype=bool)
        run = self.from_best_start(problem, solver, rng)
        status, message = Status.CONVERGED, ""
        towards: tuple[str, ...] = ()
        if problem.has_observed:
            run, pinned = self.settle_boundary(problem, solver, rng, run)
            run, missed = self.extend(problem, solver, rng, run, pinned)
            towards = correlations_at_one(problem, solver, run.x, pinned)
            if towards:
                status = Status.BOUNDARY
                message = f"{', '.join(towards)} goes to -1 or 1: SAEM comes near it, method 'ml' reaches it."
            elif missed > 4 * self.deficit:
                status = Status.NOT_CONVERGED
                by = f"about {missed:.2g}" if np.isfinite(missed) else "an unknown amount"
                message = f"The log-likelihood is {by} below its maximum."
            elif pinned.any():
                status = Status.BOUNDARY
        free = ~problem.parameters.fixed & ~pinned
        equal = [run.x, *others_of_equal_likelihood(problem, solver, run.x, free)]
        if len(equal) > 1 and status is not Status.NOT_CONVERGED:
            status, message = Status.SEVERAL_SOLUTIONS, f"{len(equal)} solutions have the same likelihood."
        return Outcome(
            x=run.x,
            pinned=pinned,
            status=status,
            message=message,
            path=run.path,
            burn_in=run.burn_in,
            averaging_from=run.averaging_from,
            draws=run.draws,
            solutions=np.array(equal),
            solution_logliks=np.array([solver.derivatives(solver.observed(), x, free).value for x in equal])
            if problem.has_observed
            else np.full(len(equal), np.nan),
            towards_boundary=towards,
        )

    def from_best_start(self, problem: Problem, solver: Solver, rng: np.random.Generator) -> Run:
        """The first pass, from the start that leads to the highest likelihood after a few iterations.

        Constraints can give the likelihood several maxima; without them, or without a closed-form likelihood, it is
        the first start whose M-steps succeed.
        """
        pinned = np.zeros(len(problem.parameters), dtype=bool)
        free = ~problem.parameters.fixed
        starts = list(problem.starts)
        if problem.has_observed:
            feasible = solutions_along(problem, solver, starts[0], free)
            starts = sorted(feasible, key=lambda x: float(np.sum(x**2)))[:1] or starts
        if len(problem.constraints) > 0 and len(starts) > 1:
            try:
                starts.insert(0, self.few_iterations(problem, solver, rng, starts[0], free, constrained=False))
            except FitError:  # what the constraints hold in place may be unbounded without them
                pass
        failures = []
        reached: list[tuple[float, Array]] = []
        race = problem.has_observed and len(problem.constraints) > 0 and len(starts) > 1
        for start in starts:
            try:
                if not race:
                    return self.pass_through(problem, solver, rng, start, pinned)
                x = self.few_iterations(problem, solver, rng, start, free)
                reached.append((solver.derivatives(solver.observed(), x, free).value, x))
            except FitError as error:
                failures.append(str(error))
        for _, x in sorted(reached, key=lambda pair: -pair[0]):
            try:
                return self.pass_through(problem, solver, rng, x, pinned)
            except FitError as error:
                failures.append(str(error))
        raise FitError(f"SAEM failed from each of {len(starts)} starts; from the first: {failures[0]}")

    def few_iterations(
        self,
        problem: Problem,
        solver: Solver,
        rng: np.random.Generator,
        start: Array,
        free: Array,
        constrained: bool = True,
    ) -> Array:
        """Where a few iterations with step size one lead to."""
        state = State(start.copy(), *np.zeros((3, problem.n_statistics)))
        draws = self.schedule.steps(problem.n_latent).draws[:RACE]
        path = np.empty((len(draws), len(start)))
        self.block(problem, solver, rng, np.ones(len(draws)), draws, 0, len(draws), state, free, path, constrained)
        return state.x

    def pass_through(
        self,
        problem: Problem,
        solver: Solver,
        rng: np.random.Generator,
        start: Array,
        pinned: Array,
        burn_in: bool = True,
    ) -> Run:
        """Go through the schedule once, in blocks, with the pinned parameters where they are."""
        steps = self.schedule.steps(problem.n_latent)
        skip = 0 if burn_in else self.schedule.burn_in
        step_sizes, draws = steps.step_sizes[skip:], steps.draws[skip:]
        averaging_from = steps.averaging_from - skip
        state = State(start.copy(), *np.zeros((3, problem.n_statistics)))
        free = ~problem.parameters.fixed & ~pinned
        path = np.empty((len(step_sizes) + 1, len(start)))
        path[0] = start
        if skip:  # a warm start: the statistics that belong to it, with as many draws as the burn-in would have used
            self.block(problem, solver, rng, np.ones(1), np.array([50 * int(draws[0])]), 0, 1, state, free, path[:1])
        for low in range(0, len(step_sizes), BLOCK):
            high = min(low + BLOCK, len(step_sizes))
            self.block(
                problem,
                solver,
                rng,
                step_sizes[low:high],
                draws[low:high],
                max(0, low - averaging_from),
                averaging_from - low,
                state,
                free,
                path[low + 1 : high + 1],
            )
        x = state.x.copy()
        averaged = averaging_from < len(step_sizes)
        if averaged:
            outcome = solver.maximise(solver.complete(state.average), x, free, tolerance=1e-10)
            check_step(problem, outcome, len(step_sizes))
        return Run(
            x=x,
            path=np.vstack([path, x]),
            burn_in=0 if skip else self.schedule.burn_in,
            averaging_from=averaging_from if averaged else 0,
            draws=float(draws[averaging_from:].sum()) if averaged else np.nan,
        )

    def block(
        self,
        problem: Problem,
        solver: Solver,
        rng: np.random.Generator,
        step_sizes: Array,
        draws: Array,
        n_averaged: int,
        averaging_from: int,
        state: State,
        free: Array,
        path: Array,
        constrained: bool = True,
    ) -> None:
        """Run one block of the compiled loop; the state and the path are changed in place."""
        done, status = run_block(
            problem.arrays,
            problem.constraints.address,
            free,
            solver.kinds,
            solver.no_floor,
            rng,
            step_sizes,
            draws,
            n_averaged,
            averaging_from,
            self.tolerance,
            MAX_NEWTON,
            state,
            solver.constrained if constrained else solver.unconstrained,
            path,
        )
        if done < len(step_sizes):
            raise FitError(f"the M-step failed: {FAILURES.get(status, 'unknown reason')}")

    def settle_boundary(
        self, problem: Problem, solver: Solver, rng: np.random.Generator, run: Run
    ) -> tuple[Run, Array]:
        """Pin, one after another, the standard deviations for which zero has the higher likelihood."""
        pinned = np.zeros(len(run.x), dtype=bool)
        for _ in range(int(problem.collapsible.sum())):
            candidates = zero_candidates(problem, solver, run.x, pinned)
            if not candidates:
                break
            moved = False
            for i in candidates:
                trial_x, trial_pinned = run.x.copy(), pinned.copy()
                pin(problem, trial_x, trial_pinned, np.arange(len(trial_x)) == i)
                try:
                    trial = self.pass_through(problem, solver, rng, trial_x, trial_pinned)
                except FitError:  # the constraints do not admit zero
                    continue
                free = ~problem.parameters.fixed & ~trial_pinned
                gain = (
                    solver.derivatives(solver.observed(), trial.x, free).value
                    - solver.derivatives(solver.observed(), run.x).value
                )
                if gain > -self.deficit and not release(problem, solver, trial.x, trial_pinned).any():
                    run, pinned, moved = trial, trial_pinned, True
                    break
            if not moved:
                break
        return run, pinned

    def extend(
        self, problem: Problem, solver: Solver, rng: np.random.Generator, run: Run, pinned: Array
    ) -> tuple[Run, float]:
        """Repeat the averaged part while the estimated deficit is above its target; return the last deficit too."""
        missed = observed_information(problem, solver, run.x, pinned).deficit
        if not np.isfinite(run.draws):
            return run, missed
        for attempt in range(self.extensions):
            if not missed > self.deficit:
                break
            start = run.x
            if attempt % 2 == 0 and (problem.collapsible & ~pinned).any():
                # EM leaves the neighbourhood of a zero variance very slowly: come from above
                sds = problem.collapsible & ~pinned & (solver.kinds == sqp.SD)
                start = np.where(sds, np.maximum(run.x, problem.starts[0]), run.x)
            longer = self.pass_through(problem, solver, rng, start, pinned, burn_in=False)
            after = observed_information(problem, solver, longer.x, pinned).deficit
            if after < missed:
                run, missed = longer.after(run), after
        return run, missed


FAILURES = {
    sqp.ITERATION_LIMIT: "Newton's method did not converge",
    sqp.LINE_SEARCH_FAILED: "no step along the constraints increases the complete-data likelihood",
    sqp.INFEASIBLE: "the constraints cannot be satisfied from the current estimate",
    sqp.COLLAPSED: "a standard deviation went to zero",
    sqp.BAD_START: "the complete-data likelihood or a constraint is not finite at the current estimate",
}


def check_step(problem: Problem, outcome: sqp.Outcome, iteration: int) -> None:
    """Raise `FitError` when a maximisation failed."""
    if outcome.status != sqp.CONVERGED and outcome.stationarity > 1e-4:
        raise FitError(f"the M-step failed at iteration {iteration}: {FAILURES[outcome.status]}")


def zero_candidates(problem: Problem, solver: Solver, x: Array, pinned: Array) -> list[int]:
    """Standard deviations that are small, or that the likelihood, other things equal, would rather see at zero.

    The smallest first.
    """
    out = []
    for i in np.flatnonzero(problem.collapsible & ~pinned & (solver.kinds == sqp.SD)):
        trial_x, trial_pinned = x.copy(), pinned.copy()
        pin(problem, trial_x, trial_pinned, np.arange(len(x)) == i)
        if x[i] < SMALL * problem.scale[i] or not release(problem, solver, trial_x, trial_pinned)[i]:
            out.append(int(i))
    return sorted(out, key=lambda i: float(x[i] / problem.scale[i]))


def correlations_at_one(problem: Problem, solver: Solver, x: Array, pinned: Array) -> tuple[str, ...]:
    """Names of the correlations that the likelihood, other things equal, would rather see at -1 or 1."""
    out = []
    for i in np.flatnonzero(problem.collapsible & ~pinned & (solver.kinds == sqp.CORR) & (np.abs(x) > 0.9)):
        trial_x, trial_pinned = x.copy(), pinned.copy()
        pin(problem, trial_x, trial_pinned, np.arange(len(x)) == i)
        if not release(problem, solver, trial_x, trial_pinned)[i]:
            out.append(problem.parameters.names[i])
    return tuple(out)


def others_of_equal_likelihood(problem: Problem, solver: Solver, x: Array, free: Array) -> list[Array]:
    """Other points with the likelihood of ``x`` that satisfy the constraints (see `solutions_along`)."""
    if not problem.has_observed:
        return []
    points = solutions_along(problem, solver, x, free)
    return [point for point in points if np.max(np.abs(point - x) / problem.scale) > 1e-3]
