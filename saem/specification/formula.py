"""Formulas for the mean, ``"y ~ treatment * modification"``, through formulae.

The package formulae evaluates function calls of a formula as Python, and multiplies out all products of terms. So only
texts made of a short list of tokens reach it, and only those that have few terms.
"""

from __future__ import annotations

import ast
import re
import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from saem.errors import DataError, ExpressionError, ModelError, nearest
from saem.expressions.grammar import MAX_NAME, RESERVED

if TYPE_CHECKING:
    import pandas as pd

MAX_CHARACTERS = 1000
MAX_TERMS = 300  # counted before equal terms are merged
MAX_LEVELS = 200
_HUGE = 10**9
#: Functions that a formula may call.
CALLS = {"log": np.log, "log2": np.log2, "log10": np.log10, "exp": np.exp, "sqrt": np.sqrt}
_BUILTIN = ("C", "center", "scale", "standardize")
_ROW = "saem_row"  # formulae wants a response; the design does not depend on it
_CODINGS = ("Treatment", "Sum")
_CODED = re.compile(
    r"C\(([^,()]+), (?:Treatment|Sum)\((?:'[^']*'|\"[^\"]*\"|[\d.]*)\)\)"
)  # the label of a factor with its coding
_TOKEN = re.compile(
    r"\s*(?:(\d+(?:\.\d+)?)|([A-Za-z_][A-Za-z0-9_]*)|`([^`\n]+)`|(\*\*|[-+*/:~(),])|'([^'\"\\\n]*)'|\"([^'\"\\\n]*)\")"
)


def _tokens(formula: str) -> list[tuple[str, str]]:
    """Split into (kind, text); refuse everything else."""
    if len(formula) > MAX_CHARACTERS:
        raise ExpressionError(f"a formula must have at most {MAX_CHARACTERS} characters; got {len(formula)}")
    tokens: list[tuple[str, str]] = []
    position = 0
    while formula[position:].strip():
        match = _TOKEN.match(formula, position)
        if match is None:
            rest = formula[position:].strip()
            advice = {
                "|": "random effects are written in [random], not in the formula",
                "^": "write ** for a power of terms",
            }.get(rest[0], "only columns, numbers, + - * / : ** ~, brackets and a few functions are allowed")
            raise ExpressionError(f"the formula {formula!r} contains {rest[0]!r}: {advice}")
        kind = ("number", "name", "quoted", "operator", "level", "level")[(match.lastindex or 1) - 1]
        tokens.append((kind, match.group(match.lastindex or 0)))
        position = match.end()
    return tokens


def check_formula(formula: str) -> None:
    """Refuse a formula that is not of the small language, or stands for too many terms.

    Parameters
    ----------
    formula : str
        ``"y ~ ..."`` or ``"~ ..."``.

    Raises
    ------
    ExpressionError
    """
    tokens = _tokens(formula)
    texts = [text for _, text in tokens]
    if tokens.count(("operator", "~")) != 1:
        raise ExpressionError(
            f"mean must be a table of parameters, or a formula with one '~' as in 'y ~ treatment'; got {formula!r}"
        )
    left, right = tokens[: texts.index("~")], tokens[texts.index("~") + 1 :]
    if len(left) > 1 or (left and left[0][0] not in ("name", "quoted")):
        raise ExpressionError(
            f"the left side of the formula must be a column; got {formula!r}; put a transformed response into a column "
            "of the table first"
        )
    if not right:
        raise ExpressionError(f"the right side of the formula must not be empty; got {formula!r}")
    # Python's parser finds the structure; ':' binds like '*' here, which only makes the count of terms larger.
    as_python: dict[str, Callable[[str], str]] = {
        "quoted": lambda text: "quoted",
        "level": repr,
        "operator": lambda text: text.replace(":", "@"),
    }
    plain = " ".join(as_python.get(kind, str)(text) for kind, text in right)
    try:
        tree = ast.parse(plain, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ExpressionError(f"the formula {formula!r} cannot be read") from None
    count = _count_terms(tree, formula)
    if count > MAX_TERMS:
        raise ExpressionError(
            f"a formula may stand for at most {MAX_TERMS} terms; {formula!r} stands for up to {count}"
        )


def _count_terms(node: ast.expr, formula: str) -> int:
    """An upper bound of the terms of a formula, without making them."""
    match node:
        case ast.Name():
            return 1
        case ast.Constant(value=0 | 1):
            return 1
        case ast.UnaryOp(op=ast.UAdd() | ast.USub(), operand=operand):
            return _count_terms(operand, formula)
        case ast.Call():
            _check_call(node, formula)
            return 1
        case ast.BinOp(left=left, op=ast.Pow(), right=ast.Constant(value=int() as power)) if 2 <= power <= 4:
            return min(int(_count_terms(left, formula) ** power), _HUGE)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div() | ast.MatMult() as op, right=right):
            a, b = _count_terms(left, formula), _count_terms(right, formula)
            sums, products = not isinstance(op, ast.MatMult), not isinstance(op, ast.Add | ast.Sub)
            return min(sums * (a + b) + products * a * b, _HUGE)
    raise _misfit(formula)


