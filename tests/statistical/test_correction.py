"""The second-order bias of averaged estimates: what it is, and that it is gone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from linear_family import example_table

import saem
from experiments.studies.problems import subjects
from saem import Model, recipes
from saem.algorithms.engine.correction import COMOMENT, correction, remember
from saem.algorithms.engine.iteration import Iteration
from saem.algorithms.independent_chains import IndependentChains, together
from saem.algorithms.saem import SAEM
from saem.estep.expectation import conditional_expectations
from saem.families import arrange, pose
from saem.maxima.information import observed_information
from saem.schedules import AveragedSchedule
from saem.stopping import Target

MODEL = Model.from_text(recipes.text("peptide"))
SLOPES = Model.from_text(recipes.text("random_slopes"))
TABLE = example_table(8, 1)


def test_the_bias_is_that_of_the_mean_expectation() -> None:
    """Beside the mean of E[S | y; x_k] over 4000 points around the estimate."""
    problem = pose(MODEL, arrange(MODEL, TABLE))
    ml = saem.fit(MODEL, TABLE, "ml")
    iteration = SAEM(augmentation="uncentred").iteration(problem, 0)  # more is missing, and the bias is larger
    around = np.random.default_rng(1).multivariate_normal(np.zeros(8), 0.0025 * ml.covariance, 2000)
    path = ml.values + np.vstack([around, -around]) + 0.004 * ml.se  # its mean is not the estimate either
    chain, centred = iteration.begin(ml.values), iteration.begin(ml.values)
    remember(chain, path)
    remember(centred, path - 0.004 * ml.se)
    step = correction(iteration, chain, ml.values).step
    here, *there = conditional_expectations(problem, np.vstack([ml.values, path]))
    solver = iteration.solver
    at = solver.derivatives(solver.complete(here), ml.values).gradient
    mean = solver.derivatives(solver.complete(np.mean(there, axis=0)), ml.values).gradient
    root = observed_information(problem, solver, ml.values, chain.pinned).root
    expected = root @ (root.T @ (at - mean))
    assert np.abs(expected / ml.se).max() > 0.01
    np.testing.assert_allclose(step / ml.se, expected / ml.se, rtol=0.05, atol=1e-3)
    without_the_mean = correction(iteration, centred, ml.values).step
    assert np.abs((without_the_mean - expected) / ml.se).max() > 2e-3  # a mutant


def biases(engine_corrects: bool, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Mean over 40 seeds of (estimate - maximum) / MCSE (n,), times the root of 40; large steps, few draws."""
    monkeypatch.setattr(Iteration, "corrects", engine_corrects)
    schedule = AveragedSchedule(iterations=3000, clock=100.0, draws=4)
    method = SAEM(schedule, target=Target(max_iterations=0), augmentation="uncentred")
    ml = saem.fit(MODEL, TABLE, "ml")
    fits = [saem.fit(MODEL, TABLE, method, seed=seed) for seed in range(40)]
    mcse = np.array([fit.mcse for fit in fits])
    moves = mcse.mean(axis=0) > 1e-6
    z = np.array([fit.values - ml.values for fit in fits])[:, moves] / mcse[:, moves]
    return np.asarray(np.sqrt(40) * z.mean(axis=0))


@pytest.mark.slow
def test_the_bias_is_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """4.5 standard errors in 7 parameters: false alarms below 1e-4 (spreads up to 1.1). The mutant leaves it in."""
    assert np.abs(biases(True, monkeypatch)).max() < 4.5
    assert np.abs(biases(False, monkeypatch)).max() > 12.0


def losses(near: float, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Log-likelihood (k,) that the correction gains in fits whose maximum is at or beside a correlation of one."""
    monkeypatch.setattr("saem.algorithms.engine.correction.NEAREST", near)
    monkeypatch.setattr("saem.algorithms.engine.correction.LARGEST", max(0.25, near))
    gains = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        effects = rng.normal(size=(10, 2)) @ np.linalg.cholesky([[625.0, 120.0], [120.0, 36.0]]).T
        rows = pd.DataFrame([(f"s{i}", float(d)) for i in range(10) for d in range(5)], columns=["Subject", "Days"])
        who = np.repeat(np.arange(10), 5)
        rows["Reaction"] = 250 + (10 + effects[who, 1]) * rows["Days"] + effects[who, 0] + 15 * rng.normal(size=50)
        problem = pose(SLOPES, arrange(SLOPES, rows))
        engine = SAEM().engine(problem, seed)
        run = engine.pass_through(problem.starts.first, engine.iteration.nothing_pinned)
        made = run.correction.step if run.correction.is_believed else 0.0
        gains.append(engine.iteration.loglik(run.x) - engine.iteration.loglik(run.x - made))
    return np.array(gains)


def test_no_step_is_made_near_a_boundary(monkeypatch: pytest.MonkeyPatch) -> None:
    """There the likelihood is not quadratic; the mutant, which knows no boundary, loses what matters."""
    assert losses(0.2, monkeypatch).min() > -0.01
    assert losses(np.inf, monkeypatch).min() < -0.02


def apart(fits: list[saem.Fit]) -> float:
    """How far pooled estimates are from the mean of their chains, in MCSE: the mean over fits, the worst parameter."""
    away = np.array([fit.values - fit.chains.mean(axis=0) for fit in fits])
    mcse = np.array([fit.mcse for fit in fits])
    moves = mcse.mean(axis=0) > 1e-6
    return float(np.abs((away[:, moves] / mcse[:, moves]).mean(axis=0)).max())


@pytest.mark.slow
def test_pooled_chains_are_corrected_for_the_spread_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are without bias, and nearly one (seeds are fixed). The mutant knows the spread within chains only."""
    tables = [subjects(50).table(seed) for seed in range(5)]

    def fits() -> list[saem.Fit]:
        schedule = AveragedSchedule(200, 1100, transient=100, latent=600)  # few draws lie far apart
        method = IndependentChains(SAEM(schedule, augmentation="uncentred"))
        return [saem.fit(subjects(50).model, table, method, seed) for seed, table in enumerate(tables)]

    assert apart(fits()) < 0.2

    def within(memories: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        found = together(memories)
        return found | {COMOMENT: np.sum([memory[COMOMENT] for memory in memories], axis=0)}

    monkeypatch.setattr("saem.algorithms.independent_chains.together", within)
    assert apart(fits()) > 0.35
