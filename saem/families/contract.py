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

from typing import Any, NamedTuple

import numpy as np

from saem.system.jets import jet_length
from saem.system.jit import kernel, overload, types


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
    those of `Clusters.clusterwise`. The sum over all clusters has the distribution of what `draw` writes. Many clusters
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
    sum of theirs. ``arrays`` are those of `Clusters.clusterwise`. The sum over all clusters is `complete` at the sum of
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

    ``arrays`` are those of `Clusters.joint`.
    """
    raise NotImplementedError


def log_joint(arrays: Any, x: np.ndarray, cluster: int, effects: np.ndarray, values: np.ndarray) -> None:
    """Write ``log p(y_c, u; x)`` (k,) of a cluster at several values ``u`` (k, d) of its random effects.

    The family chooses coordinates in which this is a smooth density over all of R^d, d that of `n_effects`, whose
    integral is the cluster's part of the marginal likelihood, with every constant. Coordinates that are independent
    standard normals before the data are seen are good ones: a variance of zero and a singular covariance are then
    nothing special. At ``u = 0`` it is finite, unless ``x`` is outside its domain, where it is ``-inf``. ``arrays`` are
    those of `Clusters.joint`.
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
        Those of `Clusters.joint`.
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


def log_complete_all(
    arrays: Any, x: np.ndarray, coordinates: np.ndarray, by_x: np.ndarray, by_coordinates: np.ndarray
) -> float:
    """``log p(y, u; x)`` of all clusters together, with its gradient by the parameters and by the random effects.

    The density that samplers of both call at each step: one pass over the rows. It follows from `log_complete`, at the
    cost of second derivatives that nobody needs; a family that can do it faster names its arrays in `OWN`, and may
    choose other coordinates of the random effects, see `fill_guide`. It is the density of these.

    Parameters
    ----------
    arrays : NamedTuple
        Those of `Clusters.together`, or of `Clusters.joint`.
    x : (n,) ndarray
    coordinates : (C, d) ndarray
        The values ``u`` of `log_complete`, unless the family guides them.
    by_x : (n,) ndarray, written
    by_coordinates : (C, d) ndarray, written

    Returns
    -------
    float
        With every constant, ``-inf`` outside the domain of ``x`` (then derivatives are of no use).
    """
    raise NotImplementedError


def fill_guide(arrays: Any, x: np.ndarray, cluster: int, shift: np.ndarray, factor: np.ndarray) -> bool:
    """Write ``M`` (d,) and the lower triangular ``F`` (d, d) of the coordinates of `log_complete_all`.

    The random effects of a cluster are ``u = M + F'^-1 w`` at coordinates ``w``. A family chooses ``M`` and
    ``(F F')^-1`` near mean and covariance of ``u`` given data and parameters, so that ``w`` hardly depends on these.
    Whether there are any at ``x``. The same families as with `log_complete_all` write it; for others ``w`` is ``u``.
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


def frame_size(arrays: Any) -> int:
    """Numbers that `fill_frame` writes; 0 for families that prepare nothing."""
    raise NotImplementedError


def fill_frame(arrays: Any, x: np.ndarray, cluster: int, before: int, frame: np.ndarray) -> bool:
    """Write what the density of a cluster at ``x`` has beside the random effects; whether there is a density.

    What changes with every move of a Markov kernel is the random effects alone, and much is the same for the next
    cluster: ``before`` is the one whose frame is in there, at the same ``x``, or -1. Families need not write it; those
    that do name their arrays in `OWN`, and write `log_complete_framed` and `accumulate_framed`.
    """
    raise NotImplementedError


def log_complete_framed(
    arrays: Any, x: np.ndarray, cluster: int, frame: np.ndarray, effects: np.ndarray, value: np.ndarray
) -> None:
    """`log_complete` (1, 1) at one plain value (1, d, 1) of the random effects, with what `fill_frame` has written."""
    raise NotImplementedError


def accumulate_framed(
    arrays: Any,
    x: np.ndarray,
    cluster: int,
    frame: np.ndarray,
    effects: np.ndarray,
    weight: float,
    statistics: np.ndarray,
) -> None:
    """`accumulate` with what `fill_frame` has written, for a cluster that has a density."""
    raise NotImplementedError


def fill_carry(arrays: Any, cluster: int, frame: np.ndarray, last: np.ndarray, matrix: np.ndarray) -> bool:
    """Write the columns of ``A``, and ``a``, to ``matrix`` (d + 1, d): with ``u = A v + a`` the latent data stay.

    They are random effects ``v`` at the parameters of the frame ``last``, and ``u`` at those of ``frame``. False where
    it is the random effects that stay, or nothing else can. Families need not write it; those that do name their arrays
    in `OWN`, and have frames.
    """
    raise NotImplementedError


def limit(arrays: Any, x: np.ndarray, statistics: np.ndarray) -> None:
    """Change the statistics of an iteration drawn at ``x`` where a step that they ask for is too long to be believed.

    An expansion says nothing of places far from where it was made. It is asked for while a kernel adapts: afterwards
    the scores of draws are to scatter as they do. Where nothing moves, nothing may be changed: fixed points stay.
    Families without expansions need not write it; others name their arrays in `OWN`.
    """
    raise NotImplementedError


def add_points(
    arrays: Any,
    x: np.ndarray,
    cluster: int,
    rule: np.ndarray,
    log_weights: np.ndarray,
    spans: np.ndarray,
    total: np.ndarray,
) -> float:
    """Add the sum over the points of a rule of integration of exp(`log_complete`) times their weights, in jets.

    The points are ``u = m + sum_k w_k s_k`` for the points ``w`` of the rule. `saem.estep.marginal` does it for any
    family; one that can do it faster names its arrays in `OWN`.

    Parameters
    ----------
    arrays : NamedTuple
        Those of `Problem.clusters.joint`.
    x : (n,) ndarray
    cluster : int
    rule : (K, d or more) ndarray
        Points ``w``.
    log_weights : (K,) ndarray
    spans : (d + 1, d, J) ndarray
        ``m`` and the ``s_k``, of which the entries after the k-th are zero.
    total : (J,) ndarray, zeros, written
        The sum, its gradient, and its Hessian (the lower triangle), divided by a common factor.

    Returns
    -------
    float
        The logarithm of that factor.
    """
    raise NotImplementedError


def hold(arrays: Any, x: np.ndarray, cluster: int, spans: np.ndarray, out: np.ndarray) -> None:
    """Give the points of a rule the derivatives by which they stay where they are, as the law of the effects changes.

    A family whose rows tell much of what the effects are of (individual parameters) holds these, and names its arrays
    in `OWN`; for any other the effects ``u`` stay. Complete-data scores at points that stay scatter the least.

    Parameters
    ----------
    arrays : NamedTuple
    x : (n,) ndarray
    cluster : int
    spans : (d + 1, d, J) ndarray, changed
        See `add_points`; without derivatives. Entries after the k-th may get some.
    out : (J,) ndarray, changed
        The derivatives of the logarithm of the volume are added.
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


