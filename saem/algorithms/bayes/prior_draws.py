"""Draws from the prior: of the independent parameters, and of what the constraints determine by them."""

from __future__ import annotations

import numpy as np

from saem.algorithms.bayes import density
from saem.algorithms.bayes.target import LogPosterior
from saem.specification.priors import parse_prior

Array = np.ndarray


def draw_priors(target: LogPosterior, priors: dict[str, str], count: int, rng: np.random.Generator) -> Array:
    """Parameters (count, n) drawn from their priors; rows of nan where the constraints cannot be solved."""
    space = target.space
    x = np.column_stack([parse_prior(text).quantile(rng.uniform(size=count)) for text in priors.values()])
    u = x.copy()
    with np.errstate(divide="ignore"):  # a quantile may be rounded to a bound: no density there, so a row of nan
        above, between = space.transform == density.ABOVE, space.transform == density.BETWEEN
        u[:, above] = np.log(x[:, above] - space.low[above])
        u[:, between] = np.log(x[:, between] - space.low[between]) - np.log(space.high[between] - x[:, between])
    found = target.parameters(u)
    return np.where(np.isfinite(found).all(axis=1)[:, None], found, np.nan)
