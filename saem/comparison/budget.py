"""The same budget for every method: targets that are out of reach, and schedules that are long enough."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from saem.algorithms.course.base import MonteCarloAlgorithm
from saem.algorithms.independent_chains import APART, IndependentChains
from saem.errors import ModelError
from saem.fitting.fit import Algorithm
from saem.fitting.result import Fit
from saem.schedules import Extendable, Schedule
from saem.stopping import Status, Target
from saem.system.display import count

OUT_OF_REACH = 1e-300
ENDLESS = 10**12  # iterations
LONGEST = 1_000_000  # iterations of a schedule that has to be written out before it begins
NEARLY = 0.8  # of the budget; who uses less says so


@dataclass(frozen=True)
class Budget:
    """What every Monte Carlo method may spend; at least one of the two is given.

    Attributes
    ----------
    draws : int or None
        Random effects.
    seconds : float or None
    """

    draws: int | None = None
    seconds: float | None = None

    @classmethod
    def of(cls, draws: float | None, seconds: float | None) -> Budget:
        """The budget, checked; draws may be written as 1e6.

        Raises
        ------
        ModelError
            When one of the numbers is not positive and finite.
        """
        for name, value in (("budget", draws), ("budget_seconds", seconds)):
            if value is not None and not (np.isfinite(value) and value > 0):
                raise ModelError(f"{name} must be positive and finite, or None for no limit; got {value!r}")
        return cls(None if draws is None else int(draws), seconds)

    def given_to(self, method: Algorithm, n_latent: int) -> Algorithm:
        """The method with the budget in place of its targets; exact methods, and those without a target, as they are.

        Raises
        ------
        ModelError
            When the budget does not suffice for one iteration.
        """
        if isinstance(method, IndependentChains):
            shared = Budget(
                None if self.draws is None else self.draws // method.chains,
                None if self.seconds is None else self.seconds / method.chains,
            )
            return replace(method, method=shared.given_to(method.method, n_latent))  # type: ignore[arg-type]
        if not isinstance(method, MonteCarloAlgorithm):
            return method
        first = int(method.schedule.steps(n_latent).draws[0]) * n_latent
        if self.draws is not None and self.draws < first:
            raise ModelError(
                f"an iteration of {method.name} draws {count(first, 'random effect')}; the budget has {self.draws:,}"
            )
        target = Target(OUT_OF_REACH, OUT_OF_REACH, ENDLESS, self.draws, self.seconds)
        return replace(method, target=target, schedule=self.long_enough(method.schedule, n_latent))

    def long_enough(self, schedule: Schedule, n_latent: int) -> Schedule:
        """A schedule that the budget ends; one that can go on by itself is left as it is."""
        longer: Any = schedule
        if isinstance(schedule, Extendable) or "iterations" not in getattr(schedule, "__dataclass_fields__", ()):
            return schedule
        wanted = LONGEST
        if self.draws is not None:
            each = int(schedule.steps(n_latent).draws[-1]) * n_latent
            wanted = min(LONGEST, -(-self.draws // max(1, each)) - schedule.burn_in)
        written: Schedule = replace(longer, iterations=max(1, wanted))
        return written

    def used_by(self, fit: Fit) -> str:
        """What to say of a fit that left much of the budget; empty if it did not."""
        draws = 1.0 if self.draws is None else fit.drawn / self.draws
        seconds = 1.0 if self.seconds is None else fit.seconds / self.seconds
        if fit.drawn == 0 or max(draws if self.draws else 0.0, seconds if self.seconds else 0.0) >= NEARLY:
            return ""
        used = f"{count(fit.drawn, 'random effect')} in {fit.seconds:.2g} s"
        return f"It used {used}, much less than the budget: it could not go on."


def is_limitable(method: Algorithm) -> bool:
    """Whether a method has a target that a budget can take the place of."""
    return isinstance(method, MonteCarloAlgorithm | IndependentChains)


def judged(fit: Fit, deficit: float, method: Algorithm, budget: Budget) -> Fit:
    """A fit that had a budget in place of a target, with the status that its target would have given it.

    Parameters
    ----------
    fit : Fit
    deficit : float
        Log-likelihood below the highest that is known; nan where none is, and the Monte Carlo error alone counts. The
        deficit alone counts for methods that never have a Monte Carlo error.
    method : Algorithm
        With the target of its own.
    budget : Budget
        That the fit had instead.
    """
    if not is_limitable(method) or fit.status == Status.NOT_IDENTIFIED:
        return fit
    own: Any = getattr(method, "method", method)
    target: Target = own.target
    share = largest_share(fit)
    missed = []
    if deficit > target.deficit:
        missed.append(f"the log-likelihood is {deficit:.2g} below the highest (target {target.deficit:g})")
    if share > target.mcse:
        missed.append(f"the largest MCSE/SE is {100 * share:.2g} % (target {100 * target.mcse:g} %)")
    if np.isnan(share) and isinstance(own.schedule, Extendable):
        missed.append("no Monte Carlo error is known yet")
    if any(text in fit.message for text in APART):
        missed.append("the chains lie apart")
    status = Status.NOT_CONVERGED
    if not missed:
        tied = fit.solution_logliks[1:] >= fit.loglik - 1e-9
        status = Status.BOUNDARY if fit.at_boundary else Status.CONVERGED
        status = Status.SEVERAL_SOLUTIONS if tied.any() else status
    words = f"With this budget, {' and '.join(missed)}." if missed else status.advice
    return replace(fit, status=status, message=f"{words} {budget.used_by(fit)}".strip())


def largest_share(fit: Fit) -> float:
    """The largest MCSE/SE; nan where no Monte Carlo error is known."""
    shares = np.divide(fit.mcse, fit.se, out=np.full(len(fit.se), np.nan), where=fit.se > 0.0)
    return float(np.nanmax(shares)) if np.isfinite(shares).any() else float("nan")
