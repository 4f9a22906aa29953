"""Outcomes drawn from a generalised linear mixed model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saem.errors import ModelError
from saem.families.designed_draws import draw_random_effects
from saem.families.glmm.data import GlmmData
from saem.families.glmm.means import mean_of

Floats = NDArray[np.float64]
MOST = 1e15  # of the mean of a count that is drawn


def draw_response(data: GlmmData, x: Floats, for_effects: np.random.Generator, for_rows: np.random.Generator) -> Floats:
    """See `saem.families.family.Family.draw_response`.

    Raises
    ------
    ModelError
        When a count has a mean too large to be drawn.
    """
    mean = mean_of(data.distribution, data.predictor(x, draw_random_effects(data, x, for_effects)))
    if data.distribution == "poisson":
        if not np.max(mean) <= MOST:
            raise ModelError(f"a count with the mean {np.max(mean):.3g} cannot be drawn; use smaller parameters")
        return for_rows.poisson(mean).astype(float)
    return for_rows.binomial(data.trials.astype(np.int64), mean).astype(float)


def placeholder(distribution: str, trials: Floats) -> Floats:
    """Outcomes (n,) that mean nothing, not all the same."""
    n = len(trials)
    if distribution == "poisson":
        return np.arange(n, dtype=float) % 4.0
    return np.where(np.arange(n) % 2 == 0, 0.0, trials)
