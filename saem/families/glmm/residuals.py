"""Fitted values and residuals of a generalised linear mixed model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saem.families.estimated import quadratic
from saem.families.glmm.data import GlmmData
from saem.families.glmm.means import mean_of, moments, variance_of

Floats = NDArray[np.float64]


def residuals(data: GlmmData, x: Floats, effects: Floats) -> dict[str, Floats]:
    """See `saem.families.family.Family.residuals`: `standardised` is the Pearson residual, given the random effects."""
    marginal = fitted(data, x)
    share = mean_of(data.distribution, data.predictor(x, effects))
    conditional = data.trials * share
    spread = variance_of(data.distribution, share, data.trials)
    return {
        "fitted_marginal": marginal,
        "fitted_conditional": conditional,
        "marginal": data.response - marginal,
        "conditional": data.response - conditional,
        "standardised": (data.response - conditional) / np.sqrt(np.where(spread > 0.0, spread, np.nan)),
    }


def fitted(data: GlmmData, x: Floats) -> Floats:
    """The expected outcomes (n,), averaged over the random effects."""
    none = np.zeros((len(data.cluster_group), len(data.term_names)))
    group = data.cluster_group[data.cluster]
    spread = quadratic(data.random_design, data.effect_covariance(x)[group])
    return data.trials * moments(data.distribution, data.predictor(x, none), spread)[0]
