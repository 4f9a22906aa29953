"""Starting values of the linear family by the method of moments."""

from __future__ import annotations

import numpy as np

from saem.errors import EXACT_FIT, FitError
from saem.families.linear.arrays import LinearArrays
from saem.families.linear.data import LinearData
from saem.families.linear.stacks import pseudo_inverse, solve
from saem.families.linear.weights import with_unit_weights

Array = np.ndarray

TOTAL_SHARE = 0.5  # of the variance of the responses, of each orthogonal random effect and of the residuals at a start
ABSENT = 1e-2  # of that, of one that is nearly absent
REPEATING = 0.1  # smallest eigenvalue of the cosines between the random effects' columns: below, they nearly repeat
SINGULAR = 1e-12  # .. and below this they do


def moment_start(data: LinearData, arrays: LinearArrays) -> Array:
    """Least-squares means, and standard deviations from the scatter within and between clusters.

    Returns
    -------
    (n,) ndarray
        All parameters; correlations are zero, fixed parameters have their values.
    """
    q = arrays.sd_index.shape[1]
    h_count = len(arrays.residual_index)
    n_rows = float(arrays.n_rows.sum())
    zz = arrays.zz.sum(axis=1)
    inverse = pseudo_inverse(zz)
    rank = np.rint(np.einsum("pij,pji->p", inverse, zz))
    weights = np.ones(len(arrays.columns))
    weights[arrays.column_start[:-1]] = arrays.pattern_size
    pattern = np.repeat(np.arange(len(arrays.pattern_size)), np.diff(arrays.column_start))
    columns = arrays.columns.reshape(len(pattern), h_count, q).sum(axis=1)
    effects = np.einsum("kij,kj->ki", inverse[pattern], columns)  # least-squares random effects, cluster by cluster

    total = float(arrays.yy.sum())
    explained = float(np.sum(weights * np.einsum("ki,ki->k", effects, columns)))
    degrees = n_rows - float(np.sum(arrays.pattern_size * rank))
    overall = total / n_rows
    size = float(np.mean(with_unit_weights(data).response ** 2))
    if overall <= 1e-24 * size or (degrees > 0 and total - explained <= 1e-13 * total):
        raise FitError(EXACT_FIT)
    within = (total - explained) / degrees if degrees > 0 else 0.5 * overall
    within = min(max(within, 1e-3 * overall), overall)

    x = np.zeros(len(data.parameters))
    x[arrays.mean_index] = arrays.beta_reference
    residual = within * (arrays.yy / arrays.n_rows) / overall
    x[arrays.residual_index] = np.sqrt(np.maximum(residual, 1e-3 * overall))
    group = arrays.pattern_group[pattern]
    for g in range(len(arrays.sd_index)):
        here = group == g
        size = max(1.0, float(arrays.n_clusters[g]))
        moments = np.einsum("k,ki,ki->i", weights[here], effects[here], effects[here]) / size
        in_group = arrays.pattern_group == g
        noise = within * np.einsum("p,pii->i", arrays.pattern_size[in_group], inverse[in_group]) / size
        # not below the noise: EM moves ever more slowly as a variance becomes small against it, downwards and upwards
        x[arrays.sd_index[g]] = np.sqrt(np.maximum(moments - noise, noise))
    x[arrays.mean_index] += generalised_least_squares(arrays, x)
    return with_fixed(data, x)


