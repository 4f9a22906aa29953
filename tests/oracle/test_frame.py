"""The standardised coordinates of a posterior: exact derivatives, the right Jacobian, and the C function of both."""

from __future__ import annotations

import ctypes
from functools import lru_cache

import numpy as np
import pytest
from designs import peptide_table, random_case
from scipy.special import expit

from saem import Model, recipes
from saem.algorithms.bayes.determined import plan_of
from saem.algorithms.bayes.framing import frame_of
from saem.algorithms.bayes.space import coordinates, priors_of, space_of
from saem.algorithms.bayes.target import LogPosterior, Standardised
from saem.families import arrange, pose
from saem.maxima.identification import towards_feasible
from saem.mstep.solver import Solver

Array = np.ndarray
RATIO = "exp(log(2)**2/2 * (sigma2**2 - sigma1**2))"
CONSTRAINTS = {
    "explicit": {"g": f"c2 == {RATIO} * (1 + 2**b22) / (1 + 2**b21)"},
    "implicit": {"g": f"c2 * (1 + 2**b21) == {RATIO} * (1 + 2**b22)"},
    "of an SD": {"h": "sigma2 == 2 * sigma1 + 0.1 * b22**2"},
    "two": {"g": f"c2 == {RATIO} * (1 + 2**b22) / (1 + 2**b21)", "h": "sigma2 == 2 * sigma1"},
}
UNCONSTRAINED = ("slopes", "bounded")


@lru_cache
def standardised(name: str) -> Standardised:
    """A posterior of few data."""
    if name == "slopes":
        case = random_case(7, terms=2, arms=2, covariance="full")
        model, table = Model(**case.model), case.table
    else:
        table = peptide_table(np.random.default_rng(1), (4, 3))
        model = Model.from_text(recipes.text("peptide")).replace(constraints=CONSTRAINTS.get(name, {}))
        if name == "bounded":  # a mean between bounds is no standardised one, and an SD with bounds has no C_k
            model = model.replace(priors={"b22": "uniform(-9, 9)", "sigma": "uniform(0.01, 4)"}, fixed={"c2": 1.5})
    problem = pose(model, arrange(model, table))
    at = towards_feasible(problem, problem.starts.first)[0]
    plan = plan_of(problem, at)
    space = space_of(problem, plan, priors_of(problem, plan), at)
    density = LogPosterior(problem, space)
    return Standardised(density, frame_of(density, Solver(problem), coordinates(problem, space, at)))


def points(target: Standardised) -> list[Array]:
    rng = np.random.default_rng(3)
    return [size * rng.standard_normal(target.dimension) for size in (0.3, 1.0, 1.5)]


def differences(value: object, v: Array, step: float) -> Array:
    """Central differences by all coordinates, a row for each."""
    return np.array([(value(v + h) - value(v - h)) / (2 * step) for h in step * np.eye(len(v))])  # type: ignore[operator]


@pytest.mark.parametrize("name", [*CONSTRAINTS, *UNCONSTRAINED])
def test_the_gradient_is_exact(name: str) -> None:
    """Also a mutant: a gradient that forgets how a mean follows a standard deviation."""
    target = standardised(name)
    for v in points(target):
        value, gradient = target(v)
        assert np.isfinite(value)
        expected = differences(lambda w: target(w)[0], v, 1e-5)
        tolerance = 2e-6 * np.abs(expected).max()
        np.testing.assert_allclose(gradient, expected, atol=tolerance)
    u = target.coordinates(v[None])[0]
    by_u = target.density(u)[1]
    assert np.abs(target.frame.root.T @ by_u - gradient).max() > 100 * tolerance


@pytest.mark.parametrize("name", [*CONSTRAINTS, *UNCONSTRAINED])
def test_the_change_of_variables_is_that_of_a_density(name: str) -> None:
    """p(v) = p(u) |du/dv| up to one constant, |du/dv| by differences; without the Jacobian it is not."""
    target = standardised(name)
    offsets, plain = [], []
    for v in points(target):
        jacobian = differences(lambda w: target.coordinates(w[None])[0], v, 1e-5)
        sign, size = np.linalg.slogdet(jacobian)
        u = target.coordinates(v[None])[0]
        plain.append(target(v)[0] - target.density(u)[0])
        offsets.append(plain[-1] - size)
        assert sign != 0.0
    assert np.ptp(offsets) < 1e-6
    assert np.ptp(plain) > 1e-2


def test_large_standard_deviations_are_linear_and_small_ones_logarithmic() -> None:
    """An SD is its size times log(1 + exp(y)): by definition, at both ends."""
    target = standardised("explicit")
    frame = target.frame
    for y in (-40.0, -3.0, 0.0, 8.0):
        w = np.zeros(target.dimension)
        w[frame.others] = y - frame.centre[frame.others]
        u = target.coordinates(np.linalg.solve(frame.root, w)[None])[0][frame.others]
        np.testing.assert_allclose(np.exp(u), frame.size * np.logaddexp(0.0, y), rtol=1e-9)
    assert expit(8.0) > 0.999  # where the slope is that of a straight line


def test_it_is_standard_normal_nearby() -> None:
    """At the centre the gradient is nearly zero, and the curvature that of a standard normal."""
    for name in CONSTRAINTS:
        target = standardised(name)
        v = np.zeros(target.dimension)
        assert np.abs(target(v)[1]).max() < 0.05
        bend = differences(lambda w, target=target: target(w)[1], v, 1e-4)
        np.testing.assert_allclose(np.diag(bend), -1.0, atol=0.05)


@pytest.mark.parametrize("name", ["explicit", "slopes"])
def test_the_c_function_is_the_same(name: str) -> None:
    """Bit for bit, again and again; its status is not 0 where the density is zero."""
    from saem.algorithms.bayes.native import compiled

    target = standardised(name)
    address, block, _arguments = compiled(target)  # which the block points to
    pointer = ctypes.POINTER(ctypes.c_double)
    call = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, pointer, pointer, pointer, ctypes.c_void_p)(address)
    value, gradient = np.zeros(1), np.zeros(target.dimension)

    def called(v: Array) -> int:
        data = [each.ctypes.data_as(pointer) for each in (v, gradient, value)]
        return int(call(len(v), *data, block.ctypes.data))

    for _ in range(300):  # memory that is freed too often shows only after a while
        for v in points(target):
            assert called(v) == 0
            expected, slope = target(v)
            assert value[0] == expected and gradient.tobytes() == slope.tobytes()
    far = np.full(target.dimension, 1e6)
    assert called(far) == 1 and target(far)[0] == -np.inf
