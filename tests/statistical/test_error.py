"""The law of the Monte Carlo error, against the recursion that it describes and against the theorem for long runs."""

from __future__ import annotations

import numpy as np
import pytest

from saem.algorithms.accuracy.error import directions, law, weights_of
from saem.schedules import AveragedSchedule, GrowingSchedule, RobbinsMonroSchedule, Steps

Array = np.ndarray
RNG = np.random.default_rng(3)
FACTOR = RNG.standard_normal((4, 4))
OBSERVED = FACTOR @ FACTOR.T + np.eye(4)
MISSING = 8.0 * np.outer(FACTOR[0], FACTOR[0]) + np.diag([0.0, 1.0, 2.0, 0.5])
NOISE = MISSING + 0.3 * np.eye(4)  # as of a Markov kernel: not the missing information
START = np.array([1.0, -2.0, 0.5, 0.3])


def by_recursion(steps: Steps, observed: Array, missing: Array) -> tuple[Array, Array]:
    """Mean (n,) and covariance (n, n) of the estimate, iteration by iteration, in the parameters as they are."""
    complete = observed + missing
    pull = np.linalg.solve(complete, observed)
    n, k_all = len(observed), len(steps.step_sizes)
    mean, covariance = START.copy(), np.zeros((n, n))
    total, cross, spread, count = np.zeros(n), np.zeros((n, n)), np.zeros((n, n)), 0
    for k in range(k_all):
        gamma = steps.step_sizes[k]
        step = np.eye(n) - gamma * pull
        noise = gamma**2 / steps.draws[k] * np.linalg.solve(complete, np.linalg.solve(complete, NOISE).T)
        mean, covariance, cross = step @ mean, step @ covariance @ step.T + noise, step @ cross
        if k >= steps.averaging_from:
            count += 1
            total += mean
            spread += covariance + cross + cross.T
            cross += covariance
    return (total / count, spread / count**2) if count else (mean, covariance)


def by_law(steps: Steps, observed: Array = OBSERVED, missing: Array = MISSING) -> tuple[Array, Array, Array]:
    """Mean and mean square by `law`, with the share of the variance that is due to the burn-in."""
    root = np.linalg.cholesky(np.linalg.inv(observed))
    along = directions(root, missing, NOISE)
    first = min(steps.averaging_from, len(steps.step_sizes) - 1)
    weights = weights_of(steps.step_sizes, along.iota, first)
    burn_in = int(np.sum(np.cumprod(steps.step_sizes == 1.0)))
    found = law(along, weights, steps.draws.astype(float), START, burn_in)
    mean = along.vectors @ (weights[0] * np.linalg.solve(along.vectors, START))
    return mean, found.square, found.early


@pytest.mark.parametrize(
    "schedule",
    [
        AveragedSchedule(burn_in=20, iterations=100, transient=10, draws=3),
        AveragedSchedule(burn_in=0, iterations=60, transient=0, draws=1, exponent=0.9),
        RobbinsMonroSchedule(10, 100, 1.0, draws=2),
        RobbinsMonroSchedule(0, 50, 0.6, draws=2),
        GrowingSchedule(30, 5, 1.0),
    ],
)
def test_the_law_is_that_of_the_recursion(schedule) -> None:
    steps = schedule.steps(10)
    mean, square, _ = by_law(steps)
    expected_mean, expected = by_recursion(steps, OBSERVED, MISSING)
    np.testing.assert_allclose(mean, expected_mean, rtol=1e-9, atol=1e-12)
    expected += np.outer(expected_mean, expected_mean)
    np.testing.assert_allclose(square, expected, rtol=1e-9, atol=1e-14)
    # mutant: the rate of EM in place of the share that is observed
    wrong = by_law(steps, OBSERVED, 0.5 * MISSING)[1]
    assert np.max(np.abs(wrong - expected) / np.abs(np.diag(expected)).max()) > 0.01


def test_long_averages_obey_the_theorem() -> None:
    """``V G V / M`` (Delyon, Lavielle & Moulines 1999, theorem 7)."""
    steps = AveragedSchedule(burn_in=100, iterations=400_000, transient=1000, draws=2).steps(10)
    v = np.linalg.inv(OBSERVED)
    expected = v @ NOISE @ v / steps.draws[steps.averaging_from :].sum()
    np.testing.assert_allclose(np.diag(by_law(steps)[1]), np.diag(expected), rtol=0.04)


def test_the_last_iterate_with_one_over_k_remembers_the_burn_in_where_em_is_slow() -> None:
    """Along a direction with EM's rate above 1/2 the burn-in's share of the variance does not go to zero."""
    fast, slow = np.diag([1.0, 3.0, 1.0, 1.0]), np.diag([0.5, 9.0, 0.5, 0.5])  # iota: 2/3 and 1/4
    shares = []
    for iterations in (1_000, 100_000):
        steps = RobbinsMonroSchedule(100, iterations, 1.0, draws=1).steps(10)
        shares.append(np.sort(by_law(steps, fast, slow)[2]))
    short, long = shares
    assert long[0] < 0.25 * short[0] and long[0] < 0.02  # forgotten
    assert long[-1] > 0.3 and long[-1] > 0.9 * short[-1]  # kept
