"""Weakly informative priors for the linear family, from the scale of the data.

With ``s`` the standard deviation of the response (Gelman et al. 2008 for the idea): a slope is ``normal(0, 2.5 s /
sd(x))``, as in rstanarm, a standard deviation ``half_normal(s)`` (by the root mean square of its column where it is
that of a slope), a correlation ``lkj(1)``, which is uniform. A part of a response hardly varies more than the response
does; a wider prior, such as the ``half_student_t(3, 2.5 s)`` of brms, says little more and leaves a mean that is an
exponential of a variance anywhere between 0 and 10^100.

The prior of an intercept is that which ``student_t(3, median(y), 2.5 s)`` has at the *mean* of the other columns: with
their slopes, the intercept itself is then spread ``sqrt(1 + sum (mean(x) / sd(x))^2)`` times wider. Without a constant
column the slopes carry the level of the response, and ``s`` is its root mean square instead of its standard deviation.
"""

from __future__ import annotations

import numpy as np

from saem.families.gaussian_data import GaussianData
from saem.specification.domains import CORRELATION

WIDE = 2.5
DF = 3


def default_priors(data: GaussianData) -> tuple[str, ...]:
    """The default prior of every parameter (n,), as text in its order."""
    y, x, z = data.response, data.mean_design, data.random_design
    spread = float(np.std(y, ddof=1))
    names = data.parameters.names
    priors = [f"half_normal({spread:.4g})"] * len(names)
    for i, domain in enumerate(data.parameters.domains):
        if domain == CORRELATION:
            priors[i] = "lkj(1)"
    sizes = np.sqrt(np.mean(z**2, axis=0))
    for row in data.sd_index:
        for i, size in zip(row, sizes, strict=True):
            if i >= 0 and i not in data.residual_index and size > 0.0:
                priors[i] = f"half_normal({spread / size:.4g})"
    centre, sd = x.mean(axis=0), x.std(axis=0)
    constant = sd <= 1e-9 * np.abs(x).max(axis=0)
    if not constant.any():
        spread = float(np.sqrt(np.mean(y**2)))
    wider = float(np.sqrt(1.0 + np.sum((centre[~constant] / sd[~constant]) ** 2)))
    for j, i in enumerate(data.mean_index):
        if constant[j]:
            at, scale = np.median(y) / centre[j], WIDE * spread * wider / abs(centre[j])
            priors[i] = f"student_t({DF}, {at:.4g}, {scale:.4g})"
        else:
            priors[i] = f"normal(0, {WIDE * spread / sd[j]:.4g})"
    return tuple(priors)
