"""The functions of the study `link_gain`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

import saem

from ..harness.study.cells import Cell
from ..harness.study.functions import Outcome
from . import intervals
from .link_tests import performance

__all__ = ["estimate", "generate", "performance", "truth"]

TIE = intervals.scene_of("tie")
FREE = TIE.model.replace(constraints={})
ESTIMANDS = ("CL_control", "CL_ill", "omega_control", "omega_ill")
NOTHING = (math.nan,) * 5


def truth(cell: Cell) -> Mapping[str, float]:
    """The parameters, with a median clearance of the ill by ``departure`` above what the tie demands."""
    known = {name: TIE.truth[name] for name in ESTIMANDS}
    return known | {"CL_ill": known["CL_ill"] * math.exp(float(cell["departure"])), "p": math.nan}


def generate(cell: Cell, seed: int) -> pd.DataFrame:
    """A table of the cell."""
    return saem.simulate(
        FREE, dict(TIE.truth) | {"CL_ill": truth(cell)["CL_ill"]}, intervals.design_of(TIE, cell), seed
    )


def estimate(data: pd.DataFrame, cell: Cell, options: Mapping[str, Any], seed: int) -> Outcome:
    """Fit with the tie or without, and test it."""
    tied, free = saem.fit(TIE.model, data, "ml"), saem.fit(FREE, data, "ml")
    outcome = Outcome.of(tied if options.get("link") else free)
    numbers = {name: outcome.numbers[name] for name in ESTIMANDS} | {"p": NOTHING}
    if options.get("theory"):
        numbers |= by_theory(free)
    elif "draws" in options:
        p = saem.bootstrap_test(tied, free, int(options["draws"]), seed, workers=1).p
        numbers = dict.fromkeys(ESTIMANDS, NOTHING) | {"p": (p, *NOTHING[1:])}
    elif not options["link"]:
        numbers["p"] = (saem.likelihood_ratio(tied, free).p, *NOTHING[1:])
    return Outcome(numbers, outcome.status, outcome.loglik, message=outcome.message)


def by_theory(free: saem.Fit) -> dict[str, tuple[float, float, float, float, float]]:
    """Estimates by one step onto the tie, with ``V - V c' (c V c')^-1 c V`` for the covariance V and the slope c of it.

    (Aitchison & Silvey 1958, Annals of Mathematical Statistics 29, 813-828.)
    """
    x = dict(zip(free.parameters.names, free.values, strict=True))
    slope = {"CL_control": 1.0 / x["CL_control"], "CL_ill": -1.0 / x["CL_ill"]}
    slope |= {"omega_control": x["omega_control"], "omega_ill": -x["omega_ill"]}
    height = math.log(x["CL_control"] / x["CL_ill"]) + (x["omega_control"] ** 2 - x["omega_ill"] ** 2) / 2.0
    c = np.array([slope.get(name, 0.0) for name in free.parameters.names])
    gain = free.covariance @ c / (c @ free.covariance @ c)
    values = free.values - gain * height
    se = np.sqrt(np.diag(free.covariance - np.outer(gain, free.covariance @ c)))
    found = zip(free.parameters.names, values.tolist(), se.tolist(), strict=True)
    return {name: (v, s, v - 1.96 * s, v + 1.96 * s, math.nan) for name, v, s in found if name in ESTIMANDS}
