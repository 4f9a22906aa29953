"""The rule to stop: deficit and Monte Carlo error are both under their targets, its noise counted."""

from __future__ import annotations

import math
from typing import Protocol

from saem.stopping.target import Target


class Measured(Protocol):
    """What is known of how far a run is from the maximum (`saem.algorithms.accuracy.precision`)."""

    @property
    def deficit(self) -> float:
        """Log-likelihood below the maximum."""
        ...

    @property
    def doubt(self) -> float:
        """What the deficit may be larger by, given its own noise."""
        ...

    @property
    def ratio(self) -> float:
        """The largest Monte Carlo standard error in units of the standard error; nan where none is valid."""
        ...

    @property
    def is_singular(self) -> bool:
        """Whether the run goes to a singular covariance matrix."""
        ...

    @property
    def reason(self) -> str:
        """Why there is no Monte Carlo error; empty where there is one, or where none will ever be."""
        ...


def is_reached(target: Target, measured: Measured, can_go_on: bool) -> bool:
    """Whether a run is good enough: both targets are reached, or the deficit's alone where there is no valid error.

    Parameters
    ----------
    can_go_on : bool
        Whether more iterations could make a Monte Carlo error valid that is not yet.
    """
    if misses_deficit(target, measured.deficit, measured.doubt):
        return False
    if measured.is_singular:  # the law of the error holds inside
        return True
    if math.isnan(measured.ratio):
        return not (measured.reason and can_go_on)
    return not misses_error(target, measured.ratio)


def misses_deficit(target: Target, deficit: float, doubt: float) -> bool:
    """Whether the log-likelihood may be further below its maximum than the target allows; so it is where it is nan."""
    return not deficit + doubt <= target.deficit


def misses_error(target: Target, ratio: float) -> bool:
    """Whether the largest Monte Carlo error, in standard errors, is known to exceed its target."""
    return ratio > target.mcse
