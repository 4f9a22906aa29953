"""Schedules: step sizes and numbers of draws exactly as documented, and arguments that make no sense refused."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from saem.schedules import AveragedSchedule, RobbinsMonroSchedule, Steps, draws_for

SCHEDULES = (AveragedSchedule, RobbinsMonroSchedule)


def test_the_default_schedule():
    steps = AveragedSchedule().steps(n_latent=120)
    k = np.arange(1, 251)
    np.testing.assert_array_equal(steps.step_sizes[:100], 1.0)
    np.testing.assert_allclose(steps.step_sizes[100:], np.minimum(1.0, (k / 9.0) ** -0.55), rtol=1e-14)
    np.testing.assert_array_equal(steps.draws, 9)  # 1000 random effects an iteration
    assert steps.averaging_from == 150
    without = AveragedSchedule(clock=0.0).steps(n_latent=120)
    np.testing.assert_allclose(without.step_sizes[100:], k**-0.55, rtol=1e-15)


def test_the_textbook_schedule():
    steps = RobbinsMonroSchedule(500, 500, 1.0, draws=1).steps(n_latent=7)
    np.testing.assert_array_equal(steps.step_sizes[:500], 1.0)
    np.testing.assert_allclose(steps.step_sizes[500:], 1 / np.arange(1, 501), rtol=1e-15)
    np.testing.assert_array_equal(steps.draws, 1)
    assert steps.averaging_from == 1000  # nothing is averaged


@pytest.mark.parametrize("kind", SCHEDULES)
@pytest.mark.parametrize(("burn_in", "iterations", "exponent"), [(0, 1, 0.51), (3, 40, 0.75), (1, 2, 0.999)])
def test_step_sizes_of_any_schedule(kind, burn_in, iterations, exponent):
    extra = {"transient": 0, "clock": 0.0} if kind is AveragedSchedule else {}
    steps = kind(burn_in=burn_in, iterations=iterations, exponent=exponent, draws=3, **extra).steps(50)
    assert isinstance(steps, Steps)
    expected = [1.0] * burn_in + [k**-exponent for k in range(1, iterations + 1)]
    np.testing.assert_allclose(steps.step_sizes, expected, rtol=1e-15)
    np.testing.assert_array_equal(steps.draws, [3] * len(expected))
    assert steps.draws.dtype == np.int64 and steps.step_sizes.dtype == np.float64
    assert steps.averaging_from == (burn_in if kind is AveragedSchedule else len(expected))


@pytest.mark.parametrize("transient", [0, 1, 59])
def test_averaging_begins_after_the_transient(transient):
    assert AveragedSchedule(burn_in=7, iterations=60, transient=transient).steps(1).averaging_from == 7 + transient


@pytest.mark.parametrize("kind", SCHEDULES)
@pytest.mark.parametrize(
    ("n_latent", "draws"), [(1, 600), (7, 86), (120, 5), (121, 5), (599, 2), (600, 1), (601, 1), (10**6, 1)]
)
def test_many_draws_when_clusters_are_few(kind, n_latent, draws):
    """At least about 600 random effects an iteration, and one draw of each at least."""
    assert set(kind(latent=600).steps(n_latent).draws) == {draws}
    assert draws_for(n_latent, 600) == draws
    assert set(kind(draws=4).steps(n_latent).draws) == {4}


def test_draws_for_no_random_effects():
    assert draws_for(0, 600) == 600


def test_step_sizes_satisfy_the_conditions_of_convergence():
    """Within (0, 1], never increasing; the sum grows and the sum of squares does not, as the iterations do."""
    for schedule in (AveragedSchedule(clock=0.0), RobbinsMonroSchedule(), RobbinsMonroSchedule(exponent=0.6)):
        sizes = schedule.steps(10).step_sizes
        assert sizes.max() == 1.0 and sizes.min() > 0 and np.all(np.diff(sizes) <= 0)
        longer = dataclasses.replace(schedule, iterations=64 * schedule.iterations).steps(10).step_sizes
        assert longer.sum() > 1.004 * sizes.sum()
        tail = np.sum(longer**2) - np.sum(sizes**2)
        n, power = schedule.iterations, 2 * schedule.exponent
        assert tail < n ** (1 - power) / (power - 1)


@pytest.mark.parametrize("kind", SCHEDULES)
@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ({"exponent": 0.5}, ["step-size exponent", "must lie in (0.5, 1", "got 0.5"]),
        ({"exponent": 0.4}, ["step-size exponent", "must lie in (0.5, 1", "got 0.4"]),
        ({"exponent": 1.01}, ["step-size exponent", "must lie in (0.5, 1", "got 1.01"]),
        ({"exponent": float("nan")}, ["step-size exponent", "got nan"]),
        ({"burn_in": -1}, ["burn_in", "-1"]),
        ({"iterations": 0}, ["iterations", "0"]),
        ({"iterations": -5}, ["iterations", "-5"]),
        ({"latent": 0}, ["draws", "positive", "latent=0"]),
        ({"draws": 0}, ["draws", "positive", "draws=0"]),
        ({"draws": -2}, ["draws", "positive", "draws=-2"]),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_what_is_no_schedule(kind, arguments, parts):
    with pytest.raises(ValueError, match=re.escape(parts[0])) as caught:
        kind(**arguments)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ({"exponent": 1.0}, ["must lie in (0.5, 1)", "got 1.0"]),
        ({"transient": -1}, ["transient must not be negative", "-1"]),
        ({"transient": 250}, ["iterations must exceed transient", "250 and 250"]),
        ({"iterations": 40}, ["iterations must exceed transient", "40 and 50"]),
    ],
    ids=str,
)
def test_what_is_no_averaged_schedule(arguments, parts):
    """With 1/k, averaging is of no use; and something must be averaged."""
    with pytest.raises(ValueError, match="got") as caught:
        AveragedSchedule(**arguments)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize("kind", SCHEDULES)
def test_mistakes_are_the_package_s_own_errors(kind):
    """So that the command turns them into a message, as all errors that are caused by input."""
    from saem.errors import SaemError

    with pytest.raises(SaemError):
        kind(exponent=0.4)


@pytest.mark.parametrize("kind", SCHEDULES)
@pytest.mark.parametrize(
    "arguments", [{"burn_in": 2.5}, {"iterations": "many"}, {"draws": 1.5}, {"latent": None}], ids=str
)
def test_what_is_no_whole_number(kind, arguments):
    (name, value), *_ = arguments.items()
    with pytest.raises(ValueError, match=name) as caught:
        kind(**arguments)
    assert str(value) in str(caught.value)


@pytest.mark.parametrize("kind", SCHEDULES)
def test_schedules_are_frozen_values(kind):
    schedule = kind(burn_in=5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        schedule.burn_in = 6
    assert schedule == kind(burn_in=5) != kind(burn_in=6)
    assert hash(schedule) == hash(kind(burn_in=5))
