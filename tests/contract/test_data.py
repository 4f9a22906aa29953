"""From tables to arrays: what is understood, and what is refused in words."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from parameterkinds import kinds_of

from saem import recipes
from saem.data import read_table, where
from saem.errors import DataError, ModelError
from saem.expressions.columns import Factor, factorize, level_text, read_column
from saem.families import Model, arrange

PEPTIDE = Model.from_text(recipes.text("peptide"))
REAL = Path(__file__).parents[2] / ".." / "shared" / "data" / "ptm_ubiquitin.csv"


def peptides(replicates: int = 3, seed: int = 1) -> pd.DataFrame:
    """A complete table of one peptide."""
    rows = [
        (treatment, modification, replicate)
        for treatment in ("Ctrl", "CCCP")
        for replicate in range(1, replicates + 1)
        for modification in ("unmodified", "modified")
    ]
    table = pd.DataFrame(rows, columns=["treatment", "modification", "replicate"])
    table["log2_intensity"] = np.random.default_rng(seed).normal(10, 1, len(table))
    return table


def simple(**changes: Any) -> Model:
    return Model(**{"response": "y", "cluster": "s", "mean": {"mu": "1"}, **changes})


def small(**columns: Any) -> pd.DataFrame:
    table = pd.DataFrame({"s": [1, 1, 2, 2, 3, 3], "y": [1.0, 2.0, 4.0, 3.0, 5.0, 7.0], "x": [0.0, 1, 2, 3, 4, 5]})
    return table.assign(**columns)


def message(model: Model, table: pd.DataFrame, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        arrange(model, table, **options)
    return str(caught.value)


# What is understood.


@pytest.mark.parametrize("dtype", ["str", object, "category"])
def test_the_peptide_model(dtype: Any) -> None:
    table = peptides().sample(frac=1, random_state=3).astype({"treatment": dtype, "modification": dtype})
    data = arrange(PEPTIDE, table)
    treated = (table["treatment"].astype(object) == "CCCP").to_numpy()
    modified = (table["modification"].astype(object) == "modified").to_numpy()
    expected = np.column_stack([np.ones(12), treated, modified, treated & ~modified, treated & modified])
    np.testing.assert_array_equal(data.mean_design, expected)
    assert data.mean_design.dtype == np.float64
    assert data.mean_design.flags.c_contiguous
    assert data.random_design.flags.c_contiguous
    np.testing.assert_array_equal(data.random_design, np.ones((12, 1)))
    np.testing.assert_array_equal(data.response, table["log2_intensity"])
    assert data.parameters.names == ("mu", "c2", "alpha2", "b21", "b22", "sigma1", "sigma2", "sigma")
    assert kinds_of(data.parameters) == ("mean",) * 5 + ("sd",) * 3
    assert data.mean_index.tolist() == [0, 1, 2, 3, 4]
    assert data.group_levels == ("Ctrl", "CCCP")  # as in the model
    assert data.sd_index.tolist() == [[5], [6]]
    assert data.corr_index.tolist() == [[[-1]], [[-1]]]
    assert data.residual_index.tolist() == [7]
    assert data.residual_levels == ("",)
    assert not data.residual_group.any()
    assert data.term_names == ("intercept",)
    assert (data.warnings, data.n_dropped) == ((), 0)
    for codes in (data.mean_index, data.cluster, data.cluster_group, data.sd_index, data.residual_group):
        assert codes.dtype == np.int64


def test_clusters_are_numbered_in_order_of_first_appearance() -> None:
    table = peptides().sample(frac=1, random_state=5)
    data = arrange(PEPTIDE, table)
    keys = list(zip(table["treatment"], table["replicate"], strict=True))
    seen = list(dict.fromkeys(keys))
    assert data.cluster.tolist() == [seen.index(key) for key in keys]
    assert list(data.cluster_labels.itertuples(index=False, name=None)) == seen
    assert list(data.cluster_labels.columns) == ["treatment", "replicate"]
    assert data.cluster_group.tolist() == [int(treatment == "CCCP") for treatment, _ in seen]


def test_many_cluster_columns_do_not_collide() -> None:
    rng = np.random.default_rng(2)
    table = pd.DataFrame({f"k{i}": rng.integers(0, 3, 400).astype(str) for i in range(4)})
    table["y"] = rng.normal(size=400)
    codes = arrange(simple(cluster=["k0", "k1", "k2", "k3"]), table).cluster
    expected = table.groupby(["k0", "k1", "k2", "k3"], sort=False).ngroup()
    np.testing.assert_array_equal(codes, expected)


def test_large_and_small_tables_are_coded_alike() -> None:
    labels = np.random.default_rng(1).choice(["b", "a", "d", None], 5000)
    large, small_part = factorize(pd.Series(labels)), factorize(pd.Series(labels[:4000], dtype=object))
    assert large.levels == small_part.levels
    np.testing.assert_array_equal(large.codes[:4000], small_part.codes)
    np.testing.assert_array_equal(large.codes == -1, pd.isna(labels))


def test_random_slopes_with_groups_and_automatic_names() -> None:
    table = small(arm=["10", "10", "9", "9", "10", "10"], lab=list("aabbab"))
    table = pd.concat([table, table.assign(s=table["s"] + 3, y=table["y"] ** 2)])
    model = simple(random={"by": "arm", "terms": {"i": "1", "d": "x"}}, residual={"by": "lab"})
    data = arrange(model, table)
    assert data.parameters.names == (
        "mu", "sd_i_9", "sd_d_9", "sd_i_10", "sd_d_10", "corr_i_d_9", "corr_i_d_10", "sigma_a", "sigma_b"
    )  # fmt: skip
    assert data.group_levels == ("9", "10")  # numbers by value
    assert data.sd_index.tolist() == [[1, 2], [3, 4]]
    assert data.corr_index.tolist() == [[[-1, 5], [5, -1]], [[-1, 6], [6, -1]]]
    assert data.cluster_group.tolist() == [1, 0, 1, 1, 0, 1]
    assert data.residual_index.tolist() == [7, 8]
    assert data.residual_group.tolist() == [0, 0, 1, 1, 0, 1] * 2
    np.testing.assert_array_equal(data.random_design, np.column_stack([np.ones(12), table["x"]]))


def test_shared_names_are_one_parameter() -> None:
    table = peptides()
    data = arrange(PEPTIDE.replace(random={"by": "treatment", "sd": {"Ctrl": "s", "CCCP": "s"}}, constraints={}), table)
    assert data.parameters.names == ("mu", "c2", "alpha2", "b21", "b22", "s", "sigma")
    assert data.sd_index.tolist() == [[5], [5]]
    everywhere = arrange(simple(random={"sd": "s"}, residual={"sd": "s"}), small())
    assert everywhere.parameters.names == ("mu", "s")
    assert everywhere.residual_index.tolist() == [1]


def test_levels_match_as_text() -> None:
    for arm in ([1, 1, 2, 2, 1, 1], [1.0, 1, 2, 2, 1, 1], list("112211"), [True, True, False, False, True, True]):
        levels = {"True": "s1", "False": "s2"} if arm[0] is True else {"1": "s1", "2": "s2"}
        table = pd.concat([small(arm=arm), small(arm=arm, s=[4, 4, 5, 5, 6, 6], y=[2.0, 1, 5, 3, 2, 9])])
        data = arrange(simple(random={"by": "arm", "sd": levels}), table)
        assert data.cluster_group.tolist() == [0, 1, 0, 0, 1, 0]
    assert [level_text(v) for v in (1, 1.0, 1.5, "1", np.float64(2), True)] == ["1", "1", "1.5", "1", "2", "True"]


def test_values_that_look_the_same_are_one_level() -> None:
    factor = factorize(pd.Series([1, "1", "a", None], dtype=object))
    assert factor.levels == ("1", "a")
    assert factor.codes.tolist() == [0, 0, 1, -1]


def test_fixed_parameters() -> None:
    data = arrange(simple(fixed={"sigma": 2.0}), small())
    assert data.parameters.fixed.tolist() == [False, False, True]
    assert data.parameters.fixed_values[2] == 2.0
    assert np.isnan(data.parameters.fixed_values[:2]).all()
    assert data.parameters.index("sigma") == 2
    assert len(data.parameters) == 3
    with pytest.raises(ModelError, match=r"no parameter 'sgma' \(did you mean 'sigma'\?\)"):
        data.parameters.index("sgma")


@pytest.mark.parametrize(
    ("series", "kind", "values"),
    [
        (pd.Series([1, 2]), "f", [1.0, 2.0]),
        (pd.Series([1, None], dtype="Int64"), "f", [1.0, np.nan]),
        (pd.Series([True, False]), "b", [True, False]),
        (pd.Series([True, None], dtype="boolean"), "f", [1.0, np.nan]),
        (pd.Series([1, 2.5, None], dtype=object), "f", [1.0, 2.5, np.nan]),
        (pd.Series([1.5, 2.5], dtype="float32"), "f", [1.5, 2.5]),
        (pd.Series([1.5, None], dtype="double[pyarrow]"), "f", [1.5, np.nan]),
    ],
)
def test_columns_of_numbers(series: pd.Series, kind: str, values: list[float]) -> None:
    column = read_column(series)
    assert isinstance(column, np.ndarray)
    assert column.dtype.kind == kind
    np.testing.assert_array_equal(column, values)


@pytest.mark.parametrize(
    "series",
    [
        pd.Series(["b", None, "a"]),
        pd.Series(["b", None, "a"], dtype=object),
        pd.Series(["b", None, "a"], dtype="category"),
        pd.Series(["b", None, "a"], dtype="string[python]"),
    ],
)
def test_columns_of_levels(series: pd.Series) -> None:
    column = read_column(series)
    assert isinstance(column, Factor)
    assert [column.levels[code] if code >= 0 else None for code in column.codes] == ["b", None, "a"]


def test_needed_columns() -> None:
    assert PEPTIDE.all_columns == ("log2_intensity", "treatment", "replicate", "modification")
    model = simple(mean="y ~ a * log(`b c`)", random={"terms": {"i": "1", "d": "d > 1"}}, residual={"by": "lab"})
    assert model.all_columns == ("y", "s", "lab", "a", "b c", "d")


# Formulas


def test_a_formula() -> None:
    model = Model(response="log2_intensity", cluster=["treatment", "replicate"], mean="~ treatment * modification")
    data = arrange(model, peptides())
    assert data.parameters.names == (
        "intercept", "treatment_Ctrl", "modification_unmodified", "treatment_Ctrl_x_modification_unmodified",
        "sd_intercept", "sigma",
    )  # fmt: skip
    ctrl = (peptides()["treatment"] == "Ctrl").to_numpy()
    unmodified = (peptides()["modification"] == "unmodified").to_numpy()
    np.testing.assert_array_equal(
        data.mean_design, np.column_stack([np.ones(12), ctrl, unmodified, ctrl & unmodified]).astype(float)
    )
    assert data.mean_design.flags.c_contiguous


def test_a_formula_with_functions_of_columns_and_an_odd_index() -> None:
    table = small(f=[1, 1, 1, 2, 2, 2], **{"body weight": [1.0, 2, 3, 4, 5, 6]}).set_index(pd.Index([9, 9, 9, 1, 1, 1]))
    data = arrange(simple(mean="y ~ 0 + log(x + 1) + C(f):`body weight`"), table)
    assert data.parameters.names[:3] == ("log_x_1", "C_f_1_x_body_weight", "C_f_2_x_body_weight")
    np.testing.assert_allclose(data.mean_design[:, 0], np.log(table["x"] + 1))
    assert arrange(simple(mean="y ~ 1"), table).mean_design.tolist() == [[1.0]] * 6


def test_the_reference_level_of_a_factor() -> None:
    """The first of a Categorical, or the one that the formula names; otherwise the first by alphabet."""
    table = small(f=list("uuvvww"))
    assert arrange(simple(mean="y ~ f"), table).mean_labels == ("Intercept", "f[v]", "f[w]")
    chosen = arrange(simple(mean="y ~ C(f, Treatment('v'))"), table)
    assert chosen.parameters.names[:3] == ("intercept", "f_u", "f_w")
    np.testing.assert_array_equal(chosen.mean_design[:, 1], [1, 1, 0, 0, 0, 0])
    ordered = table.assign(f=pd.Categorical(table["f"], ["w", "none", "u", "v"]))
    assert arrange(simple(mean="y ~ f"), ordered).mean_labels == ("Intercept", "f[u]", "f[v]")


def test_a_combination_of_levels_without_rows_is_left_out() -> None:
    table = small(f=list("uuvvuu"), g=list("wwwwzz"))
    data = arrange(simple(mean="y ~ f * g"), table)
    assert data.mean_labels == ("Intercept", "f[v]", "g[z]")
    assert any("'f[v]:g[z]'" in text and "left out" in text for text in data.warnings)


def test_formula_misfits() -> None:
    table = small(f=list("uuvvuu"), g=list("wwwwzz"), id=[f"k{i}" for i in range(6)])
    assert "column 'fa'" in message(simple(mean="y ~ fa"), table)
    assert "not finite" in message(simple(mean="y ~ log(zero)"), table.assign(zero=[0.0, 1, 2, 3, 4, 5]))
    wide = pd.concat([small(id=[f"{i}{j}" for i in range(1, 7)]) for j in range(10, 50)]).reset_index(drop=True)
    wide.loc[3, "id"] = "n.a."
    assert "'id' of the formula 'y ~ id' holds numbers, but also the text 'n.a.'" in message(
        simple(mean="y ~ id"), wide
    )


# What is refused.


def test_tables_that_are_none() -> None:
    assert "must be a pandas DataFrame; got list" in message(simple(), [])  # type: ignore[arg-type]
    assert "has no rows" in message(simple(), small().iloc[:0])


def test_missing_columns() -> None:
    text = message(PEPTIDE, peptides().rename(columns={"treatment": "Treatmnt", "replicate": "rep"}))
    assert "the model needs columns 'treatment' (did you mean 'Treatmnt'?), 'replicate'" in text
    assert "the table has the columns 'Treatmnt', 'modification', 'rep', 'log2_intensity'" in text
    twice = pd.concat([small(), small()["x"]], axis=1)
    assert "more than one column named 'x'" in message(simple(mean={"b": "x"}), twice)


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ([1.0, 2, 3, 4, 5, "n.d."], ["response 'y'", "must be a number", "got the text 'n.d.' in data row 6", "empty"]),
        (["1,5"] + ["2"] * 5, ["got the text '1,5' in data row 1", "decimal point, not a comma"]),
        (["1.5", "2", "3", "4", "5", "6"], ["response 'y' holds numbers stored as text"]),
        ([3.0] * 6, ["response 'y' is constant: it is 3 in all 6 rows"]),
        (
            [1.0, np.nan, 2, np.inf, 3, 4],
            ["'y': 2 of 6 rows, the first is data row 2", "--drop-missing (drop_missing=True)"],
        ),
        ([None] * 6, ["'y': 6 of 6 rows, the first is data row 1"]),
        ([1j] * 6, ["column 'y' holds complex numbers"]),
    ],
)
def test_bad_responses(values: list[Any], parts: list[str]) -> None:
    text = message(simple(), small(y=values))
    for part in parts:
        assert part in text


@pytest.mark.parametrize("column", ["treatment", "modification", "replicate"])
def test_missing_values_in_any_column_that_is_read(column: str) -> None:
    table = peptides()
    table.loc[4, column] = None
    assert f"column {column!r}: 1 of 12 rows, the first is data row 5" in message(PEPTIDE, table)
    table["unused"] = np.nan
    data = arrange(PEPTIDE, table, drop_missing=True)
    assert (data.n_dropped, len(data.response)) == (1, 11)


def test_dropping_rows_is_like_not_having_them() -> None:
    table = peptides(4)
    table.loc[[2, 9], "log2_intensity"] = [np.inf, np.nan]
    dropped, clean = arrange(PEPTIDE, table, drop_missing=True), arrange(PEPTIDE, table.drop(index=[2, 9]))
    assert dropped.n_dropped == 2
    for name in ("response", "mean_design", "random_design", "cluster", "cluster_group", "residual_group"):
        np.testing.assert_array_equal(getattr(dropped, name), getattr(clean, name))
    pd.testing.assert_frame_equal(dropped.cluster_labels, clean.cluster_labels)
    table["log2_intensity"] = np.nan
    assert "no row is left" in message(PEPTIDE, table, drop_missing=True)


def test_levels_that_do_not_fit() -> None:
    table = peptides()
    text = message(PEPTIDE, table.replace({"treatment": {"CCCP": "CCP"}}))
    assert "parameter 'c2': column 'treatment' has no level 'CCCP' (did you mean 'CCP'?)" in text
    combo = table.assign(treatment=np.where(table["replicate"] == 3, "Combo", table["treatment"]))
    text = message(PEPTIDE, combo)
    assert (
        "4 rows have the level 'Combo' of column 'treatment', but the model names SDs only for 'Ctrl', 'CCCP'" in text
    )
    model = PEPTIDE.replace(mean={"mu": "1"}, constraints={})
    text = message(model, table[table["treatment"] == "Ctrl"])
    assert "no row has the level 'CCCP' of column 'treatment', for which the model names an SD" in text
    text = message(simple(residual={"by": "lab", "sd": {"a": "sa", "b": "sb"}}), small(lab=list("aaaacc")))
    assert "2 rows have the level 'c' of column 'lab'" in text


def test_columns_that_act_on_nothing() -> None:
    table = peptides()
    gone = table[(table["treatment"] == "Ctrl") | (table["modification"] == "unmodified")]
    text = message(PEPTIDE, gone)
    assert "no row has treatment == 'CCCP' and modification == 'modified', so parameter 'b22' acts on nothing" in text
    text = message(simple(mean={"mu": "1", "slope": "x"}), small(x=0.0))
    assert "'x' is 0 in all rows, so parameter 'slope' acts on nothing" in text
    text = message(simple(random={"terms": {"d": "x > 9"}}), small())
    assert "no row has x > 9, so random term 'd' acts on nothing" in text
    text = message(simple(mean={"mu": "log(x)"}), small())
    assert "parameter 'mu': 'log(x)' is not a finite number in 1 rows, first in data row 1" in text


def test_variance_groups_within_clusters() -> None:
    table = peptides()
    text = message(PEPTIDE.replace(cluster=("replicate",)), table)
    assert "column 'treatment' of the variance groups must be constant within each cluster" in text
    assert "between data rows 1 and 7" in text
    assert "add 'treatment' to cluster = ['replicate']" in text


def test_clusters_that_are_too_small_or_too_few() -> None:
    table = peptides()
    rows = table.assign(replicate=range(12))
    assert "each of the 12 rows is a cluster of its own (cluster = ['treatment', 'replicate'])" in message(
        PEPTIDE, rows
    )
    one = table.assign(replicate=np.where(table["treatment"] == "Ctrl", 1, table["replicate"]))
    text = message(PEPTIDE, one)
    assert "the SD 'sigma1' cannot be estimated from one cluster" in text
    shared = PEPTIDE.replace(random={"by": "treatment", "sd": {"Ctrl": "s", "CCCP": "s"}}, constraints={})
    assert arrange(shared, one).cluster.max() == 3
    assert arrange(PEPTIDE.replace(fixed={"sigma1": 0.5}), one).cluster.max() == 3
    assert arrange(PEPTIDE.replace(fixed={"sigma": 0.5}), rows).cluster.max() == 11
    text = message(simple(mean={"a": "x == 0", "b": "x == 1", "c": "x == 2", "d": "x == 3"}), small().iloc[:4])
    assert "too few rows: 4 rows for 4 means" in text


def test_automatic_names_must_differ() -> None:
    table = pd.concat([small(arm=list("aabbaa")), small(arm=list("aabbaa"), s=[4, 4, 5, 5, 6, 6], y=range(6))])
    table["arm"] = table["arm"].map({"a": "1-2", "b": "1+2"})
    names = arrange(simple(random={"by": "arm"}), table).parameters.names
    assert {"sd_intercept_1_minus_2", "sd_intercept_1_plus_2"} < set(names)
    table["arm"] = table["arm"].map({"1-2": "é", "1+2": "é "})
    assert len(set(arrange(simple(random={"by": "arm"}, residual={"by": "arm"}), table).parameters.names)) == 5
    long = table["arm"].map({"é": "x" * 70 + "1", "é ": "x" * 70 + "2"})
    with pytest.raises(ModelError, match=r"two levels of 'arm' lead to the same parameter name 'sd_intercept_xxx"):
        arrange(simple(random={"by": "arm"}), table.assign(arm=long))


def test_names_of_a_formula_must_not_be_those_of_sds() -> None:
    with pytest.raises(ModelError, match="'x' is used both as a mean and as a standard deviation"):
        arrange(simple(mean="y ~ x", random={"sd": "x"}), small())


def test_repeated_rows_are_named_but_kept() -> None:
    table = peptides()
    table = pd.concat([table, table.iloc[[2, 5, 2]]], ignore_index=True)
    data = arrange(PEPTIDE, table)
    assert len(data.response) == 15
    (warning,) = data.warnings
    assert (
        "3 data row(s) repeat an earlier row in every column: row 13 (as row 3), 14 (as row 6), 15 (as row 3)"
        in warning
    )
    assert arrange(PEPTIDE, table.assign(run=range(15))).warnings == ()  # they differ in a column that is not used
    integers = small(y=[1, 1, 2, 2, 3, 3])
    assert arrange(simple(), integers).warnings == ()


# Files and conditions


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_kinds_of_files(tmp_path: Path) -> None:
    expected = pd.DataFrame({"a": ["x", "None"], "b": [1.5, np.nan]})
    csv = "a,b\nx,1.5\nNone,NA\n"
    for name, content in {
        "t.csv": csv,
        "bom.csv": b"\xef\xbb\xbf" + csv.encode(),
        "t.tsv": csv.replace(",", "\t"),
        "t.txt": csv.replace(",", "\t"),
        "semicolon.csv": csv.replace(",", ";").replace("\n", "\r\n"),
        "blanks.csv": " a ,b \nx,1.5\nNone,\n",
        "t.csv.gz": gzip.compress(csv.replace(",", ";").encode()),
    }.items():
        pd.testing.assert_frame_equal(read_table(write(tmp_path / name, content)), expected)
    expected.to_parquet(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.parquet"), expected)


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("t.csv", "", "is empty"),
        ("t.csv", "a,b\n", "has no rows"),
        ("t.csv", "a,b\n1,2\n1,2,3\n", "cannot be read as a CSV file"),
        ("t.csv", "a,b\n1,2,3\n4,5,6\n", "more fields than its header"),
        ("t.csv", b"\x89PNG\r\n\x1a\n\x00\x00\xff\xfe", "not a CSV file"),
        ("t.csv", "treatment,y\nµ,1\n".encode("latin-1"), "CSV UTF-8"),
        ("t.csv.gz", b"a,b\n1,2\n", "cannot be read"),
        ("t.parquet", b"a,b\n", "cannot be read as a Parquet file"),
        ("t.xlsx", b"PK", "spreadsheet; save it as CSV"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, content: str | bytes, part: str) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert part in str(caught.value)
    assert name in str(caught.value)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no data file .*nowhere\.csv"):
        read_table(tmp_path / "nowhere.csv")
    with pytest.raises(DataError, match="is a folder"):
        read_table(tmp_path)


def test_rows_of_a_file_keep_their_numbers(tmp_path: Path) -> None:
    table = pd.concat([small(), small(y=[9, 8, 7, "oops", 5, 4])]).assign(part=["a"] * 6 + ["b"] * 6)
    table.to_csv(tmp_path / "t.csv", index=False)
    part = where(read_table(tmp_path / "t.csv"), "part == 'b'")
    assert "'oops' in data row 10 (counted from 1 without the header)" in message(simple(), part)
    unlike = part.reset_index(drop=True)
    unlike.attrs.clear()
    assert "'oops' in data row 4" in message(simple(), unlike)


def test_where() -> None:
    table = peptides()
    assert len(where(table, "treatment == 'Ctrl' and replicate in [1, 2]")) == 4
    for text, part in {
        "treatment == 'ctrl'": "no level 'ctrl' (did you mean 'Ctrl'?)",
        "treatmen == 'Ctrl'": "needs column 'treatmen' (did you mean 'treatment'?)",
        "replicate": "must be true or false on each row",
        "replicate > 5": "no row of the table satisfies 'replicate > 5'",
    }.items():
        with pytest.raises(DataError) as caught:
            where(table, text)
        assert part in str(caught.value)


@pytest.mark.skipif(not REAL.exists(), reason="the shared folder with the real data is not here")
def test_real_sites() -> None:
    table = where(read_table(REAL), "treatment in ['Ctrl', 'CCCP']")
    outcomes: dict[str, int] = {}
    for _, site in table.groupby("site"):
        try:
            data = arrange(PEPTIDE, site)
            outcome = "fits"
            assert data.cluster_group.max() == 1
        except DataError as error:
            outcome = str(error).split("(")[0].split(",")[0]
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    assert outcomes["fits"] == 111
    assert sum(outcomes.values()) == 125
    assert outcomes["no row has treatment == 'CCCP' and modification == 'modified'"] == 2


def test_a_slip_among_numbers_is_said() -> None:
    """It makes a factor of a column that was meant to be numbers; levels of which most are words do not."""
    model = Model(mean="y ~ x", cluster="s")

    def said(texts: list[str]) -> list[str]:
        table = pd.DataFrame({"y": range(12), "s": [1, 2, 3] * 4, "x": texts})
        return [text for text in arrange(model, table).warnings if "taken as a factor" in text]

    for slip in ("1_000", "0x2", "1\x00", "\u0661", "1o"):
        (text,) = said(["1", "2.5", "-3e2", " 4 "] * 2 + ["1", "2.5", "1", slip])
        assert "column 'x' is taken as a factor: 1 of 12 rows are no number, the first" in text
        assert repr(slip) in text and "in data row 12" in text
    assert not said(["1", "b", "c"] * 4)
    assert not said(["1", "2", "3"] * 4)
    table = pd.DataFrame({"y": range(12), "s": [1, 2, 3] * 4, "x": ["1", "2", "3", "1", "2", "o"] * 2})
    meant = arrange(Model(mean="y ~ C(x)", cluster="s"), table)
    assert not [text for text in meant.warnings if "taken as a factor" in text]
