"""The long-run covariance of the complete-data score of dependent draws, against that of one long chain."""

from __future__ import annotations

import glmm_family
import numpy as np
import pytest

from saem.estep import score_noise as module
from saem.estep.samplers import adapt, drawing_of
from saem.estep.score_noise import batch_means, draw_each, score_noise, scores_of

X = np.array([0.4, 0.7, 0.9, 0.5, 0.3])
MANY = 40_000


def chain_of(sampler: str):
    """A chain of few clusters that has arrived, and adapts no more."""
    problem = glmm_family.slopes(n_clusters=4)
    chain = drawing_of(problem, sampler)
    draw_each(chain, X, np.random.default_rng(1), np.empty((500, problem.latent.n_statistics)))
    adapt(chain, False)
    return problem, chain


def ratios(sampler: str, seed: int) -> np.ndarray:
    """Standard errors (n,) of the mean score by batches, over those by batches of 200 draws of one chain.

    These are known to about 5 %, and the others, from 100 batches of each of four clusters, to 5 % or less.
    """
    problem, chain = chain_of(sampler)
    noise = score_noise(chain, X, np.random.default_rng(seed), 4, problem.latent.n_statistics).noise
    statistics = np.empty((MANY, problem.latent.n_statistics))
    draw_each(chain, X, np.random.default_rng(seed + 100), statistics)
    expected = batch_means(scores_of(problem.arrays, statistics, X).scores)
    return np.sqrt(np.diag(noise) / np.diag(expected))


@pytest.mark.parametrize("sampler", ["mixture", "walk"])
def test_noise_is_that_of_a_long_chain(sampler: str) -> None:
    """All within 30 %, more than four standard errors: a false alarm comes once in some thousand seeds."""
    found = ratios(sampler, seed=3)
    assert np.all((found > 0.7) & (found < 1.3)), found


def test_batches_that_stay_short_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A random walk remembers more than single draws tell."""
    monkeypatch.setattr(module, "SHORTEST", 1)
    monkeypatch.setattr(module, "LONGEST", 1)
    assert ratios("walk", seed=3).min() < 0.7


def test_the_mean_hessian_tells_what_is_missing() -> None:
    """Complete less observed information is the covariance of the score of single draws (Louis 1982), within 15 %."""
    problem, chain = chain_of("mixture")
    found = score_noise(chain, X, np.random.default_rng(5), 4, problem.latent.n_statistics)
    statistics = np.empty((MANY, problem.latent.n_statistics))
    draw_each(chain, X, np.random.default_rng(6), statistics)
    expected = scores_of(problem.arrays, statistics, X)
    size = np.sqrt(np.abs(np.diag(expected.hessian)))
    np.testing.assert_allclose(found.hessian / np.outer(size, size), expected.hessian / np.outer(size, size), atol=0.1)
