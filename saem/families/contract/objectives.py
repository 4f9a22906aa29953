"""Log-likelihoods that are maximised, each with its exact gradient and Hessian."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from saem.families.contract.statistics import complete
from saem.families.contract.supplying import supply
from saem.system.jit import inlined

Array = np.ndarray


class CompleteData(NamedTuple):
    """Objective of the M-step: the complete-data log-likelihood at given statistics."""

    arrays: Any
    statistics: Array


class Observed(NamedTuple):
    """Objective of direct maximum likelihood: the marginal log-likelihood."""

    arrays: Any


class Restricted(NamedTuple):
    """Objective of REML: the restricted log-likelihood."""

    arrays: Any


def observed(arrays: Any, x: Array, gradient: Array, hessian: Array) -> float:
    """Marginal log-likelihood; ``-inf`` outside its domain. Writes its gradient and Hessian."""
    raise NotImplementedError


def restricted(arrays: Any, x: Array, gradient: Array, hessian: Array) -> float:
    """Restricted log-likelihood (REML); ``-inf`` outside its domain. Writes its gradient and Hessian."""
    raise NotImplementedError


def evaluate(objective: Any, x: Array, gradient: Array, hessian: Array) -> float:
    """Value of an objective (`CompleteData`, `Observed`, `Restricted`, or another with an overload) and derivatives."""
    raise NotImplementedError


@inlined
def evaluate_complete(objective: CompleteData, x: Array, gradient: Array, hessian: Array) -> float:
    """The log-likelihood at given statistics."""
    return complete(objective.arrays, objective.statistics, x, gradient, hessian)


@inlined
def evaluate_observed(objective: Observed, x: Array, gradient: Array, hessian: Array) -> float:
    """The marginal log-likelihood."""
    return observed(objective.arrays, x, gradient, hessian)


@inlined
def evaluate_restricted(objective: Restricted, x: Array, gradient: Array, hessian: Array) -> float:
    """The restricted log-likelihood."""
    return restricted(objective.arrays, x, gradient, hessian)


supply(evaluate, CompleteData, evaluate_complete)
supply(evaluate, Observed, evaluate_observed)
supply(evaluate, Restricted, evaluate_restricted)
