"""All Monte Carlo EM algorithms have these settings in common, and the course of a fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar, TypeVar

import numpy as np

from saem.algorithms.course.outcome import Outcome
from saem.algorithms.course.phases import begun, completed, judged
from saem.algorithms.engine.chain import Chain
from saem.algorithms.engine.continuation import Checkpoint
from saem.algorithms.engine.iteration import Iteration
from saem.algorithms.engine.passes import Engine
from saem.algorithms.engine.placement import AUTO
from saem.algorithms.engine.stepwise import StepwiseIteration
from saem.algorithms.engine.truncation import Truncation
from saem.algorithms.registry import MONTE_CARLO, Declaration, check_needs
from saem.errors import ModelError
from saem.estep.samplers import Sampler
from saem.families.problem import Problem
from saem.mstep.solver import Maximiser
from saem.schedules import AveragedSchedule, Schedule
from saem.stopping import Target
from saem.system.streams import stream

MOST_DRAWS = 100_000_000  # random effects, of a method whose draws grow from iteration to iteration
Watch = Callable[[Engine, Chain], bool]
Kind = TypeVar("Kind", bound=Iteration)


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
        Which latent data are drawn, where the family has a choice (linear and crossed ones): "uncentred" random
        effects, random effects "centred" on the means, or "auto", by what is missing
        (`saem.algorithms.engine.placement`).
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
    declaration: ClassVar[Declaration] = Declaration(**MONTE_CARLO)  # of those from outside of the package, too
    most_draws: ClassVar[int | None] = None  # random effects at most, where the target sets no limit
    last_iterate: ClassVar[bool] = False  # whether the schedule must average nothing ..
    gamma_one: ClassVar[bool] = False  # .. and have no step size but one

    def engine(self, problem: Problem, seed: int, watch: Watch | None = None) -> Engine:
        """The iteration of the algorithm for a problem, with the schedule that it goes through.

        Raises
        ------
        ModelError
            When the algorithm cannot go by its schedule, or cannot be used for the problem.
        """
        check_needs(self, problem)
        self.check_schedule(problem)
        return Engine(self.iteration(problem, seed), self.schedule, watch, self.truncation)

    def iteration(self, problem: Problem, seed: int) -> Iteration:
        """What an iteration does for a problem: algorithms that differ in that override this."""
        if self.mstep is None:
            return self.make(Iteration, problem, seed)
        return self.make(StepwiseIteration, problem, seed).with_maximiser(self.mstep)

    def make(self, kind: type[Kind], problem: Problem, seed: int) -> Kind:
        """An iteration of some kind with the settings of the algorithm."""
        limited = self.target.max_draws is not None or self.most_draws is None
        target = self.target if limited else replace(self.target, max_draws=self.most_draws)
        return kind(problem, self.tolerance, stream(seed, self.name), target, self.sampler, self.augmentation)

    def check_schedule(self, problem: Problem) -> None:
        """Refuse a schedule that the algorithm cannot go by.

        Raises
        ------
        ModelError
            Saying which schedules it can go by.
        """
        steps = self.schedule.steps(problem.latent.size)
        averages, falls = steps.averaging_from < len(steps.draws), bool(np.any(steps.step_sizes < 1.0))
        if self.last_iterate and (averages or (self.gamma_one and falls)):
            raise ModelError(
                f"{type(self).__name__} has a last iterate and no average"
                f"{', and step size one' if self.gamma_one else ''}; it cannot go by {self.schedule!r}"
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
        course = begun(lambda: self.engine(problem, seed, watch), self.target, self.search, resume)
        return judged(completed(course))
