"""Log-densities of outcomes by the canonical links and their derivatives, far into the tails; as plain Python."""

from __future__ import annotations

import mpmath
import numpy as np
import pandas as pd
import pytest
from interpreted_core import Core
from scipy.stats import binom, poisson

import saem
from saem.families import arrange, pose

mpmath.mp.dps = 60
PROGRAM = "saem.expressions.program"
PLACES = [-700.0, -40.0, -3.0, -0.2, 0.0, 0.5, 4.0, 40.0, 700.0]
CASES = [("bernoulli", 0, 1), ("bernoulli", 1, 1), ("binomial", 3, 7), ("poisson", 0, 1), ("poisson", 12, 1)]


def exact(distribution: str, y: int, trials: int, eta: float) -> list[float]:
    """Value and four derivatives with sixty digits, in which nothing cancels that matters."""
    e = mpmath.exp(eta)
    if distribution == "poisson":
        return [float(y * eta - e - mpmath.log(mpmath.factorial(y))), float(y - e), *[float(-e)] * 3]
    p = e / (1 + e)
    v = p * (1 - p)
    value = y * eta - trials * mpmath.log1p(e) + mpmath.log(mpmath.binomial(trials, y))
    derivatives = (y - trials * p, -trials * v, -trials * v * (1 - 2 * p), -trials * v * (1 - 6 * v))
    return [float(value), *map(float, derivatives)]


def arrays_of(distribution: str, y: int, trials: int):
    """Those of a model with the linear predictor ``b + theta``, whose first row has the outcome ``y``."""
    table = pd.DataFrame({"y": [y, 1 - min(y, 1), 0, 1], "g": [0, 0, 1, 1]})
    outcome = {"distribution": distribution} | ({"trials": trials} if distribution == "binomial" else {})
    model = saem.Model(family="glmm", cluster="g", response="y", predictor={"b": "1"}, outcome=outcome)
    return pose(model, arrange(model, table)).clusters.joint()


def derivatives(core: Core, arrays, eta: float) -> list[float]:
    """Value and four derivatives of the first row, of which the last two are those of derivatives, in jets."""
    inputs = np.zeros((3, 6))  # b, its standard deviation and the coordinate, which is moved by b
    inputs[2, :2] = eta, 1.0
    work = np.empty((len(arrays.bends.ops), 6))
    core[PROGRAM].run(arrays.bends, inputs, arrays.columns[0], work)
    value, slope, bend = work[arrays.bends.targets]
    np.testing.assert_array_equal([value[1], slope[1]], [slope[0], bend[0]])
    return [value[0], slope[0], bend[0], bend[1], bend[3]]


@pytest.mark.parametrize(("distribution", "y", "trials"), CASES)
def test_densities_and_their_derivatives(distribution: str, y: int, trials: int) -> None:
    arrays, core = arrays_of(distribution, y, trials), Core()
    for eta in PLACES:
        found = derivatives(core, arrays, eta)
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found, exact(distribution, y, trials, eta), rtol=1e-13, atol=1e-280)


def test_a_wrong_derivative_is_noticed() -> None:
    right, wrong = "value * other * (other - value)", "value * other * (other + value)"
    found = derivatives(Core(PROGRAM, right, wrong), arrays_of("binomial", 3, 7), 0.5)
    assert abs(found[4] - exact("binomial", 3, 7, 0.5)[4]) > 0.1


@pytest.mark.parametrize(("distribution", "y", "trials"), CASES)
def test_every_constant_is_there(distribution: str, y: int, trials: int) -> None:
    """Beside scipy's probabilities of the very outcome."""
    arrays, core = arrays_of(distribution, y, trials), Core()
    for eta in (-2.0, 0.7):
        law = poisson(np.exp(eta)) if distribution == "poisson" else binom(trials, 1 / (1 + np.exp(-eta)))
        assert derivatives(core, arrays, eta)[0] == pytest.approx(law.logpmf(y), rel=1e-12)
