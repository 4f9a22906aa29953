"""Independent answers to compare with: a general maximiser, and the exact solutions of the saturated peptide model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from designs import peptide_dense
from naive import gradient, hessian, marginal
from scipy.optimize import brentq, minimize

Array = np.ndarray
CELLS = ("m11", "m12", "m21", "m22")
SDS = ("sigma1", "sigma2", "sigma")


def maximise(
    function: Callable[[Array], Any], starts: Iterable[Array], sds: Iterable[int] = (), newton: int = 4
) -> tuple[Array, float]:
    """Maximise by BFGS from several starts, then by Newton's method.

    Parameters
    ----------
    function : callable
        Of a complex vector. It is even in the entries ``sds``, some of which may be zero at the maximum.
    """
    sds = list(sds)

    def objective(z: Array) -> float:
        try:
            with np.errstate(all="ignore"):
                value = -float(np.real(function(z)))
        except np.linalg.LinAlgError:  # a residual variance of zero
            return 1e10
        return value if np.isfinite(value) else 1e10

    def slope(z: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.nan_to_num(-gradient(function, z))

    found = [minimize(objective, start, jac=slope, method="BFGS", options={"gtol": 1e-6}) for start in starts]
    best = min(found, key=lambda result: result.fun).x
    held = np.zeros(len(best), dtype=bool)
    best = polish(function, best, held, newton)
    for i in sorted(sds, key=lambda i: abs(best[i])):
        trial_held = held | (np.arange(len(best)) == i)
        if abs(best[i]) < 0.05 and objective(np.where(trial_held, 0.0, best)) < 1e10:  # is zero better?
            trial = polish(function, np.where(trial_held, 0.0, best), trial_held, newton)
            if objective(trial) <= objective(best) + 1e-11:
                best, held = trial, trial_held
    best[sds] = np.abs(best[sds])
    return best, -objective(best)


def polish(function: Callable[[Array], Any], z: Array, held: Array, steps: int) -> Array:
    """Newton's method, with some of the entries held; a step that would lead downhill is not made."""
    free = np.flatnonzero(~held)

    def restricted(part: Array) -> Any:
        return function(np.concatenate([z, part])[order])

    order = np.arange(len(z))
    order[free] = len(z) + np.arange(len(free))
    part = z[free]
    for _ in range(steps):
        slope = gradient(restricted, part)
        curvature = hessian(restricted, part)
        if np.linalg.eigvalsh(curvature)[-1] >= 0.0:
            break
        step = np.linalg.solve(curvature, -slope)
        part = part + step
        if np.max(np.abs(step)) < 1e-11:
            break
    return np.concatenate([z, part])[order]


def cell_columns(table: pd.DataFrame) -> dict[str, Array]:
    """Indicators of the four cells."""
    treated = (table["treatment"] == "CCCP").to_numpy()
    modified = (table["modification"] == "modified").to_numpy()
    cells = [(~treated & ~modified), (~treated & modified), (treated & ~modified), (treated & modified)]
    return dict(zip(CELLS, (cell.astype(float) for cell in cells), strict=True))


def unconstrained_maximum(table: pd.DataFrame) -> tuple[Array, float]:
    """Estimates (m11, m12, m21, m22, sigma1, sigma2, sigma) and log-likelihood of the plain mixed model."""
    dense = peptide_dense(table, cell_columns(table), (*CELLS, *SDS))
    means = np.linalg.lstsq(dense.mean_design, dense.response, rcond=None)[0]
    spread = np.std(dense.response - dense.mean_design @ means)
    starts = [
        np.concatenate([means, spread * np.array(f)]) for f in ((0.7, 0.7, 0.5), (0.2, 1.0, 0.5), (1.0, 0.2, 0.5))
    ]
    return maximise(lambda x: marginal(dense, x), starts, sds=(4, 5, 6))


