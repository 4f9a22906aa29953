"""The marginal likelihood by adaptive quadrature as an objective, for any family with `log_complete`.

Adaptive Gauss-Hermite quadrature (Liu & Pierce 1994, eq. 2; Pinheiro & Bates 1995, section 2.4): with the mode ``m``
of a cluster's random effects and ``L`` the Cholesky factor of the curvature there, the integral of ``exp f(u)`` is

    |L|^-1 sum_k exp(f(m + L'^-1 w_k) + log g_k)

with nodes ``w_k`` and weights ``g_k`` of a product rule for ``int g(w) dw``. Mode and curvature depend on the
parameters. The derivatives given are those of this very sum, exactly, in jets: at the converged mode each step
``m += (L L')^-1 f'(m)`` in jets, with a matrix of plain numbers, makes the derivatives of one more order exact, so that
two are enough. A maximum of the sum is thus found to the last digit, and is the maximum likelihood estimate as far
as the number of nodes is large enough: `settled_nodes` chooses it.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from saem.errors import FitError, ModelError
from saem.estep.modes import find_mode
from saem.families import contract
from saem.families.contract import add_points, log_complete, n_effects
from saem.families.problem import Clusters, Problem
from saem.system.jets import (
    add_derivatives,
    add_logarithm,
    jet_back_substitute,
    jet_cholesky,
    jet_length,
    jet_variables,
)
from saem.system.jit import entry, kernel, overload
from saem.system.linalg import cholesky_solve

Array = np.ndarray

LIFTS = 2  # steps in jets after which first and second derivatives of the mode are exact
CHUNK = 32  # nodes at once
LADDER = (3, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97)  # numbers of nodes that are tried
SETTLED = 1e-4  # difference of the log-likelihood by two of them, one after the other, below which they agree
AGREED = 5e-3  # the same, where no more nodes can be had
MOST_POINTS = 20_000  # of the product rule of a cluster


class Quadrature(NamedTuple):
    """Objective of direct maximum likelihood where there is no closed form; for `saem.families.contract.evaluate`."""

    arrays: Any
    nodes: Array  # (R, k) of R rules in one dimension, the first of each row
    log_weights: Array  # (R, k)
    counts: Array  # (R,) int64, nodes of each rule
    which: Array  # (C,) int64, the rule of each cluster
    constant: float  # added to the log-likelihood


def rule(nodes: int) -> tuple[Array, Array]:
    """Nodes (k,) and logarithms of weights (k,) for ``int g(w) dw``, exact for polynomials times ``exp(-w^2 / 2)``."""
    points, weights = np.polynomial.hermite.hermgauss(nodes)
    return np.sqrt(2.0) * points, np.log(weights) + points**2 + 0.5 * np.log(2.0)


@kernel
def lift(arrays: Any, x: Array, cluster: int, factor: Array, modes: Array, root: Array) -> bool:
    """Give the mode (1, d, J) its derivatives, and write the factor (d, d, J) of the curvature there, in jets."""
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
def place_points(
    nodes: Array, log_weights: Array, many: int, first: int, spans: Array, points: Array, logs: Array
) -> None:
    """Write the points ``m + sum_k w_k s_k`` (k, d, J) of the product rule, from the ``first`` on, and weights (k,)."""
    count, d, length = points.shape
    for at in range(count):
        logs[at] = 0.0
        rest = first + at
        for j in range(d):
            for i in range(length):
                points[at, j, i] = spans[0, j, i]
        for k in range(d):
            node = rest % many
            rest //= many
            logs[at] += log_weights[node]
            for j in range(k + 1):
                for i in range(length):
                    points[at, j, i] += nodes[node] * spans[1 + k, j, i]


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
    arrays: Any, x: Array, cluster: int, nodes: Array, log_weights: Array, many: int, spans: Array, total: Array
) -> float:
    """`saem.families.contract.add_points` for any family with `log_complete`."""
    d, length = spans.shape[1], spans.shape[2]
    n, count = jet_variables(length), many**d
    chunk = min(CHUNK, count)
    points, values, logs = np.empty((chunk, d, length)), np.empty((chunk, length)), np.empty(chunk)
    gradients, hessians = np.empty((0, d, length)), np.empty((0, d, d, length))
    square, largest = np.empty(n), -math.inf
    for first in range(0, count, chunk):
        here = min(chunk, count - first)
        place_points(nodes, log_weights, many, first, spans, points[:here], logs[:here])
        log_complete(arrays, x, cluster, points[:here], 0, values[:here], gradients, hessians)
        largest = add_exponentials(values[:here], logs[:here], largest, total, square)
    return largest


@overload(add_points, inline="always")
def _add_points(arrays, x, cluster, nodes, log_weights, many, spans, total):  # type: ignore[no-untyped-def]
    if contract.has_own(arrays, "add_points"):
        return None
    return lambda arrays, x, cluster, nodes, log_weights, many, spans, total: add_points_of_any(
        arrays, x, cluster, nodes, log_weights, many, spans, total
    )


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
    mode, factor = np.empty(d), np.empty((d, d))
    height = find_mode(arrays, x, cluster, mode, factor)
    if not math.isfinite(height):
        out[0] = -math.inf
        return
    modes, root, spans = np.zeros((1, d, length)), np.empty((d, d, length)), np.zeros((d + 1, d, length))
    for j in range(d):
        modes[0, j, 0] = mode[j]
    if not lift(arrays, x, cluster, factor, modes, root):
        out[0] = -math.inf
        return
    for j in range(d):
        for i in range(length):
            spans[0, j, i] = modes[0, j, i]
    for k in range(d):
        spans[1 + k, k, 0] = 1.0  # column k of L'^-1
        jet_back_substitute(root, spans[1 + k])
        add_logarithm(-1.0, root[k, k], out)
    rule = objective.which[cluster]
    total = np.zeros(length)
    largest = add_points(
        arrays, x, cluster, objective.nodes[rule], objective.log_weights[rule], objective.counts[rule], spans, total
    )
    weight = total[0]
    if not weight > 0.0:
        out[0] = -math.inf
        return
    out[0] += largest + math.log(weight)
    at = n + 1
    for j in range(1, n + 1):
        out[j] += total[j] / weight
        for k in range(1, j + 1):
            out[at] += total[at] / weight - total[j] * total[k] / (weight * weight)
            at += 1


@kernel
def by_rule(objective: Quadrature, x: Array, gradient: Array, hessian: Array) -> float:
    """The log-likelihood by the rule, with its exact gradient and Hessian; ``-inf`` outside its domain."""
    n = x.shape[0]
    out = np.zeros(jet_length(n))
    out[0] = objective.constant
    for cluster in range(objective.which.shape[0]):
        integrate_cluster(objective, x, cluster, n, out)
        if not math.isfinite(out[0]):
            return -math.inf
    for i in range(n):
        gradient[i] = 0.0
        for j in range(n):
            hessian[i, j] = 0.0
    return add_derivatives(out, gradient, hessian)


@overload(contract.evaluate, inline="always")
def _evaluate(objective, x, gradient, hessian):  # type: ignore[no-untyped-def]
    if contract.is_a(objective, Quadrature):
        return lambda objective, x, gradient, hessian: by_rule(objective, x, gradient, hessian)
    return None


@entry
def log_likelihoods(objective: Quadrature, x: Array, n: int, clusters: Array, parts: Array) -> None:
    """Write the logs (k,) of some clusters' integrals; ``-inf`` where there is none. ``n`` is 0: no literal here."""
    out = np.empty(jet_length(n))
    for at in range(clusters.shape[0]):
        out[0] = 0.0
        integrate_cluster(objective, x, clusters[at], n, out)
        parts[at] = out[0]


