"""What SAEM does about maxima that its path does not lead to by itself: zero variances, and higher ones far away.

These look at the closed-form likelihood of families that have one.
"""

from __future__ import annotations

import numpy as np

from saem.algorithms.course.singularity import inside
from saem.algorithms.engine.chain import Run
from saem.algorithms.engine.passes import Engine
from saem.errors import FitError, ModelError, MStepError, listing
from saem.estep.integration.settling import roughly
from saem.expressions.constraint import parameters_of
from saem.maxima.boundary import climb, is_bounded, pin, release
from saem.maxima.search import Peak
from saem.maxima.starts import infeasible, scattered, solutions_along
from saem.mstep import sqp
from saem.mstep.solver import Solver

Array = np.ndarray

SMALL = 0.2  # of its typical size: a standard deviation below is compared with zero
MUCH_LOWER = 2.0  # log-likelihood, of which a rough one is known to some tenths
ROUGH_STEPS = 12  # of Newton's method, by which that is nearly at its maximum
HIGHER = 1e-4  # a log-likelihood higher by more belongs to another maximum
RACERS = 5  # scattered starts of the race
RACE = 40  # iterations from each start, to choose among them
RACE_SHARE = 0.1  # of a budget of draws, at most, for all of them


def first_start(engine: Engine) -> Array:
    """The family's first start, moved along a flat direction onto the constraints where there is one."""
    problem = engine.problem
    feasible = solutions_along(problem, engine.solver, problem.starts.first, engine.solver.free)
    return min(feasible, key=lambda x: float(np.sum(x**2)), default=problem.starts.first)


def from_best_start(engine: Engine) -> Run:
    """The first pass, from the start that leads to the highest likelihood after a few iterations.

    Constraints can give the likelihood several maxima; without them, or without a closed-form likelihood, it is the
    first start whose M-steps succeed.
    """
    problem = engine.problem
    failures: list[MStepError] = []
    starts = list(problem.starts.values)
    if problem.likelihood.is_available:
        first = first_start(engine)
        starts = [first] if first is not starts[0] else starts
    race, m = affordable_race(engine), engine.steps.draws[0]
    if race and problem.likelihood.is_available and len(problem.constraints) > 0 and len(starts) > 1:
        try:
            x = engine.iteration.few_iterations(starts[0], race, m, constrained=False)
            starts = [x, *starts[:1], *scattered(problem, x, RACERS)]
        except MStepError as error:  # what the constraints hold in place may be unbounded without them
            failures.append(error)
        reached: list[tuple[float, Array]] = []
        for start in starts:
            try:
                x = engine.iteration.few_iterations(start, race, m)
                reached.append((engine.iteration.loglik(x), x))
            except MStepError as error:
                failures.append(error)
        starts = [x for _, x in sorted(reached, key=lambda pair: -pair[0])]
    for start in starts:
        try:
            return engine.pass_through(start, engine.iteration.nothing_pinned)
        except MStepError as error:
            failures.append(error)
    if all(error.infeasible for error in failures):
        raise infeasible(problem, len(failures))
    under = f" under {listing(problem.constraints.names)}" if len(problem.constraints) else ""
    if failures[0].unbounded:
        raise FitError(str(failures[0]))
    texts = zip(problem.constraints.names, problem.constraints.texts, strict=True)
    single = [name for name, text in texts if len(parameters_of(name, text)) == 1]
    advice = f"; {listing(single)} involves one parameter: write its value in [fixed] instead" if single else ""
    raise FitError(f"SAEM failed{under}: {failures[0]}{advice}")


def affordable_race(engine: Engine) -> int:
    """Iterations from each start of the race: fewer, or none, where the budget of draws is small."""
    if engine.target.max_draws is None:
        return RACE
    once = (RACERS + 3) * int(engine.steps.draws[0]) * max(1, engine.problem.latent.size)
    return min(RACE, int(RACE_SHARE * engine.target.max_draws / once))