def _check_call(call: ast.Call, formula: str) -> None:
    """Only known functions, of arithmetic with columns and numbers: formulae evaluates calls as Python."""
    known = [*CALLS, *_BUILTIN]
    match call:  # a factor with its reference level, C(treatment, Treatment('Ctrl'))
        case ast.Call(
            func=ast.Name(id="C"),
            args=[ast.Name(), ast.Call(func=ast.Name(id=coding), args=levels, keywords=[])],
            keywords=[],
        ) if coding in _CODINGS and len(levels) <= 1 and all(isinstance(level, ast.Constant) for level in levels):
            return
    for node in ast.walk(call):
        match node:
            case ast.Call(func=ast.Name(id=name), args=[_], keywords=[]) if name in known:
                pass
            case ast.Call(func=ast.Name(id=name)):
                raise ExpressionError(
                    f"a formula cannot call {name!r}{nearest(name, known)} like this; "
                    f"the functions, each of one column, are {', '.join(known)}"
                )
            case ast.Name() | ast.Constant(value=int() | float()) | ast.UnaryOp(op=ast.UAdd() | ast.USub()):
                pass
            case ast.BinOp(op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div()):
                pass
            case ast.operator() | ast.unaryop() | ast.Load():
                pass
            case _:
                raise _misfit(formula)


def _misfit(formula: str) -> ExpressionError:
    return ExpressionError(
        f"the formula {formula!r} may hold columns, 0, 1, + - * / : **2, brackets, functions of one column "
        f"({', '.join([*CALLS, *_BUILTIN])}), and C(column, Treatment('level')); something else stands in it"
    )


def response_of(formula: str) -> str | None:
    """The response that a formula names; None if it names none or cannot be read.

    Parameters
    ----------
    formula : str

    Returns
    -------
    str or None
    """
    left, tilde, _ = formula.partition("~")
    name = left.strip().strip("`")
    return name if tilde and name else None


def columns_of(formula: str) -> tuple[str, ...]:
    """Columns on the right side of a formula, in order of first use.

    Parameters
    ----------
    formula : str

    Returns
    -------
    tuple of str
    """
    tokens = _tokens(formula[formula.index("~") + 1 :])
    following = [*(text for _, text in tokens[1:]), ""]
    names = [
        t for (k, t), after in zip(tokens, following, strict=True) if k == "quoted" or (k == "name" and after != "(")
    ]
    return tuple(dict.fromkeys(names))


def design(formula: str, table: pd.DataFrame) -> tuple[NDArray[np.float64], tuple[str, ...], tuple[str, ...]]:
    """Design matrix of a checked formula.

    Parameters
    ----------
    formula : str
        From a validated model.
    table : DataFrame
        (n,) rows without missing values in the columns of the formula.

    Returns
    -------
    matrix : (n, p) ndarray
    names : tuple of str
        (p,) parameters: the labels of the columns as identifiers, see `parameter_names`.
    labels : tuple of str
        (p,) labels of the columns, such as ``"treatment[CCCP]"``.
    """
    common = _common(formula, table)
    frame = common.as_dataframe()
    if frame.shape[1] > MAX_LEVELS:
        raise DataError(f"the formula {formula!r} stands for {frame.shape[1]} means; at most {MAX_LEVELS} are allowed")
    matrix = np.ascontiguousarray(frame.to_numpy(dtype=np.float64))
    labels = tuple(str(label) for label in frame.columns)
    return matrix, parameter_names(list(labels)), labels


def _common(formula: str, table: pd.DataFrame) -> Any:
    """What formulae makes of the right side of a formula: its matrix, and how to make that of other rows."""
    import formulae

    right = formula[formula.index("~") + 1 :]
    columns = list(columns_of(formula))
    for name in columns:
        _check_levels(table, name, formula)
    try:
        with np.errstate(all="ignore"):  # what is not finite is refused with its name
            common = formulae.design_matrices(f"{_ROW} ~ {right}", _plain(table, columns), extra_namespace=CALLS).common
    except Exception as error:  # formulae raises many kinds, all of which mean the same to the user
        raise DataError(f"the formula {formula!r} cannot be applied to the table: {error}") from None
    if common is None:
        raise DataError(f"the formula {formula!r} has no term")
    return common


