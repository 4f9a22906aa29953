"""The log posterior density as Python and as a sampler see it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from saem.algorithms.bayes.density import Space, log_posterior, parameters_at
from saem.algorithms.bayes.frame import Frame, coordinates_of, standardised_density
from saem.families.contract import Observed
from saem.families.problem import Problem

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class LogPosterior:
    """The log posterior density of a problem in the coordinates of its space."""

    problem: Problem
    space: Space

    def __call__(self, u: Array) -> tuple[float, Array]:
        """Value and gradient (d,) at coordinates (d,)."""
        gradient = np.empty(len(u))
        address = self.problem.constraints.address
        value = log_posterior(Observed(self.problem.arrays), self.space, address, np.asarray(u, dtype=float), gradient)
        return value, gradient

    def parameters(self, u: Array) -> Array:
        """All parameters (k, n) at coordinates (k, d); rows of nan where the constraints cannot be solved."""
        x = np.empty((len(u), len(self.space.base)))
        parameters_at(self.space, self.problem.constraints.address, np.ascontiguousarray(u), x)
        return x


@dataclass(frozen=True, eq=False)
class Standardised:
    """The log posterior density in the coordinates of a frame."""

    density: LogPosterior
    frame: Frame

    @property
    def dimension(self) -> int:
        """Number of coordinates, d."""
        return len(self.frame.centre)

    def __call__(self, v: Array) -> tuple[float, Array]:
        """Value and gradient (d,) at standardised coordinates (d,)."""
        problem, gradient = self.density.problem, np.empty(len(v))
        value = standardised_density(
            Observed(problem.arrays),
            self.density.space,
            problem.constraints.address,
            self.frame,
            np.asarray(v, dtype=float),
            gradient,
        )
        return value, gradient

    def coordinates(self, v: Array) -> Array:
        """The coordinates (k, d) of the density at standardised ones (k, d)."""
        u = np.empty(v.shape)
        address = self.density.problem.constraints.address
        coordinates_of(self.density.space, address, self.frame, np.ascontiguousarray(v), u)
        return u
