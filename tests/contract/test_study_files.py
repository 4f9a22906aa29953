"""Files of a study: shards made one, provenance, exports that are whole or not there, stores that cannot be read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from experiments.harness.agenda import Shard
from experiments.harness.commands import app
from experiments.harness.provenance import configuration_hash
from experiments.harness.running import identity_of, job_of, run_study
from experiments.harness.store import Store
from experiments.harness.store.export import write_parquet
from experiments.harness.store.merging import merge
from experiments.harness.study import Cell, load_study
from experiments.harness.study.sources import digest_of, sources_of
from experiments.harness.study.tasks import Result, Task, failure
from saem.errors import ModelError, StorageError
from saem.system.files import replacing, write_csv

PATH = Path(__file__).parents[1] / "studies" / "faulty.toml"


def command(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


# Shards


def test_shards_are_made_one(tmp_path: Path) -> None:
    """By the command, each in a folder of its own, twice without harm; one of another study is refused."""
    for k in (1, 2, 3):
        command("run", PATH, "--quick", "-o", tmp_path, "--workers", 0, "--shard", f"{k}/3")
    assert sorted(path.name for path in tmp_path.glob("shard-*")) == [f"shard-{k}-of-3" for k in (1, 2, 3)]
    text = command("merge", PATH, "--quick", "-o", tmp_path)
    assert text.count("fits from") == 3
    command("merge", PATH, tmp_path / "shard-1-of-3", "--quick", "-o", tmp_path)
    assert "shift=1.0 median 4 4" in command("status", PATH, "--quick", "-o", tmp_path)
    with Store(tmp_path) as store:
        assert [run["shard"] for run in store.runs()] == ["1/3", "2/3", "3/3"]
    other = load_study(PATH, changes={"run": {"replicates": 2, "seed": 9}})
    run_study(other, PATH, tmp_path / "other", shard=Shard(1, 2))
    assert "the seed" in command("merge", PATH, tmp_path / "other", "--quick", "-o", tmp_path, code=2)
    assert "there are no shards" in command("merge", PATH, "--quick", "-o", tmp_path / "nothing", code=2)


@pytest.mark.slow
def test_a_shard_may_have_a_report_of_its_own(tmp_path: Path) -> None:
    command("run", PATH, "--quick", "-o", tmp_path, "--workers", 0, "--shard", "1/2", "--report")
    assert (tmp_path / "shard-1-of-2" / "report.html").is_file() and not (tmp_path / "report.html").exists()


def test_what_was_killed_gives_way(tmp_path: Path) -> None:
    """Of two records that stays which was not killed, whichever comes first."""
    task = Task(Cell({"shift": 0.0}), 0, ("mean",))
    identity = identity_of(job_of(load_study(PATH), PATH))
    for name, status in (("killed", "crashed"), ("well", "ok")):
        with Store(tmp_path / name, identity) as store:
            store.add([Result(task, [failure("mean", status, name, 1.0)], 1.0)])
    for order in (("killed", "well"), ("well", "killed")):
        folder = tmp_path / "-".join(order)
        with Store(folder, identity) as store:
            assert [merge(store, tmp_path / name) for name in order] == [1, 1]
            ((_, _, record),) = store.records()
            assert record["message"] == "well"


# Provenance


def test_a_run_tells_where_it_came_from(tmp_path: Path) -> None:
    own = load_study(PATH, changes={"run": {"replicates": 2}})
    run_study(own, PATH, tmp_path)
    run_study(load_study(PATH, changes={"run": {"replicates": 3}}), PATH, tmp_path)
    with Store(tmp_path) as store:
        first, second = store.runs()
    assert first["end"] == "complete" and first["began"] <= first["ended"] and first["replicates"] == 4
    assert second["replicates_before"] == 4 and second["replicates"] == 6 and second["seed"] == 3
    assert first["configuration"] == second["configuration"] == configuration_hash(own, PATH), "limits do not count"
    assert {"python", "numpy", "saem", "cores", "processor", "command", "threads", "workers"} <= set(first)
    other = load_study(PATH, changes={"methods": {"mean": {"function": "max"}}})
    assert configuration_hash(other, PATH) != configuration_hash(own, PATH)


def test_an_interrupted_run_says_so(tmp_path: Path) -> None:
    def stop(state: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(load_study(PATH), PATH, tmp_path, progress=stop)
    with Store(tmp_path) as store:
        assert store.runs()[0]["end"] == "interrupted"


def test_functions_are_known_by_what_they_import(tmp_path: Path) -> None:
    """A file of this package that the functions use is a part of them; the harness is none."""
    path = tmp_path / "s.py"
    path.write_text("from experiments.problems import subjects\nfrom experiments.study.cells import Cell\n")
    assert {file.stem for file in sources_of(path)} == {"s", "problems", "peptide"}
    before = digest_of(path)
    path.write_text(path.read_text() + "# more\n")
    assert digest_of(path) != before
    path.write_text("def (")
    with pytest.raises(ModelError, match="cannot be read: SyntaxError"):
        digest_of(path)


def test_functions_that_changed_are_refused(tmp_path: Path) -> None:
    shutil.copy(PATH, tmp_path / "own.toml")
    functions = tmp_path / "own.py"
    shutil.copy(PATH.with_suffix(".py"), functions)
    own = load_study(tmp_path / "own.toml", changes={"run": {"replicates": 3}})
    run_study(own, tmp_path / "own.toml", tmp_path / "out")
    functions.write_text(functions.read_text().replace("ddof=1", "ddof=0"))
    with pytest.raises(StorageError, match="the function estimate changed"):
        run_study(own, tmp_path / "own.toml", tmp_path / "out")


# Exports


def test_exports_are_whole_or_not_there(tmp_path: Path) -> None:
    table = pd.DataFrame({"x": [1.0, 2.0], "s": pd.Categorical(["a", "b"])})
    write_parquet(table, tmp_path / "t.parquet")
    write_csv(table, tmp_path / "t.csv", index=False)
    assert pd.read_parquet(tmp_path / "t.parquet")["x"].tolist() == [1.0, 2.0]
    assert pd.read_csv(tmp_path / "t.csv")["s"].tolist() == ["a", "b"]
    with pytest.raises(RuntimeError), replacing(tmp_path / "t.csv") as temporary:
        temporary.write_bytes(b"half of it")
        raise RuntimeError
    assert pd.read_csv(tmp_path / "t.csv")["s"].tolist() == ["a", "b"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.csv", "t.parquet"]
    with pytest.raises(StorageError, match="cannot be written"):
        write_csv(table, tmp_path / "t.csv" / "below.csv")


def test_rows_tell_all_that_is_known_of_a_fit(tmp_path: Path) -> None:
    command("run", PATH, "--quick", "-o", tmp_path, "--workers", 0)
    command("summarise", PATH, "--quick", "-o", tmp_path)
    rows = pd.read_parquet(tmp_path / "rows.parquet")
    wanted = {
        "cell",
        "replicate",
        "method",
        "estimand",
        "estimate",
        "se",
        "lower",
        "upper",
        "mcse",
        "status",
        "message",
    }
    assert wanted | {"warnings", "seconds", "draws", "stream", "truth", "loglik", "deficit"} <= set(rows.columns)
    assert rows["stream"].str.endswith("/mean").sum() == 8 and rows["stream"].is_unique
    paired = pd.read_csv(tmp_path / "paired.csv")
    assert set(paired["reference"]) == {"mean"} and set(paired["method"]) == {"median"}


def test_a_store_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "study.sqlite").write_text("no database" * 1000)
    for name in ("status", "failures", "summarise", "report", "plot"):
        assert "cannot be read" in command(name, PATH, "-o", tmp_path, code=2)
    assert "cannot be written" in command("run", PATH, "-o", tmp_path, "--workers", 0, code=2)
    run_study(load_study(PATH, changes={"run": {"replicates": 1}}), PATH, tmp_path / "small")
    other = tmp_path / "empty"
    with Store(other, json.loads("{}")):
        pass
    assert "holds no result of this study yet" in command("summarise", PATH, "-o", other, code=2)


def test_damage_within_a_store_is_said_by_every_command(tmp_path: Path) -> None:
    """Also by `run`, which reads before it writes: the file opens, and its pages hold something else."""
    run_study(load_study(PATH, changes={"run": {"replicates": 2}}), PATH, tmp_path)
    file = tmp_path / "study.sqlite"
    content = bytearray(file.read_bytes())
    for place in range(4096, len(content), 97):
        content[place] ^= 255
    file.write_bytes(content)
    for name, *more in (("run", "--workers", 0), ("status",), ("summarise",), ("report",)):
        text = command(name, PATH, "-o", tmp_path, *more, code=2)
        assert "The store is damaged: use a copy, or run the study into another folder" in text
