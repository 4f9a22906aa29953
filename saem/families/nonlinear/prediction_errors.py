"""What prediction errors of a nonlinear model are made of: responses that are made independent, or their ranks.

Continuous responses are made uncorrelated by the mean and covariance of responses that the model draws (Brendel et al.
2006). Others are not made independent in that way. Of them the distribution function is computed given the rows of the
cluster that come before, ``F(y_j | y_1 .. y_{j-1})``: uniform and independent in the right model, for any outcome,
where jumps are filled by chance.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from saem.errors import ModelError
from saem.expressions.columns import Values
from saem.families.estimated import Effects
from saem.families.nonlinear.data import NonlinearData
from saem.families.nonlinear.evaluation import AT_ONCE, NonlinearRows
from saem.families.nonlinear.other_rows import own_rows
from saem.families.nonlinear.outcome_keys import Outcome
from saem.families.nonlinear.outcomes import cdf
from saem.families.nonlinear.simulate import draw_response
from saem.families.nonlinear.support import censored, happened, telling

Floats = NDArray[np.float64]
DRAWS = 2000  # sets of responses for means and covariances
WIDER = 2.0  # times the covariance of the random effects given all rows
FEWEST = 10.0  # effective draws of the random effects of a cluster given its earlier rows
_MOMENTS: WeakKeyDictionary[NonlinearData, tuple[bytes, Floats, list[tuple[NDArray[np.intp], Floats]]]]
_MOMENTS = WeakKeyDictionary()


def uncorrelated(data: NonlinearData, x: Floats, responses: Floats) -> Floats:
    """Responses (n, k) less their means, times the inverse Cholesky factors of the covariances in their clusters."""
    means, factors = moments(data, x)
    found = np.empty(responses.shape)
    for rows, factor in factors:
        found[rows] = np.linalg.solve(factor, responses[rows] - means[rows, None])
    return found


def moments(data: NonlinearData, x: Floats) -> tuple[Floats, list[tuple[NDArray[np.intp], Floats]]]:
    """Means (n,) of drawn responses, and the rows of every cluster with the Cholesky factor of their covariance.

    Raises
    ------
    ModelError
        When a cluster has too many rows for the number of draws, or responses that do not vary.
    """
    if data in _MOMENTS and _MOMENTS[data][0] == x.tobytes():
        return _MOMENTS[data][1:]
    streams = [np.random.Generator(np.random.SFC64(np.random.SeedSequence([20261, part]))) for part in (0, 1)]
    made = np.array([draw_response(data, x, *streams) for _ in range(DRAWS)])
    means, factors = made.mean(axis=0), []
    for cluster in range(len(data.cluster_group)):
        rows = np.flatnonzero(data.cluster == cluster)
        if 2 * len(rows) > DRAWS:
            raise ModelError(
                f"a cluster has {len(rows)} rows, too many for the covariance of {DRAWS} drawn sets of responses"
            )
        covariance = np.atleast_2d(np.cov(made[:, rows], rowvar=False))
        try:
            factors.append((rows, np.linalg.cholesky(covariance)))
        except np.linalg.LinAlgError:
            raise ModelError(
                "drawn responses of a cluster do not vary independently of each other, so that they cannot be made "
                "uncorrelated (a residual standard deviation that is next to zero)"
            ) from None
    _MOMENTS[data] = x.tobytes(), means, factors
    return means, factors


def conditional_ranks(
    data: NonlinearData, x: Floats, draws: int, rng: np.random.Generator, law: Effects | None
) -> tuple[Floats, Floats] | None:
    """Ends (n,) of the intervals in which the distribution function lies at each response, given the rows before.

    None for continuous responses that are all known, which `uncorrelated` is for; nan for rows that say nothing.

    Parameters
    ----------
    data : NonlinearData
    x : (n_parameters,) ndarray
    draws : int
        Of the random effects of every cluster; those that fit its earlier rows weigh more.
    rng : Generator
    law : Effects or None
        Of the random effects given all rows, from which half of the draws are made, since the other half, which is from
        their law before the data, may hardly fit many rows.

    Raises
    ------
    ModelError
        When too few of the draws fit the rows of a cluster.
    """
    outcome = data.outcome
    beyond = censored(outcome, data.response, data.columns)
    if not (outcome.about.is_whole or outcome.event is not None or beyond is not None):
        return None
    if not data.structure.alone:
        raise ModelError("a log_density of your own has no distribution function; name a distribution")
    rows = own_rows(data)
    tells = telling(outcome, data.response, data.columns)
    roots, centres = rows.root(x), rows.centres(x)
    low, high = np.full((2, len(rows)), np.nan)
    for cluster in range(len(data.cluster_group)):
        own = np.flatnonzero(data.cluster == cluster)
        effects, prior = _draws_of(roots[data.cluster_group[cluster]], law, cluster, draws, rng)
        logs, below, above = _rows_at(data, rows.take(own), x, centres[own], effects, own)
        before = prior + np.vstack([np.zeros(draws), np.cumsum(logs, axis=0)[:-1]])
        weights = np.exp(before - before.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        fewest = float((1.0 / (weights**2).sum(axis=1)).min())
        if fewest < FEWEST:
            labels: Any = data.cluster_labels
            raise ModelError(
                f"of {draws} draws of the random effects hardly {fewest:.2g} fit the rows of cluster "
                f"{', '.join(map(str, labels.iloc[cluster]))}: give a larger number of draws"
            )
        low[own], high[own] = (weights * below).sum(axis=1), (weights * above).sum(axis=1)
    low[~tells] = high[~tells] = np.nan
    return low, np.maximum(low, high)


def _draws_of(
    root: Floats, law: Effects | None, cluster: int, draws: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Random effects (draws, d) of a cluster, and the logarithms (draws,) of their weights as draws of the prior."""
    u = rng.standard_normal((draws, len(root)))
    prior = u @ root.T
    covariance = root @ root.T
    if law is None or np.linalg.matrix_rank(root) < len(root):
        return prior, np.zeros(draws)
    mean, wide = law.mean[cluster], WIDER * law.covariance[cluster]
    try:
        factor = np.linalg.cholesky(wide)
    except np.linalg.LinAlgError:
        return prior, np.zeros(draws)
    half = draws // 2
    effects = np.vstack([prior[half:], mean + u[:half] @ factor.T])

    def log_density(centre: Floats, spread: Floats) -> Floats:
        away = effects - centre
        square = np.sum(away * np.linalg.solve(spread, away.T).T, axis=1)
        return np.asarray(-0.5 * (square + np.linalg.slogdet(spread)[1]))

    before = log_density(np.zeros(len(root)), covariance)
    share = half / draws
    mixed = np.logaddexp(np.log1p(-share) + before, np.log(share) + log_density(mean, wide))
    return effects, before - mixed


