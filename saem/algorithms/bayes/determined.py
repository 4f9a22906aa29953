"""Which parameters the constraints determine, and by which of their solutions."""

from __future__ import annotations

import numpy as np

from saem.algorithms.bayes.density import Space, count_roots
from saem.errors import ModelError, listing
from saem.families.problem import Problem
from saem.mstep.methods.elimination import Explicit, explicit_forms, first_order, parameters_in

Array = np.ndarray

EXAMINED = 200  # draws at which solutions of implicit constraints are counted


def plan_of(problem: Problem, near: Array) -> tuple[Explicit, ...]:
    """One parameter for each constraint, in an order in which they can be computed.

    Of an explicit constraint, ``name == expression``, it is the name. Of an implicit one it is the parameter on which
    the constraint depends most, means before standard deviations and these before correlations. None has a prior, or
    is fixed.

    Parameters
    ----------
    near : (n,) ndarray
        A point that satisfies the constraints, to compare how much they depend on each parameter.

    Returns
    -------
    tuple of Explicit
        With the sign 0 where the constraint is implicit.

    Raises
    ------
    ModelError
        When there is no such choice.
    """
    constraints, parameters = problem.constraints, problem.parameters
    if len(constraints) == 0:
        return ()
    held = parameters.fixed | np.isin(parameters.names, list(problem.priors.named))
    jacobian = np.abs(constraints.evaluate(near)[1]) * problem.scale
    bounds = np.isfinite(parameters.domains.low).astype(int) + np.isfinite(parameters.domains.high)
    options, needs = [], []
    for k, name in enumerate(constraints.names):
        needs.append(parameters_in(constraints, k))
        explicit = [e for e in explicit_forms(constraints, k) if not parameters.fixed[e.parameter]]
        free = [i for i in needs[-1] if not held[i]]
        free.sort(key=lambda i, k=k: (bounds[i], -jacobian[k, i]))  # type: ignore[misc]
        found = [e for e in explicit if not held[e.parameter]] if explicit else [Explicit(k, i, 0.0) for i in free]
        if not found:
            raise ModelError(
                f"the constraint {name!r} must determine a parameter that is not fixed and has no prior, and none of "
                f"{listing(parameters.names[i] for i in sorted(needs[-1]))} is left; remove a prior"
            )
        options.append(found)
    plan = first_order(options, needs)
    if plan is None:
        raise ModelError(
            f"the constraints {listing(constraints.names)} cannot be solved one after the other for parameters without "
            "a prior: each needs what another determines. Remove a prior, or rewrite them"
        )
    return plan


def branch_warnings(problem: Problem, space: Space, draws: Array) -> list[str]:
    """A sentence for each implicit constraint that has other solutions besides those of the draws (k, n)."""
    implicit = np.flatnonzero(space.sign == 0.0)
    if len(implicit) == 0:
        return []
    some = np.ascontiguousarray(draws[np.linspace(0, len(draws) - 1, min(EXAMINED, len(draws))).astype(int)])
    counts = np.empty((len(some), len(space.constraint)), dtype=np.int64)
    count_roots(space, problem.constraints.address, some, counts)
    found = []
    for s in implicit:
        share = float(np.mean(counts[:, s] > 1))
        if share == 0.0:
            continue
        constraint = problem.constraints.names[space.constraint[s]]
        name = problem.parameters.names[space.parameter[s]]
        found.append(
            f"the constraint {constraint!r} has up to {counts[:, s].max()} solutions for {name} (more than one in "
            f"{100 * share:.0f} % of the draws); the posterior is that of the solution nearest to {name} = "
            f"{space.anchor[s]:.4g}, and leaves out the others. A prior for {name} makes the constraint determine "
            "another parameter"
        )
    return found
