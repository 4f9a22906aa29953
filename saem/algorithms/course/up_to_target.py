"""Iterations go on until the rule to stop (`saem.stopping.rule`) is met, or the budget is used up.

What is done next never depends on the target, which only says where to stop. So a run that stopped early can go on to
a smaller target later, bit for bit as if it had had that target from the start.
"""

from __future__ import annotations

import numpy as np

from saem.algorithms.accuracy.precision import Precision, assess
from saem.algorithms.engine.chain import Run
from saem.algorithms.engine.checkpoint import Keeper
from saem.algorithms.engine.handover import heir_of
from saem.algorithms.engine.passes import THICKENED, Engine
from saem.errors import MStepError
from saem.maxima.simulated import after_newton
from saem.schedules import Extendable, Slowable
from saem.stopping import Target, is_reached

MARGIN = 0.01  # of the log-likelihood: a larger deficit ..
UNEXPLAINED = 5.0  # .. that is so many times what the Monte Carlo error explains is a pass that is not finished
EXCESS = 1.5  # of the variance, over that of a long average: a direction that is not averaged out
SLOWER = 2  # passes with step sizes that fall more slowly, where a pass does not forget its start
SELDOM = 1.5  # times the iterations before, from one look to the next, where each looks at integrals
LONG = 2  # times the iterations of the schedule: a run that may be slow
FRESH = 3  # passes that begin anew where a pass is not finished
MOST_FRESH = 6  # the same where draws alone tell of the maximum, each after a step of Newton's method


def refine(engine: Engine, run: Run, target: Target, keeper: Keeper | None = None) -> tuple[Engine, Run, Precision]:
    """Iterate until the target is reached, or the budget is used up.

    Parameters
    ----------
    keeper : Keeper, optional
        Is told where the run can go on from, and counts the passes that are begun anew.

    Returns
    -------
    engine : Engine
        The one that made the last pass.
    run : Run
    precision : Precision
    """
    keeper = Keeper(engine) if keeper is None else keeper
    engine.spent.most_iterations = target.max_iterations
    keeper.keep(run.chain)
    precision = assess(engine.iteration, run)
    while not (reached(engine, precision, target) or engine.spent.stopped or engine.iteration.ends_by_newton):
        left = target.max_iterations - engine.spent.iterations
        # an average keeps its start for ever, a last iterate forgets it
        unfinished = (
            keeper.fresh < (FRESH if engine.problem.likelihood.is_available else MOST_FRESH)
            and np.isfinite(run.draws)
            and not precision.deficit <= max(MARGIN, UNEXPLAINED * precision.explained)
        )
        stuck = not unfinished and does_not_forget(engine, run, precision)
        slow = unfinished or stuck or engine.spent.iterations >= LONG * engine.once
        heir = heir_of(engine, run, precision) if slow else None
        look, plan = keeper.last, (engine.schedule, engine.steps, engine.counts.thickened)
        try:
            if heir is not None:
                keeper.engine = heir
                with keeper.paused():
                    longer = expanded_pass(heir, run, left)
            elif unfinished:
                with keeper.paused():
                    longer = pass_from_above(engine, run, precision, left, keeper.fresh + 1)
                keeper.fresh += longer is not None
            elif stuck:
                with keeper.paused():
                    longer = slower_pass(engine, run, left)
            else:
                longer = go_on(engine, run, left)
        except MStepError:
            if heir is not None:
                keeper.engine, engine.counts.hands_over, engine.counts.passes = engine, 0, heir.counts.passes
                continue
            if unfinished:
                keeper.fresh += 1
                engine.schedule, engine.steps, engine.counts.thickened = plan
                continue
            keeper.last = look  # the chain has moved on from the run
            break
        if longer is None or not len(longer.made):  # nothing to do, or the budget was used up before anything was
            break
        before = engine.spent.drawn
        after = assess(keeper.engine.iteration, longer)
        is_cut = engine.spent.stopped and not reached(keeper.engine, after, target)
        if heir is not None and is_cut and not after.deficit < precision.deficit:
            break  # the budget ended a pass that had not come as far yet
        engine = keeper.engine
        if heir is None and unfinished and np.isfinite(precision.deficit) and not after.deficit < precision.deficit:
            engine.schedule, engine.steps, engine.counts.thickened = plan  # of the chain that goes on
            continue
        run, precision = longer, after
        if heir is not None or unfinished or stuck:
            keeper.keep(run.chain, before)
    return engine, run, precision


def reached(engine: Engine, precision: Precision, target: Target) -> bool:
    """Whether the rule says stop to an engine; one whose schedule ends can make no error valid later."""
    return is_reached(target, precision, isinstance(engine.schedule, Extendable))


def does_not_forget(engine: Engine, run: Run, precision: Precision) -> bool:
    """Whether an average still holds much of its start or first draws, and the step sizes could fall more slowly."""
    held = run.averaging_from > 0 and np.isfinite(run.draws) and (bool(precision.reason) or precision.excess > EXCESS)
    return held and engine.counts.slowed < SLOWER and isinstance(engine.schedule, Slowable)


def pass_from_above(engine: Engine, run: Run, precision: Precision, left: int, attempt: int) -> Run | None:
    """Another pass without the burn-in, from the estimate, with more draws; None where the budget is too small.

    The noise of few draws can drive a pass to the boundary, from where it comes back very slowly: every second pass
    comes from above. Where draws alone tell of the maximum, each begins where Newton's step leads, along the slow
    directions, in which a pass has not arrived.
    """
    problem = engine.problem
    if left < engine.once:
        return None
    for _ in range(min(attempt, THICKENED) - engine.counts.thickened):
        engine.thicken()
    sds = problem.boundary.collapsible & ~run.pinned & engine.solver.domains.can_vanish
    start = np.where(sds, np.maximum(run.x, problem.starts.first), run.x) if attempt % 2 else run.x
    if precision.newton is not None:
        start = after_newton(problem, run.x, precision.newton)
    return engine.pass_through(start, run.pinned, burn_in=False).after(run)


def expanded_pass(heir: Engine, run: Run, left: int) -> Run | None:
    """A pass of another engine from the estimate; None where the budget is too small."""
    return heir.pass_through(run.x, run.pinned).after(run) if left >= heir.once else None


def slower_pass(engine: Engine, run: Run, left: int) -> Run | None:
    """Another pass from the estimate, with step sizes that fall more slowly; None where the budget is too small."""
    if left < engine.once or not engine.slow_down():
        return None
    return engine.pass_through(run.x, run.pinned).after(run)


def go_on(engine: Engine, run: Run, left: int) -> Run | None:
    """More iterations of the same chain, up to the next look, within the budget; None where it cannot go on."""
    if not isinstance(engine.schedule, Extendable):
        return None
    growth = engine.iteration.growth
    if engine.problem.likelihood.is_local:  # a look costs more
        growth = max(growth, SELDOM)
    return engine.go_on(run, next_look(engine, run.chain.done, growth) - run.chain.done) if left > 0 else None


def next_look(engine: Engine, done: int, growth: float) -> int:
    """The iteration of the schedule at which the precision is assessed next; the first at the end of it."""
    first = engine.steps.averaging_from if engine.steps.averaging_from < engine.once else 0
    counted = engine.once - first
    while first + counted <= done:
        counted = max(counted + 1, int(np.ceil(growth * counted)))
    return first + counted
