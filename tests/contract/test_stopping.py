"""The rule to stop, by itself: both targets, the doubt about the deficit, and runs without a Monte Carlo error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from saem.stopping import Target, is_reached, misses_deficit, misses_error

TARGET = Target(mcse=0.05, deficit=0.01)


@dataclass(frozen=True)
class Known:
    """What is known of a run."""

    deficit: float = 0.005
    doubt: float = 0.0
    ratio: float = 0.04
    is_singular: bool = False
    reason: str = ""


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (Known(), True),
        (Known(deficit=0.02), False),
        (Known(doubt=0.006), False),
        (Known(ratio=0.06), False),
        (Known(deficit=np.nan), False),
        (Known(ratio=0.06, is_singular=True), True),
        (Known(ratio=np.nan), True),
    ],
)
def test_both_targets_count_with_their_noise(known: Known, expected: bool) -> None:
    for can_go_on in (True, False):
        assert is_reached(TARGET, known, can_go_on) == expected


def test_an_error_that_may_become_valid_is_waited_for() -> None:
    unsettled = Known(ratio=np.nan, reason="the start is not averaged out")
    assert not is_reached(TARGET, unsettled, can_go_on=True)
    assert is_reached(TARGET, unsettled, can_go_on=False)


def test_what_is_not_known_is_no_reached_deficit_and_no_missed_error() -> None:
    assert misses_deficit(TARGET, np.nan, 0.0) and not misses_error(TARGET, np.nan)
