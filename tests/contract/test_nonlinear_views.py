"""Means that are tied to variances in a nonlinear model: substitution, equation and penalties lead to one maximum."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from selecting import few

import saem
from saem import recipes
from saem.algorithms.direct_ml import DirectML
from saem.algorithms.saem import SAEM
from saem.estep.integration.settling import refined
from saem.families import arrange, pose
from saem.mstep.maximisers import L1Penalty, QuadraticPenalty
from saem.mstep.solver import Solver

TEXT = recipes.text("clearance_equal_means")
MODEL = saem.Model.from_text(TEXT)
SOLVED = MODEL.replace(constraints={"g": "CL_ill == CL_control * exp(omega_control**2 / 2 - omega_ill**2 / 2)"})
WRITTEN_OUT = saem.Model.from_text(
    TEXT.split("\n[constraints]\n")[0].replace(
        "CL_ill, CL_control)", "CL_control * exp(omega_control**2 / 2 - omega_ill**2 / 2), CL_control)"
    )
)
MSTEPS = ("quadratic_penalty", "l1_penalty", "augmented_lagrangian", "slsqp")
LOWER = 0.1  # by which the constrained maximum is lower than the free one: less would test nothing


@cache
def table() -> pd.DataFrame:
    n, times = 24, np.array([0.5, 1.0, 2.0, 4.0, 8.0, 12.0])
    rows = {"subject": np.repeat(np.arange(n), len(times)), "time": np.tile(times, n), "dose": 100.0}
    rows["group"] = np.where(rows["subject"] % 2, "ill", "control")
    at = {"V_pop": 20.0, "omega_V": 0.2, "CL_control": 4.0, "omega_control": 0.2, "omega_ill": 0.6, "a": 0.15}
    return saem.simulate(SOLVED, at, pd.DataFrame(rows), seed=3)


@cache
def by_equation() -> saem.Fit:
    return saem.fit(MODEL, table(), "ml")


@pytest.mark.parametrize("mstep", few(MSTEPS, ["l1_penalty", "slsqp"]))
def test_penalties_end_on_the_constraint(mstep: str) -> None:
    fit, exact = saem.fit(MODEL, table(), DirectML(mstep=mstep)), by_equation()
    assert fit.loglik == pytest.approx(exact.loglik, abs=1e-7)
    np.testing.assert_allclose(fit.values, exact.values, rtol=1e-5)
    assert np.abs(fit.constraint_residuals).max() < 1e-9


def test_substitution_and_elimination() -> None:
    exact = by_equation()
    assert saem.fit(WRITTEN_OUT, table(), "ml").loglik == pytest.approx(exact.loglik, abs=1e-7)
    fit = saem.fit(SOLVED, table(), DirectML(mstep="elimination"))
    assert fit.loglik == pytest.approx(exact.loglik, abs=1e-7)
    np.testing.assert_allclose(fit.values, exact.values, rtol=1e-5)


def test_mutant_without_the_constraint() -> None:
    """The tests above could fail: the constraint costs something."""
    assert saem.fit(MODEL.replace(constraints={}), table(), "ml").loglik > by_equation().loglik + LOWER


@pytest.mark.slow
@pytest.mark.parametrize("mstep", ["l1_penalty", "quadratic_penalty", "elimination"])
def test_simulated_fits(mstep: str) -> None:
    """Each has a verified deficit below its target of 0.01."""
    fit = saem.fit(SOLVED, table(), SAEM(mstep=mstep), seed=1)
    assert fit.status == "converged"
    assert by_equation().loglik - 0.01 < fit.loglik <= by_equation().loglik + 1e-6


def test_the_path_over_lambda() -> None:
    """L1: exact from the multiplier on. Quadratic: a residual of the multiplier over lambda, for large lambda."""
    ml, free = by_equation(), saem.fit(MODEL.replace(constraints={}), table(), "ml")
    problem = pose(MODEL, arrange(MODEL, table()))
    refined(problem, ml.values)  # as many nodes as a fit takes at its estimate
    solver, multiplier = Solver(problem), abs(float(ml.multipliers[0]))
    lambdas = [1e4 * multiplier, 1.1 * multiplier, 0.9 * multiplier, 1e-4]

    def path(penalty: L1Penalty | QuadraticPenalty) -> list:
        return penalty.path(solver, solver.observed(), ml.values, solver.free, lambdas)

    exact, above, below, none = path(L1Penalty())
    for point in (exact, above):
        np.testing.assert_allclose(point.x, ml.values, rtol=1e-5)
        assert point.value == pytest.approx(solver.height(ml.values), abs=1e-7)
    assert abs(below.residuals[0]) > 1e-3
    assert none.value == pytest.approx(free.loglik, abs=1e-3)
    large, *_, none = path(QuadraticPenalty())
    assert abs(large.residuals[0]) == pytest.approx(1e-4, rel=0.02)
    assert none.value == pytest.approx(free.loglik, abs=1e-3)
