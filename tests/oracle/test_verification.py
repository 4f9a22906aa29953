"""`saem.verify`: what is known of an estimate that was put somewhere on purpose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_highest_maximum import model, simulated

import saem
from experiments.studies.peptide import peptide_model, peptide_table
from saem.errors import ModelError
from saem.inference.rows import posed, rows_of
from saem.inference.surface import maximum
from saem.inference.verification import Verification

GROUPS = saem.Model.from_text(saem.recipes.text("poisson_equal_means"))


@pytest.fixture(scope="module")
def linear() -> saem.Fit:
    return saem.fit(peptide_model(), peptide_table(8, seed=1), "ml")


def put(fit: saem.Fit, values: np.ndarray) -> saem.Fit:
    """The same fit, said to have ended elsewhere."""
    return replace(fit, values=np.asarray(values, dtype=float), inner=np.empty(0))


def check_moved(fit: saem.Fit, share: float, found: Verification) -> None:
    """Of a fit whose free parameters are ``share`` standard errors off in turn, score and shift say so."""
    error = 1e-8 if found.kind == "closed" else 1e-5  # two rules of integration agree so well
    assert found.deficit == pytest.approx(fit.loglik - found.loglik, abs=error)
    table = found.parameters.loc[np.isfinite(found.parameters["shift"])]
    np.testing.assert_allclose(table["score"], table["shift"], atol=0.3 * share + 1e-6)


def test_the_maximum_is_verified(linear: saem.Fit) -> None:
    found = saem.verify(linear)
    assert found.is_verified and found.kind == "closed" and found.deficit < 1e-8 and found.doubt == 0.0
    assert found.parameters[["score", "shift"]].abs().to_numpy().max() < 1e-6
    assert "None of 8 starts around it led higher" in found.message


def test_an_estimate_that_is_off_is_not(linear: saem.Fit) -> None:
    """sigma 0.4 standard errors too large: the deficit is half the square of that, and the step leads back."""
    k = linear.parameters.names.index("sigma")
    off = put(linear, linear.values + 0.4 * linear.se * (np.arange(len(linear.values)) == k))
    found = saem.verify(off, starts=0)
    assert not found.is_verified and "Others were not looked for" in found.message
    check_moved(linear, 0.4, found)
    assert found.parameters.loc["sigma", "shift"] == pytest.approx(-0.4, abs=0.1)
    assert found.deficit == pytest.approx(0.08, rel=0.3)


def test_a_higher_hill_nearby_is_found() -> None:
    """Random slopes whose likelihood has two maxima: from the lower one some of the starts lead to the higher."""
    fit = saem.fit(model("diagonal"), simulated(5), "ml")
    problem = posed(fit, rows_of(fit)[1])
    lower = maximum(problem, problem.starts.first)
    assert lower is not None and lower.loglik < fit.loglik - 1.0
    found = saem.verify(put(fit, problem.coordinates.to_user(lower.x)), starts=30)
    assert found.deficit < 1e-6 and not found.is_verified
    assert found.other_gain == pytest.approx(fit.loglik - lower.loglik, abs=1e-6)
    np.testing.assert_allclose(list(found.other.values()), fit.values, atol=1e-3 * np.abs(fit.values).max())
    assert "fit from there" in found.message


def test_a_tie_and_quadrature() -> None:
    """By quadrature, along a constraint: a step that leaves it would not lead to the maximum."""
    rows = [(group, unit) for group in ("control", "treated") for unit in range(20) for _ in range(4)]
    truth = {"beta1": 1.5, "sigma1": 0.4, "sigma2": 0.9}
    import pandas as pd

    table = saem.simulate(GROUPS, truth, pd.DataFrame(rows, columns=["group", "unit"]), seed=4)
    fit, by_saem = saem.fit(GROUPS, table, "ml"), saem.fit(GROUPS, table, "saem", seed=2)
    found = saem.verify(by_saem)
    assert found.kind == "quadrature" and found.is_verified
    assert found.deficit == pytest.approx(fit.loglik - by_saem.loglik, abs=1e-5)
    np.testing.assert_allclose(found.parameters["maximum"], fit.values, rtol=1e-5)
    check_moved(fit, 0.05, found)


def test_what_cannot_be_verified(linear: saem.Fit) -> None:
    with pytest.raises(ModelError, match="saved without its table"):
        saem.verify(replace(linear, table=None))
    with pytest.raises(saem.SaemError, match="starts"):
        saem.verify(linear, starts=-1)
