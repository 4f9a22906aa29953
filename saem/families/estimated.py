"""What predictions and residuals of a family start from: an estimate, its errors, and the law of the random effects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from saem.families.coordinates import Coordinates

Floats = NDArray[np.float64]
UNTOUCHED = 1e-9  # of a gradient, in units of its largest entry: less is rounding


class Effects(NamedTuple):
    """The law of the random effects of C clusters with q terms, given the data at an estimate.

    Attributes
    ----------
    mean : (C, q) ndarray
    covariance : (C, q, q) ndarray
    marginal : (C, q, q) ndarray
        Covariances without the data.
    """

    mean: Floats
    covariance: Floats
    marginal: Floats


@dataclass(frozen=True, eq=False)
class Estimated:
    """An estimate in the coordinates in which it was found.

    Attributes
    ----------
    coordinates : Coordinates
    data : Arranged
        The rows of the fit, in these coordinates.
    x : (n,) ndarray
        With what stood for a residual standard deviation of zero.
    values : (n,) ndarray
        With zero there.
    covariance : (n, n) ndarray
        Of the estimates, with those at the boundary as known; nan where one is not known.
    free : (k, n) ndarray
        Directions that the data leave free.
    near : (n,) ndarray
        The point where they are so.
    effects : Effects
    slopes : (C, q, n) ndarray
        Derivatives of the means of the random effects by the parameters.
    """

    coordinates: Coordinates
    data: Any
    x: Floats
    values: Floats
    covariance: Floats
    free: Floats
    near: Floats
    effects: Effects
    slopes: Floats


def quadratic(z: Floats, matrices: Floats) -> Floats:
    """``z'M z`` (m,) of rows (m, q) and matrices (m, q, q)."""
    return np.asarray(np.einsum("ri,rij,rj->r", z, matrices, z))


def delta_variance(gradient: Floats, covariance: Floats) -> Floats:
    """Variances (m,) by the delta method; nan where a gradient (m, n) touches what the covariance does not know."""
    unknown = np.isnan(np.diag(covariance))
    known = np.ix_(~unknown, ~unknown)
    variance = np.einsum("ri,ij,rj->r", gradient[:, ~unknown], covariance[known], gradient[:, ~unknown])
    touched = touches(gradient, np.eye(len(covariance))[unknown])
    return np.where(touched, np.nan, np.maximum(variance, 0.0))


def touches(gradient: Floats, directions: Floats) -> NDArray[np.bool_]:
    """Whether gradients (m, n) have a part along any of some directions (k, n), beyond rounding."""
    size = np.max(np.abs(gradient), axis=1, initial=0.0)
    along = np.abs(gradient @ directions.T).max(axis=1, initial=0.0)
    return np.asarray(along > UNTOUCHED * np.maximum(size, 1.0))
