"""From a model and a table to a `Fit`."""

from __future__ import annotations

import inspect
import platform
import time
import warnings as warnings_module
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from saem.algorithms.annealed_saem import AnnealedSAEM
from saem.algorithms.ascent_mcem import AscentMCEM
from saem.algorithms.bayes.algorithm import Bayes
from saem.algorithms.booth_hobert import BoothHobert
from saem.algorithms.course.outcome import Outcome
from saem.algorithms.direct_ml import DirectML
from saem.algorithms.engine.continuation import Checkpoint
from saem.algorithms.exact_em import ExactEM
from saem.algorithms.fisher_gradient import FisherGradient
from saem.algorithms.independent_chains import IndependentChains
from saem.algorithms.minibatch_saem import MiniBatchSAEM
from saem.algorithms.monte_carlo_em import MonteCarloEM
from saem.algorithms.px_saem import PXSAEM
from saem.algorithms.saem import SAEM
from saem.algorithms.stochastic_em import StochasticEM
from saem.algorithms.stochastic_newton import StochasticNewton
from saem.data import ModelData, arrange
from saem.errors import DataError, ModelError, SaemWarning, listing, nearest
from saem.families import coordinates_of, pose
from saem.families.contract import Problem
from saem.families.coordinates import USERS
from saem.fitting.progress import Callback, Reporter
from saem.fitting.result import Fit
from saem.maxima.attainable import check_attainable
from saem.maxima.identification import (
    describe_direction,
    free_directions,
    means_without_error,
    moved_by,
    on_users_scale,
)
from saem.maxima.information import Information, observed_information
from saem.mstep.solver import Solver
from saem.specification import Model
from saem.stopping import Status
from saem.system.deferred import as_given
from saem.system.display import count, method_name
from saem.system.streams import check_seed

if TYPE_CHECKING:
    import pandas as pd


class Algorithm(Protocol):
    """What `fit` accepts as a method object."""

    name: ClassVar[str]

    def run(self, problem: Problem, seed: int = 0) -> Outcome:
        """Estimate the parameters of a problem."""
        ...


LEFT = 0.01  # of a column's size beside the others: with less, a sampler on the user's scale gets nowhere
PACKAGES = ("saem", "numpy", "scipy", "numba", "pandas", "sympy")
SAME_HEIGHT = 1e-3  # log-likelihood: solutions nearer than this, of a model that is not identified, are one
SAMPLER = ("nutpie", "arviz")  # what draws from a posterior, besides

METHODS: dict[str, Callable[[], Algorithm]] = {
    "saem": SAEM,
    "ml": DirectML,
    "reml": DirectML,
    "em": ExactEM,
    "mcem": MonteCarloEM,
    "booth_hobert": BoothHobert,
    "ascent_mcem": AscentMCEM,
    "stochastic_em": StochasticEM,
    "annealed_saem": AnnealedSAEM,
    "px_saem": PXSAEM,
    "minibatch_saem": MiniBatchSAEM,
    "stochastic_newton": StochasticNewton,
    "fisher_gradient": FisherGradient,
    "chains": IndependentChains,
    "bayes": Bayes,
}


def fit(
    model: Model,
    table: pd.DataFrame,
    method: str | Algorithm = "saem",
    seed: int = 0,
    drop_missing: bool = False,
    callback: Callback | None = None,
) -> Fit:
    """Fit a model to a table.

    Parameters
    ----------
    model : Model
    table : DataFrame
    method : str or method object
        A name of `METHODS`, such as "saem" (stochastic-approximation EM), "ml" (direct maximum likelihood), "reml"
        (restricted, for models whose constraints involve no mean), "em" (exact EM), "stochastic_newton" or "bayes" (the
        posterior by the No-U-Turn sampler; the estimates are posterior means), or an object such as
        ``SAEM(schedule=AveragedSchedule(iterations=4000))``.
    seed : int
        The same seed gives the same estimates, bit for bit.
    drop_missing : bool
        Leave out rows with missing or infinite values (and count them) instead of refusing them.
    callback : callable, optional
        Called with a `saem.fitting.progress.Progress` between blocks of iterations; never by the exact methods, which
        have none. Where it returns True the fit ends there, and `Fit.resume` can go on with it. It changes no bit of
        the result. Ctrl-C is a KeyboardInterrupt, as everywhere.

    Returns
    -------
    Fit

    Raises
    ------
    ModelError, DataError, ConstraintError
        When model and table do not fit each other, or the constraints cannot be satisfied.
    FitError
        When no estimate was found.
    """
    started = time.perf_counter()
    check_seed(seed)
    check_arguments(model, table)
    algorithm, name = resolve(method)
    data = arrange(model, table, drop_missing)
    for text in data.warnings:
        warnings_module.warn(text, SaemWarning, stacklevel=2)
    problem = pose_for(algorithm, model, data, restricted=name == "reml")
    check_attainable(problem, model.constraints)
    outcome = run(algorithm, problem, seed, callback)
    result = conclude(model, data, problem, outcome, name, seed, started)
    return result if outcome.checkpoint is None else result.going_on(algorithm, outcome.checkpoint)


