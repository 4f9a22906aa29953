"""Whether the responses, and the columns beside them, are such that an outcome can have given them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saem.data.intake import is_number
from saem.errors import DataError
from saem.expressions.columns import Factor, Values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from saem.data.table import Rows
    from saem.families.nonlinear.outcome_keys import Outcome

LARGEST = 1e12  # a count: beyond, its parts of the likelihood lose their digits

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def numbers(name: str, values: Values, rows: Rows) -> Floats:
    """A column that a key of the outcome names, as numbers (n,).

    Raises
    ------
    DataError
        When it holds text.
    """
    if isinstance(values, Factor):
        if values.as_numbers:
            return values.numbers()
        is_text = np.array([not is_number(level) for level in values.levels])[values.codes]
        text = values.levels[int(values.codes[int(np.argmax(is_text))])]
        raise DataError(f"the column {name!r} must hold numbers; got the text {text!r}: convert the column")
    return np.ascontiguousarray(values, dtype=np.float64)


def check(outcome: Outcome, response: str, columns: Mapping[str, Values], rows: Rows) -> tuple[str, ...]:
    """Refuse responses that the distribution cannot give, and what stands beside them and makes no sense.

    Parameters
    ----------
    outcome : Outcome
    response : str
    columns : mapping of str to Values
        With the response and the columns that the outcome's keys name.
    rows : Rows
        To name a row.

    Returns
    -------
    tuple of str
        Warnings.

    Raises
    ------
    DataError
        Naming a row.
    """
    if outcome.distribution is None:
        return ()
    return _Check(outcome, response, columns, rows).run()


def check_trials(outcome: Outcome, columns: Mapping[str, Values], rows: Rows) -> None:
    """Refuse numbers of trials that are none.

    Raises
    ------
    DataError
        Naming a row.
    """
    trials = np.atleast_1d(_values(outcome.trials, columns))
    bad = (trials < 1.0) | (trials != np.floor(trials)) | (trials > LARGEST)
    _refuse(bad, f"the trials {outcome.trials!r} must be whole numbers, 1 or larger", trials, rows)


def _refuse(bad: Mask, what: str, values: Floats, rows: Rows, advice: str = "") -> None:
    """Raise where some rows are bad."""
    if bad.any():
        more = f" and {int(bad.sum()) - 1} more" if bad.sum() > 1 else ""
        raise DataError(f"{what}; got {values[np.argmax(bad)]:g} in {rows.first(bad)}{more}{advice}")


def censored(outcome: Outcome, y: Floats, columns: Mapping[str, Values]) -> Mask | None:
    """Rows (n,) with responses (n,) that are censored, or times without event; None where the outcome has no such."""
    if outcome.event is not None:
        return np.asarray(_values(outcome.event, columns) == 0.0)
    if outcome.lower is None and outcome.upper is None and outcome.interval is None:
        return None
    found = np.zeros(y.shape, dtype=bool)
    if outcome.lower is not None:
        found |= y <= _values(outcome.lower, columns)
    if outcome.upper is not None:
        found |= y >= _values(outcome.upper, columns)
    if outcome.interval is not None:
        found |= _values(outcome.interval[0], columns) < _values(outcome.interval[1], columns)
    return found


def telling(outcome: Outcome, y: Floats, columns: Mapping[str, Values]) -> Mask:
    """Rows (n,) that tell something: all but times of 0 without an event."""
    if outcome.event is None:
        return np.ones(y.shape, dtype=bool)
    return np.asarray((y > 0.0) | (_values(outcome.event, columns) != 0.0))


def happened(outcome: Outcome, y: Floats, columns: Mapping[str, Values]) -> Mask:
    """Rows (n,) with an event: all, where no column says so."""
    if outcome.event is None:
        return np.ones(y.shape, dtype=bool)
    return np.asarray(_values(outcome.event, columns) == 1.0)


def _values(key: str | float | None, columns: Mapping[str, Values]) -> Floats:
    """A column or a number."""
    return np.asarray(columns[key] if isinstance(key, str) else key, dtype=np.float64)


def _shown(limit: str | float) -> str:
    """A column in quotes, or a number."""
    return repr(limit) if isinstance(limit, str) else f"{limit:g}"


class _Check:
    """The checks of one outcome and one table."""

    def __init__(self, outcome: Outcome, response: str, columns: Mapping[str, Values], rows: Rows) -> None:
        self.outcome, self.response, self.rows = outcome, response, rows
        self.y = np.asarray(columns[response], dtype=np.float64)
        self.columns = columns

    def of(self, key: str | float | None) -> Floats:
        """The values (n,) of a column or number."""
        return np.broadcast_to(_values(key, self.columns), self.y.shape)

    def refuse(self, bad: Mask, what: str, values: Floats, advice: str = "") -> None:
        """Raise where some rows are bad."""
        _refuse(bad, what, values, self.rows, advice)

    def run(self) -> tuple[str, ...]:
        """All checks."""
        outcome, about, y = self.outcome, self.outcome.about, self.y
        what = f"{about.title} outcomes {self.response!r} must be {about.support}"
        if about.is_whole:
            self._whole_numbers(what)
        if outcome.event is not None:
            event = self.of(outcome.event)
            self.refuse(
                (event != 0.0) & (event != 1.0), f"the column {outcome.event!r} must be 1 for an event, else 0", event
            )
        if about.is_time and (outcome.event is not None or not about.can_be_censored):
            self.refuse(y < 0.0, f"times {self.response!r} must be 0 or larger", y)
            happened = self.of(outcome.event) == 1.0 if outcome.event is not None else np.ones(len(y), dtype=bool)
            self.refuse(
                (y == 0.0) & happened, f"the time {self.response!r} of an event must be larger than 0", y,
                "; if nothing happened there, event = 'column' says so",
            )  # fmt: skip
        elif about.is_time:
            is_censored = censored(outcome, y, self.columns)
            self.refuse((y <= 0.0) & (True if is_censored is None else ~is_censored), what, y)
        self._limits(is_log=about.is_time and about.can_be_censored)
        return self._empty_categories() if about.has_cuts else ()

    def _whole_numbers(self, what: str) -> None:
        y, outcome = self.y, self.outcome
        low, high, advice = 0.0, np.full(y.shape, LARGEST), ""
        if outcome.about.has_trials:
            check_trials(outcome, self.columns, self.rows)
            high = self.of(outcome.trials)
        elif outcome.about.has_cuts:
            low, high = 1.0, np.full(y.shape, len(outcome.cuts or ()) + 1.0)
            advice = f"; there are {len(outcome.cuts or ())} cuts"
        elif outcome.distribution == "bernoulli":
            high = np.ones(y.shape)
        self.refuse((y < low) | (y > high) | (y != np.floor(y)), what, y, advice)

    def _limits(self, is_log: bool) -> None:
        """Limits must be in order, and positive for a log-normal response."""
        outcome = self.outcome
        for limit in (outcome.lower, outcome.upper):
            if limit is not None and is_log:
                values = self.of(limit)
                self.refuse(
                    values <= 0.0, f"the limit {_shown(limit)} of a log-normal outcome must be positive", values
                )
        if outcome.lower is not None and outcome.upper is not None:
            lower = self.of(outcome.lower)
            bad = lower >= self.of(outcome.upper)
            self.refuse(
                bad,
                f"the lower limit {_shown(outcome.lower)} must be below the upper one, {_shown(outcome.upper)}",
                lower,
            )
        if outcome.interval is not None:
            low, high = map(self.of, outcome.interval)
            names = f"{outcome.interval[0]!r} and {outcome.interval[1]!r}"
            self.refuse(low > high, f"the ends {names} of the interval must be in order", low)
            self.refuse(
                (self.y < low) | (self.y > high), f"the response {self.response!r} must lie between {names}", self.y,
                ": any number between them will do",
            )  # fmt: skip
            if is_log:
                self.refuse(
                    high <= 0.0, f"the end {outcome.interval[1]!r} of a log-normal outcome must be positive", high
                )

    def _empty_categories(self) -> tuple[str, ...]:
        """Words where no row has a response between two cuts."""
        n = len(self.outcome.cuts or ()) + 1
        empty = np.flatnonzero(np.bincount(self.y.astype(int), minlength=n + 1)[1:] == 0) + 1
        if not len(empty):
            return ()
        return (
            f"no row has the response {empty[0]} of {n}: the cuts beside it go together, or away; number the responses "
            "from 1 without gaps",
        )
