"""Families of models.

`contract` says what an algorithm asks of a family; each family is a file or a folder beside it, with a function
``build_problem``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from saem.constraint import compile_constraints

if TYPE_CHECKING:
    from saem.data import ModelData
    from saem.models.contract import Problem
    from saem.specification import Model


def pose(model: Model, data: ModelData, restricted: bool = False) -> Problem:
    """The problem that algorithms solve; the model's family is found by the name of its module."""
    constraints = compile_constraints(model.constraints, data.parameters.names)
    module = import_module(f"saem.models.{model.family}")
    problem: Problem = module.build_problem(data, constraints, restricted)
    return problem
