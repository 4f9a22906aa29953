"""The contract between algorithms and families of models.

A family describes its data by a ``NamedTuple`` of arrays (its *arrays*) and overloads, for that type, the functions
`draw` and `complete`, and `observed` where it has a closed form. Algorithms call these names only;
Numba picks the family's code from the type of the arrays, at compile time. ``tests/toy_family.py`` is a whole family
in a few lines.

Every objective is evaluated with its exact gradient and Hessian with respect to the named parameters ``x``, on their
natural scales (means, standard deviations, correlations).

A family whose draws are those of a Markov chain keeps its state in the arrays, in two fields that other families do not
have: ``latent``, a float64 array that `draw` changes in place, and ``acceptance``, a (2,) float64 array to whose
entries `draw` adds the moves that were accepted and those that were proposed. Whoever draws works on copies of the two,
so that runs do not disturb each other. Kernels that serve any family (`saem.estep.metropolis`) keep all that they go on
with in a NamedTuple ``kernel`` of arrays; `saem.estep.samplers.kernel_state` finds either. The chain goes on at other
``x`` from the state that it is in; draws of one call and of the next are correlated. ``tests/bernoulli_family.py`` is
such a family.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from saem.expressions.constraint import Constraints
from saem.families.coordinates import USERS, Coordinates
from saem.specification.parameters import Parameters
from saem.system.jit import kernel, overload, types


@dataclass(frozen=True, eq=False)
class Problem:
    """A model together with its data, as algorithms see it.

    Attributes
    ----------
    parameters : Parameters
        Names, kinds and fixed values, in the order of ``x``.
    arrays : NamedTuple
        The family's data; its type selects the family's compiled functions. Fields ``latent`` and ``acceptance`` are
        the state of a chain, at its start.
    constraints : Constraints
        The equality constraints ``c(x) = 0``, compiled.
    starts : sequence of (n,) ndarray
        Starting values, the most sensible one first. They need not satisfy the constraints.
    scale : (n,) ndarray
        A typical size of each parameter; a standard deviation below ``1e-4`` of it is a candidate for zero.
    n_statistics : int
        Length of the vector of complete-data statistics.
    n_latent : int
        Number of random effects (clusters times terms) in one draw.
    collapsible : (n,) bool ndarray
        Parameters that may lie on the boundary: standard deviations (of random effects, and of the residuals of one of
        several groups) may be zero, correlations one.
    dependents : mapping from int to tuple of int
        Parameters that lose their meaning when the collapsible one is zero (correlations of a random effect).
    at_zero : (n,) ndarray
        The value that stands for a standard deviation of zero: zero, or a small number where the likelihood is the
        limit for zero and its formulas divide by it (the residual standard deviation of one of several groups).
    totals : (n,) ndarray
        Standard deviations each of which alone would scatter the responses as they are, to start searches from; empty
        where the typical sizes will do.
    more_starts : tuple of (n,) ndarray
        Others, where the data make it likely that the likelihood has several maxima.
    roles : tuple of str
        (n,) groups that a parameter belongs to, such as "residual group 'b'"; empty where there is nothing to tell.
    blocks : tuple of (q,) and (q, q) int64 ndarray
        Correlated random effects: the parameters of their standard deviations and of their correlations (-1 on the
        diagonal), for each variance group.
    has_expectation : bool
        Whether `draw` with ``m = 0`` gives the conditional expectation of the statistics.
    likelihood : {"closed", "quadrature", "none"}
        How the marginal likelihood is had: in closed form (`observed`), by adaptive quadrature on the density of the
        family (`log_complete`), or not at all.
    restricted : bool
        Whether the marginal likelihood is the restricted one (REML).
    can_fit_exactly : bool
        Whether means and random effects together can fit any response exactly: then the likelihood has no maximum,
        unless the constraints keep them from it.
    has_one_maximum : callable or None
        Tells whether the marginal likelihood is known to have one maximum where nothing constrains it.
    expected_information : callable or None
        From parameters (n,) to an information matrix (n, n) whose rank tells what the design determines.
    fisher_information : callable or None
        From parameters (n,) to Fisher's information (n, n): the expectation of the observed one, were they the truth.
    conditional_effects : callable or None
        From parameters (n,) to the conditional modes (C, q) of the random effects and their standard deviations (C, q).
    clusterwise : callable or None
        Builds the arrays of `draw_clusters` and `complete_clusters`, for families that have them. They hold every
        cluster, so they are made when an algorithm asks for them.
    n_clusters : int
        Number of clusters, C, that `clusterwise` and `joint` know.
    joint : callable or None
        Builds the arrays of `n_effects` and `log_joint`, for families that have them.
    observed_clusters : callable or None
        From parameters (n,) to the parts (C,) of the marginal log-likelihood (not the restricted one) that belong to
        the clusters, where they have a closed form; ``-inf`` outside its domain.
    constants : (C,) ndarray or 0
        What to add to the clusters' parts of the log-likelihood, from `joint` or `observed_clusters`, so that they are
        those of the user's response.
    samplers : mapping of str to callable
        Other ways to draw the latent data, by name: from the family's arrays to those of a type of its own, with a
        `draw`; or to those of the same type, whose draws within an iteration depend on each other (antithetic ones).
    priors : mapping of str to str
        Prior distributions that the model names, by parameter (`saem.specification.priors`), for Bayesian inference.
    default_priors : callable or None
        The priors (n,) of all parameters where the model names none, as text; families that have none ask for all.
    augmentation : Augmentation or None
        Other latent data for the same model, for families that have a choice; `arrays` are of the plain ones.
    expand : callable or None
        Builds the problem with working parameters, for families that have one; raises a `ModelError` that says why
        where it would break the model.
    coordinates : Coordinates
        The edge to the user's scale: everything above is in inner coordinates, but what `conditional_effects` gives.
    nodes : int
        Nodes of the quadrature for every random effect; 0 lets it choose so many that two numbers agree.
    has_draws : bool
        Whether `draw` is overloaded for the family's arrays; else the kernels of `saem.estep.metropolis` draw.
    """

    parameters: Parameters
    arrays: Any
    constraints: Constraints
    starts: tuple[np.ndarray, ...]
    scale: np.ndarray
    n_statistics: int
    n_latent: int
    collapsible: np.ndarray
    dependents: dict[int, tuple[int, ...]]
    at_zero: np.ndarray
    totals: np.ndarray = field(default_factory=lambda: np.empty(0))
    more_starts: tuple[np.ndarray, ...] = ()
    roles: tuple[str, ...] = ()
    blocks: tuple[tuple[np.ndarray, np.ndarray], ...] = ()
    has_expectation: bool = False
    likelihood: str = "none"
    restricted: bool = False
    can_fit_exactly: bool = False
    has_one_maximum: Callable[[], bool] | None = None
    expected_information: Callable[[np.ndarray], np.ndarray] | None = None
    fisher_information: Callable[[np.ndarray], np.ndarray] | None = None
    conditional_effects: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] | None = None
    clusterwise: Callable[[], Any] | None = None
    n_clusters: int = 0
    joint: Callable[[], Any] | None = None
    observed_clusters: Callable[[np.ndarray], np.ndarray] | None = None
    constants: np.ndarray | float = 0.0
    samplers: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    priors: Mapping[str, str] = field(default_factory=dict)
    default_priors: Callable[[], tuple[str, ...]] | None = None
    augmentation: Augmentation | None = None
    expand: Callable[[], Expansion] | None = None
    coordinates: Coordinates = USERS
    nodes: int = 0
    has_draws: bool = True

    @property
    def has_likelihood(self) -> bool:
        """Whether the marginal likelihood can be evaluated, with its derivatives."""
        return self.likelihood in ("closed", "quadrature")

    def label(self, i: int) -> str:
        """A parameter with the groups that it belongs to, for messages."""
        role = self.roles[i] if self.roles else ""
        return self.parameters.names[i] + (f" ({role})" if role else "")


class Augmentation(Protocol):
    """Where the means are put: in the law of the responses given the random effects, or in that of the latent data.

    A *placement* (k,) bool says which of the latent data are centred on the means. Statistics and complete-data
    likelihood are those of the placement, the marginal likelihood is the same for all.
    """

    def arrays(self, placement: np.ndarray) -> Any:
        """The family's arrays for a placement."""
        ...

    def uncentred(self, x: np.ndarray) -> np.ndarray:
        """The placement that centres nothing."""
        ...

    def centred(self, x: np.ndarray) -> np.ndarray:
        """The placement that centres all that can be centred at the parameters ``x`` (n,)."""
        ...

    def describe(self, placement: np.ndarray) -> str:
        """The latent data of a placement, in a few words."""
        ...

    def choose(self, x: np.ndarray, covariance: np.ndarray, current: np.ndarray | None = None) -> np.ndarray:
        """The placement at ``x`` (n,) for which least of the information on the means is missing.

        ``covariance`` (n, n) is that of the estimates, through the constraints. The ``current`` placement is kept, as
        far as it is possible at ``x``, unless another is clearly better.
        """
        ...


