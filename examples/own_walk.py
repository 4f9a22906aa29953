"""A Markov kernel of one's own for families without exact draws: `python examples/own_walk.py`.

A nonlinear model has a joint density `saem.families.contract.log_complete` of the responses of a cluster and of its
random effects (standard normal before the data), and no exact draws. A sampler makes arrays of a type of its own, which
it supplies with a `draw`: moves of the random effects of each cluster, after each of which `accumulate` adds to the
statistics. What the chain goes on with is in the fields `latent` and `acceptance`.

This one is a random walk with a step of fixed size. The package's own kernels, which know modes and curvatures, forget
much faster: `saem fit --sampler mixture` (or independent, walk, componentwise).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

import saem
from saem.algorithms.saem import SAEM
from saem.families import contract
from saem.families.contract import accumulate, limit, log_complete, n_effects
from saem.system.jit import kernel

MODEL = """
family = "nonlinear"
response = "weight"
cluster = "plant"
columns = ["day"]
[individual]
top = "lognormal(top_pop, omega)"
[outcome]
distribution = "normal"
mean = "top / (1 + exp(-(day - middle) / width))"
sd = "sigma"
[parameters]
width = "positive"
"""
AT = {"top_pop": 20.0, "omega": 0.2, "middle": 8.0, "width": 2.0, "sigma": 1.0}


class WalkArrays(NamedTuple):
    """The family's arrays, and the state of the chain."""

    own: Any
    step: float
    latent: np.ndarray  # (C, d) random effects
    acceptance: np.ndarray  # (2,) moves that were made, and proposed


@kernel
def walk(arrays, x, rng, m, statistics):
    """Make ``m`` moves of every cluster."""
    statistics[:] = np.nan if m == 0 else 0.0
    none, nothing = np.empty((0, 1, 1)), np.empty((0, 1, 1, 1))
    for cluster in range(arrays.latent.shape[0] if m > 0 else 0):
        d = n_effects(arrays.own, x, cluster)
        here, there, kept = np.empty((1, d, 1)), np.empty((1, d, 1)), np.empty((m, d))
        value, other = np.empty((1, 1)), np.empty((1, 1))
        here[0, :, 0] = arrays.latent[cluster, :d]
        log_complete(arrays.own, x, cluster, here, 0, value, none, nothing)
        for move in range(m):
            for j in range(d):
                there[0, j, 0] = here[0, j, 0] + arrays.step * rng.standard_normal()
            log_complete(arrays.own, x, cluster, there, 0, other, none, nothing)
            arrays.acceptance[1] += 1.0
            if -rng.standard_exponential() < other[0, 0] - value[0, 0]:
                arrays.acceptance[0] += 1.0
                here[:] = there
                value[0, 0] = other[0, 0]
            kept[move] = here[0, :, 0]
        accumulate(arrays.own, x, cluster, kept, 1.0 / m, statistics)
        arrays.latent[cluster, :d] = here[0, :, 0]
    limit(arrays.own, x, statistics)


contract.supply(contract.draw, WalkArrays, walk)


class Walk:
    """A random walk in the random effects of any family that has their joint density with the responses."""

    name = "own_walk"

    def __init__(self, step=0.5):
        self.step = step

    def arrays(self, problem):
        """The arrays of a problem, with a chain that begins at random effects of zero."""
        clusters = problem.clusters
        shape = clusters.count, problem.latent.size // clusters.count
        return WalkArrays(clusters.joint(), float(self.step), np.zeros(shape), np.zeros(2))


def table():
    """Twenty plants, weighed on six days."""
    rows = pd.DataFrame({"plant": np.repeat(np.arange(20), 6), "day": np.tile([2.0, 5, 8, 11, 14, 17], 20)})
    return saem.simulate(saem.Model.from_text(MODEL), AT, rows, seed=1)


def model():
    """Logistic growth to a weight of each plant's own."""
    return saem.Model.from_text(MODEL)


if __name__ == "__main__":
    found = saem.compare(model(), table(), methods={"own walk": SAEM(sampler=Walk()), "default": "saem", "ml": "ml"})
    print(found.table[["method", "deficit", "status", "draws"]])
