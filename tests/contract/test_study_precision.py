"""When a cell has enough replicates: the rule, its determinism, budgets of time, and plans."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from simulated_study import study_rows
from typer.testing import CliRunner

from experiments.harness import agenda as agendas
from experiments.harness.agenda import Agenda, Shard
from experiments.harness.commands import app
from experiments.harness.commands.options import seconds_of
from experiments.harness.performance import MEASURES, adjusted, performance
from experiments.harness.planning import planned
from experiments.harness.precision import Shortfall, next_look, worst
from experiments.harness.results import Results
from experiments.harness.running import Executor, run_study
from experiments.harness.store import Store
from experiments.harness.study import Study, load_study
from experiments.harness.study.tasks import Result, Task, failure
from saem.errors import ModelError

PATH = Path(__file__).parents[1] / "studies" / "faulty.toml"


def study(replicates: int = 400, minimum: int = 40, budget: float | None = None, **precision: float) -> Study:
    run = {"replicates": replicates, "minimum": minimum} | ({} if budget is None else {"budget": budget})
    return load_study(PATH, changes={"run": run, "precision": precision})


# The rule


def measures(**columns: object) -> pd.DataFrame:
    filled = {"cell": "c", "method": "m", "estimand": "t", "measure": "bias", "value": 0.0, "mcse": 0.1, "n": 50}
    return pd.DataFrame(filled | columns, index=range(2))


def test_the_worst_error_beside_its_target() -> None:
    """The one that is furthest above its target; shares by adjusted proportions; what has no value is not judged."""
    found = worst(measures(measure=["bias", "rmse"], mcse=[0.2, 0.3]), {"bias": 0.1, "rmse": 0.2})
    assert found == Shortfall("bias", "m", "t", 0.2, 0.1) and found.ratio == 2.0
    assert worst(measures(), {"rmse": 0.1}) is None
    assert worst(measures(value=np.nan), {"bias": 0.1}) is None
    found = worst(measures(measure="coverage", value=1.0, mcse=0.0), {"coverage": 0.02})
    assert found is not None and found.mcse == float(adjusted(1.0, 50).mcse) > 0.02
    found = worst(measures(mcse=np.nan), {"bias": 0.1})
    assert found is not None and found.ratio == np.inf


def test_looks_follow_from_what_was_seen() -> None:
    assert next_look(500, 1.2, 10_000) == 720
    assert next_look(500, 1.001, 10_000) == 550, "at least a tenth more"
    assert next_look(500, 9.0, 10_000) == 1000 and next_look(500, np.inf, 10_000) == 1000, "at most twice as many"
    assert next_look(500, 9.0, 700) == 700


def test_a_rule_without_adjustment_stops_at_chance() -> None:
    """The mutant takes the plain error, which is 0 where the first replicates all cover."""
    rows = study_rows(40, estimate=0.0, lower=-1.0, upper=1.0, truth=0.0)
    table = performance(rows)
    found = worst(table, {"coverage": 0.02})
    assert found is not None and found.ratio > 1.0
    plain = table.loc[table["measure"] == "coverage", "mcse"].iloc[0]
    assert plain == 0.0


# The run


def replicates_in(folder: Path) -> dict[str, int]:
    with Store(folder) as store:
        cells = store.cells()
        found: dict[str, set[int]] = {cell.name: set() for cell in cells.values()}
        for key, replicate, _ in store.records():
            found[cells[key].name].add(replicate)
    assert all(numbers == set(range(len(numbers))) for numbers in found.values()), "the first ones, without gaps"
    return {name: len(numbers) for name, numbers in found.items()}


def test_cells_stop_when_they_are_precise(tmp_path: Path) -> None:
    """At the same replicates in this process, by two workers, and after an interruption; each cell is precise then."""
    own = study(empirical_se=0.05, coverage=0.03)
    state = run_study(own, PATH, tmp_path / "serial")
    assert not state.shortfalls and state.done == state.total
    counts = replicates_in(tmp_path / "serial")
    assert set(counts) == {"shift=0.0", "shift=1.0"} and all(40 < n < 400 for n in counts.values())
    run_study(own, PATH, tmp_path / "local", executor=Executor(workers=2))
    assert replicates_in(tmp_path / "local") == counts
    seen: list[object] = []

    def stop(state: object) -> None:
        seen.append(state)
        if len(seen) == 60:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(own, PATH, tmp_path / "broken", progress=stop)
    run_study(own, PATH, tmp_path / "broken")
    assert replicates_in(tmp_path / "broken") == counts
    results = Results.read(own, PATH, tmp_path / "serial")
    assert results.goals == counts
    for name in counts:
        found = worst(results.complete[results.complete["cell"] == name], own.precision)
        assert found is not None and found.ratio <= 1.0


def test_what_stays_imprecise_is_told(tmp_path: Path) -> None:
    state = run_study(study(60, 40, empirical_se=0.001), PATH, tmp_path)
    assert replicates_in(tmp_path) == {"shift=0.0": 60, "shift=1.0": 60}
    assert set(state.shortfalls) == {"shift=0.0", "shift=1.0"}
    assert "MCSE of empirical_se" in str(state.shortfalls["shift=0.0"])
    run_study(study(70, 40), PATH, tmp_path / "fixed")
    assert replicates_in(tmp_path / "fixed") == {"shift=0.0": 70, "shift=1.0": 70}


def test_targets_that_can_never_be_met_are_refused() -> None:
    for precision, words in (
        ({"biass": 0.1}, "precision.biass: there is no such measure (did you mean 'bias'?)"),
        ({"bias": 0.0}, "precision.bias: Input should be greater than 0"),
        ({"coverage": 1e-4}, "precision.coverage: can never be met with run.replicates = 400"),
    ):
        with pytest.raises(ModelError) as caught:
            study(**precision)
        assert words in str(caught.value)
    with pytest.raises(ModelError, match=r"run.minimum: must be at most run.replicates = 400"):
        study(minimum=500, bias=0.1)
    changes = {"estimands": {"location": {"null": None}}, "precision": {"rejection": 0.1}}
    with pytest.raises(ModelError, match="no estimand has a null value"):
        load_study(PATH, changes=changes | {"run": {"replicates": 600}})
    with pytest.raises(ModelError, match="never be met without a reference"):
        load_study(PATH, changes={"reference": None, "precision": {"distance": 0.1}, "run": {"replicates": 600}})
    with pytest.raises(ModelError, match="add --fixed"):
        Agenda(study(bias=0.1), {}, Shard(1, 2), lambda cell, n: None)


def test_all_measures_have_names() -> None:
    rows = pd.concat([study_rows(4, method=name, estimate=1.0, truth=0.0) for name in ("ml", "saem")])
    table = performance(rows, reference="ml", null={"theta": 0.0})
    assert set(table["measure"]) == set(MEASURES)


# Time


def spend(agenda: Agenda, seconds: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Work an agenda off, one task after the other, by a clock of our own."""
    now, counts = time.monotonic(), dict.fromkeys(seconds, 0)
    monkeypatch.setattr(agendas.time, "monotonic", lambda: now)
    while (task := agenda.take()) is not None:
        now += seconds[task.cell.name]
        counts[task.cell.name] += 1
        agenda.learn([Result(task, [failure("mean", "ok", "", seconds[task.cell.name])], seconds[task.cell.name])])
    return counts


