"""From the outcome of an algorithm to what is known of a fit."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from saem.algorithms.course.outcome import Outcome
from saem.algorithms.engine.continuation import Checkpoint, Continuation
from saem.algorithms.registry import Algorithm
from saem.errors import ModelError, listing
from saem.families import Model
from saem.families.arranged import Arranged
from saem.families.problem import Likelihood, Problem
from saem.fitting.parts import STUCK, Course, Estimate, Origin, Sample
from saem.fitting.provenance import SAMPLER, versions
from saem.fitting.record import Record
from saem.fitting.settings import describe
from saem.maxima.drawn_information import drawn_look
from saem.maxima.identification import (
    CURVED,
    Look,
    closed_look,
    describe_direction,
    free_directions,
    means_without_error,
    moved_by,
    on_users_scale,
)
from saem.maxima.information import Information, observed_information
from saem.mstep.solver import Solver
from saem.stopping import Status
from saem.system.deferred import as_given
from saem.system.display import count

Array = np.ndarray

SHOWN = 5  # clusters that are stuck
SAME_HEIGHT = 1e-3  # log-likelihood: solutions nearer than this, of a model that is not identified, are one


@dataclass(frozen=True, eq=False)
class Flat:
    """What the likelihood leaves open around an estimate.

    Attributes
    ----------
    directions : int
        Along which it is flat.
    moved : (n,) bool ndarray
        The user's parameters that these move.
    lost : (n,) bool ndarray
        Those, and the user's parameters whose standard errors depend on them.
    inside : (n,) bool ndarray
        The parameters of the problem without a standard error.
    message : str
        Of the directions, in words; empty where there are none, or a prior determines what the data do not.
    """

    directions: int
    moved: Array
    lost: Array
    inside: Array
    message: str = ""


def conclude(
    model: Model,
    data: Arranged,
    problem: Problem,
    outcome: Outcome,
    algorithm: Algorithm,
    method: str,
    seed: int,
    started: float,
    starts: int = 1,
) -> Record:
    """Put together what is known of a fit: its errors, random effects and status follow from the outcome.

    Parameters
    ----------
    model : Model
    data : Arranged
    problem : Problem
    outcome : Outcome
        Of the algorithm on this problem.
    algorithm : method object
    method : str
        The name by which it was called.
    seed : int
    started : float
        When the fit began, by `time.perf_counter`.
    starts : int
        From how many it was made.
    """
    if outcome.likelihood:
        problem = replace(problem, likelihood=problem.likelihood.turned(outcome.likelihood))
    information = information_at(problem, outcome)
    flat = flat_at(model, data, problem, outcome, information)
    if flat.message:
        outcome = one_for_all(outcome)
    return Record.of(
        origin_of(model, outcome, method, seed),
        estimate_of(data, problem, outcome, information, flat),
        sample_of(data),
        course_of(data, problem, outcome, algorithm, flat, started, starts),
    )


def origin_of(model: Model, outcome: Outcome, method: str, seed: int) -> Origin:
    """What was fitted, and the versions of all that took part."""
    sampler = {} if outcome.posterior is None else versions(SAMPLER)
    provenance = {"model": model.digest, **versions(), **sampler}
    return Origin(model=model, method=method, seed=seed, provenance=provenance)


def sample_of(data: Arranged) -> Sample:
    """The rows and clusters of the fit; their tables are made when they are first read."""
    return Sample(
        n_rows=len(data.response),
        n_clusters=len(data.cluster_group),
        cluster_labels=as_given(data, "cluster_labels"),
        term_names=data.term_names,
        cluster_group=data.cluster_group,
        group_levels=data.group_levels,
        table=as_given(data, "table"),
        formula_state=data.formula_state,
        unclear=data.unclear,
    )


def course_of(
    data: Arranged, problem: Problem, outcome: Outcome, algorithm: Algorithm, flat: Flat, started: float, starts: int
) -> Course:
    """The way to the estimate, on the user's scale, and its status in words."""
    coordinates, status = problem.coordinates, Status.NOT_IDENTIFIED if flat.message else outcome.status
    message = flat.message or outcome.message
    if outcome.posterior is None:
        several = starts > 1 or bool(getattr(algorithm, "scattered", None))
        advice = in_words(status.advice, problem.likelihood, several)
        if outcome.is_approximate:
            advice = advice.replace("the likelihood", "the approximation")
        message = f"{message} {advice}".strip()
    dropped = f"{count(data.n_dropped, 'row')} left out: a value is missing or infinite"
    return Course(
        status=status,
        message=message,
        warnings=(
            *data.warnings,
            *([dropped] if data.n_dropped else []),
            *outcome.warnings,
            *stuck(data, outcome.acceptance_rates),
        ),
        seconds=time.perf_counter() - started,
        path=coordinates.to_user(outcome.path),
        burn_in=outcome.burn_in,
        averaging_from=outcome.averaging_from,
        augmentation=outcome.augmentation,
        drawn=round(outcome.drawn * problem.latent.size),
        looks=outcome.history,
        chains=coordinates.to_user(outcome.chains) if len(outcome.chains) else outcome.chains,
        chain_paths=tuple(coordinates.to_user(path) for path in outcome.chain_paths),
        acceptance_rates=outcome.acceptance_rates,
        continuation=None if outcome.checkpoint is None else going_on(algorithm, outcome.checkpoint),
    )


