"""How far simulated estimates are from the exact maximum on the same data: measures that studies add to the general."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

import saem

from ..harness.performance import CONVERGED, COUNTED, FAILED, WHOLE_FIT
from ..harness.performance.jackknife import Groups, Measured
from ..harness.study.functions import Outcome

KEYS = ["cell", "replicate", "estimand"]
FIT = ["cell", "method", "replicate"]
OF_MAXIMA = ["estimate", "se", "loglik"]


def outcome_of(fit: saem.Fit) -> Outcome:
    """The outcome of a fit, of which nothing is estimated where the model fixes a parameter."""
    found = Outcome.of(fit)
    nan = float("nan")
    return replace(found, numbers=dict(found.numbers) | {name: (nan,) * 5 for name in fit.model.fixed})


def beside(rows: pd.DataFrame, reference: str) -> pd.DataFrame:
    """A row for each fit of the other methods whose reference converged on the same data, and which is identified.

    Fits that failed are among them, with nan for all that they do not have.

    Parameters
    ----------
    rows : DataFrame
        Of `experiments.results.Results`.
    reference : str
        The exact method.

    Returns
    -------
    DataFrame
        Columns `cell`, `method`, `replicate`, `status`; `deficit`, the log-likelihood below the reference's; and over
        the estimands that have a standard error there, `distance`, the largest ``abs(t - t_ref) / se_ref``, and
        `share`, the largest ``mcse / se_ref`` (nan where the method gives no Monte Carlo error).
    """
    is_reference = rows["method"] == reference
    exact = rows.loc[is_reference & rows["status"].isin(CONVERGED), [*KEYS, *OF_MAXIMA]]
    kept = [*KEYS, "method", "status", "estimate", "mcse", "loglik"]
    others = rows.loc[~is_reference & rows["status"].isin([*COUNTED, *FAILED]), kept]
    exact = exact.rename(columns={name: f"{name}_ref" for name in OF_MAXIMA})
    pairs = others.merge(exact, on=KEYS)
    se = pairs["se_ref"].where(pairs["se_ref"] > 0.0)
    pairs["distance"] = (pairs["estimate"] - pairs["estimate_ref"]).abs() / se
    pairs["share"] = pairs["mcse"] / se
    pairs["deficit"] = pairs["loglik_ref"] - pairs["loglik"]
    found = pairs.groupby(FIT, sort=False, observed=True)[["status", "deficit", "distance", "share"]]
    return found.agg({"status": "first", "deficit": "first", "distance": "max", "share": "max"}).reset_index()


def grouped(fits: pd.DataFrame) -> tuple[Groups, pd.DataFrame]:
    """Which cell and method every fit belongs to, and these."""
    names = fits[["cell", "method"]].drop_duplicates(ignore_index=True)
    codes = fits.groupby(["cell", "method"], sort=False, observed=True).ngroup().to_numpy()
    return Groups(codes, len(names)), names


def long(names: pd.DataFrame, found: Mapping[str, Measured]) -> pd.DataFrame:
    """Measures of whole fits as `experiments.performance.performance` gives them, a row for each group and measure."""
    tables = [
        names.assign(estimand=WHOLE_FIT, measure=measure, value=part.value, mcse=part.mcse, n=part.n)
        for measure, part in found.items()
    ]
    return pd.concat(tables, ignore_index=True)
