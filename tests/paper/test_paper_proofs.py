"""Searches for counterexamples to section 2 of the paper: fixed points, their stability, Monte Carlo error.

Every search is deterministic, and is shown to refute a wrong version of the statement.
"""

from __future__ import annotations

import numpy as np
import pytest
from naive import complete_data, conditional, draw_effects, gradient, hessian, statistics
from peptide_family import CASES, NAMES, OVERIDENTIFIED, SATURATED, SIZE, Case, case, random_point

import saem
from saem import recipes

Array = np.ndarray
ALL = tuple(CASES)


def fast(*names: str) -> list[object]:
    """All cases, the others marked slow."""
    return [pytest.param(name, marks=() if name in names else pytest.mark.slow) for name in ALL]


def close(actual: Array, expected: Array, tolerance: float = 1e-6) -> None:
    """Equal relative to the largest entry."""
    np.testing.assert_allclose(actual, expected, rtol=0.0, atol=tolerance * max(1.0, np.max(np.abs(expected))))


# -- Proposition "kkt" -------------------------------------------------------------------------------------------------


def test_the_density_is_a_curved_exponential_family() -> None:
    """log f(y, z; theta) = -psi + <S, phi>, at random parameters and effects."""
    rng, found = np.random.default_rng(0), case("posted")
    for _ in range(20):
        x, z = random_point(rng), rng.normal(size=(len(found.dense.group), 1))
        s = statistics(found.dense, z, np.zeros(5))[:SIZE]
        close(found.complete(s, x), complete_data(found.dense, x, z), 1e-11)


def test_fisher_identity() -> None:
    """(a) at random parameters, on the constraint or not; the mutant takes statistics at the mean of the effects."""
    rng = np.random.default_rng(1)
    for seed in (1, 2, 3):
        for _ in range(10):
            check_fisher(case("posted", seed), random_point(rng))


def score_of_complete(found: Case, s: Array, x: Array) -> Array:
    """Gradient of ``L(s; .)``."""
    return gradient(lambda p: found.complete(s, p), x)


def check_fisher(found: Case, x: Array) -> None:
    score = gradient(found.loglik, x)
    close(score_of_complete(found, found.expected(x), x), score, 1e-9)
    with pytest.raises(AssertionError):
        close(score_of_complete(found, plugged_in(found, x), x), score, 1e-3)


def plugged_in(found: Case, x: Array) -> Array:
    """Mutant: statistics of the conditional means of the effects, without their conditional variance."""
    return statistics(found.dense, conditional(found.dense, x)[0], np.zeros(5))[:SIZE]


def check_kkt(found: Case, x: Array, slope: Array) -> Array:
    """``x`` is a KKT point of a function with this gradient; its multipliers."""
    multipliers = found.multipliers(x, slope)
    close(slope + found.jacobian(x).T @ multipliers, np.zeros(8), 1e-7)
    close(found.constraint(x), np.zeros(len(multipliers)), 1e-10)
    return multipliers


@pytest.mark.parametrize("name", fast("posted", "posted, b21 = 0", "log2, additive", "conservation, additive"))
def test_fixed_points_are_kkt_points(name: str) -> None:
    """(b)-(d): the same multipliers for both functions, and a zero of the mean field."""
    found = case(name)
    x = found.maximum
    s = found.expected(x)
    of_likelihood = check_kkt(found, x, gradient(found.loglik, x))
    of_complete = check_kkt(found, x, score_of_complete(found, s, x))
    close(of_complete, of_likelihood, 1e-7)
    # (d) theta* is the maximiser of L(sbar; .) from other starts, too: its assumption holds here
    for start in (x + 0.1, x - 0.1):
        close(found.maximise(lambda p: found.complete(s, p), start), x, 1e-7)
    close(found.mean_field(s), np.zeros(8), 1e-8)
    # mutants: the same at a point beside the maximum, and with the statistics of the means
    beside = found.m_step(s + 0.01 * np.sqrt(np.diag(found.covariance(x))))
    with pytest.raises(AssertionError):
        check_kkt(found, beside, gradient(found.loglik, beside))
    with pytest.raises(AssertionError):
        check_kkt(found, x, score_of_complete(found, plugged_in(found, x), x))


def test_multipliers_are_not_all_zero() -> None:
    """Where a link restricts the means its multiplier acts; where it is saturated it is zero."""
    size = {name: np.abs(case(name).multipliers(case(name).maximum, score(name))).max() for name in ALL}
    assert all(size[name] < 1e-6 for name in SATURATED)
    assert all(size[name] > 0.1 for name in OVERIDENTIFIED)


def score(name: str) -> Array:
    return gradient(case(name).loglik, case(name).maximum)


