"""Newton's method in plain Python for a smooth function less an l1 penalty, for the maximisers beside the compiled one.

Maximise ``F(u) - sum_k lambda_k |c_k(u)|``: without penalty terms the modified Newton method with a line search
(Nocedal & Wright 2006, section 3.4), with them the S-l1-QP method (Fletcher 1987, section 14.4; Nocedal & Wright,
section 18.5), whose quadratic model keeps the absolute values of the linearised constraints. Which of these vanish is
found by an active set: a constraint is let go where its multiplier would exceed ``lambda_k``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from saem.mstep import sqp
from saem.mstep.region import Region

Array = np.ndarray

FLATTEST = 1e-8  # curvature, on the scale of the objective's, below which a direction counts as this curved
LONGEST = 1e3  # a scaled step is shortened to this
HALVINGS = 40


class Local(NamedTuple):
    """A function around a point, in k coordinates."""

    x: Array  # (n,) all parameters
    value: float
    gradient: Array  # (k,)
    hessian: Array  # (k, k), without the stiff part
    stiff: Array  # (s, k), A in the Hessian - A'A of a quadratic penalty, kept apart for the sake of its digits
    scale: Array  # (k,)
    c: Array  # (m,) what is penalised
    jacobian: Array  # (m, k)
    c_hessian: Array  # (m, k, k)


class Ascent(NamedTuple):
    """Where Newton's method ended."""

    u: Array  # (k,)
    at: Local
    iterations: int
    gap: float  # distance from stationarity in standard errors
    multipliers: Array  # (m,), between -lambda and lambda
    collapsed: bool


class Step(NamedTuple):
    """A step of the quadratic model, scaled."""

    d: Array  # (k,)
    multipliers: Array  # (m,)
    gap: float
    back: Array  # (k, m), the shortest step that changes the working constraints by given amounts


def penalised_value(at: Local, penalty: Array) -> float:
    """The value less the l1 penalty."""
    return at.value - float(penalty @ np.abs(at.c))


def ascend(
    evaluate: Callable[[Array], Local | None],
    start: Array,
    index: Array,
    region: Region,
    penalty: Array,
    tolerance: float,
    max_iterations: int,
) -> Ascent | None:
    """Maximise from a start.

    Parameters
    ----------
    evaluate : callable
        From coordinates (k,) to `Local`; None where the function is not finite.
    start : (k,) ndarray
    index : (k,) int ndarray
        Which parameters the coordinates are; the others may depend on them.
    region : Region
    penalty : (m,) ndarray
        Weights ``lambda`` of the absolute constraints.
    tolerance : float
        On the gradient of the model, in standard errors.
    max_iterations : int

    Returns
    -------
    Ascent or None
        None where the function is not finite at the start.
    """

    def finite(u: Array) -> Local | None:
        at = evaluate(u)
        return at if at is not None and all(np.isfinite(part).all() for part in at) else None

    u = start.copy()
    at = finite(u)
    if at is None:
        return None
    multipliers = np.zeros(len(penalty))
    previous = np.inf
    for iteration in range(max_iterations + 1):
        step = model_step(at, multipliers, penalty)
        multipliers = np.clip(step.multipliers, -penalty, penalty)
        at_rounding = step.gap < 1e-7 and step.gap > 0.5 * previous
        if step.gap <= tolerance or at_rounding or iteration == max_iterations:
            return Ascent(u, at, iteration, step.gap, multipliers, False)
        previous = step.gap
        found = search(finite, u, at, step, index, region, penalty)
        if found is None:
            return Ascent(u, at, iteration, step.gap, multipliers, False)
        u, at = found
        if region.is_below_floor(at.x):
            return Ascent(u, at, iteration + 1, step.gap, multipliers, True)
    raise AssertionError


