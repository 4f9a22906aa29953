"""Profile likelihoods: how far a parameter can move before the likelihood, maximised over all others, falls too much.

With ``l_p(v) = max { l(x) : c(x) = 0, x_i = v }`` and ``D(v) = 2 (l_max - l_p(v))``, the values with
``D(v) <= chi2_1(level)`` are a confidence interval, which needs no symmetry and no normal estimate (Venzon & Moolgavkar
1988). Its signed root ``zeta = sign(v - x_i) sqrt(D)`` is nearly a straight line (Bates & Watts 1988, section 6.1), so
Newton's method finds the two ends in a few steps; its slope costs nothing, for the derivative of ``l_p`` is that of the
Lagrangian in ``x_i``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from saem.errors import FitError, ModelError
from saem.fitting.concluding import at_true_zero
from saem.inference.arguments import check_level
from saem.inference.surface import Point, Surface, held, maximum
from saem.maxima.identification import FEASIBLE, towards_feasible
from saem.maxima.information import observed_information
from saem.mstep.solver import Solver

if TYPE_CHECKING:
    import pandas as pd

    from saem.fitting.result import Fit

Array = np.ndarray

STRIDE = 0.5  # in zeta, between two points of the curve
EXACT = 1e-6  # in zeta, at the ends of an interval
ROUNDS = 30
LONGEST = 1e4  # standard errors or typical sizes: so far the likelihood is followed
MIXED = (
    "not followed: the columns of its random effects are centred inside, and this correlation belongs to the original "
    "ones; centre them in the model for a profile"
)
HIGHER = 1e-4  # a log-likelihood by so much above the maximum is another maximum


@dataclass(frozen=True, eq=False)
class Profile:
    """Profile likelihoods of some parameters.

    Attributes
    ----------
    level : float
    intervals : DataFrame
        Indexed by parameter: `estimate` (the maximum), `lower` and `upper`, `wald_lower` and `wald_upper` of the fit,
        and a `note` where an end is not an ordinary one: at a boundary, endless, or where the curve ends.
    points : DataFrame
        The curves, point by point: `parameter`, `value`, `zeta`, `loglik`, then all parameters at the maximum.
    """

    level: float
    intervals: pd.DataFrame
    points: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Node:
    """A point of a curve."""

    value: float
    zeta: float
    slope: float  # d zeta / d value
    at: Point


class Curve:
    """The profile likelihood of one parameter.

    Parameters
    ----------
    surface : Surface
    i : int
        The parameter.
    """

    def __init__(self, surface: Surface, i: int) -> None:
        self.problem, self.top, self.i = surface.problem, surface.top, i
        domains = self.problem.parameters.domains
        self.lowest = float(domains.low[i] + self.problem.boundary.at_zero[i])
        self.highest = float(domains.high[i])
        self.nodes: list[Node] = []
        self.is_higher = False  # whether a higher maximum than the top was met

    def shown(self, value: float) -> float:
        """A value of the parameter on the user's scale."""
        if self.problem.coordinates.is_users or not np.isfinite(value):
            return value
        x = self.top.x.copy()
        x[self.i] = value
        return float(self.problem.coordinates.to_user(x)[self.i])

    def at(self, value: float, near: Point) -> Node | None:
        """The point of the curve at a value; None where the likelihood cannot be maximised there.

        Searched from a point nearby and from the maximum: beyond a fold of a constraint they lead to different ones.
        """
        problem = held(self.problem, self.i, value)
        solver = Solver(problem)
        found = None
        for start in (near.x, self.top.x) if near is not self.top else (near.x,):
            x = np.where(problem.parameters.fixed, problem.parameters.fixed_values, start)
            point = maximum(problem, x, solver)
            if point is not None and (found is None or point.loglik > found.loglik):
                found = point
        if found is None:
            return None
        self.is_higher |= found.loglik > self.top.loglik + HIGHER
        side = 1.0 if value >= self.top.x[self.i] else -1.0
        zeta = side * float(np.sqrt(max(0.0, 2.0 * (self.top.loglik - found.loglik))))
        free = ~problem.parameters.fixed & ~found.pinned
        derivatives = solver.derivatives(solver.observed(), found.x, free)
        rise = derivatives.gradient[self.i] + solver.multipliers @ derivatives.jacobian[:, self.i]
        node = Node(value, zeta, -float(rise) / zeta if zeta else np.nan, found)
        self.nodes.append(node)
        return node

    def follow(self, side: float, size: float, z: float) -> tuple[float, str]:
        """The end of the interval on a side, +1 or -1, where ``|zeta| = z``; a note where it is not an ordinary one.

        Parameters
        ----------
        size : float
            A step that changes zeta by about one.
        """
        end = self.highest if side > 0 else self.lowest
        last = Node(float(self.top.x[self.i]), 0.0, side / size if np.isfinite(size) else np.nan, self.top)
        if last.value == end:
            return end, "at the boundary"
        step = side * STRIDE * size
        while abs(last.zeta) < z:
            value = last.value + step
            if abs(value - self.top.x[self.i]) > LONGEST * size:
                return side * np.inf, "endless: the likelihood does not fall any further"
            is_last = side * (value - end) >= 0.0
            if is_last:
                value = end
            node = self.at(value, last.at)
            if node is None:
                return self.where_it_ends(last, value, side, z)
            if abs(node.zeta) >= z:
                return self.between(last, node, side * z)
            if is_last:
                return end, "at the boundary"
            gained = abs(node.zeta) - abs(last.zeta)
            step *= float(np.clip(STRIDE / max(gained, 1e-12), 0.3, 4.0))
            last = node
        return last.value, ""

    def between(self, inner: Node, outer: Node, target: float) -> tuple[float, str]:
        """Where zeta is the target, between two points: Newton's method, or bisection where it leaves them."""
        for _ in range(ROUNDS):
            nearer = min(inner, outer, key=lambda node: abs(node.zeta - target))
            if abs(nearer.zeta - target) < EXACT:
                return nearer.value, ""
            value = nearer.value + (target - nearer.zeta) / nearer.slope if nearer.slope else np.nan
            low, high = sorted((inner.value, outer.value))
            if not low < value < high:
                value = 0.5 * (low + high)
            node = self.at(value, nearer.at)
            if node is None:
                return (
                    np.nan,
                    f"not found: near {self.shown(value):.4g} the maximisation over the other parameters fails",
                )
            if abs(node.zeta) < abs(target):
                inner = node
            else:
                outer = node
        return nearer.value, ""

    def where_it_ends(self, last: Node, beyond: float, side: float, z: float) -> tuple[float, str]:
        """The end where the likelihood cannot be maximised at ``beyond``: infeasible there, or not found."""
        for _ in range(ROUNDS):
            if abs(beyond - last.value) < 1e-6 * abs(beyond):
                break
            node = self.at(0.5 * (last.value + beyond), last.at)
            if node is None:
                beyond = 0.5 * (last.value + beyond)
            elif abs(node.zeta) >= z:
                return self.between(last, node, side * z)
            else:
                last = node
        problem = held(self.problem, self.i, beyond)
        fixed, values = problem.parameters.fixed, problem.parameters.fixed_values
        _, violation = towards_feasible(problem, np.where(fixed, values, last.at.x))
        if len(problem.constraints) and not violation < FEASIBLE:
            return last.value, "the constraints cannot be satisfied beyond"
        return (
            np.nan,
            f"not found: beyond {self.shown(last.value):.4g} the maximisation over the other parameters fails",
        )


