"""When a cell has enough replicates: the rule that stops, and how far it looks ahead.

The rule looks after `run.minimum` replicates and then at numbers of replicates that follow from what it saw, never from
how fast the machine is: a study that is interrupted, or run by other workers, stops at the same replicates. Shares have
the error of `adjusted` proportions, which is never zero; otherwise the rule would stop where all agree by chance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .performance import SHARES, adjusted

if TYPE_CHECKING:
    import pandas as pd

SMALLEST_STEP, LARGEST_STEP = 1.1, 2.0  # ratios of two numbers of replicates at which the rule looks


@dataclass(frozen=True)
class Shortfall:
    """The worst error of a cell beside its target.

    Attributes
    ----------
    measure, method, estimand : str
    mcse, target : float
    """

    measure: str
    method: str
    estimand: str
    mcse: float
    target: float

    @property
    def ratio(self) -> float:
        """Of the error to its target; at most 1 where the target is met."""
        return self.mcse / self.target if math.isfinite(self.mcse) else math.inf

    def __str__(self) -> str:
        whose = self.method + (f", {self.estimand}" if self.estimand else "")
        return f"MCSE of {self.measure} ({whose}) {self.mcse:.2g}, target {self.target:g}"


def worst(table: pd.DataFrame, targets: Mapping[str, float]) -> Shortfall | None:
    """The largest ratio of an error to its target; None if no target applies.

    Parameters
    ----------
    table : DataFrame
        Measures of one cell, as `performance` returns them. Measures without a value do not apply: an estimand without
        a true value has no bias, a method without converged fits no distance.
    targets : mapping of str to float
    """
    own = table[table["measure"].isin(targets) & table["value"].notna()]
    errors = own["mcse"].to_numpy(copy=True)
    shares = own["measure"].isin(SHARES).to_numpy()
    if shares.any():
        errors[shares] = adjusted(own["value"].to_numpy()[shares], own["n"].to_numpy()[shares]).mcse
    found = [
        Shortfall(row.measure, row.method, row.estimand, float(error), targets[row.measure])
        for row, error in zip(own.itertuples(), errors, strict=True)
    ]
    return max(found, key=lambda shortfall: shortfall.ratio, default=None)


def next_look(done: int, ratio: float, most: int) -> int:
    """The number of replicates to look at next: errors fall as their root.

    Parameters
    ----------
    done : int
        Replicates at this look.
    ratio : float
        Of the worst error to its target, above 1.
    most : int
        The largest number of replicates.
    """
    wanted = done * ratio**2 if math.isfinite(ratio) else math.inf
    return min(most, math.ceil(min(max(wanted, SMALLEST_STEP * done), LARGEST_STEP * done)))
