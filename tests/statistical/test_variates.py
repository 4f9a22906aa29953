"""Draws that depend on each other within an iteration: exact one by one, with a smaller variance of their mean."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from drawing import drawn, expected
from linear_family import example_table, examples
from scipy.special import ndtri
from scipy.stats import kstest

import saem
from saem import recipes
from saem.algorithms.accuracy import precision
from saem.algorithms.saem import SAEM
from saem.algorithms.stochastic_newton import StochasticNewton
from saem.errors import ModelError
from saem.families import Model, arrange, pose
from saem.families.linear.variates import ANTITHETIC, LATTICE, fill_normals, lattice_steps, normal_quantile
from saem.schedules import AveragedSchedule
from saem.stopping import Target
from saem.system.jit import entry

MODEL = Model.from_text(recipes.text("peptide"))
EXAMPLES = ("balanced", "correlated slopes", "slopes by arm and device")


@entry
def quantiles(u, out):
    """Write the normal quantiles of ``u``."""
    for i in range(u.shape[0]):
        out[i] = normal_quantile(u[i])


@entry
def normals(variates, rng, out):
    """Write the draws (N, m, q) of ``N`` clusters."""
    n, m, q = out.shape
    steps, point = np.empty(q), np.empty(q)
    lattice_steps(q, steps)
    for c in range(n):
        normal = np.empty(q)
        for i in range(m):
            fill_normals(variates, i, m, rng, steps, point, normal)
            out[c, i] = normal


def test_quantiles_are_those_of_the_normal_law() -> None:
    u = np.concatenate([np.linspace(1e-6, 1.0 - 1e-6, 2001), np.geomspace(1e-15, 1e-3, 50), [0.5, 0.075, 0.925]])
    out = np.empty_like(u)
    quantiles(u, out)
    np.testing.assert_allclose(out, ndtri(u), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("variates", [ANTITHETIC, LATTICE])
@pytest.mark.parametrize("q", [1, 2, 3])
def test_every_draw_is_standard_normal(variates: int, q: int) -> None:
    """First, third and last of 12 draws of 3000 clusters, coordinate by coordinate; false alarms 1e-6 in each."""
    out = np.empty((3000, 12, q))
    normals(variates, np.random.Generator(np.random.SFC64(5)), out)
    for i in (0, 2, 11):
        assert min(kstest(out[:, i, j], "norm").pvalue for j in range(q)) > 1e-6
        correlation = np.corrcoef(out[:, i].T) - np.eye(q) if q > 1 else np.zeros((1, 1))
        assert np.abs(correlation).max() < 5.0 / np.sqrt(3000)


@pytest.mark.parametrize("sampler", ["antithetic", "lattice"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_means_over_dependent_draws_are_unbiased(name: str, sampler: str) -> None:
    """1500 means over 6 draws, within 4.9 standard errors: some 30 statistics, false alarms below 1e-4."""
    example = examples()[name]
    problem = replace(example.problem, arrays=example.problem.latent.samplers[sampler](example.problem.arrays))
    means = drawn(problem, example.x, 1500, m=6, seed=2)
    error = means.std(axis=0) / np.sqrt(len(means))
    moves = error > 1e-12
    assert np.abs((means.mean(axis=0) - expected(problem, example.x))[moves] / error[moves]).max() < 4.9


def test_variances_are_smaller() -> None:
    """Of means over 24 draws, as shares of those of independent ones."""
    example = examples()["balanced"]
    problem, x = example.problem, example.x
    plain = drawn(problem, x, 1500, m=24, seed=3).var(axis=0)
    moves = plain > 1e-20
    share = {}
    for sampler in ("antithetic", "lattice"):
        other = replace(problem, arrays=problem.latent.samplers[sampler](problem.arrays))
        share[sampler] = drawn(other, x, 1500, m=24, seed=3).var(axis=0)[moves] / plain[moves]
    p = len(problem.arrays.mean_index)
    assert share["antithetic"][: p - 2].max() < 1e-20  # linear in the normals
    assert share["antithetic"].max() < 2.3  # pairs carry as much as one draw where only squares matter
    assert share["lattice"].max() < 0.15


def spread(sampler: str | None, seeds: int = 60) -> float:
    """Root mean square of (estimate - maximum) / MCSE over parameters and seeds."""
    table = example_table(12, 1)
    problem = pose(MODEL, arrange(MODEL, table))
    ml = saem.fit(MODEL, table, "ml").values
    method = SAEM(AveragedSchedule(draws=8, clock=10.0), target=Target(max_iterations=0), sampler=sampler, search=False)
    outcomes = [method.run(problem, seed) for seed in range(seeds)]
    mcse = np.array([outcome.mcse for outcome in outcomes])
    moves = mcse.mean(axis=0) > 1e-8
    z = np.array([outcome.x - ml for outcome in outcomes])[:, moves] / mcse[:, moves]
    return float(np.sqrt(np.mean(z**2)))


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["antithetic", "lattice"])
def test_monte_carlo_errors_know_the_dependence(sampler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 7 parameters, about 4 of them independent, and 60 seeds: beyond 0.8 to 1.25 with a probability below 1e-4."""
    assert 0.8 < spread(sampler) < 1.25
    honest = precision.noise_of_means
    factor = {"antithetic": 0.25, "lattice": 16.0}[sampler]  # a mutant: the errors of another number of draws
    monkeypatch.setattr(precision, "noise_of_means", lambda *arguments: factor * honest(*arguments))
    assert not 0.8 < spread(sampler, 20) < 1.25


def test_methods_that_look_at_single_draws_refuse_them() -> None:
    example = examples()["balanced"]
    with pytest.raises(ModelError, match="takes draws one by one; sampler 'lattice' has them depend on each other"):
        StochasticNewton(sampler="lattice").run(example.problem)
    with pytest.raises(ModelError, match="there is no sampler 'sobol'"):
        SAEM(sampler="sobol").run(example.problem)
