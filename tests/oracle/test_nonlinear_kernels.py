"""The density of nonlinear models and the sums of a quadrature rule over it, with all derivatives, by differences.

Values are held to the density written out in `nonlinear_family`; derivatives by random effects to differences of the
values; jets, where the random effects move with the parameters as a mode does, to differences along that movement.
"""

from __future__ import annotations

from typing import Any

import nonlinear_family
import numpy as np
import pytest
from interpreted_core import Core
from nonlinear_family import Example

from saem.estep.integration.marginal import add_points_of_any
from saem.estep.integration.rules import product_rule
from saem.families.contract import add_points, log_complete
from saem.system.jit import entry

DENSITY, PREPARED, INTEGRAL = (f"saem.families.nonlinear.{name}" for name in ("density", "prepared", "integral"))
NAMES = list(nonlinear_family.EXAMPLES)


@entry
def evaluate_density(
    arrays: Any,
    x: np.ndarray,
    cluster: int,
    effects: np.ndarray,
    order: int,
    values: np.ndarray,
    gradients: np.ndarray,
    hessians: np.ndarray,
) -> None:
    """`contract.log_complete`."""
    log_complete(arrays, x, cluster, effects, order, values, gradients, hessians)


@entry
def sum_points(
    own: bool,
    arrays: Any,
    x: np.ndarray,
    cluster: int,
    rule: np.ndarray,
    log_weights: np.ndarray,
    spans: np.ndarray,
    total: np.ndarray,
) -> float:
    """`contract.add_points`, or what stands for it in families that have none of their own."""
    if own:
        return add_points(arrays, x, cluster, rule, log_weights, spans, total)
    return add_points_of_any(arrays, x, cluster, rule, log_weights, spans, total)


def place(example: Example, name: str) -> np.ndarray:
    """Parameters (n,) near the start."""
    rng = np.random.default_rng(3)
    x = example.x * np.exp(0.1 * rng.standard_normal(len(example.x)))
    return np.where(example.data.parameters.fixed, example.x, x)


class Moving:
    """Numbers (k,) that are quadratic functions of the parameters, as plain ones and as jets (k, J)."""

    def __init__(self, value: np.ndarray, n: int, seed: int, size: float = 0.3) -> None:
        rng = np.random.default_rng(seed)
        self.value = value
        self.slope = size * rng.standard_normal((*value.shape, n))
        bend = size * rng.standard_normal((*value.shape, n, n))
        self.bend = bend + np.swapaxes(bend, -1, -2)

    def at(self, move: np.ndarray) -> np.ndarray:
        """Where the parameters have moved by so much."""
        return self.value + self.slope @ move + 0.5 * self.bend @ move @ move

    def jets(self) -> np.ndarray:
        """With derivatives."""
        triangle = self.bend[(..., *np.tril_indices(self.slope.shape[-1]))]
        return np.concatenate([self.value[..., None], self.slope, triangle], axis=-1)