def profile(fit: Fit, parameters: Sequence[str] | str | None = None, level: float = 0.95) -> Profile:
    """Profile-likelihood intervals.

    The likelihood is that of the fit's model on its table, so a simulated fit has the intervals around the maximum
    beside its estimate. At a boundary an interval is one-sided.

    Parameters
    ----------
    fit : Fit
    parameters : str or sequence of str, optional
        All that are free, if omitted.
    level : float

    Raises
    ------
    ModelError
        When there is no such parameter, or no likelihood in closed form.
    FitError
        When there is no maximum beside the estimate, or a higher one is met on the way.
    """
    import pandas as pd

    check_level(level)
    surface = Surface.of(fit)
    coordinates, names = surface.problem.coordinates, surface.problem.parameters.names
    if isinstance(parameters, str):
        parameters = [parameters]
    users = coordinates.parameters(surface.problem.parameters)
    chosen = [name for name, fixed in zip(names, users.fixed, strict=True) if not fixed]
    chosen = chosen if parameters is None else list(parameters)
    chosen = list(dict.fromkeys(chosen))
    if not chosen:
        raise ModelError("a profile needs at least one free parameter; got none")
    indices = [surface.index(name) for name in chosen]
    z = NormalDist().inv_cdf(0.5 + level / 2)
    sizes = step_sizes(surface)
    wald = fit.intervals(level).to_numpy()
    estimates = coordinates.to_user(at_true_zero(surface.problem, surface.top.x))
    lines, curves = [], []
    for i in indices:
        alone = surface if coordinates.is_aligned(i) else surface.by_itself(fit, i)
        if alone is None:
            lines.append([estimates[i], np.nan, np.nan, *wald[i], MIXED])
            continue
        curve = Curve(alone, i)
        size = float(sizes[i] if alone is surface else step_sizes(alone)[i])
        lower, upper, note = interval(curve, size, z)
        note = "; ".join(part for part in (note, other_solutions(fit, i)) if part)
        lines.append([estimates[i], curve.shown(lower), curve.shown(upper), *wald[i], note])
        curves.append(points_of(curve, names))
    index = pd.Index(chosen, name="parameter", dtype="str")
    columns = ["estimate", "lower", "upper", "wald_lower", "wald_upper", "note"]
    return Profile(
        level,
        pd.DataFrame(lines, index=index, columns=columns),
        pd.concat(curves, ignore_index=True)
        if curves
        else pd.DataFrame(columns=["parameter", "value", "zeta", "loglik", *names]),
    )


