"""From a model and a table to the problem that algorithms solve."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from saem.errors import ModelError
from saem.expressions.constraint import compile_constraints
from saem.families.discovery import family_named
from saem.specification.priors import problems_of

if TYPE_CHECKING:
    import pandas as pd

    from saem.families.arranged import Arranged
    from saem.families.coordinates import Coordinates
    from saem.families.family import Family
    from saem.families.model import Model
    from saem.families.problem import Problem


def family_of(model: Model) -> Family:
    """The family of a model."""
    found: Family = family_named(model.family)
    return found


def arrange(
    model: Model, table: pd.DataFrame, drop_missing: bool = False, formula_state: dict[str, Any] | None = None
) -> Arranged:
    """Check a table against a model and arrange it as arrays.

    Parameters
    ----------
    model : Model
    table : DataFrame
        (n,) rows; other columns than those of the model are ignored.
    drop_missing : bool
        Leave out rows with a missing or infinite value in a column that the model reads, and count them.
    formula_state : dict, optional
        Of a fit: its constants are used in the design of a formula, and no new ones made.

    Returns
    -------
    Arranged
        Of the family's own class.

    Raises
    ------
    DataError
        Saying which column, row or level does not fit the model, and what to do.
    """
    return family_of(model).arrange(model, table, drop_missing, formula_state)


def with_any_response(model: Model, table: pd.DataFrame) -> pd.DataFrame:
    """A table with a response that means nothing, for what only looks at the design of a model that is plain."""
    family = family_of(model)
    return table.assign(**{model.response: family.placeholder(model, table), **family.beside(model, table)})


def coordinates_of(model: Model, data: Arranged, last: int = -1) -> Coordinates:
    """The coordinates in which the problem of a table is solved, unless others are asked for; see `pose`."""
    return family_of(model).coordinates_of(model, data, last)


def pose(
    model: Model, data: Arranged, restricted: bool = False, coordinates: Coordinates | None = None, last: int = -1
) -> Problem:
    """The problem that algorithms solve.

    Parameters
    ----------
    model : Model
    data : Arranged
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
    family = family_of(model)
    if restricted:
        family.check_restricted(model, data)
    chosen = coordinates is None or coordinates.is_users
    coordinates = family.coordinates_of(model, data, last) if coordinates is None else coordinates
    inside = coordinates.inside(data)
    if chosen:
        family.check_conditioning(inside)
    constraints = compile_constraints(coordinates.constraints(model.constraints), data.parameters.names)
    problem = family.build_problem(inside, constraints, restricted, coordinates)
    if not model.priors:
        return problem
    problems = [
        f"priors.{name}: {text}" for name, text in problems_of(model.priors, data.parameters, model.constraints)
    ]
    if problems:
        raise ModelError("; ".join(problems), problems)
    return replace(problem, priors=replace(problem.priors, named=model.priors))
