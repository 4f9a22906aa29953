"""A search over nearly singular covariances that meets the end of the likelihood is a search that failed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import saem
from saem.families import arrange, pose
from saem.maxima.singular import climb_singular
from saem.mstep.solver import Solver


def posed() -> Any:
    """Three correlated random effects."""
    rng = np.random.default_rng(5)
    table = pd.DataFrame({"id": np.repeat(np.arange(10), 6), "x": np.tile(np.linspace(-1.0, 1.0, 6), 10)})
    own = rng.normal(size=(10, 3))[table["id"]]
    x = table["x"].to_numpy()
    table["y"] = own[:, 0] + own[:, 1] * x + own[:, 2] * x**2 + 0.3 * rng.normal(size=60)
    table["x2"] = x**2
    model = saem.Model(
        response="y",
        cluster="id",
        mean="y ~ x",
        random={
            "terms": {"level": "1", "slope": "x", "bend": "x2"},
            "sd": {"level": "s0", "slope": "s1", "bend": "s2"},
            "covariance": "full",
        },
    )
    return pose(model, arrange(model, table))


class Ending(Solver):
    """A likelihood that is finite where a search begins, and has no slope a step away."""

    def derivatives(self, objective: Any, x: np.ndarray, free: np.ndarray | None = None) -> Any:
        at = super().derivatives(objective, x, free)
        moved = not np.allclose(x, self.problem.starts.first)
        return replace(at, gradient=np.full_like(at.gradient, np.nan)) if moved else at


@pytest.mark.parametrize(("kind", "fails"), [(Solver, False), (Ending, True)])
def test_a_slope_that_is_not_finite_ends_the_search(kind: type[Solver], fails: bool) -> None:
    problem = posed()
    solver, x = kind(problem), problem.starts.first
    point, _, value, stationarity = climb_singular(problem, solver, x.copy(), np.zeros(len(x), dtype=bool))
    assert np.isfinite(point).all() and np.isfinite(value)
    assert np.isinf(stationarity) == fails
