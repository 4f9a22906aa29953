"""What commands write, where, and when: nothing is lost, and nothing lands elsewhere."""

from __future__ import annotations

import errno
import os
import shutil

import pandas as pd
import pytest
from commandline import invoke, replace
from handmade import storable_fit
from tampering import tamper

import saem
from saem import plotting
from saem.system import files as writing

SAEM = ("fit", "model.toml", "data.csv", "--method", "saem")


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "..", "", "a/b"])
def test_a_saved_fit_does_not_say_where_to_write(files, name):
    storable_fit().save(files / "out" / "in" / "saem")
    tamper(files / "out" / "in" / "saem", lambda content: content.update(method=name))
    before = sorted(path for path in files.parent.rglob("*"))
    result = invoke("resume", "out/in/saem", "-o", "out/in", code=2)
    assert "method: String should match" in " ".join(result.stderr.split())
    assert sorted(path for path in files.parent.rglob("*")) == before


@pytest.mark.usefixtures("undrawn")
def test_other_folders_keep_their_names_and_their_files(files):
    """A copy of a fit beside it is listed by the name of its folder, and left as it is."""
    invoke(*SAEM, "-o", "out")
    shutil.copytree("out/saem", "out/before")
    kept = {path.name: path.read_bytes() for path in (files / "out" / "before").iterdir()}
    invoke("resume", "out/saem", "--mcse", 0.02, "-o", "out")
    assert {path.name: path.read_bytes() for path in (files / "out" / "before").iterdir()} == kept
    assert pd.read_csv("out/fits.csv")["method"].tolist() == ["saem", "before"]
    (files / "out" / "before" / "fit.json").write_text("{")
    assert "cannot be read as JSON" in invoke("resume", "out/saem", "-o", "out", code=2).stderr


def test_a_link_leads_nowhere(files, stubbed):
    (files / "elsewhere").mkdir()
    (files / "out").mkdir()
    (files / "out" / "saem").symlink_to(files / "elsewhere")
    assert "is a link to another place" in invoke(*SAEM, "-o", "out", code=2).stderr
    assert list((files / "elsewhere").iterdir()) == []


def test_fits_are_there_before_a_figure_fails(files, stubbed, monkeypatch):
    def fails(*arguments, **options):
        raise RuntimeError("no such glyph")

    monkeypatch.setattr(plotting, "plot_trace", fails)
    result = invoke("fit", "model.toml", "data.csv", "--method", "both", "-o", "out")
    assert "trace.png could not be drawn (RuntimeError: no such glyph)" in " ".join(result.stderr.split())
    assert saem.load("out/saem").method == "saem" and saem.load("out/ml").method == "ml"
    assert (files / "out" / "ml" / "random_effects.png").exists() and (files / "out" / "fits.csv").exists()


def test_a_disk_that_is_full_at_the_end_does_not_lose_the_numbers(files, stubbed, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing.os, "replace", full)
    result = invoke(*SAEM, "-o", "out", code=2)
    assert "SAEM fit of a linear model" in result.stdout and "status: converged" in result.stdout
    assert "No space left on device" in result.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("fit", "model.toml", "data.csv", "-o", "out"),
        ("fit", "model.toml", "data.csv", "--by", "arm", "-o", "out"),
        ("simulate", "model.toml", "--cross", "arm=a,b", "-o", "out/t.csv"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_the_work(files, monkeypatch, command):
    def worked(*arguments, **options):
        raise AssertionError("the work was begun")

    def refused(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    (files / "out").mkdir()
    monkeypatch.setattr(writing.tempfile, "TemporaryFile", refused)
    for name in ("fitting.fit", "fitting.warmup", "simulation"):
        replace(monkeypatch, name, fit=worked, ensure=worked, simulate=worked)
    result = invoke(*command, code=2)
    assert "nothing can be written to folder out: Permission denied" in " ".join(result.stderr.split())


def test_nothing_of_the_data_reaches_the_terminal_as_an_order(files, monkeypatch):
    table = pd.read_csv("data.csv")
    table["arm"] = table["arm"].map({"a": "\x1b[31ma", "b": "\rb"})
    table.to_csv("odd.csv", index=False, quoting=1)
    model = 'mean = "y ~ arm"\ncluster = ["arm", "subject"]\n[random]\nby = "arm"\n'
    (files / "odd.toml").write_text(model)
    for command in (
        ("check", "odd.toml", "odd.csv"),
        ("fit", "odd.toml", "odd.csv", "--method", "ml", "-o", "out"),
        ("diagnose", "out/ml", "-o", "found"),
        ("fit", "odd.toml", "odd.csv", "--method", "ml", "--by", "time"),
    ):
        result = invoke(*command, code=1 if "--by" in command else 0)
        assert all(c.isprintable() or c == "\n" for c in result.stdout + result.stderr), command
    assert "\\x1b[31ma" in invoke("check", "odd.toml", "odd.csv").stdout
    rows = pd.read_csv("found/residuals.csv")
    assert set(rows["arm"]) == {"\x1b[31ma", "\rb"} and len(rows) == 16


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("resume", "a" * 5_000), "File name too long"),
        (("diagnose", "a" * 5_000), "File name too long"),
        (("check", "model.toml", "a" * 5_000), "File name too long"),
        (("fit", "model.toml", "data.csv", "-o", "a" * 5_000), "File name too long"),
    ],
)
def test_names_that_no_file_can_have(files, command, message):
    assert message in invoke(*command, code=2).stderr


def test_what_the_system_refuses_is_told_in_words(files, monkeypatch):
    """Wherever it comes from; but nobody who reads on is no mistake."""

    def refused(number):
        def fit(*arguments, **options):
            raise OSError(number, os.strerror(number), "x\x1b[31m")

        return fit

    replace(monkeypatch, "fitting.warmup", ensure=refused(errno.EACCES))
    assert invoke(*SAEM, code=2).stderr == "Error: 'x\\x1b[31m': Permission denied\n"
    replace(monkeypatch, "fitting.warmup", ensure=refused(errno.EPIPE))
    assert invoke(*SAEM, code=1).stderr == ""


def test_where_the_memory_does_not_suffice(files, monkeypatch):
    def hungry(*arguments, **options):
        raise MemoryError

    replace(monkeypatch, "fitting.fit", fit=hungry)
    replace(monkeypatch, "fitting.warmup", ensure=lambda methods, family: None)
    assert "the memory does not suffice" in invoke("fit", "model.toml", "data.csv", code=2).stderr
