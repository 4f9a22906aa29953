"""`truth`, `performance` and the import of a study's file: whatever they do, it is told, within their limits."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from own_study import command, records, written
from selecting import few

from experiments.harness.running import run_study
from experiments.harness.study import load_study
from saem.errors import ModelError, SaemWarning

ONE = {"factors": {"size": [4]}}
LIMITS = {"replicates": 2, "timeout": 60.0}
PERFORMANCE = "def performance(rows):\n    "


PLACES = ("head", "truth", "tail")
WAYS = ("os._exit(0)", "sys.exit(0)", "time.sleep(600)")


@pytest.mark.parametrize(("where", "way"), few(product(PLACES, WAYS), list(zip(PLACES, WAYS, strict=True))))
def test_no_end_is_silent(tmp_path: Path, where: str, way: str) -> None:
    """Before the first run (import, `truth`) and after it (`performance`): the exit code is that of bad input."""
    path = written(tmp_path, design=ONE, run=LIMITS)
    run_study(load_study(path), path, tmp_path / "out")
    body = PERFORMANCE + way if where == "tail" else way
    limits = LIMITS | ({"patience": 10.0} if "sleep" in way else {})  # an import takes time on a busy machine
    path = written(tmp_path, design=ONE, run=limits, **{where: body})
    said = command("summarise", path, "-o", tmp_path / "out", code=2)
    ends = {"os._exit(0)": "(exit code 0)", "sys.exit(0)": "SystemExit: 0", "time.sleep(600)": "did not end within"}
    assert ends[way] in said and "own.py" in said
    assert {"head": "import", "truth": "truth", "tail": "performance"}[where] in said
    if way == "time.sleep(600)":
        assert "did not end within 10 s; make it faster, or raise run.patience" in said and ", line " in said


def test_truth_that_ends_all_is_called_in_one_cell(tmp_path: Path) -> None:
    """Ten cells with a `truth` that hangs cost the limit once."""
    log = tmp_path / "log"
    truth = f"open({str(log)!r}, 'a').write('x')\nos._exit(3)"
    path = written(tmp_path, truth=truth, design={"factors": {"size": list(range(4, 14))}})
    with pytest.raises(ModelError, match=r"truth \(in size=4\) ended its process \(exit code 3\)"):
        load_study(path)
    assert log.read_text() == "x"


def test_truth_that_wants_all_memory(tmp_path: Path) -> None:
    truth = "np.ones((2000, 2**20))\nreturn {'centre': 0.0}"
    path = written(tmp_path, truth=truth, design=ONE, run={"replicates": 2, "memory": 600.0})
    with pytest.raises(ModelError, match=r"MemoryError.*run\.memory = 600 MiB; raise it"):
        load_study(path)


@pytest.mark.parametrize(
    "value", ["np.complex128(1)", "10**400", "math.inf", "'1'", "True", "None", "np.array(1.0)", "print"]
)
def test_what_is_no_true_value(tmp_path: Path, value: str) -> None:
    path = written(tmp_path, truth=f"return {{'centre': {value}}}", design=ONE)
    with pytest.raises(ModelError, match=r"estimands\.centre: truth gives .*must give a number"):
        load_study(path)


def test_what_is_printed_and_warned(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Output goes nowhere, warnings of `truth` are passed on."""
    truth = "os.write(1, b'raw')\nprint('blah')\nwarnings.warn('only roughly')\nreturn {'centre': np.float32(2.0)}"
    path = written(tmp_path, truth=truth, design=ONE)
    with pytest.warns(SaemWarning, match=r"truth \(in size=4\) of own.py: UserWarning: only roughly"):
        load_study(path)
    assert capfd.readouterr() == ("", "")


def test_rows_and_measures_come_and_go_whole(tmp_path: Path) -> None:
    """What `performance` sees is what there is, and what it does to it is seen by nobody."""
    tail = (
        "def performance(rows):\n    total = rows['estimate'].sum()\n    rows.loc[:, 'estimate'] = 1e6\n"
        "    found = rows[['cell', 'method', 'estimand']].drop_duplicates()\n"
        "    return found.assign(measure='total', value=total, mcse=math.nan, n=len(rows))"
    )
    path = written(tmp_path, design=ONE, tail=tail, run=LIMITS)
    study = load_study(path)
    run_study(study, path, tmp_path / "out")
    from experiments.harness.results import Results

    results = Results.read(study, path, tmp_path / "out")
    own = results.complete[results.complete["measure"] == "total"]
    assert set(own["value"]) == {results.rows["estimate"].sum()} and set(own["n"]) == {4}
    assert results.rows["estimate"].abs().max() < 10.0


def test_one_process_alone(tmp_path: Path) -> None:
    """Without workers, and in a replay, `os._exit` is an error; what is forked may end so."""
    body = "if os.fork() == 0: os._exit(0)\nos.wait()\nif 'odd' in options: os._exit(0)"
    path = written(tmp_path, body, design=ONE, run=LIMITS)
    run_study(load_study(path), path, tmp_path / "out")
    own = records(tmp_path / "out")
    assert [record["status"] for record in own["plain"]] == ["ok"] * 2
    assert ["os._exit(0)" in record["message"] for record in own["odd"]] == [True] * 2
    assert "os._exit(0), which ends the process" in command("replay", path, "size=4", 0, "odd", code=1)
    path = written(tmp_path, "if 'odd' in options: sys.exit(0)", design=ONE, run=LIMITS)
    assert "SystemExit" in command("replay", path, "size=4", 0, "odd", code=1)


def test_memory_that_others_took_from_the_watch(tmp_path: Path) -> None:
    """Where not even the thread can be started that watches a function, another process is asked."""
    full, greedy, modest = (tmp_path / name for name in ("full", "greedy", "modest"))
    greedy.mkdir()
    modest.mkdir()
    head = (
        "import faulthandler\nTRUE = faulthandler.dump_traceback_later\n"
        "def start(*arguments, **named):\n"
        f"    if os.path.exists({str(full)!r}): raise RuntimeError('unable to start watchdog thread')\n"
        "    TRUE(*arguments, **named)\n"
        "faulthandler.dump_traceback_later = start"
    )
    load_study(written(greedy, head=head, design=ONE))
    full.touch()
    load_study(written(modest, design=ONE))


def test_memory_that_others_took(tmp_path: Path) -> None:
    """What was asked before, and is still in the memory of the process, does not make the next question fail."""
    greedy, modest = tmp_path / "greedy", tmp_path / "modest"
    greedy.mkdir()
    modest.mkdir()
    load_study(written(greedy, head="HELD = np.ones((450, 2**17))", design=ONE))
    truth = "np.ones((300, 2**17))\nreturn {'centre': 0.0}"
    load_study(written(modest, truth=truth, design=ONE, run={"replicates": 2, "memory": 600.0}))
