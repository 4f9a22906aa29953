"""Searches for counterexamples to section 3 of the paper: uniqueness, readings of the link, what a link gains.

Every search is deterministic, and is shown to refute a wrong version of the statement.
"""

from __future__ import annotations

import numpy as np
import pytest
import referee
from designs import exact_peptide_table, peptide_table
from naive import gradient, hessian
from peptide_family import CASES, LINKS, LN2, OVERIDENTIFIED, SATURATED, Case, case, dense_of, random_point
from scipy import stats

Array = np.ndarray
BOUND = 4.0 / LN2


# -- Theorem "unique" --------------------------------------------------------------------------------------------------


def h(b: Array, c: Array, d: Array) -> Array:
    """As it stands in the paper, without overflow."""
    return b + c * np.exp2(np.logaddexp2(0.0, b + d) - np.logaddexp2(0.0, b))


GRID = np.sinh(np.linspace(-np.arcsinh(2000.0), np.arcsinh(2000.0), 401))  # dense where the link bends
SHARE = np.exp2(GRID - np.logaddexp2(0.0, GRID))  # t / (1 + t)


def on_grid(c: Array, d: Array) -> Array:
    """h (N, 401): ``(1 + 2^d t) / (1 + t)`` is one less ``1 - 2^d`` times the share."""
    return GRID + c[:, None] * (1.0 - SHARE * -np.expm1(d * LN2)[:, None])


def extremes(c: Array, d: Array, grid: Array, values: Array) -> tuple[Array, Array, Array]:
    """Rows, places and heights of the local extremes that a scan finds, refined by ternary search."""
    rising = np.diff(values, axis=1) > 0.0
    row, at = np.nonzero(rising[:, 1:] != rising[:, :-1])
    low, high, sign = grid[at], grid[at + 2], np.where(rising[row, at], 1.0, -1.0)
    for _ in range(90):
        left, right = low + (high - low) / 3.0, high - (high - low) / 3.0
        up = sign * h(left, c[row], d[row]) < sign * h(right, c[row], d[row])
        low, high = np.where(up, left, low), np.where(up, high, right)
    middle = 0.5 * (low + high)
    return row, middle, h(middle, c[row], d[row])


