"""Other places to start from: the local maxima of the likelihood without random effects."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saem.families.nonlinear.arrays import NonlinearArrays
from saem.families.nonlinear.start import FARTHEST, RANGE, every_cluster, pooled, pooled_each, value_at
from saem.specification.domains import CORRELATION, SD
from saem.specification.parameters import Parameters

Floats = NDArray[np.float64]

TRIED, MOST_TRIED = 200, 2_000  # points that are looked at for every parameter, and in all
CLIMBED = 50  # the best of them that are climbed from, and as many others
POLISHED = 10  # of what they lead to, at most
POOR = 0.1  # log-likelihood of a row by which a maximum may be lower than the highest: others lead nowhere
FLAT = 1e-3  # difference of log-likelihoods, and of parameters on a scale without bounds, of one maximum
NEAR = 0.05


def other_maxima(arrays: NonlinearArrays, parameters: Parameters, first: Floats) -> list[Floats]:
    """Parameters (n,) at local maxima of the likelihood without random effects, the highest first.

    The standard deviations of random effects are those of ``first``. The maximum that ``first`` leads to is not among
    them, unless ``first`` is far from it. Constraints are not looked at: whoever starts there restores them.
    """
    from scipy.optimize import minimize

    domains, n, clusters = parameters.domains, len(first), every_cluster(arrays)
    spreads = np.array([domain in (SD, CORRELATION) for domain in domains])
    index = np.flatnonzero(~parameters.fixed & ~spreads)
    if not len(index):
        return []
    own, rng = domains.take(index), np.random.default_rng(2)
    centre, unit = own.to_free(first[index]), np.where(own.is_real, np.maximum(np.abs(first[index]), 1.0), 1.0)

    def point(free: Floats) -> Floats:
        full = np.array(np.broadcast_to(first, (*free.shape[:-1], n)))
        full[..., index] = own.from_free(np.where(own.is_real, free, np.clip(free, -FARTHEST, FARTHEST)))
        return full

    def minus(scaled: Floats) -> tuple[float, Floats]:
        full, gradient = point(scaled * unit), np.empty(n)
        value = pooled(arrays, clusters, full, n, gradient)
        slope = gradient[index] * own.slopes(full[index]) * unit
        if not (np.isfinite(value) and np.isfinite(slope).all()):
            return 1e100, np.zeros(len(index))
        return -float(value), -slope

    tried = centre + unit * RANGE * rng.standard_normal((min(TRIED * len(index), MOST_TRIED), len(index)))
    values = np.empty(len(tried))
    pooled_each(arrays, clusters, point(tried), 0, values)
    order = [k for k in np.argsort(-values, kind="stable").tolist() if np.isfinite(values[k])]
    found: list[tuple[float, Floats]] = []
    for start in [centre, *tried[order[:CLIMBED]], *tried[sorted(order[CLIMBED:])[:CLIMBED]]]:
        top = minimize(minus, start / unit, jac=True, method="L-BFGS-B", options={"maxiter": 500})
        add(found, -float(top.fun), top.x * unit, unit)
    if not found:
        return []
    least = max(height for height, _ in found) - POOR * len(arrays.columns)
    kept: list[tuple[float, Floats]] = []
    for k, (_, x) in enumerate([found[0], *sorted(found[1:], key=lambda pair: -pair[0])[:POLISHED]]):
        top = minimize(minus, x / unit, jac=True, method="BFGS", options={"maxiter": 500})  # to the end of a ridge
        if k == 0 or -top.fun > least:
            add(kept, -float(top.fun), top.x * unit, unit)
    is_far = kept and kept[0][0] > value_at(arrays, first) + POOR * len(arrays.columns)  # from its own maximum
    return [point(x) for _, x in sorted(kept if is_far else kept[1:], key=lambda pair: -pair[0])]


def add(found: list[tuple[float, Floats]], height: float, x: Floats, unit: Floats) -> None:
    """Add a maximum, by its height and coordinates (k,), unless it is there."""
    is_known = any(
        abs(height - other) < FLAT * (1.0 + abs(other)) and np.max(np.abs(x - place) / unit) < NEAR
        for other, place in found
    )
    if height > -1e100 and not is_known:
        found.append((height, x))
