"""Passes through a schedule: an iteration is run block by block, looked at in between, and may go on after its end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import numpy as np

from saem.algorithms.engine.chain import Chain, Correction, Run, Snapshot, no_correction
from saem.algorithms.engine.correction import corrected, remember
from saem.algorithms.engine.iteration import Iteration
from saem.algorithms.engine.placement import PLACEMENT
from saem.algorithms.engine.spending import Counts, Spending
from saem.algorithms.engine.truncation import Truncation, within_bounds
from saem.errors import FitError, MStepError
from saem.estep.samplers import adapt
from saem.families.problem import Problem
from saem.mstep.solver import Solver
from saem.schedules import Densable, Extendable, Schedule, Slowable, Steps
from saem.stopping import Target

Array = np.ndarray

BLOCK = 250  # iterations between two looks by Python, which come at its multiples wherever a chain was interrupted
THICKENED = 2  # times at most that the draws of an iteration are made more


class Engine:
    """An iteration and the schedule that it goes through, once or several times.

    Parameters
    ----------
    iteration : Iteration
    schedule : Schedule
    watch : callable, optional
        Called as ``watch(engine, chain)`` after every block of iterations; a pass ends early when it returns True.
    truncation : Truncation, optional
        Bounds that a chain may not leave.

    Attributes
    ----------
    steps : Steps
        The schedule written out.
    once : int
        Iterations of the schedule as it was given.
    history : list of Snapshot
    keep : callable or None
        Called with a chain where it can go on as if it had not ended.
    """

    def __init__(
        self,
        iteration: Iteration,
        schedule: Schedule,
        watch: Callable[[Engine, Chain], bool] | None = None,
        truncation: Truncation | None = None,
    ) -> None:
        self.iteration = iteration
        self.schedule = schedule
        self.steps: Steps = schedule.steps(iteration.problem.latent.size)
        self.once = len(self.steps.step_sizes)
        self.watch = watch
        self.truncation = truncation
        self.history: list[Snapshot] = []
        self.last_estimate: tuple[tuple[int, int, bytes], tuple[Array, Correction]] | None = None
        self.keep: Callable[[Chain], None] | None = None

    @property
    def problem(self) -> Problem:
        """The problem with the latent data of the moment."""
        return self.iteration.problem

    @property
    def solver(self) -> Solver:
        """The constrained maximiser of the problem."""
        return self.iteration.solver

    @property
    def spent(self) -> Spending:
        """What the fit has spent so far."""
        return self.iteration.spent

    @property
    def counts(self) -> Counts:
        """What has happened to the fit so far."""
        return self.iteration.counts

    @property
    def target(self) -> Target:
        """The target, whose budget ends a pass early."""
        return self.spent.target

    def review(self, chain: Chain) -> None:
        """Look at the placement again, and give the chain the statistics that belong to another one."""
        now = chain.memory.get(PLACEMENT)
        placement = self.iteration.choose(chain.state.x, chain.pinned, now)
        if placement is None or now is None or np.array_equal(placement, now):
            return
        self.iteration.place(chain, placement)
        if self.steps.step_sizes[min(chain.done, len(self.steps.step_sizes) - 1)] < 1.0:
            self.iteration.warm(chain, self.steps.draws[:1])

    def pass_through(self, start: Array, pinned: Array, burn_in: bool = True) -> Run:
        """Go through the schedule once; without the burn-in, from statistics that belong to the start.

        Where its M-steps fail the pass is made once more: with other latent data than the centred ones, and then in the
        plainer way of the iteration, where there are such.
        """
        plainer = self.iteration.plainer() if burn_in else None
        with ExitStack() as changed:
            while True:
                try:
                    return self.advance(self.begun(start, pinned, burn_in), self.once)
                except MStepError:
                    if not self.counts.uncentred and self.iteration.placement.can_choose:
                        self.counts.uncentred = 1  # centred, a variance on its way to zero leaves it nothing to go by
                    elif plainer is not None:
                        changed.enter_context(plainer)
                        plainer = None
                    else:
                        raise

    def begun(self, start: Array, pinned: Array, burn_in: bool) -> Chain:
        """A chain at its start; without the burn-in, with statistics that belong to the start."""
        chain = self.iteration.begin(start, pinned, 0 if burn_in else self.schedule.burn_in)
        if chain.skipped:
            self.iteration.warm(chain, self.steps.draws[:1])
        return chain

    def advance(self, chain: Chain, until: int) -> Run:
        """Go on with a chain, which is changed, until so many iterations of the schedule are done."""
        self.extend(until)
        self.iteration.take_up(chain)
        chain.until = until
        self.mark(chain)
        ones = int(np.argmin(np.append(self.steps.step_sizes == 1.0, False)))
        reviews = [k for k in self.iteration.reviews(self.schedule.burn_in) if k <= ones]
        while chain.done < until and not self.spent.stopped:
            length = BLOCK if self.iteration.block is None else self.iteration.block
            end = min([until, (chain.done // length + 1) * length, *(k for k in reviews if k > chain.done)])
            block = slice(chain.done, chain.done + self.iteration.affordable(self.steps.draws[chain.done : end]))
            if block.stop == block.start:
                break
            adapt(self.iteration.drawing, chain.done < self.schedule.burn_in)
            gammas, draws = self.steps.step_sizes[block], self.steps.draws[block]
            averaging_from = self.steps.averaging_from - block.start
            if self.truncation is None:
                path, made = self.iteration.iterate(chain, gammas, draws, averaging_from)
            else:
                path, made = within_bounds(self.truncation, self.iteration, chain, gammas, draws, averaging_from)
            if not len(path):
                break
            chain.paths.append(path)
            chain.draws.append(made)
            remember(chain, path[max(0, averaging_from) :])
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
            self.steps = self.schedule.longer(until).steps(self.problem.latent.size)

    def slow_down(self) -> bool:
        """Let the step sizes of the next pass fall more slowly; whether the schedule admits it."""
        if not isinstance(self.schedule, Slowable):
            return False
        self.schedule = self.schedule.slower()
        self.steps = self.schedule.steps(self.problem.latent.size)
        self.counts.slowed += 1
        return True

    def thicken(self) -> None:
        """Let the next pass make more draws in an iteration, if the schedule admits it."""
        if isinstance(self.schedule, Densable):
            self.schedule = self.schedule.denser()
            self.steps = self.schedule.steps(self.problem.latent.size)
            self.counts.thickened += 1

    def look(self, chain: Chain) -> None:
        """Keep the history between two blocks, and let others look."""
        try:
            x = self.corrected_estimate(chain)[0]
        except MStepError:
            x = chain.state.x.copy()
        so_far = self.spent.iterations, self.spent.drawn, self.spent.seconds
        self.history.append(Snapshot(chain.number, chain.done, *so_far, self.iteration.acceptance(), x))
        self.mark(chain)
        if self.watch is not None and self.watch(self, chain):
            self.spent.stopped = "it was stopped by the caller"

    def estimate(self, chain: Chain) -> Array:
        """The maximiser at the averaged statistics, if there are such, or the last iterate."""
        return self.iteration.estimate(chain, self.steps.averaging_from < chain.done)

    def corrected_estimate(self, chain: Chain) -> tuple[Array, Correction]:
        """The estimate (n,) of a chain where it is, without its second-order bias; computed once."""
        at = chain.number, chain.done, chain.state.x.tobytes()
        if self.last_estimate is None or self.last_estimate[0] != at:
            self.last_estimate = at, self.unbiased(chain, self.estimate(chain))
        return self.last_estimate[1]

    def unbiased(self, chain: Chain, estimate: Array) -> tuple[Array, Correction]:
        """An estimate (n,) without its second-order bias, if it is an average over decreasing step sizes."""
        decreasing = self.steps.averaging_from < chain.done and self.steps.step_sizes[chain.done - 1] < 1.0
        if decreasing and self.iteration.corrects:
            return corrected(self.iteration, chain, estimate)
        return estimate, no_correction(len(estimate))

    def run_of(self, chain: Chain) -> Run:
        """What a chain has led to."""
        steps, (x, correction) = self.steps, self.corrected_estimate(chain)
        averaged = steps.averaging_from < chain.done
        made = np.concatenate([np.zeros(0), *chain.draws])
        first = steps.averaging_from - chain.skipped
        decreasing = averaged and steps.step_sizes[chain.done - 1] < 1.0  # else the average is biased
        run = Run(
            x=x,
            pinned=chain.pinned,
            path=np.vstack([*chain.paths, x]),
            burn_in=min(self.schedule.burn_in, chain.done) - chain.skipped,
            averaging_from=first if averaged else 0,
            first=first,
            draws=float(made[first:].sum()) if decreasing else np.nan,
            step_sizes=steps.step_sizes[chain.skipped : chain.done],
            made=made,
            chain=chain,
            correction=correction,
        )
        return run if chain.before is None else run.after(chain.before)

    def go_on(self, run: Run, iterations: int) -> Run:
        """More iterations of a run's chain, averaged with those before."""
        return self.advance(run.chain, run.chain.done + iterations)
