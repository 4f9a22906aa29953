"""When the posted link of the saturated model has one solution: the equation h(b) = m in closed form.

With ``C = exp(ln(2)^2/2 (sigma2^2 - sigma1^2))``, ``d = b22 - b21`` and the steepness ``a = C (1 - 2^d)``,

    h(b) = b + C (1 + 2^(b + d)) / (1 + 2^b) = C (1 + 2^d) / 2 + b - a/2 tanh(b ln(2) / 2),

which is odd about (0, C (1 + 2^d) / 2). So where it turns, and how far it falls, depends on ``a`` alone.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from experiments.studies.links import BORDER, LN2

Array = np.ndarray
EXAMPLE = (6.0, -5.0)  # C and d of a model with the three solutions -0.425, 0 and 0.425 at h(0) = 3.09375


def gain_of(v: float) -> float:
    """``C``, from the difference ``v`` of the variances, treated less control."""
    return math.exp(LN2**2 / 2.0 * v)


def steepness(c: float, d: float) -> float:
    """``a = C (1 - 2^d)``: there is one solution, whatever the means, up to `BORDER`."""
    return float(c * (1.0 - 2.0**d))


def height(b: Array | float, c: float, d: float) -> Array | float:
    """``h(b)``, without overflow."""
    middle: float = c * (1.0 + 2.0**d) / 2.0
    return b + middle - steepness(c, d) / 2.0 * np.tanh(np.asarray(b) * LN2 / 2.0)


def turning_point(a: float) -> float:
    """``beta > 0``: h turns at ``-beta`` (down) and ``beta`` (up).

    ``2^beta = 2 k - 1 + 2 sqrt(k (k - 1))`` with ``k = a ln(2) / 4``: the roots of ``1 - 4 k 2^b / (1 + 2^b)^2``.

    Returns
    -------
    float
        nan up to the border, where h does not turn.
    """
    k = a / BORDER
    return math.log2(2.0 * k - 1.0 + 2.0 * math.sqrt(k * (k - 1.0))) if a > BORDER else math.nan


def width(a: float) -> float:
    """``h(-beta) - h(beta) = a sqrt(1 - 1/k) - 2 beta``: how long the interval of m with three solutions is."""
    return a * math.sqrt(1.0 - BORDER / a) - 2.0 * turning_point(a) if a > BORDER else 0.0


def band(c: float, d: float) -> tuple[float, float]:
    """The ends of the interval of m with three solutions; nan where there is none."""
    beta = turning_point(steepness(c, d))
    return float(height(beta, c, d)), float(height(-beta, c, d))


def roots(m: float, c: float, d: float) -> list[float]:
    """All solutions of ``h(b) = m``, in order; at a turning point the double one once."""
    from scipy.optimize import brentq

    ends = sorted((m - c, m - c * 2.0**d))  # h(b) - b is between C and C 2^d
    low, high = ends[0] - 1.0, ends[1] + 1.0
    beta = turning_point(steepness(c, d))
    inner = [b for b in (-beta, beta) if low < b < high]  # none for nan
    found = [b for b in inner if height(b, c, d) == m]
    marks = [low, *inner, high]
    for left, right in pairwise(marks):
        if (height(left, c, d) - m) * (height(right, c, d) - m) < 0.0:
            found.append(float(brentq(lambda b: float(height(b, c, d)) - m, left, right, xtol=1e-14, rtol=1e-14)))
    return sorted(found)


def border_of_d(v: Array) -> Array:
    """The d below which there may be three solutions, by the difference of the variances; nan where there is none."""
    share = 1.0 - BORDER / np.exp(LN2**2 / 2.0 * np.asarray(v, float))
    return np.log2(np.where(share > 0.0, share, np.nan))


def least_difference() -> float:
    """The difference of the variances up to which there is one solution whatever the interactions: ``C = 4/ln 2``."""
    return 2.0 * math.log(BORDER) / LN2**2