def pose_for(algorithm: Algorithm, model: Model, data: ModelData, restricted: bool = False) -> Problem:
    """The problem of an algorithm: on the user's scale where the algorithm asks for it, as priors do.

    Raises
    ------
    ModelError
        When columns are too near combinations of each other for that.
    """
    if not getattr(algorithm, "on_users_scale", False):
        return pose(model, data, restricted)
    share, name = coordinates_of(model, data).left(data)
    if share < LEFT:
        raise ModelError(
            f"method {method_name(algorithm)!r} works on the columns as they are, for priors are about their "
            f"parameters; of the column of {name!r} {share:.1g} of its size is left beside the others: subtract a "
            "typical value from a column that is far from zero, such as 'year - 2000' in place of 'year'"
        )
    return pose(model, data, restricted, USERS)


def run(
    algorithm: Algorithm,
    problem: Problem,
    seed: int,
    callback: Callback | None = None,
    resume: Checkpoint | None = None,
) -> Outcome:
    """Run an algorithm, with a callback and from a checkpoint where there are.

    Raises
    ------
    ModelError
        When it takes no callback.
    """
    options: dict[str, Any] = {}
    if callback is not None and not isinstance(algorithm, DirectML | ExactEM):
        if "watch" not in inspect.signature(algorithm.run).parameters:
            raise ModelError(
                f"the method {method_name(algorithm)!r} takes no callback: its 'run' needs a parameter 'watch', which "
                "it calls as watch(engine, chain) between blocks of iterations"
            )
        options["watch"] = Reporter(callback, method_name(algorithm), int(getattr(algorithm, "chains", 1)))
    if resume is not None:
        options["resume"] = resume
    return algorithm.run(problem, seed, **options)


def check_arguments(model: object, table: object) -> None:
    """Refuse what is neither a model nor a table, such as their paths."""
    import pandas as pd

    if not isinstance(model, Model):
        raise ModelError(f"model must be a saem.Model, such as Model.from_toml('peptide.toml'); got {model!r:.80}")
    if not isinstance(table, pd.DataFrame):
        raise DataError(f"table must be a pandas DataFrame, such as pandas.read_csv('data.csv'); got {table!r:.80}")


def resolve(method: str | Algorithm) -> tuple[Algorithm, str]:
    """The method object and its name."""
    if not isinstance(method, str):
        if isinstance(method, type):
            raise ModelError(f"a method must be an object: write {method.__name__}() instead of {method.__name__}")
        if not callable(getattr(method, "run", None)):
            raise ModelError(f"a method must be one of {', '.join(METHODS)} or have a 'run'; got {method!r}")
        return method, method_name(method)
    if method not in METHODS:
        raise ModelError(f"there is no method {method!r}{nearest(method, METHODS)}; use one of {', '.join(METHODS)}")
    return METHODS[method](), method


@lru_cache(maxsize=2)
def versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Versions of what a fit depends on (looking them up takes milliseconds)."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


