"""Every algorithm returns an `Outcome`."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from saem.algorithms.bayes.posterior import Posterior
from saem.algorithms.engine.continuation import Checkpoint
from saem.maxima.information import Information
from saem.stopping import Status


@dataclass(frozen=True, eq=False)
class Outcome:
    """An algorithm's estimate and how it was reached.

    Attributes
    ----------
    x : (n,) ndarray
        Estimates.
    pinned : (n,) bool ndarray
        Parameters held at the boundary (a standard deviation of zero, a correlation of one).
    status : Status
    message : str
        What a user should know beyond the status's advice; may be empty.
    path : (k, n) ndarray
        Estimates by iteration.
    burn_in, averaging_from : int
        Rows of ``path`` at which these phases end and begin; zero for exact methods.
    draws : float
        Draws of all random effects in the averaged iterations, for the Monte Carlo error; ``inf`` for exact methods,
        nan where no Monte Carlo error is valid.
    solutions : (k, n) ndarray
        Distinct maximisers that were found, the best first; may be left empty, for the estimate alone.
    solution_logliks : (k,) ndarray
    towards_boundary : tuple of str
        Parameters whose maximum lies on the boundary, which the algorithm approaches but cannot reach.
    maximum : (n,) ndarray or None
        The exact maximum beside a simulated estimate, where a closed-form likelihood gives it: the errors of the
        estimate are evaluated there.
    drawn : int
        Draws of all random effects in the whole fit, those of passes that were given up included.
    mcse : (n,) ndarray or None
        Monte Carlo standard errors, nan where none is valid; None for exact methods.
    mcse_covariance : (n, n) ndarray or None
        The covariance whose diagonal these are of, where it is known.
    information : Information or None
        Of the observed data at the estimate, where the algorithm has estimated it.
    is_approximate : bool
        Whether ``information`` is that of an approximation that was maximised in place of the likelihood.
    history : (k, 7) ndarray
        Deficit and Monte Carlo error against cost (`saem.algorithms.accuracy.history.COLUMNS`).
    checkpoint : Checkpoint or None
        What it takes to go on, bit for bit.
    augmentation : str
        Which latent data were drawn last, in words, where the family has a choice.
    chains : (c, n) ndarray
        Estimates of independent chains; no rows where there was one.
    chain_paths : tuple of (k, n) ndarray
        Their paths.
    acceptance_rates : (C,) ndarray
        Share of accepted moves of the Markov kernel of each cluster since adaptation stopped; nan where too few moves
        tell, empty without such a kernel.
    posterior : Posterior or None
        Draws, where the estimates are posterior means; ``information`` then has their covariance.
    effects : tuple of (C, q) ndarray, or None
        Posterior means and standard deviations of the random effects, where these were drawn with the parameters.
    likelihood : str
        How the likelihood of the estimate is known, where that is not as the problem was posed: see
        `saem.families.problem.Likelihood.kind`.
    loglik_mcse : float
        Monte Carlo standard error of the log-likelihood in ``information``, where it is simulated.
    warnings : tuple of str
        What a user should know whatever the status is.
    """

    x: np.ndarray
    pinned: np.ndarray
    status: Status
    message: str
    path: np.ndarray
    burn_in: int = 0
    averaging_from: int = 0
    draws: float = np.inf
    solutions: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    solution_logliks: np.ndarray = field(default_factory=lambda: np.empty(0))
    towards_boundary: tuple[str, ...] = ()
    maximum: np.ndarray | None = None
    drawn: float = 0.0
    augmentation: str = ""
    mcse: np.ndarray | None = None
    mcse_covariance: np.ndarray | None = None
    information: Information | None = None
    is_approximate: bool = False
    history: np.ndarray = field(default_factory=lambda: np.empty((0, 7)))
    checkpoint: Checkpoint | None = None
    chains: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    chain_paths: tuple[np.ndarray, ...] = ()
    acceptance_rates: np.ndarray = field(default_factory=lambda: np.empty(0))
    posterior: Posterior | None = None
    effects: tuple[np.ndarray, np.ndarray] | None = None
    likelihood: str = ""
    loglik_mcse: float = 0.0
    warnings: tuple[str, ...] = ()
