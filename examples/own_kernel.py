"""A kernel of one's own: `python examples/own_kernel.py`.

A sampler is an object with a `name` and `arrays(problem)`. The arrays are a NamedTuple, of a type of its own, which is
supplied with a `draw` (`saem.families.contract`). It has a file of its own: compiled code is kept on disk beside the
time and size of the file that it comes from.

A field `latent` (float64, changed in place by `draw`) marks a Markov kernel: it holds all that is carried over, so that
runs do not disturb each other and a fit can go on, and Monte Carlo errors then come from batch means of draws at the
estimate, not from the variance of independent draws. With a field `acceptance` (moves made, moves proposed) their share
is recorded.

Draws of one sweep of this kernel and of the next have the correlation 1/2, so that at equal draws the variance is
(1 + 1/2) / (1 - 1/2) = 3 times that of independent ones, and Monte Carlo errors are larger by the root of 3.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from peptide import model, table

import saem
from saem.algorithms.saem import SAEM
from saem.families import contract
from saem.system.jit import kernel


class LazyArrays(NamedTuple):
    """The family's arrays, and the state of the chain."""

    own: Any
    latent: np.ndarray  # (s,) the statistics drawn last; nan before the first draw
    acceptance: np.ndarray  # (2,) moves that were made, and proposed


@kernel
def draw_lazily(arrays, x, rng, m, statistics):
    """Draw, or with probability 1/2 keep what was drawn last; ``m`` times."""
    if m == 0:
        contract.draw(arrays.own, x, rng, 0, statistics)
        return
    latent, counts = arrays.latent, arrays.acceptance
    statistics[:] = 0.0
    for _ in range(m):
        if np.isnan(latent[0]) or rng.random() < 0.5:
            contract.draw(arrays.own, x, rng, 1, latent)
            counts[0] += 1.0
        counts[1] += 1.0
        statistics += latent / m


contract.supply(contract.draw, LazyArrays, draw_lazily)


class Lazy:
    """A Markov kernel for every family with exact draws, to study what correlation costs an algorithm."""

    name = "lazy"

    def arrays(self, problem):
        """The arrays of a problem, with a chain that has not begun."""
        return LazyArrays(problem.arrays, np.full(problem.latent.n_statistics, np.nan), np.zeros(2))


if __name__ == "__main__":
    found = saem.compare(model(), table(), methods={"lazy": SAEM(sampler=Lazy()), "default": "saem", "ml": "ml"})
    print(found.table[["method", "deficit", "status"]])
