"""The standard normals of the draws of an iteration: independent, antithetic, or a randomised lattice.

Each is exact draw by draw; they differ in how the draws of one cluster in one iteration depend on each other, and so in
the variance of their mean. Antithetic draws come in pairs ``xi, -xi``, whose mean has no error in what is linear in
``xi``. Lattice draws are points of a Kronecker sequence, shifted at random for every cluster and iteration and carried
to normals by their quantile function: randomised quasi-Monte Carlo (Jank 2005, Computational Statistics & Data Analysis
48, 685-701, for Monte Carlo EM). Their error falls faster than with the root of the number of draws.
"""

from __future__ import annotations

import math

import numpy as np

from saem.system.jit import kernel

Array = np.ndarray

INDEPENDENT, ANTITHETIC, LATTICE = 0, 1, 2


@kernel
def lattice_steps(q: int, steps: Array) -> None:
    """Write the steps (q,) of the sequence: powers of the inverse of the positive root of ``x^q = x + 1``.

    The first q - 1 are used, beside a coordinate that is equally spaced; for q = 2 it is the golden ratio's.
    """
    root = 1.5
    for _ in range(60):
        root = (1.0 + root) ** (1.0 / q)
    for j in range(q):
        steps[j] = root ** -(j + 1.0)


@kernel
def normal_quantile(u: float) -> float:
    """The quantile function of the standard normal to 1e-15 (Wichura 1988, algorithm AS 241, PPND16)."""
    centre = u - 0.5
    if abs(centre) <= 0.425:
        r = 0.180625 - centre * centre
        above = 2509.0809287301226727 * r + 33430.575583588128105
        above = above * r + 67265.770927008700853
        above = above * r + 45921.953931549871457
        above = above * r + 13731.693765509461125
        above = above * r + 1971.5909503065514427
        above = above * r + 133.14166789178437745
        above = above * r + 3.387132872796366608
        below = 5226.495278852854561 * r + 28729.085735721942674
        below = below * r + 39307.89580009271061
        below = below * r + 21213.794301586595867
        below = below * r + 5394.1960214247511077
        below = below * r + 687.1870074920579083
        below = below * r + 42.313330701600911252
        below = below * r + 1.0
        return float(centre * above / below)
    tail = u if centre < 0.0 else 1.0 - u
    r = math.sqrt(-math.log(max(tail, 1e-300)))
    if r <= 5.0:
        r -= 1.6
        above = 7.7454501427834140764e-4 * r + 0.0227238449892691845833
        above = above * r + 0.24178072517745061177
        above = above * r + 1.27045825245236838258
        above = above * r + 3.64784832476320460504
        above = above * r + 5.7694972214606914055
        above = above * r + 4.6303378461565452959
        above = above * r + 1.42343711074968357734
        below = 1.05075007164441684324e-9 * r + 5.475938084995344946e-4
        below = below * r + 0.0151986665636164571966
        below = below * r + 0.14810397642748007459
        below = below * r + 0.68976733498510000455
        below = below * r + 1.6763848301838038494
        below = below * r + 2.05319162663775882187
        below = below * r + 1.0
    else:
        r -= 5.0
        above = 2.01033439929228813265e-7 * r + 2.71155556874348757815e-5
        above = above * r + 0.0012426609473880784386
        above = above * r + 0.026532189526576123093
        above = above * r + 0.29656057182850489123
        above = above * r + 1.7848265399172913358
        above = above * r + 5.4637849111641143699
        above = above * r + 6.6579046435011037772
        below = 2.04426310338993978564e-15 * r + 1.4215117583164458887e-7
        below = below * r + 1.8463183175100546818e-5
        below = below * r + 7.868691311456132591e-4
        below = below * r + 0.0148753612908506148525
        below = below * r + 0.13692988092273580531
        below = below * r + 0.59983220655588793769
        below = below * r + 1.0
    value = above / below
    return float(-value if centre < 0.0 else value)


@kernel
def fill_normals(
    variates: int, i: int, m: int, rng: np.random.Generator, steps: Array, point: Array, normal: Array
) -> None:
    """Write the ``i``-th of ``m`` draws (q,) of a cluster.

    ``normal`` (q,) is the draw before; ``point`` (q,), of the lattice, is carried along.
    """
    q = normal.shape[0]
    if variates == ANTITHETIC and i % 2 == 1:
        for j in range(q):
            normal[j] = -normal[j]
        return
    if variates != LATTICE:
        for j in range(q):
            normal[j] = rng.standard_normal()
        return
    for j in range(q):
        if i == 0:
            point[j] = rng.random()
        elif q == 1:
            point[j] += 1.0 / m  # equally spaced
        else:
            point[j] += 1.0 / m if j == 0 else steps[j - 1]
        if point[j] >= 1.0:
            point[j] -= 1.0
        normal[j] = normal_quantile(point[j])
