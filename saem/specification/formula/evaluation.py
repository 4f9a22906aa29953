"""The factors of a formula on the rows of a table: numbers in one or several columns, or coded levels."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saem.errors import DataError, listing, nearest
from saem.expressions.columns import Factor, Values, level_text
from saem.specification.formula import bases
from saem.specification.formula.functions import CATEGORICAL, ELEMENTWISE, STATEFUL, settings
from saem.specification.formula.grammar import Call, Name, Node, Number, Operation, Pi, Sign, Text, text_of
from saem.specification.formula.naming import level_names

MAX_LEVELS = 10_000
MANY = 200  # levels: a column of numbers that holds text somewhere has more
Floats = NDArray[np.float64]
State = dict[str, Any]

_NUMBER_WITH_COMMA = re.compile(r"[+-]?\d+,\d+|[+-]?\d{1,3}(,\d{3})+(\.\d+)?")
_OPERATIONS = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "**": np.power}
_COMPARISONS = {
    "==": np.equal, "!=": np.not_equal, "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Numbers:
    """Columns of numbers (n, k)."""

    columns: Floats


@dataclass(frozen=True, eq=False)
class Levels:
    """A factor: codes (n,) of its levels, its contrast, and the part of a name that each level has."""

    codes: NDArray[np.int64]
    levels: tuple[str, ...]
    contrast: tuple[str, str | None]
    names: dict[str, str]


class Evaluation:
    """Evaluates factors; with the constants of an earlier one, or else it makes and keeps them.

    Parameters
    ----------
    formula : str
        For messages.
    columns : mapping of str to Values
        The columns of the table, (n,) each.
    n : int
    state : dict, optional
        Constants of the rows of a fit, by the text of what they belong to.
    """

    def __init__(self, formula: str, columns: Mapping[str, Values], n: int, state: State | None = None) -> None:
        self.formula = formula
        self.columns = columns
        self.n = n
        self.state: State = {} if state is None else state
        self._is_new = state is None

    def factor(self, key: str, node: Node) -> Numbers | Levels:
        """One factor of a term."""
        column = node.arguments[0][1] if isinstance(node, Call) and node.function in CATEGORICAL else node
        if isinstance(column, Name):
            given = settings(node, self.formula) if isinstance(node, Call) else {}
            values = self.columns[column.text]
            if isinstance(values, Factor) and values.as_numbers and not isinstance(node, Call):
                return Numbers(self._dates(column.text, values)[:, None])
            if isinstance(values, Factor) or isinstance(node, Call) or values.dtype == np.bool_:
                return self._levels(key, column.text, values, given, isinstance(node, Call))
        if isinstance(node, Call) and node.function in STATEFUL:
            return Numbers(self._stateful(node))
        value = self.number(node)
        if value.dtype == np.bool_:
            return self._levels(key, key, value, {}, True)
        return Numbers(np.asarray(value, dtype=np.float64)[:, None])

    def number(self, node: Node) -> NDArray[Any]:
        """Arithmetic on each row: (n,) of numbers or truth values."""
        with np.errstate(all="ignore"):  # what is not finite is refused with its name
            value = np.asarray(self._value(node))
        return np.full(self.n, value) if value.ndim == 0 else value

    def _value(self, node: Node) -> Any:
        match node:
            case Number(value):
                return value
            case Pi():
                return math.pi
            case Name(text):
                return self._column(text)
            case Sign(operator, operand):
                value = self._arithmetic(operand)
                return -value if operator == "-" else value
            case Operation(operator, Name(text), Text(level)) if operator in ("==", "!="):
                return self._is_level(text, level) == (operator == "==")
            case Operation(operator, left, right) if operator in _OPERATIONS:
                return _OPERATIONS[operator](self._arithmetic(left), self._arithmetic(right))
            case Operation(operator, left, right) if operator in _COMPARISONS:
                return _COMPARISONS[operator](self._arithmetic(left), self._arithmetic(right))
            case Call("I" | "offset", ((_, inner),)):
                return self._value(inner)
            case Call(function, ((_, inner),)) if function in ELEMENTWISE:
                return ELEMENTWISE[function](self._arithmetic(inner))
            case Call(function, _) if function in STATEFUL:
                return self._stateful(node)[:, 0]
        raise DataError(f"{text_of(node)} in the formula {self.formula!r} is no number")

    def _arithmetic(self, node: Node) -> Any:
        """A value in which true and false are 1 and 0."""
        return np.asarray(self._value(node), dtype=np.float64)

    def _column(self, name: str) -> NDArray[Any]:
        values = self.columns[name]
        if not isinstance(values, Factor):
            return values
        if values.as_numbers:
            return self._dates(name, values)
        self._refuse_commas(name, values.levels)
        raise DataError(
            f"column {name!r} holds text such as {values.levels[0] if values.levels else ''!r}, but the formula "
            f"{self.formula!r} calculates with it"
        )

    def _dates(self, name: str, values: Factor) -> Floats:
        """Days since the first one, which is a constant of the fit; or numbers that are kept as text."""
        if values.is_numeric:
            return values.numbers()
        key = f"origin of {name}"
        if self._is_new:
            self.state[key] = values.origin()
        return values.numbers(float(self.state[key]))

    def _is_level(self, name: str, level: str) -> NDArray[np.bool_]:
        values = self.columns[name]
        if not isinstance(values, Factor):
            raise DataError(
                f"column {name!r} holds numbers, but the formula {self.formula!r} compares it with the text {level!r}; "
                "write the number without quotes"
            )
        if level not in values.levels:
            raise DataError(
                f"column {name!r} has no level {level!r}{nearest(level, values.levels)}, which the formula "
                f"{self.formula!r} asks for; its levels are {listing(values.levels)}"
            )
        return np.asarray(values.codes == values.levels.index(level))

    def _stateful(self, call: Call) -> Floats:
        key = text_of(call)
        x = np.asarray(self.number(call.arguments[0][1]), dtype=np.float64)
        try:
            if self._is_new:
                if not np.isfinite(x).all():
                    raise DataError("it is not finite in all rows")
                self.state[key] = bases.state_of(call.function, x, settings(call, self.formula))
            return bases.columns_of(call.function, x, self.state[key])
        except DataError as error:
            raise DataError(f"{key} in the formula {self.formula!r}: {error}") from None

    def _levels(self, key: str, name: str, values: Values, given: dict[str, Any], is_wanted: bool) -> Levels:
        """A factor with the levels that have rows, in their order; that of the fit where there is one."""
        codes, levels = _coded(values)
        if self._is_new:
            if not is_wanted:
                self._refuse_numbers(name, levels)
            levels_then = given.get("levels", levels)
            self._check_levels(name, levels, levels_then)
            there = set(levels)
            # names do not depend on which of the levels of a column have rows
            known = values.levels if isinstance(values, Factor) else levels
            names = dict(zip(known, level_names(known), strict=True))
            then = [level for level in levels_then if level in there]
            self.state[key] = {"levels": then, "names": {level: names[level] for level in then}}
        then = self.state[key]["levels"]
        position = {level: k for k, level in enumerate(then)}
        unknown = [level for level in levels if level not in position]
        if unknown:
            raise DataError(
                f"column {name!r} has the level {unknown[0]!r}{nearest(unknown[0], then)} in {key} of the formula "
                f"{self.formula!r}; the data of the fit, which alone say what it does, have {listing(then)}"
            )
        place = np.array([position[level] for level in levels], dtype=np.int64)
        kind, level = given.get("contrast", ("treatment", None))
        return Levels(place[codes], tuple(then), (kind, level), self.state[key]["names"])

    def _check_levels(self, name: str, levels: list[str], wanted: list[str]) -> None:
        if len(levels) > MAX_LEVELS:
            raise DataError(
                f"column {name!r} of the formula {self.formula!r} has {len(levels)} levels, more than {MAX_LEVELS}: "
                "does it belong to cluster?"
            )
        if len(set(wanted)) < len(wanted) or set(levels) - set(wanted):
            lost = listing([level for level in levels if level not in wanted])
            raise DataError(
                f"the levels of {name!r} in the formula {self.formula!r} must be all of the column, each once; "
                + (f"{lost} are not among them" if lost else f"got {listing(wanted)}")
            )

    def _refuse_numbers(self, name: str, levels: list[str]) -> None:
        """Refuse a column of numbers that only looks like a factor."""
        self._refuse_commas(name, tuple(levels))
        if len(levels) <= MANY:
            return
        text = [level for level in levels if not is_number(level)]
        if 0 < len(text) < 0.1 * len(levels):
            raise DataError(
                f"column {name!r} of the formula {self.formula!r} holds numbers, but also the text {text[0]!r}; leave "
                f"missing values empty, or write C({name}) if its {len(levels)} values are levels"
            )

    def _refuse_commas(self, name: str, levels: tuple[str, ...]) -> None:
        commas = [level for level in levels if _NUMBER_WITH_COMMA.fullmatch(level)]
        if commas and len(commas) + sum(map(is_number, levels)) == len(levels):
            raise DataError(
                f"column {name!r} holds numbers with a comma, such as {commas[0]!r}, which are text: write decimal "
                f"points, and no commas between thousands (or C({name}) in the formula if they are levels)"
            )


def _coded(values: Values) -> tuple[NDArray[np.int64], list[str]]:
    """Codes, and the levels that have rows: a Categorical's in its order, numbers by size, text by alphabet."""
    if isinstance(values, Factor):
        counts = np.bincount(values.codes[values.codes >= 0], minlength=len(values.levels))
        there = [k for k, count in enumerate(counts) if count]
        if values.is_numeric:
            size = values.level_values()
            there.sort(key=lambda k: (size[k], values.levels[k]))
        elif not values.is_ordered:
            there.sort(key=lambda k: values.levels[k])
        place = np.full(len(values.levels), -1, dtype=np.int64)
        place[there] = np.arange(len(there))
        return place[values.codes], [values.levels[k] for k in there]
    distinct, codes = np.unique(values, return_inverse=True)
    return codes.astype(np.int64), [level_text(value) for value in distinct.tolist()]


def is_number(text: str) -> bool:
    """Whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
