"""Expressions of named inputs as machine code: values, exact Jacobian and Hessians as one C function."""

from __future__ import annotations

import ast
import ctypes
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from saem.errors import ExpressionError, ModelError
from saem.expressions.folding import NOT_SMOOTH

_PROTOTYPE = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)


@dataclass(frozen=True, eq=False)
class Compiled:
    """m compiled functions of n inputs.

    Parameters
    ----------
    names : tuple of str
        (m,)
    texts : tuple of str
        (m,) as written.
    parameters : tuple of str
        (n,) the order of the argument ``x``.
    address : int
        C function ``void f(x, c, jac, hess)`` of four ``double *``, row-major, shapes (n,), (m,), (m, n), (m, n, n).
        It writes all of ``c`` but only those entries of ``jac`` and ``hess`` that are not always zero: the caller
        sets both arrays to zero once. With m = 0 it writes nothing.
    """

    names: tuple[str, ...]
    texts: tuple[str, ...]
    parameters: tuple[str, ...]
    address: int
    _owner: Any = field(repr=False)  # keeps the machine code alive

    @property
    def n(self) -> int:
        """Number of functions, m."""
        return len(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def evaluate(self, x: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Values and derivatives at one point.

        Parameters
        ----------
        x : (n,) array_like
            All inputs, in the order of `parameters`.

        Returns
        -------
        c : (m,) ndarray
        jacobian : (m, n) ndarray
        hessian : (m, n, n) ndarray
        """
        point = np.ascontiguousarray(x, dtype=np.float64)
        m, n = len(self.names), len(self.parameters)
        if point.shape != (n,):
            raise ModelError(f"the constraints need the {n} parameters as one array; got the shape {point.shape}")
        c, jacobian, hessian = np.empty(m), np.zeros((m, n)), np.zeros((m, n, n))
        _PROTOTYPE(self.address)(*(array.ctypes.data for array in (point, c, jacobian, hessian)))
        return c, jacobian, hessian


def check_numbers(owner: str, body: ast.AST, what: str, text: str) -> None:
    """Refuse conditions, texts and functions with kinks or jumps where numbers with derivatives are needed.

    Parameters
    ----------
    owner : str
        For messages: "constraint 'g'".
    body : ast.AST
        What is looked into; itself it may be a comparison.
    what : str
        What it must be: "one equation".
    text : str
        As written.

    Raises
    ------
    ExpressionError
    """
    for node in ast.walk(body):
        if node is not body and isinstance(node, ast.Compare | ast.BoolOp | ast.Not | ast.List):
            raise ExpressionError(f"{owner} must be {what} of numbers; got a condition in {text!r}")
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            raise ExpressionError(f"{owner} must be {what} of numbers; got the text {node.value!r}")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in NOT_SMOOTH:
            name = node.func.id
            where = (
                "at 0; SDs are never negative anyway" if name == "abs" else "where it goes from one part to the other"
            )
            raise ExpressionError(f"{owner} uses {name}(), which has no derivative {where}")
