"""Families of models.

`contract` says what an algorithm asks of a family; each family is a file or a folder beside it, with a function
``build_problem``.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

from saem.constraint import compile_constraints
from saem.errors import ModelError
from saem.specification.priors import problems_of

if TYPE_CHECKING:
    from saem.data import ModelData
    from saem.models.contract import Problem
    from saem.specification import Model


def pose(model: Model, data: ModelData, restricted: bool = False) -> Problem:
    """The problem that algorithms solve; the model's family is found by the name of its module."""
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
