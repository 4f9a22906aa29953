"""Where a search may go: between the bounds of the parameters, and down to its floors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from saem.mstep import sqp
from saem.specification.domains import Domains

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Region:
    """Where the free parameters may go: between their bounds.

    Attributes
    ----------
    domains : Domains
    free : (n,) bool ndarray
        Parameters that may move.
    floor : (n,) ndarray
        A standard deviation below its floor, or a correlation nearer to one than that, ends the search with
        `COLLAPSED`.
    """

    domains: Domains
    free: Array
    floor: Array

    def room(self, x: Array) -> Array:
        """Distances (n,) from the boundary; infinite for what has none, and for what does not move."""
        return np.where(self.free, self.domains.room(x), np.inf)

    def admits(self, old: Array, new: Array) -> bool:
        """Whether a move leaves some of the distance from the boundary."""
        left, before = self.room(new), self.room(old)
        return bool(np.all((left > 0.0) & (left >= (1.0 - sqp.BOUNDARY_FRACTION) * before)))

    def longest(self, x: Array, move: Array) -> float:
        """Largest fraction of a move, up to 1, that leaves some of the distance from the boundary."""
        with np.errstate(divide="ignore", invalid="ignore"):
            down = np.where(self.free & (move < 0.0), (self.domains.low - x) / move, np.inf)
            up = np.where(self.free & (move > 0.0), (self.domains.high - x) / move, np.inf)
        return min(1.0, sqp.BOUNDARY_FRACTION * float(min(np.min(down), np.min(up))))

    def is_below_floor(self, x: Array) -> bool:
        """Whether a parameter passed its floor."""
        return bool(np.any(self.room(x) < self.floor))
