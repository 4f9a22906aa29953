"""`saem resume`, budgets and chains of `saem fit`, and Ctrl-C during a fit."""

from __future__ import annotations

import os
import signal

import numpy as np
import pandas as pd
import pytest
from commandline import invoke
from linear_family import PEPTIDE, peptide_design
from selecting import few

import saem
from saem import recipes
from saem.cli.console import console
from saem.cli.watching import Watcher, watching
from saem.families import Model
from saem.fitting import progress
from saem.fitting.bar import Terminal, words_of
from saem.stopping import Target


@pytest.fixture
def folder(tmp_path, monkeypatch, undrawn):
    """A folder with the peptide model and data, as the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "peptide.toml").write_text(recipes.text("peptide"))
    model = Model.from_toml(tmp_path / "peptide.toml")
    saem.simulate(model, PEPTIDE, peptide_design(60), 4).to_csv(tmp_path / "data.csv", index=False)
    return tmp_path


FIT = ("fit", "peptide.toml", "data.csv")


def test_resume_gives_what_one_fit_gives(folder):
    invoke(*FIT, "--method", "both", "-o", "out")
    invoke(*FIT, "--mcse", 0.01, "-o", "whole")
    result = invoke("resume", "out", "--mcse", 0.01)
    assert "SAEM fit of a linear model" in result.stdout and "nothing was written" in result.stderr
    assert saem.load("out/saem").iterations == 350
    invoke("resume", "out", "--mcse", 0.01, "-o", "out")
    assert np.array_equal(saem.load("out/saem").path, saem.load("whole/saem").path)
    assert list(pd.read_csv("out/fits.csv")["method"]) == ["saem", "ml"], "the other fit is still listed"
    invoke("resume", "out/saem", "--mcse", 0.008, "--max-iterations", 30000, "-o", "elsewhere")
    assert saem.load("elsewhere/saem").iterations > saem.load("whole/saem").iterations


def test_what_cannot_go_on(folder):
    invoke(*FIT, "--method", "ml", "-o", "exact")
    assert "those of 'ml' are exact" in " ".join(invoke("resume", "exact", code=2).stderr.split())
    assert "is exact" in invoke("resume", "exact/ml", code=2).stderr
    assert "no saved fit in nowhere" in invoke("resume", "nowhere", code=2).stderr
    invoke(*FIT, "-o", "two")
    invoke(*FIT, "--chains", 2, "-o", "two")
    assert "two/chains" in " ".join(invoke("resume", "two", code=2).stderr.split())


def test_budgets_and_chains(folder):
    result = invoke(*FIT, "--max-draws", 50_000, "-o", "few")
    assert "the budget of 50,000 draws was used up" in " ".join(result.stdout.split())
    assert saem.load("few/saem").drawn <= 50_000
    stderr = " ".join(invoke(*FIT, "--max-seconds", 1e-9, code=2).stderr.split())
    assert "not one iteration was made: the budget of 1e-09 seconds was used up" in stderr
    assert "must be positive" in invoke(*FIT, "--max-seconds", 0, code=2).stderr
    invoke(*FIT, "--chains", 3, "-o", "several")
    assert len(saem.load("several/chains").chains) == 3
    for option in (("--chains", 2), ("--max-draws", 5)):
        assert f"{option[0]} is for SAEM" in invoke(*FIT, "--method", "ml", *option, code=2).stderr


@pytest.fixture
def signals():
    """Signals as in a shell's foreground: those of a job in the background are ignored."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


ENDS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]


@pytest.mark.parametrize(("number", "code"), few(ENDS, [(signal.SIGTERM, 143)]))
def test_what_ends_a_fit_keeps_it_so_far(folder, monkeypatch, signals, number, code):
    """The signal comes after the burn-in; the fit that was written goes on to what it would have been."""
    true, calls = Watcher.__call__, []

    def interrupted(self, each):
        calls.append(each)
        if len(calls) == 1:
            os.kill(os.getpid(), number)
        return true(self, each)

    monkeypatch.setattr(Watcher, "__call__", interrupted)
    before = signal.getsignal(number)
    result = invoke(*FIT, "-o", "out", code=code)
    assert signal.getsignal(number) is before
    assert "stopped by the caller" in " ".join(result.stdout.split())
    assert "`saem resume out` goes on with it" in " ".join(result.stderr.split())
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    assert saem.load("out/saem").status == "not_converged"
    invoke("resume", "out", "-o", "out")
    invoke(*FIT, "-o", "whole")
    assert np.array_equal(saem.load("out/saem").path, saem.load("whole/saem").path)


def test_a_bar_on_a_closed_terminal_does_not_lose_the_fit():
    class Closed:
        def stop(self):
            raise OSError(5, "Input/output error")

    with watching("fitting by saem") as watcher:
        watcher.bar = Terminal("fitting by saem", console(stderr=True))
        watcher.bar.bar.stop()
        watcher.bar.bar = Closed()
    assert not watcher.interrupted


def test_the_words_of_the_bar():
    known = progress.Progress(
        "saem", "averaging", 1500, 10, 2.0, ("b22",), np.zeros(1), 0.031, "b22", 0.004, Target(mcse=0.02), 12.4
    )
    assert words_of(known) == "12 s left, MCSE/SE 3.1 % (target 2 %), deficit 0.004"
    nothing = progress.Progress(
        "saem", "burn-in", 1, 1, 0.1, ("b22",), np.zeros(1), np.nan, "", np.nan, Target(), np.nan
    )
    assert words_of(nothing) == "burn-in"
    watcher = Watcher("fitting by saem")
    for each in (nothing, known):
        watcher.show(each)
    task = watcher.bar.bar.tasks[0]
    assert (task.total, task.completed) == (1.0, 2.0 / 14.4)
    watcher.bar.close()
