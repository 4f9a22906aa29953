"""What is told while functions are compiled, and what is compiled ahead."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from commandline import invoke, replace

import saem
from saem.errors import ModelError
from saem.fitting import warmup
from saem.system import compiling
from saem.system.cache import COMPILING_SAID

SLOW_FUNCTION = """
import sys, numba
import saem.system.compiling as compiling
compiling.PATIENCE = float(sys.argv[1])
from module import f
if sys.argv[2] == "saem.module":
    compiling.is_ours = lambda event: True
f(1.0)
print(compiling.LISTENER.functions)
"""


OURS = SimpleNamespace(data={"dispatcher": SimpleNamespace(py_func=warmup.warmup)})


@pytest.fixture
def listener(monkeypatch):
    """A listener with a clock that is set by hand."""
    monkeypatch.setenv(COMPILING_SAID, "")
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(compiling, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    made = compiling.Listener()
    made.clock = clock
    return made


def compiled(listener, seconds, within=0):
    """A function is compiled for some time, and others for its sake."""
    listener.on_start(OURS)
    for _ in range(within):
        listener.on_start(OURS)
        listener.clock.now += seconds / within
        listener.on_end(OURS)
    if not within:
        listener.clock.now += seconds
    listener.on_end(OURS)


def test_what_is_quick_is_not_told(listener, caplog):
    for _ in range(9):
        compiled(listener, 0.1)
        listener.clock.now += 50.0  # of other work
    assert caplog.records == [] and listener.functions == 9 and listener.seconds == pytest.approx(0.9)


@pytest.mark.parametrize("within", [0, 4])
def test_what_takes_long_is_told_once(listener, caplog, within):
    for _ in range(3):
        compiled(listener, 1.5, within)
    (record,) = caplog.records
    assert record.name == "saem" and record.levelno == logging.WARNING and "saem warmup" in record.message
    assert listener.functions == 3 * (1 + within) and listener.seconds == pytest.approx(4.5)
    assert os.environ[COMPILING_SAID] == "1"  # so that processes that are started now are silent


def test_a_process_that_is_not_to_say_it_says_nothing(listener, caplog, monkeypatch):
    monkeypatch.setenv(COMPILING_SAID, "1")
    compiled(listener, 9.0)
    assert caplog.records == []


def test_numba_tells_of_what_is_compiled_and_not_of_what_is_kept(tmp_path):
    (tmp_path / "module.py").write_text("import numba\n@numba.njit(cache=True)\ndef f(x):\n    return x + 1.0\n")
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": f"{tmp_path}{os.pathsep}."}
    root = os.path.dirname(os.path.dirname(saem.__file__))
    told = []
    for patience, said, owner in (
        ("-1", "", "saem.module"),
        ("-1", "", "saem.module"),
        ("-1", "1", "saem.module"),
        ("1e9", "", "saem.module"),
        ("-1", "", "module"),  # somebody else's
    ):
        if said or patience != "-1":
            (tmp_path / "module.py").write_text(f"import numba\n@numba.njit\ndef f(x):\n    return x + {len(told)}.5\n")
        run = subprocess.run(
            [sys.executable, "-c", SLOW_FUNCTION, patience, owner],
            env=environment | {COMPILING_SAID: said},
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
        told.append((int(run.stdout), run.stderr.strip()))
    assert told == [(1, compiling.WORDS), (0, ""), (1, ""), (1, ""), (0, "")]


# Ahead


@pytest.fixture
def fitted(monkeypatch):
    """The fits that are asked for, none of which is made; each would compile two functions."""
    calls = []

    def fit(model, table, method):
        if method == "reml" and model.constraints:
            raise ModelError("no constraint")
        calls.append((model.family, method, len(table)))
        compiling.LISTENER.functions += 2

    replace(monkeypatch, "fitting.fit", fit=fit)
    monkeypatch.setattr(warmup, "_marker", lambda: None)
    monkeypatch.setattr(compiling.LISTENER, "functions", 5)
    monkeypatch.setenv(COMPILING_SAID, "")
    return calls


def test_all_families_are_compiled_for_by_default(fitted):
    lines = []
    assert saem.warmup(progress=lines.append) == 16 and os.environ[COMPILING_SAID] == ""
    assert {call[:2] for call in fitted} == {
        (family, method) for family in ("linear", "glmm", "nonlinear") for method in ("saem", "ml")
    }
    assert lines[0] == "linear models by saem" and len(lines) == 8


def test_what_no_example_admits_is_refused(fitted, monkeypatch):
    assert saem.warmup(["linear"], ["reml"]) == 2  # of the example without a constraint
    monkeypatch.setitem(warmup.EXAMPLES, "linear", ("peptide",))
    with pytest.raises(ModelError, match="no constraint"):
        saem.warmup(["linear"], ["reml"])
    with pytest.raises(ModelError, match="nothing to compile for the family 'cubic'; there are 'linear', 'glmm'"):
        saem.warmup(["cubic"])
    with pytest.raises(ModelError, match="mlx"):
        saem.warmup(["linear"], ["mlx"])


def test_the_command(fitted):
    shown = invoke("warmup", "--family", "glmm", "--family", "nonlinear", "--method", "both", "--method", "ml")
    assert shown.stdout == "8 functions compiled\n"
    assert shown.stderr.splitlines() == [
        f"{family} models by {method} .." for method in ("saem", "ml") for family in ("glmm", "nonlinear")
    ]
    invoke("warmup", "--family", "cubic", code=2)


def test_the_command_says_where_all_is_there(fitted, monkeypatch):
    replace(monkeypatch, "fitting.warmup", warmup=lambda *_, **__: 0)
    assert invoke("warmup").stdout == "all was compiled already\n"


def test_the_kernels_of_the_command_fit_are_there_then(fitted, monkeypatch, tmp_path):
    """`ensure` does not start a process to compile what is compiled."""
    monkeypatch.setattr(warmup, "_marker", lambda: tmp_path / "compiled")
    saem.warmup(["glmm"])
    saem.warmup(["linear"], ["ml"])
    assert not (tmp_path / "compiled").exists()
    saem.warmup(["linear"])
    monkeypatch.setattr(subprocess, "Popen", None)
    warmup.ensure(["saem"], "linear")


WHOLE = """
import saem
from saem import datasets, recipes
from saem.system.compiling import LISTENER
print(saem.warmup() > 100)
before = LISTENER.functions
for name in recipes.names():
    model = saem.Model.from_text(recipes.text(name))
    for method in ("saem", "ml"):
        saem.fit(model, datasets.load(recipes.DATA[name]), method)
print(LISTENER.functions - before)
"""


@pytest.mark.slow
def test_nothing_is_left_to_compile_for_any_recipe(tmp_path):
    environment = os.environ | {"SAEM_CACHE_DIR": str(tmp_path), COMPILING_SAID: ""}
    environment.pop("NUMBA_CACHE_DIR", None)
    root = os.path.dirname(os.path.dirname(saem.__file__))
    run = subprocess.run([sys.executable, "-c", WHOLE], env=environment, cwd=root, capture_output=True, text=True)
    assert (run.stdout.split(), run.stderr) == (["True", "0"], "")