def design_of_others(formula: str, table: pd.DataFrame, others: pd.DataFrame) -> NDArray[np.float64]:
    """Design matrix (m, p) of other rows, with the coding, the centring and the scaling of a table.

    Parameters
    ----------
    formula : str
        From a validated model.
    table : DataFrame
        (n,) rows, for which `design` has the same columns.
    others : DataFrame
        (m,) rows with the columns of the formula, of the same types and levels.

    Raises
    ------
    DataError
        When a level is not one of the table.
    """
    import pandas as pd

    common = _common(formula, table)
    columns: Any = {name: others[name].reset_index(drop=True) for name in columns_of(formula)}
    frame = pd.DataFrame({**columns, _ROW: np.zeros(len(others))})
    try:
        with np.errstate(all="ignore"):
            matrix = np.asarray(common.evaluate_new_data(frame).design_matrix, dtype=np.float64)
    except Exception as error:
        raise DataError(f"the formula {formula!r} cannot be applied to the new rows: {error}") from None
    return np.ascontiguousarray(matrix.reshape(len(others), -1))


def _check_levels(table: pd.DataFrame, name: str, formula: str) -> None:
    """Refuse a factor that would make a design as wide as the table is long."""
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(table[name].dtype) or pd.api.types.is_timedelta64_dtype(table[name].dtype):
        raise DataError(f"column {name!r} of the formula {formula!r} holds dates; make a column of numbers from it")
    numeric = pd.api.types.is_numeric_dtype(table[name].dtype)
    if numeric and not re.search(rf"\bC\s*\(\s*`?{re.escape(name)}`?\s*[,)]", formula):
        return
    levels = int(table[name].nunique())
    if levels > MAX_LEVELS:
        raise DataError(
            f"column {name!r} of the formula {formula!r} has {levels} levels, more than {MAX_LEVELS}: is it a "
            "column of numbers that holds text somewhere, or one that belongs to cluster?"
        )


def _plain(table: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """The columns of the formula, plus one that gives a formula without columns its rows."""
    import pandas as pd

    frame: Any = {name: table[name].reset_index(drop=True) for name in columns}
    for name, column in frame.items():  # formulae keeps the order of the levels of ordered categories only
        if isinstance(column.dtype, pd.CategoricalDtype):
            frame[name] = column.cat.remove_unused_categories().cat.as_ordered()
    return pd.DataFrame({**frame, _ROW: np.zeros(len(table))})


def parameter_names(labels: list[str]) -> tuple[str, ...]:
    """Turn labels of design columns into identifiers.

    ``Intercept`` becomes ``intercept``; ``:`` between factors becomes ``_x_``; ``treatment[CCCP]`` becomes
    ``treatment_CCCP``, and so does ``C(treatment, Treatment('Ctrl'))[CCCP]``; letters lose their accents and Greek ones
    are spelt out; every other run of characters that are no letters or digits becomes ``_``. A name that occurs again
    gets ``_2``, ``_3`` and so on.

    Parameters
    ----------
    labels : list of str

    Returns
    -------
    tuple of str
        Distinct names.
    """
    names: list[str] = []
    for label in labels:
        label = _CODED.sub(r"\1", label)
        parts = [re.sub(r"[^A-Za-z0-9]+", "_", in_ascii(part)).strip("_") or "x" for part in label.split(":")]
        name = "_x_".join(parts)[: MAX_NAME - 4]
        name = "intercept" if name == "Intercept" else name
        if name[0].isdigit() or name in RESERVED:
            name = f"x_{name}"
        unique, count = name, 1
        while unique in names:
            count += 1
            unique = f"{name}_{count}"
        names.append(unique)
    if len(names) != len(set(names)):
        raise ModelError(f"the columns of the design cannot be told apart: {labels}")
    return tuple(names)


def in_ascii(text: str) -> str:
    """Letters without their accents, and others by the last word of their name: ``5 µM`` becomes ``5 muM``."""
    plain = []
    for character in unicodedata.normalize("NFKD", text):
        if character.isascii():
            plain.append(character)
        elif character.isalpha():
            plain.append(unicodedata.name(character, "x").split()[-1].lower())
    return "".join(plain)
