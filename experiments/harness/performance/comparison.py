"""Two methods on the same data sets."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from saem.errors import DataError

from .jackknife import Groups, Measured, jackknife, mean, standard_deviation
from .measures import long
from .parts import Pairs, given_in, parts_of, places_of
from .records import COUNTED, KEYS, Records, check_choice, check_columns, check_name


@np.errstate(over="ignore")  # as in `performance`
def paired(rows: pd.DataFrame, method: str, reference: str, *, counted: Collection[str] = COUNTED) -> pd.DataFrame:
    """A method less (or over) another one, on the replicates where both ended, with errors that use the pairing.

    Two methods on the same data err together, so that their difference is known far better than either; the errors here
    are those of the difference, by leaving out one data set at a time.

    Parameters
    ----------
    rows : DataFrame
        As for `performance`.
    method, reference : str
        The two methods.
    counted : collection of str
        Statuses that count as ended, as for `performance`.

    Returns
    -------
    DataFrame
        Columns `cell`, `method`, `reference`, `estimand`, `measure`, `value`, `mcse` and `n`, the number of pairs. With
        index 0 for the reference, the measures of an estimand are

        bias_difference
            mean of t - t0.
        mse_ratio
            mse / mse0.
        precision_gain
            100 ((empirical_se0 / empirical_se)^2 - 1), in per cent.
        coverage_difference
            coverage - coverage0; a missing interval does not cover.
        width_ratio
            mean width over mean width, where both intervals exist.

        and of the whole fit

        loglik_difference
            mean of loglik - loglik0.
        seconds_ratio, draws_ratio
            mean over mean.

    Raises
    ------
    DataError
        If the table or an argument is not valid, or the methods are one, or share no cell.

    References
    ----------
    Morris, White & Crowther (2019), table 6, "relative % increase in precision"; its closed form needs normal
    estimates.
    """
    return compared(rows, [method], reference, counted=counted)


@np.errstate(over="ignore")  # as in `performance`
def compared(
    rows: pd.DataFrame, methods: Sequence[str], reference: str, *, counted: Collection[str] = COUNTED
) -> pd.DataFrame:
    """Several methods beside one, each as by `paired`."""
    check_choice("pairs", counted)
    check_columns(rows)
    names = [str(name) for name in rows["method"].unique()]
    check_name("reference", reference, "methods", names)
    for method in methods:
        check_name("method", method, "methods", names)
        if method == reference:
            raise DataError(f"method and reference must be two methods; both are {method!r}")
    intervals = given_in(rows)["interval"]
    found: dict[str, list[pd.DataFrame]] = {method: [] for method in methods}
    for part in parts_of(rows):
        records = Records(part)
        for method, tables in found.items():
            if len(table := of_cells(records, method, reference, counted, intervals)):
                tables.append(table)
    for method, tables in found.items():
        if not tables:
            raise DataError(f"methods {method!r} and {reference!r} must share a cell; they have no cell in common")
    together = [pd.concat(tables, ignore_index=True) for tables in found.values()]
    table = pd.concat(
        [own.iloc[np.argsort(places_of(rows, "cell", own), kind="stable")] for own in together], ignore_index=True
    )
    table.insert(2, "reference", reference)
    return table


def of_cells(records: Records, method: str, reference: str, counted: Collection[str], intervals: Pairs) -> pd.DataFrame:
    """The comparisons in some cells; nothing where the methods share none."""
    codes = [np.flatnonzero(records.labels["method"] == name) for name in (method, reference)]
    if not all(map(len, codes)):
        return pd.DataFrame()
    a, b = (int(code[0]) for code in codes)
    ended = records.has_status(counted)
    finite = np.isfinite(records.numbers["estimate"])
    tables = [
        of_estimands(records, intervals, *matched(records, ended & finite, a, b, "cell", "estimand")),
        of_fits(records, *matched(records, ended, a, b, "cell")),
    ]
    filled = [table for table in tables if len(table)]
    if not filled:
        return pd.DataFrame()
    found = pd.concat(filled, ignore_index=True)
    order = found.pop("order").to_numpy()
    return found.iloc[np.argsort(order, kind="stable")]


def matched(
    records: Records, chosen: np.ndarray, a: int, b: int, *names: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows (n,) of one method and (n,) of the other on the same data, the group of each pair, and a row of each group.

    Groups are those of `names` that have both methods, with or without pairs.
    """
    place, case, method = records.level(*names), records.level(*names, "replicate"), records.keys["method"]
    both = np.zeros((2, len(place.first)), dtype=bool)
    rows = np.full((2, len(case.first)), -1)
    for k, code in enumerate((a, b)):
        both[k, place.codes[method == code]] = True
        own = np.flatnonzero(chosen & (method == code))[::-1]  # of several rows of a fit the first stays
        rows[k, case.codes[own]] = own
    shared = both.all(axis=0)
    number = np.cumsum(shared) - 1
    first = np.full(len(place.first), -1)
    own = np.flatnonzero(method == a)
    first[place.codes[own]] = own
    pairs = (rows >= 0).all(axis=0)
    left, right = rows[0, pairs], rows[1, pairs]
    return left, right, number[place.codes[left]], first[shared]


