"""Studies that would print wrong numbers: they are refused, or what is wrong is said beside the numbers."""

from __future__ import annotations

import copy
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from own_study import command, records, written
from selecting import few

from experiments.harness.performance import wide
from experiments.harness.results import Results
from experiments.harness.running import Executor, job_of, run_study
from experiments.harness.study import load_study
from experiments.harness.study.hashing import hash_of
from experiments.harness.study.tasks import generated
from saem.errors import ModelError

SMALL = {"design": {"factors": {"size": [4]}}}


# Estimates that are none


def test_infinite_estimates_are_errors_or_shown(tmp_path: Path) -> None:
    """Of one estimand: a failure with its reason. Of one of two: the share of missing stands beside the measures."""
    path = written(tmp_path, "if data[0] < 0: found = Outcome({'centre': (-math.inf, 1.0, -math.inf, 0.0, None)})")
    text = command("run", path, "-o", tmp_path / "one", "--workers", 0)
    assert "no finite estimate: centre = -inf" in text
    own = records(tmp_path / "one")["odd"]
    assert {record["status"] for record in own} == {"ok", "error"}
    two = "low = -math.inf if data[0] < 0 else 1.0\nfound = Outcome(dict(found.numbers) | {'low': (low,) * 5})"
    two = two.replace("(low,) * 5", "(low, None, None, None, None)")
    changes = {"estimands": {"centre": {}, "low": {}}}
    path = written(tmp_path, two, truth="return {'centre': 0.0, 'low': 1.0}", **changes)
    text = command("run", path, "-o", tmp_path / "two", "--workers", 0)
    assert "gave no finite estimate of low" in text
    shown = command("summarise", path, "-o", tmp_path / "two")
    assert "no_estimate size kind method centre low" in shown
    table = (
        pd.read_csv(tmp_path / "two" / "performance.csv")
        .set_index(["measure", "cell", "method", "estimand"])
        .sort_index()
    )
    shares = table.loc["no_estimate"].xs("low", level="estimand")
    assert (
        0.0 < shares["value"].mean() < 1.0
        and (shares["value"] * 4 + table.loc["bias", "n"].xs("low", level=2) == 4).all()
    )


def test_a_result_without_a_standard_error_is_no_failure(tmp_path: Path) -> None:
    path = written(tmp_path, "found = Outcome({'centre': (value, None, None, None, None)})")
    text = command("run", path, "-o", tmp_path / "out", "--workers", 0)
    assert "32 fits: 32 ok" in text and "Warning" not in text
    assert all(np.isnan(record["numbers"][0][1]) for record in records(tmp_path / "out")["odd"])


def test_coverage_of_a_method_without_intervals_is_none(tmp_path: Path) -> None:
    """It is `-` in tables, and not in the zip plot, nor the worst of all."""
    path = written(tmp_path, "if 'odd' in options: found = Outcome({'centre': (value, 0.5, None, None, None)})")
    run_study(load_study(path), path, tmp_path / "out")
    results = Results.read(load_study(path), path, tmp_path / "out")
    side = wide(results.complete, ["coverage", "no_interval"], fields=["value"])
    assert side.xs("odd", level="method").isna().all(axis=None)
    assert side.xs("plain", level="method").xs("centre", level="estimand").notna().all(axis=None)
    assert "4 b odd -" in command("summarise", path, "-o", tmp_path / "out")
    from experiments.harness.figures import zip_numbers

    choice, _, _ = zip_numbers(results)
    assert choice.methods == ("plain",)


# Data that are not what they seem


ANEW = [
    ("return np.random.default_rng().normal(size=4)", ""),
    ("COUNT.append(1)\nreturn np.full(4, float(len(COUNT)))", "COUNT = []"),
    ("return {'x': [time.perf_counter()] * 4}", ""),
]


@pytest.mark.parametrize(("generate", "head"), few(ANEW, ANEW[:2]), ids=["entropy", "state", "time"])
def test_data_that_do_not_come_again(tmp_path: Path, generate: str, head: str) -> None:
    """`check` and `run` tell, and no number comes of it."""
    path = written(tmp_path, generate=generate, head=head, **SMALL)
    words = "two calls with the same cell and seed gave different data"
    assert words in command("check", path, code=2)
    assert words in command("run", path, "-o", tmp_path / "out", "--workers", 0, code=1)


def test_data_that_differ_between_processes(tmp_path: Path) -> None:
    """The order of a set of texts is another one in each process."""
    path = written(tmp_path, generate="return np.array([len(x) for x in {'a' * k for k in range(40)}], float)", **SMALL)
    assert "two processes got different data" in command("check", path, code=2)


