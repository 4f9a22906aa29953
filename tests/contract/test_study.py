"""Simulation studies: what is refused, what is kept, and that results depend on nothing but their meaning."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from faults import with_faults
from typer.testing import CliRunner

from experiments.harness.agenda import Shard
from experiments.harness.commands import app
from experiments.harness.engine.local import run_local
from experiments.harness.results import Results
from experiments.harness.running import Executor, Progress, job_of, run_study
from experiments.harness.store import Store
from experiments.harness.study import Cell, Study, load_study
from experiments.harness.study.records import Record
from experiments.harness.study.tasks import Result, Task, run_task
from saem.errors import ModelError, StorageError

PATH = Path(__file__).parents[1] / "studies" / "faulty.toml"
UNTIMED = ("method", "status", "message", "warnings", "loglik", "numbers")


def study(replicates: int = 12) -> Study:
    return load_study(PATH, changes={"run": {"replicates": replicates}})


def content(folder: Path) -> dict[tuple[str, int, str], tuple[object, ...]]:
    """All records without their seconds."""
    with Store(folder) as store:
        return {
            (cell, replicate, record["method"]): tuple(str(record[name]) for name in UNTIMED)
            for cell, replicate, record in store.records()
        }


# What a study is


def test_a_cell_is_its_levels() -> None:
    cell = Cell({"n": 6, "ratio": 2.0})
    assert cell.key == Cell({"ratio": 2.0, "n": 6}).key != Cell({"n": 6, "ratio": 4.0}).key
    assert cell.name == "n=6, ratio=2.0" and cell["n"] == 6


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"run": {"replicates": 0}}, "run.replicates: Input should be greater than or equal to 1; got 0"),
        ({"desing": {}}, "desing: unknown key (did you mean 'design'?)"),
        ({"design": {"factors": {"shift": []}}}, "design.factors.shift"),
        ({"reference": "mode"}, "reference: must be one of the methods"),
        ({"estimands": {"spread": {}}}, "estimands.spread: truth gives it no value (in 'shift=0.0', 'shift=1.0')"),
        ({"design": {"cells": [{"size": 1}]}}, "cell 1 must have the factors ['shift']; it has ['size']"),
    ],
)
def test_bad_studies_are_refused(changes: dict, words: str) -> None:
    with pytest.raises(ModelError) as caught:
        load_study(PATH, changes=changes)
    assert words in str(caught.value)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ModelError) as caught:
        load_study(PATH, changes={"run": {"replicates": 0, "sed": 1}, "title": ""})
    assert len(caught.value.problems) == 3


def test_the_quick_form_changes_what_it_names() -> None:
    assert load_study(PATH).run.replicates == 60 and load_study(PATH, quick=True).run.replicates == 4
    assert load_study(PATH, quick=True).run.timeout == 5.0


def test_files_that_are_no_studies(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no study"):
        load_study(tmp_path / "nothing.toml")
    lonely = tmp_path / "lonely.toml"
    lonely.write_text(PATH.read_text())
    with pytest.raises(ModelError, match="functions generate, estimate and truth"):
        load_study(lonely)
    lonely.with_suffix(".py").write_text("def generate(cell, seed): ...\n")
    with pytest.raises(ModelError, match="must define the function estimate"):
        load_study(lonely)


# What is kept


def test_engines_and_interruptions_change_nothing(tmp_path: Path) -> None:
    """In this process, by two workers, in two shards, interrupted, and with replicates that were added."""
    quiet = tmp_path / "serial"
    run_study(study(), PATH, quiet)
    expected = content(quiet)
    assert len(expected) == 2 * 2 * 12
    run_study(study(), PATH, tmp_path / "local", executor=Executor(workers=2))
    assert content(tmp_path / "local") == expected

    def stop(state: Progress) -> None:
        if state.done:  # while workers start, it is called with nothing
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(study(), PATH, tmp_path / "broken", progress=stop)  # after the first replicate: no clock has a say
    assert len(content(tmp_path / "broken")) == 2
    with pytest.raises(KeyboardInterrupt):  # perhaps all is done by then, on a slow machine: that is no matter
        run_study(study(), PATH, tmp_path / "broken", executor=Executor(workers=2), progress=stop)
    state = run_study(study(), PATH, tmp_path / "broken", executor=Executor(workers=1))
    assert content(tmp_path / "broken") == expected and state.begun > 0
    run_study(study(5), PATH, tmp_path / "more")
    run_study(study(), PATH, tmp_path / "more")
    assert content(tmp_path / "more") == expected
    for text in ("1/2", "2/2"):
        run_study(study(), PATH, tmp_path / text[0], shard=Shard.of(text))
    halves = [content(tmp_path / name) for name in ("1", "2")]
    assert not set(halves[0]) & set(halves[1]) and halves[0] | halves[1] == expected


def test_methods_and_cells_may_be_added_but_not_changed(tmp_path: Path) -> None:
    run_study(study(3), PATH, tmp_path)
    before = content(tmp_path)
    more = {"methods": {"least": {"function": "min"}}, "design": {"factors": {"shift": [2.0, 0.0, 1.0]}}}
    larger = load_study(PATH, changes={"run": {"replicates": 3}, **more})
    run_study(larger, PATH, tmp_path)
    after = content(tmp_path)
    assert len(after) == 3 * 3 * 3 and {key: after[key] for key in before} == before
    changes = [({"methods": {"mean": {"function": "max"}}}, "the method mean"), ({"run": {"seed": 4}}, "the seed")]
    for change, word in changes:
        with pytest.raises(StorageError, match=word):
            run_study(load_study(PATH, changes=change), PATH, tmp_path)


def test_two_runs_on_one_store(tmp_path: Path) -> None:
    """The second is refused; a reader is not."""
    with Store(tmp_path, {"the seed": "1"}):
        with pytest.raises(StorageError, match="another run is writing"):
            Store(tmp_path, {"the seed": "1"})
        with Store(tmp_path) as reader:
            assert reader.counts() == [] and reader.identity() == {"the seed": "1"}
    with Store(tmp_path, {"the seed": "1"}):
        pass


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="there is no study in"):
        Store(tmp_path / "nothing")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        Store(tmp_path / "file", {})
    with pytest.raises(ModelError, match="such as 2/8"):
        Shard.of("3/2")


def test_a_full_disk_keeps_what_there_is(tmp_path: Path) -> None:
    task, record = Task(Cell({"n": 1}), 0, ("a",)), {"method": "a", "status": "ok"}
    with Store(tmp_path, {}) as store:
        store.add([Result(task, [record], 0.0)])
        store.db.execute(f"PRAGMA max_page_count = {store.db.execute('PRAGMA page_count').fetchone()[0]}")
        large = record | {"message": "x" * 100_000}
        with pytest.raises(StorageError, match="make room"):
            store.add([Result(Task(Cell({"n": 1}), 1, ("a",)), [large], 0.0)])
        assert store.done(["a"], 2, 1.0)[task.cell.key].tolist() == [[True, False]]
    assert sqlite3.connect(tmp_path / "study.sqlite").execute("SELECT COUNT(*) FROM records").fetchone() == (1,)


# What fails


def by_engine(own: Study, tasks: list[Task]) -> dict[tuple[str, int], list[Record]]:
    found = {}
    left = iter(tasks)
    for batch in run_local(job_of(own, PATH), lambda: next(left, None), 2, own.run.timeout):
        for result in batch:
            found[result.task.cell.key, result.task.replicate] = result.records
    return found


def test_a_fault_drill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replicates of every fault: each is told, and all others are as in a quiet run."""
    own = study()
    job = job_of(own, PATH)
    tasks = [Task(Cell({"shift": 0.0}), replicate, ("mean", "median")) for replicate in range(30)]
    kinds = ["kills", "raises", "warns", "hangs", "stalls", "grows", "forks", "kills"]
    quiet = [run_task(job, task).records for task in tasks]
    with_faults(monkeypatch, tmp_path, PATH, tasks[3:11], kinds)
    found = by_engine(own, tasks)
    assert len(found) == len(tasks)
    for task, kind, expected in zip(tasks, ["", "", "", *kinds, *[""] * 19], quiet, strict=True):
        mean, median = found[task.cell.key, task.replicate]
        if kind == "stalls":
            assert mean["status"] == median["status"] == "timeout" and mean["message"].startswith(
                "generate: it did not"
            )
            continue
        assert mean["status"] == "ok" and mean["numbers"] == expected[0]["numbers"], "no innocent method is blamed"
        if kind == "kills":
            assert median["status"] == "crashed" and "SIGKILL" in median["message"]
        elif kind == "hangs":
            assert median["status"] == "timeout" and median["message"] == "it did not end within 5 s"
        elif kind == "raises":
            assert median["status"] == "error" and median["message"] == "RuntimeError: the median is lost"
        elif kind == "grows":
            assert median["status"] == "error" and "MemoryError" in median["message"]
        else:
            assert median["status"] == "ok" and median["numbers"] == expected[1]["numbers"]
            assert median["warnings"] == (["UserWarning: look at this"] if kind == "warns" else [])


