"""Parts of expressions that are made of columns only become columns."""

from __future__ import annotations

import ast

import numpy as np
import pytest

from saem.errors import DataError, ExpressionError
from saem.expressions.grammar import parse
from saem.expressions.lifting import lift_columns
from saem.expressions.rows import RowExpression

COLUMNS = {
    "kind": np.array(["PK", "PD", "PK"], dtype=object),
    "Time": np.array([0.0, 1.0, 2.0]),
    "flag": np.array([True, False, True]),
    "Weight": np.array([70.0, 80.0, 90.0]),
    "body mass": np.array([1.0, 2.0, 3.0]),
}


def lifted(text: str, found: dict[str, RowExpression] | None = None) -> str:
    found = {} if found is None else found
    return ast.unparse(lift_columns(parse(text, large=True).body, COLUMNS, found))


@pytest.mark.parametrize(
    ("text", "expected", "parts"),
    [
        ("a * Time", "a * #0", ["Time"]),
        ("a * log(Weight / 70) * Time", "a * #0 * #1", ["log(Weight / 70)", "Time"]),
        ("(Time + 1) * a + (Time + 1)**b", "#0 * a + #0 ** b", ["Time + 1"]),
        ("where(kind == 'PK' and Time > 1, a, b)", "where(#0, a, b)", ["kind == 'PK' and Time > 1"]),
        ("where(flag and x > Time, 1, flag)", "where(#0 and x > #1, 1, #2)", ["flag", "Time", "flag"]),
        ("not flag", "#0", ["not flag"]),
        ("a + pi + 2 * 3", "a + pi + 2 * 3", []),
        ("min(a, max(Time, Weight))", "min(a, #0)", ["max(Time, Weight)"]),
        ("a - `body mass`**2", "a - #0", ["`body mass` ** 2"]),
        ("where(a in [1, 2], -Time, a)", "where(a in [1, 2], #0, a)", ["-Time"]),
        ("(kind in ['PK']) * a", "#0 * a", ["kind in ['PK']"]),
    ],
)
def test_the_largest_parts_are_lifted(text: str, expected: str, parts: list[str]) -> None:
    found: dict[str, RowExpression] = {}
    assert lifted(text, found) == expected
    assert list(found) == [f"#{i}" for i in range(len(parts))]
    assert [expression.text for expression in found.values()] == parts


def test_equal_parts_of_several_expressions_have_one_name() -> None:
    found: dict[str, RowExpression] = {}
    assert lifted("a * Time", found) == "a * #0"
    assert lifted("b + log(Weight) * Time * a", found) == "b + #1 * a"
    assert lifted("exp(Time) + a * (Time)", found) == "#2 + a * #0"


def test_the_tree_is_left_as_it_is() -> None:
    tree = parse("where(flag, a, Time * 2)").body
    before = ast.dump(tree)
    lift_columns(tree, COLUMNS, {})
    assert ast.dump(tree) == before


def test_values_are_numbers_on_each_row() -> None:
    found: dict[str, RowExpression] = {}
    lifted("where(flag, a, lgamma(Time + 1)) + (kind == 'PK') * b", found)
    values = [expression.values(COLUMNS, 3) for expression in found.values()]
    assert all(array.dtype == np.float64 for array in values)
    np.testing.assert_allclose(values, [[1, 0, 1], [0, 0, np.log(2)], [1, 0, 1]], atol=1e-15)


def test_a_condition_must_be_one() -> None:
    """A column of true and false is; one of numbers is not, which only its values show."""
    found: dict[str, RowExpression] = {}
    assert lifted("where(Time, a, Time)", found) == "where(#0, a, #1)"
    with pytest.raises(DataError, match="no condition"):
        found["#0"].values(COLUMNS, 3)
    assert found["#1"].values(COLUMNS, 3).tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("where(x, 1, 2)", "got 'x', which is no condition"),
        ("x and Time > 1", "got 'x', which is no condition"),
        ("not x", "got 'x', which is no condition"),
        ("where(a + Time > 1 and (a + 1), 1, 2)", "got 'a + 1', which is no condition"),
        ("x == 'PK'", "the level 'PK'"),
        ("x in ['PK']", "the level 'PK'"),
        ("(kind == 'PK') + (Time == x) + (Time == 'PK' and x < 1) * (kind + 'a')", "the level 'a'"),
    ],
)
def test_what_makes_no_sense_is_refused(text: str, part: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        lifted(text)
    assert part in str(caught.value)
