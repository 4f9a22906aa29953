"""Formulas with random effects as lme4 writes them, ``"y ~ x + (1 + x | batch/cask)"``, as model files.

The language of Bates, Maechler, Bolker & Walker (2015), section 2.2: bars within brackets, ``||`` for terms that are
not correlated, ``a/b`` for ``a`` and ``a:b``, and ``a:b`` for the combinations of two columns.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from saem.errors import DataError, ExpressionError, ModelError, listing
from saem.expressions.columns import factorize
from saem.expressions.grammar import MAX_NAME
from saem.expressions.rows import row_expression
from saem.specification.formula.coding import codings
from saem.specification.formula.grammar import Call, Name, Node, Operation, Sign, Text, parse, text_of
from saem.specification.formula.terms import expand
from saem.specification.part import automatic_name

DISTRIBUTIONS = ("normal", "bernoulli", "binomial", "poisson")


@dataclass(frozen=True)
class Bar:
    """The random effects of one grouping factor.

    Attributes
    ----------
    terms : str
        Left of the bar.
    columns : tuple of str
        Whose combinations are the levels.
    is_diagonal : bool
        Whether the terms are not correlated.
    """

    terms: str
    columns: tuple[str, ...]
    is_diagonal: bool


def model_of_formula(
    formula: str,
    distribution: str = "normal",
    trials: str | int | None = None,
    levels: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """What a model file says in place of a formula with bars.

    Parameters
    ----------
    formula : str
        ``"response ~ fixed part + (terms | factor) + .."``.
    distribution : {"normal", "bernoulli", "binomial", "poisson"}
    trials : str or int, optional
        Column with the number of trials, or one number; for "binomial".
    levels : mapping of str to sequence of str, optional
        Columns that hold text -> their levels in order: as a term of a random part such a column stands for one term
        for each level but the first, or for each level where there is no intercept.

    Returns
    -------
    dict
        Keys and values, to be made a `Model` of.

    Raises
    ------
    ModelError
        When it has no bar, or something that has no place in a model file.
    ExpressionError
        When it cannot be read.
    """
    if distribution not in DISTRIBUTIONS:
        raise ModelError(f"the distribution must be {listing(DISTRIBUTIONS)}; got {distribution!r:.60}")
    if (trials is not None) != (distribution == "binomial"):
        wanted = "needs trials, a column or a number" if trials is None else "has no trials"
        raise ModelError(f"a {distribution} response {wanted}")
    fixed, bars = split(formula)
    if not bars:
        raise ModelError(
            f"the formula {formula!r} has no random effects: write them as lme4 does, such as (1 | subject), or write "
            "a model file"
        )
    left, _ = parse(fixed)
    if left is None:
        raise ModelError(f"the formula {formula!r} has no response; write it left of the '~'")
    response = left.text if isinstance(left, Name) else text_of(left)
    found: dict[str, Any] = {"response": response}
    blocks = _blocks(bars, levels or {}, formula)
    is_plain = len(blocks) == 1
    only = next(iter(blocks.values()))
    found |= {"cluster": only.pop("cluster")} if is_plain else {}
    if distribution == "normal":
        found["mean"] = fixed
    else:
        found = {"family": "glmm"} | found | {"predictor": fixed}
        found["outcome"] = {"distribution": distribution} | ({} if trials is None else {"trials": trials})
    random = only if is_plain else blocks
    return found | ({"random": random} if random else {})


def split(formula: str) -> tuple[str, list[Bar]]:
    """The formula without its bars, and the bars, with ``a/b`` written out.

    Raises
    ------
    ExpressionError
        When a bar is not within brackets of its own, or brackets are not closed.
    """
    text, bars = formula, []
    while (at := _bar_at(text)) is not None:
        first, end = _brackets_around(text, at, formula)
        before, inside, after = text[:first], text[first + 1 : end], text[end + 1 :]
        is_diagonal = text[at : at + 2] == "||"
        terms, factor = text[first + 1 : at], text[at + (2 if is_diagonal else 1) : end]
        if _bar_at(factor) is not None:
            raise ExpressionError(f"the brackets ({inside}) in the formula {formula!r} have more than one bar")
        bars += [Bar(terms.strip(), columns, is_diagonal) for columns in _factors(factor.strip(), formula)]
        text = _without_sign(before, after, formula)
    return " ".join(text.split()), bars


def _bar_at(text: str) -> int | None:
    """Where the first bar is that is no part of a name in backticks or of a text."""
    hidden = re.sub(r"`[^`\n]*`|'[^'\n]*'|\"[^\"\n]*\"", lambda found: "_" * len(found[0]), text)
    at = hidden.find("|")
    return None if at < 0 else at


def _brackets_around(text: str, at: int, formula: str) -> tuple[int, int]:
    """Positions of the brackets around a position."""
    depth, first = 0, -1
    for i in range(at, -1, -1):
        depth += (text[i] == ")") - (text[i] == "(")
        if depth < 0:
            first = i
            break
    depth, end = 0, -1
    for i in range(at, len(text)):
        depth += (text[i] == "(") - (text[i] == ")")
        if depth < 0:
            end = i
            break
    if first < 0 or end < 0:
        raise ExpressionError(f"a bar of the formula {formula!r} is not within brackets: write (1 | group)")
    return first, end


def _without_sign(before: str, after: str, formula: str) -> str:
    """The text around brackets that are taken away, with the plus between them."""
    before, after = before.rstrip(), after.lstrip()
    stands_alone = not after or after[0] in "+-"
    if before.endswith("+") and stands_alone:
        return f"{before[:-1].rstrip()} {after}"
    if before.endswith("~") and stands_alone:
        return f"{before} {after.removeprefix('+').lstrip() or '1'}"
    raise ExpressionError(
        f"random effects are added to a formula: write '+ (..)' in {formula!r}, not inside of another term"
    )


def _factors(text: str, formula: str) -> list[tuple[str, ...]]:
    """The columns of each grouping factor that the right side of a bar stands for."""
    if not text:
        raise ExpressionError(f"nothing stands right of a bar of the formula {formula!r}: write (1 | group)")
    _, tree = parse(f"~ {text}")

    def of(node: Node) -> list[tuple[str, ...]]:
        match node:
            case Name(name) | Call("factor" | "C", (("", Name(name)),)):
                return [(name,)]
            case Operation(":", left, right):
                return [tuple(dict.fromkeys((*a, *b))) for a in of(left) for b in of(right)]
            case Operation("/", left, right):
                outer = of(left)
                within = tuple(dict.fromkeys(name for each in outer for name in each))
                return [*outer, *[tuple(dict.fromkeys((*within, *each))) for each in of(right)]]
        raise ExpressionError(f"right of a bar stands a column, a:b or a/b; got {text!r} in the formula {formula!r}")

    return of(tree)


def _blocks(bars: Sequence[Bar], levels: Mapping[str, Sequence[str]], formula: str) -> dict[str, dict[str, Any]]:
    """The blocks of a model file by name; those of one factor whose terms are not correlated as one."""
    found: dict[str, dict[str, Any]] = {}
    same: dict[frozenset[str], list[Bar]] = {}  # a:b and b:a are one factor
    for bar in bars:
        same.setdefault(frozenset(bar.columns), []).append(bar)
    for own in same.values():
        columns = own[0].columns
        terms = [_terms(bar, levels, formula) for bar in own]
        diagonal = [bar.is_diagonal or len(each) == 1 for bar, each in zip(own, terms, strict=True)]
        together = {name: text for each in terms for name, text in each.items()}
        if len(together) < sum(map(len, terms)):
            raise ModelError(f"the formula {formula!r} has a random term twice for {':'.join(columns)}")
        if all(diagonal):
            terms, diagonal = [together], [True]
        for k, (each, apart) in enumerate(zip(terms, diagonal, strict=True)):
            name = _name_apart(columns, k, found)
            found[name] = {"cluster": columns[0] if len(columns) == 1 else list(columns)}
            found[name] |= {} if each == {"intercept": "1"} else {"terms": each}
            found[name] |= {"covariance": "diagonal"} if apart and len(each) > 1 else {}
    return found


def _name_apart(columns: Sequence[str], k: int, found: Collection[str]) -> str:
    """The name of a factor's block, its k-th, that no other has: different columns may be the same in plain letters."""
    plain = automatic_name(*columns)
    plain = f"g{plain}" if plain[0].isdigit() or not plain.strip("_") else plain
    for number in range(k + 1, len(found) + k + 2):
        name = plain if number == 1 else f"{plain[: MAX_NAME - 4]}_{number}"
        if name not in found:
            return name
    raise AssertionError(plain)