def of_estimands(
    records: Records,
    intervals: Pairs,
    left: np.ndarray,
    right: np.ndarray,
    codes: np.ndarray,
    first: np.ndarray,
) -> pd.DataFrame:
    """Comparisons of estimates and intervals, of which those methods and estimands have some."""
    groups, numbers = Groups(codes, len(first)), records.numbers
    t, t0, truth = numbers["estimate"][left], numbers["estimate"][right], numbers["truth"][left]
    known = ~np.isnan(truth)
    true, e, e0 = groups.where(known), (t - truth)[known], (t0 - truth)[known]
    d, d0 = groups.around(t), groups.around(t0)

    def gain(n: np.ndarray, m: np.ndarray, q: np.ndarray, m0: np.ndarray, q0: np.ndarray) -> np.ndarray:
        return 100.0 * ((standard_deviation(n, m0, q0) / standard_deviation(n, m, q)) ** 2 - 1.0)

    covers, width = [], []
    for row in (left, right):
        lower, upper = numbers["lower"][row], numbers["upper"][row]
        covers.append(((lower <= truth) & (truth <= upper)).astype(float))
        with np.errstate(invalid="ignore"):
            width.append(upper - lower)
    exist = np.isfinite(width[0]) & np.isfinite(width[1])
    given = np.zeros(len(first), dtype=bool)
    one = np.full(len(first), -1)
    one[codes] = np.arange(len(codes))  # a pair of each group
    for k in np.flatnonzero(one >= 0):
        given[k] = all(
            tuple(records.labels[key][records.keys[key][row]] for key in KEYS[2:]) in intervals
            for row in (left[one[k]], right[one[k]])
        )
    covered = mean(true, (covers[0] - covers[1])[known])
    found = {
        "bias_difference": mean(groups, t - t0),
        "mse_ratio": ratio(true, e**2, e0**2),
        "precision_gain": jackknife(groups, [d, d**2, d0, d0**2], gain, least=2),
        "coverage_difference": Measured(  # where a method gives no intervals there is none
            np.where(given, covered.value, np.nan), np.where(given, covered.mcse, np.nan), covered.n
        ),
        "width_ratio": ratio(groups.where(exist), width[0][exist], width[1][exist]),
    }
    return long(records, first, True, found)


def of_fits(
    records: Records, left: np.ndarray, right: np.ndarray, codes: np.ndarray, first: np.ndarray
) -> pd.DataFrame:
    """Comparisons of log-likelihoods and costs."""
    groups = Groups(codes, len(first))
    pairs = {
        name: (records.numbers[name][left], records.numbers[name][right]) for name in ("loglik", "seconds", "draws")
    }
    found: dict[str, Measured] = {}
    for name, (x, x0) in pairs.items():
        use = np.isfinite(x) & np.isfinite(x0)
        own = groups.where(use)
        if name == "loglik":
            found["loglik_difference"] = mean(own, (x - x0)[use])
        else:
            found[f"{name}_ratio"] = ratio(own, x[use], x0[use])
    return long(records, first, False, found)


def ratio(groups: Groups, x: np.ndarray, x0: np.ndarray) -> Measured:
    """The ratio of two means; nan for a denominator of zero."""
    return jackknife(groups, [x, x0], lambda n, m, m0: m / np.where(m0 == 0.0, np.nan, m0))
