"""Numbers with derivatives, beside a computer algebra system; `saem.system.jets` as plain Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sympy
from interpreted_core import Core

x, y, z = SYMBOLS = sympy.symbols("x y z")
POINT = {x: 0.7, y: -0.4, z: 1.3}
A, B, C = x * y + sympy.exp(z), z**2 + x * z + 2, sympy.sin(x) * y + z + 3


def jet(expression: Any) -> np.ndarray:
    """An expression and its derivatives at `POINT`."""
    gradient = [sympy.diff(expression, s) for s in SYMBOLS]
    hessian = [sympy.diff(gradient[i], SYMBOLS[j]) for i in range(3) for j in range(i + 1)]
    return np.array([float(e.subs(POINT)) for e in (sympy.sympify(expression), *gradient, *hessian)])


def operations(jets: Any) -> dict[str, tuple[Any, Callable[[], np.ndarray]]]:
    """By name, an expression and how jets compute it."""
    a, b, c = jet(A), jet(B), jet(C)

    def composed() -> np.ndarray:
        out = a.copy()
        jets.compose(out, np.sin(a[0]), np.cos(a[0]), -np.sin(a[0]), out)
        return out

    def added() -> np.ndarray:
        out = b.copy()
        jets.add_composed(a, 0.5, np.exp(a[0]), np.exp(a[0]), np.exp(a[0]), out)
        return out

    def product() -> np.ndarray:
        out = c.copy()
        jets.add_product(-2.0, a, b, out)
        return out

    def square() -> np.ndarray:
        out = c.copy()
        jets.add_product(1.0, a, a, out)
        return out

    def quotient() -> np.ndarray:
        out = a.copy()
        jets.divide(out, b)
        return out

    def root() -> np.ndarray:
        out = b.copy()
        jets.take_root(out)
        return out

    def logarithm() -> np.ndarray:
        out = c.copy()
        jets.add_logarithm(-1.5, b, out)
        return out

    return {
        "compose": (sympy.sin(A), composed),
        "add_composed": (B + sympy.exp(A) / 2, added),
        "add_product": (C - 2 * A * B, product),
        "the square": (C + A**2, square),
        "divide": (A / B, quotient),
        "take_root": (sympy.sqrt(B), root),
        "add_logarithm": (C - sympy.log(B) * 3 / 2, logarithm),
    }


def check(name: str, jets: Any) -> None:
    """An operation is that of the expressions, and of their values where there are no derivatives."""
    expression, compute = operations(jets)[name]
    np.testing.assert_allclose(compute(), jet(expression), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", operations(None))
def test_operations(name: str) -> None:
    check(name, Core()["saem.system.jets"])


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("add_product", "+ first * b[j] + second * a[j]", "+ first * b[j]"),
        ("divide", "- a[i] * b[j] - a[j] * b[i]", "- a[i] * b[j]"),
        ("take_root", "-0.25 / (root", "0.25 / (root"),
        ("compose", "slope * a[at] + bend * a[i] * a[j]", "slope * a[at]"),
    ],
)
def test_operations_without_a_term_are_noticed(name: str, right: str, wrong: str) -> None:
    with pytest.raises(AssertionError):
        check(name, Core("saem.system.jets", right, wrong)["saem.system.jets"])


def test_lengths() -> None:
    jets = Core()["saem.system.jets"]
    assert [jets.jet_variables(jets.jet_length(n)) for n in range(200)] == list(range(200))


def test_the_cholesky_factor_and_its_inverse() -> None:
    """Of a matrix of expressions: ``L L' = M``, and ``L' x = b``, with all derivatives."""
    jets = Core()["saem.system.jets"]
    matrix = [[A**2 + 5, A * B / 10, C], [A * B / 10, B**2 + 3, y], [C, y, C**2 + 9]]
    factor = np.array([[jet(e) for e in row] for row in matrix])
    assert jets.jet_cholesky(factor, 0.0)
    for i in range(3):
        for j in range(i + 1):
            product = np.zeros(10)
            for k in range(3):
                jets.add_product(1.0, factor[i, k], factor[j, k], product)
            np.testing.assert_allclose(product, jet(matrix[i][j]), atol=1e-11)
    right = np.array([jet(A), jet(B), jet(C)])
    solution = right.copy()
    jets.jet_back_substitute(factor, solution)
    for i in range(3):
        product = np.zeros(10)
        for k in range(3):
            jets.add_product(1.0, factor[k, i], solution[k], product)
        np.testing.assert_allclose(product, right[i], atol=1e-11)
    assert not jets.jet_cholesky(-factor, 1e-8)
    assert not jets.jet_cholesky(np.full((1, 1, 1), np.nan), 1e-8)


def test_plain_numbers() -> None:
    """Without variables the same functions do plain arithmetic."""
    jets = Core()["saem.system.jets"]
    a, b, out = np.array([3.0]), np.array([2.0]), np.array([1.0])
    jets.add_product(2.0, a, b, out)
    assert out == 13.0
    jets.divide(out, b)
    assert out == 6.5
    gradient, hessian = np.empty(0), np.empty((0, 0))
    assert jets.add_derivatives(out, gradient, hessian) == 6.5
