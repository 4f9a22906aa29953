"""A study is run: what is missing in its store is handed to an engine, and what comes back is kept."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from .agenda import Shard, agenda_of
from .engine.cluster import client_of, run_cluster
from .engine.local import run_local
from .engine.serial import run_serial
from .precision import Shortfall
from .provenance import now, provenance
from .store import Store
from .study import Study
from .study.identity import reach_of
from .study.sources import digest_of, sources_of
from .study.tasks import FOREVER, Job, Result, Task
from .study.truths import Truths
from .tally import Tally

DAMAGED = "damaged"  # beside statuses: what is made again
KEEP = 0.5  # seconds between two transactions


@dataclass(frozen=True)
class Executor:
    """Who runs the replicates.

    Attributes
    ----------
    kind : str
        "local" or "dask".
    workers : int
        Processes on this machine; 0 runs in this one.
    scheduler : str, optional
        Address of a Dask scheduler; its cluster has the workers then.
    """

    kind: str = "local"
    workers: int = 0
    scheduler: str | None = None

    @contextmanager
    def results(self, job: Job, take: Callable[[], Task | None], limit: float) -> Iterator[Iterator[list[Result]]]:
        """Results as they are done."""
        if self.kind == "dask":
            with (
                client_of(self.scheduler, self.workers or 1) as client,
                closing(run_cluster(job, take, client, limit)) as found,
            ):
                yield found
            return
        engine = run_local(job, take, self.workers, limit) if self.workers else run_serial(job, take)
        with closing(engine) as found:
            yield found


@dataclass
class Progress:
    """How far a run is.

    Attributes
    ----------
    done, total : int
        Replicates of cells; the total may grow where precision is not yet reached.
    begun : int
        Those that were done before.
    seconds : float
    shortfalls : mapping of str to Shortfall
        At the end: cells whose precision is below its target.
    tally : Tally
        How the fits of this run ended.
    counts : mapping of str to int
        At the end: all fits of the study that are kept, by status.
    mixed : int
        At the end: data sets that not all methods saw alike.
    dropped : int
        Damaged records that were dropped, to be made again.
    """

    done: int
    total: int
    begun: int
    seconds: float = 0.0
    shortfalls: Mapping[str, Shortfall] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    counts: Mapping[str, int] = field(default_factory=dict)
    mixed: int = 0
    dropped: int = 0


def job_of(study: Study, path: Path) -> Job:
    """What all replicates of a study have in common."""
    functions = path.with_suffix(".py").resolve()
    return Job(
        functions=functions,
        digest=digest_of(functions),
        methods=tuple((name, method.options) for name, method in study.methods.items()),
        estimands=tuple(study.estimands),
        seed=study.run.seed,
        analysis=tuple(study.design.analysis),
        memory=study.run.memory,
    )


@cache
def digest_of_package(package: ModuleType) -> str:
    """16 hexadecimal digits of the sources of a package, its recipes among them."""
    (folder,) = (Path(str(place)) for place in package.__path__)
    content = hashlib.sha256()
    for file in sorted([*folder.rglob("*.py"), *folder.rglob("*.toml")]):
        content.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes())
    return content.hexdigest()[:16]


def identity_of(job: Job) -> dict[str, str]:
    """What the records depend on, in words that a message can use."""
    import saem

    reached = {name: reach_of(job.functions, name) for name in ("generate", "estimate")}
    parts = {f"the function {name}": reach.digest for name, reach in reached.items()} | {
        "the estimands": json.dumps(job.estimands),
        "the factors of the analysis": json.dumps(sorted(job.analysis)),
        "the seed": str(job.seed),
    }
    if any("saem" in reach.packages for reach in reached.values()):
        parts["the code of saem"] = f"{saem.__version__} {digest_of_package(saem)}"
    return parts | {f"the method {name}": json.dumps(options, sort_keys=True) for name, options in job.methods}


def files_of(path: Path) -> dict[str, str]:
    """The texts of the files of a study, by name."""
    files = [path, *sources_of(path.with_suffix(".py").resolve())]
    return {file.name: file.read_text("utf-8", "replace") for file in files}


class Keeper:
    """What comes back from an engine, kept in transactions of some size.

    Parameters
    ----------
    store : Store
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.held: list[Result] = []
        self.kept = time.perf_counter()

    def take(self, results: list[Result]) -> None:
        """Hold results, and keep what is held from time to time."""
        self.held += results
        if time.perf_counter() - self.kept > KEEP:
            self.keep()

    def keep(self) -> None:
        """Write what is held."""
        self.store.add(self.held)
        self.held = []
        self.kept = time.perf_counter()


