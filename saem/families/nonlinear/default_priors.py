"""Weakly informative priors for nonlinear models, from the scale of the data.

Of a parameter that may be any number ``t`` is what one row alone would leave of it, the standard error of the fit
without random effects times the root of the number of rows (a sandwich, so that counts that vary more than their
distribution says count for less). It is ``s / rms(x)`` for a coefficient of ``x`` in a mean with residual standard
deviation ``s``, and some ``2 / rms(x)`` for one in a logit. ``x0`` is where the search starts: the fit without random
effects, or what ``[start]`` says.

    any number                            student_t(3, 0, 2.5 max(t, |x0|))
    positive                              lognormal(log(x0), 2), a factor of 50 either way
    between bounds                        uniform
    SD of a random effect                 half_normal(1) on a logarithmic, logit or probit scale, else
                                          half_student_t(3, 2.5 max(t, x0)), x0 about a third of the centre, or 1
    other standard deviations             half_normal(2.5 x0)
    correlation                           lkj(1), which is uniform

Where clusters differ much, coefficients in a logit are several times those of the fit without random effects: the tails
of a t distribution do not stand in their way. A standard deviation that several random effects share has the smallest
of their scales.
"""

from __future__ import annotations

import math

import numpy as np

from saem.families.nonlinear.arrays import NonlinearArrays
from saem.families.nonlinear.density import fill_centres, fill_term_jets
from saem.families.nonlinear.structure import Structure
from saem.specification.domains import CORRELATION, SCALE, SD
from saem.specification.parameters import Parameters
from saem.system.jets import jet_length
from saem.system.jit import call_row_sums, entry

Array = np.ndarray

WIDE = 2.5
DF = 3
FACTOR = 2.0  # SD of the logarithm of what is positive
UNIT = 1.0  # SD of random effects on a logarithmic, logit or probit scale


@entry
def add_row_information(arrays: NonlinearArrays, x: Array, squares: Array, information: Array) -> None:
    """Add squares of the score of each row, and information, by parameters and coordinates (n + d,) on the diagonal.

    Of the rows without random effects; parameters move the coordinates, too.
    """
    n, d = x.shape[0], arrays.sd_index.shape[1]
    p, count = arrays.rows.curved.shape[0], arrays.term_effect.shape[0]
    size = p + d
    jets, centres = np.empty((count, jet_length(n))), np.empty((d, 1))
    out, moves = np.empty(1 + size + size * (size + 1) // 2), np.zeros((n + d, size))
    fill_term_jets(arrays, x, jets)
    for cluster in range(arrays.group.shape[0]):
        fill_centres(arrays, x, cluster, centres)
        moves[:, :] = 0.0
        for i in range(p):
            moves[arrays.rows.curved[i], i] = 1.0
        for k in range(count):
            for i in range(n):
                moves[i, p + arrays.term_effect[k]] += arrays.basis[cluster, k] * jets[k, 1 + i]
        for j in range(d):
            moves[n + j, p + j] = 1.0
        for row in range(arrays.first[cluster], arrays.first[cluster + 1]):
            call_row_sums(arrays.rows.curvature, x, centres.reshape(d), arrays.columns, row, 1, out)
            for v in range(n + d):
                score, bend = 0.0, 0.0
                for i in range(size):
                    if moves[v, i] == 0.0:
                        continue
                    score += moves[v, i] * out[1 + i]
                    for j in range(i + 1):
                        both = moves[v, i] * moves[v, j] * out[1 + size + i * (i + 1) // 2 + j]
                        bend += both if i == j else 2.0 * both
                squares[v] += score * score
                information[v] -= bend


def single_row_errors(arrays: NonlinearArrays, x: Array) -> Array:
    """What one row alone would leave of parameters and coordinates (n + d,); nan where rows do not tell."""
    size = len(x) + arrays.sd_index.shape[1]
    squares, information = np.zeros(size), np.zeros(size)
    add_row_information(arrays, x, squares, information)
    with np.errstate(all="ignore"):
        found = np.sqrt(len(arrays.columns) * squares) / information
    return np.where(np.isfinite(found) & (found > 0.0), found, np.nan)


def default_priors(
    arrays: NonlinearArrays, parameters: Parameters, structure: Structure, start: Array
) -> tuple[str, ...]:
    """The default prior of every parameter (n,), as text in its order; see the module."""
    n, errors = len(start), single_row_errors(arrays, start)
    spreads: dict[int, float] = {}
    unit = {i for j, effect in enumerate(structure.effects) if effect.law != "normal" for i in arrays.sd_index[:, j]}
    unit.discard(-1)
    for j, effect in enumerate(structure.effects):
        for i in map(int, arrays.sd_index[:, j]) if effect.law == "normal" else ():
            if i < 0:
                continue
            told = float(np.nanmax([errors[n + j], start[i], 0.0]))
            spreads[i] = min(spreads.get(i, math.inf), told if told > 0.0 else UNIT)
    priors = [prior_of(parameters, i, float(start[i]), float(errors[i])) for i in range(n)]
    for i, told in spreads.items():
        priors[i] = f"half_student_t({DF}, {WIDE * told:.4g})"
    for i in unit:
        priors[i] = f"half_normal({UNIT:g})"
    return tuple(priors)


def prior_of(parameters: Parameters, i: int, start: float, error: float) -> str:
    """The default prior of a parameter that is no SD of random effects, given where it starts and what a row leaves."""
    domain = parameters.domains[i]
    if domain == CORRELATION:
        return "lkj(1)"
    if math.isfinite(domain.high):
        return f"uniform({domain.low!r}, {domain.high!r})"
    if domain in (SD, SCALE):
        return f"half_normal({WIDE * (start if start > 0.0 else 1.0):.4g})"
    if domain.low == 0.0:
        return f"lognormal({math.log(start):.4g}, {FACTOR:g})"
    size = np.nanmax([abs(start), error, 0.0])
    return f"student_t({DF}, 0, {WIDE * (size if size > 0.0 else 1.0):.4g})"
