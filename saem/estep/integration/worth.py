"""What the points of mixtures are worth, cluster by cluster: effective sample sizes, and the tails of the weights.

A few points that weigh much make the error of an integral look smaller than it is, for those that would weigh more
were not drawn. Pareto's k, the shape of the tail of the weights (Vehtari, Simpson, Gelman, Yao & Gabry 2024), tells:
above 0.7 errors are not to be believed.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from saem.estep.integration.marginal import fill_rule
from saem.estep.integration.placing import Placing
from saem.families.contract import log_complete, n_effects
from saem.system.jit import entry

Array = np.ndarray

BELIEVED = 0.7  # the largest k at which the error of an integral is believed
LEAST, FAIR = 100.0, 0.1  # points that a cluster's must be worth, and share of them at which k does not matter
TAIL, SHARE = 3.0, 0.2  # of N weights the largest 3 sqrt(N), but no more than a fifth
PRIOR = 3.0, 10.0, 0.5  # of Zhang & Stephens' estimate; observations that count as k = 0.5, and that


class Worth(NamedTuple):
    """What the points of clusters are worth; nan for those that have none of a mixture."""

    effective: Array  # (C,) points of equal weight that would do the same
    share: Array  # (C,) of the points that there are
    tail: Array  # (C,) Pareto's k of the weights

    @property
    def doubts(self) -> str:
        """A sentence on the worst cluster where its integral is not to be believed; else empty."""
        bad = (self.tail > BELIEVED) & (self.share < FAIR) | (self.effective < LEAST)
        if not bad.any():
            return ""
        worst, count = int(np.argmin(np.where(bad, self.effective, np.inf))), int(bad.sum())
        others = f", as {count - 1} others are" if count > 1 else ""
        return (
            f"The integral of cluster {worst + 1} is in doubt{others}: its points are worth "
            f"{self.effective[worst]:.0f}, with a Pareto k of {self.tail[worst]:.2f} ({BELIEVED} at most is believed)."
        )


@entry
def fill_weights(objective: Any, x: Array, cluster: int, logs: Array) -> None:
    """Write the logarithms (K,) of the weights of a cluster's points, but for a constant."""
    arrays = objective.arrays
    d, count = n_effects(arrays, x, cluster), logs.shape[0]
    points, values = np.empty((count, d)), np.empty((count, 1))
    fill_rule(objective, cluster, points, logs)
    places = points.reshape((count, d, 1))
    log_complete(arrays, x, cluster, places, 0, values, np.empty((0, d, 1)), np.empty((0, d, d, 1)))
    for at in range(count):
        logs[at] += values[at, 0]


def worth_of(arrays: Any, placing: Placing, x: Array) -> Worth:
    """What the points of all clusters are worth at parameters (n,)."""
    found = Worth(*np.full((3, len(placing.draws)), np.nan))
    objective, x = placing.objective(arrays), np.array(x, dtype=float)
    for cluster in np.flatnonzero(placing.draws).tolist():
        logs = np.empty(placing.draws[cluster])
        fill_weights(objective, x, cluster, logs)
        top = logs.max()
        weights = np.exp(logs - top) if np.isfinite(top) else np.zeros(len(logs))
        found.effective[cluster] = weights.sum() ** 2 / max(np.sum(weights**2), 1e-300)
        found.share[cluster] = found.effective[cluster] / len(logs)
        found.tail[cluster] = pareto_k(weights)
    return found


def pareto_k(weights: Array) -> float:
    """The shape k of the generalised Pareto distribution of the largest of some weights (K,).

    Zhang & Stephens' estimate (2009), drawn a little towards one half as in Vehtari et al.; infinite for too few.
    """
    most = math.ceil(min(SHARE * len(weights), TAIL * math.sqrt(len(weights))))
    ordered = np.sort(weights)
    if most < 5 or not ordered[-1] > ordered[-most - 1]:
        return math.inf
    above = ordered[-most:] - ordered[-most - 1]
    above = above[above > 0.0]
    quarter = above[max(0, int(len(above) / 4.0 + 0.5) - 1)]
    grid = np.arange(1, 31 + int(math.sqrt(len(above)))) - 0.5
    rates = (1.0 - np.sqrt((len(grid)) / grid)) / PRIOR[0] / quarter + 1.0 / above[-1]
    shapes = np.mean(np.log1p(-rates[:, None] * above), axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        heights = len(above) * (np.log(-rates / shapes) - shapes - 1.0)
    heights = np.where(np.isfinite(heights), heights, -np.inf)
    share = np.exp(heights - heights.max())
    rate = float(np.sum(rates * share) / share.sum())
    k = float(np.mean(np.log1p(-rate * above)))
    return (len(above) * k + PRIOR[1] * PRIOR[2]) / (len(above) + PRIOR[1])
