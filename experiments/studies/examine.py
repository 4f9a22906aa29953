"""One site: the model under each link by ML and by SAEM, its intervals, and the test of each link."""

from __future__ import annotations

import time
import warnings
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

import saem
from saem.errors import SaemError, SaemWarning
from saem.system.streams import derived_seed

from .links import RECIPES
from .peptide import peptide_model

POSTED = "posted"  # the link whose fits are examined closely
METHODS = ("ml", "saem")
HELD = {"posted": ("b21", "b22"), "log2": ("b21", "b22"), "conservation": ("b21",)}  # at 0, that a link can be tested
ERROR = "error"  # the status of a fit that there is not

Row = dict[str, object]


class Examined(NamedTuple):
    """What holds for a site.

    Attributes
    ----------
    fits : list of dict
        A row for each link and method: `status`, `message`, `loglik`, `seconds` of processor time; of SAEM also
        `deficit`, its log-likelihood below that of ML, and `largest_distance`; of ML also the test of the link.
    parameters : list of dict
        A row for each of these and each parameter that is free.
    """

    fits: list[Row]
    parameters: list[Row]


def examine(site: str, rows: pd.DataFrame, draws: int, seed: int = 0) -> Examined:
    """Fit a site under every link and test each; what fails is a row that says so.

    Parameters
    ----------
    site : str
    rows : DataFrame
        Its rows.
    draws : int
        Samples of the bootstrap test of a link; 0 for no such test.
    seed : int
        Of SAEM and of the bootstrap, which have streams of their own on every site.
    """
    warnings.simplefilter("ignore", SaemWarning)
    found = Examined([], [])
    own = derived_seed(seed, "site", site)
    for link in RECIPES:
        model, maximum = peptide_model(RECIPES[link]), None
        for method in METHODS:
            began = time.process_time()
            row: Row = {"site": site, "link": link, "method": method, "rows": len(rows), "message": ""}
            try:
                fit = saem.fit(model, rows, method, own)
                row |= {"status": str(fit.status), "message": fit.message, "loglik": fit.loglik}
            except SaemError as error:
                fit, row = None, row | {"status": ERROR, "message": str(error)}
            if fit is not None:
                estimates = estimates_of(fit)
                if method == "ml":
                    maximum = fit
                    row |= checked(model, rows, fit, estimates) if link == POSTED else {}
                elif maximum is not None:
                    row |= beside(fit, maximum, estimates)
                found.parameters.extend({"site": site, "link": link, "method": method} | own for own in estimates)
            if method == "ml":
                row |= tested(link, rows, draws, own)
            found.fits.append(row | {"seconds": time.process_time() - began})
    return found


def estimates_of(fit: saem.Fit) -> list[Row]:
    """A row for each free parameter: estimate, standard error, and Monte Carlo error where the method has one."""
    p, mcse = fit.parameters, fit.mcse if fit.method != "ml" else np.full(len(fit.values), np.nan)
    rows = zip(p.names, p.fixed, fit.values, fit.se, mcse, strict=True)
    return [{"parameter": n, "estimate": x, "se": se, "mcse": e} for n, held, x, se, e in rows if not held]


def checked(model: saem.Model, rows: pd.DataFrame, fit: saem.Fit, estimates: list[Row]) -> Row:
    """Whether the maximum is unique; profile and Wald intervals of each parameter are written beside its estimate."""
    found: Row = {}
    try:
        seen = saem.identifiability(model, rows)
        found |= {"unique": seen.unique, "condition": seen.condition_number, "n_maxima": len(seen.maxima)}
        found |= {"share_several": seen.structure.share_several}
        intervals = saem.profile(fit).intervals
    except SaemError as error:
        return found | {"unprofiled": str(error)}
    for row in estimates:
        ends = intervals.loc[row["parameter"], ["lower", "upper", "wald_lower", "wald_upper"]].to_numpy(float)
        apart = np.max(np.abs(ends[:2] - ends[2:])) / row["se"] if np.isfinite(ends).all() else np.nan
        row |= dict(zip(("lower", "upper", "wald_lower", "wald_upper"), ends, strict=True))
        row |= {"apart": apart, "note": intervals.loc[row["parameter"], "note"]}
    return found


def beside(fit: saem.Fit, maximum: saem.Fit, estimates: list[Row]) -> Row:
    """How far SAEM is from the maximum of the likelihood, in standard errors there, by parameter and at most."""
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.where(maximum.se > 0.0, (fit.values - maximum.values) / maximum.se, np.nan)
    for row in estimates:
        row["distance"] = distance[fit.parameters.index(str(row["parameter"]))]
    largest = np.nanmax(np.abs(distance)) if np.isfinite(distance).any() else np.nan
    return {"deficit": maximum.loglik - fit.loglik, "largest_distance": largest}


def tested(link: str, rows: pd.DataFrame, draws: int, seed: int) -> Row:
    """The test of a link against none, by chi-square and by bootstrap, where the interactions `HELD` are left out."""
    found: Row = {}
    try:
        tied, free = (saem.fit(model, rows, "ml") for model in restricted(link))
        test = saem.likelihood_ratio(tied, free)
        found |= {"statistic": test.statistic, "p": test.p, "doubt": test.note}
        if draws:
            by_draws = saem.bootstrap_test(tied, free, draws, seed, workers=1)
            found |= {"p_bootstrap": by_draws.p, "p_bootstrap_mcse": by_draws.p_mcse, "drawn": len(by_draws.ratios)}
    except SaemError as error:
        found |= {"untested": str(error)}
    return found


def restricted(link: str) -> tuple[saem.Model, saem.Model]:
    """The model without the interactions `HELD`, under a link and without one."""
    model: Any = peptide_model(RECIPES[link])
    text = model.constraints["g"]
    for name in HELD[link]:
        text = text.replace(f"2**{name}", "1")
    means = {name: where for name, where in model.mean.items() if name not in HELD[link]}
    tied = model.replace(mean=means, constraints={"g": text}, fixed={})
    return tied, tied.replace(constraints={})
