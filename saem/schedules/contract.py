"""A schedule says what an iteration asks of it: a step size and a number of draws. Any object with these will do."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np


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
