"""The Monte Carlo standard errors of performance measures are what they say: studies repeated, and their spread."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from effort import effort
from simulated_study import study_rows, two_methods

from experiments.harness.performance import adjusted, paired, performance
from experiments.harness.performance.records import OF_FITS
from saem.system.streams import stream

STUDIES, REPLICATES = 500, 200
NULL = {"theta": 1.8}


def calibration(table: pd.DataFrame) -> pd.Series:
    """The spread of every measure over the studies, over its mean standard error; only of measures that vary."""
    groups = table.dropna(subset=["value", "mcse"]).groupby(["method", "measure"])
    found = groups["value"].std() / groups["mcse"].mean()
    return found[groups["value"].std() > 0.0]


def check_calibrated(ratios: pd.Series, low: float, high: float) -> None:
    assert ratios.between(low, high).all(), ratios[~ratios.between(low, high)]


# Over 8000 studies the ratios are, by law: normal from 0.99 to 1.04; log-normal from 0.93 (the bias-eliminated
# coverage, whose error takes the mean as known) to 1.12 (the mean squared error, whose own error is skewed). Over 500
# studies a ratio has an error of 0.03 to 0.05. The bounds are 3.4 of these away from the measure that is nearest to
# them, and 4 from nearly all: false alarms of 1e-3.
BOUNDS = {"normal": (0.85, 1.18), "log-normal": (0.8, 1.3)}


@pytest.mark.parametrize("law", BOUNDS)
def test_the_errors_of_all_measures(law: str) -> None:
    rows = two_methods(law, STUDIES, REPLICATES, 1)
    alone, pairs = performance(rows, reference="ml", null=NULL), paired(rows, "saem", "ml")
    ratios = calibration(alone)
    assert len(ratios) == 23 + 33  # all measures that the two methods have and that vary
    check_calibrated(ratios, *BOUNDS[law])
    differences = calibration(pairs)
    assert len(differences) == 8
    check_calibrated(differences, *BOUNDS[law])
    # Mutant: the two methods as if they were on different data.
    bias = alone[alone["measure"] == "bias"].pivot(index="cell", columns="method", values="mcse")
    unpaired = np.hypot(bias["ml"], bias["saem"]).to_numpy()
    own = pairs["measure"] == "bias_difference"
    with pytest.raises(AssertionError):
        check_calibrated(calibration(pairs[own].assign(mcse=unpaired)), *BOUNDS[law])
    # Mutant: the closed form of the empirical SE, which is for normal estimates.
    own = alone[alone["measure"] == "empirical_se"]
    closed = calibration(own.assign(mcse=own["value"] / np.sqrt(2 * (own["n"] - 1))))
    if law == "normal":
        check_calibrated(closed, *BOUNDS[law])
    else:
        with pytest.raises(AssertionError):
            check_calibrated(closed, *BOUNDS[law])


def test_measures_are_near_what_they_estimate() -> None:
    """Means over 500 studies beside what is known of the laws: within 4.5 of their own errors, 14 cases: 1e-4."""
    for law in BOUNDS:
        found = performance(two_methods(law, STUDIES, REPLICATES, 2), reference="ml")
        bias = 0.0 if law == "normal" else np.exp(0.125) - 1
        variance = 0.25 if law == "normal" else np.exp(0.25) * (np.exp(0.25) - 1)
        known = {
            ("ml", "bias"): bias,
            ("ml", "mse"): variance + bias**2,
            ("ml", "no_interval"): 0.05,
            ("saem", "mcse_calibration_mean"): 0.0,
            ("saem", "failure_rate"): 0.1,
            ("saem", "reference_deficit"): 2.0,
            ("saem", "median_reference_deficit"): np.log(2) ** 2,
        }
        for (method, measure), value in known.items():
            own = found[(found["method"] == method) & (found["measure"] == measure)]["value"]
            slack = 0.02 * value if measure.startswith("median") else 0.0  # a median is biased by order 1 / n
            assert abs(own.mean() - value) < 4.5 * own.std() / np.sqrt(len(own)) + slack, (law, method, measure)


def test_stopping_by_the_adjusted_error_spares_coverage() -> None:
    """Studies of true coverage 0.95 that end when the error is below 0.02, looked at from 10 replicates on.

    By the plain error, zero when all cover, 59 % end at once with a coverage of 1: the mean is 0.98. By the adjusted
    one none end so, and the mean is 0.954; the errors of both are below 0.001.
    """
    covers = stream(0, "coverage").random((1000, 400)) < 0.95
    n = np.arange(1, 401)
    p = np.cumsum(covers, axis=1) / n
    final = {}
    for rule, mcse in (("adjusted", adjusted(p, n).mcse), ("plain", np.sqrt(p * (1 - p) / n))):
        stops = np.argmax((mcse < 0.02) & (n >= 10), axis=1)
        assert (mcse[:, -1] < 0.02).all()
        final[rule] = p[np.arange(1000), stops].mean()
    assert abs(final["adjusted"] - 0.95) < 0.01 and final["plain"] - 0.95 > 0.02, final


@pytest.mark.slow
def test_a_million_rows() -> None:
    """By few calls, as whole columns are, and with less than 500 MiB beside the table."""
    cells, replicates, methods, estimands = sizes = (20, 5000, 2, 5)
    at, rng, count = np.indices(sizes).reshape(4, -1), stream(0, "large"), 10**6
    names = [np.array([f"{what} {k}" for k in range(size)]) for what, size in zip("crme", sizes, strict=True)]
    fits = rng.exponential(size=(len(OF_FITS), count // estimands))
    status = rng.choice(["ok", "boundary", "error"], count // estimands, p=[0.9, 0.08, 0.02])
    estimate = rng.standard_normal(count)
    estimate[np.repeat(status == "error", estimands)] = np.nan
    rows = study_rows(
        count,
        cell=names[0][at[0]],
        method=names[2][at[2]],
        estimand=names[3][at[3]],
        replicate=at[1],
        estimate=estimate,
        se=1.0,
        lower=estimate - 1.96,
        upper=estimate + 1.96,
        mcse=0.1,
        truth=0.0,
        status=np.repeat(status, estimands),
        **dict(zip(OF_FITS, np.repeat(fits, estimands, axis=1), strict=True)),
    )
    with effort(2_000_000):
        found = performance(rows, on="pairs", reference="m 0", null={"e 0": 0.0})
        paired(rows, "m 1", "m 0")
    assert found["n"].max() == replicates and len(found.drop_duplicates(["cell", "method"])) == cells * methods
    for work in (lambda: performance(rows, on="pairs", reference="m 0"), lambda: paired(rows, "m 1", "m 0")):
        tracemalloc.start()
        try:
            work()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 500 * 2**20
