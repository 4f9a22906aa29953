"""The marginal likelihood of many clusters is summed in blocks, which threads share; draws: `saem.estep.blocks`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from saem.estep.integration.marginal import Quadrature, integrate, unpack
from saem.families.contract import evaluate, supply
from saem.system.jets import jet_length
from saem.system.jit import call_address, entry, kernel
from saem.system.sharing import callable_by_address, numbers_at, share

Array = np.ndarray

BLOCK = 1_000  # clusters whose integrals are one sum; of more clusters, sums of blocks are added


@entry
def integrate_block(objective: Quadrature, x: Array, out: Array) -> None:
    """`integrate` for Python."""
    integrate(objective, x, out)


class SharedQuadrature(NamedTuple):
    """The same objective for many clusters: a Python function at this address lets threads share blocks of them."""

    address: int


@kernel
def by_blocks(shared: SharedQuadrature, x: Array, gradient: Array, hessian: Array) -> float:
    """`by_rule` for many clusters."""
    out = np.full(jet_length(x.shape[0]), math.nan)
    call_address(shared.address, x, out, gradient, hessian)
    return unpack(out, gradient, hessian)


@contextmanager
def shared_objective(objective: Any, n: int) -> Iterator[Any]:
    """The objective of ``n`` parameters to hand to compiled functions, within the block.

    Where it is an integral for many clusters, threads share them.
    Sums are formed block by block, for any number of threads.
    """
    if not isinstance(objective, Quadrature) or len(objective.clusters) <= BLOCK:
        yield objective
        return
    begins = range(0, len(objective.clusters), BLOCK)
    blocks = [objective._replace(clusters=objective.clusters[i : i + BLOCK], constant=0.0) for i in begins]

    def integrate_all(x_at: int, out_at: int, *_: int) -> None:
        x, out = numbers_at(x_at, n), numbers_at(out_at, (n + 1) * (n + 2) // 2)
        parts = np.empty((len(blocks), len(out)))
        share(len(blocks), lambda block: integrate_block(blocks[block], x, parts[block]))
        out[:] = parts.sum(axis=0)
        out[0] += objective.constant

    with callable_by_address(integrate_all) as address:
        yield SharedQuadrature(address)


supply(evaluate, SharedQuadrature, by_blocks)
