"""Families of models.

`contract` says what an algorithm asks of a family; each family is a file or a folder beside it, with a function
``build_problem``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from saem.constraint import Constraints
    from saem.data import ModelData
    from saem.models.contract import Problem


def build_problem(family: str, data: ModelData, constraints: Constraints, restricted: bool = False) -> Problem:
    """The problem of a family of models, found by the name of its module."""
    module = import_module(f"saem.models.{family}")
    problem: Problem = module.build_problem(data, constraints, restricted)
    return problem
