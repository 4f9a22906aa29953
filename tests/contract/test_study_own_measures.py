"""The table that a study's own `performance` returns is one of measures of this study, or refused in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from own_study import command, written

from experiments.harness.own_measures import OWN_COLUMNS, checked
from experiments.harness.running import run_study
from experiments.harness.study import load_study
from saem.errors import ModelError

KNOWN = {"cell": ["small", "large"], "method": ["ml"], "estimand": ["", "rate"]}


def table(**columns: Any) -> pd.DataFrame:
    """A good table of two rows, but for these columns."""
    good = {"cell": ["small", "large"], "method": "ml", "estimand": "rate", "measure": "own", "value": [1.0, 2.0]}
    return pd.DataFrame(good | {"mcse": np.nan, "n": 3} | columns)


def test_good_tables_are_taken() -> None:
    """Also with other columns, counts as floats, values of objects, categories, or no rows at all."""
    for found in (
        table(),
        table(more="x", n=3.0, estimand=""),
        table(value=pd.Series([1, None], dtype=object)),
        table(value=pd.array([1, None], dtype="Int64"), mcse=None),
        table().astype({"cell": "category", "value": bool}),
        table()[:0],
    ):
        taken = checked(found, KNOWN)
        assert list(taken) == list(OWN_COLUMNS) and len(taken) == len(found)
        assert [str(taken[name].dtype) for name in OWN_COLUMNS[4:]] == ["float64", "float64", "int64"]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (None, "got NoneType"),
        (table().set_index("cell"), "it lacks 'cell'"),
        (pd.concat([table(), table()[["value"]]], axis=1), "several called 'value'"),
        (table(cell=["smal", "large"]), "got 'smal' (did you mean 'small'?)"),
        (table(method="other"), "got 'other'"),
        (table(estimand=None), "got None"),
        (table(measure="bias"), "'bias' is one of those that are always there"),
        (table(measure=5), "got 5"),
        (table(measure=None), "got None"),
        (table(measure="\x1b[31m"), r"got '\x1b[31m'"),
        (table(measure=" "), "got ' '"),
        (table(cell="small"), "'small', 'ml', 'rate', 'own' has several"),
        (table(value="1.0"), "numbers, or nan, in the column 'value'"),
        (table(value=1j), "it is of type complex128"),
        (table(value=pd.Timestamp(0)), "numbers, or nan, in the column 'value'"),
        (table(mcse=-0.1), "no negative numbers in the column 'mcse'; got -0.1"),
        (table(n=-1), "no negative numbers in the column 'n'; got -1"),
    ],
)
def test_other_tables_are_refused(found: Any, words: str) -> None:
    with pytest.raises(ModelError) as error:
        checked(found, KNOWN)
    assert words in str(error.value)


def test_the_command_names_the_users_function(tmp_path: Path) -> None:
    """A measure that would stand beside the project's of the same name."""
    body = "return rows[:1].assign(measure='bias', value=99.0, mcse=0.0, n=1)"
    path = written(tmp_path, tail=f"def performance(rows):\n    {body}\n", design={"factors": {"size": [4]}})
    run_study(load_study(path), path, tmp_path / "out")
    text = command("summarise", path, "-o", tmp_path / "out", code=2)
    assert "the function performance of own.py must return names of its own in the column 'measure'; 'bias'" in text
    assert not (tmp_path / "out" / "performance.csv").exists()


@pytest.mark.filterwarnings("error")
def test_estimates_without_bounds_are_measured_without_warnings(tmp_path: Path) -> None:
    """The mean of squares of 1e200 is infinite, and shown so, in all commands."""
    body = "if 'odd' in options: found = Outcome({'centre': (1e200, 1e200, None, None, None)})"
    path = written(tmp_path, body, design={"factors": {"size": [4]}}, reference="plain")
    run_study(load_study(path), path, tmp_path / "out")
    text = command("summarise", path, "-o", tmp_path / "out", "--measures", "bias,mse,model_se")
    assert "4 odd 1e+200" in text and text.count("4 odd inf") == 2
    command("plot", path, "-o", tmp_path / "out")
