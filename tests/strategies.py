"""What strangers may hand to the package: texts of its languages, tables and saved fits, right and wrong."""

from __future__ import annotations

import io
import os
from datetime import date
from typing import Any

import pandas as pd
import tomli_w
from hypothesis import strategies as st

from saem import recipes

MANY = int(os.environ.get("SAEM_TEST_EXAMPLES", "20000"))  # in the slow tests
COLUMNS = ["y", "id", "x", "f", "True", "day"]
PARAMETERS = ["mu", "effect", "slope", "s1", "s2", "sigma"]
LEVELS = ["a", "b", "c d", "1", "<5"]
NUMBERS = ["0", "1", "2.5", "-1", "1e308", "1e-308", "99999999999999999999", "0x10", "1_000", "1.", "pi", "1j", "007"]
BINARY = ["+", "-", "*", "/", "**", "and", "or"]
NO_OPERATORS = ["%", "//", "=", ";", "if", ",", "@", "<<", "^", "&"]
FUNCTIONS = (
    "exp log log2 log10 sqrt sin cos tan tanh abs expit logit log_expit lgamma normal_cdf log_normal_cdf probit".split()
)
OF_SEVERAL = ["where", "min", "max", "logitnormal_mean"]
NO_FUNCTIONS = ["median", "__import__", "open", "lambda", "f"]

ODD_TEXTS = st.sampled_from(
    [
        "",
        " ",
        "\x00",
        "\x1b[31m",
        "\r",
        "\n",
        "$x$",
        "=1",
        "é",
        "\u202e",
        "'",
        '"',
        "`",
        "a" * 3000,
        "nan",
        "True",
    ]
)
CHARACTERS = "ab1_ .,;:'\"`~+-*/^|()[]{}=<>!$%&@#\\\n\t\x00\x1bé\u0301Ωπ\u202e\u2028😀²"
texts = st.one_of(ODD_TEXTS, st.text(CHARACTERS, max_size=8))
names = st.one_of(st.sampled_from(COLUMNS + PARAMETERS), texts)
numbers = st.one_of(st.sampled_from(NUMBERS), st.integers(-9, 9).map(str), st.floats().map(repr))


def mostly(right: st.SearchStrategy[Any], odd: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """What is right nine times of ten."""
    return st.integers(0, 9).flatmap(lambda k: odd if k == 9 else right)


# Expressions and formulas


def _quoted(text: str) -> str:
    return repr(text) if text.isprintable() else "'a'"


def expressions(columns: list[str], most: int = 8) -> st.SearchStrategy[str]:
    """Texts of the language of model files, and texts that nearly are, of so many parts at most."""
    quoted = st.one_of(st.sampled_from(LEVELS), texts).map(_quoted)
    odd = st.one_of(quoted, names.map(lambda name: f"`{name}`"), texts)
    leaves = mostly(st.one_of(st.sampled_from(columns), st.sampled_from(["0", "1", "2.5", "'a'", "'b'"])), odd)

    def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        function = mostly(st.sampled_from(FUNCTIONS), st.sampled_from(NO_FUNCTIONS))
        comparison = st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "not in", "is"])
        return st.one_of(
            st.tuples(inner, mostly(st.sampled_from(BINARY), st.sampled_from(NO_OPERATORS)), inner).map(" ".join),
            st.tuples(function, inner).map(lambda part: f"{part[0]}({part[1]})"),
            st.tuples(st.sampled_from(OF_SEVERAL), st.lists(inner, min_size=1, max_size=4)).map(
                lambda part: f"{part[0]}({', '.join(part[1])})"
            ),
            st.tuples(inner, comparison, inner).map(" ".join),
            st.tuples(inner, comparison, inner, comparison, inner).map(" ".join),
            st.tuples(st.sampled_from(["not ", "-", "+"]), inner).map("".join),
            inner.map(lambda text: f"({text})"),
            st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"[{', '.join(parts)}]"),
        )

    return st.recursive(leaves, larger, max_leaves=most)


def constraints() -> st.SearchStrategy[str]:
    """Equations between parameters, and what is none."""
    side = expressions(PARAMETERS, 4)
    return mostly(st.tuples(side, side).map(" == ".join), side)


def formulas() -> st.SearchStrategy[str]:
    """Formulas of R, and what is none."""
    odd = st.one_of(numbers, names.map(lambda name: f"`{name}`"), texts)
    leaves = mostly(st.sampled_from(COLUMNS), odd)
    calls = (
        "C factor I poly bs cr center scale standardize log exp sqrt pmin as.factor c abs offset Treatment Sum "
        "ns lag interaction relevel"
    ).split()
    settings = st.one_of(
        numbers,
        st.sampled_from(["Sum", "Treatment('b')", "degree=2", "df=4", "levels=['a', 'b']", "raw=TRUE", "knots=[1, 2]"]),
    )

    def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        operators = mostly(st.sampled_from(["+", "-", "*", "/", ":"]), st.sampled_from("^ ** %in% == | ~ ,".split()))
        return st.one_of(
            st.tuples(inner, operators, inner).map(" ".join),
            st.tuples(st.sampled_from(calls), inner).map(lambda part: f"{part[0]}({part[1]})"),
            st.tuples(st.sampled_from(calls), inner, settings).map(lambda part: f"{part[0]}({part[1]}, {part[2]})"),
            inner.map(lambda text: f"({text})"),
            inner.map(lambda text: f"-{text}"),
        )

    right = st.recursive(leaves, larger, max_leaves=8)
    left = st.one_of(st.just("y"), st.just(""), st.sampled_from(["log(y)", "y / 2", "x"]), right)
    return mostly(st.tuples(left, right).map(" ~ ".join), right)


# Model files


