"""Step sizes that fall like a power of the iteration are averaged over: the default (Polyak & Juditsky 1992)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from saem.errors import SaemError
from saem.schedules.contract import Steps
from saem.schedules.writing import check_whole, power_steps

DENSER = 4  # times as many draws, of a schedule that is made denser


@dataclass(frozen=True)
class AveragedSchedule:
    """Step sizes that fall like ``k ** -exponent``, with averaging of the statistics (Polyak & Juditsky 1992).

    With few clusters one draw per iteration makes a variance of zero an absorbing state of the chain of estimates
    while the step size is one; so the number of draws is chosen such that an iteration draws ``latent`` random
    effects. With step sizes that fall slower than ``1/k`` followed by averaging, the slow directions of EM are
    averaged out too.

    Attributes
    ----------
    burn_in : int
        Iterations with step size one.
    iterations : int
        Iterations after the burn-in.
    exponent : float
        In (0.5, 1): the step sizes fall like ``k ** -exponent``, see `clock`.
    transient : int
        Iterations after the burn-in that are not averaged.
    latent : int
        Random effects to draw in an iteration, approximately.
    draws : int or None
        Draws per iteration instead, whatever the number of clusters.
    clock : float
        The step size is ``(k / (clock draws)) ** -exponent`` and begins to fall after ``clock`` iterations for each
        draw, or after 300; 0 is ``k ** -exponent`` whatever the draws. The slower, the sooner slow directions are
        averaged out. The bias that the noise of large steps leaves is the smaller the more draws an iteration averages,
        and is taken out where the E-step has a closed form (`saem.algorithms.engine.correction`). A fit that does not
        forget its start slows the clock down by itself.
    """

    burn_in: int = 100
    iterations: int = 250
    exponent: float = 0.55
    transient: int = 50
    latent: int = 1000
    draws: int | None = None
    clock: float = 1.0

    def __post_init__(self) -> None:
        check_whole(self)
        if not 0.0 <= self.clock < np.inf:
            raise SaemError(f"the clock of a schedule must be a number, 0 or larger; got {self.clock}")
        if not 0.5 < self.exponent < 1.0:
            raise SaemError(f"step-size exponent of an averaged schedule must lie in (0.5, 1); got {self.exponent}")
        for name in ("burn_in", "transient"):
            if getattr(self, name) < 0:
                raise SaemError(f"{name} must not be negative; got {getattr(self, name)}")
        if not self.iterations > self.transient:
            raise SaemError(
                f"iterations must exceed transient, or nothing is averaged; got {self.iterations} and {self.transient}"
            )

    def steps(self, n_latent: int) -> Steps:
        """The schedule for a problem with ``n_latent`` random effects."""
        return power_steps(self, n_latent, self.burn_in + self.transient, self.clock)

    def longer(self, iterations: int) -> AveragedSchedule:
        """The same with so many iterations in all."""
        return replace(self, iterations=iterations - self.burn_in)

    def slower(self) -> AveragedSchedule:
        """The same with a slower clock, for directions along which the start is not forgotten."""
        return replace(self, clock=max(1.0, 3.0 * self.clock))

    def denser(self) -> AveragedSchedule:
        """The same with four times as many draws, where their noise drives variances to the boundary."""
        draws = None if self.draws is None else DENSER * self.draws
        return replace(self, latent=DENSER * self.latent, draws=draws)
