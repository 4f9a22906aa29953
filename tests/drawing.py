"""Draws of the complete-data statistics through the contract alone, many at once, for any family."""

from __future__ import annotations

from typing import Any

import numpy as np

from saem.jit import entry
from saem.models.contract import Problem, draw


@entry
def fill_draws(arrays, x, rng, m, statistics):
    """Write in each row of ``statistics`` (N, s) the mean of the statistics over ``m`` draws."""
    for k in range(statistics.shape[0]):
        draw(arrays, x, rng, m, statistics[k])


def own_chain(arrays: Any) -> Any:
    """The arrays, with a state of their own where the family is drawn by a chain."""
    return arrays._replace(
        **{name: getattr(arrays, name).copy() for name in ("latent", "acceptance") if hasattr(arrays, name)}
    )


def drawn(problem: Problem, x: Any, n: int, m: int = 1, seed: int = 0) -> np.ndarray:
    """Statistics (n, s): each row the mean over ``m`` draws of all random effects."""
    statistics = np.full((n, problem.n_statistics), np.nan)
    rng = np.random.Generator(np.random.SFC64(seed))
    fill_draws(own_chain(problem.arrays), np.array(x, dtype=float), rng, m, statistics)
    return statistics


def expected(problem: Problem, x: Any) -> np.ndarray:
    """``E[S | y; x]`` (s,)."""
    return drawn(problem, x, 1, m=0)[0]


def plausible(problem: Problem, x: Any) -> np.ndarray:
    """Statistics (s,) such as an algorithm meets at ``x``: their expectation, or the mean of many draws."""
    return expected(problem, x) if problem.has_expectation else drawn(problem, x, 1, m=100)[0]
