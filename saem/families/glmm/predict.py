"""Predictions of rows by a generalised linear mixed model: expected outcomes with their errors, and likely outcomes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, poisson

from saem.families.estimated import Estimated, delta_variance, quadratic, touches
from saem.families.glmm.means import mean_of, moments, nodes
from saem.families.glmm.other_rows import GlmmRows

Array = NDArray[np.float64]
Law = Callable[[Array], tuple[Array, Array]]  # of linear predictors: their centres and variances (m,)
STEP = 1e-5  # of a parameter or of one, for derivatives by differences
TAILS = 12.0  # standard deviations of a count about its largest mean, beyond which there is no quantile
HALVINGS = 64


def predict(rows: GlmmRows, at: Estimated, level: float) -> dict[str, np.ndarray]:
    """See `saem.families.family.Family.predict`.

    The linear predictor of a row in a known cluster is taken as normal given the data, with the moments of its random
    effects; in a new cluster it is normal with their covariance. `predicted` and `marginal` are the expected outcomes:
    means over that law. Their standard errors are those of the delta method with the covariance of the estimates, and
    for a known cluster the spread of the mean given the data. Bounds are quantiles of an outcome whose predictor also
    has the error of the estimates.
    """
    data, x, known = at.data, at.values, rows.cluster >= 0
    own, z = np.maximum(rows.cluster, 0), rows.random_design
    shift, slopes = at.effects.mean[own], at.slopes[own]
    conditional = quadratic(z, at.effects.covariance[own])

    def law_of_new(p: Array) -> tuple[Array, Array]:
        return rows.fixed_part(data, p), quadratic(z, data.effect_covariance(p)[rows.group])

    def law_of_own(p: Array) -> tuple[Array, Array]:
        moved = np.einsum("ri,ri->r", z, shift + slopes @ (p - x))
        new, spread = law_of_new(p)
        return np.where(known, new + moved, new), np.where(known, conditional, spread)

    def mean_by(law: Law) -> Callable[[Array], Array]:
        return lambda p: rows.trials * moments(data.distribution, *law(p))[0]

    def centre_by(law: Law) -> Callable[[Array], Array]:
        return lambda p: law(p)[0]

    columns: dict[str, np.ndarray] = {"known": known}
    laws: tuple[tuple[str, Law], ...] = (("", law_of_own), ("marginal_", law_of_new))
    for prefix, law in laws:
        centre, variance = law(x)
        mean, spread = moments(data.distribution, centre, variance)
        gradient = derivatives(mean_by(law), x, at)
        lost = touches(gradient, at.free)
        error = delta_variance(gradient, at.covariance)
        if not prefix:
            error = error + np.where(known, rows.trials**2 * spread, 0.0)
        along = derivatives(centre_by(law), x, at)
        wide = variance + delta_variance(along, at.covariance)
        lower, upper = bounds(data.distribution, centre, wide, rows.trials, level)
        columns |= {
            "marginal" if prefix else "predicted": np.where(lost, np.nan, rows.trials * mean),
            f"{prefix}se": np.where(lost, np.nan, np.sqrt(error)),
            f"{prefix}lower": np.where(lost, np.nan, lower),
            f"{prefix}upper": np.where(lost, np.nan, upper),
        }
    return columns


def derivatives(function: Callable[[Array], Array], x: Array, at: Estimated) -> Array:
    """Derivatives (m, n) by the parameters, by central differences; one-sided at the end of a parameter's range."""
    domains = at.data.parameters.domains
    found = []
    for i in range(len(x)):
        step = STEP * max(1.0, abs(x[i]))
        up, down = x.copy(), x.copy()
        up[i], down[i] = min(x[i] + step, domains.high[i]), max(x[i] - step, domains.low[i])
        found.append((function(up) - function(down)) / (up[i] - down[i]))
    return np.array(found).T


def bounds(distribution: str, centre: Array, variance: Array, trials: Array, level: float) -> tuple[Array, Array]:
    """Quantiles (m,) of outcomes whose linear predictors are normal (centre, variance); nan where a variance is."""
    points, weights = nodes()
    known = np.isfinite(variance) & np.isfinite(centre)
    eta = np.where(known, centre, 0.0)[:, None] + np.sqrt(np.where(known, variance, 0.0))[:, None] * points
    mean = mean_of(distribution, eta)

    def share(outcome: Array) -> Array:
        values = poisson.cdf(outcome[:, None], mean) if distribution == "poisson" else None
        values = binom.cdf(outcome[:, None], trials[:, None], mean) if values is None else values
        return np.asarray(values @ weights)

    largest = mean.max(axis=1)
    most = np.ceil(largest + TAILS * np.sqrt(largest) + TAILS) if distribution == "poisson" else trials
    found = []
    for wanted in (0.5 - level / 2.0, 0.5 + level / 2.0):
        low, high = np.full(len(centre), -1.0), most.copy()
        for _ in range(HALVINGS):  # the smallest outcome that at least this share does not exceed
            middle = np.floor(0.5 * (low + high))
            enough = share(middle) >= wanted
            low, high = np.where(enough, low, middle), np.where(enough, middle, high)
            if np.all(high - low <= 1.0):
                break
        found.append(np.where(known, high, np.nan))
    return found[0], found[1]
