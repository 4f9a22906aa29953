"""The law of the random effects given the data beside dense conditioning and lme4, its draws, and its derivatives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from linear_family import Example, dense, examples
from test_reference_lmm import fitted

import saem
from saem.families.linear.effects import conditional_moments, conditional_slopes
from saem.inference.random_effects import root_of


def at(example: Example, x: np.ndarray) -> saem.Fit:
    """A fit whose estimate is ``x``."""
    return replace(saem.fit(example.model, example.table, "ml"), values=x)


def blocks(covariance: np.ndarray, q: int) -> np.ndarray:
    """The diagonal blocks (C, q, q) of a covariance of all random effects."""
    count = len(covariance) // q
    return np.array([covariance[c * q : c * q + q, c * q : c * q + q] for c in range(count)])


@pytest.mark.parametrize("name", ["balanced", "two residual groups", "slopes by arm and device", "independent slopes"])
def test_the_law_is_that_of_dense_conditioning(name: str) -> None:
    example = examples()[name]
    found, twin = saem.random_effects(at(example, example.x)), dense(example, example.x)
    q = found.mean.shape[1]
    np.testing.assert_allclose(found.mean.ravel(), twin.mean, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(found.covariance, blocks(twin.covariance, q), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.marginal, blocks(twin.omega, q), rtol=1e-12)
    table = found.table
    assert table.index.names == [*example.model.cluster, "term"]
    assert list(table.columns) == ["mean", "sd", *(f"cov_{term}" for term in found.fit.term_names), "standardised"]
    np.testing.assert_allclose(table["sd"], np.sqrt(np.diag(twin.covariance)), rtol=1e-9)
    spread = np.diag(twin.omega - twin.covariance)
    np.testing.assert_allclose(table["standardised"], twin.mean / np.sqrt(spread), rtol=1e-8)


def test_lme4s_modes_of_sleepstudy() -> None:
    """``ranef(fm1)``, fm1 the REML fit of Bates, Maechler, Bolker & Walker (2015), as lme4 prints its first rows."""
    table = saem.random_effects(fitted("sleepstudy", "reml")).table
    subjects = table.index.get_level_values("Subject").astype(str)
    for subject, intercept, days in (("308", 2.2585, 9.1990), ("309", -40.3986, -8.6197), ("310", -38.9602, -5.4489)):
        modes = table.loc[subjects == subject, "mean"].to_numpy()
        np.testing.assert_allclose(modes, [intercept, days], atol=1e-3)
    found = saem.random_effects(fitted("sleepstudy", "reml"))
    assert found.draws.shape == (0, 18, 2)
    np.testing.assert_array_equal(found.mean, found.fit.random_effects)
    np.testing.assert_allclose(found.table["sd"].iloc[:2], [12.0709, 2.3048], atol=1e-3)  # condsd there


def check_draws(draws: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> None:
    """First and second moments within 5 errors: a false alarm in 1 of 20,000 of such tests of 70 numbers."""
    count = len(draws)
    error = np.sqrt(np.einsum("cii->ci", covariance) / count)
    assert np.all(np.abs(draws.mean(axis=0) - mean) < 5.0 * error + 1e-12)
    products = np.einsum("dci,dcj->dcij", draws - mean, draws - mean)
    assert np.all(np.abs(products.mean(axis=0) - covariance) < 5.0 * products.std(axis=0) / np.sqrt(count) + 1e-12)


def test_draws_have_that_law() -> None:
    """Mutants: without the covariances between terms; with the covariance that does not know the data."""
    example = examples()["slopes by arm and device"]
    fit = at(example, example.x)
    found = saem.random_effects(fit, 20_000, seed=3)
    check_draws(found.draws, found.mean, found.covariance)
    normal = np.random.default_rng(1).standard_normal(found.draws.shape)
    sd = np.sqrt(np.einsum("cii->ci", found.covariance))
    with pytest.raises(AssertionError):
        check_draws(found.mean + sd * normal, found.mean, found.covariance)
    with pytest.raises(AssertionError):
        roots = root_of(found.marginal)
        check_draws(found.mean + np.einsum("cij,dcj->dci", roots, normal), found.mean, found.covariance)
    np.testing.assert_array_equal(saem.random_effects(fit, 7, seed=3).draws, found.draws[:7])
    assert not np.allclose(saem.random_effects(fit, 7, seed=4).draws, found.draws[:7])


def test_absent_effects_and_a_correlation_of_one() -> None:
    example = examples()["slopes by arm and device"]
    names = example.data.parameters.names
    x = example.x.copy()
    x[names.index("sd_slope_a")] = x[names.index("corr_intercept_slope_a")] = 0.0
    x[names.index("corr_intercept_slope_b")] = 1.0
    found, twin = saem.random_effects(at(example, x), 500), dense(example, x)
    np.testing.assert_allclose(found.covariance, blocks(twin.covariance, 2), atol=1e-12)
    in_a = found.fit.cluster_group == 0
    assert np.all(found.draws[:, in_a, 1] == 0.0) and np.all(found.table["standardised"].isna()[1::2] == in_a)
    ratio = x[names.index("sd_slope_b")] / x[names.index("sd_intercept_b")]
    np.testing.assert_allclose(found.draws[:, ~in_a, 1], ratio * found.draws[:, ~in_a, 0], atol=1e-6)


@pytest.mark.parametrize("name", ["shared SD", "correlated slopes", "slopes by arm and device"])
def test_derivatives_of_the_means(name: str) -> None:
    """Beside central differences."""
    example = examples()[name]
    found = conditional_slopes(example.data, example.x)
    for i in range(len(example.x)):
        step = 1e-6 * (np.arange(len(example.x)) == i)
        up, down = (conditional_moments(example.data, example.x + move)[0] for move in (step, -step))
        np.testing.assert_allclose(found[:, :, i], (up - down) / 2e-6, atol=2e-8, rtol=1e-6)


def test_bad_input() -> None:
    fit = fitted("sleepstudy", "ml")
    with pytest.raises(saem.SaemError, match=r"0 or larger; got -1"):
        saem.random_effects(fit, -1)
    with pytest.raises(saem.SaemError, match="without its table"):
        saem.random_effects(replace(fit, table=None))
