"""Which latent data are drawn is chosen here among a family's augmentations, with the problem for each.

The choice is made at the start of a pass, looked at again at the end of the burn-in, while the step size is one and no
statistics of another choice are carried along, and then kept: see `saem.families.problem.Augmentation`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from saem.errors import ModelError
from saem.families.problem import Problem
from saem.maxima.information import information_of
from saem.mstep.solver import Solver

Array = np.ndarray

AUTO, CENTRED, UNCENTRED = "auto", "centred", "uncentred"
PLACEMENT = "placement"  # in a chain's memory
EARLY = 20  # iterations after which the choice is looked at again where there is no burn-in


class Placement:
    """Chooses placements for a problem, and has the problem and its solver for each.

    Parameters
    ----------
    problem : Problem
    wish : str
        "auto", or "centred" or "uncentred" whatever is missing.
    reason : str
        Why only the family's plain latent data can be drawn, if so.

    Raises
    ------
    ModelError
        When the wish is unknown, or cannot be met.
    """

    def __init__(self, problem: Problem, wish: str, reason: str = "") -> None:
        if wish not in (AUTO, CENTRED, UNCENTRED):
            raise ModelError(f"the augmentation must be 'auto', 'centred' or 'uncentred'; got {wish!r:.40}")
        self.problem = problem
        self.wish = wish
        self.fixed: Array | None = None  # as far as possible it is this one
        self.augmentation = None if reason else problem.latent.augmentation
        if self.augmentation is None and wish == CENTRED:
            raise ModelError(f"{reason or 'this family has no centred latent data'}; use augmentation 'uncentred'")
        self.solver = Solver(problem)
        self.known: dict[bytes, tuple[Problem, Solver]] = {}

    def with_likelihood(self, kind: str) -> None:
        """Go on as for a family whose likelihood is "simulated", or that has "none"."""
        self.problem = replace(self.problem, likelihood=self.problem.likelihood.turned(kind))
        self.solver, self.known = Solver(self.problem), {}

    @property
    def can_choose(self) -> bool:
        """Whether the placement is not prescribed."""
        return self.augmentation is not None and self.wish == AUTO and self.fixed is None

    def choose(self, x: Array, pinned: Array, current: Array | None = None) -> Array | None:
        """The placement at ``x`` (n,); None where there is no choice."""
        if self.augmentation is None:
            return None
        if self.fixed is not None:
            return np.asarray(self.fixed & self.augmentation.centred(x))
        if self.wish != AUTO:
            return self.augmentation.centred(x) if self.wish == CENTRED else self.augmentation.uncentred(x)
        if not self.augmentation.weighs:
            return self.augmentation.choose(x, np.empty((0, 0)), current)
        covariance = self.covariance(x, pinned)
        if covariance is None:
            return self.augmentation.uncentred(x) if current is None else current
        return self.augmentation.choose(x, covariance, current)

    def covariance(self, x: Array, pinned: Array) -> Array | None:
        """The covariance (n, n) of the estimates at ``x`` through the constraints; None where it is not known.

        By the information on the means, and that on the other parameters without its sign, which away from a maximum
        may be wrong.
        """
        if not self.problem.likelihood.is_available:
            return None
        free = self.solver.free & ~pinned
        at = self.solver.derivatives(self.solver.observed(), x, free)
        if not (np.isfinite(at.value) and np.isfinite(at.hessian).all() and np.isfinite(at.jacobian).all()):
            return None
        means = self.solver.domains.is_real
        information = np.where(means[:, None] & means, -at.hessian, 0.0)
        others = np.flatnonzero(free & ~means)
        size = np.maximum(np.sqrt(np.abs(np.diag(at.hessian)[others])), 1e-12 / self.problem.scale[others])
        values, vectors = np.linalg.eigh(-at.hessian[np.ix_(others, others)] / np.outer(size, size))
        information[np.ix_(others, others)] = (vectors * np.abs(values)) @ vectors.T * np.outer(size, size)
        root = information_of(self.problem, at, np.zeros(len(at.c)), information, free).root
        return np.asarray(root @ root.T)

    def describe(self, placement: Array | None, given_up: bool = False) -> str:
        """The latent data of a placement in words, and why they were taken; empty where there is no choice."""
        if placement is None or self.augmentation is None:
            return ""
        given_up = given_up and not placement.any()  # in later passes, if it is centred
        why = "as asked" if self.wish != AUTO else "centred ones failed" if given_up else "least is missing"
        return f"{self.augmentation.describe(placement)} ({why})"

    def at(self, placement: Array | None) -> tuple[Problem, Solver]:
        """The problem with the latent data of a placement, and its solver."""
        if placement is None or self.augmentation is None or not placement.any():
            return self.problem, self.solver
        key = placement.tobytes()
        if key not in self.known:
            problem = replace(self.problem, arrays=self.augmentation.arrays(placement))
            self.known[key] = problem, Solver(problem)
        return self.known[key]