def conclude(
    model: Model, data: ModelData, problem: Problem, outcome: Outcome, method: str, seed: int, started: float
) -> Fit:
    """Standard errors, Monte Carlo errors, random effects and status of an algorithm's outcome."""
    names, kinds, place = problem.parameters.names, problem.parameters.kinds, problem.coordinates
    is_posterior = outcome.posterior is not None
    information = information_at(problem, outcome)
    status, message = outcome.status, outcome.message
    directions = free_directions(problem, outcome.x, outcome.pinned, information)
    moved = lost = np.zeros(len(names), dtype=bool)  # of the user's parameters
    determined = information.covariance
    if len(directions) and not is_posterior:  # a prior determines what the data do not
        status = Status.NOT_IDENTIFIED
        moves = on_users_scale(problem, outcome.x, directions)
        moved = np.any([moved_by(*move) for move in moves], axis=0)
        moved_inside = np.any([moved_by(direction, problem.scale) for direction in directions], axis=0)
        unknown = means_without_error(problem, outcome.x, outcome.pinned, directions) & ~moved_inside
        labels = tuple(problem.label(i) for i in range(len(names)))
        message = "The restricted likelihood is flat: " if problem.restricted else ""
        message += " ".join(describe_direction(names, *move, labels) for move in moves)
        hanging = np.any(place.jacobian(outcome.x)[:, unknown] != 0.0, axis=1) & ~moved
        if hanging.any():
            message += f" The standard errors of {listing(np.array(names)[hanging].tolist())} depend on it."
        lost = moved | hanging
        determined = information.root @ information.root.T
        information = without(information, moved_inside | unknown)
        outcome = one_for_all(outcome)
    dropped = f"{count(data.n_dropped, 'row')} left out: a value is missing or infinite"
    warnings = (*data.warnings, dropped) if data.n_dropped else data.warnings
    mcse = np.zeros(len(outcome.x)) if outcome.mcse is None else outcome.mcse
    mcse = np.where(np.isfinite(np.diag(information.covariance)), mcse, np.nan)
    x = at_true_zero(problem, outcome.x)
    pinned = outcome.pinned if place.is_users else place.pinned(x, outcome.pinned)
    values = place.to_user(x)
    known = information.covariance if place.is_users else determined
    near = x if outcome.maximum is None else outcome.maximum  # where the covariance is that of
    found = len(outcome.solutions) > 0
    nothing = np.empty((len(data.cluster_group), 0))
    effects = problem.conditional_effects
    modes, deviations = (nothing, nothing) if effects is None else effects(outcome.x)
    boundary = [names[i] for i in np.flatnonzero(pinned & ~moved) if kinds[i] == "sd" or values[i] != 0.0]
    going = towards_boundary(problem, x, outcome.towards_boundary)
    boundary += [name for name in going if not moved[names.index(name)]]
    return Fit(
        model=model,
        method=method,
        parameters=place.parameters(problem.parameters),
        values=values,
        covariance=np.where(lost[:, None] | lost, np.nan, place.covariance(near, known, outcome.pinned)),
        mcse=place.errors(near, mcse, outcome.mcse_covariance, outcome.pinned),
        loglik=information.loglik,
        n_rows=len(data.response),
        n_clusters=len(data.cluster_group),
        n_free=int((~problem.parameters.fixed).sum()) - len(problem.constraints) - len(directions),
        status=status,
        message=message if is_posterior else f"{message} {in_words(status.advice, problem.restricted)}".strip(),
        at_boundary=tuple(boundary),
        constraint_names=problem.constraints.names,
        constraint_residuals=information.residuals,
        multipliers=information.multipliers,
        path=place.to_user(outcome.path),
        burn_in=outcome.burn_in,
        averaging_from=outcome.averaging_from,
        solutions=place.to_user(at_true_zero(problem, outcome.solutions if found else outcome.x[None])),
        solution_logliks=outcome.solution_logliks if found else np.array([information.loglik]),
        random_effects=modes,
        random_effect_sds=deviations,
        cluster_labels=as_given(data, "cluster_labels"),
        term_names=data.term_names,
        seed=seed,
        seconds=time.perf_counter() - started,
        warnings=(*warnings, *outcome.warnings),
        provenance={"model": model.digest, **versions(), **(versions(SAMPLER) if is_posterior else {})},
        gradient_norm=information.score_norm,
        cluster_group=data.cluster_group,
        group_levels=data.group_levels,
        drawn=round(outcome.drawn * problem.n_latent),
        augmentation=outcome.augmentation,
        looks=outcome.history,
        table=as_given(data, "table"),
        chains=place.to_user(outcome.chains) if len(outcome.chains) else outcome.chains,
        chain_paths=tuple(place.to_user(path) for path in outcome.chain_paths),
        posterior=outcome.posterior,
        formula_state=data.formula_state,
        unclear=data.unclear,
        inner=np.empty(0) if place.is_users else outcome.x,
    )


def information_at(problem: Problem, outcome: Outcome) -> Information:
    """The observed information at an estimate, with the covariance at the exact maximum beside it where there is one.

    At a simulated estimate the small slope that is left, times the curvature of a constraint, can spoil the covariance.
    Of a posterior it is what its draws say.
    """
    if outcome.posterior is not None and outcome.information is not None:
        return outcome.information
    solver = Solver(problem)
    information = observed_information(problem, solver, outcome.x, outcome.pinned)
    if outcome.maximum is None:
        return information
    beside = observed_information(problem, solver, outcome.maximum, outcome.pinned)
    return replace(information, covariance=beside.covariance)


def at_true_zero(problem: Problem, x: np.ndarray) -> np.ndarray:
    """Parameters (.., n) with zero in place of what stands for it."""
    return np.where((problem.at_zero > 0.0) & (x == problem.at_zero), 0.0, x)


def in_words(advice: str, restricted: bool) -> str:
    """The advice on a status, of the likelihood that was maximised."""
    return advice.replace("the likelihood", "the restricted likelihood") if restricted else advice


def one_for_all(outcome: Outcome) -> Outcome:
    """An outcome with one of the solutions of a height: where parameters are free, searches end here and there."""
    values = outcome.solution_logliks
    if len(values) == 0:
        return outcome
    keep = (values < values[0] - SAME_HEIGHT) | (np.arange(len(values)) == 0)
    return replace(outcome, solutions=outcome.solutions[keep], solution_logliks=values[keep])


def without(information: Information, unknown: np.ndarray) -> Information:
    """The information with nan in the covariance of some parameters (bool)."""
    covariance = np.where(unknown[:, None] | unknown[None, :], np.nan, information.covariance)
    return replace(information, covariance=covariance)


def towards_boundary(problem: Problem, x: np.ndarray, towards: tuple[str, ...]) -> tuple[str, ...]:
    """The user's parameters that go to the boundary, where these inner ones do."""
    place, kinds = problem.coordinates, np.array(problem.parameters.kinds)
    if place.is_users or not towards:
        return towards
    there = np.isin(problem.parameters.names, towards)
    end = np.where(there & (kinds == "sd"), 0.0, np.where(there, np.sign(x), x))
    values, pinned = place.to_user(end), place.pinned(end, there)
    return tuple(problem.parameters.names[i] for i in np.flatnonzero(pinned) if kinds[i] == "sd" or values[i] != 0.0)
