"""What is done once for many clusters: what is kept from one to the next, and sums without random effects."""

from __future__ import annotations

import nonlinear_family
import numpy as np
import pytest
from interpreted_core import Core
from nonlinear_family import Example

PREPARED, START = "saem.families.nonlinear.prepared", "saem.families.nonlinear.start"
NAMES = ("absorption", "counts", "trial")


def check_prepared(example: Example, core: Core) -> None:
    """What is prepared for a cluster after the one before it is what is prepared from nothing."""
    arrays, x, before = example.arrays, example.x, -1
    length = core[PREPARED].prepared_length(arrays)
    kept, new = np.zeros((2, length))
    for cluster in range(len(arrays.group)):
        assert core[PREPARED].prepare_cluster(arrays, x, cluster, before, kept)
        assert core[PREPARED].prepare_cluster(arrays, x, cluster, -1, new)
        np.testing.assert_array_equal(kept, new)
        before = cluster


def check_pooled(example: Example, core: Core) -> None:
    """Value and gradient are those of the rows written out, at the centres; of all clusters, and of some."""
    arrays, x, n = example.arrays, example.x * 1.1, len(example.x)
    gradient, found = np.empty(n), core[START]

    def written(at: np.ndarray, clusters: np.ndarray) -> float:
        return float(example.rows(at, example.centres(at))[clusters].sum())

    for clusters in (np.arange(len(arrays.group)), np.array([0, 3])):
        value = found.add_pooled(arrays, clusters, x, n, gradient)
        assert value == pytest.approx(written(x, clusters), rel=1e-10)
        assert found.add_pooled(arrays, clusters, x, 0, gradient) == pytest.approx(value, rel=1e-12)
        step = 1e-5
        slopes = [
            (written(x + step * unit, clusters) - written(x - step * unit, clusters)) / (2 * step) for unit in np.eye(n)
        ]
        np.testing.assert_allclose(gradient, slopes, rtol=1e-6, atol=1e-5)


def check_carry(example: Example, core: Core) -> None:
    """Random effects at other parameters have the individual parameters that they had."""
    arrays, x, d = example.placed(), example.x, example.arrays.sd_index.shape[1]
    length = core[PREPARED].prepared_length(arrays)
    prepared, last, matrix, v = np.zeros(length), np.zeros(length), np.zeros((d + 1, d)), 1.0 + np.arange(float(d))
    other = x * (1.0 + 0.1 * np.random.default_rng(3).uniform(size=len(x)))

    def coordinates(at: np.ndarray, effects: np.ndarray) -> np.ndarray:
        return example.centres(at)[2] + np.linalg.cholesky(example.covariances(at)[2]) @ effects

    for place, room in ((other, prepared), (x, last)):
        core[PREPARED].prepare_cluster(arrays, place, 2, -1, room)
    assert core[PREPARED].carry_coordinates(arrays, 2, prepared, last, matrix)
    u = matrix[:d].T @ v + matrix[d]
    np.testing.assert_allclose(coordinates(other, u), coordinates(x, v), rtol=1e-10)
    assert not core[PREPARED].carry_coordinates(example.arrays, 2, prepared, last, matrix)  # the effects stay


@pytest.mark.parametrize("check", [check_prepared, check_pooled, check_carry])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_done_for_many_clusters_is_right_for_each(check, name: str) -> None:
    check(nonlinear_family.EXAMPLES[name](), Core())


@pytest.mark.parametrize(
    ("check", "module", "right", "wrong", "name"),
    [
        (check_prepared, PREPARED, "before >= 0 and groups[before] == group", "before >= 0", "counts"),
        (check_carry, PREPARED, "value -= prepared[j * d + i] * matrix[k, i]", "value -= 0.0", "absorption"),
        (check_carry, PREPARED, "last[at + j] - prepared[at + j]", "0.0", "counts"),
        (check_pooled, START, "pulls[k] += arrays.basis[cluster, k] *", "pulls[k] +=", "absorption"),
        (check_pooled, START, "z[arrays.term_effect[k]] +=", "z[arrays.term_effect[k]] =", "counts"),
        (check_pooled, START, "gradient[arrays.rows.curved[j]] +=", "gradient[j] +=", "counts"),
    ],
)
def test_a_mutant_is_noticed(check, module: str, right: str, wrong: str, name: str) -> None:
    with pytest.raises(AssertionError):
        check(nonlinear_family.EXAMPLES[name](), Core(module, right, wrong))
