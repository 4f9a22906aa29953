"""What any family gets in place of a gift that it has not."""

from __future__ import annotations

from typing import Any

import numpy as np

from saem.families.contract import gifts
from saem.families.contract.density import accumulate, log_complete, log_joint
from saem.families.contract.supplying import fall_back
from saem.system.jets import jet_length
from saem.system.jit import inlined, kernel

Array = np.ndarray


@kernel
def log_complete_of_each(arrays: Any, x: Array, coordinates: Array, by_x: Array, by_coordinates: Array) -> float:
    """`log_complete_all`, from one cluster after the other."""
    (clusters, d), n = coordinates.shape, x.shape[0]
    jets, value = np.zeros((1, d, jet_length(n))), np.empty((1, jet_length(n)))
    plain, height, slopes = np.empty((1, d, 1)), np.empty((1, 1)), np.empty((1, d, 1))
    nothing = np.empty((0, d, jet_length(n)))
    by_x[:] = 0.0
    total = 0.0
    for cluster in range(clusters):
        for j in range(d):
            plain[0, j, 0] = jets[0, j, 0] = coordinates[cluster, j]
        log_complete(arrays, x, cluster, plain, 1, height, slopes, slopes[:0].reshape((0, d, d, 1)))
        if not height[0, 0] > -np.inf:
            return -np.inf
        log_complete(arrays, x, cluster, jets, 0, value, nothing, nothing.reshape((0, d, d, jet_length(n))))
        total += value[0, 0]
        for i in range(n):
            by_x[i] += value[0, 1 + i]
        for j in range(d):
            by_coordinates[cluster, j] = slopes[0, j, 0]
    return total


@kernel
def guide_nowhere(arrays: Any, x: Array, cluster: int, shift: Array, factor: Array) -> bool:
    """`fill_guide` where the coordinates are the random effects."""
    for j in range(shift.shape[0]):
        shift[j] = 0.0
        for k in range(shift.shape[0]):
            factor[j, k] = 1.0 if j == k else 0.0
    return True


@kernel
def log_joint_of_complete(arrays: Any, x: Array, cluster: int, effects: Array, values: Array) -> None:
    """`log_joint` of a family that has `log_complete`."""
    k, d = effects.shape
    points, nothing = effects.reshape((k, d, 1)), np.empty((0, d, 1))
    log_complete(arrays, x, cluster, points, 0, values.reshape((k, 1)), nothing, nothing.reshape((0, d, d, 1)))


@inlined
def log_complete_unprepared(arrays: Any, x: Array, cluster: int, prepared: Array, effects: Array, value: Array) -> None:
    """`log_complete_prepared` of a family that prepares nothing."""
    d = effects.shape[1]
    log_complete(
        arrays, x, cluster, effects, 0, value, prepared[:0].reshape((0, d, 1)), prepared[:0].reshape((0, d, d, 1))
    )


@inlined
def accumulate_unprepared(
    arrays: Any, x: Array, cluster: int, prepared: Array, effects: Array, weight: float, statistics: Array
) -> None:
    """`accumulate_prepared` of a family that prepares nothing."""
    accumulate(arrays, x, cluster, effects, weight, statistics)


fall_back(log_joint, log_joint_of_complete)
fall_back(gifts.hold, inlined(lambda arrays, x, cluster, spans, out: None))
fall_back(gifts.limit, inlined(lambda arrays, x, statistics: None))
fall_back(gifts.prepared_size, inlined(lambda arrays: 0))
fall_back(gifts.prepare, inlined(lambda arrays, x, cluster, before, prepared: True))
fall_back(gifts.log_complete_prepared, log_complete_unprepared)
fall_back(gifts.accumulate_prepared, accumulate_unprepared)
fall_back(gifts.fill_carry, inlined(lambda arrays, cluster, prepared, last, matrix: False))
fall_back(gifts.log_complete_all, log_complete_of_each)
fall_back(gifts.fill_guide, guide_nowhere)
