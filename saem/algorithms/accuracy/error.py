"""The Monte Carlo error says how far the draws leave an estimate from the maximum, to first order.

Near the maximum an iteration is linear. With the information ``I_c`` of the complete data, ``I_o`` of the observed
and the covariance ``G`` of the complete-data score of one draw, on the tangent space of the constraints,

    d_{k+1} = d_k + gamma_k (-I_c^-1 I_o d_k + I_c^-1 e_k),    e_k ~ (0, G / m_k),

where ``d`` is the distance to the maximum. Along an eigenvector of ``I_c^-1 I_o`` to the eigenvalue ``iota`` (EM's rate
of convergence is ``1 - iota``) it is a number, which remembers every draw with a weight that the step sizes give. The
covariance of a last iterate, or of an average of iterates, is the sum of squared weights times that of the draws. For
averages over many decreasing steps it is ``V G V / M`` with ``V = I_o^-1`` and ``M`` draws in all (Polyak & Juditsky
1992; Delyon, Lavielle & Moulines 1999, theorem 7), but slow directions take longer to get there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from saem.system.jit import entry

Array = np.ndarray

BIAS = 0.3  # of the Monte Carlo error that may be left of the start ..
BIAS_OF_AVERAGE, BIAS_OF_ITERATE = 0.01, 0.02  # .. or of a standard error if that is more: an iterate forgets the rest
REMEMBERED = 0.1  # of the variance: a last iterate that owes more to the burn-in has not averaged it out
ROUNDING = 1e-12  # of the statistical variance: a Monte Carlo variance per draw that is no more than rounding


class Directions(NamedTuple):
    """The tangent space is held in coordinates in which the observed information is one."""

    vectors: Array  # (n, d), of the length of a standard error
    iota: Array  # (d,) share of the complete information that is observed
    noise: Array  # (d, d) covariance of the score of one draw


class Law(NamedTuple):
    """The law of an estimate's distance to the maximum, to first order."""

    square: Array  # (n, n) its mean: the covariance, and what is left of the start
    bias: Array  # (d,) what is left of the start, in units of what may be
    early: Array  # (d,) share of the variance that is due to the burn-in
    vectors: Array  # (n, d)

    @property
    def is_settled(self) -> bool:
        """Whether next to nothing is left of the start."""
        return bool(np.all(self.bias <= 1.0))


def directions(root: Array, missing: Array, noise: Array) -> Directions:
    """The eigenvectors of EM's rate span the tangent space.

    Parameters
    ----------
    root : (n, d) ndarray
        ``root root' = V``.
    missing, noise : (n, n) ndarray
        Missing information, and the long-run covariance of the complete-data score of one draw.
    """
    share, turn = np.linalg.eigh(root.T @ missing @ root)
    vectors = root @ turn
    return Directions(vectors, 1.0 / (1.0 + np.maximum(share, 0.0)), vectors.T @ noise @ vectors)


@entry
def weigh(step_sizes: Array, rates: Array, first: int, weights: Array) -> None:
    """Write the weights (K + 1, d) of the start and of the draws in the mean of the iterates from ``first`` on.

    An iterate is ``(1 - gamma rate)`` of the one before and ``gamma rate`` of its draws.
    """
    count = step_sizes.shape[0]
    for i in range(rates.shape[0]):
        later = 0.0  # weight of an iterate in the mean
        for k in range(count - 1, -1, -1):
            if k >= first:
                later += 1.0 / (count - first)
            weights[k + 1, i] = later * step_sizes[k] * rates[i]
            later *= 1.0 - step_sizes[k] * rates[i]
        weights[0, i] = later


def weights_of(step_sizes: Array, rates: Array, first: int) -> Array:
    """The weights (K + 1, d) that `weigh` writes."""
    weights = np.empty((len(step_sizes) + 1, len(rates)))
    weigh(np.ascontiguousarray(step_sizes, dtype=float), rates, first, weights)
    return weights


def law(
    along: Directions,
    weights: Array,
    draws: Array,
    distance: Array,
    burn_in: int,
    to_estimate: bool = False,
    bias: float = BIAS_OF_AVERAGE,
) -> Law:
    """The law of an estimate follows from its weights and directions.

    Parameters
    ----------
    weights : (K + 1, d) ndarray
        Of the start and of the draws of every iteration.
    draws : (K,) ndarray
        Numbers of draws.
    distance : (n,) ndarray
        Of the start to the maximum.
    burn_in : int
        The first iterations, which are not meant to last.
    to_estimate : bool
        Whether the distance is to the estimate instead, since the maximum is not known.
    bias : float
        Of a standard error that may be left of the start.
    """
    size = np.divide(1.0, np.sqrt(draws), out=np.zeros(len(draws)), where=draws > 0)  # an expectation has no noise
    scaled = weights[1:] * size[:, None]
    square = scaled.T @ scaled
    variance = np.diag(square) * np.diag(along.noise)
    start, *_ = np.linalg.lstsq(along.vectors, distance, rcond=None)
    if to_estimate:  # which has come part of the way only
        start /= np.maximum(1.0 - np.abs(weights[0]), 1e-3)
    tolerance = np.maximum(bias, BIAS * np.sqrt(np.maximum(variance, 0.0)))
    early = np.einsum("ki,ki->i", scaled[:burn_in], scaled[:burn_in]) / np.maximum(np.diag(square), 1e-300)
    left = weights[0] * start
    return Law(
        square=along.vectors @ (along.noise * square + np.outer(left, left)) @ along.vectors.T,
        bias=np.abs(left) / tolerance,
        early=early,
        vectors=along.vectors,
    )


def standard_errors(covariance: Array, known: Array, variance: Array, draws: float) -> Array:
    """Monte Carlo standard errors (n,): nan where the statistical variance is not known, zero where nothing is missing.

    What is left where the missing part of the information is nil is rounding.
    """
    monte_carlo = np.maximum(np.diag(covariance), 0.0)
    is_rounding = monte_carlo * draws < ROUNDING * np.where(known, variance, 0.0)
    return np.where(known, np.sqrt(np.where(is_rounding, 0.0, monte_carlo)), np.nan)
