"""The functions of the study `intervals`: nonlinear models, one with means tied to variances, one of binary data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import pandas as pd

import saem
from saem import recipes

from ..harness.study.cells import Cell
from ..harness.study.functions import Outcome

ORAL = """
family = "nonlinear"
response = "y"
cluster = "subject"
columns = ["time"]
[individual]
ka = "lognormal(ka_pop, omega_ka)"
V  = "lognormal(V_pop, omega_V)"
CL = "lognormal(CL_pop, omega_CL)"
[outcome]
distribution = "normal"
mean = "320 * ka / (V * ka - CL) * (exp(-CL / V * time) - exp(-ka * time))"
sd = "a"
"""
BINARY = """
family = "nonlinear"
response = "y"
cluster = "subject"
columns = ["time", "treated"]
[individual]
b = "normal(b0, omega)"
[outcome]
distribution = "bernoulli"
probability = "expit(b + effect * treated + slope * time)"
"""


@dataclass(frozen=True)
class Scene:
    """A model, its true parameters, and the times at which each subject is seen."""

    model: saem.Model
    truth: Mapping[str, float]
    times: tuple[float, ...]


def tied() -> dict[str, float]:
    """Parameters of the recipe of equal mean clearances; CL_ill follows from the others."""
    x = {"V_pop": 20.0, "CL_control": 3.0, "omega_V": 0.2, "omega_control": 0.25, "omega_ill": 0.6, "a": 0.15}
    return x | {"CL_ill": x["CL_control"] * math.exp((x["omega_control"] ** 2 - x["omega_ill"] ** 2) / 2.0)}


@cache
def scene_of(name: str) -> Scene:
    """The scene of a name."""
    if name == "oral":
        truth = {"ka_pop": 1.6, "V_pop": 32.0, "CL_pop": 2.8, "omega_ka": 0.6, "omega_V": 0.15, "omega_CL": 0.25}
        return Scene(saem.Model.from_text(ORAL), truth | {"a": 0.7}, (0.3, 0.6, 1.0, 2.0, 4.0, 8.0, 12.0, 24.0))
    if name == "tie":
        text = recipes.text("clearance_equal_means").replace('"concentration"', '"y"')
        return Scene(saem.Model.from_text(text), tied(), (0.5, 1.0, 3.0, 6.0, 12.0))
    truth = {"b0": -1.0, "effect": 0.8, "slope": 0.15, "omega": 1.2}
    return Scene(saem.Model.from_text(BINARY), truth, tuple(map(float, range(10))))


def truth(cell: Cell) -> Mapping[str, float]:
    """The parameters of the cell's model; those of the others have no value."""
    from_all = dict.fromkeys((name for other in ("oral", "tie", "binary") for name in scene_of(other).truth), math.nan)
    return from_all | dict(scene_of(str(cell["model"])).truth)


def generate(cell: Cell, seed: int) -> pd.DataFrame:
    """A table of the cell."""
    scene = scene_of(str(cell["model"]))
    return saem.simulate(scene.model, dict(scene.truth), design_of(scene, cell), seed)


def design_of(scene: Scene, cell: Cell) -> pd.DataFrame:
    """The rows of a cell; every second subject is ill, or treated."""
    rows = pd.DataFrame(list(product(range(int(cell["subjects"])), scene.times)), columns=["subject", "time"])
    is_second = rows["subject"] % 2 == 1
    group = is_second.map({True: "ill", False: "control"})
    return rows.assign(group=group, treated=is_second.astype(float), dose=100.0)


def estimate(data: pd.DataFrame, cell: Cell, options: Mapping[str, Any], seed: int) -> Outcome:
    """Fit, and give Wald intervals or those by profiles."""
    fit = saem.fit(scene_of(str(cell["model"])).model, data, options["method"], seed)
    outcome = Outcome.of(fit)
    numbers = dict.fromkeys(truth(cell), (math.nan,) * 5) | dict(outcome.numbers)
    if options.get("profile"):
        table = saem.profile(fit).intervals
        for name, lower, upper in zip(table.index, table["lower"], table["upper"], strict=True):
            estimate, se, *_ = numbers[name]
            numbers[name] = (estimate, se, float(lower), float(upper), math.nan)
    return Outcome(numbers, outcome.status, outcome.loglik, outcome.draws, outcome.iterations, outcome.message)