def test_failures_are_rows_and_are_measured(tmp_path: Path) -> None:
    """Bias and rates of a small study by hand; an error is a row without numbers."""
    own = study(10)
    run_study(own, PATH, tmp_path)
    results = Results.read(own, PATH, tmp_path)
    rows = results.rows
    assert len(rows) == 2 * 2 * 10 and set(rows["estimand"]) == {"location"}
    found = results.complete
    bias = found[(found["measure"] == "bias") & (found["method"] == "median")].set_index("cell")["value"]
    for cell, part in rows[rows["method"] == "median"].groupby("cell"):
        assert bias[cell] == pytest.approx(np.mean(part["estimate"] - part["truth"]))
    assert (rows.loc[rows["method"] == "mean", "deficit"] == 0.0).all()


# The command line


def command(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def test_the_commands(tmp_path: Path) -> None:
    """From check to summarise; the same run again has nothing to do."""
    assert "2 cells of 4 replicates each: shift=0.0 shift=1.0" in command("check", PATH, "--quick")
    out = ("--quick", "-o", tmp_path)
    assert "8 of 8 replicates are in" in command("run", PATH, *out, "--workers", 1)
    assert "8 of 8 replicates are in" in command("run", PATH, *out, "--workers", 0)
    assert "shift=1.0 median 4 4" in command("status", PATH, *out)
    assert "nothing failed" in command("failures", PATH, *out)
    text = command("summarise", PATH, *out)
    assert "bias shift method location" in text and "convergence_rate" in text
    measures = pd.read_csv(tmp_path / "performance.csv")
    assert {"bias", "coverage", "deficit"} <= set(measures["measure"])
    again = command("replay", PATH, "shift=1.0", 2, "median", "--quick")
    rows = pd.read_parquet(tmp_path / "rows.parquet")
    own = rows[(rows["cell"] == "shift=1.0") & (rows["replicate"] == 2) & (rows["method"] == "median")]
    assert f"location: {own['estimate'].iloc[0]:.6g}" in again
    assert "headline" in command("list")


def test_the_commands_tell_what_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = study().design.all()
    with_faults(monkeypatch, tmp_path, PATH, [Task(cell, k, ()) for cell in cells for k in range(4)], ["raises"] * 8)
    command("run", PATH, "--quick", "-o", tmp_path, "--workers", 0)
    assert "median error 4 0 RuntimeError: the median is lost" in command("failures", PATH, "--quick", "-o", tmp_path)
    for arguments, words in (
        (("check", tmp_path / "no.toml"), "there is no study"),
        (("replay", PATH, "shift=9", 0, "mean"), "there is no cell 'shift=9'"),
        (("replay", PATH, "shift=0.0", 0, "mode"), "there is no method 'mode'"),
        (("status", PATH, "-o", tmp_path / "nowhere"), "there is no study in"),
    ):
        assert words in command(*arguments, code=2)
