"""Mixtures and moments by which points of integration are placed, beside twins in NumPy and exact integrals."""

from __future__ import annotations

from typing import Any

import nonlinear_family
import numpy as np
import pandas as pd
import pytest
from interpreted_core import Core
from nonlinear_family import Example
from scipy.stats import multivariate_normal, multivariate_t, norm
from test_simulated_likelihood import GRID, by_mixtures, replaced, ridge

from saem.estep.integration import rules
from saem.estep.integration.marginal import parts_of
from saem.estep.integration.mixtures import LEAST, OWN, UNCONDITIONAL
from saem.estep.integration.rules import FREEDOM, t_rule
from saem.estep.integration.worth import pareto_k, worth_of
from saem.maxima.simulated import climb_simulated, error_of, simulated_at
from saem.mstep.solver import Solver

MIXTURES, MATCHING, INTEGRAL = (
    "saem.estep.integration.mixtures",
    "saem.estep.integration.matching",
    "saem.families.nonlinear.integral",
)
Array = np.ndarray


# The update of a mixture


def mixture(d: int) -> tuple[Array, Array, Array]:
    """Shares, means and roots of three components, of which the last stays."""
    rng = np.random.default_rng(d)
    roots = np.tril(0.3 * rng.standard_normal((3, d, d))) + np.eye(d)
    return np.array([0.5, 0.4, UNCONDITIONAL]), rng.standard_normal((3, d)), roots


def updated(points: Array, weights: Array) -> tuple[Array, Array, Array]:
    """Shares, means and covariances after a step of EM for t distributions (Peel & McLachlan 2000), written out."""
    d = points.shape[1]
    shares, means, roots = mixture(d)
    covariances = roots @ roots.transpose(0, 2, 1)
    heights = np.array([multivariate_t(m, c, FREEDOM).pdf(points) for m, c in zip(means, covariances, strict=True)])
    own = weights * shares[:, None] * heights / (shares @ heights)
    sums = own.sum(axis=1)
    for k in range(2):
        away = points - means[k]
        distance = np.einsum("ki,ij,kj->k", away, np.linalg.inv(covariances[k]), away)
        pull = own[k] * (FREEDOM + d) / (FREEDOM + distance)
        means[k] = pull @ points / pull.sum()
        away = points - means[k]
        worth = sums[k] ** 2 / np.sum(own[k] ** 2)
        share = worth / (worth + OWN * d)
        covariances[k] = share * (away.T * pull) @ away / sums[k] + (1.0 - share) * covariances[k]
    shares[:2] = (1.0 - LEAST) * sums[:2] / sums[:2].sum() + LEAST / 2
    shares[:2] *= (1.0 - UNCONDITIONAL) / shares[:2].sum()
    return shares, means, covariances


def check_update(core: Core) -> None:
    """In one, two and three dimensions."""
    for d in (1, 2, 3):
        rng = np.random.default_rng(10 + d)
        points, weights = 1.5 * rng.standard_normal((60, d)), rng.exponential(size=60)
        weights /= weights.sum()
        shares, means, roots = mixture(d)
        core[MIXTURES].update(points, weights, shares, means, roots)
        for found, known in zip(
            (shares, means, roots @ roots.transpose(0, 2, 1)), updated(points, weights), strict=True
        ):
            np.testing.assert_allclose(found, known, rtol=1e-9, atol=1e-10)


def test_a_mixture_is_updated_as_by_em() -> None:
    check_update(Core())


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("pull = own * (FREEDOM + d) / (FREEDOM + distances[k])", "pull = own"),
        ("- first[k, i] * first[k, j] / (pulls[k] * sums[k])", ""),
        ("heights[k] *= shares[k]", "heights[k] *= 1.0"),
        ("share = effective / (effective + OWN * d)", "share = 1.0"),
        ("(1.0 - UNCONDITIONAL) / total", "1.0 / total"),
    ],
)
def test_another_update_is_noticed(right: str, wrong: str) -> None:
    with pytest.raises(AssertionError):
        check_update(Core(MIXTURES, right, wrong))


# Moments


