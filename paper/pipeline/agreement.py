"""Whether two runs of a study agree within Monte Carlo error, entry by entry.

Each entry of both digests gets a p-value for "both come from the same distribution", and a figure disagrees where the
smallest of its m entries is below `RATE / m` (Bonferroni: any dependence, such as that of methods on the same data, is
allowed). What the p-values are:

*Shares* (rates, coverage, and measures of a study that are shares) by Fisher's exact test of the two counts: there is
no error to estimate, so that shares of 0 and 1 need no special care.

*Others* by |a - b| / sqrt(v (1/n_a + 1/n_b)), where v is the larger of n_a mcse_a^2 and n_b mcse_b^2, the variances of
one replicate, against Student's t with min(n_a, n_b) - 1 degrees of freedom. The larger, not the mean of both, since
means of skewed quantities and their errors err together: a short run without a rare large value has a small mean *and*
a small error, one with it a large mean and a large error; either way the larger variance is the more honest. An error
of zero on one side (all replicates alike) is harmless by this. Few replicates, where jackknife errors are poor, are
paid for by the t distribution: with three replicates nearly nothing can be told.

A rerun has the streams of the committed run, so that the first n of N replicates are on the same data, and the variance
of a - b is v (1/n - 1/N) and not v (1/n + 1/N). The larger is taken: it holds also after a change of code that uses
other random numbers and leaves distributions alone, and costs little power, a factor sqrt((1 + n/N) / (1 - n/N)) of the
distance: 1.1 at n/N = 0.1. A full rerun with the same code gives the same numbers up to the rounding of the machine,
and the count of entries that are identical is told.

What was computed once, from real data, has no Monte Carlo error: it must be the same, but for `SAME` of its value.

A difference below `FLOOR`, or below `ROUNDING` of the value, is none: results are rounding there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from paper.digest import KEYS, Digest
from saem.errors import listing

if TYPE_CHECKING:
    import pandas as pd

RATE = 0.001  # of false alarms, for each figure or table
FLOOR = 1e-6  # in the units of the measure: all are of parameters, log-likelihoods, shares, of the order of one
ROUNDING = 2e-5  # of the value, which digests keep with six digits
SAME = 1e-3  # of the value: what numbers of the same real data may differ by on another machine
# In names of measures or estimands that depend on the machine, or were chosen (the samples of a bootstrap).
APART = ("seconds", "memory", "timeout_rate", "drawn")


@dataclass(frozen=True)
class Agreement:
    """Two digests of a study beside each other.

    Attributes
    ----------
    study : str
    entries : DataFrame
        Indexed by cell, method, estimand and measure: `value_a`, `mcse_a`, `n_a`, the same of b, `z` (nan for shares)
        and `p`, nan where nothing can be told (no Monte Carlo error, infinite values).
    notes : list of str
        Where configurations, seeds or commits differ, and methods that the rerun lacks.
    """

    study: str
    entries: pd.DataFrame
    notes: list[str]


def compare(committed: Digest, rerun: Digest) -> Agreement:
    """Compare a rerun (b) with committed results (a)."""
    tables = [
        digest.measures.set_index(list(KEYS))[["value", "mcse", "n"]].add_suffix(side)
        for digest, side in ((committed, "_a"), (rerun, "_b"))
    ]
    both = tables[0].join(tables[1], how="inner")
    names = (
        both.index.get_level_values("measure").astype(str) + " " + both.index.get_level_values("estimand").astype(str)
    )
    depends = np.logical_or.reduce([names.str.contains(word, regex=False) for word in APART])
    both = both[~depends]
    shares = shares_in(both)
    z, p = _of_means(both), np.full(len(both), np.nan)
    p[shares] = _of_shares(both[shares])
    p[~shares] = _of_z(z[~shares], both[~shares])
    z[shares] = np.nan
    once = ((both["n_a"] == 1) & (both["n_b"] == 1)).to_numpy()
    p[once] = _of_data(both[once])
    return Agreement(committed.name, both.assign(z=z, p=p), _notes(committed, rerun))


def shares_in(both: pd.DataFrame) -> np.ndarray:
    """Which entries are shares: those of `SHARES`, and of measures whose entries are all counts over n."""
    from experiments.performance import SHARES

    measure = both.index.get_level_values("measure")
    alike = np.ones(len(both), dtype=bool)
    for side in ("a", "b"):
        value, mcse, n = (both[f"{name}_{side}"].to_numpy(float) for name in ("value", "mcse", "n"))
        with np.errstate(invalid="ignore"):
            own = (value >= 0.0) & (value <= 1.0) & (np.abs(value * n - np.rint(value * n)) < 1e-4 * np.maximum(n, 1.0))
            own &= np.abs(mcse - np.sqrt(np.clip(value * (1.0 - value), 0.0, None) / n)) < 1e-3 * np.maximum(mcse, 1e-3)
        alike &= own
    by = both.assign(alike=alike).groupby(measure, sort=False)["alike"].transform("all").to_numpy(bool)
    graded = both["value_a"].groupby(measure, sort=False).transform("max").to_numpy(float) > 0.0  # not all of them zero
    return (by & graded) | (measure.isin(SHARES) & alike)


def _of_means(both: pd.DataFrame) -> np.ndarray:
    """Differences over their standard errors; nan where an error is not known."""
    a, b, error_a, error_b, n_a, n_b = (
        both[f"{name}_{side}"].to_numpy(float) for name in ("value", "mcse", "n") for side in ("a", "b")
    )
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        v = np.maximum(n_a * error_a**2, n_b * error_b**2)
        floor = FLOOR + ROUNDING * np.maximum(np.abs(a), np.abs(b))
        z = np.maximum(np.abs(a - b) - floor, 0.0) / np.sqrt(v * (1.0 / n_a + 1.0 / n_b) + floor**2)
    z = np.where(a == b, 0.0, z)  # two that are infinite, too
    # a median whose order statistics are equal has no error that is known
    medians = both.index.get_level_values("measure").str.startswith("median")
    return np.where(~np.isfinite(z) | (medians & (v == 0.0) & (a != b)), np.nan, z)


def _of_z(z: np.ndarray, both: pd.DataFrame) -> np.ndarray:
    """Two-sided p-values."""
    from scipy.stats import t

    least = np.minimum(both["n_a"], both["n_b"]).to_numpy(float)
    p = 2.0 * t.sf(z, np.maximum(least - 1.0, 1.0))
    return np.where(least < 2, np.nan, p)


def _of_shares(both: pd.DataFrame) -> np.ndarray:
    """Fisher's two-sided exact test, by twice the smaller tail."""
    from scipy.stats import hypergeom

    n_a, n_b = (both[f"n_{side}"].to_numpy(float) for side in ("a", "b"))
    k_a, k_b = (
        np.rint(both[f"value_{side}"].to_numpy(float) * both[f"n_{side}"].to_numpy(float)) for side in ("a", "b")
    )
    law = hypergeom(n_a + n_b, k_a + k_b, n_a)
    return np.minimum(1.0, 2.0 * np.minimum(law.cdf(k_a), law.sf(k_a - 1.0)))


def _notes(committed: Digest, rerun: Digest) -> list[str]:
    notes = []
    for key, words in {"configuration": "the configuration", "seed": "the seed", "commits": "the code"}.items():
        a, b = committed.provenance.get(key), rerun.provenance.get(key)
        if a != b and a is not None and b is not None:
            notes.append(f"{committed.name}: {words} is another: {_short(a)} committed, {_short(b)} now")
    lost = [name for name in dict.fromkeys(committed.measures["method"]) if name not in set(rerun.measures["method"])]
    if lost:
        notes.append(f"{committed.name}: the rerun has nothing of {listing(lost, 20)}, which is not compared")
    return notes


def _of_data(both: pd.DataFrame) -> np.ndarray:
    """0 where results of the same data differ by more than `SAME` of their value, else 1."""
    a, b = both["value_a"].to_numpy(float), both["value_b"].to_numpy(float)
    with np.errstate(invalid="ignore"):
        return ((a == b) | (np.abs(a - b) <= FLOOR + SAME * np.maximum(np.abs(a), np.abs(b)))).astype(float)


def _short(value: object) -> str:
    return ", ".join(str(part)[:16] for part in value) if isinstance(value, list) else str(value)
