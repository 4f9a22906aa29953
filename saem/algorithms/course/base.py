"""What all Monte Carlo EM algorithms have in common: settings, and the course of a fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar, TypeVar

import numpy as np

from saem.algorithms.accuracy.precision import assess
from saem.algorithms.course.outcome import Outcome
from saem.algorithms.course.refinement import MARGIN, refine
from saem.algorithms.course.settling import RACE, affordable_race, from_best_start, restart_higher, settle_boundary
from saem.algorithms.course.verdict import judge
from saem.algorithms.engine.chain import Chain, Run
from saem.algorithms.engine.checkpoint import Keeper
from saem.algorithms.engine.continuation import REFINEMENT, SCHEDULE, START, Checkpoint
from saem.algorithms.engine.engine import Engine
from saem.algorithms.engine.handover import as_then
from saem.algorithms.engine.placement import AUTO
from saem.algorithms.engine.stepwise import StepwiseEngine
from saem.algorithms.engine.truncation import Truncation
from saem.errors import ModelError, MStepError
from saem.estep.samplers import Sampler
from saem.families.contract import Problem
from saem.maxima.identification import free_directions
from saem.maxima.search import find_maxima
from saem.mstep.maximiser import Maximiser
from saem.schedules import AveragedSchedule, Schedule
from saem.stopping import Target
from saem.system.streams import stream

MOST_DRAWS = 100_000_000  # random effects, of a method whose draws grow from iteration to iteration
Array = np.ndarray
Watch = Callable[[Engine, Chain], bool]
E = TypeVar("E", bound=Engine)


@dataclass(frozen=True)
class MonteCarloAlgorithm:
    """An algorithm of the family; each of them says in a file of its own what differs.

    Attributes
    ----------
    schedule : Schedule
        Step sizes and numbers of draws (`saem.schedules`).
    tolerance : float
        Of each M-step, in units of the complete-data standard errors.
    target : Target
        Iterations go on until it is reached, or its budget is used up.
    search : bool
        The likelihood can have several maxima, and those that are far from the start cannot be reached. Where a
        closed form allows it, all are looked for as direct maximum likelihood does, and if one is higher than where
        the algorithm ended, it is run again from there, and says so. False leaves it to itself.
    mstep : str, Maximiser or None
        The constrained M-step, by its name in `saem.mstep.maximisers` or one of your own; the compiled Lagrange-Newton
        method if None.
    truncation : Truncation or None
        Bounds that a chain may not leave, as a safety net.
    sampler : str, Sampler or None
        How the latent data are drawn: a sampler of the family by name ("metropolis" for the linear one), one of your
        own, or the family's own way if None.
    augmentation : str
        Which latent data are drawn, where the family has a choice (the linear one): "uncentred" random effects, random
        effects "centred" on the means, or "auto", by what is missing (`saem.algorithms.engine.placement`).
    """

    schedule: Schedule = field(default_factory=AveragedSchedule)
    tolerance: float = 1e-6
    target: Target = field(default_factory=Target)
    search: bool = True
    mstep: str | Maximiser | None = None
    truncation: Truncation | None = None
    sampler: str | Sampler | None = None
    augmentation: str = AUTO
    name: ClassVar[str]
    most_draws: ClassVar[int | None] = None  # random effects at most, where the target sets no limit
    last_iterate: ClassVar[bool] = False  # whether the schedule must average nothing ..
    gamma_one: ClassVar[bool] = False  # .. and have no step size but one

    def engine(self, problem: Problem, seed: int, watch: Watch | None = None) -> Engine:
        """What runs the iterations for a problem."""
        if self.mstep is None:
            return self.make(Engine, problem, seed, watch)
        return self.make(StepwiseEngine, problem, seed, watch).with_maximiser(self.mstep)

    def make(self, kind: type[E], problem: Problem, seed: int, watch: Watch | None) -> E:
        """An engine of some kind with the settings of the algorithm.

        Raises
        ------
        ModelError
            When the algorithm cannot go by its schedule.
        """
        limited = self.target.max_draws is not None or self.most_draws is None
        target = self.target if limited else replace(self.target, max_draws=self.most_draws)
        steps = self.schedule.steps(problem.n_latent)
        averages, falls = steps.averaging_from < len(steps.draws), bool(np.any(steps.step_sizes < 1.0))
        if self.last_iterate and (averages or (self.gamma_one and falls)):
            raise ModelError(
                f"{type(self).__name__} has a last iterate and no average"
                f"{', and step size one' if self.gamma_one else ''}; it cannot go by {self.schedule!r}"
            )
        return kind(
            problem,
            self.schedule,
            self.tolerance,
            stream(seed, self.name),
            target,
            watch,
            self.truncation,
            self.sampler,
            self.augmentation,
        )

    def run(
        self, problem: Problem, seed: int = 0, watch: Watch | None = None, resume: Checkpoint | None = None
    ) -> Outcome:
        """Estimate the parameters.

        Parameters
        ----------
        problem : Problem
        seed : int
            The same seed gives the same estimate, bit for bit.
        watch : callable, optional
            Called as ``watch(engine, chain)`` after every block of iterations; the fit ends when it returns True.
        resume : Checkpoint, optional
            Of an earlier outcome with the same problem, seed and settings but the target, to go on from. The outcome is
            bit for bit the same as if the earlier run had not ended. Budgets count from its start.

        Raises
        ------
        ModelError
            When the algorithm cannot be used for the problem.
        FitError
            When an M-step fails from every start.
        """
        return self.pursue(problem, seed, watch, resume)[2]

    def pursue(
        self,
        problem: Problem,
        seed: int,
        watch: Watch | None = None,
        resume: Checkpoint | None = None,
        placement: Array | None = None,
        is_pooled: bool = False,
    ) -> tuple[Engine, Run, Outcome]:
        """As `run`; the engine and the run, too.

        A run that ``is_pooled`` with others keeps its kind of latent data, in a given placement if need be.
        """
        engine = self.engine(problem, seed, watch)
        engine.placement.fixed = placement
        if is_pooled:
            engine.hands_over = 0
        if resume is not None:
            engine = as_then(engine, resume)
        keeper, closed = Keeper(engine), problem.has_observed
        stage = START if resume is None else resume.texts["stage"]
        if resume is None or stage == START:
            keeper.is_off = closed and affordable_race(engine) < RACE
            run = from_best_start(engine)
        else:
            chain = keeper.restore(resume)
            engine.spent.most_iterations = self.target.max_iterations if stage == REFINEMENT else None
            try:
                run = engine.advance(chain, chain.until)
            except MStepError:
                if stage == SCHEDULE:  # there may be other starts
                    return self.pursue(problem, seed, watch, None, placement, is_pooled)
                run = engine.run_of(keeper.restore(resume))
        with keeper.paused():
            if stage != REFINEMENT and closed and not engine.spent.stopped:
                run = settle_boundary(engine, run, MARGIN)
            searched = closed and self.search
            peaks = find_maxima(problem, engine.solver)[0] if searched else []
            note = keeper.note
            if stage != REFINEMENT and closed and not engine.spent.stopped:
                run, note = restart_higher(engine, run, peaks, MARGIN)
        if not engine.spent.stopped:
            keeper.refining(note)
        if len(free_directions(problem, run.x, run.pinned)):  # more iterations would not determine it either
            precision = assess(engine, run)
        else:
            engine, run, precision = refine(engine, run, self.target, keeper)
        outcome = judge(engine, run, peaks, precision, self.target, note)
        return engine, run, replace(outcome, checkpoint=keeper.last())
