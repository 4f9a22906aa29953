"""Functions with constants that come from a table: centring, scaling, polynomials and splines.

Each has two halves: constants as plain lists and numbers, made once from the rows of a fit, and columns made of any
rows with these constants. So a prediction, or a fit that was saved and loaded elsewhere, has the design of the fit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saem.errors import DataError

MAX_DEGREE = 100
Floats = NDArray[np.float64]
State = dict[str, Any]


def state_of(function: str, x: Floats, settings: dict[str, Any]) -> State:
    """The constants of a function.

    Parameters
    ----------
    function : str
        One of `STATEFUL`.
    x : (n,) ndarray
        Finite.
    settings : dict
        Such as ``{"df": 4}``.

    Returns
    -------
    dict
        Of numbers, truth values and lists, as JSON has them.

    Raises
    ------
    DataError
        When the rows are too few, or too much alike.
    """
    return _STATES[function](x, settings)


def columns_of(function: str, x: Floats, state: State) -> Floats:
    """The columns (n, k) of a function at any rows, with the constants of `state_of`."""
    if not 1 <= state.get("degree", 1) <= MAX_DEGREE:  # of a file that was changed
        raise ValueError(f"the degree must lie between 1 and {MAX_DEGREE}")
    return _COLUMNS[function](x, state)


def _centre_state(x: Floats, settings: dict[str, Any]) -> State:
    return {"mean": float(np.mean(x))}


def _scale_state(x: Floats, settings: dict[str, Any]) -> State:
    return _spread(x, 1)


def _standardize_state(x: Floats, settings: dict[str, Any]) -> State:
    return _spread(x, 0)


def _spread(x: Floats, less: int) -> State:
    sd = float(np.std(x, ddof=less)) if len(x) > less else 0.0
    if not sd > 0.0:
        raise DataError("it is constant, and cannot be scaled")
    return {"mean": float(np.mean(x)), "sd": sd}


def _centred(x: Floats, state: State) -> Floats:
    return np.asarray((x - state["mean"]) / state.get("sd", 1.0))[:, None]


def _poly_state(x: Floats, settings: dict[str, Any]) -> State:
    """Coefficients of the three-term recurrence, as R's `poly` has them (Kennedy & Gentle 1980, 343-344)."""
    degree, raw = settings.get("degree", 1), settings.get("raw", False)
    if raw:
        return {"degree": degree, "raw": True}
    if len(np.unique(x)) <= degree:
        raise DataError(f"a polynomial of degree {degree} needs more than {degree} different values")
    alphas: list[float] = []
    norms = [float(len(x))]
    before, now = np.zeros_like(x), np.ones_like(x)
    for k in range(degree):
        alphas.append(float(np.sum(x * now**2) / norms[k]))
        ratio = norms[k] / norms[k - 1] if k else 0.0
        before, now = now, (x - alphas[k]) * now - ratio * before
        norms.append(float(np.sum(now**2)))
    return {"degree": degree, "raw": False, "alpha": alphas, "norm2": norms}


def _poly_columns(x: Floats, state: State) -> Floats:
    degree = state["degree"]
    if state["raw"]:
        return np.column_stack([x**k for k in range(1, degree + 1)])
    alphas, norms = state["alpha"], state["norm2"]
    before, now = np.zeros_like(x), np.ones_like(x)
    found = []
    for k in range(degree):
        ratio = norms[k] / norms[k - 1] if k else 0.0
        before, now = now, (x - alphas[k]) * now - ratio * before
        found.append(now / np.sqrt(norms[k + 1]))
    return np.column_stack(found)


def _knots(x: Floats, settings: dict[str, Any], inner: int | None) -> tuple[list[float], float, float]:
    """Inner knots, at quantiles where the formula does not name them, and the two ends."""
    low = float(settings.get("lower_bound", np.min(x)))
    high = float(settings.get("upper_bound", np.max(x)))
    if not low < high:
        raise DataError("a spline needs different values")
    if "knots" in settings:
        knots = sorted(settings["knots"])
        if inner is not None and len(knots) != inner:
            raise DataError(f"df asks for {inner} inner knots, but knots has {len(knots)}; leave one of them out")
    else:
        within = x[(x >= low) & (x <= high)]
        knots = [float(q) for q in np.quantile(within, np.linspace(0.0, 1.0, (inner or 0) + 2)[1:-1])]
    if any(not low < knot < high for knot in knots):
        raise DataError(f"the inner knots of a spline must lie between {low:g} and {high:g}; ask for fewer of them")
    return knots, low, high


