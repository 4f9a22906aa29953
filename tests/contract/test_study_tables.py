"""Tables of a study: the user's own measures cannot spoil them; truth is asked once; factors are columns; memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from own_study import command, written

from experiments.harness.performance import performance
from experiments.harness.results import Results
from experiments.harness.running import identity_of, job_of, run_study
from experiments.harness.store import Store
from experiments.harness.study import load_study, truths
from experiments.harness.study.records import failure
from experiments.harness.study.tasks import Result, Task

# What the user's own code does to tables


def test_performance_gets_rows_of_its_own(tmp_path: Path) -> None:
    """What it does to them shows in no other table."""
    tail = (
        "def performance(rows):\n"
        "    rows['estimate'] = 99.0\n    rows.loc[:, 'se'] = -1.0\n"
        "    groups = rows.groupby(['cell', 'method', 'estimand'], observed=True)['estimate']\n"
        "    return groups.mean().rename('value').reset_index().assign(measure='own', mcse=0.0, n=1)\n"
    )
    path = written(tmp_path, tail=tail)
    run_study(load_study(path), path, tmp_path / "out")
    results = Results.read(load_study(path), path, tmp_path / "out")
    assert set(results.complete.loc[results.complete["measure"] == "own", "value"]) == {99.0}
    plain = performance(results.paired_rows).set_index(["cell", "method", "estimand", "measure"])["value"]
    both = results.complete.set_index(["cell", "method", "estimand", "measure"])["value"].reindex(plain.index)
    pd.testing.assert_series_equal(both, plain)
    assert (results.rows["status"] == "ok").all()


@pytest.mark.parametrize(
    ("body", "words"),
    [("return rows['nothing']", "KeyError: 'nothing'"), ("return 5", "must return a table"), ("1 / 0", "ZeroDivision")],
)
def test_performance_that_fails(tmp_path: Path, body: str, words: str) -> None:
    """The traceback is the user's, not ours."""
    path = written(tmp_path, tail=f"def performance(rows):\n    {body}\n")
    run_study(load_study(path), path, tmp_path / "out")
    text = command("summarise", path, "-o", tmp_path / "out", code=2)
    assert words in text and "experiments/" not in text
    assert body.startswith("return 5") or "line 19, in performance" in text


def test_errors_in_the_users_file_show_where(tmp_path: Path) -> None:
    path = written(tmp_path, "raise RuntimeError('lost')")
    text = command("replay", path, "size=4, kind=b", 0, "odd", code=1)
    assert "line 16, in estimate" in text and "RuntimeError: lost" in text and "experiments/" not in text
    path = written(tmp_path, head="1 / 0")
    text = command("check", path, code=2)
    assert "cannot be imported: ZeroDivisionError" in text and "own.py" in text and "experiments/" not in text
    path = written(tmp_path, truth="return [][1]")
    assert "truth: IndexError" in command("check", path, code=2)


# True values, factors


@pytest.mark.usefixtures("no_pictures")
def test_truth_is_asked_once_for_a_cell(tmp_path: Path) -> None:
    """In all the commands together, of several processes: the store keeps it. A changed one is asked again."""
    log = tmp_path / "log"
    path = written(tmp_path, truth=f"open({str(log)!r}, 'a').write(cell.name + chr(10))\nreturn {{'centre': 0.0}}")
    out = ("-o", tmp_path / "out")
    command("run", path, *out, "--workers", 0)
    for name in ("run", "summarise", "status", "report"):
        truths.asked.clear()  # as a new process
        command(name, path, *out)
    assert sorted(log.read_text().splitlines()) == sorted(cell.name for cell in load_study(path).design.all())
    path = written(tmp_path, truth=f"open({str(log)!r}, 'a').write(cell.name + chr(10))\nreturn {{'centre': 1.0}}")
    assert "(the function truth)" in command("summarise", path, *out)
    assert len(log.read_text().splitlines()) == 8