def count(c: Array, d: Array, m: Array) -> Array:
    """Solutions of h(b) = m by a scan: changes of sign from the left end over the extremes to the right end."""
    out = np.empty(len(c), dtype=int)
    for part in np.array_split(np.arange(len(c)), max(1, len(c) // 4000)):
        values = on_grid(c[part], d[part])
        above = values > m[part, None]
        out[part] = (above[:, 1:] != above[:, :-1]).sum(axis=1)  # solutions that the grid parts
        row, _, height = extremes(c[part], d[part], GRID, values)
        twins = np.flatnonzero(np.diff(row) == 0)  # a maximum and the minimum that follows it
        for k in twins:
            target, i = m[part[row[k]]], part[row[k]]
            out[i] = 1 + 2 * int(height[k + 1] < target < height[k])
    return out


def stated(c: Array, d: Array, m: Array, bound: float = BOUND, half: float = 0.5, sign: float = 1.0) -> Array:
    """The number of solutions by the theorem; mutants have another bound, centre or sign."""
    kappa = c * (1.0 - 2.0**d) / bound
    safe = np.maximum(kappa, 1.0)
    beta = np.log2(2.0 * safe - 1.0 + 2.0 * np.sqrt(safe * (safe - 1.0)))
    centre = half * c * (1.0 + 2.0**d)
    width = sign * (h(-beta, c, d) - 0.5 * c * (1.0 + 2.0**d))
    return np.where((kappa > 1.0) & (np.abs(m - centre) < width), 3, 1)


def cases(n: int, seed: int) -> tuple[Array, Array, Array]:
    """Random (C, d, m): a third anywhere, a third near the centre, a third around the ends of the interval."""
    rng = np.random.default_rng(seed)
    c, d = np.exp(rng.uniform(np.log(0.1), np.log(60.0), n)), rng.uniform(-12.0, 4.0, n)
    kappa = c * (1.0 - 2.0**d) / BOUND
    c = np.where(np.abs(kappa - 1.0) < 5e-3, 1.02 * c, c)  # the border has a search of its own
    kappa = np.maximum(c * (1.0 - 2.0**d) / BOUND, 1.0)
    beta = np.log2(2.0 * kappa - 1.0 + 2.0 * np.sqrt(kappa * (kappa - 1.0)))
    centre = 0.5 * c * (1.0 + 2.0**d)
    end = h(-beta, c, d) - centre
    kind = rng.integers(3, size=n)
    beside = rng.choice([-1.0, 1.0], n) * end * (1.0 + rng.choice([-1.0, 1.0], n) * 10.0 ** rng.uniform(-6, -1, n))
    away = np.select([kind == 0, kind == 1], [rng.uniform(-40.0, 40.0, n), rng.normal(0.0, 1.0, n)], beside)
    return c, d, centre + away


def check_count(found: Array, claimed: Array) -> None:
    np.testing.assert_array_equal(found, claimed)


def test_the_scan_evaluates_the_link() -> None:
    rng = np.random.default_rng(0)
    c, d = rng.uniform(0.1, 40.0, 50), rng.uniform(-12.0, 4.0, 50)
    np.testing.assert_allclose(on_grid(c, d), h(GRID, c[:, None], d[:, None]), rtol=1e-12)


def test_number_of_solutions() -> None:
    """1e5 random (C, d, m), and five mutants."""
    c, d, m = cases(100_000, 1)
    found = count(c, d, m)
    check_count(found, stated(c, d, m))
    assert (found == 3).sum() > 10_000 and (found == 1).sum() > 10_000
    for mutant in ({"bound": 6.5}, {"bound": 5.0}, {"half": 1.0}, {"half": 0.0}, {"sign": -1.0}):
        with pytest.raises(AssertionError):
            check_count(found, stated(c, d, m, **mutant))


def test_at_the_border() -> None:
    """kappa = 1 -+ 1e-k: extremes appear just beyond it, between -beta and beta, and the mutants fail on a side."""
    d = np.array([-8.0, -3.0, -1.0, -0.1])
    fine = np.linspace(-0.5, 0.5, 20_001)
    for k in (2, 3, 4, 5):
        for side in (-1.0, 1.0):
            kappa = 1.0 + side * 10.0**-k
            c = kappa * BOUND / (1.0 - 2.0**d)
            values = h(fine, c[:, None], d[:, None])
            row, place, height = extremes(c, d, fine, values)
            assert len(row) == (0 if side < 0.0 else 8)
            if side > 0.0:
                beta = np.log2(2.0 * kappa - 1.0 + 2.0 * np.sqrt(kappa * (kappa - 1.0)))
                centre = 0.5 * c * (1.0 + 2.0**d)
                np.testing.assert_allclose(place, np.tile([-beta, beta], 4), atol=2e-5)  # flat: half the digits
                np.testing.assert_allclose(height[0::2] + height[1::2], 2.0 * centre, rtol=1e-12)
                assert np.all(height[0::2] > centre)
    # on the border: increasing, though flat to first order at zero (its tangent is the mutant's verdict)
    c = BOUND / (1.0 - 2.0**d)
    steps = np.diff(h(np.linspace(-0.5, 0.5, 1001), c[:, None], d[:, None]), axis=1)
    assert np.all(steps > 0.0) and np.all(steps.min(axis=1) < 1e-6)


def test_at_the_ends_of_the_interval_there_are_two() -> None:
    """A double root at -beta and a simple one beyond beta."""
    rng = np.random.default_rng(2)
    for _ in range(200):
        d, kappa = rng.uniform(-8.0, -0.5), rng.uniform(1.1, 5.0)
        c = kappa * BOUND / (1.0 - 2.0**d)
        beta = float(np.log2(2.0 * kappa - 1.0 + 2.0 * np.sqrt(kappa * (kappa - 1.0))))
        end = float(h(-beta, c, d))
        for inside, number in ((end - 1e-6, 3), (end + 1e-6, 1)):
            assert len(referee.roots_of_link(inside, d, c)) == number
        others = referee.roots_of_link(end + 1e-9, d, c)
        assert len(others) == 1 and others[0] > beta


def test_symmetry() -> None:
    rng = np.random.default_rng(3)
    b, c, d = rng.normal(0, 4, 100_000), np.exp(rng.uniform(-2, 4, 100_000)), rng.uniform(-12, 6, 100_000)
    both = h(b, c, d) + h(-b, c, d)
    np.testing.assert_allclose(both, c * (1.0 + 2.0**d), rtol=1e-9)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(both, 0.5 * c * (1.0 + 2.0**d), rtol=1e-2)


def test_example_of_the_text() -> None:
    """C = 6, d = -5: the product, the centre, three roots."""
    c, d = 6.0, -5.0
    assert c * (1.0 - 2.0**d) == 5.8125 and 0.5 * c * (1.0 + 2.0**d) == 3.09375 and c * (1.0 - 2.0**d) > BOUND
    roots = referee.roots_of_link(3.09375, d, c)
    assert len(roots) == 3 and roots[1] == pytest.approx(0.0, abs=1e-12) and roots[0] == pytest.approx(-roots[2])
    np.testing.assert_allclose(h(roots, c, d), 3.09375, atol=1e-12)
    assert len(referee.roots_of_link(3.09375, d, 5.9)) == 1


# -- Corollary "readings" ----------------------------------------------------------------------------------------------


def test_log2_link_is_increasing() -> None:
    """Differences of h over 1e5 random intervals; the mutant is twice the logarithm."""
    rng = np.random.default_rng(4)
    b, step = rng.normal(0, 6, 100_000), 10.0 ** rng.uniform(-3, 1, 100_000)
    d = rng.uniform(-30, 30, 100_000)

    def rises(times: float) -> bool:
        def values(at: Array) -> Array:
            return at + times * (np.logaddexp2(0.0, at + d) - np.logaddexp2(0.0, at))

        return bool(np.all(values(b + step) > values(b)))

    assert rises(1.0) and not rises(2.0)


def shifted(x: Array, t: float) -> Array:
    """Another split of the means into effect and interactions."""
    return x + t * np.array([0.0, 1.0, 0.0, -1.0, -1.0, 0.0, 0.0, 0.0])


def test_conservation_does_not_see_the_split() -> None:
    """Neither likelihood nor conservation changes along (c2 + t, b21 - t, b22 - t); the other links do."""
    rng, found = np.random.default_rng(5), case("posted")
    for _ in range(50):
        x, t = random_point(rng), rng.normal()
        assert found.loglik(shifted(x, t)) == pytest.approx(found.loglik(x), abs=1e-8)
        moved = {name: abs(link(shifted(x, t)) - link(x)) for name, link in LINKS.items()}
        assert moved["conservation"] < 1e-10
        assert moved["posted"] > 1e-6 and moved["log2"] > 1e-6  # mutants


def test_conservation_restricts_the_means() -> None:
    """It is an equation of means and variances alone, as the proof has it, and not an identity."""
    rng = np.random.default_rng(6)
    for _ in range(50):
        x = random_point(rng)
        m11, m12, m21, m22 = x[0], x[0] + x[2], x[0] + x[1] + x[3], x[0] + x[1] + x[2] + x[4]
        c = np.exp(LN2**2 / 2.0 * (x[6] ** 2 - x[5] ** 2))
        x[1] -= LINKS["conservation"](x)
        m21, m22 = (cell + x[0] + x[1] + x[3] - m21 for cell in (m21, m22))
        left = 2.0 ** (m21 - m11) + 2.0 ** (m22 - m11)
        assert left == pytest.approx((1.0 + 2.0 ** (m12 - m11)) / c, rel=1e-10)
        assert left != pytest.approx((1.0 + 2.0 ** (m12 - m11)) * c, rel=1e-10)  # mutant: C for its inverse


# -- Proposition "saturated" -------------------------------------------------------------------------------------------


def unconstrained(found: Case) -> float:
    """Maximum of the log-likelihood with four free cells, the split of the second arm held."""
    free = Case("posted", (), found.table, found.dense)
    object.__setattr__(free, "constraint", lambda x: np.array([x[1]]))
    return float(free.loglik(free.maximum))


@pytest.mark.parametrize("seed", [4, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3))])
def test_saturated_links_cost_no_likelihood(seed: int) -> None:
    """Over-identified links do: they are the mutants."""
    free = unconstrained(case("posted", seed))
    for name in CASES:
        lost = free - float(case(name, seed).loglik(case(name, seed).maximum))
        assert lost > -1e-9
        assert (lost < 1e-8) == (name in SATURATED), name


