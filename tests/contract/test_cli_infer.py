"""`saem profile`, `saem derive`, `saem test`, `saem loglik` on saved fits."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commandline import invoke
from linear_family import example_table

import saem
from saem import Model, recipes

pytestmark = pytest.mark.usefixtures("undrawn")

MODEL = Model.from_text(recipes.text("peptide"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `saem fit --method both` writes it, and that of a smaller model."""
    root = tmp_path_factory.mktemp("fits")
    table = example_table(12, 1)
    for method in ("ml", "saem"):
        saem.fit(MODEL, table, method).save(root / "both" / method)
    saem.fit(MODEL.replace(fixed={"b21": 0.0}), table, "ml").save(root / "small")
    return root


def test_profile(folder: Path, tmp_path: Path) -> None:
    """Of several fits that by ML is profiled; the files hold what is shown."""
    result = invoke("profile", folder / "both", "--parameter", "sigma1", "--parameter", "c2", "-o", tmp_path)
    expected = saem.profile(saem.load(folder / "both" / "ml"), ["sigma1", "c2"])
    written = pd.read_csv(tmp_path / "intervals.csv", index_col="parameter")
    assert written["lower"].to_numpy() == pytest.approx(expected.intervals["lower"].to_numpy(float))
    assert len(pd.read_csv(tmp_path / "points.csv")) == len(expected.points)
    assert (tmp_path / "profile.png").stat().st_size > 10_000
    assert f"{expected.intervals.loc['c2', 'upper']:.3f}" in result.stdout and "Wald lower" in result.stdout


def test_derive(folder: Path, tmp_path: Path) -> None:
    result = invoke("derive", folder / "both" / "saem", "icc = sigma1**2 / (sigma1**2 + sigma**2)", "-o", tmp_path)
    written = pd.read_csv(tmp_path / "derived.csv", index_col="quantity").loc["icc"]
    assert 0.0 < written["lower"] < written["estimate"] < written["upper"] < 1.0
    assert "icc" in result.stdout


def test_derive_with_robust_errors(folder: Path) -> None:
    """All parameters and variances where no quantity is given."""
    plain = invoke("derive", folder / "both").stdout
    robust = invoke("derive", folder / "both", "--information", "sandwich").stdout
    fit = saem.load(folder / "both" / "ml")
    found = saem.variances(fit, information=saem.fisher_information(fit, "sandwich"))
    assert "sigma2**2" in plain and plain != robust
    assert f"{found.loc['sigma**2', 'se']:.4f}"[:6] in robust


def test_fit_derives(folder: Path, tmp_path: Path) -> None:
    """`saem fit --derive`: the same as `saem derive` afterwards, and refused before the fit where it cannot be read."""
    model, data = tmp_path / "model.toml", tmp_path / "data.csv"
    model.write_text(MODEL.to_toml())
    example_table(12, 1).to_csv(data, index=False)
    ratio = "ratio = sigma2 / sigma1"
    result = invoke("fit", model, data, "--method", "both", "--derive", ratio, "-o", tmp_path / "out")
    written = pd.read_csv(tmp_path / "out" / "derived.csv", index_col=["method", "quantity"])
    expected = saem.derive(saem.load(folder / "both" / "ml"), {"ratio": "sigma2 / sigma1"}).loc["ratio"]
    assert written.loc[("ml", "ratio"), "se"] == pytest.approx(expected["se"])
    assert len(written) == 2 and "derived from saem" in result.stdout
    for wrong, words in (("r = sigma3", "sigma3"), ("sigma2", "name = expression"), (ratio, "leave it out with --by")):
        by = ["--by", "replicate"] if wrong == ratio else []
        assert words in " ".join(invoke("fit", model, data, "--derive", wrong, *by, code=2).output.split())


