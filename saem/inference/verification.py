"""Whether a fit is at a maximum of the likelihood, judged anew: score, deficit, and what lies near."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from saem.errors import ModelError
from saem.estep.integration.settling import refined, settled_of
from saem.inference.arguments import whole
from saem.inference.maxima import pinned_at
from saem.inference.rows import estimate, posed, refuse_posterior, rows_of
from saem.inference.surface import Point, maximum
from saem.maxima.information import Information, information_of
from saem.maxima.search import find_maxima
from saem.maxima.simulated import climb_simulated, simulated_at
from saem.mstep.solver import Derivatives, Solver
from saem.system.streams import stream

if TYPE_CHECKING:
    import pandas as pd

    from saem.families.problem import Problem
    from saem.fitting.result import Fit

Array = np.ndarray

NEAR = 0.02  # log-likelihood: a fit with a deficit below, doubt included, is at its maximum
HIGHER = 1e-3  # log-likelihood by which another maximum must be higher
WIDE = 2.0  # standard errors that the starts scatter by
LEAST, MOST = 0.3, 0.9  # of its typical size a standard deviation, and a correlation, around which they do


@dataclass(frozen=True, eq=False)
class Verification:
    """What the likelihood says of an estimate.

    Attributes
    ----------
    parameters : DataFrame
        One row a parameter that has a standard error: `estimate`; `score`, the slope of the log-likelihood along the
        constraints for a move by one standard error, with its Monte Carlo error `score_mcse`; `maximum`, that of the
        hill that the estimate is on; and `shift`, how far that is away in standard errors.
    loglik, loglik_mcse : float
        At the estimate, and its Monte Carlo standard error, zero where the likelihood is not simulated.
    deficit, doubt : float
        What the log-likelihood is below the maximum of the hill, and what it may be more, given the noise (95 %).
    other : dict of str to float
        Parameters of the highest maximum that was found, where another hill is higher; else empty.
    other_gain : float
        What its log-likelihood is higher by than that of the estimate; 0 without.
    starts : int
        Scattered starts from which others were looked for; 0 where the likelihood is simulated.
    kind : str
        How the likelihood is had: "closed", "quadrature" or "simulated".
    """

    parameters: pd.DataFrame
    loglik: float
    loglik_mcse: float
    deficit: float
    doubt: float
    other: dict[str, float]
    other_gain: float
    starts: int
    kind: str

    @property
    def is_verified(self) -> bool:
        """Whether the estimate is at the maximum of its hill, and no higher one was found."""
        return bool(self.deficit + self.doubt <= NEAR and not self.other)

    @property
    def message(self) -> str:
        """The verdict in words."""
        how = {"closed": "in closed form", "quadrature": "by quadrature", "simulated": "simulated"}[self.kind]
        error = f" (MCSE {self.loglik_mcse:.2g})" if self.loglik_mcse > 0.0 else ""
        up_to = f", and at most {self.deficit + self.doubt:.2g}" if self.doubt > 0.0 else ""
        words = [f"The log-likelihood, {how}, is {self.loglik:.4f}{error}."]
        if np.isfinite(self.deficit):
            words.append(f"It is {self.deficit:.2g} below the maximum of its hill{up_to}.")
        else:
            words.append("No maximum was found uphill of the estimate.")
        if self.other:
            words.append(f"Another maximum that was found is {self.other_gain:.4g} higher: fit from there.")
        elif self.starts:
            words.append(f"None of {self.starts} starts around it led higher.")
        else:
            words.append("Others were not looked for.")
        return " ".join(words)


def verify(fit: Fit, *, starts: int = 8, seed: int = 0) -> Verification:
    """Judge anew whether a fit is at the maximum of the likelihood of its rows, whatever method made it.

    Parameters
    ----------
    fit : Fit
        With its table.
    starts : int
        Starts that other maxima are looked for from, scattered around the estimate by two standard errors, every second
        one by typical sizes. Unless there are none, all that direct maximum likelihood tries is tried, too, where the
        likelihood has a closed form.
    seed : int
        Same seed, same starts.

    Raises
    ------
    ModelError
        When the fit has no table or is a posterior, or its likelihood is not known.
    FitError
        When there is no likelihood at the estimate.
    """
    refuse_posterior(fit, "one estimate")
    starts = whole(starts, "starts", 0, 10_000)
    problem = posed(fit, rows_of(fit)[1])
    x, kind = estimate(fit, problem), problem.likelihood.kind
    if not problem.likelihood.is_available:
        raise ModelError("the family of the model has no likelihood that could tell")
    refined(problem, x)
    if kind == "quadrature" and settled_of(problem).placing.mcse > 0.0:
        return by_simulation(problem, x)
    solver, pinned = Solver(problem), pinned_at(problem, x)
    free = solver.free & ~pinned
    at = solver.derivatives(solver.observed(), x, free)
    multipliers = solver.multipliers
    information = information_of(problem, at, multipliers, -at.hessian, free)
    top = maximum(problem, x)
    deficit = np.inf if top is None else max(0.0, top.loglik - at.value)
    others = elsewhere(problem, solver, x, information, starts, seed)
    best = max(others, key=lambda point: point.loglik, default=None)
    height = max(at.value, -np.inf if top is None else top.loglik)
    other = best if best is not None and best.loglik > height + HIGHER else None
    nothing = np.zeros((len(x), len(x)))
    return Verification(
        parameters=rows(problem, x, at, multipliers, information, nothing, None if top is None else top.x),
        loglik=at.value,
        loglik_mcse=0.0,
        deficit=deficit,
        doubt=0.0,
        other={} if other is None else users(problem, other.x),
        other_gain=0.0 if other is None else other.loglik - at.value,
        starts=starts,
        kind=kind,
    )


def by_simulation(problem: Problem, x: Array) -> Verification:
    """`verify` where the likelihood is simulated."""
    solver, pinned = Solver(problem), pinned_at(problem, x)
    found = simulated_at(problem, solver, x, solver.free & ~pinned)
    deficit, doubt = found.deficit
    top, peak = climb_simulated(problem, solver, x, pinned)
    if not np.isfinite(deficit):  # no hill to the second order; the climb tells
        left, more = peak.deficit
        deficit, doubt = max(0.0, peak.at.value - found.at.value) + left, 2.0 * np.hypot(found.mcse, peak.mcse) + more
    return Verification(
        parameters=rows(problem, x, found.at, found.multipliers, found.information, found.noise, top),
        loglik=found.at.value,
        loglik_mcse=found.mcse,
        deficit=deficit,
        doubt=doubt,
        other={},
        other_gain=0.0,
        starts=0,
        kind="simulated",
    )


def rows(
    problem: Problem,
    x: Array,
    at: Derivatives,
    multipliers: Array,
    information: Information,
    noise: Array,
    top: Array | None,
) -> pd.DataFrame:
    """One row a free parameter; see `Verification.parameters`. ``noise`` (n, n) is that of the gradient."""
    import pandas as pd

    coordinates, root = problem.coordinates, information.root
    moves = coordinates.jacobian(x) @ root  # (n, d), one standard error each
    error = np.sqrt(np.sum(moves**2, axis=1))
    values = coordinates.to_user(x)
    maxima = np.full(len(x), np.nan) if top is None else coordinates.to_user(top)
    with np.errstate(divide="ignore", invalid="ignore"):
        score = moves @ (root.T @ (at.gradient + multipliers @ at.jacobian)) / error
        score_mcse = np.sqrt(np.einsum("id,de,ie->i", moves, root.T @ noise @ root, moves)) / error
        shift = (maxima - values) / error
    found = {"estimate": values, "score": score, "score_mcse": score_mcse, "maximum": maxima, "shift": shift}
    free = ~coordinates.parameters(problem.parameters).fixed & (error > 0.0)
    index = np.flatnonzero(free)
    return pd.DataFrame(found, index=pd.Index(problem.parameters.names, name="parameter")).iloc[index]


def elsewhere(
    problem: Problem, solver: Solver, x: Array, information: Information, starts: int, seed: int
) -> list[Point]:
    """The maxima that starts scattered around ``x`` (n,) lead to, on the scale without bounds.

    Every second one scatters by typical sizes where these are more. In closed form those that direct maximum likelihood
    finds are among them.
    """
    rng, domains, scale = stream(seed, "verification"), problem.parameters.domains, problem.scale
    inside = np.where(domains.can_vanish, np.maximum(x, LEAST * scale), x)
    inside = np.where(domains.is_correlation, np.clip(x, -MOST, MOST), inside)
    error = np.sqrt(np.sum(information.root**2, axis=1))
    size = np.where(error > 0.0, error, scale) / domains.slopes(inside)
    size = np.where(domains.is_real, size, np.minimum(size, 1.0))
    typical = np.maximum(size, np.where(domains.is_real, 0.5 * scale, 0.5))
    found = []
    if starts and not problem.likelihood.is_local:
        found = [Point(peak.x, peak.pinned, peak.loglik) for peak in find_maxima(problem, solver)[0]]
    for k in range(starts):
        step = WIDE * (typical if k % 2 else size) * rng.standard_normal(len(x))
        moved = domains.from_free(domains.to_free(inside) + step)
        point = maximum(problem, np.where(solver.free, moved, x), solver)
        if point is not None:
            found.append(point)
    return found


def users(problem: Problem, x: Array) -> dict[str, float]:
    """Parameters by name, on the user's scale."""
    return dict(zip(problem.parameters.names, problem.coordinates.to_user(x).tolist(), strict=True))
