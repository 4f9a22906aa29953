"""Complete-data log-likelihood of the linear family as a function of its statistics.

The statistics are, in this order in one vector: ``X'(y - Z theta)`` for each residual group (H * p),
``|y - Z theta|^2`` for each residual group (H), ``sum theta theta'`` for each variance group (G * q * q).
"""

from __future__ import annotations

import math

import numpy as np

from saem.jit import kernel, overload
from saem.linalg import cholesky, invert
from saem.models import contract
from saem.models.linear.arrays import LinearArrays
from saem.models.linear.covariance import (
    add_covariance_terms,
    add_scalar_terms,
    fill_covariance,
    fill_derivatives,
    multiply,
    read_group,
)

Array = np.ndarray
LOG_2PI = math.log(2.0 * math.pi)


@kernel
def add_row_terms(
    mean_index: Array,
    residual_index: int,
    reference: Array,
    n: float,
    xx: Array,
    xy: Array,
    yy: float,
    x: Array,
    gradient: Array,
    hessian: Array,
) -> float:
    """Gaussian log-likelihood of ``n`` independent rows of one residual group, with its derivatives.

    ``xx`` (p, p), ``xy`` (p,) and ``yy`` are their moments. Returns ``-inf`` for a residual SD that is not positive.
    """
    p = mean_index.shape[0]
    sd = x[residual_index]
    if not sd > 0.0:
        return -math.inf
    precision = 1.0 / (sd * sd)
    rss = yy
    for j in range(p):
        a = mean_index[j]
        score = xy[j]
        for k in range(p):
            score -= xx[j, k] * (x[mean_index[k]] - reference[k])
            hessian[a, mean_index[k]] -= precision * xx[j, k]
        rss -= (x[a] - reference[j]) * (xy[j] + score)
        gradient[a] += precision * score
        cross = 2.0 * precision / sd * score
        hessian[a, residual_index] -= cross
        hessian[residual_index, a] -= cross
    gradient[residual_index] += (precision * rss - n) / sd
    hessian[residual_index, residual_index] += (n - 3.0 * precision * rss) * precision
    return float(-0.5 * (n * (LOG_2PI + 2.0 * math.log(sd)) + precision * rss))


@kernel
def effect_terms(
    index: Array,
    terms: Array,
    sd: Array,
    rho: Array,
    n: float,
    moments: Array,
    gradient: Array,
    hessian: Array,
) -> float:
    """Log-density of ``n`` draws of the random effects with ``moments`` (q, q), with its derivatives.

    A random effect whose standard deviation is exactly zero is absent: it has no density and no derivative.
    """
    q = sd.shape[0]
    omega = np.empty((q, q))
    precision = np.empty((q, q))
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
    derivative = np.empty((terms.shape[0], q, q))
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
    sds, rho = np.empty(q), np.empty((q, q))
    for g in range(groups):
        read_group(sd_index[g], corr_index[g], x, sds, rho)
        for j in range(q):
            if sds[j] < 0.0:
                return -math.inf
        moment = moments[g * q * q : (g + 1) * q * q].reshape((q, q))
        value += effect_terms(slot_index[g], slot_terms, sds, rho, n_clusters[g], moment, gradient, hessian)
    return value


@kernel
def complete_linear(arrays: LinearArrays, statistics: Array, x: Array, gradient: Array, hessian: Array) -> float:
    """Complete-data log-likelihood; see `saem.models.contract.complete`."""
    residual_groups, p = arrays.xy.shape
    gradient[:] = 0.0
    hessian[:] = 0.0
    value = arrays.log_weight
    for h in range(residual_groups):
        value += add_row_terms(
            arrays.mean_index,
            arrays.residual_index[h],
            arrays.beta_reference,
            arrays.n_rows[h],
            arrays.xx[h],
            statistics[h * p : h * p + p],
            statistics[residual_groups * p + h],
            x,
            gradient,
            hessian,
        )
    return value + add_effect_terms(
        arrays.sd_index,
        arrays.corr_index,
        arrays.slot_index,
        arrays.slot_terms,
        arrays.n_clusters,
        statistics[residual_groups * (p + 1) :],
        x,
        gradient,
        hessian,
    )


@overload(contract.complete, inline="always")
def _complete(arrays, statistics, x, gradient, hessian):  # type: ignore[no-untyped-def]
    if contract.is_a(arrays, LinearArrays):
        return lambda arrays, statistics, x, gradient, hessian: complete_linear(
            arrays, statistics, x, gradient, hessian
        )
    return None
