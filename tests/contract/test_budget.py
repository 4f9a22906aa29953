"""Comparisons at the same budget and over several seeds."""

from __future__ import annotations

import itertools
from dataclasses import replace
from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from commandline import invoke
from handmade import handmade_fit
from linear_family import PEPTIDE, example_table, peptide_design

import saem
from saem import Model, recipes
from saem.algorithms.engine import spending
from saem.algorithms.independent_chains import IndependentChains
from saem.algorithms.saem import SAEM
from saem.comparison import Comparison
from saem.comparison.budget import Budget, judged
from saem.comparison.seeds import COLUMNS, jackknife, spread_over_mcse
from saem.plotting import plot_comparison, plot_cost
from saem.schedules import RobbinsMonroSchedule
from saem.stopping import Status, Target

pytestmark = pytest.mark.usefixtures("undrawn")

MODEL = Model.from_text(recipes.text("peptide"))
BUDGET = 500_000
LATENT = 24
SIMULATED = ("saem", "mcem", "stochastic_em", "stochastic_newton", "chains")


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return example_table(12, 1)


@pytest.fixture(scope="module")
def found(table: pd.DataFrame) -> Comparison:
    return saem.compare(MODEL, table, (*SIMULATED, "em", "ml", "reml"), seed=3, budget=BUDGET)


@pytest.fixture(scope="module")
def repeated(table: pd.DataFrame) -> Comparison:
    return saem.compare(MODEL, table, ("saem", "stochastic_em", "ml"), seed=5, budget=300_000, repeats=4)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_every_monte_carlo_method_uses_the_budget_up_to_an_iteration(found: Comparison) -> None:
    rows = found.table.set_index("method")
    an_iteration = {"saem": 600, "stochastic_em": 600, "stochastic_newton": 3000, "chains": 4 * 600}
    an_iteration["mcem"] = 10 * (rows.loc["mcem", "iterations"] + 1) * LATENT
    for name in SIMULATED:
        assert BUDGET - an_iteration[name] < rows.loc[name, "draws"] <= BUDGET, name
    assert (rows.loc[["em", "ml"], "draws"] == 0).all(), "exact methods run as they are"


def test_without_a_budget_a_method_ends_at_its_target(table: pd.DataFrame, found: Comparison) -> None:
    own = saem.compare(MODEL, table, (SAEM(target=Target(mcse=0.5)),)).fits["saem"]
    assert own.drawn == 350 * 1008, "the schedule, once"
    assert own.drawn < found.fits["saem"].drawn <= BUDGET, "a budget is used up"
    further = saem.compare(MODEL, table, ("saem", "stochastic_em"), budget=2_000_000).table
    assert (further["draws"] > 1_999_000).all(), "beyond the target, and beyond a schedule that cannot go on by itself"


def test_the_status_is_that_of_the_own_target(table: pd.DataFrame, found: Comparison) -> None:
    rows = found.table.set_index("method")
    assert rows.loc["saem", "status"] == "converged" and "1e-300" not in " ".join(rows["message"])
    strict = SAEM(target=Target(mcse=1e-3))
    missed = saem.compare(MODEL, table, (strict, "ml"), budget=BUDGET).fits["saem"]
    assert missed.status == "not_converged" and "(target 0.1 %)" in missed.message
    short = saem.compare(MODEL, table, (IndependentChains(), "ml"), budget=100_000).fits["chains"]
    assert short.status == "not_converged", "chains that ended in their burn-in"


def test_a_status_under_a_budget() -> None:
    looked = Budget(draws=1000)
    fit = handmade_fit(drawn=990, at_boundary=(), status=Status.NOT_CONVERGED)
    assert judged(fit, 0.001, SAEM(), looked).status == "converged"
    assert judged(fit, 0.02, SAEM(), looked).status == "not_converged"
    assert judged(replace(fit, at_boundary=("sigma1",)), 0.001, SAEM(), looked).status == "boundary"
    nothing = replace(fit, status=Status.NOT_IDENTIFIED)
    assert judged(nothing, 0.001, SAEM(), looked) is nothing
    unknown = replace(fit, mcse=np.full(8, np.nan))
    assert "no Monte Carlo error is known" in judged(unknown, 0.001, SAEM(), looked).message
    last = SAEM(schedule=RobbinsMonroSchedule())
    assert judged(unknown, 0.001, last, looked).status == "converged", "it never has one"
    assert "much less than the budget" in judged(replace(fit, drawn=100), 0.001, SAEM(), looked).message
    two = replace(fit, solutions=np.array([fit.values] * 2), solution_logliks=np.array([fit.loglik] * 2))
    assert judged(two, 0.001, SAEM(), looked).status == "several_solutions"


