"""The complete-data likelihood of nonlinear models at statistics of draws, against the density written out.

With the latent data of the draws held fixed (coordinates of the individual parameters where they are centred, random
effects where they are not) the value and the gradient of `complete` at the parameters of the draws are those of
``log p(y, latent; x)``, and with the curvature of the rows in place of its expectation the Hessian is, too.
"""

from __future__ import annotations

from itertools import product

import nonlinear_family
import numpy as np
import pytest
from interpreted_core import Core
from nonlinear_family import Example, completed, evaluate_complete, n_statistics, statistics_of

from saem.estep.samplers import own_copy
from saem.estep.score_noise import draw_means
from saem.families.contract import limit
from saem.families.nonlinear.arrays import NonlinearArrays
from saem.system.jit import entry

COMPLETE, REDUCTION = "saem.families.nonlinear.complete", "saem.families.nonlinear.reduction"
PLACEMENTS = [
    (name, placement)
    for name, d in (("absorption", 3), ("saturation", 2), ("counts", 1), ("trial", 2), ("curve", 0))
    for placement in product([True, False], repeat=d)
]


def elsewhere(example: Example, seed: int = 0) -> np.ndarray:
    """Parameters (n,) near the start, where no derivative is zero."""
    rng = np.random.default_rng(seed)
    free = ~example.data.parameters.fixed
    return np.where(free, example.x * np.exp(0.1 * rng.standard_normal(len(example.x))), example.x)


def draws(example: Example, many: int, seed: int = 1) -> np.ndarray:
    """Random effects (C, m, d) on the scale on which they are standard normals."""
    clusters, d = len(example.arrays.group), example.arrays.sd_index.shape[1]
    return 0.7 * np.random.default_rng(seed).standard_normal((clusters, many, d))


def latent_of(example: Example, x: np.ndarray, u: np.ndarray, centred: np.ndarray) -> np.ndarray:
    """The latent data (C, d) of one draw (C, d)."""
    covariance = example.covariances(x)
    theta = np.einsum("cij,cj->ci", np.linalg.cholesky(covariance), u) if u.shape[1] else u
    return np.where(centred, example.centres(x) + theta, theta)


def written_out(example: Example, x: np.ndarray, u: np.ndarray, centred: np.ndarray):
    """The function of ``x`` that is the mean over draws (C, m, d), with their latent data held fixed."""
    latent = [latent_of(example, x, u[:, k], centred) for k in range(u.shape[1])]
    return lambda point: np.mean([example.log_complete(point, each, centred).sum() for each in latent])


def slopes(function, x: np.ndarray) -> np.ndarray:
    """Gradient (n,) by differences of order four."""
    found, steps = np.empty(len(x)), np.diag(1e-3 * np.maximum(np.abs(x), 0.05))
    for i, step in enumerate(steps):
        near, far = function(x + step) - function(x - step), function(x + 2 * step) - function(x - 2 * step)
        found[i] = (8 * near - far) / (12 * step[i])
    return found


def bends(function, x: np.ndarray) -> np.ndarray:
    """Hessian (n, n) by differences of order two."""
    n, steps = len(x), np.diag(3e-4 * np.maximum(np.abs(x), 0.05))
    found = np.empty((n, n))
    for i, a in enumerate(steps):
        for j, b in enumerate(steps[: i + 1]):
            cross = function(x + a + b) - function(x + a - b) - function(x - a + b) + function(x - a - b)
            found[i, j] = found[j, i] = cross / (4 * a[i] * b[j])
    return found


def check(example: Example, arrays: NonlinearArrays, core: Core | None = None, hessian: bool = False) -> None:
    """Value, gradient and, if that is promised, Hessian at the parameters of one or two draws."""
    many = 1 if hessian else 2
    x, u, centred = elsewhere(example), draws(example, many), arrays.centred == 1
    function = written_out(example, x, u, centred)
    if core is None:
        found = completed(arrays, statistics_of(example, arrays, x, u), x)
    else:
        statistics = np.zeros(n_statistics(example))
        for cluster in range(len(u)):
            core[REDUCTION].accumulate_nonlinear(arrays, x, cluster, u[cluster], 1.0 / many, statistics)
        gradient, square = np.empty(len(x)), np.empty((len(x), len(x)))
        found = core[COMPLETE].complete_all(arrays, statistics, x, gradient, square), gradient, square
    slope, size = slopes(function, x), np.sqrt(np.abs(np.diag(found[2]))) + 1e-3
    assert found[0] == pytest.approx(function(x), rel=1e-10)
    np.testing.assert_allclose(found[1] / size, slope / size, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found[2], found[2].T, rtol=1e-12)
    if hessian:
        unit = np.outer(size, size)
        np.testing.assert_allclose(found[2] / unit, bends(function, x) / unit, rtol=1e-4, atol=1e-4)


