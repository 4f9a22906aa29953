"""E-steps that go wrong in ways that other programs have gone wrong in, and that are noticed.

Counts of a nonlinear model at their maximum by quadrature: there the complete-data score has mean zero given the data
(Fisher's identity), and the M-step at mean statistics stands still.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import nonlinear_family
import numpy as np
import pandas as pd
import pytest
from interpreted_core import Core
from nonlinear_family import Example

import saem
from saem.algorithms.engine import passes
from saem.algorithms.saem import SAEM
from saem.estep.samplers import own_copy
from saem.estep.score_noise import draw_each, scores_of
from saem.mstep.solver import Solver
from saem.schedules import AveragedSchedule
from saem.stopping import Target

RIGHT = "accumulate_prepared(arrays, x, cluster, prepared, kept, 1.0 / m, row)"
AVERAGED = "accumulate_prepared(arrays, x, cluster, prepared, kept.sum(axis=0).reshape((1, d)) / m, 1.0, row)"
MOST = 5.0  # Monte Carlo errors, of five parameters: a false alarm in less than 1e-4, by batch means of twenty


@cache
def counts() -> Example:
    """Twenty clusters, whose spreads are well above zero at the maximum."""
    model = nonlinear_family.counts().model
    rows = pd.DataFrame({"id": np.repeat(np.arange(20), 4), "x": np.tile([-1.0, 0.0, 0.5, 1.0], 20)})
    rows["group"] = np.where(rows["id"] % 2 == 0, "control", "ill")
    truth = {"m_control": 1.0, "m_ill": 0.9, "beta": 0.3, "omega_control": 0.6, "omega_ill": 0.9}
    return nonlinear_family.posed(model, saem.simulate(model, truth, rows, seed=4))


@cache
def top() -> np.ndarray:
    """The maximum by quadrature."""
    fit = saem.fit(counts().model, counts().table, "ml")
    assert not fit.at_boundary
    return np.asarray(fit.values)


@cache
def draws(n: int = 12_000) -> np.ndarray:
    """Statistics (n, s) of single draws at the maximum."""
    problem = counts().problem
    drawing, rng = own_copy(problem.arrays), np.random.Generator(np.random.SFC64(1))
    statistics = np.empty((n + n // 10, problem.latent.n_statistics))
    draw_each(drawing, top(), rng, statistics)
    return statistics[-n:]


def off(values: np.ndarray) -> float:
    """The mean (n,) of a series (N, n) from zero, at most, in its errors by 20 batches."""
    batches = np.array([part.mean(axis=0) for part in np.array_split(values, 20)])
    return float(np.max(np.abs(batches.mean(axis=0)) / (batches.std(axis=0, ddof=1) / np.sqrt(20))))


def argmax(statistics: np.ndarray) -> np.ndarray:
    """The M-step at statistics (s,)."""
    solver, x = Solver(counts().problem), top().copy()
    solver.maximise(solver.complete(statistics), x, solver.free)
    return x


def test_averaged_maximisers_are_not_the_maximiser_at_averaged_statistics() -> None:
    """The M-step at means of 600 draws stands still; the mean of the maximisers at single draws does not."""
    means = draws().reshape(20, 600, -1).mean(axis=1)
    assert off(np.array([argmax(mean) for mean in means]) - top()) < MOST
    assert off(np.array([argmax(single) for single in draws()]) - top()) > 1.5 * MOST


def scores_by(core: Core) -> np.ndarray:
    """Scores (100, n) at the maximum, each by the mean statistics of ten moves of an interpreted kernel."""
    problem, metropolis = counts().problem, core["saem.estep.metropolis"]
    drawing, rng = own_copy(problem.arrays), np.random.Generator(np.random.SFC64(2))
    statistics = np.empty((110, problem.latent.n_statistics))
    for row in statistics:
        metropolis.draw_all(drawing, top(), rng, 10, row)
        drawing.adapt(False)
    return np.asarray(scores_of(problem.arrays, statistics[10:], top()).scores)


def test_moves_that_are_averaged_before_their_squares_are_noticed() -> None:
    """Statistics of the mean of a cluster's moves have too small second moments."""
    assert off(scores_by(Core())) < MOST
    assert off(scores_by(Core("saem.estep.metropolis", RIGHT, AVERAGED))) > 1.5 * MOST


def scales_of(run: Any) -> np.ndarray:
    """What its kernel has adapted."""
    kernel = run.drawing.kernel
    return np.concatenate([kernel.log_scales.ravel(), kernel.shares.ravel()])


def test_adaptation_that_never_stops_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a kernel adapts is, at the end of a fit, what it was at the end of the burn-in."""
    problem = counts().problem
    method = SAEM(AveragedSchedule(burn_in=20, iterations=60, transient=10), target=Target(max_iterations=0))

    def change() -> float:
        engine = method.engine(problem, 3)
        chain = engine.begun(problem.starts.first, engine.iteration.nothing_pinned, True)
        engine.advance(chain, 20)
        before = scales_of(engine.iteration)
        engine.advance(chain, 60)
        return float(np.max(np.abs(scales_of(engine.iteration) - before)))

    assert change() == 0.0
    monkeypatch.setattr(passes, "adapt", lambda arrays, on: arrays.adapt(True))
    assert change() > 0.01
