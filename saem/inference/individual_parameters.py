"""Individual parameters of nonlinear models given the data: of every cluster, or of every occasion of every cluster."""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from saem.errors import ModelError
from saem.families import family_of
from saem.inference.arguments import check_level
from saem.inference.conditional import effects_of
from saem.inference.rows import inside, rows_of

if TYPE_CHECKING:
    import pandas as pd

    from saem.fitting.result import Fit

NODES = 40


def individual_parameters(fit: Fit, level: float = 0.95) -> pd.DataFrame:
    """The individual parameters of a nonlinear model given the data, at the estimate.

    Parameters
    ----------
    fit : Fit
        Of a posterior whose random effects were drawn: what follows is about these draws, so that what the population
        parameters are not known to is in it, and there is no `mode`.
    level : float
        Of the intervals.

    Returns
    -------
    DataFrame
        A row for every cluster and parameter, and where the model has occasions for every occasion too: indexed by the
        columns of clusters and occasions, and `parameter`. Parameters with a law are here whose centre is the same in
        all rows of a cluster. On the scale of the parameter:

        mode
            At the conditional modes of the random effects ("EBE").
        mean, sd
            Conditional ones, with random effects that are normal given the data on their scale.
        lower, upper
            Quantiles of the same law.

    Raises
    ------
    ModelError
        When the fit has no table, or the model has no such parameters.
    """
    import pandas as pd

    check_level(level)
    table, data = rows_of(fit)
    family = family_of(fit.model)
    tails = 0.5 - level / 2.0, 0.5 + level / 2.0
    found: dict[str, dict[str, np.ndarray]] = {}
    if fit.posterior is not None and fit.posterior.effect_draws.size:
        effects = fit.posterior.effect_draws
        drawn = family.individual(data, fit.posterior.pooled, effects.reshape(-1, *effects.shape[2:]).astype(float))
        for name, values in drawn.items():
            lower, upper = np.quantile(values, tails, axis=0)
            found[name] = {
                "mean": values.mean(axis=0),
                "sd": values.std(axis=0, ddof=1),
                "lower": lower,
                "upper": upper,
            }
    else:
        within = inside(fit, data)
        law = effects_of(fit, data, within)
        modes = family.individual(data, within.values[None], fit.random_effects[None])
        points, weights = np.polynomial.hermite_e.hermegauss(NODES)
        weights = weights / weights.sum()
        for name, own in family.individual_laws(data, within.values, law.mean, law.covariance).items():
            values = own.value(own.mean + own.sd * points[:, None])
            mean = weights @ values
            lower, upper = (own.value(own.mean + own.sd * NormalDist().inv_cdf(tail)) for tail in tails)
            sd = np.sqrt(weights @ (values - mean) ** 2)
            found[name] = {"mode": modes[name][0], "mean": mean, "sd": sd, "lower": lower, "upper": upper}
    if not found:
        raise ModelError(
            f"{fit.model.family!r} models have no individual parameters with a law and a centre of their own in every "
            "cluster; see saem.random_effects"
        )
    labels = family.individual_labels(fit.model, data, table)
    count, names = len(labels), list(found)
    index = labels.iloc[np.repeat(np.arange(count), len(names))].reset_index(drop=True).assign(parameter=names * count)
    columns = {column: np.column_stack([found[name][column] for name in names]).ravel() for column in found[names[0]]}
    return pd.DataFrame(columns, index=pd.MultiIndex.from_frame(index))
