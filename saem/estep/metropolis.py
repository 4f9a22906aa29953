"""Markov kernels for the random effects of any family with `log_complete`, mixed cluster by cluster.

In coordinates ``w`` that put the mode of a cluster's random effects at zero and give them unit curvature there, a
move is

* independent: a multivariate t (8 df) at the mode. Best by far where the density is nearly normal, and lost on a ridge;
* walk: a random walk in all coordinates, of ``2.4 / sqrt(d)`` times a scale of the cluster's own;
* componentwise: a random walk in one random effect after the other, by their conditional standard deviations;
* prior: a draw from the law before the data are seen, so that no mode is out of reach for good.

Which of them is tried is drawn with probabilities of the cluster, whatever its state, so that each and their mixture
leave ``p(u | y; x)`` invariant at any ``x``, wherever modes and scales were found; these are in
`saem.estep.kernel_state`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from saem.estep.kernel_state import (
    ADAPTING,
    CALLS,
    COMPONENTWISE,
    INDEPENDENT,
    PRIOR,
    WALK,
    Kernel,
    Metropolis,
    follow,
    keep_time,
)
from saem.estep.modes import place, square_distance
from saem.families import contract
from saem.families.contract import (
    accumulate_prepared,
    complete,
    complete_clusters,
    limit,
    log_complete_prepared,
    n_effects,
    prepare,
    prepared_size,
    supply,
)
from saem.system.jit import borrowed, inlined, kernel, release

Array = np.ndarray

FREEDOM = 8.0  # of the t proposals
STEP = 2.4  # conditional standard deviations, over the root of the dimension (Gelman, Roberts & Gilks 1996)
FARTHEST = 5.0  # logarithm of a scale, either way


@kernel
def choose_kind(shares: Array, rng: np.random.Generator) -> int:
    """Draw the kind of a move."""
    left = rng.random()
    for kind in range(shares.shape[0]):
        left -= shares[kind]
        if left < 0.0:
            return kind
    return INDEPENDENT


@kernel
def note_move(counts: Array, acceptance: Array, scales: Array, clock: Array, kind: int, d: int, accepted: bool) -> None:
    """Count a move of a cluster, and adapt the scale of a random walk towards the rate that is best for it.

    Arrays are those of the kernel, for the cluster and the kind: whole tuples of them would take longer to hand over
    than the move.
    """
    counts[1] += 1.0
    acceptance[1] += 1.0
    if accepted:
        counts[0] += 1.0
        acceptance[0] += 1.0
    if clock[ADAPTING] == 1 and (kind == WALK or kind == COMPONENTWISE):
        wanted = 0.234 + 0.206 / (d if kind == WALK else 1)  # Roberts & Rosenthal (2001): 0.44 in one dimension
        i = kind - WALK
        gain = ((1.0 if accepted else 0.0) - wanted) / math.sqrt(1.0 + clock[CALLS])
        scales[i] = min(max(scales[i] + gain, -FARTHEST), FARTHEST)


@kernel
def propose(
    modes: Array,
    factors: Array,
    log_scales: Array,
    kind: int,
    component: int,
    rng: np.random.Generator,
    here: Array,
    there: Array,
) -> float:
    """Write a proposal ``there`` (d,) of a cluster, given its part of the kernel's arrays.

    Returns the log of the ratio of the proposals' densities, back over forth.
    """
    d = here.shape[0]
    mode, factor = modes[:d], factors[:d, :d]
    if kind == COMPONENTWISE:
        curvature = 0.0
        for j in range(d):
            there[j] = here[j]
            curvature += factor[component, j] * factor[component, j] if j <= component else 0.0
        step = STEP * math.exp(log_scales[1])
        there[component] += step * rng.standard_normal() / math.sqrt(curvature)
        return 0.0
    if kind == WALK:
        step = STEP / math.sqrt(d) * math.exp(log_scales[0])
        for j in range(d):
            there[j] = step * rng.standard_normal()
        place(here, factor, there)
        return 0.0
    before, after = 0.0, 0.0
    if kind == PRIOR:
        for j in range(d):
            there[j] = rng.standard_normal()
            before += here[j] * here[j]
            after += there[j] * there[j]
        return 0.5 * (after - before)
    stretch = math.sqrt(0.5 * FREEDOM / rng.standard_gamma(0.5 * FREEDOM))
    for j in range(d):
        there[j] = stretch * rng.standard_normal()
        after += there[j] * there[j]
    before = square_distance(mode, factor, here)
    place(mode, factor, there)
    return float(0.5 * (FREEDOM + d) * (math.log1p(after / FREEDOM) - math.log1p(before / FREEDOM)))


@kernel
def move_clusters(
    arrays: Any, state: Kernel, x: Array, rng: np.random.Generator, m: int, clusters: Array, statistics: Array
) -> None:
    """Make ``m`` moves of clusters (k,), and add the means of the statistics after each, to their rows or to one."""
    arrays, state = borrowed(arrays), borrowed(state)
    x, statistics = borrowed(x), borrowed(statistics)
    most, size = state.latent.shape[1], prepared_size(arrays)
    memory, before = np.empty(2 * most + 2 + m * most + size), -1  # one allocation
    room = borrowed(memory)
    value, other = room[:1].reshape((1, 1)), room[1:2].reshape((1, 1))
    prepared = room[2 + (2 + m) * most :]
    for at in range(clusters.shape[0]):
        cluster, row = clusters[at], statistics[at if statistics.shape[0] > 1 else 0]
        d = n_effects(arrays, x, cluster)
        current, proposal = room[2 : 2 + d], room[2 + d : 2 + 2 * d]
        here, there = current.reshape((1, d, 1)), proposal.reshape((1, d, 1))
        kept = room[2 + 2 * d : 2 + (2 + m) * d].reshape((m, d))
        for j in range(d):
            current[j] = state.latent[cluster, j]
        value[0, 0] = -math.inf
        known = prepare(arrays, x, cluster, before, prepared)
        before = cluster if known else -1
        if d > 0 and known:
            log_complete_prepared(arrays, x, cluster, prepared, here, value)
        for sweep in range(m):
            kind = choose_kind(state.shares[cluster], rng)
            moves = 0 if d == 0 or not known else (d if kind == COMPONENTWISE else 1)
            for component in range(moves):
                ratio = propose(
                    state.modes[cluster],
                    state.factors[cluster],
                    state.log_scales[cluster],
                    kind,
                    component,
                    rng,
                    current,
                    proposal,
                )
                log_complete_prepared(arrays, x, cluster, prepared, there, other)
                accepted = -rng.standard_exponential() < ratio + other[0, 0] - value[0, 0]
                note_move(
                    state.counts[cluster, kind],
                    state.acceptance,
                    state.log_scales[cluster],
                    state.clock,
                    kind,
                    d,
                    accepted,
                )
                if accepted:
                    value[0, 0] = other[0, 0]
                    for j in range(d):
                        current[j] = proposal[j]
            for j in range(d):
                kept[sweep, j] = current[j]
        if known:
            accumulate_prepared(arrays, x, cluster, prepared, kept, 1.0 / m, row)
        else:
            row[0] = math.nan
        for j in range(d):
            state.latent[cluster, j] = current[j]
    release(memory)


@inlined
def draw_all(metropolis: Metropolis, x: Array, rng: np.random.Generator, m: int, statistics: Array) -> None:
    """See `saem.families.contract.draw`."""
    for i in range(statistics.shape[0]):
        statistics[i] = math.nan if m == 0 else 0.0
    if m == 0:
        return
    state = metropolis.kernel
    clusters, row = np.arange(state.latent.shape[0]), statistics.reshape((1, statistics.shape[0]))
    follow(metropolis.arrays, state, metropolis.only, x, rng, 0, clusters.shape[0])
    keep_time(state, x)
    move_clusters(metropolis.arrays, state, x, rng, m, clusters, row)
    if state.clock[ADAPTING] == 1:  # afterwards a bound that depends on what was drawn would be a bias
        limit(metropolis.arrays, x, statistics)


@inlined
def draw_some(
    metropolis: Metropolis, x: Array, rng: np.random.Generator, m: int, clusters: Array, statistics: Array
) -> None:
    """See `saem.families.contract.draw_clusters`."""
    state = metropolis.kernel
    for i in range(statistics.shape[0]):
        for j in range(statistics.shape[1]):
            statistics[i, j] = math.nan if m == 0 else 0.0
    if m > 0:
        follow(metropolis.arrays, state, metropolis.only, x, rng, 0, state.latent.shape[0])
        keep_time(state, x)
        move_clusters(metropolis.arrays, state, x, rng, m, clusters, statistics)


@inlined
def complete_inside(sampler: Any, statistics: Array, x: Array, gradient: Array, hessian: Array) -> float:
    """`complete` of the family whose arrays are inside of those of a sampler."""
    return complete(sampler.arrays, statistics, x, gradient, hessian)


@inlined
def complete_clusters_inside(
    sampler: Any, clusters: Array, statistics: Array, x: Array, values: Array, gradients: Array, hessian: Array
) -> None:
    """`complete_clusters` of the family whose arrays are inside of those of a sampler."""
    complete_clusters(sampler.arrays, clusters, statistics, x, values, gradients, hessian)


supply(contract.draw, Metropolis, draw_all)
supply(contract.complete, Metropolis, complete_inside)
supply(contract.draw_clusters, Metropolis, draw_some)
supply(contract.complete_clusters, Metropolis, complete_clusters_inside)
