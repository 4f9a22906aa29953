"""Searches for counterexamples to section 4 of the paper: absorption at zero variance, step sizes.

Every stochastic check has a fixed seed and says how often it would fail by chance; every one is shown to refute a
wrong version of its statement.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import digamma, gammaln, hyp1f1

Array = np.ndarray

# -- Theorem "absorption" ----------------------------------------------------------------------------------------------


def noncentrality(omega: float, y: Array, tau2: float, m: int) -> float:
    """Of the sum of squares in the ratio of successive variances."""
    return float(m * np.sum(y**2) * omega / (tau2 * (omega + tau2)))


def mean_ratio(omega: float, y: Array, tau2: float, m: int) -> float:
    """E(omega' / omega), from the two moments of the draws as they are defined."""
    w = omega / (omega + tau2)
    return float(np.mean(w**2 * y**2) + w * tau2) / omega


def mean_root(omega: float, y: Array, tau2: float, m: int) -> float:
    """E(omega' / omega)^(1/2): the mean of a noncentral chi variable, by a hypergeometric function."""
    n = len(y) * m
    first = np.exp(0.5 * np.log(2.0) + gammaln((n + 1) / 2) - gammaln(n / 2))
    first *= hyp1f1(-0.5, n / 2, -0.5 * noncentrality(omega, y, tau2, m))
    return float(np.sqrt(tau2 / (omega + tau2) / n) * first)


def random_data(rng: np.random.Generator) -> tuple[Array, float, int]:
    """Responses (also with a maximum far from zero), error variance, draws."""
    n, m = int(rng.integers(1, 9)), int(rng.choice([1, 1, 2, 10, 100]))
    return rng.normal(0.0, np.exp(rng.uniform(-1.0, 2.0)), n), float(np.exp(rng.uniform(-2.0, 2.0))), m


def test_ratio_of_successive_variances() -> None:
    """Its mean is that of the noncentral chi-squared variable of the proof; and so is its root, by quadrature."""
    rng = np.random.default_rng(0)
    for _ in range(100):
        y, tau2, m = random_data(rng)
        omega, n = float(np.exp(rng.uniform(-6.0, 1.0))), len(y) * m
        shift = noncentrality(omega, y, tau2, m)
        assert mean_ratio(omega, y, tau2, m) == pytest.approx(tau2 / (omega + tau2) * (n + shift) / n, rel=1e-10)
        if n < 20 and shift < 30.0:
            law = stats.ncx2(n, shift)
            grid = np.linspace(0.0, np.sqrt(law.isf(1e-13)), 20_001)[1:]  # of the root: its density is smooth
            by_quadrature = np.trapezoid(grid * law.pdf(grid**2) * 2.0 * grid, grid) * np.sqrt(
                tau2 / (omega + tau2) / n
            )
            assert mean_root(omega, y, tau2, m) == pytest.approx(by_quadrature, rel=1e-5)


def test_roots_shrink_near_zero() -> None:
    """For all data and numbers of draws; the mutant without the root does not, where the data have a variance."""
    rng, grows = np.random.default_rng(1), 0
    for _ in range(500):
        y, tau2, m = random_data(rng)
        limit = np.exp(0.5 * np.log(2.0 / (len(y) * m)) + gammaln((len(y) * m + 1) / 2) - gammaln(len(y) * m / 2))
        assert limit < 1.0
        epsilon = 1e-4 * tau2**2 / (np.mean(y**2) + tau2) / (len(y) * m)
        below = epsilon * np.array([1.0, 0.1, 1e-3, 1e-6])
        assert max(mean_root(float(omega), y, tau2, m) for omega in below) <= 0.5 * (1.0 + limit)
        grows += mean_ratio(epsilon, y, tau2, m) > 1.0
        assert (mean_ratio(epsilon, y, tau2, m) > 1.0) == (np.mean(y**2) - tau2 > epsilon)
    assert grows > 100


def test_expansion_of_the_em_map() -> None:
    rng = np.random.default_rng(2)
    for _ in range(100):
        y, tau2, m = random_data(rng)
        slope = (np.mean(y**2) - tau2) / tau2**2
        omega = 1e-5 * tau2**2 / (tau2 + np.mean(y**2))
        found = (mean_ratio(omega, y, tau2, m) - 1.0) / omega
        assert found == pytest.approx(slope, abs=1e-4 * (np.mean(y**2) + tau2) / tau2**2)
        assert found != pytest.approx(-slope, abs=1e-4 * (np.mean(y**2) + tau2) / tau2**2)  # mutant


def test_no_drift_of_the_mean() -> None:
    """Near zero the arithmetic mean of the ratio is one: only on the scale of logarithms is there a drift."""
    rng = np.random.default_rng(11)
    for _ in range(50):
        y, tau2, m = random_data(rng)
        omega = 1e-9 * tau2**2 / (tau2 + np.mean(y**2))
        assert mean_ratio(omega, y, tau2, m) == pytest.approx(1.0, abs=1e-8)
        assert mean_ratio(omega, y, tau2, m) > np.exp(-drift(len(y) * m)) + 1e-6  # mutant


def drift(n: float) -> float:
    return float(np.log(n / 2.0) - digamma(n / 2.0))


def test_value_of_the_drift() -> None:
    """E ln(chi2_N / N) from 4e5 draws, for eight N: within 5 standard errors, false alarms below 5e-6."""
    rng = np.random.default_rng(3)
    for n in (1, 2, 3, 4, 6, 12, 60, 600):
        logs = np.log(rng.chisquare(n, 400_000) / n)
        error = logs.std() / np.sqrt(len(logs))
        assert abs(logs.mean() + drift(n)) < 5.0 * error
        assert abs(logs.mean() + 2.0 / n) > 5.0 * error  # mutant
        assert drift(n) > 1.0 / n  # the asymptotic value is a lower bound
    assert drift(1e4) * 1e4 == pytest.approx(1.0, rel=1e-3)


def chains(
    y: Array, m: int, step_sizes: Array, n_chains: int, seed: int, omega: float | Array = 1.0, tau2: float = 1.0
) -> Array:
    """Log-variances (K + 1, chains) of the recursion (eq. gamma1), with any step sizes."""
    rng = np.random.default_rng(seed)
    log = np.empty((len(step_sizes) + 1, n_chains))
    log[0] = np.log(omega)
    for k, gamma in enumerate(step_sizes):
        # over omega, for no variance underflows then
        omega = np.exp(log[k])
        scale = tau2 / (omega + tau2)
        shift = np.sqrt(omega * scale) / tau2
        normals = rng.standard_normal((len(y), m, n_chains))
        ratio = scale * np.mean((normals + shift * y[:, None, None]) ** 2, axis=(0, 1))
        log[k + 1] = log[k] + np.log1p(gamma * (ratio - 1.0)) if gamma < 1.0 else log[k] + np.log(ratio)
    return log


def test_chains_fall_at_the_rate_of_the_drift() -> None:
    """200 chains from 1e-8: the mean slope over 200 iterations within 5 standard errors (false alarms below 3e-6)."""
    for n, m in ((1, 1), (3, 1), (2, 2), (3, 10)):
        y = np.full(n, 1.5)
        log = chains(y, m, np.ones(200), 200, seed=4, omega=1e-8)
        slopes = (log[-1] - log[0]) / 200.0
        error = slopes.std() / np.sqrt(len(slopes))
        kept = drift(n * m)
        if m == 1:  # else some chains come back to the data before they fall for good
            assert abs(slopes.mean() + kept) < 5.0 * error
            assert abs(slopes.mean() + 2.0 * kept) > 5.0 * error  # mutant


def test_absorption_whatever_the_data() -> None:
    """An interior maximum (omega = 1.25), and still every chain with step size one ends at zero.

    Deterministic at this seed. Near zero a chain comes back from below e^-40 with probability below e^-20 by the
    supermartingale of the proof.
    """
    y = np.array([1.5, -1.5])
    for m in (1, 2):
        log = chains(y, m, np.ones(3000), 100, seed=5, omega=1.25)
        assert np.all(log[-1] < -40.0)
    # many draws: the same theorem, but nothing is seen of it in as many iterations
    assert np.all(chains(y, 100, np.ones(400), 20, seed=5, omega=1.25)[-1] > np.log(0.2))


def test_constant_steps_are_absorbing_too() -> None:
    """For every constant step size; only its drift is smaller, about gamma^2 / N."""
    rng = np.random.default_rng(6)
    for gamma in (0.1, 0.3, 0.5, 0.9):
        for n in (1, 3, 30):
            logs = np.log1p(gamma * (rng.chisquare(n, 200_000) / n - 1.0))
            assert logs.mean() < -5.0 * logs.std() / np.sqrt(len(logs))
    assert np.all(chains(np.array([1.5, -1.5]), 1, np.full(6000, 0.7), 50, seed=7, omega=1.25)[-1] < -40.0)


def power(exponent: float, iterations: int) -> Array:
    return np.arange(1.0, iterations + 1.0) ** -exponent


def test_square_summable_steps_are_not_absorbed() -> None:
    """k^-0.75 comes back from 1e-3 to the maximum; the mutant, steps that fall but too slowly, loses chains for good.

    With steps k^-0.3 the squares have an infinite sum, and log omega falls by about their sum over N. What is asserted
    is deterministic at this seed; a chain below e^-25 returns with probability below e^-12.
    """
    y = np.array([1.5, -1.5])
    slow = chains(y, 1, power(0.75, 8000), 60, seed=8, omega=1.25)
    assert np.all(slow[-1] > -10.0) and np.mean(slow[-1] > np.log(0.8)) > 0.9
    # from far below, too: the mean field leads away from zero, however slowly
    low = chains(y, 1, power(0.6, 8000)[20:], 60, seed=9, omega=0.02)
    assert np.all(low[-1] > -15.0) and np.median(low[-1]) > np.log(0.8)
    fast = chains(y, 1, power(0.3, 8000), 60, seed=8, omega=1e-3)
    assert np.mean(fast[-1] < -25.0) > 0.2


def test_square_summable_steps_bound_the_logarithm() -> None:
    """The proof of that: sum of E ln(1 + gamma (chi2_N / N - 1)) is finite for k^-0.75 and not for k^-0.3."""
    nodes = stats.chi2.ppf((np.arange(4000) + 0.5) / 4000, 3) / 3
    nodes /= nodes.mean()

    def total(exponent: float, first: int, last: int) -> float:
        k = np.unique(np.geomspace(first, last, 300).astype(int)).astype(float)
        drifts = -np.array([np.mean(np.log1p(gamma * (nodes - 1.0))) for gamma in k**-exponent])
        return float(np.trapezoid(drifts, k))

    assert total(0.75, 10**4, 10**6) < 0.3 * total(0.75, 2, 10**4)
    assert total(0.3, 10**4, 10**6) > 2.0 * total(0.3, 2, 10**4)


# -- Proposition "steps" -----------------------------------------------------------------------------------------------


def recursion(a: Array, step_sizes: Array, at: tuple[int, ...]) -> tuple[Array, Array]:
    """Weight of the start and Var e_K / v (len(at), len(a)) at some K, step by step."""
    weight, variance = np.ones(len(a)), np.zeros(len(a))
    weights, variances = [], []
    for k, gamma in enumerate(step_sizes, start=1):
        weight = (1.0 - a * gamma) * weight
        variance = (1.0 - a * gamma) ** 2 * variance + gamma**2
        if k in at:
            weights.append(weight)
            variances.append(variance)
    return np.array(weights), np.array(variances)


def exact_variance(a: float, k: int) -> float:
    """The formula of the proposition, in logarithms."""
    j = np.arange(1.0, k + 1.0)
    terms = 2.0 * (gammaln(j) - gammaln(j + 1.0 - a))
    return float(np.exp(2.0 * (gammaln(k + 1.0 - a) - gammaln(k + 1.0))) * np.sum(np.exp(terms)))


RATES = np.array([0.02, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.99])


def test_exact_moments_with_one_over_k() -> None:
    """The recursion itself against the Gamma formulas; the mutant shifts an argument by one."""
    at = (1, 2, 3, 10, 100, 3000)
    weights, variances = recursion(RATES, power(1.0, 3000), at)
    for i, k in enumerate(at):
        for j, a in enumerate(RATES):
            exact = np.exp(gammaln(k + 1.0 - a) - gammaln(k + 1.0) - gammaln(1.0 - a))
            assert weights[i, j] == pytest.approx(exact, rel=1e-10)
            assert variances[i, j] == pytest.approx(exact_variance(a, k), rel=1e-9)
            assert weights[i, j] != pytest.approx(exact * (k + 1.0 - a) / (k + 1.0), rel=1e-6)


def asymptotic(a: float, k: float) -> float:
    """The three cases."""
    if a > 0.5:
        return 1.0 / (k * (2.0 * a - 1.0))
    if a == 0.5:
        return float(np.log(k) / k)
    j = np.arange(1.0, 1e5)
    tail = (1e5 - 0.5) ** (2.0 * a - 1.0) / (1.0 - 2.0 * a)
    return float((np.sum(np.exp(2.0 * (gammaln(j) - gammaln(j + 1.0 - a)))) + tail) * k ** (-2.0 * a))


def test_asymptotic_forms() -> None:
    """Ratios to one at K = 1e6, as fast as the next term allows; slopes -2a, -1; mutants have others."""
    k = 10**6
    for a in (0.02, 0.1, 0.25, 0.3, 0.5, 0.75, 0.9, 0.99):
        exact = exact_variance(a, k)
        slack = 2.5 / np.log(k) if a == 0.5 else 3.0 * k ** -abs(2.0 * a - 1.0) / abs(2.0 * a - 1.0) + 1e-4
        assert exact / asymptotic(a, k) == pytest.approx(1.0, abs=slack)
        slope = np.log(exact_variance(a, k) / exact_variance(a, k // 10)) / np.log(10.0)
        if a != 0.5:
            assert slope == pytest.approx(-min(2.0 * a, 1.0), abs=0.02)
            assert a > 0.5 or slope != pytest.approx(-a, abs=0.015)  # mutant: the slope of the standard deviation
        else:
            assert slope == pytest.approx(-1.0 + 1.0 / np.log(k), abs=0.02)  # the logarithm
        if a >= 0.75:  # mutant: the constant of the averages
            assert exact * k == pytest.approx(1.0 / (2.0 * a - 1.0), rel=0.01)
            assert a > 0.95 or exact * k != pytest.approx(1.0 / a**2, rel=0.01)


def averaged_variance(a: float, alpha: float, k: int) -> tuple[float, float]:
    """K Var(mean e) / v and K^(1/2) E(mean e) / e_0, from the weights of every noise term (a backward recursion)."""
    gamma = power(alpha, k)
    tail = np.empty(k)  # sum over i >= j of the product of (1 - a gamma) from j + 1 to i
    tail[-1] = 1.0
    for j in range(k - 2, -1, -1):
        tail[j] = 1.0 + (1.0 - a * gamma[j + 1]) * tail[j + 1]
    return float(np.sum((gamma * tail) ** 2) / k), float((1.0 - a * gamma[0]) * tail[0] / np.sqrt(k))


@pytest.mark.parametrize("alpha", [0.3, 0.55, 0.67])
def test_averaged_variance(alpha: float) -> None:
    """K Var -> v / a^2, ever nearer, for alpha below 1/2 too; the mutant is the constant of 1/k.

    It is as near as ``a K^(1 - alpha)`` is large: for a = 0.1 and alpha = 0.67 that takes long.
    """
    for a in (0.1, 0.3, 0.6, 0.8, 1.0):
        values = [averaged_variance(a, alpha, k) for k in (1000, 10_000, 100_000)]
        distance = [abs(a**2 * value - 1.0) for value, _ in values]
        near = [1.0 / (a * k ** (1.0 - alpha)) for k in (1000, 10_000, 100_000)]
        assert all(left < bound for left, bound in zip(distance, near, strict=True) if bound < 0.15)
        assert distance[2] < max(0.6 * distance[0], 1e-3)
        assert abs(values[2][1]) < max(0.8 * abs(values[0][1]), 1e-12)
        if 0.5 < a < 1.0:
            assert abs(values[2][0] * (2.0 * a - 1.0) - 1.0) > distance[2]


def test_ratio_of_the_variances() -> None:
    """a^2 / (2a - 1) is at least one, as it stands; the mutant's a / (2a - 1) is not the ratio."""
    for a in (0.6, 0.75, 0.9, 1.0):
        limit = a**2 / (2.0 * a - 1.0)
        assert limit == pytest.approx(1.0 + (1.0 - a) ** 2 / (2.0 * a - 1.0)) and (limit > 1.0) == (a < 1.0)
    a, k = 0.75, 100_000
    ratio = k * exact_variance(a, k) / averaged_variance(a, 0.55, k)[0]
    assert ratio == pytest.approx(a**2 / (2.0 * a - 1.0), rel=0.02)
    assert ratio != pytest.approx(a / (2.0 * a - 1.0), rel=0.02)
    # a <= 1/2: to infinity
    for a in (0.2, 0.4, 0.5):
        growth = [k * exact_variance(a, k) * a**2 for k in (10**3, 10**4, 10**5)]
        assert growth[0] < growth[1] < growth[2]