def other_solutions(fit: Fit, i: int) -> str:
    """A note on maxima of the same likelihood, whose own intervals belong to the confidence set too."""
    if fit.status != "several_solutions":
        return ""
    tied = fit.solutions[fit.solution_logliks > fit.solution_logliks[0] - HIGHER]
    others = [f"{x[i]:.4g}" for x in tied if abs(x[i] - fit.values[i]) > 1e-6 * (1.0 + abs(fit.values[i]))]
    return f"around this solution alone; others with the same likelihood: {', '.join(others)}" if others else ""


def step_sizes(surface: Surface) -> Array:
    """Steps (n,) that change zeta by about one: standard errors, or a part of the typical size where there are none."""
    problem, top = surface.problem, surface.top
    information = observed_information(problem, Solver(problem), top.x, top.pinned)
    with np.errstate(invalid="ignore"):
        se = np.sqrt(np.diag(information.covariance))
    typical = np.where(problem.parameters.domains.is_correlation, 0.3, 0.3 * problem.scale)
    return np.where(np.isfinite(se) & (se > 0.0), np.minimum(se, 10.0 * problem.scale), typical)


def interval(curve: Curve, size: float, z: float) -> tuple[float, float, str]:
    """The ends of an interval, and a note where one is not an ordinary one."""
    problem, top, i = curve.problem, curve.top, curve.i
    absent = [j for j, dependents in problem.boundary.dependents.items() if i in dependents and top.pinned[j]]
    if absent:
        return np.nan, np.nan, f"undefined: {problem.parameters.names[absent[0]]} is zero"
    if top.pinned[i] and any(len(sd) > 2 and i in corr for sd, corr in problem.boundary.blocks):
        return np.nan, np.nan, "undefined: the correlation matrix is singular, and none of its entries moves alone"
    lower, below = curve.follow(-1.0, size, z)
    upper, above = curve.follow(+1.0, size, z)
    if curve.is_higher:
        name = problem.parameters.names[i]
        raise FitError(
            f"along {name} the likelihood is higher than at the estimate: the fit is not the highest maximum. Fit "
            "again by 'ml', which looks for all of them"
        )
    notes = [f"{which}: {note}" for which, note in (("lower", below), ("upper", above)) if note]
    return (0.0 if 0.0 < problem.boundary.at_zero[i] == lower else lower), upper, "; ".join(notes)


def points_of(curve: Curve, names: tuple[str, ...]) -> pd.DataFrame:
    """The points of a curve, from low to high, the maximum among them."""
    import pandas as pd

    i, top = curve.i, curve.top
    nodes = sorted([*curve.nodes, Node(float(top.x[i]), 0.0, np.nan, top)], key=lambda node: node.value)
    points = at_true_zero(curve.problem, np.array([node.at.x for node in nodes]))
    points = curve.problem.coordinates.to_user(points)
    table = pd.DataFrame(
        [[x[i], node.zeta, node.at.loglik, *x] for node, x in zip(nodes, points, strict=True)],
    )
    table.columns = pd.Index(["value", "zeta", "loglik", *names])
    table.insert(0, "parameter", names[i])
    return table
