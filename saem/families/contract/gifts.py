"""What a family may have that makes it faster or steadier; others get what is in `defaults`."""

from __future__ import annotations

from typing import Any

import numpy as np


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

    The points are ``u = m + sum_k w_k s_k`` for the points ``w`` of the rule. `saem.estep.integration.marginal` does it
    for any family; one can do it faster.

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

    A family whose rows tell much of what the effects are of (individual parameters) holds these; for any
    other the effects ``u`` stay. Complete-data scores at points that stay scatter the least.

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


def limit(arrays: Any, x: np.ndarray, statistics: np.ndarray) -> None:
    """Change the statistics of an iteration drawn at ``x`` where a step that they ask for is too long to be believed.

    An expansion says nothing of places far from where it was made. It is asked for while a kernel adapts: afterwards
    the scores of draws are to scatter as they do. Where nothing moves, nothing may be changed: fixed points stay.
    Families without expansions need not write it.
    """
    raise NotImplementedError


def log_complete_all(
    arrays: Any, x: np.ndarray, coordinates: np.ndarray, by_x: np.ndarray, by_coordinates: np.ndarray
) -> float:
    """``log p(y, u; x)`` of all clusters together, with its gradient by the parameters and by the random effects.

    The density that samplers of both call at each step: one pass over the rows. It follows from `log_complete`, at the
    cost of second derivatives that nobody needs; a family that can do it faster may
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


def prepared_size(arrays: Any) -> int:
    """Numbers that `prepare` writes; 0 for families that prepare nothing."""
    raise NotImplementedError


def prepare(arrays: Any, x: np.ndarray, cluster: int, before: int, prepared: np.ndarray) -> bool:
    """Write what the density of a cluster at ``x`` has beside the random effects; whether there is a density.

    What changes with every move of a Markov kernel is the random effects alone, and much is the same for the next
    cluster: ``before`` is the one that ``prepared`` is of, at the same ``x``, or -1. Families that have it have the
    two functions that follow, too.
    """
    raise NotImplementedError


def log_complete_prepared(
    arrays: Any, x: np.ndarray, cluster: int, prepared: np.ndarray, effects: np.ndarray, value: np.ndarray
) -> None:
    """`log_complete` (1, 1) at one plain value (1, d, 1) of the random effects, with what `prepare` has written."""
    raise NotImplementedError


def accumulate_prepared(
    arrays: Any,
    x: np.ndarray,
    cluster: int,
    prepared: np.ndarray,
    effects: np.ndarray,
    weight: float,
    statistics: np.ndarray,
) -> None:
    """`accumulate` with what `prepare` has written, for a cluster that has a density."""
    raise NotImplementedError


def fill_carry(arrays: Any, cluster: int, prepared: np.ndarray, last: np.ndarray, matrix: np.ndarray) -> bool:
    """Write the columns of ``A``, and ``a``, to ``matrix`` (d + 1, d): with ``u = A v + a`` the latent data stay.

    They are random effects ``v`` at the parameters for which ``last`` was prepared, and ``u`` at those of ``prepared``.
    False where it is the random effects that stay, or nothing else can.
    """
    raise NotImplementedError
