"""Statistics of many groups of replicates at once, and their Monte Carlo standard errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Measured(NamedTuple):
    """A measure in every group.

    Attributes
    ----------
    value, mcse : (G,) ndarray
        The measure and its Monte Carlo standard error; nan where there are too few replicates.
    n : (G,) ndarray of int
        Replicates that it comes from.
    """

    value: np.ndarray
    mcse: np.ndarray
    n: np.ndarray


class Groups:
    """Which group every replicate belongs to.

    Parameters
    ----------
    codes : (N,) ndarray of int
        The group of every replicate, from 0, in any order.
    count : int
        Number of groups, G; some may be empty.
    """

    def __init__(self, codes: np.ndarray, count: int) -> None:
        self.codes = codes
        self.count = count
        self.sizes = np.bincount(codes, minlength=count)

    def where(self, chosen: np.ndarray) -> Groups:
        """The same groups, of the chosen replicates only."""
        return Groups(self.codes[chosen], self.count)

    def mean(self, x: np.ndarray) -> np.ndarray:
        """Means (G,) of (N,) values."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.bincount(self.codes, x, self.count) / self.sizes

    def around(self, x: np.ndarray) -> np.ndarray:
        """The (N,) values less the mean of their group, so that squares of them lose no digits."""
        return x - self.mean(x)[self.codes]


Statistic = Callable[..., np.ndarray]


def jackknife(groups: Groups, columns: list[np.ndarray], statistic: Statistic, least: int = 1) -> Measured:
    """A function of the means of some columns, with its standard error by leaving out one replicate at a time.

    All N values without one replicate are computed at once, exactly: a mean without x is mean - (x - mean) / (n - 1).
    For a mean itself the result is sd / sqrt(n).

    Parameters
    ----------
    groups : Groups
        Of N replicates.
    columns : list of (N,) ndarray
        What the means are of.
    statistic : callable
        ``statistic(n, *means)``, elementwise in arrays of any length.
    least : int
        The smallest number of replicates from which `statistic` has a value.

    Returns
    -------
    Measured
        The standard error is nan below ``least + 1`` replicates.

    References
    ----------
    Efron & Tibshirani (1993), An introduction to the bootstrap, equation 11.5.
    """
    n, means = groups.sizes, [groups.mean(x) for x in columns]
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        value = np.where(n >= least, statistic(n, *means), np.nan)
        fewer = (n - 1)[groups.codes]
        left = []
        for x, mean in zip(columns, means, strict=True):
            own = mean[groups.codes]
            left.append(own - (x - own) / fewer)
        without = statistic(fewer, *left)
        del left
        spread = groups.mean(groups.around(without) ** 2)
        mcse = np.where(n > least, np.sqrt((n - 1) * spread), np.nan)
    known = np.isfinite(value)
    return Measured(
        np.where(known | np.isinf(value), value, np.nan), np.where(known & np.isfinite(mcse), mcse, np.nan), n
    )


def mean(groups: Groups, x: np.ndarray) -> Measured:
    """The mean, with the standard error sd / sqrt(n)."""
    return jackknife(groups, [x], lambda n, m: m)


def share(groups: Groups, is_so: np.ndarray) -> Measured:
    """The share of replicates of which something is true, with the standard error sqrt(p (1 - p) / n)."""
    p = groups.mean(is_so.astype(float))
    with np.errstate(invalid="ignore", divide="ignore"):
        return Measured(p, np.sqrt(np.clip(p * (1.0 - p), 0.0, None) / groups.sizes), groups.sizes)


def standard_deviation(n: np.ndarray, m: np.ndarray, q: np.ndarray) -> np.ndarray:
    """From the means of values and of their squares."""
    return np.sqrt(np.maximum(q - m**2, 0.0) * (n / (n - 1.0)))


def spread(groups: Groups, x: np.ndarray) -> Measured:
    """The standard deviation, with its standard error by the jackknife."""
    d = groups.around(x)
    return jackknife(groups, [d, d**2], standard_deviation, least=2)


def median(groups: Groups, x: np.ndarray) -> Measured:
    """The median, with its standard error from the distance of two order statistics.

    With c = (n + 1) / 2 - sqrt(n), rounded, (x[n - c + 1] - x[c]) is an interval for the median whose coverage
    1 - alpha is exactly known from the binomial distribution; its length over 2 z[alpha / 2] is the standard error.
    The jackknife would be inconsistent here.

    References
    ----------
    Price & Bonett (2001), Estimating the variance of the sample median, Journal of Statistical Computation and
    Simulation 68, 295-305.
    """
    from scipy.special import bdtr, ndtri

    n = groups.sizes
    if not len(x):
        return Measured(np.full(groups.count, np.nan), np.full(groups.count, np.nan), n)
    ordered = x[np.lexsort((x, groups.codes))]
    first = np.cumsum(n) - n

    def at(rank: np.ndarray) -> np.ndarray:
        return ordered[np.clip(first + rank, 0, len(ordered) - 1)]

    c = np.maximum(np.rint((n + 1) / 2 - np.sqrt(n)), 1).astype(int)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = np.where(n > 0, (at((n - 1) // 2) + at(n // 2)) / 2, np.nan)
        z = -ndtri(np.where(n > 1, bdtr(c - 1, np.maximum(n, 1), 0.5), np.nan))
        mcse = (at(n - c) - at(c - 1)) / (2 * z)
    return Measured(value, np.where(np.isfinite(value) & np.isfinite(mcse), mcse, np.nan), n)
