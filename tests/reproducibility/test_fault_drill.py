"""120 replicates of which 17 are faulty, while workers and drivers are killed from outside: the store stays the same.

The referee is a quiet run: nothing is killed from outside. Which processes are killed, and when, is drawn from a fixed
seed; the moments themselves differ from machine to machine, which is the point.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from effort import PATIENCE

from experiments.harness.running import job_of
from experiments.harness.store import Store
from experiments.harness.study import load_study
from experiments.harness.study.functions import functions_in
from experiments.harness.study.tasks import generated
from saem.errors import StorageError
from saem.system.streams import stream

psutil = pytest.importorskip("psutil", reason="it needs psutil (extra studies)")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PATH = ROOT / "tests" / "studies" / "faulty.toml"
FAULTS = ["kills"] * 3 + ["raises"] * 3 + ["warns"] * 3 + ["hangs"] * 2 + ["stalls", "grows", "forks"] * 2
REPLICATES = 60  # of each of two cells
UNTIMED = ("method", "status", "warnings", "loglik", "numbers")

Content = dict[tuple[str, int, str], tuple[str, ...]]


def content(folder: Path) -> Content:
    """All records, without their seconds; how a process died may be told in several ways."""
    with Store(folder) as store:
        return {
            (cell, replicate, record["method"]): tuple(str(record[name]) for name in UNTIMED)
            for cell, replicate, record in store.records()
        }


@pytest.fixture
def faulty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], None]:
    """Sets which faults there are; every fit takes 20 ms."""
    study = load_study(PATH, changes={"run": {"replicates": REPLICATES}})
    module, job = functions_in(PATH.with_suffix(".py")).estimate.__globals__, job_of(study, PATH)
    cells = study.design.all()
    places = stream(1, "drill").choice(2 * REPLICATES, len(FAULTS), replace=False)
    marks = [module["mark"](generated(job, cells[k % 2], int(k) // 2)) for k in places]

    def choose(kinds: list[str]) -> None:
        chosen = {mark: kind for mark, kind in zip(marks, FAULTS, strict=True) if kind in kinds}
        (tmp_path / "faults.json").write_text(json.dumps(chosen))

    monkeypatch.setenv(module["FAULTS"], str(tmp_path / "faults.json"))
    monkeypatch.setenv(module["DELAY"], "0.02")
    choose(FAULTS)
    return choose


def driver(folder: Path, *options: str) -> subprocess.Popen[bytes]:
    """A run in a process of its own."""
    command = [sys.executable, "-m", "experiments", "run", str(PATH), "-o", str(folder), *options]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes]) -> None:
    """Let a run come to its end."""
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors.decode()


def workers_below(process: int) -> list[psutil.Process]:
    """Processes in which replicates are run, below another."""
    found = []
    for child in psutil.Process(process).children(recursive=True):
        try:
            words = " ".join(child.cmdline())
        except psutil.Error:
            continue
        if "engine.child" in words:
            found.append(child)
    return found


def victims_below(root: int, driver: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Workers below a process, as soon as there are any; none if the driver ends before."""
    end = time.monotonic() + PATIENCE
    while driver.poll() is None and time.monotonic() < end:
        if found := workers_below(root) if psutil.pid_exists(root) else []:
            return found
        time.sleep(0.05)
    return []


def drill(start: Callable[[], subprocess.Popen[bytes]], roots: Callable[[int], list[int]], seed: int) -> int:
    """Run and kill: three drivers, and some of their workers; let the fourth end. Returns the workers killed."""
    rng, killed = stream(seed, "kills"), 0
    for _ in range(3):
        process = start()
        for _ in range(2):
            for root in roots(process.pid):
                if victims := victims_below(root, process):
                    os.kill(victims[int(rng.integers(len(victims)))].pid, signal.SIGKILL)
                    killed += 1
            time.sleep(rng.uniform(0.2, 1.5))
        process.kill()
        process.communicate()
    finish(start())
    return killed


