"""`fit_by`: many levels, none of which can stop the others, and nothing that is done gets lost."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from effort import PATIENCE
from handmade import handmade_model
from selecting import few
from stubfit import stub_fit, stub_table

from saem.batch import Interrupted, fit_by, work
from saem.batch.levels import split
from saem.errors import DataError, SaemError, SaemWarning, StorageError

MODEL = handmade_model()
ESTIMATES = ["site", "method", "parameter", "estimate", "se", "mcse", "lower", "upper"]
FITS = ["site", "method", "status", "loglik", "n_rows", "n_clusters", "seconds", "message"]


def run(table, by="site", methods=("saem", "ml"), **options):
    options.setdefault("workers", 1)
    return fit_by(MODEL, table, by, methods, fit=stub_fit, **options)


def assert_same(first, second):
    pd.testing.assert_frame_equal(first.estimates, second.estimates, check_exact=True)
    pd.testing.assert_frame_equal(first.fits.drop(columns="seconds"), second.fits.drop(columns="seconds"))


# Levels


def test_levels_come_in_order_of_first_appearance_with_all_their_rows():
    table = pd.DataFrame({"g": ["b", "a", "b", "c", "a"], "y": range(5)}, index=[10, 11, 12, 13, 14])
    levels = split(table, ["g"])
    assert list(levels.keys["g"]) == ["b", "a", "c"]
    assert [list(levels.table(i).index) for i in range(3)] == [[10, 12], [11, 14], [13]]


@pytest.mark.parametrize("seed", range(5))
def test_levels_of_several_columns_are_those_of_a_groupby(seed):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "g": pd.Series(rng.choice(["x", "y", None], 60), dtype="str"),
            "h": rng.choice([1.5, 2.0, np.nan], 60),
            "k": rng.integers(0, 3, 60),
        }
    )
    levels = split(table, ["g", "h", "k"])
    groups = table.groupby(["g", "h", "k"], sort=False)
    assert [tuple(key) for key in levels.keys.itertuples(index=False)] == [key for key, _ in groups]
    for i, (_, rows) in enumerate(groups):
        pd.testing.assert_frame_equal(levels.table(i), rows)
    assert levels.n_dropped == len(table) - sum(len(rows) for _, rows in groups)


def test_the_rows_of_a_level_travel_alone_and_keep_what_names_them():
    table = stub_table(500)
    table.attrs["source"] = "file"
    part = pickle.loads(pickle.dumps(split(table, ["site"]).table(7)))
    assert len(pickle.dumps(part)) < 5000
    assert part.attrs == {"source": "file"} and list(part.index) == [107, 607, 1107, 1607]


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ([], "at least one column"),
        (["sites"], "did you mean 'site'"),
        (["site", "site"], "twice"),
        (["status"], "name of a column of the results"),
    ],
)
def test_by_columns_that_cannot_be_used(by, message):
    with pytest.raises(DataError, match=message):
        split(stub_table().assign(status=1), by)


def test_rows_without_a_level_are_left_out_and_counted():
    table = stub_table(4)
    table.loc[table["site"] == "s2", "site"] = None
    with pytest.warns(SaemWarning, match="4 rows have no value in site"):
        batch = run(table, methods="ml")
    assert list(batch.fits["site"]) == ["s0", "s1", "s3"]
    with pytest.raises(DataError, match="no row has a value"):
        run(table.assign(site=None))


# Tables


def test_tables_have_the_promised_columns_and_order():
    batch = run(stub_table(3))
    assert list(batch.estimates.columns) == ESTIMATES and list(batch.fits.columns) == FITS
    assert list(zip(batch.fits["site"], batch.fits["method"], strict=True)) == [
        (site, method) for site in ("s0", "s1", "s2") for method in ("saem", "ml")
    ]
    assert len(batch.estimates) == 3 * 2 * 7


def test_a_level_gets_what_it_would_get_alone():
    table = stub_table(5)
    batch = run(table, methods="ml")
    alone = stub_fit(MODEL, table[table["site"] == "s3"], "ml").estimates
    found = batch.estimates[batch.estimates["site"] == "s3"].set_index("parameter")[list(alone.columns)]
    pd.testing.assert_frame_equal(found, alone, check_exact=True)


def test_by_columns_keep_their_type():
    table = stub_table(3).assign(number=lambda t: t["site"].str[1:].astype(int))
    batch = run(table, by=["number", "arm"])
    assert batch.fits["number"].dtype == np.int64
    assert list(batch.fits.columns[:2]) == ["number", "arm"]
    assert batch.fits["n_rows"].eq(2).all()


def test_files_hold_the_same_as_the_tables(tmp_path):
    batch = run(stub_table(4, {1: "error"}), output=tmp_path / "new" / "folder")
    folder = tmp_path / "new" / "folder"
    for name, table in zip(("estimates", "fits"), batch, strict=True):
        pd.testing.assert_frame_equal(pd.read_parquet(folder / f"{name}.parquet"), table)
        read = pd.read_csv(folder / f"{name}.csv")
        assert list(read.columns) == list(table.columns)
        numbers = table.select_dtypes("float")
        pd.testing.assert_frame_equal(read[numbers.columns], numbers, check_exact=True)
    assert {path.name for path in folder.iterdir()} == {
        "estimates.csv", "estimates.parquet", "fits.csv", "fits.parquet", "progress.sqlite"
    }  # fmt: skip


# Levels that fail


def test_a_level_that_cannot_be_fitted_is_a_row_that_says_why():
    batch = run(stub_table(4, {1: "error", 2: "bug", 3: "slowly"}), methods="ml")
    fits = batch.fits.set_index("site")
    assert list(fits["status"]) == ["converged", "error", "error", "not_converged"]
    assert fits.loc["s1", "message"].startswith("the response is constant")
    assert fits.loc["s2", "message"] == "unexpected ZeroDivisionError: division by zero"
    assert fits.loc["s3", "message"] == "more iterations are needed"
    assert (
        np.isnan(fits.loc["s1", "loglik"]) and fits.loc["s1", "n_rows"] == 4 and pd.isna(fits.loc["s1", "n_clusters"])
    )
    assert set(batch.estimates["site"]) == {"s0", "s3"}


def test_all_levels_may_fail():
    batch = run(stub_table(2, {0: "error", 1: "error"}), methods="ml")
    assert len(batch.estimates) == 0 and list(batch.estimates.columns) == ESTIMATES
    assert batch.estimates["estimate"].dtype == np.float64


@pytest.mark.parametrize("crashes", few([[2], [2, 7]], [[2]]), ids=len)
def test_a_killed_worker_costs_only_the_level_that_killed_it(tmp_path, crashes):
    names = [f"s{number}" for number in crashes]
    table = stub_table(10, dict.fromkeys(crashes, "crash"))
    batch = run(table, methods="ml", workers=2, output=tmp_path)
    crashed = batch.fits[batch.fits["status"] == "crashed"]
    assert sorted(crashed["site"]) == names
    assert crashed["message"].str.contains("was killed").all()
    good = stub_table(10)
    assert_same(run(good[~good["site"].isin(names)], methods="ml"), type(batch)(*(
        part[~part["site"].isin(names)].reset_index(drop=True) for part in batch
    )))  # fmt: skip
    calls = []
    well = {"methods": "ml", "workers": 2, "output": tmp_path}
    again = run(table, **well, progress=lambda done, total: calls.append(done))
    assert calls == list(range(10 - len(crashes), 11)), "what crashed is tried again, and nothing else"
    assert_same(batch, again)


@pytest.mark.slow
def test_no_level_is_blamed_for_a_worker_that_is_killed_from_outside(tmp_path):
    table = stub_table(12, {4: f"crash unless {tmp_path / 'flag'}"})
    batch = run(table, workers=2)
    assert (tmp_path / "flag").exists() and set(batch.fits["status"]) == {"converged"}


def test_only_what_may_not_happen_again_is_tried_again(tmp_path):
    """As after a crash, which `test_a_killed_worker_costs_only_the_level_that_killed_it` has."""
    table = stub_table(3, {1: "bug", 2: "error"})
    batch = run(table, methods="ml", output=tmp_path)
    assert list(batch.fits["status"]) == ["converged", "error", "error"]
    calls = []
    options = {"methods": "ml", "output": tmp_path}
    again = run(table, **options, progress=lambda done, total: calls.append(done))
    assert calls == [2, 3]
    assert_same(batch, again)


def test_a_package_that_cannot_be_imported_is_no_failure_of_a_level(monkeypatch):
    monkeypatch.setitem(sys.modules, "saem.fitting.fit", None)
    monkeypatch.delattr("saem.fitting.fit", raising=False)
    with pytest.raises(ImportError):
        fit_by(MODEL, stub_table(2), "site", "ml", workers=1)


# The same results, whatever the circumstances


def test_results_are_the_same_for_one_and_two_workers():
    table = stub_table(40, {7: "error", 9: "slowly"})
    assert_same(run(table, workers=1), run(table, workers=2))


def test_seeds_belong_to_the_level_and_not_to_its_place():
    table = stub_table(6)
    everything = run(table, methods="saem").estimates
    some = run(table[table["site"].isin(["s4", "s2"])].iloc[::-1], methods=("ml", "saem")).estimates
    for site in ("s2", "s4"):
        a = everything[everything["site"] == site].set_index("parameter")["estimate"]
        b = some[(some["site"] == site) & (some["method"] == "saem")].set_index("parameter")["estimate"]
        pd.testing.assert_series_equal(a.drop("mu"), b.drop("mu"), check_exact=True)
    values = everything[everything["parameter"] == "c2"]["estimate"]
    assert values.nunique() == 6, "every level has its own stream"
    assert not values.equals(run(table, methods="saem", seed=1).estimates.query("parameter == 'c2'")["estimate"])


def test_where_selects_rows_first():
    table = stub_table(4)
    batch = run(table, where="arm == 'a'", methods="ml")
    assert batch.fits["n_rows"].eq(2).all()
    assert_same(batch, run(table[table["arm"] == "a"], methods="ml"))


# Going on after an interruption


class Stop(KeyboardInterrupt):
    pass


def stop_after(n):
    def progress(done, total):
        if done == n:
            raise Stop

    return progress


@pytest.mark.parametrize("workers", few([1, 2], [1]))
def test_what_is_done_is_kept_and_the_same_call_goes_on(tmp_path, workers):
    table = stub_table(20, {3: "error"})
    with pytest.raises(Interrupted) as caught:
        run(table, output=tmp_path, workers=workers, progress=stop_after(5))
    assert (caught.value.done, caught.value.total, caught.value.folder) == (5, 20, tmp_path)
    kept = pd.read_csv(tmp_path / "fits.csv")
    assert kept["site"].nunique() == 5
    calls = []
    batch = run(table, output=tmp_path, workers=workers, progress=lambda done, total: calls.append((done, total)))
    assert calls[0] == (5, 20) and calls[-1] == (20, 20) and len(calls) == 16
    assert_same(batch, run(table))
    again = run(table, output=tmp_path, progress=lambda done, total: calls.append("again"))
    assert calls.count("again") == 1, "nothing is fitted twice"
    pd.testing.assert_frame_equal(batch.fits, again.fits)


def test_an_interruption_without_a_folder_keeps_nothing():
    with pytest.raises(Interrupted) as caught:
        run(stub_table(5), progress=stop_after(2))
    assert caught.value.folder is None and caught.value.done == 2


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"seed": 1}, "'--seed' is not the same"),
        ({"methods": ("ml",)}, "'--method' is"),
        ({"by": ["site", "arm"]}, "'--by'"),
        ({"where": "arm == 'a'"}, "'the table', '--where' are"),
        ({"drop_missing": True}, "'--drop-missing' is"),
        ({"table": stub_table(4).assign(y=1.0)}, "'the table' is"),
        ({"table": stub_table(4).rename(columns={"arm": "leg"})}, "'the table' is"),
    ],
)
def test_a_folder_of_another_run_is_refused_unless_restarted(tmp_path, changes, what):
    before = run(stub_table(4), output=tmp_path)
    arguments = {"table": stub_table(4), "by": "site", "methods": ("saem", "ml"), "output": tmp_path} | changes
    with pytest.raises(StorageError, match=f"{what}.*--restart"):
        run(**arguments)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "fits.parquet"), before.fits)
    fresh = run(**arguments, restart=True)
    assert_same(fresh, run(**{key: value for key, value in arguments.items() if key != "output"}))


def test_another_model_is_another_run(tmp_path):
    run(stub_table(2), output=tmp_path)
    with pytest.raises(StorageError, match="'the model' is not the same"):
        fit_by(MODEL.replace(constraints={}), stub_table(2), "site", ("saem", "ml"), output=tmp_path, fit=stub_fit)


def test_two_runs_cannot_write_to_one_folder(tmp_path):
    def second(done, total):
        with pytest.raises(StorageError, match="another run is writing"):
            run(stub_table(3), output=tmp_path)

    run(stub_table(3), output=tmp_path, progress=second)


def test_a_restart_waits_for_the_lock_before_it_discards(tmp_path):
    """Nothing of a run that is under way is lost to another that is to begin anew."""

    def second(done, total):
        if done == 2:
            with pytest.raises(StorageError, match="another run is writing"):
                run(stub_table(3), output=tmp_path, restart=True, seed=5)

    first = run(stub_table(3), output=tmp_path, progress=second)
    assert_same(first, run(stub_table(3)))
    assert_same(run(stub_table(3), output=tmp_path), first)


def test_a_record_that_was_changed(tmp_path):
    run(stub_table(2), output=tmp_path)
    with closing(sqlite3.connect(tmp_path / "progress.sqlite")) as db:
        db.execute("UPDATE records SET payload = '[1]' WHERE level = 0")
        db.commit()
    with pytest.raises(StorageError, match="holds what is no record"):
        run(stub_table(2), output=tmp_path)


def test_a_file_that_is_no_record_of_a_run(tmp_path):
    (tmp_path / "progress.sqlite").write_bytes(b"something else entirely" * 100)
    with pytest.raises(StorageError, match=r"not a record of a run.*--restart"):
        run(stub_table(2), output=tmp_path)
    assert len(run(stub_table(2), output=tmp_path, restart=True).fits) == 4


@pytest.mark.parametrize(("changes", "message"), [
    ({"workers": 0}, "workers must be 1 or more"),
    ({"seed": -1}, "seed must be a whole number"),
    ({"seed": 0.5}, "seed must be a whole number"),
    ({"methods": ()}, "methods must be"),
    ({"methods": ("ml", "ml")}, "methods must be"),
])  # fmt: skip
def test_arguments_that_make_no_sense(changes, message):
    with pytest.raises(SaemError, match=message):
        run(stub_table(2), **changes)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """The folder of a run that is done."""
    folder = tmp_path_factory.mktemp("stored")
    run(stub_table(3), methods=("saem", "ml"), output=folder)
    return folder


def change(db, **changes):
    """Change values of all records."""
    for level, method, payload in db.execute("SELECT level, method, payload FROM records").fetchall():
        text = json.dumps(json.loads(payload) | changes)
        db.execute("UPDATE records SET payload = ? WHERE level = ? AND method = ?", (text, level, method))


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        ({"n_rows": 10**30}, "holds what is no record"),
        ({"n_rows": 1.5}, "holds what is no record"),
        ({"n_rows": -1}, "holds what is no record"),
        ({"n_clusters": True}, "holds what is no record"),
        ({"status": "splendid"}, "holds what is no record"),
        ({"again": 0}, "holds what is no record"),
        ({"message": "\ud800"}, "holds what is no record"),
        ({"parameters": ["\ud800"] * 7}, "holds what is no record"),
        ({"numbers": [[10**400] * 5] * 7}, "holds what is no record"),
        (["UPDATE records SET method = 7 WHERE level = 0 AND method = 1"], "it lacks records, or has too many"),
        (["DELETE FROM records WHERE level = 0 AND method = 1"], "it lacks records, or has too many"),
        (
            ["INSERT INTO records SELECT level, 2, 0, payload FROM records WHERE method = 0 AND level = 1"],
            "has too many",
        ),
        (["DROP TABLE records", "CREATE TABLE records (a)"], "not a record of a run .it has other tables"),
        (["DROP TABLE records", "CREATE VIEW records AS SELECT 1 AS level"], "it has other tables"),
        (["CREATE TRIGGER t AFTER INSERT ON records BEGIN DELETE FROM records; END"], "it has other tables"),
    ],
)
def test_records_that_no_run_has(stored, tmp_path, statements, message):
    folder = shutil.copytree(stored, tmp_path / "run")
    with closing(sqlite3.connect(folder / "progress.sqlite", isolation_level=None)) as db:
        if isinstance(statements, dict):
            change(db, **statements)
        else:
            for statement in statements:
                db.execute(statement)
    with pytest.raises(StorageError, match=message):
        run(stub_table(3), methods=("saem", "ml"), output=folder)
    assert len(run(stub_table(3), methods=("saem", "ml"), output=folder, restart=True).fits) == 6


@pytest.mark.parametrize("name", ["progress.sqlite", "progress.sqlite-wal", "progress.sqlite-journal"])
@pytest.mark.parametrize("restart", [False, True])
def test_a_link_is_not_written_through(tmp_path, name, restart):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="is a link, or no file; remove it"):
        run(stub_table(2), output=tmp_path / "out", restart=restart)
    assert not (tmp_path / "elsewhere").exists()


def test_what_ends_the_run_does_not_end_a_worker(monkeypatch):
    """A worker that a closed terminal or a batch system ended would be taken for one that crashed."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    monkeypatch.setattr(work.threading, "Thread", lambda **options: SimpleNamespace(start=lambda: None))
    try:
        work.serve(os.getpid())
        for number in numbers:
            os.kill(os.getpid(), number)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# Real processes