def _bs_state(x: Floats, settings: dict[str, Any]) -> State:
    """B-splines as R's `bs` has them: ``df - degree`` inner knots at quantiles, without the first column."""
    degree, intercept = settings.get("degree", 3), settings.get("intercept", False)
    inner = settings["df"] - degree - intercept if "df" in settings else (None if "knots" in settings else 0)
    if inner is not None and inner < 0:
        raise DataError(f"df must be {degree + intercept} or more for splines of degree {degree}")
    knots, low, high = _knots(x, settings, inner)
    return {"degree": degree, "intercept": intercept, "knots": [low] * (degree + 1) + knots + [high] * (degree + 1)}


def _b_splines(x: Floats, knots: list[float], degree: int, derivative: int = 0) -> Floats:
    """All B-splines of a knot sequence, or their derivatives, (n, K); beyond the ends their polynomials go on."""
    from scipy.interpolate import BSpline

    count = len(knots) - degree - 1
    return np.asarray(BSpline(np.array(knots), np.eye(count), degree, extrapolate=True)(x, nu=derivative))


def _bs_columns(x: Floats, state: State) -> Floats:
    return _b_splines(x, state["knots"], state["degree"])[:, 0 if state["intercept"] else 1 :]


def _ns_state(x: Floats, settings: dict[str, Any]) -> State:
    """Natural cubic splines as R's `ns` has them: cubic B-splines without curvature at the ends."""
    intercept = settings.get("intercept", False)
    inner = settings["df"] - 1 - intercept if "df" in settings else (None if "knots" in settings else 0)
    if inner is not None and inner < 0:
        raise DataError(f"df must be {1 + intercept} or more")
    knots, low, high = _knots(x, settings, inner)
    sequence = [low] * 4 + knots + [high] * 4
    bend = _b_splines(np.array([low, high]), sequence, 3, derivative=2)[:, 0 if intercept else 1 :]
    free = np.linalg.qr(bend.T, mode="complete")[0][:, 2:]
    return {"intercept": intercept, "knots": sequence, "map": free.tolist()}


def _linear_tails(x: Floats, basis: Callable[[Floats, int], Floats], low: float, high: float) -> Floats:
    """A basis within its ends, and its tangents beyond."""
    found = basis(np.clip(x, low, high), 0)
    for end, beyond in ((low, x < low), (high, x > high)):
        if beyond.any():
            found[beyond] += (x[beyond] - end)[:, None] * basis(np.array([end]), 1)
    return found


def _ns_columns(x: Floats, state: State) -> Floats:
    knots = state["knots"]

    def basis(at: Floats, derivative: int) -> Floats:
        return _b_splines(at, knots, 3, derivative)

    found = _linear_tails(x, basis, knots[0], knots[-1])[:, 0 if state["intercept"] else 1 :]
    return _rowwise(found, state["map"])


def _rowwise(basis: Floats, matrix: list[list[float]]) -> Floats:
    """A product of matrices whose rows do not depend on how many there are, as those of BLAS may in the last bit."""
    return np.asarray(np.einsum("ij,jk->ik", basis, np.array(matrix)))


def _cr_state(x: Floats, settings: dict[str, Any]) -> State:
    """Natural cubic splines by their values at the knots, with a sum of zero over the rows (Wood 2017, 5.3.1)."""
    different = np.unique(x)
    inner = settings.get("df", 10) - 1 if "df" in settings or "knots" not in settings else None
    if inner is not None and len(different) < inner + 2:
        raise DataError(f"{inner + 1} columns need {inner + 2} different values; it has {len(different)}: set df")
    knots, low, high = _knots(different, settings, inner)
    state: State = {"knots": [low, *knots, high]}
    means = _cardinal(x, state).mean(axis=0)
    return state | {"map": np.linalg.qr(means[:, None], mode="complete")[0][:, 1:].tolist()}


def _cardinal(x: Floats, state: State) -> Floats:
    from scipy.interpolate import CubicSpline

    knots = np.array(state["knots"])
    spline = CubicSpline(knots, np.eye(len(knots)), bc_type="natural")
    return _linear_tails(x, lambda at, derivative: np.asarray(spline(at, derivative)), knots[0], knots[-1])


def _cr_columns(x: Floats, state: State) -> Floats:
    return _rowwise(_cardinal(x, state), state["map"])


_STATES: dict[str, Callable[[Floats, dict[str, Any]], State]] = {
    "center": _centre_state,
    "scale": _scale_state,
    "standardize": _standardize_state,
    "poly": _poly_state,
    "bs": _bs_state,
    "ns": _ns_state,
    "cr": _cr_state,
}
_COLUMNS: dict[str, Callable[[Floats, State], Floats]] = {
    "center": _centred,
    "scale": _centred,
    "standardize": _centred,
    "poly": _poly_columns,
    "bs": _bs_columns,
    "ns": _ns_columns,
    "cr": _cr_columns,
}
