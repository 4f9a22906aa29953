"""`saem check`: what it tells of a model and a table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from commandline import MODEL, invoke, replace

from saem.families.designed_describe import mean_words
from saem.inference.identifiability import Identifiability
from saem.inference.structure import Structure

# check


def found(null_directions=(), maxima=None):
    nothing = pd.DataFrame(columns=["loglik", "below"])
    structure = Structure(pd.DataFrame({"n_null": [0, 0], "n_solutions": [1.0, 3.0]}), 2)
    return lambda model, table: Identifiability(
        not null_directions,
        null_directions,
        np.empty((0, 2)),
        2,
        2,
        structure,
        pd.DataFrame(),
        nothing if maxima is None else maxima,
        pd.DataFrame(),
        0 if maxima is None else int((maxima["below"] == 0.0).sum()),
    )


@pytest.fixture
def identified(monkeypatch):
    replace(monkeypatch, "inference.identifiability", identifiability=found())


def test_check_tells_what_is_understood(files, identified):
    text = invoke("check", "model.toml", "data.csv", "--where", "subject < 3").stdout
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for line in (
        "model.toml: a linear model for y",
        "mu mean all rows",
        "effect mean arm == 'b'",
        "sigma2 random-effect SD intercept where arm is b",
        "sigma residual SD all rows",
        "g effect == sigma2**2 - sigma1**2",
        "16 rows in data.csv",
        "12 rows where subject < 3",
        "Clusters (arm × subject)",
        "a sigma1 3 6 2",
        "b sigma2 3 6 2",
        "Cells (2 different means)",
        "a 6 mu",
        "b 6 mu + effect",
        "2 mean parameters, rank of their design 2",
        "Yes, near the estimate: no direction is left free.",
    ):
        assert line in lines, line


def test_check_shows_the_priors_of_the_model(files, identified):
    assert "Priors" not in invoke("check", "model.toml", "data.csv").stdout
    (files / "model.toml").write_text(MODEL + '\n[priors]\nmu = "normal(0, 2)"\n')
    text = invoke("check", "model.toml", "data.csv").stdout
    assert "Priors (method bayes; defaults for the others)" in text and "normal(0, 2)" in text


def test_check_of_means_that_the_rows_do_not_determine(files, monkeypatch):
    text = MODEL.replace("[mean]", "[mean]\nother = \"arm == 'b'\"")
    (files / "model.toml").write_text(text.replace("[constraints]", "[fixed]\nsigma = 1\n[constraints]"))
    null = ("other and effect can move together (other by +1, effect by -1) without a change of the fit.",)
    replace(monkeypatch, "inference.identifiability", identifiability=found(null))
    text = invoke("check", "model.toml", "data.csv").stdout
    assert "3 mean parameters, rank of their design 2: the rows alone leave 1 direction of the means" in text
    assert f"No:\n  {null[0]}" in text
    assert "by design: determined at 2 of 2 random parameter points; at 1 of them up to 3 sets of" in text
    assert " ".join(next(line for line in text.splitlines() if line.startswith("sigma ")).split()).endswith(
        "all rows 1"
    )


def test_check_of_a_design(files):
    """Without the response: what holds for any. A misspelt response is no design."""
    pd.read_csv("data.csv").drop(columns="y").to_csv("design.csv", index=False)
    text = invoke("check", "model.toml", "design.csv").stdout
    assert "There is no column y: this is a design" in text and "Yes: no direction is left free." in text
    assert "with a response from" not in text and "globally" not in text and "by design" in text
    pd.read_csv("data.csv").rename(columns={"y": "yy"}).to_csv("misspelt.csv", index=False)
    assert "needs column 'y'" in invoke("check", "model.toml", "misspelt.csv", code=2).output


def test_check_of_several_solutions(files, monkeypatch):
    maxima = {"loglik": [-1.0, -1.0, -2.0], "below": [0.0, 0.0, 1.0], "mu": [0.0, 0.0, 3.0], "other": [1.0, 2.5, 4.0]}
    replace(monkeypatch, "inference.identifiability", identifiability=found(maxima=pd.DataFrame(maxima)))
    text = invoke("check", "model.toml", "data.csv").stdout
    assert "2 sets of parameters with the same likelihood:\n  mu=0, other=1\n  mu=0, other=2.5" in text
    assert "mu=3" not in text


def test_check_counts_what_is_left_out(files, identified):
    table = pd.read_csv("data.csv")
    table.loc[[1, 5], "y"] = [np.nan, np.inf]
    table.to_csv("data.csv", index=False)
    text = invoke("check", "model.toml", "data.csv", "--drop-missing").stdout
    assert "2 rows left out because of missing values" in text and "14 rows used" in text
    assert " ".join(next(line for line in text.splitlines() if line.startswith("a  ")).split()) == "a sigma1 4 6 1 to 2"


def test_check_warns_of_repeated_rows(files, identified):
    table = pd.read_csv("data.csv")
    pd.concat([table, table.iloc[[3]]]).to_csv("data.csv", index=False)
    assert "row 17 (as row 4)" in invoke("check", "model.toml", "data.csv").stderr


def test_check_of_a_formula_and_two_terms(files, identified):
    (files / "model.toml").write_text(
        'mean = "y ~ arm * time"\ncluster = "subject"\n[random]\nterms = { intercept = "1", time = "time" }\n'
        '[residual]\nby = "arm"\n'
    )
    lines = [" ".join(line.split()) for line in invoke("check", "model.toml", "data.csv").stdout.splitlines()]
    assert "corr_intercept_time correlation intercept and time" in lines
    assert "sigma_a residual SD rows where arm is a" in lines and "a sigma_a 8" in lines
    assert "none" in lines and "4 mean parameters, rank of their design 4" in lines


def test_a_mean_in_words():
    names = ["mu", "c2", "slope"]
    assert mean_words(np.array([1.0, 0.0, 2.5]), names) == "mu + 2.5 slope"
    assert mean_words(np.array([-1.0, 1.0, -0.5]), names) == "- mu + c2 - 0.5 slope"
    assert mean_words(np.zeros(3), names) == "0"