def test_the_update_that_drops_information() -> None:
    """Variances from their own moments, means made to follow: other fixed points, but not in a saturated design."""

    def moves(name: str) -> float:
        found = case(name)
        return float(np.abs(found.decoupled(found.expected(found.maximum)) - found.maximum).max())

    assert all(moves(name) < 1e-5 for name in SATURATED)  # the paper has to say so
    assert all(moves(name) > 1e-3 for name in OVERIDENTIFIED)


@pytest.mark.parametrize("name", ["posted, additive", pytest.param("conservation, b21 = 0", marks=pytest.mark.slow)])
def test_saem_goes_to_that_point(name: str) -> None:
    """Direct ML of the package ends at the KKT point found here."""
    found = case(name)
    link, held = CASES[name]
    model = saem.Model.from_text(recipes.text({"posted": "peptide", "conservation": "peptide_conservation"}[link]))
    model = model.replace(fixed={NAMES[i]: 0.0 for i in held})
    fit = saem.fit(model, found.table, "ml")
    values = dict(zip(fit.parameters.names, fit.values, strict=True))
    close(np.array([values[key] for key in NAMES]), found.maximum, 1e-6)


# -- Proposition "stability" -------------------------------------------------------------------------------------------


class Local:
    """A, B and their surroundings at the maximum, in the coordinates of the tangent space."""

    def __init__(self, name: str) -> None:
        self.case = found = case(name)
        self.x = x = found.maximum
        self.s = s = found.expected(x)
        self.t = t = found.tangent(x)
        curved = found.curvature(x, found.multipliers(x, gradient(found.loglik, x)))
        self.of_complete, self.of_likelihood = hessian(lambda p: found.complete(s, p), x), hessian(found.loglik, x)
        self.a = -t.T @ (self.of_complete + curved) @ t
        self.b = -t.T @ (self.of_likelihood + curved) @ t
        self.flat = {"a": -t.T @ self.of_complete @ t, "b": -t.T @ self.of_likelihood @ t}  # without multipliers
        self.d = found.phi_jacobian(x) @ t
        self.sigma = found.covariance(x)


class Locals(dict[str, Local]):
    """Made when they are first asked for."""

    def __missing__(self, name: str) -> Local:
        self[name] = Local(name)
        return self[name]


@pytest.fixture(scope="module")
def local() -> Locals:
    return Locals()


def slope_of(function: object, s: Array, scale: Array) -> Array:
    """Jacobian by central differences, extrapolated."""

    def at(h: float) -> Array:
        return np.column_stack(
            [(function(s + h * e) - function(s - h * e)) / (2.0 * h * e.sum()) for e in np.diag(scale)]  # type: ignore[operator]
        )

    return (4.0 * at(5e-4) - at(1e-3)) / 3.0


def test_conditional_covariance_of_the_statistics() -> None:
    """Its closed form against 600 draws: entries within 6 standard errors (false alarms below 1e-6 for 64)."""
    found, rng = case("posted"), np.random.default_rng(2)
    x = found.maximum
    centre, exact = found.expected(x), found.covariance(x)
    draws = np.array(
        [statistics(found.dense, draw_effects(found.dense, x, rng), np.zeros(5))[:SIZE] for _ in range(600)]
    )
    products = (draws - centre)[:, :, None] * (draws - centre)[:, None, :]
    error = products.std(axis=0) / np.sqrt(len(draws))
    assert np.all(np.abs(products.mean(axis=0) - exact) <= 6.0 * error + 1e-9)
    assert not np.all(np.abs(products.mean(axis=0) - 2.0 * exact) <= 6.0 * error + 1e-9)  # mutant


@pytest.mark.parametrize("name", ALL)
def test_missing_information_and_rate(name: str, local: Locals) -> None:
    """(a) A - B = D'Cov(S|y)D >= 0, eigenvalues of the rate in [0, 1); the mutant is B - A."""
    here = local[name]
    missing = here.d.T @ here.sigma @ here.d
    close(here.a - here.b, missing, 1e-6)
    with pytest.raises(AssertionError):
        close(here.b - here.a, missing, 1e-6)
    rate = np.linalg.eigvals(np.eye(len(here.a)) - np.linalg.solve(here.a, here.b))
    assert np.abs(rate.imag).max() < 1e-9 and rate.real.min() > -1e-8 and rate.real.max() < 1.0
    assert np.linalg.eigvalsh(here.b).min() > 0.0


@pytest.mark.parametrize("name", fast("posted", "posted, b21 = 0", "conservation, additive"))
def test_eigenvalues_of_the_mean_field(name: str, local: Locals) -> None:
    """(b) of a numerically differentiated h: -1, and those of -B/A; mutants without multipliers, or -A/B."""
    here = local[name]
    scale = np.sqrt(np.diag(here.sigma)) + 1e-3
    found = np.sort(np.linalg.eigvals(slope_of(here.case.mean_field, here.s, scale)).real)

    def check(a: Array, b: Array) -> None:
        own = -np.linalg.eigvals(np.linalg.solve(a, b)).real
        own = own[own > -1.0 + 1e-6]
        close(found, np.sort(np.concatenate([own, -np.ones(len(found) - len(own))])), 2e-5)

    check(here.a, here.b)
    with pytest.raises(AssertionError):
        check(here.b, here.a)
    if name in OVERIDENTIFIED:  # elsewhere the multipliers are zero
        with pytest.raises(AssertionError):
            check(here.flat["a"], here.flat["b"])


