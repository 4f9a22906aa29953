"""Predictions of rows by a nonlinear model: expected responses with their errors, and likely responses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from saem.families.estimated import Estimated, delta_variance, touches
from saem.families.nonlinear.evaluation import AT_ONCE, NonlinearRows
from saem.families.nonlinear.moments import POINTS, mean_over, sobol_points, spread_of_means
from saem.families.nonlinear.outcomes import cdf, draw
from saem.families.nonlinear.residuals import mean_of

Floats = NDArray[np.float64]
STEP = 1e-4  # of a parameter or of one, for derivatives by differences
NEAR = 0.08  # of a share: those of 512 draws are within


def predict(rows: NonlinearRows, at: Estimated, level: float) -> dict[str, np.ndarray]:
    """See `saem.families.family.Family.predict`.

    The random effects of a known cluster are taken as normal given the data, with their conditional means and
    covariances; in a new cluster they have their own law, and so do those of a new occasion of a known one. `predicted`
    and `marginal` are the expected responses, means over that law. Their standard errors are those of the delta method
    with the covariance of the estimates, and for a known cluster the spread of the mean given the data. Bounds
    are quantiles of responses with random effects of that law and parameters of the law of the estimates; both are
    drawn.
    """
    structure, x, known = rows.structure, at.values, rows.cluster >= 0
    own = np.maximum(rows.cluster, 0)
    expression = mean_of(structure)
    d = len(structure.effects)
    roots = roots_of(at.effects.covariance)
    index = structure.sd_index.ravel().tolist()
    fresh = rows.fresh if rows.fresh is not None and rows.fresh.any() else None

    def new(p: Floats) -> tuple[Floats, Floats]:
        return np.zeros((len(rows), d)), rows.root(p)[rows.group]

    def given(p: Floats) -> tuple[Floats, Floats]:
        shift, root = new(p)
        moved, conditional = at.effects.mean[own] + at.slopes[own] @ (p - x), roots[own]
        if fresh is not None:
            moved, conditional = (
                np.where(fresh, 0.0, moved),
                renewed(at.effects.covariance[own], conditional, root, fresh),
            )
        return np.where(known[:, None], moved, shift), np.where(known[:, None, None], conditional, root)

    columns: dict[str, np.ndarray] = {"known": known}
    for prefix, law in (("", given), ("marginal_", new)):
        means, spread = mean_over(rows, [expression], x, *law(x))
        gradient = np.empty((len(rows), len(x)))
        for i, domain in enumerate(at.data.parameters.domains):
            step = STEP * max(abs(x[i]), 1e-2 if i in index else 1e-6)
            up, down = x.copy(), x.copy()
            up[i], down[i] = min(x[i] + step, domain.high), max(x[i] - step, domain.low)
            above, below = (mean_over(rows, [expression], p, *law(p))[0][0] for p in (up, down))
            gradient[:, i] = (above - below) / (up[i] - down[i])
        lost = touches(gradient, at.free)
        error = delta_variance(gradient, at.covariance)
        if not prefix:
            unknown = spread[0]
            if fresh is not None:
                new_unit = np.flatnonzero(fresh.any(axis=1))
                shift, root = (each[new_unit] for each in given(x))
                unknown[new_unit] = spread_of_means(rows.take(new_unit), expression, x, shift, root)
            error = error + np.where(known, unknown, 0.0)
        lower, upper = bounds(rows, at, law(x), level)
        columns |= {
            "marginal" if prefix else "predicted": np.where(lost, np.nan, means[0]),
            f"{prefix}se": np.where(lost, np.nan, np.sqrt(error)),
            f"{prefix}lower": np.where(lost, np.nan, lower),
            f"{prefix}upper": np.where(lost, np.nan, upper),
        }
    return columns


def renewed(covariance: Floats, conditional: Floats, prior: Floats, fresh: NDArray[np.bool_]) -> Floats:
    """Roots (m, d, d) of covariances, where some coordinates have their own law and are independent of the others.

    Parameters
    ----------
    covariance, conditional : (m, d, d) ndarray
        Covariances given the data, and their roots.
    prior : (m, d, d) ndarray
        Roots of those without the data.
    fresh : (m, d) ndarray of bool
        The coordinates.
    """
    found = conditional.copy()
    for pattern in np.unique(fresh[fresh.any(axis=1)], axis=0):
        here = np.flatnonzero(np.all(fresh == pattern, axis=1))
        own, rest = np.flatnonzero(pattern), np.flatnonzero(~pattern)
        found[here] = 0.0
        # triangular, with signs that make it move smoothly with the parameters
        root = np.asarray(np.linalg.qr(prior[np.ix_(here, own)].swapaxes(1, 2), mode="r")).swapaxes(1, 2)
        sign = np.where(np.einsum("rii->ri", root) < 0.0, -1.0, 1.0)
        found[np.ix_(here, own, own)] = root * sign[:, None, :]
        found[np.ix_(here, rest, rest)] = roots_of(covariance[np.ix_(here, rest, rest)])
    return found


def roots_of(covariances: Floats) -> Floats:
    """Matrices (C, d, d) whose products with their transposes are covariances, singular ones too."""
    values, vectors = np.linalg.eigh(np.nan_to_num(covariances))
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :])


def bounds(rows: NonlinearRows, at: Estimated, law: tuple[Floats, Floats], level: float) -> tuple[Floats, Floats]:
    """Quantiles (m,) of new responses; nan where the errors of the estimates are not known, or none can be drawn."""
    structure, d = rows.structure, len(rows.structure.effects)
    shift, root = law
    unknown = np.isnan(np.diag(at.covariance))
    if not structure.arguments:
        return np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    covariance = np.where(np.isnan(at.covariance), 0.0, at.covariance)
    points = sobol_points(d + len(at.values))[0]
    domains = at.data.parameters.domains
    drawn = at.values + points[:, d:] @ roots_of(covariance[None])[0].T
    inside = np.clip(drawn, domains.low + 1e-12, np.where(np.isfinite(domains.high), domains.high - 1e-12, np.inf))
    drawn = np.where(domains.is_real, drawn, inside)
    rng = np.random.default_rng(1)
    lower, upper = np.empty(len(rows)), np.empty(len(rows))
    step = max(1, AT_ONCE // POINTS)
    for begin in range(0, len(rows), step):
        part = np.arange(begin, min(begin + step, len(rows)))
        own, x = rows.take(part), drawn[:, None, :]
        z = own.centres(x) + shift[part] + np.einsum("rij,kj->kri", root[part], points[:, :d])
        with np.errstate(all="ignore"):
            arguments = {name: values.T.ravel() for name, values in own.arguments(x, z).items()}
            good = np.logical_and.reduce([np.isfinite(values) for values in arguments.values()])
            made = np.full(len(part) * POINTS, np.nan)
            if good.any():
                made[good] = draw(
                    at.data.outcome.distribution, {name: values[good] for name, values in arguments.items()}, rng
                )
        drawn_rows, ends = made.reshape(len(part), POINTS), (0.5 - level / 2.0, 0.5 + level / 2.0)
        if at.data.outcome.about.is_whole:

            def share(y: Floats, arguments: dict[str, Floats] = arguments) -> Floats:
                below = cdf(at.data.outcome.distribution, arguments, np.repeat(y, POINTS))
                return np.asarray(np.nanmean(below.reshape(-1, POINTS), axis=1))

            lower[part], upper[part] = (whole_quantile(drawn_rows, end, share) for end in ends)
        else:
            lower[part], upper[part] = np.nanquantile(drawn_rows, ends, axis=1)
    lost = unknown.any() & ~np.zeros(len(rows), dtype=bool)
    return np.where(lost, np.nan, lower), np.where(lost, np.nan, upper)


def whole_quantile(drawn: Floats, wanted: float, share: Callable[[Floats], Floats]) -> Floats:
    """The smallest whole numbers (m,) that a ``share`` of at least ``wanted`` does not exceed, near those drawn."""
    ordered, known = np.sort(drawn, axis=1), np.sum(np.isfinite(drawn), axis=1)  # what is nan comes last

    def beside(away: float) -> Floats:
        position = np.ceil(np.clip(wanted + away, 0.0, 1.0) * known).astype(np.int64) - 1
        return np.take_along_axis(ordered, np.maximum(position, 0)[:, None], axis=1)[:, 0]

    low, high = beside(-NEAR), beside(NEAR)
    low = low - 1.0
    while np.any(high - low > 1.0):
        middle = np.floor(0.5 * (low + high))
        enough = share(middle) >= wanted
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return np.asarray(high)
