"""The tables and the text of a fit."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from handmade import NAMES, handmade_fit

from saem.errors import SaemError
from saem.stopping import Status


def test_estimates_has_the_promised_columns_and_index():
    table = handmade_fit().estimates
    assert list(table.columns) == ["estimate", "se", "mcse", "lower", "upper"]
    assert list(table.index) == list(NAMES) and table.index.name == "parameter"
    assert table.loc["mu", "estimate"] == 10.0
    assert table.loc["mu", "se"] == pytest.approx(0.2)
    assert table.loc["mu", "mcse"] == 0.001


def test_intervals_are_on_the_scale_of_their_kind():
    table, z = handmade_fit().estimates, 1.959963984540054
    assert table.loc["mu", "lower"] == pytest.approx(10 - z * 0.2)
    assert table.loc["mu", "upper"] == pytest.approx(10 + z * 0.2)
    assert table.loc["sigma2", "lower"] == pytest.approx(0.7 * math.exp(-z * 0.05 / 0.7))
    assert table.loc["sigma2", "upper"] == pytest.approx(0.7 * math.exp(z * 0.05 / 0.7))
    assert table.loc["rho", "lower"] == pytest.approx(math.tanh(math.atanh(0.5) - z * 0.1 / 0.75))
    assert table.loc["rho", "upper"] == pytest.approx(math.tanh(math.atanh(0.5) + z * 0.1 / 0.75))


def test_intervals_stay_in_the_domain_however_large_the_standard_error():
    fit = handmade_fit(covariance=np.diag(np.full(8, 100.0)))
    table = fit.estimates
    assert table.loc["sigma2", "lower"] > 0
    assert -1 <= table.loc["rho", "lower"] < table.loc["rho", "upper"] <= 1


def test_fixed_and_boundary_parameters_have_no_interval():
    table = handmade_fit().estimates
    assert table.loc["b21", "se"] == 0.0
    assert np.isnan(table.loc["sigma1", "se"])
    assert table.loc[["b21", "sigma1"], ["lower", "upper"]].isna().all().all()


def test_intervals_of_another_level_are_nested():
    fit = handmade_fit()
    narrow, wide = fit.intervals(0.5), fit.intervals(0.99)
    inside = (wide["lower"] < narrow["lower"]) & (narrow["upper"] < wide["upper"])
    assert inside.drop(["b21", "sigma1"]).all()


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, -1.0])
def test_a_level_that_is_no_probability_is_refused(level):
    with pytest.raises(SaemError, match="between 0 and 1"):
        handmade_fit().intervals(level)


def test_information_criteria():
    fit = handmade_fit()
    assert fit.aic == pytest.approx(2 * 5 + 2 * 123.4567891234567)
    assert fit.bic == pytest.approx(5 * math.log(12) + 2 * 123.4567891234567)


def test_trace_is_indexed_by_iteration_from_the_start():
    trace = handmade_fit().trace
    assert trace.shape == (101, 8) and trace.index[0] == 0 and trace.index.name == "iteration"
    assert list(trace.columns) == list(NAMES)


def test_constraints_table():
    table = handmade_fit().constraints
    assert list(table.columns) == ["residual", "multiplier"]
    assert table.loc["g", "multiplier"] == -2.5


def test_to_frame_is_long_and_can_be_stacked():
    fit = handmade_fit()
    both = pd.concat([fit.to_frame(), dataclasses.replace(fit, method="ml").to_frame()])
    assert list(both.columns) == ["method", "parameter", "estimate", "se", "mcse", "lower", "upper", "role"]
    assert both["method"].value_counts().to_dict() == {"saem": 8, "ml": 8}


def test_a_fit_cannot_be_changed():
    values = np.arange(8.0)
    fit = handmade_fit(values=values)
    with pytest.raises(dataclasses.FrozenInstanceError):
        fit.loglik = 0.0
    with pytest.raises(ValueError, match="read-only"):
        fit.values[0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        fit.path[0, 0] = 1.0
    values[0] = 99.0
    assert fit.values[0] == 0.0, "the fit must not share memory with what it was made of"


def test_summary_shows_everything_a_reader_needs():
    text = handmade_fit().summary()
    for part in (
        "SAEM fit of a linear model for y",
        "12 rows, 6 clusters (treatment, replicate), 5 free parameters",
        "at the boundary",
        "fixed",
        "c2 == sigma2**2 - sigma1**2",
        "1.2e-16",
        "-2.5",
        "log-likelihood -123.4568",
        "AIC 256.914",
        "status: boundary. sigma1 is zero.",
        "warning: rows 3 and 4 are the same",
    ):
        assert part in text
    assert text.isascii() and max(map(len, text.splitlines())) <= 120
    assert text == "\n".join(line.rstrip() for line in text.splitlines())


def test_summary_columns_line_up():
    lines = handmade_fit().summary().splitlines()
    header = next(line for line in lines if line.startswith("parameter"))
    rows = [line for line in lines if line.startswith(("mu ", "alpha2 ", "sigma2 ", "sigma "))]
    end = header.index("estimate") + len("estimate")
    assert {line[end - 1].isdigit() and line[end] == " " for line in rows} == {True}
    assert {line[:end].rstrip()[-5] for line in rows} == {"."}, "the same number of decimals in a column"


def test_summary_leaves_out_what_does_not_apply():
    fit = handmade_fit(
        method="ml",
        mcse=np.zeros(8),
        constraint_names=(),
        constraint_residuals=np.zeros(0),
        multipliers=np.zeros(0),
        warnings=(),
        message="",
        status=Status.CONVERGED,
    )
    text = fit.summary()
    assert "mcse" not in text and "constraint" not in text and "warning" not in text
    assert Status.CONVERGED.advice in text


def test_summary_lists_several_solutions_by_what_differs():
    fit = handmade_fit()
    other = fit.values.copy()
    other[1] = -0.3
    several = dataclasses.replace(
        fit,
        solutions=np.stack([fit.values, other]),
        solution_logliks=np.full(2, fit.loglik),
        status=Status.SEVERAL_SOLUTIONS,
    )
    lines = several.summary().splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("solution"))
    assert lines[at].split() == ["solution", "c2", "log-likelihood"]
    assert lines[at + 2].split()[:2] == ["1", "0.490"] and lines[at + 3].split()[:2] == ["2", "-0.300"]


def test_summary_marks_what_is_not_identified():
    fit = handmade_fit(covariance=np.full((8, 8), np.nan), status=Status.NOT_IDENTIFIED, at_boundary=())
    row = next(line for line in fit.summary().splitlines() if line.startswith("mu "))
    assert row.split() == ["mu", "10.0000", "-", "0.001", "-", "-", "-", "not", "identified"]


def test_repr_is_one_line():
    text = repr(handmade_fit())
    assert text.startswith("Fit(saem, boundary, loglik=-123.457, mu=10,") and "\n" not in text


@pytest.mark.parametrize("status", Status)
def test_every_status_has_advice_and_is_its_text(status):
    assert status == status.value == str(status)
    assert status.advice.endswith(".") and len(status.advice) > 30


def test_which_statuses_are_maxima():
    assert {status.value for status in Status if status.converged} == {"converged", "boundary", "several_solutions"}
    assert handmade_fit().converged
