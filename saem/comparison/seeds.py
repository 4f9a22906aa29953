"""What several seeds tell of a method: how far its estimates scatter, and whether its Monte Carlo errors say so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from saem.fitting.result import Fit

COLUMNS = (
    "method fits converged mean_deficit mean_deficit_error median_deficit rms_distance rms_distance_error parameter "
    "spread_over_mcse spread_over_mcse_error draws seconds"
).split()
NEGLIGIBLE = 1e-6  # of the standard error: a Monte Carlo error below is none


def over_seeds(repetitions: Mapping[str, Sequence[Fit]], reference: Fit, maximum: float) -> pd.DataFrame:
    """One row a method; see `saem.comparison.result.Comparison.over_seeds`.

    Parameters
    ----------
    repetitions : mapping of str to sequence of Fit
        The fits of each method.
    reference : Fit
        With which estimates are compared.
    maximum : float
        The highest log-likelihood.
    """
    import pandas as pd

    lines: list[list[object]] = []
    for name, fits in repetitions.items():
        deficits = maximum - np.array([np.nan if fit.method == "reml" else fit.loglik for fit in fits])
        nothing = np.full((len(fits), len(reference.se)), np.nan)
        difference = np.array([fit.values for fit in fits]) - reference.values
        distances = np.divide(difference, reference.se, out=nothing, where=reference.se > 0.0)
        worst = int(np.argmax(np.nan_to_num(np.mean(distances**2, axis=0))))
        rms, rms_error = jackknife(distances[:, worst].tolist(), root_mean_square)
        ratio, ratio_error = jackknife(fits, spread_over_mcse)
        lines.append(
            [name, len(fits), mean([fit.converged for fit in fits])]
            + [*jackknife(deficits.tolist(), mean), float(np.median(deficits))]
            + [rms, rms_error, reference.parameters.names[worst] if rms > 0.0 else "", ratio, ratio_error]
            + [mean([fit.drawn for fit in fits]), mean([fit.seconds for fit in fits])]
        )
    return pd.DataFrame(lines, columns=COLUMNS)


def spread_over_mcse(fits: Sequence[Fit]) -> float:
    """Standard deviation of the estimates over seeds by their root-mean-square MCSE, root mean square over parameters.

    nan where a fit is alone, or no Monte Carlo error is known.
    """
    if len(fits) < 2:
        return float("nan")
    mcse = np.array([fit.mcse for fit in fits])
    se = np.nanmax([fit.se for fit in fits], axis=0, initial=0.0)
    known = np.isfinite(mcse).all(axis=0) & (np.mean(mcse, axis=0) > NEGLIGIBLE * se)
    if not known.any():
        return float("nan")
    spread = np.var([fit.values[known] for fit in fits], axis=0, ddof=1)
    return float(np.sqrt(np.mean(spread / np.mean(mcse[:, known] ** 2, axis=0))))


def jackknife(sample: Sequence[Any], statistic: Callable[[Sequence[Any]], float]) -> tuple[float, float]:
    """A statistic of a sample, and its standard error from leaving out one at a time; nan for fewer than three."""
    value, n = statistic(sample), len(sample)
    if n < 3:
        return value, float("nan")
    without = np.array([statistic([*sample[:i], *sample[i + 1 :]]) for i in range(n)])
    return value, float(np.sqrt((n - 1) / n * np.sum((without - without.mean()) ** 2)))


def mean(values: Sequence[float]) -> float:
    """The mean."""
    return float(np.mean(values))


def root_mean_square(values: Sequence[float]) -> float:
    """The root of the mean of squares."""
    return float(np.sqrt(np.mean(np.square(values))))
