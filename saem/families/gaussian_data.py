"""Rows with a Gaussian residual error: what families of linear models have beside their designs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saem.families.arranged import DesignedData

_Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class GaussianData(DesignedData):
    """Residual groups and prior weights; the response is less the offset.

    Parameters
    ----------
    residual_group : (n,) ndarray of int64
    residual_levels : tuple of str
        (H,) levels of the residual groups; ``("",)`` without `by`.
    residual_index : (H,) ndarray of int64
        Parameter of each residual SD.
    weights : (n,) ndarray or None
        Prior weights: the residual variance of a row is that of its residual group over its weight; None where all
        are 1.
    """

    residual_group: NDArray[np.int64]
    residual_levels: tuple[str, ...]
    residual_index: NDArray[np.int64]
    weights: _Floats | None = None

    @property
    def shift(self) -> _Floats | float:
        """See `Arranged.shift`."""
        return 0.0 if self.offset is None else self.offset

    def residual_sds(self, x: _Floats) -> _Floats:
        """The residual standard deviation (n,) of every row at parameters (n_parameters,)."""
        sds: _Floats = x[self.residual_index][self.residual_group]
        return sds if self.weights is None else sds / np.sqrt(self.weights)
