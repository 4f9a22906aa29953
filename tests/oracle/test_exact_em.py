"""Exact EM: it climbs without a draw, to the maximum that direct ML finds; SQUAREM gets there in fewer E-steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from overidentified import STUDIES, direct, solved
from selecting import few

import saem
from saem.algorithms import exact_em
from saem.algorithms.engine.iteration import Iteration
from saem.algorithms.engine.passes import Engine
from saem.algorithms.exact_em import ExactEM
from saem.families import arrange, pose
from saem.families.problem import Problem
from saem.mstep.solver import Solver
from saem.system.streams import stream

INTERIOR = ["b21 = 0", "additive", "conservation", "two constraints", "means only", "scalar link"]


def posed(name: str) -> Problem:
    return pose(STUDIES[name].model, arrange(STUDIES[name].model, solved(name, 0)[0]))


def logliks(problem: Problem, path: np.ndarray) -> np.ndarray:
    solver = Solver(problem)
    return np.array([solver.derivatives(solver.observed(), x).value for x in path])


@pytest.mark.parametrize("accelerate", [True, False])
@pytest.mark.parametrize("name", few(INTERIOR, ["b21 = 0", "two constraints", "scalar link"]))
def test_it_reaches_the_maximum(name: str, accelerate: bool) -> None:
    exact = direct(name, 0)
    fit = saem.fit(STUDIES[name].model, solved(name, 0)[0], ExactEM(accelerate=accelerate))
    assert fit.status == exact.status == "converged"
    assert fit.loglik == pytest.approx(exact.loglik, abs=1e-9)
    free = ~exact.parameters.fixed
    np.testing.assert_array_less(np.abs(fit.values - exact.values)[free], 1e-4 * exact.se[free] + 1e-12)
    assert np.max(np.abs(fit.constraint_residuals)) < 1e-10
    assert (fit.mcse == 0.0).all() and fit.gradient_norm < 1e-6


@pytest.mark.parametrize("name", INTERIOR)
def test_the_likelihood_never_falls(name: str) -> None:
    """Along plain EM at every iteration; the mutant, one draw in place of the expectation, falls."""
    problem = posed(name)
    iteration = Iteration(problem, 1e-12, stream(0, "test"))
    start = iteration.iterate(iteration.begin(problem.starts.first), np.ones(1), np.zeros(1, dtype=np.int64))[0][-1]
    path = iteration.iterate(iteration.begin(start), np.ones(60), np.zeros(60, dtype=np.int64))[0]
    assert np.diff(logliks(problem, path)).min() > -1e-9
    drawn = iteration.iterate(iteration.begin(start), np.ones(60), np.ones(60, dtype=np.int64))[0]
    assert np.diff(logliks(problem, drawn)).min() < -1e-3


def test_acceleration_saves_most_e_steps() -> None:
    """The end points of the steps of SQUAREM climb too, and use at most a third of the E-steps here."""
    name = "conservation"
    problem = posed(name)
    plain = ExactEM(accelerate=False).run(problem)
    fast = ExactEM().run(problem)
    assert 3 * len(fast.path) < len(plain.path)
    values = logliks(problem, fast.path[1:])
    best = np.maximum.accumulate(values)
    assert (values > best - 0.5).all() and values[-1] == pytest.approx(best[-1], abs=1e-12)


def test_a_mutant_without_the_constraint_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """An M-step that leaves out the link ends elsewhere, off the constraint."""

    def unconstrained(engine: Engine, x: np.ndarray, pinned: np.ndarray, k: int) -> np.ndarray:
        one = engine.iteration
        return one.iterate(one.begin(x, pinned), np.ones(k), np.zeros(k, dtype=np.int64), constrained=False)[0]

    monkeypatch.setattr(exact_em, "expectation_maximisation", unconstrained)
    name = "b21 = 0, contradicted"
    fit = saem.fit(STUDIES[name].model, solved(name, 0)[0], ExactEM(max_iterations=2000))
    assert abs(fit.constraint_residuals[0]) > 0.1
    assert not fit.converged or abs(fit.loglik - direct(name, 0).loglik) > 0.1


@pytest.mark.parametrize("name", ["scalar link, at zero", "additive, no replicate variance"])
def test_zeros_are_found(name: str) -> None:
    for seed in range(2):
        exact = direct(name, seed)
        fit = saem.fit(STUDIES[name].model, solved(name, seed)[0], ExactEM())
        assert fit.status == exact.status and fit.at_boundary == exact.at_boundary
        assert fit.loglik == pytest.approx(exact.loglik, abs=1e-8)


def test_who_does_not_arrive_says_so() -> None:
    name = "scalar link, at zero"
    slow = saem.fit(STUDIES[name].model, solved(name, 0)[0], ExactEM(max_iterations=20))
    assert slow.status == "not_converged" and "goes to the boundary" in slow.message
    name = "conservation"
    short = saem.fit(STUDIES[name].model, solved(name, 0)[0], ExactEM(accelerate=False, max_iterations=2))
    assert short.status == "not_converged" and "below its maximum" in short.message
    assert len(short.path) == 4


def test_a_family_without_an_expectation_is_refused() -> None:
    from toy_family import linkage

    problem = linkage()
    with pytest.raises(saem.SaemError, match="needs a closed-form E-step and a marginal likelihood"):
        ExactEM().run(replace(problem, latent=replace(problem.latent, has_expectation=False)))
