"""Parametric bootstrap: the fit of data that the fitted model itself has drawn, many times over.

Replicate ``k`` has random streams of its own, keyed by the seed and ``k``: more replicates change none of those before,
and neither do the number of workers or an interruption.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from saem.batch import fit_by
from saem.errors import FitError, ModelError, SaemError
from saem.inference.rows import refuse_posterior, rows_of
from saem.simulation import draw_response
from saem.streams import check_seed, stream

if TYPE_CHECKING:
    import pandas as pd

    from saem.result import Fit

REPLICATE = "bootstrap replicate"  # the column that tells them apart
ENDED = ("converged", "boundary", "several_solutions")
LEAST = 20  # replicates
SCALES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {  # of basic intervals, and back
    "mean": (np.array, np.array),
    "sd": (np.log, np.exp),
    "corr": (np.arctanh, np.tanh),
}


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """Estimates from data that a fitted model has drawn.

    Attributes
    ----------
    fit : Fit
        That drew the data.
    estimates : DataFrame
        One row a replicate that was fitted, indexed by its number; a column for every parameter.
    fits : DataFrame
        One row a replicate, indexed by its number: `status`, `loglik`, `message`; also of those that failed.
    """

    fit: Fit
    estimates: pd.DataFrame
    fits: pd.DataFrame

    @property
    def table(self) -> pd.DataFrame:
        """One row a parameter: `estimate`, `bias`, `se`, `at_zero`, and Monte Carlo standard errors of the first two.

        `bias` is the mean of the replicates minus the estimate, `se` their standard deviation, `at_zero` the share of
        replicates in which a standard deviation is zero (nan for other parameters). `bias_mcse` and `se_mcse` are what
        the number of replicates leaves (the second by the jackknife).
        """
        import pandas as pd

        values, n = self.estimates.to_numpy(), len(self.estimates)
        se = values.std(axis=0, ddof=1)
        columns = {
            "estimate": self.fit.values,
            "bias": values.mean(axis=0) - self.fit.values,
            "bias_mcse": se / np.sqrt(n),
            "se": se,
            "se_mcse": jackknife_of_sd(values),
            "at_zero": np.where(np.array(self.fit.parameters.kinds) == "sd", np.mean(values == 0.0, axis=0), np.nan),
        }
        return pd.DataFrame(columns, index=pd.Index(list(self.estimates.columns), name="parameter", dtype="str"))

    def intervals(self, level: float = 0.95, kind: str = "percentile") -> pd.DataFrame:
        """Intervals from the quantiles of the replicates.

        Parameters
        ----------
        level : float
        kind : str
            "percentile": the quantiles themselves; "basic": the estimate minus the quantiles of the error (Davison &
            Hinkley 1997, section 5.2), on the log scale for standard deviations and Fisher's for correlations.

        Returns
        -------
        DataFrame indexed by parameter with columns `lower` and `upper`; nan for basic intervals where the estimate or a
        replicate is at the boundary, which has no place on these scales.
        """
        import pandas as pd

        if not 0.0 < level < 1.0:
            raise SaemError(f"the level of an interval must lie between 0 and 1; got {level!r}")
        if kind not in ("percentile", "basic"):
            raise SaemError(f"the kind of a bootstrap interval must be 'percentile' or 'basic'; got {kind!r}")
        values, tail = self.estimates.to_numpy(), (1.0 - level) / 2.0
        ends = np.quantile(values, [tail, 1.0 - tail], axis=0).T
        if kind == "basic":
            kinds = np.array(self.fit.parameters.kinds)
            limits = np.vstack([values, self.fit.values])
            edge = (kinds == "sd") & np.any(limits == 0.0, axis=0)
            edge |= (kinds == "corr") & np.any(np.abs(limits) == 1.0, axis=0)
            for i, kind in enumerate(kinds):
                there, back = SCALES[kind]
                with np.errstate(divide="ignore", invalid="ignore"):
                    reflected = back(2.0 * there(self.fit.values[i]) - there(ends[i, ::-1]))
                ends[i] = np.nan if edge[i] else reflected
        index = pd.Index(list(self.estimates.columns), name="parameter", dtype="str")
        return pd.DataFrame(ends, index=index, columns=["lower", "upper"])


def jackknife_of_sd(values: np.ndarray) -> np.ndarray:
    """Standard errors (n,) of the standard deviations of the columns of (N, n) values, by leaving out one row."""
    count = len(values)
    around = values - values.mean(axis=0)
    total = np.sum(around**2, axis=0)
    without = np.sqrt(np.maximum(total - around**2 * count / (count - 1), 0.0) / (count - 2))
    return np.asarray(np.sqrt((count - 1) * np.mean((without - without.mean(axis=0)) ** 2, axis=0)))


def bootstrap(
    fit: Fit,
    replicates: int = 1000,
    seed: int = 0,
    *,
    method: Any = "ml",
    workers: int | None = None,
    output: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Bootstrap:
    """Draw data from a fitted model on its own rows, and fit the model to them.

    Parameters
    ----------
    fit : Fit
    replicates : int
    seed : int
        Same seed, same replicates; more of them change none of the first.
    method : str or method object
        By which the replicates are fitted; direct maximum likelihood, which SAEM estimates too, takes milliseconds.
    workers : int, optional
        Processes; as many as there are cores if omitted.
    output : str or Path, optional
        Folder for the progress: the same call goes on from there after an interruption.
    progress : callable, optional
        Called with the number of replicates done and of all.

    Returns
    -------
    Bootstrap
        Replicates that cannot be fitted (an error, or no convergence) are in `fits` only.

    Raises
    ------
    ModelError
        When the fit has no table, or is a restricted one.
    FitError
        When fewer than two replicates were fitted.
    """
    import pandas as pd

    if not isinstance(replicates, int) or replicates < LEAST:
        raise ModelError(f"replicates must be a whole number, {LEAST} or larger; got {replicates!r}")
    check_seed(seed)
    refuse_posterior(fit, "the maximum of the likelihood, which draws the data")
    if fit.method == "reml":
        raise ModelError("restricted likelihood is not what draws data; bootstrap a fit by 'ml'")
    table, data = rows_of(fit)
    drawn = [
        draw_response(data, fit.values, *(stream(seed, "bootstrap", str(k), part) for part in ("effects", "residuals")))
        for k in range(replicates)
    ]
    repeated = table.iloc[np.tile(np.arange(len(table)), replicates)].reset_index(drop=True)
    repeated[fit.model.response] = np.concatenate(drawn)
    repeated[REPLICATE] = np.repeat(np.arange(replicates), len(table))
    batch = fit_by(
        fit.model, repeated, REPLICATE, [method], seed=seed, workers=workers, output=output, progress=progress
    )
    fits = batch.fits.set_index(REPLICATE)[["status", "loglik", "message"]]
    fits.index = pd.Index(fits.index.astype(int), name="replicate")
    failed = ~fits["status"].isin(ENDED)
    if len(fits) - failed.sum() < 2:
        raise FitError(
            f"of {replicates} replicates {len(fits) - failed.sum()} were fitted; the first that was not: "
            f"{fits.loc[failed, 'message'].iloc[0]}"
        )
    kept = batch.estimates[~batch.estimates[REPLICATE].astype(int).map(failed)]
    wide = kept.pivot(index=REPLICATE, columns="parameter", values="estimate")[list(fit.parameters.names)]
    wide.index = pd.Index(wide.index.astype(int), name="replicate")
    wide = wide.sort_index()
    wide.columns.name = None
    return Bootstrap(fit, wide, fits.sort_index())
