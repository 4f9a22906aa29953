"""From the tree of a formula to its terms, by R's rules (Wilkinson & Rogers 1973; `?formula` in R).

A term is a tuple of factors, each by its text; the empty one is the intercept.
"""

from __future__ import annotations

from dataclasses import dataclass

from saem.errors import ExpressionError
from saem.specification.formula.functions import check_call
from saem.specification.formula.grammar import COMPARISONS, Call, Name, Node, Number, Operation, Sign, Text, text_of

MAX_TERMS = 300

Term = tuple[str, ...]
_NO_INTERCEPT: Term = ("0",)  # no name of a factor: a number


@dataclass(frozen=True)
class Terms:
    """The terms of a formula.

    Attributes
    ----------
    terms : tuple of Term
        By their number of factors, otherwise in the order in which they are written, as in R.
    factors : dict of str to Node
        The tree of each factor.
    offsets : tuple of Node
        What is added to the mean with the coefficient 1.
    powers : tuple of str
        Columns of which a power is taken outside of `I()`, which is the column itself.
    """

    terms: tuple[Term, ...]
    factors: dict[str, Node]
    offsets: tuple[Node, ...]
    powers: tuple[str, ...]


def expand(node: Node, formula: str) -> Terms:
    """Multiply out the right side of a formula.

    Parameters
    ----------
    node : Node
    formula : str
        For messages.

    Raises
    ------
    ExpressionError
    """
    expansion = _Expansion(formula)
    found = expansion.sum_of([()], expansion.of(node))
    found = [term for term in found if term != _NO_INTERCEPT]
    offsets = []
    for term in found:
        calls = [key for key in term if _is_offset(expansion.factors[key])]
        if calls and len(term) > 1:
            raise ExpressionError(
                f"an offset is added to the mean, and cannot be part of the interaction {':'.join(term)} in {formula!r}"
            )
        offsets += calls
    terms = [term for term in found if not (term and term[0] in offsets)]
    if not terms:
        raise ExpressionError(f"the formula {formula!r} has no term: it leaves no mean to estimate; write 1 for one")
    return Terms(
        terms=tuple(sorted(terms, key=len)),
        factors={key: tree for key, tree in expansion.factors.items() if any(key in term for term in terms)},
        offsets=tuple(expansion.factors[key] for key in offsets),
        powers=tuple(dict.fromkeys(expansion.powers)),
    )


class _Expansion:
    """Collects the factors on the way."""

    def __init__(self, formula: str) -> None:
        self.formula = formula
        self.factors: dict[str, Node] = {}
        self.powers: list[str] = []

    def of(self, node: Node) -> list[Term]:
        match node:
            case Number(value):
                if value not in (0.0, 1.0):
                    raise self._arithmetic(node)
                return [()] if value else [_NO_INTERCEPT]
            case Name() | Call():
                return [(self._factor(node),)]
            case Sign("+", operand):
                return self.of(operand)
            case Sign("-", operand):
                return self._without([], self.of(operand))
            case Operation("+", left, right):
                return self.sum_of(self.of(left), self.of(right))
            case Operation("-", left, right):
                return self._without(self.of(left), self.of(right))
            case Operation("*", left, right):
                a, b = self.of(left), self.of(right)
                return self.sum_of(self.sum_of(a, b), self._products(a, b))
            case Operation(":" | "%in%", left, right):
                return self._products(self.of(left), self.of(right))
            case Operation("/", left, right):
                a = self.of(left)
                within = tuple(dict.fromkeys(key for term in a for key in term))
                return self.sum_of(a, self._products([within], self.of(right)))
            case Operation("**", left, Number(value)) if value.is_integer() and 1 <= value <= 10:
                return self._power(left, int(value))
            case Operation("**", _, _):
                raise ExpressionError(
                    f"the power {text_of(node)} in {self.formula!r} must be a whole number from 1 to 10, which is how "
                    "many factors a term may have; arithmetic is written within I(..)"
                )
            case Operation(operator, _, _) if operator in COMPARISONS:
                raise ExpressionError(
                    f"a comparison is a term of a formula within I(..): write I({text_of(node)}) in {self.formula!r}"
                )
            case Text(value):
                raise ExpressionError(
                    f"the formula {self.formula!r} has the text {value!r} as a term; a column with such a name stands "
                    "in backticks"
                )
        raise ExpressionError(f"the formula {self.formula!r} has a list as a term; a term is a column, or a function")

    def _factor(self, node: Name | Call) -> str:
        if isinstance(node, Call):
            check_call(node, self.formula)
            if node.function == "I" and isinstance(node.arguments[0][1], Name):
                return self._factor(node.arguments[0][1])
        key = text_of(node)
        self.factors[key] = node
        return key

    def _power(self, left: Node, power: int) -> list[Term]:
        base = self.of(left)
        if power > 1 and len(base) == 1 and len(base[0]) == 1 and base[0] != _NO_INTERCEPT:
            self.powers.append(base[0][0])
        found = base
        for _ in range(power - 1):
            found = self.sum_of(found, self._products(found, base))
        return found

    def sum_of(self, a: list[Term], b: list[Term]) -> list[Term]:
        """All terms of both; ``0`` takes the intercept away and ``1`` brings it back."""
        found = {frozenset(term): term for term in a}
        for term in b:
            if term in ((), _NO_INTERCEPT):
                found.pop(frozenset(() if term else _NO_INTERCEPT), None)
            found.setdefault(frozenset(term), term)
        return self._bounded(list(found.values()))

    def _without(self, a: list[Term], b: list[Term]) -> list[Term]:
        found = list(a)
        for term in b:
            if term in ((), _NO_INTERCEPT):
                found = self.sum_of(found, [() if term else _NO_INTERCEPT])
            else:
                found = [other for other in found if set(other) != set(term)]
        return found

    def _products(self, a: list[Term], b: list[Term]) -> list[Term]:
        if _NO_INTERCEPT in (*a, *b):
            raise ExpressionError(f"0 can be added in a formula, not multiplied; got {self.formula!r}")
        found: dict[frozenset[str], Term] = {}
        for left in a:
            for right in b:
                term = tuple(dict.fromkeys((*left, *right)))
                found.setdefault(frozenset(term), term)
        return self._bounded(list(found.values()))

    def _bounded(self, terms: list[Term]) -> list[Term]:
        if len(terms) > MAX_TERMS:
            raise ExpressionError(
                f"a formula may stand for at most {MAX_TERMS} terms; {self.formula!r} stands for more"
            )
        return terms

    def _arithmetic(self, node: Number) -> ExpressionError:
        return ExpressionError(
            f"the number {text_of(node)} is no term of the formula {self.formula!r}: arithmetic is written within "
            "I(..), such as I(x / 100) or I(2 * x)"
        )


def _is_offset(node: Node) -> bool:
    return isinstance(node, Call) and node.function == "offset"
