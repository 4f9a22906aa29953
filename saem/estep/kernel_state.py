"""What the Markov kernels of `saem.estep.metropolis` go on with, and how it follows the parameters.

Modes and curvatures are found anew ever more rarely, for good, from the last ones on: they depend on the ``x`` alone
that there were, and where data are rich, proposals at the mode of an ``x`` that is one standard error away are hardly
ever accepted. Probabilities and scales, which are functions of what the chain has done, change while the kernel adapts,
and never afterwards. All that a chain goes on with is in `Kernel`, arrays that are changed in place: whoever copies,
saves or puts them back has the chain, bit for bit.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from saem.estep.modes import NEARLY, climb_to_mode, find_mode, place
from saem.families.contract import fill_carry, n_effects, prepare, prepared_size
from saem.system.jit import borrowed, inlined, kernel

Array = np.ndarray

INDEPENDENT, WALK, COMPONENTWISE, PRIOR = 0, 1, 2, 3
NAMES = ("independent", "walk", "componentwise", "prior")
MIXTURE = -1  # of all of them, the kernel that is used unless one of them alone is asked for
#: The kernels by the names of samplers, as numbers; draws from the prior alone would be of no use.
KERNELS = {"mixture": MIXTURE, "independent": INDEPENDENT, "walk": WALK, "componentwise": COMPONENTWISE}
NOW_AND_THEN = 0.05  # probability of a draw from the prior
FEWEST, MOST = 0.1, 0.85  # probability of an independent move, where hardly any and where nearly all are accepted
EXPECTED, WORTH = (
    0.8,
    4.0,
)  # acceptance of independent moves before any was made, and the number of moves that it is worth
REFRESHED = 8  # a refresh comes after one more draw in so many that were made before
TELLING = 100  # moves of a cluster that tell its rate of acceptance
CALLS, NEXT, ADAPTING = 0, 1, 2  # of the clock
AT_MODES = -1  # for the next refresh: random effects are put near the modes then


class Kernel(NamedTuple):
    """The state of the chains of C clusters with up to d random effects, changed in place."""

    latent: Array  # (C, d) u
    acceptance: Array  # (2,) moves accepted and proposed, in all
    counts: Array  # (C, 4, 2) moves accepted and proposed since the last refresh, by kind
    shares: Array  # (C, 4) probabilities of the kinds
    log_scales: Array  # (C, 2) of walks, and of componentwise ones
    modes: Array  # (C, d)
    factors: Array  # (C, d, d) lower Cholesky factors of the curvatures at the modes
    clock: Array  # (3,) int64: calls of `draw`, the call before which it is refreshed next, whether it adapts
    last_x: Array  # (n,) parameters of the last call


class Metropolis(NamedTuple):
    """Arrays of a family and the chains by which its latent data are drawn.

    `draw` and `complete` of `saem.families.contract` are overloaded for them: they may be the arrays of a `Problem`.
    """

    arrays: Any  # of the family, those of `Clusters.joint`
    kernel: Kernel
    only: int = MIXTURE  # the one kind of moves that is made, unless it is the mixture

    @property
    def latent(self) -> Array:
        """Random effects (C, d)."""
        return self.kernel.latent

    @property
    def acceptance(self) -> Array:
        """Moves (2,) accepted and proposed."""
        return self.kernel.acceptance

    @property
    def acceptance_rates(self) -> Array:
        """Share (C,) of accepted moves of each cluster, nan where none was made.

        Since adaptation stopped; while it goes on, since the last refresh.
        """
        accepted, proposed = self.kernel.counts.sum(axis=1).T
        return np.where(proposed > 0, accepted / np.maximum(proposed, 1), np.nan)

    @property
    def settled_rates(self) -> Array:
        """Those rates (C,), nan where fewer than `TELLING` moves were made; empty while the kernel adapts."""
        if self.kernel.clock[ADAPTING]:
            return np.empty(0)
        return np.where(self.kernel.counts[:, :, 1].sum(axis=1) < TELLING, np.nan, self.acceptance_rates)

    def adapt(self, on: bool) -> None:
        """Let the kernel adapt from now on, or no more; a kernel that was never set up is set up in any case."""
        if self.kernel.clock[ADAPTING] and not on:
            self.kernel.counts[...] = 0.0  # what is accepted from now on is what the chains are worth
        self.kernel.clock[ADAPTING] = int(on)

    def begin_anew(self) -> None:
        """Let random effects begin near the modes again, at the parameters of the next draw."""
        self.kernel.clock[NEXT] = AT_MODES

    def renew(self) -> None:
        """Let modes and curvatures be found anew before the next draw."""
        self.kernel.clock[NEXT] = 0


def metropolis(arrays: Any, n_clusters: int, n_random: int, n: int, only: int = MIXTURE) -> Metropolis:
    """Chains that adapt, and begin near the modes at the parameters of the first draw.

    Parameters
    ----------
    arrays : NamedTuple
        Of a family with `log_complete` and `accumulate`.
    n_clusters : int
    n_random : int
        The largest number of random effects of a cluster.
    n : int
        Number of parameters.
    only : int
        A kind of moves that is made alone; see `KERNELS`.
    """
    shape = n_clusters, n_random
    kernel = Kernel(
        latent=np.zeros(shape),
        acceptance=np.zeros(2),
        counts=np.zeros((n_clusters, len(NAMES), 2)),
        shares=np.zeros((n_clusters, len(NAMES))),
        log_scales=np.zeros((n_clusters, 2)),
        modes=np.zeros(shape),
        factors=np.zeros((*shape, n_random)),
        clock=np.array([0, 0, 1]),
        last_x=np.zeros(n),
    )
    return Metropolis(arrays, kernel, only)


@kernel
def fill_shares(state: Kernel, cluster: int, d: int) -> None:
    """Set a cluster's probabilities by what its independent moves since the last refresh were accepted at."""
    counts, shares = state.counts[cluster, INDEPENDENT], state.shares[cluster]
    rate = (counts[0] + WORTH * EXPECTED) / (counts[1] + WORTH)
    shares[INDEPENDENT] = min(max(rate, FEWEST), MOST)
    shares[PRIOR] = NOW_AND_THEN
    left = 1.0 - shares[INDEPENDENT] - shares[PRIOR]
    shares[COMPONENTWISE] = 0.5 * left if d > 1 else 0.0
    shares[WALK] = left - shares[COMPONENTWISE]


