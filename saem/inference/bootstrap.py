"""Parametric bootstrap of the estimates: the fit of data that the fitted model itself has drawn, many times over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from saem.errors import FitError, SaemError
from saem.inference.arguments import check_level
from saem.inference.replicates import ENDED, REPLICATE, draw_responses, fit_replicates, fits_of
from saem.inference.rows import posed, rows_of
from saem.specification.domains import Domains

if TYPE_CHECKING:
    import pandas as pd

    from saem.fitting.result import Fit

KINDS = ("percentile", "corrected", "basic")


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """Estimates from data that a fitted model has drawn.

    Attributes
    ----------
    fit : Fit
        That drew the data.
    estimates : DataFrame
        One row a replicate that was fitted, indexed by its number; a column for every parameter. nan for the
        correlations of a random effect whose standard deviation is zero: they are undefined.
    fits : DataFrame
        One row a replicate, indexed by its number: `status`, `loglik`, `message`; also of those that failed.
    """

    fit: Fit
    estimates: pd.DataFrame
    fits: pd.DataFrame

    @property
    def table(self) -> pd.DataFrame:
        """One row a parameter: `estimate, bias, bias_mcse, se, se_mcse, at_zero, undefined`.

        `bias` is the mean of the replicates minus the estimate, `se` their standard deviation, `at_zero` the share of
        replicates in which a standard deviation is zero (nan for other parameters). `bias_mcse` and `se_mcse` are what
        the number of replicates leaves (the second by the jackknife). `undefined` counts the replicates without a
        value, which the other columns leave out.
        """
        import pandas as pd

        names, can_vanish = list(self.estimates.columns), self.fit.parameters.domains.can_vanish
        lines = []
        for name, vanishes, estimate in zip(names, can_vanish, self.fit.values, strict=True):
            values = self.values_of(name)
            bias = values.mean() - estimate if len(values) else np.nan
            se = values.std(ddof=1) if len(values) > 1 else np.nan
            error = jackknife_of_sd(values[:, None])[0] if len(values) > 2 else np.nan
            zero = np.mean(values == 0.0) if vanishes else np.nan
            n = len(values)
            lines.append([estimate, bias, se / np.sqrt(max(n, 1)), se, error, zero, len(self.estimates) - n])
        columns = ["estimate", "bias", "bias_mcse", "se", "se_mcse", "at_zero", "undefined"]
        table = pd.DataFrame(lines, index=pd.Index(names, name="parameter", dtype="str"), columns=columns)
        return table.astype({"undefined": int})

    def values_of(self, name: str) -> np.ndarray:
        """Estimates (k,) of a parameter in the replicates where it is defined."""
        values = self.estimates[name].to_numpy()
        return np.asarray(values[~np.isnan(values)])

    def intervals(self, level: float = 0.95, kind: str = "percentile") -> pd.DataFrame:
        """Intervals from the quantiles of the replicates.

        Parameters
        ----------
        level : float
        kind : str
            "percentile": the quantiles themselves; "corrected": quantiles further up or down, by the share of
            replicates below the estimate (Efron 1981: bias-corrected percentiles); "basic": the estimate minus the
            quantiles of the error (Davison & Hinkley 1997, section 5.2), on the log scale for standard deviations and
            Fisher's for correlations.

        Returns
        -------
        DataFrame indexed by parameter with columns `lower` and `upper`, from the replicates where it is defined; nan
        for basic intervals where the estimate or a replicate is at the boundary, which has no place on these scales.
        """
        import pandas as pd

        check_level(level)
        if kind not in KINDS:
            known = ", ".join(map(repr, KINDS))
            raise SaemError(f"the kind of a bootstrap interval must be one of {known}; got {kind!r}")
        tail, names = (1.0 - level) / 2.0, list(self.estimates.columns)
        ends = np.full((len(names), 2), np.nan)
        for i, (name, domain) in enumerate(zip(names, self.fit.parameters.domains, strict=True)):
            values = self.values_of(name)
            if len(values) < 2:
                continue
            shares = [tail, 1.0 - tail]
            if kind == "corrected":
                shares = corrected(shares, values, float(self.fit.values[i]))
            ends[i] = np.quantile(values, shares)
            if kind == "basic":
                own, centre = Domains([domain]), self.fit.values[i]
                limits = np.append(values, centre)
                if np.any((limits == domain.low) | (limits == domain.high)):
                    ends[i] = np.nan
                else:
                    ends[i] = own.from_free(2.0 * own.to_free(np.array([centre])) - own.to_free(ends[i, ::-1]))
        index = pd.Index(names, name="parameter", dtype="str")
        return pd.DataFrame(ends, index=index, columns=["lower", "upper"])


def corrected(shares: list[float], values: np.ndarray, estimate: float) -> list[float]:
    """The shares whose quantiles are median-unbiased where a transformation makes the error normal, ties halved.

    Where all replicates are on one side of the estimate, the quantile is their extreme on it.
    """
    normal = NormalDist()
    below = float(np.mean(values < estimate) + 0.5 * np.mean(values == estimate))
    if not 0.0 < below < 1.0:
        return [below, below]
    return [normal.cdf(2.0 * normal.inv_cdf(below) + normal.inv_cdf(share)) for share in shares]


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
    restart: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Bootstrap:
    """Draw data from a fitted model on its own rows, and fit the model to them.

    Where a true standard deviation is zero or nearly so, the law of its estimate depends on how far from zero it is,
    and data drawn from an estimate need not show it, however large the sample (Andrews 2000): `Bootstrap.table` has
    the share of zeros to look at.

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
    restart : bool
        Discard what is in the folder.
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
    responses = draw_responses(fit, replicates, seed, "bootstrap")
    folder = None if output is None else Path(output)
    batch = fit_replicates(fit, responses, method, seed, workers, folder, progress, restart)
    fits = fits_of(batch)
    failed = ~fits["status"].isin(ENDED)
    if len(fits) - failed.sum() < 2:
        raise FitError(
            f"of {replicates} replicates {len(fits) - failed.sum()} were fitted; the first that was not: "
            f"{fits.loc[failed, 'message'].iloc[0]}"
        )
    kept = batch.estimates[~batch.estimates[REPLICATE].astype(int).map(failed)]
    wide = kept.pivot(index=REPLICATE, columns="parameter", values="estimate")[list(fit.parameters.names)]
    wide.index = wide.index.astype(int)
    wide = wide.rename_axis(index="replicate", columns=None).sort_index()
    return Bootstrap(fit, defined(wide, fit), fits)


def defined(estimates: pd.DataFrame, fit: Fit) -> pd.DataFrame:
    """Estimates with nan for the correlations of a random effect whose standard deviation is zero."""
    import pandas as pd

    problem = posed(fit, rows_of(fit)[1])
    values = estimates.to_numpy().copy()
    for sd, dependents in problem.boundary.dependents.items():
        for i in dependents:
            if not problem.parameters.fixed[i]:
                values[estimates.to_numpy()[:, sd] == 0.0, i] = np.nan
    return pd.DataFrame(values, index=estimates.index, columns=estimates.columns)
