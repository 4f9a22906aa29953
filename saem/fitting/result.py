"""What a fit returns: a frozen `Fit` with its tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from saem.stopping import Status
from saem.system.deferred import Deferred, replaced

if TYPE_CHECKING:
    import pandas as pd

    from saem.algorithms.engine.continuation import Checkpoint, Continuation
    from saem.fitting.posterior import Posterior
    from saem.fitting.progress import Callback
    from saem.specification import Model
    from saem.specification.parameters import Parameters
    from saem.stopping import Target

Floats = NDArray[np.float64]
LEVEL = 0.95
HISTORY = ("iteration", "draws", "seconds", "loglik", "deficit", "mcse_share", "acceptance")
WIDEST = 50.0  # half an interval of the logarithm of an SD; beyond, it is all positive numbers


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Fit:
    """A fitted model. It is not changed by what is done with it: arrays are read-only, inference returns new objects.

    Of a fit by "bayes", `values` are posterior means, `covariance` is that of the posterior, `mcse` are Monte Carlo
    errors of the means, intervals are quantiles of the draws, and `loglik` is that where the parameters that have a
    prior are at their means, with what the constraints determine computed from them. (Means of draws do not satisfy a
    curved constraint: `constraint_residuals` are by how much. Every draw does.)

    Attributes
    ----------
    model : Model
    method : str
        The name of the method, such as "saem" or "ml".
    parameters : Parameters
        Names and kinds of the n parameters, in the order of `values`.
    values : (n,) ndarray
        Estimates; fixed parameters at their value.
    covariance : (n, n) ndarray
        Inverse observed information through the constraints, at the exact maximum beside the estimate where there is
        one; rows of nan where a parameter is at the boundary or not identified, of 0 where it is fixed.
    mcse : (n,) ndarray
        Monte Carlo standard errors, the distance to the exact maximum that the simulation leaves; 0 for exact methods.
    loglik : float
        Log-likelihood (restricted for REML).
    n_rows, n_clusters : int
    n_free : int
        Number of free parameters, net of constraints and of fixed parameters. Means count in REML too, as in lme4.
    status : Status
    message : str
        Advice on the status, one or two sentences.
    at_boundary : tuple of str
        Parameters at the boundary: SDs at 0, correlations at -1 or 1, and all correlations of a singular matrix of
        three or more random effects.
    constraint_names : tuple of str
    constraint_residuals, multipliers : (m,) ndarray
        Left side minus right side of every constraint at the estimate, and its Lagrange multiplier.
    path : (k, n) ndarray
        Parameters at the start, after every iteration (of the solver, for exact methods), and the estimate.
    burn_in, averaging_from : int
        Iterations of the burn-in, and the iteration at which averaging starts; 0 where there is none.
    solutions : (k, n) ndarray
        All distinct maximisers that were found, the best first.
    solution_logliks : (k,) ndarray
    random_effects, random_effect_sds : (n_clusters, q) ndarray
        Conditional modes of the random effects given the estimates, and their conditional SDs.
    cluster_labels : DataFrame
        One row per cluster, in the order of `random_effects`.
    term_names : tuple of str
        The q terms of the random effects.
    seed : int
    seconds : float
        Wall-clock time of the fit.
    warnings : tuple of str
    provenance : dict of str
        Versions and digests: what it takes to get the same numbers again.
    gradient_norm : float
        Largest component of the gradient on the tangent space of the constraints, in units of standard errors of the
        single parameters.
    cluster_group : (n_clusters,) ndarray
        Variance group of every cluster.
    group_levels : tuple of str
        Names of the variance groups.
    augmentation : str
        Which latent data SAEM and its relatives drew: random effects, or random effects centred on the means; empty for
        other methods.
    drawn : int
        Random effects that were drawn in the whole fit; 0 for exact methods.
    looks : (k, 7) ndarray
        What `history` shows.
    chains : (c, n) ndarray
        Estimates of independent chains; no rows where there was one.
    chain_paths : tuple of (k, n) ndarray
        Their paths.
    table : DataFrame or None
        The columns and rows that were used; None where they could not be saved.
    continuation : Continuation or None
        What `resume` goes on from; None for exact methods.
    formula_state : dict
        Constants of the design of a formula: means of `center`, coefficients of `poly`, knots, levels, first dates.
    unclear : dict of str to str
        Parameter -> column of the design of a formula, for the names that do not tell it.
    posterior : Posterior or None
        The draws of a fit by "bayes", its priors and its diagnostics.
    inner : (n,) ndarray
        The estimates in the coordinates in which they were found, where columns are centred or scaled inside (more
        digits than `values` can hold); empty where those are the user's.
    """

    model: Model
    method: str
    parameters: Parameters
    values: Floats
    covariance: Floats
    mcse: Floats
    loglik: float
    n_rows: int
    n_clusters: int
    n_free: int
    status: Status
    message: str
    at_boundary: tuple[str, ...]
    constraint_names: tuple[str, ...]
    constraint_residuals: Floats
    multipliers: Floats
    path: Floats
    burn_in: int
    averaging_from: int
    solutions: Floats
    solution_logliks: Floats
    random_effects: Floats
    random_effect_sds: Floats
    cluster_labels: Deferred[pd.DataFrame] = Deferred()
    term_names: tuple[str, ...]
    seed: int
    seconds: float
    warnings: tuple[str, ...]
    provenance: Mapping[str, str]
    gradient_norm: float
    cluster_group: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    group_levels: tuple[str, ...] = ()
    augmentation: str = ""
    drawn: int = 0
    looks: Floats = field(default_factory=lambda: np.empty((0, len(HISTORY))))
    chains: Floats = field(default_factory=lambda: np.empty((0, 0)))
    chain_paths: tuple[Floats, ...] = ()
    table: Deferred[pd.DataFrame | None] = Deferred(None)
    continuation: Continuation | None = None
    posterior: Posterior | None = None
    formula_state: Mapping[str, Any] = field(default_factory=dict)
    unclear: Mapping[str, str] = field(default_factory=dict)
    inner: Floats = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                value = value.copy()
                value.flags.writeable = False
                object.__setattr__(self, name, value)

    @property
    def se(self) -> Floats:
        """Standard errors, (n,) ndarray: 0 for fixed parameters, nan at the boundary or where not identified."""
        with np.errstate(invalid="ignore"):
            return np.asarray(np.sqrt(np.diag(self.covariance)))

    def intervals(self, level: float = LEVEL) -> pd.DataFrame:
        """Wald intervals on a scale where the estimate is closer to normal: log for SDs, atanh for correlations.

        Of a posterior, the intervals between quantiles of its draws that leave out as much on either side.

        Parameters
        ----------
        level : float
            Coverage, between 0 and 1.

        Returns
        -------
        DataFrame indexed by parameter with columns `lower` and `upper`; nan where a parameter is fixed, at the
        boundary or not identified.
        """
        import pandas as pd

        return pd.DataFrame(self._bounds(level), index=self._index(), columns=["lower", "upper"])

    def _bounds(self, level: float = LEVEL) -> Floats:
        """`intervals` as (n, 2) ndarray."""
        return wald_intervals(self, self.se, level) if self.posterior is None else self.posterior.bounds(level)

    def to_numpy(self) -> Floats:
        """(n, 5) ndarray of the columns of `estimates`: estimate, se, mcse, lower, upper."""
        return np.column_stack([self.values, self.se, self.mcse, self._bounds()])

    @property
    def estimates(self) -> pd.DataFrame:
        """DataFrame indexed by parameter: `estimate, se, mcse, lower, upper` (95 % interval)."""
        import pandas as pd

        return pd.DataFrame(self.to_numpy(), index=self._index(), columns=["estimate", "se", "mcse", "lower", "upper"])

    @property
    def constraints(self) -> pd.DataFrame:
        """DataFrame indexed by constraint: `residual` (left minus right side) and Lagrange `multiplier`."""
        import pandas as pd

        index = pd.Index(list(self.constraint_names), name="constraint", dtype="str")
        return pd.DataFrame({"residual": self.constraint_residuals, "multiplier": self.multipliers}, index=index)

    @property
    def trace(self) -> pd.DataFrame:
        """DataFrame of `path`, with a column for every parameter: 0 is the start, the last row the estimate."""
        import pandas as pd

        return pd.DataFrame(
            self.path, index=pd.RangeIndex(len(self.path), name="iteration"), columns=list(self.parameters.names)
        )

    @property
    def history(self) -> pd.DataFrame:
        """What each look at the algorithm showed, against its cost; empty for exact methods.

        Columns: `iteration`; `draws`, the random effects drawn so far; `seconds`; `loglik` of the estimate if the fit
        had ended there, and its `deficit` below the maximum; `mcse_share`, the largest MCSE/SE; `acceptance` rate of a
        Markov kernel. nan where something is not known.
        """
        import pandas as pd

        return pd.DataFrame(self.looks, columns=list(HISTORY))

    @property
    def iterations(self) -> int:
        """Iterations on the way to the estimate (of the solver, for exact methods)."""
        return max(0, len(self.path) - 2)

    @property
    def converged(self) -> bool:
        """Whether the estimate is a maximum of the likelihood (see `Status.converged`), or the draws suffice."""
        return self.status.converged

    @property
    def aic(self) -> float:
        """Akaike's information criterion, -2 loglik + 2 n_free; nan for a posterior, which has no maximum."""
        return math.nan if self.posterior is not None else 2.0 * self.n_free - 2.0 * self.loglik

    @property
    def bic(self) -> float:
        """Bayesian information criterion, -2 loglik + log(n_rows) n_free, with the number of rows as lme4 has it.

        nan for a posterior: the criterion is one of the maximum of the likelihood.
        """
        return math.nan if self.posterior is not None else math.log(self.n_rows) * self.n_free - 2.0 * self.loglik

    def to_frame(self) -> pd.DataFrame:
        """One row per parameter: `method, parameter, estimate, se, mcse, lower, upper`, ready to be stacked."""
        table = self.estimates.reset_index()
        table.insert(0, "method", self.method)
        return table

    def summary(self, t_tests: bool = False) -> str:
        """The fit as a plain-text table for people.

        Parameters
        ----------
        t_tests : bool
            Also test the means, with Satterthwaite's degrees of freedom (see `saem.t_tests`).
        """
        from saem.fitting.summary import summary

        return summary(self, t_tests)

    def save(self, folder: str | Path) -> None:
        """Write the fit to a folder, without pickle; `saem.load(folder)` reads it back."""
        from saem.fitting.storage import save

        save(self, folder)

    def resume(self, target: Target | None = None, *, callback: Callback | None = None, method: Any = None) -> Fit:
        """Go on to a smaller Monte Carlo error; also with a fit that was saved, in another process.

        The result is bit for bit what `saem.fit` with this target would have given at once, but for the seconds.

        Parameters
        ----------
        target : Target, optional
            Such as ``saem.Target(mcse=0.01)``; that of the fit, which was interrupted, if omitted. Its budgets count
            from the start of the fit. An error that is larger than the one reached changes nothing.
        callback : callable, optional
            As in `saem.fit`.
        method : method object, optional
            The method, where it is not one of this package and the fit was loaded from a file.

        Returns
        -------
        Fit
            This one is left as it is.

        Raises
        ------
        ModelError
            When there is nothing to go on from.
        """
        from saem.fitting.resuming import resume

        return resume(self, target, callback=callback, method=method)

    def to_arviz(self) -> Any:
        """The draws of a fit by "bayes" as ArviZ has them.

        Returns
        -------
        arviz.InferenceData
            With the groups `posterior` (a variable for every parameter), `sample_stats` (`lp`, `diverging`, `energy`,
            ..), and `observed_data` (the response) where the table is there.

        Raises
        ------
        ModelError
            When the fit has no draws, or ArviZ is not installed.
        """
        from saem.fitting.arviz import to_arviz

        return to_arviz(self)

    def going_on(self, method: Any, checkpoint: Checkpoint) -> Fit:
        """The same fit with what it takes to go on."""
        from saem.algorithms.engine.continuation import Continuation
        from saem.errors import ModelError
        from saem.fitting.settings import describe

        try:
            settings = describe(method)
        except ModelError:  # known in this process alone
            settings = None
        going_on: Fit = replaced(self, continuation=Continuation(checkpoint, settings, method))
        return going_on

    def _index(self) -> pd.Index[Any]:
        import pandas as pd

        return pd.Index(list(self.parameters.names), name="parameter", dtype="str")

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value:.4g}" for name, value in zip(self.parameters.names, self.values, strict=True))
        return f"Fit({self.method}, {self.status}, loglik={self.loglik:.3f}, {shown})"


