"""Monte Carlo error as figures show it: error bars of 95 %, from tables with the columns `value`, `mcse` and `n`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.harness.performance.proportions import QUANTILE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

CUT = 0.1  # of a value: a bar that goes on below this on a logarithmic axis ends here, with an arrow


def of_mean(table: pd.DataFrame) -> np.ndarray:
    """Lengths (2, k) below and above: 1.96 errors; none where the error is not known."""
    length = QUANTILE * np.nan_to_num(table["mcse"].to_numpy(float))
    return np.stack([length, length])


def of_mean_cut(table: pd.DataFrame) -> np.ndarray:
    """Lengths (2, k) as `of_mean` for a logarithmic axis, on which an error may reach zero: cut at `CUT` of a value."""
    below, above = of_mean(table)
    return np.stack([np.maximum(np.minimum(below, (1.0 - CUT) * table["value"].to_numpy(float)), 0.0), above])


def of_ratio(table: pd.DataFrame) -> np.ndarray:
    """Lengths (2, k) for a logarithmic axis: a factor of exp(1.96 errors of the logarithm)."""
    ratio = table["value"].to_numpy(float)
    factor = np.exp(np.nan_to_num(QUANTILE * table["mcse"].to_numpy(float) / ratio))
    return np.stack([ratio - ratio / factor, ratio * factor - ratio])


def of_share(table: pd.DataFrame) -> np.ndarray:
    """Lengths (2, k) of score intervals (Wilson 1927), which have a length also where all replicates agree."""
    p, n = table["value"].to_numpy(float), table["n"].to_numpy(float)
    z2 = QUANTILE**2
    middle = (p + z2 / (2.0 * n)) / (1.0 + z2 / n)
    half = QUANTILE * np.sqrt(p * (1.0 - p) / n + z2 / (4.0 * n**2)) / (1.0 + z2 / n)
    return np.asarray(np.maximum([p - (middle - half), middle + half - p], 0.0))


def cut_ends(axes: Axes, x: np.ndarray, y: np.ndarray, errors: np.ndarray, color: Any, across: bool = False) -> None:
    """Arrows where bars are cut, that no cut is taken for an end; `across`: bars of x, not of y."""
    value = x if across else y
    is_cut = (value > 0.0) & np.isclose(errors[0], (1.0 - CUT) * value, rtol=1e-9, atol=0.0)
    ends = (CUT * x[is_cut], y[is_cut]) if across else (x[is_cut], CUT * y[is_cut])
    axes.plot(*ends, ls="none", marker="<" if across else "v", ms=2.8 if across else 3.4, mew=0.0, color=color)