def search(
    evaluate: Callable[[Array], Local | None],
    u: Array,
    at: Local,
    step: Step,
    index: Array,
    region: Region,
    penalty: Array,
) -> tuple[Array, Local] | None:
    """The first point along a step, halved as often as need be, at which the function is higher; None without one."""
    value = penalised_value(at, penalty)
    scaled = at.jacobian * at.scale
    rise = float((at.scale * at.gradient) @ step.d - penalty @ (np.abs(at.c + scaled @ step.d) - np.abs(at.c)))
    noise = sqp.ROUNDING * (1.0 + abs(value) + float(penalty @ np.abs(at.c)))
    if not rise > -noise:
        return None
    move = np.zeros(len(at.x))
    move[index] = at.scale * step.d
    alpha, d = region.longest(at.x, move), step.d
    corrected = alpha < 1.0 or not step.back.any()
    for _ in range(HALVINGS):
        target = u + at.scale * (alpha * d)
        new = evaluate(target)
        is_inside = new is not None and region.admits(at.x, new.x)
        if new is not None and is_inside and penalised_value(new, penalty) >= value + sqp.ARMIJO * alpha * rise - noise:
            return target, new
        if new is not None and is_inside and not corrected:
            d = step.d - step.back @ new.c  # second-order correction (Maratos effect), once
            corrected = True
        else:
            d, corrected = step.d, True
            alpha *= 0.5
    return None


def model_step(at: Local, multipliers: Array, penalty: Array) -> Step:
    """Maximise the quadratic model with the absolute values of the linearised constraints."""
    m = len(penalty)
    lagrangian = at.hessian + np.tensordot(multipliers, at.c_hessian, axes=1) if m else at.hessian
    lagrangian = lagrangian * np.outer(at.scale, at.scale)
    slope, jacobian, stiff = at.scale * at.gradient, at.jacobian * at.scale, at.stiff * at.scale
    working, sign = np.ones(m, dtype=bool), np.zeros(m)
    for _ in range(4 * m + 1):
        released = np.where(working, 0.0, -penalty * sign)
        step = equality_step(lagrangian, slope + released @ jacobian, jacobian, at.c, working, stiff)
        step = step._replace(multipliers=step.multipliers + released)
        excess = np.where(working, np.abs(step.multipliers) - penalty, -np.inf)
        crossed = ~working & (sign * (at.c + jacobian @ step.d) < 0.0)
        if crossed.any():
            working |= crossed
            sign[crossed] = 0.0
        elif np.max(excess, initial=-np.inf) > 0.0:
            k = int(np.argmax(excess))
            working[k], sign[k] = False, -np.sign(step.multipliers[k])
        else:
            break
    return step


def equality_step(lagrangian: Array, slope: Array, jacobian: Array, c: Array, working: Array, stiff: Array) -> Step:
    """Newton's step for the working constraints: the shortest that solves them, and one in their null space."""
    k = len(slope)
    normal, back = np.zeros(k), np.zeros((k, len(c)))
    basis, gap = np.eye(k), 0.0
    if working.any():
        left, singular, right = np.linalg.svd(jacobian[working])
        rank = int(np.sum(singular > max(1e-10 * float(singular[0]), 1e-100)))
        back[:, working] = (right[:rank].T / singular[:rank]) @ left[:, :rank].T
        normal, basis = -back @ c, right[rank:].T
        normal *= min(1.0, sqp.LONGEST / max(float(np.linalg.norm(normal)), 1e-300))
        lengths = np.linalg.norm(jacobian[working], axis=1)
        gap = float(np.max(np.abs(c[working]) / np.maximum(lengths, 1e-300)))
    rigid = np.zeros(basis.shape[1])
    if len(stiff):
        _, singular, right = np.linalg.svd(stiff @ basis)
        rigid[: len(singular)] = singular**2
        basis = basis @ (right.T / np.sqrt(1.0 + rigid))
    along = basis.T @ slope
    curvature = -basis.T @ lagrangian @ basis + np.diag(rigid / (1.0 + rigid))
    values, vectors = np.linalg.eigh(curvature)
    tangential = vectors @ (
        (vectors.T @ (along + basis.T @ lagrangian @ normal)) / np.maximum(np.abs(values), FLATTEST)
    )
    tangential *= min(1.0, LONGEST / max(float(np.linalg.norm(tangential)), 1e-300))
    d = normal + basis @ tangential
    gap = max(gap, float(np.max(np.abs(along), initial=0.0)))
    return Step(d, -back.T @ (slope + lagrangian @ d), gap, back)
