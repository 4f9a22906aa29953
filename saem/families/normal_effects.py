"""The complete-data log-likelihood of normal random effects, compiled, for families that have them."""

from __future__ import annotations

import math

import numpy as np

from saem.families.normal_covariance import (
    add_covariance_terms,
    add_scalar_terms,
    fill_covariance,
    fill_derivatives,
    multiply,
    read_group,
)
from saem.system.jit import kernel
from saem.system.linalg import cholesky, invert

Array = np.ndarray
LOG_2PI = math.log(2.0 * math.pi)


@kernel
def effect_terms(
    index: Array,
    terms: Array,
    sd: Array,
    rho: Array,
    n: float,
    moments: Array,
    precision: Array,
    derivative: Array,
    gradient: Array,
    hessian: Array,
) -> float:
    """Log-density of ``n`` draws of the random effects with ``moments`` (q, q), with its derivatives.

    A random effect whose standard deviation is exactly zero is absent: it has no density and no derivative. Writes
    ``precision`` (q, q), the inverse covariance, and ``derivative`` (L, q, q), that of the covariance by its slots.
    """
    q = sd.shape[0]
    omega = np.empty((q, q))
    weight = np.empty((q, q))
    work = np.empty((q, q))
    fill_covariance(sd, rho, omega)
    present = 0
    for j in range(q):
        if sd[j] == 0.0:
            omega[j, j] = 1.0  # in place of the absent effect, one of unit variance that is always zero
        else:
            present += 1
    for j in range(q):
        for k in range(q):
            work[j, k] = omega[j, k]
    if not cholesky(work, q, 0.0):
        return -math.inf
    value = -0.5 * n * (present * LOG_2PI + math.log(invert(omega, precision, q)))
    for j in range(q):
        if sd[j] == 0.0:
            precision[j, j] = 0.0
    for j in range(q):
        for k in range(q):
            value -= 0.5 * precision[j, k] * moments[j, k]
    multiply(precision, moments, work)
    multiply(work, precision, weight)
    fill_derivatives(terms, sd, rho, derivative)
    add_covariance_terms(index, terms, sd, rho, n, precision, weight, derivative, gradient, hessian)
    return float(value)


@kernel
def scalar_effect_terms(index: int, n: float, moment: float, x: Array, gradient: Array, hessian: Array) -> float:
    """`effect_terms` for a single random effect, given the parameter of its standard deviation."""
    sd = x[index]
    if sd < 0.0:
        return -math.inf
    if sd == 0.0:  # an effect of variance zero is absent
        return 0.0
    precision = 1.0 / (sd * sd)
    add_scalar_terms(index, sd, n, precision, precision * precision * moment, gradient, hessian)
    return float(-0.5 * (n * (LOG_2PI + 2.0 * math.log(sd)) + precision * moment))


@kernel
def add_effect_terms(
    sd_index: Array,
    corr_index: Array,
    slot_index: Array,
    slot_terms: Array,
    n_clusters: Array,
    moments: Array,
    x: Array,
    gradient: Array,
    hessian: Array,
) -> float:
    """Log-density of the random effects of all variance groups, with its derivatives; ``moments`` (G * q * q,)."""
    groups, q = sd_index.shape
    value = 0.0
    if q == 1:
        for g in range(groups):
            value += scalar_effect_terms(sd_index[g, 0], n_clusters[g], moments[g], x, gradient, hessian)
        return value
    sds, rho, precision = np.empty(q), np.empty((q, q)), np.empty((q, q))
    derivative = np.empty((slot_terms.shape[0], q, q))
    for g in range(groups):
        read_group(sd_index[g], corr_index[g], x, sds, rho)
        for j in range(q):
            if sds[j] < 0.0:
                return -math.inf
        moment = moments[g * q * q : (g + 1) * q * q].reshape((q, q))
        value += effect_terms(
            slot_index[g], slot_terms, sds, rho, n_clusters[g], moment, precision, derivative, gradient, hessian
        )
    return value
