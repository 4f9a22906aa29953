"""The log posterior density with its exact gradient, compiled.

Coordinates ``u`` (d,) are those of the *independent* parameters, each on a line without bounds; the constraints
determine the others. With the marginal log-likelihood ``l(x)``, priors ``p_i`` and the transforms ``x_i = t_i(u_i)``,

    log p(u | y) = l(x(u)) + sum_i [log p_i(x_i) + log t_i'(u_i)] + const,

the sums over the independent parameters alone. Where ``c(x) = 0`` determines the parameters D by the independent ones
I, ``dx_D/dx_I = -(dc/dx_D)^-1 dc/dx_I`` (implicit function theorem), so the gradient in ``x_I`` is
``l_I + (dc/dx_I)' lambda`` with ``(dc/dx_D)' lambda = -l_D``. An explicit constraint is solved by substitution, another
by Newton's method within a bracket, at the root that is nearest to a given one.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from saem.families.contract import evaluate
from saem.system.jit import call_address, entry, kernel
from saem.system.linalg import invert

Array = np.ndarray

# how a coordinate becomes a parameter
IDENTITY, ABOVE, BETWEEN = 0, 1, 2  # u; low + exp(u); low + (high - low) / (1 + exp(-u))
# shapes of log densities
FLAT, NORMAL, STUDENT, EXPONENTIAL, LOGNORMAL, GAMMA, INVERSE_GAMMA, LKJ = range(8)

STRIDE = 0.05  # of the search for a bracket: in typical sizes near the anchor, or of the logarithm of an SD
STRIDES = 200  # either way: e^10 times the anchor, 11,000 typical sizes
MAX_NEWTON = 100
POLE = 1e-3  # of the values at the ends of a bracket: what stays larger than that is no root but a pole


class Space(NamedTuple):
    """Coordinates of the posterior: d independent parameters, m that the constraints determine, of n."""

    free: Array  # (d,) int64, independent parameters
    transform: Array  # (d,) int64
    low: Array  # (d,)
    high: Array  # (d,)
    prior: Array  # (d,) int64, shape of the log density
    numbers: Array  # (d, 3)
    constant: Array  # (d,) normalising constants of the priors
    base: Array  # (n,) values of the fixed parameters; anything elsewhere
    constraint: Array  # (m,) int64, the constraints in the order in which they are solved
    parameter: Array  # (m,) int64, what each determines
    sign: Array  # (m,) of the parameter in an explicit constraint, left side - right side; 0 for an implicit one
    anchor: Array  # (m,) where an implicit one is looked for
    scale: Array  # (m,) typical size of the parameter
    kind: Array  # (m,) int64, 0 a mean, 1 a standard deviation, 2 a correlation


@kernel
def transformed(space: Space, k: int, u: float) -> tuple[float, float, float, float]:
    """A parameter, its derivative by the coordinate, the logarithm of that, and the derivative of this logarithm."""
    if space.transform[k] == IDENTITY:
        return u, 1.0, 0.0, 0.0
    if space.transform[k] == ABOVE:
        size = math.exp(u)
        return space.low[k] + size, size, u, 1.0
    width = space.high[k] - space.low[k]
    tail = math.exp(-abs(u))
    share = 1.0 / (1.0 + tail)  # of the nearer end, without cancellation
    x = space.low[k] + width * share if u > 0.0 else space.high[k] - width * share
    slope = width * share * tail * share
    turn = (tail - 1.0) * share if u > 0.0 else (1.0 - tail) * share
    return x, slope, math.log(width) - abs(u) - 2.0 * math.log1p(tail), turn


@kernel
def log_prior(space: Space, k: int, x: float) -> tuple[float, float]:
    """Log density of a prior and its derivative by the parameter."""
    a, b, c = space.numbers[k, 0], space.numbers[k, 1], space.numbers[k, 2]
    shape = space.prior[k]
    value, slope = 0.0, 0.0
    if shape == NORMAL:
        z = (x - a) / b
        value, slope = -0.5 * z * z, -z / b
    elif shape == STUDENT:
        z = (x - b) / c
        value, slope = -0.5 * (a + 1.0) * math.log1p(z * z / a), -(a + 1.0) * z / ((a + z * z) * c)
    elif shape == EXPONENTIAL:
        value, slope = -a * x, -a
    elif shape == LOGNORMAL:
        z = (math.log(x) - a) / b
        value, slope = -math.log(x) - 0.5 * z * z, -(1.0 + z / b) / x
    elif shape == GAMMA:
        value, slope = (a - 1.0) * math.log(x) - b * x, (a - 1.0) / x - b
    elif shape == INVERSE_GAMMA:
        value, slope = -(a + 1.0) * math.log(x) - b / x, (b / x - (a + 1.0)) / x
    elif shape == LKJ:
        value, slope = (a - 1.0) * math.log1p(-x * x), -2.0 * (a - 1.0) * x / (1.0 - x * x)
    return space.constant[k] + value, slope


@kernel
def at_distance(kind: int, anchor: float, scale: float, v: float) -> float:
    """The value of a parameter at a signed distance from its anchor, within its domain."""
    if kind == 1:
        return anchor * math.exp(v)
    if kind == 2:
        return math.tanh(math.atanh(anchor) + v)
    return anchor + scale * math.sinh(v)


@kernel
def solve_within(
    address: int, k: int, i: int, x: Array, low: float, low_c: float, high: float, c: Array, jac: Array, hess: Array
) -> bool:
    """Find the root of constraint ``k`` in parameter ``i`` within a bracket; False at a pole. Changes ``x[i]``."""
    limit = POLE * max(abs(low_c), abs(c[k]))  # c is still that of the upper end
    t = 0.5 * (low + high)
    for _ in range(MAX_NEWTON):
        x[i] = t
        call_address(address, x, c, jac, hess)
        if c[k] == 0.0:
            return True
        if (c[k] > 0.0) == (low_c > 0.0):
            low = t
        else:
            high = t
        following = t - c[k] / jac[k, i]
        if not (min(low, high) < following < max(low, high)):
            following = 0.5 * (low + high)
        if following == t or following == low or following == high:
            break
        t = following
    return bool(abs(c[k]) <= limit)


@kernel
def roots_of(space: Space, address: int, s: int, x: Array, c: Array, jac: Array, hess: Array, first: bool) -> int:
    """Solve an implicit constraint for its parameter: ``x[i]`` becomes the root nearest to the anchor.

    Parameters
    ----------
    s : int
        Which of the constraints, in the order of `Space.constraint`.
    first : bool
        Whether to end at that root, and not to count the others.

    Returns
    -------
    int
        How many roots were found.
    """
    k, i = space.constraint[s], space.parameter[s]
    kind, anchor, scale = space.kind[s], space.anchor[s], space.scale[s]
    x[i] = anchor
    call_address(address, x, c, jac, hess)
    if c[k] == 0.0 and first:
        return 1
    found = 0
    nearest, root = math.inf, math.nan
    t = np.array([anchor, anchor])
    at = np.array([c[k], c[k]])
    for step in range(1, STRIDES + 1):
        for side in range(2):
            v = step * STRIDE if side == 0 else -step * STRIDE
            value = at_distance(kind, anchor, scale, v)
            x[i] = value
            call_address(address, x, c, jac, hess)
            here, before, t_before = c[k], at[side], t[side]
            t[side], at[side] = value, here
            if not (math.isfinite(here) and math.isfinite(before)) or (here > 0.0) == (before > 0.0):
                continue
            if solve_within(address, k, i, x, t_before, before, value, c, jac, hess):
                found += 1
                distance = abs(x[i] - anchor)
                if distance < nearest:
                    nearest, root = distance, x[i]
        if found > 0 and first:
            break
    x[i] = root
    return found


@kernel
def determine(space: Space, address: int, x: Array, c: Array, jac: Array, hess: Array) -> bool:
    """Compute what the constraints determine; False where that is impossible, or outside of its domain."""
    for s in range(space.constraint.shape[0]):
        k, i = space.constraint[s], space.parameter[s]
        if space.sign[s] != 0.0:
            x[i] = 0.0  # no other value of it would matter, but this one costs no digits
            call_address(address, x, c, jac, hess)
            x[i] = -space.sign[s] * c[k]
        elif roots_of(space, address, s, x, c, jac, hess, True) == 0:
            return False
        if not math.isfinite(x[i]):
            return False
        if (space.kind[s] == 1 and x[i] <= 0.0) or (space.kind[s] == 2 and abs(x[i]) >= 1.0):
            return False
    return True


@kernel
def carry_over(space: Space, address: int, x: Array, c: Array, jac: Array, hess: Array, gradient: Array) -> None:
    """Add to the gradient (n,) in the independent parameters what the determined ones pass on to them."""
    m = space.constraint.shape[0]
    if m == 0:
        return
    call_address(address, x, c, jac, hess)
    own, inverse = np.empty((m, m)), np.empty((m, m))
    for k in range(m):
        for j in range(m):
            own[k, j] = jac[k, space.parameter[j]]
    invert(own, inverse, m)
    for k in range(m):
        multiplier = 0.0
        for j in range(m):
            multiplier -= inverse[j, k] * gradient[space.parameter[j]]
        for d in range(space.free.shape[0]):
            i = space.free[d]
            gradient[i] += multiplier * jac[k, i]


@kernel
def enter(
    space: Space, address: int, u: Array, x: Array, slope: Array, turn: Array, c: Array, jac: Array, hess: Array
) -> float:
    """Write all parameters (n,) with the derivatives of the transforms (d,) and of their logarithms (d,).

    Returns the sum of these logarithms, ``-inf`` where the constraints cannot be satisfied.
    """
    total = 0.0
    x[:] = space.base
    for k in range(space.free.shape[0]):
        x[space.free[k]], slope[k], size, turn[k] = transformed(space, k, u[k])
        total += size
    return total if determine(space, address, x, c, jac, hess) else -math.inf


@kernel
def leave(
    space: Space,
    address: int,
    x: Array,
    by_x: Array,
    slope: Array,
    turn: Array,
    c: Array,
    jac: Array,
    hess: Array,
    gradient: Array,
) -> float:
    """Write the gradient by the coordinates (d,) of that by the parameters (n,); return the log density of the priors.

    ``-inf`` where the gradient is not finite.
    """
    total = 0.0
    carry_over(space, address, x, c, jac, hess, by_x)
    for k in range(space.free.shape[0]):
        i = space.free[k]
        height, rise = log_prior(space, k, x[i])
        total += height
        gradient[k] = (by_x[i] + rise) * slope[k] + turn[k]
    return total if np.all(np.isfinite(gradient)) else -math.inf


@kernel
def log_posterior(objective: Any, space: Space, address: int, u: Array, gradient: Array) -> float:
    """Log posterior density of the coordinates ``u`` (d,), up to a constant; writes its gradient (d,).

    ``-inf`` where the constraints cannot be satisfied, or the likelihood is not finite.

    Parameters
    ----------
    objective : Observed
        The marginal log-likelihood.
    space : Space
    address : int
        Of the constraints.
    """
    n, m, d = space.base.shape[0], space.constraint.shape[0], space.free.shape[0]
    x, by_x, curvature = np.empty(n), np.empty(n), np.empty((n, n))
    slope, turn = np.empty(d), np.empty(d)
    c, jac, hess = np.empty(m), np.zeros((m, n)), np.zeros((m, n, n))
    gradient[:] = math.nan
    value = enter(space, address, u, x, slope, turn, c, jac, hess)
    if value == -math.inf:
        return -math.inf
    value += evaluate(objective, x, by_x, curvature)
    if not math.isfinite(value):
        return -math.inf
    value += leave(space, address, x, by_x, slope, turn, c, jac, hess, gradient)
    return value if math.isfinite(value) else -math.inf


@entry
def log_posterior_at(objective: Any, space: Space, address: int, u: Array, gradient: Array) -> float:
    """The density that `log_posterior` computes, for calls from Python."""
    return float(log_posterior(objective, space, address, u, gradient))


@entry
def parameters_at(space: Space, address: int, u: Array, x: Array) -> int:
    """Write all parameters (k, n) at coordinates (k, d); return at how many they are not determined (rows of nan)."""
    n, m, d = space.base.shape[0], space.constraint.shape[0], space.free.shape[0]
    c, jac, hess = np.empty(m), np.zeros((m, n)), np.zeros((m, n, n))
    failures = 0
    for row in range(u.shape[0]):
        point = x[row]
        point[:] = space.base
        for k in range(d):
            point[space.free[k]] = transformed(space, k, u[row, k])[0]
        if not determine(space, address, point, c, jac, hess):
            point[:] = math.nan
            failures += 1
    return failures


@entry
def count_roots(space: Space, address: int, x: Array, counts: Array) -> None:
    """Write how many roots each constraint (m,) has in its parameter at feasible points (k, n): (k, m) int64."""
    n, m = space.base.shape[0], space.constraint.shape[0]
    c, jac, hess = np.empty(m), np.zeros((m, n)), np.zeros((m, n, n))
    for row in range(x.shape[0]):
        for s in range(m):
            point = x[row].copy()
            counts[row, s] = 1
            if space.sign[s] == 0.0:
                counts[row, s] = roots_of(space, address, s, point, c, jac, hess, False)