@dataclass(frozen=True, eq=False)
class Expansion:
    """A problem with working parameters that its data do not determine, for EM and SAEM by parameter expansion.

    Algorithms draw at working parameters that are the identity, maximise over all parameters, and reduce. Where an
    estimate goes to the boundary, it is the reduced one that gets there: the M-step itself does not see it.

    Attributes
    ----------
    problem : Problem
        With `draw`, `complete` and `reduce`. Its parameters are those of the model, in their order, then the working
        ones. It has no `observed`: that is the model's own, at the reduced parameters.
    identity : (W,) ndarray
        Working parameters at which it is the model itself.
    reduced : callable
        From its parameters (n + W,) to those of the model (n,), with the same law of the data.
    """

    problem: Problem
    identity: np.ndarray
    reduced: Callable[[np.ndarray], np.ndarray]

    def extended(self, x: np.ndarray) -> np.ndarray:
        """Parameters of the model (n,) as those of the expanded one (n + W,)."""
        return np.concatenate([x, self.identity])


class CompleteData(NamedTuple):
    """Objective of the M-step: the complete-data log-likelihood at given statistics."""

    arrays: Any
    statistics: np.ndarray


class Observed(NamedTuple):
    """Objective of direct maximum likelihood: the marginal log-likelihood."""

    arrays: Any