DRIVER = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background is born deaf to Ctrl-C
sys.path.insert(0, {tests!r})
from handmade import handmade_model
from stubfit import stub_fit, stub_table
from saem.batch import Interrupted, fit_by, work

table = stub_table({levels}, {{i: "slow" for i in range({levels})}})
try:
    batch = fit_by(handmade_model(), table, "site", "ml", output={output!r}, workers={workers}, fit=stub_fit)
except Interrupted as interrupt:
    print("kept", interrupt.done)
    raise SystemExit(130)
print("finished", len(batch.fits))
"""


def start(tmp_path, workers, levels=200):
    tests = str(Path(__file__).parents[1])
    code = DRIVER.format(tests=tests, output=str(tmp_path / "out"), workers=workers, levels=levels)
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def wait_for_records(folder, n):
    """Wait until the write-ahead log holds something: the file itself is locked by the driver."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        log = folder / "progress.sqlite-wal"
        if log.exists() and log.stat().st_size > n * 4000:
            return
        time.sleep(0.02)
    pytest.fail("the driver wrote nothing")


@pytest.mark.parametrize("workers", few([1, 2], [2]))
def test_ctrl_c_in_a_terminal_keeps_what_is_done_quietly(tmp_path, workers):
    process = start(tmp_path, workers, levels=4000)  # minutes of work: it is not done before the signal comes
    wait_for_records(tmp_path / "out", 10)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the driver and to all its workers
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, (out, err)
    assert err == "", "no worker prints a traceback"
    kept = int(out.split()[1])
    fits = pd.read_csv(tmp_path / "out" / "fits.csv")
    assert 0 < kept < 4000 and len(fits) == kept and (fits["status"] == "converged").all()


def test_a_driver_that_is_killed_loses_nothing_that_is_done(tmp_path):
    process = start(tmp_path, 2)
    wait_for_records(tmp_path / "out", 10)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=PATIENCE)
    with closing(sqlite3.connect(tmp_path / "out" / "progress.sqlite")) as db:
        rows = list(db.execute("SELECT level, payload FROM records"))
    assert len(rows) >= 8 and all(json.loads(payload)["status"] == "converged" for _, payload in rows)
    process = start(tmp_path, 1)
    out, err = process.communicate(timeout=PATIENCE)
    assert out.split() == ["finished", "200"], err