def generalised_least_squares(arrays: LinearArrays, x: Array) -> Array:
    """Coefficients (p,), less the reference ones, by generalised least squares at the standard deviations in ``x``.

    Ordinary least squares would do in a balanced design; elsewhere EM is slow in the means where the random effects
    vary much more than the residuals, so a good start matters. Correlations are taken as zero.
    """
    q = arrays.sd_index.shape[1]
    precision = x[arrays.residual_index] ** -2.0
    omega = np.zeros((len(arrays.pattern_group), q, q))
    omega[:, np.arange(q), np.arange(q)] = x[arrays.sd_index[arrays.pattern_group]] ** 2
    information = np.einsum("h,phij->pij", precision, arrays.zz)
    gain = solve(np.eye(q) + omega @ information, omega)
    design = np.einsum("h,phic->pic", precision, arrays.zx)
    means = arrays.columns[arrays.column_start[:-1]].reshape(len(omega), len(precision), q)
    scores = np.einsum("h,phi->pi", precision, means)
    left = np.einsum("h,hcd->cd", precision, arrays.xx)
    weighted = arrays.pattern_size[:, None, None] * (np.swapaxes(gain, 1, 2) @ design)
    left -= np.einsum("pjc,pjd->cd", weighted, design)
    right = precision @ arrays.xy
    right -= np.einsum("pjc,pj->c", weighted, scores)
    return np.asarray(np.linalg.lstsq(left, right, rcond=1e-10)[0])


def orthogonal_starts(data: LinearData, arrays: LinearArrays) -> tuple[Array, ...]:
    """Starts (n,) for correlated random effects whose columns nearly repeat each other, such as a far covariate's.

    With ``Z'Z / n = R'R`` the effects ``R theta`` belong to orthonormal columns: of ``1`` and ``x`` these are the
    intercept at the mean of ``x``, and the slope. There the starts have no correlation: all of them vary alike, or all
    but one, which is nearly absent. Where columns do not repeat each other the first start does as well.
    """
    q = arrays.sd_index.shape[1]
    if not np.any(arrays.corr_index >= 0):
        return ()
    start, spread = moment_start(data, arrays), np.sqrt(arrays.yy.sum() / arrays.n_rows.sum())
    variances = np.full((q + 1, q), TOTAL_SHARE)
    variances[np.arange(1, q + 1), np.arange(q)] *= ABSENT
    points = np.tile(start, (q + 1, 1))
    points[:, arrays.residual_index] = spread * np.sqrt(TOTAL_SHARE)
    is_needed = False
    for g in range(len(arrays.sd_index)):
        here = arrays.pattern_group == g
        moments = np.einsum("p,phij->ij", arrays.pattern_size[here], arrays.zz[here])
        size = np.sqrt(np.maximum(np.diag(moments), 1e-300))
        values = np.linalg.eigvalsh(moments / np.outer(size, size))
        if not values[0] > SINGULAR:
            return ()  # no such columns exist
        is_needed = is_needed or values[0] < REPEATING
        rows = float(np.sum(arrays.n_rows)) * float(arrays.n_clusters[g] / arrays.n_clusters.sum())
        root = np.linalg.inv(np.linalg.cholesky(moments / np.outer(size, size)).T) / (size[:, None] / np.sqrt(rows))
        for point, variance in zip(points, variances, strict=True):
            omega = spread**2 * (root * variance) @ root.T
            sd = np.sqrt(np.diag(omega))
            point[arrays.sd_index[g]] = sd
            corr = arrays.corr_index[g]
            for j, k in zip(*np.nonzero(corr >= 0), strict=True):
                point[corr[j, k]] = omega[j, k] / (sd[j] * sd[k])
    return tuple(with_fixed(data, point) for point in points) if is_needed else ()


def with_fixed(data: LinearData, x: Array) -> Array:
    """The vector with the fixed parameters at their values."""
    return np.where(data.parameters.fixed, data.parameters.fixed_values, x)


def starting_values(data: LinearData, arrays: LinearArrays) -> tuple[Array, ...]:
    """The moment start and variations of its standard deviations, the most sensible first."""
    start = moment_start(data, arrays)
    effect = sorted(set(arrays.sd_index.ravel().tolist()))
    variations = [start]
    for factor in (0.3, 3.0):
        other = start.copy()
        other[effect] *= factor
        variations.append(with_fixed(data, other))
    if len(effect) > 1:
        mean = start[effect].mean()
        for keep in (0, len(effect) - 1):  # one large, the others small
            other = start.copy()
            other[effect] = 0.2 * mean
            other[effect[keep]] = 2.0 * mean
            variations.append(with_fixed(data, other))
    return tuple(variations)
