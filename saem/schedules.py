"""Step sizes and numbers of draws of stochastic-approximation algorithms."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from numbers import Integral
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

import numpy as np

from saem.errors import SaemError

DENSER = 4  # times as many draws, of a schedule that is made denser
LATEST = 300  # iterations after the burn-in, after which step sizes begin to fall whatever the clock says


class Steps(NamedTuple):
    """A schedule written out, one entry for each iteration."""

    step_sizes: np.ndarray  # (K,) gamma_k in (0, 1]
    draws: np.ndarray  # (K,) int64, draws of all random effects in iteration k
    averaging_from: int  # first iteration whose statistics are averaged; K where none are


class Schedule(Protocol):
    """What an algorithm asks of a schedule; any object with these will do."""

    @property
    def burn_in(self) -> int:
        """Iterations with step size one."""
        ...

    def steps(self, n_latent: int) -> Steps:
        """The schedule written out, for a problem with ``n_latent`` random effects."""
        ...


@runtime_checkable
class Extendable(Schedule, Protocol):
    """A schedule that can go on where its end leaves too large an error."""

    def longer(self, iterations: int) -> Schedule:
        """The same with so many iterations in all, those of the burn-in included."""
        ...


@runtime_checkable
class Slowable(Extendable, Protocol):
    """A schedule whose step sizes can fall more slowly, where a pass does not forget its start."""

    def slower(self) -> Schedule:
        """The same with step sizes that fall more slowly."""
        ...


@runtime_checkable
class Densable(Extendable, Protocol):
    """A schedule that can make more draws in an iteration, where their noise holds a pass back."""

    def denser(self) -> Schedule:
        """The same with several times as many draws."""
        ...


def draws_for(n_latent: int, target: int) -> int:
    """Draws per iteration such that about ``target`` random effects are drawn."""
    return max(1, math.ceil(target / max(1, n_latent)))


def check_whole(schedule: object) -> None:
    """Every count of a schedule is a whole number (`draws` may be None), and draws are made."""
    for name in ("burn_in", "iterations", "transient", "latent", "draws"):
        value = getattr(schedule, name, 0)
        if not isinstance(value, Integral) and not (name == "draws" and value is None):
            raise SaemError(f"{name} of a schedule must be a whole number; got {value!r}")
        if name in ("latent", "draws") and hasattr(schedule, name) and value is not None and value < 1:
            raise SaemError(f"the number of draws must be positive; got {name}={value}")


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


@dataclass(frozen=True)
class GrowingSchedule:
    """Step size one and ``draws * k ** growth`` draws in iteration ``k``: Monte Carlo EM (Wei & Tanner 1990).

    Attributes
    ----------
    iterations : int
    draws : int
        In the first iteration.
    growth : float
        Exponent of their growth, 0 (fixed) to 3; the error of the last estimate falls only if they grow.
    """

    iterations: int = 150
    draws: int = 10
    growth: float = 1.0

    burn_in: ClassVar[int] = 0

    def longer(self, iterations: int) -> GrowingSchedule:
        """The same with so many iterations."""
        return replace(self, iterations=iterations)

    def __post_init__(self) -> None:
        check_whole(self)
        if self.iterations < 1:
            raise SaemError(f"iterations must be positive; got {self.iterations}")
        if not 0.0 <= self.growth <= 3.0:
            raise SaemError(f"the growth of the number of draws must lie in [0, 3]; got {self.growth}")

    def steps(self, n_latent: int) -> Steps:
        """The schedule, which does not depend on the number of random effects."""
        k = np.arange(1, self.iterations + 1, dtype=float)
        return Steps(np.ones(len(k)), np.ceil(self.draws * k**self.growth).astype(np.int64), len(k))


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


def power_steps(
    schedule: AveragedSchedule | RobbinsMonroSchedule, n_latent: int, averaging_from: int, clock: float = 0.0
) -> Steps:
    """A burn-in with step size one, then ``k ** -exponent``, with the schedule's number of draws throughout.

    With a ``clock`` it is ``(k / c) ** -exponent``, at most one, with ``c = clock * draws``, at most `LATEST`.
    """
    m = schedule.draws if schedule.draws is not None else draws_for(n_latent, schedule.latent)
    k = np.arange(1, schedule.iterations + 1) / max(1.0, min(clock * m, LATEST))
    step_sizes = np.concatenate([np.ones(schedule.burn_in), np.maximum(k, 1.0) ** -float(schedule.exponent)])
    return Steps(step_sizes, np.full(len(step_sizes), m, dtype=np.int64), averaging_from)
