"""Means that are carried into the centres of random effects, so that SAEM is fast."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import saem
from saem.algorithms.saem import SAEM
from saem.families import arrange, carrying


def counts(seed: int = 0) -> tuple[saem.Model, pd.DataFrame]:
    """Counts whose trend is a cubic in time, of which intercept and slope differ between clusters."""
    rng = np.random.default_rng(seed)
    n, time = 60, np.tile(np.arange(8.0), 60)
    own = rng.multivariate_normal([0, 0], [[1, -0.1], [-0.1, 0.04]], size=n).repeat(8, axis=0)
    eta = 2 + 0.3 * time - 0.02 * time**2 + own[:, 0] + own[:, 1] * time
    table = pd.DataFrame({"y": rng.poisson(np.exp(eta)), "t": time, "id": np.arange(n).repeat(8)})
    return saem.Model.from_formula("y ~ t + I(t**2) + I(t**3) + (t | id)", distribution="poisson"), table


def test_saem_of_counts_is_fast_where_random_effects_nearly_span_the_means(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within 1000 iterations and 5 MCSE of the maximum, for two seeds; the executed mutant carries nothing."""
    said, table = counts()
    exact, short = saem.fit(said, table, method="ml"), SAEM(target=saem.Target(max_iterations=1000))
    for seed in range(2):
        found = saem.fit(said, table, method=short, seed=seed)
        assert found.status == "converged" and abs(exact.loglik - found.loglik) < 0.02
        away = (found.estimates["estimate"] - exact.estimates["estimate"]).abs() / found.estimates["mcse"]
        assert away.max() < 5.0
    monkeypatch.setattr(carrying, "ENOUGH", 0.0)
    assert saem.fit(said, table, method=short, seed=0).status != "converged"


def test_no_information_is_missing_where_the_shares_are_the_best() -> None:
    """At the laws of which they are made; those of exact centres, and of none, leave some missing."""
    said, table = counts()
    data = arrange(said, table)
    omega, variances = np.array([[1.0, -0.1], [-0.1, 0.04]]), np.full(len(table), 0.1)
    best = carrying.shares(data, omega, variances)
    assert carrying.left_of_information(data, best, omega, variances) == pytest.approx(1.0, abs=1e-8)
    others = carrying.centres_of(data), np.zeros_like(best), 1.1 * best
    assert all(carrying.left_of_information(data, where, omega, variances) < 0.99 for where in others)
