"""`compare`: several methods side by side."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from commandline import invoke
from linear_family import PEPTIDE, peptide_design

import saem
from saem import Model, recipes
from saem.algorithms.saem import SAEM
from saem.comparison import COLUMNS
from saem.schedules import AveragedSchedule, RobbinsMonroSchedule
from saem.stopping import Target

MODEL = Model.from_text(recipes.text("peptide"))


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return saem.simulate(MODEL, PEPTIDE, peptide_design(12), 1)


def test_the_table_of_the_methods(table: pd.DataFrame) -> None:
    found = saem.compare(MODEL, table, ("saem", "em", "mcem", "ml"), seed=3)
    rows = found.table.set_index("method")
    assert list(found.table.columns) == COLUMNS and list(rows.index) == ["saem", "em", "mcem", "ml"]
    assert found.reference == "ml" and rows.loc["ml", "largest_distance"] == 0.0
    assert rows["deficit"].min() == 0.0 and rows.loc["saem", "deficit"] > 1e-6
    assert rows.loc["saem", "loglik"] == saem.fit(MODEL, table, "saem", seed=3).loglik, "the fit that `fit` gives"
    assert (rows.loc[["em", "ml"], "draws"] == 0).all()
    assert rows.loc["saem", "draws"] == 350 * 24 * 42, "24 random effects, 42 draws of each in an iteration"
    assert rows.loc["saem", "iterations"] == 350 and rows.loc["mcem", "iterations"] == 150
    assert 0.0 < rows.loc["saem", "largest_mcse_share"] <= 0.05
    assert np.isnan(saem.compare(MODEL, table, ("stochastic_em",)).table["largest_mcse_share"][0]), "it has none"
    saem_fit, ml = found.fits["saem"], found.fits["ml"]
    expected = np.max(np.abs(saem_fit.values - ml.values) / ml.se)
    assert rows.loc["saem", "largest_distance"] == pytest.approx(expected)


def test_without_ml_the_highest_is_the_reference(table: pd.DataFrame) -> None:
    assert saem.compare(MODEL, table, ("saem", "em")).reference == "em"


def test_restricted_likelihoods_are_no_yardstick(table: pd.DataFrame) -> None:
    plain = MODEL.replace(constraints={}, fixed={"b21": 0.0})
    rows = saem.compare(plain, table, ("saem", "reml", "ml")).table.set_index("method")
    assert np.isnan(rows.loc["reml", "deficit"]) and rows.loc["ml", "deficit"] == 0.0
    assert 0.0 < rows.loc["saem", "deficit"] < 0.01
    assert saem.compare(plain, table, ("reml", "saem")).reference == "saem"
    linked = saem.compare(MODEL, table, ("reml", "ml"))
    assert "REML integrates the means out" in linked.failures["reml"] and list(linked.fits) == ["ml"]


def test_methods_of_your_own(table: pd.DataFrame) -> None:
    class Short(SAEM):
        name = "short"

    short = Short(AveragedSchedule(burn_in=300, iterations=300), target=Target(max_iterations=0))
    rows = saem.compare(MODEL, table, (short, "ml")).table.set_index("method")
    assert rows.loc["short", "iterations"] == 600


def test_variants_of_a_method_have_labels(table: pd.DataFrame) -> None:
    """The same random stream, so that they differ in nothing but their settings; names of the methods are no labels."""
    methods = {"textbook": SAEM(RobbinsMonroSchedule()), "default": "saem", "again": SAEM(), "direct": "ml"}
    found = saem.compare(MODEL, table, methods, seed=3)
    assert list(found.fits) == list(methods) and found.reference == "direct"
    assert np.array_equal(found.fits["default"].values, found.fits["again"].values)
    assert not np.array_equal(found.fits["default"].values, found.fits["textbook"].values)
    assert list(found.table["method"]) == list(methods)
    with pytest.raises(saem.SaemError, match="Give variants of a method labels"):
        saem.compare(MODEL, table, [SAEM(), SAEM(RobbinsMonroSchedule())])
    for bad in ({}, {1: "saem"}, {"": "saem"}):
        with pytest.raises(saem.SaemError, match="by label"):
            saem.compare(MODEL, table, bad)


def test_a_method_that_fails_costs_no_other(table: pd.DataFrame) -> None:
    class Fails:
        name = "fails"

        def run(self, problem: object, seed: int = 0) -> None:
            raise saem.errors.FitError("on purpose")

    found = saem.compare(MODEL, table, (Fails(), "ml"))  # type: ignore[arg-type]
    row = found.table.set_index("method").loc["fails"]
    assert (row["status"], row["message"]) == ("error", "on purpose")
    with pytest.raises(saem.SaemError, match="none of the methods fails found an estimate; on purpose"):
        saem.compare(MODEL, table, (Fails(),))  # type: ignore[arg-type]
    with pytest.raises(saem.SaemError, match="different names"):
        saem.compare(MODEL, table, ("ml", "ml"))


def test_the_command(table: pd.DataFrame, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    table.to_csv("data.csv", index=False)
    (tmp_path / "model.toml").write_text(recipes.text("peptide"))
    result = invoke("compare", "model.toml", "data.csv", "--methods", "saem, em,ml", "-o", "out")
    assert [line.split()[0] for line in result.stdout.splitlines()[2:5]] == ["SAEM", "EM", "ML"]
    assert "highest log-likelihood" in result.stdout
    written = pd.read_csv("out/comparison.csv")
    assert list(written["method"]) == ["saem", "em", "ml"]
    assert len(pd.read_csv("out/estimates.csv")) == 24
    assert set(pd.read_csv("out/history.csv")["method"]) == {"saem"}
    pd.testing.assert_frame_equal(pd.read_parquet("out/comparison.parquet"), written, check_dtype=False, rtol=1e-12)
    for name in ("comparison", "cost"):
        assert (tmp_path / "out" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    pd.concat([table, table.iloc[:1]]).to_csv("twice.csv", index=False)
    assert "warning: " in invoke("compare", "model.toml", "twice.csv", "--methods", "ml").stdout
    assert "there is no method 'sam'" in invoke("compare", "model.toml", "data.csv", "--methods", "sam", code=2).stderr
