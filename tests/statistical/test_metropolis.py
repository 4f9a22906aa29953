"""A family drawn by Metropolis-Hastings: its draws, against quadrature, and what EM makes of them.

The Bernoulli outcome with a random intercept (Booth & Hobert 1999). All references are by quadrature and differences
of the marginal log-likelihood, so that no identity that is tested is used. The chain is thinned to every 15th sweep:
the autocorrelation of a random intercept is 0.64 from one sweep to the next, and below 0.002 then.

False alarms: about 45 Kolmogorov-Smirnov tests at the level 1e-6 and about 70 z-values at |z| > 5, each 6e-7 or, for
products, some times that: below 10^-3 for the file, and none for the seeds in it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bernoulli_family import bernoulli, booth_hobert, fill_polya_gamma, simulated
from bernoulli_referee import (
    Marginal,
    differences,
    polya_gamma_cdf,
    polya_gamma_mean,
    polya_gamma_transform,
    polya_gamma_variance,
)
from scipy.optimize import minimize_scalar
from scipy.stats import kstest
from selecting import few

from saem.algorithms.saem import SAEM
from saem.estep.samplers import own_copy
from saem.families.contract import draw
from saem.families.problem import Problem
from saem.mstep.solver import Solver
from saem.schedules import AveragedSchedule
from saem.stopping import Target
from saem.system.jit import entry

FILE = Path(__file__).resolve().parents[3] / "shared" / "data" / "booth_hobert.csv"
needs_file = pytest.mark.skipif(
    not FILE.exists(), reason="the benchmark of Booth & Hobert, ../shared/data, is not here"
)
PLACES = {"truth": np.array([2.0, 1.2]), "elsewhere": np.array([1.0, 2.0])}
N, THIN = 4000, 15


def check_mean(values: np.ndarray, mean: np.ndarray, what: str) -> None:
    """Independent values (N, ...) have this mean, |z| < 5."""
    z = (values.mean(axis=0) - mean) / (values.std(axis=0) / np.sqrt(len(values)))
    assert np.abs(z).max() < 5, f"{what} is off: largest |z| {np.abs(z).max():.1f}"


# The reference itself


@needs_file
def test_the_reference_is_that_of_the_benchmark():
    marginal = Marginal.of(pd.read_csv(FILE))
    x = marginal.maximum()
    assert [x[0], x[1] ** 2] == pytest.approx([6.132163, 1.766461], abs=6e-7)
    assert marginal.loglik(x) == pytest.approx(-44.05626, abs=6e-6)


# Pólya-Gamma variables


def polya_gamma_draws(c: np.ndarray, seed: int) -> np.ndarray:
    """Draws by the family's sampler, in the shape of ``c``."""
    values = np.empty(c.size)
    fill_polya_gamma(c.ravel(), np.random.Generator(np.random.SFC64(seed)), values)
    return values.reshape(c.shape)


def check_polya_gamma(values: np.ndarray, c: float) -> None:
    """Mean, variance, Laplace transform and distribution function."""
    mean = float(polya_gamma_mean(np.array(c)))
    check_mean(values, mean, "the mean")
    check_mean((values - mean) ** 2, polya_gamma_variance(c), "the variance")
    for t in (0.5, 5.0, 50.0):
        check_mean(np.exp(-t * values), polya_gamma_transform(c, t), "the Laplace transform")
    assert kstest(values, lambda v: polya_gamma_cdf(c, v)).pvalue > 1e-6, "the distribution is off"


# 3.12 and 3.13 lie on both sides of where the sampler changes its method
@pytest.mark.parametrize("c", [0.0, 0.4, -1.5, 3.12, 3.13, 6.0, 20.0])
def test_polya_gamma_draws_have_their_distribution(c):
    check_polya_gamma(polya_gamma_draws(np.full(40_000, c), seed=1), c)


@pytest.mark.parametrize("c", [1.5, 6.0])
@pytest.mark.parametrize("mutant", ["a finite sum", "no tilt"])
def test_wrong_polya_gamma_draws_are_noticed(mutant, c):
    """Five terms of the sum of exponentials; draws from PG(1, 0)."""
    rng = np.random.default_rng(2)
    if mutant == "a finite sum":
        weights = 1 / ((np.arange(5) + 0.5) ** 2 + (c / (2 * np.pi)) ** 2) / (2 * np.pi**2)
        values = rng.standard_exponential((40_000, 5)) @ weights
    else:
        values = polya_gamma_draws(np.zeros(40_000), seed=1)
    with pytest.raises(AssertionError, match="is off"):
        check_polya_gamma(values, c)


# The complete-data likelihood


def statistics_of(marginal: Marginal, u: np.ndarray, omega: np.ndarray) -> np.ndarray:
    """S (K, 3) at random intercepts u (n, K) and omega (n, K, J)."""
    x, omega = marginal.x[:, None, :], marginal.there[:, None, :] * omega
    slope = marginal.there[:, None, :] * (marginal.y[:, None, :] - 0.5) - omega * u[:, :, None]
    return np.stack([(slope * x).sum(axis=(0, 2)), (omega * x**2).sum(axis=(0, 2)), (u**2).sum(axis=0)], axis=-1)


