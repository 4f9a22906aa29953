"""In which coordinates to solve the problem of a table: the user's own, unless numbers would lose their digits."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from saem.errors import ConstraintError
from saem.expressions.constraint import parameters_of, split
from saem.families.coordinates import USERS, Coordinates
from saem.families.gaussian_data import GaussianData
from saem.families.linear.columns import Columns, are_plain, centred_and_scaled, power_of_two, root_mean_square
from saem.families.linear.coordinates import LinearCoordinates
from saem.system.remembered import remembered

Array = np.ndarray

FAR = 1e-4  # of the response: where least squares leave less than this, what they explain is subtracted
ROUNDING = 2.5e-13  # of the response: where they leave less than this, they fit it exactly


def coordinates_of(
    constraints: Mapping[str, str],
    data: GaussianData,
    last: int = -1,
    kind: type[LinearCoordinates] = LinearCoordinates,
) -> Coordinates:
    """The coordinates in which to solve the problem of a table: the user's own where they do.

    Parameters
    ----------
    constraints : mapping of str to str
    data : GaussianData
    last : int
        A parameter, a mean or a standard deviation, that is to depend on the inner one of the same name alone, if any.
    kind : type of LinearCoordinates
        That of the family.
    """
    found = centred(data, data.parameters.fixed, last, kind)
    if found.is_users or not any(is_too_long(name, text) for name, text in found.constraints(constraints).items()):
        return found
    names = {name for text in constraints.values() for name in parameters_of("", text)}
    tied = np.isin(data.parameters.names, list(names))
    return centred(data, data.parameters.fixed | tied, last, kind)  # parameters in equations stay by themselves


def is_too_long(name: str, text: str) -> bool:
    """Whether a constraint is beyond the bounds of the language."""
    try:
        split(name, text)
    except ConstraintError:
        return True
    return False


def centred(data: GaussianData, apart: Array, last: int, kind: type[LinearCoordinates]) -> Coordinates:
    """`coordinates_of` with parameters (n,) bool whose columns are combined with no others."""
    held = data.parameters.fixed[data.mean_index]
    movable = ~apart[data.mean_index]
    means = Columns.same(data.mean_design.shape[1])
    if last >= 0 or not are_plain(data.mean_design, movable):
        column = list(data.mean_index).index(last) if last in data.mean_index else -1
        means = centred_and_scaled(data.mean_design, movable, np.full(len(held), np.nan), column)
    random = random_of(data, apart, last) if kind.turns_effects else Columns.same(data.random_design.shape[1])
    design = data.mean_design if means.is_same else means.apply(data.mean_design)
    fixed = np.where(held, data.parameters.fixed_values[data.mean_index] * means.unit, 0.0)
    reference, unit = level_and_unit(design, data.response, held, fixed)
    if means.is_same and random.is_same and unit == 1.0 and not reference.any():
        return USERS
    return kind(
        users=data.parameters,
        means=means,
        random=random,
        reference=reference,
        unit=unit,
        mean_index=data.mean_index,
        sd_index=data.sd_index,
        corr_index=data.corr_index,
        residual_index=data.residual_index,
    )


def level_and_unit(design: Array, response: Array, held: Array, fixed: Array) -> tuple[Array, float]:
    """What to subtract from a response, as coefficients (p,), and its unit.

    Parameters
    ----------
    held, fixed : (p,) ndarray
        Which coefficients are fixed, and at what; 0 for the others.
    """
    size, coefficients = root_mean_square(response), fixed.copy()
    left = response - design @ fixed if held.any() else response
    columns = design[:, ~held] if held.any() else design
    length, inverse = normal_equations(columns)
    rest = 0.0
    for _ in range(2):  # the second time finds what rounding has left of the first
        step = inverse @ ((columns.T @ left) / length) / length
        coefficients[~held] += step
        left = left - columns @ step
        rest = root_mean_square(left)
        if rest > FAR * size:
            return np.zeros(len(held)), power_of_two(rest)
    if rest <= ROUNDING * size:
        return np.zeros(len(held)), 1.0
    grain = 2.0 ** np.floor(np.log2(rest * np.sqrt(len(design)) / length))
    coefficients[~held] = np.round(coefficients[~held] / grain) * grain
    return coefficients, power_of_two(rest)


@remembered
def normal_equations(columns: Array) -> tuple[Array, Array]:
    """Lengths (p,) of columns (n, p), and the pseudo-inverse (p, p) of the products of those of length one."""
    length = np.sqrt(np.maximum(np.einsum("ij,ij->j", columns, columns), 1e-300))
    return length, np.linalg.pinv((columns.T @ columns) / np.outer(length, length), rcond=1e-10, hermitian=True)


def random_of(data: GaussianData, apart: Array, last: int) -> Columns:
    """The change of the columns of the random effects."""
    q = data.sd_index.shape[1]
    movable = np.full(q, q > 1 and is_free(data, apart))
    if last < 0 and are_plain(data.random_design, movable):
        return Columns.same(q)
    term = int(np.argwhere(data.sd_index == last)[0, 1]) if last in data.sd_index else -1
    return centred_and_scaled(data.random_design, movable, shared_units(data), term)


def is_free(data: GaussianData, apart: Array) -> bool:
    """Whether the covariance matrices of the random effects are free ones, so that their columns may be combined."""
    sd, corr = data.sd_index, data.corr_index
    used = np.concatenate([sd.ravel(), corr[corr >= 0].ravel()])
    alike = bool(np.all(sd == sd[0]) and np.all(corr == corr[0]))
    slots = sd[0] if alike else sd.ravel()
    pairs = (corr[:1] if alike else corr)[:, *np.tril_indices(sd.shape[1], -1)].ravel()
    own = len(set(slots)) == len(slots) and len(set(pairs)) == len(pairs)
    full = bool(np.all(pairs >= 0)) and not apart[used].any() and not np.isin(used, data.residual_index).any()
    return full and own


def shared_units(data: GaussianData) -> Array:
    """Units (q,) of terms whose standard deviation acts elsewhere too, where it needs the same; nan of the others."""
    sd, q = data.sd_index, data.sd_index.shape[1]
    alike = np.arange(q)  # terms that share, also by way of a third one, have the same number
    for i in np.unique(sd):
        terms = np.unique(np.argwhere(sd == i)[:, 1])
        alike[np.isin(alike, alike[terms])] = alike[terms].min()
    given = np.full(q, np.nan)
    sizes = np.array([root_mean_square(column) for column in data.random_design.T])
    for number in np.unique(alike):
        terms = np.flatnonzero(alike == number)
        positive = sizes[terms][sizes[terms] > 0.0]
        if np.isin(sd[:, terms], data.residual_index).any():
            given[terms] = 1.0
        elif len(terms) > 1 and len(positive):
            given[terms] = power_of_two(float(np.exp(np.mean(np.log(positive)))))
    return given
