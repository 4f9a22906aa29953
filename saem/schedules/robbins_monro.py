"""Step sizes fall like a power of the iteration, and nothing is averaged: the textbook's way."""

from __future__ import annotations

from dataclasses import dataclass

from saem.errors import SaemError
from saem.schedules.contract import Steps
from saem.schedules.writing import check_whole, power_steps


@dataclass(frozen=True)
class RobbinsMonroSchedule:
    """Burn-in with step size one, then ``k ** -exponent`` without averaging (Delyon, Lavielle & Moulines 1999).

    ``RobbinsMonroSchedule(500, 500, 1.0, draws=1)`` is the textbook schedule. With few clusters it loses variance
    components, and with ``1/k`` the slow directions of EM are not averaged out: use it to compare, not to estimate.

    Attributes
    ----------
    burn_in, iterations, latent, draws
        As in `AveragedSchedule`.
    exponent : float
        In (0.5, 1].
    """

    burn_in: int = 500
    iterations: int = 500
    exponent: float = 1.0
    latent: int = 600
    draws: int | None = None

    def __post_init__(self) -> None:
        check_whole(self)
        if not 0.5 < self.exponent <= 1.0:
            raise SaemError(f"step-size exponent must lie in (0.5, 1]; got {self.exponent}")
        if self.burn_in < 0 or self.iterations < 1:
            raise SaemError(f"burn_in must be >= 0 and iterations >= 1; got {self.burn_in} and {self.iterations}")

    def steps(self, n_latent: int) -> Steps:
        """The schedule for a problem with ``n_latent`` random effects."""
        return power_steps(self, n_latent, self.burn_in + self.iterations)