def test_the_complete_data_likelihood_is_that_of_its_statistics():
    """``complete`` is log p(y, omega, u) written out row by row, up to a constant, with its derivatives."""
    marginal = Marginal.of(simulated())
    rng = np.random.default_rng(3)
    u, omega = rng.standard_normal((len(marginal.x), 1)), rng.random((*marginal.x.shape[:1], 1, marginal.x.shape[1]))

    def written_out(point: np.ndarray) -> float:
        eta = marginal.predictor(point, u)
        rows = marginal.there[:, None, :] * ((marginal.y[:, None, :] - 0.5) * eta - omega * eta**2 / 2)
        return float(rows.sum() - np.sum(np.log(point[1]) + u**2 / (2 * point[1] ** 2)))

    solver = Solver(bernoulli(simulated()))
    objective = solver.complete(statistics_of(marginal, u, omega)[0])
    points = np.array([[2.0, 1.2], [-0.5, 0.3], [4.0, 2.5]])
    values = [solver.derivatives(objective, x).value for x in points]
    np.testing.assert_allclose(np.diff(values), np.diff([written_out(x) for x in points]), rtol=1e-12)
    for x in points:
        at = solver.derivatives(objective, x)
        np.testing.assert_allclose(at.gradient, differences(written_out, x), rtol=1e-7)
        hessian = differences(lambda z: differences(written_out, z), x)
        np.testing.assert_allclose(at.hessian, hessian, rtol=1e-5, atol=1e-5)


# The chain


@entry
def fill_chain(arrays, x, rng, thin, states, statistics):
    """Go on with a chain; write every ``thin``-th state and the statistics that were drawn with it."""
    for k in range(len(states)):
        draw(arrays, x, rng, thin - 1, statistics[k])
        draw(arrays, x, rng, 1, statistics[k])
        states[k] = arrays.latent


@cache
def chain(place: str, off: float = 1.0) -> tuple[np.ndarray, np.ndarray, float]:
    """States (N, n), statistics (N, 3) and the rate of acceptance of a thinned chain; parameters may be off."""
    problem = bernoulli(simulated())
    arrays, rng = own_copy(problem.arrays), np.random.Generator(np.random.SFC64(4))
    states, statistics = np.empty((N, problem.latent.size)), np.empty((N, 3))
    x = off * PLACES[place]
    fill_chain(arrays, x, rng, THIN, states[:10], statistics[:10])  # burn-in
    arrays.acceptance[:] = 0.0
    fill_chain(arrays, x, rng, THIN, states, statistics)
    return states, statistics, arrays.acceptance[0] / arrays.acceptance[1]


def check_states(states: np.ndarray, point: np.ndarray) -> None:
    """Random intercepts (N, n) are distributed as they are given the data, cluster by cluster."""
    distributions = Marginal.of(simulated()).distributions(point)
    uniform = np.array([distribution(u) for distribution, u in zip(distributions, states.T, strict=True)])
    for i, values in enumerate(uniform):
        assert kstest(values, "uniform").pvalue > 1e-6, f"the distribution of intercept {i} is off"
    check_mean((uniform.ravel() - 0.5) ** 2, 1 / 12, "the spread of the intercepts")  # all clusters at once


@pytest.mark.parametrize("place", few(PLACES, ["truth"]))
def test_the_chain_has_the_conditional_distribution(place):
    states, statistics, rate = chain(place)
    check_states(states, PLACES[place])
    check_mean(statistics, Marginal.of(simulated()).statistics(PLACES[place]), "E[S | y]")
    assert 0.3 < rate < 0.5


@pytest.mark.slow
def test_a_chain_at_other_parameters_is_noticed():
    """Mutant: parameters that are 10 % off."""
    states, statistics, _ = chain("truth", off=1.1)
    with pytest.raises(AssertionError, match="is off"):
        check_states(states, PLACES["truth"])
    with pytest.raises(AssertionError, match="is off"):
        check_mean(statistics, Marginal.of(simulated()).statistics(PLACES["truth"]), "E[S | y]")


# The naive twin: many chains at once, each with one state at its end. And its mutants.


def correct(marginal, point, u, proposal):
    return marginal.log_joint(point, proposal) - marginal.log_joint(point, u)


def prior_is_forgotten(marginal, point, u, proposal):
    """Wrong: the ratio of the likelihoods alone."""
    flat = np.array([point[0], 1e6])
    return marginal.log_joint(flat, proposal) - marginal.log_joint(flat, u)


def ratio_to_a_power(marginal, point, u, proposal):
    """Wrong: a chain at another temperature."""
    return 0.9 * correct(marginal, point, u, proposal)


