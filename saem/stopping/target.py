"""A target says when a simulated estimate is good enough, and what may be spent on it."""

from __future__ import annotations

from dataclasses import dataclass

from saem.errors import SaemError


@dataclass(frozen=True)
class Target:
    """When the simulation no longer matters, and a budget.

    Attributes
    ----------
    mcse : float
        The Monte Carlo standard error of each parameter is at most this share of its standard error ..
    deficit : float
        .. and the log-likelihood at most so far below its maximum.
    max_iterations : int
        No iteration is begun beyond so many, those of passes that were given up among them; the schedule itself is
        always gone through once.
    max_draws : int or None
        Random effects to draw at most; unlike ``max_iterations`` it also ends the schedule early.
    max_seconds : float or None
        Wall-clock seconds, looked at between blocks of iterations; it also ends the schedule early.
    """

    mcse: float = 0.05
    deficit: float = 0.01
    max_iterations: int = 20_000
    max_draws: int | None = None
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("mcse", "deficit"):
            if not getattr(self, name) > 0.0:
                raise SaemError(f"the target of the {name} must be positive; got {getattr(self, name)}")
        if self.max_iterations < 0:
            raise SaemError(f"max_iterations must not be negative; got {self.max_iterations}")
        for name in ("max_draws", "max_seconds"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise SaemError(f"{name} must be positive, or None for no limit; got {getattr(self, name)}")