def test_global_generators_are_seeded(tmp_path: Path) -> None:
    """What draws from `random` or `numpy.random` gives the same in any order, by any number of workers."""
    draws = "found = Outcome({'centre': (value + random.random() + np.random.normal(), 1.0, -9.0, 9.0, 0.0)})"
    path = written(tmp_path, draws, generate="return np.random.normal(size=4) + random.random()")
    for workers in (0, 2):
        run_study(load_study(path), path, tmp_path / str(workers), executor=Executor(workers=workers))
    one, two = (records(tmp_path / name) for name in ("0", "2"))
    numbers = [[record["numbers"] for record in found["odd"]] for found in (one, two)]
    assert numbers[0] == numbers[1] and len({str(own) for own in numbers[0]}) == 16


def test_a_fit_leaves_no_trace_for_the_next(tmp_path: Path) -> None:
    """Folder, environment and global generators are as they were."""
    harm = "os.chdir('/'); os.environ['SAEM_TEST_HARM'] = 'x'; np.random.seed(0); random.seed(0)"
    path = written(tmp_path, f"assert 'SAEM_TEST_HARM' not in os.environ and os.getcwd() != '/'\n{harm}")
    before = random.getstate()
    run_study(load_study(path), path, tmp_path / "out")
    assert {record["status"] for record in records(tmp_path / "out")["odd"]} == {"ok"}
    assert random.getstate() == before


def test_each_record_has_a_hash_of_its_data(tmp_path: Path) -> None:
    """Methods that are added later must have seen the same; where not, they are no pairs, which is said."""
    one = {"methods": {"plain": {}}}
    path = written(tmp_path, **one)
    run_study(load_study(path), path, tmp_path / "out")
    assert all(len(record["data"]) == 16 for record in records(tmp_path / "out")["plain"])
    other = "return np.random.default_rng(seed).normal(size=cell['size']) + (cell['size'] == 6)"
    path = written(tmp_path, generate=other)
    assert "the function generate changed" in command("run", path, "-o", tmp_path / "out", "--workers", 0, code=2)
    text = command("run", path, "-o", tmp_path / "out", "--workers", 0, "--accept-changes")
    assert "in 8 replicates not all methods saw the same data" in text
    text = command("summarise", path, "-o", tmp_path / "out")
    assert "in 8 replicates not all methods saw the same data" in text
    paired = pd.read_csv(tmp_path / "out" / "paired.csv")
    assert set(paired["size"]) == {4}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.zeros(3), np.zeros(3, dtype=np.float32)),
        (pd.DataFrame({"a": [1.0]}), pd.DataFrame({"b": [1.0]})),
        (pd.DataFrame({"a": ["x", "y"]}), pd.DataFrame({"a": ["x", "z"]})),
        (pd.DataFrame({"a": [1.0, 2.0]}), pd.DataFrame({"a": [1.0, 2.0]}, index=[0, 2])),
        (pd.Categorical(["a", "b"]), pd.Categorical(["a", "a"], categories=["a", "b"])),
        ({"x": [1, 2]}, {"x": [2, 1]}),
        ([np.array([1.0]), None], [np.array([2.0]), None]),
        (np.array(["a", 1], dtype=object), np.array(["a", 2], dtype=object)),
    ],
)
def test_hashes_tell_data_apart(one: object, other: object) -> None:
    assert hash_of(one) == hash_of(copy.deepcopy(one)) != hash_of(other)


def test_hashes_of_what_cannot_be_looked_into() -> None:
    """They are equal, so that nothing is made up; a loop comes to an end."""
    loop: list[object] = [1]
    loop.append(loop)
    slots = type("Slots", (), {"__slots__": ("x", "y")})
    first, second = slots(), slots()
    first.x, second.x = np.arange(3.0), np.arange(3.0) + 1.0
    assert hash_of(first) == hash_of(copy.deepcopy(first)) != hash_of(second)
    assert hash_of(loop) == hash_of(loop) and hash_of(iter([1])) == hash_of(iter([2]))
    assert hash_of({"a", "b", "c"}) == hash_of({"c", "b", "a"})


def test_warnings_of_generate_are_kept(tmp_path: Path) -> None:
    noisy = "warnings.warn('few rows')\nreturn np.random.default_rng(seed).normal(size=4)"
    path = written(tmp_path, generate=noisy, **SMALL)
    run_study(load_study(path), path, tmp_path / "out")
    for own in records(tmp_path / "out").values():
        assert all(record["warnings"] == ["generate: UserWarning: few rows"] for record in own)


