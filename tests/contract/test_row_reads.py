"""Rows that read few of many coordinates have the sums that a function of all of them has."""

from __future__ import annotations

import numpy as np

from saem.expressions.grammar import parse
from saem.expressions.graph import Graph
from saem.expressions.row_reads import Reads
from saem.expressions.row_sums import compile_row_sums
from saem.system.jit import call_row_sums, entry

N, LOCAL, ALL = 2, 2, 5  # parameters, coordinates of a row, and of the cluster
TEXT = "exp(0.3 * z0 * x0 + sin(z1) * x1) * (1 + c0) + z0 * z1"


@entry
def sums(address, x, z, columns, out):
    call_row_sums(address, x, z, columns, 0, columns.shape[0], out)


def compiled(names, local, reads):
    graph = Graph(1000)
    density = graph.translate(parse(TEXT).body, {name: i for i, name in enumerate(names)})
    first = [graph.derivative(density, v) for v in range(N + local)]
    pairs = [(i, j) for i in range(N + local) for j in range(i + 1)]
    second = [graph.derivative(first[i], j) for i, j in pairs]
    return compile_row_sums(graph, [density, *first, *second], N, local, frozenset(), reads)


def test_derivatives_go_where_those_of_all_coordinates_are():
    """The third row reads its coordinates in the other order: a triangle has them in that of `z`."""
    rng = np.random.default_rng(2)
    x, z, c = rng.normal(size=N), rng.normal(size=ALL), rng.normal(size=3)
    where = np.array([[0, 3], [1, 3], [4, 2]])
    found = compiled(["x0", "x1", "z0", "z1", "c0"], LOCAL, Reads(1, N))
    size = N + ALL
    out = np.full(1 + size + size * (size + 1) // 2, 7.0)  # what is there before does not count
    columns = np.column_stack([c, where, np.full(3, ALL)]).astype(float)
    sums(found.address, x, z, columns, out)

    plain = compiled(["x0", "x1", "z0", "z1", "c0"], LOCAL, None)
    value, gradient, hessian = 0.0, np.zeros(size), np.zeros((size, size))
    for row, own in enumerate(where):
        part = np.empty(1 + 4 + 10)
        sums(plain.address, x, z[own], columns[row : row + 1, :1].copy(), part)
        at = np.r_[0, 1, N + own]
        triangle = np.zeros((4, 4))
        triangle[np.tril_indices(4)] = part[5:]
        value += part[0]
        gradient[at] += part[1:5]
        hessian[np.ix_(at, at)] += triangle + np.tril(triangle, -1).T
    expected = np.r_[value, gradient, hessian[np.tril_indices(size)]]
    np.testing.assert_allclose(out, expected, rtol=1e-13, atol=1e-13)
