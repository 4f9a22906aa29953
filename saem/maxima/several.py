"""Several starts of one fit, on request, to see which maxima they lead to."""

from __future__ import annotations

import numpy as np

from saem.families.problem import Problem

Array = np.ndarray

NEARBY = 0.5  # typical sizes by which other starts are scattered about the first, where the family knows none


def several_starts(problem: Problem, count: int) -> list[Array]:
    """So many starts (n,), the problem's own first.

    Then come those that the family has reason to think lead elsewhere, and others that lie scattered (not at random)
    about the first.
    """
    first, fixed, domains = problem.starts.first, problem.parameters.fixed, problem.parameters.domains
    found = [first]
    if count > 1 and problem.starts.elsewhere is not None:
        found += problem.starts.elsewhere()
    found += [*problem.starts.values[1:], *problem.starts.more]
    rng = np.random.default_rng(1)
    while len(found) < count:
        steps = NEARBY * rng.standard_normal(len(first))
        found.append(np.where(fixed | domains.at_end(first), first, domains.moved(first, problem.scale, steps)))
    return found[:count]
