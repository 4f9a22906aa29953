"""The marginal log-likelihood of a model at given parameters: exactly, by quadrature, or by importance sampling."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from saem.errors import FitError, ModelError, SaemError, SaemWarning
from saem.estep.integration.quadrature import integrate
from saem.inference.arguments import whole
from saem.inference.rows import estimate, posed, refuse_posterior, rows_of
from saem.system.display import count
from saem.system.streams import stream

if TYPE_CHECKING:
    import pandas as pd

    from saem.families.problem import Problem
    from saem.fitting.result import Fit

Array = np.ndarray

MOST_DRAWS = 10**9  # of all clusters: a minute, in which nothing else can happen
METHODS = ("exact", "quadrature", "importance")
MOST_NODES = 100  # up to which NumPy's nodes are accurate
LEAST_NODES = 5  # from which half of them is a rule to compare with
MOST_POINTS = 100_000  # of a product rule, for one cluster
UNSETTLED = 0.01  # difference that half of the nodes make, above which the nodes are too few
LEAST_EFFECTIVE = 30.0  # draws of a cluster, below which the delta method is no good


@dataclass(frozen=True, eq=False)
class LogLikelihood:
    """A marginal log-likelihood.

    Attributes
    ----------
    value : float
        ``-inf`` outside the domain of the parameters.
    mcse : float
        Monte Carlo standard error; 0 for "exact" and "quadrature" (whose error is that of the number of nodes).
    method : str
        "exact", "quadrature" or "importance".
    contributions : DataFrame
        One row a cluster: `loglik`, `mcse`, and where draws were weighted `ess`, their effective number ``(sum w)^2 /
        sum w^2``, and `max_weight_share`, the largest weight's share of all; nan where a cluster has no random effects.
    message : str
        Why the value, or its Monte Carlo error, cannot be trusted; empty if it can.
    """

    value: float
    mcse: float
    method: str
    contributions: pd.DataFrame
    message: str = ""

    @property
    def ess(self) -> float:
        """The fewest effective draws of a cluster; nan where none were weighted."""
        return float(self.contributions["ess"].min())

    @property
    def max_weight_share(self) -> float:
        """The largest share of a single weight in a cluster; nan where none were weighted."""
        return float(self.contributions["max_weight_share"].max())

    def __repr__(self) -> str:
        error = f" ± {self.mcse:.2g}" if self.method == "importance" else ""
        return f"LogLikelihood({self.value:.6f}{error}, {self.method}, {len(self.contributions)} clusters)"


def log_likelihood(
    fit: Fit, method: str | None = None, *, nodes: int = 15, draws: int = 1000, seed: int = 0
) -> LogLikelihood:
    """The marginal log-likelihood of a fitted model on its own rows, at its estimates.

    The three ways agree: in closed form where the family has one; by adaptive Gauss-Hermite quadrature (Pinheiro &
    Bates 1995), exact to rounding for Gaussian models; by importance sampling, with a Monte Carlo error.

    Parameters
    ----------
    fit : Fit
        Constraints play no part: this is the likelihood of the data at the estimates, however they were found.
    method : str, optional
        "exact", "quadrature" or "importance"; if omitted, exact where the family has a closed form, else quadrature.
    nodes : int
        For every random effect of a cluster, for "quadrature". One is Laplace's approximation.
    draws : int
        For every cluster, for "importance".
    seed : int
        Same seed, same draws.

    Raises
    ------
    ModelError
        When the fit has no table or is a restricted one, the family has no such likelihood, or there are too many
        nodes.
    FitError
        When the density of a cluster's random effects has no mode that is found.

    Warns
    -----
    SaemWarning
        When the draws are too few for their Monte Carlo error to be trusted, or half of the nodes give another value.
    """
    import pandas as pd

    refuse_posterior(fit, "one estimate")
    if fit.method == "reml":
        raise ModelError("the restricted likelihood is not that of the data at the estimates; fit by 'ml'")
    problem = posed(fit, rows_of(fit)[1])
    x = estimate(fit, problem)
    if problem.likelihood.kind == "closed" and not problem.clusters.count:
        raise ModelError(
            f"the log-likelihood of this fit is in closed form, {fit.loglik:.6f}, and is no sum over clusters: their "
            "random effects are crossed"
        )
    if method is None:
        method = "exact" if problem.clusters.observed is not None else "quadrature"
    result = log_likelihood_at(problem, x, method, nodes=nodes, draws=draws, seed=seed)
    if result.message:
        warnings.warn(result.message, SaemWarning, stacklevel=2)
    labels = fit.cluster_labels.reset_index(drop=True)
    return replace(result, contributions=pd.concat([labels, result.contributions], axis=1))


def log_likelihood_at(
    problem: Problem, x: Array, method: str = "exact", *, nodes: int = 15, draws: int = 1000, seed: int = 0
) -> LogLikelihood:
    """Compute the log-likelihood of any problem at any parameters (n,); see `log_likelihood`.

    The log of a mean of ``m`` weights is too low by ``v / 2`` on average, with ``v`` the variance of that log by the
    delta method, ``(m sum w^2 / (sum w)^2 - 1) / (m - 1)``. Each cluster's ``v / 2`` is added: over many clusters the
    biases add up, while the errors partly cancel.
    """
    if method not in METHODS:
        raise SaemError(f"the method must be 'exact', 'quadrature' or 'importance'; got {method!r}")
    clusters = problem.clusters
    if method == "exact":
        if clusters.observed is None:
            raise ModelError("the family of the model has no likelihood in closed form; use 'quadrature'")
        values = clusters.observed(x) + clusters.constants
        none = np.full(len(values), np.nan)
        return assembled(method, values, np.zeros(len(values)), none, none)
    if clusters.joint is None:
        raise ModelError(f"the family of the model has no joint density of single clusters, which {method!r} needs")
    arrays = clusters.joint()
    x = np.array(x, dtype=float)  # one that may be written to: another kind of array would be compiled for anew
    if method == "importance":
        parts = np.empty((clusters.count, 5))
        n_draws = whole(draws, "draws", 2, max(2, MOST_DRAWS // max(1, clusters.count)))
        integrate(arrays, x, np.empty(0), np.empty(0), 0, n_draws, stream(seed, "log-likelihood"), parts)
        values, variances, ess, shares = found(parts)
        values = values + clusters.constants
        return assembled(method, values + 0.5 * variances, np.sqrt(variances), ess, shares, few_draws(ess))
    values, variances, ess, shares = by_rule(arrays, x, whole(nodes, "nodes", 1, MOST_NODES), clusters.count)
    values = values + clusters.constants
    message = ""
    if nodes >= LEAST_NODES:
        half = by_rule(arrays, x, nodes // 2 + 1, clusters.count)[0].sum()
        message = few_nodes(nodes, values.sum(), half + clusters.constant)
    return assembled(method, values, np.sqrt(variances), ess, shares, message)


def by_rule(arrays: Any, x: Array, nodes: int, n_clusters: int) -> Array:
    """Parts (4, C) of the clusters by a product rule."""
    parts = np.empty((n_clusters, 5))
    crowded = integrate(arrays, x, *rule(nodes), MOST_POINTS, 0, stream(0, "no draws"), parts)
    if crowded >= 0:
        effects = int(parts[crowded, 4])
        raise ModelError(
            f"a product rule of {nodes} nodes for {effects} random effects has {nodes}**{effects} points a cluster, "
            f"more than {MOST_POINTS:,}; use {int(MOST_POINTS ** (1 / effects) + 1e-9)} nodes or fewer, or 'importance'"
        )
    return found(parts)


def found(parts: Array) -> Array:
    """The columns (4, C) of the parts (C, 5), if every cluster has a value."""
    lost = np.isnan(parts[:, 0])
    if lost.any():
        raise FitError(
            f"no mode of the random effects of cluster {int(np.argmax(lost))} was found: their density "
            "given the data is not smooth, or has no maximum, at these parameters"
        )
    return parts[:, :4].T


def few_draws(ess: Array) -> str:
    """What is wrong with the effective draws (C,) of the clusters."""
    few = ess < LEAST_EFFECTIVE
    if not few.any():
        return ""
    number = count(int(few.sum()), "cluster has", "clusters have")
    return (
        f"the Monte Carlo error of the log-likelihood cannot be trusted: {number} fewer than {LEAST_EFFECTIVE:g} "
        f"effective draws (the fewest: {np.nanmin(ess):.2g}); use more draws, or 'quadrature'"
    )


def few_nodes(nodes: int, value: float, half: float) -> str:
    """What is wrong with the number of nodes, by the value of a rule with half of them."""
    if np.isneginf(value) or abs(value - half) <= UNSETTLED:
        return ""
    return (
        f"the quadrature has not settled: {nodes} nodes give {value:.3f}, {nodes // 2 + 1} nodes {half:.3f}; use more "
        "nodes, or 'importance'"
    )


def assembled(method: str, values: Array, mcse: Array, ess: Array, shares: Array, message: str = "") -> LogLikelihood:
    """The result, from the parts (C,) of the clusters."""
    import pandas as pd

    contributions = pd.DataFrame({"loglik": values, "mcse": mcse, "ess": ess, "max_weight_share": shares})
    return LogLikelihood(float(values.sum()), float(np.sqrt(np.sum(mcse**2))), method, contributions, message)


def rule(nodes: int) -> tuple[Array, Array]:
    """Nodes (k,) and logarithms of weights (k,) for ``int g(w) dw``, exact for polynomials times ``exp(-w^2 / 2)``."""
    points, weights = np.polynomial.hermite.hermgauss(nodes)
    return np.sqrt(2.0) * points, np.log(weights) + points**2 + 0.5 * np.log(2.0)
