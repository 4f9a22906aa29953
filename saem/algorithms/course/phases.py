"""The course of a fit is a list of phases, each of which takes it and hands it on.

begun                 the first pass through the schedule, from the best start or where an earlier fit stopped
with_zero_variances   standard deviations for which zero has the higher likelihood are held there
with_all_maxima       the other maxima of the likelihood are looked for
from_the_highest      where one is higher, a pass is made from there
up_to_the_target      more iterations, until the Monte Carlo error no longer matters
judged                the outcome: status, message, errors
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from saem.algorithms.accuracy.precision import Precision, assess, finished
from saem.algorithms.course.other_maxima import RACE, affordable_race, from_best_start, pin_variances, restart_higher
from saem.algorithms.course.outcome import Outcome
from saem.algorithms.course.up_to_target import MARGIN, refine
from saem.algorithms.course.verdict import judge
from saem.algorithms.engine.chain import Run
from saem.algorithms.engine.checkpoint import Keeper
from saem.algorithms.engine.continuation import REFINEMENT, SCHEDULE, START, Checkpoint
from saem.algorithms.engine.handover import as_then
from saem.algorithms.engine.iteration import RULES
from saem.algorithms.engine.passes import Engine
from saem.errors import FitError, ModelError, MStepError
from saem.estep.integration.settling import has_moved
from saem.families.problem import Problem
from saem.maxima.identification import free_directions
from saem.maxima.search import Peak, find_maxima
from saem.stopping import Target

FINISHED = (
    "The likelihood is simulated: from where the iterations ended Newton's method went to its maximum, and Monte Carlo "
    "errors are those of its points."
)


@dataclass(frozen=True, eq=False)
class Course:
    """A fit under way is handed from phase to phase as this.

    Attributes
    ----------
    engine : Engine
    run : Run
        Of the last pass.
    keeper : Keeper
        Knows where the fit can go on.
    target : Target
    searches : bool
        Whether all maxima are looked for, where a closed form allows it.
    is_refined : bool
        Whether it goes on with an earlier fit that had gone through its schedule, and settled what comes after it.
    peaks : tuple of Peak
        All maxima that were found, the highest first.
    note : str
        What happened on the way, for the user.
    precision : Precision or None
        How far the run is from the maximum, when that was assessed.
    """

    engine: Engine
    run: Run
    keeper: Keeper
    target: Target
    searches: bool
    is_refined: bool = False
    peaks: tuple[Peak, ...] = ()
    note: str = ""
    precision: Precision | None = None

    @property
    def problem(self) -> Problem:
        """The problem as it was posed, with the family's plain latent data."""
        return self.engine.iteration.placement.problem

    @property
    def may_pass_again(self) -> bool:
        """Whether passes beside the first are made: with a likelihood, within the budget, and not made already."""
        return self.problem.likelihood.is_available and not self.is_refined and not self.engine.spent.stopped


Phase = Callable[[Course], Course]


def begun(make: Callable[[], Engine], target: Target, searches: bool, resume: Checkpoint | None = None) -> Course:
    """The first pass is made, or the one under way when an earlier fit stopped is gone on with.

    Parameters
    ----------
    make : callable
        Makes the engine, as the first time.
    """
    engine = make()
    if resume is None or resume.texts["stage"] == START:
        keeper = Keeper(engine)
        keeper.is_off = engine.problem.likelihood.is_available and affordable_race(engine) < RACE
        return Course(engine, from_best_start(engine), keeper, target, searches)
    engine, is_refined = as_then(engine, resume), resume.texts["stage"] == REFINEMENT
    keeper = Keeper(engine)
    chain = keeper.restore(resume)
    engine.spent.most_iterations = target.max_iterations if is_refined else None
    try:
        run = engine.advance(chain, chain.until)
    except MStepError:
        if resume.texts["stage"] == SCHEDULE:  # there may be other starts
            return begun(make, target, searches)
        run = engine.run_of(keeper.restore(resume))
    return Course(engine, run, keeper, target, searches, is_refined, note=keeper.note)


def looked_closely(course: Course) -> Course:
    """A likelihood by quadrature gets the nodes that the estimate needs; where none suffice, it is simulated."""
    if RULES in course.run.chain.memory and not has_moved(course.problem, course.run.x):
        return course  # of a fit that goes on
    reason = course.engine.iteration.look_closely(course.run)
    if not reason:
        return course
    return replace(course, note=f"{course.note} The log-likelihood is not known: {reason}.".strip())


def with_zero_variances(course: Course) -> Course:
    """Standard deviations for which zero has the higher likelihood are held there, one after another."""
    course = looked_closely(course)
    if not course.may_pass_again:
        return course
    with course.keeper.paused():
        return replace(course, run=pin_variances(course.engine, course.run, MARGIN))


def with_all_maxima(course: Course) -> Course:
    """The maxima of the likelihood are looked for, as direct maximum likelihood does."""
    problem = course.problem
    if not (problem.likelihood.is_available and course.searches) or problem.likelihood.is_local:
        return course
    return replace(course, peaks=tuple(find_maxima(problem, course.engine.solver)[0]))


def from_the_highest(course: Course) -> Course:
    """Where another maximum is higher a pass is made from there; then all that belongs to the schedule is done."""
    if course.may_pass_again:
        with course.keeper.paused():
            run, note = restart_higher(course.engine, course.run, list(course.peaks), MARGIN)
        course = replace(course, run=run, note=note)
    if not course.engine.spent.stopped:
        course.keeper.refining(course.note)
    return course


def up_to_the_target(course: Course) -> Course:
    """Iterations go on until the target is reached; where the data leave a direction free, none would determine it."""
    engine, run = course.engine, course.run
    if len(free_directions(course.problem, run.x, run.pinned)):
        return assessed(course)
    if not engine.iteration.ends_by_newton:
        engine, run, precision = refine(engine, run, course.target, course.keeper)
        course = replace(course, engine=engine, run=run, precision=precision)
    if not engine.iteration.ends_by_newton or engine.spent.stopped:
        return assessed(course)
    try:
        run, precision, doubts = finished(engine.iteration, run)
    except (ModelError, FitError):  # elsewhere it was known
        return assessed(course)
    course.keeper.keep(run.chain)
    return replace(course, run=run, precision=precision, note=f"{course.note} {FINISHED} {doubts}".strip())


def assessed(course: Course) -> Course:
    """The course with the precision of its run, which may be known."""
    known = course.precision is not None
    return course if known else replace(course, precision=assess(course.engine.iteration, course.run))


PHASES: tuple[Phase, ...] = (with_zero_variances, with_all_maxima, from_the_highest, up_to_the_target)


def completed(course: Course) -> Course:
    """A course that has begun goes through all its phases."""
    for phase in PHASES:
        course = phase(course)
    return course


def judged(course: Course) -> Outcome:
    """The outcome of a course that has gone through all its phases, and where it can go on."""
    assert course.precision is not None, "the last phase assesses it"
    outcome = judge(course.engine, course.run, list(course.peaks), course.precision, course.target, course.note)
    return replace(outcome, checkpoint=course.keeper.last())
