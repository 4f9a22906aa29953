"""Expressions of rows for tests: their values by mpmath, and the sums that the package compiles."""

from __future__ import annotations

import ast
import ctypes
from collections.abc import Callable, Collection
from typing import Any

import mpmath
import numpy as np
from numpy.typing import NDArray

from saem.expressions.grammar import parse
from saem.expressions.graph import Graph
from saem.expressions.row_sums import RowSums, compile_row_sums

NAMES = ("a", "b", "c", "k", "m")  # two parameters, a coordinate, two columns
VARIABLES = 3

#: What has every operation of the language, at a in (-2, 2), b in (0.2, 3), c in (0.1, 0.9), k = 1.3, m in (1, 3).
TEXTS = (
    *("exp(a)", "log(b)", "log2(b)", "log10(b)", "sqrt(b)", "sin(a)", "cos(a)", "tan(a / 2)", "tanh(a)", "abs(a)"),
    *("expit(a)", "logit(c)", "log_expit(4 * a)", "normal_cdf(a)", "log_normal_cdf(4 * a)", "lgamma(b)", "probit(c)"),
    *("a / b", "b**a", "b**2.5", "b**-1.5", "a**3", "a - b * c", "-a + +b", "k * a + m * b", "a * k / m - a / (m * b)"),
    *("min(a * a, b)", "max(a, b * b)", "where(a < b, a * b, log(a * b) * a)", "where(b <= a < c, 1, a * k)"),
    "where(a in [1, 2] or not (a > b and b != 1), a * b * c, b**c)",
    "sin(k) * m**1.5 * a + (k == 2) * b",
    "lgamma(b + m) * expit(a * m) - log_normal_cdf(a / b) * (c >= 0.5)",
)


def mp_function(text: str) -> Callable[..., Any]:
    """A text as a function of `NAMES` on numbers of mpmath."""
    names = {name: getattr(mpmath, name) for name in ("exp", "log", "sqrt", "sin", "cos", "tan", "tanh", "log10")}
    names |= {
        "log2": lambda x: mpmath.log(x, 2),
        "expit": lambda x: 1 / (1 + mpmath.exp(-x)),
        "logit": lambda x: mpmath.log(x / (1 - x)),
        "log_expit": lambda x: -mpmath.log1p(mpmath.exp(-x)),
        "normal_cdf": mpmath.ncdf,
        "log_normal_cdf": lambda x: mpmath.log(mpmath.ncdf(x)),
        "probit": lambda p: mpmath.sqrt(2) * mpmath.erfinv(2 * p - 1),
        "lgamma": lambda x: mpmath.log(abs(mpmath.gamma(x))),
        "where": lambda condition, a, b: a() if condition else b(),
    }
    tree = parse(text)

    class Lazy(ast.NodeTransformer):  # a branch that is not taken is not computed
        def visit_Call(self, node: ast.Call) -> ast.AST:
            self.generic_visit(node)
            if isinstance(node.func, ast.Name) and node.func.id == "where":
                none = ast.arguments([], [], None, [], [], None, [])
                node = ast.Call(node.func, [node.args[0], *(ast.Lambda(none, arm) for arm in node.args[1:])], [])
            return node

    body = ast.fix_missing_locations(ast.Expression(Lazy().visit(ast.parse(ast.unparse(tree), mode="eval").body)))
    code = compile(body, text, "eval")
    return lambda *values: eval(code, {**names, **dict(zip(NAMES, values, strict=True))})


def points(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Parameters (2,), coordinates (1,) and four rows of columns (4, 2), of which the first one is constant."""
    x = np.array([rng.uniform(-2, 2), rng.uniform(0.2, 3)])
    return x, rng.uniform(0.1, 0.9, 1), np.column_stack([np.full(4, 1.3), rng.uniform(1, 3, 4)])


def with_derivatives(graph: Graph, node: int, variables: int = VARIABLES) -> list[int]:
    """A node, its gradient and the lower triangle of its Hessian: the order of jets."""
    first = [graph.derivative(node, j) for j in range(variables)]
    return [node, *first, *(graph.derivative(first[j], k) for j in range(variables) for k in range(j + 1))]


def graph_of(text: str, order: int = 2) -> tuple[Graph, list[int]]:
    """The graph of a text of `NAMES`, and its targets."""
    graph = Graph()
    node = graph.translate(parse(text).body, {name: i for i, name in enumerate(NAMES)})
    return graph, with_derivatives(graph, node) if order else [node]


def summed(text: str, order: int = 2, constant: Collection[int] = (0,)) -> RowSums:
    """The compiled sums of a text, and of its derivatives up to an order."""
    return compile_row_sums(*graph_of(text, order), 2, 1, constant)


def sums_at(sums: RowSums, x: Any, z: Any, columns: Any, rows: int | None = None) -> NDArray[np.float64]:
    """What the C function writes for all rows of a table, or for the first ones."""
    arrays = [np.ascontiguousarray(array, dtype=np.float64) for array in (x, z, columns)]
    out = np.full(sums.n_targets, np.nan)
    pointer, count = ctypes.c_void_p, ctypes.c_int64
    function = ctypes.CFUNCTYPE(None, pointer, pointer, pointer, count, count, pointer)(sums.address)
    height, width = arrays[2].shape
    function(*(array.ctypes.data for array in arrays), height if rows is None else rows, width, out.ctypes.data)
    return out
