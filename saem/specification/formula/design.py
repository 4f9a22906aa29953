"""From a formula and the columns of a table to a design matrix, and what it takes to make that of other rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from saem.errors import DataError, ExpressionError, SaemError
from saem.expressions.columns import Factor, Values, since_words
from saem.specification.formula.coding import codings, contrast
from saem.specification.formula.evaluation import Evaluation, Levels, Numbers, State
from saem.specification.formula.functions import CATEGORICAL, check_response
from saem.specification.formula.grammar import Call, Name, Node, names_in, parse, text_of
from saem.specification.formula.naming import distinct, identifier, shown, tells
from saem.specification.formula.terms import Terms, expand

MAX_COLUMNS = 2000
MAX_CELLS = 100_000_000  # numbers in a design
MAX_COMBINATIONS = 100_000  # of levels that are looked through for those without rows

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Formula:
    """A formula that was read.

    Attributes
    ----------
    text : str
    left : Node or None
    right : Terms
    """

    text: str
    left: Node | None
    right: Terms

    @property
    def response(self) -> str | None:
        """The response as the formula states it, such as ``log(y)``; the plain name of a column."""
        if self.left is None:
            return None
        return self.left.text if isinstance(self.left, Name) else text_of(self.left)

    @property
    def response_columns(self) -> tuple[str, ...]:
        """The columns that the response is made of."""
        return () if self.left is None else tuple(names_in(self.left))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the right side, in order of first use."""
        nodes = [*self.right.factors.values(), *self.right.offsets]
        return tuple(dict.fromkeys(name for node in nodes for name in names_in(node)))


@lru_cache(maxsize=256)
def read(formula: str) -> Formula:
    """Read a formula, once in a process.

    Raises
    ------
    ExpressionError
        When it is none, in one sentence that says why.
    """
    left, right = parse(formula)
    if left is not None:
        check_response(left, formula)
        if not names_in(left):
            raise ExpressionError(f"the left side of the formula must be a column; got {formula!r}")
    return Formula(formula, left, expand(right, formula))


@dataclass(frozen=True, eq=False)
class Design:
    """The design of a formula.

    Attributes
    ----------
    matrix : (n, p) ndarray
        C-contiguous.
    names : tuple of str
        (p,) parameters.
    labels : tuple of str
        (p,) columns in the words of the formula, such as ``"treatment[CCCP]"``.
    unclear : frozenset of str
        Names that do not tell their column: only the label does.
    offset : (n,) ndarray or None
    state : dict
        Constants of centring, scaling, polynomials and splines, levels and origins of dates: numbers, texts and lists.
    warnings : tuple of str
    cells : tuple
        What `missing_cells` looks through: the factors of each interaction by name.
    optional : frozenset of int
        Columns of interactions of factors.
    """

    matrix: Floats
    names: tuple[str, ...]
    labels: tuple[str, ...]
    unclear: frozenset[str]
    offset: Floats | None
    state: State
    warnings: tuple[str, ...]
    cells: tuple[dict[str, Levels], ...] = ()
    optional: frozenset[int] = frozenset()


@dataclass(frozen=True, eq=False)
class _Piece:
    """Columns of one factor in one coding, with their part of names and labels."""

    columns: Floats
    names: list[str]
    labels: list[str]
    unclear: tuple[str, ...] = ()


def design(formula: str, columns: Mapping[str, Values], n: int, state: State | None = None) -> Design:
    """Design matrix of a formula.

    Parameters
    ----------
    formula : str
        From a validated model.
    columns : mapping of str to Values
        The columns of the formula, (n,) without missing values.
    n : int
        Rows.
    state : dict, optional
        That of the design of other rows, whose columns these rows get.

    Raises
    ------
    DataError
        When a column is of the wrong kind, a level is not one of the state, or the state is not one of this formula, as
        in a file that was changed.
    """
    if state is None:
        return _design(formula, columns, n)
    try:
        return _design(formula, columns, n, state)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, np.linalg.LinAlgError) as error:
        if isinstance(error, SaemError):
            raise
        raise DataError(
            f"the constants that the fit keeps for the formula {formula!r} do not belong to it "
            f"({type(error).__name__}: {error}); fit again"
        ) from None


def _design(formula: str, columns: Mapping[str, Values], n: int, state: State | None = None) -> Design:
    """`design`, with whatever error a wrong state leads to."""
    read_ = read(formula)
    evaluation = Evaluation(formula, columns, n, state)
    factors = {key: evaluation.factor(key, node) for key, node in read_.right.factors.items()}
    parts = codings(read_.right.terms, {key: isinstance(factor, Levels) for key, factor in factors.items()})
    pieces: dict[tuple[str, bool], _Piece] = {}
    blocks: list[Floats] = []
    names: list[str] = []
    labels: list[str] = []
    optional: list[int] = []
    foreign: list[int] = []
    total = 0
    for term, codes in zip(read_.right.terms, parts, strict=True):
        for coding in codes:
            used = [(key, coding.get(key, False)) for key in term if key in coding or isinstance(factors[key], Numbers)]
            width = math.prod(_width(factors[key], is_full) for key, is_full in used)
            total += width
            if total > MAX_COLUMNS or total * n > MAX_CELLS:
                raise DataError(
                    f"the formula {formula!r} stands for {total} means or more in {n} rows; at most {MAX_COLUMNS} and "
                    f"{MAX_CELLS:,} numbers are allowed: does one of its factors belong to cluster?"
                )
            for key, is_full in used:
                if (key, is_full) not in pieces:
                    pieces[key, is_full] = _piece(key, read_.right.factors[key], factors[key], is_full)
            chosen = [pieces[one] for one in used]
            if sum(isinstance(factors[key], Levels) for key in term) > 1:
                optional += range(total - width, total)
            blocks.append(_products(chosen, n))
            for i, each in enumerate(product(*(piece.labels for piece in chosen))):
                if any(label in piece.unclear for label, piece in zip(each, chosen, strict=True)):
                    foreign.append(len(names) + i)
            names += ["_x_".join(each) or "intercept" for each in product(*(piece.names for piece in chosen))]
            labels += [":".join(each) or "Intercept" for each in product(*(piece.labels for piece in chosen))]
    matrix = np.ascontiguousarray(np.column_stack(blocks)) if total else np.empty((n, 0))
    unique, unclear = distinct(names)
    offsets = [np.asarray(evaluation.number(node), dtype=np.float64) for node in read_.right.offsets]
    if not total and not offsets:
        raise DataError(f"the formula {formula!r} leaves no mean to estimate")
    return Design(
        matrix=matrix,
        names=unique,
        labels=tuple(labels),
        unclear=frozenset(unique[i] for i in (*unclear, *foreign)),
        offset=np.sum(offsets, axis=0) if offsets else None,
        state=evaluation.state,
        warnings=tuple(_warnings(read_, factors, columns, evaluation.state)),
        cells=tuple(_interactions(read_.right, factors)),
        optional=frozenset(optional),
    )