def test_t_tests(tmp_path: Path) -> None:
    """Of the means, and of quantities of means alone; the same from the saved fit; refused before time is spent."""
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"id": np.repeat(np.arange(8), 4), "x": np.tile([0.0, 1.0, 2.0, 3.0], 8)})
    table["y"] = 1.0 + 0.5 * table["x"] + np.repeat(rng.normal(size=8), 4) + 0.5 * rng.normal(size=32)
    model, data, out = tmp_path / "model.toml", tmp_path / "data.csv", tmp_path / "out"
    table.to_csv(data, index=False)
    model.write_text("response = 'y'\ncluster = 'id'\nmean = 'y ~ x'\n")
    plain = invoke("fit", model, data, "--method", "reml").stdout
    quantities = ("--derive", "at3 = intercept + 3 * x", "--derive", "icc = sd_intercept / sigma")
    result = invoke("fit", model, data, "--method", "reml", "--t-tests", *quantities, "-o", out)
    assert result.stdout.startswith(plain) and "Satterthwaite" in result.stdout and "Satterthwaite" not in plain
    written = pd.read_csv(out / "t_tests.csv", index_col=["method", "quantity"]).loc["reml"]
    assert list(written.index) == ["intercept", "x", "at3"] and written.loc["x", "df"] == pytest.approx(23.0, rel=1e-4)
    again = invoke("derive", out, "--t-tests", "at3 = intercept + 3 * x", "--level", "0.9", "-o", tmp_path / "again")
    row = pd.read_csv(tmp_path / "again" / "derived.csv", index_col="quantity").loc["at3"]
    assert row["df"] == pytest.approx(written.loc["at3", "df"]) and row["lower"] > written.loc["at3", "lower"]
    assert "at3" in again.stdout and "Satterthwaite" in again.stdout
    for wrong, words in (
        (("fit", model, data, "--t-tests", "--method", "bayes"), "'bayes' gives a posterior"),
        (("fit", model, data, "--t-tests", "--by", "x"), "--t-tests belongs to a single fit"),
        (("derive", out, "--t-tests", "icc = sd_intercept / sigma"), "functions of means alone"),
        (("derive", out, "--t-tests", "--information", "expected"), "leave out --information"),
    ):
        assert words in " ".join(invoke(*wrong, code=2).output.split())


def test_models_by_reml(tmp_path: Path) -> None:
    """`saem test` and `saem models` of restricted likelihoods: the same means, or a sentence."""
    rng = np.random.default_rng(2)
    table = pd.DataFrame({"id": np.repeat(np.arange(10), 4), "kind": np.tile(["p", "q"], 20), "x": np.arange(40.0)})
    table["y"] = np.repeat(rng.normal(size=10), 4) + np.where(table["kind"] == "p", 1.0, 0.5) * rng.normal(size=40)
    two = Model(response="y", cluster="id", mean="y ~ x", residual={"by": "kind"})
    saem.fit(two, table, "reml").save(tmp_path / "two")
    saem.fit(two.replace(constraints={"e": "sigma_p == sigma_q"}), table, "reml").save(tmp_path / "one")
    saem.fit(two.replace(mean="y ~ 1"), table, "reml").save(tmp_path / "other")
    shown = invoke("test", tmp_path / "one", tmp_path / "two").stdout
    found = saem.likelihood_ratio(saem.load(tmp_path / "one"), saem.load(tmp_path / "two"))
    assert f"p = {found.p:.3g}" in shown and found.df == 1
    assert "difference" in invoke("models", tmp_path / "one", tmp_path / "two").stdout
    for command in ("test", "models"):
        said = invoke(command, tmp_path / "other", tmp_path / "two", code=2).output
        assert "have different means" in " ".join(said.split())


def test_the_ratio_test(folder: Path) -> None:
    result = invoke("test", folder / "small", folder / "both")
    found = saem.likelihood_ratio(saem.load(folder / "small"), saem.load(folder / "both" / "ml"))
    assert re.search(r"chi-square\(1\): p = (\S+)", result.stdout).group(1) == f"{found.p:.3g}"  # type: ignore[union-attr]


def test_models(folder: Path, tmp_path: Path) -> None:
    result = invoke("models", folder / "small", folder / "both", "-o", tmp_path)
    written = pd.read_csv(tmp_path / "models.csv", index_col="model")
    fits = {str(folder / name): saem.load(folder / path) for name, path in (("small", "small"), ("both", "both/ml"))}
    expected = saem.compare_models(fits)
    assert list(written.index) == list(expected.index)
    assert written["aic"].to_numpy() == pytest.approx(expected["aic"].to_numpy())
    assert f"{expected['aic'].min():.3f}" in result.stdout


def test_bootstrap(folder: Path, tmp_path: Path) -> None:
    """The files hold what is shown; the same command goes on, and another one is refused."""
    arguments = ("bootstrap", folder / "small", "--replicates", 25, "--seed", 3, "--workers", 1, "-o", tmp_path / "b")
    result = invoke(*arguments, "--interval", "basic", "--level", "0.9")
    expected = saem.bootstrap(saem.load(folder / "small"), 25, 3, workers=1)
    written = pd.read_csv(tmp_path / "b" / "estimates.csv", index_col="replicate")
    pd.testing.assert_frame_equal(written, expected.estimates, check_exact=False)
    table = pd.read_csv(tmp_path / "b" / "bootstrap.csv", index_col="parameter")
    assert table["se"].to_numpy() == pytest.approx(expected.table["se"].to_numpy())
    ends = expected.intervals(0.9, "basic").to_numpy(float)
    assert table[["lower", "upper"]].to_numpy() == pytest.approx(ends, nan_ok=True)
    assert (tmp_path / "b" / "bootstrap.png").stat().st_size > 10_000
    assert "25 replicates; 0 failed; basic intervals, 90 %" in result.stdout
    assert f"{expected.table.loc['sigma', 'bias']:.4f}"[:6] in result.stdout
    again = invoke(*arguments)
    assert "percentile intervals, 95 %" in again.stdout
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "estimates.csv").touch()
    refused = invoke("bootstrap", folder / "small", "--replicates", 25, "-o", tmp_path / "other", code=2)
    assert "use another folder" in " ".join(refused.output.split())


