"""Which latent data are drawn: coordinates of individual parameters, or random effects alone.

Centred coordinates are the default: their part of the complete data is exact for any centre, and where rows are many EM
is fast. An effect whose standard deviation is zero, or on its way there, has its centre in the rows.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from saem.families.nonlinear.arrays import NonlinearArrays
from saem.families.nonlinear.functions import Functions
from saem.system.display import count

Array = np.ndarray
SMALL = 1e-3  # of a random effect's standard deviation, on the scale on which it is normal


class Centring:
    """The placements (d,) of a nonlinear model; see `saem.families.problem.Augmentation`."""

    weighs: ClassVar[bool] = False

    def __init__(self, arrays: NonlinearArrays, functions: Functions) -> None:
        self.plain, self.functions = arrays, functions

    def arrays(self, placement: Array) -> NonlinearArrays:
        """The arrays for a placement."""
        centred = np.asarray(placement, dtype=np.int64)
        rows = self.functions.centred if centred.all() else self.functions.uncentred
        return self.plain._replace(centred=centred, rows=rows)

    def observed(self, arrays: NonlinearArrays) -> NonlinearArrays:
        """Arrays whose statistics have the curvature of the rows; see `saem.families.problem.LatentData`."""
        return arrays._replace(rows=self.functions.observed)

    def uncentred(self, x: Array) -> Array:
        """The placement that centres nothing."""
        return np.zeros(len(self.plain.centred), dtype=bool)

    def centred(self, x: Array) -> Array:
        """The placement that centres each effect of which no standard deviation is next to nothing."""
        absent = self.plain.sd_index < 0
        return np.asarray(np.all(absent | (x[self.plain.sd_index] > SMALL), axis=0))

    def describe(self, placement: Array) -> str:
        """The latent data of a placement, in a few words."""
        if placement.all():
            return "individual parameters"
        if not placement.any():
            return "random effects"
        left = count(int(np.sum(~placement)), "random effect")
        return f"individual parameters, and {left} whose standard deviation is next to nothing"

    def choose(self, x: Array, covariance: Array, current: Array | None = None) -> Array:
        """The centred placement; by what is missing nothing is chosen here."""
        return self.centred(x)
