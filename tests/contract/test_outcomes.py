"""Log-densities of outcomes and their derivatives, far into the tails; as plain Python."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from interpreted_core import Core
from scipy.stats import binom, poisson

from saem.families.glmm.arrays import BINOMIAL, POISSON, build_arrays

mpmath.mp.dps = 60
PLACES = [-700.0, -40.0, -3.0, -0.2, 0.0, 0.5, 4.0, 40.0, 700.0]
CASES = [(BINOMIAL, 0.0, 1.0), (BINOMIAL, 1.0, 1.0), (BINOMIAL, 3.0, 7.0), (POISSON, 0.0, 1.0), (POISSON, 12.0, 1.0)]


def exact(outcome: int, y: float, trials: float, eta: float) -> list[float]:
    """Value and four derivatives with sixty digits, in which nothing cancels that matters."""
    e = mpmath.exp(eta)
    if outcome == POISSON:
        return [float(y * eta - e), float(y - e), *[float(-e)] * 3]
    p = e / (1 + e)
    v = p * (1 - p)
    derivatives = (y - trials * p, -trials * v, -trials * v * (1 - 2 * p), -trials * v * (1 - 6 * v))
    return [float(y * eta - trials * mpmath.log1p(e)), *map(float, derivatives)]


@pytest.mark.parametrize(("outcome", "y", "trials"), CASES)
def test_densities_and_their_derivatives(outcome: int, y: float, trials: float) -> None:
    outcomes = Core()["saem.families.glmm.outcomes"]
    for eta in PLACES:
        found = outcomes.log_density_slopes(outcome, y, trials, eta)
        assert found[0] == outcomes.log_density(outcome, y, trials, eta)
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found, exact(outcome, y, trials, eta), rtol=1e-13, atol=1e-280)


def test_a_wrong_derivative_is_noticed() -> None:
    outcomes = Core("saem.families.glmm.outcomes", "1.0 - 6.0 * small", "1.0 - 4.0 * small")[
        "saem.families.glmm.outcomes"
    ]
    found = outcomes.log_density_slopes(BINOMIAL, 3.0, 7.0, 0.5)
    assert abs(found[4] - exact(BINOMIAL, 3.0, 7.0, 0.5)[4]) > 0.1


@pytest.mark.parametrize(("outcome", "y", "trials"), CASES)
def test_every_constant_is_there(outcome: int, y: float, trials: float) -> None:
    """Beside scipy's probabilities of the very outcome."""
    outcomes = Core()["saem.families.glmm.outcomes"]
    one = np.ones((1, 1))
    arrays = build_arrays(
        outcome,
        [y],
        [trials],
        [0.0],
        one,
        one,
        np.zeros(1, int),
        np.zeros(1, int),
        [0],
        np.array([[1]]),
        -one[None].astype(int),
    )
    for eta in (-2.0, 0.7):
        law = poisson(np.exp(eta)) if outcome == POISSON else binom(trials, 1 / (1 + np.exp(-eta)))
        value = arrays.constant[0] + outcomes.log_density(outcome, y, trials, eta)
        assert value == pytest.approx(law.logpmf(y), rel=1e-12)