# What is promised


@pytest.mark.parametrize(("name", "placement"), PLACEMENTS)
def test_value_and_gradient_are_those_of_the_complete_data(name: str, placement: tuple[bool, ...]) -> None:
    """Exact scales, combined errors, parameters without random effects, covariates, groups; all placements."""
    example = nonlinear_family.EXAMPLES[name]()
    check(example, example.placed(*placement))


@pytest.mark.parametrize(("name", "placement"), PLACEMENTS)
def test_with_the_curvature_of_the_rows_the_hessian_is_exact(name: str, placement: tuple[bool, ...]) -> None:
    """For Louis' information; where it is that of the rows' expectation the check fails."""
    example = nonlinear_family.EXAMPLES[name]()
    check(example, example.problem.latent.observe(example.placed(*placement)), hessian=True)
    if name in ("saturation", "curve"):
        with pytest.raises(AssertionError):
            check(example, example.placed(*placement), hessian=True)


@pytest.mark.parametrize("name", ["absorption", "counts"])
def test_what_is_an_exponential_family_is_exact_anywhere(name: str) -> None:
    """Centred, but for the coefficient in the rows: at statistics of one place, the value at another."""
    example = nonlinear_family.EXAMPLES[name]()
    x, u = elsewhere(example), draws(example, 2)
    arrays, centred = example.placed(), np.ones(u.shape[2], dtype=bool)
    other = elsewhere(example, seed=5)
    if name == "counts":
        beta = example.data.parameters.names.index("beta")
        other[beta] = x[beta]
    function = written_out(example, x, u, centred)
    value, gradient, hessian = completed(arrays, statistics_of(example, arrays, x, u), other)
    assert value == pytest.approx(function(other), rel=1e-9)
    slope, bend = slopes(function, other), bends(function, other)
    moving = np.arange(len(x)) != (beta if name == "counts" else -1)
    np.testing.assert_allclose(gradient[moving], slope[moving], rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(hessian[np.ix_(moving, moving)], bend[np.ix_(moving, moving)], rtol=1e-3, atol=1e-2)


def test_statistics_that_are_averaged_over_places_keep_their_scores() -> None:
    """Of two places, at each the score is that of the mean of its quadratic functions: they are linear in them."""
    example = nonlinear_family.saturation()
    arrays, first, second = example.placed(), elsewhere(example), elsewhere(example, seed=3)
    parts = [statistics_of(example, arrays, x, draws(example, 1)) for x in (first, second)]
    at = elsewhere(example, seed=4)
    each = [completed(arrays, part, at) for part in parts]
    together = completed(arrays, 0.3 * parts[0] + 0.7 * parts[1], at)
    constant = sum(w * e[0] for w, e in zip((0.3, 0.7), each, strict=True))
    assert together[0] == pytest.approx(constant, rel=1e-12)
    np.testing.assert_allclose(together[1], 0.3 * each[0][1] + 0.7 * each[1][1], rtol=1e-10, atol=1e-9)
    np.testing.assert_allclose(together[2], 0.3 * each[0][2] + 0.7 * each[1][2], rtol=1e-10, atol=1e-8)


def test_the_information_of_an_expansion_is_an_expectation() -> None:
    """In the mean over responses that the model draws, it is that of the rows: |z| < 5 for all of them."""
    example = nonlinear_family.curve()
    x, rng = example.x, np.random.default_rng(2)
    u = np.empty((5, 1, 0))
    expected = completed(example.placed(), statistics_of(example, example.placed(), x, u), x)[2]
    t = example.table["t"].to_numpy()
    found = []
    for _ in range(400):
        mean = x[0] * np.exp(-x[1] * t)
        response = mean + x[2] * rng.standard_normal(len(t))
        residual = (response - mean) / x[2] ** 2
        slope = np.array([residual @ np.exp(-x[1] * t), residual @ (-t * mean)])
        found.append(np.outer(slope, slope)[np.tril_indices(2)])
    z = (np.mean(found, axis=0) + expected[:2, :2][np.tril_indices(2)]) / (np.std(found, axis=0) / 20.0)
    assert expected[0, 0] < 0.0 and abs(z[0]) < 5.0
    # the logarithm of the rate is what is expanded: minus the Hessian by the rate has the score in it
    score = completed(example.placed(), statistics_of(example, example.placed(), x, u), x)[1]
    bend = expected[1, 1] + score[1] / x[1]
    z = (np.mean(found, axis=0)[2] + bend) / (np.std(found, axis=0)[2] / 20.0)
    assert abs(z) < 5.0


# Clusters one by one


def check_each(core: Core) -> None:
    """Values, scores and Hessians of clusters that take turns between two variance groups add up to those of all."""
    example = nonlinear_family.counts()
    arrays, x, u = example.placed(), elsewhere(example), draws(example, 1)
    count, n = len(u), len(x)
    assert len(set(arrays.group[:2].tolist())) == 2
    statistics = np.zeros((count, n_statistics(example)))
    for cluster in range(count):
        core[REDUCTION].accumulate_nonlinear(arrays, x, cluster, u[cluster], 1.0, statistics[cluster])
    values, gradients, hessian = np.empty(count), np.empty((count, n)), np.empty((n, n))
    core[COMPLETE].complete_each(arrays, np.arange(count), statistics, x, values, gradients, hessian)
    value, gradient, square = completed(arrays, statistics_of(example, arrays, x, u), x)
    assert values.sum() == pytest.approx(value, rel=1e-10)
    np.testing.assert_allclose(gradients.sum(axis=0), gradient, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(hessian, square, rtol=1e-9, atol=1e-9)


def test_clusters_of_several_groups_are_together_what_they_are_one_by_one() -> None:
    check_each(Core())


def test_a_cluster_that_leaves_something_to_the_next_is_noticed() -> None:
    with pytest.raises(AssertionError):
        check_each(Core(COMPLETE, "gram[group, k, m] = 0.0", "pass"))


# Mutants


MUTANTS = [
    ("absorption", (True,) * 3, COMPLETE, "statistics[k * d + i] * (2.0 if", "statistics[k * d + i] * (1.0 if"),
    ("absorption", (True,) * 3, COMPLETE, "if arrays.centred[i] == 1 and i >= j and gram", "if i > j and gram"),
    ("absorption", (True,) * 3, REDUCTION, "arrays.scale_rows[cluster, i] * math.log(scale)", "math.log(scale)"),
    ("absorption", (True, False, True), REDUCTION, "if arrays.centred[j] == 1 else z[j] - prepared[d * d + j]", ""),
    ("absorption", (False,) * 3, REDUCTION, "if arrays.centred[effect] == 1:", "if arrays.centred[effect] == 0:"),
    ("saturation", (True,) * 2, COMPLETE, "pull[j] += weight * t[i]", "pull[j] += 0.0"),
    ("saturation", (True,) * 2, REDUCTION, "= 1.0 / t_slopes[arrays", "= t_slopes[arrays"),
    ("saturation", (True,) * 2, COMPLETE, "hessian[a, a] += score * bend[i]", "pass"),
    ("counts", (True,), REDUCTION, "start = squares + s + arrays.group[cluster] *", "start = squares + s + 0 *"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "placement", "module", "right", "wrong"), MUTANTS)
def test_a_mutant_is_noticed(name: str, placement: tuple[bool, ...], module: str, right: str, wrong: str) -> None:
    """Run as plain Python; the same without the mutation passes."""
    example = nonlinear_family.EXAMPLES[name]()
    arrays, hessian = example.placed(*placement), "score * bend" in right
    if hessian:
        arrays = example.problem.latent.observe(arrays)
    with pytest.raises(AssertionError):
        check(example, arrays, Core(module, right, wrong), hessian)


@pytest.mark.parametrize(("name", "placement"), [("absorption", (True, False, True)), ("saturation", (False, True))])
def test_plain_python_is_no_mutant(name: str, placement: tuple[bool, ...]) -> None:
    example = nonlinear_family.EXAMPLES[name]()
    check(example, example.placed(*placement), Core())


@pytest.mark.parametrize("wrong", ["0.0 * slope[i] * t_bends", "-slope[i] * t_bends"])
def test_a_bend_that_is_left_out_is_noticed(wrong: str) -> None:
    example = nonlinear_family.saturation()
    arrays = example.problem.latent.observe(example.placed())
    with pytest.raises(AssertionError):
        check(example, arrays, Core(REDUCTION, "slope[i] * t_bends", wrong), hessian=True)


# Steps that are too long


@entry
def limit_statistics(arrays: NonlinearArrays, x: np.ndarray, statistics: np.ndarray) -> None:
    """`contract.limit`."""
    limit(arrays, x, statistics)


def step_of(example: Example, statistics: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The Newton step of the expansion alone, in the logarithms of its bounded parameters."""
    arrays, p = example.placed(), len(example.arrays.expanded)
    matrix = np.zeros((p, p))
    matrix[np.tril_indices(p)] = statistics[1 + p : 1 + p + p * (p + 1) // 2]
    matrix = matrix + np.tril(matrix, -1).T
    value = x[arrays.expanded]
    t = np.where(arrays.kind == 1, np.log(np.where(arrays.kind == 1, value, 1.0)), value)
    between = arrays.kind == 2
    share = (value - arrays.low)[between] / (arrays.high - arrays.low)[between]
    t[between] = 0.5 * np.log(share / (1.0 - share))
    score = statistics[1 : 1 + p] - matrix @ t
    moving = (np.diag(matrix) > 0.0) & (arrays.kind != 0)
    return np.linalg.solve(matrix[np.ix_(moving, moving)], score[moving])


def scaled(example: Example, factor: float) -> np.ndarray:
    """The start with other residual scales."""
    x = example.x.copy()
    for name in ("a", "b"):
        x[example.data.parameters.names.index(name)] *= factor
    return x


def test_steps_that_are_short_are_left_alone() -> None:
    """Statistics whose step is short are not changed by a bit; those of a far place ask for a step of one at most."""
    example = nonlinear_family.saturation()
    arrays, u = example.placed(), np.zeros((9, 1, 2))
    for factor, is_far in ((8.0, False), (0.05, True)):
        x = scaled(example, factor)
        asked = statistics_of(example, arrays, x, u)
        before = step_of(example, asked, x)
        changed = asked.copy()
        limit_statistics(arrays, x, changed)
        if not is_far:
            assert 0.3 < np.abs(before).max() < 1.0
            np.testing.assert_array_equal(changed, asked)
            continue
        assert np.abs(before).max() > 3.0
        after = step_of(example, changed, x)
        assert np.abs(after).max() == pytest.approx(1.0, rel=1e-6)
        np.testing.assert_allclose(after, before / np.abs(before).max(), rtol=1e-5, atol=1e-7)
        p = len(arrays.expanded)
        np.testing.assert_array_equal(np.delete(changed, np.arange(1, 1 + p)), np.delete(asked, np.arange(1, 1 + p)))


def test_a_fixed_parameter_asks_for_no_step() -> None:
    """The exponent is fixed far from where the rows would have it: the others are left alone all the same."""
    fixed = nonlinear_family.saturation()
    says = fixed.model.replace(fixed={"scale": 1.0, "gamma": 0.1}, start={**fixed.model.start, "gamma": 0.1})
    example = nonlinear_family.posed(says, fixed.table)
    free = nonlinear_family.posed(says.replace(fixed={"scale": 1.0}), fixed.table)
    x, u = scaled(example, 8.0), np.zeros((9, 1, 2))
    for each, is_limited in ((example, False), (free, True)):
        asked = statistics_of(each, each.placed(), x, u)
        changed = asked.copy()
        limit_statistics(each.placed(), x, changed)
        assert np.array_equal(changed, asked) != is_limited


def test_only_draws_of_a_kernel_that_adapts_are_limited() -> None:
    """Later their scores scatter around that of an estimate, and a bound on them would be a bias."""
    example = nonlinear_family.saturation()
    x = scaled(example, 0.05)
    for adapts in (True, False):
        chain = own_copy(example.problem.arrays._replace(arrays=example.placed()))
        chain.adapt(adapts)
        statistics = np.empty((1, n_statistics(example)))
        draw_means(chain, x, np.random.Generator(np.random.SFC64(1)), 1, statistics)
        plain = statistics_of(example, chain.arrays, x, chain.latent[:, None].copy())
        assert np.allclose(statistics[0], plain, rtol=1e-9, atol=1e-9) != adapts


def test_the_complete_data_likelihood_is_nothing_outside_its_domain() -> None:
    example = nonlinear_family.absorption()
    statistics = statistics_of(example, example.placed(), example.x, draws(example, 1))
    n = len(example.x)
    for name, value in (("a", 0.0), ("omega_V", -0.1), ("corr_V_CL", 1.1), ("ka_pop", -1.0)):
        x = example.x.copy()
        x[example.data.parameters.names.index(name)] = value
        found = evaluate_complete(example.placed(), statistics, x, np.empty(n), np.empty((n, n)))
        assert found == -np.inf, name
