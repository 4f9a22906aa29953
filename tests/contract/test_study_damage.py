"""Stores whose bytes were changed though they are still JSON, or that are taken away: noticed, named, made again."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from own_study import command, records, written

from experiments.harness.results import Results
from experiments.harness.running import run_study
from experiments.harness.store import Store
from experiments.harness.store.connecting import FILE
from experiments.harness.store.sealing import SEAL
from experiments.harness.study import load_study
from saem.errors import StorageError

ONE = {"factors": {"size": [4]}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A study with four replicates in the folder `out`."""
    found = written(tmp_path, design=ONE)
    run_study(load_study(found), found, tmp_path / "out")
    return found


def change(folder: Path, *statements: str) -> None:
    db = sqlite3.connect(folder / FILE)
    for statement in statements:
        assert db.execute(statement).rowcount, statement
    db.commit()
    db.close()


RECORD = "UPDATE records SET payload = replace(payload, {}) WHERE method = 'odd' AND replicate = 2"
NUMBER = RECORD.format("'0.5, ', '0.7, '")


def without_times(folder: Path) -> list[object]:
    found = records(folder)
    return [{key: value for key, value in r.items() if key != "seconds"} for own in found.values() for r in own]


@pytest.mark.parametrize(
    "statement",
    [
        NUMBER,
        RECORD.format('\'"message": ""\', \'"message": "x"\''),
        RECORD.format("'" + SEAL + "', '#sebl'"),
        RECORD.format("'\"data\"', '\"date\"'"),
        "UPDATE records SET replicate = 7 WHERE method = 'odd' AND replicate = 2",
    ],
)
def test_damaged_records_are_named_and_made_again(tmp_path: Path, path: Path, statement: str) -> None:
    """A digit, a letter, the checksum's own name, another's, and the place of a record."""
    before = without_times(tmp_path / "out")
    change(tmp_path / "out", statement)
    said = command("summarise", path, "-o", tmp_path / "out", code=2)
    assert "the record of odd, replicate" in said and "--retry damaged" in said
    said = command("run", path, "-o", tmp_path / "out", "--workers", 0, "--retry", "damaged")
    assert "1 damaged records were dropped" in said
    assert without_times(tmp_path / "out") == before


def test_damaged_truths_are_noticed(tmp_path: Path, path: Path) -> None:
    change(tmp_path / "out", "UPDATE truths SET content = replace(content, '0.0', '0.5')")
    with pytest.raises(StorageError, match="the true values"):
        Results.read(load_study(path), path, tmp_path / "out")


def test_damaged_cells_are_noticed(tmp_path: Path, path: Path) -> None:
    change(tmp_path / "out", "UPDATE cells SET levels = replace(levels, '4', '5')")
    with Store(tmp_path / "out") as store, pytest.raises(StorageError, match="a cell"):
        store.cells()


def test_stores_without_checksums_are_read(tmp_path: Path, path: Path) -> None:
    """As earlier versions wrote them; a number that changed there cannot be noticed (the twin of the tests above)."""
    rows = Results.read(load_study(path), path, tmp_path / "out").rows
    db = sqlite3.connect(tmp_path / "out" / FILE)
    for table, text in (("records", "payload"), ("truths", "content"), ("runs", "provenance"), ("sources", "files")):
        for (old,) in list(db.execute(f"SELECT {text} FROM {table}")):
            content = json.loads(old)
            assert content.pop(SEAL)
            db.execute(f"UPDATE {table} SET {text} = ? WHERE {text} = ?", (json.dumps(content), old))
    db.commit()
    db.close()
    assert Results.read(load_study(path), path, tmp_path / "out").rows.equals(rows)
    change(tmp_path / "out", NUMBER)
    assert not Results.read(load_study(path), path, tmp_path / "out").rows.equals(rows)


def test_a_list_of_estimands_that_is_none(tmp_path: Path, path: Path) -> None:
    change(tmp_path / "out", "UPDATE identity SET value = '[false]' WHERE part = 'the estimands'")
    with pytest.raises(StorageError, match="the list of the estimands"):
        Results.read(load_study(path), path, tmp_path / "out")


def test_a_store_that_is_taken_away(tmp_path: Path) -> None:
    """What would be written to a file that nobody can find is not said to be kept."""
    body = f"import shutil\nif 'odd' in options: shutil.rmtree({str(tmp_path / 'out')!r}, ignore_errors=True)"
    path = written(tmp_path, body, design=ONE)
    said = command("run", path, "-o", tmp_path / "out", "--workers", 0, code=2)
    assert "was removed or replaced while it was written to" in said
