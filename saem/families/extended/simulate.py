"""Responses drawn from an extended linear model, whose rows may be correlated given the random effects."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from saem.families.extended.data import ExtendedData
from saem.families.nonlinear import simulate
from saem.families.nonlinear.other_rows import own_rows

Floats = NDArray[np.float64]


def draw_response(
    data: ExtendedData, x: Floats, for_effects: np.random.Generator, for_rows: np.random.Generator
) -> Floats:
    """See `saem.families.family.Family.draw_response`."""
    alone = replace(data, structure=replace(data.structure, arguments=data.law))
    if data.residual_correlation is None:
        return simulate.draw_response(alone, x, for_effects, for_rows)
    rows = own_rows(alone)
    normal = for_effects.standard_normal((len(data.cluster_group), len(data.structure.effects)))
    z = rows.centres(x) + np.einsum("cij,cj->ci", rows.root(x)[data.cluster_group], normal)[data.cluster]
    values = rows.arguments(x, z)
    u = data.residual_correlation.drawn(
        data.columns, data.cluster, float(x[data.parameters.index(data.residual_correlation.parameter)]), for_rows
    )
    found: Floats = values["mean"] + values["sd"] * u
    return found
