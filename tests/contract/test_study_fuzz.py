"""Study files and stores made of anything: they are read, or refused in the project's own words."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from own_study import written
from strategies import MANY

from experiments.harness.failures import failures_in
from experiments.harness.results import Results
from experiments.harness.running import run_study
from experiments.harness.store import Store
from experiments.harness.store.connecting import FILE
from experiments.harness.study import Study, load_study
from saem.errors import SaemError

FEW = 60

KEYS = ("title", "aims", "data", "reference", "design", "estimands", "methods", "run", "precision", "quick")
BELOW = (
    "factors",
    "cells",
    "analysis",
    "what",
    "null",
    "replicates",
    "seed",
    "timeout",
    "minimum",
    "memory",
    "bias",
    "",
)
leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(["size", "odd"])
).filter(lambda value: value is not None)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(BELOW) | st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
changes = st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=8), values, max_size=4)


def patient(examples: int) -> Any:
    return settings(
        max_examples=examples, deadline=None, derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    )  # fmt: skip


def merged(content: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Tables are filled with what changes, so that most of a study is as it should be."""
    found = dict(content)
    for key, value in change.items():
        both = isinstance(value, dict) and isinstance(found.get(key), dict)
        found[key] = merged(found[key], value) if both else value
    return found


def read(path: Path, content: dict[str, Any]) -> None:
    """It loads, or is refused with words that a terminal can show."""
    path.write_text(tomli_w.dumps(content), encoding="utf-8")
    try:
        assert isinstance(load_study(path), Study)
    except SaemError as error:
        assert str(error) and "Traceback" not in str(error)
        assert all(letter.isprintable() or letter in "\n\t" for letter in str(error))


def content_of(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text())


def fuzz_settings(folder: Path, examples: int) -> None:
    path = written(folder)
    whole = content_of(path)

    @patient(examples)
    @given(changes)
    def check(change: dict[str, Any]) -> None:
        read(path, merged(whole, change))

    check()


def fuzz_bytes(folder: Path, examples: int) -> None:
    """Files of any bytes, and pieces put into good ones, TOML and Python."""
    path = written(folder)
    files = {file: file.read_bytes() for file in (path, path.with_suffix(".py"))}

    @patient(examples)
    @given(st.sampled_from(sorted(files)), st.floats(0.0, 1.0), st.binary(max_size=12), st.booleans())
    def check(file: Path, place: float, piece: bytes, alone: bool) -> None:
        before = files[file]
        at = int(place * len(before))
        is_code = file.suffix == ".py"  # what is run must not be anything: only what cannot be parsed is put in
        if is_code and b"\n" in piece:
            return
        file.write_bytes(piece if alone and not is_code else before[:at] + piece + before[at:])
        try:
            load_study(path)
        except SaemError as error:
            assert str(error)
        finally:
            file.write_bytes(before)

    check()


ROW = {"records": "method", "cells": "key", "runs": "number", "truths": "cell", "identity": "part"}
TEXTS = {"records": "payload", "cells": "levels", "runs": "provenance", "truths": "content", "identity": "value"}


def fuzz_stores(folder: Path, examples: int) -> None:
    """Damaged files, and texts in them of any JSON, most of them as they were but for a part."""
    path = written(folder, run={"replicates": 1})
    study = load_study(path)
    run_study(study, path, folder / "good")
    whole = (folder / "good" / FILE).read_bytes()
    keys = st.sampled_from(["status", "numbers", "seconds", "data", "message", "warnings", "method", "size", "centre"])
    numbers = st.lists(st.lists(st.floats() | st.integers(), min_size=4, max_size=5), max_size=2)

    @patient(examples)
    @given(st.floats(0.0, 1.0), st.binary(max_size=8), st.sampled_from(sorted(TEXTS)), keys, values | numbers)
    def check(place: float, piece: bytes, table: str, key: str, value: Any) -> None:
        bad = folder / "bad"
        shutil.rmtree(bad, ignore_errors=True)
        bad.mkdir()
        at = int(place * (len(whole) - 1))
        (bad / FILE).write_bytes(whole[:at] + piece + whole[at + len(piece) :])
        if not piece:
            changed(bad / FILE, table, key, value)
        try:
            with Store(bad) as store:
                store.counts(), store.runs(), store.sources(), failures_in(store)
            results = Results.read(study, path, bad)
            assert len(results.complete) and results.warnings is not None
        except SaemError as error:
            assert str(error)

    check()


def changed(file: Path, table: str, key: str, value: Any) -> None:
    """Another value for a part of the texts of a table, or in place of them."""
    db = sqlite3.connect(file)
    for number, text in list(db.execute(f"SELECT {ROW[table]}, {TEXTS[table]} FROM {table}")):
        try:
            content = json.loads(text)
        except ValueError:
            content = None
        new = json.dumps(content | {key: value} if isinstance(content, dict) else value, default=str)
        db.execute(f"UPDATE {table} SET {TEXTS[table]} = ? WHERE {ROW[table]} = ?", (new, number))
    db.commit()
    db.close()


@pytest.mark.parametrize("fuzz", [fuzz_settings, fuzz_bytes, fuzz_stores])
def test_a_few_of_anything(tmp_path: Path, fuzz: Any) -> None:
    fuzz(tmp_path, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("fuzz", [fuzz_settings, fuzz_bytes, fuzz_stores])
def test_many_of_anything(tmp_path: Path, fuzz: Any) -> None:
    fuzz(tmp_path, MANY // 3)
