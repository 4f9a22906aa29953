"""The linear theory of stochastic approximation near a maximum: EM's rates, and how far iterates and averages are.

Near the maximum, along a direction in which EM's rate (its fraction of missing information) is r, an iteration with
step size gamma and m draws changes the distance e, in units in which the complete-data information is one, to

    (1 - gamma (1 - r)) e + gamma w,    w of mean 0 and variance r / m,

and the observed information is 1 - r. So with step sizes 1/k the start is forgotten like k^-(1 - r), and the noise like
k^-1/2: the distance falls like the slower of both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from experiments.studies.problems import LinearProblem
    from saem.schedules import Steps

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Rates:
    """EM at a maximum, through the constraint.

    Attributes
    ----------
    parameters : tuple of str
    rates : (d,) ndarray
        Eigenvalues of EM's rate matrix, ascending.
    shares : (n, d) ndarray
        Of the variance of every parameter that comes from the direction.
    """

    parameters: tuple[str, ...]
    rates: Array
    shares: Array

    def of(self, parameter: str) -> Array:
        """The shares (d,) of a parameter."""
        return np.asarray(self.shares[self.parameters.index(parameter)])


def rates_of(problem: LinearProblem) -> Rates:
    """EM's rates for a balanced peptide problem whose estimates are the truth.

    The maximum of a table whose means and covariances are those of the model is the truth, and its information is the
    expected one.
    """
    from saem.algorithms.accuracy.error import directions
    from saem.estep.expectation import conditional_expectation
    from saem.families import arrange, pose
    from saem.maxima.information import missing_information, observed_information
    from saem.mstep.solver import Solver

    posed = pose(problem.model, arrange(problem.model, typical_table(problem)))
    solver, names = Solver(posed), posed.parameters.names
    x = np.array([problem.truth[name] for name in names], dtype=float)
    missing = missing_information(solver, x, conditional_expectation(posed, x))
    observed = observed_information(posed, solver, x, np.zeros(len(x), dtype=bool))
    along = directions(observed.root, missing, missing)
    variance = np.diag(observed.covariance)[:, None]
    shares = np.divide(along.vectors**2, variance, out=np.zeros_like(along.vectors), where=variance > 0.0)
    return Rates(tuple(names), 1.0 - along.iota, shares)


def typical_table(problem: LinearProblem) -> pd.DataFrame:
    """The design's table with responses whose means and covariances in each arm are exactly those of the truth."""
    from experiments.studies.complete_data import cell_means
    from experiments.studies.peptide import MODIFICATIONS, TREATMENTS

    truth, table = problem.truth, problem.design.copy()
    means = np.reshape(cell_means(truth), (2, 2))
    response = np.empty(len(table))
    rng = np.random.default_rng(0)
    for arm, treatment in enumerate(TREATMENTS):
        rows = [
            np.flatnonzero((table["treatment"] == treatment) & (table["modification"] == modification))
            for modification in MODIFICATIONS
        ]
        n = len(rows[0])
        basis = np.linalg.qr(np.column_stack([np.ones(n), rng.standard_normal((n, 2))]))[0][:, 1:]
        covariance = truth[f"sigma{arm + 1}"] ** 2 + truth["sigma"] ** 2 * np.eye(2)
        y = means[arm] + np.sqrt(n) * basis @ np.linalg.cholesky(covariance).T
        for j, at in enumerate(rows):
            response[at] = y[:, j]
    return table.assign(**{problem.model.response: response})


def rms_distances(rates: Rates, steps: Steps) -> Array:
    """Root mean square distances (K, n) to the maximum after every iteration, in standard errors of each parameter.

    From where averaging begins they are those of the average. The first iterate is at the maximum, which a burn-in
    forgets. `saem.algorithms.accuracy.error` has the same law for one end; this is the whole path.
    """
    r = rates.rates
    variance = covariance = total = np.zeros(len(r))  # of the iterate, of it and the sum, of the sum
    found = np.empty((len(steps.step_sizes), len(r)))
    for k, (gamma, draws) in enumerate(zip(steps.step_sizes, steps.draws, strict=True)):
        keep = 1.0 - gamma * (1.0 - r)
        variance = keep**2 * variance + gamma**2 * r / draws
        if k < steps.averaging_from:
            found[k] = variance
            continue
        covariance = keep * covariance
        total = total + 2.0 * covariance + variance
        covariance = covariance + variance
        found[k] = total / (k - steps.averaging_from + 1) ** 2
    return np.asarray(np.sqrt(found * (1.0 - r) @ rates.shares.T))