def test_factors_are_columns_in_the_order_of_the_design(tmp_path: Path) -> None:
    """Of every table; rows are in the order of the design, not of the alphabet; names that are taken are told apart."""
    factors = {"size": [6, 4], "kind": ["b", "a"], "n": [1]}
    path = written(tmp_path, reference="plain", design={"factors": factors})
    run_study(load_study(path), path, tmp_path / "out")
    text = command("summarise", path, "-o", tmp_path / "out")
    assert "bias size kind n method centre" in text and "6 b 1 plain" in text
    for name in ("performance", "performance_on_pairs", "paired"):
        table = pd.read_csv(tmp_path / "out" / f"{name}.csv")
        assert list(table.columns[:4]) == ["cell", "size", "kind", "factor_n"]
        places = list(dict.fromkeys(zip(table["size"], table["kind"], strict=True)))
        assert places == [(6, "b"), (6, "a"), (4, "b"), (4, "a")]
    rows = pd.read_parquet(tmp_path / "out" / "rows.parquet")
    assert (rows["cell"] == [f"size={s}, kind={k}, n=1" for s, k in zip(rows["size"], rows["kind"], strict=True)]).all()


def test_levels_are_printed_as_they_are_written(tmp_path: Path) -> None:
    """A whole number beside one with a point stays whole."""
    path = written(tmp_path, design={"factors": {"size": [4], "share": [0.5]}})
    run_study(load_study(path), path, tmp_path / "out")
    assert "4 0.5 plain" in command("summarise", path, "-o", tmp_path / "out")


@pytest.mark.usefixtures("no_pictures")
def test_the_report_tells_the_precision(tmp_path: Path) -> None:
    """Each target beside the largest error, and by how much it is missed."""
    path = written(tmp_path, run={"replicates": 40, "minimum": 20}, precision={"bias": 0.001, "mean_width": 5.0})
    run_study(load_study(path), path, tmp_path / "out")
    command("report", path, "-o", tmp_path / "out")
    text = (tmp_path / "out" / "report.html").read_text()
    results = Results.read(load_study(path), path, tmp_path / "out")
    from experiments.harness.report.content import precision_table

    table = precision_table(results)
    assert table is not None and table.header[:5] == ["size", "kind", "measure", "target", "largest error"]
    found = {(*row[:3],): row for row in table.rows}
    assert len(found) == 8 and found["4", "b", "mean_width"][-1] == "met"
    own = results.complete[(results.complete["cell"] == "size=4, kind=b") & (results.complete["measure"] == "bias")]
    assert found["4", "b", "bias"][4] == f"{own['mcse'].max():.2g}"
    assert found["4", "b", "bias"][-1] == f"missed: {own['mcse'].max() / 0.001:.3g} times the target"
    assert "missed" in text and "Precision" in text


# Size


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is asked of Linux")
def test_a_million_rows_take_less_than_500_mebibytes(tmp_path: Path) -> None:
    """Also where every fifth fit failed, each with a message of its own."""
    path = written(tmp_path, run={"replicates": 125_000}, methods={"a": {}, "b": {}})
    study = load_study(path)
    cells, count = study.design.all(), 0
    with Store(tmp_path / "out", identity_of(job_of(study, path))) as store:
        for first in range(0, 125_000, 1000):
            results = []
            for replicate in range(first, first + 1000):
                for cell in cells:
                    made = []
                    for name in study.methods:
                        count += 1
                        made.append(failure(name, "error", f"RuntimeError: {count} is lost", 0.1))
                        if count % 5:
                            made[-1] |= {"status": "ok", "message": "", "numbers": [[count % 7, 1.0, 0.0, 6.0, 0.1]]}
                    results.append(Result(Task(cell, replicate, tuple(study.methods)), made, 0.0))
            store.add(results)
    assert count == 1_000_000
    code = (  # not `ru_maxrss`, which begins with that of the process that asked
        "from pathlib import Path; from experiments.commands import app\n"
        "try: app()\nexcept SystemExit: pass\n"
        "print('PEAK', Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    command_line = [sys.executable, "-c", code, "summarise", str(path), "-o", str(tmp_path / "out"), "--short"]
    said = subprocess.run(
        command_line, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    ).stdout
    peak = int(said.split("PEAK")[1]) / 2**10
    assert "failure_rate" in said and peak < 500.0
