"""A whole family of models in a few lines: genetic linkage (Rao 1965; Dempster, Laird & Rubin 1977, section 1).

Counts y = (125, 18, 20, 34) of 197 animals are Poisson with means 197 (1/2 + a/4, b/4, b/4, a/4). The constraint
``a + b == 1`` makes it the multinomial model of the literature, whose maximum is a = 0.6268214980. Latent is how many
of the first 125 belong to the part a/4: binomial with probability a / (2 + a).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from parameterkinds import slots_of

from saem.expressions.constraint import compile_constraints
from saem.families import contract
from saem.families.problem import Boundary, LatentData, Problem, Starts
from saem.specification.parameters import Parameters
from saem.system.jit import kernel


class Linkage(NamedTuple):
    """Data: the four counts."""

    y: np.ndarray


@kernel
def draw_linkage(arrays, x, rng, m, statistics):
    """The one statistic: the latent count, its mean over m draws, or its expectation."""
    chance, n = x[0] / (2.0 + x[0]), int(arrays.y[0])
    statistics[0] = chance * n
    if m > 0:
        statistics[0] = 0.0
        for _ in range(m * n):
            statistics[0] += (rng.random() < chance) / m


@kernel
def complete_linkage(arrays, statistics, x, gradient, hessian):
    """Poisson log-likelihood of the five complete-data counts, up to a constant."""
    value, half = 0.0, arrays.y.sum() / 2
    hessian[:] = 0.0
    for i, count in enumerate((statistics[0] + arrays.y[3], arrays.y[1] + arrays.y[2])):
        if not x[i] > 0.0:
            return -np.inf
        value += count * np.log(x[i]) - half * x[i]
        gradient[i] = count / x[i] - half
        hessian[i, i] = -count / x[i] ** 2
    return value


contract.supply(contract.draw, Linkage, draw_linkage)
contract.supply(contract.complete, Linkage, complete_linkage)


def linkage(**constraints: str) -> Problem:
    """The problem, by default with ``a + b == 1``."""
    parameters = Parameters.build(slots_of(("a", "mean"), ("b", "mean")), {})
    return Problem(
        parameters=parameters,
        arrays=Linkage(np.array([125.0, 18.0, 20.0, 34.0])),
        constraints=compile_constraints(constraints, parameters.names),
        scale=np.ones(2),
        starts=Starts((np.array([0.5, 0.5]),)),
        boundary=Boundary(np.zeros(2, dtype=bool), {}, np.zeros(2)),
        latent=LatentData(size=125, n_statistics=1, has_expectation=True),
    )


def problems() -> dict[str, Problem]:
    """Examples, for the checks that every family is held to."""
    return {"multinomial": linkage(total="a + b == 1"), "Poisson": linkage()}
