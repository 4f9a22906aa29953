"""The studies `plan*`: scenarios, data that are not here, deficits by common rules, and their measures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from own_study import command, records, written

import saem
from experiments.harness.performance import COLUMNS
from experiments.harness.running import job_of
from experiments.harness.study import STUDIES, Cell, load_study
from experiments.harness.study.functions import functions_in
from experiments.harness.study.tasks import Task, run_task
from experiments.studies import dose_response, exact_maximum, plan, plan_ratio
from experiments.studies.elsewhere import VARIABLE, published
from saem.errors import DataError, ModelError, SaemError
from saem.families import arrange, pose
from saem.inference.log_likelihood import log_likelihood_at

ADD = Cell({"scenario": "imaxRichAdd"})


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """A data set of the quickest scenario."""
    scenario = dose_response.scenario_of("imaxRichAdd")
    return saem.simulate(scenario.model, dict(scenario.truth), scenario.design, seed=5)


def test_scenarios_are_those_of_the_suite() -> None:
    """Subjects and rows, and a value of every parameter in the truth and in the far start."""
    sizes = {"emaxRichProp": (100, 400), "emaxSparseProp": (200, 400), "imaxRichComb": (100, 600)}
    known = dose_response.scenarios()
    assert set(known) == set(load_study(STUDIES / "plan.toml").design.factors["scenario"])
    for name, scenario in known.items():
        if name in sizes:
            assert (scenario.design["id"].nunique(), len(scenario.design)) == sizes[name]
        drawn = saem.simulate(scenario.model, dict(scenario.truth), scenario.design, seed=1)
        names = set(arrange(scenario.model, drawn).parameters.names)
        assert names == set(scenario.truth) == set(scenario.far)
    assert known["emaxSparseProp"].design.groupby("id")["dose"].agg(tuple).value_counts().tolist() == [50] * 4
    with pytest.raises(SaemError, match="there is no scenario 'imaxRich'"):
        dose_response.scenario_of("imaxRich")


def test_data_that_are_not_here_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing, which variable names its folder, and where it is to be had."""
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(DataError, match=rf"{VARIABLE} must name a folder with plan_suite.*repository of the R package"):
        published("plan_suite")
    (tmp_path / "plan_suite").mkdir()
    assert published("plan_suite") == tmp_path / "plan_suite"


def test_a_deficit_is_that_of_the_likelihood(table: pd.DataFrame) -> None:
    """Of the truth, beside quadrature with 25 nodes; half of it is another number."""
    scenario = dose_response.scenario_of("imaxRichAdd")
    top = exact_maximum.Maximum(scenario.model, table)
    x = np.array([scenario.truth[name] for name in top.problem.parameters.names])
    own = [log_likelihood_at(top.problem, at, "quadrature", nodes=25).value for at in (top.fit.values, x)]
    found, error = top.deficit(scenario.truth)
    assert found == pytest.approx(2.0 * (own[0] - own[1]), abs=1e-3) and found > 1.0 and error == 0.0


