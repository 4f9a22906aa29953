"""The examples of CONTRIBUTING, of the page on algorithms and of the reference of the model file run as they stand."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from calibration import check_within_error
from documented import ALGORITHMS, HEADINGS, INFERENCE, ROOT, fenced, imported
from linear_family import PEPTIDE, peptide_design

import saem
from saem import Model, recipes
from saem.fitting.fit import METHODS
from saem.mstep.maximisers import MAXIMISERS

REFERENCE = (ROOT / "docs" / "model-file.md").read_text(encoding="utf-8")
PARTS = [
    textwrap.dedent(part)
    for block in re.findall(r"(?:^    .*\n|^\n)+", REFERENCE, flags=re.M)
    for part in block.split("\n\n")
    if re.match(r"\s*(\[|mean )", part)
]


@pytest.fixture(scope="module")
def given() -> dict[str, Any]:
    """What the examples take for granted."""
    model = Model.from_text(recipes.text("peptide"))
    return {"saem": saem, "model": model, "table": saem.simulate(model, PEPTIDE, peptide_design(12), 1)}


@pytest.fixture(scope="module")
def folder(request: pytest.FixtureRequest) -> Path:
    """Where the examples are written to; kept, so that their kernels are compiled once."""
    return Path(request.config.cache.mkdir("examples"))


@pytest.mark.parametrize("heading", HEADINGS)
def test_the_example_runs(heading: str, folder: Path, given: dict[str, Any]) -> None:
    imported(heading, folder, given)


def test_methods_of_ones_own(folder: Path, given: dict[str, Any]) -> None:
    """They do what they say: near the maximum, in `fit` and in `compare`, and on from where they stopped."""
    schedule, algorithm, mstep, sampler = (imported(heading, folder, given) for heading in HEADINGS)
    model, table = given["model"], given["table"]
    maximum = saem.fit(model, table, "ml").values
    harmonic = schedule.SAEM(schedule=schedule.HarmonicSchedule())
    own = {
        "saem": [harmonic, mstep.SAEM(mstep=mstep.PlainNewton()), sampler.SAEM(sampler=sampler.Lazy())],
        "quiet_saem": [algorithm.QuietSAEM()],
    }
    for name, methods in own.items():
        for method in methods:
            rows = saem.compare(model, table, [method, algorithm.PlainEM(), "ml"]).table
            assert list(rows["method"]) == [name, "plain_em", "ml"]
            assert rows["deficit"].max() < 0.01 and (rows["status"] == "converged").all()
            fit = saem.fit(model, table, method)
            touched = fit.mcse > 0.0
            check_within_error(fit.values[touched], maximum[touched], fit.mcse[touched])
            further = fit.resume(saem.Target(mcse=0.025))
            assert (further.mcse < fit.mcse + 1e-12).all() and further.converged
    exact = saem.fit(model, table, mstep.DirectML(mstep=mstep.PlainNewton()))
    np.testing.assert_allclose(exact.values, maximum, atol=1e-7)


def test_the_page_on_algorithms_runs() -> None:
    """From top to bottom, as one program; what it prints is what the page says."""
    names: dict[str, Any] = {}
    blocks = fenced(ALGORITHMS)
    assert len(blocks) >= 5 and any(output for _, output in blocks)
    for code, output in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code, names)
        if output:
            assert printed.getvalue() == output


FEWER = {  # what the page asks for, and what will do to see that it runs
    "replicates=50": "replicates=20",
    "smaller, fit, 49": "smaller, fit, 20",
    'table, "bayes", seed=1': "table, saem.Bayes(chains=2, tune=200, draws=300), seed=1",
}


@pytest.mark.filterwarnings("ignore:.*non-interactive")
@pytest.mark.parametrize("fewer", [FEWER, pytest.param({}, marks=pytest.mark.slow)], ids=len)
def test_the_page_on_inference_runs(fewer: dict[str, str]) -> None:
    """From top to bottom, the last block where its sampler is installed; and it names every public function.

    The fast test has fewer replicates and draws than the page, the slow one has the page as it stands.
    """
    import matplotlib.pyplot as plt

    names: dict[str, Any] = {}
    page = INFERENCE
    for asked, will_do in fewer.items():
        assert page.count(asked) == 1, asked
        page = page.replace(asked, will_do)
    blocks = [code for code, _ in fenced(page)]
    if importlib.util.find_spec("nutpie") is None:
        blocks = blocks[:-1]
    for code in blocks:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(code, names)
    plt.close("all")
    drawn = [name for name in dir(names["plotting"]) if name.startswith("plot_")]
    assert len(blocks) >= 7 and sum(f"plotting.{name}(" in INFERENCE for name in drawn) >= 10
    inferring = {name for name, module in saem._MODULES.items() if module.startswith("saem.inference")}
    assert not [name for name in inferring if f"saem.{name}(" not in INFERENCE]


def test_the_page_on_algorithms_has_every_method_and_m_step() -> None:
    rows = re.findall(r"^\| `(\w+)`", ALGORITHMS, flags=re.M)
    assert set(METHODS) | set(MAXIMISERS) <= set(rows)


@pytest.mark.parametrize("part", PARTS)
def test_every_part_of_the_reference_is_valid(part: str) -> None:
    """Each with the least that makes a model of it; the constraints with the parameters of the peptide."""
    if "[constraints]" in part:
        plain = recipes.text("peptide").split("# Equations between parameters", 1)[0]
        assert Model.from_text(f"{plain}\n{part}").constraints
        return
    rest = "" if "mean" in part else 'mean = "y ~ 1"\n'
    response = "" if 'mean = "' in part + rest else 'response = "y"\n'
    Model.from_text(f'{response}cluster = ["treatment", "replicate"]\n{rest}{part}')


def test_the_reference_has_parts() -> None:
    assert len(PARTS) == 8
