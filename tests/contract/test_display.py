"""Numbers and tables for people."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saem.system.display import UNKNOWN, count, decimals, number, plain, small, table


@pytest.mark.parametrize(
    ("errors", "places"),
    [([0.0123], 4), ([0.2, 0.05], 4), ([12.3], 1), ([1234.0], 0), ([1e-12], 8), ([], 4), ([0.0, math.nan], 4)],
)
def test_as_many_decimals_as_the_standard_errors_warrant(errors, places):
    assert decimals(errors) == places


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [
        (1.23456, 3, "1.235"),
        (-0.5, 2, "-0.50"),
        (0.0, 2, "0.00"),
        (1e-7, 4, "1.000e-07"),
        (1.5e12, 2, "1.500e+12"),
        (math.nan, 2, UNKNOWN),
        (math.inf, 2, "inf"),
        (-math.inf, 2, "-inf"),
    ],
)
def test_numbers(value, places, text):
    assert number(value, places) == text


@given(st.floats(-1e300, 1e300), st.integers(0, 8))
def test_a_number_as_text_is_close_to_the_number(value, places):
    assert float(number(value, places)) == pytest.approx(value, rel=1e-3, abs=0.5001 * 10.0**-places)


def test_small_and_count():
    assert (small(0.00123), small(0.0), small(math.nan)) == ("0.0012", "0", UNKNOWN)
    assert (count(1, "row"), count(2000, "row"), count(0, "match", "matches")) == ("1 row", "2,000 rows", "0 matches")


def test_a_table_lines_up_and_is_never_taken_for_markup():
    text = plain(table(["name", "x", "why"], [["[bold]a", "1.0", ":smile: b"], ["c", "-12.0", ""]], "lrl"))
    assert text.splitlines() == [
        "name          x   why",
        "---------------------------",
        "[bold]a     1.0   :smile: b",
        "c         -12.0",
    ]
