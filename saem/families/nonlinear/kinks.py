"""Warnings of likelihoods with kinks: conditions that parameters decide, and absolute values of what they move."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from saem.expressions.folding import describe
from saem.expressions.grammar import names_in
from saem.families.nonlinear import trees

if TYPE_CHECKING:
    from saem.families.nonlinear.specification import NonlinearModel

FUNCTIONS = ("where", "abs", "min", "max")


def warnings(model: NonlinearModel) -> list[str]:
    """Words for each expression of a model that has a kink, where a parameter moves it."""
    found = []
    for place, tree in model.reading.texts():
        kinked = [node for node in ast.walk(tree) if isinstance(node, ast.expr) and _has_kink(node, model)]
        if kinked:
            found.append(
                f"{place}: {describe(kinked[0])} has a kink that parameters move; near it derivatives, and with "
                "them standard errors, may be wrong"
            )
    return found


def _has_kink(node: ast.expr, model: NonlinearModel) -> bool:
    name = next((name for name in FUNCTIONS if trees.is_call(node, name)), None)
    if name is None or not isinstance(node, ast.Call):
        return False
    decisive = node.args[:1] if name == "where" else node.args
    return any(used not in model.reading.columns for part in decisive for used in names_in(part))
