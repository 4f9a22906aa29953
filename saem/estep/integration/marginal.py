"""The marginal likelihood by adaptive rules of integration as an objective, for any family with `log_complete`.

Adaptive quadrature (Liu & Pierce 1994, eq. 2; Pinheiro & Bates 1995, section 2.4): with the mode ``m`` of a cluster's
random effects, ``L`` the Cholesky factor of the curvature there, and a cluster's own ``a`` and ``B``, numbers, the
integral of ``exp f(u)`` is

    |L|^-1 |B| sum_k exp(f(m + L'^-1 (a + B w_k)) + l_k)

with points ``w_k`` and log-weights ``l_k`` of a rule (`rules.py`). ``a = 0`` and ``B = 1`` put it at the mode;
others match the mean and the covariance of the random effects given the data (Naylor & Smith 1982), which far fewer
points need where these are skewed. Mode and curvature depend on the parameters. The derivatives given are those of
this very sum, exactly, in jets: at the converged mode each step ``m += (L L')^-1 f'(m)`` in jets, with a matrix of
plain numbers, makes the derivatives of one more order exact, so that two are enough. A maximum of the sum is thus
found to the last digit, and is the maximum likelihood estimate as far as the rule is good enough:
`saem.estep.integration.settling` chooses it.

Points of a mixture of t distributions (`mixtures.py`) are for what no product rule can follow. These, and those
of product rules that are known to have an error, are *held*: they are random effects ``u`` themselves, whatever mode of
several is found, and stay where they are. Derivatives are weighted complete-data scores (Fisher's identity, and
Louis'): where points slide along a ridge with the parameters, the error of the sum goes up and down, little but fast,
and its derivatives would be those of the error.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from saem.estep.integration.mixing import mix_points
from saem.estep.modes import find_mode
from saem.families import contract
from saem.families.contract import add_points, fall_back, hold, log_complete, n_effects, supply
from saem.system.jets import (
    add_derivatives,
    add_logarithm,
    jet_back_substitute,
    jet_cholesky,
    jet_length,
    jet_variables,
)
from saem.system.jit import borrowed, entry, kernel
from saem.system.linalg import cholesky_solve
from saem.system.sharing import share_slices

Array = np.ndarray

LIFTS = 2  # steps in jets after which first and second derivatives of the mode are exact
CHUNK = 32  # points at once


class Quadrature(NamedTuple):
    """Objective of direct maximum likelihood where there is no closed form; for `saem.families.contract.evaluate`."""

    arrays: Any
    points: Array  # (K, d) of R rules, one after the other
    log_weights: Array  # (K,)
    begins: Array  # (R + 1,) int64, where the points of each rule begin, and the last end
    which: Array  # (C,) int64, the rule of each cluster
    shift: Array  # (C, d), a
    stretch: Array  # (C, d, d), B, upper triangular
    correction: Array  # (C,), added to the logs of the integrals: what more points change them by
    held: Array  # (C,) bool, whether the points are random effects that stay where they are for derivatives
    mixed: Array  # (C,) bool, whether they are those of a mixture
    parts: int  # of the points of a mixture, each a rule of its own
    shares: Array  # (C, M), of the components of the mixture
    means: Array  # (C, M, d)
    roots: Array  # (C, M, d, d), lower triangular
    constant: float  # added to the log-likelihood
    clusters: Array  # (k,) int64, that it is the sum over


@kernel
def lift(arrays: Any, x: Array, cluster: int, factor: Array, modes: Array, root: Array) -> bool:
    """Give the mode (1, d, J) its derivatives, and write the factor (d, d, J) of the curvature there, in jets."""
    modes, root = borrowed(modes), borrowed(root)
    d, length = modes.shape[1], modes.shape[2]
    values, gradients, hessians = np.empty((1, length)), np.empty((1, d, length)), np.empty((1, d, d, length))
    move = np.empty(d)
    for _ in range(LIFTS):
        log_complete(arrays, x, cluster, modes, 1, values, gradients, hessians)
        for i in range(length):
            for j in range(d):
                move[j] = gradients[0, j, i]
            cholesky_solve(factor, d, move)
            for j in range(d):
                modes[0, j, i] += move[j]
    log_complete(arrays, x, cluster, modes, 2, values, gradients, hessians)
    for j in range(d):
        for k in range(d):
            for i in range(length):
                root[j, k, i] = -hessians[0, j, k, i]
    return jet_cholesky(root, 0.0)


@kernel
def fill_spans(modes: Array, root: Array, shift: Array, stretch: Array, spans: Array) -> None:
    """Write ``m + L'^-1 a`` and the columns of ``L'^-1 B`` (d + 1, d, J); mode (1, d, J) and ``L`` are jets."""
    spans = borrowed(spans)
    d, length = modes.shape[1], modes.shape[2]
    for b in range(d + 1):
        for j in range(d):
            for i in range(length):
                spans[b, j, i] = modes[0, j, i] if b == 0 else 0.0
    for k in range(d):
        spans[1 + k, k, 0] = 1.0  # column k of L'^-1
        jet_back_substitute(root, spans[1 + k])
    for k in range(d):
        for j in range(d):
            for i in range(length):
                spans[0, j, i] += shift[k] * spans[1 + k, j, i]
    for k in range(d - 1, -1, -1):
        for j in range(d):
            for i in range(length):
                value = stretch[k, k] * spans[1 + k, j, i]
                for m in range(k):
                    value += stretch[m, k] * spans[1 + m, j, i]
                spans[1 + k, j, i] = value


@kernel
def place_points(rule: Array, first: int, spans: Array, points: Array) -> None:
    """Write the points ``m + sum_k w_k s_k`` (k, d, J) of a rule (K, d), from the ``first`` on."""
    count, d, length = points.shape
    for at in range(count):
        for j in range(d):
            for i in range(length):
                points[at, j, i] = spans[0, j, i]
        for k in range(d):
            for j in range(k + 1):
                for i in range(length):
                    points[at, j, i] += rule[first + at, k] * spans[1 + k, j, i]


@kernel
def add_exponentials(values: Array, logs: Array, largest: float, total: Array, square: Array) -> float:
    """Add ``exp(values + logs - largest)`` of jets (k, J) to ``total`` (J,); return the new ``largest``.

    ``total`` holds weight, mean gradient and mean of Hessians and products of gradients, not yet divided by the weight.
    """
    n = square.shape[0]
    top = largest
    for at in range(values.shape[0]):
        top = max(top, values[at, 0] + logs[at])
    if top > largest:
        shrink = math.exp(largest - top)
        for i in range(total.shape[0]):
            total[i] *= shrink
    for at in range(values.shape[0]):
        weight = math.exp(values[at, 0] + logs[at] - top)
        total[0] += weight
        value = values[at]
        i = n + 1
        for j in range(1, n + 1):
            slope = weight * value[j]
            total[j] += slope
            for k in range(1, j + 1):
                total[i] += weight * value[i] + slope * value[k]
                i += 1
    return top


@kernel
def add_points_of_any(
    arrays: Any, x: Array, cluster: int, rule: Array, log_weights: Array, spans: Array, total: Array
) -> float:
    """`saem.families.contract.add_points` for any family with `log_complete`."""
    d, length = spans.shape[1], spans.shape[2]
    n, count = jet_variables(length), log_weights.shape[0]
    chunk = min(CHUNK, count)
    points, values = np.empty((chunk, d, length)), np.empty((chunk, length))
    gradients, hessians = np.empty((0, d, length)), np.empty((0, d, d, length))
    square, largest = np.empty(n), -math.inf
    for first in range(0, count, chunk):
        here = min(chunk, count - first)
        place_points(rule, first, spans, points[:here])
        log_complete(arrays, x, cluster, points[:here], 0, values[:here], gradients, hessians)
        largest = add_exponentials(values[:here], log_weights[first : first + here], largest, total, square)
    return largest


fall_back(add_points, add_points_of_any)


@kernel
def fill_rule(objective: Quadrature, cluster: int, points: Array, log_weights: Array) -> None:
    """Write the points (K, d) of a cluster in coordinates of unit curvature, and the logarithms of their weights."""
    (count, d), first = points.shape, objective.begins[objective.which[cluster]]
    base = objective.points[first : first + count]
    if objective.mixed[cluster]:
        means, roots = objective.means[cluster], objective.roots[cluster]
        mix_points(base, objective.parts, objective.shares[cluster], means, roots, points, log_weights)
        return
    for at in range(count):
        log_weights[at] = objective.log_weights[first + at]
        for j in range(d):
            points[at, j] = base[at, j]


@kernel
def integrate_cluster(objective: Quadrature, x: Array, cluster: int, n: int, out: Array) -> None:
    """Add to the jet ``out`` of ``n`` variables (all the parameters, or none) the log of a cluster's integral."""
    arrays = objective.arrays
    d, length = n_effects(arrays, x, cluster), out.shape[0]
    if d == 0:
        values = np.empty((1, length))
        log_complete(
            arrays,
            x,
            cluster,
            np.empty((1, 0, length)),
            0,
            values,
            np.empty((0, 0, length)),
            np.empty((0, 0, 0, length)),
        )
        for i in range(length):
            out[i] += values[0, i]
        return
    mode, factor = np.zeros(d), np.eye(d)
    held, rule = objective.held[cluster], objective.which[cluster]
    if not held and not math.isfinite(find_mode(arrays, x, cluster, mode, factor)):
        out[0] = -math.inf
        return
    modes, root, spans = np.zeros((1, d, length)), np.zeros((d, d, length)), np.zeros((d + 1, d, length))
    for j in range(d):
        modes[0, j, 0] = mode[j]
    stretch = objective.stretch[cluster]
    if held or length == 1:
        for j in range(d):
            for k in range(j + 1):
                root[j, k, 0] = factor[j, k]
    elif not lift(arrays, x, cluster, factor, modes, root):
        out[0] = -math.inf
        return
    fill_spans(modes, root, objective.shift[cluster], stretch, spans)
    for k in range(d):
        add_logarithm(-1.0, root[k, k], out)
        out[0] += math.log(stretch[k, k])
    if held:
        hold(arrays, x, cluster, spans, out)
    total, count = np.zeros(length), objective.begins[rule + 1] - objective.begins[rule]
    points, log_weights = np.empty((count, d)), np.empty(count)
    fill_rule(objective, cluster, points, log_weights)
    largest = add_points(arrays, x, cluster, points, log_weights, spans, total)
    weight = total[0]
    if not weight > 0.0:
        out[0] = -math.inf
        return
    out[0] += largest + math.log(weight) + objective.correction[cluster]
    at = n + 1
    for j in range(1, n + 1):
        out[j] += total[j] / weight
        for k in range(1, j + 1):
            out[at] += total[at] / weight - total[j] * total[k] / (weight * weight)
            at += 1