class Restricted(NamedTuple):
    """Objective of REML: the restricted log-likelihood."""

    arrays: Any


def draw(arrays: Any, x: np.ndarray, rng: np.random.Generator, m: int, statistics: np.ndarray) -> None:
    """Write the mean of the complete-data statistics over ``m`` draws of the latent data from p(z | y; x).

    ``m = 0`` asks for their conditional expectation E[S(y, z) | y; x], if the family has it (`has_expectation`); nan
    where it has not. Families that are drawn by a chain make ``m`` sweeps of it, from ``arrays.latent`` on, with
    ``p(z | y; x)`` as the stationary distribution.
    """
    raise NotImplementedError


def complete(arrays: Any, statistics: np.ndarray, x: np.ndarray, gradient: np.ndarray, hessian: np.ndarray) -> float:
    """Complete-data log-likelihood; ``-inf`` outside its domain. Writes its gradient and Hessian."""
    raise NotImplementedError


def observed(arrays: Any, x: np.ndarray, gradient: np.ndarray, hessian: np.ndarray) -> float:
    """Marginal log-likelihood; ``-inf`` outside its domain. Writes its gradient and Hessian."""
    raise NotImplementedError


def restricted(arrays: Any, x: np.ndarray, gradient: np.ndarray, hessian: np.ndarray) -> float:
    """Restricted log-likelihood (REML); ``-inf`` outside its domain. Writes its gradient and Hessian."""
    raise NotImplementedError


