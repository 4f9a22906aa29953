"""Responses that are known by intervals are drawn, and recorded on the scale of which the intervals are parts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import saem
from saem.errors import ModelError
from saem.families.nonlinear.intervals import coarsened

TEXT = """
family = "nonlinear"
response = "y"
cluster = "id"
columns = ["time", "lo", "hi"]
[individual]
b = "normal(mu, omega)"
[outcome]
distribution = "normal"
mean = "b + slope * time"
sd = "a"
interval = ["lo", "hi"]
"""
AT = {"mu": 1.0, "omega": 1.0, "slope": 0.4, "a": 0.7}
MODEL = saem.Model.from_text(TEXT)


def design(clusters: int = 200, rows: int = 5) -> pd.DataFrame:
    times = np.tile(np.arange(float(rows)), clusters)
    return pd.DataFrame({"id": np.repeat(np.arange(clusters), rows), "time": times})


def exact(rows: pd.DataFrame, seed: int) -> np.ndarray:
    """The same responses without intervals."""
    plain = saem.Model.from_text(
        TEXT.replace(', "lo", "hi"]\n[ind', "]\n[ind").replace('interval = ["lo", "hi"]\n', "")
    )
    return saem.simulate(plain, AT, rows[["id", "time"]], seed=seed)["y"].to_numpy()


def ends(pairs: list[tuple[float, float]], at: list[float], lowest: float = -np.inf) -> list[tuple[float, float]]:
    low, high = np.array(pairs).T
    return list(zip(*coarsened(("lo", "hi"), low, high, lowest, np.array(at)), strict=True))


def test_rounding_goes_on_beyond_what_was_seen() -> None:
    """By hand: intervals of one, with a gap from 2 to 4 that is one interval, and steps of one beyond."""
    pairs = [(0.0, 1.0), (1.0, 2.0), (4.0, 5.0)]
    at = [0.5, 1.0, 1.5, 3.0, 5.0, 5.2, 7.9, -0.1, -1.5, 0.0]
    expected = [(0, 1), (0, 1), (1, 2), (2, 4), (4, 5), (5, 6), (7, 8), (-1, 0), (-2, -1), (-1, 0)]
    assert ends(pairs, at) == expected
    assert ends(pairs, [-1.5, 0.5], lowest=-1.2)[1] == (0, 1)
    assert ends([(0.5, 2.0)], [0.1], lowest=0.0) == [(0.0, 0.5)]


def test_exact_responses_stay_exact_outside_of_the_intervals() -> None:
    """Below a limit of detection nothing is known; above it all is."""
    assert ends([(-3.0, 0.0), (0.4, 0.4), (2.0, 2.0)], [-1.0, 0.2, 5.0, -4.0]) == [
        (-3, 0),
        (0.2, 0.2),
        (5, 5),
        (-4, -4),
    ]


@pytest.mark.parametrize("pairs", [[(0.0, 2.0), (1.0, 3.0)], [(0.0, 2.0), (1.0, 1.0)]])
def test_intervals_of_no_common_scale_are_refused(pairs: list[tuple[float, float]]) -> None:
    with pytest.raises(ModelError, match="no parts of one scale"):
        ends(pairs, [0.0])


def test_drawn_responses_are_the_exact_ones_in_intervals() -> None:
    rows = design()
    y = exact(rows, 5)
    made = saem.simulate(MODEL, AT, rows.assign(lo=np.floor(y), hi=np.floor(y) + 1.0), seed=8)
    own = exact(rows, 8)
    assert np.all((made["lo"] < own) & (own <= made["hi"]))
    inner = (own > y.min()) & (own < y.max())
    np.testing.assert_allclose((made["hi"] - made["lo"])[inner], 1.0)
    np.testing.assert_allclose(made["y"], 0.5 * (made["lo"] + made["hi"]))  # it does not tell where in between


@pytest.mark.slow
def test_estimates_from_drawn_intervals_are_those_of_the_truth() -> None:
    """Four estimates of 1,000 rows in intervals within 4 standard errors: false alarms one in 4,000.

    The mutant takes what was drawn for the middle of intervals that all lie half a unit higher.
    """
    rows = design()
    y = exact(rows, 5)
    made = saem.simulate(MODEL, AT, rows.assign(lo=np.floor(y), hi=np.floor(y) + 1.0), seed=8)

    def distance(table: pd.DataFrame) -> float:
        found = saem.fit(MODEL, table, "ml").estimates
        return float(max(abs(found.loc[k, "estimate"] - v) / found.loc[k, "se"] for k, v in AT.items()))

    assert distance(made) < 4.0
    assert distance(made.assign(lo=made["lo"] + 0.5, hi=made["hi"] + 0.5, y=made["y"] + 0.5)) > 4.0


def test_a_visual_check_puts_data_and_draws_in_the_middles() -> None:
    rows = design(60)
    y = exact(rows, 5)
    fit = saem.fit(MODEL, rows.assign(y=y, lo=np.floor(y), hi=np.floor(y) + 1.0), "ml")
    found = saem.visual_check(fit, draws=40, seed=1)
    assert set(found.table["quantity"]) == {"10 %", "50 %", "90 %"}
    inside = found.table["observed"].between(found.table["lower"], found.table["upper"])
    assert inside.mean() > 0.8
    medians = found.table.loc[found.table["quantity"] == "50 %", "observed"]
    assert np.allclose(medians % 0.5, 0.0)