def run_study(
    study: Study,
    path: Path,
    folder: Path,
    *,
    executor: Executor | None = None,
    shard: Shard | None = None,
    progress: Callable[[Progress], None] | None = None,
    retried: Collection[str] = (),
    accept: bool = False,
) -> Progress:
    """Run what is missing of a study.

    Parameters
    ----------
    study : Study
    path : Path
        Of its TOML file.
    folder : Path
        Of its store.
    executor : Executor, optional
        This process alone if omitted.
    shard : Shard, optional
    progress : callable, optional
        Called after every batch.
    retried : collection of str
        Statuses of fits that are made again; `DAMAGED` for records that are not as they were written.
    accept : bool
        Whether the functions, the options of methods and the code of saem may have changed since the store was made.

    Returns
    -------
    Progress
        At the end. After Ctrl-C what is done is in the store, and the same call goes on.

    Raises
    ------
    SaemError
        When the store belongs to another study or cannot be written, or the engine cannot run.
    """
    job, shard, executor = job_of(study, path), shard or Shard(), executor or Executor()
    start, cells, truths = time.perf_counter(), study.design.all(), Truths(path, study.run)
    with Store(folder, identity_of(job), accept) as store:
        keeper = Keeper(store)
        dropped = store.drop_damaged() if DAMAGED in retried else 0
        truths.recall(store.truths(truths.syntax))
        agenda = agenda_of(store, study, path, shard, before_look=keeper.keep, retried=retried)
        state = Progress(agenda.finished, agenda.total, agenda.finished, dropped=dropped)
        with recorded(store, study, path, executor, shard, state):
            store.keep_sources(job.digest, files_of(path))
            store.keep_truths(truths.syntax, truths.numbers(cells))
            try:
                with executor.results(job, agenda.take, min(study.run.timeout, FOREVER)) as found:
                    for results in found:
                        keeper.take(results)  # also where nothing is new: what is held may be old
                        agenda.learn(results)
                        state.tally.learn(results, job.estimands)
                        state.done, state.total = agenda.finished, agenda.total
                        state.seconds = time.perf_counter() - start
                        if progress is not None:
                            progress(state)
            finally:
                keeper.keep()
        mine = {cell.key for cell in cells}
        counts: Counter[str] = Counter()
        for cell, method, status, n in store.counts():
            counts[status] += n * (cell in mine and method in study.methods)
        mixed = sum(cell in mine for cell, _ in store.mixed())
        return replace(state, shortfalls=agenda.shortfalls(), counts=+counts, mixed=mixed)


@contextmanager
def recorded(
    store: Store, study: Study, path: Path, executor: Executor, shard: Shard, state: Progress
) -> Iterator[None]:
    """Note in the store who ran what, when, and how it ended."""
    engine: dict[str, Any] = {"executor": executor.kind, "workers": executor.workers}
    if shard.count > 1:
        engine["shard"] = f"{shard.number}/{shard.count}"
    if store.accepted:
        engine["accepted changes"] = ", ".join(store.accepted)
    known = provenance(study, path, engine) | {"replicates_before": state.begun}
    number, ended = store.begin(known), "interrupted"
    try:
        yield
        ended = "complete" if state.done == state.total else "out of time"
    except Exception as error:
        ended = f"{type(error).__name__}: {error}"
        raise
    finally:
        store.end(
            number, known | {"ended": now(), "replicates": state.done, "seconds": round(state.seconds, 1), "end": ended}
        )
