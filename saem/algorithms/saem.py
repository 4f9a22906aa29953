"""Stochastic-approximation EM with a constrained M-step (Delyon, Lavielle & Moulines 1999; Polyak & Juditsky 1992).

    E    z_m ~ p(z | y; x_k), m = 1..m_k
    SA   s_{k+1} = s_k + gamma_k (mean_m S(y, z_m) - s_k)
    M    x_{k+1} = argmax { complete(s_{k+1}, x) : c(x) = 0 }

The estimate is the maximiser at the average of the statistics. A standard deviation whose maximum is zero is
approached ever more slowly by any EM algorithm; where the marginal likelihood says that zero is better, the model
without that random effect is fitted, and the estimate is reported as one on the boundary.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from saem.algorithms.engine import Engine, Run
from saem.algorithms.outcome import Outcome
from saem.algorithms.settling import (
    extend,
    flat_solutions,
    from_best_start,
    hilltop,
    newly_pinned,
    restart_higher,
    settle_boundary,
)
from saem.errors import listing
from saem.models.contract import Problem
from saem.mstep.search import Peak, count_tied, describe_rivals, find_maxima
from saem.schedules import AveragedSchedule, Schedule
from saem.stopping import Status
from saem.streams import stream

NOT_CONVERGED = 4.0  # times the target of the deficit: an estimate that misses it by so much is not called converged


@dataclass(frozen=True)
class SAEM:
    """Stochastic-approximation EM.

    Attributes
    ----------
    schedule : Schedule
        Step sizes and numbers of draws: `saem.schedules.AveragedSchedule` or `RobbinsMonroSchedule`.
    tolerance : float
        Of each M-step, in units of the complete-data standard errors.
    deficit : float
        While the log-likelihood is estimated to be further than this below its maximum, the averaged part of the
        schedule is run again from the estimate (for families with a closed-form likelihood) ..
    extensions : int
        .. at most so many times.
    search : bool
        Under constraints the likelihood can have several maxima, and those that are far from the start cannot be
        reached. Where a closed form allows it, all are looked for as direct maximum likelihood does, and if one is
        higher than where SAEM ended, SAEM is run again from there, and says so. False leaves SAEM to itself.
    """

    schedule: Schedule = field(default_factory=AveragedSchedule)
    tolerance: float = 1e-6
    deficit: float = 0.005
    extensions: int = 3
    search: bool = True
    name: ClassVar[str] = "saem"

    def run(self, problem: Problem, seed: int = 0) -> Outcome:
        """Estimate the parameters.

        Parameters
        ----------
        problem : Problem
        seed : int
            The same seed gives the same estimate, bit for bit.

        Raises
        ------
        FitError
            When an M-step fails from every start.
        """
        engine = Engine(problem, self.schedule, self.tolerance, stream(seed, "saem"))
        run = from_best_start(engine)
        if not problem.has_observed:
            return outcome(run, Status.CONVERGED)
        run = settle_boundary(engine, run, self.deficit)
        peaks = find_maxima(problem, engine.solver)[0] if self.search and len(problem.constraints) else []
        run, note = restart_higher(engine, run, peaks, self.deficit)
        run, missed = extend(engine, run, self.deficit, self.extensions)

        loglik = engine.loglik(run.x, run.pinned)
        top = hilltop(engine, run)
        if top is not None:  # the estimate of the deficit is quadratic; this is exact
            missed = top.loglik - loglik
        missed = max([missed, *(peak.loglik - loglik for peak in peaks[:1])])
        towards = () if top is None else newly_pinned(engine, run, top)
        tied, lower = peaks[: count_tied(peaks)], peaks[count_tied(peaks) :]
        flat = flat_solutions(engine, run)  # these have the likelihood of the estimate, but near a fold some are lost
        exact = len(flat) < len(tied)
        others = others_than(problem, run.x, [peak.x for peak in tied] if exact else flat)
        messages = [note]
        if towards:
            messages.append(f"{listing(towards)} goes to the boundary: SAEM comes near it, method 'ml' reaches it.")
        status = Status.BOUNDARY if run.pinned.any() or towards else Status.CONVERGED
        if missed > NOT_CONVERGED * self.deficit:
            status = Status.NOT_CONVERGED
            by = f"about {missed:.2g}" if np.isfinite(missed) else "an unknown amount"
            messages.append(f"The log-likelihood is {by} below its maximum.")
        elif others:
            status = Status.SEVERAL_SOLUTIONS
            messages.append(f"{len(others) + 1} solutions have the same likelihood.")
        messages.append(describe_rivals(lower, loglik))
        solutions = [run.x, *others, *(peak.x for peak in lower)]
        logliks = np.array([loglik] + [tied[0].loglik if exact else loglik] * len(others) + [p.loglik for p in lower])
        maximum = beside(problem, run, [*tied, *([] if top is None else [top])])
        return outcome(run, status, " ".join(filter(None, messages)), np.array(solutions), logliks, towards, maximum)


def beside(problem: Problem, run: Run, peaks: list[Peak]) -> np.ndarray | None:
    """The nearest of the peaks on the part of the boundary where a run ended."""
    near = [peak.x for peak in peaks if np.array_equal(peak.pinned, run.pinned)]
    return min(near, key=lambda x: float(np.sum(((x - run.x) / problem.scale) ** 2)), default=None)


def others_than(problem: Problem, x: np.ndarray, points: list[np.ndarray]) -> list[np.ndarray]:
    """The points but the one that ``x`` is an estimate of: the nearest."""
    if not points:
        return []
    nearest = int(np.argmin([np.sum(((point - x) / problem.scale) ** 2) for point in points]))
    return [point for i, point in enumerate(points) if i != nearest]


def outcome(
    run: Run,
    status: Status,
    message: str = "",
    solutions: np.ndarray | None = None,
    logliks: np.ndarray | None = None,
    towards: tuple[str, ...] = (),
    maximum: np.ndarray | None = None,
) -> Outcome:
    """A run as the outcome of the algorithm."""
    return Outcome(
        x=run.x,
        pinned=run.pinned,
        status=status,
        message=message,
        path=run.path,
        burn_in=run.burn_in,
        averaging_from=run.averaging_from,
        draws=run.draws,
        solutions=run.x[None] if solutions is None else solutions,
        solution_logliks=np.full(1, np.nan) if logliks is None else logliks,
        towards_boundary=towards,
        maximum=maximum,
    )
