"""Callbacks: what they are told, that they change nothing, and that they can end a fit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from bernoulli_family import problems as bernoulli_problems
from linear_family import PEPTIDE, peptide_design

import saem
from saem import recipes
from saem.algorithms.course.outcome import Outcome
from saem.algorithms.independent_chains import IndependentChains
from saem.algorithms.monte_carlo_em import MonteCarloEM
from saem.algorithms.saem import SAEM
from saem.errors import ModelError
from saem.families import Model
from saem.fitting import progress
from saem.fitting.progress import Progress, Reporter
from saem.schedules import AveragedSchedule, GrowingSchedule
from saem.stopping import Status, Target

MODEL = Model.from_text(recipes.text("peptide"))
TARGET = Target(mcse=0.01)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return saem.simulate(MODEL, PEPTIDE, peptide_design(60), 4)


@pytest.fixture
def always(monkeypatch):
    """The precision is assessed at every call, so that many small differences would add up."""
    monkeypatch.setattr(progress, "PAUSE", 0.0)
    monkeypatch.setattr(progress, "COST", np.inf)


SHORT = AveragedSchedule(burn_in=100, iterations=200, transient=50, latent=60)
METHODS = [
    SAEM(target=TARGET),
    MonteCarloEM(schedule=GrowingSchedule(60, 2), target=Target(mcse=0.03)),
    IndependentChains(SAEM(target=TARGET), 2),
]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_callback_changes_no_bit(table, always, method):
    seen: list[Progress] = []
    fit, other = saem.fit(MODEL, table, method, seed=1, callback=seen.append), saem.fit(MODEL, table, method, seed=1)
    assert len(seen) > 1
    for name in ("values", "path", "mcse", "covariance"):
        assert np.array_equal(getattr(fit, name), getattr(other, name), equal_nan=True)
    assert (fit.drawn, fit.message, fit.status) == (other.drawn, other.message, other.status)


def test_nor_where_the_precision_is_estimated_by_draws(always):
    """Without a closed form an assessment draws from a stream of its own, and counts for no budget."""
    problem = bernoulli_problems()["free"]
    seen: list[Progress] = []
    method = SAEM(schedule=SHORT, target=Target(mcse=0.1))
    other = method.run(problem, 3)
    outcome = method.run(problem, 3, Reporter(seen.append, "saem"))
    assert np.isfinite([each.mcse_share for each in seen]).any()
    assert np.array_equal(outcome.path, other.path) and outcome.drawn == other.drawn
    assert outcome.message == other.message


def test_a_fit_by_draws_goes_on_as_well():
    """A family with the state of a Markov kernel, and with draws that only assess the precision."""
    problem = bernoulli_problems()["free"]
    goal = Target(mcse=0.1)
    whole = SAEM(schedule=SHORT, target=goal).run(problem, 3)
    budget = replace(goal, max_draws=int(0.6 * whole.drawn * problem.latent.size))
    for end in (Target(mcse=0.5, deficit=1.0), budget):
        first = SAEM(schedule=SHORT, target=end).run(problem, 3)
        assert len(first.path) < len(whole.path)
        again = SAEM(schedule=SHORT, target=goal).run(problem, 3, resume=first.checkpoint)
        assert np.array_equal(again.path, whole.path) and again.drawn == whole.drawn
        assert np.array_equal(again.mcse, whole.mcse) and again.message == whole.message
        known = [0, 1, 4, 5, 6]
        assert np.array_equal(again.history[:, known], whole.history[:, known], equal_nan=True)


def test_what_a_callback_is_told(table, always):
    seen: list[Progress] = []
    schedule = AveragedSchedule(burn_in=300, iterations=1000, transient=250)  # told at the end of every 250 iterations
    fit = saem.fit(MODEL, table, SAEM(schedule, target=TARGET), seed=1, callback=seen.append)
    phases = list(dict.fromkeys(each.phase for each in seen))
    assert phases == ["burn-in", "transient", "averaging"]
    last = seen[-1]
    assert last.method == "saem" and last.names == fit.parameters.names and last.target == TARGET
    assert np.array_equal(last.estimate, fit.values) and last.draws == fit.drawn
    assert last.mcse_share == pytest.approx((fit.mcse / fit.se).max()) and last.seconds_left == 0.0
    assert last.parameter == fit.parameters.names[int(np.argmax(fit.mcse / fit.se))]
    assert 0.0 <= last.deficit < 0.01
    assert np.isnan(seen[0].mcse_share) and seen[0].parameter == "" and np.isnan(seen[0].seconds_left)
    iterations = [each.iteration for each in seen]
    assert iterations == sorted(iterations) and np.diff(iterations).max() <= 250
    with pytest.raises(AttributeError):
        last.draws = 0  # type: ignore[misc]


def test_the_expected_time_is_that_of_the_iterations_that_are_left(table, always, monkeypatch):
    """With a clock that counts iterations: at the end of the schedule within a factor of 1.5 of what is made after."""
    told: list[Progress] = []
    fit = saem.fit(MODEL, table, SAEM(target=Target(mcse=0.004)), seed=2, callback=told.append)
    looks = fit.history
    at = next(i for i, each in enumerate(told) if each.iteration >= 350)
    pace = looks["seconds"].iloc[at] / told[at].iteration
    expected = told[at].seconds_left / pace
    left = looks["iteration"].iloc[-1] - told[at].iteration
    assert 0.6 < expected / left < 1.7


def test_a_callback_ends_the_fit_which_can_go_on(table):
    method = SAEM(target=TARGET)
    whole = saem.fit(MODEL, table, method, seed=1)
    for most in (1, 200, 400):
        fit = saem.fit(MODEL, table, method, seed=1, callback=lambda each, most=most: each.iteration >= most)
        assert fit.status == "not_converged" and "it was stopped by the caller" in fit.message
        assert len(fit.path) < len(whole.path)
        again = fit.resume()
        assert np.array_equal(again.path, whole.path) and again.message == whole.message
    halted = saem.fit(MODEL, table, IndependentChains(method, 3), seed=1, callback=lambda each: True)
    assert halted.status == "not_converged" and "stopped by the caller" in halted.message
    at_once = saem.fit(MODEL, table, IndependentChains(method, 3), seed=1)
    assert np.array_equal(halted.resume().values, at_once.values)


def test_a_mutant_that_draws_from_the_stream_of_the_fit_is_noticed(table, always, monkeypatch):
    other = saem.fit(MODEL, table, SAEM(target=TARGET), seed=1)

    def greedy(self, engine, chain):
        engine.iteration.rng.random()

    monkeypatch.setattr(Reporter, "assess", greedy)
    fit = saem.fit(MODEL, table, SAEM(target=TARGET), seed=1, callback=lambda each: None)
    assert not np.array_equal(fit.path, other.path)


def test_the_precision_is_seldom_assessed(table, monkeypatch):
    calls = []
    true = progress.assess
    monkeypatch.setattr(progress, "assess", lambda *arguments: calls.append(1) or true(*arguments))
    monkeypatch.setattr(progress, "PAUSE", 1e6)
    saem.fit(MODEL, table, SAEM(target=TARGET), callback=lambda each: None)
    assert len(calls) == 1


def test_exceptions_of_a_callback_are_its_own(table):
    def impatient(each):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        saem.fit(MODEL, table, "saem", callback=impatient)


@dataclass(frozen=True)
class Mine:
    """A method from outside without a watch."""

    name: ClassVar[str] = "mine"

    def run(self, problem, seed=0):
        x = problem.starts.first
        return Outcome(x, np.zeros(len(x), dtype=bool), Status.NOT_CONVERGED, "", x[None])


def test_methods_without_blocks(table):
    def never(each):
        raise AssertionError

    for method in ("ml", "em"):
        assert saem.fit(MODEL, table, method, callback=never).converged
    with pytest.raises(ModelError, match="'mine' takes no callback: its declaration must say takes_callback=True"):
        saem.fit(MODEL, table, Mine(), callback=never)
