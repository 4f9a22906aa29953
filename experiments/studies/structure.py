"""The functions of the study `structure`: models with more structure than clusters, each with a constraint."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

import saem

from ..harness.study.cells import Cell
from ..harness.study.functions import Outcome

CROSSED = """
response = "y"
[mean]
mu_old = "kind == 'old'"
mu_new = "kind == 'new'"
[random.sample]
cluster = "sample"
by = "kind"
sd = { old = "sd_old", new = "sd_new" }
[random.plate]
cluster = "plate"
[residual]
sd = "sigma"
[constraints]
equal_means = "mu_old + sd_old**2 / 2 == mu_new + sd_new**2 / 2"
"""
NESTED = """
response = "y"
[mean]
mu = "1"
slope = "time"
[random.batch]
cluster = "batch"
[random.cask]
cluster = ["batch", "cask"]
[residual]
sd = "sigma"
[constraints]
constant_share = "sd_cask == mu / 10"
"""
OCCASIONS = """
family = "nonlinear"
response = "y"
cluster = "subject"
occasion = "visit"
columns = ["time"]
[individual]
V  = "lognormal(V_pop, omega_V)"
CL = "lognormal(CL_pop, omega_CL, occasion_sd=gamma_CL)"
[outcome]
distribution = "lognormal"
median = "100 / V * exp(-CL / V * time)"
sd = "a"
[constraints]
known_mean = "log(CL_pop) + (omega_CL**2 + gamma_CL**2) / 2 == log(4)"
"""
SERIAL = """
response = "y"
cluster = "subject"
[mean]
mu = "1"
slope = "time"
[random]
sd = "omega"
[residual]
sd = "sigma"
correlation = "ar1(phi)"
[constraints]
share = "omega == mu / 5"
"""
VARIANCE = """
response = "y"
cluster = "subject"
[mean]
mu = "1"
slope = "time"
[random]
sd = "omega"
[residual]
sd = "sigma * abs(population_mean)**delta"
[constraints]
share = "omega == mu / 5"
"""


@dataclass(frozen=True)
class Scene:
    """A model, its true parameters, and the rows of its tables."""

    model: saem.Model
    truth: Mapping[str, float]
    rows: pd.DataFrame


@cache
def scene_of(name: str) -> Scene:
    """The scene of a name."""
    text, truth, rows = {"crossed": _crossed, "nested": _nested, "occasions": _occasions, "serial": _serial}.get(
        name, _variance
    )()
    return Scene(saem.Model.from_text(text), truth, rows)


def _crossed() -> tuple[str, dict[str, float], pd.DataFrame]:
    """Every sample on four of ten plates."""
    truth = {"mu_old": 3.0, "sd_old": 0.3, "sd_new": 0.7, "sd_plate": 0.2, "sigma": 0.15}
    truth["mu_new"] = truth["mu_old"] + (truth["sd_old"] ** 2 - truth["sd_new"] ** 2) / 2.0
    rng = np.random.default_rng(1)
    places = [(k, i, p) for k, i in product(("old", "new"), range(25)) for p in rng.choice(10, 4, replace=False)]
    rows = pd.DataFrame(places, columns=["kind", "number", "plate"])
    return CROSSED, truth, rows.assign(sample=rows["kind"] + rows["number"].astype(str))


def _nested() -> tuple[str, dict[str, float], pd.DataFrame]:
    """Two to four casks of every batch, each seen three times."""
    truth = {"mu": 10.0, "slope": 0.5, "sd_batch": 1.5, "sd_cask": 1.0, "sigma": 0.8}
    places = [(b, c, float(t)) for b in range(30) for c in range(2 + b % 3) for t in range(3)]
    return NESTED, truth, pd.DataFrame(places, columns=["batch", "cask", "time"])


def _occasions() -> tuple[str, dict[str, float], pd.DataFrame]:
    """Two visits, every third subject three, of four concentrations."""
    truth = {"V_pop": 20.0, "omega_V": 0.2, "omega_CL": 0.3, "gamma_CL": 0.2, "a": 0.15}
    truth["CL_pop"] = 4.0 * math.exp(-(truth["omega_CL"] ** 2 + truth["gamma_CL"] ** 2) / 2.0)
    places = [(i, v, t) for i in range(60) for v in range(2 + (i % 3 == 0)) for t in (0.5, 2.0, 4.0, 8.0)]
    return OCCASIONS, truth, pd.DataFrame(places, columns=["subject", "visit", "time"])


def _serial() -> tuple[str, dict[str, float], pd.DataFrame]:
    """Ten times each."""
    truth = {"mu": 10.0, "slope": 0.3, "omega": 2.0, "sigma": 1.0, "phi": 0.6}
    return SERIAL, truth, pd.DataFrame(list(product(range(40), map(float, range(10)))), columns=["subject", "time"])


def _variance() -> tuple[str, dict[str, float], pd.DataFrame]:
    """Ten times each."""
    truth = {"mu": 10.0, "slope": 2.0, "omega": 2.0, "sigma": 0.1, "delta": 1.0}
    return VARIANCE, truth, pd.DataFrame(list(product(range(40), map(float, range(10)))), columns=["subject", "time"])


def truth(cell: Cell) -> Mapping[str, float]:
    """The parameters of the cell's model; those of the others have no value."""
    names = ("crossed", "nested", "occasions", "serial", "variance")
    from_all = dict.fromkeys((name for other in names for name in scene_of(other).truth), math.nan)
    return from_all | dict(scene_of(str(cell["model"])).truth)


def generate(cell: Cell, seed: int) -> pd.DataFrame:
    """A table of the cell."""
    scene = scene_of(str(cell["model"]))
    return saem.simulate(scene.model, dict(scene.truth), scene.rows, seed)


def estimate(data: pd.DataFrame, cell: Cell, options: Mapping[str, Any], seed: int) -> Outcome:
    """Fit."""
    outcome = Outcome.of(saem.fit(scene_of(str(cell["model"])).model, data, options["method"], seed))
    numbers = dict.fromkeys(truth(cell), (math.nan,) * 5) | dict(outcome.numbers)
    return Outcome(numbers, outcome.status, outcome.loglik, outcome.draws, outcome.iterations, outcome.message)
