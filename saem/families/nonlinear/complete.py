"""Complete-data log-likelihood of the family as a function of its statistics.

The latent data are the coordinates ``z`` of the individual parameters, centred: ``z_c = m_c(x) + theta_c``. Their part
is exact, for any centres that are sums of terms: with ``b_kc`` the columns' part of term k, the statistics are
``sum b_kc z_c`` (K, d) and ``sum z_c z_c'`` (d, d) by variance group, and the moments of the random effects

    M_ij = sum z_i z_j - sum_{k in j} a_k sum b_k z_i - sum_{k in i} a_k sum b_k z_j
           + sum_{k in i, l in j} a_k a_l sum b_k b_l.

Residual scales that factor out are exact, too: the rows of one have ``-rows log a - squares / (2 a^2)``. All else of
the rows is no exponential family, and enters by its second-order expansion in ``t``, the parameters on a scale without
bounds, at the parameters at which ``z`` was drawn: with value ``l``, score ``g`` and information ``A`` there,

    l - g't - t'A t / 2,    b = g + A t,    A (its lower triangle, row by row).

All statistics are linear in quantities of the complete data, so that they may be averaged over draws and over ``x``. At
statistics drawn at ``x``, the value and the score of `complete` at ``x`` are exactly those of the complete data. The
statistics are the expansion (1 + p + p (p + 1) / 2), the squares (s,), and (K * d + d * d) for each variance group.
"""

from __future__ import annotations

import math

import numpy as np

from saem.families import contract
from saem.families.contract import supply
from saem.families.nonlinear.arrays import BETWEEN, POSITIVE, NonlinearArrays
from saem.families.nonlinear.density import fill_term_jets
from saem.families.normal_covariance import multiply, read_group
from saem.families.normal_effects import add_blocks, effect_terms
from saem.system.jets import add_product, clear, jet_length
from saem.system.jit import borrowed, kernel

Array = np.ndarray


@kernel
def free_coordinate(kind: int, low: float, high: float, value: float) -> tuple[float, float, float]:
    """A parameter on a scale without bounds, and the first two derivatives by it; nan outside its bounds."""
    if kind == POSITIVE:
        above = value - low
        return (math.log(above), 1.0 / above, -1.0 / (above * above)) if above > 0.0 else (math.nan, math.nan, math.nan)
    if kind == BETWEEN:
        half = 0.5 * (high - low)
        u = (value - 0.5 * (low + high)) / half
        left = 1.0 - u * u
        if not left > 0.0:
            return math.nan, math.nan, math.nan
        return math.atanh(u), 1.0 / (half * left), 2.0 * u / (half * half * left * left)
    return value, 1.0, 0.0


