"""The likelihood-ratio test by the parametric bootstrap: for laws of the statistic that no formula gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from saem.errors import FitError
from saem.inference.likelihood_ratio import LOWER, ratio
from saem.inference.replicates import ENDED, draw_responses, fit_replicates, fits_of

if TYPE_CHECKING:
    import pandas as pd

    from saem.fitting.result import Fit


@dataclass(frozen=True, eq=False)
class BootstrapTest:
    """A likelihood-ratio test by parametric bootstrap.

    Attributes
    ----------
    statistic : float
        Twice the difference of the log-likelihoods of the two fits, LR.
    df : int
        Parameters, net of constraints, that the larger model has more.
    replicates : DataFrame
        One row a replicate, indexed by its number: `statistic` (LR*, nan where it failed), `smaller_loglik,
        larger_loglik, smaller_status, larger_status`, and `message`, why it failed (empty where it did not).
    """

    statistic: float
    df: int
    replicates: pd.DataFrame

    @property
    def ratios(self) -> np.ndarray:
        """The statistics (R,) of the replicates that did not fail."""
        values = self.replicates["statistic"].to_numpy()
        return np.asarray(values[~np.isnan(values)])

    @property
    def failed(self) -> int:
        """Replicates without a statistic."""
        return len(self.replicates) - len(self.ratios)

    @property
    def exceeding(self) -> int:
        """Replicates with LR* >= LR, ties to rounding among them (statistics of zero are frequent at a boundary)."""
        return int(np.sum(self.ratios >= self.statistic - 2.0 * LOWER))

    @property
    def p(self) -> float:
        """Bootstrap p-value ``(1 + #{LR* >= LR}) / (1 + R)`` of R replicates (Davison & Hinkley 1997, eq. 4.11)."""
        return (1.0 + self.exceeding) / (1.0 + len(self.ratios))

    @property
    def p_mcse(self) -> float:
        """Monte Carlo standard error of `p`, ``sqrt(p (1 - p) / R)``."""
        return float(np.sqrt(self.p * (1.0 - self.p) / len(self.ratios)))

    @property
    def p_bounds(self) -> tuple[float, float]:
        """What `p` would be if all replicates that failed were below LR, and if all exceeded it."""
        total = 1.0 + len(self.replicates)
        return (1.0 + self.exceeding) / total, (1.0 + self.exceeding + self.failed) / total

    def __repr__(self) -> str:
        return (
            f"BootstrapTest(statistic={self.statistic:.4g}, p={self.p:.3g} ± {self.p_mcse:.2g}, "
            f"{len(self.replicates)} replicates, {self.failed} failed)"
        )


def bootstrap_test(
    smaller: Fit,
    larger: Fit,
    replicates: int = 1000,
    seed: int = 0,
    *,
    workers: int | None = None,
    output: str | Path | None = None,
    restart: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> BootstrapTest:
    """Test a model within a larger one by data that the smaller fit draws, to which both models are fitted by ML.

    It needs no law of the statistic: for several standard deviations that are zero at once, which `likelihood_ratio`
    refuses, and for small samples. It is exact but for the parameters of the smaller model, which are estimated; where
    one that both models have is near a boundary (another variance that is nearly zero) that can matter, also in large
    samples (Andrews 2000).

    Parameters
    ----------
    smaller, larger : Fit
        As for `likelihood_ratio`.
    replicates : int
        Twice as many fits.
    seed, workers, output, restart, progress
        As for `bootstrap`.

    Returns
    -------
    BootstrapTest
        A replicate fails where one of the models cannot be fitted to it, or where the larger one ends at a lower
        maximum than the smaller one. It has no statistic, is counted, and `BootstrapTest.p_bounds` says what it could
        change.

    Raises
    ------
    ModelError
        When the models are not of the same rows, not nested, or a fit has no table or is a restricted one.
    FitError
        When all replicates failed.
    """
    statistic, df = ratio(smaller, larger)
    responses = draw_responses(smaller, replicates, seed, "bootstrap test")
    folder = None if output is None else Path(output)
    found = {}
    for k, (name, fit) in enumerate((("smaller", smaller), ("larger", larger))):
        step = None if progress is None else shifted(progress, k * replicates, 2 * replicates)
        own = None if folder is None else folder / name
        found[name] = fits_of(fit_replicates(fit, responses, "ml", seed, workers, own, step, restart))
    table = statistics(found["smaller"], found["larger"])
    if table["statistic"].isna().all():
        raise FitError(f"all {replicates} replicates failed; the first: {table['message'].iloc[0]}")
    return BootstrapTest(statistic, df, table)


def shifted(progress: Callable[[int, int], None], before: int, total: int) -> Callable[[int, int], None]:
    """Progress of a part of the work, as that of all."""
    return lambda done, of: progress(before + done, total)


def statistics(smaller: pd.DataFrame, larger: pd.DataFrame) -> pd.DataFrame:
    """LR* by replicate, from the fits of both models; why there is none, where there is none."""
    import pandas as pd

    both = {"smaller": smaller, "larger": larger}
    values = 2.0 * (larger["loglik"] - smaller["loglik"]).to_numpy()
    reasons = np.full(len(values), "", dtype=object)
    lower = values < -2.0 * LOWER
    reasons[lower] = "the larger model ended at a lower maximum than the smaller one"
    for name, fits in both.items():
        bad = ~fits["status"].isin(ENDED).to_numpy()
        reasons[bad] = [
            f"the {name} model: {status}: {text}" for status, text in fits.loc[bad, ["status", "message"]].to_numpy()
        ]
    columns = {"statistic": np.where(reasons == "", np.maximum(values, 0.0), np.nan)}
    columns |= {f"{name}_{what}": fits[what].to_numpy() for what in ("loglik", "status") for name, fits in both.items()}
    return pd.DataFrame(columns | {"message": reasons}, index=smaller.index)
