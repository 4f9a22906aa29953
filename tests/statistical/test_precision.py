"""The rule to stop: iterations go on until the Monte Carlo error no longer matters, and who stops short says so."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from linear_family import PEPTIDE, peptide_design
from selecting import few

import saem
from saem import Model, recipes
from saem.algorithms.accuracy.precision import assess
from saem.algorithms.course import up_to_target
from saem.algorithms.course.up_to_target import refine
from saem.algorithms.engine.iteration import Iteration
from saem.algorithms.engine.passes import Engine
from saem.algorithms.saem import SAEM
from saem.families import arrange, pose
from saem.families.problem import Problem
from saem.schedules import AveragedSchedule, RobbinsMonroSchedule, Schedule
from saem.stopping import Target
from saem.system.streams import stream

MODEL = Model.from_text(recipes.text("peptide"))
SCHEDULE = AveragedSchedule(burn_in=200, iterations=1100, transient=100, latent=600)  # long enough to be cut short
uncentred = partial(SAEM, schedule=SCHEDULE, augmentation="uncentred")


def table(replicates: int, seed: int) -> pd.DataFrame:
    return saem.simulate(MODEL, PEPTIDE, peptide_design(replicates), seed)


def problem(replicates: int, seed: int) -> Problem:
    return pose(MODEL, arrange(MODEL, table(replicates, seed)))


def engine(posed: Problem, schedule: Schedule = SCHEDULE, seed: int = 0) -> Engine:
    """Uncentred, so that much is missing and the error is no small matter."""
    return Engine(Iteration(posed, 1e-6, stream(seed, "test"), augmentation="uncentred"), schedule)


def shares(fit: saem.Fit) -> np.ndarray:
    """Monte Carlo standard errors in units of the standard errors."""
    return np.asarray(fit.mcse / fit.se)


@pytest.mark.parametrize("target", few([0.05, 0.02], [0.05]))
def test_the_target_is_reached(target: float) -> None:
    """With 200 replicates the schedule alone leaves 7 %; the error is what is said: 4.5 of it in 40 cases, 3e-4."""
    data = table(200, 3)
    exact = saem.fit(MODEL, data, "ml")
    short = saem.fit(MODEL, data, uncentred(target=Target(max_iterations=0)))
    assert shares(short).max() > 0.05
    for seed in range(5):
        fit = saem.fit(MODEL, data, uncentred(target=Target(mcse=target)), seed=seed)
        assert fit.status == "converged"
        assert 0.5 * target < shares(fit).max() <= target
        np.testing.assert_array_less(np.abs(fit.values - exact.values), 4.5 * fit.mcse + 1e-9)
        assert exact.loglik - 0.01 <= fit.loglik


def test_who_stops_short_says_so() -> None:
    """Neither more iterations nor the name of the missed target are kept from the user; ML has none to miss."""
    data = table(200, 3)
    fit = saem.fit(MODEL, data, uncentred(target=Target(max_iterations=1300)))
    assert fit.status == "not_converged" and len(fit.path) == 1302
    assert "The Monte Carlo error of b22 is" in fit.message and "(target 5 %)" in fit.message
    loose = saem.fit(MODEL, data, uncentred(target=Target(mcse=0.2, max_iterations=1300)))
    assert loose.status == "converged" and np.array_equal(loose.values, fit.values)
    posed = problem(200, 3)
    chain = engine(posed)
    run = chain.pass_through(posed.starts.first, np.zeros(8, dtype=bool))
    refine(chain, run, Target(mcse=1e-4, max_iterations=3000))
    assert chain.spent.iterations == 3000, "the budget is used, and not overrun"
    strict = saem.fit(MODEL, data, uncentred(target=Target(mcse=0.2, deficit=1e-9, max_iterations=2600)))
    assert strict.status == "not_converged" and "below its maximum (target 1e-09)" in strict.message
    assert len(strict.path) <= 2602


def test_going_on_gives_the_bits_of_one_long_pass() -> None:
    posed = problem(60, 1)
    start, pinned = posed.starts.first, np.zeros(8, dtype=bool)
    at_once = engine(posed, AveragedSchedule(iterations=1700)).pass_through(start, pinned)
    parts = engine(posed, AveragedSchedule(iterations=1000))
    run = parts.go_on(parts.go_on(parts.pass_through(start, pinned), 123), 577)
    assert np.array_equal(run.x, at_once.x) and np.array_equal(run.path, at_once.path)
    assert run.draws == at_once.draws and run.averaging_from == at_once.averaging_from
    other = engine(posed, AveragedSchedule(iterations=1000), seed=1)
    mutant = other.go_on(other.pass_through(start, pinned), 700)
    assert not np.array_equal(mutant.x, at_once.x)


def test_the_error_falls_with_the_root_of_the_iterations() -> None:
    posed = problem(60, 1)
    chain = engine(posed)
    run = chain.pass_through(posed.starts.first, np.zeros(8, dtype=bool))
    before = assess(chain.iteration, run)
    after = assess(chain.iteration, chain.go_on(run, 3000))  # 1000 iterations are averaged before, 4000 after
    # but for the start, which the slow directions remember
    assert after.ratio == pytest.approx(0.5 * before.ratio, rel=0.1)
    assert after.explained == pytest.approx(0.25 * before.explained, rel=0.1)


@pytest.mark.slow
def test_the_deficit_is_explained_by_the_monte_carlo_error() -> None:
    """Its mean over 40 seeds against half the sum of the squared errors in independent directions.

    The deficit is a weighted sum of squares; its relative standard deviation is at most sqrt(2), that of the mean of 40
    at most 0.22: a factor of 2 away is 4.5 of them. The mutant averages nothing.
    """
    posed = problem(60, 2)

    def mean_of(schedule: AveragedSchedule | RobbinsMonroSchedule) -> tuple[float, float]:
        found = []
        for seed in range(40):
            chain = engine(posed, schedule, seed)
            found.append(assess(chain.iteration, chain.pass_through(posed.starts.first, np.zeros(8, dtype=bool))))
        return float(np.mean([p.deficit for p in found])), float(np.mean([p.explained for p in found]))

    deficit, explained = mean_of(SCHEDULE)
    assert 0.5 < deficit / explained < 2.0
    last, nothing = mean_of(RobbinsMonroSchedule(500, 500, 0.6))
    assert np.isnan(nothing) and last > 2.0 * explained


def test_a_pass_that_is_not_finished_begins_anew() -> None:
    """From a far start without a burn-in the first pass ends far from the maximum: its average is dropped."""
    posed = problem(12, 5)
    start = posed.starts.first.copy()
    start[-3:-1] *= 0.02
    chain = engine(posed, AveragedSchedule(burn_in=0, iterations=300, transient=50))
    run = chain.pass_through(start, np.zeros(8, dtype=bool))
    assert assess(chain.iteration, run).deficit > 0.1
    _, refined, precision = refine(chain, run, Target())
    assert precision.deficit <= 0.01 and precision.ratio <= 0.05
    assert refined.before is not None


def test_passes_that_are_given_up_leave_the_schedule_of_the_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pass looks as bad as the one before: three are made with more draws and given up, and the chain goes on."""
    posed = problem(12, 5)
    chain = engine(posed, AveragedSchedule())
    run = chain.pass_through(posed.starts.first, np.zeros(8, dtype=bool))
    schedule, draws = chain.schedule, set(run.made)
    monkeypatch.setattr(up_to_target, "assess", lambda *arguments: replace(assess(*arguments), deficit=1.0))
    _, refined, _ = refine(chain, run, Target(max_iterations=2500))
    assert len(refined.step_sizes) > len(run.step_sizes) and chain.spent.drawn > 2500 * max(draws), "both were done"
    assert chain.counts.thickened == 0 and chain.schedule == schedule and set(refined.made) == draws


@pytest.mark.parametrize("wrong", [{"mcse": 0.0}, {"deficit": -1.0}, {"max_iterations": -1}, {"mcse": float("nan")}])
def test_targets_that_make_no_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(saem.SaemError, match=next(iter(wrong))):
        Target(**wrong)  # type: ignore[arg-type]
