"""How responses that were drawn are recorded: at limits, in intervals, as times without an event, as whole numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from saem.families.nonlinear.intervals import coarsened

if TYPE_CHECKING:
    import pandas as pd

    from saem.families.nonlinear.specification import NonlinearModel

Floats = NDArray[np.float64]


def recorded(model: NonlinearModel, table: pd.DataFrame, response: Floats) -> dict[str, NDArray[Any]]:
    """See `saem.families.family.Family.recorded`.

    A response beyond a limit is recorded as the limit, one in an interval (see `coarsened`) as its middle beside its
    ends. Where a row of the table has a time without an event, the
    subject was watched until then: a later time is recorded as that one, without an event; rows with an event do not
    say how long they would have been watched, and every time is one of an event.

    Raises
    ------
    ModelError
        When responses are known by intervals that are no parts of one scale.
    """
    outcome, name = model.outcome, model.response
    if outcome.interval is not None:
        if not all(end in table.columns for end in outcome.interval):
            return {name: response}
        low, high = (table[end].to_numpy(dtype=float) for end in outcome.interval)
        low, high = coarsened(outcome.interval, low, high, 0.0 if outcome.about.is_time else -np.inf, response)
        middle = np.where(low < high, 0.5 * (low + high), response)
        return {name: middle, outcome.interval[0]: low, outcome.interval[1]: high}
    if outcome.event is not None:
        happened = np.ones(len(response), dtype=bool)
        if outcome.event in table.columns and name in table.columns:
            until = table[name].to_numpy(dtype=float)
            happened = (table[outcome.event].to_numpy(dtype=float) == 1.0) | (response <= until)
            response = np.where(happened, response, until)
        return {name: response, outcome.event: happened.astype(np.int64)}
    for limit, bound in ((outcome.lower, np.maximum), (outcome.upper, np.minimum)):
        if limit is not None:
            at = table[limit].to_numpy(dtype=float) if isinstance(limit, str) else float(limit)
            response = np.asarray(bound(response, at))
    return {name: response.astype(np.int64) if outcome.about.is_whole else response}
