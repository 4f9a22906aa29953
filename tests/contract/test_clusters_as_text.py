"""Columns of clusters are text: 1.1 and 1.10, 007 and 7, 1 and "1" are different. And decimal commas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commandline import invoke as run

import saem
from saem import Model
from saem.data import read_table, where
from saem.errors import DataError
from saem.expressions.columns import factorize_clusters
from saem.families import arrange

MODEL = Model(cluster="plot", mean="y ~ 1")


def csv(ids: list[str], separator: str = ",") -> str:
    lines = [f"{round(k * 0.37 + i, 2)}{separator}{name}" for i, name in enumerate(ids) for k in range(3)]
    return "\n".join([f"y{separator}plot", *lines]) + "\n"


def read(folder: Path, content: str, model: Model = MODEL) -> pd.DataFrame:
    path = folder / "t.csv"
    path.write_text(content)
    return read_table(path, model.text_columns)


@pytest.mark.parametrize(
    ("ids", "kept"),
    [
        (["1.1", "1.10", "1.2"], ["1.1", "1.10", "1.2"]),
        (["007", "7", "07"], ["007", "7", "07"]),
        (["1", "1.0"], ["1", "1.0"]),
        (["1234567890123456789", "1234567890123456788"], [1234567890123456789, 1234567890123456788]),
        (["123456789012345678901", "123456789012345678902"], ["123456789012345678901", "123456789012345678902"]),
        (["3", "1", "2"], [3, 1, 2]),
        (["1.5", "2.5"], [1.5, 2.5]),
        (["b", "a", "1"], ["b", "a", "1"]),
    ],
)
def test_clusters_of_a_file(tmp_path: Path, ids: list[str], kept: list[object]) -> None:
    """In order of first appearance; numbers stay numbers where their text says no more."""
    data = arrange(MODEL, read(tmp_path, csv(ids)))
    assert data.cluster_labels["plot"].tolist() == kept and len(data.cluster_group) == len(ids)
    assert data.cluster.tolist() == list(np.repeat(np.arange(len(ids)), 3))


def test_a_mutant_that_reads_numbers_merges_clusters(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(csv(["1.1", "1.10", "1.2"]))
    assert len(arrange(MODEL, pd.read_csv(path)).cluster_labels) == 2


def test_groups_and_levels_of_by(tmp_path: Path) -> None:
    model = Model(cluster=["plot"], mean="y ~ 1", random={"by": "plot"}, residual={"by": "plot"})
    assert model.text_columns == ("plot",)
    assert set(read(tmp_path, csv(["1.1", "1.10"]))["plot"]) == {"1.1", "1.10"}


def test_a_cluster_column_can_be_calculated_with_all_the_same(tmp_path: Path) -> None:
    table = read(tmp_path, csv(["1.1", "1.10", "1.25"]).replace("y,plot", "y,plot"))
    data = arrange(Model(cluster="plot", mean="y ~ plot"), table)
    assert len(data.cluster_labels) == 3 and sorted(set(data.mean_design[:, 1])) == [1.1, 1.25]
    assert arrange(Model(cluster="plot", mean="y ~ C(plot)"), table).mean_labels == (
        "Intercept", "C(plot)[1.10]", "C(plot)[1.25]"
    )  # fmt: skip
    assert len(where(table, "plot > 1.2")) == 3 and len(where(table, "plot == '1.10'")) == 3
    kept = arrange(Model(cluster="plot", response="y", mean={"m": "plot"}), table[table["y"] > 0.5])
    assert sorted(set(kept.mean_design[:, 0])) == [1.1, 1.25]


def test_types_that_are_mixed_in_a_table() -> None:
    series = pd.Series([1, "1", 2, "1", True, None], dtype=object)
    factor = factorize_clusters(series)
    assert factor.codes.tolist() == [0, 1, 2, 1, 3, -1]
    assert factor.levels == ("1 (number)", "1 (text)", "2", "True")
    table = pd.DataFrame({"y": np.sin(np.arange(12.0)), "plot": np.resize(np.array([1, "1", 2], dtype=object), 12)})
    fit = saem.fit(MODEL, table, "ml")
    assert fit.n_clusters == 3
    pd.testing.assert_frame_equal(saem.predict(fit, table.iloc[:3]), saem.predict(fit).iloc[:3])
    whole = pd.DataFrame({"y": table["y"], "plot": np.resize([1, 2, 3], 12)})
    alike = saem.predict(saem.fit(MODEL, whole, "ml"), pd.DataFrame({"plot": ["1", "2"]}))
    assert alike["known"].all()  # there the text tells


def test_a_fit_of_the_command_line_keeps_its_clusters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.toml").write_text('mean = "y ~ 1"\ncluster = "plot"\n')
    Path("t.csv").write_text(csv(["1.1", "1.10", "1.2", "007", "7"]))
    result = run("fit", "m.toml", "t.csv", "--method", "ml", "--output", "out")
    assert result.exit_code == 0 and "5 clusters" in result.stdout
    Path("new.csv").write_text("plot\n1.10\n1.1\n7\n1.100\n")
    result = run("predict", "out", "new.csv", "--output", "p.csv")
    predicted = pd.read_csv("p.csv", dtype={"plot": str})
    assert predicted["known"].tolist() == [True, True, True, False] and predicted["predicted"].nunique() == 4
    Path("none.csv").write_text("anything\n1\n")
    result = run("predict", "out", "none.csv")
    assert result.exit_code == 0 and "no column plot" in result.stdout + result.stderr


# Decimal commas.


def numbers(*values: str, separator: str = ";") -> str:
    lines = [f"{value}{separator}{k // 2}" for k, value in enumerate(values)]
    return "\n".join([f"y{separator}plot", *lines]) + "\n"


def test_decimal_commas_are_read_where_they_are_clear(tmp_path: Path) -> None:
    table = read(tmp_path, numbers("1,5", "2,010", "-0,25", "3"))
    assert table["y"].tolist() == [1.5, 2.01, -0.25, 3.0]
    data = arrange(MODEL, table)
    assert "column 'y' was read with decimal commas, '1,5' as 1.5" in data.warnings[0]


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (numbers("1,010", "2,500", "3", "4"), "it may be 1.010 or 1010"),
        (numbers('"1,010"', '"2,500"', "3", "4", separator=","), "it may be 1.010 or 1010"),
        (numbers('"1,5"', '"2,5"', "3", "4", separator=","), "write a decimal point, not a comma"),
        (numbers("1,234,567", "2,500", "3", "4"), "write no commas between thousands"),
    ],
)
def test_commas_that_are_not_clear_are_not_guessed(tmp_path: Path, content: str, advice: str) -> None:
    table = read(tmp_path, content)
    with pytest.raises(DataError, match=advice):
        arrange(MODEL, table)


def test_clusters_with_commas_stay_text(tmp_path: Path) -> None:
    content = "y;plot\n0,5;1,1\n0,25;1,1\n0,1;1,10\n2;1,10\n"
    assert read(tmp_path, content)["plot"].tolist() == ["1,1", "1,1", "1,10", "1,10"]
