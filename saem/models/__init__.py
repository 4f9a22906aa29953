"""Families of models.

`contract` says what an algorithm asks of a family; each family is a file or a folder beside it, with a function
``build_problem``.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

from saem.constraint import compile_constraints, parameters_of
from saem.errors import ModelError, listing
from saem.specification.priors import problems_of

if TYPE_CHECKING:
    from saem.data import ModelData
    from saem.models.contract import Problem
    from saem.specification import Model


def pose(model: Model, data: ModelData, restricted: bool = False) -> Problem:
    """The problem that algorithms solve; the model's family is found by the name of its module.

    Raises
    ------
    ModelError
        When a prior is impossible, or the likelihood is to be restricted (REML) and a constraint involves a mean.
    """
    if restricted:
        check_restricted(model, data)
    constraints = compile_constraints(model.constraints, data.parameters.names)
    module = import_module(f"saem.models.{model.family}")
    problem: Problem = module.build_problem(data, constraints, restricted)
    if not model.priors:
        return problem
    problems = [
        f"priors.{name}: {text}" for name, text in problems_of(model.priors, data.parameters, model.constraints)
    ]
    if problems:
        raise ModelError("; ".join(problems), problems)
    return replace(problem, priors=model.priors)


def check_restricted(model: Model, data: ModelData) -> None:
    """Refuse REML where a constraint involves a mean; one among standard deviations and correlations is no obstacle.

    The restricted likelihood is the likelihood with the means integrated out, each over all numbers.
    """
    kinds = dict(zip(data.parameters.names, data.parameters.kinds, strict=True))
    for name, text in model.constraints.items():
        means = [used for used in parameters_of(name, text) if kinds.get(used) == "mean"]
        if means:
            raise ModelError(
                f"REML integrates the means out, each over all numbers, so no constraint may involve a mean; {name!r} "
                f"({text}) involves {listing(means)}. Use method 'ml', or give a mean a value in [fixed]"
            )