def test_the_ratio_test_by_bootstrap(folder: Path, tmp_path: Path) -> None:
    options = ("--bootstrap", 25, "--seed", 2, "--workers", 1, "-o", tmp_path)
    result = invoke("test", folder / "small", folder / "both", *options)
    fits = saem.load(folder / "small"), saem.load(folder / "both" / "ml")
    found = saem.bootstrap_test(*fits, 25, 2, workers=1)
    assert f"by 25 replicates: p = {found.p:.3g}, Monte Carlo error {found.p_mcse:.1g}" in result.stdout
    written = pd.read_csv(tmp_path / "replicates.csv", index_col="replicate")
    assert written["statistic"].to_numpy() == pytest.approx(found.replicates["statistic"].to_numpy())


def test_loglik(folder: Path, tmp_path: Path) -> None:
    """Three ways side by side, or one."""
    result = invoke("loglik", folder / "both", "--draws", "200", "--seed", "3", "--nodes", "3", "-o", tmp_path)
    fit = saem.load(folder / "both" / "ml")
    written = pd.read_csv(tmp_path / "loglik.csv", index_col="method")
    assert written.loc[["exact", "quadrature"], "loglik"].to_numpy() == pytest.approx(fit.loglik)
    sampled = saem.log_likelihood(fit, "importance", draws=200, seed=3)
    assert written.loc["importance", "loglik"] == pytest.approx(sampled.value)
    parts = pd.read_csv(tmp_path / "clusters.csv")
    assert parts.groupby("method")["loglik"].sum()["exact"] == pytest.approx(fit.loglik)
    assert list(parts)[:2] == ["treatment", "replicate"] and len(parts) == 3 * 24
    assert re.search(rf"exact +{fit.loglik:.4f} +0 ", result.stdout) and f"{sampled.mcse:.2g}" in result.stdout
    few = invoke("loglik", folder / "both", "--method", "importance", "--draws", "5")
    assert "exact" not in few.stdout and "cannot be trusted" in " ".join(few.stderr.split())


def test_verify(folder: Path, tmp_path: Path) -> None:
    """All fits of a folder; one that is elsewhere ends with an exit code of its own."""
    result = invoke("verify", folder / "both", "--starts", 3, "-o", tmp_path)
    assert result.stderr.count(": verified") == 2 and "None of 3 starts" in result.stdout
    written = pd.read_csv(tmp_path / "verification.csv")
    assert set(written["method"]) == {"ml", "saem"} and written["shift"].abs().max() < 0.3
    fit = saem.load(folder / "both" / "ml")
    replace(fit, values=fit.values * 1.1, inner=np.empty(0)).save(tmp_path / "off")
    off = invoke("verify", tmp_path / "off", code=1)
    assert "NOT VERIFIED" in off.stderr and "below the maximum" in off.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("profile", "nowhere"), "nowhere"),
        (("profile", "both", "--parameter", "sgma"), "did you mean 'sigma'"),
        (("profile", "both", "--level", "2"), "between 0 and 1"),
        (("derive", "both", "sigma"), "name = expression"),
        (("derive", "both", "--seed", "3"), "--seed belongs to --draws N or --information louis"),
        (("derive", "both", "q = log(b21 - 10)"), "no value"),
        (("test", "both", "small"), "fixes b21 at 0"),
        (("test", "small", "both", "--seed", "1"), "--seed belongs to --bootstrap N"),
        (("bootstrap", "both", "--level", "0"), "between 0 and 1"),
        (("loglik", "both", "--method", "exact", "--draws", "10"), "--draws belongs to --method importance"),
        (("loglik", "both", "--method", "quadrature", "--nodes", "101"), "from 1 to 100; got 101"),
    ],
)
def test_bad_input(folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str) -> None:
    monkeypatch.chdir(folder)
    assert words in " ".join(invoke(*arguments, code=2).output.split())