def moments_on_a_grid(example: Example, x: Array, cluster: int) -> tuple[Array, Array]:
    """Mean and covariance of two standard normals given the data, by the trapezium rule."""
    at = dict(zip(example.data.parameters.names, x, strict=True))
    u, v = (grid.ravel() for grid in np.meshgrid(GRID, GRID))
    curve = at["A_pop"] * np.exp(at["omega_A"] * u) / (1.0 + at["B_pop"] * np.exp(at["omega_B"] * v))
    away = (np.log(np.asarray(example.data.response)[cluster]) - np.log(curve)) / at["a"]
    weights = np.exp(-(away**2 + u**2 + v**2) / 2.0)
    points = np.column_stack([u, v])
    return np.average(points, axis=0, weights=weights), np.cov(points.T, aweights=weights, ddof=0)


def check_moments(core: Core) -> None:
    """By a round of 1,024 points that begin elsewhere: means within .15 standard deviations, covariances within .2."""
    example = ridge()
    x = np.where(np.array(example.data.parameters.names) == "a", 0.3, example.x)
    shift, stretch = np.full((8, 2), 0.5), np.tile([[1.3, 0.4], [0.0, 1.5]], (8, 1, 1))
    points, logs = np.zeros((3, 1_024, 2)), np.zeros((3, 1_024))
    points[2], logs[2] = t_rule(1_024, 2)
    chosen = np.array([1, 4])
    which = np.full(8, 2)
    core[MATCHING].match_clusters(example.arrays, x, chosen, which, points, logs, 1, True, shift, stretch)
    core[MATCHING].hold_clusters(example.arrays, x, chosen, shift, stretch)
    for cluster in chosen:
        mean, covariance = moments_on_a_grid(example, x, cluster)
        found, sd = stretch[cluster] @ stretch[cluster].T, np.sqrt(np.diag(covariance))
        assert np.all(np.abs(shift[cluster] - mean) < 0.15 * sd)
        assert np.all(np.abs(found / np.outer(sd, sd) - covariance / np.outer(sd, sd)) < 0.2)


def test_rules_are_put_where_mean_and_covariance_are() -> None:
    check_moments(Core())


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("second[j, k] -= mean[j] * mean[k]", "pass"),
        ("a[j] += b[j, k] * mean[k]", "a[j] += mean[k]"),
        ("w[k] += b[j, m] * root[m, k]", "w[k] += root[m, k]"),
        ("shift[cluster, j] = spans[0, j, 0]", "pass"),
    ],
)
def test_rules_that_are_put_elsewhere_are_noticed(right: str, wrong: str) -> None:
    with pytest.raises(AssertionError):
        check_moments(Core(MATCHING, right, wrong))


# Points that stay


def check_held(core: Core) -> None:
    """Coordinates ``c + L u`` have no derivatives then, and the volume has those of ``-log |L|``."""
    example = nonlinear_family.absorption()
    x, d = example.x, 3
    n = len(x)
    length = (n + 1) * (n + 2) // 2
    spans, out = np.zeros((d + 1, d, length)), np.zeros(length)
    rng = np.random.default_rng(3)
    spans[0, :, 0], spans[1:, :, 0] = rng.standard_normal(d), np.tril(rng.standard_normal((d, d))) + 2.0 * np.eye(d)
    core[INTEGRAL].hold_coordinates(example.arrays, x, 1, spans, out)
    basis, squares = np.zeros((d + 1, d, length)), np.zeros((10, length))
    assert core[INTEGRAL].fill_basis(example.arrays, x, 1, spans, basis, squares)
    np.testing.assert_allclose(basis[:, :, 1:], 0.0, atol=1e-11)

    def volume(point: Array) -> float:
        return -0.5 * float(np.linalg.slogdet(example.covariances(point)[1])[1])

    slopes = [(volume(x + h) - volume(x - h)) / (2.0 * h.sum()) for h in 1e-5 * np.diag(np.abs(x) + 0.1)]
    np.testing.assert_allclose(out[1 : n + 1], slopes, rtol=1e-6, atol=1e-7)
    assert out[0] == pytest.approx(0.0, abs=1e-12)


