"""Influence of clusters on the estimates: what becomes of the fit without each of them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from saem.errors import EXACT_FIT, FitError, ModelError, SaemError, listing
from saem.estep.integration.settling import look_finely, settled_of
from saem.families import family_of, pose
from saem.families.coordinates import Coordinates
from saem.inference.rows import cluster_index, refuse_posterior, rows_of
from saem.inference.surface import Point, Surface, maximum
from saem.maxima.information import observed_information
from saem.maxima.search import rises_without_end
from saem.maxima.simulated import climb_simulated
from saem.mstep.solver import Solver
from saem.stopping import Status

if TYPE_CHECKING:
    import pandas as pd

    from saem.families import Model
    from saem.families.arranged import Arranged
    from saem.families.problem import Problem
    from saem.fitting.result import Fit

Array = np.ndarray

HIGHER = 1e-6  # of a log-likelihood: less is rounding
FIRST = 8  # deletions by which it is judged how long all take
PATIENCE = 5.0  # seconds that processes, which take a second to start, must save
NOT_FITTED = "not_fitted"


@dataclass(frozen=True, eq=False)
class Influence:
    """Fits without one cluster each.

    Attributes
    ----------
    fit : Fit
    table : DataFrame
        One row a cluster, indexed by the cluster columns:

        cooks_distance
            ``(x - x_c)' V^+ (x - x_c) / d`` of the estimates ``x`` and those without the cluster, with the covariance
            ``V`` of the estimates through the constraints, of rank ``d`` (Cook 1977). Near or above one: the cluster
            moves the estimates to the edge of their joint confidence region.
        displacement
            ``2 (l(x) - l(x_c))``, by the likelihood of all data (Cook 1986), which also sees parameters that are at the
            boundary in one of the two fits.
        largest, change
            The parameter whose estimate changes most, and its change.
        rows
            Rows of the cluster.
        status
            "converged" or "boundary" of the fit without it, or "not_fitted".
        note
            Why there is none.
    changes : DataFrame
        One row a cluster, one column a parameter: (estimate - estimate without the cluster) / standard error of the
        fit. Positive where the cluster raises the estimate; nan where there is no standard error, 0 where a parameter
        is fixed.
    estimates : DataFrame
        One row a cluster, one column a parameter: the estimates without the cluster.
    """

    fit: Fit
    table: pd.DataFrame
    changes: pd.DataFrame
    estimates: pd.DataFrame


def influence(fit: Fit, workers: int | None = None) -> Influence:
    """Fit the model without each cluster, and see how far that moves the estimates.

    Every fit is an exact maximum (restricted for REML), searched from the estimate with all data and from the start of
    direct maximum likelihood. Formulas keep the coding and the centring of the whole table. A simulated fit counts by
    the maximum beside its estimate, so that no Monte Carlo error is taken for influence.

    Parameters
    ----------
    fit : Fit
    workers : int, optional
        Processes, which change no number; if omitted, one, or as many as there are cores where that saves time.

    Returns
    -------
    Influence
        Clusters without which the model cannot be fitted are rows with a note.

    Raises
    ------
    ModelError
        When the fit has no table, or its parameters are not identified.
    FitError
        When no maximum is found beside the estimate.
    """
    import pandas as pd

    surface = Surface.of(fit)
    problem, top = surface.problem, surface.top
    information = observed_information(problem, Solver(problem), top.x, top.pinned)
    names, coordinates = problem.parameters.names, problem.coordinates
    known = problem.parameters.fixed | top.pinned
    unknown = undetermined(names, information.covariance, known)
    if fit.status is Status.NOT_IDENTIFIED:
        unknown = undetermined(names, fit.covariance, known) or unknown or list(names)
    if unknown:
        raise ModelError(
            f"the data do not determine {listing(unknown)}, so that there is no estimate to be moved; "
            "see saem.identifiability"
        )
    refuse_posterior(fit, "the maximum of the likelihood")
    _, data = rows_of(fit)
    found = all_deletions(Setting(fit.model, data, problem.likelihood.restricted, coordinates, top.x), workers)

    index = cluster_index(fit)
    estimates = np.array([np.full(len(names), np.nan) if point is None else point.x for point, _ in found])
    zero = np.array([stands_for_zero(problem, point) for point, _ in found])
    se = np.sqrt(np.diag(information.covariance))
    has_error = se > 0.0
    with np.errstate(invalid="ignore", divide="ignore"):
        changes = np.where(has_error, (top.x - estimates) / se, np.where(problem.parameters.fixed, 0.0, np.nan))
    scaled = information.root[has_error] / se[has_error, None]  # in units of standard errors: of no unit of measurement
    along = changes[:, has_error] @ np.linalg.pinv(scaled).T
    users, users_changes = np.where(zero, 0.0, estimates), changes
    if not coordinates.is_users:
        users = coordinates.to_user(users)
        covariance = coordinates.covariance(top.x, information.covariance, top.pinned)
        with np.errstate(invalid="ignore", divide="ignore"):
            se = np.sqrt(np.diag(covariance))
            fixed = np.where(problem.parameters.fixed, 0.0, np.nan)
            users_changes = np.where(se > 0.0, (coordinates.to_user(top.x) - users) / se, fixed)
    heights = np.array([loglik_at(problem, top, point) for point, _ in found])
    size = np.abs(np.nan_to_num(users_changes))
    most = size.argmax(axis=1)
    fitted = np.isfinite(estimates).all(axis=1)
    table = pd.DataFrame(
        {
            "cooks_distance": np.sum(along**2, axis=1) / max(1, information.root.shape[1]),
            "displacement": np.maximum(2.0 * (top.loglik - heights), 0.0),
            "largest": [names[i] if ok else "" for i, ok in zip(most, fitted, strict=True)],
            "change": np.where(fitted, users_changes[np.arange(len(most)), most], np.nan),
            "rows": data.rows_of_each,
            "status": [status_of(point) for point, _ in found],
            "note": [note for _, note in found],
        },
        index=index,
    )
    columns = list(names)
    return Influence(
        fit,
        table,
        pd.DataFrame(np.where(fitted[:, None], users_changes, np.nan), index=index, columns=columns),
        pd.DataFrame(users, index=index, columns=columns),
    )


def loglik_at(problem: Problem, top: Point, point: Point | None) -> float:
    """The likelihood of all data at the estimates without a cluster; nan where there are none."""
    if point is None:
        return np.nan
    zero = stands_for_zero(problem, point)
    if np.any(zero & ~top.pinned):  # rows without an error that all data deny
        return -np.inf
    solver = Solver(problem)
    return float(solver.derivatives(solver.observed(), np.where(zero, problem.boundary.at_zero, point.x)).value)


def stands_for_zero(problem: Problem, point: Point | None) -> Array:
    """Residual standard deviations (n,) bool that are zero, and that the likelihood has at a small number instead."""
    stands_in = problem.boundary.has_stand_in
    return np.zeros_like(stands_in) if point is None else point.pinned & stands_in


def status_of(point: Point | None) -> str:
    """The status of a fit without a cluster."""
    if point is None:
        return NOT_FITTED
    return "boundary" if point.pinned.any() else "converged"


def undetermined(names: tuple[str, ...], covariance: Array, known: Array) -> list[str]:
    """Parameters without a variance, though they are neither fixed nor at the boundary."""
    return [names[i] for i in np.flatnonzero(np.isnan(np.diag(covariance)) & ~known)]


Deletion = tuple[Point | None, str]  # the maximum without a cluster, or why there is none


@dataclass(frozen=True, eq=False)
class Setting:
    """What the fits without a cluster have in common.

    Attributes
    ----------
    model : Model
    data : Arranged
        All rows, on the user's scale.
    restricted : bool
    coordinates : Coordinates
        In which all of them are made, so that they can be compared.
    x : (n,) ndarray
        The maximum with all data, from which they are searched.
    """

    model: Model
    data: Arranged
    restricted: bool
    coordinates: Coordinates
    x: Array


def all_deletions(setting: Setting, workers: int | None) -> list[Deletion]:
    """The maxima without each cluster, in order."""
    from saem.batch.driver import number_of_workers
    from saem.batch.pool import processes

    count = len(setting.data.cluster_group)
    asked = 1 if workers is None else number_of_workers(workers, count)
    begun = time.perf_counter()
    found = deletions(setting, range(min(FIRST, count)))
    left = count - len(found)
    if not left:
        return found
    saves = (time.perf_counter() - begun) / len(found) * left > PATIENCE
    number = number_of_workers(None, left) if workers is None and saves else asked
    if number == 1:
        return found + deletions(setting, range(len(found), count))
    parts = [range(part[0], part[-1] + 1) for part in np.array_split(np.arange(len(found), count), 4 * number)]
    with processes(number) as submit:
        futures = [submit(deletions, setting, part) for part in parts if len(part)]
        for future in futures:
            found += future.result()
    return found


def deletions(setting: Setting, clusters: range) -> list[Deletion]:
    """The maxima without some clusters, one by one."""
    return [deletion(setting, cluster) for cluster in clusters]


def simulated_maximum(problem: Problem, start: np.ndarray, solver: Solver) -> Point:
    """The maximum of a simulated likelihood beside a start, by Newton's method with points that follow it."""
    x, found = climb_simulated(problem, solver, start, np.zeros(len(start), dtype=bool))
    return Point(x, found.pinned, float(found.at.value))


def deletion(setting: Setting, cluster: int) -> Deletion:
    """The maximum without one cluster."""
    try:
        left = family_of(setting.model).without_cluster(setting.data, cluster)
        problem = pose(setting.model, left, setting.restricted, setting.coordinates)
        look_finely(problem, setting.x)
        solver = Solver(problem)
        best = None
        is_simulated = problem.likelihood.kind == "quadrature" and settled_of(problem).placing.mcse > 0.0
        for start in (setting.x,) if is_simulated else (setting.x, problem.starts.first):
            point = (simulated_maximum if is_simulated else maximum)(problem, start, solver)
            if point is not None and (best is None or point.loglik > best.loglik + HIGHER):
                best = point
        if best is None:
            raise FitError("no maximum of the likelihood was found")
        if problem.likelihood.can_fit_exactly and rises_without_end(problem, solver, best.x):
            raise FitError(EXACT_FIT)
        covariance = observed_information(problem, solver, best.x, best.pinned).covariance
    except SaemError as error:
        return None, str(error)
    unknown = undetermined(problem.parameters.names, covariance, problem.parameters.fixed | best.pinned)
    if unknown:
        return None, f"the other clusters do not determine {listing(unknown)}"
    return best, ""
