"""Where searches start: the population parameters without random effects, from scattered points."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from saem.errors import DataError
from saem.families.nonlinear.arrays import NonlinearArrays
from saem.families.nonlinear.density import fill_centres, fill_term_jets, fill_terms
from saem.families.nonlinear.structure import Structure
from saem.specification.domains import CORRELATION, SD, Domains
from saem.specification.parameters import Parameters
from saem.system.jets import jet_length
from saem.system.jit import call_row_sums, entry, kernel
from saem.system.threads import one_thread

Array = np.ndarray
Floats = NDArray[np.float64]
TRIED, CLIMBED = 200, 8  # points that are looked at for every parameter, and the best of them that are improved
MOST_TRIED = 2_000
RANGE = 3.0  # standard deviation of the points, on the scale without bounds
WIDE = 10.0  # of others, for data in units that are far from those of the parameters
TIED = 1e-3  # log-likelihood by which maxima may differ that are equal: then the first that was found counts
BETTER = 0.1  # log-likelihood by which the best of these must be higher
NEGATIVE = 0.2  # share of parameters without bounds that are tried with the size of a column, and below zero
ROUNDS = 5  # of searches in other units
LARGE = 30.0  # a parameter without bounds beyond is moved in units of its size
SPREAD = 0.5  # of the random effects at the start, on a logarithmic or logit scale
SHARE = 0.3  # of its centre, the standard deviation of an effect of a normal law
ENOUGH = 5_000  # rows for the search: of so many more that every second cluster has them, every second one is looked at
FARTHEST = 30.0  # of a parameter on the scale without bounds


class NoDensity(DataError):
    """There is no density of the rows at the start; whoever has the table says of which (`undefined`).

    Attributes
    ----------
    x : (n,) ndarray
        The start.
    """

    def __init__(self, x: Floats) -> None:
        super().__init__("the outcome has no finite log-density at the start")
        self.x = x


@kernel
def add_pooled(arrays: NonlinearArrays, clusters: Array, x: Array, n: int, gradient: Array) -> float:
    """`pooled`, compiled once for values and gradients."""
    d, count = arrays.sd_index.shape[1], arrays.term_effect.shape[0]
    p, length = arrays.rows.curved.shape[0], jet_length(n)
    size = p + d if n > 0 else 0
    terms, jets, pulls = np.empty(count), np.empty((count if n > 0 else 0, length)), np.zeros(count)
    z, out = np.empty(d), np.empty(1 + size + size * (size + 1) // 2)
    total = 0.0
    fill_terms(arrays, x, terms)
    fill_term_jets(arrays, x, jets)
    for i in range(n):
        gradient[i] = 0.0
    for at in range(clusters.shape[0]):
        cluster = clusters[at]
        first, rows = arrays.first[cluster], arrays.first[cluster + 1] - arrays.first[cluster]
        for j in range(d):
            z[j] = 0.0
        for k in range(count):
            z[arrays.term_effect[k]] += arrays.basis[cluster, k] * terms[k]
        call_row_sums(arrays.rows.curvature if n > 0 else arrays.rows.value, x, z, arrays.columns, first, rows, out)
        total += out[0]
        if not total > -math.inf:  # nan, too: no density there
            return -math.inf
        if n == 0:
            continue
        for j in range(p):
            gradient[arrays.rows.curved[j]] += out[1 + j]
        for k in range(count):
            pulls[k] += arrays.basis[cluster, k] * out[1 + p + arrays.term_effect[k]]
    for k in range(jets.shape[0]):
        for i in range(n):
            gradient[i] += pulls[k] * jets[k, 1 + i]
    return total


@entry
def pooled(arrays: NonlinearArrays, clusters: Array, x: Array, n: int, gradient: Array) -> float:
    """Log-likelihood of clusters whose random effects are zero, and its gradient if ``n`` parameters are asked for."""
    return add_pooled(arrays, clusters, x, n, gradient)


@entry
def pooled_each(arrays: NonlinearArrays, clusters: Array, points: Array, n: int, values: Array) -> None:
    """Write `pooled` at points (k, n), without gradients: here ``n`` is zero."""
    for at in range(points.shape[0]):
        values[at] = add_pooled(arrays, clusters, points[at], n, values)


@entry
def fill_all_centres(arrays: NonlinearArrays, x: Floats, centres: Floats) -> None:
    """Write the centres (C, d) of the coordinates of every cluster."""
    d = centres.shape[1]
    for cluster in range(centres.shape[0]):
        fill_centres(arrays, x, cluster, centres[cluster].reshape((d, 1)))


def starting_values(arrays: NonlinearArrays, parameters: Parameters, structure: Structure) -> Floats:
    """Parameters (n,) to start from.

    Those that the model gives a start or a fixed value have it. The others maximise the likelihood without random
    effects, the best of several local searches; standard deviations of random effects are moderate.

    Raises
    ------
    NoDensity
        When the outcome has no density at any point that was tried.
    """
    domains = parameters.domains
    given = {parameters.index(name): value for name, value in structure.start.items()}
    x = np.where(parameters.fixed, parameters.fixed_values, np.nan)
    for i, value in given.items():
        x[i] = value if not parameters.fixed[i] else x[i]
    spreads = np.array([domain in (SD, CORRELATION) for domain in domains])
    open_ = np.isnan(x) & ~spreads
    for k in np.flatnonzero(np.isnan(x) & spreads):
        x[k] = SPREAD if domains[int(k)] == SD else 0.0
    x[open_] = np.array([1.0 if domain.low == 0.0 and np.isinf(domain.high) else 0.0 for domain in domains])[open_]
    between = np.flatnonzero(open_ & np.isfinite(domains.high))
    x[between] = 0.5 * (domains.low[between] + domains.high[between])
    if open_.any():
        x = best_pooled(arrays, x, open_, parameters)
    value = value_at(arrays, x)
    if not np.isfinite(value):
        raise NoDensity(x)
    normal = [j for j, effect in enumerate(structure.effects) if effect.law == "normal"]
    if normal:
        sizes = centres_of(arrays, x)
        for g in range(len(arrays.sd_index)):
            for j in normal:
                i = int(arrays.sd_index[g, j])
                if i >= 0 and i not in given and not parameters.fixed[i]:
                    x[i] = SHARE * sizes[j] if sizes[j] > 0.0 else 1.0
    return x


def every_cluster(arrays: NonlinearArrays) -> NDArray[np.int64]:
    """The numbers (C,) of all clusters."""
    return np.arange(len(arrays.group))


def some_clusters(arrays: NonlinearArrays) -> NDArray[np.int64]:
    """Numbers of clusters, evenly spaced, that have at least `ENOUGH` rows; of all where there are few rows."""
    every, rows = every_cluster(arrays), int(arrays.first[-1])
    return every[:: max(1, rows // ENOUGH)]


def value_at(arrays: NonlinearArrays, x: Floats) -> float:
    """The log-likelihood without random effects."""
    return float(pooled(arrays, every_cluster(arrays), x, 0, np.empty(len(x))))


def best_pooled(arrays: NonlinearArrays, x: Floats, moving: NDArray[np.bool_], parameters: Parameters) -> Floats:
    """The best of several local maxima of the likelihood without random effects, in some parameters (n,)."""
    from scipy.optimize import minimize

    domains, n, clusters = parameters.domains, len(x), some_clusters(arrays)
    index = np.flatnonzero(moving)
    own = domains.take(index)
    rng = np.random.default_rng(0)
    centre = own.to_free(x[index])

    def point(free: Floats) -> Floats:
        """Parameters (.., n) from those that are sought (.., k), without bounds."""
        full = np.array(np.broadcast_to(x, (*free.shape[:-1], n)))
        full[..., index] = own.from_free(np.where(own.is_real, free, np.clip(free, -FARTHEST, FARTHEST)))
        return full

    def minus(free: Floats) -> tuple[float, Floats]:
        full, gradient = point(free), np.empty(n)
        value = pooled(arrays, clusters, full, n, gradient)
        slope = gradient[index] * own.slopes(full[index])
        if not (np.isfinite(value) and np.isfinite(slope).all()):
            return 1e100, np.zeros(len(index))
        return -value, -slope

    tried, climbed = min(TRIED * len(index), MOST_TRIED), CLIMBED if len(index) > 1 else 1
    near = np.vstack([centre, centre + RANGE * rng.standard_normal((tried, len(index)))])
    far = WIDE * rng.standard_normal((tried // 2, len(index)))
    far = np.vstack([centre + np.where(own.is_real, np.sinh(far), far), of_columns(arrays, own, tried // 2, rng)])

    def climb(points: Floats, first: list[int]) -> tuple[float, Floats]:
        best, values = (-np.inf, x), np.empty(len(points))
        pooled_each(arrays, clusters, point(points), 0, values)
        values[~np.isfinite(values)] = -np.inf
        order = [*first, *(int(k) for k in np.argsort(-values)[: climbed + 1] if k not in first)]
        for k in order[: climbed + len(first)]:
            if not np.isfinite(values[k]):
                continue
            unit = np.where(own.is_real & (np.abs(points[k]) > LARGE), np.abs(points[k]), 1.0)

            def scaled(at: Floats, unit: Floats = unit) -> tuple[float, Floats]:
                value, slope = minus(at * unit)
                return value, slope * unit

            found = minimize(scaled, points[k] / unit, jac=True, method="L-BFGS-B", options={"maxiter": 200})
            if -found.fun > best[0] + TIED:
                best = -float(found.fun), point(found.x * unit)
        return best

    def units_at(free: Floats) -> Floats:
        """The sizes (k,) of parameters without bounds by the curvature of the likelihood, and one for the others."""
        unit, slope = np.ones(len(free)), minus(free)[1]
        for i in np.flatnonzero(own.is_real):
            step = max(1.0, abs(float(free[i])))
            moved = free.copy()
            moved[i] += step
            curvature = abs(minus(moved)[1][i] - slope[i]) / step
            if np.isfinite(curvature) and curvature > 0.0:
                unit[i] = 1.0 / np.sqrt(curvature)
        return unit

    def improved(best: tuple[float, Floats]) -> tuple[float, Floats]:
        """Go on in units of the curvature while that leads higher: where a slope is a million, one is no step."""
        for _ in range(ROUNDS):
            free = own.to_free(best[1][index])
            unit = units_at(free)

            def scaled(at: Floats, unit: Floats = unit) -> tuple[float, Floats]:
                value, slope = minus(at * unit)
                return value, slope * unit

            found = minimize(scaled, free / unit, jac=True, method="L-BFGS-B", options={"maxiter": 200})
            if -found.fun <= best[0] + BETTER:
                break
            best = -float(found.fun), point(found.x * unit)
        return best

    with np.errstate(all="ignore"), one_thread():
        best, other = climb(near, [0]), climb(far, [])
        if other[0] > best[0] + BETTER:  # the units are far from one: look around there as before around one
            middle = own.to_free(other[1][index])
            size = np.where(own.is_real, np.maximum(1.0, np.abs(middle)), 1.0)
            around = climb(middle + RANGE * size * rng.standard_normal((tried, len(index))), [])
            best = max(other, around, key=lambda found: found[0])
        clusters = every_cluster(arrays)
        if not np.isfinite(best[0]):
            return best[1]
        # far out a coefficient moves nothing, and no search leads back: once more with all of them in the middle
        calm = point(np.where(own.is_real, centre, own.to_free(best[1][index])))
        found = [improved((value_at(arrays, start), start)) for start in (best[1], calm)]
        return found[int(found[1][0] > found[0][0] + BETTER)][1]


def of_columns(arrays: NonlinearArrays, domains: Domains, count: int, rng: np.random.Generator) -> Floats:
    """Points (count, k), on the scale without bounds, whose parameters have sizes of columns: a midpoint, a plateau."""
    sizes = np.median(np.abs(arrays.columns), axis=0)
    sizes = np.append(1.0, sizes[np.isfinite(sizes) & (sizes > 0.0)])
    shape = count, len(domains)
    found = rng.choice(sizes, shape) * np.exp(rng.standard_normal(shape))
    signs = np.where(rng.random(shape) < NEGATIVE, -1.0, 1.0)
    between = domains.from_free(RANGE * rng.standard_normal(shape))
    kinds = [domains.is_real, domains.is_positive]
    return np.asarray(domains.to_free(np.select(kinds, [signs * found, domains.low + found], between)))


def centres_of(arrays: NonlinearArrays, x: Floats) -> Floats:
    """Root mean squares (d,) of the centres of the coordinates."""
    centres = np.empty((len(arrays.group), arrays.sd_index.shape[1]))
    fill_all_centres(arrays, x, centres)
    return np.asarray(np.sqrt(np.mean(centres**2, axis=0)))
