"""The step size is one throughout, and the statistics are averaged: stochastic EM."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from saem.errors import SaemError
from saem.schedules.contract import Steps
from saem.schedules.writing import check_whole, draws_for


@dataclass(frozen=True)
class StochasticSchedule:
    """Step size one throughout, with averaging of the statistics after the burn-in (Celeux & Diebolt 1985).

    The average has a bias of the order of one over the number of random effects in a draw, which no number of
    iterations removes; so no Monte Carlo error is given.

    Attributes
    ----------
    burn_in, iterations, latent, draws
        As in `AveragedSchedule`.
    """

    burn_in: int = 300
    iterations: int = 1000
    latent: int = 600
    draws: int | None = None

    def __post_init__(self) -> None:
        check_whole(self)
        if self.burn_in < 0 or self.iterations < 1:
            raise SaemError(f"burn_in must be >= 0 and iterations >= 1; got {self.burn_in} and {self.iterations}")

    def steps(self, n_latent: int) -> Steps:
        """The schedule for a problem with ``n_latent`` random effects."""
        k = self.burn_in + self.iterations
        m = self.draws if self.draws is not None else draws_for(n_latent, self.latent)
        return Steps(np.ones(k), np.full(k, m, dtype=np.int64), self.burn_in)