def climbs(case_: Case, s: Array, step: Array, maximiser: object) -> float:
    """``<grad V(s), step>`` of ``V(s) = loglik(maximiser(s))``, by central differences."""
    e = 1e-4
    ahead, behind = (float(case_.loglik(maximiser(s + k * e * step))) for k in (1.0, -1.0))  # type: ignore[operator]
    return (ahead - behind) / (2.0 * e)


@pytest.mark.parametrize("name", fast("posted", "posted, additive"))
def test_lyapunov_function(name: str, local: Locals) -> None:
    """(c) at random statistics near s*, with the value that the proof gives."""
    here, rng = local[name], np.random.default_rng(3)
    found = here.case
    root = np.linalg.cholesky(here.sigma + 1e-9 * np.diag(np.diag(here.sigma) + 1.0))
    for _ in range(4):
        s = here.s + 0.3 * root @ rng.standard_normal(8)
        x = found.m_step(s)
        h = found.expected(x) - s
        t = found.tangent(x)
        curved = found.curvature(x, found.multipliers(x, score_of_complete(found, s, x)))
        a = -t.T @ (hessian(lambda p, s=s: found.complete(s, p), x) + curved) @ t
        along = (found.phi_jacobian(x) @ t).T @ h
        slope = climbs(found, s, h, found.m_step)
        assert slope == pytest.approx(along @ np.linalg.solve(a, along), rel=2e-4, abs=1e-7)
        assert slope > 0.0


def test_no_lyapunov_function_without_all_information(local: Locals) -> None:
    """(c) is refuted for the update that drops information: the likelihood falls along its mean field somewhere."""
    here, rng = local["posted, additive"], np.random.default_rng(3)
    found = here.case
    root = np.linalg.cholesky(here.sigma + 1e-9 * np.diag(np.diag(here.sigma) + 1.0))
    slopes = []
    for _ in range(6):
        s = here.s + 0.02 * root @ rng.standard_normal(8)
        slopes.append(climbs(found, s, found.expected(found.decoupled(s)) - s, found.decoupled))
    assert min(slopes) < -1e-4


def test_monte_carlo_covariance(local: Locals) -> None:
    """V Gamma V is the optimal covariance of the averages, through the maximiser; it does not depend on the basis."""
    rng = np.random.default_rng(4)
    for name in ALL:
        here = local[name]
        inverse = here.t @ np.linalg.solve(here.b, here.t.T)
        gamma = here.case.phi_jacobian(here.x).T @ here.sigma @ here.case.phi_jacobian(here.x)
        maximiser = here.t @ np.linalg.solve(here.a, here.d.T)  # D theta-hat
        field = here.sigma @ here.d @ np.linalg.solve(here.a, here.d.T) - np.eye(8)  # Dh
        through = maximiser @ np.linalg.inv(field)
        optimal = through @ here.sigma @ through.T
        close(inverse @ gamma @ inverse, optimal, 1e-7)
        basis = here.t @ rng.normal(size=(len(here.b), len(here.b)))
        b = np.linalg.lstsq(here.t, basis, rcond=None)[0]
        close(basis @ np.linalg.solve(b.T @ here.b @ b, basis.T), inverse, 1e-7)
        complete = here.t @ np.linalg.solve(here.a, here.t.T)  # mutant: complete in place of observed information
        with pytest.raises(AssertionError):
            close(complete @ gamma @ complete, optimal, 1e-2)


def test_deficit() -> None:
    """loglik(theta*) - loglik(theta) = u'Vu / 2 to second order, with u and V at the estimate."""
    rng, found = np.random.default_rng(5), case("conservation, additive", 2)
    top, x = found.loglik(found.maximum), found.maximum
    ratios, of_mutant = [], []
    for _ in range(3):
        s = found.expected(x) + 0.002 * np.sqrt(np.diag(found.covariance(x))) * rng.standard_normal(8)
        near = found.m_step(s)
        u, lost, t = gradient(found.loglik, near), top - found.loglik(near), found.tangent(near)
        b = -t.T @ (hessian(found.loglik, near) + found.curvature(near, found.multipliers(near, u))) @ t
        unrestricted = np.linalg.pinv(-hessian(found.loglik, near))  # mutant: as if there were no constraint
        ratios.append(0.5 * (t.T @ u) @ np.linalg.solve(b, t.T @ u) / lost)
        of_mutant.append(0.5 * u @ unrestricted @ u / lost)
    np.testing.assert_allclose(ratios, 1.0, atol=0.03)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(of_mutant, 1.0, atol=0.03)
