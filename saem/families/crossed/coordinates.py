"""The family in coordinates in which no numbers lose their digits: as `saem.families.linear.coordinates`, of the means.

Columns of means are centred and scaled, and the response has a level subtracted and another unit; the columns of the
random effects stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from saem.errors import DataError
from saem.families.coordinates import Coordinates
from saem.families.crossed.data import CrossedData
from saem.families.linear.choosing import coordinates_of as chosen
from saem.families.linear.conditioning import PART, near_combination
from saem.families.linear.coordinates import LinearCoordinates

Array = np.ndarray

NEAR = (
    2.5e-4  # singular values of unit columns of random terms, over the largest: below, second derivatives are rounding
)


@dataclass(frozen=True, eq=False)
class CrossedCoordinates(LinearCoordinates):
    """Inner coordinates of the family."""

    turns_effects: ClassVar[bool] = False

    @property
    def factors(self) -> Array:
        """See `LinearCoordinates`."""
        factors = np.ones(len(self.users))
        factors[self.sd_index[self.sd_index >= 0]] = self.unit  # no index: a term that a factor has not
        factors[self.residual_index] = self.unit
        return factors

    def sizes(self, scale: Array) -> Array:
        """See `Coordinates`."""
        out = scale * self.factors
        out[self.mean_index] = np.max(np.abs(self.unit * self.means.forward) * scale[self.mean_index], axis=1)
        return np.asarray(out)


def coordinates_of(constraints: Mapping[str, str], data: CrossedData, last: int = -1) -> Coordinates:
    """See `saem.families.linear.choosing.coordinates_of`."""
    return chosen(constraints, data, last, CrossedCoordinates)


def check_effects(data: CrossedData) -> None:
    """Refuse correlated random terms whose columns are so nearly combinations of each other that no search ends.

    Raises
    ------
    DataError
        Naming them, and what to do.
    """
    for b, block in enumerate(data.group_levels):
        own = np.flatnonzero(data.sd_index[b] >= 0)
        found = near_combination(data.random_design[:, own], NEAR) if np.any(data.corr_index[b] >= 0) else None
        if found is not None:
            left, parts = found
            shown = [data.term_names[own[j]] for j in np.argsort(-parts) if parts[j] > PART * parts.max()]
            raise DataError(
                f"the random terms {' and '.join(map(repr, shown))} of {block} are nearly combinations of each other ("
                f"to {left:.1g} of their size), so their correlation would be lost in rounding: subtract a typical "
                "value from a column that is far from zero, such as 'year - 2000' in place of 'year'"
            )
