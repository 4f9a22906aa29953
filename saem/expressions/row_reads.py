"""Rows that read but few of many coordinates, for `saem.expressions.row_sums`: which, and where their derivatives go.

A row of a table with crossed factors has the effect of one level of each. A function of all coordinates would take time
for those that have no part in it, and its Hessian the square of that.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reads:
    """Where columns say which coordinates a row reads, and what derivatives are by.

    The d coordinates of a graph are those of a row, in place of all in ``z``. Targets that are a value, its gradient by
    parameters and then by the coordinates of the row, and a lower triangle by both, become such sums by these
    parameters and then by all coordinates.

    Parameters
    ----------
    first : int
        The column, after those of the graph, with the position in ``z`` of the first coordinate of a row. Those of the
        others follow, and then the number of all coordinates.
    direct : int or None
        The number of these parameters; None where no target is a derivative by coordinates: these stay where they are.
    """

    first: int
    direct: int | None = None


def positions(reads: Reads, d: int) -> list[str]:
    """Instructions that set ``%k.w{s}``, where in ``z`` the coordinates of a row are."""
    found = []
    for s in range(d):
        found += loaded(f"w{s}", "%row", reads.first + s)
    return found


def loaded(name: str, row: str, column: int) -> list[str]:
    """Instructions that set ``%k.{name}`` to the whole number in a column."""
    from saem.system.machine import POINTER

    return [
        f"%k.p{name} = getelementptr double, {POINTER} {row}, i64 {column}",
        f"%k.d{name} = load double, {POINTER} %k.p{name}",
        f"%k.{name} = fptosi double %k.d{name} to i64",
    ]


def places(reads: Reads, d: int, n_targets: int) -> list[str]:
    """Instructions that set ``%k.t{t}``, the place of each target among the sums; after those of `clearing`."""
    p = reads.direct or 0
    variables = [*map(str, range(p)), *(f"%k.v{s}" for s in range(d))]
    found = [f"%k.v{s} = add i64 %k.w{s}, {p}" for s in range(d)]
    found += ["%k.t0 = add i64 0, 0", *(f"%k.t{1 + i} = add i64 {v}, 1" for i, v in enumerate(variables))]
    t = 1 + len(variables)
    for i, row in enumerate(variables):
        for j, column in enumerate(variables[: i + 1]):
            if t == n_targets:
                return found
            high, low = row, column
            if j >= p and i != j:  # two coordinates, in the order of ``z``
                found += [
                    f"%k.g{t} = icmp sgt i64 {row}, {column}",
                    f"%k.h{t} = select i1 %k.g{t}, i64 {row}, i64 {column}",
                    f"%k.l{t} = select i1 %k.g{t}, i64 {column}, i64 {row}",
                ]
                high, low = f"%k.h{t}", f"%k.l{t}"
            found += [
                f"%k.a{t} = add i64 {high}, 1",
                f"%k.m{t} = mul i64 %k.a{t}, {high}",
                f"%k.q{t} = lshr i64 %k.m{t}, 1",
                f"%k.y{t} = add i64 %k.q{t}, {low}",
                f"%k.t{t} = add i64 %k.y{t}, %k.hessian",
            ]
            t += 1
    return found


def clearing(reads: Reads, d: int, n_targets: int) -> str:
    """The end of the block before a loop ``clear``, which sets all sums to zero and goes on to ``loop``."""
    from saem.system.machine import POINTER

    p = reads.direct or 0
    has_hessian = n_targets > 1 + p + d
    lines = [
        *loaded("all", "%columns", reads.first + d),
        f"%k.size = add i64 %k.all, {p}",
        "%k.hessian = add i64 %k.size, 1",
        "%k.larger = mul i64 %k.size, %k.hessian",
        "%k.triangle = lshr i64 %k.larger, 1",
        "%k.curved = add i64 %k.hessian, %k.triangle",
        "br label %clear",
    ]
    zero = [
        "%k.i = phi i64 [ 0, %begin ], [ %k.next, %clear ]",
        f"%k.o = getelementptr double, {POINTER} %out, i64 %k.i",
        f"store double 0.0, {POINTER} %k.o",
        "%k.next = add i64 %k.i, 1",
        f"%k.more = icmp slt i64 %k.next, {'%k.curved' if has_hessian else '%k.hessian'}",
        "br i1 %k.more, label %clear, label %loop",
    ]
    return "\n".join(["  " + line for line in lines] + ["clear:"] + ["  " + line for line in zero])