def _terms(bar: Bar, levels: Mapping[str, Sequence[str]], formula: str) -> dict[str, str]:
    """Name -> row expression of the terms left of a bar."""
    if not bar.terms:
        raise ExpressionError(f"nothing stands left of a bar of the formula {formula!r}: write (1 | group)")
    text = f"~ {bar.terms}"
    _, tree = parse(text)
    try:
        found = expand(tree, text)
    except ExpressionError as error:
        raise ExpressionError(f"left of the bar of ({bar.terms} | ..) in {formula!r}: {error}") from None
    if found.offsets:
        raise ModelError(f"an offset has no place left of a bar; got {bar.terms!r} in the formula {formula!r}")
    texts = {key: isinstance(node, Name) and node.text in levels for key, node in found.factors.items()}
    terms: dict[str, str] = {}
    for term, parts in zip(found.terms, codings(found.terms, texts), strict=True):
        for coding in parts:
            factors = [
                _levels(key, found.factors[key], levels, coding[key], len(term) > 1)
                if texts[key]
                else [_number(found.factors[key], len(term) > 1, formula)]
                for key in term
                if key in coding or not texts[key]
            ]
            for each in product(*factors):
                name = automatic_name(*(part for part, _ in each)) if each else "intercept"
                if name in terms:
                    raise ModelError(
                        f"two random terms of ({bar.terms} | ..) in {formula!r} would be called {name!r}: write a "
                        "model file, where terms have names of your own"
                    )
                terms[name] = " * ".join(expression for _, expression in each) if each else "1"
    return terms


