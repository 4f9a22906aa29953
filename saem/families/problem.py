"""A model together with its data, as algorithms see it: what a family poses, in a few named parts.

Of the functions in it, those that are compiled are found by the type of its arrays (`saem.families.contract`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol

import numpy as np

from saem.expressions.constraint import Constraints
from saem.families.coordinates import USERS, Coordinates
from saem.specification.parameters import Parameters


@dataclass(frozen=True, eq=False)
class Starts:
    """Where to start.

    Attributes
    ----------
    values : tuple of (n,) ndarray
        Starting values, the most sensible one first. They need not satisfy the constraints.
    more : tuple of (n,) ndarray
        Others, where the data make it likely that the likelihood has several maxima.
    totals : (n,) ndarray
        Standard deviations each of which alone would scatter the responses as they are, to start searches from; empty
        where the typical sizes will do.
    elsewhere : callable or None
        Looks for others that are likely to lead to other maxima, for who asks for several.
    """

    values: tuple[np.ndarray, ...]
    more: tuple[np.ndarray, ...] = ()
    totals: np.ndarray = field(default_factory=lambda: np.empty(0))
    elsewhere: Callable[[], list[np.ndarray]] | None = None

    @property
    def first(self) -> np.ndarray:
        """The most sensible starting value (n,)."""
        return self.values[0]


@dataclass(frozen=True, eq=False)
class Boundary:
    """Where estimates may end that are not inside.

    Attributes
    ----------
    collapsible : (n,) bool ndarray
        Parameters that may lie on the boundary: standard deviations (of random effects, and of the residuals of one of
        several groups) may be zero, correlations one.
    dependents : mapping from int to tuple of int
        Parameters that lose their meaning when the collapsible one is zero (correlations of a random effect).
    at_zero : (n,) ndarray
        The value that stands for a standard deviation of zero: zero, or a small number where the likelihood is the
        limit for zero and its formulas divide by it (the residual standard deviation of one of several groups).
    blocks : tuple of (q,) and (q, q) int64 ndarray
        Correlated random effects: the parameters of their standard deviations and of their correlations (-1 on the
        diagonal), for each variance group.
    """

    collapsible: np.ndarray
    dependents: dict[int, tuple[int, ...]]
    at_zero: np.ndarray
    blocks: tuple[tuple[np.ndarray, np.ndarray], ...] = ()

    @property
    def has_stand_in(self) -> np.ndarray:
        """Standard deviations (n,) bool whose zero is stood for by a small number."""
        return np.asarray(self.at_zero > 0.0)


@dataclass(frozen=True, eq=False)
class LatentData:
    """The latent data of all clusters: what there is of them, how they are drawn, and which others there might be.

    Attributes
    ----------
    size : int
        Number of random effects (clusters times terms) in one draw.
    n_statistics : int
        Length of the vector of complete-data statistics.
    has_draws : bool
        Whether `draw` is overloaded for the family's arrays; else the kernels of `saem.estep.metropolis` draw.
    has_expectation : bool
        Whether `draw` with ``m = 0`` gives the conditional expectation of the statistics.
    samplers : mapping of str to callable
        Other ways to draw the latent data, by name: from the family's arrays to those of a type of its own, with a
        `draw`; or to those of the same type, whose draws within an iteration depend on each other (antithetic ones).
    augmentation : Augmentation or None
        Other latent data for the same model, for families that have a choice; the problem's arrays are of the plain
        ones.
    observe : callable or None
        From arrays to those whose statistics at single parameters have the curvature of the complete data where those
        of the algorithms have its expectation, for families that make a difference: Louis' information needs it.
    expand : callable or None
        Builds the problem with working parameters, for families that have one; raises a `ModelError` that says why
        where it would break the model.
    """

    size: int
    n_statistics: int
    has_draws: bool = True
    has_expectation: bool = False
    samplers: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    augmentation: Augmentation | None = None
    observe: Callable[[Any], Any] | None = None
    expand: Callable[[], Expansion] | None = None


@dataclass(frozen=True, eq=False)
class Clusters:
    """What can be had cluster by cluster.

    Attributes
    ----------
    count : int
        Number of clusters, C, that `clusterwise` and `joint` know.
    clusterwise : callable or None
        Builds the arrays of `draw_clusters` and `complete_clusters`, for families that have them. They hold every
        cluster, so they are made when an algorithm asks for them.
    joint : callable or None
        Builds the arrays of `n_effects`, `log_joint` and `log_complete`, for families that have them.
    together : callable or None
        Builds the arrays of `log_complete_all`, for families that have other ones for it than ``joint`` builds: from
        parameters (n,), the modes (C, d) of the random effects ``u`` there, and minus the Hessians (C, d, d) at these,
        by which the coordinates are guided; nan where a cluster has none.
    observed : callable or None
        From parameters (n,) to the parts (C,) of the marginal log-likelihood (not the restricted one) that belong to
        the clusters, where they have a closed form; ``-inf`` outside its domain.
    constants : (C,) ndarray or 0
        What to add to the clusters' parts of the log-likelihood, from `joint` or `observed`, so that they are those of
        the user's response.
    effects : callable or None
        From parameters (n,) to the conditional modes (C, q) of the random effects and their standard deviations (C, q),
        on the user's scale.
    """

    count: int = 0
    clusterwise: Callable[[], Any] | None = None
    joint: Callable[[], Any] | None = None
    together: Callable[[np.ndarray, np.ndarray, np.ndarray], Any] | None = None
    observed: Callable[[np.ndarray], np.ndarray] | None = None
    constants: np.ndarray | float = 0.0
    effects: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] | None = None

    @property
    def constant(self) -> float:
        """The sum of `constants` over the clusters."""
        return float(np.sum(self.constants + np.zeros(self.count)))


@dataclass(frozen=True, eq=False)
class Likelihood:
    """What is known of the marginal likelihood.

    Attributes
    ----------
    kind : {"closed", "quadrature", "simulated", "none"}
        How it is had: in closed form (`observed`), by adaptive quadrature on the density of the family
        (`log_complete`), by simulated points where no quadrature suffices, with an error of its own, or not at all.
    nodes : int
        Nodes of the quadrature for every random effect; 0 lets it choose so many that two numbers agree.
    first_nodes : int
        Nodes to begin with, until an estimate shows how many are needed; 0 where the start is to show it.
    is_local : bool
        Whether the maximum that is meant is that of the hill on which the first start lies, and others are looked for
        only where that is asked for.
    restricted : bool
        Whether it is the restricted one (REML).
    can_fit_exactly : bool
        Whether means and random effects together can fit any response exactly: then it has no maximum, unless the
        constraints keep them from it.
    has_one_maximum : callable or None
        Tells whether it is known to have one maximum where nothing constrains it.
    expected_information : callable or None
        From parameters (n,) to an information matrix (n, n) whose rank tells what the design determines.
    fisher_information : callable or None
        From parameters (n,) to Fisher's information (n, n): the expectation of the observed one, were they the truth.
    """

    kind: str = "none"
    nodes: int = 0
    first_nodes: int = 0
    is_local: bool = False
    restricted: bool = False
    can_fit_exactly: bool = False
    has_one_maximum: Callable[[], bool] | None = None
    expected_information: Callable[[np.ndarray], np.ndarray] | None = None
    fisher_information: Callable[[np.ndarray], np.ndarray] | None = None

    @property
    def is_available(self) -> bool:
        """Whether it can be evaluated, with its derivatives, and searched for maxima."""
        return self.kind in ("closed", "quadrature")

    def turned(self, kind: str) -> Likelihood:
        """The same where it turned out that it is had in another way, or not at all."""
        return replace(self, kind=kind)


@dataclass(frozen=True, eq=False)
class Priors:
    """Prior distributions of the parameters, as text (`saem.specification.priors`), for Bayesian inference.

    Attributes
    ----------
    named : mapping of str to str
        Those that the model names, by parameter.
    default : callable or None
        Those (n,) of all parameters where the model names none; families that have none ask for all.
    """

    named: Mapping[str, str] = field(default_factory=dict)
    default: Callable[[], tuple[str, ...]] | None = None


@dataclass(frozen=True, eq=False)
class Problem:
    """A model together with its data, as algorithms see it.

    Attributes
    ----------
    parameters : Parameters
        Names, domains and fixed values, in the order of ``x``.
    constraints : Constraints
        The equality constraints ``c(x) = 0``, compiled.
    arrays : NamedTuple
        The family's data; its type selects the family's compiled functions. Fields ``latent`` and ``acceptance`` are
        the state of a chain, at its start.
    scale : (n,) ndarray
        A typical size of each parameter; a standard deviation below ``1e-4`` of it is a candidate for zero.
    starts, boundary, latent, clusters, likelihood, priors
        See their classes.
    coordinates : Coordinates
        The edge to the user's scale: everything else is in inner coordinates, but what `Clusters.effects` gives.
    roles : tuple of str
        (n,) groups that a parameter belongs to, such as "residual group 'b'"; empty where there is nothing to tell.
    """

    parameters: Parameters
    constraints: Constraints
    arrays: Any
    scale: np.ndarray
    starts: Starts
    boundary: Boundary
    latent: LatentData
    clusters: Clusters = field(default_factory=Clusters)
    likelihood: Likelihood = field(default_factory=Likelihood)
    priors: Priors = field(default_factory=Priors)
    coordinates: Coordinates = USERS
    roles: tuple[str, ...] = ()

    def label(self, i: int) -> str:
        """A parameter with the groups that it belongs to, for messages."""
        role = self.roles[i] if self.roles else ""
        return self.parameters.names[i] + (f" ({role})" if role else "")


class Augmentation(Protocol):
    """Where the means are put: in the law of the responses given the random effects, or in that of the latent data.

    A *placement* (k,) bool says which of the latent data are centred on the means. Statistics and complete-data
    likelihood are those of the placement, the marginal likelihood is the same for all.

    Attributes
    ----------
    weighs : bool
        Whether `choose` looks at the covariance of the estimates.
    """

    weighs: ClassVar[bool]

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