@pytest.fixture
def quiet(tmp_path: Path, faulty: object) -> Content:
    """What a run gives that nobody disturbs."""
    finish(driver(tmp_path / "quiet", "--workers", "2"))
    found = content(tmp_path / "quiet")
    assert len(found) == 4 * REPLICATES
    counts = np.unique([record[1] for record in found.values()], return_counts=True)
    assert dict(zip(*counts, strict=True)) == {"crashed": 3, "error": 5, "ok": 4 * REPLICATES - 14, "timeout": 6}
    return found


def test_local_processes(tmp_path: Path, quiet: Content) -> None:
    start = lambda: driver(tmp_path / "store", "--workers", "2")  # noqa: E731
    assert drill(start, lambda process: [process], 2) >= 1
    assert content(tmp_path / "store") == quiet


def test_this_process(tmp_path: Path, quiet: Content, faulty: Callable[[list[str]], None]) -> None:
    """Without workers nothing ends a replicate that kills, hangs or takes all memory: only the others can be faulty."""
    faulty(["raises", "warns", "forks"])
    drill(lambda: driver(tmp_path / "store", "--workers", "0"), lambda process: [], 3)
    found = content(tmp_path / "store")
    other = {key for key in quiet if found[key] != quiet[key]}
    assert len(found) == len(quiet) and len(other) == 3 + 2 + 4 + 2
    assert all(found[key][1] == "ok" and quiet[key][1] in ("crashed", "timeout", "error") for key in other)


def test_two_shards(tmp_path: Path, quiet: Content) -> None:
    for k in (1, 2):
        own = ("--workers", "1", "--shard", f"{k}/2")
        drill(lambda own=own: driver(tmp_path / "store", *own), lambda process: [process], 3 + k)
    command = [sys.executable, "-m", "experiments", "merge", str(PATH), "-o", str(tmp_path / "store")]
    subprocess.run(command, cwd=ROOT, check=True)
    assert content(tmp_path / "store") == quiet


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[str, list[int], int]]:
    """A scheduler and two workers, as a user starts them: the address, the workers' processes, the scheduler's."""
    file = folder / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    quietly = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": ROOT}
    found = [
        subprocess.Popen(
            [*dask, "scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)], **quietly
        )
    ]
    try:
        while not file.exists() or not file.read_text().strip():
            time.sleep(0.1)
            assert found[0].poll() is None, "the scheduler must start"
        options = ["--scheduler-file", str(file), "--nthreads", "1", "--no-dashboard"]
        found += [subprocess.Popen([*dask, "worker", *options], **quietly) for _ in range(2)]
        yield json.loads(file.read_text())["address"], [process.pid for process in found[1:]], found[0].pid
    finally:
        for process in reversed(found):
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
            process.wait()


def test_a_cluster(tmp_path: Path, quiet: Content) -> None:
    """Workers that are killed are restarted by their nannies; what runs a replicate is below them."""
    pytest.importorskip("distributed", reason="it needs distributed (extra cluster)")
    with cluster(tmp_path) as (address, workers, _):
        start = lambda: driver(tmp_path / "store", "--executor", "dask", "--scheduler", address)  # noqa: E731
        assert drill(start, lambda process: workers, 6) >= 1
    assert content(tmp_path / "store") == quiet


def is_filled(folder: Path) -> bool:
    """Whether a store has records."""
    try:
        with Store(folder) as store:
            return bool(store.counts())
    except StorageError:
        return False


def test_a_lost_scheduler(tmp_path: Path, faulty: object) -> None:
    """It is told without a traceback, and what was done is kept."""
    pytest.importorskip("distributed", reason="it needs distributed (extra cluster)")
    with cluster(tmp_path) as (address, _, scheduler):
        process = driver(tmp_path / "store", "--executor", "dask", "--scheduler", address)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and not is_filled(tmp_path / "store"):
            time.sleep(0.2)
        os.kill(scheduler, signal.SIGKILL)
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2 and "the scheduler is lost" in " ".join(errors.decode().split())
    assert "Traceback" not in errors.decode() and len(content(tmp_path / "store")) > 0
