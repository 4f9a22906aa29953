"""Performance of every method in every cell, and what each measure is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from saem.errors import DataError, listing, nearest

from .jackknife import (
    Groups,
    Measured,
    jackknife,
    mean,
    median,
    share,
    spread,
    standard_deviation,
)
from .parts import Pairs, given_in, parts_of, places_of
from .records import (
    CONVERGED,
    COUNTED,
    FAILED,
    KEYS,
    STATUSES,
    WHOLE_FIT,
    Records,
    check_choice,
    check_columns,
    check_name,
)

OF_INTERVALS = (
    *("coverage", "coverage_existing", "coverage_bias_eliminated", "no_interval"),
    *("rejection", "rejection_existing"),
)
OF_MISSING = ("no_estimate", "no_se")
RATES = ("convergence_rate", "failure_rate", *(f"{name}_rate" for name in STATUSES))
SHARES = (*OF_INTERVALS, *OF_MISSING, *RATES)
NEED_NULL = ("rejection", "rejection_existing")
NEED_REFERENCE = (
    *("distance", "mcse_calibration_spread", "mcse_calibration_mean"),
    *("deficit", "median_deficit", "reference_deficit", "median_reference_deficit"),
)
OF_ERRORS = ("bias", "relative_bias", "empirical_se", "mse", "rmse", "model_se", "relative_error_se")
COSTS = tuple(f"{kind}_{name}" for name in ("seconds", "draws", "iterations") for kind in ("mean", "median"))
MEASURES = (*OF_ERRORS, "mean_width", "median_width", *SHARES, *NEED_REFERENCE, *COSTS)


@np.errstate(over="ignore")  # measures of estimates such as 1e200 are infinite, and shown so
def performance(
    rows: pd.DataFrame,
    *,
    on: str = "complete",
    counted: Collection[str] = COUNTED,
    reference: str | None = None,
    null: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Performance measures with Monte Carlo standard errors, a row for every cell, method, estimand and measure.

    Parameters
    ----------
    rows : DataFrame
        The study, a row for every cell, replicate, method and estimand, with the columns

        cell, replicate, method, estimand
            names or numbers; together they occur once. The same replicate of a cell is the same data set.
        estimate, se, lower, upper, mcse, truth
            the estimate, its standard error, the ends of its interval, its own Monte Carlo error, and the true value
            (one for each cell and estimand).
        status
            one of `STATUSES`, the same for all rows of a fit. Fits that failed are rows, too.
        loglik, deficit, seconds, draws, iterations
            of the fit, the same in all of its rows.

        All but the first four and the status may be nan.
    on : str
        'complete': replicates whose fit counts and whose estimate is finite, for every method by itself. 'pairs': of
        these, replicates where it is so for all methods that give the estimand in the cell at all (or, for measures of
        the fit, for all methods that ever end there). Rates are always shares of all fits.
    counted : collection of str
        Statuses that count as ended; by default `COUNTED`, those that converged (also at the boundary, or to one of
        several solutions), and 'not_converged'.
    reference : str, optional
        The method whose converged fits are the exact maxima, for the measures that need one. They compare on the same
        data sets.
    null : mapping of str to float, optional
        Values of estimands to test by their intervals, for the rejection rate: power, or the size where it is true.

    Returns
    -------
    DataFrame
        Columns `cell`, `method`, `estimand` (`WHOLE_FIT` for measures of the fit), `measure`, `value`, `mcse`, and `n`,
        the number of replicates that the measure comes from. A value or an error is nan where there are too few of
        them, or they lack what it needs. The measures of an estimand, with theta the truth, t an estimate:

        bias
            mean of t - theta.
        relative_bias
            bias / theta; nan for theta = 0.
        empirical_se
            standard deviation of t.
        mse, rmse
            mean of (t - theta)^2, and its root.
        no_estimate
            share of the fits that count without a finite estimate, such as an infinite one: all other measures are of
            the rest. nan for an estimand that the method never gives.
        no_se
            share of replicates without a standard error; nan for a method that never gives one.
        model_se
            root of the mean of se^2, on replicates with a standard error.
        relative_error_se
            100 (model_se / empirical_se - 1), in per cent, on replicates with a standard error.
        coverage
            share of replicates with lower <= theta <= upper; a missing interval does not cover. This and what follows
            is nan for a method that gives no interval of the estimand in any cell: it is not meant to have one.
        coverage_existing
            the same among intervals that exist; it looks better than a method is whose interval is missing when needed.
        coverage_bias_eliminated
            share of replicates whose interval covers the mean of t; a missing one does not.
        no_interval
            share of replicates without an interval.
        mean_width, median_width
            of the intervals that exist.
        rejection
            share of replicates whose interval exists and excludes the null value.
        rejection_existing
            the same among intervals that exist.
        distance
            mean of abs(t - t_ref) / se_ref, with t_ref and se_ref those of the reference on the same data.
        mcse_calibration_spread, mcse_calibration_mean
            standard deviation and mean of (t - t_ref) / mcse, where mcse > 0; 1 and 0 if the error is what it says.

        Of the whole fit:

        convergence_rate, failure_rate
            shares of all fits with a status of `CONVERGED`, of `FAILED`.
        ok_rate, boundary_rate, ..., crashed_rate
            shares of all fits by status.
        deficit, median_deficit
            mean and median of the column.
        reference_deficit, median_reference_deficit
            mean and median of the reference's log-likelihood less the method's, on the same data.
        mean_seconds, median_seconds, mean_draws, median_draws, mean_iterations, median_iterations
            of the fits.

    Raises
    ------
    DataError
        If the table or an argument is not valid; see `Records`.

    Notes
    -----
    Errors of means are sd / sqrt(n), and those of shares sqrt(p (1 - p) / n); of medians see `jackknife.median`; all
    others are by the jackknife, since the closed forms of the empirical SE and what comes from it hold for normal
    estimates only. The squares of these are unbiased, but of skewed estimates their mean is too small where replicates
    are few: by 7 % for log-normal estimates with sigma 0.5 and 200 replicates, by 24 % with sigma 1 (where the closed
    form is too small by 49 % and 80 %). The error of the bias-eliminated coverage takes the mean of the estimates as
    known, as rsimsum does; it is right for symmetric estimates, and 16 % too large for exponential ones.

    References
    ----------
    Morris, White & Crowther (2019), Statistics in Medicine 38, 2074-2102, table 6.
    """
    check_choice(on, counted)
    check_columns(rows)
    names = {key: [str(name) for name in rows[key].unique()] for key in ("method", "estimand")}
    null = check_null(null, names["estimand"])
    if reference is not None:
        check_name("reference", reference, "methods", names["method"])
    given = given_in(rows)
    tables = [of_cells(part, on, counted, reference, null, given) for part in parts_of(rows)]
    found = pd.concat(tables, ignore_index=True)
    places = [places_of(rows, key, found) for key in ("method", "cell")]
    return found.iloc[np.lexsort(places)].reset_index(drop=True)


