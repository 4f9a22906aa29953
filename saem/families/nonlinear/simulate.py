"""Responses drawn from a nonlinear model, whose rows may be correlated given the random effects."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saem.errors import ModelError
from saem.families.nonlinear.data import NonlinearData
from saem.families.nonlinear.other_rows import own_rows
from saem.families.nonlinear.outcomes import draw

Floats = NDArray[np.float64]


def draw_response(
    data: NonlinearData, x: Floats, for_effects: np.random.Generator, for_rows: np.random.Generator
) -> Floats:
    """See `saem.families.family.Family.draw_response`.

    Raises
    ------
    ModelError
        When the outcome is a density of the user's own, or its arguments are no finite numbers at these parameters.
    """
    rows, structure = own_rows(data), data.structure
    if not structure.alone:
        raise ModelError("responses with a log_density of your own cannot be drawn; name a distribution")
    normal = for_effects.standard_normal((len(data.cluster_group), len(structure.effects)))
    theta = np.einsum("cij,cj->ci", rows.root(x)[data.cluster_group], normal)
    z = rows.centres(x) + theta[data.cluster]
    arguments = rows.arguments(x, z)
    for name, values in arguments.items():
        bad = ~np.isfinite(values)
        if bad.any():
            raise ModelError(
                f"the argument {name!r} of the outcome is no finite number in {int(bad.sum())} rows at these "
                "parameters, so that no response can be drawn"
            )
    if data.correlation is None:
        return draw(data.outcome.distribution, arguments, for_rows)
    value = float(x[data.parameters.index(data.correlation.parameter)])
    u = data.correlation.drawn(data.columns, data.series, value, for_rows)
    if "median" in arguments:
        return np.asarray(arguments["median"] * np.exp(arguments["sd"] * u))
    return np.asarray(arguments["mean"] + arguments["sd"] * u)