def test_points_that_are_held_stay_where_individual_parameters_are() -> None:
    check_held(Core())


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("z[j, i] = -centres[j, i]", "z[j, i] = 0.0"),
        ("add_product(-1.0, root[j, k], z[k], z[j])", "pass"),
        ("add_logarithm(-1.0, root[j, j], out)", "pass"),
    ],
)
def test_points_that_move_are_noticed(right: str, wrong: str) -> None:
    with pytest.raises(AssertionError):
        check_held(Core(INTEGRAL, right, wrong))


# Integrals by mixtures


def parabola() -> tuple[Example, Array]:
    """A linear model with three random effects; the design (4, 3) of each of its clusters."""
    rng = np.random.default_rng(21)
    times = np.array([-1.0, 0.0, 0.5, 2.0])
    design = np.column_stack([np.ones(4), times, times**2])
    theta = np.array([1.0, 0.5, -0.3]) + rng.standard_normal((6, 3)) * [0.8, 0.5, 0.3]
    y = theta @ design.T + 0.4 * rng.standard_normal((6, 4))
    table = pd.DataFrame({"id": np.repeat(np.arange(6), 4), "t": np.tile(times, 6), "y": y.ravel()})
    model = {
        "response": "y",
        "columns": ["t"],
        "individual": {"A": "normal(A0, sA)", "B": "normal(B0, sB)", "C": "normal(C0, sC)"},
        "random": {"correlated": [["A", "B"]]},
        "outcome": {"distribution": "normal", "mean": "A + B * t + C * t**2", "sd": "a"},
        "start": {"A0": 1.0, "B0": 0.5, "C0": -0.3, "sA": 0.8, "sB": 0.5, "sC": 0.3, "corr_A_B": 0.4, "a": 0.4},
    }
    return nonlinear_family.made(model, table), design


def closed(example: Example, design: Array, x: Array) -> Array:
    """The logarithms (C,) of the likelihood, which is normal."""
    at = dict(zip(example.data.parameters.names, x, strict=True))
    covariance = design @ example.covariances(x)[0] @ design.T + at["a"] ** 2 * np.eye(4)
    mean = design @ np.array([at["A0"], at["B0"], at["C0"]])
    return np.asarray(multivariate_normal(mean, covariance).logpdf(np.reshape(example.data.response, (-1, 4))))


@pytest.mark.parametrize("zero", [None, "sC", "sA"])
def test_integrals_over_three_effects_by_mixtures_are_exact(zero: str | None) -> None:
    """Within five errors, each by eight parts (one false alarm in 100 scramblings); with an effect of zero, too."""
    example, design = parabola()
    x = np.where(np.array(example.data.parameters.names) == zero, 0.0, example.x)
    placing = by_mixtures(example, x)
    found = parts_of(placing.objective(example.arrays), x, np.arange(6))
    assert np.all(np.abs(found - closed(example, design, x)) < 5.0 * np.sqrt(placing.variance) + 1e-5)
    worth = worth_of(example.arrays, placing, x)
    assert np.all(worth.share > 0.5) and not worth.doubts  # it is normal: a mixture of t does nearly all of it
    solver, steps = Solver(example.problem), 1e-4 * np.diag(np.maximum(x, 0.1))
    at = simulated_at(example.problem, solver, x, solver.free, accuracy=replaced())
    for i in np.flatnonzero(x != 0.0):
        up, down = (closed(example, design, x + move).sum() for move in (steps[i], -steps[i]))
        slope = (up - down) / (2.0 * steps[i, i])
        assert abs(at.at.gradient[i] - slope) < 5.0 * np.sqrt(at.noise[i, i]) + 1e-3 * (1.0 + abs(slope))


