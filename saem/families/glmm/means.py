"""Means and variances of outcomes, given the linear predictor or its normal law."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Floats = NDArray[np.float64]
NODES = 40


def mean_of(distribution: str, eta: Floats) -> Floats:
    """The mean of one trial, or of a count, at linear predictors."""
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(eta) if distribution == "poisson" else expit(eta))


def variance_of(distribution: str, mean: Floats, trials: Floats) -> Floats:
    """The variance of outcomes with a mean of one trial, or of a count."""
    return mean if distribution == "poisson" else trials * mean * (1.0 - mean)


def nodes() -> tuple[Floats, Floats]:
    """Points and weights (`NODES`,) of a standard normal law."""
    points, weights = np.polynomial.hermite_e.hermegauss(NODES)
    return points, weights / weights.sum()


def moments(distribution: str, centre: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """Mean and variance (m,) of the mean of one trial, or of a count, where predictors are normal (centre, variance).

    In closed form for counts (log-normal), by Gauss-Hermite quadrature with `NODES` nodes for the logit link.
    """
    if distribution == "poisson":
        with np.errstate(over="ignore"):
            first = np.exp(centre + 0.5 * variance)
            return first, first**2 * np.expm1(variance)
    points, weights = nodes()
    values = expit(centre[:, None] + np.sqrt(np.maximum(variance, 0.0))[:, None] * points)
    first = values @ weights
    return first, np.maximum((values - first[:, None]) ** 2 @ weights, 0.0)
