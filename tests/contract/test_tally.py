"""What is said of the fits of a run."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

from experiments.harness.tally import Tally


def results(*numbers: tuple[str, float, float, str]) -> list[Any]:
    """One fit each: its cell, two estimates, and how it ended."""
    return [
        SimpleNamespace(
            task=SimpleNamespace(cell=SimpleNamespace(key=cell)),
            records=[{"method": "ml", "status": status, "message": "no", "numbers": [(mu,), (phi,)]}],
        )
        for cell, mu, phi, status in numbers
    ]


def said(*numbers: tuple[str, float, float, str]) -> str:
    tally = Tally()
    tally.learn(results(*numbers), ("mu", "phi"))
    return "\n".join(tally.lines())


def test_what_the_models_of_a_cell_do_not_have_is_not_missing() -> None:
    assert said(("serial", 1.0, 0.3, "ok"), ("plain", 1.0, math.nan, "ok")) == ""
    found = said(("serial", 1.0, 0.3, "ok"), ("serial", 1.0, math.nan, "ok"), ("plain", 1.0, math.nan, "ok"))
    assert "1 of 2 fits that ended gave no finite estimate of phi" in found and "of mu" not in found


def test_what_no_cell_has_is_missing_and_failures_are_told_apart() -> None:
    assert "2 of 2 fits that ended gave no finite estimate of phi" in said(*[("a", 1.0, math.nan, "ok")] * 2)
    found = said(("a", 1.0, 0.1, "ok"), ("a", math.nan, math.nan, "error"))
    assert "1 of 2 fits failed" in found and "finite estimate" not in found