def draw_clusters(
    arrays: Any, x: np.ndarray, rng: np.random.Generator, m: int, clusters: np.ndarray, statistics: np.ndarray
) -> None:
    """Write the statistics (k, s) of some clusters (k,), one by one; any cluster may be among them, in any order.

    Each is the mean over ``m`` draws from p(z_c | y_c; x), or for ``m = 0`` the conditional expectation. ``arrays`` are
    those of `Problem.clusterwise`. The sum over all clusters has the distribution of what `draw` writes. Many clusters
    at once cost much less than a call for each; sorted by design they cost least.
    """
    raise NotImplementedError


def draw_cluster(
    arrays: Any, x: np.ndarray, rng: np.random.Generator, m: int, cluster: int, statistics: np.ndarray
) -> None:
    """`draw_clusters` for one of them, with its statistics (s,); families need not write it."""
    raise NotImplementedError


def complete_clusters(
    arrays: Any,
    clusters: np.ndarray,
    statistics: np.ndarray,
    x: np.ndarray,
    values: np.ndarray,
    gradients: np.ndarray,
    hessian: np.ndarray,
) -> None:
    """Write the parts of the complete-data log-likelihood of some clusters (k,), at their statistics (k, s).

    ``values`` (k,) are ``-inf`` outside the domain, ``gradients`` (k, n) are of each cluster, ``hessian`` (n, n) is the
    sum of theirs. ``arrays`` are those of `Problem.clusterwise`. The sum over all clusters is `complete` at the sum of
    the statistics.
    """
    raise NotImplementedError


def complete_cluster(
    arrays: Any, cluster: int, statistics: np.ndarray, x: np.ndarray, gradient: np.ndarray, hessian: np.ndarray
) -> float:
    """`complete_clusters` for one of them, with its statistics (s,); families need not write it."""
    raise NotImplementedError


def n_effects(arrays: Any, x: np.ndarray, cluster: int) -> int:
    """Dimension d of the random effects of a cluster at ``x``: the rank of their covariance, if they are normal.

    ``arrays`` are those of `Problem.joint`.
    """
    raise NotImplementedError


def log_joint(arrays: Any, x: np.ndarray, cluster: int, effects: np.ndarray, values: np.ndarray) -> None:
    """Write ``log p(y_c, u; x)`` (k,) of a cluster at several values ``u`` (k, d) of its random effects.

    The family chooses coordinates in which this is a smooth density over all of R^d, d that of `n_effects`, whose
    integral is the cluster's part of the marginal likelihood, with every constant. Coordinates that are independent
    standard normals before the data are seen are good ones: a variance of zero and a singular covariance are then
    nothing special. At ``u = 0`` it is finite, unless ``x`` is outside its domain, where it is ``-inf``. ``arrays`` are
    those of `Problem.joint`.
    """
    raise NotImplementedError


def log_complete(
    arrays: Any,
    x: np.ndarray,
    cluster: int,
    effects: np.ndarray,
    order: int,
    values: np.ndarray,
    gradients: np.ndarray,
    hessians: np.ndarray,
) -> None:
    """Write ``log p(y_c, u; x)`` of a cluster at several values ``u`` of its random effects, with derivatives.

    The one density from which conditional modes, Markov kernels, quadrature and scores follow. The random effects are
    independent standard normals before the data are seen: those of the model are a root of their covariance times
    ``u``, so that a standard deviation of zero and a singular covariance are nothing special. All arguments that
    depend on ``u`` are *jets* (`saem.system.jets`) of J numbers: the value, and, unless J = 1, the exact first and
    second derivatives by the parameters ``x``, which ``u`` may depend on.

    Parameters
    ----------
    arrays : NamedTuple
        Those of `Problem.joint`.
    x : (n,) ndarray
    cluster : int
    effects : (k, d, J) ndarray
        Values of ``u``; d is that of `n_effects`, which must not depend on ``x`` here.
    order : int
        0, 1 or 2: which derivatives by ``u`` are asked for.
    values : (k, J) ndarray, written
        With every constant, ``-inf`` outside the domain of ``x`` (then nothing else is written).
    gradients : (k, d, J) ndarray, written
        First derivatives by ``u``, if ``order`` is 1 or 2; else its length may be 0.
    hessians : (k, d, d, J) ndarray, written
        Second derivatives by ``u``, if ``order`` is 2; else its length may be 0.
    """
    raise NotImplementedError


