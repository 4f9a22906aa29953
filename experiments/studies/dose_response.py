"""Dose-response models of Plan, Maloney, Mentre, Karlsson & Bertrand (AAPS Journal 14, 2012), and how fits compare.

Seven scenarios: an Emax and a sigmoid Emax model (``hill``), each with four doses a subject (rich) or two (sparse), and
an Imax model with a covariate under three laws of the residuals. Starts other than the default are the truth, and one
that is far from it.

What methods are compared by is the deficit: -2 log-likelihood at their estimate less that at the exact maximum, by the
same points where it is simulated.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import Any

import pandas as pd

import saem
from saem.algorithms.saem import SAEM
from saem.errors import SaemError, listing, nearest

from ..harness.performance import COUNTED
from ..harness.study.functions import Outcome
from .exact_maximum import Maximum

NOTHING = math.nan
DEFICIT, SECONDS = "deficit", "cpu_seconds"
LIMITS = {"Sparse": 0.2, "Rich": 0.04}  # of the deficit: what it is to be below in 95 % of the fits

BASE = {"family": "nonlinear", "response": "y", "cluster": "id"}
SIGMOID = "{top} / (1 + (ED50 / where(dose > 0, dose, 1))**gamma)"
EMAX: dict[str, Any] = BASE | {
    "columns": ["dose"],
    "individual": {
        "E0": "lognormal(E0_pop, omega_E0)",
        "Emax": "lognormal(Emax_pop, omega_Emax)",
        "ED50": "lognormal(ED50_pop, omega_ED50)",
    },
    "random": {"correlated": [["Emax", "ED50"]]},
    "outcome": {"distribution": "normal", "mean": "E0 + Emax * dose / (ED50 + dose)", "sd": "b * mean"},
}
HILL = EMAX | {
    "outcome": EMAX["outcome"] | {"mean": f"E0 + where(dose > 0, {SIGMOID.format(top='Emax')}, 0)"},
    "parameters": {"gamma": "positive"},
}
IMAX: dict[str, Any] = BASE | {
    "columns": ["dose", "group"],
    "individual": {
        "E0": "lognormal(E0_pop, omega_E0)",
        "ED50": "lognormal(ED50_pop * exp(beta * group), omega_ED50)",
    },
    "outcome": {"distribution": "normal", "mean": f"E0 * (1 - where(dose > 0, {SIGMOID.format(top='Imax')}, 0))"},
    "parameters": {"gamma": "positive", "beta": "real"},
}
RESIDUALS = {"Add": "a", "Prop": "b * mean", "Comb": "sqrt(a**2 + (b * mean)**2)"}

TRUE_EMAX = {
    **{"E0_pop": 5.0, "Emax_pop": 30.0, "ED50_pop": 500.0, "b": 0.1},
    **{"omega_E0": 0.3, "omega_Emax": 0.7, "omega_ED50": 0.7, "corr_Emax_ED50": 0.5},
}
TRUE_IMAX = {
    **{"E0_pop": 100.0, "Imax": 0.7, "ED50_pop": 500.0, "gamma": 2.0, "beta": -0.5, "a": 5.0, "b": 0.2},
    **{"omega_E0": 0.1, "omega_ED50": 0.3},
}
FAR_EMAX = {
    **{"E0_pop": 3.0, "Emax_pop": 60.0, "ED50_pop": 250.0, "gamma": 1.5, "b": 0.5},
    **{"omega_E0": 1.0, "omega_Emax": 1.0, "omega_ED50": 1.0, "corr_Emax_ED50": 0.0},
}
FAR_IMAX = {
    **{"E0_pop": 60.0, "Imax": 0.4, "ED50_pop": 250.0, "gamma": 1.0, "beta": 0.0, "a": 15.0, "b": 0.5},
    **{"omega_E0": 1.0, "omega_ED50": 1.0},
}


@dataclass(frozen=True)
class Scenario:
    """A model with its truth and a far start, and a table of its design.

    Attributes
    ----------
    model : saem.Model
    truth, far : mapping of str to float
        Of all parameters.
    design : DataFrame
        Of columns id, dose and, for Imax, group.
    limit : float
        What a deficit should be below.
    """

    model: saem.Model
    truth: Mapping[str, float]
    far: Mapping[str, float]
    design: pd.DataFrame
    limit: float


@cache
def scenarios() -> dict[str, Scenario]:
    """The scenarios by name, as the suite has them."""
    found = {}
    doses, halves = (0, 100, 300, 1000), tuple(product((0, 100), (1000, 300)))
    for kind, content, gamma in (("emax", EMAX, {}), ("hill", HILL, {"gamma": 3.0})):
        truth = TRUE_EMAX | gamma
        far = {name: FAR_EMAX[name] for name in truth}
        for data, design in (("Rich", design_of([doses] * 100)), ("Sparse", design_of(sorted(halves * 50)))):
            found[f"{kind}{data}Prop"] = Scenario(saem.Model(**content), truth, far, design, LIMITS[data])
    design = design_of([(0, 200, 400, 500, 700, 1000)] * 100)
    design["group"] = (design["id"] > 50).astype(float)
    for law, sd in RESIDUALS.items():
        model = saem.Model(**IMAX | {"outcome": IMAX["outcome"] | {"sd": sd}})
        absent = {"Add": "b", "Prop": "a"}.get(law)
        truth, far = ({name: x for name, x in of.items() if name != absent} for of in (TRUE_IMAX, FAR_IMAX))
        found[f"imaxRich{law}"] = Scenario(model, truth, far, design, LIMITS["Rich"])
    return found


def design_of(doses: list[tuple[int, ...]]) -> pd.DataFrame:
    """A row for each dose of each subject."""
    rows = [(subject, float(dose)) for subject, own in enumerate(doses, start=1) for dose in own]
    return pd.DataFrame(rows, columns=["id", "dose"])


def scenario_of(name: object) -> Scenario:
    """A scenario by its name.

    Raises
    ------
    SaemError
        When there is none.
    """
    known = scenarios()
    if name not in known:
        raise SaemError(f"there is no scenario {name!r}{nearest(str(name), known)}; there are {listing(list(known))}")
    return known[str(name)]


def every_truth(scenario: Scenario) -> dict[str, float]:
    """The true value of every estimand of the studies; nan where the model lacks it."""
    return dict.fromkeys((*TRUE_EMAX, *TRUE_IMAX, DEFICIT, SECONDS), NOTHING) | dict(scenario.truth)


def started(scenario: Scenario, start: str) -> saem.Model:
    """The model with a start: "default", "truth" or "far"."""
    starts: dict[str, Mapping[str, float]] = {"default": {}, "truth": scenario.truth, "far": scenario.far}
    return scenario.model.replace(start=dict(starts[start]))


_LAST: dict[str, Maximum] = {}  # of the table that methods were last compared on


def maximum_of(scenario: Scenario, table: pd.DataFrame) -> Maximum:
    """The exact maximum, found from the truth; of the same table once."""
    content = pd.util.hash_pandas_object(table).to_numpy().tobytes() + repr(scenario.model).encode()
    key = hashlib.sha256(content).hexdigest()
    if key not in _LAST:
        found = Maximum(started(scenario, "truth"), table)
        _LAST.clear()
        _LAST[key] = found
    return _LAST[key]


def fitted(scenario: Scenario, table: pd.DataFrame, options: Mapping[str, Any], seed: int) -> Outcome:
    """The outcome of a method of saem on a table, with its deficit, and its seconds of processor time.

    "ml" from the truth is the exact maximum itself; an ``mcse`` is the target of SAEM.
    """
    start, method = options.get("start", "default"), options["method"]
    if "mcse" in options:
        method = SAEM(target=saem.Target(mcse=options["mcse"]))
    if (options["method"], start) == ("ml", "truth"):
        _LAST.clear()
        top = maximum_of(scenario, table)
        return completed(Outcome.of(top.fit), NOTHING, NOTHING, top.seconds)
    began = time.process_time()
    fit = saem.fit(started(scenario, start), table, method, seed)
    seconds = time.process_time() - began
    values = dict(zip(fit.parameters.names, fit.values.tolist(), strict=True))
    return completed(Outcome.of(fit), *maximum_of(scenario, table).deficit(values), seconds)


def completed(outcome: Outcome, deficit: float, error: float, seconds: float) -> Outcome:
    """An outcome with the estimands that are no parameters, and nan for parameters that the model lacks."""
    numbers = dict.fromkeys((*TRUE_EMAX, *TRUE_IMAX), (NOTHING,) * 5) | dict(outcome.numbers)
    numbers[DEFICIT] = (deficit, NOTHING, NOTHING, NOTHING, error)
    numbers[SECONDS] = (seconds, NOTHING, NOTHING, NOTHING, NOTHING)
    return replace(outcome, numbers=numbers)


def performance(rows: pd.DataFrame) -> pd.DataFrame:
    """Measures of the deficit and of the seconds: `middle`, `upper` (95 % quantile), and `within`.

    The last is the share of deficits below the limit of the scenario, of all fits; one that failed is not within. The
    error of the quantiles is not told.
    """
    found = []
    own = rows[rows["estimand"].isin([DEFICIT, SECONDS])]
    for (cell, method, estimand), fits in own.groupby(["cell", "method", "estimand"], observed=True, sort=False):
        values = fits["estimate"][fits["status"].isin(COUNTED)].dropna()
        if not len(values):
            continue
        for measure, value in (("middle", values.median()), ("upper", values.quantile(0.95))):
            found.append([cell, method, estimand, measure, float(value), NOTHING, len(values)])
        if estimand == DEFICIT:
            limit = next(limit for kind, limit in LIMITS.items() if kind in str(cell))
            share, n = float((values < limit).sum()) / len(fits), len(fits)
            found.append([cell, method, estimand, "within", share, math.sqrt(share * (1.0 - share) / n), n])
    return pd.DataFrame(found, columns=["cell", "method", "estimand", "measure", "value", "mcse", "n"])
