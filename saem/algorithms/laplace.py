"""Maximum likelihood by Laplace's approximation: each cluster's integral by the mode of its random effects alone.

It is adaptive quadrature with one node (Pinheiro & Bates 1995, section 2.3), which lme4 and glmmTMB use by default, and
which is biased where clusters are small and outcomes discrete or models far from linear. The estimate is that of the
approximation; its log-likelihood is computed as that of any other method.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from saem.algorithms.course.outcome import Outcome
from saem.algorithms.direct_ml import DirectML
from saem.algorithms.registry import DECLARED, Declaration, check_needs
from saem.errors import FitError, ModelError
from saem.estep.integration.settling import refined, settled_of
from saem.families.problem import Problem
from saem.maxima.information import observed_information
from saem.mstep.solver import Solver

NODES = 1


@dataclass(frozen=True)
class Laplace(DirectML):
    """Newton's method on Laplace's approximation of the marginal likelihood, with its exact derivatives.

    Attributes are those of `saem.algorithms.direct_ml.DirectML`. Standard errors are by the curvature of the
    approximation.
    """

    name: ClassVar[str] = "laplace"
    declaration: ClassVar[Declaration] = DECLARED["laplace"]

    def run(self, problem: Problem, seed: int = 0) -> Outcome:
        """Find the highest of the maxima of the approximation that the starts lead to.

        Raises
        ------
        ModelError
            When the likelihood has a closed form, or the maximiser cannot be used for the problem.
        ConstraintError, FitError
            As `DirectML.run` does.
        """
        check_needs(self, problem)
        likelihood = replace(problem.likelihood, nodes=NODES)
        approximate = replace(problem, likelihood=likelihood, clusters=replace(problem.clusters))
        outcome = super().run(approximate, seed)
        solver = Solver(approximate)
        information = observed_information(approximate, solver, outcome.x, outcome.pinned)
        kind, mcse = problem.likelihood.kind, 0.0
        words = f"Laplace's approximation of the log-likelihood is {information.loglik:.4f} there"
        try:
            refined(problem, outcome.x)
            mcse = settled_of(problem).placing.mcse
            kind, value = "simulated" if mcse > 0.0 else kind, Solver(problem).height(outcome.x)
            words = f"{words}; the log-likelihood itself, {value:.4f}, may be higher elsewhere."
        except (ModelError, FitError) as error:
            kind, value = "none", float("nan")
            words = f"{words}; the log-likelihood itself is not known: {error}."
        return replace(
            outcome,
            message=f"{words} {outcome.message}".strip(),
            information=replace(information, loglik=value),
            is_approximate=True,
            solutions=np.empty((0, 0)),
            solution_logliks=np.empty(0),
            likelihood=kind,
            loglik_mcse=mcse,
        )
