"""What the units and the location of columns may not change: which parameters are identified, and how well."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import saem
from saem.families import arrange, pose
from saem.maxima.information import information_of
from saem.mstep.solver import Solver


def model(**means: str) -> saem.Model:
    return saem.Model(
        response="y", cluster="id", mean={"a": "1", **means}, random={"sd": "s"}, residual={"sd": "sigma"}
    )


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng, n = np.random.default_rng(0), 40
    days = pd.DataFrame({"id": np.repeat(np.arange(n), 5), "day": np.tile(7.0 * np.arange(5), n)})
    noise = np.repeat(rng.normal(size=n), 5) + 0.3 * rng.normal(size=5 * n)
    return days.assign(y=3.0 + 0.05 * days["day"] + noise)


@pytest.mark.parametrize("method", ["ml", "saem"])
def test_the_location_of_a_column(table: pd.DataFrame, method: str) -> None:
    """It changes nothing but the intercept, however far from zero the column is."""
    centred = saem.fit(model(b="day - 14"), table, method)
    for shift in (0.0, 1e2, 1e3, 1e5, 2460000.5, 1.7e9):
        fit = saem.fit(model(b="day"), table.assign(day=table["day"] + shift), method)
        assert fit.status == "converged"
        assert fit.loglik == pytest.approx(centred.loglik, abs=1e-3)
        np.testing.assert_allclose(fit.values[1:], centred.values[1:], rtol=1e-4)
        assert fit.se[1] == pytest.approx(centred.se[1], rel=1e-4)
    with pytest.raises(saem.SaemError, match=r"are nearly combinations of each other"):  # up to rounding
        saem.fit(model(b="day", c="day + 1e-11 * day**2"), table.assign(day=table["day"] + 2e4), method)


def test_a_slope_is_no_flat_direction(table: pd.DataFrame) -> None:
    """A direction of no curvature in which the likelihood rises is far from a maximum: the deficit says so."""
    problem = pose(model(b="day"), arrange(model(b="day"), table))
    solver, free = Solver(problem), np.ones(4, dtype=bool)
    x = problem.starts.first
    at = solver.derivatives(solver.observed(), x, free)
    flat = np.diag([0.0, 1.0, 1.0, 1.0]) * np.abs(np.diag(at.hessian))
    for slope, far in ((0.0, False), (1e-3, True)):
        gradient = np.array([slope, 0.0, 0.0, 0.0]) * np.sqrt(np.abs(at.hessian[0, 0]))
        found = information_of(problem, replace(at, gradient=gradient, hessian=-flat), np.zeros(0), flat, free)
        assert (found.deficit > 1.0) == far


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_the_unit_of_a_column(table: pd.DataFrame, unit: float) -> None:
    """Two columns that are one: neither has a standard error, and the sentence names both, in any unit."""
    twice = table.assign(again=unit * table["day"])
    fit = saem.fit(model(b="day", c="again"), twice, "ml")
    assert fit.status == "not_identified"
    assert np.isnan(fit.se[1:3]).all() and np.isfinite(fit.se[[0, 3, 4]]).all()
    assert "b" in fit.message and "c" in fit.message and "can move together" in fit.message
    assert np.isnan(saem.derive(fit, {"c": "c"})["se"]).all()
    both = saem.derive(fit, {"both": f"b + {unit!r} * c"})  # what the data do determine
    alone = saem.fit(model(b="day"), table, "ml")
    assert both["estimate"].iloc[0] == pytest.approx(alone.values[1], rel=1e-6)
