"""Fisher's information: the expectation of the observed one, were the parameters the truth.

Of two variance parameters ``1/2 tr(P V_k P V_l)``, of means ``X'PX``, and zero between them; see `observed`.
"""

from __future__ import annotations

import numpy as np

from saem.families.crossed.arrays import CrossedArrays
from saem.families.crossed.law import is_law, law_at
from saem.families.crossed.observed import totals_at
from saem.system.jit import entry

Array = np.ndarray


@entry
def fill_information(arrays: CrossedArrays, x: Array, out: Array) -> bool:
    """Write the information (n, n); whether there is one."""
    out[:] = 0.0
    if not is_law(arrays, x):
        return False
    groups, p = arrays.xy.shape
    law = law_at(arrays, x)
    sigma, precision, delta = np.empty(groups), np.empty(groups), np.zeros(p)
    for h in range(groups):
        sigma[h] = x[arrays.residual_index[h]]
        precision[h] = sigma[h] ** -2.0
    totals = totals_at(arrays, law, precision, delta, False)
    for c in range(p):
        for a in range(p):
            total = -totals.by_means[c, a]
            for h in range(groups):
                total += precision[h] * arrays.xx[h, c, a]
            out[arrays.mean_index[c], arrays.mean_index[a]] += total
    for k in range(arrays.slot_index.shape[0]):
        for t in range(arrays.slot_index.shape[0]):
            out[arrays.slot_index[k], arrays.slot_index[t]] += 0.5 * totals.traces[k, t]
        for h in range(groups):
            value = totals.slots[h, k] / sigma[h] ** 3
            out[arrays.residual_index[h], arrays.slot_index[k]] += value
            out[arrays.slot_index[k], arrays.residual_index[h]] += value
    for h in range(groups):
        at = arrays.residual_index[h]
        out[at, at] += (2.0 * arrays.n_rows[h] - 4.0 * totals.spread[h] * precision[h]) * precision[h]
        for g in range(groups):
            cubes = (sigma[h] * sigma[g]) ** 3
            out[at, arrays.residual_index[g]] += 2.0 * totals.spreads[h, g] / cubes
    return True


def fisher_information(arrays: CrossedArrays, x: Array) -> Array:
    """The information (n, n) at parameters (n,); nan outside the domain."""
    found = np.empty((len(x), len(x)))
    return found if fill_information(arrays, x, found) else np.full(found.shape, np.nan)
