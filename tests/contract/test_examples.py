"""The examples of CONTRIBUTING and of the reference of the model file run as they stand there."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
from linear_family import PEPTIDE, peptide_design

import saem
from saem import Model, recipes

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs" / "model-file.md").read_text(encoding="utf-8")
PARTS = [
    textwrap.dedent(part)
    for block in re.findall(r"(?:^    .*\n|^\n)+", REFERENCE, flags=re.M)
    for part in block.split("\n\n")
    if re.match(r"\s*(\[|mean )", part)
]


def example(heading: str) -> str:
    """The Python code of a section: its indented lines, from the first import on."""
    section = TEXT.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    code = re.search(r"(?:^    (?:from|import) .*\n)(?:^    .*\n|^\n)*", section, flags=re.M)
    assert code is not None, heading
    return textwrap.dedent(code.group(0))


@pytest.fixture(scope="module")
def given() -> dict[str, Any]:
    """What the examples take for granted."""
    model = Model.from_text(recipes.text("peptide"))
    return {"saem": saem, "model": model, "table": saem.simulate(model, PEPTIDE, peptide_design(12), 1)}


@pytest.mark.parametrize("heading", ["Recipe: a new step-size schedule", "Recipe: a new algorithm"])
def test_the_example_runs(heading: str, given: dict[str, Any]) -> None:
    exec(example(heading), dict(given))


def test_a_schedule_and_an_algorithm_of_their_own(given: dict[str, Any]) -> None:
    """They do what they say: near the maximum, in `fit` and in `compare`."""
    names = dict(given)
    for heading in ("Recipe: a new step-size schedule", "Recipe: a new algorithm"):
        exec(example(heading), names)
    method = names["SAEM"](schedule=names["HarmonicSchedule"]())
    rows = saem.compare(given["model"], given["table"], [method, names["PlainEM"](), "ml"]).table
    assert list(rows["method"]) == ["saem", "plain_em", "ml"]
    assert rows["deficit"].max() < 0.01 and (rows["status"] == "converged").all()


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
    assert len(PARTS) == 7
