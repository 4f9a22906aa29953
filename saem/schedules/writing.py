"""What schedules share is how they are checked, and written out as powers of the iteration."""

from __future__ import annotations

import math
from numbers import Integral
from typing import Protocol

import numpy as np

from saem.errors import SaemError
from saem.schedules.contract import Steps

LATEST = 300  # iterations after the burn-in, after which step sizes begin to fall whatever the clock says


class Power(Protocol):
    """What a schedule has whose step sizes fall like a power of the iteration."""

    @property
    def burn_in(self) -> int:
        """Iterations with step size one."""
        ...

    @property
    def iterations(self) -> int:
        """Iterations after the burn-in."""
        ...

    @property
    def exponent(self) -> float:
        """The step sizes fall like ``k ** -exponent``."""
        ...

    @property
    def latent(self) -> int:
        """Random effects to draw in an iteration, approximately."""
        ...

    @property
    def draws(self) -> int | None:
        """Draws per iteration instead."""
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


def power_steps(schedule: Power, n_latent: int, averaging_from: int, clock: float = 0.0) -> Steps:
    """A burn-in with step size one, then ``k ** -exponent``, with the schedule's number of draws throughout.

    With a ``clock`` it is ``(k / c) ** -exponent``, at most one, with ``c = clock * draws``, at most `LATEST`.
    """
    m = schedule.draws if schedule.draws is not None else draws_for(n_latent, schedule.latent)
    k = np.arange(1, schedule.iterations + 1) / max(1.0, min(clock * m, LATEST))
    step_sizes = np.concatenate([np.ones(schedule.burn_in), np.maximum(k, 1.0) ** -float(schedule.exponent)])
    return Steps(step_sizes, np.full(len(step_sizes), m, dtype=np.int64), averaging_from)
