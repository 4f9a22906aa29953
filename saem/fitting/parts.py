"""The parts of a fit, each of them declared once: files, copies and tables follow from what is declared here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from saem.system.deferred import Deferred

if TYPE_CHECKING:
    import pandas as pd

    from saem.algorithms.bayes.posterior import Posterior
    from saem.algorithms.engine.continuation import Continuation
    from saem.families import Model
    from saem.specification.parameters import Parameters
    from saem.stopping import Status

Floats = NDArray[np.float64]
Wholes = NDArray[np.int64]
Names = tuple[str, ...]
STUCK = 0.02  # share of accepted moves of a Markov kernel below which a cluster is named
HISTORY = ("iteration", "draws", "seconds", "loglik", "deficit", "mcse_share", "acceptance")


@dataclass(frozen=True, eq=False, kw_only=True)
class Part:
    """A part of a fit, whose arrays cannot be written to."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray) and not _is_own(value):
                value = value.copy()
                value.flags.writeable = False
                object.__setattr__(self, name, value)


def _is_own(array: np.ndarray) -> bool:
    """Whether an array is one that a part has made its own: another part, or a copy of the fit, may share it."""
    return not array.flags.writeable and array.flags.c_contiguous and array.base is None


def declared(kind: type[Part], *types: str) -> dict[str, str]:
    """The fields of a part with their types as they are written; only those of some types, where any are named."""
    return {each.name: str(each.type) for each in fields(kind) if not types or each.type in types}


@dataclass(frozen=True, eq=False, kw_only=True)
class Origin(Part):
    """What was fitted, by which method.

    Attributes
    ----------
    model : Model
    method : str
        The name of the method, such as "saem" or "ml".
    seed : int
    provenance : dict of str
        Versions and digests: what it takes to get the same numbers again.
    """

    model: Model
    method: str
    seed: int
    provenance: Mapping[str, str]


@dataclass(frozen=True, eq=False, kw_only=True)
class Estimate(Part):
    """What was estimated.

    Attributes
    ----------
    parameters : Parameters
        Names and domains of the n parameters, in the order of `values`.
    values : (n,) ndarray
        Estimates; fixed parameters at their value.
    covariance : (n, n) ndarray
        Inverse observed information through the constraints, at the exact maximum beside the estimate where there is
        one; rows of nan where a parameter is at the boundary or not identified, of 0 where it is fixed.
    mcse : (n,) ndarray
        Monte Carlo standard errors, the distance to the exact maximum that the simulation leaves; 0 for exact methods.
    loglik : float
        Log-likelihood (restricted for REML).
    loglik_mcse : float
        Its Monte Carlo standard error where it is simulated; 0 where it is exact, or by quadrature that has settled.
    n_free : int
        Number of free parameters, net of constraints and of fixed parameters. Means count in REML too, as in lme4.
    at_boundary : tuple of str
        Parameters at the boundary: SDs at 0, correlations at -1 or 1, and all correlations of a singular matrix of
        three or more random effects.
    constraint_names : tuple of str
    constraint_residuals, multipliers : (m,) ndarray
        Left side minus right side of every constraint at the estimate, and its Lagrange multiplier.
    gradient_norm : float
        Largest component of the gradient on the tangent space of the constraints, in units of standard errors of the
        single parameters.
    solutions : (k, n) ndarray
        All distinct maximisers that were found, the best first.
    solution_logliks : (k,) ndarray
    random_effects, random_effect_sds : (n_clusters, q) ndarray
        Conditional modes of the random effects given the estimates, and their conditional SDs; posterior means and SDs
        where they were drawn with the parameters.
    inner : (n,) ndarray
        The estimates in the coordinates in which they were found, where columns are centred or scaled inside (more
        digits than `values` can hold); empty where those are the user's.
    posterior : Posterior or None
        The draws of a fit by "bayes", its priors and its diagnostics.
    """

    parameters: Parameters
    values: Floats
    covariance: Floats
    mcse: Floats
    loglik: float
    loglik_mcse: float = 0.0
    n_free: int
    at_boundary: Names
    constraint_names: Names
    constraint_residuals: Floats
    multipliers: Floats
    gradient_norm: float
    solutions: Floats
    solution_logliks: Floats
    random_effects: Floats
    random_effect_sds: Floats
    inner: Floats = field(default_factory=lambda: np.empty(0))
    posterior: Posterior | None = None

    @property
    def se(self) -> Floats:
        """Standard errors, (n,) ndarray: 0 for fixed parameters, nan at the boundary or where not identified."""
        with np.errstate(invalid="ignore"):
            return np.asarray(np.sqrt(np.diag(self.covariance)))


@dataclass(frozen=True, eq=False, kw_only=True)
class Sample(Part):
    """The rows and clusters that the fit was made of.

    Attributes
    ----------
    n_rows, n_clusters : int
    cluster_labels : DataFrame
        One row per cluster, in the order of `random_effects`.
    term_names : tuple of str
        The q terms of the random effects.
    cluster_group : (n_clusters,) ndarray
        Variance group of every cluster.
    group_levels : tuple of str
        Names of the variance groups.
    table : DataFrame or None
        The columns and rows that were used; None where they could not be saved.
    formula_state : dict
        Constants of the design of a formula: means of `center`, coefficients of `poly`, knots, levels, first dates.
    unclear : dict of str to str
        Parameter -> column of the design of a formula, for the names that do not tell it.
    """

    n_rows: int
    n_clusters: int
    cluster_labels: Deferred[pd.DataFrame] = Deferred()
    term_names: Names
    cluster_group: Wholes = field(default_factory=lambda: np.zeros(0, np.int64))
    group_levels: Names = ()
    table: Deferred[pd.DataFrame | None] = Deferred(None)
    formula_state: Mapping[str, Any] = field(default_factory=dict)
    unclear: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, kw_only=True)
class Course(Part):
    """The way to the estimate, how it ended, and what to go on from.

    Attributes
    ----------
    status : Status
    message : str
        Advice on the status, one or two sentences.
    warnings : tuple of str
    seconds : float
        Wall-clock time of the fit.
    path : (k, n) ndarray
        Parameters at the start, after every iteration (of the solver, for exact methods), and the estimate.
    burn_in, averaging_from : int
        Iterations of the burn-in, and the iteration at which averaging starts; 0 where there is none.
    augmentation : str
        Which latent data SAEM and its relatives drew: random effects, or random effects centred on the means; empty for
        other methods.
    drawn : int
        Random effects that were drawn in the whole fit; 0 for exact methods.
    looks : (k, 7) ndarray
        What `history` shows.
    chains : (c, n) ndarray
        Estimates of independent chains; no rows where there was one.
    chain_paths : tuple of (k, n) ndarray
        Their paths.
    acceptance_rates : (n_clusters,) ndarray
        Share of accepted moves of the Markov kernel of each cluster since its adaptation stopped, in the order of
        `cluster_labels`; nan where too few were made to tell, empty where random effects were drawn in another way.
    continuation : Continuation or None
        What `resume` goes on from; None for exact methods.
    """

    status: Status
    message: str
    warnings: Names
    seconds: float
    path: Floats
    burn_in: int
    averaging_from: int
    augmentation: str = ""
    drawn: int = 0
    looks: Floats = field(default_factory=lambda: np.empty((0, len(HISTORY))))
    chains: Floats = field(default_factory=lambda: np.empty((0, 0)))
    chain_paths: tuple[Floats, ...] = ()
    acceptance_rates: Floats = field(default_factory=lambda: np.empty(0))
    continuation: Continuation | None = None
