"""The E-step in closed form: what the loop does without draws."""

from __future__ import annotations

from typing import Any

import numpy as np

from saem.families.contract import draw
from saem.families.problem import Problem
from saem.system.jit import entry

Array = np.ndarray
NO_DRAWS = np.random.Generator(np.random.SFC64(0))  # of which an expectation asks nothing


@entry
def expect_each(arrays: Any, points: Array, rng: np.random.Generator, statistics: Array) -> None:
    """Write the conditional expectations (k, s) of the statistics at each of the points (k, n)."""
    for i in range(points.shape[0]):
        draw(arrays, points[i], rng, 0, statistics[i])


def conditional_expectations(problem: Problem, points: Array) -> Array:
    """``E[S | y; x]`` (k, s) at each of the points ``x`` (k, n)."""
    statistics = np.empty((len(points), problem.latent.n_statistics))
    expect_each(problem.arrays, np.ascontiguousarray(points), NO_DRAWS, statistics)
    return statistics


def conditional_expectation(problem: Problem, x: Array) -> Array:
    """``E[S | y; x]`` (s,)."""
    return np.asarray(conditional_expectations(problem, x[None])[0])
