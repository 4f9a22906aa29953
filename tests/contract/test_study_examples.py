"""The study and the code of docs/studies.md run as they stand; every study that ships can be read."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pandas as pd
import pytest
from documented import ROOT, fenced
from typer.testing import CliRunner

from experiments.harness.commands import app
from experiments.harness.study import STUDIES, load_study
from experiments.harness.study.functions import functions_in

PAGE = (ROOT / "docs" / "studies.md").read_text(encoding="utf-8")
SHIPPED = (ROOT / "docs" / "studies-shipped.md").read_text(encoding="utf-8")


def test_the_study_of_the_page(tmp_path: Path) -> None:
    """It runs; the median is better where there is contamination, and worse where there is none."""
    (tmp_path / "median.toml").write_text(fenced(PAGE, "toml")[0])
    (tmp_path / "median.py").write_text(fenced(PAGE)[0])
    arguments = [str(tmp_path / "median.toml"), "-o", str(tmp_path / "out"), "--quick"]
    assert CliRunner().invoke(app, ["run", *arguments, "--workers", "0"]).exit_code == 0
    result = CliRunner().invoke(app, ["summarise", *arguments])
    assert result.exit_code == 0, result.output
    paired = pd.read_csv(tmp_path / "out" / "paired.csv").query("measure == 'mse_ratio'").set_index("cell")
    assert (paired["value"][["n=20, share=0.1", "n=100, share=0.1"]] < 1.0).all()
    assert (paired["value"][["n=20, share=0.0", "n=100, share=0.0"]] > 1.0).all()


def test_the_code_of_the_page() -> None:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(fenced(PAGE)[1], "docs/studies.md", "exec"), {"__name__": "page"})
    lines = [line for line in printed.getvalue().splitlines() if line.startswith("small")]
    assert [line.split()[1] for line in lines] == ["ml", "saem"]


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.toml")), ids=lambda path: path.stem)
@pytest.mark.parametrize("quick", [True, False])
def test_studies_that_ship(path: Path, quick: bool) -> None:
    """They can be read, in both forms, have words for all that a reader asks, and are told of in the documentation."""
    study = load_study(path, quick)
    functions = functions_in(path.with_suffix(".py"))
    assert all(estimand.what for estimand in study.estimands.values())
    assert all(method.what for method in study.methods.values())
    assert all(set(study.estimands) <= set(functions.truth(cell)) for cell in study.design.all())
    assert f"`{path.stem}`" in SHIPPED
    assert len(study.design.all()) <= 120