def of_suite(folder: Path, table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    """A suite of one data set, for which saemix is said to have found the truth, but for E0, and with b below zero."""
    suite = folder / "plan_suite"
    suite.mkdir()
    table.assign(scenario="imaxRichAdd", dataset=1).to_parquet(suite / "data.parquet")
    row: dict[str, Any] = {"scenario": "imaxRichAdd", "setting": "defaultTrue", "Simulation": 1}
    row |= {"E0": 101.0, "Imax": 0.7, "ED50": 500.0, "gamma": 2.0, "beta_group(ED50)": -0.5, "a.1": -5.0}
    row |= {f"SE.{name}": 0.5 for name in list(row)[3:]}
    row |= {"omega2.E0": 0.01, "omega2.ED50": 0.09, "SE.omega2.E0": 0.002, "SE.omega2.ED50": 0.03}
    absent = ("Emax", "b.1", "omega2.Emax", "cov.Emax.ED50")
    row |= {name: math.nan for name in absent} | {f"SE.{name}": math.nan for name in absent}
    pd.DataFrame([row]).to_csv(suite / "saemix31.csv", index=False)
    monkeypatch.setenv(VARIABLE, str(folder))
    plan.tables.cache_clear()
    plan.estimates.cache_clear()


def test_published_data_and_estimates(table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data set of the suite, and saemix's estimates under the likelihood of the exact maximum."""
    of_suite(tmp_path, table, monkeypatch)
    data = plan.generate(ADD, 0, 0)
    assert data[0] == 1 and np.array_equal(data[1]["y"], table["y"])
    with pytest.raises(DataError, match="there is no data set 2 of imaxRichAdd"):
        plan.generate(ADD, 0, 1)
    top = plan.estimate(data, ADD, {"method": "ml", "start": "truth"}, 0)
    found = plan.estimate(data, ADD, {"saemix": "defaultTrue"}, 0)
    assert found.numbers["omega_E0"][:2] == pytest.approx((0.1, 0.01))  # the delta method
    assert found.numbers["a"][:2] == (5.0, 0.5) and math.isnan(found.numbers["Emax_pop"][0])
    assert found.numbers["deficit"][0] == pytest.approx(2.0 * (top.loglik - found.loglik)) and top.loglik > found.loglik
    with pytest.raises(SaemError, match="saemix was not run on imaxRichAdd under the setting longFalse"):
        plan.estimate(data, ADD, {"saemix": "longFalse"}, 0)
    monkeypatch.undo()
    plan.tables.cache_clear()
    plan.estimates.cache_clear()


def test_intervals_by_the_likelihood_ratio_are_nearly_profiles(table: pd.DataFrame) -> None:
    """Ends within a tenth of a standard error of those of the profile, where the truth is near one of them."""
    scenario = dose_response.scenario_of("imaxRichAdd")
    top = exact_maximum.Maximum(scenario.model, table)
    at = saem.profile(top.fit, ["omega_E0"]).intervals.loc["omega_E0"]
    moved = dose_response.replace(scenario, truth={**scenario.truth, "omega_E0": 1.01 * float(at["upper"])})
    value, se, lower, upper, _ = plan_ratio.by_ratio(moved, table, top, "omega_E0")
    assert value == pytest.approx(at["estimate"]) and abs(upper - at["upper"]) < 0.1 * se
    assert not lower <= moved.truth["omega_E0"] <= upper
    inside = dose_response.replace(scenario, truth={**scenario.truth, "omega_E0": 0.99 * float(at["upper"])})
    _, _, lower, upper, _ = plan_ratio.by_ratio(inside, table, top, "omega_E0")
    assert lower <= inside.truth["omega_E0"] <= upper


@pytest.mark.slow
def test_a_replicate_on_simulated_data() -> None:
    """SAEM from two starts is within .04 of the exact maximum, and not above it."""
    path = STUDIES / "plan_simulated.toml"
    study = load_study(path, quick=True)
    assert ADD in study.design.all()
    found = run_task(job_of(study, path), Task(ADD, 0, ("ml", "saem_truth", "saem_far"))).records
    place = list(study.estimands).index("deficit")
    for record in found:
        assert record["status"] == "ok" and record["warnings"] == [], record["message"]
        deficit = record["numbers"][place][0]
        assert math.isnan(deficit) if record["method"] == "ml" else -1e-6 < deficit < 0.04


def test_the_default_start_is_not_where_a_coefficient_moves_nothing() -> None:
    """A search without random effects left `beta` at -13, so that no dose was small in one group, and ml failed."""
    scenario = dose_response.scenario_of("imaxRichAdd")
    table = saem.simulate(scenario.model, dict(scenario.truth), scenario.design, seed=4027698402633539899)
    problem = pose(scenario.model, arrange(scenario.model, table))
    start = dict(zip(problem.parameters.names, problem.starts.first, strict=True))
    assert abs(start["beta"] + 0.5) < 0.3 and abs(start["ED50_pop"] - 500.0) < 150.0


def test_measures_of_deficits() -> None:
    """By hand: a fit that failed is not within the limit."""
    values = [0.01, 0.03, 0.05, math.nan]
    rows = pd.DataFrame([dict.fromkeys(COLUMNS, math.nan)] * 4).astype(object)
    rows = rows.assign(cell="scenario=hillRichProp", method="saem", estimand="deficit", estimate=values)
    rows["status"] = ["ok", "ok", "not_converged", "error"]
    found = dose_response.performance(rows).set_index("measure")
    assert found.loc["within", ["value", "n"]].tolist() == [0.5, 4]
    assert found.loc["middle", ["value", "n"]].tolist() == pytest.approx([0.03, 3])
    sparse = dose_response.performance(rows.assign(cell="scenario=hillSparseProp")).set_index("measure")
    assert sparse.loc["within", "value"] == 0.75


def test_generate_may_ask_for_the_number_of_the_replicate(tmp_path: Path) -> None:
    """Each replicate gets its own; a third argument of another name is refused."""
    path = written(tmp_path, generate="return np.full(3, float(replicate))")
    file = path.with_suffix(".py")
    own = file.read_text().replace("generate(cell, seed)", "generate(cell, seed, replicate)")
    file.write_text(own)
    command("run", path, "-o", tmp_path / "out", "--workers", 0)
    values = [record["numbers"][0][0] for record in records(tmp_path / "out")["plain"]]
    assert sorted(values) == [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 3.0, 3.0, 3.0, 3.0]
    file.write_text(own.replace("replicate", "number"))
    with pytest.raises(ModelError, match=r"called as generate\(cell, seed\); missing a required argument: 'number'"):
        functions_in(file)
