"""The rule to stop: more iterations until the Monte Carlo error no longer matters.

What is done next never depends on the target, which only says where to stop. So a run that stopped early can go on to
a smaller target later, bit for bit as if it had had that target from the start.
"""

from __future__ import annotations

import numpy as np

from saem.algorithms.chain import Run
from saem.algorithms.checkpoint import Keeper
from saem.algorithms.engine import Engine
from saem.algorithms.precision import Precision, assess
from saem.errors import MStepError
from saem.mstep import sqp
from saem.schedules import Extendable, Slowable
from saem.stopping import Target

MARGIN = 0.01  # of the log-likelihood: a larger deficit ..
UNEXPLAINED = 5.0  # .. that is so many times what the Monte Carlo error explains is a pass that is not finished
EXCESS = 1.5  # of the variance, over that of a long average: a direction that is not averaged out
SLOWER = 2  # passes with step sizes that fall more slowly, where a pass does not forget its start
FRESH = 3  # passes that begin anew where a pass is not finished


def refine(engine: Engine, run: Run, target: Target, keeper: Keeper | None = None) -> tuple[Run, Precision]:
    """Iterate until the target is reached, or the budget is used up.

    Parameters
    ----------
    keeper : Keeper, optional
        Is told where the run can go on from, and counts the passes that are begun anew.
    """
    keeper = Keeper(engine) if keeper is None else keeper
    engine.spent.most_iterations = target.max_iterations
    keeper.keep(run.chain)
    precision = assess(engine, run)
    while not reached(engine, precision, target) and not engine.spent.stopped:
        left = target.max_iterations - engine.spent.iterations
        # an average keeps its start for ever, a last iterate forgets it
        unfinished = (
            keeper.fresh < FRESH
            and np.isfinite(run.draws)
            and not precision.deficit <= max(MARGIN, UNEXPLAINED * precision.explained)
        )
        stuck = not unfinished and does_not_forget(engine, run, precision)
        look = keeper.last
        try:
            if unfinished:
                with keeper.paused():
                    longer = pass_from_above(engine, run, left, keeper.fresh + 1)
                keeper.fresh += longer is not None
            elif stuck:
                with keeper.paused():
                    longer = slower_pass(engine, run, left)
            else:
                longer = go_on(engine, run, left)
        except MStepError:
            if unfinished:
                keeper.fresh += 1
                continue
            keeper.last = look  # the chain has moved on from the run
            break
        if longer is None or not len(longer.drawn):  # nothing to do, or the budget was used up before anything was
            break
        before = engine.spent.drawn
        after = assess(engine, longer)
        if unfinished and not after.deficit < precision.deficit:
            continue
        run, precision = longer, after
        if unfinished or stuck:
            keeper.keep(run.chain, before)
    return run, precision


def reached(engine: Engine, precision: Precision, target: Target) -> bool:
    """Whether both targets are; that of the deficit alone where no Monte Carlo error ever becomes valid."""
    if not precision.deficit + precision.doubt <= target.deficit:
        return False
    if nears_singularity(engine, precision):  # the law of the error holds inside
        return True
    if np.isnan(precision.ratio):
        return not (precision.reason and isinstance(engine.schedule, Extendable))
    return precision.ratio <= target.mcse


def nears_singularity(engine: Engine, precision: Precision) -> bool:
    """Whether the maximum beside the run has a correlation of one, which it does not reach."""
    top, kinds = precision.top, engine.solver.kinds
    return top is not None and bool(np.any(top.pinned & (kinds == sqp.CORR) & (np.abs(top.x) == 1.0)))


def does_not_forget(engine: Engine, run: Run, precision: Precision) -> bool:
    """Whether an average still holds much of its start or first draws, and the step sizes could fall more slowly."""
    held = run.averaging_from > 0 and np.isfinite(run.draws) and (bool(precision.reason) or precision.excess > EXCESS)
    return held and engine.slowed < SLOWER and isinstance(engine.schedule, Slowable)


def pass_from_above(engine: Engine, run: Run, left: int, attempt: int) -> Run | None:
    """Another pass without the burn-in, from the estimate; None where the budget is too small.

    EM leaves the neighbourhood of a zero variance very slowly: every second pass comes from above.
    """
    problem = engine.problem
    if left < engine.once:
        return None
    sds = problem.collapsible & ~run.pinned & (engine.solver.kinds == sqp.SD)
    start = np.where(sds, np.maximum(run.x, problem.starts[0]), run.x) if attempt % 2 else run.x
    return engine.pass_through(start, run.pinned, burn_in=False).after(run)


def slower_pass(engine: Engine, run: Run, left: int) -> Run | None:
    """Another pass from the estimate, with step sizes that fall more slowly; None where the budget is too small."""
    if left < engine.once or not engine.slow_down():
        return None
    return engine.pass_through(run.x, run.pinned).after(run)


def go_on(engine: Engine, run: Run, left: int) -> Run | None:
    """More iterations of the same chain, up to the next look, within the budget; None where it cannot go on."""
    if not isinstance(engine.schedule, Extendable):
        return None
    return engine.go_on(run, next_look(engine, run.chain.done) - run.chain.done) if left > 0 else None


def next_look(engine: Engine, done: int) -> int:
    """The iteration of the schedule at which the precision is assessed next; the first at the end of it."""
    first = engine.steps.averaging_from if engine.steps.averaging_from < engine.once else 0
    counted = engine.once - first
    while first + counted <= done:
        counted = max(counted + 1, int(np.ceil(engine.growth * counted)))
    return first + counted