def _levels(
    key: str, node: Node, levels: Mapping[str, Sequence[str]], is_full: bool, is_multiplied: bool
) -> list[tuple[str, str]]:
    """Names and row expressions of a column of text: of each level, or of each but the first."""
    assert isinstance(node, Name)
    own = list(levels[node.text])[0 if is_full else 1 :]
    texts = [f"{key} == {text_of(Text(level))}" for level in own]
    return [
        (f"{node.text}_{level}", f"({text})" if is_multiplied else text) for level, text in zip(own, texts, strict=True)
    ]


def _number(node: Node, is_multiplied: bool, formula: str) -> tuple[str, str]:
    """Name and row expression of a column of numbers, or of arithmetic."""
    plain = _without_identity(node)
    text = text_of(plain)
    try:
        row_expression(text)
    except ExpressionError as error:
        raise ModelError(f"{text_of(node)} cannot be a random term of the formula {formula!r}: {error}") from None
    name = "_".join(re.findall(r"[^\W_]+", text))
    return name, f"({text})" if is_multiplied and isinstance(plain, Operation) else text


def _without_identity(node: Node) -> Node:
    """A tree without ``I()``, which row expressions do not need."""
    match node:
        case Call("I", ((_, inside),)):
            return _without_identity(inside)
        case Call(function, arguments):
            return Call(function, tuple((name, _without_identity(each)) for name, each in arguments))
        case Sign(operator, operand):
            return Sign(operator, _without_identity(operand))
        case Operation(operator, left, right):
            return Operation(operator, _without_identity(left), _without_identity(right))
    return node


def levels_of(table: Any) -> dict[str, tuple[str, ...]]:
    """The levels in order of the columns of a table that hold text; none of no table.

    Raises
    ------
    DataError
        When it is no table.
    """
    from pandas.api.types import is_numeric_dtype

    if table is None:
        return {}
    if not hasattr(table, "columns"):
        raise DataError(f"the table must be a pandas DataFrame; got {type(table).__name__}")
    columns = [(str(name), table.iloc[:, j]) for j, name in enumerate(table.columns)]
    return {name: factorize(column).levels for name, column in columns if not is_numeric_dtype(column.dtype)}