def of_cells(
    rows: pd.DataFrame,
    on: str,
    counted: Collection[str],
    reference: str | None,
    null: Mapping[str, float],
    given: Mapping[str, Pairs],
) -> pd.DataFrame:
    """The measures of some cells."""
    records = Records(rows)
    known = None if reference is None else next(iter(np.flatnonzero(records.labels["method"] == reference)), -1)
    tables = [of_estimands(records, on, counted, known, null, given), of_fits(records, on, counted, known)]
    found = pd.concat(tables, ignore_index=True)
    order = found.pop("order").to_numpy()
    return found.iloc[np.argsort(order, kind="stable")]


def check_null(null: Mapping[str, float] | None, names: Sequence[str]) -> dict[str, float]:
    """The null values by estimand."""
    for name, value in (null or {}).items():
        if name not in names:
            raise DataError(f"null must have names of estimands, {listing(names)}; got {name!r}{nearest(name, names)}")
        if not np.isfinite(value):
            raise DataError(f"null[{name!r}] must be a finite number; got {value!r}")
    return dict(null or {})


def all_methods(records: Records, chosen: np.ndarray, *names: str) -> np.ndarray:
    """Of the chosen rows those whose replicate is chosen for all methods; `names` are the keys beside replicate.

    A method that gives nothing there is not one of all: it would leave none to the others.
    """
    case, place = records.level(*names, "replicate"), records.level(*names)
    arms = records.level(*names, "method")
    some = np.bincount(arms.codes[chosen], minlength=len(arms.first)) > 0
    methods = np.bincount(place.codes[arms.first[some]], minlength=len(place.first))[place.codes]
    kept: np.ndarray = chosen & (np.bincount(case.codes[chosen], minlength=len(case.first))[case.codes] == methods)
    return kept


