"""A run is judged: its status, and the other solutions where a likelihood tells them."""

from __future__ import annotations

import numpy as np

from saem.algorithms.accuracy.history import history_of
from saem.algorithms.accuracy.precision import Precision
from saem.algorithms.course.outcome import Outcome
from saem.algorithms.course.singularity import at_singularity
from saem.algorithms.course.up_to_target import reached
from saem.algorithms.engine.chain import Run
from saem.algorithms.engine.expanded import ExpandedIteration
from saem.algorithms.engine.passes import Engine
from saem.errors import ModelError, listing
from saem.estep.samplers import settled_rates
from saem.families.problem import Problem
from saem.maxima.search import Peak, count_tied, describe_rivals
from saem.maxima.starts import solutions_along
from saem.stopping import Status, Target, misses_deficit, misses_error

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
    problem, top = engine.problem, precision.top
    run, singular = at_singularity(engine.iteration, run, top)
    loglik = engine.iteration.loglik(run.x) if problem.likelihood.is_available else precision.information.loglik
    missed = max([precision.deficit, *(peak.loglik - loglik for peak in peaks[:1])])
    towards = () if top is None else newly_pinned(engine, run, top)
    tied, lower = peaks[: count_tied(peaks)], peaks[count_tied(peaks) :]
    # points along a flat direction have the likelihood of the estimate; near a fold some are lost in its noise
    free = engine.solver.free & ~run.pinned
    flat = solutions_along(problem, engine.solver, run.x, free) if problem.likelihood.is_available else []
    exact = len(flat) < len(tied)
    others = others_than(problem, run.x, [peak.x for peak in tied] if exact else flat)

    messages = [note]
    if singular:
        messages.append(singular)
    status = Status.BOUNDARY if run.pinned.any() or towards else Status.CONVERGED
    if towards:
        messages.append(
            f"{listing(towards)} goes to the boundary, which is approached but not reached; method 'ml' reaches it."
        )
    if misses_deficit(target, missed, precision.doubt):
        status = Status.NOT_CONVERGED
        messages.append(deficit_words(missed, precision.doubt, target))
    if misses_error(target, precision.ratio) and not singular:
        status = Status.NOT_CONVERGED
        name = problem.parameters.names[precision.worst]
        messages.append(
            f"The Monte Carlo error of {name} is {100 * precision.ratio:.2g} % of its standard error "
            f"(target {100 * target.mcse:g} %)."
        )
    inside = status == Status.CONVERGED or (status == Status.BOUNDARY and not towards and not singular)
    unfinished = bool(engine.spent.stopped) and np.isnan(precision.ratio)
    if inside and (unfinished or not reached(engine, precision, target)):  # it could have gone on
        status = Status.NOT_CONVERGED
    if status == Status.NOT_CONVERGED and engine.spent.stopped:
        messages.append(f"The fit ended early: {engine.spent.stopped}.")
        if can_expand(engine):
            messages.append("Along slow directions of the variances method 'px_saem' is faster.")
    if others and status != Status.NOT_CONVERGED:
        status = Status.SEVERAL_SOLUTIONS
        messages.append(f"{len(others) + 1} solutions have the same likelihood.")
    messages += [precision.reason, describe_rivals(lower, loglik)]
    return Outcome(
        x=run.x,
        pinned=run.pinned,
        status=status,
        message=" ".join(filter(None, messages)),
        path=run.path,
        burn_in=run.burn_in,
        averaging_from=run.averaging_from,
        draws=run.draws,
        mcse=precision.mcse,
        mcse_covariance=precision.covariance,
        information=precision.information,
        solutions=np.array([run.x, *others, *(peak.x for peak in lower)]),
        solution_logliks=np.array(
            [loglik] + [tied[0].loglik if exact else loglik] * len(others) + [peak.loglik for peak in lower]
        ),
        towards_boundary=towards,
        maximum=beside(problem, run, [*tied, *([] if top is None else [top])]),
        drawn=engine.spent.drawn,
        augmentation=engine.iteration.latent_data(run.chain),
        acceptance_rates=settled_rates(engine.iteration.drawing),
        history=history_of(engine, run, precision, loglik),
        likelihood=problem.likelihood.kind,
        loglik_mcse=precision.loglik_mcse,
    )


def can_expand(engine: Engine) -> bool:
    """Whether the model admits parameter expansion, which is not used already, nor where it is worthwhile."""
    expand = engine.problem.latent.expand
    if engine.counts.hands_over or expand is None or isinstance(engine.iteration, ExpandedIteration):
        return False
    try:
        expand()
    except ModelError:
        return False
    return True


def deficit_words(missed: float, doubt: float, target: Target) -> str:
    """The likelihood deficit against its target, in words."""
    if doubt > 0.0:
        return (
            f"The log-likelihood is estimated to be {missed:.2g} below its maximum, and up to {missed + doubt:.2g} "
            f"given the noise of that estimate (target {target.deficit:g})."
        )
    by = f"{missed:.2g}" if np.isfinite(missed) else "an unknown amount"
    return f"The log-likelihood is {by} below its maximum (target {target.deficit:g})."


def newly_pinned(engine: Engine, run: Run, top: Peak) -> tuple[str, ...]:
    """Names of the parameters that are on the boundary at the top of the hill, and that the run left inside."""
    names, domains = engine.problem.parameters.names, engine.solver.domains
    new = top.pinned & ~run.pinned & (domains.can_vanish | (top.x != 0.0))  # a correlation with nothing is zero
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
