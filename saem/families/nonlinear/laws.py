"""Laws of individual parameters: ``"lognormal(V_pop, omega_V)"``, or an expression where there is none.

``h(phi)`` is normal with the centre ``h(median)``: the parameter itself, its logarithm, or the logit or the probit of
where it lies between two bounds.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from saem.errors import ExpressionError, ModelError, nearest
from saem.expressions.folding import FUNCTIONS, fold
from saem.expressions.grammar import check_name, names_in, parse
from saem.expressions.quoting import Column, hide_quoted, short
from saem.families.nonlinear import trees

LAWS = {"normal": "centre", "lognormal": "median", "logitnormal": "median", "probitnormal": "median"}
BOUNDED = ("logitnormal", "probitnormal")
_WHOLE = re.compile(rf"\s*({'|'.join(LAWS)})\s*\(", flags=re.S)
_CALL = re.compile(r"\s*([A-Za-z_]\w*)\s*\(")
_WITHIN = re.compile(rf"(?<![A-Za-z0-9_.])({'|'.join(LAWS)})\s*\(")


@dataclass(frozen=True, eq=False)
class Law:
    """The law of an individual parameter.

    Attributes
    ----------
    kind : str
        One of `LAWS`.
    centre : ast.expr
        The median, on the parameter's own scale: an expression of population parameters and columns.
    sd : str
        The parameter that is the standard deviation on the scale on which it is normal.
    low, high : float
        Its bounds; 0 and 1 where it has none.
    text : str
        As written.
    occasion_sd : str or None
        The standard deviation, on the same scale, of what an occasion adds.
    """

    kind: str
    centre: ast.expr
    sd: str
    low: float = 0.0
    high: float = 1.0
    text: str = ""
    occasion_sd: str | None = None

    def on_normal_scale(self, centre: ast.expr) -> ast.expr:
        """``h`` of a tree on the scale of the parameter."""
        match self.kind:
            case "normal":
                return centre
            case "lognormal":
                return trees.log(centre)
        inverse = "expit" if self.kind == "logitnormal" else "normal_cdf"
        inside = trees.divide(trees.subtract(centre, trees.number(self.low)), trees.number(self.high - self.low))
        if trees.is_call(inside, inverse):
            return trees.argument(inside)
        return trees.call("logit" if self.kind == "logitnormal" else "probit", inside)

    def value(self, normal: ast.expr) -> ast.expr:
        """The parameter, from a tree on the scale on which it is normal."""
        match self.kind:
            case "normal":
                return normal
            case "lognormal":
                return trees.call("exp", normal)
        inside = trees.call("expit" if self.kind == "logitnormal" else "normal_cdf", normal)
        return trees.add(trees.number(self.low), trees.multiply(trees.number(self.high - self.low), inside))

    def around(self, centre: ast.expr, coordinate: ast.expr) -> ast.expr:
        """The parameter, from its centre on its own scale and a coordinate with mean 0."""
        if self.kind == "lognormal":
            return trees.multiply(centre, trees.call("exp", coordinate))
        return self.value(trees.add(self.on_normal_scale(centre), coordinate))

    @property
    def words(self) -> str:
        """For tables: ``log-normal``, with its bounds where they are not those of a probability."""
        words = {"normal": "normal", "lognormal": "log-normal", "logitnormal": "logit-normal"}.get(
            self.kind, "probit-normal"
        )
        return words if (self.low, self.high) == (0.0, 1.0) else f"{words} in ({self.low:g}, {self.high:g})"


def read_law(text: str) -> Law | ast.expr:
    """Read the text of an individual parameter.

    Parameters
    ----------
    text : str
        ``"law(centre, sd)"``, or an expression of anything but the response: then the parameter has no random effect
        of its own.

    Raises
    ------
    ModelError
        Saying what is wrong with it.
    """
    try:
        plain = hide_quoted(text)[0]
        found = _WHOLE.match(plain)
        parts = None if found is None else _arguments(plain, found.end())
        if found is None or parts is None:
            if inside := _WITHIN.search(plain):
                raise ModelError(
                    f"the law {inside[1]}(..) must be the whole text of an individual parameter; got {short(text)}: "
                    "give the random effect a name of its own, and use it in an expression"
                )
            _check_misspelt(plain, text)
            return parse(text, large=True).body
        return _law(found[1], [text[start:end].strip() for start, end in parts], text)
    except ExpressionError as error:
        raise ModelError(str(error)) from None


def _check_misspelt(plain: str, text: str) -> None:
    """Refuse what looks like a law with a wrong name."""
    found = _CALL.match(plain)
    near = "" if found is None or found[1] in FUNCTIONS else nearest(found[1], LAWS)
    if found is not None and near:
        raise ModelError(f"there is no law {found[1]!r}{near} in {short(text)}; the laws are {', '.join(LAWS)}")


def _arguments(plain: str, start: int) -> list[tuple[int, int]] | None:
    """Where the arguments of a call begin and end that is the whole text; None where the text goes on behind it."""
    depth, begin, found = 1, start, []
    for position in range(start, len(plain)):
        character = plain[position]
        depth += (character in "([{") - (character in ")]}")
        if depth == 0:
            found.append((begin, position))
            return found if not plain[position + 1 :].strip() else None
        if character == "," and depth == 1:
            found.append((begin, position))
            begin = position + 1
    raise ModelError(f"the bracket after the name of a law is not closed in {short(plain)}")


def _law(kind: str, arguments: list[str], text: str) -> Law:
    """A law from the texts of its arguments."""
    signature = f"{kind}({LAWS[kind]}, sd{'[, low, high]' if kind in BOUNDED else ''})"
    named = [argument for argument in arguments if re.match(r"[A-Za-z_]\w*\s*=(?!=)", argument)]
    occasions = [re.sub(r"^occasion_sd\s*=", "", each) for each in named if re.match(r"occasion_sd\s*=", each)]
    wrong = [argument for argument in named if not re.match(r"occasion_sd\s*=", argument)]
    if wrong:
        raise ModelError(
            f"the arguments of {signature} have no names, but for occasion_sd = 'parameter'; got {short(wrong[0])} in "
            f"{short(text)}"
        )
    if len(occasions) > 1:
        raise ModelError(f"occasion_sd is there twice in {short(text)}")
    arguments = [argument for argument in arguments if argument not in named]
    occasion_sd = _sd(occasions[0].strip(), f"an occasion of {kind}", text) if occasions else None
    if len(arguments) not in ((2, 4) if kind in BOUNDED else (2,)) or not all(arguments):
        raise ModelError(f"a law must be written {signature}; got {short(text)}")
    low, high = (_bound(each, text) for each in arguments[2:]) if len(arguments) == 4 else (0.0, 1.0)
    if not low < high:
        raise ModelError(f"{signature} needs low < high; got {short(text)}")
    centre = parse(arguments[0], large=True).body
    check_numbers(centre, f"the {LAWS[kind]} of {kind}", text)
    sd = _sd(arguments[1], kind, text)
    if sd == occasion_sd:
        raise ModelError(f"the SD of clusters and that of occasions need two names; got {short(text)}")
    return Law(kind, centre, sd, low, high, text, occasion_sd)


def _bound(text: str, whole: str) -> float:
    value = fold(parse(text).body, text)
    if value is None:
        raise ModelError(f"the bounds of a law must be numbers; got {short(text)} in {short(whole)}")
    return value


def _sd(text: str, kind: str, whole: str) -> str:
    """The name of the standard deviation."""
    body = parse(text).body
    if fold(body, text) == 0.0:
        raise ModelError(
            f"the SD of {kind} must be a parameter, and 0 is none: for an individual parameter without a random effect "
            f"leave the law out and write its {LAWS[kind]} alone; got {short(whole)}"
        )
    if not isinstance(body, ast.Name) or isinstance(body, Column) or trees.is_constant_name(body.id):
        advice = "hold it in [fixed]" if not names_in(body) else "say what it equals in [constraints]"
        raise ModelError(
            f"the SD of {kind} must be the name of a parameter; got {short(text)} in {short(whole)}: give it a "
            f"name and {advice}"
        )
    check_name(body.id, "the SD of a law")
    return body.id


def check_numbers(body: ast.expr, what: str, text: str) -> None:
    """Refuse what is a condition or a text as a whole where a number must stand.

    Raises
    ------
    ModelError
    """
    is_condition = isinstance(body, ast.Compare | ast.BoolOp) or (
        isinstance(body, ast.UnaryOp) and isinstance(body.op, ast.Not)
    )
    if is_condition or (isinstance(body, ast.Constant) and isinstance(body.value, str)):
        raise ModelError(f"{what} must be a number; got {'a condition' if is_condition else 'a text'}, {short(text)}")