def density(
    example: Example, x: np.ndarray, cluster: int, effects: np.ndarray, order: int, core: Core | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Value (J,), gradient (d, J) and Hessian (d, d, J) at one point (d, J)."""
    d, length = effects.shape
    values = np.full((1, length), np.nan)
    gradients, hessians = np.full((1, d, length), np.nan), np.full((1, d, d, length), np.nan)
    function = evaluate_density if core is None else core[DENSITY].log_complete_nonlinear
    function(
        example.arrays,
        x,
        cluster,
        effects[None].copy(),
        order,
        values,
        gradients if order > 0 else gradients[:0],
        hessians if order > 1 else hessians[:0],
    )
    return values[0], gradients[0], hessians[0]


def written_out(example: Example, x: np.ndarray, cluster: int, u: np.ndarray) -> float:
    """``log p(y_c, u; x)``, from what knows no compiled code; ``u`` are standard normals."""
    sd = example.data.structure.sd_index[example.data.cluster_group[cluster]]
    covariance = example.covariances(x)[cluster]
    inverse = np.diag(1.0 / np.where(x[sd] > 0.0, x[sd], 1.0))
    correlation = inverse @ covariance @ inverse + np.diag(np.where(x[sd] > 0.0, 0.0, 1.0))
    theta = x[sd] * (np.linalg.cholesky(correlation) @ u) if len(u) else u
    z = example.centres(x) + theta
    return float(example.rows(x, z)[cluster] - 0.5 * np.sum(u**2) - 0.5 * len(u) * np.log(2.0 * np.pi))


def differences(function, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First derivatives (.., n), of order four, and second ones (.., n, n), by differences of them of order two."""
    n = len(x)
    steps = np.diag(2e-4 * np.maximum(np.abs(x), 0.1))
    first = []
    for h in 5.0 * steps:
        near, far = function(x + h) - function(x - h), function(x + 2 * h) - function(x - 2 * h)
        first.append((8 * near - far) / (12 * h.sum()))
    second = np.zeros((*np.shape(first[0]), n, n))
    for i in range(n):
        for j in range(i + 1):
            a, b = steps[i], steps[j]
            cross = function(x + a + b) - function(x + a - b) - function(x - a + b) + function(x - a - b)
            second[..., i, j] = second[..., j, i] = cross / (4.0 * a.sum() * b.sum())
    return np.stack(first, axis=-1), second


def check_effects(example: Example, x: np.ndarray, core: Core | None = None) -> None:
    """Plain values and derivatives by the random effects, in a cluster of each group."""
    d = example.arrays.sd_index.shape[1]
    for cluster in (0, 1):
        u = np.random.default_rng(cluster).standard_normal(d)
        expected = written_out(example, x, cluster, u)
        slope, bend = differences(lambda v, c=cluster: written_out(example, x, c, v), u) if d else (0, 0)
        for order in range(3):
            value, gradient, hessian = density(example, x, cluster, u[:, None], order, core)
            assert value[0] == pytest.approx(expected, rel=1e-11, abs=1e-11)
            if order > 0 and d > 0:
                np.testing.assert_allclose(gradient[:, 0], slope, rtol=1e-7, atol=1e-6)
            if order > 1 and d > 0:
                np.testing.assert_allclose(hessian[:, :, 0], bend, rtol=1e-4, atol=1e-3)


def check_jets(example: Example, x: np.ndarray, core: Core | None = None, order: int = 2) -> None:
    """Of value, gradient and Hessian: by differences of the plain ones while the random effects move, too."""
    d, n = example.arrays.sd_index.shape[1], len(x)
    cluster = 1
    u = Moving(np.random.default_rng(8).standard_normal(d), n, seed=9)

    def plain(point: np.ndarray) -> np.ndarray:
        found = density(example, point, cluster, u.at(point - x)[:, None], order)
        return np.concatenate([part.ravel() for part in found[: 1 + order]])

    found = density(example, x, cluster, u.jets(), order, core)
    jets = np.concatenate([part.reshape(-1, (n + 1) * (n + 2) // 2) for part in found[: 1 + order]])
    slope, bend = differences(plain, x)
    size = np.sqrt(np.abs(np.einsum("kii->ki", bend))) + 1e-2 * (1.0 + np.abs(x)) ** -1
    np.testing.assert_allclose(jets[:, 0], plain(x), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(jets[:, 1 : n + 1] / size, slope / size, rtol=1e-6, atol=1e-5)
    rows, columns = np.tril_indices(n)
    unit = size[:, rows] * size[:, columns]
    np.testing.assert_allclose(jets[:, n + 1 :] / unit, bend[:, rows, columns] / unit, rtol=1e-4, atol=1e-3)


# The density


@pytest.mark.parametrize("name", NAMES)
def test_the_density_is_that_written_out_and_has_its_derivatives(name: str) -> None:
    example = nonlinear_family.EXAMPLES[name]()
    check_effects(example, place(example, name))


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_jets_are_the_derivatives_along_a_movement(name: str, order: int) -> None:
    example = nonlinear_family.EXAMPLES[name]()
    check_jets(example, place(example, name), order=order)


@pytest.mark.parametrize("name", ["absorption", "counts", "trial"])
def test_a_standard_deviation_of_zero_is_nothing_special(name: str) -> None:
    """Its random effect is there, and moves nothing."""
    example = nonlinear_family.EXAMPLES[name]()
    x = place(example, name)
    x[example.data.structure.sd_index[0, -1]] = 0.0
    check_effects(example, x)
    u = np.random.default_rng(1).standard_normal(example.arrays.sd_index.shape[1])
    one, other = (density(example, x, 0, (u + move)[:, None], 1)[0][0] for move in (0.0, np.eye(len(u))[-1]))
    assert other - one == pytest.approx(-0.5 * (u[-1] + 1.0) ** 2 + 0.5 * u[-1] ** 2, rel=1e-9)
    x[example.data.structure.sd_index[0, -1]] = -0.1
    assert density(example, x, 0, u[:, None], 0)[0][0] == -np.inf
    assert density(example, x, 0, u[:, None], 2)[0][0] == -np.inf


def test_where_there_is_no_density_it_is_minus_infinity() -> None:
    """A residual scale below zero has a logarithm that is none."""
    example = nonlinear_family.absorption()
    x = example.x.copy()
    x[example.data.parameters.names.index("a")] = -1.0
    for order in range(3):
        assert density(example, x, 0, np.zeros((3, 1)), order)[0][0] == -np.inf


# Sums over points


def points(example: Example, x: np.ndarray, cluster: int, spans: np.ndarray, own: bool, core: Core | None = None):
    """The sum (J,), with the factor that all have."""
    rule, log_weights = product_rule(3, spans.shape[1])
    total = np.zeros(spans.shape[-1])
    if core is None:
        factor = sum_points(own, example.arrays, x, cluster, rule, log_weights, spans, total)
    else:
        function = core[INTEGRAL].add_points_nonlinear
        factor = function(example.arrays, x, cluster, rule, log_weights, spans, total)
    return factor, total


def spans_of(example: Example, x: np.ndarray) -> Moving:
    """A mode and directions (d + 1, d) as they might be: those are columns of a triangular matrix."""
    d = example.arrays.sd_index.shape[1]
    rng = np.random.default_rng(4)
    value = np.vstack([0.5 * rng.standard_normal((1, d)), 0.6 * np.tril(np.eye(d) + 0.2 * rng.standard_normal((d, d)))])
    found, there = Moving(value, len(x), seed=6, size=0.1), value != 0.0
    found.slope, found.bend = found.slope * there[..., None], found.bend * there[..., None, None]
    return found


def check_points(example: Example, x: np.ndarray, core: Core | None = None) -> None:
    """In clusters of both groups, sum and derivatives are those of `add_points_of_any`, with and without jets."""
    spans = spans_of(example, x)
    for cluster in (0, 1):
        for jets in (spans.value[..., None].copy(), spans.jets()):
            factor, total = points(example, x, cluster, jets, True, core)
            known, expected = points(example, x, cluster, jets, False)
            np.testing.assert_allclose(
                np.exp(factor - known) * total, expected, rtol=1e-8, atol=1e-8 * abs(expected[0])
            )


@pytest.mark.parametrize("name", [name for name in NAMES if name != "curve"])
def test_sums_over_points_are_those_of_any_family(name: str) -> None:
    example = nonlinear_family.EXAMPLES[name]()
    x = place(example, name)
    check_points(example, x)
    x[example.data.structure.sd_index[0, -1]] = 0.0
    check_points(example, x)


@pytest.mark.parametrize("name", ["absorption", "counts"])
def test_sums_over_points_have_their_derivatives(name: str) -> None:
    """By differences of sums without jets, while the points move."""
    example = nonlinear_family.EXAMPLES[name]()
    x, spans = place(example, name), spans_of(example, place(example, name))

    def plain(point: np.ndarray) -> np.ndarray:
        factor, total = points(example, point, 1, spans.at(point - x)[..., None].copy(), True)
        return factor + np.log(total[0])

    factor, total = points(example, x, 1, spans.jets(), True)
    n = len(x)
    slope, bend = differences(plain, x)
    assert factor + np.log(total[0]) == pytest.approx(float(plain(x)), rel=1e-12)
    gradient = total[1 : n + 1] / total[0]
    rows, columns = np.tril_indices(n)
    hessian = total[n + 1 :] / total[0] - gradient[rows] * gradient[columns]
    size = np.sqrt(np.abs(np.diag(bend))) + 1e-2
    np.testing.assert_allclose(gradient / size, slope / size, rtol=1e-6, atol=1e-6)
    unit = size[rows] * size[columns]
    np.testing.assert_allclose(hessian / unit, bend[rows, columns] / unit, rtol=1e-4, atol=1e-4)


def test_sums_without_a_covariance_are_nothing() -> None:
    example = nonlinear_family.absorption()
    x = example.x.copy()
    x[example.data.parameters.names.index("omega_V")] = -0.1
    factor, _ = points(example, x, 0, spans_of(example, x).value[..., None].copy(), True)
    assert factor == -np.inf


# Mutants, as plain Python


@pytest.mark.parametrize(
    ("check", "module", "right", "wrong"),
    [
        (check_effects, DENSITY, "total = -effects[at, j, 0]", "total = -0.99 * effects[at, j, 0]"),
        (check_effects, DENSITY, "out[1 + p :], out[1 + size :]", "out[1:], out[1 + size :]"),
        (check_effects, DENSITY, "total += prepared[k * d + i] * half", "total = prepared[k * d + i] * half"),
        (check_effects, PREPARED, "prepared[at + arrays.term_effect[k]] +=", "prepared[at + arrays.term_effect[k]] ="),
        (check_jets, DENSITY, "add_normal(effects[at], order,", "add_normal(effects[at] * 0.99, order,"),
        (check_jets, DENSITY, "inputs[i, 1 + i] = 1.0", "inputs[i, 1 + i] = 0.0"),
        (check_jets, DENSITY, "effect[k], m] += weight * jets", "effect[k], m] += jets"),
        (check_points, INTEGRAL, "-0.5 if b == e else -1.0", "-0.5"),
        (check_points, INTEGRAL, "bend * c[e] * out[where]", "bend * out[where]"),
        (check_points, INTEGRAL, "total[i] += first_moments[row] * jet[i]", "total[i] += 0.0"),
        (check_points, INTEGRAL, "shrink = math.exp(largest - height)", "shrink = 1.0"),
    ],
)  # fmt: skip
def test_a_mutant_is_noticed(check, module: str, right: str, wrong: str) -> None:
    """Of the model with covariates, correlations and three random effects."""
    example = nonlinear_family.absorption()
    with pytest.raises(AssertionError):
        check(example, place(example, "absorption"), Core(module, right, wrong))


@pytest.mark.parametrize("check", [check_effects, check_points])
def test_plain_python_is_no_mutant(check) -> None:
    example = nonlinear_family.counts()
    check(example, place(example, "counts"), Core())


def test_a_bend_of_the_rows_that_is_left_out_is_noticed() -> None:
    """Of value and first derivatives alone."""
    example = nonlinear_family.absorption()
    x = place(example, "absorption")
    check_jets(example, x, Core(), order=0)
    mutant = Core(DENSITY, "bend = out[i] if j != k else 0.5 * out[i]", "bend = out[i]")
    with pytest.raises(AssertionError):
        check_jets(example, x, mutant, order=0)