def response_of(
    formula: str, columns: Mapping[str, Values], n: int, state: State | None = None
) -> tuple[Floats, State]:
    """The response (n,) as the left side of a formula states it, and its constants."""
    read_ = read(formula)
    assert read_.left is not None
    evaluation = Evaluation(formula, columns, n, state)
    return np.asarray(evaluation.number(read_.left), dtype=np.float64), evaluation.state


def _width(factor: Numbers | Levels, is_full: bool) -> int:
    """How many columns a factor has."""
    return factor.columns.shape[1] if isinstance(factor, Numbers) else len(factor.levels) - (not is_full)


def _products(pieces: list[_Piece], n: int) -> Floats:
    """All products of a column of each piece; those of the last one follow each other."""
    block = np.ones((n, 1))
    for piece in pieces:
        block = (block[:, :, None] * piece.columns[:, None, :]).reshape(n, -1)
    return block


def _piece(key: str, node: Node, factor: Numbers | Levels, is_full: bool) -> _Piece:
    if isinstance(factor, Numbers):
        count = factor.columns.shape[1]
        base = identifier(key) or "x"
        names = [base] if count == 1 else [f"{base}_{k}" for k in range(1, count + 1)]
        return _Piece(factor.columns, names, [key] if count == 1 else [f"{key}[{k}]" for k in range(1, count + 1)])
    column = key
    if isinstance(node, Call) and node.function in CATEGORICAL and len(node.arguments) > 1:
        column = names_in(node)[0]  # C(f, Sum) has the names of f
    elif isinstance(node, Name):
        column = node.text
    if is_full:
        matrix, levels = np.eye(len(factor.levels)), list(factor.levels)
    else:
        try:
            matrix, levels = contrast(*factor.contrast, factor.levels)
        except DataError as error:
            raise DataError(f"{key}: {error}") from None
    base = identifier(column) or "x"
    names = [f"{base}_{factor.names.get(level) or identifier(level)}" for level in levels]
    shown_as = [f"{key}[{shown(level)}]" for level in levels]
    foreign = tuple(label for label, level in zip(shown_as, levels, strict=True) if not tells(level))
    return _Piece(matrix[factor.codes], names, shown_as, foreign)


def _warnings(
    read_: Formula, factors: Mapping[str, Numbers | Levels], columns: Mapping[str, Values], state: State
) -> list[str]:
    """What the user should know of how the formula was understood."""
    found = []
    for key in read_.right.powers:
        if isinstance(factors.get(key), Numbers):
            found.append(
                f"a power of the single column {key!r} in the formula {read_.text!r} is the column itself, as in R; "
                f"its square is I({key}**2)"
            )
    for name in read_.columns:
        values = columns[name]
        if isinstance(values, Factor) and values.is_date and f"origin of {name}" in state:
            found.append(since_words(name, values.day(state[f"origin of {name}"])))
    for key, factor in factors.items():
        if isinstance(factor, Levels) and len(factor.levels) == 1:
            found.append(f"{key!r} has the single level {factor.levels[0]!r}, and tells no means apart")
    return found


def _interactions(terms: Terms, factors: Mapping[str, Numbers | Levels]) -> list[dict[str, Levels]]:
    """The factors with levels of each term that has several."""
    found = []
    for term in terms.terms:
        several = {key: factor for key in term if isinstance(factor := factors[key], Levels)}
        if len(several) > 1:
            found.append(several)
    return found


def missing_cells(found: Design) -> str:
    """The first combinations of levels without rows, in words; empty where no interaction lacks one."""
    for several in found.cells:
        sizes = [len(factor.levels) for factor in several.values()]
        if np.prod(sizes) > MAX_COMBINATIONS:
            continue
        seen = {tuple(codes) for codes in np.stack([factor.codes for factor in several.values()], axis=1).tolist()}
        missing = [codes for codes in product(*map(range, sizes)) if codes not in seen]
        if missing:
            cells = [
                " and ".join(f"{key} = {several[key].levels[code]!r}" for key, code in zip(several, codes, strict=True))
                for codes in missing[:3]
            ]
            more = f" (and {len(missing) - 3} more combinations)" if len(missing) > 3 else ""
            return f"no row has {', or '.join(cells)}{more}"
    return ""
