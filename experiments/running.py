"""A study is run: what is missing in its store is handed to an engine, and what comes back is kept."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from experiments.engine.local import run_local
from experiments.engine.serial import run_serial
from experiments.store import Store
from experiments.study import Study
from experiments.study.tasks import Job, Task
from saem.errors import ModelError

KEEP = 0.5  # seconds between two transactions


@dataclass(frozen=True)
class Shard:
    """Every N-th replicate, for a machine of its own.

    Attributes
    ----------
    number, count : int
        From 1 to ``count``.
    """

    number: int = 1
    count: int = 1

    @classmethod
    def of(cls, text: str) -> Shard:
        """From ``"2/8"``.

        Raises
        ------
        ModelError
            When it is none.
        """
        number, slash, count = text.partition("/")
        if not (slash and number.isdigit() and count.isdigit() and 1 <= int(number) <= int(count)):
            raise ModelError(f"a shard must be written i/N with i from 1 to N, such as 2/8; got {text!r}")
        return cls(int(number), int(count))

    def has(self, replicate: int) -> bool:
        """Whether a replicate belongs to it."""
        return replicate % self.count == self.number - 1


@dataclass
class Progress:
    """What is done of a run.

    Attributes
    ----------
    done, total : int
        Replicates of cells.
    begun : int
        Those that were done before.
    seconds : float
    """

    done: int
    total: int
    begun: int
    seconds: float = 0.0


def job_of(study: Study, path: Path) -> Job:
    """What all replicates of a study have in common."""
    return Job(
        functions=path.with_suffix(".py").resolve(),
        methods=tuple((name, method.options) for name, method in study.methods.items()),
        estimands=tuple(study.estimands),
        seed=study.run.seed,
        analysis=tuple(study.design.analysis),
    )


def identity_of(job: Job) -> dict[str, str]:
    """What the records depend on, in words that a message can use."""
    import saem

    parts = {
        "the functions": hashlib.sha256(job.functions.read_bytes()).hexdigest()[:16],
        "the estimands": json.dumps(job.estimands),
        "the factors of the analysis": json.dumps(sorted(job.analysis)),
        "the seed": str(job.seed),
        "the version of saem": saem.__version__,
    }
    return parts | {f"the method {name}": json.dumps(options, sort_keys=True) for name, options in job.methods}


def missing(study: Study, done: set[tuple[str, int, str]], shard: Shard) -> Iterator[Task]:
    """Tasks that are not done, replicate by replicate: all cells get as far."""
    cells = study.design.all()
    for replicate in range(study.run.replicates):
        if not shard.has(replicate):
            continue
        for cell in cells:
            methods = tuple(name for name in study.methods if (cell.key, replicate, name) not in done)
            if methods:
                yield Task(cell, replicate, methods)


def run_study(
    study: Study,
    path: Path,
    folder: Path,
    *,
    workers: int = 0,
    shard: Shard | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Progress:
    """Run what is missing of a study.

    Parameters
    ----------
    study : Study
    path : Path
        Of its TOML file.
    folder : Path
        Of its store.
    workers : int
        Processes; 0 runs in this one.
    shard : Shard, optional
    progress : callable, optional
        Called after every batch.

    Returns
    -------
    Progress
        At the end. After Ctrl-C what is done is in the store, and the same call goes on.
    """
    job, shard = job_of(study, path), shard or Shard()
    start = time.perf_counter()
    with Store(folder, identity_of(job)) as store:
        done = store.done()
        tasks = list(missing(study, done, shard))
        total = sum(shard.has(k) for k in range(study.run.replicates)) * len(study.design.all())
        state = Progress(total - len(tasks), total, total - len(tasks))
        results = run_serial(job, tasks) if workers == 0 else run_local(job, tasks, workers, study.run.timeout)
        kept, held = time.perf_counter(), []
        try:
            with closing(results):
                for batch in results:
                    held += batch
                    if time.perf_counter() - kept > KEEP:
                        store.add(held)
                        kept, held = time.perf_counter(), []
                    state.done += len(batch)
                    state.seconds = time.perf_counter() - start
                    if progress is not None:
                        progress(state)
        finally:
            store.add(held)
    return state
