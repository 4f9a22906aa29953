"""The files in examples/, the page on algorithms and the reference of the model file run as they stand."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import own_algorithm
import own_kernel
import own_m_step
import own_step_size
import pandas as pd
import peptide
import pytest
from calibration import check_within_error
from documented import ALGORITHMS, INFERENCE, POSTERIOR, ROOT, fenced
from selecting import few
from typer.testing import CliRunner

import saem
from experiments.harness.commands import app
from saem import Model, recipes
from saem.algorithms.direct_ml import DirectML
from saem.algorithms.saem import SAEM
from saem.fitting.fit import METHODS
from saem.mstep.maximisers import MAXIMISERS

REFERENCE = (ROOT / "docs" / "model-file.md").read_text(encoding="utf-8")
PARTS = [part for block in fenced(REFERENCE, "toml") for part in block.split("\n\n")]


EXAMPLES = sorted((ROOT / "examples").glob("own_*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_told_of_and_says_how_it_is_run(path: Path) -> None:
    assert f"examples/{path.stem}" in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert f"examples/{path.stem}." in path.read_text(encoding="utf-8").split('"""')[1]


PROGRAMS = [path.stem for path in EXAMPLES if "__main__" in path.read_text(encoding="utf-8")]  # a study is none


@pytest.mark.parametrize("name", few(PROGRAMS, ["own_step_size", "own_algorithm", "own_m_step"]))
def test_an_example_runs_as_a_program(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_module(name, run_name="__main__", alter_sys=True)
    assert "converged" in capsys.readouterr().out


OWN: dict[str, Any] = {
    "step size": lambda: SAEM(schedule=own_step_size.HarmonicSchedule()),
    "M-step": lambda: SAEM(mstep=own_m_step.PlainNewton()),
    "kernel": lambda: SAEM(sampler=own_kernel.Lazy()),
    "algorithm": own_algorithm.QuietSAEM,
}


@pytest.mark.parametrize("name", few(OWN, ["step size", "M-step", "algorithm"]))
def test_methods_of_ones_own(name: str) -> None:
    """They do what they say: near the maximum, in `fit` and in `compare`, and on from where they stopped."""
    model, table, method = peptide.model(), peptide.table(), OWN[name]()
    maximum = saem.fit(model, table, "ml").values
    rows = saem.compare(model, table, [method, own_algorithm.PlainEM(), "ml"]).table
    assert list(rows["method"]) == ["quiet_saem" if name == "algorithm" else "saem", "plain_em", "ml"]
    assert rows["deficit"].max() < 0.01 and (rows["status"] == "converged").all()
    fit = saem.fit(model, table, method)
    touched = fit.mcse > 0.0
    check_within_error(fit.values[touched], maximum[touched], fit.mcse[touched])
    further = fit.resume(saem.Target(mcse=0.025))
    assert (further.mcse < fit.mcse + 1e-12).all() and further.converged


def test_direct_ml_by_an_m_step_of_ones_own() -> None:
    model, table = peptide.model(), peptide.table()
    exact = saem.fit(model, table, DirectML(mstep=own_m_step.PlainNewton()))
    np.testing.assert_allclose(exact.values, saem.fit(model, table, "ml").values, atol=1e-7)


def test_the_measure_of_ones_own(tmp_path: Path) -> None:
    """It stands beside those of the harness, and tells the mean from the median where there is contamination."""
    arguments = [str(ROOT / "examples" / "own_measure.toml"), "-o", str(tmp_path)]
    assert CliRunner().invoke(app, ["run", *arguments, "--workers", "0"]).exit_code == 0
    assert CliRunner().invoke(app, ["summarise", *arguments]).exit_code == 0
    table = pd.read_csv(tmp_path / "performance.csv").query("measure == 'far_off'")
    found = table.set_index(["cell", "method"])["value"]
    assert found["share=0.1", "median"] < 0.02 < 0.1 < found["share=0.1", "mean"] and found.max() < 0.3
    assert found["share=0.0", "mean"] == 0.0


def test_the_page_on_algorithms_runs() -> None:
    """From top to bottom, as one program."""
    names: dict[str, Any] = {}
    blocks = fenced(ALGORITHMS)
    assert len(blocks) >= 5
    for code in blocks:
        exec(code, names)


FEWER = {  # what the page asks for, and what will do to see that it runs
    "replicates=50": "replicates=20",
    "smaller, fit, 49": "smaller, fit, 20",
    'table, "bayes", seed=1': "table, saem.Bayes(chains=2, tune=200, draws=300), seed=1",
}


@pytest.mark.filterwarnings("ignore:.*non-interactive")
@pytest.mark.parametrize("fewer", [FEWER, pytest.param({}, marks=pytest.mark.slow)], ids=len)
def test_the_pages_on_inference_run(fewer: dict[str, str]) -> None:
    """From top to bottom, that on posteriors where its sampler is installed; and they name every public function.

    The fast test has fewer replicates and draws than the page, the slow one has the page as it stands.
    """
    import matplotlib.pyplot as plt

    names: dict[str, Any] = {}
    pages = INFERENCE + (POSTERIOR if importlib.util.find_spec("nutpie") else "")
    for asked, will_do in fewer.items():
        assert (INFERENCE + POSTERIOR).count(asked) == 1, asked
        pages = pages.replace(asked, will_do)
    for code in fenced(pages):
        with contextlib.redirect_stdout(io.StringIO()):
            exec(code, names)
    plt.close("all")
    drawn = [name for name in dir(names["plotting"]) if name.startswith("plot_")]
    both = INFERENCE + POSTERIOR
    assert len(fenced(both)) >= 9 and sum(f"plotting.{name}(" in both for name in drawn) >= 10
    inferring = {name for name, module in saem._MODULES.items() if module.startswith("saem.inference")}
    assert not [name for name in inferring if f"saem.{name}(" not in both]


def test_the_page_on_algorithms_has_every_method_and_m_step() -> None:
    rows = re.findall(r"^\| `(\w+)`", ALGORITHMS, flags=re.M)
    assert set(METHODS) | set(MAXIMISERS) <= set(rows)


@pytest.mark.parametrize("part", PARTS)
def test_every_part_of_the_reference_is_valid(part: str) -> None:
    """Each with the least that makes a model of it; the constraints with the parameters of the peptide."""
    if part.startswith("family"):
        Model.from_text(part)
        return
    if "[constraints]" in part or "[priors]" in part:
        plain = recipes.text("peptide").split("# Equations between parameters", 1)[0]
        assert Model.from_text(f"{plain}\n{part}") != Model.from_text(plain)
        return
    rest = "" if re.search(r"^(mean\b|\[mean\])", part, flags=re.M) else 'mean = "y ~ 1"\n'
    response = "" if 'mean = "' in part + rest else 'response = "y"\n'
    if "[random." in part:
        Model.from_text(f"{response}{rest}{part}")
        return
    Model.from_text(f'{response}cluster = ["treatment", "replicate"]\n{rest}{part}')


def test_the_reference_has_parts() -> None:
    assert len(PARTS) == 16