@kernel
def integrate(objective: Quadrature, x: Array, out: Array) -> None:
    """Write the log-likelihood by the rule, in a jet (J,); its value is not finite outside the domain."""
    n, objective, x = x.shape[0], borrowed(objective), borrowed(x)
    for i in range(out.shape[0]):
        out[i] = 0.0
    out[0] = objective.constant
    for cluster in objective.clusters:
        integrate_cluster(objective, x, cluster, n, out)
        if not math.isfinite(out[0]):
            return


@kernel
def unpack(out: Array, gradient: Array, hessian: Array) -> float:
    """The value of a jet, whose derivatives are written; ``-inf`` where it is not finite."""
    if not math.isfinite(out[0]):
        return -math.inf
    for i in range(gradient.shape[0]):
        gradient[i] = 0.0
        for j in range(gradient.shape[0]):
            hessian[i, j] = 0.0
    return add_derivatives(out, gradient, hessian)


@kernel
def by_rule(objective: Quadrature, x: Array, gradient: Array, hessian: Array) -> float:
    """The log-likelihood by the rule, with its exact gradient and Hessian; ``-inf`` outside its domain."""
    out = np.empty(jet_length(x.shape[0]))
    integrate(objective, x, out)
    return unpack(out, gradient, hessian)


supply(contract.evaluate, Quadrature, by_rule)


@entry
def log_likelihoods(objective: Quadrature, x: Array, n: int, clusters: Array, parts: Array) -> None:
    """Write the logs (k,) of some clusters' integrals; ``-inf`` where there is none. ``n`` is 0: no literal here."""
    out, objective, x = np.empty(jet_length(n)), borrowed(objective), borrowed(x)
    for at in range(clusters.shape[0]):
        out[0] = 0.0
        integrate_cluster(objective, x, clusters[at], n, out)
        parts[at] = out[0]


def log_likelihood(objective: Quadrature, x: Array) -> float:
    """The log-likelihood by the rule at parameters (n,), without derivatives."""
    parts = parts_of(objective, np.array(x, dtype=float), objective.clusters)
    return objective.constant + float(parts.sum())


def parts_of(objective: Quadrature, x: Array, clusters: Array) -> Array:
    """The logs (k,) of some clusters' integrals."""
    parts = np.empty(len(clusters))
    share_slices(len(clusters), lambda own: log_likelihoods(objective, x, 0, clusters[own], parts[own]))
    return parts
