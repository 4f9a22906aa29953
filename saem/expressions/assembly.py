"""The operations of a graph in LLVM's assembly language."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence

from saem.expressions.graph import CONDITIONS, Graph

#: Operations that are instructions or LLVM's own functions.
_INSTRUCTIONS = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
_INTRINSICS = {"exp": "exp", "log": "log", "log2": "log2", "log10": "log10", "sqrt": "sqrt", "sin": "sin", "cos": "cos"}
_INTRINSICS |= {"abs": "fabs", "pow": "pow"}
#: Comparisons: false where a number is nan, but for `ne`.
_COMPARISONS = {"lt": "olt", "le": "ole", "eq": "oeq", "ne": "une"}
_JOINING = ("and", "or", "not")  # conditions of conditions
#: Functions of the C library, and those of `saem.system.special`.
LIBRARY = ("tan", "tanh", "log1p", "erfc")
SPECIAL = ("lgamma", "log_normal_cdf", "mills", "probit", "polygamma", "logitnormal")

DECLARATIONS = "\n".join(
    (
        *(f"declare double @llvm.{name}.f64(double)" for name in sorted({*_INTRINSICS.values()} - {"pow"})),
        "declare double @llvm.pow.f64(double, double)",
        *(f"declare double @{name}(double)" for name in LIBRARY),
        *(f"declare double @saem_{name}(double)" for name in SPECIAL[:4]),
        "declare double @saem_polygamma(i64, double)",
        "declare double @saem_logitnormal(i64, double, double)",
    )
)


def literal(value: float) -> str:
    """A number, exactly."""
    return f"0x{struct.unpack('>Q', struct.pack('>d', value))[0]:016X}"


def operation(name: str, op: str, operands: Sequence[str], order: int) -> list[str]:
    """Instructions that set ``%v{name}``, and ``%c{name}`` (a truth value) of a condition.

    Parameters
    ----------
    name : str
        The number of the node, of which all names of values in between are made.
    op : str
    operands : sequence of str
        Values, or literals; of conditions ``%c..`` where they stand for a condition.
    order : int
        Of `polygamma` and `logitnormal`.
    """
    result, arguments = f"%v{name}", ", ".join(f"double {operand}" for operand in operands)
    if op in _INSTRUCTIONS:
        return [f"{result} = {_INSTRUCTIONS[op]} double {operands[0]}, {operands[1]}"]
    if op in _INTRINSICS:
        return [f"{result} = call double @llvm.{_INTRINSICS[op]}.f64({arguments})"]
    if op in LIBRARY:
        return [f"{result} = call double @{op}({arguments})"]
    if op in ("polygamma", "logitnormal"):
        return [f"{result} = call double @saem_{op}(i64 {order}, {arguments})"]
    if op in SPECIAL:
        return [f"{result} = call double @saem_{op}({arguments})"]
    if op in _COMPARISONS:
        truth = f"fcmp {_COMPARISONS[op]} double {operands[0]}, {operands[1]}"
        return _condition(name, truth)
    if op in ("and", "or"):
        return _condition(name, f"{op} i1 {operands[0]}, {operands[1]}")
    if op == "not":
        return _condition(name, f"xor i1 {operands[0]}, true")
    if op == "where":
        return [f"{result} = select i1 {operands[0]}, double {operands[1]}, double {operands[2]}"]
    return [line.replace("$", name) for line in _COMPOUND[op].format(a=operands[0]).strip().splitlines()]


def _condition(name: str, truth: str) -> list[str]:
    return [f"%c{name} = {truth}", f"%v{name} = uitofp i1 %c{name} to double"]


_ONE, _ZERO = literal(1.0), literal(0.0)

_COMPOUND = {
    "expit": f"""
%n$ = fneg double {{a}}
%e$ = call double @llvm.exp.f64(double %n$)
%d$ = fadd double %e$, {_ONE}
%v$ = fdiv double {_ONE}, %d$
""",
    "logit": f"""
%d$ = fsub double {_ONE}, {{a}}
%q$ = fdiv double {{a}}, %d$
%v$ = call double @llvm.log.f64(double %q$)
""",
    "log_expit": f"""
%s$ = fcmp olt double {{a}}, {_ZERO}
%l$ = select i1 %s$, double {{a}}, double {_ZERO}
%f$ = call double @llvm.fabs.f64(double {{a}})
%n$ = fneg double %f$
%e$ = call double @llvm.exp.f64(double %n$)
%p$ = call double @log1p(double %e$)
%v$ = fsub double %l$, %p$
""",
    "normal_cdf": f"""
%n$ = fmul double {{a}}, {literal(-math.sqrt(0.5))}
%e$ = call double @erfc(double %n$)
%v$ = fmul double %e$, {literal(0.5)}
""",
}


def block(lines: Sequence[str]) -> str:
    """Instructions as lines of a function."""
    return "\n".join(f"  {line}" for line in lines)


def number(graph: Graph, node: int) -> str:
    """The name of a node's value, or the number that it is."""
    value = graph.value(node)
    return f"%v{node}" if value is None else literal(value)


def instructions(graph: Graph, node: int, place: Callable[[int], tuple[str, int | str]]) -> list[str]:
    """The instructions of one node, none for a constant; inputs are in an array, from its start on, by ``place``."""
    from saem.system.machine import POINTER

    op, operands, order = graph.nodes[node]
    if op == "const":
        return []
    if op == "x":
        array, at = place(int(order))
        return [
            f"%p{node} = getelementptr double, {POINTER} {array}, i64 {at}",
            f"%v{node} = load double, {POINTER} %p{node}",
        ]
    tested: list[str] = []
    values = [number(graph, operand) for operand in operands]
    truths = range(len(operands)) if op in _JOINING else range(1) if op == "where" else ()
    for i in truths:
        values[i] = _truth(graph, operands[i], f"{node}.{i}", tested)
    return tested + operation(str(node), op, values, int(order))


def _truth(graph: Graph, node: int, name: str, tested: list[str]) -> str:
    """A condition as a truth value; a number is one where it is not 0."""
    if graph.nodes[node].op in CONDITIONS:
        return f"%c{node}"
    tested.append(f"%t{name} = fcmp une double {number(graph, node)}, {literal(0.0)}")
    return f"%t{name}"
