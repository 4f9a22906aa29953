"""A stand-in for `saem.fit` that takes no time and does what the column `behave` of its rows says."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from handmade import storable_fit

from saem.errors import DataError
from saem.fitting.result import Fit
from saem.stopping import Status


def stub_fit(
    model: Any,
    table: pd.DataFrame,
    method: Any = "saem",
    seed: int = 0,
    drop_missing: bool = False,
    callback: Any = None,
) -> Fit:
    """Estimates that depend on the rows, the method and the seed, and on nothing else."""
    behave = table["behave"].iloc[0] if "behave" in table.columns else "well"
    if behave == "error":
        raise DataError(f"the response is constant: it is {table['y'].iloc[0]:g} in all {len(table)} rows")
    if behave == "bug":
        raise ZeroDivisionError("division by zero")
    if behave == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if behave == "slow":
        time.sleep(0.05)
    if behave.startswith("crash unless "):  # a process that is killed once, from outside
        flag = Path(behave.removeprefix("crash unless "))
        if not flag.exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    noise = np.random.default_rng(seed).normal(size=7) if method == "saem" else np.zeros(7)
    values = np.array([table["y"].mean(), 0.49, -1.0, 0.0, 0.4, 0.7, 0.3]) + 0.001 * noise
    status = Status.NOT_CONVERGED if behave == "slowly" else Status.CONVERGED
    return storable_fit(
        values=values,
        method=str(method),
        drawn=0 if method in ("ml", "reml", "em") else 606,
        status=status,
        message="" if status.converged else "more iterations are needed",
        covariance=np.diag([0.04, 0.01, 0.09, 0.0, 0.0025, 0.0025, 0.0004]),
        at_boundary=(),
        warnings=(),
        n_rows=len(table),
        seed=seed,
        seconds=time.perf_counter() % 1,
    )


def stub_table(n_levels: int = 12, behave: dict[int, str] | None = None) -> pd.DataFrame:
    """Four rows for each level `s0`, `s1`, ... of the column `site`, interleaved, with an index that starts at 100."""
    rng = np.random.default_rng(3)
    site = np.tile(np.arange(n_levels), 4)
    return pd.DataFrame(
        {
            "site": [f"s{i}" for i in site],
            "arm": np.repeat(["a", "b"], 2 * n_levels),
            "behave": [(behave or {}).get(i, "well") for i in site],
            "y": rng.normal(size=4 * n_levels),
        },
        index=np.arange(100, 100 + 4 * n_levels),
    )