@kernel
def add_expansion(arrays: NonlinearArrays, statistics: Array, x: Array, gradient: Array, hessian: Array) -> float:
    """The expanded part of the rows, with its derivatives added."""
    p = arrays.expanded.shape[0]
    t, slope = np.empty(p), np.empty(p)
    bend, pull = np.empty(p), np.empty(p)
    used = False
    for i in range(p):
        has_own = statistics[1 + p + i * (i + 1) // 2 + i] != 0.0 or statistics[1 + i] != 0.0
        t[i], slope[i], bend[i], pull[i] = 0.0, 0.0, 0.0, 0.0
        if has_own:
            used = True
            t[i], slope[i], bend[i] = free_coordinate(
                arrays.kind[i], arrays.low[i], arrays.high[i], x[arrays.expanded[i]]
            )
            if math.isnan(t[i]):
                return -math.inf
    value = statistics[0]
    if not used:
        return float(value)
    at = 1 + p
    for i in range(p):
        for j in range(i + 1):
            weight = statistics[at]
            at += 1
            if weight == 0.0:
                continue
            pull[i] += weight * t[j]
            if i != j:
                pull[j] += weight * t[i]
            a, b = arrays.expanded[i], arrays.expanded[j]
            hessian[a, b] -= weight * slope[i] * slope[j]
            if i != j:
                hessian[b, a] -= weight * slope[i] * slope[j]
    for i in range(p):
        a = arrays.expanded[i]
        score = statistics[1 + i] - pull[i]
        value += (statistics[1 + i] - 0.5 * pull[i]) * t[i]
        gradient[a] += score * slope[i]
        hessian[a, a] += score * bend[i]
    return float(value)


@kernel
def add_scales(
    arrays: NonlinearArrays, rows: Array, squares: Array, x: Array, gradient: Array, hessian: Array
) -> float:
    """The residual scales that factor out, with ``rows`` (s,) and ``squares`` (s,) of each."""
    value = 0.0
    for i in range(arrays.rows.n_squares):
        a = arrays.scale_index[i]
        scale = x[a]
        if not scale > 0.0:
            return -math.inf
        ratio = squares[i] / (scale * scale)
        value -= rows[i] * math.log(scale) + 0.5 * ratio
        gradient[a] += (ratio - rows[i]) / scale
        hessian[a, a] += (rows[i] - 3.0 * ratio) / (scale * scale)
    return value


@kernel
def fill_moments(arrays: NonlinearArrays, gram: Array, terms: Array, statistics: Array, moments: Array) -> None:
    """Write the moments (d, d, J) of the random effects of a variance group, given its terms (K, J), in jets."""
    d, count = arrays.sd_index.shape[1], terms.shape[0]
    length = terms.shape[1]
    for i in range(d):
        for j in range(i + 1):
            clear(moments[i, j : j + 1])
            moments[i, j, 0] = statistics[count * d + i * d + j]
    for k in range(count):
        j = arrays.term_effect[k]
        if arrays.centred[j] == 0:
            continue
        for i in range(d):
            weight = -statistics[k * d + i] * (2.0 if i == j else 1.0)
            for m in range(length):
                moments[max(i, j), min(i, j), m] += weight * terms[k, m]
        for m in range(count):
            i = arrays.term_effect[m]
            if arrays.centred[i] == 1 and i >= j and gram[k, m] != 0.0:
                add_product(gram[k, m], terms[k], terms[m], moments[i, j])
    for i in range(d):
        for j in range(i):
            for m in range(length):
                moments[j, i, m] = moments[i, j, m]


@kernel
def add_effects(
    arrays: NonlinearArrays, group: int, n: float, gram: Array, terms: Array, statistics: Array, x: Array, out: Array
) -> float:
    """The random effects of a variance group of ``n`` clusters; derivatives are added to gradient and Hessian ``out``.

    ``out`` (1 + n, n) holds the gradient and the Hessian.
    """
    d, length = arrays.sd_index.shape[1], terms.shape[1]
    if terms.shape[0] == 0:  # nothing is in a centre
        own = statistics.reshape((d, d))
        return add_blocks(arrays.sd_index[group], arrays.corr_index[group], n, own, x, out[0], out[1:])
    slots = arrays.slot_terms
    sd, rho, precision = np.empty(d), np.empty((d, d)), np.empty((d, d))
    derivative, moments, plain = np.empty((slots.shape[0], d, d)), np.empty((d, d, length)), np.empty((d, d))
    read_group(arrays.sd_index[group], arrays.corr_index[group], x, sd, rho)
    for j in range(d):
        if sd[j] < 0.0:
            return -math.inf
    fill_moments(arrays, gram, terms, statistics, moments)
    for i in range(d):
        for j in range(d):
            plain[i, j] = moments[i, j, 0]
    index = arrays.slot_index[group]
    value = effect_terms(index, slots, sd, rho, n, plain, precision, derivative, out[0], out[1:])
    if not math.isfinite(value):
        return -math.inf
    size = x.shape[0]
    for i in range(d):
        for j in range(d):
            weight = -0.5 * precision[i, j]
            at = size + 1
            for a in range(size):
                out[0, a] += weight * moments[i, j, 1 + a]
                for b in range(a + 1):
                    bend = weight * moments[i, j, at]
                    at += 1
                    out[1 + a, b] += bend
                    if a != b:
                        out[1 + b, a] += bend
    left, both = np.empty((d, d)), np.empty((d, d))
    for slot in range(slots.shape[0]):
        multiply(precision, derivative[slot], left)
        multiply(left, precision, both)
        for a in range(size):
            cross = 0.0
            for i in range(d):
                for j in range(d):
                    cross += 0.5 * both[i, j] * moments[i, j, 1 + a]
            out[1 + index[slot], a] += cross
            out[1 + a, index[slot]] += cross
    return float(value)


@kernel
def complete_of(
    arrays: NonlinearArrays,
    n_clusters: Array,
    gram: Array,
    scale_rows: Array,
    statistics: Array,
    x: Array,
    gradient: Array,
    hessian: Array,
) -> float:
    """`contract.complete` for statistics of so many clusters of each group (G,), given their ``gram`` and rows."""
    n, p, s = x.shape[0], arrays.expanded.shape[0], arrays.scale_index.shape[0]
    groups, d = arrays.sd_index.shape
    count = arrays.term_effect.shape[0]
    out = np.zeros((1 + n, n))
    for i in range(n):
        gradient[i] = 0.0
        for j in range(n):
            hessian[i, j] = 0.0
    value = add_expansion(arrays, statistics, x, gradient, hessian)
    at = 1 + p + p * (p + 1) // 2
    value += add_scales(arrays, scale_rows, statistics[at : at + s], x, gradient, hessian)
    if not math.isfinite(value):
        return -math.inf
    if d == 0:
        return float(value)
    at += s
    terms = np.empty((count, jet_length(n)))
    fill_term_jets(arrays, x, terms)
    width = count * d + d * d
    for group in range(groups):
        value += add_effects(arrays, group, n_clusters[group], gram[group], terms, statistics[at : at + width], x, out)
        at += width
    for i in range(n):
        gradient[i] += out[0, i]
        for j in range(n):
            hessian[i, j] += out[1 + i, j]
    return float(value) if math.isfinite(value) else -math.inf


@kernel
def complete_all(arrays: NonlinearArrays, statistics: Array, x: Array, gradient: Array, hessian: Array) -> float:
    """See `saem.families.contract.complete`."""
    s = arrays.scale_index.shape[0]
    rows = np.zeros(s)
    for cluster in range(arrays.scale_rows.shape[0]):
        for i in range(s):
            rows[i] += arrays.scale_rows[cluster, i]
    return complete_of(arrays, arrays.n_clusters, arrays.gram, rows, statistics, x, gradient, hessian)


@kernel
def complete_each(
    arrays: NonlinearArrays,
    clusters: Array,
    statistics: Array,
    x: Array,
    values: Array,
    gradients: Array,
    hessian: Array,
) -> None:
    """See `saem.families.contract.complete_clusters`."""
    arrays, x, statistics = borrowed(arrays), borrowed(x), borrowed(statistics)
    n, count = x.shape[0], arrays.term_effect.shape[0]
    groups = arrays.sd_index.shape[0]
    own, alone, gram = np.empty((n, n)), np.zeros(groups), np.zeros((groups, count, count))
    for i in range(n):
        for j in range(n):
            hessian[i, j] = 0.0
    for at in range(clusters.shape[0]):
        cluster = clusters[at]
        group = arrays.group[cluster]
        alone[group] = 1.0
        for k in range(count):
            for m in range(count):
                gram[group, k, m] = arrays.basis[cluster, k] * arrays.basis[cluster, m]
        values[at] = complete_of(arrays, alone, gram, arrays.scale_rows[cluster], statistics[at], x, gradients[at], own)
        alone[group] = 0.0
        for k in range(count):
            for m in range(count):
                gram[group, k, m] = 0.0  # the next cluster may be of another group
        for i in range(n):
            for j in range(n):
                hessian[i, j] += own[i, j]


supply(contract.complete, NonlinearArrays, complete_all)
supply(contract.complete_clusters, NonlinearArrays, complete_each)