def test_clusters_may_differ_in_their_numbers_of_effects() -> None:
    """``y = u_1 + .. + u_d + e`` with d = 1, 3, 2: its normal density within .03 by 1,024 points."""
    core, effects, y = Core(), np.array([1, 3, 2]), np.array([0.5, -2.0, 3.0])

    def log_complete(
        arrays: Any, x: Array, cluster: int, u: Array, order: int, values: Array, *derivatives: Array
    ) -> None:
        away = y[cluster] - u[:, :, 0].sum(axis=1)
        values[:, 0] = norm.logpdf(away) + norm.logpdf(u[:, :, 0]).sum(axis=1)
        if order:
            derivatives[0][:, :, 0] = away[:, None] - u[:, :, 0]
            derivatives[1][:, :, :, 0] = -1.0 - np.eye(u.shape[1])

    own = {"log_complete": log_complete, "n_effects": lambda arrays, x, cluster: int(effects[cluster])}
    for function in (core[MIXTURES].fit_clusters, core["saem.estep.modes"].find_mode):
        function.__globals__.update(own)
    each, rounds, most = 256, 2, 3
    bases = np.zeros((most + 1, rounds * each, most))
    for d in (1, 2, 3):
        bases[d, :, :d] = t_rule(rounds * each, d).points
    shares, means, roots = np.zeros((3, 7)), np.zeros((3, 7, most)), np.zeros((3, 7, most, most))
    simple = np.zeros(3, dtype=bool)
    shift, stretch = np.zeros((3, most)), np.tile(np.eye(most), (3, 1, 1))
    core[MIXTURES].fit_clusters(
        None, np.empty(0), np.arange(3), effects, bases, rounds, True, simple, shift, stretch, shares, means, roots
    )
    for cluster, d in enumerate(effects):
        points, logs = np.empty((1_024, d)), np.empty(1_024)
        own_means, own_roots = means[cluster, :, :d], roots[cluster, :, :d, :d]
        base = t_rule(1_024, int(d)).points
        core["saem.estep.integration.mixing"].mix_points(base, 8, shares[cluster], own_means, own_roots, points, logs)
        values = np.empty((1_024, 1))
        log_complete(None, np.empty(0), cluster, points[:, :, None], 0, values)
        total = np.log(np.sum(np.exp(values[:, 0] + logs)))
        assert total == pytest.approx(norm.logpdf(y[cluster], scale=np.sqrt(1.0 + d)), abs=0.03)
        assert not means[cluster, :, d:].any()


# What points are worth


@pytest.mark.parametrize("k", [0.2, 0.5, 1.0])
def test_the_tail_of_weights_has_their_shape(k: float) -> None:
    """Of 20,000 Pareto weights: within .2, some four standard errors of their largest 425 (one in 10,000)."""
    weights = np.random.default_rng(8).pareto(1.0 / k, 20_000) + 1.0
    assert pareto_k(weights) == pytest.approx(k, abs=0.2)


def test_a_cluster_whose_points_are_worth_little_is_named() -> None:
    """A mixture that lies beside the random effects of one cluster."""
    example = ridge()
    placing = by_mixtures(example, example.x)
    assert not worth_of(example.arrays, placing, example.x).doubts
    placing.means[3, :-1] += 4.0
    worth = worth_of(example.arrays, placing, example.x)
    assert worth.effective[3] < 0.1 * np.delete(worth.effective, 3).min()
    assert "cluster 4 is in doubt:" in worth.doubts


# The error of a maximum


@pytest.mark.slow
def test_maxima_by_other_points_scatter_as_their_error_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over twelve scramblings the ratio is in (.6, 1.6): a false alarm in one of 100; errors of one part are 2.8."""
    example = ridge()
    table = pd.DataFrame({"id": np.arange(8), "y": np.asarray(example.data.response)})
    known = {"omega_A": 1.0, "omega_B": 1.0, "a": 0.012, "B_pop": 1.6}
    problem = nonlinear_family.posed(example.model.replace(fixed=known, start={"A_pop": 2.7}), table).problem
    place, nothing = problem.parameters.names.index("A_pop"), np.zeros(5, dtype=bool)
    plain, tops, errors = rules.t_rule, [], []
    for shift in range(12):
        monkeypatch.setattr(
            "saem.estep.integration.rules.t_rule", lambda draws, d, v=0, s=shift: plain(draws, d, v + 100 * (s + 1))
        )
        x, found = climb_simulated(problem, Solver(problem), problem.starts.first, nothing)
        tops.append(x[place])
        errors.append(error_of(found)[place, place])
    ratio = np.std(tops, ddof=1) / np.sqrt(np.mean(errors))
    assert 0.6 < ratio < 1.6
    assert not 0.6 < ratio / np.sqrt(rules.SCRAMBLES) < 1.6
