"""The functions of the study `constraints`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

import saem
from saem.errors import SaemError
from saem.inference.likelihood_ratio import LikelihoodRatio

from ..harness.performance import paired
from ..harness.study.cells import Cell
from ..harness.study.functions import Outcome
from .links import (
    NO_LINK,
    design_of,
    generating_model,
    model_of,
    scene_named,
    solutions_of_posted,
    true_parameters,
)

if TYPE_CHECKING:
    import pandas as pd

FREE = "free"  # the method that others are compared with
LEVEL = 0.05  # of the test of the link
SAME = 1e-6  # log-likelihoods nearer than this belong to solutions that the data cannot tell apart
OWN = ("c2", "b21", "b22")  # parameters that a saturated model without a link does not have
SDS = ("sigma1", "sigma2", "sigma")
EFFECTS = {"effect1": "b21", "effect2": "b22"}  # c2 plus this
COMPARED = ("precision_gain", "mse_ratio", "bias_difference", "coverage_difference", "width_ratio")

Numbers = tuple[float, float, float, float, float]
NOTHING: Numbers = (math.nan, math.nan, math.nan, math.nan, math.nan)
NO_SOLUTIONS: Mapping[str, Numbers] = {"solutions": NOTHING, "b21_nearest": NOTHING}


def truth(cell: Cell) -> Mapping[str, float]:
    """The parameters that the data are made from, and what follows from them; no link has a true test statistic."""
    x = parameters(cell)
    is_posted = scene_named(str(cell["scene"])).saturated and cell["link"] == "posted"
    several = solutions_of_posted(x) if is_posted else 1
    effects = {name: x["c2"] + x[b] for name, b in EFFECTS.items()}
    return x | effects | {"b21_nearest": x["b21"], "solutions": float(several), "lr": math.nan}


def parameters(cell: Cell) -> dict[str, float]:
    """The parameters that the data are made from."""
    return true_parameters(
        str(cell["scene"]), str(cell["link"]), sigma2=float(cell["sigma2"]), departure=float(cell["departure"])
    )


def generate(cell: Cell, seed: int) -> pd.DataFrame:
    """A table of the cell."""
    scene = str(cell["scene"])
    return saem.simulate(generating_model(scene), parameters(cell), design_of(scene, int(cell["replicates"])), seed)


def estimate(data: pd.DataFrame, cell: Cell, options: Mapping[str, Any], seed: int) -> Outcome:
    """Fit under the link that the cell names, under another one, or under none, and test the link."""
    name, which = str(cell["scene"]), str(options["link"])
    scene, link = scene_named(name), link_of(cell, which)
    fit = saem.fit(model_of(name, link), data, options["method"], seed)
    outcome = Outcome.of(fit)
    unknown = {name for name, held in zip(fit.parameters.names, fit.parameters.fixed, strict=True) if held}
    unknown |= set(OWN) if link == NO_LINK and scene.saturated else set()
    numbers = {name: NOTHING if name in unknown else outcome.numbers[name] for name in (*OWN, *SDS)}
    numbers |= {name: total_effect(fit, b) for name, b in EFFECTS.items()}
    numbers |= NO_SOLUTIONS if which != "own" else solutions_of(fit, parameters(cell), "b21" not in unknown)
    numbers["lr"], message = NOTHING, outcome.message
    if link != NO_LINK and not scene.saturated and fit.method == "ml":  # SAEM's is that of the maximum beside it
        try:
            numbers["lr"] = as_interval(saem.likelihood_ratio(fit, saem.fit(model_of(name, NO_LINK), data, "ml")))
        except SaemError as error:  # the estimates count all the same
            message = f"no test of the link: {error} {message}".strip()
    return replace(outcome, numbers=numbers, message=message)


def solutions_of(fit: saem.Fit, x: Mapping[str, float], is_free: bool) -> dict[str, Numbers]:
    """How many solutions have the same likelihood, and of these, where b21 is free, the one that is nearest to it."""
    tied = fit.solutions[np.abs(fit.solution_logliks - fit.solution_logliks[0]) <= SAME]  # SAEM may be below a rival
    found = {**NO_SOLUTIONS, "solutions": known(len(tied))}
    if is_free:
        b21 = tied[:, fit.parameters.index("b21")]
        found["b21_nearest"] = known(b21[np.argmin(np.abs(b21 - x["b21"]))])
    return found


def known(value: float) -> Numbers:
    """A number without an error."""
    return float(value), math.nan, math.nan, math.nan, math.nan


def link_of(cell: Cell, which: str) -> str:
    """The link that a method fits: the cell's own, another one of its scene, or none."""
    if which == NO_LINK:
        return NO_LINK
    own = str(cell["link"])
    if which == "own":
        return own
    if which == "other":
        return next(link for link in scene_named(str(cell["scene"])).links if link != own)
    raise SaemError(f"link must be 'own', 'other' or '{NO_LINK}'; got {which!r}")


def total_effect(fit: saem.Fit, interaction: str) -> Numbers:
    """``c2 + b``: the whole effect of the treatment on a form, with its standard error by the delta method."""
    which = [fit.parameters.index(name) for name in ("c2", interaction)]
    value = float(fit.values[which].sum())
    se = math.sqrt(max(0.0, fit.covariance[np.ix_(which, which)].sum()))
    away = 1.959963984540054 * se
    return value, se, value - away, value + away, 0.0 if fit.method == "ml" else math.nan


def as_interval(test: LikelihoodRatio) -> Numbers:
    """A likelihood-ratio statistic as an estimate whose interval excludes 0 exactly when the test rejects at `LEVEL`.

    The interval is ``[statistic - critical value, inf)``, so that the rejection rate of the null value 0 is the size or
    the power of the test.
    """
    from scipy.stats import chi2

    return test.statistic, math.nan, test.statistic - float(chi2.isf(LEVEL, test.df)), math.inf, 0.0


def performance(rows: pd.DataFrame) -> pd.DataFrame:
    """What a link gains or costs: every method against the fit without a link to the same data (see `paired`)."""
    import pandas as pd

    columns = ["cell", "method", "estimand", "measure", "value", "mcse", "n"]
    tables = []
    methods = list(dict.fromkeys(rows["method"]))
    for method in methods if FREE in methods else []:
        if method != FREE:
            found = paired(rows, method, FREE)
            found = found[found["measure"].isin(COMPARED) & (found["n"] > 0)]
            tables.append(found.assign(measure=found["measure"] + "_to_free")[columns])
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)
