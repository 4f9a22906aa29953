"""`saem diagnose` and `saem predict` on saved fits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commandline import invoke
from linear_family import PEPTIDE, example_table, peptide_design

import saem
from saem import Model, recipes

MODEL = Model.from_text(recipes.text("peptide"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Saved fits: an ordinary one; one without random effects; one that is not identified; a table to predict."""
    root = tmp_path_factory.mktemp("fits")
    table = example_table(12, 1)
    saem.fit(MODEL, table, "ml").save(root / "good")
    small = saem.simulate(MODEL, PEPTIDE | {"sigma1": 0.0, "sigma2": 0.0}, peptide_design(2), 0)
    saem.fit(MODEL, small, "ml").save(root / "small")
    saem.fit(MODEL.replace(constraints={}), table, "ml").save(root / "free")
    rows = table.drop(columns="log2_intensity").iloc[:30].assign(batch=7)
    rows.loc[29, "replicate"] = 99
    rows.to_csv(root / "new.csv", index=False)
    return root


def test_diagnose(folder: Path, tmp_path: Path) -> None:
    """The files hold what the functions give; stdout has the tests, the largest and the most influential."""
    fit = saem.load(folder / "good")
    alone = invoke("diagnose", folder / "good", "--draws", "200", "--seed", "3")
    result = invoke("diagnose", folder / "good", "-o", tmp_path, "--draws", "200", "--seed", "3", "--workers", "1")
    assert alone.stdout == result.stdout and "written" not in alone.stderr
    residuals = pd.read_csv(tmp_path / "residuals.csv", index_col="index")
    expected = saem.residuals(fit)
    np.testing.assert_allclose(residuals[expected.columns], expected)
    assert list(residuals["replicate"]) == list(fit.table["replicate"])
    errors = saem.npde(fit, 200, seed=3)
    np.testing.assert_allclose(pd.read_csv(tmp_path / "npde.csv")["npde"], errors.table["npde"])
    np.testing.assert_allclose(pd.read_csv(tmp_path / "npde_tests.csv")["p"], errors.tests["p"])
    influence = saem.influence(fit)
    written = pd.read_csv(tmp_path / "influence.csv", index_col=["treatment", "replicate"])
    np.testing.assert_allclose(written["cooks_distance"], influence.table["cooks_distance"])
    np.testing.assert_allclose(written["change_sigma2"], influence.changes["sigma2"])
    effects = pd.read_csv(tmp_path / "random_effects.csv")
    np.testing.assert_allclose(effects["mean"], saem.random_effects(fit).table["mean"])
    for name in ("residuals", "npde", "influence", "random_effects"):
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000, name
    top = influence.table.sort_values("cooks_distance").iloc[-1]
    assert f"{top.name[0]}, {top.name[1]} " in result.stdout and f"{top['change']:+.2f}" in result.stdout
    assert f"{expected['normalised'].abs().max():.2f}" in result.stdout
    assert f"{errors.tests.loc['variance', 'value']:.3f}" in result.stdout


def test_diagnose_says_what_is_not_possible(folder: Path, tmp_path: Path) -> None:
    """Two replicates an arm, of which none can be left out; no random effects; parameters that are not determined."""
    small = invoke("diagnose", folder / "small", "-o", tmp_path / "small", "--draws", "100")
    assert "4 clusters cannot be left out" in small.stdout and "standard deviation sigma1" in small.stdout
    assert not (tmp_path / "small" / "random_effects.png").exists(), "absent effects have no quantiles"
    assert (tmp_path / "small" / "random_effects.csv").exists()
    free = invoke("diagnose", folder / "free", "-o", tmp_path / "free", "--draws", "100")
    assert "no influence: the data do not determine" in " ".join(free.stderr.split())
    assert "largest residuals" in free.stdout and not (tmp_path / "free" / "influence.csv").exists()
    assert list(tmp_path.glob("**/*.png")) and "influential" not in free.stdout


def test_predict(folder: Path, tmp_path: Path) -> None:
    fit, rows = saem.load(folder / "good"), pd.read_csv(folder / "new.csv")
    invoke("predict", folder / "good", folder / "new.csv", "--level", "0.8", "-o", tmp_path / "p.csv")
    written, expected = pd.read_csv(tmp_path / "p.csv"), saem.predict(fit, rows, 0.8)
    assert list(written.columns) == [*rows.columns, *expected.columns] and not written["known"].iloc[29]
    for name in expected.columns[1:]:
        np.testing.assert_allclose(written[name], expected[name])
    shown = invoke("predict", folder / "good", folder / "new.csv", "--where", "replicate < 50")
    assert f"{expected['predicted'].iloc[0]:.3f}" in shown.stdout and "and 17 rows more" in shown.stderr
    twice = written[[*rows.columns, "lower"]]
    twice.to_csv(tmp_path / "again.csv", index=False)
    invoke("predict", folder / "good", tmp_path / "again.csv", "-o", tmp_path / "p2.csv")
    assert {"data_lower", "lower"} < set(pd.read_csv(tmp_path / "p2.csv").columns)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("diagnose", "nowhere"), "nowhere"),
        (("diagnose", "good", "--draws", "5"), "100"),
        (("diagnose", "good", "--workers", "0"), "1"),
        (("predict", "good", "nowhere.csv"), "no data file"),
        (("predict", "good", "new.csv", "--refuse-new"), "1 of 30 rows are of clusters that the fit does not know"),
        (("predict", "good", "new.csv", "--level", "95"), "between 0 and 1"),
        (("predict", "good", "new.csv", "-o", "p.xls"), "must end in .csv or .parquet"),
    ],
)
def test_bad_input(folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str) -> None:
    monkeypatch.chdir(folder)
    assert words in " ".join(invoke(*arguments, code=2).output.split())
