"""What is inferred from a fit rests on the rules of integration of a maximum, whatever the fit was made with."""

from __future__ import annotations

import pickle

import nonlinear_family
import numpy as np
import pytest

import saem
from saem.algorithms import direct_ml
from saem.algorithms.saem import SAEM
from saem.inference.surface import Surface, held, maximum

HERDS = saem.Model(
    family="glmm",
    cluster="herd",
    predictor="incidence ~ C(period)",
    outcome={"distribution": "binomial", "trials": "size"},
)


@pytest.fixture(scope="module")
def fits() -> dict[str, saem.Fit]:
    example = nonlinear_family.counts()
    return {method: saem.fit(example.model, example.table, method, seed=1) for method in ("ml", "saem")}


def test_a_loaded_fit_stands_on_the_same_surface(fits: dict[str, saem.Fit]) -> None:
    """And so do fits by other methods; three nodes, with which a search begins, are off by a thousand times as much."""
    fit = fits["saem"]
    heights = [Surface.of(each).top.loglik for each in (fit, pickle.loads(pickle.dumps(fit)), fits["ml"])]
    assert np.ptp(heights) < 1e-4


def test_influence_is_that_of_fits_without_a_cluster(fits: dict[str, saem.Fit]) -> None:
    """Beside fits of the table without the rows of one."""
    example = nonlinear_family.counts()
    changes, fit = saem.influence(fits["ml"]).changes, fits["ml"]
    for cluster in (0, 3):
        left = saem.fit(example.model, example.table[example.table["id"] != cluster], "ml")
        moved = np.abs(left.values - fit.values) / fit.se
        np.testing.assert_allclose(np.abs(changes.iloc[cluster]), moved, atol=5e-3)


def test_a_climb_is_not_remembered_for_another_problem(fits: dict[str, saem.Fit]) -> None:
    """From the maximum with one parameter held, that of all leads back to the top."""
    surface = Surface.of(fits["ml"])
    x = surface.top.x.copy()
    x[0] *= 1.2
    aside = maximum(held(surface.problem, 0, float(x[0])), x)
    assert aside is not None and aside.loglik < surface.top.loglik - 0.01
    again = maximum(surface.problem, aside.x)
    assert again is not None and again.loglik == pytest.approx(surface.top.loglik, abs=1e-6)


def test_a_generalised_linear_fit_goes_on_to_the_same_bits() -> None:
    """Its rules are chosen at the start, where those of nonlinear models are but rough."""
    table, first, last = saem.datasets.load("herds"), saem.Target(mcse=0.1), saem.Target(mcse=0.02)
    whole = saem.fit(HERDS, table, SAEM(target=last), seed=1)
    resumed = saem.fit(HERDS, table, SAEM(target=first), seed=1).resume(last)
    assert len(whole.path) == len(resumed.path)
    assert resumed.loglik == whole.loglik and np.array_equal(resumed.se, whole.se)


def test_a_maximum_in_closed_form_is_searched_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    search = direct_ml.find_maxima
    monkeypatch.setattr(direct_ml, "find_maxima", lambda *given: calls.append(1) or search(*given))
    model = saem.Model(response="Reaction", cluster="Subject", mean="Reaction ~ Days")
    saem.fit(model, saem.datasets.load("sleep"), "ml")
    assert len(calls) == 1
