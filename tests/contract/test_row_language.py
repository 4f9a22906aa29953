"""One language: a text about columns and parameters has the same value however it is computed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rowwise import sums_at

from saem.errors import ExpressionError
from saem.expressions.grammar import parse
from saem.expressions.graph import Graph
from saem.expressions.lifting import lift_columns
from saem.expressions.row_sums import compile_row_sums
from saem.expressions.rows import RowExpression

COLUMNS = {
    "kind": np.array(["PK", "PD", "PK"], dtype=object),
    "flag": np.array([True, False, True]),
    "x": np.array([-1.0, 0.0, 2.5]),
    "y": np.array([3.0, 0.5, 1.0]),
}
PARAMETERS = {"a": 0.7, "b": -1.3}
ONE = "exp sqrt sin tanh abs expit log_expit lgamma normal_cdf log_normal_cdf log".split()


def _numbers(inner: st.SearchStrategy[str], conditions: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, st.sampled_from("+ - * /".split()), inner).map(lambda p: f"({' '.join(p)})"),
        st.tuples(st.sampled_from(ONE), inner).map(lambda p: f"{p[0]}({p[1]})"),
        st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(lambda p: f"{p[0]}({p[1]}, {p[2]})"),
        st.tuples(conditions, inner, inner).map(lambda p: f"where({p[0]}, {p[1]}, {p[2]})"),
        st.tuples(conditions, inner).map(lambda p: f"({p[0]}) * {p[1]}"),
        inner.map(lambda p: f"-{p}"),
    )


def _conditions(numbers: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    compared = st.tuples(numbers, st.sampled_from("< <= > >= == !=".split()), numbers).map(lambda p: f"({' '.join(p)})")
    between = st.tuples(numbers, numbers, numbers).map(lambda p: f"({p[0]} < {p[1]} <= {p[2]})")
    listed = numbers.map(lambda p: f"({p} in [1, 2.5, 3])")
    leaves = st.one_of(compared, between, listed, st.sampled_from(["flag", "(kind == 'PK')", "(kind in ['PD', 'PK'])"]))
    joined = st.tuples(leaves, st.sampled_from(["and", "or"]), leaves).map(lambda p: f"({' '.join(p)})")
    return st.one_of(leaves, joined, leaves.map(lambda p: f"(not {p})"))


LEAVES = st.sampled_from(["x", "y", "a", "b", "1", "2.5", "0.3"])
SMALL = st.recursive(LEAVES, lambda inner: _numbers(inner, _conditions(LEAVES)), max_leaves=3)
TEXTS = st.recursive(LEAVES, lambda inner: _numbers(inner, _conditions(SMALL)), max_leaves=6)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(text=TEXTS)
def test_values_are_those_of_a_table_that_holds_the_parameters(text: str) -> None:
    everything = COLUMNS | {name: np.full(3, value) for name, value in PARAMETERS.items()}
    found: dict[str, RowExpression] = {}
    try:
        expected = RowExpression(text).values(everything, 3)
        tree = lift_columns(parse(text).body, COLUMNS, found)
        index = {name: i for i, name in enumerate([*PARAMETERS, *found])}
        graph = Graph()
        sums = compile_row_sums(graph, [graph.translate(tree, index)], 2, 0, ())
    except ExpressionError as error:  # a constant part that has no value
        assert "finite real number" in str(error)
        return
    columns = np.column_stack([np.empty((3, 0)), *(part.values(COLUMNS, 3) for part in found.values())])
    each = [sums_at(sums, list(PARAMETERS.values()), [], columns[i : i + 1])[0] for i in range(3)]
    np.testing.assert_allclose(each, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    "text", ["where(kind == 'PK', a * x, min(b, y))", "where(a > x and not flag, lgamma(y), a / x)"]
)
def test_such_texts_use_both(text: str) -> None:
    found: dict[str, RowExpression] = {}
    lift_columns(parse(text).body, COLUMNS, found)
    assert len(found) >= 3
    test_values_are_those_of_a_table_that_holds_the_parameters.hypothesis.inner_test(text)
