"""Residual groups that the model fits exactly, so that the likelihood has no bound; and groups in words.

Where the means fit all rows of a residual group, the random effects go to zero with its residual standard deviation,
and the likelihood rises with every row. Where the means and the random effects together fit them, it rises with every
row beyond the rank of the random effects.
"""

from __future__ import annotations

import numpy as np

from saem.data.groups import members_of
from saem.errors import FitError, listing
from saem.expressions.constraint import Constraints, parameters_of
from saem.families.coordinates import USERS, Coordinates
from saem.families.linear.data import LinearData
from saem.system.display import count

Array = np.ndarray

EXACT = 1e-13  # of the sum of squares of the responses: less is left over by rounding


def check_exact_fits(data: LinearData, constraints: Constraints, coordinates: Coordinates = USERS) -> None:
    """Refuse data in which one of several residual standard deviations goes to zero with an unbounded likelihood.

    Where constraints involve one, or a mean of its rows, only the likelihood itself can tell. Data and constraints are
    in the ``coordinates``; what is said is on the user's scale.

    Raises
    ------
    FitError
        Naming the residual groups and their standard deviations.
    """
    if len(data.residual_index) < 2:
        return
    names = data.parameters.names
    tied = {name for text in constraints.texts for name in parameters_of("", text)}
    found = []
    for i in dict.fromkeys(data.residual_index.tolist()):
        if data.parameters.fixed[i] or names[i] in tied or i in data.sd_index:
            continue
        groups = np.flatnonzero(data.residual_index == i)
        rows = np.isin(data.residual_group, groups)
        if not rows.all() and is_fitted_exactly(data, rows, tied):
            found.append((int(i), groups, rows))
    if found:
        raise FitError(
            "; ".join(in_words(data, coordinates, *entry) for entry in found)
            + ". So the likelihood is unbounded. Leave out such rows, use fewer means, or let groups share a residual "
            "standard deviation"
        )


def is_fitted_exactly(data: LinearData, rows: Array, tied: set[str]) -> bool:
    """Whether the likelihood has no bound as the residual standard deviation of some rows goes to zero."""
    names, fixed = data.parameters.names, data.parameters.fixed
    is_tied = np.isin(np.array(names), sorted(tied))
    if np.any(data.mean_design[rows][:, is_tied[data.mean_index]]):
        return False
    free = ~fixed[data.mean_index]
    known = data.mean_design[:, ~free] @ data.parameters.fixed_values[data.mean_index[~free]]
    response, design = (data.response - known)[rows], data.mean_design[np.ix_(rows, free)]
    cluster, columns = data.cluster[rows], data.random_design[rows]
    sds = data.sd_index[data.cluster_group[cluster]]  # (n, q) parameters
    zero = fixed[sds] & (np.nan_to_num(data.parameters.fixed_values[sds]) == 0.0)
    columns = np.where(zero, 0.0, columns)
    can_vanish = zero | ~(fixed | is_tied)[sds]
    size = float(np.sum(data.response**2))
    if np.all(can_vanish | (columns == 0.0)) and left_over(response, design) <= EXACT * size:
        return True
    rank = 0
    response, design = response.copy(), design.copy()
    for members in members_of(cluster):
        basis = column_space(columns[members])
        rank += basis.shape[1]
        response[members] -= basis @ (basis.T @ response[members])
        design[members] -= basis @ (basis.T @ design[members])
    return len(response) > rank and left_over(response, design) <= EXACT * size


def column_space(columns: Array) -> Array:
    """Orthonormal basis (n, r) of what some columns (n, q) span."""
    size = np.linalg.norm(columns, axis=0)
    left, singular, _ = np.linalg.svd(columns[:, size > 0.0] / size[size > 0.0], full_matrices=False)
    return np.asarray(left[:, singular > 1e-10])


def left_over(response: Array, design: Array) -> float:
    """Sum of squares that least squares leave of a response."""
    size = np.maximum(np.linalg.norm(design, axis=0), 1e-300)
    coefficients = np.linalg.lstsq(design / size, response, rcond=1e-12)[0]
    return float(np.sum((response - (design / size) @ coefficients) ** 2))


def in_words(data: LinearData, coordinates: Coordinates, i: int, groups: Array, rows: Array) -> str:
    """What happens to the residual groups with the standard deviation ``i``."""
    values = (
        coordinates.unit * data.response[rows] + np.broadcast_to(coordinates.level(data.mean_design), len(rows))[rows]
    )
    values = values if data.offset is None else values + data.offset[rows]
    spread = float(values.max() - values.min())
    where = group_words("residual", [data.residual_levels[h] for h in groups])
    why = (
        f"the response is {values[0]:.12g} in all of its {count(len(values), 'row')}"
        if spread <= EXACT * float(np.abs(values).max()) and len(values) > 1
        else f"the model fits its {count(len(values), 'row')} exactly"
    )
    return f"the residual standard deviation {data.parameters.names[i]!r} of the {where} goes to zero: {why}"


def group_words(kind: str, levels: list[str]) -> str:
    """`residual group 'b'`."""
    return f"{kind} group{'s' if len(levels) > 1 else ''} {listing(levels)}"


def roles_of(data: LinearData) -> tuple[str, ...]:
    """The residual and variance groups (n,) of every parameter, in words; empty where there is one group."""
    words: list[list[str]] = [[] for _ in range(len(data.parameters))]
    used = np.hstack([data.sd_index, data.corr_index.reshape(len(data.corr_index), -1)])
    for kind, levels, index in (
        ("variance", data.group_levels, used),
        ("residual", data.residual_levels, data.residual_index[:, None]),
    ):
        if len(levels) < 2:
            continue
        members: dict[int, list[str]] = {}
        for level, row in zip(levels, index.tolist(), strict=True):
            for i in set(row) - {-1}:
                members.setdefault(i, []).append(level)
        for i, own in members.items():
            words[i].append(group_words(kind, own))
    return tuple(", ".join(parts) for parts in words)