def reference_rows(records: Records, known: int, of_all: np.ndarray, *names: str) -> np.ndarray:
    """The row (N,) of the reference on the same data, or -1; of rows `of_all`, with keys `names` beside the method."""
    case = records.level(*names, "replicate")
    own = np.flatnonzero(of_all & (records.keys["method"] == known) & records.has_status(CONVERGED))
    found = np.full(len(case.first), -1)
    found[case.codes[own]] = own
    return found[case.codes]


def of_estimands(
    records: Records,
    on: str,
    counted: Collection[str],
    known: int | None,
    null: Mapping[str, float],
    given: Mapping[str, Pairs],
) -> pd.DataFrame:
    """The measures of estimates, standard errors and intervals."""
    numbers, level = records.numbers, records.level("cell", "method", "estimand")
    all_rows = np.isfinite(numbers["estimate"])
    chosen = all_rows & records.has_status(counted)
    if on == "pairs":
        chosen = all_methods(records, chosen, "cell", "estimand")
    ended = Groups(only(level.codes, counts := records.has_status(counted)), len(level.first))
    missing = share(ended, ~only(all_rows, counts))
    groups = Groups(only(level.codes, chosen), len(level.first))
    estimate, truth = only(numbers["estimate"], chosen), only(numbers["truth"], chosen)
    found = of_errors(groups, estimate, truth) | of_standard_errors(groups, estimate, only(numbers["se"], chosen))
    found["no_estimate"] = missing
    values = np.array([null.get(str(name), np.nan) for name in records.labels["estimand"]])
    found |= of_intervals(
        groups,
        estimate,
        truth,
        only(numbers["lower"], chosen),
        only(numbers["upper"], chosen),
        values[records.keys["estimand"][chosen]] if null else None,
    )
    whose = list(zip(*(records.labels[key][records.keys[key][level.first]] for key in KEYS[2:]), strict=True))
    for names, what in ((OF_INTERVALS, "interval"), (("no_se",), "se"), (("no_estimate",), "estimate")):
        without = np.array([pair not in given[what] for pair in whose])
        found |= {name: unknown(found[name], without) for name in names if name in found}
    if known is not None:
        row = reference_rows(records, known, all_rows, "cell", "estimand")[chosen]
        away = estimate - numbers["estimate"][row]
        with np.errstate(invalid="ignore", divide="ignore"):
            in_se, in_mcse = away / numbers["se"][row], away / numbers["mcse"][chosen]
        other = (row >= 0) & (records.keys["method"][chosen] != known)
        use = other & np.isfinite(in_se)
        found["distance"] = mean(groups.where(use), np.abs(in_se[use]))
        use = other & np.isfinite(in_mcse)  # not without an error, such as of an exact method
        found["mcse_calibration_spread"] = spread(groups.where(use), in_mcse[use])
        found["mcse_calibration_mean"] = mean(groups.where(use), in_mcse[use])
    return long(records, level.first, True, found)


