"""What a restricted likelihood (REML) is of: the space of the free means, and the size of the columns that span it."""

from __future__ import annotations

import numpy as np

from saem.errors import ModelError, listing
from saem.expressions.constraint import parameters_of
from saem.families.gaussian_data import GaussianData
from saem.families.linear.columns import centred_and_scaled
from saem.families.linear.coordinates import log_volume
from saem.families.linear.data import LinearData
from saem.families.model import Model
from saem.families.problem import Problem
from saem.system.display import count

Array = np.ndarray

RANK = 1e-10  # of the largest singular value of columns of length one


def check_restricted(model: Model, data: GaussianData) -> None:
    """Refuse REML where a constraint involves a mean; one among standard deviations and correlations is no obstacle.

    The restricted likelihood is the likelihood with the means integrated out, each over all numbers.
    """
    is_mean = dict(zip(data.parameters.names, data.parameters.domains.is_real, strict=True))
    for name, text in model.constraints.items():
        means = [used for used in parameters_of(name, text) if is_mean.get(used)]
        if means:
            raise ModelError(
                f"REML integrates the means out, each over all numbers, so no constraint may involve a mean; {name!r} "
                f"({text}) involves {listing(means)}. Use method 'ml', or give a mean a value in [fixed]"
            )


def spanned(data: GaussianData) -> tuple[Array, Array]:
    """An orthonormal basis (n, r) of what the free means span, and what the fixed ones add to every row (n,).

    Columns that are far from zero are centred first: they span the same, with more digits.
    """
    fixed = data.parameters.fixed[data.mean_index]
    columns, k = data.mean_design[:, ~fixed], int(np.sum(~fixed))
    columns = centred_and_scaled(columns, np.ones(k, dtype=bool), np.full(k, np.nan)).apply(columns)
    lengths = np.linalg.norm(columns, axis=0)
    left, singular, _ = np.linalg.svd(columns[:, lengths > 0.0] / lengths[lengths > 0.0], full_matrices=False)
    basis = left[:, singular > RANK * max(float(singular.max(initial=0.0)), 1e-300)]
    return basis, data.mean_design[:, fixed] @ data.parameters.fixed_values[data.mean_index[fixed]]


def size_of_columns(problem: Problem, data: LinearData) -> float:
    """``1/2 log|X'X|`` of the columns with which a restricted log-likelihood was formed, as the user wrote them.

    It is that of the inner columns, which are far from dependent, and what a restricted log-likelihood gains on its way
    to the user's columns (`Coordinates.constants`), without the part of the response's unit.
    """
    basis, coordinates = problem.arrays.basis, problem.coordinates
    inner = coordinates.inside(data)
    gained = coordinates.constants(inner, basis)[1] - len(basis) * float(np.log(coordinates.unit))
    return log_volume(inner.mean_design[:, basis]) - gained


def free_means(data: GaussianData) -> str:
    """`3 free means: a, b, c`."""
    names = [data.parameters.names[i] for i in data.mean_index if not data.parameters.fixed[i]]
    return f"{count(len(names), 'free mean')}{': ' if names else ''}{listing(names)}"