def values() -> st.SearchStrategy[Any]:
    """Whatever TOML may hold."""
    plain = st.one_of(texts, names, st.integers(), st.floats(), st.booleans(), st.just(date(2026, 1, 2)))
    inner = st.one_of(plain, st.lists(plain, max_size=2), _tables(plain))
    return st.one_of(inner, st.lists(inner, max_size=2), _tables(inner))


def _tables(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.one_of(names, st.sampled_from(LEVELS)), inner, max_size=2)


def model_contents() -> st.SearchStrategy[dict[str, Any]]:
    """Content of model files of which any part may be wrong."""

    def odd(right: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return mostly(right, values())

    names_of = st.sampled_from(PARAMETERS)
    sd = st.one_of(names_of, st.dictionaries(st.sampled_from(LEVELS), names_of, min_size=1, max_size=3))
    by = st.sampled_from(COLUMNS)
    rows = st.dictionaries(names_of, expressions(COLUMNS, 3), min_size=1, max_size=3)
    random = st.fixed_dictionaries(
        {}, optional={"sd": odd(sd), "by": odd(by), "terms": odd(rows), "covariance": odd(st.just("full"))}
    )
    residual = st.fixed_dictionaries({}, optional={"sd": odd(sd), "by": odd(by), "weights": odd(by)})
    priors = st.one_of(st.just("normal(0, 1)"), st.tuples(names, numbers, numbers).map("{0[0]}({0[1]}, {0[2]})".format))
    return st.fixed_dictionaries(
        {
            "response": odd(st.just("y")),
            "cluster": odd(st.one_of(st.just("id"), st.lists(by, max_size=3))),
            "mean": odd(st.one_of(rows, formulas())),
        },
        optional={
            "family": odd(st.just("linear")),
            "random": odd(random),
            "residual": odd(residual),
            "constraints": odd(st.dictionaries(names, constraints(), max_size=3)),
            "fixed": odd(st.dictionaries(names_of, st.floats(), max_size=2)),
            "priors": odd(st.dictionaries(names_of, priors, max_size=2)),
            "unknown": values(),
        },
    )


@st.composite
def model_texts(draw: st.DrawFn) -> str:
    """Texts of model files: written from contents, recipes with changed characters, and plain text."""
    kind = draw(st.integers(0, 5))
    if kind == 0:
        return draw(st.text(max_size=200))
    if kind == 1:
        text = recipes.text(draw(st.sampled_from(recipes.names())))
        at, length = draw(st.integers(0, len(text) - 1)), draw(st.integers(0, 40))
        return text[:at] + draw(texts) + text[at + length :]
    try:
        return tomli_w.dumps(draw(model_contents()))
    except (TypeError, ValueError, UnicodeError):
        return "x = ["


# Tables


def frames() -> st.SearchStrategy[pd.DataFrame]:
    """Tables with the columns of the models above, of any type and with any gaps."""
    n = 8
    odd = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts, st.dates(), st.just(1j), st.just([1]))
    columns = {
        "y": st.lists(st.floats(-9, 9), min_size=n, max_size=n),
        "id": st.lists(st.sampled_from([1, 2, 3, "1", "a", None]), min_size=n, max_size=n),
        "x": st.lists(st.one_of(st.integers(-3, 3), st.floats()), min_size=n, max_size=n),
        "f": st.lists(st.one_of(st.sampled_from(LEVELS), texts), min_size=n, max_size=n),
        "True": st.lists(st.booleans(), min_size=n, max_size=n),
        "day": st.just(list(pd.date_range("2026-01-01", periods=n))),
    }

    def table(parts: dict[str, list[Any]]) -> pd.DataFrame:
        return pd.DataFrame({name: pd.Series(values, dtype=object).infer_objects() for name, values in parts.items()})

    usual = st.fixed_dictionaries({}, optional=columns)
    other = st.dictionaries(
        st.one_of(names, st.sampled_from(COLUMNS)), st.lists(odd, min_size=n, max_size=n), max_size=3
    )
    return st.tuples(usual, other).map(lambda parts: table(parts[0] | parts[1]))


@st.composite
def table_files(draw: st.DrawFn) -> tuple[str, bytes]:
    """Names and contents of data files: tables as CSV or Parquet with changed bytes, and plain text."""
    kind = draw(st.integers(0, 4))
    if kind == 0:
        return "t.csv", draw(st.binary(max_size=200))
    if kind == 1:
        cell = st.one_of(texts, numbers, st.sampled_from(LEVELS))
        separator = draw(st.sampled_from([",", ";", "\t"]))
        rows = draw(st.lists(st.lists(cell, min_size=1, max_size=5).map(separator.join), max_size=8))
        header = draw(st.sampled_from(["y,id,x,f", "y;id;x;f", "y\tid\tx\tf", "y,y", "id", ""]))
        return draw(st.sampled_from(["t.csv", "t.tsv", "t.txt"])), "\n".join([header, *rows]).encode("utf-8", "replace")
    table = draw(frames())
    buffer = io.BytesIO()
    if kind == 2:
        return "t.csv", changed(draw, table.to_csv(index=False).encode("utf-8", "replace"))
    try:
        table.to_parquet(buffer, index=False)
    except Exception:  # of pyarrow, with what it cannot hold
        return "t.parquet", draw(st.binary(max_size=200))
    return "t.parquet", changed(draw, buffer.getvalue())


def changed(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes of which some may be others, cut off or inserted."""
    for _ in range(draw(st.integers(0, 2))):
        if not data:
            return data
        at, length = draw(st.integers(0, len(data) - 1)), draw(st.sampled_from([0, 1, 1, 4, 10**9]))
        data = data[:at] + draw(st.binary(max_size=4)) + data[at + length :]
    return data
