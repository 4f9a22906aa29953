"""The functions of the study `faulty`: replicates that kill, raise, warn, never end, take memory or fork.

Which of them do is told by the file that the environment variable SAEM_TEST_FAULTS names. The mean suffers only from
data that are never made.
"""

from __future__ import annotations

import json
import os
import signal
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.harness.study.cells import Cell
from experiments.harness.study.functions import Outcome

FAULTS = "SAEM_TEST_FAULTS"  # a JSON file: kinds of faults by `mark`
DELAY = "SAEM_TEST_DELAY"  # seconds that every fit takes
KILLS, RAISES, WARNS, HANGS = "kills", "raises", "warns", "hangs"
STALLS, GROWS, FORKS = "stalls", "grows", "forks"  # data that are never made; memory without end; two processes


def mark(data: np.ndarray) -> str:
    """What tells a data set from others."""
    return float(data[0]).hex()


def fault_of(data: np.ndarray) -> str | None:
    """Which fault a data set has."""
    path = os.environ.get(FAULTS)
    return json.loads(Path(path).read_text()).get(mark(data)) if path else None


def truth(cell: Cell) -> Mapping[str, float]:
    return {"location": float(cell["shift"])}


def generate(cell: Cell, seed: int) -> np.ndarray:
    data = float(cell["shift"]) + np.random.default_rng(seed).normal(size=5)
    if fault_of(data) == STALLS:
        time.sleep(1e6)
    return data


def estimate(data: np.ndarray, cell: Cell, options: Mapping[str, Any], seed: int) -> Outcome:
    fault = fault_of(data)
    time.sleep(float(os.environ.get(DELAY, "0")))
    if fault == KILLS and options["function"] == "median":
        os.kill(os.getpid(), signal.SIGKILL)
    elif fault == RAISES and options["function"] == "median":
        raise RuntimeError("the median is lost")
    elif fault == WARNS:
        warnings.warn("look at this", stacklevel=1)
    elif fault == HANGS and options["function"] == "median":
        time.sleep(1e6)
    elif fault == GROWS and options["function"] == "median":
        held = []
        while True:
            held.append(np.empty(2**22))  # not written to: the limit is on what is asked for, and is met at once
    elif fault == FORKS and options["function"] == "median" and os.fork() == 0:
        time.sleep(float(options.get("sleep", 0.0)))  # and then it goes on, as if it were the first
    value = float(getattr(np, options["function"])(data))
    se = float(data.std(ddof=1) / np.sqrt(len(data)))
    return Outcome({"location": (value, se, value - 2 * se, value + 2 * se, float(seed % 7))}, loglik=-(se**2))