def test_every_solution_has_the_unconstrained_likelihood() -> None:
    """Three of them in the example, where scores vanish without multipliers; points between are no solutions."""
    sigma2 = np.sqrt(1.0 + 2.0 * np.log(6.0) / LN2**2)
    table = exact_peptide_table([[10.0, 9.0], [13.09375, 7.09375]], 1.0, sigma2, 0.5)
    found = Case("posted", (), table, dense_of(table))
    estimates = referee.balanced_maximum(table)
    solutions = [
        np.array([s[name] for name in found.dense.names]) for s in referee.saturated_solutions("peptide", estimates)
    ]
    assert len(solutions) == 3
    for x in solutions:
        assert np.abs(found.constraint(x)).max() < 1e-9
        assert np.abs(gradient(found.loglik, x)).max() < 1e-7
    assert np.ptp([found.loglik(x) for x in solutions]) < 1e-10
    assert abs(found.constraint(shifted(solutions[0], 0.2))[0]) > 1e-4


def test_unique_with_singular_information() -> None:
    """On the border, kappa = 1, the one solution at b = 0 is isolated, and the information on M is singular there."""
    for share, singular in ((1.0, True), (0.9, False)):
        c, d = share * BOUND / (1.0 - 2.0**-5), -5.0
        centre = 0.5 * c * (1.0 + 2.0**d)
        sigma2 = np.sqrt(1.0 + 2.0 * np.log(c) / LN2**2)
        table = exact_peptide_table([[10.0, 9.0], [10.0 + centre, 9.0 + centre + d]], 1.0, sigma2, 0.5)
        found = Case("posted", (), table, dense_of(table))
        x = np.array([10.0, centre, -1.0, 0.0, d, 1.0, sigma2, 0.5])
        assert np.abs(found.constraint(x)).max() < 1e-9 and np.abs(gradient(found.loglik, x)).max() < 1e-7
        t = found.tangent(x)
        values = np.linalg.eigvalsh(-t.T @ hessian(found.loglik, x) @ t)
        assert (abs(values[0]) < 1e-8 * values[-1]) == singular
        assert np.all(np.diff(h(np.linspace(-0.3, 0.3, 601), c, d)) > 0.0)


