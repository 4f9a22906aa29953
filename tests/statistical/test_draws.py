"""The E-step draws from p(theta | y): the statistics have their exact conditional mean and covariance.

The statistics are quadratic in the random effects, ``S_i = a_i + b_i'theta + theta'C_i theta``, so that with
``theta ~ N(m, V)`` given the data

    E S_i = a_i + b_i'm + m'C_i m + tr(C_i V),   cov(S_i, S_j) = (b_i + 2 C_i m)'V (b_j + 2 C_j m) + 2 tr(C_i V C_j V).

All checks are conditional on the data. One test shows why: a sampler that ignores the data has the right marginals.

False alarms: each call of `check_moments` rejects a correct sampler with probability below 1e-4 (mean) + 2e-4
(covariance: at most 120 entries at |z| > 5, with a margin for their tails), about 50 calls: below 2 % for the file, and
none for the seeds in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from drawing import drawn, drawn_clusters, expected
from linear_family import Dense, dense, examples
from parameterkinds import kinds_of
from scipy.stats import chi2
from selecting import few

N = 20_000
EXAMPLES = list(examples())


@dataclass(frozen=True, eq=False)
class Quadratic:
    """Statistics ``a + b theta + theta'c theta``, in the order of the family: (s,), (s, d), (s, d, d)."""

    a: np.ndarray
    b: np.ndarray
    c: np.ndarray

    def at(self, theta: np.ndarray) -> np.ndarray:
        """Statistics (N, s) of random effects (N, d)."""
        return self.a + theta @ self.b.T + np.einsum("nd,sde,ne->ns", theta, self.c, theta, optimize=True)

    def moments(self, m: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean (s,) and covariance (s, s) for ``theta ~ N(m, v)``."""
        slope = self.b + 2 * self.c @ m
        cv = self.c @ v
        mean = self.a + self.b @ m + self.c @ m @ m + np.trace(cv, axis1=1, axis2=2)
        return mean, slope @ v @ slope.T + 2 * np.einsum("sde,ted->st", cv, cv)


def statistics_of(d: Dense, clusters: tuple[int, ...] | None = None) -> Quadratic:
    """``X'(y - Z theta)`` and ``|y - Z theta|^2`` by residual group, ``sum theta theta'`` by variance group.

    Of all clusters, or of some.
    """
    data = d.example.data
    clusters = tuple(range(len(data.cluster_group))) if clusters is None else clusters
    size, q = d.z.shape[1], data.random_design.shape[1]
    a, b, c = [], [], []
    here = np.isin(data.cluster, clusters)
    groups = [here & (data.residual_group == h) for h in range(len(data.residual_index))]
    for rows in groups:
        x, z = data.mean_design[rows], d.z[rows]
        a += list(x.T @ d.y[rows])
        b += list(-x.T @ z)
        c += [np.zeros((size, size))] * x.shape[1]
    for rows in groups:
        a.append(d.y[rows] @ d.y[rows])
        b.append(-2 * d.y[rows] @ d.z[rows])
        c.append(d.z[rows].T @ d.z[rows])
    for g in range(len(data.group_levels)):
        for j in range(q):
            for k in range(q):
                pick = np.zeros((size, size))
                for cluster in (c for c in clusters if data.cluster_group[c] == g):
                    pick[cluster * q + j, cluster * q + k] = 1.0
                a.append(0.0)
                b.append(np.zeros(size))
                c.append((pick + pick.T) / 2)
    located = len(data.group_levels) * q * q * data.mean_design.shape[1]  # zero, of uncentred random effects
    a += [0.0] * located
    b += [np.zeros(size)] * located
    c += [np.zeros((size, size))] * located
    return Quadratic(np.array(a), np.array(b), np.array(c))


def check_moments(sample: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> None:
    """A sample (N, s) of independent statistics has this mean and this covariance."""
    n = len(sample)
    sd, size = np.sqrt(np.maximum(np.diag(covariance), 0)), np.maximum(np.abs(mean), 1.0)
    scale = np.where(sd > 1e-9 * size, sd, size)
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    moving = values > 1e-9
    deviations = (sample - mean) / scale
    # some combinations of the statistics are known exactly (those that the data determine)
    still = np.abs(deviations @ vectors[:, ~moving])
    assert np.max(still, initial=0.0) < 1e-6, "a combination of statistics moves that the data determine"
    if not moving.any():
        return
    u = deviations @ vectors[:, moving] / np.sqrt(values[moving])
    k = u.shape[1]
    t = u.mean(axis=0) * np.sqrt(n)
    assert t @ t < chi2.ppf(1 - 1e-4, k), f"the mean is off: chi-square {t @ t:.1f} with {k} degrees of freedom"
    products = u[:, :, None] * u[:, None, :]
    z = (products.mean(axis=0) - np.eye(k)) / (products.std(axis=0) / np.sqrt(n))
    assert np.abs(z).max() < 5, f"the covariance is off: largest |z| {np.abs(z).max():.1f}"


def points(name: str) -> dict[str, np.ndarray]:
    """Parameters at which to draw: the true ones, others, and some with a random effect that is absent."""
    example = examples()[name]
    truth = example.x
    kinds = np.array(kinds_of(example.problem.parameters))
    other = np.where(kinds == "sd", truth * np.linspace(0.5, 2, len(truth)), truth + 0.3 * (kinds == "mean"))
    absent = truth.copy()
    absent[example.data.sd_index[0, -1]] = 0.0
    inside = {"truth": truth, "elsewhere": np.where(kinds == "corr", -0.5 * truth, other)}
    return inside if name == "shared SD" else inside | {"an absent effect": absent}


CASES = [(name, place) for name in EXAMPLES for place in points(name)]


@pytest.mark.parametrize(("name", "place"), few(CASES, [case for case in CASES if case[1] == "truth"]))
def test_statistics_have_their_exact_mean_and_covariance(name, place):
    example, x = examples()[name], points(name)[place]
    d = dense(example, x)
    mean, covariance = statistics_of(d).moments(d.mean, d.covariance)
    np.testing.assert_allclose(expected(example.problem, x), mean, rtol=1e-9, atol=1e-9 * np.abs(mean).max())
    check_moments(drawn(example.problem, x, N, seed=11), mean, covariance)


@pytest.mark.parametrize(("name", "place"), CASES)
def test_one_cluster_has_its_exact_mean_and_covariance(name, place):
    """Two clusters of each example; the draws of one do not depend on those of the other."""
    example, x = examples()[name], points(name)[place]
    d = dense(example, x)
    pair = 1, len(example.data.cluster_group) - 1
    sample = drawn_clusters(example.problem, x, pair, N, seed=14)
    exact = [statistics_of(d, (cluster,)).moments(d.mean, d.covariance) for cluster in pair]
    for i, moments in enumerate(exact):
        check_moments(sample[:, i], *moments)
    check_moments(sample.sum(axis=1), *statistics_of(d, pair).moments(d.mean, d.covariance))
    if place == "an absent effect":  # there may be nothing that moves
        return
    # mutants: a variance that is off; the draws of one cluster for both
    with pytest.raises(AssertionError, match="is off"):
        check_moments(sample[:, 1], exact[1][0], 1.2 * exact[1][1])
    with pytest.raises(AssertionError, match=r"is off|determine"):
        check_moments(2 * sample[:, 0], *statistics_of(d, pair).moments(d.mean, d.covariance))


@pytest.mark.parametrize("name", EXAMPLES)
def test_several_draws_are_averaged_as_statistics(name):
    """The mean over m draws has the same expectation and the m-th part of the covariance."""
    example = examples()[name]
    d = dense(example, example.x)
    mean, covariance = statistics_of(d).moments(d.mean, d.covariance)
    check_moments(drawn(example.problem, example.x, N // 4, m=7, seed=12), mean, covariance / 7)


@pytest.mark.parametrize("name", EXAMPLES)
def test_draws_do_not_remember(name):
    """Draws of successive calls are uncorrelated: at most 14 autocorrelations, |z| < 5; false alarms below 1e-4."""
    example = examples()[name]
    s = drawn(example.problem, example.x, N, seed=13)
    s = (s - s.mean(axis=0)) / np.maximum(s.std(axis=0), 1e-12)
    lagged = (s[1:] * s[:-1]).mean(axis=0) * np.sqrt(N - 1)
    assert np.abs(lagged).max() < 5


# Mutants, and the shortest correct sampler as their counterpart. All by NumPy, on the same matrices: each gives n times
# the mean over m draws of the statistics.


def means_of(s: Quadratic, theta: np.ndarray, m: int) -> np.ndarray:
    """Means (n, s) of the statistics over every m of the draws (n m, d)."""
    return s.at(theta).reshape(-1, m, len(s.a)).mean(axis=1)


def normals(mean: np.ndarray, covariance: np.ndarray, rng: np.random.Generator, size: int) -> np.ndarray:
    """Draws (size, d); the covariance may be singular."""
    return rng.multivariate_normal(mean, covariance, size=size, method="svd")


def correct(d: Dense, s: Quadratic, rng: np.random.Generator, n: int, m: int) -> np.ndarray:
    """From the conditional law."""
    return means_of(s, normals(d.mean, d.covariance, rng, n * m), m)


def variance_without_the_data(d: Dense, s: Quadratic, rng: np.random.Generator, n: int, m: int) -> np.ndarray:
    """Wrong: the right mean, but the prior variance."""
    return means_of(s, normals(d.mean, d.omega, rng, n * m), m)


def variance_of_another_group(d: Dense, s: Quadratic, rng: np.random.Generator, n: int, m: int) -> np.ndarray:
    """Wrong by a little: conditional standard deviations 3 % too large."""
    return means_of(s, normals(d.mean, 1.06 * d.covariance, rng, n * m), m)


def uncorrelated_effects(d: Dense, s: Quadratic, rng: np.random.Generator, n: int, m: int) -> np.ndarray:
    """Wrong: the effects of a cluster are drawn independently (their covariance given the data is lost)."""
    return means_of(s, d.mean + rng.standard_normal((n * m, len(d.mean))) * np.sqrt(np.diag(d.covariance)), m)


def no_cross_term(d: Dense, s: Quadratic, rng: np.random.Generator, n: int, m: int) -> np.ndarray:
    """Wrong: ``|y - Z theta|^2`` whose cross term with the data has the mean of theta and not the draw."""
    a, b = s.a.copy(), s.b.copy()
    groups = len(d.example.data.residual_index)
    squares = slice(groups * d.example.data.mean_design.shape[1], groups * (d.example.data.mean_design.shape[1] + 1))
    a[squares] += b[squares] @ d.mean
    b[squares] = 0.0
    return means_of(Quadratic(a, b, s.c), normals(d.mean, d.covariance, rng, n * m), m)


def mean_of_draws_first(d: Dense, s: Quadratic, rng: np.random.Generator, n: int, m: int) -> np.ndarray:
    """Wrong: second moments of the mean of the draws (chains averaged too early)."""
    return s.at(normals(d.mean, d.covariance, rng, n * m).reshape(n, m, -1).mean(axis=1))


def one_draw_for_all_clusters(d: Dense, s: Quadratic, rng: np.random.Generator, n: int, m: int) -> np.ndarray:
    """Wrong: the same standard normals for every cluster: right marginals of each, wrong covariance of the sums."""
    q = d.example.data.random_design.shape[1]
    values, vectors = np.linalg.eigh(d.covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    xi = np.tile(rng.standard_normal((n * m, q)), len(d.mean) // q)
    return means_of(s, d.mean + xi @ root, m)


def prior(d: Dense, s: Quadratic, rng: np.random.Generator, n: int, m: int) -> np.ndarray:
    """Wrong: draws that ignore the data."""
    return means_of(s, normals(0 * d.mean, d.omega, rng, n * m), m)


def sample_of(sampler, name: str, m: int, n: int = 2500) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A sample of a NumPy sampler, with the exact moments."""
    example = examples()[name]
    d = dense(example, example.x)
    s = statistics_of(d)
    mean, covariance = s.moments(d.mean, d.covariance)
    return sampler(d, s, np.random.default_rng(3), n, m), mean, covariance / m


@pytest.mark.parametrize("name", ["correlated slopes", "slopes by arm and device"])
def test_the_check_accepts_a_correct_sampler(name):
    check_moments(*sample_of(correct, name, m=2))


@pytest.mark.parametrize(
    ("mutant", "name"),
    [
        (variance_without_the_data, "balanced"),
        (variance_of_another_group, "slopes by arm and device"),
        (uncorrelated_effects, "correlated slopes"),
        (no_cross_term, "two residual groups"),
        (mean_of_draws_first, "balanced"),
        (one_draw_for_all_clusters, "two residual groups"),
        (prior, "unbalanced"),
    ],
)
def test_mutants_fail(mutant, name):
    with pytest.raises(AssertionError, match="is off"):
        check_moments(*sample_of(mutant, name, m=2))


def test_marginals_alone_would_not_do():
    """Draws that ignore the data have the right mean of ``sum theta theta'`` over data sets; the conditional does not.

    Data sets come from the model, so that the mean over data and draws is ``n Omega``: |z| < 4, false alarms 6e-5.
    """
    example = examples()["two residual groups"]
    d = dense(example, example.x)
    s = statistics_of(d)
    rng = np.random.default_rng(8)
    gain = d.omega @ d.z.T @ np.linalg.inv(d.z @ d.omega @ d.z.T + np.diag(d.noise))
    clusters = len(d.example.data.cluster_group)
    omega = d.omega[0, 0]
    for sampler_uses_the_data in (True, False):
        y = normals(0 * d.mean, d.omega, rng, 2000) @ d.z.T + rng.standard_normal((2000, len(d.y))) * np.sqrt(d.noise)
        m, v = (y @ gain.T, d.covariance) if sampler_uses_the_data else (np.zeros((2000, len(d.mean))), d.omega)
        theta = m + np.sqrt(v[0, 0]) * rng.standard_normal(m.shape)  # the random effects are independent here
        marginal = np.sum(theta**2, axis=1)
        z = (np.mean(marginal) - clusters * omega) / (np.std(marginal) / np.sqrt(len(marginal)))
        assert abs(z) < 4
    with pytest.raises(AssertionError, match="is off"):
        mean, covariance = s.moments(d.mean, d.covariance)
        check_moments(prior(d, s, rng, 1000, 1), mean, covariance)