def balanced_maximum(table: pd.DataFrame) -> Array:
    """The same for a balanced table without missing rows, in closed form."""
    wide = table.pivot(index=["treatment", "replicate"], columns="modification", values="log2_intensity")
    arms = [wide.loc[treatment][["unmodified", "modified"]].to_numpy() for treatment in ("Ctrl", "CCCP")]
    cells = np.concatenate([arm.mean(axis=0) for arm in arms])
    between = np.array([np.mean((arm.mean(axis=1) - arm.mean()) ** 2) for arm in arms])  # sigma_i^2 + sigma^2 / 2
    within = np.array([np.sum((arm[:, 1] - arm[:, 0] - np.diff(arm, axis=1).mean()) ** 2) / 2.0 for arm in arms])
    n = np.array([len(arm) for arm in arms])
    best, best_value = np.empty(0), -np.inf
    for zero in ((False, False), (True, False), (False, True), (True, True)):
        z = np.array(zero)
        variance = (within.sum() + 2.0 * np.sum((n * between)[z])) / (n.sum() + n[z].sum())
        effects = np.where(z, 0.0, between - variance / 2.0)
        if (effects < 0.0).any():
            continue
        total = effects + variance / 2.0
        value = -0.5 * np.sum(n * (np.log(total) + between / total)) - 0.5 * (
            n.sum() * np.log(variance) + within.sum() / variance
        )
        if value > best_value:
            best, best_value = np.concatenate([cells, np.sqrt(effects), [np.sqrt(variance)]]), value
    return best


def roots_of_link(m: float, d: float, c: float) -> Array:
    """All roots b of ``h(b) = b + c (1 + 2^(b + d)) / (1 + 2^b) = m``, from its exact intervals of monotony.

    With ``u = 2^b`` and ``k = c ln 2 (1 - 2^d)`` the slope is ``h' = 1 - k u / (1 + u)^2``: it changes its sign where
    ``u + 1 / u = k - 2``, so nowhere for ``k <= 4``.
    """

    def h(b: float) -> float:
        return float(b + c * np.exp2(np.logaddexp2(0.0, b + d) - np.logaddexp2(0.0, b)) - m)

    k = c * np.log(2.0) * -np.expm1(d * np.log(2.0))
    ends = [m - c * max(1.0, 2.0**d) - 1.0, m - c * min(1.0, 2.0**d) + 1.0]
    if k > 4.0:
        turn = np.arccosh((k - 2.0) / 2.0) / np.log(2.0)  # u + 1/u = 2 cosh(b ln 2)
        ends = [min(ends[0], -turn - 1.0), -turn, turn, max(ends[1], turn + 1.0)]
    return np.array(
        [brentq(h, low, high, xtol=1e-15, rtol=1e-15) for low, high in pairwise(ends) if h(low) * h(high) < 0.0]
    )


def roots_by_scan(m: float, d: float, c: float) -> Array:
    """The same from a dense scan."""
    grid = np.linspace(m - c * max(1.0, 2.0**d) - 1.0, m - c * min(1.0, 2.0**d) + 1.0, 20_001)
    h = grid + c * np.exp2(np.logaddexp2(0.0, grid + d) - np.logaddexp2(0.0, grid)) - m
    changes = np.flatnonzero(h[:-1] * h[1:] < 0.0)
    return grid[changes]


def root_of_log2_link(m: float, d: float, c: float) -> Array:
    """The root b of ``b + log2 c + log2((1 + 2^(b + d)) / (1 + 2^b)) = m``, whose left side increases."""

    def h(b: float) -> float:
        return float(b + np.log2(c) + np.logaddexp2(0.0, b + d) - np.logaddexp2(0.0, b) - m)

    middle, width = m - np.log2(c), abs(d) + 1.0
    return np.array([brentq(h, middle - width, middle + width, xtol=1e-15, rtol=1e-15)])


def saturated_solutions(recipe: str, estimates: Array) -> list[dict[str, float]]:
    """All parameters of a recipe with the likelihood of the unconstrained maximum (see DESIGN, section 1).

    Parameters
    ----------
    recipe : {"peptide", "peptide_log2", "peptide_unconstrained"}
    estimates : (7,) ndarray
        Of `unconstrained_maximum`.
    """
    m11, m12, m21, m22, sigma1, sigma2, sigma = map(float, estimates)
    common = {"mu": m11, "alpha2": m12 - m11, "sigma1": sigma1, "sigma2": sigma2, "sigma": sigma}
    if recipe == "peptide_unconstrained":
        return [common | {"b21": m21 - m11, "b22": m22 - m12}]
    m, d = m21 - m11, (m22 - m12) - (m21 - m11)
    c = float(np.exp(np.log(2.0) ** 2 / 2.0 * (sigma2**2 - sigma1**2)))
    roots = roots_of_link(m, d, c) if recipe == "peptide" else root_of_log2_link(m, d, c)
    return [common | {"b21": b, "b22": b + d, "c2": m - b} for b in map(float, roots)]
