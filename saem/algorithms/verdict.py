"""What a run was worth: its status, the other solutions, and the maximum at which its errors are evaluated.

All of it compares the estimate with the closed-form likelihood of families that have one.
"""

from __future__ import annotations

import numpy as np

from saem.algorithms.engine import Engine, Run
from saem.algorithms.outcome import Outcome
from saem.algorithms.precision import Precision
from saem.errors import listing
from saem.models.contract import Problem
from saem.mstep import sqp
from saem.mstep.search import Peak, count_tied, describe_rivals
from saem.mstep.starts import solutions_along
from saem.stopping import Status, Target

Array = np.ndarray


def judge(engine: Engine, run: Run, peaks: list[Peak], precision: Precision, target: Target, note: str) -> Outcome:
    """The outcome of a run.

    Parameters
    ----------
    peaks : list of Peak
        All maxima that a search found, the highest first; may be empty.
    precision : Precision
    target : Target
        What the precision should have been: a run that misses it did not converge.
    note : str
        What happened on the way, for the user.
    """
    problem = engine.problem
    loglik, top = engine.loglik(run.x, run.pinned), precision.top
    missed = max([precision.deficit, *(peak.loglik - loglik for peak in peaks[:1])])
    towards = () if top is None else newly_pinned(engine, run, top)
    tied, lower = peaks[: count_tied(peaks)], peaks[count_tied(peaks) :]
    # points along a flat direction have the likelihood of the estimate; near a fold some are lost in its noise
    flat = solutions_along(problem, engine.solver, run.x, engine.solver.free & ~run.pinned)
    exact = len(flat) < len(tied)
    others = others_than(problem, run.x, [peak.x for peak in tied] if exact else flat)

    messages = [note]
    status = Status.BOUNDARY if run.pinned.any() or towards else Status.CONVERGED
    if towards:
        messages.append(
            f"{listing(towards)} goes to the boundary, which is approached but not reached; method 'ml' reaches it."
        )
    if missed > target.deficit:
        status = Status.NOT_CONVERGED
        by = f"{missed:.2g}" if np.isfinite(missed) else "an unknown amount"
        messages.append(f"The log-likelihood is {by} below its maximum (target {target.deficit:g}).")
    if precision.ratio > target.mcse:
        status = Status.NOT_CONVERGED
        name = problem.parameters.names[precision.worst]
        messages.append(
            f"The Monte Carlo error of {name} is {100 * precision.ratio:.2g} % of its standard error "
            f"(target {100 * target.mcse:g} %)."
        )
    if others and status != Status.NOT_CONVERGED:
        status = Status.SEVERAL_SOLUTIONS
        messages.append(f"{len(others) + 1} solutions have the same likelihood.")
    if np.isnan(run.draws):
        messages.append(
            "No Monte Carlo error is given: it is known for averages over decreasing step sizes only; a last iterate "
            "depends on how slow EM is, and an average at step size one is biased."
        )
    messages.append(describe_rivals(lower, loglik))
    return as_outcome(
        run,
        status,
        message=" ".join(filter(None, messages)),
        solutions=np.array([run.x, *others, *(peak.x for peak in lower)]),
        logliks=np.array(
            [loglik] + [tied[0].loglik if exact else loglik] * len(others) + [peak.loglik for peak in lower]
        ),
        towards=towards,
        maximum=beside(problem, run, [*tied, *([] if top is None else [top])]),
    )


def newly_pinned(engine: Engine, run: Run, top: Peak) -> tuple[str, ...]:
    """Names of the parameters that are on the boundary at the top of the hill, and that the run left inside."""
    names, kinds = engine.problem.parameters.names, engine.solver.kinds
    new = top.pinned & ~run.pinned & ((kinds == sqp.SD) | (top.x != 0.0))  # a correlation with nothing is zero
    return tuple(names[i] for i in np.flatnonzero(new))


def beside(problem: Problem, run: Run, peaks: list[Peak]) -> Array | None:
    """The nearest of the peaks on the part of the boundary where a run ended."""
    near = [peak.x for peak in peaks if np.array_equal(peak.pinned, run.pinned)]
    return min(near, key=lambda x: float(np.sum(((x - run.x) / problem.scale) ** 2)), default=None)


def others_than(problem: Problem, x: Array, points: list[Array]) -> list[Array]:
    """The points but the one that ``x`` is an estimate of: the nearest."""
    if not points:
        return []
    nearest = int(np.argmin([np.sum(((point - x) / problem.scale) ** 2) for point in points]))
    return [point for i, point in enumerate(points) if i != nearest]


def as_outcome(
    run: Run,
    status: Status,
    message: str = "",
    solutions: Array | None = None,
    logliks: Array | None = None,
    towards: tuple[str, ...] = (),
    maximum: Array | None = None,
) -> Outcome:
    """A run as the outcome of the algorithm."""
    return Outcome(
        x=run.x,
        pinned=run.pinned,
        status=status,
        message=message,
        path=run.path,
        burn_in=run.burn_in,
        averaging_from=run.averaging_from,
        draws=run.draws,
        solutions=run.x[None] if solutions is None else solutions,
        solution_logliks=np.full(1, np.nan) if logliks is None else logliks,
        towards_boundary=towards,
        maximum=maximum,
    )