#: Types of arrays that have their own of the functions that any family gets.
OWN: dict[str, set[type]] = {
    "add_points": set(),
    "log_complete_all": set(),
    "hold": set(),
    "limit": set(),
    "fill_frame": set(),
    "fill_carry": set(),
}


def has_own(numba_type: Any, name: str) -> bool:
    """Whether the class of arrays of a Numba type has its own function of a name in `OWN`."""
    return getattr(numba_type, "instance_class", None) in OWN[name]


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


@overload(log_complete_all)
def _log_complete_all(arrays, x, coordinates, by_x, by_coordinates):  # type: ignore[no-untyped-def]
    if has_own(arrays, "log_complete_all"):
        return None

    def one_by_one(arrays, x, coordinates, by_x, by_coordinates):  # type: ignore[no-untyped-def]
        (clusters, d), n = coordinates.shape, x.shape[0]
        jets, value = np.zeros((1, d, jet_length(n))), np.empty((1, jet_length(n)))
        plain, height, slopes = np.empty((1, d, 1)), np.empty((1, 1)), np.empty((1, d, 1))
        nothing = np.empty((0, d, jet_length(n)))
        by_x[:] = 0.0
        total = 0.0
        for cluster in range(clusters):
            for j in range(d):
                plain[0, j, 0] = jets[0, j, 0] = coordinates[cluster, j]
            log_complete(arrays, x, cluster, plain, 1, height, slopes, slopes[:0].reshape((0, d, d, 1)))
            if not height[0, 0] > -np.inf:
                return -np.inf
            log_complete(arrays, x, cluster, jets, 0, value, nothing, nothing.reshape((0, d, d, jet_length(n))))
            total += value[0, 0]
            for i in range(n):
                by_x[i] += value[0, 1 + i]
            for j in range(d):
                by_coordinates[cluster, j] = slopes[0, j, 0]
        return total

    return one_by_one


@overload(fill_guide)
def _fill_guide(arrays, x, cluster, shift, factor):  # type: ignore[no-untyped-def]
    if has_own(arrays, "log_complete_all"):
        return None

    def none(arrays, x, cluster, shift, factor):  # type: ignore[no-untyped-def]
        for j in range(shift.shape[0]):
            shift[j] = 0.0
            for k in range(shift.shape[0]):
                factor[j, k] = 1.0 if j == k else 0.0
        return True

    return none


@overload(hold, inline="always")
def _hold(arrays, x, cluster, spans, out):  # type: ignore[no-untyped-def]
    return None if has_own(arrays, "hold") else lambda arrays, x, cluster, spans, out: None


@overload(limit)
def _limit(arrays, x, statistics):  # type: ignore[no-untyped-def]
    if has_own(arrays, "limit"):
        return None
    return lambda arrays, x, statistics: None


@overload(fill_carry)
def _fill_carry(arrays, cluster, frame, last, matrix):  # type: ignore[no-untyped-def]
    return None if has_own(arrays, "fill_carry") else lambda arrays, cluster, frame, last, matrix: False


@overload(frame_size, inline="always")
def _frame_size(arrays):  # type: ignore[no-untyped-def]
    return None if has_own(arrays, "fill_frame") else lambda arrays: 0


@overload(fill_frame, inline="always")
def _fill_frame(arrays, x, cluster, before, frame):  # type: ignore[no-untyped-def]
    return None if has_own(arrays, "fill_frame") else lambda arrays, x, cluster, before, frame: True


@overload(accumulate_framed, inline="always")
def _accumulate_framed(arrays, x, cluster, frame, effects, weight, statistics):  # type: ignore[no-untyped-def]
    if has_own(arrays, "fill_frame"):
        return None
    return lambda arrays, x, cluster, frame, effects, weight, statistics: accumulate(
        arrays, x, cluster, effects, weight, statistics
    )


@overload(log_complete_framed, inline="always")
def _log_complete_framed(arrays, x, cluster, frame, effects, value):  # type: ignore[no-untyped-def]
    if has_own(arrays, "fill_frame"):
        return None

    def whole(arrays, x, cluster, frame, effects, value):  # type: ignore[no-untyped-def]
        d = effects.shape[1]
        log_complete(
            arrays, x, cluster, effects, 0, value, frame[:0].reshape((0, d, 1)), frame[:0].reshape((0, d, d, 1))
        )

    return whole