def stuck(data: Arranged, rates: Array) -> list[str]:
    """Words that name the clusters whose Markov kernel hardly moves, if there are any."""
    with np.errstate(invalid="ignore"):
        which = np.flatnonzero(rates < STUCK)
    if not len(which):
        return []
    which = which[np.argsort(rates[which], kind="stable")]
    labels = data.cluster_labels.iloc[which]
    columns = ", ".join(map(str, labels.columns))
    names = [", ".join(map(str, row)) for row in labels.head(SHOWN).itertuples(index=False)]
    more = f" and {len(which) - SHOWN} more" if len(which) > SHOWN else ""
    listed = "; ".join(f"{name} ({100 * rates[c]:.2g} %)" for name, c in zip(names, which, strict=False))
    return [
        f"the Markov kernel is stuck in {count(len(which), 'cluster')} of {len(rates)}, where it accepts less than "
        f"{100 * STUCK:g} % of its moves ({columns}: {listed}{more}): Monte Carlo errors may be larger than they say; "
        "make more draws, or look at the data of these clusters"
    ]


def going_on(algorithm: Any, checkpoint: Checkpoint) -> Continuation:
    """What a fit goes on from; without settings in plain values where its method is known in this process alone."""
    try:
        settings = describe(algorithm)
    except ModelError:
        settings = None
    return Continuation(checkpoint, settings, algorithm)


def estimate_of(data: Arranged, problem: Problem, outcome: Outcome, information: Information, flat: Flat) -> Estimate:
    """The estimate and its errors on the user's scale."""
    coordinates, x = problem.coordinates, at_true_zero(problem, outcome.x)
    covariance, mcse = errors_at(problem, outcome, x, information, flat)
    modes, deviations = outcome.effects or random_effects_at(problem, outcome.x, len(data.cluster_group))
    found = len(outcome.solutions) > 0
    return Estimate(
        parameters=coordinates.parameters(problem.parameters),
        values=coordinates.to_user(x),
        covariance=covariance,
        mcse=mcse,
        loglik=information.loglik,
        loglik_mcse=outcome.loglik_mcse,
        n_free=int((~problem.parameters.fixed).sum()) - len(problem.constraints) - flat.directions,
        at_boundary=boundary_of(problem, outcome, x, flat.moved),
        constraint_names=problem.constraints.names,
        constraint_residuals=information.residuals,
        multipliers=information.multipliers,
        gradient_norm=information.score_norm,
        solutions=coordinates.to_user(at_true_zero(problem, outcome.solutions if found else outcome.x[None])),
        solution_logliks=outcome.solution_logliks if found else np.array([information.loglik]),
        random_effects=modes,
        random_effect_sds=deviations,
        inner=np.empty(0) if coordinates.is_users else outcome.x,
        posterior=outcome.posterior,
    )


def flat_at(model: Model, data: Arranged, problem: Problem, outcome: Outcome, information: Information) -> Flat:
    """What the likelihood leaves open around the estimate of an outcome.

    Without an information in closed form that is looked for where the likelihood is flat at the estimate.
    """
    names, coordinates = problem.parameters.names, problem.coordinates
    look: Look | None = None
    if closed_look(problem) is None and outcome.posterior is None:
        inside = ~problem.parameters.fixed & ~outcome.pinned
        is_curved = np.isfinite(np.diag(information.covariance)[inside]).all()
        if not is_curved or information.curvatures.min(initial=1.0) < CURVED:
            look = drawn_look(model, data, problem)
    directions = free_directions(problem, outcome.x, outcome.pinned, information, look)
    nothing = np.zeros(len(names), dtype=bool)
    if len(directions) == 0 or outcome.posterior is not None:  # a prior determines what the data do not
        return Flat(len(directions), nothing, nothing, nothing)
    moves = on_users_scale(problem, outcome.x, directions)
    moved = np.any([moved_by(*move) for move in moves], axis=0)
    moved_inside = np.any([moved_by(direction, problem.scale) for direction in directions], axis=0)
    unknown = means_without_error(problem, outcome.x, outcome.pinned, directions) & ~moved_inside
    labels = tuple(problem.label(i) for i in range(len(names)))
    message = "The restricted likelihood is flat: " if problem.likelihood.restricted else ""
    message += " ".join(describe_direction(names, *move, labels) for move in moves)
    hanging = np.any(coordinates.jacobian(outcome.x)[:, unknown] != 0.0, axis=1) & ~moved
    if hanging.any():
        message += f" The standard errors of {listing(np.array(names)[hanging].tolist())} depend on it."
    return Flat(len(directions), moved, moved | hanging, moved_inside | unknown, message)


