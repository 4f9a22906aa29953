"""Markov kernels for the random effects of any family: each leaves the conditional law invariant, and so do all.

Thousands of clusters with the same three rows are as many independent chains. They begin at exact draws (from the
prior, accepted with the probability of the outcomes), make a few moves by one kernel, and must still have the moments
that a fine grid gives. Modes and scales are those of other parameters: they must not matter.

False alarms: five moments of four kernels at |z| > 5, and some twenty other z-values: below 10^-4 for the file, and
none for the seeds in it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import glmm_family
import numpy as np
import pytest
from drawing import complete_by_cluster, drawn_clusters
from interpreted_core import Core
from scipy.stats import norm
from selecting import few

from saem.estep import kernel_state as module
from saem.estep.kernel_state import COMPONENTWISE, INDEPENDENT, NAMES, PRIOR, WALK, Metropolis, metropolis
from saem.estep.samplers import is_markov, kernel_state, own_copy, put_back
from saem.estep.score_noise import draw_means, scores_of
from saem.families.nonlinear.arrays import NonlinearArrays
from saem.families.nonlinear.arrays import n_statistics as counted
from saem.mstep.solver import Solver

X, ELSEWHERE = np.array([0.4, 0.7, 1.5, 1.1, 0.3]), np.array([0.0, 1.2, 1.0, 1.4, -0.2])
ROWS = np.column_stack([np.ones(3), [-1.0, 0.5, 2.0]])
OUTCOMES = np.array([1.0, 0.0, 1.0])


def likelihood(u: np.ndarray) -> np.ndarray:
    """Of the three outcomes, at random effects (N, 2)."""
    b0, b1, s0, s1, rho = X
    theta = np.column_stack([s0 * u[:, 0], s1 * (rho * u[:, 0] + np.sqrt(1.0 - rho**2) * u[:, 1])])
    chance = 1.0 / (1.0 + np.exp(-(ROWS @ [b0, b1])[None] - theta @ ROWS.T))
    return np.prod(np.where(OUTCOMES == 1.0, chance, 1.0 - chance), axis=1)


def moments(u: np.ndarray) -> np.ndarray:
    """Of first and second order (N, 5)."""
    return np.column_stack([u, u**2, u[:, 0] * u[:, 1]])


@cache
def exact_moments() -> np.ndarray:
    """By the trapezium rule on all of the plane."""
    grid = np.arange(-8.0, 8.0, 0.05)
    u = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    weights = likelihood(u) * np.exp(norm.logpdf(u).sum(axis=1))
    return weights @ moments(u) / weights.sum()


def exact_draws(n: int, seed: int) -> np.ndarray:
    """Independent draws (n, 2) of the random effects given the outcomes."""
    rng = np.random.default_rng(seed)
    found = np.empty((0, 2))
    while len(found) < n:
        u = rng.standard_normal((4 * n, 2))
        found = np.vstack([found, u[rng.random(len(u)) < likelihood(u)]])
    return found[:n]


def chains(n: int) -> Metropolis:
    """``n`` clusters with the same rows."""
    cluster, design = np.repeat(np.arange(n), 3), np.tile(ROWS, (n, 1))
    names = {"means": ("b0", "b1"), "sds": ("s0", "s1")}
    problem = glmm_family.posed("bernoulli", np.tile(OUTCOMES, n), design, cluster, random=design, **names)
    return metropolis(problem.clusters.joint(), n, 2, len(problem.parameters))


def n_statistics(arrays: NonlinearArrays) -> int:
    """Their number."""
    groups, d = arrays.sd_index.shape
    return counted(len(arrays.expanded), len(arrays.scale_index), groups, len(arrays.term_effect), d)


def check_moments(u: np.ndarray, what: str) -> None:
    values = moments(u)
    z = (values.mean(axis=0) - exact_moments()) / (values.std(axis=0) / np.sqrt(len(u)))
    assert np.abs(z).max() < 5.0, f"{what} changes the law: largest |z| {np.abs(z).max():.1f}"


def set_up(drawing: Metropolis, kind: int, u: np.ndarray) -> None:
    """Only one kind of move, from exact draws on, without adapting, and with modes that stay where they are."""
    drawing.adapt(False)
    drawing.kernel.clock[module.NEXT] = 10**9
    drawing.kernel.shares[:] = 0.0
    drawing.kernel.shares[:, kind] = 1.0
    drawing.kernel.latent[:] = u


def draw(drawing: Metropolis, x: np.ndarray, m: int, seed: int, many: int = 1) -> np.ndarray:
    """Statistics (many, s)."""
    statistics = np.empty((many, n_statistics(drawing.arrays)))
    draw_means(drawing, x, np.random.Generator(np.random.SFC64(seed)), m, statistics)
    return statistics


def test_the_exact_draws_are_exact() -> None:
    check_moments(exact_draws(40_000, 1), "rejection")


@pytest.mark.parametrize("kind", [INDEPENDENT, WALK, COMPONENTWISE, PRIOR], ids=NAMES)
def test_each_kernel_leaves_the_conditional_law_as_it_is(kind: int) -> None:
    drawing = chains(8000)
    draw(drawing, ELSEWHERE, 1, seed=1)  # modes and scales of other parameters
    u = exact_draws(8000, 2)
    set_up(drawing, kind, u)
    draw(drawing, X, 5, seed=3)
    moved = np.mean(np.any(drawing.latent != u, axis=1))
    assert moved > 0.5, f"only {moved:.0%} of the chains have moved"
    check_moments(drawing.latent, NAMES[kind])


def test_all_kernels_together_forget_where_they_began() -> None:
    """From one point for all, thirty moves later."""
    drawing = chains(8000)
    draw(drawing, X, 1, seed=1)
    drawing.adapt(False)
    drawing.kernel.latent[:] = [2.0, -2.0]
    draw(drawing, X, 30, seed=2)
    check_moments(drawing.latent, "the mixture")


WRONG = [
    (INDEPENDENT, "0.5 * (FREEDOM + d) * (math.log1p(after", "0.0 * (math.log1p(after"),
    (INDEPENDENT, "+ d) * (math.log1p(after / FREEDOM) -", "+ d) * -(math.log1p(after / FREEDOM) -"),
    (PRIOR, "return 0.5 * (after - before)", "return 0.0"),
    (COMPONENTWISE, "accepted = -rng.standard_exponential() <", "accepted = -2.0 * rng.standard_exponential() <"),
]


@pytest.mark.parametrize(("kind", "right", "wrong"), few(WRONG, WRONG[1:3]))
def test_a_wrong_acceptance_ratio_is_noticed(kind: int, right: str, wrong: str) -> None:
    """As plain Python, 800 chains of four moves."""
    core = Core("saem.estep.metropolis", right, wrong)["saem.estep.metropolis"]
    drawing, one, rng = chains(800), chains(2), np.random.Generator(np.random.SFC64(4))
    statistics = np.empty(n_statistics(drawing.arrays))
    core.draw_all(one, X, rng, 1, statistics)
    for name in ("modes", "factors"):  # of one for all, who are alike
        getattr(drawing.kernel, name)[:] = getattr(one.kernel, name)[:1]
    drawing.kernel.clock[module.CALLS] = 1
    set_up(drawing, kind, exact_draws(800, 5))
    core.draw_all(drawing, X, rng, 4, statistics)
    with pytest.raises(AssertionError, match="changes the law"):
        check_moments(drawing.latent, "the mutant")


# What the draws are for


@pytest.mark.parametrize("name", few(["slopes", "counts"], ["counts"]))
def test_the_score_at_draws_is_that_of_the_marginal_likelihood(name: str) -> None:
    """Fisher's identity at two places each: means of 100 batches of 300 draws against quadrature, |z| < 5."""
    problem = getattr(glmm_family, name)(nodes=25)
    solver = Solver(problem)
    start = np.array([0.4, 0.7, 0.9, 0.5, 0.3]) if name == "slopes" else np.array([1.4, 1.1, 0.5, 0.8])
    for x in (start, 1.3 * start):
        drawing = own_copy(problem.arrays)
        draw(drawing, x, 20, seed=1, many=20)
        drawing.adapt(False)
        scores = scores_of(drawing, draw(drawing, x, 300, seed=2, many=100), x).scores
        z = (scores.mean(axis=0) - solver.derivatives(solver.observed(), x).gradient) / (scores.std(axis=0) / 10.0)
        assert np.abs(z).max() < 5.0


