"""The random effects of a fit given its data: in closed form, or by the nodes of the marginal likelihood."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from saem.errors import ModelError
from saem.families import family_of
from saem.families.estimated import Effects
from saem.inference.rows import Inside, posed

if TYPE_CHECKING:
    from saem.families.arranged import Arranged
    from saem.fitting.result import Fit


def effects_of(fit: Fit, data: Arranged, within: Inside) -> Effects:
    """The law of the random effects, in the coordinates of the fit.

    Raises
    ------
    ModelError
        When the family has neither a closed form nor a marginal likelihood.
    """
    found = family_of(fit.model).effects(within.data, within.x)
    if found is not None:
        return found
    from saem.estep.conditional import conditional_law

    problem = posed(fit, data)
    if problem.likelihood.kind != "quadrature":
        raise ModelError("the family of the model has no law of the random effects given the data")
    return conditional_law(problem, within.x)[1]


def slopes_of(fit: Fit, data: Arranged, within: Inside) -> np.ndarray:
    """Derivatives (C, q, n) of the conditional means by the parameters."""
    found = family_of(fit.model).effect_slopes(within.data, within.x)
    if found is not None:
        return found
    from saem.estep.conditional import mean_slopes

    return mean_slopes(posed(fit, data), within.x)
