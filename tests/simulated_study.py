"""Rows of simulation studies made without any fit, for the tests of performance measures."""

from __future__ import annotations

import numpy as np
import pandas as pd

from experiments.harness.performance import COLUMNS
from saem.system.streams import stream


def study_rows(size: int, **columns: object) -> pd.DataFrame:
    """A table with these columns; of the others one estimand, status ok, and nan."""
    filled = {"cell": "one", "method": "ml", "estimand": "theta", "status": "ok", "replicate": np.arange(size)}
    given = filled | columns
    return pd.DataFrame({name: given.get(name, np.nan) for name in COLUMNS}, index=range(size))


def two_methods(law: str, studies: int, replicates: int, seed: int) -> pd.DataFrame:
    """Many studies, a cell each, of the method `ml` and of `saem`, which adds its own noise on the same data.

    Estimates are normal about 1, or log-normal with sigma 1/2, whose mean is 1.13, skewness 1.75 and kurtosis 8.9.
    Standard errors are proportional to roots of chi-squares; one in 20 has no interval; a tenth of the fits of `saem`
    fail. Its noise is normal or exponential, of the size that it says.
    """
    rng, count = stream(seed, "two methods", law), studies * replicates
    shock = rng.standard_normal(count)
    own = rng.standard_normal(count) if law == "normal" else (rng.exponential(size=count) - 1.0)
    status = rng.choice(["ok", "boundary", "not_converged", "error", "crashed"], count, p=[0.7, 0.1, 0.1, 0.05, 0.05])
    tables = []
    for method in ("ml", "saem"):
        mcse = 0.2 * np.exp(0.3 * rng.standard_normal(count))
        noise = mcse * own if method == "saem" else 0.0
        if law == "normal":
            estimate, scale = 1.0 + 0.5 * shock, 0.5
        else:
            estimate = np.exp(0.5 * shock)
            scale = 0.5 * estimate
        estimate = estimate + noise
        se = scale * np.sqrt(rng.chisquare(20, count) / 20)
        ended = np.isin(status, ["ok", "boundary", "not_converged"]) if method == "saem" else np.full(count, True)
        se = np.where(ended & (rng.random(count) > 0.05), se, np.nan)
        loglik = (
            rng.standard_normal(count) if method == "ml" else tables[0]["loglik"] - rng.exponential(size=count) ** 2
        )
        tables.append(
            study_rows(
                count,
                cell=np.repeat(np.arange(studies), replicates),
                replicate=np.tile(np.arange(replicates), studies),
                method=method,
                estimate=np.where(ended, estimate, np.nan),
                se=se,
                lower=estimate - 1.96 * se,
                upper=estimate + 1.96 * se,
                mcse=mcse if method == "saem" else np.nan,
                status=status if method == "saem" else "ok",
                truth=1.0,
                loglik=loglik,
                deficit=rng.exponential(size=count),
                seconds=np.exp(rng.standard_normal(count)),
                draws=rng.integers(100, 1000, count).astype(float),
            )
        )
    return pd.concat(tables, ignore_index=True)
