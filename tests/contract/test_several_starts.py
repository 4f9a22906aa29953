"""Fits from several starts: they find the other maxima of theophylline-like data, and say how many starts led where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from commandline import invoke, replace
from handmade import storable_fit

import saem
from saem import recipes
from saem.algorithms.direct_ml import DirectML
from saem.errors import ModelError
from saem.families import arrange, pose
from saem.families.nonlinear import basins
from saem.maxima.several import several_starts

MODEL = saem.Model.from_text(recipes.text("theophylline")).replace(fixed={"beta": 0.75}, start={})
TRUTH = {"ka_pop": 1.5, "V_pop": 32.0, "CL_pop": 2.8, "a": 0.6, "omega_ka": 0.6, "omega_V": 0.12, "omega_CL": 0.25}
TIMES = np.array([0.25, 0.5, 1.0, 2.0, 3.5, 5.0, 7.0, 9.0, 12.0, 24.0])


def table() -> pd.DataFrame:
    n = 12
    weight = np.repeat(np.linspace(55.0, 86.0, n), len(TIMES))
    rows = {"Id": np.repeat(np.arange(n), len(TIMES)), "Time": np.tile(TIMES, n), "Dose": 320.0, "Weight": weight}
    return saem.simulate(MODEL, TRUTH, pd.DataFrame(rows), seed=4)


def elimination(fit: saem.Fit) -> np.ndarray:
    """Of each maximum the rate of absorption over that of elimination."""
    at = {name: fit.solutions[:, fit.parameters.index(name)] for name in ("ka_pop", "V_pop", "CL_pop")}
    return at["ka_pop"] * at["V_pop"] / at["CL_pop"]


@pytest.mark.parametrize("method", ["ml", pytest.param("saem", marks=pytest.mark.slow)])
def test_absorption_and_elimination_are_exchanged(method: str) -> None:
    """From one start one maximum, whichever it is; from three both, and the higher is the fit."""
    rows = table()
    one = saem.fit(MODEL, rows, method, seed=1)
    assert len(one.solutions) == 1
    assert "the one that the start leads to" in one.message or one.status == "boundary"
    fit = saem.fit(MODEL, rows, method, seed=1, starts=3)
    ratio = elimination(fit)
    assert len(ratio) == 2
    assert np.sum(ratio < 1.0) == 1
    assert fit.loglik == pytest.approx(fit.solution_logliks[0], abs=1e-9)
    assert fit.solution_logliks[0] > fit.solution_logliks[1]
    np.testing.assert_array_equal(fit.solutions[0], fit.values)
    assert "Of 3 starts" in fit.message
    assert "another maximum lower by" in fit.message
    assert "the one that the start leads to" not in fit.message
    far = 1e-3 if method == "ml" else 0.05  # as far as rules of integration agree, or draws
    assert min(abs(fit.solution_logliks - one.loglik)) < far


def test_mutant_starts_that_lie_about_the_first_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(basins, "other_maxima", lambda *arguments: [])
    assert len(saem.fit(MODEL, table(), "ml", starts=3).solutions) == 1


def test_starts_of_a_problem() -> None:
    problem = pose(MODEL, arrange(MODEL, table()))
    found = several_starts(problem, 6)
    assert len(found) == 6
    np.testing.assert_array_equal(found[0], problem.starts.first)
    assert all(np.all(problem.parameters.domains.room(x)[~problem.parameters.fixed] > 0.0) for x in found)
    assert all(x[problem.parameters.index("beta")] == 0.75 for x in found)
    assert len({x.tobytes() for x in found}) == 6


def test_a_linear_model_has_one_maximum_from_all_starts() -> None:
    rng = np.random.default_rng(1)
    rows = pd.DataFrame({"id": np.repeat(np.arange(15), 4), "x": np.tile(np.arange(4.0), 15)})
    rows["y"] = 1.0 + rows["x"] + rng.standard_normal(15)[rows["id"]] + rng.standard_normal(60)
    model = saem.Model(
        response="y", cluster="id", mean={"a": "1", "b": "x"}, random={"sd": "omega"}, residual={"sd": "sigma"}
    )
    fit = saem.fit(model, rows, "ml", starts=4)
    assert "Of 4 starts 4 led here." in fit.message
    np.testing.assert_array_equal(fit.values, saem.fit(model, rows, "ml").values)


def test_scattered_starts_are_not_one_start() -> None:
    """The status of a fit that climbed from several points does not say that its start led there."""
    fit = saem.fit(MODEL, table(), DirectML(scattered=2))
    assert "the one that the start leads to" not in fit.message


@pytest.mark.parametrize("starts", [0, True, 1.5])
def test_what_is_no_number_of_starts(starts: object) -> None:
    with pytest.raises(ModelError, match="starts must be a whole number, 1 or larger"):
        saem.fit(MODEL, table(), "ml", starts=starts)  # type: ignore[arg-type]


def test_a_posterior_has_no_starts() -> None:
    with pytest.raises(ModelError, match="gives a posterior"):
        saem.fit(MODEL, table(), "bayes", starts=2)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--starts` reaches the fit, whose message is printed; of several levels of a column it is refused."""
    data, model = tmp_path / "data.csv", tmp_path / "model.toml"
    table().to_csv(data, index=False)
    text = recipes.text("theophylline").split("\n[start]\n")[0] + "\n[fixed]\nbeta = 0.75\n"
    model.write_text(text, encoding="utf-8")

    def fit(*arguments: Any, starts: int = 1, **options: Any) -> saem.Fit:
        return storable_fit(method="ml", message=f"Of {starts} starts all led here.")

    replace(monkeypatch, "fitting.fit", fit=fit)
    replace(monkeypatch, "fitting.warmup", ensure=lambda methods, family: None)

    def said(*arguments: Any, code: int = 0) -> str:
        return " ".join(invoke("fit", model, data, *arguments, code=code).output.split())

    assert "Of 2 starts all led here." in said("--method", "ml", "--starts", 2)
    assert "Of 1 starts all led here." in said("--method", "ml")
    assert "--starts belongs to a single fit" in said("--starts", 2, "--by", "Id", code=2)
