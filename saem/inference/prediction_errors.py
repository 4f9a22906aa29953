"""Normalised prediction distribution errors: where the data lie among data that the fitted model has drawn.

Brendel, Comets, Laffont, Laveille & Mentre (2006); Comets, Brendel & Mentre (2008). The responses of a cluster, and
those drawn for it, are made uncorrelated first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from saem.errors import ModelError
from saem.families import Family, family_of
from saem.inference.arguments import whole
from saem.inference.conditional import effects_of
from saem.inference.rows import Inside, inside, refuse_posterior, rows_of
from saem.system.streams import check_seed, stream

if TYPE_CHECKING:
    import pandas as pd

    from saem.families.arranged import Arranged
    from saem.fitting.result import Fit

Array = np.ndarray

MOST = 100_000  # draws
LEAST = 100  # draws: with fewer, quantiles beyond 2.6 cannot be told apart
AT_ONCE = 4_000_000  # numbers of a block of draws
SHAPIRO = 5000  # rows; the law of its statistic is not known beyond


@dataclass(frozen=True, eq=False)
class PredictionErrors:
    """Normalised prediction distribution errors of every row.

    Attributes
    ----------
    fit : Fit
    draws : int
        How many sets of data were drawn.
    table : DataFrame
        With the index of `Fit.table`: `fitted_marginal`, the mean; `pde`, the share of the draws that is below the
        response, both uncorrelated within the cluster; `npde`, its normal quantile.
    tests : DataFrame
        Indexed by `test`, with `value` and `p`: the `mean` of the npde against 0 (Wilcoxon's signed ranks), their
        `variance` against 1 (Fisher's: ``(n - 1) s^2`` is chi-square), `normality` (W of Shapiro & Wilk), and `global`,
        three times the smallest p of these, at most 1. They take the estimate for the truth. For the data that it was
        made of this is conservative: of right models, `global` refuses 1 % and not 5 %, since mean and variance are
        fitted: what they find there is no accident, what they miss may be there.
    """

    fit: Fit
    draws: int
    table: pd.DataFrame
    tests: pd.DataFrame


def npde(fit: Fit, draws: int = 1000, seed: int = 0) -> PredictionErrors:
    """Normalised prediction distribution errors, independent standard normals if the model is right.

    The responses are made uncorrelated within each cluster by their mean and covariance in the model, which here are
    known (the papers have those of the draws). So in the right model every rank is as likely as another, whatever the
    number of draws. A rank of 0 or all counts as half a rank from the end, ``1 / (2 draws)``, as in the package npde.

    Of nonlinear models mean and covariance are those of drawn data, too. Responses that are whole numbers, censored, or
    times to events are not made uncorrelated: their `pde` is the distribution function given the earlier rows of the
    cluster, at a point drawn at random within its jump, or within what is known of a censored response. It is uniform
    and independent in the right model. Rows that say nothing have none.

    Parameters
    ----------
    fit : Fit
    draws : int
        Sets of data to draw, 100 or more; for whole numbers, censored responses and times, random effects to draw.
    seed : int
        Same seed, same draws; more of them change none of the first.

    Raises
    ------
    ModelError
        When the fit has no table, or a residual standard deviation is zero.
    """
    import pandas as pd
    from scipy.special import ndtri

    draws = whole(draws, "draws", LEAST, MOST)
    check_seed(seed)
    refuse_posterior(fit, "one estimate that draws data")
    table, data = rows_of(fit)
    here = inside(fit, data)
    family = family_of(fit.model)
    # a rank among K draws has K + 1 values; spread evenly over its own part it is uniform, whatever K
    within = stream(seed, "prediction errors", "ties").random(len(data.response))
    effects = stream(seed, "prediction errors", "effects given earlier rows")
    try:
        law = effects_of(fit, data, here)
    except ModelError:  # the likelihood cannot be evaluated
        law = None
    ends = family.conditional_ranks(fit.model, here.data, here.values, int(draws), effects, law)
    if ends is None:
        share = (ranks(family, here, int(draws), seed) + within) / (draws + 1)
    else:
        share = np.clip(ends[0] + within * (ends[1] - ends[0]), 0.5 / draws, 1.0 - 0.5 / draws)
    errors = ndtri(share)
    try:
        fitted = family.fitted(here.data, here.values, here.coordinates)
    except ModelError:  # of an outcome without a mean
        fitted = np.full(len(errors), np.nan)
    columns = {"fitted_marginal": fitted, "pde": share, "npde": errors}
    tests = tests_of(errors[np.isfinite(errors)], seed)
    return PredictionErrors(fit, int(draws), pd.DataFrame(columns, index=table.index), tests)


def ranks(family: Family, within: Inside, draws: int, seed: int) -> Array:
    """How many of the draws (n,) are below each response, after both are made uncorrelated."""
    data, values = within.data, within.values
    observed = family.uncorrelated(data, values, data.response[:, None])
    below = np.zeros(len(observed), dtype=np.int64)
    size = max(1, AT_ONCE // len(observed))
    for first in range(0, draws, size):
        block = range(first, min(first + size, draws))
        made = np.column_stack([one_draw(family, data, values, seed, k) for k in block])
        below += np.sum(family.uncorrelated(data, values, made) < observed, axis=1)
    return below


def one_draw(family: Family, data: Arranged, values: Array, seed: int, k: int) -> Array:
    """The k-th set of responses (n,), of random streams of its own."""
    streams = (stream(seed, "prediction errors", str(k), part) for part in ("effects", "residuals"))
    return family.draw_response(data, values, *streams)


def tests_of(errors: Array, seed: int) -> pd.DataFrame:
    """Whether prediction errors (n,) are standard normal; beyond `SHAPIRO` rows, normality is that of a sample."""
    import pandas as pd
    from scipy.stats import chi2, shapiro, wilcoxon

    count, variance = len(errors), float(np.var(errors, ddof=1))
    tail = float(chi2.cdf((count - 1) * variance, count - 1))
    some = errors
    if count > SHAPIRO:
        some = stream(seed, "prediction errors", "normality").choice(errors, SHAPIRO, replace=False)
    # all ranks may be 0: what is constant is not normal
    w, of_w = (float(part) for part in shapiro(some)) if np.ptp(some) > 0.0 else (np.nan, 0.0)
    p = [float(wilcoxon(errors).pvalue), 2.0 * min(tail, 1.0 - tail), of_w]
    rows = {
        "value": [float(np.mean(errors)), variance, w, np.nan],
        "p": [*p, min(1.0, 3.0 * min(p))],
    }
    index = pd.Index(["mean", "variance", "normality", "global"], name="test", dtype="str")
    return pd.DataFrame(rows, index=index)
