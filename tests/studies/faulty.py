"""The functions of the study `faulty`: some replicates kill their process, raise, warn or never end.

Which of them do is decided by their data, where the environment variable SAEM_TEST_FAULTS is set.
"""

from __future__ import annotations

import os
import signal
import time
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.study.cells import Cell
from experiments.study.functions import Outcome

FAULTS = "SAEM_TEST_FAULTS"
KILLS, RAISES, WARNS, HANGS = range(4)
KINDS = 24  # of which so many are faulty


def kind_of(data: np.ndarray) -> int:
    """Which fault, by the digits of the data."""
    return int(abs(data[0]) * 1e6) % KINDS


def truth(cell: Cell) -> Mapping[str, float]:
    return {"location": float(cell["shift"])}


def generate(cell: Cell, seed: int) -> np.ndarray:
    return float(cell["shift"]) + np.random.default_rng(seed).normal(size=5)


def estimate(data: np.ndarray, cell: Cell, options: Mapping[str, Any], seed: int) -> Outcome:
    fault = kind_of(data) if os.environ.get(FAULTS) else None
    if fault == KILLS:
        os.kill(os.getpid(), signal.SIGKILL)
    elif fault == RAISES and options["function"] == "median":
        raise RuntimeError("the median is lost")
    elif fault == WARNS:
        warnings.warn("look at this", stacklevel=1)
    elif fault == HANGS:
        time.sleep(1e6)
    value = float(getattr(np, options["function"])(data))
    se = float(data.std(ddof=1) / np.sqrt(len(data)))
    return Outcome({"location": (value, se, value - 2 * se, value + 2 * se, float(seed % 7))}, loglik=-(se**2))
