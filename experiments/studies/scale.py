"""The functions of the study `scale`."""

from __future__ import annotations

import ctypes
import gc
import math
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from functools import cache, lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, Any

import saem
from saem.algorithms.minibatch_saem import MiniBatchSAEM
from saem.errors import SaemError
from saem.fitting.fit import Algorithm

from ..harness.performance import COUNTED, WHOLE_FIT
from ..harness.study.cells import Cell
from ..harness.study.functions import Outcome
from .peptide import TRUTH, peptide_design, peptide_model, peptide_table
from .uncentred import SCHEDULE, uncentred

if TYPE_CHECKING:
    import pandas as pd

MIB = 2.0**20
LOOK = 0.002  # seconds between two looks at the memory
MEMORY = "memory_mib"
ONCE = saem.Target(max_iterations=0)  # the schedule is gone through once, whatever the Monte Carlo error is then
METHODS: Mapping[str, str | Algorithm] = {
    "ml": "ml",
    "em": "em",
    "saem": "saem",
    "saem_once": uncentred(target=ONCE),
    "minibatch_once": MiniBatchSAEM(schedule=SCHEDULE, target=ONCE),
    "mcem": "mcem",
}


@lru_cache(maxsize=1)
def model() -> saem.Model:
    """The peptide model with the posted link."""
    return peptide_model()


@cache
def settled() -> None:
    """Load the compiled code of every method, once in a process: some 100 MiB that are not those of a fit.

    What is there then stays: the collector of garbage need not look at it again, which took 30 ms before every fit.
    """
    table = peptide_table(3)
    for method in METHODS.values():
        saem.fit(model(), table, method)
    gc.collect()
    gc.freeze()


class PeakMemory:
    """The largest resident memory of this process while a block runs, above that at its start, in MiB.

    A thread looks at it every `LOOK` seconds, when compiled code lets it; on Linux the system's own high-water mark
    (VmHWM) was within 0.7 MiB of what it saw, of 1 to 460 MiB. The memory that earlier fits left to this process is
    given back before, where the C library can: else it would be taken anew without notice.
    """

    def __enter__(self) -> PeakMemory:
        try:
            import psutil  # type: ignore[import-untyped]
        except ImportError:
            raise SaemError("to measure memory needs the package psutil: pip install psutil") from None
        self.process = psutil.Process()
        give_back()
        self.start: int = self.process.memory_info().rss
        self.top = self.start
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()
        return self

    def _look(self) -> None:
        self.top = max(self.top, self.process.memory_info().rss)

    def _watch(self) -> None:
        while not self.ended.wait(LOOK):
            self._look()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.ended.set()
        self.thread.join()
        self._look()

    @property
    def mib(self) -> float:
        """The peak."""
        return float(self.top - self.start) / MIB


def give_back() -> None:
    """Free what can be freed, and hand it to the system (glibc keeps it otherwise)."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def truth(cell: Cell) -> Mapping[str, float]:
    """The parameters, the same in all cells; memory has no true value."""
    return TRUTH | {MEMORY: math.nan}


def generate(cell: Cell, seed: int) -> pd.DataFrame:
    """A table of so many clusters, half of them in each treatment."""
    settled()
    clusters = int(cell["clusters"])
    if clusters < 4 or clusters % 2:
        raise SaemError(f"clusters must be an even number, 4 or more; got {clusters}")
    return saem.simulate(model(), TRUTH, peptide_design(clusters // 2), seed)


def estimate(data: pd.DataFrame, cell: Cell, options: Mapping[str, Any], seed: int) -> Outcome:
    """Fit, and measure how much memory it takes at most."""
    with PeakMemory() as memory:
        fit = saem.fit(model(), data, METHODS[options["method"]], seed)
    outcome = Outcome.of(fit)
    nothing = math.nan
    return replace(outcome, numbers={**outcome.numbers, MEMORY: (memory.mib, nothing, nothing, nothing, nothing)})


def performance(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean peak memory of the fits, in MiB, with its Monte Carlo standard error."""
    import pandas as pd

    used = rows[(rows["estimand"] == MEMORY) & rows["status"].isin(COUNTED) & rows["estimate"].notna()]
    found = []
    for (cell, method), peaks in used.groupby(["cell", "method"], observed=True, sort=False)["estimate"]:
        n = len(peaks)
        error = float(peaks.std()) / math.sqrt(n) if n > 1 else math.nan
        found.append([cell, method, WHOLE_FIT, "mean_memory_mib", float(peaks.mean()), error, n])
    return pd.DataFrame(found, columns=["cell", "method", "estimand", "measure", "value", "mcse", "n"])
