"""Censored responses of normal and log-normal outcomes: beyond a limit, between two columns, or times without event."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass

from saem.families.nonlinear import trees
from saem.families.nonlinear.distributions import HALF_LOG_2PI, LOG_Y
from saem.families.nonlinear.trees import filled

# ``a`` is the distance of a limit from the centre in standard deviations, towards the side on which the response is.
MILLS = f"exp(-0.5 * a**2 - {HALF_LOG_2PI} - log_normal_cdf(a))"
BEND = f"{MILLS} * ({MILLS} + a)"  # minus the second derivative of log_normal_cdf
# The logarithm of normal_cdf(b) - normal_cdf(a), in the lower tail: that of the upper one is its mirror.
BETWEEN = "log_normal_cdf(b) + log(1 - exp(log_normal_cdf(a) - log_normal_cdf(b)))"


@dataclass(frozen=True, eq=False)
class Row:
    """What is said of a row: the log-density and the information of its parts, by a condition on columns.

    Attributes
    ----------
    log_density : ast.expr
    information : dict of (str, str) to ast.expr
        Empty: that of the score.
    """

    log_density: ast.expr
    information: dict[tuple[str, str], ast.expr]


class Limits:
    """Limits of the response, on the scale on which it is normal.

    Parameters
    ----------
    location : str
        The argument of its middle: "mean", or "median" of a log-normal outcome.
    arguments : mapping of str to ast.expr
        With the location and ``sd``.
    """

    def __init__(self, location: str, arguments: Mapping[str, ast.expr]) -> None:
        self.is_log = location == "median"
        self.location, self.arguments = location, arguments
        place = arguments[location]
        self.centre = trees.log(place) if self.is_log else place

    def distance(self, limit: ast.expr, sign: float) -> ast.expr:
        """``a`` for responses below (1) or above (-1) a limit."""
        at = filled(LOG_Y, {"y": limit}) if self.is_log else limit
        difference = trees.subtract(at, self.centre) if sign > 0.0 else trees.subtract(self.centre, at)
        return trees.divide(difference, self.arguments["sd"])

    def beyond(self, condition: ast.expr, limit: ast.expr, sign: float, row: Row) -> Row:
        """A row of which only that is known that it lies beyond a limit, where a condition holds."""
        a = self.distance(limit, sign)
        value = trees.call("where", condition, filled("log_normal_cdf(a)", {"a": a}), row.log_density)
        # a moves with -sign / sd by the centre and with -a / sd by the standard deviation.
        parts = {"a": a, "sd": self.arguments["sd"], "m": self.arguments[self.location], "s": trees.number(sign)}
        slope = "m" if self.is_log else "1"
        bends = {
            (self.location, self.location): f"({BEND}) / (sd * {slope})**2",
            (self.location, "sd"): f"s * a * ({BEND}) / (sd**2 * {slope})",
            ("sd", "sd"): f"a**2 * ({BEND}) / sd**2",
        }
        information = {
            pair: trees.call("where", condition, filled(text, parts), row.information.get(pair, trees.ZERO))
            for pair, text in bends.items()
        }
        return Row(value, information)

    def between(self, low: ast.expr, high: ast.expr, row: Row) -> Row:
        """A row that lies between two columns, where these are not equal."""
        a, b = self.distance(low, 1.0), self.distance(high, 1.0)
        lower, upper = (
            filled(BETWEEN, {"a": a, "b": b}),
            filled(BETWEEN, {"a": trees.negative(b), "b": trees.negative(a)}),
        )
        inside = trees.call("where", filled("a + b < 0", {"a": a, "b": b}), lower, upper)
        if self.is_log:
            below = filled("log_normal_cdf(b)", {"b": b})
            inside = trees.call("where", filled("low > 0", {"low": low}), inside, below)
        condition = filled("low < high", {"low": low, "high": high})
        return Row(trees.call("where", condition, inside, row.log_density), {})

    def without_event(self, response: ast.expr, event: ast.expr, row: Row) -> Row:
        """A time that ended without an event: a time of 0 then says nothing."""
        parts = {"y": response, "event": event}
        found = self.beyond(filled("event == 0", parts), response, -1.0, row)
        nothing = filled("event == 0 and y <= 0", parts)
        return Row(
            trees.call("where", nothing, trees.ZERO, found.log_density),
            {pair: trees.call("where", nothing, trees.ZERO, tree) for pair, tree in found.information.items()},
        )
