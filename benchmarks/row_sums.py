"""The density of a nonlinear model's rows as machine code, beside the same written by hand for Numba."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator
from typing import Any

import numba
import numpy as np

from benchmarks.timing import Row, interleaved, ratio, timed
from saem.expressions.grammar import parse
from saem.expressions.graph import ROW_OPERATIONS, Graph
from saem.expressions.row_sums import RowSums, compile_row_sums
from saem.system.jit import call_row_sums

REPEATS = 15
SWEEPS = 500
SUBJECTS, ROWS = 12, 11  # of theophylline
CLEARANCE = "exp(z3) / exp(z2)"
MEAN = f"D * exp(z1) / (exp(z2) * exp(z1) - exp(z3)) * (exp(-{CLEARANCE} * t) - exp(-exp(z1) * t))"
INPUTS = ("a", "z1", "z2", "z3", "y", "D", "t")


def compiled(derivatives: bool, shift: float = 0.0) -> RowSums:
    """The log-density, in a and three coordinates; with a shift it is a model of its own."""
    graph = Graph(ROW_OPERATIONS)
    text = f"-log(a) - 0.5 * log(2 * pi) - 0.5 * ((y - {MEAN} - {shift!r}) / a)**2"
    targets = [graph.translate(parse(text, large=True).body, {name: i for i, name in enumerate(INPUTS)})]
    if derivatives:
        targets += [graph.derivative(targets[0], j) for j in range(4)]
        targets += [graph.derivative(targets[1 + j], k) for j in range(4) for k in range(j + 1)]
    return compile_row_sums(graph, targets, 1, 3, [1])


@numba.njit(error_model="numpy")
def sweep(address: int, x: Any, z: Any, columns: Any, out: Any) -> float:
    """All subjects, many times."""
    total = 0.0
    for _ in range(SWEEPS):
        for i in range(SUBJECTS):
            call_row_sums(address, x, z, columns, i * ROWS, ROWS, out)
            total += out[0]
    return total


@numba.njit(error_model="numpy")
def value_by_hand(x: Any, z: Any, columns: Any, first: int) -> float:
    ka, volume, clearance = math.exp(z[0]), math.exp(z[1]), math.exp(z[2])
    k, a = clearance / volume, x[0]
    factor = columns[first, 1] * ka / (volume * ka - clearance)
    total = 0.0
    for r in range(first, first + ROWS):
        t = columns[r, 2]
        e = (columns[r, 0] - factor * (math.exp(-k * t) - math.exp(-ka * t))) / a
        total -= 0.5 * e * e
    return total - ROWS * (math.log(a) + 0.9189385332046727)


@numba.njit(error_model="numpy")
def derivatives_by_hand(x: Any, z: Any, columns: Any, first: int, out: Any) -> None:
    """Value, gradient and Hessian, with all that is common to several of them computed once."""
    ka, volume, clearance = math.exp(z[0]), math.exp(z[1]), math.exp(z[2])
    k, a = clearance / volume, x[0]
    denominator = volume * ka - clearance
    c = columns[first, 1] * ka / denominator
    g, h = volume * ka / denominator, -clearance / denominator
    gg, gh, hh = g - g * g, -g * h, h - h * h
    c1, c2, c3 = c * (1 - g), -c * g, -c * h
    c11, c12, c13 = c1 * (1 - g) - c * gg, -c1 * g - c * gg, -c1 * h - c * gh
    c22, c23, c33 = -c2 * g - c * gg, -c2 * h - c * gh, -c3 * h - c * hh
    for i in range(15):
        out[i] = 0.0
    for r in range(first, first + ROWS):
        kt, at = k * columns[r, 2], ka * columns[r, 2]
        slow, fast = math.exp(-kt), math.exp(-at)
        d, d1, d2 = slow - fast, at * fast, kt * slow
        d11, d22 = d1 - at * d1, kt * d2 - d2
        f1, f2, f3 = c1 * d + c * d1, c2 * d + c * d2, c3 * d - c * d2
        f11, f12, f13 = c11 * d + 2 * c1 * d1 + c * d11, c12 * d + c1 * d2 + c2 * d1, c13 * d - c1 * d2 + c3 * d1
        f22, f23 = c22 * d + 2 * c2 * d2 + c * d22, c23 * d - c2 * d2 + c3 * d2 - c * d22
        f33 = c33 * d - 2 * c3 * d2 + c * d22
        e, q = (columns[r, 0] - c * d) / a, 1.0 / (a * a)
        w, u = e / a, -2.0 * e * q
        out[0] -= 0.5 * e * e
        out[1] += e * e / a - 1.0 / a
        out[2] += w * f1
        out[3] += w * f2
        out[4] += w * f3
        out[5] += q - 3.0 * e * e * q
        out[6] += u * f1
        out[7] += w * f11 - q * f1 * f1
        out[8] += u * f2
        out[9] += w * f12 - q * f1 * f2
        out[10] += w * f22 - q * f2 * f2
        out[11] += u * f3
        out[12] += w * f13 - q * f1 * f3
        out[13] += w * f23 - q * f2 * f3
        out[14] += w * f33 - q * f3 * f3
    out[0] -= ROWS * (math.log(a) + 0.9189385332046727)


@numba.njit(error_model="numpy")
def sweep_by_hand(derivatives: bool, x: Any, z: Any, columns: Any, out: Any) -> float:
    total = 0.0
    for _ in range(SWEEPS):
        for i in range(SUBJECTS):
            if derivatives:
                derivatives_by_hand(x, z, columns, i * ROWS, out)
                total += out[0]
            else:
                total += value_by_hand(x, z, columns, i * ROWS)
    return total


def measure() -> Iterator[Row]:
    """Compiling a new model, and speed."""
    rng = np.random.default_rng(1)
    dose, times = np.repeat(rng.uniform(3, 5, SUBJECTS), ROWS), rng.uniform(0, 24, SUBJECTS * ROWS)
    columns = np.column_stack([rng.uniform(1, 10, SUBJECTS * ROWS), dose, times])
    at = np.array([0.7]), np.log([1.5, 0.45, 0.04]), columns
    for name, derivatives in (("value", False), ("value, gradient and Hessian in 4 variables", True)):
        seconds = []
        for _ in range(REPEATS):
            started = time.perf_counter()
            sums = compiled(derivatives, random.random())
            seconds.append(time.perf_counter() - started)
        yield timed(f"compiling a new model of rows: {name}", seconds, "ms", 1000.0, "parsed, differentiated, compiled")
        sums, ours, theirs = compiled(derivatives), np.empty(15), np.empty(15)
        value = sweep(sums.address, *at, ours)
        assert abs(value / sweep_by_hand(derivatives, *at, theirs) - 1.0) < 1e-12
        assert not derivatives or np.allclose(ours, theirs, rtol=1e-11)
        series = interleaved(
            {
                "ours": lambda sums=sums, out=ours: sweep(sums.address, *at, out),
                "theirs": lambda derivatives=derivatives, out=theirs: sweep_by_hand(derivatives, *at, out),
            },
            REPEATS,
        )
        yield ratio(f"sums over rows: {name}", series["ours"], series["theirs"], 1.25, "over Numba by hand")