def test_the_chains_share_the_budget() -> None:
    given = Budget(draws=40_000, seconds=8.0).given_to(IndependentChains(chains=4), LATENT)
    assert (given.method.target.max_draws, given.method.target.max_seconds) == (10_000, 2.0)  # type: ignore[attr-defined]


def test_a_schedule_that_cannot_go_on_is_as_long_as_the_budget() -> None:
    given = Budget(draws=6_000_000).given_to(SAEM(schedule=RobbinsMonroSchedule()), LATENT)
    assert given.schedule == RobbinsMonroSchedule(iterations=10_000 - 500)  # type: ignore[attr-defined]


@pytest.mark.parametrize("tick", [0.001, 0.02])
def test_seconds_are_a_budget_too(table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, tick: float) -> None:
    """By a clock that goes on by a tick whenever somebody looks at it, whatever else the machine has to do."""
    ticks = itertools.count()
    monkeypatch.setattr(spending, "time", SimpleNamespace(perf_counter=lambda: tick * next(ticks)))
    rows = saem.compare(MODEL, table, ("saem", "stochastic_em"), budget_seconds=0.2).table
    assert (rows["status"] == "converged").all()
    assert list(rows["draws"] > 600 * 1300) == [tick < 0.01] * 2


def test_budgets_that_cannot_be(table: pd.DataFrame) -> None:
    for wrong in ({"budget": 0}, {"budget": -5.0}, {"budget_seconds": 0.0}, {"repeats": 0}, {"budget": np.inf}):
        with pytest.raises(saem.SaemError, match="must be"):
            saem.compare(MODEL, table, ("ml",), **wrong)
    small = saem.compare(MODEL, table, ("saem", "ml"), budget=100)
    assert small.refused == ("saem",) and "an iteration of saem draws 1,008 random effects" in small.failures["saem"]


def test_a_budget_that_ends_before_the_first_iteration_costs_no_other_method(table: pd.DataFrame) -> None:
    short = saem.compare(MODEL, table, ("saem", "ml"), budget_seconds=1e-9)
    assert list(short.fits) == ["ml"] and "budget" in short.failures["saem"]


def test_what_the_model_does_not_admit_is_refused_with_the_reason(found: Comparison) -> None:
    assert found.refused == ("reml",) and "REML integrates the means out" in found.failures["reml"]
    assert found.table.set_index("method").loc["reml", "status"] == "refused"


def test_the_history_of_all_methods(found: Comparison) -> None:
    history = found.history
    assert list(history.columns[:2]) == ["method", "seed"] and set(history["seed"]) == {3}
    own = history[history["method"] == "saem"].drop(columns=["method", "seed"]).reset_index(drop=True)
    pd.testing.assert_frame_equal(own, found.fits["saem"].history)


def test_deficits_count_from_the_maximum_beside_an_estimate(table: pd.DataFrame) -> None:
    alone = saem.compare(MODEL, table, ("saem",))
    exact = saem.fit(MODEL, table, "ml").loglik
    assert alone.maximum == pytest.approx(exact, abs=1e-9)
    assert alone.table["deficit"][0] == pytest.approx(exact - alone.fits["saem"].loglik, abs=1e-9) != 0.0


def test_repetitions_have_seeds_of_their_own(table: pd.DataFrame, repeated: Comparison) -> None:
    assert [fit.seed for fit in repeated.repetitions["saem"]] == [5, 6, 7, 8]
    assert len(repeated.repetitions["ml"]) == 1, "nothing would change"
    again = saem.compare(MODEL, table, ("saem",), seed=7, budget=300_000).fits["saem"]
    np.testing.assert_array_equal(repeated.repetitions["saem"][2].values, again.values)