def test_seeds_of_the_old_generators(tmp_path: Path) -> None:
    path = written(tmp_path, "np.random.seed(seed)", **SMALL)
    run_study(load_study(path), path, tmp_path / "out")
    assert "use numpy.random.default_rng(seed), or seed % 2**32" in records(tmp_path / "out")["odd"][0]["message"]


# Silent failure


def test_a_study_in_which_all_fails_says_so(tmp_path: Path) -> None:
    """`check` runs each method; `run` warns early, counts, and ends with a code of its own; the same command too."""
    path = written(tmp_path, "raise RuntimeError('lost')")
    text = command("check", path, code=2)
    assert "plain, odd: failed in 3 replicates" in text and "RuntimeError: lost (own.py:16)" in text
    for _ in range(2):
        text = command("run", path, "-o", tmp_path / "out", "--workers", 0, code=1)
        assert "32 fits: 32 error" in text and "none of 32 fits succeeded" in text
    text = command("run", path, "-o", tmp_path / "again", "--workers", 0, code=1)
    assert text.index("none of the first 5 fits of plain succeeded") < text.index("32 fits")


def test_a_method_that_fails_now_and_then_passes_the_check(tmp_path: Path) -> None:
    """It is told of the failure, and of the replicate that did not fail."""
    own = load_study(path := written(tmp_path))
    first = generated(job_of(own, path), own.design.all()[0], 0)[0]
    path = written(
        tmp_path, f"if 'odd' in options and data[0] == {float(first)!r}: raise ValueError('math domain error')"
    )
    text = command("check", path)
    assert "odd ok" in text and "odd, replicate 0: error: ValueError: math domain error (own.py:16)" in text


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        ("def estimate(data, cell, seed): pass", "can be called as estimate(data, cell, options, seed)"),
        ("def estimate(data, cell, options, seed): yield 1", "it has yield or async"),
        ("estimate = 5", "must define the function estimate"),
        ("def performance(): pass", "can be called as performance(rows)"),
    ],
)
def test_functions_that_cannot_be_called(tmp_path: Path, definition: str, words: str) -> None:
    path = written(tmp_path, tail=definition)
    with pytest.raises(ModelError) as caught:
        load_study(path)
    assert words in str(caught.value)


def test_one_broken_method_leaves_the_others_their_pairs(tmp_path: Path) -> None:
    path = written(tmp_path, "if 'odd' in options: raise KeyError('no')", methods={"a": {}, "b": {}, "odd": {"odd": 1}})
    run_study(load_study(path), path, tmp_path / "out")
    text = command("summarise", path, "-o", tmp_path / "out")
    assert "odd gave no estimate in 4 of 4 cells; pairs are those of the other methods there" in text
    pairs = pd.read_csv(tmp_path / "out" / "performance_on_pairs.csv")
    bias = pairs[(pairs["measure"] == "bias")].groupby("method")["n"].max()
    assert bias.to_dict() == {"a": 4, "b": 4, "odd": 0}


def test_an_interval_has_two_ends_or_none(tmp_path: Path) -> None:
    """One that is infinite is an end; one that is missing makes the fit an error, not a missing interval."""
    body = "found = Outcome({'centre': (value, 0.5, -math.inf if data[0] < 0 else None, value, None)})"
    path = written(tmp_path, body)
    command("run", path, "-o", tmp_path / "out", "--workers", 0)
    own = records(tmp_path / "out")["odd"]
    assert {record["status"] for record in own} == {"ok", "error"}
    (message,) = {record["message"].split(":")[0] for record in own if record["status"] == "error"}
    assert message == "the interval of 'centre' has one end only"


def test_a_study_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load_study(path).title == "Odd functions"


def test_an_import_that_kills_the_process_shows_where(tmp_path: Path) -> None:
    path = written(tmp_path, tail="import ctypes\nctypes.string_at(0)")
    found = subprocess.run(
        [sys.executable, "-m", "experiments", "check", str(path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode != 0 and "own.py" in found.stderr and "in <module>" in found.stderr


def test_methods_that_do_not_come_again_are_told(tmp_path: Path) -> None:
    """What draws from no seed, and what keeps a state from process to process; what only rounds is none."""
    body = (
        "kind, low = options.get('odd'), value - 1.0\n"
        "value = {1: value + os.urandom(4)[0] / 255 + os.getpid(), 2: value + 1e-14 * os.getpid()}.get(kind, value)\n"
        "found = Outcome({'centre': (value, 0.5, low, low + 2.0, math.nan)})"
    )
    methods = {"plain": {}, "random": {"odd": 1}, "rounds": {"odd": 2}}
    said = command("check", written(tmp_path, body, design={"factors": {"size": [4]}}, methods=methods))
    assert "random, replicate 0: two processes got different numbers of 'centre'" in said
    assert said.count("different numbers") == 1