@entry
def most_effects(arrays: Any, x: Array, n_clusters: int) -> int:
    """The largest number of random effects of a cluster."""
    found = 0
    for cluster in range(n_clusters):
        found = max(found, n_effects(arrays, x, cluster))
    return found


def quadrature(arrays: Any, n_clusters: int, nodes: int | Array, constant: float = 0.0) -> Quadrature:
    """The objective with so many nodes for every random effect: of all clusters, or of each (C,)."""
    counts, which = np.unique(np.broadcast_to(np.asarray(nodes, dtype=np.int64), n_clusters), return_inverse=True)
    if n_clusters == 0:
        counts = np.ones(1, dtype=np.int64)
    points, log_weights = np.zeros((2, len(counts), int(counts.max())))
    for row, count in enumerate(counts.tolist()):
        points[row, :count], log_weights[row, :count] = rule(count)
    return Quadrature(arrays, points, log_weights, counts, which.ravel().astype(np.int64), constant)


#: Of problems in use; the number of nodes may grow, see `refined`.
_OBJECTIVES: WeakKeyDictionary[Clusters, Quadrature] = WeakKeyDictionary()


def objective_of(problem: Problem) -> Quadrature:
    """The marginal likelihood of a problem by quadrature, with nodes that suffice at its first start.

    Problems that differ in their constraints, or in which latent data are drawn, share it.
    """
    clusters, likelihood = problem.clusters, problem.likelihood
    found = _OBJECTIVES.get(clusters)
    if found is None:
        assert clusters.joint is not None
        arrays, x = clusters.joint(), problem.starts.first
        nodes = likelihood.nodes or likelihood.first_nodes or settled_nodes(arrays, clusters.count, x)
        found = _OBJECTIVES[clusters] = quadrature(arrays, clusters.count, nodes, clusters.constant)
    return found


