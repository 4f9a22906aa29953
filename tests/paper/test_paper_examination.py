"""Section 8 of the paper: what the examination of the real sites finds, and what is made of it."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import saem
from experiments.harness.figures.saving import written
from experiments.studies.examine import ERROR, examine
from experiments.studies.links import NO_LINK, model_of, scene_named
from experiments.studies.peptide import peptide_table
from paper.digest import Digest
from paper.figures.sites import reachable
from paper.real_data import digest_of
from saem.errors import StorageError


def test_the_band_of_p_values_holds_what_it_says() -> None:
    """At least 95 % of bootstrap p-values where chi-square is right; with fewer samples it is wider (mutant)."""
    from scipy.stats import binom

    p, k = np.geomspace(1e-5, 1.0, 50), np.arange(200)
    low, high = reachable(p, 199)
    inside = (low[:, None] <= (1 + k) / 200.0) & ((1 + k) / 200.0 <= high[:, None])
    assert (np.sum(inside * binom.pmf(k, 199, p[:, None]), axis=1) >= 0.95).all()
    wider = reachable(p, 39)
    assert (wider[1] - wider[0] > 1.5 * (high - low)).all()


@pytest.fixture(scope="module")
def examined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the examination of two sites writes, one of which cannot be fitted."""
    folder = tmp_path_factory.mktemp("examined")
    table = peptide_table(5, seed=3)
    found = [examine("good", table, 20, 1), examine("bad", table[table["modification"] == "modified"], 20, 1)]
    pd.DataFrame([row for one in found for row in one.fits]).to_csv(folder / "sites.csv", index=False)
    pd.DataFrame([row for one in found for row in one.parameters]).to_csv(folder / "parameters.csv", index=False)
    (folder / "run.json").write_text(json.dumps({"data": "0", "draws": 20, "seed": 1, "code": "1"}), encoding="utf-8")
    return folder


def test_a_site_that_cannot_be_fitted_is_a_row(examined: Path) -> None:
    """With its message; the other one is fitted by both methods under all links."""
    fits = pd.read_csv(examined / "sites.csv")
    bad = fits[fits["site"] == "bad"]
    assert len(bad) == 6 and (bad["status"] == ERROR).all() and bad["message"].notna().all()
    good = fits[fits["site"] == "good"].set_index(["link", "method"])
    assert (good["status"] != ERROR).all()
    assert (good["largest_distance"].xs("saem", level="method") < 0.2).all()
    posted = good.loc[("posted", "ml")]
    assert posted["p_bootstrap_mcse"] == pytest.approx(
        (posted["p_bootstrap"] * (1 - posted["p_bootstrap"]) / 20) ** 0.5
    )


def test_the_posted_link_is_tested_as_in_the_study(examined: Path) -> None:
    """The same statistic as by the models of `experiments.links`; that of another link is another (mutant)."""
    fits, table = pd.read_csv(examined / "sites.csv").set_index(["site", "link", "method"]), peptide_table(5, seed=3)
    free = saem.fit(model_of("additive", NO_LINK), table, "ml")
    for link, other in (("posted", "log2"), ("log2", "posted")):
        tied = saem.fit(model_of("additive", link), table, "ml")
        statistic = saem.likelihood_ratio(tied, free).statistic
        assert fits.loc[("good", link, "ml"), "statistic"] == pytest.approx(statistic, rel=1e-4, abs=1e-6)
        assert fits.loc[("good", other, "ml"), "statistic"] != pytest.approx(statistic, rel=1e-2)
    assert scene_named("additive").fixed == ("b21", "b22")


def test_sites_become_a_digest(examined: Path, tmp_path: Path) -> None:
    """It has what the files have, is read back as it was, and is drawn and tabulated; nothing of the data is in it."""
    digest = digest_of(examined)
    digest.save(tmp_path / "sites")
    digest = Digest.read(tmp_path / "sites")
    estimates = pd.read_csv(examined / "parameters.csv").set_index(["site", "link", "method", "parameter"])
    entry = digest.at("estimate", "saem", "c2", site="good", link="log2")
    assert entry.value == pytest.approx(estimates.loc[("good", "log2", "saem", "c2"), "estimate"], rel=1e-5)
    assert entry.mcse == pytest.approx(estimates.loc[("good", "log2", "saem", "c2"), "mcse"], rel=1e-5)
    assert digest.at("is_error", "ml", site="bad", link="posted").value == 1.0
    assert "log2_intensity" not in digest.measures.to_string()
    digests = {"sites": digest}
    assert written(importlib.import_module("paper.figures.sites").draw(digests), "pdf")[:4] == b"%PDF"
    for name in ("sites", "site_intervals", "site_tests"):
        table = importlib.import_module(f"paper.tables.{name}").table(digests)
        assert table.startswith(r"\begin{tabular}") and "nan" not in table
    found = list(importlib.import_module("paper.numbers.sites").numbers(digests))
    keys = {number.key: number.text for number in found}
    assert len(keys) == len(found) and keys["sites.n"] == "2"
    assert keys["sites.posted.ml.error"] == "1" and keys["sites.posted.ml.fitted"] == "1"


def test_a_digest_of_nothing_is_an_error(tmp_path: Path) -> None:
    """That names the files and the command."""
    with pytest.raises(StorageError, match=r"must hold sites\.csv.*experiments\.sites"):
        digest_of(tmp_path)
