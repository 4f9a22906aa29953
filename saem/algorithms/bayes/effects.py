"""Draws of random effects, where these were drawn with the parameters: what is kept of them, and what it is worth."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from saem.system.optional import quiet_import

Array = np.ndarray

MOST_HELD = 2**28  # bytes of all draws while a fit is made; where they would take more, only every k-th is held
MOST_KEPT = 2**26  # bytes of all draws in a fit; where they would take more, only what is summed up here is kept
LEVELS = (0.025, 0.25, 0.5, 0.75, 0.975)
DIGITS = np.float32  # of what is kept: seven, where the Monte Carlo error leaves three


class EffectsFound(NamedTuple):
    """Random effects of C clusters with q terms, that were drawn."""

    means: Array  # (C, q)
    covariances: Array  # (C, q, q) of each cluster
    quantiles: Array  # (5, C, q) at `LEVELS`
    rhat: float  # the largest
    ess: float  # the smallest bulk effective sample size
    draws: Array  # (chains, draws, C, q), of `DIGITS`; (0, 0, C, q) where they would take too much memory

    @property
    def sds(self) -> Array:
        """Standard deviations (C, q)."""
        return np.asarray(np.sqrt(np.einsum("cii->ci", self.covariances)))

    @property
    def kept(self) -> dict[str, Array]:
        """What `saem.algorithms.bayes.posterior.Posterior` has of it."""
        return {
            "effect_draws": self.draws,
            "effect_covariances": self.covariances,
            "effect_quantiles": self.quantiles,
        }


def bulk(draws: Array) -> tuple[Array, Array]:
    """R-hat and bulk effective sample sizes of draws (chains, draws, n); infinity and 0 where chains do not move."""
    arviz = quiet_import("arviz")
    given = arviz.convert_to_dataset({"x": draws})
    with np.errstate(invalid="ignore", divide="ignore"):
        rhat, ess = arviz.rhat(given)["x"].values, arviz.ess(given, method="bulk")["x"].values
    stuck = np.isnan(rhat)
    return np.where(stuck, np.inf, rhat), np.where(stuck, 0.0, ess)


def spacing(numbers: int) -> int:
    """Every how many-th draw is held, where all draws of all random effects are so many numbers; 1 for each."""
    return max(1, math.ceil(numbers * np.dtype(float).itemsize / MOST_HELD))


def effects_found(draws: Array, every: int) -> EffectsFound | None:
    """What is known by draws (chains, draws, C, q), each ``every``-th of those that were made; None without any."""
    clusters, q = draws.shape[2:]
    if draws.size == 0:
        return None
    flat = draws.reshape(*draws.shape[:2], -1)
    pooled = flat.reshape(-1, clusters * q).T.copy()  # draws side by side
    means = pooled.mean(axis=1)
    centred = (pooled - means[:, None]).reshape(clusters, q, -1)
    quantiles = np.quantile(pooled, LEVELS, axis=1, overwrite_input=True).reshape(-1, clusters, q)
    rhat, ess = bulk(flat)
    keeps = every == 1 and draws.size * np.dtype(DIGITS).itemsize <= MOST_KEPT
    return EffectsFound(
        means.reshape(clusters, q),
        centred @ np.swapaxes(centred, 1, 2) / (centred.shape[2] - 1),
        quantiles,
        float(np.max(rhat)),
        float(np.min(ess)),
        draws.astype(DIGITS) if keeps else np.empty((0, 0, clusters, q), DIGITS),
    )


def memory_warnings(found: EffectsFound | None, chains: int, draws: int) -> list[str]:
    """That random effects of so many draws of each chain were not kept, and why."""
    if found is None or found.draws.size:
        return []
    size = chains * draws * found.means.size * np.dtype(DIGITS).itemsize
    return [
        f"the draws of the random effects would take {size / 2**20:,.0f} MB, more than {MOST_KEPT // 2**20} MB, and "
        "are not kept: the fit has their means, covariances and quantiles in every cluster. Take fewer chains or draws "
        "if you need them"
    ]
