"""Information matrices of a fit, and the standard errors that follow from each.

Four ways to the same limit where the model is right, and one for where it is not:

    observed   -d2 l, in closed form
    expected   Fisher's, E(-d2 l) at the estimate, in closed form
    louis      E(-d2 log f | y) - Cov(d log f | y), from draws of the random effects (Louis 1982)
    score      sum_c D_c D_c', D_c = E(d log f(y_c, z_c) | y_c), from first derivatives alone (Delattre & Kuhn 2023)
    sandwich   V (sum_c D_c D_c') V with the observed V: robust to a wrong law of the data (White 1982)

Each is seen through the constraints: ``V = T (T' I T)^-1 T'`` with ``T`` along their tangent space, where the second
derivatives of the constraints belong to ``I`` in the first and the third.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from saem.errors import FitError, ModelError, nearest
from saem.families.coordinates import Coordinates
from saem.families.problem import Problem
from saem.fitting.intervals import LEVEL, wald_intervals
from saem.inference.arguments import whole
from saem.inference.drawn_scores import BATCHES, expected_scores, jackknife, louis_moments
from saem.inference.surface import Surface
from saem.maxima.information import information_of
from saem.mstep.solver import Derivatives, Solver
from saem.system.streams import check_seed

if TYPE_CHECKING:
    import pandas as pd

    from saem.fitting.result import Fit

Array = np.ndarray

LEAST, DEFAULT = 100, 20_000  # draws
MOST = 4 * 10**8  # random effects that are drawn by default: some seconds
ENOUGH = 0.01  # of a standard error, for its Monte Carlo error
KINDS = ("observed", "expected", "louis", "score", "sandwich")


@dataclass(frozen=True, eq=False)
class FisherInformation:
    """An information matrix and the covariance that follows from it.

    Attributes
    ----------
    fit : Fit
    kind : str
    matrix : (n, n) ndarray
        The information of all parameters, without the constraints; of "sandwich" the observed one.
    covariance : (n, n) ndarray
        Of the estimates, through the constraints; nan for parameters at the boundary or not identified, zero for fixed.
    mcse : (n,) ndarray
        Monte Carlo standard errors of the standard errors; zero where nothing was drawn.
    draws : int
        Of every random effect.
    """

    fit: Fit
    kind: str
    matrix: Array
    covariance: Array
    mcse: Array
    draws: int

    @property
    def se(self) -> Array:
        """Standard errors (n,)."""
        with np.errstate(invalid="ignore"):
            return np.asarray(np.sqrt(np.diag(self.covariance)))

    def table(self, level: float = LEVEL) -> pd.DataFrame:
        """One row a parameter: `estimate`, `se`, `se_mcse`, and the Wald interval `lower` and `upper`."""
        import pandas as pd

        ends = wald_intervals(self.fit, self.se, level)
        columns = {"estimate": self.fit.values, "se": self.se, "se_mcse": self.mcse}
        index = pd.Index(list(self.fit.parameters.names), name="parameter", dtype="str")
        return pd.DataFrame(columns | {"lower": ends[:, 0], "upper": ends[:, 1]}, index=index)


def fisher_information(fit: Fit, kind: str = "observed", draws: int = 0, seed: int = 0) -> FisherInformation:
    """The information of a fit, at the maximum of the likelihood beside its estimate.

    Parameters
    ----------
    fit : Fit
    kind : {"observed", "expected", "louis", "score", "sandwich"}
        See the module's docstring. "observed" is what `Fit.se` shows.
    draws : int
        Of the random effects, for "louis", "score" and "sandwich", rounded up to a multiple of 20. With 0 the last two
        are exact where the family has conditional expectations in closed form, else they take 20,000; and the first
        takes 20,000 and more, until each Monte Carlo error is at most 1 % of its standard error (4e8 random effects at
        most).
    seed : int

    Raises
    ------
    ModelError
        When there is no such kind, the fit is a restricted one (of which only the observed information is defined), the
        family lacks what the kind needs, a correlation is one, or there are fewer clusters than free parameters for a
        sum over clusters.
    FitError
        When the information that is estimated by draws is not positive definite.
    """
    if kind not in KINDS:
        raise ModelError(f"there is no information {kind!r}{nearest(kind, KINDS)}; there are {', '.join(KINDS)}")
    draws = 0 if draws == 0 else whole(draws, "draws", LEAST)
    if draws and kind in ("observed", "expected"):
        raise ModelError(f"the {kind} information draws nothing; leave out draws={draws}")
    if fit.method == "reml" and kind != "observed":
        raise ModelError(f"a restricted likelihood has only the observed information; got {kind!r}. Fit by 'ml'")
    check_seed(seed)
    surface = Surface.of(fit)
    at = surface.problem, surface.top.x, surface.top.pinned, kind
    found = information_at(*at, draws, seed)
    while kind == "louis" and not draws and 4 * found[3] * at[0].latent.size <= MOST and vague(found):
        found = information_at(*at, 4 * found[3], seed)
    problem, x, pinned = at[:3]
    coordinates = problem.coordinates
    if coordinates.is_users:
        return FisherInformation(fit, kind, *found)
    matrix, covariance, mcse, used = found
    solver = Solver(problem)
    gradient = solver.derivatives(solver.observed(), x).gradient
    bent = gradient if kind in ("observed", "louis", "sandwich") else np.zeros(len(x))  # those of scores are tensors
    return FisherInformation(
        fit,
        kind,
        coordinates.matrix(x, matrix, bent),
        coordinates.covariance(x, covariance, pinned),
        users_errors(coordinates, x, mcse),
        used,
    )


def users_errors(coordinates: Coordinates, x: Array, mcse: Array) -> Array:
    """Monte Carlo errors (n,) of the user's standard errors; nan where several inner ones make one."""
    jacobian = coordinates.jacobian(x)
    out = np.abs(jacobian) @ np.nan_to_num(mcse)
    several = np.count_nonzero(jacobian[:, np.nan_to_num(mcse) > 0.0], axis=1) > 1
    return np.where(several, np.nan, out)


