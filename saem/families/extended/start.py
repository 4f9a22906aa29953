"""Where searches start: a linear mixed model with one residual SD, by a few steps of EM."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from saem.expressions.columns import Values
from saem.families.extended.data import ExtendedData
from saem.families.nonlinear.evaluation import value_of
from saem.specification.domains import POSITIVE, REAL

Floats = NDArray[np.float64]
STEPS = 40
SMALLEST = 0.05  # of the residual SD that a random effect's contribution starts with
DEGREES = 8.0  # of freedom


class Start(NamedTuple):
    """Where searches start."""

    values: dict[str, float]  # of all parameters
    omega: Floats  # (q, q) covariance of the random effects
    sds: Floats  # (n,) of the residuals


def starting_values(data: ExtendedData) -> Start:
    """Where all parameters start.

    Scales in the expression of the residual SD start at one value, that at which the root mean square of the SD is that
    of the residuals of the linear model; other parameters of it at 0, or 1 where they are positive.
    """
    parameters = data.parameters
    x = np.where(parameters.fixed, parameters.fixed_values, 0.0)
    beta, omega, sigma, at = linear(data, x)
    x[data.mean_index] = np.where(parameters.fixed[data.mean_index], x[data.mean_index], beta)
    sds = np.sqrt(np.diagonal(omega))
    for own in data.sd_index:
        x[own] = np.where(parameters.fixed[own], x[own], sds)
    residual, said = data.residual_said, data.correlation
    scales = []
    for name in data.residual_names:
        i = parameters.index(name)
        if parameters.fixed[i]:
            continue
        domain = parameters.domains[i]
        if said is not None and name == said.parameter:
            x[i] = min(said.start(float(np.median(np.asarray(data.columns["gap[]"])))), 0.5 * domain.high)
        elif name == residual.df:
            x[i] = DEGREES
        elif domain != REAL:
            x[i] = 1.0
            if domain != POSITIVE:
                scales.append(i)
    shape = residual_sds(data, x, at)
    scale = sigma / np.sqrt(np.mean(shape**2))
    x[scales] = scale
    return Start(dict(zip(parameters.names, x.tolist(), strict=True)), omega, scale * shape)


def residual_sds(data: ExtendedData, x: Floats, at: Floats) -> Floats:
    """SDs (n,) of the rows, at fitted values (n,) of the linear model; all of them 1, where there are none."""
    inputs: dict[str, Values] = dict(data.columns)
    inputs |= {name: np.float64(x[i]) for i, name in enumerate(data.parameters.names)}  # type: ignore[misc]
    effects: dict[str, Any] = {f"z.{effect.name}": np.zeros(len(at)) for effect in data.structure.effects}
    for effect in data.structure.effects:
        for a, b in effect.centre:
            effects[f"z.{effect.name}"] = effects[f"z.{effect.name}"] + value_of(a, inputs, len(at)) * value_of(
                b, inputs, len(at)
            )
    sds = np.broadcast_to(value_of(data.structure.alone["sd"], inputs | effects, len(at)), at.shape)
    return sds.copy() if np.isfinite(sds).all() and np.all(sds > 0.0) else np.ones(len(at))


def linear(data: ExtendedData, x: Floats) -> tuple[Floats, Floats, float, Floats]:
    """Means (p,), diagonal covariance (q, q), residual SD and fitted values (n,) of the linear model, by EM."""
    y = data.response - (0.0 if data.offset is None else data.offset)
    design, random = data.mean_design, data.random_design
    beta = np.linalg.lstsq(design, y, rcond=None)[0]
    q, n = random.shape[1], len(y)
    total = float(np.mean((y - design @ beta) ** 2)) or 1.0
    sigma2 = 0.5 * total
    size = np.maximum(np.mean(random**2, axis=0), 1e-300)
    omega = np.diag(0.5 * total / size / max(q, 1))
    count, p = len(data.cluster_group), design.shape[1]
    products = np.zeros((count, q, q + p + 1))  # Z'Z, Z'X and Z'y of each cluster
    np.add.at(products, data.cluster, random[:, :, None] * np.column_stack([random, design, y])[:, None, :])
    zz, zx = products[:, :, :q], products[:, :, q:]
    whole = design.T @ np.column_stack([design, y])
    at = design @ beta
    for _ in range(STEPS):
        spread = np.linalg.solve(np.eye(q) + omega @ zz / sigma2, np.broadcast_to(omega, zz.shape))  # given the data
        part = np.einsum("cqj,cqr,crk->jk", zx[:, :, :p], spread, zx)
        normal = whole - part / sigma2
        beta = np.linalg.lstsq(normal[:, :p], normal[:, p], rcond=None)[0]
        effects = np.einsum("cqr,cr->cq", spread, zx[:, :, p] - zx[:, :, :p] @ beta) / sigma2
        at = design @ beta + np.sum(random * effects[data.cluster], axis=1)
        noise = float(np.sum((y - at) ** 2) + np.einsum("cqr,crq->", zz, spread))
        squares = np.sum(effects**2 + np.einsum("cqq->cq", spread), axis=0)
        omega, sigma2 = np.diag(squares / count), noise / n
    smallest = SMALLEST**2 * sigma2 / size
    return np.asarray(beta), np.diag(np.maximum(np.diagonal(omega), smallest)), float(np.sqrt(sigma2)), np.asarray(at)