def accumulate(
    arrays: Any, x: np.ndarray, cluster: int, effects: np.ndarray, weight: float, statistics: np.ndarray
) -> None:
    """Add ``weight`` times the complete-data statistics (s,) of a cluster at each of several draws ``u`` (k, d).

    Coordinates and ``arrays`` are those of `log_complete`. What is drawn thus, by whatever kernel, is reduced here.
    Statistics may belong to ``x``: those of an expansion at it, whose score at ``x`` is that of the complete data.
    """
    raise NotImplementedError


def effects_root(arrays: Any, x: np.ndarray, cluster: int, root: np.ndarray) -> bool:
    """Write the root (d, d) by which ``u`` of `log_complete` becomes the model's random effects; whether there is one.

    Times its transpose it is their covariance.
    """
    raise NotImplementedError


def reduce(arrays: Any, x: np.ndarray) -> None:
    """Set the working parameters of an expanded problem to the identity, and the others such that the law stays."""
    raise NotImplementedError


def evaluate(objective: Any, x: np.ndarray, gradient: np.ndarray, hessian: np.ndarray) -> float:
    """Value of an objective (`CompleteData`, `Observed`, `Restricted`, or another with an overload) and derivatives."""
    raise NotImplementedError


def is_a(numba_type: Any, cls: type) -> bool:
    """Whether a Numba type is that of the given NamedTuple class."""
    return isinstance(numba_type, types.NamedTuple | types.NamedUniTuple) and numba_type.instance_class is cls


@overload(evaluate, inline="always")
def _evaluate(objective, x, gradient, hessian):  # type: ignore[no-untyped-def]  # Numba compares the signatures
    if is_a(objective, CompleteData):
        return lambda objective, x, gradient, hessian: complete(
            objective.arrays, objective.statistics, x, gradient, hessian
        )
    if is_a(objective, Observed):
        return lambda objective, x, gradient, hessian: observed(objective.arrays, x, gradient, hessian)
    if is_a(objective, Restricted):
        return lambda objective, x, gradient, hessian: restricted(objective.arrays, x, gradient, hessian)
    return None


@kernel
def log_joint_of_complete(arrays: Any, x: np.ndarray, cluster: int, effects: np.ndarray, values: np.ndarray) -> None:
    """`log_joint` for a family that has `log_complete`."""
    k, d = effects.shape
    nothing = np.empty((0, d, 1))
    log_complete(
        arrays,
        x,
        cluster,
        effects.reshape((k, d, 1)),
        0,
        values.reshape((k, 1)),
        nothing,
        nothing.reshape((0, d, d, 1)),
    )


@overload(draw_cluster)
def _draw_cluster(arrays, x, rng, m, cluster, statistics):  # type: ignore[no-untyped-def]
    return lambda arrays, x, rng, m, cluster, statistics: draw_clusters(
        arrays, x, rng, m, np.array([cluster]), statistics.reshape((1, statistics.shape[0]))
    )


@overload(complete_cluster)
def _complete_cluster(arrays, cluster, statistics, x, gradient, hessian):  # type: ignore[no-untyped-def]
    def one(arrays, cluster, statistics, x, gradient, hessian):  # type: ignore[no-untyped-def]
        value = np.empty(1)
        alone = statistics.reshape((1, statistics.shape[0]))
        gradients = gradient.reshape((1, gradient.shape[0]))
        complete_clusters(arrays, np.array([cluster]), alone, x, value, gradients, hessian)
        return value[0]

    return one
