"""Which restricted likelihoods can be compared: those of the same error contrasts.

REML is the likelihood of what is left of the responses when all that the free means can explain is taken out
(Patterson & Thompson 1971; Harville 1974). Two models have the same left if the columns of their free means span the
same space and their fixed means differ by something in it. The restricted log-likelihood is then the same function of
the variances, up to ``1/2 log|X'X|`` of the columns that it was formed with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from saem.errors import ModelError
from saem.families import Family, family_of
from saem.inference.rows import posed, rows_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from saem.families.arranged import Arranged
    from saem.fitting.result import Fit

Array = np.ndarray

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


def check_same_means(family: Family, first: Arranged, other: Arranged, words: str = "the two models") -> None:
    """Refuse to compare restricted likelihoods of models with different means.

    Raises
    ------
    ModelError
        Saying by what they differ.
    """
    (space, offset), (its, its_offset) = family.spanned(first), family.spanned(other)
    words_of_first, words_of_other = family.free_means(first), family.free_means(other)
    if its.shape[1] != space.shape[1] or not all(lies_in(column, space) for column in its.T):
        raise ModelError(
            f"{words} have different means ({words_of_first}; {words_of_other}): a restricted likelihood is that of "
            "what the free means leave of the responses, so REML compares models with the same means alone; fit both "
            "by 'ml'"
        )
    away = its_offset - offset
    if not lies_in(away, space, max(1.0, float(np.linalg.norm(first.response)))):
        raise ModelError(
            f"{words} fix means at different values: their restricted likelihoods are of different data; fix them at "
            "the same values, or fit both by 'ml'"
        )


def size_of_columns(fit: Fit) -> float:
    """Compute ``1/2 log|X'X|`` of the columns of a restricted log-likelihood, as the user wrote them."""
    data = rows_of(fit)[1]
    return family_of(fit.model).size_of_columns(posed(fit, data), data)


def lies_in(column: Array, space: Array, size: float = 0.0) -> bool:
    """Whether a vector (n,) lies in the space of an orthonormal basis (n, r), relative to its length or a ``size``."""
    left = column - space @ (space.T @ column)
    return float(np.linalg.norm(left)) <= OUTSIDE * max(float(np.linalg.norm(column)), size)
