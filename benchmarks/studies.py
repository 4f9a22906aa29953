"""Simulation studies: replicates a second, what the engine costs, and a million rows."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.timing import Row, run_python
from experiments.harness.running import Executor, Progress, identity_of, job_of, run_study
from experiments.harness.store import Store
from experiments.harness.study import STUDIES, Study, load_study
from experiments.harness.study.tasks import Result, Task

HEADLINE = STUDIES / "headline.toml"
REPLICATES = 400
TASKS = 10_000
EMPTY_TOML = """
title = "Empty"
aims = "What the engine costs."
data = "None."
[design]
factors = { k = [1] }
[estimands]
a = {}
[methods]
nothing = {}
[run]
replicates = 10000
"""
EMPTY_PYTHON = """
from experiments.harness.study.functions import Outcome

def truth(cell):
    return {"a": 0.0}

def generate(cell, seed):
    return seed

def estimate(data, cell, options, seed):
    return Outcome({"a": (0.0, 1.0, -1.0, 1.0, 0.0)})
"""


def measure() -> Iterator[Row]:
    """Rates in the headline study, empty tasks, and the summary of a large store."""
    with tempfile.TemporaryDirectory() as folder:
        yield from rates(Path(folder))
        yield empty(Path(folder))
        yield from million(Path(folder))


def rates(folder: Path) -> Iterator[Row]:
    """Seconds of a replicate with 6 + 6 clusters by SAEM and direct ML, from the first result on."""
    changes = {"run": {"replicates": REPLICATES}, "design": {"factors": {"replicates": [6], "ratio": [2]}}}
    methods = dict.fromkeys(("em", "textbook", "mcem"))
    study = load_study(HEADLINE, changes=changes | {"methods": methods})
    found: dict[int, float] = {}
    driver: dict[int, float] = {}
    for workers in (1, 2):
        started = time.process_time()
        found[workers] = from_first_on(study, folder / f"by-{workers}", workers)
        driver[workers] = time.process_time() - started
    for workers, seconds in found.items():
        target, note = (10.0, f"{1 / seconds:.3g} replicates a second") if workers == 2 else (None, "")
        yield Row(f"a replicate by SAEM and ML, {workers} workers", 1e3 * seconds, "ms", target, None, note)
    yield Row("the same, 2 workers / 1", found[2] / found[1], "", 1 / 1.8)
    note = "what two workers on two cores lose to it"
    yield Row("the driver's processor time for a replicate", 1e3 * driver[2] / REPLICATES, "ms", None, None, note)


def from_first_on(study: Study, folder: Path, workers: int) -> float:
    """Seconds for each replicate after the first batch."""
    seen: list[tuple[int, float]] = []

    def note(state: Progress) -> None:
        seen.append((state.done, state.seconds))

    run_study(study, HEADLINE, folder, executor=Executor(workers=workers), progress=note)
    (first, began), (last, ended) = seen[0], seen[-1]
    return (ended - began) / (last - first)


def empty(folder: Path) -> Row:
    """Seconds of tasks that do nothing."""
    path = folder / "empty.toml"
    path.write_text(EMPTY_TOML)
    path.with_suffix(".py").write_text(EMPTY_PYTHON)
    state = run_study(load_study(path), path, folder / "empty", executor=Executor(workers=2))
    return Row(f"{TASKS:,} empty tasks, 2 workers", state.seconds, "s", 5.0)


def million(folder: Path) -> Iterator[Row]:
    """Seconds and memory of `summarise` with a million rows."""
    study = load_study(HEADLINE, changes={"run": {"replicates": 2000}})
    rng, cells, methods = np.random.default_rng(1), study.design.all(), tuple(study.methods)
    count = 0
    with Store(folder / "large", identity_of(job_of(study, HEADLINE))) as store:
        for replicate in range(1_000_000 // (len(cells) * len(methods) * len(study.estimands)) + 1):
            results = []
            for cell in cells:
                made = [record(name, rng.normal(size=len(study.estimands))) for name in methods]
                results.append(Result(Task(cell, replicate, methods), made, 0.0))
                count += len(made) * len(study.estimands)
            store.add(results)
    arguments = ["-m", "experiments", "summarise", "headline", "-o", str(folder / "large"), "--short"]
    seconds, _ = run_python(arguments)
    scale = 2**20 if sys.platform == "darwin" else 2**10
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / scale
    yield Row(f"summarise {count:,} rows", seconds, "s", 10.0)
    yield Row("its memory", peak, "MiB", 500.0, None, "or that of a worker, if that is larger")


def record(method: str, estimates: np.ndarray) -> dict[str, object]:
    """A fit that was not made."""
    return {
        "method": method,
        "status": "ok",
        "message": "",
        "warnings": [],
        "loglik": -1.0,
        "draws": 1e5,
        "iterations": 100.0,
        "seconds": 0.01,
        "numbers": [[float(x), 1.0, float(x) - 2.0, float(x) + 2.0, 0.1] for x in estimates],
    }
