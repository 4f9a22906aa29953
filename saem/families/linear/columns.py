"""Columns of a design, centred and scaled where numbers would lose their digits otherwise.

A column that is nearly a combination of those before it (a year, of the constant; its square, of both) is replaced by
what is left of it; one whose size is far from one gets another unit. Coefficients are rounded to a few binary digits
and units are powers of two, so that nothing is lost on the way: in most tables the new columns are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from saem.system.remembered import remembered

Array = np.ndarray

NEAR = 0.1  # of a column's size: where no more is left of it by those before it, it is replaced by that
EXACT = 1e-13  # of its size: what is left is rounding, and the column is a combination of the others
LOST = 1e-11  # likewise, of a combination of several, whose own rounding is larger
BAND = 1024.0  # root mean squares of columns within this factor of one keep their unit
FINE = 16.0  # coefficients are rounded to this part of what is left
ZERO = 1e-12  # of its squared size: nothing is left of a column of zeros and ones
PASSES = 3


@dataclass(frozen=True, eq=False)
class Columns:
    """``inner = user @ forward``: column j is ``(user_j - sum_i part[i, j] inner_i) / unit[j]``, in an order.

    Attributes
    ----------
    order : (k,) ndarray of int64
        Each column is made from those before it in this order.
    part : (k, k) ndarray
        ``part[i, j]``: coefficient of the inner column i in the user's column j; zero on the diagonal.
    unit : (k,) ndarray
        Powers of two.
    """

    order: Array
    part: Array
    unit: Array

    @classmethod
    @lru_cache(maxsize=64)
    def same(cls, k: int) -> Columns:
        """No change of k columns."""
        return cls(np.arange(k), np.zeros((k, k)), np.ones(k))

    @cached_property
    def is_same(self) -> bool:
        """Whether nothing changes."""
        return not self.part.any() and bool(np.all(self.unit == 1.0))

    @property
    def mixes(self) -> bool:
        """Whether columns are combined, and not only scaled."""
        return bool(self.part.any())

    def apply(self, design: Array) -> Array:
        """Columns (n, k) of the user as inner ones."""
        inner = np.empty(design.shape)
        for j in self.order:
            inner[:, j] = rest_of(design[:, j], self.part[:, j], inner) / self.unit[j]
        return inner

    @property
    def backward(self) -> Array:
        """``user = inner @ backward`` (k, k)."""
        return self.part + np.diag(self.unit)

    @property
    def forward(self) -> Array:
        """The inverse of `backward`, column by column."""
        k = len(self.unit)
        forward = np.zeros((k, k))
        for j in self.order:
            forward[:, j] = -forward @ self.part[:, j]
            forward[j, j] += 1.0
            forward[:, j] /= self.unit[j]
        return forward


def root_mean_square(column: Array) -> float:
    """Of the entries of a column (n,), without an overflow."""
    largest = float(np.abs(column).max(initial=0.0))
    return largest * float(np.sqrt(((column / largest) ** 2).sum() / len(column))) if largest > 0.0 else 0.0


def power_of_two(size: float, band: float = BAND) -> float:
    """A unit in which a size is about one; 1 where it is within the band, or zero."""
    if not 0.0 < size < np.inf or 1.0 / band <= size <= band:
        return 1.0
    return float(2.0 ** np.round(np.log2(size)))


@remembered
def are_plain(design: Array, movable: Array) -> bool:
    """Whether columns (n, k) need no change, at the cost of one product; False where it takes a closer look."""
    square = np.einsum("ij,ij->j", design, design)
    size = np.sqrt(square / max(1, len(design)))
    if not np.all((size >= 1.0 / BAND) & (size <= BAND)):
        return False
    length = np.sqrt(square[movable])
    columns = design if movable.all() else design[:, movable]
    rest = (columns.T @ columns) / np.outer(length, length)
    for j in range(len(rest)):  # in any order: what is near a combination of some is near one of more
        if rest[j, j] < ZERO and bool(np.all((columns == 0.0) | (columns == 1.0))):
            continue  # products of zeros and ones are exact: this is a combination of the others
        if rest[j, j] < NEAR**2:
            return False
        rest = rest - np.outer(rest[j], rest[j]) / rest[j, j]
    return True


def centred_and_scaled(design: Array, movable: Array, unit: Array, last: int = -1) -> Columns:
    """The change that columns need.

    Parameters
    ----------
    design : (n, k) ndarray
    movable : (k,) bool ndarray
        Columns that may be combined with each other.
    unit : (k,) ndarray
        Units that are given; nan where they are free.
    last : int
        A column that no other is combined with, if any.
    """
    k = design.shape[1]
    size = np.array([root_mean_square(column) for column in design.T])
    constant = np.array([bool(np.all(column == column[0])) for column in design.T])
    order = sorted(range(k), key=lambda j: (j == last, not constant[j], j))
    part, units, inner = np.zeros((k, k)), np.ones(k), np.empty(design.shape)
    basis: list[int] = []
    for j in order:
        is_new, found = True, combination(design[:, j], size[j], inner, basis, constant) if movable[j] else None
        if found is not None:
            part[:, j], is_new = found
        inner[:, j] = rest_of(design[:, j], part[:, j], inner)
        units[j] = power_of_two(root_mean_square(inner[:, j])) if np.isnan(unit[j]) else unit[j]
        inner[:, j] /= units[j]
        if movable[j] and is_new:
            basis.append(j)
    return Columns(np.array(order, dtype=np.int64), part, units)


def rest_of(column: Array, part: Array, inner: Array) -> Array:
    """What is left of a column (n,) without its parts of inner columns; the largest goes first, which is exact."""
    parts = np.flatnonzero(part)
    size = [abs(part[i]) * float(np.max(np.abs(inner[:, i]), initial=0.0)) for i in parts]
    for i in parts[np.argsort(size)[::-1]]:
        column = column - part[i] * inner[:, i]
    return column


def combination(
    column: Array, size: float, inner: Array, basis: Sequence[int], constant: Array
) -> tuple[Array, bool] | None:
    """Parts (k,) of inner columns to subtract from a column, and whether it is none of their combinations.

    None where most of the column is left by them.
    """
    if not len(basis) or size == 0.0:
        return None
    before = np.array(basis)
    others = inner[:, before]
    length = np.sqrt(np.einsum("ij,ij->j", others, others))
    gram = (others.T @ others) / np.outer(length, length)
    part, left = np.zeros(inner.shape[1]), column
    for _ in range(PASSES):  # each finds what rounding has left of the last one
        part[before] += np.linalg.solve(gram, (others.T @ left) / length) / length
        left = rest_of(column, part, inner)
    rest = root_mean_square(left)
    if rest > NEAR * size:
        return None
    several = np.any(part[before[~constant[before]]] != 0.0)
    if rest <= (LOST if several else EXACT) * size:
        return at_constant(column, size, inner, before, constant), False
    sizes = length / np.sqrt(len(column))
    grain = 2.0 ** np.floor(np.log2(rest / (FINE * sizes)))
    part[before] = np.round(part[before] / grain) * grain
    return part, True


def at_constant(column: Array, size: float, inner: Array, before: Array, constant: Array) -> Array:
    """Parts (k,) of a column that is a combination of others: of the constant alone, where it is far from zero."""
    part = np.zeros(inner.shape[1])
    base = [i for i in before if constant[i]]
    spread = float(np.std(column))
    if base and EXACT * size < spread < NEAR * size:
        grain = 2.0 ** np.floor(np.log2(spread / FINE))
        part[base[0]] = np.round(float(np.mean(column)) / grain) * grain / inner[0, base[0]]
    return part
