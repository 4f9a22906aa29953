"""Wald intervals, on a scale where the estimate is closer to normal."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from saem.errors import SaemError
from saem.fitting.parts import Estimate, Floats
from saem.specification.domains import CORRELATION, Domain

LEVEL = 0.95
WIDEST = 50.0  # half an interval of the logarithm of an SD; beyond, it is all positive numbers


def wald_intervals(fit: Estimate, se: Floats, level: float = LEVEL) -> Floats:
    """Bounds (n, 2) of Wald intervals with standard errors (n,), as `Fit.intervals` has them."""
    if not 0.0 < level < 1.0 or 0.5 + level / 2 == 1.0:
        raise SaemError(f"the level of an interval must lie between 0 and 1; got {level!r}")
    z = NormalDist().inv_cdf(0.5 + level / 2)
    names, domains = fit.parameters.names, fit.parameters.domains
    bounds = np.full((len(names), 2), math.nan)
    for i, (value, half) in enumerate(zip(fit.values.tolist(), (z * se).tolist(), strict=True)):
        if not fit.parameters.fixed[i] and names[i] not in fit.at_boundary:
            bounds[i] = _interval(domains[i], value, half)
    return bounds


def _interval(domain: Domain, value: float, half: float) -> tuple[float, float]:
    """The bounds `half` (a multiple of the SE) away from `value`, on the scale that belongs to this domain."""
    if not math.isfinite(half):
        return math.nan, math.nan
    if domain.low == 0.0 and domain.high == math.inf:
        if value <= 0:
            return math.nan, math.nan
        if half > WIDEST * value:  # the data say nothing about it
            return 0.0, math.inf
        return value * math.exp(-half / value), value * math.exp(half / value)
    if domain == CORRELATION:
        if not -1.0 < value < 1.0:
            return math.nan, math.nan
        centre, half = math.atanh(value), half / (1.0 - value**2)
        return math.tanh(centre - half), math.tanh(centre + half)
    return value - half, value + half
