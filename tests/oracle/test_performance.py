"""Performance measures beside a published example, loops that leave out one replicate at a time, and SciPy."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import relhaz
from scipy.stats import binom, binomtest, norm
from simulated_study import study_rows

from experiments.harness.performance import COUNTED, STATUSES, WHOLE_FIT, adjusted, paired, performance, wide
from experiments.harness.performance.jackknife import Groups, jackknife, median
from saem.errors import DataError
from saem.system.streams import stream

CONVERGED = ["ok", "boundary", "several_solutions"]
FAILED = ["error", "timeout", "crashed"]
Measure = tuple[float, float, int]


def published_rows() -> pd.DataFrame:
    tables = []
    for method, estimate, se in (
        ("Cox", relhaz.COX_ESTIMATE, relhaz.COX_SE),
        ("Exp", relhaz.EXP_ESTIMATE, relhaz.EXP_SE),
    ):
        ends = {"lower": estimate - norm.isf(0.025) * se, "upper": estimate + norm.isf(0.025) * se}
        tables.append(study_rows(100, method=method, estimate=estimate, se=se, truth=relhaz.TRUTH, **ends))
    return pd.concat(tables, ignore_index=True)


def test_the_published_example() -> None:
    """All digits given, and the errors of all but the measures whose closed form is for normal estimates.

    Those are within 20 % of it, that of the gain in precision within 30 %.
    """
    rows = published_rows()
    tables = [performance(rows, null={"theta": 0.0}), paired(rows, "Exp", "Cox")]
    found = pd.concat(tables).set_index(["method", "measure"])
    close = {"empirical_se": 0.2, "relative_error_se": 0.2, "precision_gain": 0.3, "model_se": 0.001}
    for key, (value, mcse) in relhaz.PUBLISHED.items():
        digits = 5.1e-5 if key[1] in ("relative_bias", "coverage_bias_eliminated") else 2e-6 * max(1.0, abs(value))
        if key[1] in ("relative_error_se", "precision_gain"):
            digits = 2e-3  # of a per cent, from data of 5 decimals
        assert found.loc[key, "value"] == pytest.approx(value, abs=digits), key
        assert found.loc[key, "mcse"] == pytest.approx(mcse, rel=close.get(key[1], 1e-4), abs=digits), key
        assert found.loc[key, "n"] == 100


FITTED = ("loglik", "deficit", "seconds", "iterations")  # and draws, which are nan


def messy_rows(seed: int = 1) -> pd.DataFrame:
    """Two cells, three methods, two estimands, 14 replicates, with failures, gaps and unequal truths."""
    rng = stream(seed, "messy rows")
    records = []
    for cell, method, replicate in itertools.product(["a", "b"], ["ml", "saem", "em"], range(14)):
        if (cell, method) == ("b", "em") and replicate > 9:
            continue  # never run
        status = rng.choice(STATUSES, p=[0.6, 0.1, 0.05, 0.08, 0.05, 0.06, 0.03, 0.03])
        fit = {name: rng.exponential() if rng.random() < 0.95 else np.nan for name in FITTED}
        for estimand, truth in (("beta", 1.0 if cell == "a" else 2.0), ("zero", 0.0)):
            row = {"cell": cell, "replicate": replicate, "method": method, "estimand": estimand, "truth": truth}
            if status not in FAILED:
                t, se = truth + rng.standard_normal() ** 2 - 0.7, rng.uniform(0.5, 1.5)
                row |= {"estimate": t, "se": se, "lower": t - 1.3 * se, "upper": t + 1.5 * se, "mcse": 0.1 * se}
                for name, chance in (("estimate", 0.03), ("se", 0.1), ("lower", 0.07), ("mcse", 0.1)):
                    row[name] = np.nan if rng.random() < chance else row[name]
            records.append(row | fit | {"status": status, "draws": np.nan})
    rows = pd.DataFrame(records)
    assert rows.duplicated(["cell", "replicate", "method", "estimand"]).sum() == 0
    return rows.sample(frac=1.0, random_state=3)


def by_leaving_out(table: np.ndarray, f: Callable[[np.ndarray], float], least: int = 1) -> Measure:
    """`f` of the rows of a table and its jackknife error, one at a time."""
    n = len(table)
    value = f(table) if n >= least else np.nan
    if n <= max(least, 1):
        return value, np.nan, n
    without = np.array([f(np.delete(table, k, axis=0)) for k in range(n)])
    return value, float(np.sqrt((n - 1) / n * np.sum((without - without.mean()) ** 2))), n


def share_of(flags: list[bool] | np.ndarray) -> Measure:
    n = len(flags)
    p = float(np.mean(flags)) if n else np.nan
    return p, float(np.sqrt(p * (1 - p) / n)) if n else np.nan, n


def median_of(x: np.ndarray) -> Measure:
    n, x = len(x), np.sort(x)
    if n < 2:
        return (x[0] if n else np.nan), np.nan, n
    c = max(1, round((n + 1) / 2 - np.sqrt(n)))
    z = norm.isf(binom.cdf(c - 1, n, 0.5))
    return float(np.median(x)), float((x[n - c] - x[c - 1]) / (2 * z)), n


def column(table: pd.DataFrame, name: str) -> np.ndarray:
    return np.asarray(table[name].dropna(), dtype=float)


def average(x: np.ndarray) -> Measure:
    return by_leaving_out(np.asarray(x, dtype=float)[:, None], lambda t: float(t.mean()))


def naive_estimands(own: pd.DataFrame, ml: pd.DataFrame | None, null: float | None) -> dict[str, Measure]:
    """All measures of one group, its rows chosen before, by loops over replicates."""
    theta = own["truth"].iloc[0] if len(own) else np.nan
    t, both = own["estimate"].to_numpy(), own.dropna(subset="se")[["estimate", "se"]].to_numpy()
    bias = average(t - theta)
    ends = own[["lower", "upper"]].to_numpy()
    there = [bool(np.isfinite(row).all()) for row in ends]
    ordered = [(low, high) for (low, high), is_there in zip(ends, there, strict=True) if is_there]
    none = {"theta": theta, "mean": t.mean() if len(t) else np.nan}

    def covering(value: float) -> list[bool]:
        return [low <= value <= high for low, high in ends]

    widths = np.array([high - low for low, high in ordered])
    found = {
        "bias": bias,
        "relative_bias": (bias[0] / theta, bias[1] / abs(theta), bias[2]) if theta else (np.nan, np.nan, bias[2]),
        "empirical_se": by_leaving_out(t[:, None], lambda x: float(x.std(ddof=1)), 2),
        "mse": average((t - theta) ** 2),
        "rmse": by_leaving_out(t[:, None], lambda x: float(np.sqrt(np.mean((x - theta) ** 2)))),
        "model_se": by_leaving_out(both, lambda x: float(np.sqrt(np.mean(x[:, 1] ** 2)))),
        "relative_error_se": by_leaving_out(
            both, lambda x: float(100 * (np.sqrt(np.mean(x[:, 1] ** 2)) / x[:, 0].std(ddof=1) - 1)), 2
        ),
        "coverage": share_of(covering(theta)),
        "coverage_existing": share_of([low <= theta <= high for low, high in ordered]),
        "coverage_bias_eliminated": share_of(covering(none["mean"])),
        "no_interval": share_of([not is_there for is_there in there]),
        "no_se": share_of(own["se"].isna()),
        "mean_width": average(widths),
        "median_width": median_of(widths),
    }
    if null is not None:
        found["rejection"] = share_of([null < low or high < null for low, high in ends])
        found["rejection_existing"] = share_of([null < low or high < null for low, high in ordered])
    else:
        found |= {name: (np.nan, np.nan, 0) for name in ("rejection", "rejection_existing")}
    distances, z = [], []
    if ml is not None:
        exact = ml[ml["status"].isin(CONVERGED) & ml["estimate"].notna()].set_index("replicate")
        for row in own.itertuples():
            if row.replicate in exact.index:
                away = row.estimate - exact.loc[row.replicate, "estimate"]
                distances.append(abs(away) / exact.loc[row.replicate, "se"])
                z.append(away / row.mcse)
    distances, z = (np.array([x for x in values if np.isfinite(x)]) for values in (distances, z))
    found["distance"] = average(distances)
    found["mcse_calibration_spread"] = by_leaving_out(z[:, None], lambda x: float(x.std(ddof=1)), 2)
    found["mcse_calibration_mean"] = average(z)
    return found


def naive_fits(fits: pd.DataFrame, chosen: pd.DataFrame, ml: pd.DataFrame | None) -> dict[str, Measure]:
    found = {
        "convergence_rate": share_of(fits["status"].isin(CONVERGED)),
        "failure_rate": share_of(fits["status"].isin(FAILED)),
    } | {f"{status}_rate": share_of(fits["status"] == status) for status in STATUSES}
    below = []
    if ml is not None:
        exact = ml[ml["status"].isin(CONVERGED)].set_index("replicate")["loglik"]
        below = [exact[row.replicate] - row.loglik for row in chosen.itertuples() if row.replicate in exact.index]
    below = np.array([x for x in below if np.isfinite(x)])
    found["reference_deficit"], found["median_reference_deficit"] = average(below), median_of(below)
    labels = {name: f"mean_{name}" for name in ("seconds", "draws", "iterations")}
    for name, label in {"deficit": "deficit", **labels}.items():
        found[label], found[f"median_{name}"] = average(column(chosen, name)), median_of(column(chosen, name))
    return found


def naive_performance(rows: pd.DataFrame, on: str, counted: list[str]) -> dict[tuple[str, str, str, str], Measure]:
    """The measures with reference `ml` and `beta` tested against 1, group by group."""
    found = {}
    methods = {cell: set(own["method"]) for cell, own in rows.groupby("cell")}
    ended = rows[rows["status"].isin(counted)]

    def paired_rows(table: pd.DataFrame) -> pd.DataFrame:
        if on == "complete":
            return table
        return table.groupby("replicate").filter(lambda own: set(own["method"]) == methods[own["cell"].iloc[0]])

    for cell, method in {(row.cell, row.method) for row in rows.itertuples()}:
        for estimand in ("beta", "zero"):
            place = rows[(rows["cell"] == cell) & (rows["estimand"] == estimand)]
            good = paired_rows(place[place["status"].isin(counted) & place["estimate"].notna()])
            ml = place[place["method"] == "ml"] if method != "ml" else None
            own = naive_estimands(good[good["method"] == method], ml, 1.0 if estimand == "beta" else None)
            counts = place[(place["method"] == method) & place["status"].isin(counted)]
            own["no_estimate"] = share_of(counts["estimate"].isna())
            found |= {(cell, method, estimand, name): measure for name, measure in own.items()}
        fits = rows[rows["cell"] == cell].drop_duplicates(["method", "replicate"])
        good = paired_rows(fits[fits.index.isin(ended.index)])
        ml = fits[fits["method"] == "ml"] if method != "ml" else None
        own = naive_fits(fits[fits["method"] == method], good[good["method"] == method], ml)
        found |= {(cell, method, WHOLE_FIT, name): measure for name, measure in own.items()}
    return found


def check_same(table: pd.DataFrame, expected: dict[tuple[str, str, str, str], Measure]) -> None:
    found = table.set_index(["cell", "method", "estimand", "measure"])
    assert found.index.is_unique and set(found.index) == set(expected)
    both = np.array([(*found.loc[key, ["value", "mcse", "n"]], *measure) for key, measure in expected.items()], float)
    np.testing.assert_allclose(both[:, :3], both[:, 3:], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("on", ["complete", "pairs"])
@pytest.mark.parametrize("counted", [list(COUNTED), CONVERGED])
def test_every_measure_beside_loops(on: str, counted: list[str]) -> None:
    rows = messy_rows()
    expected = naive_performance(rows, on, counted)
    found = performance(rows, on=on, counted=counted, reference="ml", null={"beta": 1.0})
    check_same(found, expected)
    with pytest.raises(AssertionError):  # mutant: the other replicates
        other = "pairs" if on == "complete" else "complete"
        check_same(performance(rows, on=other, counted=counted, reference="ml", null={"beta": 1.0}), expected)


def test_the_order_of_rows_is_of_no_account() -> None:
    """But for that of cells, methods and estimands, which is the order of appearance."""
    rows = messy_rows()
    one, two = (performance(table, reference="ml") for table in (rows, rows.sort_values("replicate")))
    keys = ["cell", "method", "estimand", "measure"]
    pd.testing.assert_frame_equal(one.sort_values(keys, ignore_index=True), two.sort_values(keys, ignore_index=True))
    assert list(one["cell"].unique()) == list(rows["cell"].unique())
    assert list(one["estimand"].unique()) == [*rows["estimand"].unique(), WHOLE_FIT]
    assert "rejection" not in set(one["measure"]) and "distance" not in set(performance(rows)["measure"])


def test_two_methods_beside_loops() -> None:
    rows = messy_rows()
    found = paired(rows, "saem", "ml").set_index(["cell", "estimand", "measure"])
    for cell, estimand in itertools.product("ab", ("beta", "zero")):
        own = rows[(rows["cell"] == cell) & (rows["estimand"] == estimand) & rows["status"].isin(COUNTED)]
        own = own[own["estimate"].notna()]
        pair = own[own["method"] == "saem"].merge(own[own["method"] == "ml"], on="replicate", suffixes=("", "0"))
        theta = pair["truth"].iloc[0]
        t, t0 = pair["estimate"].to_numpy(), pair["estimate0"].to_numpy()
        covers = [(low <= theta <= high) for low, high in pair[["lower", "upper"]].to_numpy()]
        covers0 = [(low <= theta <= high) for low, high in pair[["lower0", "upper0"]].to_numpy()]
        widths = np.array([pair["upper"] - pair["lower"], pair["upper0"] - pair["lower0"]]).T
        both = np.array([t, t0]).T
        expected = {
            "bias_difference": average(t - t0),
            "mse_ratio": by_leaving_out(both, lambda x, at=theta: np.divide(*np.mean((x - at) ** 2, axis=0))),
            "precision_gain": by_leaving_out(both, lambda x: 100 * (np.divide(*x.var(axis=0)[::-1]) - 1), 2),
            "coverage_difference": average(np.subtract(covers, covers0, dtype=float)),
            "width_ratio": by_leaving_out(
                widths[np.isfinite(widths).all(axis=1)], lambda x: np.divide(*x.mean(axis=0))
            ),
        }
        for name, measure in expected.items():
            assert tuple(found.loc[(cell, estimand, name), ["value", "mcse", "n"]]) == pytest.approx(measure), name
    fits = rows[rows["status"].isin(COUNTED) & (rows["cell"] == "a")].drop_duplicates(["method", "replicate"])
    pair = fits[fits["method"] == "saem"].merge(fits[fits["method"] == "ml"], on="replicate", suffixes=("", "0"))
    measure = average(column(pair.eval("d = loglik - loglik0"), "d"))
    assert tuple(found.loc[("a", WHOLE_FIT, "loglik_difference"), ["value", "mcse", "n"]]) == pytest.approx(measure)
    seconds = pair[["seconds", "seconds0"]].dropna().to_numpy()
    measure = by_leaving_out(seconds, lambda x: np.divide(*x.mean(axis=0)))
    assert tuple(found.loc[("a", WHOLE_FIT, "seconds_ratio"), ["value", "mcse", "n"]]) == pytest.approx(measure)
    assert found.loc[("a", WHOLE_FIT, "draws_ratio"), "n"] == 0


def test_methods_need_not_share_all_cells() -> None:
    rows = messy_rows()
    some = rows[~((rows["method"] == "em") & (rows["cell"] == "b"))]
    assert set(paired(some, "em", "ml")["cell"]) == {"a"}
    none = some[(some["method"] != "ml") | (some["cell"] == "b")]
    with pytest.raises(DataError, match="no cell in common"):
        paired(none, "em", "ml")


def test_few_replicates_have_a_value_but_no_error() -> None:
    """An error needs one replicate more than the value; none gives nan, and never a warning."""
    rows = study_rows(
        2, estimate=[1.0, 3.0], se=[1.0, 1.0], lower=[0.0, 2.0], upper=[2.0, np.inf], truth=0.0, seconds=1.0
    )
    one = performance(rows.iloc[:1]).set_index("measure")
    assert one.loc["bias", "value"] == 1.0 and np.isnan(one.loc["bias", "mcse"])
    assert np.isnan(one.loc["empirical_se", "value"]) and one.loc["empirical_se", "n"] == 1
    two = performance(rows).set_index("measure")
    assert two.loc["empirical_se", "value"] == pytest.approx(np.sqrt(2)) and np.isnan(two.loc["empirical_se", "mcse"])
    assert np.isinf(two.loc["mean_width", "value"]) and np.isnan(two.loc["mean_width", "mcse"])  # an open interval
    assert np.isnan(two.loc["relative_bias", "value"]) and two.loc["bias", "mcse"] == pytest.approx(1.0)
    failed = performance(study_rows(3, status="crashed", truth=1.0)).set_index("measure")
    assert failed.loc["bias", "n"] == 0 and np.isnan(failed.loc["coverage", "value"])
    assert failed.loc["crashed_rate", "value"] == 1.0 == failed.loc["failure_rate", "value"]


def test_estimates_far_from_zero_lose_no_digits() -> None:
    """The standard deviation of numbers near 1e8, and its error, are those of the same numbers near zero."""
    x = stream(0, "far").standard_normal(50)
    near, far = (performance(study_rows(50, estimate=x + at, se=1.0)).set_index("measure") for at in (0.0, 1e8))
    for name in ("empirical_se", "relative_error_se"):
        one, other = (table.loc[name, ["value", "mcse"]].astype(float) for table in (near, far))
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_the_jackknife_of_any_statistic_beside_a_loop() -> None:
    rng = stream(0, "jackknife")
    x, y, codes = rng.exponential(size=(3, 40)), rng.exponential(size=(2, 40)), rng.integers(0, 3, 40)
    found = jackknife(Groups(codes, 4), [*x[:2], y[0]], lambda n, a, b, c: n * np.exp(a) / b + c**2)
    for k in range(3):
        table = np.array([x[0], x[1], y[0]]).T[codes == k]
        expected = by_leaving_out(
            table, lambda t: len(t) * np.exp(t[:, 0].mean()) / t[:, 1].mean() + t[:, 2].mean() ** 2
        )
        assert (found.value[k], found.mcse[k], found.n[k]) == pytest.approx(expected)
    assert np.isnan(found.value[3]) and found.n[3] == 0
    numbers = median(Groups(codes, 4), x[0])
    for k in range(3):
        assert (numbers.value[k], numbers.mcse[k], numbers.n[k]) == pytest.approx(median_of(x[0][codes == k]))


def test_adjusted_proportions() -> None:
    """The centre is that of Wilson's interval by SciPy; the interval contains Wilson's, as Agresti & Coull show."""
    for k, n in ((500, 500), (0, 20), (475, 500), (9, 10)):
        value, mcse = adjusted(k / n, n)
        ends = binomtest(k, n).proportion_ci(0.95, method="wilson")
        assert value == pytest.approx((ends.low + ends.high) / 2)
        assert (
            value - norm.isf(0.025) * mcse <= ends.low + 1e-12 and value + norm.isf(0.025) * mcse >= ends.high - 1e-12
        )
    assert adjusted(1.0, 500).mcse == pytest.approx(0.0027454, abs=1e-7) and adjusted(0.95, 1e6).mcse > 0.000217
    both = adjusted([1.0, 0.5], 100)
    assert both.value.shape == (2,) and both.mcse[1] == pytest.approx(0.5 / np.sqrt(100 + norm.isf(0.025) ** 2))
    for wrong, words in (((1.2, 10), "between 0 and 1; got 1.2"), ((0.5, 0), "1 or larger; got 0")):
        with pytest.raises(DataError, match=words):
            adjusted(*wrong)


def test_wide_tables() -> None:
    found = performance(messy_rows(), reference="ml")
    table = wide(found, ["coverage", "bias"])
    assert list(table.columns) == [(m, f) for m in ("coverage", "bias") for f in ("value", "mcse")]
    assert table.index.names == ["cell", "method", "estimand"] and len(table) == 12
    long = found.set_index(["cell", "method", "estimand", "measure"])
    assert table.loc[("b", "em", "zero"), ("bias", "mcse")] == long.loc[("b", "em", "zero", "bias"), "mcse"]
    order = list(found[["cell", "method", "estimand"]].drop_duplicates().itertuples(index=False, name=None))
    assert list(table.index) == [key for key in order if key[2] != WHOLE_FIT]
    methods = wide(found[found["estimand"] == "beta"], ["rmse"], across="method", fields=["value"])
    assert list(methods.columns) == list(found["method"].unique()) and list(methods.index.names) == [
        "cell",
        "estimand",
        "measure",
    ]
    pairs = wide(paired(messy_rows(), "saem", "ml"), ["mse_ratio"])
    assert pairs.index.names == ["cell", "method", "reference", "estimand"] and len(pairs) == 4
    for arguments, words in (
        ({"measures": ["coverag"]}, "did you mean 'coverage'"),
        ({"across": "colour"}, "one of 'cell', 'method'"),
        ({"fields": "value"}, "must be a list"),
    ):
        with pytest.raises(DataError, match=words):
            wide(found, **arguments)


def test_bad_rows_and_arguments() -> None:
    rows = messy_rows().reset_index(drop=True)

    def changed(name: str, value: object, row: int = 0) -> pd.DataFrame:
        copy = rows.astype({name: object}) if isinstance(value, str) or value is None else rows.copy()
        copy.loc[row, name] = value
        return copy

    full, timed = rows["lower"].notna().idxmax(), rows["seconds"].notna()[::-1].idxmax()  # the second row of its fit
    for table, words in (
        (rows.rename(columns={"upper": "uper"}), r"lack the columns 'upper' \(did you mean 'uper'\?\)"),
        (rows.iloc[:0], "at least one row"),
        (rows.to_dict(), "must be a pandas DataFrame; got dict"),
        (pd.concat([rows, rows.iloc[[3]]]), "has one row; cell .* has several"),
        (changed("status", "errror"), r"got 'errror' \(did you mean 'error'\?\)"),
        (changed("estimate", "one"), "'estimate' must have numbers"),
        (changed("truth", 7.0), "'truth' must be the same in all rows of one estimand in a cell"),
        (changed("seconds", 1e9), "'seconds' must be the same in all rows of one fit"),
        (changed("seconds", np.nan, timed), "'seconds' must be the same in all rows of one fit"),
        (changed("lower", 1e9, full), "'lower' must not be above 'upper'"),
        (changed("se", -1.0), "'se' must not be negative"),
        (changed("method", None, 5), "'method' must be known in every row; row 5 has none"),
    ):
        with pytest.raises(DataError, match=words):
            performance(table)
    for arguments, words in (
        ({"on": "all"}, "'complete' or 'pairs'; got 'all'"),
        ({"counted": ["ok", "error"]}, "some of 'ok'"),
        ({"counted": "ok"}, "must be a list"),
        ({"reference": "sam"}, r"one of the methods .*did you mean 'saem'"),
        ({"null": {"bta": 0.0}}, r"did you mean 'beta'"),
        ({"null": {"beta": np.nan}}, "finite number"),
    ):
        with pytest.raises(DataError, match=words):
            performance(rows, **arguments)
    with pytest.raises(DataError, match="two methods; both are 'ml'"):
        paired(rows, "ml", "ml")
