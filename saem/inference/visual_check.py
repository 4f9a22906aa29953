"""Visual predictive checks: summaries of the data along a column, beside those of data that the fitted model has drawn.

Which summaries depends on the responses: shares of categories where there are few, the share without an event by
Kaplan and Meier where they are times to events, else percentiles, with the share beyond a limit where there is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from saem.errors import ModelError
from saem.families import family_of
from saem.inference.arguments import whole
from saem.inference.curves import column_along
from saem.inference.rows import inside, refuse_posterior, rows_of
from saem.system.streams import check_seed, stream

if TYPE_CHECKING:
    import pandas as pd

    from saem.fitting.result import Fit

Array = np.ndarray
PERCENTILES = (10, 50, 90)
CATEGORIES = 8  # different whole numbers that are shown one by one
VALUES = 12  # of a column that are shown one by one
LEAST, MOST = 20, 100_000  # draws
NEAR = 0.3  # of the rows of a bin: as far its ends are moved to a gap
TIMES = 60  # at which the share without an event is shown
BEYOND = "beyond a limit"


@dataclass(frozen=True, eq=False)
class VisualCheck:
    """Summaries of the data, beside those of drawn data.

    Attributes
    ----------
    fit : Fit
    kind : str
        "percentiles", "shares" of categories, or "events": the share without one.
    column : str
        Along which; of times to events the response itself.
    draws : int
    table : DataFrame
        A row for every `quantity` ("10 %", a category, ..) and bin: `x`, the mean of the column; `rows`; `observed`;
        `median`, `lower` and `upper` of the same summary of the drawn data, the middle 95 %.
    """

    fit: Fit
    kind: str
    column: str
    draws: int
    table: pd.DataFrame


def visual_check(
    fit: Fit, column: str | None = None, draws: int = 500, seed: int = 0, bins: int | None = None
) -> VisualCheck:
    """Draw data from a fitted model on its own rows, and compare summaries along a column.

    Responses beyond a limit are at it, and those in an interval in its middle, in the data as in what is drawn. Times
    to events are compared by Kaplan and Meier's estimate; the drawn subjects are watched as long as those of the data,
    of whom those with an event are given an end by the estimated law of the ends of the others. Rows at time 0 without
    an event are left out.

    Parameters
    ----------
    fit : Fit
    column : str, optional
        A column of numbers that the model reads; the one of most values that varies within clusters if omitted. Not
        for times to events.
    draws : int
        Sets of data, 20 or more.
    seed : int
        Same seed, same draws; more of them change none of the first.
    bins : int, optional
        Of the column, with about equal numbers of rows, and ends where its values leave a gap; one for each value where
        there are 12 or fewer, else 8, if omitted.

    Raises
    ------
    ModelError
        When the fit has no table, there is no such column, or responses cannot be drawn.
    """
    import pandas as pd

    draws = whole(draws, "draws", LEAST, MOST)
    check_seed(seed)
    refuse_posterior(fit, "one estimate that draws data")
    table, data = rows_of(fit)
    family, model, within = family_of(fit.model), fit.model.plain(), inside(fit, data)
    timed = family.events(fit.model, data)
    if timed is not None and column is not None:
        raise ModelError("times to events are shown along the time itself; leave the column out")
    along = fit.model.response if timed is not None else column_along(fit, column)

    def one(k: int) -> Array:
        streams = (stream(seed, "visual check", str(k), part) for part in ("effects", "residuals"))
        made = family.draw_response(within.data, within.values, *streams)
        return family.on_model_scale(within.data, made, within.coordinates)

    if timed is not None:
        return VisualCheck(fit, "events", along, draws, _events(data.observed, *timed, one, draws, seed))
    observed = np.asarray(family.recorded(model, table, np.asarray(data.observed))[model.response], dtype=float)
    made = np.array([family.recorded(model, table, one(k))[model.response] for k in range(draws)], dtype=float)
    codes, x = binned_by(table[along].to_numpy(dtype=float), bins)
    levels = np.unique(observed)
    few = len(levels) <= CATEGORIES and bool(np.all(levels == np.floor(levels)))
    kind = "shares" if few else "percentiles"
    lines: list[dict[str, Any]] = []
    limited = family.censored(fit.model, data)
    beyond = _beyond(family, model, table, made, observed, limited)
    for b in range(len(x)):
        rows = codes == b
        here, drawn = observed[rows], made[:, rows]
        if few:
            summaries = [(f"{level:g}", np.mean(here == level), np.mean(drawn == level, axis=1)) for level in levels]
        else:
            cuts = zip(np.percentile(here, PERCENTILES), np.percentile(drawn, PERCENTILES, axis=1), strict=True)
            summaries = [(f"{p} %", *cut) for p, cut in zip(PERCENTILES, cuts, strict=True)]
        if beyond is not None:
            summaries.append((BEYOND, np.mean(limited[rows]), np.mean(beyond[:, rows], axis=1)))  # type: ignore[index]
        for quantity, own, of_draws in summaries:
            low, mid, high = np.quantile(of_draws, [0.025, 0.5, 0.975])
            line = {"quantity": quantity, "x": x[b], "rows": int(rows.sum()), "observed": float(own)}
            lines.append(line | {"median": mid, "lower": low, "upper": high})
    found = pd.DataFrame(lines).sort_values("x", kind="stable")
    order = {name: k for k, name in enumerate(dict.fromkeys(found["quantity"]))}
    found = found.sort_values("quantity", key=lambda s: s.map(order), kind="stable").reset_index(drop=True)
    return VisualCheck(fit, kind, along, draws, found)


def binned_by(values: Array, bins: int | None) -> tuple[Array, Array]:
    """The bin (n,) of every row, and the mean (B,) of each bin."""
    distinct, codes = np.unique(values, return_inverse=True)
    if bins is not None or len(distinct) > VALUES:
        wanted = whole(8 if bins is None else bins, "bins", 1, len(values))
        ordered, share = np.sort(values), len(values) / wanted
        cuts = []
        for k in range(1, wanted):
            first, last = (round(share * (k + side * NEAR)) for side in (-1.0, 1.0))
            near = np.arange(max(first, 1), min(last, len(values) - 1) + 1)
            if len(near):
                at = near[np.argmax(ordered[near] - ordered[near - 1])]
                cuts.append(0.5 * (ordered[at - 1] + ordered[at]))
        codes = np.searchsorted(np.unique(cuts), values, side="left")
    counts = np.bincount(codes)
    sums = np.bincount(codes, weights=values)
    kept = counts > 0
    return (np.cumsum(kept) - 1)[codes], sums[kept] / counts[kept]


def _beyond(
    family: Any, model: Any, table: pd.DataFrame, made: Array, observed: Array, limited: Array | None
) -> Array | None:
    """Which of the drawn responses (draws, n) are at a limit: those that recording again leaves there."""
    if limited is None or len(family.recorded(model, table, observed)) > 1:  # in intervals, which have no limit
        return None
    shift = 1.0 + np.ptp(observed) + np.abs(made)
    lowest = [family.recorded(model, table, row - by)[model.response] for row, by in zip(made, shift, strict=True)]
    highest = [family.recorded(model, table, row + by)[model.response] for row, by in zip(made, shift, strict=True)]
    return np.asarray((made == np.array(lowest)) | (made == np.array(highest)))


def kaplan_meier(times: Array, happened: Array, at: Array) -> Array:
    """The share (k,) without an event at some times, from times (n,) until events, or until nobody watched."""
    order = np.argsort(times, kind="stable")
    times, happened = times[order], happened[order]
    distinct, first = np.unique(times, return_index=True)
    left = len(times) - first
    events = np.add.reduceat(happened.astype(float), first)
    survival = np.concatenate([[1.0], np.cumprod(1.0 - events / left)])
    return np.asarray(survival[np.searchsorted(distinct, at, side="right")])


def _events(times: Array, happened: Array, says: Array, draw: Any, draws: int, seed: int) -> pd.DataFrame:
    """The share without an event along the time, in the data and in what is drawn."""
    import pandas as pd

    times, happened = np.asarray(times, dtype=float)[says], happened[says]
    at = np.linspace(0.0, float(times.max()), TIMES)
    ends = _ends(times, happened)
    curves = []
    for k in range(draws):
        until = ends(stream(seed, "visual check", str(k), "ends"))
        made = np.asarray(draw(k), dtype=float)[says]
        curves.append(kaplan_meier(np.minimum(made, until), made <= until, at))
    low, mid, high = np.quantile(curves, [0.025, 0.5, 0.975], axis=0)
    left = [int(np.sum(times >= t)) for t in at]
    columns = {"quantity": "without an event", "x": at, "rows": left, "observed": kaplan_meier(times, happened, at)}
    return pd.DataFrame(columns | {"median": mid, "lower": low, "upper": high})


def _ends(times: Array, happened: Array) -> Any:
    """Draws of how long each subject would have been watched: known without an event, else later than the event."""
    censored = np.sort(np.unique(times[~happened]))
    share = kaplan_meier(times, ~happened, censored)  # of ends that are later
    mass = -np.diff(np.concatenate([[1.0], share]))

    def ends(rng: np.random.Generator) -> Array:
        found = times.copy()
        for i in np.flatnonzero(happened):
            later = np.where(censored > times[i], mass, 0.0)
            rest = max(1.0 - float(mass.sum()), 0.0)  # nobody knows: watched to the last time of all
            pick = rng.random() * (later.sum() + rest)
            position = int(np.searchsorted(np.cumsum(later), pick, side="right"))
            found[i] = censored[position] if position < len(censored) else times.max()
        return found

    return ends
