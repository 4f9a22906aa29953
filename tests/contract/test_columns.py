"""Columns of a design in other coordinates, and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saem.families.linear.columns import Columns, are_plain, centred_and_scaled, power_of_two

FREE = np.ones(3, dtype=bool)
UNKNOWN = np.full(3, np.nan)


def changed(*columns: np.ndarray) -> tuple[np.ndarray, Columns]:
    design = np.column_stack(columns)
    k = design.shape[1]
    return design, centred_and_scaled(design, np.ones(k, dtype=bool), np.full(k, np.nan))


@settings(max_examples=50, deadline=None)
@given(
    where=st.floats(-1e9, 1e9),
    size=st.floats(1e-9, 1e9),
    seed=st.integers(0, 1000),
)
def test_there_and_back(where: float, size: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = where + size * rng.normal(size=20)
    if np.std(x) < 1e-6 * np.abs(x).max():
        return
    design, columns = changed(np.ones(20), x, rng.normal(size=20))
    inner = columns.apply(design)
    assert np.all(np.abs(inner @ columns.backward - design) <= 1e-14 * np.abs(design).max(axis=0))
    np.testing.assert_allclose(columns.forward @ columns.backward, np.eye(3), atol=1e-9)
    length = np.linalg.norm(inner, axis=0)
    assert np.linalg.cond(inner / length) < 100.0
    assert np.all((length / np.sqrt(20) < 2000.0) & (length / np.sqrt(20) > 1 / 2000.0))


def test_what_is_plain_stays_as_it_is() -> None:
    """To the bit: columns of zeros and ones, more of them than cells, and a covariate near zero."""
    a = np.repeat([1.0, 0.0], 10)
    b = np.tile([1.0, 0.0], 10)
    _, columns = changed(np.ones(20), a, b, a * b, a * (1 - b), np.arange(20.0))
    assert columns.is_same
    assert are_plain(np.column_stack([np.ones(20), np.arange(20.0)]), FREE[:2])
    assert not are_plain(np.column_stack([np.ones(20), 2000.0 + np.arange(20.0)]), FREE[:2])


def test_years_are_exact() -> None:
    """A year, its square and cube: what is left of each is a whole number of halves, without rounding."""
    year = np.repeat(np.arange(2010.0, 2020.0), 3)
    design, columns = changed(np.ones(30), year, year**2, year**3)
    inner = columns.apply(design)
    assert columns.mixes
    np.testing.assert_array_equal(inner[:, 1], year - columns.part[0, 1])
    assert np.linalg.cond(inner / np.linalg.norm(inner, axis=0)) < 10.0
    np.testing.assert_allclose(np.linalg.matrix_rank(inner), 4)


def test_the_order_is_free_but_for_the_last() -> None:
    """The constant may be left out of the others: then its own parameter is the one at zero."""
    design = np.column_stack([np.ones(20), 2000.0 + np.arange(20.0)])
    columns = centred_and_scaled(design, FREE[:2], UNKNOWN[:2], last=0)
    assert columns.part[1, 0] != 0.0 and columns.part[0, 1] == 0.0
    assert np.count_nonzero(columns.forward[0]) == 1


def test_fixed_columns_are_left_alone() -> None:
    design = np.column_stack([np.ones(20), 2000.0 + np.arange(20.0)])
    assert not centred_and_scaled(design, np.array([False, True]), UNKNOWN[:2]).mixes


def test_copies_are_no_new_columns() -> None:
    """A copy of a year is a combination of the others; it is brought near zero, too, and stays one."""
    year = 2010.0 + np.tile(np.arange(10.0), 2)
    design, columns = changed(np.ones(20), year, 3.0 * year)
    inner = columns.apply(design)
    assert np.linalg.matrix_rank(inner) == 2
    assert np.abs(inner[:, 2].mean()) < np.std(inner[:, 2])


@pytest.mark.parametrize(("size", "unit"), [(1.0, 1.0), (1000.0, 1.0), (1e9, 2.0**30), (1e-9, 2.0**-30), (0.0, 1.0)])
def test_units_are_powers_of_two(size: float, unit: float) -> None:
    assert power_of_two(size) == unit
