"""Truncation on random boundaries, a safety net for any algorithm (Chen 1988; Andrieu, Moulines & Priouret 2005).

A chain may not leave a bounded set around its start. When it does, or when an M-step fails, the block of iterations is
undone, the chain begins again, from the start or from its average where there is one, and the set is larger from then
on. Almost surely that happens finitely often, so the limit is that of the algorithm without bounds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from saem.errors import SaemError
from saem.models.contract import Problem
from saem.mstep.solver import KIND_CODES
from saem.mstep.sqp import CORR, MEAN, SD

Array = np.ndarray


@dataclass(frozen=True)
class Truncation:
    """The bounded sets.

    Attributes
    ----------
    radius : float
        A mean stays within so many typical sizes of its start.
    ratio : float
        A standard deviation stays within its typical size divided and multiplied by this.
    growth : float
        Factor by which both grow when the chain leaves the set.
    most : int
        So many times; then the set is no longer made larger, and leaving it is an error.
    """

    radius: float = 30.0
    ratio: float = 1e3
    growth: float = 3.0
    most: int = 20

    def __post_init__(self) -> None:
        for name in ("radius", "ratio", "growth"):
            if not getattr(self, name) > (0.0 if name == "radius" else 1.0):
                raise SaemError(
                    f"{name} of a truncation must be larger than {'0' if name == 'radius' else '1'}; "
                    f"got {getattr(self, name)}"
                )
        if self.most < 1:
            raise SaemError(f"most of a truncation must be at least 1; got {self.most}")

    def is_left(self, problem: Problem, start: Array, held: Array, path: Array, times: int) -> bool:
        """Whether a path (k, n) leaves the set that is in force after so many times.

        Parameters
        ----------
        held : (n,) bool ndarray
            Parameters that do not move.
        """
        kinds = np.array([KIND_CODES[kind] for kind in problem.parameters.kinds])
        larger = self.growth**times
        moved = np.abs(path - start) / problem.scale
        with np.errstate(divide="ignore"):
            size = np.abs(np.log(np.abs(path) / problem.scale))
        outside = (kinds == MEAN) & ~(moved <= self.radius * larger)
        outside |= (kinds == SD) & ~(size <= np.log(self.ratio * larger))
        outside |= (kinds == CORR) & ~(1.0 - np.abs(path) >= 1.0 / (self.ratio * larger))
        return bool(np.any(outside & ~held))