def test_a_budget_is_shared_among_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells whose replicates cost more get fewer; what one does not need, others get."""
    seconds = {"shift=0.0": 1.0, "shift=1.0": 4.0}
    now = time.monotonic()
    monkeypatch.setattr(agendas.time, "monotonic", lambda: now)
    agenda = Agenda(study(budget=200.0), {}, Shard())
    counts = spend(agenda, seconds, monkeypatch)
    assert abs(counts["shift=0.0"] - 100) <= 4 and abs(counts["shift=1.0"] - 25) <= 1
    assert agenda.finished < agenda.total == 800
    monkeypatch.setattr(agendas.time, "monotonic", lambda: now)
    agenda = Agenda(study(replicates=60, budget=200.0), {}, Shard())
    counts = spend(agenda, seconds, monkeypatch)
    assert counts["shift=0.0"] == 60 and abs(counts["shift=1.0"] - 35) <= 1
    monkeypatch.setattr(agendas.time, "monotonic", lambda: now)
    without = spend(Agenda(study(replicates=60), {}, Shard()), seconds, monkeypatch)
    assert without == {"shift=0.0": 60, "shift=1.0": 60}


def test_a_run_ends_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock of our own, which goes on by a fiftieth of a second whenever somebody looks at it."""
    ticks = itertools.count(step=0.02)
    monkeypatch.setattr(agendas.time, "monotonic", lambda: next(ticks))
    arguments = ["run", str(PATH), "-o", str(tmp_path), "--workers", "0", "--replicates", "5000", "--budget", "1s"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0 and "the time is up; the same command goes on" in " ".join(result.output.split())
    assert 5 <= sum(replicates_in(tmp_path).values()) <= 60


def test_lengths_of_time() -> None:
    assert [seconds_of(text) for text in ("90", "90s", "1.5m", "2h", "1d")] == [90.0, 90.0, 90.0, 7200.0, 86400.0]
    for text in ("", "m", "-3s", "soon", "infs"):
        with pytest.raises(ModelError, match="90s, 30m, 2h or 1d"):
            seconds_of(text)


# Plans


def test_a_plan_foretells_the_replicates(tmp_path: Path) -> None:
    """Within a factor 2 of what the run takes (a pilot of 30: the error of its SD is some 13 %, of its square 26 %)."""
    own = study(empirical_se=0.04)
    plans = planned(own, PATH, 30)
    run_study(own, PATH, tmp_path)
    for plan in plans:
        assert 0.5 < plan.replicates / replicates_in(tmp_path)[plan.cell.name] < 2.0
        assert plan.seconds > 0.0 and plan.why.startswith("MCSE of empirical_se")
    assert {plan.replicates for plan in planned(study(), PATH, 2)} == {400}
    (first, _) = planned(study(empirical_se=0.001), PATH, 5)
    assert first.replicates == 400 and first.why.startswith("run.replicates, too few")


def test_the_command_plan() -> None:
    result = CliRunner().invoke(app, ["plan", str(PATH), "--pilot", "2"])
    assert result.exit_code == 0 and "120 replicates" in result.output and "on one core" in result.output


def test_tasks_are_handed_out_once() -> None:
    """Under way, a replicate is not handed out again; a cell is looked at when all of its replicates are back."""
    looks: list[tuple[str, int]] = []

    def look(cell: object, n: int) -> None:
        looks.append((str(cell), n))

    agenda = Agenda(study(replicates=60, minimum=3), {}, Shard(), look)
    tasks = [agenda.take() for _ in range(6)]
    assert agenda.take() is None and len({(task.cell.key, task.replicate) for task in tasks if task}) == 6
    agenda.learn(Result(task, [failure("mean", "ok", "", 0.0)], 0.0) for task in tasks[:5] if isinstance(task, Task))
    assert len(looks) == 1
    agenda.learn(Result(task, [failure("mean", "ok", "", 0.0)], 0.0) for task in tasks[5:] if isinstance(task, Task))
    assert len(looks) == 2 and agenda.take() is None
