"""The density of parameters and random effects: with its gradient, through guided coordinates, against plain twins."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from nonlinear_family import Example, absorption, counts, curve, saturation, trial
from posterior_twin import differences, log_density
from scipy import stats

from saem.algorithms.bayes.algorithm import Bayes, LogPosterior, pose_posterior
from saem.algorithms.bayes.framing import frame_of
from saem.algorithms.bayes.native import compiled
from saem.algorithms.bayes.space import coordinates
from saem.algorithms.bayes.target import StandardisedJointly
from saem.families.contract import fill_guide, log_complete_all
from saem.families.nonlinear.slopes import SlopeArrays
from saem.families.problem import Problem
from saem.specification.priors import parse_prior
from saem.system.jit import entry

Array = np.ndarray
EXAMPLES: dict[str, Callable[[], Example]] = {
    "three effects, a correlated pair, a covariate": absorption,
    "without random effects": curve,
    "two effects": saturation,
    "counts": counts,
    "variance groups": trial,
}


@entry
def density(arrays: Any, x: Array, w: Array, by_x: Array, by_w: Array) -> float:
    """`contract.log_complete_all`, called from Python."""
    return log_complete_all(arrays, x, w, by_x, by_w)


@entry
def guides(arrays: Any, x: Array, shifts: Array, factors: Array) -> None:
    """`contract.fill_guide` of all clusters."""
    for c in range(shifts.shape[0]):
        fill_guide(arrays, x, c, shifts[c], factors[c])


def at(arrays: Any, x: Array, w: Array) -> tuple[float, Array, Array]:
    by_x, by_w = np.full(len(x), np.nan), np.full(w.shape, np.nan)
    return density(arrays, np.array(x), np.array(w), by_x, by_w), by_x, by_w


def guided(example: Example, rng: np.random.Generator) -> tuple[SlopeArrays, Array, Array]:
    """Arrays with wild guides, parameters near which these were not made, and coordinates."""
    count = example.problem.clusters.count
    d = example.arrays.sd_index.shape[1]
    half = 3.0 * rng.standard_normal((count, d, d))
    curvatures = half @ np.swapaxes(half, 1, 2) + np.eye(d)
    arrays = example.problem.clusters.together(example.x, rng.standard_normal((count, d)), curvatures)
    x = example.x * (1.0 + 0.05 * rng.standard_normal(len(example.x)))
    return arrays, x, 0.5 * rng.standard_normal((count, d))


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_gradient_is_that_of_the_density(name: str) -> None:
    """By differences of the sixth order, to 1e-7 of its size."""
    arrays, x, w = guided(EXAMPLES[name](), np.random.default_rng(1))
    _, by_x, by_w = at(arrays, x, w)
    size = np.maximum(1.0, np.abs(x))
    expected = differences(lambda t: at(arrays, t * size, w)[0], x / size, 1e-3) / size
    np.testing.assert_allclose(by_x, expected, rtol=1e-6, atol=1e-7 * np.max(np.abs(expected)))
    expected = differences(lambda t: at(arrays, x, t.reshape(w.shape))[0], w.ravel(), 1e-2) if w.size else w.ravel()
    np.testing.assert_allclose(by_w.ravel(), expected, rtol=1e-6, atol=1e-7 * np.max(np.abs(expected), initial=1.0))


@pytest.mark.parametrize("name", EXAMPLES)
def test_it_is_the_density_of_other_coordinates(name: str) -> None:
    """That of any family, cluster by cluster through `log_complete`, and the row by row twin, with the Jacobian."""
    example = EXAMPLES[name]()
    arrays, x, w = guided(example, np.random.default_rng(2))
    shifts, factors = np.full(w.shape, np.nan), np.full((*w.shape, w.shape[1]), np.nan)
    guides(arrays, x, shifts, factors)
    u = shifts + np.array([np.linalg.solve(f.T, each) for f, each in zip(factors, w, strict=True)]).reshape(w.shape)
    jacobian = -np.sum(np.log(np.einsum("cii->ci", factors)))
    plain, by_x, by_u = at(example.arrays, x, u)
    assert at(arrays, x, w)[0] == pytest.approx(plain + jacobian, rel=1e-11)
    if w.size:
        assert abs(jacobian) > 1.0  # without it the test would fail
    not_guided = arrays._replace(precisions=0.0 * arrays.precisions, pulls=0.0 * arrays.pulls)
    for found, expected in zip(at(not_guided, x, u), (plain, by_x, by_u), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    covariances = example.covariances(x)
    theta = np.array([np.linalg.cholesky(o) @ each for o, each in zip(covariances, u, strict=True)]).reshape(u.shape)
    twin = np.sum(example.rows(x, example.centres(x) + theta)) + np.sum(stats.norm.logpdf(u))
    assert plain == pytest.approx(float(twin), rel=1e-10)


def target_of(problem: Problem) -> StandardisedJointly:
    """What the sampler draws from."""
    posed = pose_posterior(problem)
    frame = frame_of(posed.density, posed.solver, coordinates(problem, posed.density.space, posed.tops[0]))
    target = Bayes().to_sample(posed.density, frame)
    assert isinstance(target, StandardisedJointly)
    return target


def mapped(target: StandardisedJointly, v: Array) -> Array:
    """Coordinates of the parameters, and then the random effects, (k, dimension)."""
    parameters = target.coordinates(v[:, : target.of_parameters])
    return np.hstack([parameters, target.effects(v).reshape(len(v), -1)])


def written_out(
    example: Example,
    posterior: LogPosterior,
    priors: dict[str, str],
    u: Array,
    theta: Array,
    *,
    slope: float,
    wider: float,
) -> float:
    """The log-density of coordinates ``u`` of parameters and of random effects, row by row.

    A mutant forgets the derivative of the transform (``slope`` 0), or has random effects with other SDs (``wider``).
    """
    x = posterior.parameters(u[None])[0]
    centres = example.centres(x)
    value = np.sum(example.rows(x, centres + theta.reshape(centres.shape)))
    covariances = wider**2 * example.covariances(x)
    value += sum(
        stats.multivariate_normal.logpdf(each, np.zeros(len(each)), covariance)
        for each, covariance in zip(theta.reshape(centres.shape), covariances, strict=True)
    )
    for k, (name, text) in enumerate(priors.items()):
        prior, i = parse_prior(text), posterior.problem.parameters.index(name)
        value += log_density((prior.name, *prior.numbers), float(x[i]))
        step = np.zeros(len(u))
        step[k] = 1e-5
        moved = posterior.parameters(np.array([u + step, u - step]))[:, i]
        value += slope * np.log((moved[0] - moved[1]) / 2e-5)
    return float(value)


@pytest.mark.parametrize("name", ["two effects", "counts"])
def test_what_is_sampled_is_the_posterior(name: str) -> None:
    """At four points, up to a constant; the Jacobian of all coordinates is taken by differences. Mutants differ."""
    example = EXAMPLES[name]()
    target = target_of(example.problem)
    posterior, d = target.density, len(target.density.space.free)
    priors = pose_posterior(example.problem).priors
    rng = np.random.default_rng(3)
    offsets: dict[str, list[float]] = {"right": [], "without the transform": [], "other random effects": []}
    for _ in range(4):
        v = 0.7 * rng.standard_normal(target.dimension)
        value, gradient = target(v)
        every = mapped(target, v[None])[0]
        h = 1e-5
        moved = mapped(target, np.vstack([v + h * np.eye(len(v)), v - h * np.eye(len(v))]))
        jacobian = np.linalg.slogdet((moved[: len(v)] - moved[len(v) :]) / (2.0 * h))[1]
        for mutant, slope, wider in (
            ("right", 1, 1.0),
            ("without the transform", 0, 1.0),
            ("other random effects", 1, 1.2),
        ):
            twin = written_out(example, posterior, priors, every[:d], every[d:], slope=slope, wider=wider)
            offsets[mutant].append(value - twin - jacobian)
        np.testing.assert_allclose(gradient, differences(lambda t: target(t)[0], v, 1e-3), rtol=1e-6, atol=1e-6)
    spread = {mutant: float(np.ptp(values)) for mutant, values in offsets.items()}
    assert spread["right"] < 1e-5 < 0.1 < min(spread["without the transform"], spread["other random effects"])


def test_the_c_function_is_the_same() -> None:
    """Bit for bit, again and again; its status is not 0 where the density is zero."""
    target = target_of(counts().problem)
    address, block, arguments = compiled(target)
    pointer = ctypes.POINTER(ctypes.c_double)
    call = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, pointer, pointer, pointer, ctypes.c_void_p)(address)
    value, gradient = np.zeros(1), np.zeros(target.dimension)

    def called(v: Array) -> int:
        data = [each.ctypes.data_as(pointer) for each in (v, gradient, value)]
        return int(call(len(v), *data, block.ctypes.data))

    rng = np.random.default_rng(4)
    for _ in range(300):  # memory that is freed too often shows only after a while
        v = rng.standard_normal(target.dimension)
        assert called(v) == 0
        expected, slope = target(v)
        assert value[0] == expected and gradient.tobytes() == slope.tobytes()
    far = np.full(target.dimension, 1e6)
    assert called(far) == 1 and target(far)[0] == -np.inf
    assert arguments[0].effects is not target.arguments()[0].effects  # each chain writes to room of its own