@kernel
def refresh(arrays: Any, state: Kernel, only: int, x: Array, rng: np.random.Generator, first: int, end: int) -> None:
    """Find modes and curvatures at ``x`` of the clusters from the ``first`` to the ``end``.

    While the kernel adapts, find probabilities, too.

    Before the first draw, and where that was asked for, put the random effects near the modes.
    """
    arrays, state, x = borrowed(arrays), borrowed(state), borrowed(x)
    adapts = state.clock[ADAPTING] == 1 or state.clock[CALLS] == 0
    begins = state.clock[CALLS] == 0 or state.clock[NEXT] == AT_MODES
    for cluster in range(first, end):
        d = n_effects(arrays, x, cluster)
        mode, factor = np.empty(d), np.empty((d, d))
        height = math.nan
        if state.clock[CALLS] > 0:  # from the last one
            for j in range(d):
                mode[j] = state.modes[cluster, j]
            height = climb_to_mode(arrays, x, cluster, NEARLY, mode, factor)
        if not math.isfinite(height):
            height = find_mode(arrays, x, cluster, mode, factor)
        if not math.isfinite(height):  # the prior's
            for j in range(d):
                mode[j] = 0.0
                for k in range(d):
                    factor[j, k] = 1.0 if j == k else 0.0
        if adapts:
            fill_shares(state, cluster, d)
            for kind in range(state.counts.shape[1]):
                state.counts[cluster, kind, 0] = 0.0
                state.counts[cluster, kind, 1] = 0.0
                if only != MIXTURE:
                    state.shares[cluster, kind] = 1.0 if kind == only else 0.0
        for j in range(d):
            state.modes[cluster, j] = mode[j]
            for k in range(d):
                state.factors[cluster, j, k] = factor[j, k]
        if begins:
            point = np.empty(d)
            for j in range(d):
                point[j] = rng.standard_normal()
            place(mode, factor, point)
            for j in range(d):
                state.latent[cluster, j] = point[j]


@kernel
def carry(arrays: Any, state: Kernel, x: Array, first: int, end: int) -> None:
    """Express chains and modes by the random effects at ``x``, where latent data stay as parameters move.

    With rich data the rows tell where individual parameters are, whatever their law is: the same random effects at
    other parameters would be many of their standard deviations off.
    """
    arrays, state, x = borrowed(arrays), borrowed(state), borrowed(x)
    most, size = state.latent.shape[1], prepared_size(arrays)
    prepared, last, before = np.empty(size), np.empty(size), -1
    matrix, point = np.empty((most + 1, most)), np.empty(most)
    for cluster in range(first, end):
        d = n_effects(arrays, x, cluster)
        known = prepare(arrays, x, cluster, before, prepared)
        known = prepare(arrays, state.last_x, cluster, before, last) and known
        before = cluster if known else -1
        if d == 0 or not known or not fill_carry(arrays, cluster, prepared, last, matrix[: d + 1, :d]):
            continue
        for which in range(2):
            row = state.latent[cluster] if which == 0 else state.modes[cluster]
            for j in range(d):
                point[j] = matrix[d, j]
                for k in range(d):
                    point[j] += matrix[k, j] * row[k]
            for j in range(d):
                row[j] = point[j]


@kernel
def are_equal(x: Array, other: Array) -> bool:
    """Whether two arrays (n,) are equal."""
    for i in range(x.shape[0]):
        if x[i] != other[i]:
            return False
    return True


@kernel
def is_due(clock: Array) -> bool:
    """Whether modes are found anew before the next draw."""
    return bool(clock[CALLS] == 0 or clock[CALLS] >= clock[NEXT])


@inlined
def follow(arrays: Any, state: Kernel, only: int, x: Array, rng: np.random.Generator, first: int, end: int) -> None:
    """Let the clusters from the ``first`` to the ``end`` follow the parameters, before `keep_time` and their moves."""
    if state.clock[CALLS] > 0 and not are_equal(x, state.last_x):
        carry(arrays, state, x, first, end)
    if is_due(state.clock):
        refresh(arrays, state, only, x, rng, first, end)


@kernel
def keep_time(state: Kernel, x: Array) -> None:
    """Count a draw of all clusters that have followed the parameters (n,)."""
    clock = state.clock
    for i in range(x.shape[0]):
        state.last_x[i] = x[i]
    if is_due(clock):
        clock[NEXT] = clock[CALLS] + 1 + clock[CALLS] // REFRESHED
    clock[CALLS] += 1
