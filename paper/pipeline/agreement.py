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

An entry that is committed and absent in a rerun of the same configuration disagrees: see `_lost`.

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
ENOUGH = 20  # replicates expected: that none has a measure by chance has a probability of some exp(-20)
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
        Where configurations, seeds or commits differ, and what a rerun of another configuration lacks.
    absent : list of str
        What a rerun of the same configuration lacks: a disagreement.
    lost : Index
        The entries (cell, method, estimand, measure) behind `absent`.
    """

    study: str
    entries: pd.DataFrame
    notes: list[str]
    absent: list[str]
    lost: pd.MultiIndex


def compare(committed: Digest, rerun: Digest) -> Agreement:
    """Compare a rerun (b) with committed results (a)."""
    tables = [
        digest.measures.set_index(list(KEYS))[["value", "mcse", "n"]].add_suffix(side)
        for digest, side in ((committed, "_a"), (rerun, "_b"))
    ]
    both = tables[0].join(tables[1], how="inner")
    both = both[~_apart(both.index)]
    shares = shares_in(both)
    z, p = _of_means(both), np.full(len(both), np.nan)
    p[shares] = _of_shares(both[shares])
    p[~shares] = _of_z(z[~shares], both[~shares])
    z[shares] = np.nan
    once = ((both["n_a"] == 1) & (both["n_b"] == 1)).to_numpy()
    p[once] = _of_data(both[once])
    lost, told = _lost(committed, rerun, tables[0], tables[1].index)
    notes = _notes(committed, rerun)
    if not _same_configuration(committed, rerun):
        return Agreement(committed.name, both.assign(z=z, p=p), [*notes, *told], [], lost[:0])
    return Agreement(committed.name, both.assign(z=z, p=p), notes, told, lost)


def _apart(entries: pd.MultiIndex) -> np.ndarray:
    """Which entries depend on the machine, or were chosen."""
    names = (entries.get_level_values(name).astype(str) for name in ("measure", "estimand"))
    text = next(names) + " " + next(names)
    return np.logical_or.reduce([text.str.contains(word, regex=False) for word in APART])


def _same_configuration(committed: Digest, rerun: Digest) -> bool:
    return bool(committed.configurations & rerun.configurations)


def _lost(
    committed: Digest, rerun: Digest, table: pd.DataFrame, there: pd.MultiIndex
) -> tuple[pd.MultiIndex, list[str]]:
    """Entries that a rerun lacks, and in words which: methods, methods in cells, and measures of a method.

    Chance may leave a measure without replicates to compute it from, such as a mean over fits that failed. One counts
    if `ENOUGH` of the rerun's replicates should have had it, or if it is in no cell of its method, with as many
    replicates as are committed, or more.
    """
    table = table[~_apart(table.index)]
    table = table[~table.index.isin(there)]
    lost = table.index
    if not len(lost):
        return lost, []
    now, then = (float(digest.provenance.get("replicates", 0)) for digest in (rerun, committed))
    expected = table["n_a"].to_numpy(float) * (min(1.0, now / then) if then else 1.0)

    def nowhere(*names: str) -> np.ndarray:
        """Which of the lost ones have names that the rerun has nowhere."""
        strange = [name for name in KEYS if name not in names]
        return np.asarray(~lost.droplevel(strange).isin(there.droplevel(strange)))

    pair = nowhere("cell", "method")
    method = nowhere("method")
    measure = ~pair & ((expected >= ENOUGH) | (nowhere("method", "estimand", "measure") & (now >= then)))
    told = []
    if method.any():
        told.append(f"the method {listing(_names(lost[method], 'method'), 20)}")
    for name in _names(lost[pair & ~method], "method"):
        cells = _names(lost[pair & (lost.get_level_values("method") == name)], "cell")
        told.append(f"{name} in {'a cell' if len(cells) == 1 else f'{len(cells)} cells'}: {listing(cells, 5)}")
    for name in _names(lost[measure], "method"):
        own = lost[measure & (lost.get_level_values("method") == name)]
        told.append(f"{len(own)} entries of {name}, of the measure {listing(_names(own, 'measure'), 10)}")
    return lost[pair | measure], [f"{committed.name}: the rerun lacks {words}" for words in told]


def _names(entries: pd.MultiIndex, level: str) -> list[str]:
    """Those of a level, each once, in order."""
    return [str(name) for name in dict.fromkeys(entries.get_level_values(level))]


def shares_in(both: pd.DataFrame) -> np.ndarray:
    """Which entries are shares: those of `SHARES`, and of measures whose entries are all counts over n."""
    from experiments.harness.performance import SHARES

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
        if key == "configuration" and _same_configuration(committed, rerun):
            continue
        if a != b and a is not None and b is not None:
            notes.append(f"{committed.name}: {words} is another: {_short(a)} committed, {_short(b)} now")
    return notes


def _of_data(both: pd.DataFrame) -> np.ndarray:
    """0 where results of the same data differ by more than `SAME` of their value, else 1."""
    a, b = both["value_a"].to_numpy(float), both["value_b"].to_numpy(float)
    with np.errstate(invalid="ignore"):
        return ((a == b) | (np.abs(a - b) <= FLOOR + SAME * np.maximum(np.abs(a), np.abs(b)))).astype(float)


def _short(value: object) -> str:
    return ", ".join(str(part)[:16] for part in value) if isinstance(value, list) else str(value)
