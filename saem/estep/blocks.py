"""Many clusters are drawn in blocks, which threads share: with the same bits for any number of threads.

Every block has a stream of its own in every draw, seeded by words of the stream that the draw is asked to use. So that
stream alone, and the chain, are what a fit goes on with, as for few clusters. Sums are formed in the order of blocks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from saem.estep.kernel_state import ADAPTING, Kernel, Metropolis, follow, keep_time
from saem.estep.metropolis import complete_clusters_inside, complete_inside, move_clusters
from saem.families import contract
from saem.families.contract import limit, supply
from saem.system.jit import call_address, entry, kernel
from saem.system.sharing import callable_by_address, numbers_at, share

Array = np.ndarray

BLOCK = 1_000  # clusters; fewer are drawn from the one stream
WORDS = 3  # of the seed of a block: those of numpy's own seeds of SFC64, which has a counter beside
BITS = 53  # of a word, from a uniform number
ROUNDS = 12  # of the generator before its first number, as in numpy
SIZE, ALL = 3, -1  # numbers of a request before clusters and words; in place of a number of clusters


class Blocks(NamedTuple):
    """Arrays of a family and the chains of many clusters, for the compiled functions of the contract.

    They call a Python function by its address, which has blocks drawn.
    """

    arrays: Any  # of the family
    kernel: Kernel
    blocks: int  # how many
    address: int


@entry
def draw_block(
    arrays: Any,
    state: Kernel,
    only: int,
    x: Array,
    rng: np.random.Generator,
    m: int,
    first: int,
    end: int,
    clusters: Array,
    statistics: Array,
) -> None:
    """Let the clusters from the ``first`` to the ``end`` follow the parameters, and draw some of them (k,)."""
    follow(arrays, state, only, x, rng, first, end)
    move_clusters(arrays, state, x, rng, m, clusters, statistics)


class Drawer:
    """What the compiled functions of `Blocks` call.

    Parameters
    ----------
    drawing : Metropolis
    size : int
        Clusters of a block.
    """

    def __init__(self, drawing: Metropolis, size: int) -> None:
        self.drawing, self.size = drawing, size
        self.clusters = np.arange(len(drawing.kernel.latent))
        self.count = -(-len(self.clusters) // size)
        self.generators = [np.random.Generator(np.random.SFC64(0)) for _ in range(self.count)]

    def __call__(self, x_at: int, request_at: int, statistics_at: int, _: int) -> None:
        """Write the statistics (s,) or (k, s) that are requested: ``m``, ``s``, ``k`` or `ALL`, clusters and words."""
        m, s, k = map(int, numbers_at(request_at, SIZE))
        chosen = max(0, k)
        request = numbers_at(request_at, SIZE + chosen + WORDS * self.count)[SIZE:]
        x = numbers_at(x_at, len(self.drawing.kernel.last_x))
        self.seed(request[chosen:].reshape(self.count, WORDS))
        if k == ALL:
            parts = np.zeros((self.count, s))
            self.draw(x, m, [self.clusters[self.of(block)] for block in range(self.count)], list(parts[:, None]))
            numbers_at(statistics_at, s)[:] = parts.sum(axis=0)
        else:
            self.draw_some(x, m, request[:chosen].astype(np.int64), numbers_at(statistics_at, k * s).reshape(k, s))

    def of(self, block: int) -> slice:
        """The clusters of a block."""
        return slice(block * self.size, min(len(self.clusters), (block + 1) * self.size))

    def seed(self, words: Array) -> None:
        """Let the stream of each block begin, by its words (blocks, `WORDS`) in [0, 1)."""
        seeds = np.ones((self.count, WORDS + 1), dtype=np.uint64)  # the last is the counter
        seeds[:, :WORDS] = words * 2.0**BITS
        for generator, state in zip(self.generators, seeds, strict=True):
            bits: Any = generator.bit_generator
            bits.state = {"bit_generator": "SFC64", "state": {"state": state}, "has_uint32": 0, "uinteger": 0}
            bits.random_raw(ROUNDS, output=False)

    def draw_some(self, x: Array, m: int, clusters: Array, statistics: Array) -> None:
        """Write the statistics (k, s) of some clusters (k,), in any order."""
        blocks = clusters // self.size
        order = np.argsort(blocks, kind="stable")
        ends = np.searchsorted(blocks[order], np.arange(self.count + 1))
        statistics[:] = 0.0
        is_sorted = np.array_equal(order, np.arange(len(order)))
        rows = statistics if is_sorted else np.zeros_like(statistics)
        own = [slice(*ends[block : block + 2]) for block in range(self.count)]
        self.draw(x, m, [clusters[order[part]] for part in own], [rows[part] for part in own])
        if not is_sorted:
            statistics[order] = rows

    def draw(self, x: Array, m: int, clusters: list[Array], statistics: list[Array]) -> None:
        """Let all clusters follow the parameters, and draw those of each block."""
        drawing, moves = self.drawing, np.zeros((self.count, 2))

        def do(block: int) -> None:
            all_of_it = self.of(block)
            draw_block(
                drawing.arrays,
                drawing.kernel._replace(acceptance=moves[block]),
                drawing.only,
                x,
                self.generators[block],
                m,
                all_of_it.start,
                all_of_it.stop,
                clusters[block],
                statistics[block],
            )

        share(self.count, do)
        drawing.kernel.acceptance[:] += moves.sum(axis=0)


@contextmanager
def in_blocks(drawing: Metropolis) -> Iterator[Metropolis | Blocks]:
    """See `saem.estep.samplers.shared`."""
    if len(drawing.kernel.latent) <= BLOCK:
        yield drawing
        return
    drawer = Drawer(drawing, BLOCK)
    with callable_by_address(drawer) as address:
        yield Blocks(drawing.arrays, drawing.kernel, drawer.count, address)


@kernel
def request_draws(
    blocks: Blocks, x: Array, rng: np.random.Generator, m: int, k: int, clusters: Array, statistics: Array
) -> None:
    """Have ``k`` clusters drawn, or `ALL`; see `Drawer`."""
    count, given = WORDS * blocks.blocks, clusters.shape[0]
    request = np.empty(SIZE + given + count)
    request[0], request[1], request[2] = m, statistics.shape[1], k
    for i in range(given):
        request[SIZE + i] = clusters[i]
    for i in range(count):
        request[SIZE + given + i] = rng.random()
    call_address(blocks.address, x, request, statistics, request)
    keep_time(blocks.kernel, x)


@kernel
def draw_all_blocks(blocks: Blocks, x: Array, rng: np.random.Generator, m: int, statistics: Array) -> None:
    """See `saem.families.contract.draw`."""
    for i in range(statistics.shape[0]):
        statistics[i] = math.nan
    if m == 0:
        return
    nobody = np.empty(0, dtype=np.int64)
    request_draws(blocks, x, rng, m, ALL, nobody, statistics.reshape((1, statistics.shape[0])))
    if blocks.kernel.clock[ADAPTING] == 1:
        limit(blocks.arrays, x, statistics)


@kernel
def draw_some_blocks(
    blocks: Blocks, x: Array, rng: np.random.Generator, m: int, clusters: Array, statistics: Array
) -> None:
    """See `saem.families.contract.draw_clusters`."""
    for i in range(statistics.shape[0]):
        for j in range(statistics.shape[1]):
            statistics[i, j] = math.nan
    if m > 0:
        request_draws(blocks, x, rng, m, clusters.shape[0], clusters, statistics)


supply(contract.draw, Blocks, draw_all_blocks)
supply(contract.complete, Blocks, complete_inside)
supply(contract.draw_clusters, Blocks, draw_some_blocks)
supply(contract.complete_clusters, Blocks, complete_clusters_inside)
