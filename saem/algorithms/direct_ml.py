"""Direct maximum likelihood: the closed-form marginal likelihood under the constraints, from several starts.

The exact referee of every stochastic algorithm. With a restricted problem it is REML.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from saem.algorithms.course.outcome import Outcome
from saem.algorithms.registry import DECLARED, Declaration, check_needs
from saem.errors import FitError, exact_fit, listing
from saem.estep.integration.settling import FINE, GOOD, refined, settled_of
from saem.families.problem import Problem
from saem.maxima.boundary import NEAR_ZERO, climb, residual_labels
from saem.maxima.search import (
    Failure,
    climbed_again,
    count_tied,
    describe_rivals,
    find_maxima,
    is_same,
    rises_without_end,
)
from saem.maxima.simulated import climb_simulated, error_of
from saem.maxima.starts import infeasible
from saem.mstep import sqp
from saem.mstep.maximisers import maximiser_of
from saem.mstep.methods.single_step import Repeated
from saem.mstep.solver import Maximiser, Solver
from saem.stopping import Status

Array = np.ndarray
ENOUGH = 0.1  # log-likelihood that may be left to gain, with its doubt, at a maximum that is simulated
REFINEMENTS = 5  # times at most that rules of integration are looked at again


@dataclass(frozen=True)
class DirectML:
    """Newton's method on the marginal likelihood with exact derivatives under the constraints.

    Attributes
    ----------
    max_path : int
        Iterates to record of the search that led to the estimate.
    mstep : str, Maximiser or None
        Another maximiser in place of the compiled Lagrange-Newton solver, see `saem.mstep.maximisers`. A single step
        is repeated until it leads no further.
    scattered : int or None
        Starts that lie scattered (not at random) about the unconstrained maximum, to look for other maxima from; if
        omitted, a few where the constraints can make some.
    """

    max_path: int = 200
    mstep: str | Maximiser | None = None
    scattered: int | None = None
    name: ClassVar[str] = "ml"
    declaration: ClassVar[Declaration] = DECLARED["ml"]

    def run(self, problem: Problem, seed: int = 0) -> Outcome:
        """Find the highest of the maxima that the starts lead to, and list all.

        Parameters
        ----------
        problem : Problem
        seed : int
            Not used: the method draws nothing.

        Raises
        ------
        ModelError
            When the maximiser cannot be used for the problem.
        ConstraintError
            When no start leads to parameters that satisfy the constraints.
        FitError
            When the likelihood is unbounded, or no search ends in a maximum.
        """
        check_needs(self, problem)
        mstep = maximiser_of(self.mstep)
        if mstep is not None:
            mstep.check(problem)
            mstep = Repeated(mstep) if mstep.single_step else mstep
        solver = Solver(problem, mstep)
        peaks, failures = find_maxima(problem, solver, self.scattered)
        for accuracy in (GOOD, *[FINE] * REFINEMENTS):
            at = peaks[0].x if peaks else problem.starts.first
            has_changed = refined(problem, at, accuracy)
            if problem.likelihood.kind == "quadrature" and settled_of(problem).placing.mcse > 0.0:
                return simulated_maximum(problem, solver, at, peaks[0].pinned if peaks else None)
            if not has_changed:
                if accuracy is FINE or problem.likelihood.kind != "quadrature" or problem.likelihood.nodes:
                    break
                continue
            if peaks and problem.likelihood.is_local:  # once more, by rules that suffice there
                peaks, failures = climbed_again(problem, solver, peaks)
            else:
                peaks, failures = find_maxima(problem, solver, self.scattered)
        if not peaks:
            raise no_maximum(problem, failures)
        best, tied = peaks[0], count_tied(peaks)
        message = describe_rivals(peaks[tied:], best.loglik)
        status = Status.BOUNDARY if best.pinned.any() else Status.CONVERGED
        if has_changed:
            status = Status.NOT_CONVERGED
            message = f"The rules of integration were still changing with the estimate. {message}".strip()
        if tied > 1:
            status = Status.SEVERAL_SOLUTIONS
            message = f"{tied} solutions have the same likelihood. {message}".strip()
        return Outcome(
            x=best.x,
            pinned=best.pinned,
            status=status,
            message=message,
            path=np.vstack([self.search_path(problem, solver, [problem.starts.first, best.start], best.x), best.x]),
            solutions=np.array([peak.x for peak in peaks]),
            solution_logliks=np.array([peak.loglik for peak in peaks]),
        )

    def search_path(self, problem: Problem, solver: Solver, starts: list[Array], x: Array) -> Array:
        """Iterates (k, n) of the search from the first of the starts that leads to ``x``."""
        path = np.empty((0, len(x)))
        if problem.likelihood.is_local:  # every iterate is an integral for every cluster: the ends must do
            return starts[0][None]
        for start in starts:
            path = np.full((self.max_path, len(x)), np.nan)
            end, _, _ = climb(problem, solver, start, path)
            if is_same(problem, end, x):
                break
        return path[np.isfinite(path).all(axis=1)]


def simulated_maximum(problem: Problem, solver: Solver, start: Array, pinned: Array | None = None) -> Outcome:
    """The maximum of a likelihood that can but be simulated, as far as its error lets it be found.

    Raises
    ------
    ModelError, FitError
        Where it cannot be simulated.
    """
    pinned = np.zeros(len(start), dtype=bool) if pinned is None else pinned
    x, found = climb_simulated(problem, solver, start, pinned)
    deficit, doubt = found.deficit
    covariance, pinned = error_of(found), found.pinned
    status = Status.BOUNDARY if pinned.any() else Status.CONVERGED
    if not deficit + doubt <= ENOUGH:
        status = Status.NOT_CONVERGED
    words = f"The likelihood is simulated: it has a standard error of {found.mcse:.2g}, and its maximum is "
    words += f"at most {deficit + doubt:.2g} higher." if np.isfinite(deficit) else "not found."
    words = f"{words} {found.doubts}".strip()
    return Outcome(
        x=x,
        pinned=pinned,
        status=status,
        message=words,
        path=np.vstack([start, x]),
        mcse=np.sqrt(np.diag(covariance)),
        mcse_covariance=covariance,
        information=found.information,
        likelihood="simulated",
        loglik_mcse=found.mcse,
    )


def no_maximum(problem: Problem, failures: list[Failure]) -> Exception:
    """The error for a problem in which every search failed."""
    refused = (sqp.INFEASIBLE, sqp.BAD_START, sqp.COLLAPSED)
    results = [failure.result for failure in failures]
    highest = max(failures, key=lambda failure: np.nan_to_num(failure.result.value, nan=-np.inf))
    if highest.result.status == sqp.COLLAPSED:
        if not problem.likelihood.can_fit_exactly or rises_without_end(problem, Solver(problem), problem.starts.first):
            return FitError(exact_fit(residual_labels(problem, highest.x < NEAR_ZERO * problem.scale)))
        return FitError(
            "the residual standard deviation goes to zero: the random effects explain all that the rows of a cluster "
            "differ by. Leave out a random term, or fix the residual standard deviation"
        )
    if len(problem.constraints) and all(result.status in refused for result in results):
        return infeasible(problem, len(failures), min(result.infeasibility for result in results))
    under = f" under {listing(problem.constraints.names)}" if len(problem.constraints) else ""
    best = min(results, key=lambda result: result.stationarity)
    return FitError(
        f"no search for the maximum of the likelihood{under} ended in one; the best of {len(failures)} stopped with a "
        f"gradient of {best.stationarity:.3g} standard errors. Simplify the model, or check the scale of its columns"
    )