def errors_at(
    problem: Problem, outcome: Outcome, x: Array, information: Information, flat: Flat
) -> tuple[Array, Array]:
    """The covariance (n, n) of the user's parameters and their Monte Carlo errors (n,); nan where there are none.

    In coordinates of its own, a problem knows the covariance of combinations that are determined though their
    parameters are not.
    """
    coordinates, covariance = problem.coordinates, information.covariance
    near = x if outcome.maximum is None else outcome.maximum  # where the covariance is that of
    open_inside = np.where(flat.inside[:, None] | flat.inside[None, :], np.nan, covariance)
    mcse = np.zeros(len(x)) if outcome.mcse is None else outcome.mcse
    mcse = np.where(np.isfinite(np.diag(open_inside)), mcse, np.nan)
    if coordinates.is_users:
        known = open_inside
    else:
        known = information.root @ information.root.T if flat.message else covariance
    on_users = coordinates.covariance(near, known, outcome.pinned)
    return (
        np.where(flat.lost[:, None] | flat.lost, np.nan, on_users),
        coordinates.errors(near, mcse, outcome.mcse_covariance, outcome.pinned),
    )


def boundary_of(problem: Problem, outcome: Outcome, x: Array, moved: Array) -> tuple[str, ...]:
    """The user's parameters at the boundary, or on the way to it, but for those that are not determined."""
    names, coordinates, can_vanish = (
        problem.parameters.names,
        problem.coordinates,
        problem.parameters.domains.can_vanish,
    )
    pinned = outcome.pinned if coordinates.is_users else coordinates.pinned(x, outcome.pinned)
    values = coordinates.to_user(x)
    there = [names[i] for i in np.flatnonzero(pinned & ~moved) if can_vanish[i] or values[i] != 0.0]
    going = towards_boundary(problem, x, outcome.towards_boundary)
    return (*there, *(name for name in going if not moved[names.index(name)]))


def random_effects_at(problem: Problem, x: Array, clusters: int) -> tuple[Array, Array]:
    """Conditional modes (C, q) of the random effects and their standard deviations; without columns if not known."""
    nothing = np.empty((clusters, 0))
    if problem.clusters.effects is not None:
        return problem.clusters.effects(x)
    if problem.likelihood.kind not in ("quadrature", "simulated"):
        return nothing, nothing
    from saem.estep.conditional import conditional_law

    modes, law = conditional_law(problem, x)
    return modes, np.sqrt(np.maximum(np.einsum("cii->ci", law.covariance), 0.0))


def information_at(problem: Problem, outcome: Outcome) -> Information:
    """The observed information at an estimate, with the covariance at the exact maximum beside it where there is one.

    At a simulated estimate the small slope that is left, times the curvature of a constraint, can spoil the covariance.
    Of a posterior it is what its draws say, of an approximation what that says.
    """
    is_told = outcome.posterior is not None or outcome.is_approximate or not problem.likelihood.is_available
    if is_told and outcome.information is not None:
        return outcome.information
    solver = Solver(problem)
    information = observed_information(problem, solver, outcome.x, outcome.pinned)
    if outcome.maximum is None:
        return information
    beside = observed_information(problem, solver, outcome.maximum, outcome.pinned)
    return replace(information, covariance=beside.covariance)


def at_true_zero(problem: Problem, x: Array) -> Array:
    """Parameters (.., n) with zero in place of what stands for it."""
    return np.where(problem.boundary.has_stand_in & (x == problem.boundary.at_zero), 0.0, x)


def in_words(advice: str, likelihood: Likelihood, several: bool) -> str:
    """The advice on a status, of the likelihood that was maximised from one start or several."""
    if likelihood.is_local and not several:
        only = "the one that the start leads to" if likelihood.is_available else "as far as draws tell"
        advice = advice.replace("the highest that was found", only)
    return advice.replace("the likelihood", "the restricted likelihood") if likelihood.restricted else advice


def one_for_all(outcome: Outcome) -> Outcome:
    """An outcome with one of the solutions of a height: where parameters are free, searches end here and there."""
    values = outcome.solution_logliks
    if len(values) == 0:
        return outcome
    keep = (values < values[0] - SAME_HEIGHT) | (np.arange(len(values)) == 0)
    return replace(outcome, solutions=outcome.solutions[keep], solution_logliks=values[keep])


def towards_boundary(problem: Problem, x: Array, towards: tuple[str, ...]) -> tuple[str, ...]:
    """The user's parameters that go to the boundary, where these inner ones do."""
    coordinates, can_vanish = problem.coordinates, problem.parameters.domains.can_vanish
    if coordinates.is_users or not towards:
        return towards
    there = np.isin(problem.parameters.names, towards)
    end = np.where(there & can_vanish, 0.0, np.where(there, np.sign(x), x))
    values, pinned = coordinates.to_user(end), coordinates.pinned(end, there)
    return tuple(problem.parameters.names[i] for i in np.flatnonzero(pinned) if can_vanish[i] or values[i] != 0.0)
