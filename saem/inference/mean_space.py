"""Which restricted likelihoods can be compared: those of the same error contrasts.

REML is the likelihood of what is left of the responses when all that the free means can explain is taken out
(Patterson & Thompson 1971; Harville 1974). Two models have the same left if the columns of their free means span the
same space and their fixed means differ by something in it. The restricted log-likelihood is then the same function of
the variances, up to ``1/2 log|X'X|`` of the columns that it was formed with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from saem.errors import ModelError, listing
from saem.inference.rows import posed, rows_of
from saem.system.display import count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from saem.data import ModelData
    from saem.fitting.result import Fit

Array = np.ndarray

RANK = 1e-10  # of the largest singular value of columns of length one
OUTSIDE = 1e-7  # of the length of a column: more is not in a space


def only_restricted(fits: Mapping[str, Fit]) -> bool:
    """Whether the fits are all by REML, rather than none of them.

    Raises
    ------
    ModelError
        When some are.
    """
    restricted = [label for label, fit in fits.items() if fit.method == "reml"]
    if restricted and len(restricted) < len(fits):
        other = next(label for label in fits if label not in restricted)
        raise ModelError(
            f"{restricted[0]} is a fit by 'reml', {other} by {fits[other].method!r}: the restricted likelihood is that "
            "of other data than the likelihood; fit all by 'ml', or models with the same means all by 'reml'"
        )
    return bool(restricted)


def check_same_means(first: ModelData, other: ModelData, words: str = "the two models") -> None:
    """Refuse to compare restricted likelihoods of models with different means.

    Raises
    ------
    ModelError
        Saying by what they differ.
    """
    (space, offset), (its, its_offset) = spanned(first), spanned(other)
    if its.shape[1] != space.shape[1] or not all(lies_in(column, space) for column in its.T):
        raise ModelError(
            f"{words} have different means ({in_words(first)}; {in_words(other)}): a restricted likelihood is that of "
            "what the free means leave of the responses, so REML compares models with the same means alone; fit both "
            "by 'ml'"
        )
    away = its_offset - offset
    if not lies_in(away, space, max(1.0, float(np.linalg.norm(first.response)))):
        raise ModelError(
            f"{words} fix means at different values: their restricted likelihoods are of different data; fix them at "
            "the same values, or fit both by 'ml'"
        )


def spanned(data: ModelData) -> tuple[Array, Array]:
    """An orthonormal basis (n, r) of what the free means span, and what the fixed ones add to every row (n,).

    Columns that are far from zero are centred first: they span the same, with more digits.
    """
    from saem.families.linear.columns import centred_and_scaled

    fixed = data.parameters.fixed[data.mean_index]
    columns, k = data.mean_design[:, ~fixed], int(np.sum(~fixed))
    columns = centred_and_scaled(columns, np.ones(k, dtype=bool), np.full(k, np.nan)).apply(columns)
    lengths = np.linalg.norm(columns, axis=0)
    left, singular, _ = np.linalg.svd(columns[:, lengths > 0.0] / lengths[lengths > 0.0], full_matrices=False)
    basis = left[:, singular > RANK * max(float(singular.max(initial=0.0)), 1e-300)]
    return basis, data.mean_design[:, fixed] @ data.parameters.fixed_values[data.mean_index[fixed]]


def size_of_columns(fit: Fit) -> float:
    """``1/2 log|X'X|`` of the columns with which a restricted log-likelihood was formed, as the user wrote them.

    It is that of the inner columns, which are far from dependent, and what a restricted log-likelihood gains on its way
    to the user's columns (`Coordinates.constants`), without the part of the response's unit.
    """
    from saem.families.linear.coordinates import log_volume

    data = rows_of(fit)[1]
    problem = posed(fit, data)
    basis, place = problem.arrays.basis, problem.coordinates
    inner = place.inside(data)
    gained = place.constants(inner, basis)[1] - len(basis) * float(np.log(place.unit))
    return log_volume(inner.mean_design[:, basis]) - gained


def lies_in(column: Array, space: Array, size: float = 0.0) -> bool:
    """Whether a vector (n,) lies in the space of an orthonormal basis (n, r), relative to its length or a ``size``."""
    left = column - space @ (space.T @ column)
    return float(np.linalg.norm(left)) <= OUTSIDE * max(float(np.linalg.norm(column)), size)


def in_words(data: ModelData) -> str:
    """`3 free means: a, b, c`."""
    names = [data.parameters.names[i] for i in data.mean_index if not data.parameters.fixed[i]]
    return f"{count(len(names), 'free mean')}{': ' if names else ''}{listing(names)}"