def test_the_table_over_seeds(repeated: Comparison) -> None:
    rows = repeated.over_seeds.set_index("method")
    assert ["method", *rows.columns] == COLUMNS
    fits, ml = repeated.repetitions["saem"], repeated.fits["ml"]
    deficits = np.array([repeated.maximum - fit.loglik for fit in fits])
    row = rows.loc["saem"]
    assert row["mean_deficit"] == pytest.approx(deficits.mean())
    assert row["mean_deficit_error"] == pytest.approx(deficits.std(ddof=1) / 2), "the jackknife of a mean"
    rms = np.sqrt(np.mean([((fit.values - ml.values) / ml.se) ** 2 for fit in fits], axis=0))
    assert row["rms_distance"] == pytest.approx(rms.max())
    assert row["parameter"] == ml.parameters.names[int(rms.argmax())]
    assert row["converged"] == np.mean([fit.converged for fit in fits]) and row["fits"] == 4
    assert np.isnan(rows.loc["stochastic_em", "spread_over_mcse"]), "it has no Monte Carlo error"
    assert rows.loc["ml", "rms_distance"] == 0.0 and np.isnan(rows.loc["ml", "rms_distance_error"])


def test_the_spread_over_the_monte_carlo_error_is_one_where_it_should_be() -> None:
    """With 400 seeds and 6 parameters the ratio has a standard error of 0.015: false alarms below 1e-4.

    A Monte Carlo error that is wrong by a tenth is found.
    """
    rng = np.random.default_rng(1)
    right = handmade_fit(at_boundary=(), covariance=np.eye(8), mcse=np.array([1, 2, 1, 0, 1, 3, 1, 0]) * 0.01)
    fits = [replace(right, values=right.values + right.mcse * rng.normal(size=8)) for _ in range(400)]
    assert abs(spread_over_mcse(fits) - 1.0) < 0.06
    too_small = [replace(fit, mcse=fit.mcse / 1.1) for fit in fits]
    assert abs(spread_over_mcse(too_small) - 1.0) > 0.06
    assert np.isnan(spread_over_mcse(fits[:1]))
    value, error = jackknife([1.0, 2.0, 6.0], lambda sample: float(np.mean(sample)))
    assert (value, error) == (3.0, pytest.approx(np.std([1, 2, 6], ddof=1) / np.sqrt(3)))


def test_the_figures_have_a_curve_for_every_method(found: Comparison, repeated: Comparison) -> None:
    left, right = plot_cost(found)
    shown = {line.get_label(): line for line in left.lines if not line.get_label().startswith("_")}
    assert list(shown) == [*SIMULATED, "target 0.01"]
    expected = found.fits["saem"].history
    np.testing.assert_allclose(shown["saem"].get_ydata(), found.maximum - expected["loglik"], rtol=1e-12)
    assert "stochastic_em (not known)" in {line.get_label() for line in right.lines}
    thin = [line for line in plot_cost(repeated)[0].lines if line.get_alpha() is not None]
    assert len(thin) == 8, "two methods with four seeds, around their medians"
    assert {text.get_text() for text in plot_comparison(found).get_legend().get_texts()} == {*SIMULATED, "em"}


def test_the_command(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    saem.simulate(MODEL, PEPTIDE, peptide_design(6), 1).to_csv("data.csv", index=False)
    (tmp_path / "model.toml").write_text(recipes.text("peptide"))
    files = ("compare", "model.toml", "data.csv")
    shown = invoke(*files, "--methods", "all", "--budget", "2e5", "-o", "out").stdout
    assert "REML cannot be used: REML integrates the means out" in shown and "PX-SAEM cannot be used" not in shown
    assert max(len(line) for line in shown.split("\n\n")[0].splitlines()) <= 100
    assert (pd.read_csv("out/comparison.csv")["draws"] <= 2e5 + 1e5).all()
    repeated = invoke(*files, "--methods", "saem,ml", "--budget", "2e5", "--repeats", "3", "-o", "out").stdout
    assert "spread/mcse" in repeated and " of 3 " in repeated
    assert list(pd.read_csv("out/over_seeds.csv")["fits"]) == [3, 1]
    assert "budget must be positive" in invoke(*files, "--budget", "-1", code=2).stderr
    assert "did you mean 'saem'" in invoke(*files, "--methods", "saemm", code=2).stderr