def pin_variances(engine: Engine, run: Run, margin: float) -> Run:
    """Pin, one after another, the standard deviations for which zero has the higher likelihood.

    Zero is taken when the maximum with the standard deviation held there is at most ``margin`` lower than the one above
    the run, and the likelihood does not increase from it. Both are judged at that maximum itself: where a pass ends
    near it, the noise of a small slope decides. No pass is made where already a rough likelihood is much lower.
    """
    problem, solver = engine.problem, engine.solver
    best = -np.inf
    for _ in range(int(problem.boundary.collapsible.sum())):
        height, at_top = above(engine, run)
        rough = rough_solver(engine, run)
        candidates = zero_candidates(rough, run, at_top)
        if candidates:
            best = max(best, engine.iteration.loglik(run.x), height)
        is_rough = bool(candidates) and rough is not solver
        here = rough_height(rough, run.x, run.pinned) if is_rough else -np.inf
        # constraints may admit zero only for several at once
        for which in [[i] for i in candidates] + ([candidates] if len(candidates) > 1 else []):
            start, pinned = run.x.copy(), run.pinned.copy()
            pin(problem, start, pinned, np.isin(np.arange(len(start)), which))
            if is_rough and rough_height(rough, start, pinned) < here - MUCH_LOWER:
                continue
            try:
                trial = engine.pass_through(start, pinned)
            except MStepError:  # the constraints do not admit zero
                continue
            if engine.spent.stopped:
                return run
            top, value = solver.summit(trial.x, solver.free & ~pinned)
            if not is_bounded(problem, solver, top, pinned):
                continue
            gain = value - best
            jointly = len(which) > 1 and gain > 0.0  # released one by one, they would leave the constraints
            if jointly or (gain > -margin and not release(problem, solver, top, pinned).any()):
                run = trial
                break
        else:
            break
    return run


def restart_higher(engine: Engine, run: Run, peaks: list[Peak], margin: float) -> tuple[Run, str]:
    """Run again from the highest of the maxima, when it is another and higher one than the run ended at.

    Returns
    -------
    run : Run
    note : str
        What happened, for the user; empty when the run had found the highest.
    """
    if not peaks:
        return run, ""
    _, own = engine.solver.summit(run.x, engine.solver.free & ~run.pinned)
    if peaks[0].loglik <= max(own, above(engine, run)[0]) + HIGHER:
        return run, ""
    loglik = engine.iteration.loglik(run.x)
    reached = f"From its own start SAEM reached a lower local maximum (log-likelihood {loglik:.3f})"
    try:
        again = pin_variances(engine, engine.pass_through(*inside(engine.iteration, peaks[0])), margin)
    except MStepError as error:
        return run, f"{reached}, and could not run at the highest ({peaks[0].loglik:.3f}): {error}."
    if engine.spent.stopped:
        return run, ""
    if engine.solver.summit(again.x, engine.solver.free & ~again.pinned)[1] < own:
        return run, f"{reached}, and drifted away from the highest ({peaks[0].loglik:.3f})."
    return again.after(run), f"{reached}; this is its estimate when it starts at the highest that direct ML finds."


def above(engine: Engine, run: Run) -> tuple[float, Array]:
    """Height of the maximum that lies above a run, ``-inf`` where none is found, and what is pinned there (n,).

    A correlation of one, which no path reaches, is no other maximum than the one that the path goes to.
    """
    _, pinned, result = climb(engine.problem, engine.solver, run.x)
    if result.status == sqp.CONVERGED and pinned[run.pinned].all():
        return result.value, pinned
    return -np.inf, run.pinned


def rough_solver(engine: Engine, run: Run) -> Solver:
    """The solver; that of a rough likelihood where each look is an integral for every cluster."""
    try:
        rough = roughly(engine.problem, run.x)
    except (ModelError, FitError):  # a look at the integrals themselves says the same in time
        rough = engine.problem
    return engine.solver if rough is engine.problem else Solver(rough)


def rough_height(solver: Solver, start: Array, pinned: Array) -> float:
    """What some steps of Newton's method lead up to from a ``start`` (n,) with parameters ``pinned``."""
    result = solver.maximise(solver.observed(), start.copy(), solver.free & ~pinned, max_iterations=ROUGH_STEPS)
    return float(result.value)


def zero_candidates(solver: Solver, run: Run, at_top: Array) -> list[int]:
    """Standard deviations that are small, or that the likelihood would rather see at zero, the smallest first.

    Other things equal, or at the maximum above the run, where ``at_top`` (n,) are pinned: of effects whose correlation
    is near one, each makes up for the other, and only together would they vanish.
    """
    problem = solver.problem
    out = []
    for i in np.flatnonzero(problem.boundary.collapsible & ~run.pinned & solver.domains.can_vanish):
        if at_top[i] or run.x[i] < SMALL * problem.scale[i] or prefers_boundary(solver, run, int(i)):
            out.append(int(i))
    return sorted(out, key=lambda i: float(run.x[i] / problem.scale[i]))


def prefers_boundary(solver: Solver, run: Run, i: int) -> bool:
    """Whether the likelihood, other things equal, does not increase from the boundary of a parameter."""
    x, pinned = run.x.copy(), run.pinned.copy()
    pin(solver.problem, x, pinned, np.arange(len(x)) == i)
    return not release(solver.problem, solver, x, pinned)[i]