def test_random_balanced_tables() -> None:
    """The closed form of the unconstrained maximum, split by the root of the link, is a KKT point with multiplier 0."""
    for seed in range(20):
        table = peptide_table(np.random.default_rng([7, seed]), replicates=(10, 10), sigma1=0.8, sigma2=0.9)
        estimates = referee.balanced_maximum(table)
        if min(estimates[4:]) == 0.0:
            continue
        for recipe in ("peptide", "peptide_log2"):
            found = Case({"peptide": "posted"}.get(recipe, "log2"), (), table, dense_of(table))
            for solution in referee.saturated_solutions(recipe, estimates):
                x = np.array([solution[name] for name in found.dense.names])
                assert np.abs(found.constraint(x)).max() < 1e-9
                assert np.abs(gradient(found.loglik, x)).max() < 1e-7


# -- Proposition "gain" ------------------------------------------------------------------------------------------------


def restricted(v: Array, jacobian: Array) -> Array:
    """Covariance on the constraint, from the information in free coordinates."""
    t = np.linalg.svd(jacobian)[2][len(jacobian) :].T
    return t @ np.linalg.inv(t.T @ np.linalg.inv(v) @ t) @ t.T


def random_covariance(rng: np.random.Generator, k: int) -> Array:
    root = rng.normal(size=(k, k))
    return root @ root.T + 0.1 * np.eye(k)


