"""Equality constraints between parameters, compiled with their exact derivatives."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from saem.errors import ConstraintError, ExpressionError, listing, nearest
from saem.expressions.compiled import Compiled, check_numbers
from saem.expressions.derivatives import Function, source_of
from saem.expressions.grammar import names_in, parse

MAX_CONSTRAINTS = 50


@dataclass(frozen=True, eq=False)
class Constraints(Compiled):
    """Compiled equality constraints ``c(x) = 0``, with ``c = left side - right side``."""

    def __reduce__(self) -> tuple[Any, ...]:
        return compile_constraints, (dict(zip(self.names, self.texts, strict=True)), self.parameters)


def split(name: str, text: str) -> tuple[ast.expr, ast.expr]:
    """The two sides of a constraint.

    Parameters
    ----------
    name : str
        Of the constraint, for messages.
    text : str
        ``"left == right"``.

    Returns
    -------
    left, right : ast.expr

    Raises
    ------
    ConstraintError
        Unless there is exactly one ``==``, and at least one parameter.
    """
    try:
        body = parse(text).body
    except ExpressionError as error:
        raise ConstraintError(f"constraint {name!r}: {error}") from None
    if not isinstance(body, ast.Compare) or len(body.ops) != 1 or not isinstance(body.ops[0], ast.Eq):
        found = text.count("==")
        reason = f"found {found}" if found != 1 else "found another comparison"
        raise ConstraintError(f"constraint {name!r} must be one equation, left == right; {reason} in {text!r}")
    if not names_in(body):
        raise ConstraintError(f"constraint {name!r} involves no parameter: {text!r}")
    try:
        check_numbers(f"constraint {name!r}", body, "one equation", text)
    except ExpressionError as error:
        raise ConstraintError(str(error)) from None
    return body.left, body.comparators[0]


@lru_cache(maxsize=256)
def parameters_of(name: str, text: str) -> tuple[str, ...]:
    """The parameters that a constraint involves, in order of first use.

    Parameters
    ----------
    name, text : str
        Of the constraint.

    Returns
    -------
    tuple of str
    """
    left, right = split(name, text)
    return tuple(dict.fromkeys(names_in(left) + names_in(right)))


def compile_constraints(constraints: Mapping[str, str], parameters: Sequence[str]) -> Constraints:
    """Compile constraints, or fetch them from the memory of this process or from the cache folder.

    Parameters
    ----------
    constraints : mapping of str to str
        m texts ``"left == right"`` by name; may be empty.
    parameters : sequence of str
        (n,) all parameters, in the order of the argument ``x``.

    Raises
    ------
    ConstraintError
        If a text cannot be read, names an unknown parameter or none, contradicts another or repeats it.
    """
    return _compile(tuple(constraints.items()), tuple(parameters))


@lru_cache(maxsize=256)
def _compile(items: tuple[tuple[str, str], ...], parameters: tuple[str, ...]) -> Constraints:
    from saem.system.machine import machine_of  # imports numba

    if len(items) > MAX_CONSTRAINTS:
        raise ConstraintError(f"a model may have at most {MAX_CONSTRAINTS} constraints; got {len(items)}")
    for name, text in items:
        unknown = [used for used in parameters_of(name, text) if used not in parameters]
        if unknown:
            raise ConstraintError(
                f"constraint {name!r} names {unknown[0]!r}{nearest(unknown[0], parameters)}, which is no parameter; "
                f"the parameters are {listing(parameters, 20)}"
            )
    functions = [Function(f"constraint {name!r}", *split(name, text)) for name, text in items]
    try:
        function = machine_of(source_of(functions, parameters), "functions")
    except ExpressionError as error:
        raise ConstraintError(str(error)) from None
    compiled = Constraints(
        names=tuple(name for name, _ in items),
        texts=tuple(text for _, text in items),
        parameters=parameters,
        address=function.address,
        _owner=function.owner,
    )
    check_consistent(compiled)
    return compiled


def check_consistent(constraints: Constraints) -> None:
    """Refuse constraints that contradict each other, or of which one follows from the others.

    If the gradients of some constraints satisfy the same linear relation ``sum_i a_i grad c_i = 0`` at all points, then
    ``sum_i a_i c_i`` is a constant: with zero one of them is superfluous, otherwise they contradict each other.

    Parameters
    ----------
    constraints : Constraints

    Raises
    ------
    ConstraintError
        Naming the constraints concerned.
    """
    m, n = len(constraints.names), len(constraints.parameters)
    if m < 2:
        return
    points = np.random.default_rng(0).uniform(0.2, 0.8, size=(2 * m + 4, n))
    found = [constraints.evaluate(point)[:2] for point in points]
    found = [(c, jacobian) for c, jacobian in found if np.isfinite(c).all() and np.isfinite(jacobian).all()]
    if len(found) < m + 1:
        return  # defined elsewhere only: left to the solver
    values = np.array([c for c, _ in found])
    gradients = np.concatenate([jacobian for _, jacobian in found], axis=1)
    scale = np.maximum(np.linalg.norm(gradients, axis=1), np.finfo(float).tiny)
    left, singular, _ = np.linalg.svd(gradients / scale[:, None], full_matrices=False)
    if singular[-1] > 1e-10 * singular[0]:
        return
    relation = left[:, -1] / scale
    relation = relation / np.abs(relation).max()
    concerned = [name for name, a in zip(constraints.names, relation, strict=True) if abs(a) > 1e-8]
    constant = values @ relation
    if np.abs(constant).max() > 1e-8 * (1.0 + np.abs(values).max()):
        raise ConstraintError(
            f"the constraints {listing(concerned)} contradict each other: no parameter values satisfy them together; "
            "remove or correct one"
        )
    raise ConstraintError(f"the constraints {listing(concerned)} say the same thing; remove one of them")
