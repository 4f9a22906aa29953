"""What the parameters of a fit are: free, fixed, determined by others, or without an error."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping

from saem.expressions.constraint import split
from saem.expressions.grammar import names_in
from saem.fitting.parts import Estimate

FREE, FIXED, DETERMINED, BOUNDARY, UNKNOWN = "free", "fixed", "determined", "at the boundary", "not identified"


def roles(fit: Estimate, constraints: Mapping[str, str]) -> list[str]:
    """The role of each parameter, in their order; see `Record.to_frame`."""
    computed = on_the_left(constraints) if fit.posterior is None else frozenset(fit.posterior.determined)
    found = []
    for i, name in enumerate(fit.parameters.names):
        if fit.parameters.fixed[i]:
            found.append(FIXED)
        elif name in fit.at_boundary:
            found.append(BOUNDARY)
        elif math.isnan(fit.se[i]):
            found.append(UNKNOWN)
        else:
            found.append(DETERMINED if name in computed else FREE)
    return found


def on_the_left(constraints: Mapping[str, str]) -> frozenset[str]:
    """The parameters that are alone on the left of a constraint, and not on its right."""
    found = set()
    for name, text in constraints.items():
        left, right = split(name, text)
        if isinstance(left, ast.Name) and left.id not in names_in(right):
            found.add(left.id)
    return frozenset(found)
