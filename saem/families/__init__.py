"""Families of models.

`contract` says what an algorithm asks of a family; each family is a file or a folder beside it, with a function
``build_problem``.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

from saem.errors import ModelError, listing
from saem.expressions.constraint import compile_constraints, parameters_of
from saem.families.coordinates import USERS
from saem.families.linear.conditioning import check_conditioning
from saem.specification.priors import problems_of

if TYPE_CHECKING:
    from saem.data import ModelData
    from saem.families.contract import Problem
    from saem.families.coordinates import Coordinates
    from saem.specification import Model


def coordinates_of(model: Model, data: ModelData, last: int = -1) -> Coordinates:
    """The coordinates in which the problem of a table is solved, unless others are asked for; see `pose`."""
    choose = getattr(import_module(f"saem.families.{model.family}"), "coordinates_of", None)
    found: Coordinates = USERS if choose is None else choose(model.constraints, data, last)
    return found


def pose(
    model: Model, data: ModelData, restricted: bool = False, coordinates: Coordinates | None = None, last: int = -1
) -> Problem:
    """The problem that algorithms solve; the model's family is found by the name of its module.

    Parameters
    ----------
    model : Model
    data : ModelData
        On the user's scale.
    restricted : bool
        Whether the likelihood is the restricted one.
    coordinates : Coordinates, optional
        In which to solve it, such as `saem.families.coordinates.USERS`; chosen by the family if omitted.
    last : int
        A parameter that the chosen coordinates are to leave by itself, if any.

    Raises
    ------
    DataError
        When columns of the means are nearly combinations of each other.
    ModelError
        When a prior is impossible, or the likelihood is to be restricted (REML) and a constraint involves a mean.
    """
    if restricted:
        check_restricted(model, data)
    module = import_module(f"saem.families.{model.family}")
    chosen = coordinates is None or coordinates.is_users
    coordinates = coordinates_of(model, data, last) if coordinates is None else coordinates
    inside = coordinates.inside(data)
    if chosen:
        check_conditioning(inside)
    constraints = compile_constraints(coordinates.constraints(model.constraints), data.parameters.names)
    others = () if coordinates.is_users else (coordinates,)
    problem: Problem = module.build_problem(inside, constraints, restricted, *others)
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