def sign_of_the_prior(marginal, point, u, proposal):
    """Wrong by a little: the prior's mean is 0.2 standard deviations off."""
    return correct(marginal, point, u, proposal) + 0.2 * (proposal - u) / point[1]


def one_spread(u):
    return 1.0


def spread_by_state(u):
    """Wrong with a ratio for symmetric proposals."""
    return np.exp(0.25 * u)


def twin(ratio, spread=one_spread, n: int = 2500, sweeps: int = 30) -> np.ndarray:
    """States (n, n_clusters) of independent chains at the first place."""
    marginal, point, rng = Marginal.of(simulated()), PLACES["truth"], np.random.default_rng(5)
    _, sd = marginal.centre(point)
    u = np.zeros((len(marginal.x), n))
    for _ in range(sweeps):
        proposal = u + 2.4 * sd * spread(u) * rng.standard_normal(u.shape)
        u = np.where(np.log(rng.random(u.shape)) < ratio(marginal, point, u, proposal), proposal, u)
    return u.T


def test_the_check_accepts_the_naive_twin():
    check_states(twin(correct), PLACES["truth"])


WRONG = [
    (prior_is_forgotten, one_spread),
    (ratio_to_a_power, one_spread),
    (sign_of_the_prior, one_spread),
    (correct, spread_by_state),
]


@pytest.mark.parametrize(("ratio", "spread"), few(WRONG, WRONG[-1:]))
def test_wrong_acceptance_ratios_are_noticed(ratio, spread):
    with pytest.raises(AssertionError, match="is off"):
        check_states(twin(ratio, spread), PLACES["truth"])


# Identities of EM, by draws


def check_identities(statistics: np.ndarray, place: str) -> None:
    """Score and observed information (Fisher 1925; Louis 1982), from drawn statistics (N, 3)."""
    marginal, x = Marginal.of(simulated()), PLACES[place]
    solver = Solver(bernoulli(simulated()))
    drawn = [solver.derivatives(solver.complete(s), x) for s in statistics]
    scores = np.array([at.gradient for at in drawn])
    check_mean(scores, marginal.score(x), "the score")
    deviations = scores - scores.mean(axis=0)
    information = -np.array([at.hessian for at in drawn]) - deviations[:, :, None] * deviations[:, None, :]
    check_mean(information, marginal.information(x), "the information")


@pytest.mark.parametrize("place", few(PLACES, ["truth"]))
def test_drawn_statistics_satisfy_the_identities_of_em(place):
    check_identities(chain(place)[1], place)


def test_expected_weights_lose_information():
    """Mutant: omega replaced by its expectation given u. The score stays right, the information does not."""
    marginal, x = Marginal.of(simulated()), PLACES["truth"]
    u = chain("truth")[0].T
    eta = marginal.predictor(x, u)
    check_identities(statistics_of(marginal, u, polya_gamma_draws(eta, seed=6)), "truth")
    with pytest.raises(AssertionError, match="the information is off"):
        check_identities(statistics_of(marginal, u, polya_gamma_mean(eta)), "truth")


def test_draws_of_omega_for_other_intercepts_are_noticed():
    """Mutant: omega drawn given eta without the random intercept."""
    marginal, x = Marginal.of(simulated()), PLACES["truth"]
    u = chain("truth")[0].T
    omega = polya_gamma_draws(marginal.predictor(x, 0 * u), seed=6)
    with pytest.raises(AssertionError, match="the score is off"):
        check_identities(statistics_of(marginal, u, omega), "truth")


# SAEM

QUICK = SAEM(AveragedSchedule(burn_in=100, iterations=400, transient=100, draws=20), target=Target(max_iterations=0))


def check_estimate(problem: Problem, marginal: Marginal, top: np.ndarray) -> None:
    """SAEM ends within 0.4 standard errors of the maximum: at least four times its Monte Carlo error."""
    outcome = QUICK.run(problem, seed=1)
    se = np.sqrt(np.diag(np.linalg.inv(marginal.information(top))))
    assert np.abs((outcome.x - top) / se).max() < 0.4
    assert outcome.draws == 300 * 20


def test_saem_reaches_the_maximum():
    marginal = Marginal.of(simulated())
    check_estimate(bernoulli(simulated()), marginal, marginal.maximum())


def test_saem_reaches_the_maximum_under_a_constraint():
    marginal = Marginal.of(simulated())
    best = minimize_scalar(lambda sd: -marginal.loglik(np.array([1 + sd**2, sd])), bounds=(0.2, 3), method="bounded").x
    problem = bernoulli(simulated(), g="beta == 1 + sigma**2")
    check_estimate(problem, marginal, np.array([1 + best**2, best]))


@pytest.mark.slow
@needs_file
def test_saem_reaches_the_maximum_of_the_benchmark():
    marginal = Marginal.of(pd.read_csv(FILE))
    check_estimate(booth_hobert(FILE), marginal, marginal.maximum())
