"""Graphs interpreted in jets: derivatives of whatever a graph computes, also of derivatives, without compiling it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from saem.expressions.graph import Graph
from saem.system.jets import divide, jet_variables
from saem.system.jit import borrowed, kernel, standalone, types
from saem.system.special import lgamma, log_expit, log_normal_cdf, logitnormal, mills, normal_cdf, polygamma, probit

Array = np.ndarray

#: The operations, by their codes.
OPERATIONS = (
    *("const", "x", "add", "sub", "mul", "div", "pow", "where", "logitnormal"),
    *("lt", "le", "eq", "ne", "and", "or", "not"),
    *("exp", "log", "log2", "log10", "sqrt", "sin", "cos", "tan", "tanh", "abs", "expit", "logit", "log_expit"),
    *("normal_cdf", "log_normal_cdf", "mills", "lgamma", "probit", "polygamma"),
)
(CONST, X, ADD, SUB, MUL, DIV, POW, WHERE, LOGITNORMAL) = range(9)
(LT, LE, EQ, NE, AND, OR, NOT) = range(9, 16)
(EXP, LOG, LOG2, LOG10, SQRT, SIN, COS, TAN, TANH, ABS, EXPIT, LOGIT, LOG_EXPIT) = range(16, 29)
(NORMAL_CDF, LOG_NORMAL_CDF, MILLS, LGAMMA, PROBIT, POLYGAMMA) = range(29, 35)
#: Operation ``k`` is ``ops[k] % SHIFT``, and ``ops[k] // SHIFT`` the first input on which it depends: where that is a
#: column, so are all others, and its derivatives are zero.
SHIFT = 64
_NONE = 2**40  # the "first input" of a constant


class Program(NamedTuple):
    """A graph as arrays: one operation after the other, each into a register of its own.

    Parameters
    ----------
    ops : (K,) ndarray of int64
        Positions in `OPERATIONS`, plus `SHIFT` times the first input on which each depends.
    operands : (K, 3) ndarray of int64
        Registers; 0 where there are fewer.
    numbers : (K,) ndarray of float64
        A constant; the number of an input; an order.
    targets : (T,) ndarray of int64
        The registers of what was asked for.
    """

    ops: NDArray[np.int64]
    operands: NDArray[np.int64]
    numbers: NDArray[np.float64]
    targets: NDArray[np.int64]


def program_of(graph: Graph, targets: Sequence[int]) -> Program:
    """The operations that some nodes need.

    Parameters
    ----------
    graph : Graph
        Its inputs are numbered: parameters and coordinates, then columns.
    targets : sequence of int
        (T,)
    """
    nodes = sorted(graph.reachable(targets))
    register = {node: k for k, node in enumerate(nodes)}
    ops = np.zeros(len(nodes), dtype=np.int64)
    operands = np.zeros((len(nodes), 3), dtype=np.int64)
    numbers = np.zeros(len(nodes))
    for k, node in enumerate(nodes):
        op, used, number = graph.nodes[node]
        ops[k] = OPERATIONS.index(op) + SHIFT * min(graph.inputs(node), default=_NONE)
        operands[k, : len(used)] = [register[operand] for operand in used]
        numbers[k] = number
    return Program(ops, operands, numbers, np.array([register[node] for node in targets], dtype=np.int64))


@kernel
def add_chain(i: int, slope: float, bend: float, work: Array, k: int) -> None:
    """Write the derivatives of a function of register ``i`` into register ``k``."""
    n = jet_variables(work.shape[1])
    at = n + 1
    for c in range(1, n + 1):
        work[k, c] = slope * work[i, c]
        half = bend * work[i, c]
        for d in range(1, c + 1):
            work[k, at] = slope * work[i, at] + half * work[i, d]
            at += 1


@kernel
def combine(op: int, i: int, j: int, value: float, number: float, is_plain: bool, work: Array, k: int) -> None:
    """Write the derivatives of an operation on registers ``i`` and ``j`` into ``k``; ``j`` has none if `is_plain`.

    What comes often is done by numbers of registers: a view of each would be counted, which takes longer.
    """
    length, a, b = work.shape[1], work[i, 0], work[j, 0]
    if op == WHERE:
        for m in range(1, length):
            work[k, m] = work[j, m]
    elif op == ADD or op == SUB:
        sign = 1.0 if op == ADD else -1.0
        for m in range(1, length):
            work[k, m] = work[i, m] + sign * work[j, m]
    elif (op == MUL or op == DIV) and is_plain:
        for m in range(1, length):
            work[k, m] = b * work[i, m] if op == MUL else work[i, m] / b
    elif op == MUL:
        n = jet_variables(length)
        at = n + 1
        for c in range(1, n + 1):
            work[k, c] = b * work[i, c] + a * work[j, c]
            for d in range(1, c + 1):
                both = work[i, c] * work[j, d] + work[i, d] * work[j, c]
                work[k, at] = b * work[i, at] + a * work[j, at] + both
                at += 1
    elif op == POW and is_plain:
        add_chain(i, b * a ** (b - 1.0), b * (b - 1.0) * a ** (b - 2.0), work, k)
    else:
        _combine(op, work[i], work[j], value, number, work[k])


@kernel
def _combine(op: int, a: Array, b: Array, value: float, number: float, out: Array) -> None:
    """An operation on two jets that both have derivatives."""
    if op == DIV:
        for m in range(out.shape[0]):
            out[m] = a[m]
        divide(out, b)
    elif op == POW and a[0] == 0.0 and b[0] > 0.0 and is_flat(a):  # a dose of zero to any power
        for i in range(1, out.shape[0]):
            out[i] = 0.0
    elif op == POW:
        x, y, logarithm = a[0], b[0], math.log(a[0])
        lower = x ** (y - 1.0)
        cross = lower * (1.0 + y * logarithm)
        bends = y * (y - 1.0) * x ** (y - 2.0), cross, value * logarithm * logarithm
        compose_two(a, b, value, (y * lower, value * logarithm), bends, out)
    else:  # LOGITNORMAL
        sd = b[0]
        first, second, third, fourth = 0.0, 0.0, 0.0, 0.0
        for order in range(int(number) + 1, int(number) + 5):  # a loop is compiled once
            first, second, third, fourth = second, third, fourth, logitnormal(order, a[0], sd)
        compose_two(a, b, value, (first, sd * second), (second, sd * third, second + sd * sd * fourth), out)


@kernel
def is_flat(a: Array) -> bool:
    """Whether all derivatives of a jet are zero."""
    for i in range(1, a.shape[0]):
        if a[i] != 0.0:
            return False
    return True


@kernel
def compose_two(
    a: Array, b: Array, value: float, slopes: tuple[float, float], bends: tuple[float, float, float], out: Array
) -> None:
    """``out = f(a, b)``, given the derivatives of f; `bends` are those in a twice, in a and b, in b twice."""
    n = jet_variables(a.shape[0])
    out[0] = value
    at = n + 1
    for i in range(1, n + 1):
        out[i] = slopes[0] * a[i] + slopes[1] * b[i]
        left, right = bends[0] * a[i] + bends[1] * b[i], bends[1] * a[i] + bends[2] * b[i]
        for j in range(1, i + 1):
            out[at] = slopes[0] * a[at] + slopes[1] * b[at] + left * a[j] + right * b[j]
            at += 1


@kernel
def value_of_several(op: int, a: float, b: float, c: float, number: float) -> float:
    """The value of an operation on two or three numbers, or of one on conditions."""
    if op == ADD:
        return a + b
    if op == SUB:
        return a - b
    if op == MUL:
        return a * b
    if op == DIV:
        return a / b
    if op == POW:
        return float(a**b)
    if op == WHERE:
        return b if a != 0.0 else c
    if op == LOGITNORMAL:
        return float(logitnormal(int(number), a, b))
    if op == LT:
        return 1.0 if a < b else 0.0
    if op == LE:
        return 1.0 if a <= b else 0.0
    if op == EQ:
        return 1.0 if a == b else 0.0
    if op == NE:
        return 1.0 if a != b else 0.0
    if op == AND:
        return 1.0 if a != 0.0 and b != 0.0 else 0.0
    if op == OR:
        return 1.0 if a != 0.0 or b != 0.0 else 0.0
    return 1.0 if a == 0.0 else 0.0  # NOT


@kernel
def value_of(op: int, a: float, number: float) -> float:
    """The value of a function of one number."""
    if op == EXP:
        return math.exp(a)
    if op == LOG:
        return math.log(a)
    if op == LOG2:
        return math.log2(a)
    if op == LOG10:
        return math.log10(a)
    if op == SQRT:
        return math.sqrt(a)
    if op == SIN:
        return math.sin(a)
    if op == COS:
        return math.cos(a)
    if op == TAN:
        return math.tan(a)
    if op == TANH:
        return math.tanh(a)
    if op == ABS:
        return abs(a)
    if op == EXPIT:
        return 1.0 / (1.0 + math.exp(-a))
    if op == LOGIT:
        return math.log(a / (1.0 - a))
    if op == LOG_EXPIT:
        return float(log_expit(a))
    if op == NORMAL_CDF:
        return float(normal_cdf(a))
    if op == LOG_NORMAL_CDF:
        return float(log_normal_cdf(a))
    if op == MILLS:
        return float(mills(a))
    if op == LGAMMA:
        return float(lgamma(a))
    if op == PROBIT:
        return float(probit(a))
    return float(polygamma(int(number), a))


@kernel
def slopes_of(op: int, a: float, value: float, number: float) -> tuple[float, float]:
    """The first two derivatives of a function of one number, given its value."""
    if op == EXP:
        return value, value
    if op == LOG:
        return 1.0 / a, -1.0 / (a * a)
    if op == LOG2 or op == LOG10:
        slope = 1.0 / (a * math.log(2.0 if op == LOG2 else 10.0))
        return slope, -slope / a
    if op == SQRT:
        return 0.5 / value, -0.25 / (value * a)
    if op == SIN:
        return math.cos(a), -value
    if op == COS:
        return -math.sin(a), -value
    if op == TAN:
        slope = 1.0 + value * value
        return slope, 2.0 * value * slope
    if op == TANH:
        slope = 1.0 - value * value
        return slope, -2.0 * value * slope
    if op == ABS:
        return (-1.0 if a < 0.0 else 1.0), 0.0
    if op == EXPIT:
        other = 1.0 / (1.0 + math.exp(a))
        return value * other, value * other * (other - value)
    if op == LOGIT:
        slope = 1.0 / (a * (1.0 - a))
        return slope, slope * slope * (2.0 * a - 1.0)
    if op == LOG_EXPIT:
        other = 1.0 / (1.0 + math.exp(a))
        return other, -other / (1.0 + math.exp(-a))
    if op == NORMAL_CDF:
        slope = 0.3989422804014327 * math.exp(-0.5 * a * a)
        return slope, -a * slope
    if op == LOG_NORMAL_CDF:
        ratio = float(mills(a))
        return ratio, -ratio * (a + ratio)
    if op == MILLS:
        slope = -value * (a + value)
        return slope, -slope * (a + value) - value * (1.0 + slope)
    if op == PROBIT:
        slope = 2.5066282746310002 * math.exp(0.5 * value * value)
        return slope, value * slope * slope
    order = 0 if op == LGAMMA else int(number) + 1
    slope, bend = 0.0, 0.0
    for more in range(2):
        slope, bend = bend, float(polygamma(order + more, a))
    return slope, bend


_named: Any = types.NamedTuple
_ARRAYS = _named(
    (types.int64[::1], types.int64[:, ::1], types.float64[::1], types.int64[::1]),
    Program,
)


@standalone(_ARRAYS, types.float64[:, ::1], types.float64[::1], types.float64[:, ::1])
def run(program: Program, inputs: Array, row: Array, work: Array) -> None:
    """Compute all registers of a program, as jets (see `saem.system.jets`).

    Parameters
    ----------
    program : Program
    inputs : (n + d, J) ndarray
        Jets of parameters and coordinates; with J = 1 plain numbers.
    row : (k,) ndarray
        The columns at one row.
    work : (K, J) ndarray
        Becomes the registers: ``work[program.targets]`` is what was asked for.
    """
    program, inputs, work = borrowed(program), borrowed(inputs), borrowed(work)
    variables, length = inputs.shape
    ops, operands, numbers = program.ops, program.operands, program.numbers
    for k in range(ops.shape[0]):
        op, first = ops[k] % SHIFT, ops[k] // SHIFT
        if op == X and first < variables:
            for m in range(length):
                work[k, m] = inputs[first, m]
            continue
        i, j = operands[k, 0], operands[k, 1]
        a, b = work[i, 0], work[j, 0]
        if op == CONST:
            value = numbers[k]
        elif op == X:
            value = row[first - variables]
        elif op < EXP:
            value = value_of_several(op, a, b, work[operands[k, 2], 0], numbers[k])
        else:
            value = value_of(op, a, numbers[k])
        if length > 1:
            if first >= variables or (op >= LT and op <= NOT):
                for m in range(1, length):
                    work[k, m] = 0.0
            elif op < EXP:
                j = operands[k, 2] if op == WHERE and a == 0.0 else j
                combine(op, i, j, value, numbers[k], ops[operands[k, 1]] // SHIFT >= variables, work, k)
            else:
                slope, bend = slopes_of(op, a, value, numbers[k])
                add_chain(i, slope, bend, work, k)
        work[k, 0] = value
