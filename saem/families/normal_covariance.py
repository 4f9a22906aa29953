"""The covariance of the random effects, and the part of a Gaussian log-likelihood's derivatives that it enters.

Complete-data and marginal log-likelihood share one form: with ``P`` and ``E`` symmetric and ``n`` a count,

    d f / d a      = -n/2 tr(P Omega_a) + 1/2 tr(E Omega_a)
    d2 f / da db   =  n/2 tr(P Omega_a P Omega_b) - tr(Omega_a P Omega_b E) + 1/2 tr((E - n P) Omega_ab)

where ``Omega_a`` is the derivative with respect to a *slot*: a standard deviation or a correlation. (Complete data:
``P = Omega^-1``, ``E = Omega^-1 T Omega^-1``; marginal: ``P = Z'V^-1 Z``, ``E = sum Z'V^-1 r r'V^-1 Z``.)

Throughout, ``sd`` (q,) and ``rho`` (q, q) hold one variance group's standard deviations and correlations, and
``terms`` (L, 2) the pair of terms of each slot, equal for a standard deviation.
"""

from __future__ import annotations

import numpy as np

from saem.system.jit import kernel

Array = np.ndarray


@kernel
def read_group(sd_index: Array, corr_index: Array, x: Array, sd: Array, rho: Array) -> None:
    """Write the standard deviations and the correlations of a variance group, given its rows of the indices.

    Where there is no index (-1), the effect is absent: its standard deviation is zero.
    """
    for j in range(sd.shape[0]):
        sd[j] = x[sd_index[j]] if sd_index[j] >= 0 else 0.0
        for k in range(sd.shape[0]):
            rho[j, k] = 1.0 if j == k else (x[corr_index[j, k]] if corr_index[j, k] >= 0 else 0.0)


@kernel
def fill_covariance(sd: Array, rho: Array, omega: Array) -> None:
    """Write the covariance matrix."""
    for j in range(sd.shape[0]):
        for k in range(sd.shape[0]):
            omega[j, k] = rho[j, k] * sd[j] * sd[k]


@kernel
def fill_derivatives(terms: Array, sd: Array, rho: Array, derivative: Array) -> None:
    """Write the derivative (L, q, q) of the covariance matrix with respect to each slot."""
    for slot in range(terms.shape[0]):
        for j in range(sd.shape[0]):
            for k in range(sd.shape[0]):
                derivative[slot, j, k] = 0.0
        j, k = terms[slot, 0], terms[slot, 1]
        if j != k:
            derivative[slot, j, k] = sd[j] * sd[k]
            derivative[slot, k, j] = sd[j] * sd[k]
            continue
        for i in range(sd.shape[0]):
            derivative[slot, j, i] = sd[i] * rho[j, i]
            derivative[slot, i, j] = sd[i] * rho[j, i]
        derivative[slot, j, j] = 2.0 * sd[j]


@kernel
def second_trace(terms: Array, a: int, b: int, sd: Array, rho: Array, weight: Array) -> float:
    """``tr(weight Omega_ab)`` for two slots and a symmetric ``weight``."""
    j, k = terms[a, 0], terms[a, 1]
    u, v = terms[b, 0], terms[b, 1]
    if j == k and u == v:
        return float(2.0 * rho[j, u] * weight[j, u])
    if j != k and u != v:
        return 0.0
    if j != k:  # let j be the standard deviation and (u, v) the correlation
        j, u, v = u, j, k
    if j == u:
        return float(2.0 * sd[v] * weight[u, v])
    if j == v:
        return float(2.0 * sd[u] * weight[u, v])
    return 0.0


@kernel
def multiply(a: Array, b: Array, out: Array) -> None:
    """``out = a b`` for square matrices."""
    q = out.shape[0]
    for i in range(q):
        for j in range(q):
            total = 0.0
            for k in range(q):
                total += a[i, k] * b[k, j]
            out[i, j] = total


@kernel
def product_trace(a: Array, b: Array) -> float:
    """``tr(a b)`` for square matrices."""
    total = 0.0
    for i in range(a.shape[0]):
        for j in range(a.shape[0]):
            total += a[i, j] * b[j, i]
    return total


@kernel
def add_scalar_terms(index: int, sd: float, n: float, p: float, e: float, gradient: Array, hessian: Array) -> None:
    """`add_covariance_terms` for a single random effect."""
    slope = e - n * p
    gradient[index] += sd * slope
    hessian[index, index] += 4.0 * sd * sd * p * (0.5 * n * p - e) + slope


@kernel
def add_covariance_terms(
    index: Array,
    terms: Array,
    sd: Array,
    rho: Array,
    n: float,
    p: Array,
    e: Array,
    derivative: Array,
    gradient: Array,
    hessian: Array,
) -> None:
    """Add the gradient and the Hessian of the module's docstring; ``index`` (L,) are the slots' parameters."""
    q = sd.shape[0]
    slots = index.shape[0]
    if q == 1:
        add_scalar_terms(index[0], sd[0], n, p[0, 0], e[0, 0], gradient, hessian)
        return
    left = np.empty((slots, q, q))
    right = np.empty((slots, q, q))
    weight = np.empty((q, q))
    for j in range(q):
        for k in range(q):
            weight[j, k] = 0.5 * (e[j, k] - n * p[j, k])
    for a in range(slots):
        multiply(p, derivative[a], left[a])
        multiply(e, derivative[a], right[a])
        gradient[index[a]] += product_trace(weight, derivative[a])
    for a in range(slots):
        for b in range(a + 1):
            total = second_trace(terms, a, b, sd, rho, weight) + 0.5 * n * product_trace(left[a], left[b])
            # tr(Omega_a P Omega_b E), made symmetric in a and b
            total -= 0.5 * (product_trace(right[a], left[b]) + product_trace(right[b], left[a]))
            hessian[index[a], index[b]] += total
            if a != b:
                hessian[index[b], index[a]] += total
