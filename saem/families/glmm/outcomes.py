"""The log-density of an outcome as a function of its linear predictor, with four derivatives.

Links are canonical: binomial outcomes with the logit link (``p = 1 / (1 + exp(-eta))``, one trial for Bernoulli ones)
and Poisson counts with the log link. Nothing overflows up to ``|eta| = 700``.
"""

from __future__ import annotations

import math

from saem.families.glmm.arrays import BINOMIAL
from saem.system.jit import kernel


@kernel
def log_density(outcome: int, y: float, trials: float, eta: float) -> float:
    """Log-density, without the part that depends on no parameter (`GlmmArrays.constant`)."""
    if outcome == BINOMIAL:
        return (y - trials if eta > 0.0 else y) * eta - trials * math.log1p(math.exp(-abs(eta)))
    return y * eta - math.exp(eta)


@kernel
def log_density_slopes(outcome: int, y: float, trials: float, eta: float) -> tuple[float, float, float, float, float]:
    """`log_density` and its first four derivatives by ``eta``."""
    if outcome == BINOMIAL:
        tail = math.exp(-abs(eta))
        small, large = tail / (1.0 + tail), 1.0 / (1.0 + tail)
        p, other = (large, small) if eta > 0.0 else (small, large)
        variance = trials * small * large
        value = (y - trials if eta > 0.0 else y) * eta - trials * math.log1p(tail)
        skew = variance * (other - p)
        return value, y * other - (trials - y) * p, -variance, -skew, -variance * (1.0 - 6.0 * small * large)
    mean = math.exp(eta)
    return y * eta - mean, y - mean, -mean, -mean, -mean
