"""Functions summed over the rows of a cluster, as one C function.

What does not vary within the cluster is computed once, before the loop over its rows. The code is written in LLVM's
assembly language, since compiling it by Numba would take longer than a fit.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from saem.expressions.assembly import DECLARATIONS, block, instructions, literal, number
from saem.expressions.graph import CONDITIONS, Graph
from saem.expressions.row_reads import Reads, clearing, places, positions


@dataclass(frozen=True, eq=False)
class RowSums:
    """A compiled function ``void f(double *x, double *z, double *columns, int64 rows, int64 width, double *out)``.

    Parameters
    ----------
    address : int
        Of the C function, in this process: `columns` points to the first of `rows` rows of `width` numbers, and
        ``out[t]`` becomes the sum of target ``t`` over them; 0 where there are none. No two of the arrays overlap. For
        `saem.system.jit.call_row_sums`.
    n_targets : int
    source : str
        In LLVM's assembly language.
    """

    address: int
    n_targets: int
    source: str = field(repr=False)
    _owner: Any = field(repr=False)  # keeps the machine code alive

    def __reduce__(self) -> tuple[Any, ...]:
        return _load, (self.source, self.n_targets)  # the address is another one in another process


def compile_row_sums(
    graph: Graph, targets: Sequence[int], n: int, d: int, constant: Collection[int], reads: Reads | None = None
) -> RowSums:
    """Compile sums over rows, or fetch them from the cache folder.

    Parameters
    ----------
    graph : Graph
        Its inputs are numbered: n parameters, d coordinates, then columns.
    targets : sequence of int
        Nodes of the graph.
    n, d : int
    constant : collection of int
        Positions, among the columns, of those that have one value in each cluster.
    reads : Reads, optional
        Where rows read few of many coordinates.
    """
    return _load(_source(graph, targets, n, d, frozenset(constant), reads), len(targets))


@lru_cache(maxsize=64)  # many fits share one model
def _load(source: str, n_targets: int) -> RowSums:
    from saem.system.machine import machine_of  # imports numba

    address, owner = machine_of(source, "row_sums")
    return RowSums(address, n_targets, source, owner)


def _source(graph: Graph, targets: Sequence[int], n: int, d: int, constant: frozenset[int], reads: Reads | None) -> str:
    """The module: what is constant, then a loop over the rows, whose sums are kept in ``out``."""
    from saem.system.machine import POINTER

    def first_row(i: int) -> tuple[str, int]:
        return ("%x", i) if i < n else ("%z", i - n) if i < n + d else ("%columns", i - n - d)

    def each_row(i: int) -> tuple[str, int | str]:
        if reads is not None and n <= i < n + d:
            return ("%z", f"%k.w{i - n}")
        return ("%row", i - n - d) if i >= n + d else first_row(i)

    def moves(i: int) -> bool:
        return i - n - d not in constant if i >= n + d else reads is not None and i >= n

    varies = [any(moves(i) for i in graph.inputs(k)) for k in range(len(graph.nodes))]
    nodes = graph.reachable(targets)
    compared = graph.reachable([k for k in nodes if graph.nodes[k].op in CONDITIONS])
    once: list[str] = []
    each: list[str] = []
    inverted: dict[int, str] = {}
    for node in sorted(nodes):
        op, operands, _ = graph.nodes[node]
        if op == "div" and varies[node] and not varies[operands[1]] and node not in compared:
            # One division before the loop, in place of one in each round. It rounds twice: 49 * (1 / 49) is not 1.
            divisor = operands[1]
            inverted[divisor] = f"%r{divisor} = fdiv double {literal(1.0)}, {number(graph, divisor)}"
            each.append(f"%v{node} = fmul double {number(graph, operands[0])}, %r{divisor}")
        else:
            (each if varies[node] else once).extend(instructions(graph, node, each_row if varies[node] else first_row))
    once.extend(inverted.values())
    clear, fixed, add = [], [], []
    scattered = reads is not None and reads.direct is not None
    if reads is not None:
        each = [*positions(reads, d), *each]
    if reads is not None and scattered:
        each += places(reads, d, len(targets))
    for t, node in enumerate(targets):
        place = f"%o{t} = getelementptr double, {POINTER} %out, i64 {t}"
        if scattered:
            add += [f"%o{t} = getelementptr double, {POINTER} %out, i64 %k.t{t}"]
        else:
            clear += [place, f"store double {literal(0.0)}, {POINTER} %o{t}"]
        if varies[node] or scattered:
            add += [
                f"%b{t} = load double, {POINTER} %o{t}",
                f"%a{t} = fadd double %b{t}, {number(graph, node)}",
                f"store double %a{t}, {POINTER} %o{t}",
            ]
        else:
            fixed += [
                f"%a{t} = fmul double %n, {number(graph, node)}",
                f"store double %a{t}, {POINTER} %o{t}",
            ]
    before = f"  br i1 {'false' if add else 'true'}, label %end, label %loop"
    last = "begin"
    if reads is not None and scattered:
        before, last = clearing(reads, d, len(targets)), "clear"
    names = (f"{POINTER} noalias %{name}" for name in ("x", "z", "columns"))
    return f"""{DECLARATIONS}

define void @row_sums({", ".join(names)}, i64 %rows, i64 %width, {POINTER} noalias %out) {{
entry:
{block(clear)}
  %empty = icmp slt i64 %rows, 1
  br i1 %empty, label %end, label %begin
begin:
  %n = sitofp i64 %rows to double
{block(once)}
{block(fixed)}
{before}
loop:
  %i = phi i64 [ 0, %{last} ], [ %next, %loop ]
  %row = phi {POINTER} [ %columns, %{last} ], [ %following, %loop ]
{block(each)}
{block(add)}
  %next = add i64 %i, 1
  %following = getelementptr double, {POINTER} %row, i64 %width
  %more = icmp slt i64 %next, %rows
  br i1 %more, label %loop, label %end
end:
  ret void
}}
"""
