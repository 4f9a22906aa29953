"""Graphs that are interpreted in jets, as plain Python, beside their own derivatives as machine code."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from interpreted_core import Core
from rowwise import NAMES, TEXTS, VARIABLES, graph_of, points, summed, sums_at, with_derivatives

from saem.expressions.program import OPERATIONS, SHIFT, program_of
from saem.expressions.row_sums import compile_row_sums

MODULE = "saem.expressions.program"
#: As compiled code has them: nan and infinity where Python's raise.
LENIENT = SimpleNamespace(**{name: getattr(np, name) for name in "exp log log2 log10 sqrt sin cos tan tanh".split()})
ALL = (*TEXTS, "logitnormal_mean(c, b)", "logitnormal_mean(c, 0.5) * a")


def loaded(*mutant: str) -> SimpleNamespace:
    """The interpreter without Numba, perhaps with a piece replaced."""
    module = Core(*mutant)[MODULE]
    module.run.__globals__["math"] = LENIENT
    return module


@pytest.fixture(scope="module")
def plain() -> SimpleNamespace:
    return loaded()


def interpreted(module: Any, graph: Any, target: int, at: Any, length: int) -> np.ndarray:
    """The sum over rows of one target, as a jet of so many numbers."""
    x, z, columns = at
    program = program_of(graph, [target])
    inputs = np.zeros((VARIABLES, length))
    inputs[:, 0] = [*x, *z]
    for i in range(VARIABLES if length > 1 else 0):
        inputs[i, 1 + i] = 1.0
    total = np.zeros(length)
    with np.errstate(all="ignore"):
        for row in columns:
            work = np.full((len(program.ops), length), np.nan)
            module.run(program, inputs, row, work)
            total += work[program.targets[0]]
    return total


def check(module: Any, text: str) -> None:
    rng = np.random.default_rng(1)
    graph, targets = graph_of(text)
    for _ in range(3):
        at = points(rng)
        expected = sums_at(summed(text), *at)
        tolerance = {"rtol": 1e-11, "atol": 1e-13 * np.abs(expected).max()}
        np.testing.assert_allclose(interpreted(module, graph, targets[0], at, 10), expected, **tolerance)
        np.testing.assert_allclose(interpreted(module, graph, targets[0], at, 1), expected[:1], **tolerance)


@pytest.mark.parametrize("text", ALL)
def test_jets_agree_with_the_derivatives_of_the_graph(text: str, plain: SimpleNamespace) -> None:
    check(plain, text)


@pytest.mark.parametrize("text", ["lgamma(b) * a", "log_normal_cdf(a / b)", "logitnormal_mean(c, b)", "expit(a * b)"])
def test_derivatives_of_second_derivatives(text: str, plain: SimpleNamespace) -> None:
    """In jets; the graph itself differentiates up to the fourth order."""
    graph, targets = graph_of(text)
    at = points(np.random.default_rng(2))
    for second in (targets[6], targets[9]):  # in b twice, in c twice
        expected = sums_at(compile_row_sums(graph, with_derivatives(graph, second), 2, 1, ()), *at)
        found = interpreted(plain, graph, second, at, 10)
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12 * (1e-300 + np.abs(expected).max()))


def test_all_operations_are_met(plain: SimpleNamespace) -> None:
    """And their numbers are those of their names."""
    met = {graph.nodes[node].op for graph, targets in map(graph_of, ALL) for node in graph.reachable(targets)}
    assert met == set(OPERATIONS)
    for number, name in enumerate(OPERATIONS):
        assert getattr(plain, name.upper()) == number


def test_what_depends_on_columns_only_has_no_derivatives(plain: SimpleNamespace) -> None:
    """Also where a root has an infinite slope: 0 times infinity is nan."""
    graph, targets = graph_of("a * sqrt(k) + m**0.5 + b * where(k > 0, log(k), 2)")
    out = interpreted(plain, graph, targets[0], ([1.0, 3.0], [0.5], [[0.0, 4.0]]), 10)
    np.testing.assert_array_equal(out, [8.0, 0.0, 2.0, 0, 0, 0, 0, 0, 0, 0])


def test_a_branch_that_is_not_taken_does_no_harm(plain: SimpleNamespace) -> None:
    graph, targets = graph_of("where(a > 0, sqrt(a) * b, a * c)")
    found = []
    for a in (0.25, 0.0):
        found.append(interpreted(plain, graph, targets[0], ([a, 2.0], [0.5], [[0.0, 0.0]]), 10))
    np.testing.assert_allclose(found[0], [1.0, 2.0, 0.5, 0, -4.0, 1.0, 0, 0, 0, 0])
    np.testing.assert_allclose(found[1], [0.0, 0.5, 0, 0.0, 0, 0, 0, 1.0, 0, 0])


def test_inputs_are_numbered_and_operands_come_first() -> None:
    graph, targets = graph_of("exp(a * k) + m / c")
    program = program_of(graph, targets)
    assert program.ops.dtype == program.operands.dtype == program.targets.dtype == np.int64
    assert all((program.operands[k] < max(k, 1)).all() for k in range(len(program.ops)))
    loads = [int(op // SHIFT) for op in program.ops if op % SHIFT == OPERATIONS.index("x")]
    assert {NAMES[i] for i in loads} == {"a", "c", "k", "m"}


@pytest.mark.parametrize(
    ("text", "right", "wrong"),
    [
        ("expit(a)", "return value * other, value * other * (other - value)", "return value * other, value * other"),
        ("b**a", "cross = lower * (1.0 + y * logarithm)", "cross = lower"),
        ("a / b", "divide(out, b)", "out /= b[0]"),
        ("where(a < b, a * b, b)", "op == WHERE and a == 0.0", "op == WHERE and a != 0.0"),
        ("a - b * c", "sign = 1.0 if op == ADD else -1.0", "sign = 1.0"),
        ("m * a", "ops[operands[k, 1]] // SHIFT >= variables", "True"),
        ("a * b", "ops[operands[k, 1]] // SHIFT >= variables", "True"),
        ("logitnormal_mean(c, b)", "second + sd * sd * fourth", "sd * sd * fourth"),
        ("lgamma(b)", "order = 0 if op == LGAMMA else", "order = 1 if op == LGAMMA else"),
        ("log_normal_cdf(a)", "return ratio, -ratio * (a + ratio)", "return ratio, -ratio * ratio"),
    ],
)
def test_wrong_derivatives_are_noticed(text: str, right: str, wrong: str) -> None:
    with pytest.raises(AssertionError):
        check(loaded(MODULE, right, wrong), text)


def test_compiled_it_gives_the_same(plain: SimpleNamespace) -> None:
    from saem.expressions import program
    from saem.system.jit import entry

    @entry
    def run(program_, inputs, row, work):  # type: ignore[no-untyped-def]
        program.run(program_, inputs, row, work)

    at = points(np.random.default_rng(3))
    for text in ALL:
        graph, targets = graph_of(text)
        found = interpreted(SimpleNamespace(run=run), graph, targets[0], at, 10)
        np.testing.assert_allclose(found, interpreted(plain, graph, targets[0], at, 10), rtol=1e-13, atol=1e-15)
