"""Responses drawn from the model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saem.families.crossed.data import CrossedData
from saem.families.designed_draws import draw_random_effects

Floats = NDArray[np.float64]


def draw_response(
    data: CrossedData, x: Floats, for_effects: np.random.Generator, for_rows: np.random.Generator
) -> Floats:
    """One draw of the response (n,), less the offset, at parameters (n_parameters,)."""
    response: Floats = data.mean_design @ x[data.mean_index]
    effects = draw_random_effects(data, x, for_effects)
    for units in data.unit.T:
        response += np.einsum("ij,ij->i", data.random_design, effects[units])
    response += data.residual_sds(x) * for_rows.standard_normal(len(response))
    return response
