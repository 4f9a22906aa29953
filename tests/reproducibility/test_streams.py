"""Random streams belong to what they are for."""

from __future__ import annotations

import numpy as np
import pytest

from saem.errors import SaemError
from saem.system.streams import derived_seed, spawn_key, stream


def test_a_stream_is_the_same_everywhere_and_always():
    """The numbers themselves: a change of the rule would silently change every published result."""
    assert spawn_key("by", "site=Q9") == (1793946757, 1190365180, 1254174895, 3346252834)
    assert derived_seed(0, "by", "site=Q9") == 5340604386036232485
    assert stream(0, "data").integers(0, 2**32, 3).tolist() == [90096406, 821313232, 2517900075]


def test_streams_of_different_meaning_or_root_differ():
    draws = [stream(seed, *meaning).standard_normal() for seed in (0, 1) for meaning in (("a",), ("b",), ("a", "b"))]
    assert len(set(draws)) == 6


def test_two_streams_look_independent():
    a, b = (stream(0, "level", str(i)).standard_normal(20_000) for i in range(2))
    assert abs(np.corrcoef(a, b)[0, 1]) < 4 / np.sqrt(20_000)


def test_derived_seeds_fit_everywhere():
    seeds = [derived_seed(2**100, str(i)) for i in range(200)]
    assert len(set(seeds)) == 200 and all(0 <= seed < 2**63 for seed in seeds)
    assert isinstance(seeds[0], int)


@pytest.mark.parametrize("seed", [-1, 0.5, "1", None, True])
def test_what_is_no_seed(seed):
    with pytest.raises(SaemError, match="seed must be a whole number, 0 or larger"):
        stream(seed, "data")


def test_numpy_integers_are_seeds():
    assert derived_seed(np.int64(3), "a") == derived_seed(3, "a")