def refined(problem: Problem, x: Array) -> bool:
    """Whether at ``x`` (n,) more nodes were needed; the objective of the problem has them from now on."""
    clusters, likelihood = problem.clusters, problem.likelihood
    if likelihood.kind != "quadrature" or likelihood.nodes:
        return False
    found = objective_of(problem)
    now = found.counts[found.which]
    nodes = settled_nodes(found.arrays, clusters.count, x)
    if np.all(nodes <= now):
        return False
    _OBJECTIVES[clusters] = quadrature(found.arrays, clusters.count, np.maximum(nodes, now), found.constant)
    return True


def log_likelihood(objective: Quadrature, x: Array) -> float:
    """The log-likelihood by the rule at parameters (n,), without derivatives."""
    every = np.arange(len(objective.which))
    return objective.constant + float(parts_of(objective, np.array(x, dtype=float), every).sum())


def parts_of(objective: Quadrature, x: Array, clusters: Array) -> Array:
    """The logs (k,) of some clusters' integrals."""
    parts = np.empty(len(clusters))
    log_likelihoods(objective, x, 0, clusters, parts)
    return parts


def settled_nodes(arrays: Any, n_clusters: int, x: Array, tolerance: float = SETTLED) -> Array:
    """For each cluster (C,) the first number of nodes of the ladder that agrees with the next one about its integral.

    Parameters
    ----------
    arrays : NamedTuple
        With `log_complete`.
    n_clusters : int
    x : (n,) ndarray
        A number chosen at a start should be looked at again at the estimate.
    tolerance : float
        Of the log-likelihood of all clusters. Where the points of a cluster do not suffice for it, `AGREED` must do.

    Raises
    ------
    ModelError
        When no two agree within `MOST_POINTS` points a cluster.
    FitError
        When there is no log-likelihood at ``x``.
    """
    x = np.array(x, dtype=float)
    d = max(1, most_effects(arrays, x, n_clusters))
    ladder = [nodes for nodes in LADDER if nodes**d <= MOST_POINTS]
    found, left = np.full(n_clusters, ladder[0], dtype=np.int64), np.arange(n_clusters)
    before, change = parts_of(quadrature(arrays, n_clusters, ladder[0]), x, left), np.full(n_clusters, np.inf)
    for nodes in ladder[1:]:
        after = parts_of(quadrature(arrays, n_clusters, nodes), x, left)
        if not (np.isfinite(before).all() and np.isfinite(after).all()):
            raise FitError(
                "the quadrature cannot be set up at these parameters: the likelihood is zero, or the random "
                "effects of a cluster have no mode that is found; give other starting values"
            )
        change = np.abs(after - before)
        open_ = change > tolerance / n_clusters
        left, before, change = left[open_], after[open_], change[open_]
        if not len(left):
            return found
        found[left] = nodes
    if change.sum() <= AGREED:
        return found
    raise ModelError(
        f"quadrature over {d} random effects has not settled within {MOST_POINTS:,} points a cluster: from one number "
        f"of nodes to the next the log-likelihood must change by {AGREED:g} at most, and it changes by "
        f"{change.sum():.3g}, most of it in cluster {int(left[np.argmax(change)]) + 1} (by {change.max():.3g})"
    )