def _rows_at(
    data: NonlinearData,
    rows: NonlinearRows,
    x: Floats,
    centres: Floats,
    effects: Floats,
    own: NDArray[np.intp],
) -> tuple[Floats, Floats, Floats]:
    """Log-densities (m, draws) of a cluster's rows, and the distribution function just below and at the responses."""
    m, draws = len(own), len(effects)
    found = np.empty((3, m, draws))
    step = max(1, AT_ONCE // draws)
    for begin in range(0, m, step):
        part = np.arange(begin, min(begin + step, m))
        many = rows.take(np.repeat(part, draws))
        z = (centres[part, None, :] + effects[None]).reshape(len(many), -1)
        y = data.response[own[part]].repeat(draws)
        logs = many.values(data.structure.log_density, x, z)
        below, above = _ends(data.outcome, many.arguments(x, z), many.columns, y)
        for k, values in enumerate((logs, below, above)):
            found[k, part] = values.reshape(len(part), draws)
    return found[0], found[1], found[2]


def _ends(
    outcome: Outcome, arguments: Mapping[str, Floats], columns: Mapping[str, Values], y: Floats
) -> tuple[Floats, Floats]:
    """The distribution function just below and at the responses; over what is known of those that are censored."""
    name = outcome.distribution

    def of(key: str | float) -> Floats:
        values = columns[key] if isinstance(key, str) else key
        return np.broadcast_to(np.asarray(values, dtype=float), y.shape)

    if outcome.interval is not None:
        low, high = (cdf(name, arguments, of(end)) for end in outcome.interval)
        return low, high
    above = cdf(name, arguments, y)
    below = cdf(name, arguments, y - 1.0) if outcome.about.is_whole else above
    if outcome.event is not None:
        is_event = happened(outcome, y, columns)
        return above, np.where(is_event, above, 1.0)
    if outcome.lower is not None:
        at = y <= of(outcome.lower)
        end = cdf(name, arguments, of(outcome.lower))
        below, above = np.where(at, 0.0, below), np.where(at, end, above)
    if outcome.upper is not None:
        at = y >= of(outcome.upper)
        end = cdf(name, arguments, of(outcome.upper))
        below, above = np.where(at, end, below), np.where(at, 1.0, above)
    return below, above