def only(x: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The chosen values; all of them without a copy, which in large studies would be what takes the memory."""
    return x if chosen.all() else x[chosen]


def unknown(measured: Measured, where: np.ndarray) -> Measured:
    """A measure with nan in some groups."""
    return Measured(np.where(where, np.nan, measured.value), np.where(where, np.nan, measured.mcse), measured.n)


def of_errors(groups: Groups, estimate: np.ndarray, truth: np.ndarray) -> dict[str, Measured]:
    """Bias, spread and mean squared error."""
    known = np.isfinite(truth)
    true, error = groups.where(known), (estimate - truth)[known]
    bias = mean(true, error)
    with np.errstate(invalid="ignore", divide="ignore"):
        theta = true.mean(truth[known])
        theta = np.where(theta == 0.0, np.nan, theta)
    return {
        "bias": bias,
        "relative_bias": Measured(bias.value / theta, bias.mcse / np.abs(theta), bias.n),
        "empirical_se": spread(groups, estimate),
        "mse": mean(true, error**2),
        "rmse": jackknife(true, [error**2], lambda n, q: np.sqrt(q)),
    }


def of_standard_errors(groups: Groups, estimate: np.ndarray, se: np.ndarray) -> dict[str, Measured]:
    """The model-based standard error beside the empirical one."""
    known = ~np.isnan(se)
    own, variance = groups.where(known), se[known] ** 2
    d = own.around(estimate[known])

    def relative_error(n: np.ndarray, v: np.ndarray, m: np.ndarray, q: np.ndarray) -> np.ndarray:
        return 100.0 * (np.sqrt(v) / standard_deviation(n, m, q) - 1.0)

    return {
        "no_se": share(groups, ~known),
        "model_se": jackknife(own, [variance], lambda n, v: np.sqrt(np.maximum(v, 0.0))),
        "relative_error_se": jackknife(own, [variance, d, d**2], relative_error, least=2),
    }


def of_intervals(
    groups: Groups,
    estimate: np.ndarray,
    truth: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    null: np.ndarray | None,
) -> dict[str, Measured]:
    """Coverage, width and rejection; comparisons with nan are false: a missing interval neither covers nor rejects."""
    exists = ~(np.isnan(lower) | np.isnan(upper))
    existing = groups.where(exists)
    known = ~np.isnan(truth)
    covers = exists & (lower <= truth) & (truth <= upper)
    centre = groups.mean(estimate)[groups.codes]
    width = (upper - lower)[exists]
    found = {
        "coverage": share(groups.where(known), covers[known]),
        "coverage_existing": share(groups.where(known & exists), covers[known & exists]),
        "coverage_bias_eliminated": share(groups, exists & (lower <= centre) & (centre <= upper)),
        "no_interval": share(groups, ~exists),
        "mean_width": mean(existing, width),
        "median_width": median(existing, width),
    }
    if null is not None:
        tested, rejects = ~np.isnan(null), exists & ((null < lower) | (upper < null))
        found["rejection"] = share(groups.where(tested), rejects[tested])
        found["rejection_existing"] = share(groups.where(tested & exists), rejects[tested & exists])
    return found


def of_fits(records: Records, on: str, counted: Collection[str], known: int | None) -> pd.DataFrame:
    """Rates of statuses, log-likelihoods and costs, each fit once."""
    fits, level = records.level("cell", "method", "replicate").first, records.level("cell", "method")
    every = Groups(level.codes[fits], len(level.first))
    found = {
        "convergence_rate": share(every, records.has_status(CONVERGED)[fits]),
        "failure_rate": share(every, records.has_status(FAILED)[fits]),
    } | {f"{name}_rate": share(every, records.has_status([name])[fits]) for name in STATUSES}
    is_fit = np.zeros(records.size, dtype=bool)
    is_fit[fits] = True
    chosen = is_fit & records.has_status(counted)
    if on == "pairs":
        chosen = all_methods(records, chosen, "cell")
    columns = {"deficit": records.numbers["deficit"]}
    if known is not None:
        row = reference_rows(records, known, is_fit, "cell")
        loglik = records.numbers["loglik"]
        matched = (row >= 0) & (records.keys["method"] != known)
        columns["reference_deficit"] = np.where(matched, loglik[row] - loglik, np.nan)
    columns |= {name: records.numbers[name] for name in ("seconds", "draws", "iterations")}
    for name, x in columns.items():
        use = chosen & np.isfinite(x)
        groups = Groups(level.codes[use], len(level.first))
        average = name if name.endswith("deficit") else f"mean_{name}"
        found[average], found[f"median_{name}"] = mean(groups, x[use]), median(groups, x[use])
    return long(records, level.first, False, found)


def long(records: Records, first: np.ndarray, of_estimand: bool, found: dict[str, Measured]) -> pd.DataFrame:
    """A row for every group and measure, and a column `order` to sort groups of all tables by."""
    count = len(found)
    cell, method, estimand = (records.keys[name][first] for name in ("cell", "method", "estimand"))
    names = len(records.labels["estimand"])
    last = estimand if of_estimand else np.full(len(first), names)
    order = (cell * len(records.labels["method"]) + method) * (names + 1) + last
    columns: dict[str, np.ndarray] = {
        "order": np.repeat(order, count),
        "cell": np.repeat(records.labels["cell"][cell], count),
        "method": np.repeat(records.labels["method"][method], count),
        "estimand": np.repeat(
            records.labels["estimand"][estimand] if of_estimand else WHOLE_FIT,
            count * (1 if of_estimand else len(first)),
        ),
        "measure": np.tile(list(found), len(first)),
    }
    for name in Measured._fields:
        columns[name] = np.stack([getattr(measured, name) for measured in found.values()], axis=1).ravel()
    return pd.DataFrame(columns)