def test_the_complete_data_likelihood_at_draws_is_exact() -> None:
    """At statistics of one draw: value, score and Hessian in the means of rows and random effects written out."""
    problem = glmm_family.slopes(n_clusters=5)
    data, x = problem.data, np.array([0.4, 0.7, 0.9, 0.5, 0.3])
    problem = replace(
        problem, arrays=metropolis(problem.clusters.joint(), 5, 2, len(problem.parameters))
    )  # nothing is centred
    drawing = own_copy(problem.arrays)
    statistics = draw(drawing, x, 1, seed=3)[0]
    root = np.array([[0.9, 0.0], [0.5 * 0.3, 0.5 * np.sqrt(1.0 - 0.09)]])
    theta = drawing.latent @ root.T
    omega = root @ root.T

    def written_out(beta: np.ndarray) -> float:
        eta = data.mean_design @ beta + np.sum(theta[data.cluster] * data.random_design, axis=1)
        rows = data.response * eta - 2.0 * np.logaddexp(0.0, eta) + np.where(data.response == 1.0, np.log(2.0), 0.0)
        squares = np.einsum("cj,jk,ck->", theta, np.linalg.inv(omega), theta)
        return float(rows.sum() - 0.5 * (squares + 5 * np.log(np.linalg.det(2.0 * np.pi * omega))))

    solver = Solver(problem)
    at = solver.derivatives(solver.complete(statistics), x)
    assert at.value == pytest.approx(written_out(x[:2]), rel=1e-12)
    h = 1e-4
    for i in range(2):
        e = h * np.eye(2)[i]
        assert at.gradient[i] == pytest.approx((written_out(x[:2] + e) - written_out(x[:2] - e)) / (2 * h), rel=1e-6)
        for j in range(2):
            f = h * np.eye(2)[j]
            cross = written_out(x[:2] + e + f) - written_out(x[:2] + e - f)
            cross -= written_out(x[:2] - e + f) - written_out(x[:2] - e - f)
            assert at.hessian[i, j] == pytest.approx(cross / (4 * h * h), rel=1e-5)