def vague(found: tuple[Array, Array, Array, int]) -> bool:
    """Whether a standard error has too large a Monte Carlo error."""
    with np.errstate(invalid="ignore"):
        return bool(np.any(found[2] > ENOUGH * np.sqrt(np.diag(found[1]))))


def information_at(
    problem: Problem, x: Array, pinned: Array, kind: str, draws: int = 0, seed: int = 0
) -> tuple[Array, Array, Array, int]:
    """Compute the information of a problem at a constrained maximum; see `fisher_information`.

    Parameters
    ----------
    x : (n,) ndarray
    pinned : (n,) bool ndarray
        Parameters at the boundary, which are taken as known.

    Returns
    -------
    matrix, covariance : (n, n) ndarray
    mcse : (n,) ndarray
    draws : int
    """
    if kind in ("score", "sandwich"):
        check_clusters(problem, pinned)
    if kind in ("louis", "score", "sandwich"):
        check_density(problem, pinned, kind)
    solver = Solver(problem)
    at = centre(problem, solver, x, pinned) if kind != "louis" else None
    through = View(problem, solver, pinned)
    draws = BATCHES * -(-draws // BATCHES)
    if kind == "louis":
        draws = draws or DEFAULT
        moments = louis_moments(problem, x, draws, seed)
        found = jackknife(moments, lambda sums: through.louis(x, sums))
        if not np.isfinite(np.diag(found[1])[through.free]).all():
            raise FitError(
                f"the information estimated from {draws} draws is not positive definite: take more draws (draws=..), "
                "or the estimate is no maximum, or not identified"
            )
        return *found, draws
    assert at is not None
    nothing = np.zeros(len(x))
    if kind == "expected":
        if problem.likelihood.fisher_information is None:
            raise ModelError("the family of the model has no Fisher information in closed form; use kind 'louis'")
        matrix = problem.likelihood.fisher_information(x)
        return matrix, through.without_curvature(at, matrix), nothing, 0
    if kind == "observed":
        return -at.hessian, through.with_curvature(at, -at.hessian), nothing, 0

    def seen(matrix: Array) -> tuple[Array, Array]:
        if kind == "score":
            return matrix, through.without_curvature(at, matrix)
        bread = through.with_curvature(at, -at.hessian)
        known = np.nan_to_num(bread)
        return -at.hessian, np.where(np.isnan(bread), np.nan, known @ matrix @ known)

    if not problem.latent.has_expectation:
        draws = draws or DEFAULT
    scores = expected_scores(problem, x, draws, seed)
    if not draws:
        return *seen(scores[0].T @ scores[0]), nothing, 0
    return *jackknife(scores, lambda sums: seen(sums.T @ sums)), draws


@dataclass(frozen=True, eq=False)
class View:
    """Information seen through the constraints of a problem.

    Attributes
    ----------
    problem : Problem
    solver : Solver
    pinned : (n,) bool ndarray
    """

    problem: Problem
    solver: Solver
    pinned: Array

    @property
    def free(self) -> Array:
        """Parameters (n,) that move."""
        return np.asarray(~self.problem.parameters.fixed & ~self.pinned)

    def with_curvature(self, at: Derivatives, information: Array) -> Array:
        """Covariance (n, n) from a second derivative, to which the constraints' own belong."""
        multipliers = multipliers_of(at, self.free)
        return information_of(self.problem, at, multipliers, information, self.free).covariance

    def without_curvature(self, at: Derivatives, information: Array) -> Array:
        """Covariance (n, n) from an expected product of scores: along the tangent space these have mean zero."""
        nothing = np.zeros(len(self.problem.constraints))
        return information_of(self.problem, at, nothing, information, self.free).covariance

    def louis(self, x: Array, moments: Array) -> tuple[Array, Array]:
        """Information and covariance from the means (s + n * n + n,) of statistics, and scores' products and values."""
        n, s = len(x), self.problem.latent.n_statistics
        at = self.solver.derivatives(self.solver.complete(moments[:s]), x, self.free)
        score = moments[s + n * n :]
        matrix = -at.hessian - (moments[s : s + n * n].reshape(n, n) - np.outer(score, score))
        return matrix, self.with_curvature(at, matrix)


def multipliers_of(at: Derivatives, free: Array) -> Array:
    """Least-squares multipliers (m,) at a point, over the free parameters."""
    if len(at.c) == 0:
        return np.zeros(0)
    return np.asarray(np.linalg.lstsq(at.jacobian[:, free].T, -at.gradient[free], rcond=None)[0])


def centre(problem: Problem, solver: Solver, x: Array, pinned: Array) -> Derivatives:
    """The observed likelihood and the constraints at a point."""
    if not problem.likelihood.is_available:
        raise ModelError("the family of the model has no likelihood in closed form; use kind 'louis'")
    return solver.derivatives(solver.observed(), x, ~problem.parameters.fixed & ~pinned)


def check_clusters(problem: Problem, pinned: Array) -> None:
    """Refuse a sum of products over clusters that cannot have full rank, or cannot be made."""
    if problem.clusters.clusterwise is None and problem.latent.has_draws:
        raise ModelError("the family of the model cannot tell its clusters apart; use kind 'louis'")
    free = int((~problem.parameters.fixed & ~pinned).sum()) - len(problem.constraints)
    if problem.clusters.count <= free:
        raise ModelError(
            f"a sum over clusters needs more clusters than free parameters; got {problem.clusters.count} clusters for "
            f"{free} parameters. Use kind 'observed'"
        )


def check_density(problem: Problem, pinned: Array, kind: str) -> None:
    """Refuse random effects that determine each other: their complete-data likelihood is not defined."""
    candidates = np.flatnonzero(pinned & problem.parameters.domains.is_correlation)
    dependents = problem.boundary.dependents.items()
    singular = [i for i in candidates if not any(i in of and pinned[sd] for sd, of in dependents)]
    if singular:
        raise ModelError(
            f"at {problem.parameters.names[singular[0]]} = 1 or -1 the random effects have no density, whose "
            f"derivatives {kind!r} needs; use kind 'observed' or 'expected'"
        )
