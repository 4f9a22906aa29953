"""The model of a validated table, as algorithms see it."""

from __future__ import annotations

from functools import partial

import numpy as np

from saem.expressions.constraint import Constraints, parameters_of
from saem.families.coordinates import Coordinates
from saem.families.crossed import complete, draws, observed
from saem.families.crossed.arrays import CrossedArrays, n_statistics
from saem.families.crossed.centring import Centring
from saem.families.crossed.data import CrossedData
from saem.families.crossed.effects import conditional_moments
from saem.families.crossed.information import fisher_information
from saem.families.crossed.rows import build_arrays, design_of, order_of
from saem.families.crossed.start import moment_start, starting_values
from saem.families.linear.default_priors import default_priors
from saem.families.linear.problem import RESIDUAL_ZERO
from saem.families.problem import Boundary, Clusters, LatentData, Likelihood, Priors, Problem, Starts

#: Their functions are found by the types of the arrays.
COMPILED = (complete, draws, observed)
MANY = 300  # random effects beyond which other maxima are looked for only where that is asked for
MOST_RANK = 3000  # rows of a design whose rank is looked at


def build_problem(
    data: CrossedData, constraints: Constraints, is_restricted: bool, coordinates: Coordinates
) -> Problem:
    """See `saem.families.family.Family.build_problem`."""
    arrays, order = build_arrays(data), order_of(data)
    if not coordinates.is_users:
        arrays = arrays._replace(constants=np.array(coordinates.constants(data, arrays.basis)))
    start = moment_start(data, arrays, order)
    scale = _scale(data, arrays, start)
    collapsible = _collapsible(data, constraints)
    dependents: dict[int, tuple[int, ...]] = {}
    for sds, corrs in zip(data.sd_index, data.corr_index, strict=True):
        for j in np.flatnonzero(sds >= 0):
            own = [int(i) for i in corrs[j] if i >= 0]
            dependents[int(sds[j])] = tuple(dict.fromkeys([*dependents.get(int(sds[j]), ()), *own]))
    at_zero = np.zeros(len(scale))
    at_zero[data.residual_index] = RESIDUAL_ZERO * scale[data.residual_index]
    totals = scale.copy()
    spread = np.sqrt(arrays.yy / arrays.n_rows)
    totals[data.residual_index] = np.maximum(spread, scale[data.residual_index])
    blocks = [
        (sds[:d], corrs[:d, :d])
        for sds, corrs, d in zip(arrays.sd_index, arrays.corr_index, arrays.block_size, strict=True)
    ]
    information = partial(fisher_information, arrays)
    return Problem(
        parameters=data.parameters,
        constraints=constraints,
        arrays=arrays,
        scale=scale,
        starts=Starts(starting_values(data, start), (), totals),
        boundary=Boundary(collapsible, dependents, at_zero, tuple(blocks) if np.any(data.corr_index >= 0) else ()),
        latent=LatentData(
            size=int(order.effect_start[-1]),
            n_statistics=n_statistics(arrays),
            has_expectation=True,
            augmentation=Centring(arrays, data),
        ),
        clusters=Clusters(effects=partial(_modes, data, coordinates)),
        likelihood=Likelihood(
            kind="closed",
            restricted=is_restricted,
            is_local=int(order.effect_start[-1]) > MANY,
            can_fit_exactly=_can_fit_exactly(data),
            expected_information=information,
            fisher_information=None if is_restricted else information,
        ),
        priors=Priors(default=partial(default_priors, data)),
        coordinates=coordinates,
    )


def _scale(data: CrossedData, arrays: CrossedArrays, start: np.ndarray) -> np.ndarray:
    """A typical size (n,) of each parameter."""
    domains = data.parameters.domains
    spread = float(np.sqrt(arrays.yy.sum() / arrays.n_rows.sum()))
    scale = np.where(domains.is_between, 1.0, spread)
    rms = np.sqrt(np.einsum("hpp->p", arrays.xx) / arrays.n_rows.sum())
    scale[arrays.mean_index] = spread / np.where(rms > 0.0, rms, 1.0)
    sizes = np.sqrt(np.mean(data.random_design**2, axis=0))
    for row in data.sd_index:
        for i, size in zip(row, sizes, strict=True):
            if i >= 0:
                scale[i] = spread / max(float(size), 1e-300)
    scale[arrays.residual_index] = np.maximum(np.abs(start[arrays.residual_index]), 1e-300)
    return np.asarray(scale)


def _collapsible(data: CrossedData, constraints: Constraints) -> np.ndarray:
    """Parameters (n,) that may end at the boundary."""
    found = np.zeros(len(data.parameters), dtype=bool)
    found[data.sd_index[data.sd_index >= 0]] = True
    found[data.corr_index[data.corr_index >= 0]] = True
    tied = {name for text in constraints.texts for name in parameters_of("", text)}
    for i in data.residual_index:  # of one residual group among several the errors may vanish
        alone = np.sum(data.residual_index == i) < len(data.residual_index) and i not in data.sd_index
        found[i] = alone and data.parameters.names[i] not in tied
    return found & ~data.parameters.fixed


def _can_fit_exactly(data: CrossedData) -> bool:
    """Whether the columns of the means and of the random effects span all responses."""
    n, order = len(data.response), order_of(data)
    if n > int(order.effect_start[-1]) + data.mean_design.shape[1] or n > MOST_RANK:
        return False
    columns = np.hstack([data.mean_design, design_of(data, order).toarray()])
    return bool(np.linalg.matrix_rank(columns) >= n)


def _modes(data: CrossedData, coordinates: Coordinates, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Modes (U, q) of the user's random effects of the units and their standard deviations (U, q)."""
    modes, covariance = conditional_moments(data, x)
    spread = np.einsum("uii->ui", coordinates.spreads(covariance))
    return coordinates.effects(modes), np.sqrt(np.maximum(spread, 0.0))