@pytest.mark.slow
def test_clusters_one_by_one_are_all_of_them() -> None:
    """Statistics of clusters, each drawn by its own chain, and their parts of the complete-data likelihood."""
    problem = glmm_family.counts(n_clusters=6)
    problem = replace(problem, clusters=replace(problem.clusters, clusterwise=lambda: one))
    one, x = own_copy(problem.arrays), np.array([1.4, 1.1, 0.5, 0.8])
    statistics = drawn_clusters(problem, x, np.arange(6), 1, m=4)[0]
    assert one.acceptance[1] == 24
    before = one.latent.copy()
    drawn_clusters(problem, x, [4, 1], 1, m=4)
    assert np.array_equal(np.flatnonzero(np.any(one.latent != before, axis=1)), [1, 4])
    values, gradients, hessian = complete_by_cluster(problem, x, statistics)
    solver = Solver(problem)
    at = solver.derivatives(solver.complete(statistics.sum(axis=0)), x)
    assert values.sum() == pytest.approx(at.value, rel=1e-12)
    np.testing.assert_allclose(gradients.sum(axis=0), at.gradient, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(hessian, at.hessian, rtol=1e-10, atol=1e-10)
    group = problem.clusters.joint().group
    assert np.all(gradients[group == 0][:, [1, 3]] == 0.0) and np.all(gradients[group == 1][:, [0, 2]] == 0.0)


# The state


def test_a_state_that_is_put_back_goes_on_bit_for_bit() -> None:
    """While it adapts, too; and a copy disturbs nobody."""
    problem = glmm_family.slopes()
    x, first = np.array([0.4, 0.7, 0.9, 0.5, 0.3]), own_copy(problem.arrays)
    assert is_markov(first) and not is_markov(problem.clusters.joint())
    before = {name: value.copy() for name, value in kernel_state(problem.arrays).items()}
    draw(first, x, 3, seed=1, many=13)
    saved = {name: value.copy() for name, value in kernel_state(first).items()}
    expected = draw(first, 1.1 * x, 3, seed=2, many=9)
    refreshed = first.kernel.modes.copy()
    assert not np.array_equal(refreshed, saved["modes"]) and not np.array_equal(first.kernel.shares, saved["shares"])
    other = own_copy(problem.arrays)
    put_back(other, saved)
    np.testing.assert_array_equal(draw(other, 1.1 * x, 3, seed=2, many=9), expected)
    for name, value in kernel_state(problem.arrays).items():
        np.testing.assert_array_equal(value, before[name])


def test_refreshes_become_rare_and_adaptation_ends() -> None:
    """The clock of a chain whose parameters move: what changes modes is the rule alone.

    Modes go on to follow the parameters, of which they are functions; probabilities and scales do not change any more.
    """
    problem = glmm_family.slopes(n_clusters=4)
    drawing, x = own_copy(problem.arrays), np.array([0.4, 0.7, 0.9, 0.5, 0.3])
    changed = []
    for k in range(200):
        modes = drawing.kernel.modes.copy()
        draw(drawing, x * (1.0 + 1e-3 * k), 1, seed=k)
        if not np.array_equal(drawing.kernel.modes, modes):
            changed.append(k)
    assert changed[:9] == list(range(9))
    gaps = np.diff(changed)
    assert np.all(np.diff(gaps) >= 0) and gaps[-1] > 15
    drawing.adapt(False)
    assert not drawing.kernel.counts.any()  # what is accepted from now on is counted anew
    fixed = {name: kernel_state(drawing)[name].copy() for name in ("shares", "log_scales")}
    modes = drawing.kernel.modes.copy()
    draw(drawing, 0.5 * x, 5, seed=1, many=100)
    for name, value in fixed.items():
        np.testing.assert_array_equal(kernel_state(drawing)[name], value)
    assert not np.array_equal(drawing.kernel.modes, modes)
    there = own_copy(problem.arrays)
    draw(there, 0.5 * x, 1, seed=1)
    np.testing.assert_allclose(drawing.kernel.modes, there.kernel.modes, atol=1e-5)  # from another start
    rates = drawing.acceptance_rates
    assert rates.shape == (4,) and np.all((rates > 0.3) & (rates < 1.0))
    accepted, proposed = drawing.acceptance
    assert 0.3 * proposed < accepted < proposed


def test_where_independent_moves_fail_others_are_made() -> None:
    """Acceptance near zero leaves the independent kernel its least share; near one, its most."""
    core = Core()["saem.estep.kernel_state"]
    drawing = chains(2)
    counts = drawing.kernel.counts
    counts[0, INDEPENDENT], counts[1, INDEPENDENT] = (1.0, 400.0), (399.0, 400.0)
    for cluster in range(2):
        core.fill_shares(drawing.kernel, cluster, 2)
    shares = drawing.kernel.shares
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    assert shares[0, INDEPENDENT] == module.FEWEST and shares[1, INDEPENDENT] == module.MOST
    assert np.all(shares[0, [WALK, COMPONENTWISE]] > 0.4) and np.all(shares[:, PRIOR] == module.NOW_AND_THEN)
