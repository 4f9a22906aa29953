"""A burn-in of SAEM is followed by Newton steps, whose weights grow with the iteration."""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Integral

import numpy as np

from saem.errors import SaemError
from saem.schedules.contract import Steps
from saem.schedules.writing import check_whole, draws_for


@dataclass(frozen=True)
class NewtonSchedule:
    """A burn-in with step size one, then ``gain / (offset + k)`` for Newton steps (Gu & Kong 1998).

    Attributes
    ----------
    burn_in : int
        Iterations of SAEM with step size one; the second half of them gives the start of the Newton steps, with the
        weight of ``offset`` of them, and their information.
    iterations : int
        Newton steps.
    gain : float
        From 1 to 3: the last iterate is a mean of the Newton steps with weights like ``k ** (gain - 1)``. The early
        ones, from further away, are the most biased.
    offset : int
        Without it the first steps, whose information is not known well yet, would be taken in full.
    latent, draws
        As in `AveragedSchedule`, for the burn-in; `StochasticNewton` needs more draws than there are parameters.
    factor : int
        Times as many draws are made for a Newton step.
    """

    burn_in: int = 300
    iterations: int = 200
    gain: float = 1.5
    offset: int = 4
    latent: int = 600
    draws: int | None = None
    factor: int = 5

    def __post_init__(self) -> None:
        check_whole(self)
        if self.burn_in < 2 or self.iterations < 1:
            raise SaemError(f"burn_in must be >= 2 and iterations >= 1; got {self.burn_in} and {self.iterations}")
        if not 1.0 <= self.gain <= 3.0:
            raise SaemError(f"the gain of a Newton schedule must lie in [1, 3]; got {self.gain}")
        for name, least in (("factor", 1), ("offset", 2)):
            value = getattr(self, name)
            if not isinstance(value, Integral) or value < least:
                raise SaemError(f"{name} of a Newton schedule must be a whole number, at least {least}; got {value!r}")

    def steps(self, n_latent: int) -> Steps:
        """The schedule for a problem with ``n_latent`` random effects."""
        k = np.arange(1, self.iterations + 1)
        m = self.draws if self.draws is not None else draws_for(n_latent, self.latent)
        draws = np.concatenate([np.full(self.burn_in, m), np.full(self.iterations, self.factor * m)])
        step_sizes = np.concatenate([np.ones(self.burn_in), self.gain / (self.offset + k)])
        return Steps(step_sizes, draws.astype(np.int64), len(draws))

    def longer(self, iterations: int) -> NewtonSchedule:
        """The same with so many iterations in all."""
        return replace(self, iterations=iterations - self.burn_in)
