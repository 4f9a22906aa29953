"""Stochastic-approximation EM with a constrained M-step (Delyon, Lavielle & Moulines 1999; Polyak & Juditsky 1992).

    E    z_m ~ p(z | y; x_k), m = 1..m_k
    SA   s_{k+1} = s_k + gamma_k (mean_m S(y, z_m) - s_k)
    M    x_{k+1} = argmax { complete(s_{k+1}, x) : c(x) = 0 }

The estimate is the maximiser at the average of the statistics. A standard deviation whose maximum is zero is
approached ever more slowly by any EM algorithm; where the marginal likelihood says that zero is better, the model
without that random effect is fitted, and the estimate is reported as one on the boundary.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

from saem.algorithms.engine import Engine
from saem.algorithms.outcome import Outcome
from saem.algorithms.precision import refine
from saem.algorithms.settling import from_best_start, restart_higher, settle_boundary
from saem.algorithms.verdict import as_outcome, judge
from saem.models.contract import Problem
from saem.mstep.search import find_maxima
from saem.schedules import AveragedSchedule, Schedule
from saem.stopping import Status, Target
from saem.streams import stream


@dataclass(frozen=True)
class SAEM:
    """Stochastic-approximation EM.

    Attributes
    ----------
    schedule : Schedule
        Step sizes and numbers of draws: `saem.schedules.AveragedSchedule` or `RobbinsMonroSchedule`.
    tolerance : float
        Of each M-step, in units of the complete-data standard errors.
    target : Target
        For families with a closed-form likelihood: iterations go on until it is reached, or its budget is used up.
    search : bool
        Under constraints the likelihood can have several maxima, and those that are far from the start cannot be
        reached. Where a closed form allows it, all are looked for as direct maximum likelihood does, and if one is
        higher than where SAEM ended, SAEM is run again from there, and says so. False leaves SAEM to itself.
    """

    schedule: Schedule = field(default_factory=AveragedSchedule)
    tolerance: float = 1e-6
    target: Target = field(default_factory=Target)
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
        engine = Engine(problem, self.schedule, self.tolerance, stream(seed, self.name))
        run = from_best_start(engine)
        if not problem.has_observed:
            return replace(as_outcome(run, Status.CONVERGED), drawn=engine.drawn)
        run = settle_boundary(engine, run, self.target.deficit)
        peaks = find_maxima(problem, engine.solver)[0] if self.search and len(problem.constraints) else []
        run, note = restart_higher(engine, run, peaks, self.target.deficit)
        run, precision = refine(engine, run, self.target)
        return replace(judge(engine, run, peaks, precision, self.target, note), drawn=engine.drawn)
