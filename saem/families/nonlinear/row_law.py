"""The law of a row as trees: its log-density, its arguments with their information, its mean and its variance."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass

from saem.families.nonlinear import ordinal, trees
from saem.families.nonlinear.censoring import Limits, Row
from saem.families.nonlinear.distributions import Density
from saem.families.nonlinear.outcome_keys import Outcome, cut_name
from saem.families.nonlinear.trees import filled


@dataclass(frozen=True, eq=False)
class RowLaw:
    """What the outcome says of a row.

    Attributes
    ----------
    log_density : ast.expr
    arguments : dict of str to ast.expr
        The arguments of the distribution (its ``trials`` and ``cuts[k]`` among them), and the quantities that
        `information` is about.
    information : dict of (str, str) to ast.expr
        Each pair once; empty where the outer product of the score stands for it.
    scored : tuple of str
        Arguments beside for which the outer product of the score stands.
    mean, variance : ast.expr or None
    """

    log_density: ast.expr
    arguments: dict[str, ast.expr]
    information: dict[tuple[str, str], ast.expr]
    scored: tuple[str, ...]
    mean: ast.expr | None
    variance: ast.expr | None


def row_law(outcome: Outcome, arguments: Mapping[str, ast.expr], response: str) -> RowLaw:
    """Put arguments into a distribution.

    Parameters
    ----------
    outcome : Outcome
    arguments : mapping of str to ast.expr
        By the keys of `Outcome.texts`.
    response : str
        Its column.
    """
    y, own = trees.column(response), dict(arguments)
    if outcome.log_density is not None:
        return RowLaw(own["log_density"], {}, {}, (), own.get("mean"), None)
    if outcome.about.has_cuts:
        return _ordinal(outcome, own, y)
    about, parts = outcome.about, own | {"y": y} | _beside(outcome)
    density, linked = about.density, about.linked
    for name in about.arguments:
        inverse = next((function for function in linked if trees.is_call(own[name], function)), None)
        if inverse is not None:
            density, parts = linked[inverse], parts | {"E": trees.argument(own[name])}
    row = _censored(outcome, own, y, _row(density, parts))
    mean = filled(about.mean, parts) if about.mean else None
    variance = filled(about.variance, parts) if about.variance and _has_variance(outcome, own) else None
    beside = {"trials": parts["trials"]} if about.has_trials else {}
    named = own | beside | {name: filled(text, parts) for name, text in density.quantities.items()}
    return RowLaw(row.log_density, named, row.information, density.scored if row.information else (), mean, variance)


def _row(density: Density, parts: Mapping[str, ast.expr]) -> Row:
    """A row that is not censored."""
    information = {pair: filled(text, parts) for pair, text in density.information.items()}
    return Row(filled(density.log_density, parts), information)


def _beside(outcome: Outcome) -> dict[str, ast.expr]:
    """Trials and events."""
    trials = outcome.trials
    found = {"event": trees.ONE if outcome.event is None else trees.column(outcome.event)}
    if trials is not None:
        found["trials"] = trees.column(trials) if isinstance(trials, str) else trees.number(trials)
    return found


def _censored(outcome: Outcome, arguments: Mapping[str, ast.expr], y: ast.expr, row: Row) -> Row:
    """A row with what is known of it where it is censored."""
    if not outcome.about.can_be_censored:
        return row
    limits = Limits(outcome.about.arguments[0], arguments)
    if outcome.event is not None:
        return limits.without_event(y, trees.column(outcome.event), row)
    if outcome.interval is not None:
        low, high = outcome.interval
        return limits.between(trees.column(low), trees.column(high), row)
    for limit, sign, relation in ((outcome.lower, 1.0, "y <= limit"), (outcome.upper, -1.0, "y >= limit")):
        if limit is not None:
            at = trees.column(limit) if isinstance(limit, str) else trees.number(limit)
            row = limits.beyond(filled(relation, {"y": y, "limit": at}), at, sign, row)
    return row


def _has_variance(outcome: Outcome, arguments: Mapping[str, ast.expr]) -> bool:
    """Whether the variance is a number: Student's with 2 degrees of freedom has none."""
    df = arguments.get("df")
    return not (isinstance(df, ast.Constant) and isinstance(df.value, int | float) and df.value <= 2.0)


def _ordinal(outcome: Outcome, arguments: dict[str, ast.expr], y: ast.expr) -> RowLaw:
    """The law of an ordinal row."""
    cuts = [arguments[cut_name(k)] for k in range(1, len(outcome.cuts or ()) + 1)]
    distances = [trees.subtract(cut, arguments["predictor"]) for cut in cuts]
    mean, variance = ordinal.moments(distances)
    quantities = {ordinal.quantity(k): distance for k, distance in enumerate(distances, start=1)}
    information = ordinal.information(distances)
    return RowLaw(ordinal.log_density(y, distances), arguments | quantities, information, (), mean, variance)
