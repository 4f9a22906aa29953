"""Tables of other libraries where a DataFrame is taken."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import saem
from saem import datasets, recipes
from saem.data.frames import as_frame
from saem.errors import DataError


def model_and_table():
    return saem.Model.from_text(recipes.text("peptide")), datasets.load("peptide")


class Handed:
    """All that is asked of a table of another library."""

    def __init__(self, table):
        self.table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


def arrow_of(table):
    return pa.Table.from_pandas(table, preserve_index=False)


def test_a_pandas_table_is_handed_on_as_it_is():
    table = datasets.load("sleep")
    assert as_frame(table) is table


@pytest.mark.parametrize("make", [arrow_of, lambda table: Handed(arrow_of(table))])
def test_fits_are_the_same_bit_for_bit(make):
    model, table = model_and_table()
    other = make(table)
    ours, theirs = saem.fit(model, table, "ml"), saem.fit(model, other, "ml")
    assert np.array_equal(ours.values, theirs.values) and ours.loglik == theirs.loglik
    pd.testing.assert_frame_equal(saem.predict(ours, table), saem.predict(ours, other))
    at = dict(zip(ours.parameters.names, ours.values.tolist(), strict=True))
    drawn = [saem.simulate(model, at, each, seed=1)["log2_intensity"] for each in (table, other)]
    assert np.array_equal(*drawn)
    assert saem.compare(model, other, ["ml"]).fits["ml"].loglik == ours.loglik
    priors = [saem.prior_predictive(model, each, draws=100).responses for each in (table, other)]
    assert np.array_equal(*priors)
    assert saem.identifiability(model, other, starts=0, points=0).locally_identified


def test_polars_tables_and_their_types():
    polars = pytest.importorskip("polars", reason="polars is not installed")
    model, table = model_and_table()
    other = polars.DataFrame(table.to_dict("list")).with_columns(
        polars.col("treatment").cast(polars.Categorical),
        polars.col("modification").cast(polars.Enum(["modified", "unmodified"])),
        polars.col("replicate").cast(polars.UInt8),
    )
    assert np.array_equal(saem.fit(model, other, "ml").values, saem.fit(model, table, "ml").values)
    with pytest.raises(DataError, match=r"got a lazy LazyFrame: hand over its collect\(\)"):
        saem.fit(model, other.lazy(), "ml")


def test_missing_values_stay_missing():
    model, table = model_and_table()
    table.loc[3, "log2_intensity"] = np.nan
    other = pa.table({name: pa.array(table[name], from_pandas=True) for name in table})
    with pytest.raises(DataError, match="1 of 240 rows, the first is data row 4"):
        saem.fit(model, other, "ml")
    assert saem.fit(model, other, "ml", drop_missing=True).n_rows == 239


@pytest.mark.parametrize(
    ("table", "found"),
    [
        ("peptide.csv", "got 'peptide.csv'"),
        ({"a": [1]}, r"got \{'a'"),
        (pa.chunked_array([[1, 2]]), "got a ChunkedArray"),
        (pd.Series([1.0], name="x"), "got 0"),
        (None, "got None"),
    ],
)
def test_what_is_no_table(table, found):
    model, _ = model_and_table()
    for call in (saem.fit, saem.compare, saem.identifiability, saem.prior_predictive):
        with pytest.raises(DataError, match=f"table must be a pandas DataFrame.*{found}"):
            call(model, table)
    with pytest.raises(DataError, match="design must be a pandas DataFrame"):
        saem.simulate(model, {}, table)
