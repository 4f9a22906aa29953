"""Special functions beside mpmath, and compiled ones beside those in plain Python."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Iterable
from typing import Any

import mpmath
import numpy as np
import pytest

from saem.system import functions, special

CHANCES = [*np.logspace(-300, -1, 40), *np.linspace(0.05, 0.95, 31), 1.0 - 1e-9]
BOTH = np.concatenate([-np.logspace(1.5, -3, 30), [0.0], np.logspace(-3, 1.5, 30)])
POSITIVE = np.logspace(-4, 6, 40)


def worst(function: Callable[[float], float], reference: Callable[[Any], Any], at: Iterable[float]) -> float:
    """The largest relative error."""
    errors = []
    with mpmath.workdps(50):
        for x in map(float, at):
            expected = reference(mpmath.mpf(x))
            errors.append(abs(float((function(x) - expected) / expected)))
    return max(errors)


def log_cdf(x: Any) -> Any:
    tail = mpmath.erfc(abs(x) / mpmath.sqrt(2)) / 2
    return mpmath.log(tail) if x < 0 else mpmath.log1p(-tail)


def probit(p: Any) -> Any:
    """By Newton steps on the logarithm, which are exact in both tails, from a start in plain Python."""
    x = mpmath.mpf(functions.probit(float(p)))
    for _ in range(4):
        x -= (log_cdf(x) - mpmath.log(p)) * mpmath.ncdf(x) / mpmath.npdf(x)
    return x


@pytest.mark.parametrize(
    ("name", "reference", "at"),
    [
        ("log_expit", lambda x: -mpmath.log1p(mpmath.exp(-x)), BOTH),
        ("normal_cdf", mpmath.ncdf, BOTH),
        ("log_normal_cdf", log_cdf, [*BOTH, -40.0, -1000.0, -5.0, -4.999]),
        ("probit", probit, [p for p in CHANCES if p != 0.5]),
        ("mills", lambda x: mpmath.npdf(x) / mpmath.ncdf(x), [*BOTH, -40.0, -1000.0, -5.0, -4.999]),
    ],
)
def test_functions_of_one_number(name: str, reference: Callable[[Any], Any], at: Iterable[float]) -> None:
    assert worst(getattr(functions, name), reference, at) < 1e-12


@pytest.mark.parametrize("order", range(6))
def test_derivatives_of_the_logarithm_of_the_gamma_function(order: int) -> None:
    assert worst(lambda x: functions.polygamma(order, x), lambda x: mpmath.polygamma(order, x), POSITIVE) < 1e-12
    assert math.isnan(functions.polygamma(order, -0.5)) and math.isnan(functions.polygamma(order, 0.0))


@pytest.mark.parametrize("sd", [0.0, 0.3, 1.0, 3.0, 8.0])
@pytest.mark.parametrize("centre", [-6.0, 0.0, 1.5])
def test_the_mean_of_a_logit_normal_and_its_derivatives(centre: float, sd: float) -> None:
    """By a rule of 4000 points, with derivatives of expit from those of the powers of its value."""
    z = (np.arange(-2000, 2001) + 0.3) * 0.005
    weight = np.exp(-0.5 * z * z) * 0.005 / math.sqrt(2 * math.pi)
    p = 1 / (1 + np.exp(-centre - sd * z))
    polynomial = np.polynomial.Polynomial([0, 1])
    for order in range(7):
        expected = float(weight @ polynomial(p))
        size = float(weight @ np.abs(polynomial(p)))
        assert functions.logitnormal(order, centre, sd) == pytest.approx(expected, abs=1e-10 * size + 1e-13)
        polynomial = polynomial.deriv() * np.polynomial.Polynomial([0, 1, -1])


def test_it_is_at_the_median_without_spread_and_nan_where_it_has_no_value() -> None:
    assert functions.logitnormal(0, 0.7, 0.0) == pytest.approx(1 / (1 + math.exp(-0.7)), rel=1e-15)
    assert functions.logitnormal(0, 0.7, -2.0) == functions.logitnormal(0, 0.7, 2.0)
    assert all(math.isnan(functions.logitnormal(0, *at)) for at in ((math.nan, 1.0), (0.0, math.inf), (math.inf, 1.0)))


def test_the_inverse_of_the_normal_distribution_function_ends_where_that_ends() -> None:
    assert functions.probit(0.0) == -math.inf and functions.probit(1.0) == math.inf and functions.probit(0.5) == 0.0
    assert math.isnan(functions.probit(-0.1)) and math.isnan(functions.probit(1.1))


@pytest.mark.parametrize("name", ["lgamma", "log_normal_cdf", "mills", "probit"])
def test_compiled_functions_are_the_same(name: str) -> None:
    address = special.special_function(name).address
    compiled = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(address)
    for x in CHANCES if name == "probit" else BOTH[BOTH != 0.0].tolist():
        assert compiled(x) == pytest.approx(getattr(functions, name)(x), rel=1e-14)


@pytest.mark.parametrize(("name", "more"), [("polygamma", ()), ("logitnormal", (1.3,))])
def test_compiled_functions_with_an_order_are_the_same(name: str, more: tuple[float, ...]) -> None:
    arguments = [ctypes.c_int64, *[ctypes.c_double] * (1 + len(more))]
    compiled = ctypes.CFUNCTYPE(ctypes.c_double, *arguments)(special.special_function(name).address)
    for order in range(5):
        for x in (0.2, 1.0, 30.0):
            expected = getattr(functions, name)(order, x, *more)
            assert compiled(order, x, *more) == pytest.approx(expected, rel=1e-13)
