"""Draws of parameters and random effects together, against integration, closed forms, and calibration."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import log_expit

import saem
from saem import Bayes, Model
from saem.system.optional import quiet_import

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("nutpie") is None or importlib.util.find_spec("arviz") is None,
    reason="the extra 'bayes' is not installed",
)

Array = np.ndarray
SPREAD = 1.2  # of the prior of the standard deviation
BINARY = Model(
    family="glmm",
    cluster="id",
    predictor="y ~ 1",
    outcome={"distribution": "bernoulli"},
    priors={"intercept": "normal(0, 2)", "sd_intercept": f"half_normal({SPREAD})"},
)


@lru_cache
def binary_table() -> pd.DataFrame:
    """Six clusters of five rows: a skewed posterior."""
    successes = [0, 1, 2, 4, 5, 5]
    return pd.DataFrame({"id": np.repeat(np.arange(6), 5), "y": [int(k < n) for n in successes for k in range(5)]})


@lru_cache
def binary_fit() -> saem.Fit:
    return saem.fit(BINARY, binary_table(), Bayes(draws=1500), seed=1)


def moments(beta: Array, sd: Array) -> list[Array]:
    return [beta, beta**2, sd, sd**2, np.log(sd)]


def expectations(spread: float = SPREAD, jacobian: bool = True, width: float = 1.0) -> tuple[Array, Array]:
    """Of the moments, and of the random effects, by grids of the two parameters and of a random effect.

    Mutants have another prior, forget that the coordinate is the logarithm of the standard deviation, or give random
    effects another width.
    """
    beta, log_sd = np.linspace(-9.0, 9.0, 91), np.linspace(-7.0, 2.5, 96)
    u = np.linspace(-8.0, 8.0, 161)
    successes = binary_table().groupby("id")["y"].sum().to_numpy()
    b, s = (each.ravel() for each in np.meshgrid(beta, np.exp(log_sd), indexing="ij"))
    theta = width * s[:, None] * u
    eta, weights = b[:, None] + theta, stats.norm.pdf(u) * (u[1] - u[0])
    heights, means = stats.norm(0.0, 2.0).logpdf(b) + stats.halfnorm(scale=spread).logpdf(s) + jacobian * np.log(s), []
    for k in successes:
        density = np.exp(k * log_expit(eta) + (5 - k) * log_expit(-eta)) * weights
        heights = heights + np.log(density.sum(axis=1))
        means.append((density * theta).sum(axis=1) / density.sum(axis=1))
    posterior = np.exp(heights - heights.max())
    posterior /= posterior.sum()
    return np.array([posterior @ m for m in moments(b, s)]), np.array([posterior @ m for m in means])


def distances(fit: saem.Fit, expected: Array) -> Array:
    """Of the means of five moments from their expectations, in Monte Carlo errors."""
    arviz = quiet_import("arviz")
    draws = [fit.posterior.draws[:, :, fit.parameters.index(name)] for name in ("intercept", "sd_intercept")]
    errors = [float(arviz.mcse(arviz.convert_to_dataset({"m": each}))["m"]) for each in moments(*draws)]
    return np.array([m.mean() for m in moments(*draws)] - expected) / errors


def test_means_are_those_of_the_integral() -> None:
    """5 means within 4.5 Monte Carlo errors (a false alarm in 3e-5); 6 random effects within 0.06, 3 % of their SDs."""
    fit = binary_fit()
    expected, effects = expectations()
    assert fit.converged and np.max(np.abs(distances(fit, expected))) < 4.5
    np.testing.assert_allclose(fit.random_effects[:, 0], effects, atol=0.06)
    assert fit.random_effect_sds.shape == (6, 1) and fit.random_effect_sds.min() > 0.5


@pytest.mark.parametrize("mutant", [{"spread": 1.6}, {"jacobian": False}, {"width": 1.3}], ids=str)
def test_mutants_of_the_posterior_are_caught(mutant: dict[str, Any]) -> None:
    """The same draws do not pass for another prior, without the Jacobian, or with random effects of another width."""
    assert np.max(np.abs(distances(binary_fit(), expectations(**mutant)[0]))) > 4.5


def test_the_seed_decides_the_draws() -> None:
    """Bit for bit; and more chains change none of the first."""
    short = Bayes(chains=2, tune=150, draws=100)
    first, again, other = (saem.fit(BINARY, binary_table(), short, seed=seed) for seed in (3, 3, 4))
    assert first.posterior.draws.tobytes() == again.posterior.draws.tobytes()
    assert first.random_effects.tobytes() == again.random_effects.tobytes()
    assert first.posterior.draws.tobytes() != other.posterior.draws.tobytes()
    more = saem.fit(BINARY, binary_table(), replace(short, chains=3), seed=3)
    assert more.posterior.draws[:2].tobytes() == first.posterior.draws.tobytes()


PRIORS = {
    "level": "normal(4, 3)",
    "slope": "normal(0, 2)",
    "omega": "half_normal(1.5)",
    "tau": "half_normal(1)",
    "sigma": "half_normal(1)",
}


def growth(clusters: int = 10) -> pd.DataFrame:
    rng = np.random.default_rng(8)
    table = pd.DataFrame({"id": np.repeat(np.arange(clusters), 4), "t": np.tile([-1.0, 0.0, 1.0, 2.0], clusters)})
    level, slope = 5.0 + 0.9 * rng.standard_normal(clusters), 0.6 + 0.3 * rng.standard_normal(clusters)
    return table.assign(y=level[table["id"]] + slope[table["id"]] * table["t"] + 0.5 * rng.standard_normal(len(table)))


@pytest.mark.slow
@pytest.mark.parametrize("constraints", [{}, {"tie": "level == 4 + omega + sigma"}], ids=["free", "tied"])
def test_a_linear_model_has_the_posterior_of_the_linear_family(constraints: dict[str, str]) -> None:
    """Integrated out, and drawn: means and roots of variances within 4.5 errors of their differences.

    10 or fewer comparisons: a false alarm in 7e-5. Another prior of the slopes' standard deviation is told apart.
    """
    own = {name: text for name, text in PRIORS.items() if not (constraints and name == "level")}
    linear = Model(
        cluster="id",
        response="y",
        mean={"level": "1", "slope": "t"},
        random={"terms": {"one": "1", "t": "t"}, "sd": {"one": "omega", "t": "tau"}, "covariance": "diagonal"},
        residual={"sd": "sigma"},
        constraints=constraints,
        priors=own,
    )
    drawn = Model(
        family="nonlinear",
        cluster="id",
        response="y",
        columns=["t"],
        individual={"a": "normal(level, omega)", "b": "normal(slope, tau)"},
        outcome={"distribution": "normal", "mean": "a + b * t", "sd": "sigma"},
        constraints=constraints,
        priors=own,
    )
    table, arviz = growth(), quiet_import("arviz")
    exact = saem.fit(linear, table, Bayes(draws=3000), seed=1)

    def distance(model: Model) -> float:
        fit = saem.fit(model, table, Bayes(draws=3000), seed=2)
        assert fit.posterior.divergences == 0
        found = []
        for name in PRIORS:
            both = []
            for each in (exact, fit):
                draws = each.posterior.draws[:, :, each.parameters.index(name)]
                centred = (draws - exact.values[exact.parameters.index(name)]) ** 2
                errors = arviz.mcse(arviz.convert_to_dataset({"m": draws, "s": centred}))
                both.append([(draws.mean(), float(errors["m"])), (centred.mean(), float(errors["s"]))])
            found += [(a - b) / np.hypot(e, f) for (a, e), (b, f) in zip(*both, strict=True)]
        return float(np.max(np.abs(found)))

    mutant = drawn.replace(priors=own | {"tau": "half_normal(0.5)"})
    assert distance(drawn) < 4.5 < distance(mutant)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["saturation", "logistic"])
def test_ranks_of_the_truth_are_uniform(name: str) -> None:
    """100 data sets, 6 or 4 chi-square tests at 1e-4: a false alarm in 6e-4. Draws that are too narrow do not pass."""
    from experiments.programs import sbc

    fits: dict[int, saem.Fit] = {}

    def kept(model: Model, data: pd.DataFrame, seed: int) -> saem.Fit:
        fits[seed] = sbc.posterior(model, data, seed)
        return fits[seed]

    def too_narrow(model: Model, data: pd.DataFrame, seed: int) -> saem.Fit:
        fit = fits[seed]
        draws = fit.values + 0.5 * (fit.posterior.draws - fit.values)
        return replace(fit, posterior=replace(fit.posterior, draws=draws))

    assert sbc.calibrate(100, seed=1, name=name, draw=kept).table["p"].min() > 1e-4
    assert sbc.calibrate(100, seed=1, name=name, draw=too_narrow).table["p"].min() < 1e-4
