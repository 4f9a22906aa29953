"""Functions of a study that do what they should not: it costs their own fits, and no others, and is told."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from simulated_study import study_rows
from typer.testing import CliRunner

from experiments.harness.commands import app
from experiments.harness.performance import performance, wide
from experiments.harness.running import Executor, run_study
from experiments.harness.store import Store
from experiments.harness.study import load_study
from saem.errors import ModelError

TOML = """
title = "Misuse"
aims = "Whether harm is contained."
data = "A number."
[design]
factors = { k = [1, 2] }
[estimands]
a = {}
b = {}
[methods]
good = {}
odd = { how = "well" }
[run]
replicates = 4
timeout = 60.0
"""
PYTHON = """
import math, os, sys, time
import numpy as np
from experiments.harness.study.functions import Outcome

def truth(cell):
    return {"a": 1.0, "b": -1.0}

def generate(cell, seed):
    return [float(seed % 1000) / 1000]

def outcome(x):
    return Outcome({"a": (1 + x, 1.0, x, 2 + x, math.nan), "b": (x - 1, 1.0, x - 2, x, math.nan)})

def estimate(data, cell, options, seed):
    found = outcome(data[0])
    return odd(found, data, options) if "how" in options else found

def odd(found, data, options):
    BODY
"""


def study(folder: Path, body: str, toml: str = TOML) -> Path:
    """The files of a study whose method `odd` does this."""
    path = folder / "own.toml"
    path.write_text(toml)
    path.with_suffix(".py").write_text(PYTHON.replace("BODY", body.replace("\n", "\n    ")))
    return path


def records(folder: Path) -> dict[str, list[dict]]:
    found: dict[str, list[dict]] = {}
    with Store(folder) as store:
        for _, _, record in store.records():
            found.setdefault(record["method"], []).append(record)
    return found


def command(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


#: What a method may do that is no outcome, and how that is told.
NO_OUTCOMES = [
    ("sys.exit()", "SystemExit"),
    ("raise GeneratorExit", "GeneratorExit"),
    ("return {'a': 1.0}", "must return an Outcome; got dict"),
    ("return Outcome(dict(found.numbers) | {'a': (1.0, 2.0, 3.0)})", "five numbers for 'a'"),
    ("return Outcome(dict(found.numbers) | {'a': ('1.0', 2.0, 3.0, 4.0, 1.0)})", "got one of type str"),
    ("return Outcome(dict(found.numbers) | {'a': (True, 2.0, 3.0, 4.0, 1.0)})", "got one of type bool"),
    ("return Outcome(dict(found.numbers) | {'a': ([1.0], 2.0, 3.0, 4.0, 1.0)})", "got one of type list"),
    ("return Outcome(dict(found.numbers) | {'a': '12345'})", "got str"),
    ("nan = math.nan\nreturn Outcome({'a': (nan,) * 5, 'b': (nan,) * 5})", "there is no finite estimate"),
    ("inf = (math.inf, 1.0, 0.0, math.inf, 0.0)\nreturn Outcome({'a': inf, 'b': inf})", "are infinite or nan"),
    ("return Outcome(dict(found.numbers) | {'b': (1.0, 1.0, 3.0, 2.0, 0.0)})", "'b' has its ends the wrong way"),
    ("return Outcome(dict(found.numbers) | {'b': (1.0, -1.0, 1.0, 2.0, 0.0)})", "must not be negative; got SE -1"),
    ("return Outcome(dict(found.numbers) | {'b': {1.0, 2.0, 3.0, 4.0, 5.0}})", "five numbers for 'b'"),
    ("return Outcome(dict(found.numbers) | {'b': dict.fromkeys(range(5))})", "got dict"),
    (
        "return Outcome(dict(found.numbers) | {'b': (1.0, 1.0, math.inf, math.inf, 0.0)})",
        "holds no number: inf, inf",
    ),
    ("return Outcome(dict(found.numbers) | {'b': (np.complex128(1), 1.0, 0.0, 2.0, 0.0)})", "of type complex128"),
    ("return Outcome(dict(found.numbers) | {'b': (10**400, 1.0, 0.0, 2.0, 0.0)})", "int too large"),
    ("return Outcome(found.numbers, draws=-1)", "draws must not be negative; got -1"),
    ("return Outcome(None)", "must be a mapping by estimand; got NoneType"),
    ("return Outcome(found.numbers, status=np.array(['ok', 'ok']))", "the status of an outcome must be one of"),
    ("raise BaseException('base')", "BaseException: base"),
    ("return Outcome(found.numbers, status='converged')", "a fit that converged is 'ok'"),
    ("return Outcome(found.numbers, status=None)", "got None"),
    ("return Outcome({'a': found.numbers['a']})", "gives no estimate of 'b'"),
    ("raise RuntimeError('bad \\udcff name')", "bad ? name"),
    ("raise RuntimeError('x' * 10**6)", "xxx …"),
    ("class Bad(Exception):\n    def __str__(self): raise ValueError\nraise Bad", "cannot be read: ValueError"),
]


def test_what_is_no_outcome_is_an_error(tmp_path: Path) -> None:
    """A row of its own for each, which tells why; tables can be made."""
    odd = "".join(f"\nodd{k} = {{ how = {k} }}" for k in range(len(NO_OUTCOMES)))
    toml = TOML.replace("replicates = 4", "replicates = 1").replace('\nodd = { how = "well" }', odd)
    bodies = [body.replace("\n", "\n    ") for body, _ in NO_OUTCOMES]
    path = study(tmp_path, "\n".join(f"if options['how'] == {k}:\n    {body}" for k, body in enumerate(bodies)), toml)
    run_study(load_study(path), path, tmp_path / "out")
    found = records(tmp_path / "out")
    assert [record["status"] for record in found["good"]] == ["ok"] * 2
    for k, (body, words) in enumerate(NO_OUTCOMES):
        assert [record["status"] for record in found[f"odd{k}"]] == ["error"] * 2, body
        for record in found[f"odd{k}"]:
            assert words in record["message"] and len(record["message"]) < 2100, body
    command("summarise", path, "-o", tmp_path / "out")


def test_messages_that_are_no_text(tmp_path: Path) -> None:
    path = study(tmp_path, "return Outcome(found.numbers, message=ValueError('x'), loglik=1)")
    run_study(load_study(path), path, tmp_path / "out")
    assert {record["message"] for record in records(tmp_path / "out")["odd"]} == {"x"}


def test_what_a_method_does_to_its_data_is_its_own_matter(tmp_path: Path) -> None:
    """By no, one or two workers and whichever methods are run together: also where a first call is made twice."""
    path = study(tmp_path, "data[0] += 1.0; options.pop('how'); return outcome(data[0])")
    alone = {"methods": {"good": None}}
    for name, changes, workers in (("a", {}, 0), ("b", {}, 2), ("c", alone, 0), ("d", alone, 1)):
        run_study(load_study(path, changes=changes), path, tmp_path / name, executor=Executor(workers=workers))
    found = [[record["numbers"] for record in records(tmp_path / name)["odd"]] for name in "abcd"]
    assert found[0] == found[1] == found[2] == found[3] and len(found[0]) == 8
    good = [record["numbers"][0][0] for record in records(tmp_path / "a")["good"]]
    assert [numbers[0][0] for numbers in found[0]] == pytest.approx([value + 1.0 for value in good])


def test_data_that_cannot_be_copied(tmp_path: Path) -> None:
    path = study(tmp_path, "return found")
    functions = path.with_suffix(".py")
    functions.write_text(functions.read_text().replace("return [float(seed % 1000) / 1000]", "return (k for k in [1])"))
    run_study(load_study(path), path, tmp_path / "out")
    assert {record["status"] for own in records(tmp_path / "out").values() for record in own} == {"error"}


def test_a_limit_that_is_none_and_one_that_is_raised(tmp_path: Path) -> None:
    """`inf` is no limit. What did not end in time is tried again with more time, and not with less."""
    path = study(tmp_path, "time.sleep(0.0 if os.path.exists('%s') else 600.0); return found" % (tmp_path / "quickly"))
    changes = {"design": {"factors": {"k": [1]}}, "run": {"replicates": 1, "timeout": 0.3}}

    def statuses(timeout: float) -> list[str]:
        changes["run"]["timeout"] = timeout
        run_study(load_study(path, changes=changes), path, tmp_path / "out", executor=Executor(workers=1))
        return [record["status"] for record in records(tmp_path / "out")["odd"]]

    assert statuses(0.3) == ["timeout"]
    (tmp_path / "quickly").touch()
    assert statuses(0.2) == ["timeout"]
    assert statuses(float("inf")) == ["ok"]


# What a study depends on


def test_a_module_beside_the_study_is_a_part_of_it(tmp_path: Path) -> None:
    path = study(tmp_path, "import helper_of_own; return found")
    (tmp_path / "helper_of_own.py").write_text("VALUE = 1\n")
    run_study(load_study(path), path, tmp_path / "out", executor=Executor(workers=1))
    assert {record["status"] for record in records(tmp_path / "out")["odd"]} == {"ok"}
    (tmp_path / "helper_of_own.py").write_text("VALUE = 2\n")
    text = command("run", path, "-o", tmp_path / "out", "--workers", 0, code=2)
    assert "the function estimate changed" in text


def test_a_store_without_results_belongs_to_nobody(tmp_path: Path) -> None:
    path = study(tmp_path, "return found")
    with Store(tmp_path / "out", {"the seed": "5", "the functions": "other"}):
        pass
    run_study(load_study(path), path, tmp_path / "out")
    assert len(records(tmp_path / "out")["odd"]) == 8


def test_numbers_belong_to_the_names_they_were_made_for(tmp_path: Path) -> None:
    """Estimands in another order, or fewer, have the same numbers; an unknown one is refused; changes are told."""
    path = study(tmp_path, "return found")
    run_study(load_study(path), path, tmp_path / "out")
    command("summarise", path, "-o", tmp_path / "out")

    def means() -> pd.Series:
        rows = pd.read_parquet(tmp_path / "out" / "rows.parquet")
        return (rows["estimate"] - rows["truth"]).groupby(rows["estimand"].astype(str)).mean()

    before = means()
    for estimands in ("b = {}\na = {}", "b = {}"):
        study(tmp_path, "return found", TOML.replace("a = {}\nb = {}", estimands))
        text = command("summarise", path, "-o", tmp_path / "out")
        assert "careful: the study changed since the results were made (the estimands)" in text
        pd.testing.assert_series_equal(means(), before[means().index])
    study(tmp_path, "return found", TOML.replace("a = {}\nb = {}", "a = {}\nc = {}"))
    functions = path.with_suffix(".py")
    functions.write_text(functions.read_text().replace('"b": -1.0}', '"b": -1.0, "c": 0.0}'))
    assert "has no estimates of 'c'" in command("summarise", path, "-o", tmp_path / "out", code=2)


def test_a_reference_that_has_no_results_yet(tmp_path: Path) -> None:
    path = study(tmp_path, "return found")
    run_study(load_study(path), path, tmp_path / "out")
    study(
        tmp_path,
        "return found",
        TOML.replace("[methods]", "[methods]\nbest = {}").replace("[design]", 'reference = "best"\n[design]'),
    )
    command("summarise", path, "-o", tmp_path / "out")


def test_folders_of_any_name(tmp_path: Path) -> None:
    path = study(tmp_path, "return found")
    for name in ("a#b", "a?b", "50%41", "with blank"):
        run_study(load_study(path), path, tmp_path / name)
        assert "16 fits of 16" in command("status", path, "-o", tmp_path / name)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("k = [1, 2]", "k = [1, '1']", "design: factors.k has equal levels, 1 and '1'; each level must be there once"),
        ("k = [1, 2]", "k = [20, 3, 20]", "factors.k has equal levels, 20 and 20"),
        ("k = [1, 2]", "k = [1, 1.0]", "factors.k has equal levels, 1 and 1.0"),
        ("k = [1, 2]", "k = [true, 1]", "factors.k has equal levels, True and 1"),
        ("k = [1, 2]", "k = [0.0, -0.0]", "factors.k has equal levels, 0.0 and -0.0"),
        ("k = [1, 2]", "k = [nan, 1, nan]", "factors.k has equal levels, nan and nan"),
        (
            "[estimands]",
            "[[design.cells]]\nk = 3\n[[design.cells]]\nk = 3.0\n[estimands]",
            "the cell 'k=3.0' is there twice",
        ),
        ("[estimands]", "[[design.cells]]\nk = 2\n[estimands]", "the cell 'k=2' is there twice"),
        ("k = [1, 2]", "k = [1, [2]]", "design.factors.k.1: a level must be a text, a number, true or false; got [2]"),
        ("a = {}", "a = { null = nan }", "estimands.a.null: Input should be a finite number"),
        ('how = "well"', "how = 2020-01-01", "methods.odd: how must be of texts"),
        ("[run]", "quick = 5\n[run]", "methods.quick"),
    ],
)
def test_studies_that_are_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = study(tmp_path, "return found", TOML.replace(old, new, 1))
    with pytest.raises(ModelError) as caught:
        load_study(path)
    assert words in str(caught.value)


def test_truths_that_are_none(tmp_path: Path) -> None:
    path = study(tmp_path, "return found")
    functions = path.with_suffix(".py")
    before = functions.read_text()
    for truth, words in (
        ("None", "must return a mapping of numbers by estimand; got None"),
        ('{"a": math.inf, "b": True}', "truth gives inf, and must give a number, or nan"),
        ("sys.exit(3)", "truth: SystemExit: 3"),
    ):
        functions.write_text(before.replace('return {"a": 1.0, "b": -1.0}', f"return {truth}"))
        with pytest.raises(ModelError) as caught:
            load_study(path)
        assert words in str(caught.value)
    functions.write_text("import sys\nsys.exit(4)\n")
    with pytest.raises(ModelError, match="cannot be imported: SystemExit: 4"):
        load_study(path)


# What is counted


def test_a_reference_that_did_not_converge_measures_nothing(tmp_path: Path) -> None:
    body = "bad = data[0] < 0.5\nreturn Outcome(found.numbers, 'not_converged' if bad else 'ok', -50.0 * bad)"
    path = study(tmp_path, body, TOML.replace("[design]", 'reference = "odd"\n[design]'))
    run_study(load_study(path, changes={"run": {"replicates": 10}}), path, tmp_path / "out")
    command("summarise", path, "-o", tmp_path / "out")
    rows = pd.read_parquet(tmp_path / "out" / "rows.parquet")
    bad = rows["replicate"].isin(rows.loc[rows["status"] == "not_converged", "replicate"]) & (rows["method"] == "odd")
    assert bad.any() and rows.loc[bad & (rows["status"] == "not_converged"), "deficit"].isna().all()


def test_pairs_are_of_methods_that_give_the_estimand() -> None:
    """`em` never gives it, though it ends; `mcem` failed throughout: neither leaves the others without pairs."""
    parts = [study_rows(6, method=name, estimate=1.0, truth=0.0) for name in ("ml", "saem")]
    pairs = performance(pd.concat([*parts, study_rows(6, method="em", truth=0.0)]), on="pairs")
    assert wide(pairs, ["bias"], fields=["n"])["bias"].tolist() == [6, 6, 0]
    pairs = performance(pd.concat([*parts, study_rows(6, method="mcem", truth=0.0, status="error")]), on="pairs")
    assert wide(pairs, ["bias"], fields=["n"])["bias"].tolist() == [6, 6, 0]


def test_an_estimand_without_intervals_has_no_coverage() -> None:
    """One that misses some has: a missing interval does not cover."""
    none, some = study_rows(4, estimate=1.0, truth=1.0), study_rows(4, estimate=1.0, truth=1.0, estimand="other")
    some.loc[:1, ["lower", "upper"]] = [0.0, 2.0]
    found = wide(performance(pd.concat([none, some])), ["coverage", "no_interval"], fields=["value"])
    assert found.loc[(slice(None), slice(None), "theta")].isna().all(axis=None)
    assert found.loc[(slice(None), slice(None), "other")].to_numpy().tolist() == [[0.5, 0.5]]


def test_identity_is_kept_as_text(tmp_path: Path) -> None:
    """The store says what it depends on, in words."""
    path = study(tmp_path, "return found")
    run_study(load_study(path), path, tmp_path / "out")
    with Store(tmp_path / "out") as store:
        identity = store.identity()
    assert json.loads(identity["the estimands"]) == ["a", "b"] and identity["the seed"] == "0"
    assert {"the function generate", "the function estimate", "the method good", "the method odd"} <= set(identity)
    assert "the code of saem" not in identity, "the study does not use it"
