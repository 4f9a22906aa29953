"""Examples of linear models with several grouping factors, nested and crossed."""

from __future__ import annotations

import numpy as np
import pandas as pd

import saem
from saem.families import arrange, pose
from saem.families.problem import Problem

CROSSED = """
response = "y"
[mean]
mu = "1"
slope = "x"
[random.a]
cluster = "a"
[random.b]
cluster = "b"
terms = { intercept = "1", x = "x" }
"""
NESTED = """
response = "y"
[mean]
mu = "1"
slope = "x"
[random.a]
cluster = "a"
[random.ab]
cluster = ["a", "b"]
[residual]
by = "half"
[constraints]
tie = "sd_a == mu / 4"
"""


def table(seed: int = 3) -> pd.DataFrame:
    """48 rows of six and four levels."""
    rng = np.random.default_rng(seed)
    a, b = np.repeat(np.arange(6), 8), np.tile(np.arange(4), 12)
    rows = pd.DataFrame({"a": a, "b": b, "x": rng.uniform(-1.0, 1.0, 48), "half": np.arange(48) % 2})
    rows["y"] = 4.0 + rows.x + rng.normal(size=6)[a] + 0.7 * rng.normal(size=24)[4 * a + b] + 0.5 * rng.normal(size=48)
    return rows


def posed(text: str) -> Problem:
    """The problem of a model."""
    model = saem.Model.from_text(text)
    return pose(model, arrange(model, table()))


def problems() -> dict[str, Problem]:
    """Examples by name, for the checks that every family is held to."""
    return {"crossed": posed(CROSSED), "nested": posed(NESTED)}