def wald_intervals(fit: Fit, se: Floats, level: float = LEVEL) -> Floats:
    """Bounds (n, 2) of Wald intervals with standard errors (n,), as `Fit.intervals` has them."""
    from saem.errors import SaemError

    if not 0.0 < level < 1.0 or 0.5 + level / 2 == 1.0:
        raise SaemError(f"the level of an interval must lie between 0 and 1; got {level!r}")
    z = NormalDist().inv_cdf(0.5 + level / 2)
    names, kinds = fit.parameters.names, fit.parameters.kinds
    bounds = np.full((len(names), 2), math.nan)
    for i, (value, half) in enumerate(zip(fit.values.tolist(), (z * se).tolist(), strict=True)):
        if not fit.parameters.fixed[i] and names[i] not in fit.at_boundary:
            bounds[i] = _interval(kinds[i], value, half)
    return bounds


def _interval(kind: str, value: float, half: float) -> tuple[float, float]:
    """The bounds `half` (a multiple of the SE) away from `value`, on the scale that belongs to this kind."""
    if not math.isfinite(half):
        return math.nan, math.nan
    if kind == "sd":
        if value <= 0:
            return math.nan, math.nan
        if half > WIDEST * value:  # the data say nothing about it
            return 0.0, math.inf
        return value * math.exp(-half / value), value * math.exp(half / value)
    if kind == "corr":
        if not -1.0 < value < 1.0:
            return math.nan, math.nan
        centre, half = math.atanh(value), half / (1.0 - value**2)
        return math.tanh(centre - half), math.tanh(centre + half)
    return value - half, value + half