def test_gain_in_precision() -> None:
    """Against the information in free coordinates: any constraint, and c2 = g(v) with independent estimates."""
    rng = np.random.default_rng(8)
    for _ in range(300):
        k = int(rng.integers(1, 5))
        v = random_covariance(rng, k + 3)
        jacobian = rng.normal(size=(int(rng.integers(1, 3)), k + 3))
        general = v - v @ jacobian.T @ np.linalg.solve(jacobian @ v @ jacobian.T, jacobian @ v)
        np.testing.assert_allclose(general, restricted(v, jacobian), rtol=0.0, atol=1e-8 * np.abs(v).max())

        # c2, then v (k), then two means that are correlated with c2 but are not in the link
        means = random_covariance(rng, 3)
        v[:] = 0.0
        at = np.r_[0, k + 1, k + 2]
        v[np.ix_(at, at)] = means
        v[1 : k + 1, 1 : k + 1] = random_covariance(rng, k)
        slope = rng.normal(size=k)
        exact = restricted(v, np.concatenate([[1.0], -slope, [0.0, 0.0]])[None])
        v_c, v_g = v[0, 0], slope @ v[1 : k + 1, 1 : k + 1] @ slope
        assert exact[0, 0] == pytest.approx(1.0 / (1.0 / v_c + 1.0 / v_g))
        assert v_c / exact[0, 0] == pytest.approx(1.0 + v_c / v_g)
        sd = np.sqrt(np.diag(v)[1 : k + 1])
        rho = v[1 : k + 1, 1 : k + 1] @ slope / (sd * np.sqrt(v_g))
        gain = sd**2 / np.diag(exact)[1 : k + 1]
        np.testing.assert_allclose(gain, 1.0 / (1.0 - rho**2 * v_g / (v_c + v_g)), rtol=1e-7)
        with pytest.raises(AssertionError):  # mutant: the other share
            np.testing.assert_allclose(gain, 1.0 / (1.0 - rho**2 * v_c / (v_c + v_g)), rtol=1e-3)
        # mutant: estimates that are not independent
        v[0, 1] = v[1, 0] = 0.5 * np.sqrt(v_c * v[1, 1])
        other = restricted(v + 3.0 * np.eye(k + 3), np.concatenate([[1.0], -slope, [0.0, 0.0]])[None])
        inner = (v + 3.0 * np.eye(k + 3))[1 : k + 1, 1 : k + 1]
        assert other[0, 0] != pytest.approx(1.0 / (1.0 / (v_c + 3.0) + 1.0 / (slope @ inner @ slope)), rel=1e-4)


def test_a_wrong_link() -> None:
    """Bias and noncentrality in a linear Gaussian model, where they are exact; 2e5 draws, within 5 standard errors.

    The share of statistics beyond the 95 % point of chi2(1, noncentrality) is within 5 of its own. False alarms
    together below 1e-5.
    """
    rng = np.random.default_rng(9)
    v, n = random_covariance(rng, 4), 200_000
    jacobian, delta = rng.normal(size=(1, 4)), 1.7
    theta = np.linalg.lstsq(jacobian, [delta], rcond=None)[0]  # c(theta_0) = G theta_0 = delta
    draws = rng.multivariate_normal(theta, v, size=n)
    size = float((jacobian @ v @ jacobian.T)[0, 0])
    pull = (v @ jacobian.T)[:, 0] / size
    c = (draws @ jacobian.T)[:, 0]
    on = draws - c[:, None] * pull
    np.testing.assert_allclose(on @ jacobian.T, 0.0, atol=1e-10)
    ratio = np.einsum("ni,ij,nj->n", draws - on, np.linalg.inv(v), draws - on)
    np.testing.assert_allclose(ratio, c**2 / size, rtol=1e-8, atol=1e-10)  # the likelihood ratio is the Wald form
    error = on.std(axis=0) / np.sqrt(n) + 1e-12
    bias = -pull * delta
    assert np.all(np.abs(on.mean(axis=0) - theta - bias) < 5.0 * error)
    assert not np.all(np.abs(on.mean(axis=0) - theta + bias) < 5.0 * error)  # mutant: the other sign
    power = stats.ncx2.sf(stats.chi2.ppf(0.95, 1), 1, delta**2 / size)
    found = np.mean(ratio > stats.chi2.ppf(0.95, 1))
    assert abs(found - power) < 5.0 * np.sqrt(power * (1.0 - power) / n)
    mutant = stats.ncx2.sf(stats.chi2.ppf(0.95, 1), 1, 0.5 * delta**2 / size)
    assert abs(found - mutant) > 5.0 * np.sqrt(power * (1.0 - power) / n)
    # squared biases are to gains of variance as the noncentrality to one, for every parameter
    gained = np.diag(v) - np.diag(restricted(v, jacobian))
    np.testing.assert_allclose(bias**2 / gained, delta**2 / size, rtol=1e-8)


def test_where_the_proposition_applies() -> None:
    """It asks for c2 - g(v): true of the additive designs; with b22 free a mean that is correlated with c2 enters g."""
    rng = np.random.default_rng(10)
    for name in OVERIDENTIFIED:
        link, held = CASES[name]
        x = random_point(rng)
        x[list(held)] = 0.0
        slopes = gradient(LINKS[link], x)
        means = [i for i in (0, 2, 3, 4) if i not in held]
        assert (np.abs(slopes[means]).max() < 1e-12) == name.endswith("additive"), name
