"""The Dask engine: its results are those of the others, and no replicate harms the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from effort import PATIENCE
from faults import with_faults
from typer.testing import CliRunner

from experiments.harness.commands import app
from experiments.harness.engine import cluster
from experiments.harness.engine.child import Child
from experiments.harness.engine.cluster import run_cluster
from experiments.harness.process.parent import Died, Overdue
from experiments.harness.running import job_of
from experiments.harness.study import Cell, load_study
from experiments.harness.study.tasks import Job, Task, run_task
from saem.errors import ModelError

distributed = pytest.importorskip("distributed", reason="it needs distributed (extra cluster)")

PATH = Path(__file__).parents[1] / "studies" / "faulty.toml"
LIMIT = 5.0  # seconds: much more than a mean takes, whatever else the machine has to do


@pytest.fixture(scope="module")
def client() -> Iterator[distributed.Client]:
    """A cluster in this process, with two threads: what runs a replicate is below it in any case."""
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None, protocol="inproc://"
        ) as local,
        distributed.Client(local) as found,
    ):
        yield found


def job() -> Job:
    return job_of(load_study(PATH), PATH)


def test_a_cluster_survives_its_replicates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: distributed.Client
) -> None:
    own = job()
    tasks = [Task(Cell({"shift": 1.0}), replicate, ("mean", "median")) for replicate in range(40)]
    quiet = {task: run_task(own, task).records for task in tasks}
    with_faults(monkeypatch, tmp_path, PATH, tasks[10:13], ["kills", "hangs", "raises"])
    left = iter(tasks)
    found = {
        result.task: result.records
        for batch in run_cluster(own, lambda: next(left, None), client, LIMIT)
        for result in batch
    }
    assert list(found) != [] and set(found) == set(tasks)
    faulty = dict(zip(tasks[10:13], ("crashed", "timeout", "error"), strict=True))
    for task, (mean, median) in found.items():
        assert mean["status"] == "ok" and mean["numbers"] == quiet[task][0]["numbers"]
        assert median["status"] == faulty.get(task, "ok")
        assert task in faulty or median["numbers"] == quiet[task][1]["numbers"]


def test_a_study_that_changed_meanwhile_stops_the_run(client: distributed.Client) -> None:
    changed = Job(**(vars(job()) | {"digest": "0" * 16}))
    tasks = iter([Task(Cell({"shift": 1.0}), 0, ("mean",))])
    with pytest.raises(ModelError, match="is not what it was when the run began"):
        list(run_cluster(changed, lambda: next(tasks, None), client, LIMIT))


def test_a_child_tells_how_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By which signal; or that its task takes too long; and another one is started when it is needed again."""
    own = job()
    tasks = [Task(Cell({"shift": 1.0}), replicate, ("median",)) for replicate in range(3)]
    with_faults(monkeypatch, tmp_path, PATH, tasks[:2], ["kills", "hangs"])
    with Child() as child:
        with pytest.raises(Died, match="SIGKILL"):
            list(child.run(own, tasks, PATIENCE))
        with pytest.raises(Overdue) as overdue:
            list(child.run(own, tasks[1:], LIMIT))
        assert overdue.value.at == "median"
        assert [record["status"] for _, (record,), _ in child.run(own, tasks[2:], PATIENCE)] == ["ok"]


def test_no_scheduler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "PATIENCE", 1.0)
    arguments = ["run", str(PATH), "-o", str(tmp_path), "--scheduler", "tcp://127.0.0.1:9"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2 and "is for '--executor dask'" in " ".join(result.output.split())
    result = CliRunner().invoke(app, [*arguments, "--executor", "dask"])
    assert result.exit_code == 2 and "no scheduler answers at 'tcp://127.0.0.1:9'" in " ".join(result.output.split())
