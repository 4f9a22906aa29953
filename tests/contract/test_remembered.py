"""What is kept by content: never the result of other arguments, and arithmetic that is LAPACK's to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import saem
from saem.families.linear import patterns
from saem.families.linear.stacks import eigen, pseudo_inverse, solve
from saem.system.remembered import KEPT, LARGEST, remembered

Array = np.ndarray


def counting() -> tuple[Any, list[int]]:
    calls: list[int] = []

    @remembered
    def total(values: Array, factor: int = 1) -> Array:
        calls.append(1)
        return np.asarray(factor * values.sum())

    return total, calls


def test_only_equal_arguments_are_the_same() -> None:
    total, calls = counting()
    values = np.arange(6.0)
    assert total(values, 2) is total(values.copy(), 2) and len(calls) == 1
    others = [(values, 3), (values.reshape(2, 3), 2), (values.astype(np.int64), 2), (np.append(values[:5], 7.0), 2)]
    for arguments in others:
        assert total(*arguments) == arguments[1] * arguments[0].sum()
    assert len(calls) == 1 + len(others)
    values[0] = 1.0  # changed in place
    assert total(values, 2) == 32.0


def test_few_results_are_kept_and_no_large_ones() -> None:
    total, calls = counting()
    for i in range(KEPT + 1):
        total(np.array([float(i)]))
    total(np.array([1.0]))  # was used last but one, and stays
    assert len(calls) == KEPT + 1
    total(np.array([0.0]))
    assert len(calls) == KEPT + 2
    large = np.zeros(LARGEST // 8 + 1)
    assert total(large) == total(large) == 0.0 and len(calls) == KEPT + 4


def tables() -> list[pd.DataFrame]:
    """Designs of one shape: other clusters, another covariate, another group, and the first with another response."""
    rng = np.random.default_rng(0)
    first = pd.DataFrame(
        {"id": np.repeat(np.arange(8), 3), "x": np.tile([0.0, 1.0, 2.0], 8), "f": ["a"] * 12 + ["b"] * 12}
    )
    own = rng.normal(size=8)[first["id"]]
    first["y"] = own + rng.normal(size=24)
    other = first.assign(y=own + rng.normal(size=24))
    clusters = first.assign(id=np.tile(np.arange(8), 3), f=np.tile(["a", "b"], 12))
    return [first, first.assign(x=np.tile([0.0, 1.0, 5.0], 8)), clusters, first.assign(f=["a", "a", "b"] * 8), other]


def fits() -> list[Array]:
    model = saem.Model(mean="y ~ x + f", response="y", cluster="id")
    return [np.append(fit.values, fit.loglik) for fit in (saem.fit(model, table, "ml") for table in tables())]


def test_a_fit_does_not_depend_on_those_before(monkeypatch: pytest.MonkeyPatch) -> None:
    first = fits()
    np.testing.assert_array_equal(first, fits())
    monkeypatch.setattr(patterns, "layout_of", patterns.layout_of.__wrapped__)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(first, fits())


def test_a_memory_of_shapes_alone_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mutant: the layout of the first design for all of its shape."""
    right, kept = fits(), {}
    layout_of = patterns.layout_of

    def by_shape(*arguments: Any) -> Any:
        return kept.setdefault(arguments[0].shape, layout_of(*arguments))

    monkeypatch.setattr(patterns, "layout_of", by_shape)
    with pytest.raises((saem.SaemError, AssertionError)):
        np.testing.assert_allclose(fits(), right, rtol=1e-3)


@pytest.mark.parametrize("q", [1, 2])
def test_stacks_of_small_matrices(q: int) -> None:
    rng = np.random.default_rng(1)
    root = rng.normal(size=(50, q, q)) * np.exp(rng.normal(0.0, 5.0, (50, 1, 1)))
    matrices, right = root @ np.swapaxes(root, 1, 2), rng.normal(size=(50, q, q))
    np.testing.assert_array_equal(solve(matrices, right), np.linalg.solve(matrices, right))
    np.testing.assert_array_equal(pseudo_inverse(matrices), np.linalg.pinv(matrices, hermitian=True))
    for found, known in zip(eigen(matrices), np.linalg.eigh(matrices), strict=True):
        np.testing.assert_array_equal(found, known)
    assert not pseudo_inverse(np.zeros((1, q, q))).any()
