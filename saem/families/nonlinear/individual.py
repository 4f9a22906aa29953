"""Individual parameters of the clusters, from population parameters and random effects."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saem.families.nonlinear import trees
from saem.families.nonlinear.data import NonlinearData
from saem.families.nonlinear.evaluation import AT_ONCE, value_of
from saem.families.nonlinear.laws import Law
from saem.families.nonlinear.other_rows import own_rows

Floats = NDArray[np.float64]


def individual(data: NonlinearData, x: Floats, effects: Floats) -> dict[str, Floats]:
    """See `saem.families.family.Family.individual`."""
    structure = data.structure
    rows = own_rows(data).take(np.unique(data.cluster, return_index=True)[1])
    shown = [j for j, effect in enumerate(structure.effects) if effect.centre]
    found = {structure.effects[j].name: np.empty(effects.shape[:2]) for j in shown}
    step = max(1, AT_ONCE // max(1, len(rows)))
    for begin in range(0, len(x), step):
        part = slice(begin, begin + step)
        z = rows.centres(x[part, None, :]) + effects[part]
        for j in shown:
            effect = structure.effects[j]
            law = Law(effect.law, trees.number(0.0), "", effect.low, effect.high)
            inputs = {f"z.{effect.name}": z[:, :, j]}
            found[effect.name][part] = value_of(law.value(trees.coordinate(effect.name)), inputs, len(rows))
    return found
