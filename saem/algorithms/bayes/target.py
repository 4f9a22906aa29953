"""The log posterior density as Python and as a sampler see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from saem.algorithms.bayes.density import Space, log_posterior_at, parameters_at
from saem.algorithms.bayes.frame import Frame, coordinates_of, standardised_density
from saem.algorithms.bayes.joint import Joint, JointFrame, joint_density, place_model_effects
from saem.estep.integration.settling import objective_of
from saem.families.contract import Observed
from saem.families.problem import Problem

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class LogPosterior:
    """The log posterior density of a problem in the coordinates of its space."""

    problem: Problem
    space: Space

    @property
    def objective(self) -> Any:
        """The marginal log-likelihood: in closed form, or by quadrature."""
        is_closed = self.problem.likelihood.kind == "closed"
        return Observed(self.problem.arrays) if is_closed else objective_of(self.problem)

    def __call__(self, u: Array) -> tuple[float, Array]:
        """Value and gradient (d,) at coordinates (d,)."""
        gradient = np.empty(len(u))
        address = self.problem.constraints.address
        value = log_posterior_at(self.objective, self.space, address, np.asarray(u, dtype=float), gradient)
        return value, gradient

    def parameters(self, u: Array) -> Array:
        """All parameters (k, n) at coordinates (k, d); rows of nan where the constraints cannot be solved."""
        x = np.empty((len(u), len(self.space.base)))
        parameters_at(self.space, self.problem.constraints.address, np.ascontiguousarray(u), x)
        return x


class Target(Protocol):
    """What a sampler draws from: a density in standardised coordinates, those of the parameters first."""

    @property
    def dimension(self) -> int:
        """Number of coordinates."""
        ...

    @property
    def of_parameters(self) -> int:
        """How many of them are those of the parameters, d."""
        ...

    def __call__(self, v: Array) -> tuple[float, Array]:
        """Value and gradient at standardised coordinates."""
        ...

    def coordinates(self, v: Array) -> Array:
        """The coordinates (k, d) of the density of the parameters at standardised ones (k, d)."""
        ...

    def effects(self, v: Array) -> Array:
        """The model's random effects (k, C, q) at coordinates (k, dimension); (k, 0, 0) where not drawn."""
        ...

    def arguments(self) -> tuple[Any, Space, int, Any]:
        """Of the compiled density: the objective, with room of its own, the space, the constraints and the frame."""
        ...


@dataclass(frozen=True, eq=False)
class Standardised:
    """The log posterior density in the coordinates of a frame."""

    density: LogPosterior
    frame: Frame

    @property
    def dimension(self) -> int:
        """Number of coordinates, d."""
        return len(self.frame.centre)

    @property
    def of_parameters(self) -> int:
        """See `Target.of_parameters`."""
        return self.dimension

    def effects(self, v: Array) -> Array:
        """See `Target.effects`."""
        return np.empty((len(v), 0, 0))

    def arguments(self) -> tuple[Any, Space, int, Any]:
        """See `Target.arguments`."""
        return self.density.objective, self.density.space, self.density.problem.constraints.address, self.frame

    def __call__(self, v: Array) -> tuple[float, Array]:
        """Value and gradient (d,) at standardised coordinates (d,)."""
        gradient = np.empty(len(v))
        return standardised_density(*self.arguments(), np.asarray(v, dtype=float), gradient), gradient

    def coordinates(self, v: Array) -> Array:
        """See `Target.coordinates`."""
        u = np.empty(v.shape)
        address = self.density.problem.constraints.address
        coordinates_of(self.density.space, address, self.frame, np.ascontiguousarray(v), u)
        return u


@dataclass(frozen=True, eq=False)
class StandardisedJointly:
    """The log posterior density of parameters and random effects in the coordinates of a frame.

    Attributes
    ----------
    density : LogPosterior
        Of the parameters alone, of the same problem.
    arrays : NamedTuple
        Of `saem.families.contract.log_complete_all`.
    frame : JointFrame
    """

    density: LogPosterior
    arrays: Any
    frame: JointFrame

    @property
    def dimension(self) -> int:
        """Number of coordinates, d + C q."""
        return len(self.frame.parameters.centre) + self.frame.centre.size

    @property
    def of_parameters(self) -> int:
        """See `Target.of_parameters`."""
        return len(self.frame.parameters.centre)

    def arguments(self) -> tuple[Any, Space, int, Any]:
        """See `Target.arguments`."""
        room = np.zeros(self.frame.centre.shape)
        objective = Joint(self.arrays, room, room.copy())
        return objective, self.density.space, self.density.problem.constraints.address, self.frame

    def __call__(self, v: Array) -> tuple[float, Array]:
        """Value and gradient (d + C q,) at standardised coordinates (d + C q,)."""
        gradient = np.empty(len(v))
        return joint_density(*self.arguments(), np.asarray(v, dtype=float), gradient), gradient

    def coordinates(self, v: Array) -> Array:
        """See `Target.coordinates`."""
        return Standardised(self.density, self.frame.parameters).coordinates(v)

    def effects(self, v: Array) -> Array:
        """See `Target.effects`."""
        problem, space = self.density.problem, self.density.space
        assert problem.clusters.joint is not None
        out = np.empty((len(v), *self.frame.centre.shape))
        address = problem.constraints.address
        points = np.ascontiguousarray(v)
        place_model_effects(self.arrays, problem.clusters.joint(), space, address, self.frame, points, out)
        return out
