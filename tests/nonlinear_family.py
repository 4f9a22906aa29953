"""Examples of nonlinear mixed models, each from a model and a small simulated table, and their likelihood written out.

What is written out knows nothing of the compiled code: the trees of a model are evaluated row by row with NumPy, and
the density of the random effects is SciPy's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import multivariate_normal
from tree_values import value

import saem
from saem.estep.samplers import drawing_of
from saem.families import arrange, pose
from saem.families.contract import accumulate, complete
from saem.families.nonlinear import problem  # noqa: F401 - registers the compiled functions
from saem.families.nonlinear.arrays import NonlinearArrays
from saem.families.nonlinear.data import NonlinearData
from saem.families.problem import Problem
from saem.system.jit import entry


@dataclass(frozen=True, eq=False)
class Example:
    """A model with its table, and what is made of them."""

    model: saem.Model
    table: pd.DataFrame
    data: NonlinearData
    problem: Problem

    @property
    def arrays(self) -> NonlinearArrays:
        """Those of the density; nothing is centred."""
        return self.problem.clusters.joint()

    @property
    def x(self) -> np.ndarray:
        """Parameters (n,) to look at: the model's start."""
        return self.problem.starts.first

    def placed(self, *centred: bool) -> NonlinearArrays:
        """The arrays for a placement; all centred without one."""
        count = self.arrays.sd_index.shape[1]
        return self.problem.latent.augmentation.arrays(np.array(centred or [True] * count, dtype=bool))

    def centres(self, x: np.ndarray) -> np.ndarray:
        """The centres (C, d) of the coordinates."""
        names, first = self.data.parameters.names, np.unique(self.data.cluster, return_index=True)[1]
        at = dict(zip(names, x, strict=True)) | {
            name: np.asarray(values)[first] for name, values in texts(self.data).items()
        }
        found = np.zeros((len(first), len(self.data.structure.effects)))
        for j, effect in enumerate(self.data.structure.effects):
            for a, b in effect.centre:
                found[:, j] += value(a, at) * value(b, at)
        return found

    def covariances(self, x: np.ndarray) -> np.ndarray:
        """Of the random effects (C, d, d)."""
        structure, found = self.data.structure, []
        for sd, corr in zip(structure.sd_index, structure.corr_index, strict=True):
            correlation = np.where(corr >= 0, x[corr], 0.0) + np.eye(len(sd))
            found.append(np.outer(x[sd], x[sd]) * correlation)
        return np.array(found)[self.data.cluster_group]

    def rows(self, x: np.ndarray, z: np.ndarray) -> np.ndarray:
        """The log-density (C,) of the rows of each cluster at coordinates (C, d)."""
        structure, cluster = self.data.structure, self.data.cluster
        at: dict[str, Any] = dict(zip(self.data.parameters.names, x, strict=True)) | texts(self.data)
        at |= {f"z.{effect.name}": z[cluster, j] for j, effect in enumerate(structure.effects)}
        density = np.broadcast_to(value(structure.log_density, at), len(cluster))
        return np.bincount(cluster, density, minlength=len(self.data.cluster_group))

    def effects(self, x: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """The log-density (C,) of random effects (C, d)."""
        found, zero = np.zeros(len(theta)), np.zeros(theta.shape[1])
        covariances = self.covariances(x)
        for g in range(len(self.data.group_levels) if theta.shape[1] else 0):
            own = self.data.cluster_group == g
            found[own] = multivariate_normal.logpdf(theta[own], zero, covariances[own][0])
        return found

    def log_complete(self, x: np.ndarray, latent: np.ndarray, centred: np.ndarray) -> np.ndarray:
        """``log p(y_c, latent_c; x)`` (C,); ``latent`` (C, d) are coordinates where centred, else random effects."""
        centres = self.centres(x)
        theta = np.where(centred, latent - centres, latent)
        return self.rows(x, centres + theta) + self.effects(x, theta)


def texts(data: NonlinearData) -> dict[str, np.ndarray]:
    """Columns as arrays, those of text too."""
    return {
        name: np.asarray(values.levels)[values.codes] if hasattr(values, "codes") else np.asarray(values)
        for name, values in data.columns.items()
    }


def made(model: dict[str, Any], table: pd.DataFrame) -> Example:
    """The example of a model, whose latent data are drawn by the kernels for any family."""
    return posed(saem.Model(family="nonlinear", cluster="id", **model), table)


def posed(model: saem.Model, table: pd.DataFrame) -> Example:
    """The same for a model that is there."""
    data = arrange(model, table)
    found = pose(model, data)
    assert isinstance(data, NonlinearData)
    return Example(model, table, data, replace(found, arrays=drawing_of(found)))


@cache
def absorption(**changes: Any) -> Example:
    """Three correlated log-normal parameters, a covariate in a centre, and a residual scale that factors out."""
    rng = np.random.default_rng(11)
    table = pd.DataFrame({"id": np.repeat(np.arange(8), 5), "time": np.tile([0.5, 1.0, 2.0, 5.0, 12.0], 8)})
    weight = rng.uniform(55.0, 85.0, 8)
    ka = np.exp(np.log(1.4) + 0.4 * rng.standard_normal(8))
    v = np.exp(np.log(30.0) + 0.2 * rng.standard_normal(8))
    cl = np.exp(np.log(3.0) + 0.6 * np.log(weight / 70.0) + 0.3 * rng.standard_normal(8))
    table["weight"] = weight[table["id"]]
    i, t = table["id"].to_numpy(), table["time"].to_numpy()
    curve = 300.0 * ka[i] / (v[i] * ka[i] - cl[i]) * (np.exp(-cl[i] / v[i] * t) - np.exp(-ka[i] * t))
    table["y"] = curve + 0.5 * rng.standard_normal(40)
    model = {
        "response": "y",
        "columns": ["time", "weight"],
        "individual": {
            "ka": "lognormal(ka_pop, omega_ka)",
            "V": "lognormal(V_pop, omega_V)",
            "CL": "lognormal(CL_pop * (weight / 70)**beta, omega_CL)",
        },
        "random": {"correlated": [["V", "CL"]]},
        "outcome": {
            "distribution": "normal",
            "mean": "300 * ka / (V * ka - CL) * (exp(-CL / V * time) - exp(-ka * time))",
            "sd": "a",
        },
        "start": {
            **{"ka_pop": 1.5, "V_pop": 31.0, "CL_pop": 2.8, "beta": 0.5, "a": 0.6},
            **{"omega_ka": 0.4, "omega_V": 0.25, "omega_CL": 0.3, "corr_V_CL": 0.2},
        },
    }
    return made(model | changes, table)


@cache
def saturation() -> Example:
    """Combined error, a parameter without a random effect, an exponent, and a share between bounds."""
    rng = np.random.default_rng(12)
    table = pd.DataFrame({"id": np.repeat(np.arange(9), 5), "dose": np.tile([0.0, 1.0, 3.0, 10.0, 30.0], 9)})
    base = np.exp(np.log(5.0) + 0.3 * rng.standard_normal(9))
    half = np.exp(np.log(4.0) + 0.4 * rng.standard_normal(9))
    i, dose = table["id"].to_numpy(), table["dose"].to_numpy()
    mean = base[i] + 20.0 * dose**1.3 / (half[i] ** 1.3 + dose**1.3)
    table["y"] = mean + np.hypot(0.4, 0.08 * mean) * rng.standard_normal(45)
    model = {
        "response": "y",
        "columns": ["dose"],
        "individual": {
            "E0": "lognormal(E0_pop, omega_E0)",
            "ED50": "lognormal(ED50_pop, omega_ED50)",
            "Emax": "Emax_pop",
        },
        "outcome": {
            "distribution": "normal",
            "mean": "E0 + scale * Emax * where(dose > 0, dose**gamma / (ED50**gamma + dose**gamma), 0)",
            "sd": "sqrt(a**2 + (b * mean)**2)",
        },
        "parameters": {"gamma": "positive", "Emax_pop": "real", "scale": "interval(0.2, 2)"},
        "fixed": {"scale": 1.0},
        "start": {
            **{"E0_pop": 5.2, "ED50_pop": 3.8, "Emax_pop": 19.0, "gamma": 1.2, "a": 0.5, "b": 0.1},
            **{"omega_E0": 0.3, "omega_ED50": 0.4},
        },
    }
    return made(model, table)


@cache
def counts(**constraints: str) -> Example:
    """Poisson counts with a log-normal rate, whose spread depends on the group; a covariate in the outcome."""
    rng = np.random.default_rng(13)
    table = pd.DataFrame({"id": np.repeat(np.arange(12), 4), "x": np.tile([-1.0, 0.0, 0.5, 1.0], 12)})
    table["group"] = np.where(table["id"] % 2 == 0, "control", "ill")
    own = np.where(np.arange(12) % 2 == 0, 1.1, 0.9) + np.where(np.arange(12) % 2 == 0, 0.4, 0.8) * rng.normal(size=12)
    table["y"] = rng.poisson(np.exp(own[table["id"]] + 0.4 * table["x"]))
    model = {
        "response": "y",
        "columns": ["x", "group"],
        "individual": {"eta": "normal(where(group == 'ill', m_ill, m_control), omega)"},
        "random": {"by": "group", "sd": {"omega": {"control": "omega_control", "ill": "omega_ill"}}},
        "outcome": {"distribution": "poisson", "rate": "exp(eta + beta * x)"},
        "constraints": constraints,
        "start": {"m_control": 1.0, "m_ill": 0.9, "beta": 0.3, "omega_control": 0.45, "omega_ill": 0.7},
    }
    return made(model, table)


@cache
def trial() -> Example:
    """Bernoulli outcomes: one centre has a covariate that varies within clusters, so that it stands in the rows."""
    rng = np.random.default_rng(14)
    table = pd.DataFrame(
        {"id": np.repeat(np.arange(15), 6), "x": rng.normal(size=90), "t": np.tile(np.arange(6.0), 15)}
    )
    own, slope = rng.normal(size=15), 0.2 * rng.normal(size=15)
    i = table["id"].to_numpy()
    eta = 0.3 + own[i] + 0.8 * table["x"] + (0.2 + slope[i]) * table["t"]
    table["y"] = rng.binomial(1, expit(eta))
    model = {
        "response": "y",
        "columns": ["x", "t"],
        "individual": {"u": "normal(b0 + b1 * x, s0)", "slope": "normal(b2, s1)"},
        "random": {"correlated": [["u", "slope"]]},
        "outcome": {"distribution": "bernoulli", "probability": "expit(u + slope * t)"},
        "start": {"b0": 0.4, "b1": 0.6, "b2": 0.15, "s0": 0.9, "s1": 0.25, "corr_u_slope": 0.1},
    }
    return made(model, table)


@cache
def curve() -> Example:
    """No random effects at all."""
    rng = np.random.default_rng(15)
    table = pd.DataFrame({"id": np.repeat(np.arange(5), 4), "t": np.tile([0.0, 1.0, 2.0, 4.0], 5)})
    table["y"] = 6.0 * np.exp(-0.5 * table["t"]) + 0.3 * rng.normal(size=20)
    model = {
        "response": "y",
        "columns": ["t"],
        "outcome": {"distribution": "normal", "mean": "top * exp(-rate * t)", "sd": "a"},
        "parameters": {"rate": "positive"},
        "start": {"top": 5.5, "rate": 0.45, "a": 0.35},
    }
    return made(model, table)


TIE = "m_control + omega_control**2 / 2 == m_ill + omega_ill**2 / 2"
EXAMPLES = {"absorption": absorption, "saturation": saturation, "counts": counts, "trial": trial, "curve": curve}


@cache
def problems() -> dict[str, Problem]:
    """Examples, for the checks that every family is held to."""
    return {"saturation": saturation().problem, "tied counts": counts(tie=TIE).problem}


# The contract, called from Python


@entry
def reduce_all(arrays: Any, x: np.ndarray, effects: np.ndarray, statistics: np.ndarray) -> None:
    """Add the mean of the statistics over draws ``u`` (C, m, d)."""
    for cluster in range(effects.shape[0]):
        accumulate(arrays, x, cluster, effects[cluster], 1.0 / effects.shape[1], statistics)


@entry
def evaluate_complete(
    arrays: Any, statistics: np.ndarray, x: np.ndarray, gradient: np.ndarray, hessian: np.ndarray
) -> float:
    """`contract.complete`."""
    return complete(arrays, statistics, x, gradient, hessian)


def n_statistics(example: Example) -> int:
    """Their number."""
    return example.problem.latent.n_statistics


def statistics_of(example: Example, arrays: NonlinearArrays, x: np.ndarray, effects: np.ndarray) -> np.ndarray:
    """Statistics (s,) of draws (C, m, d) at ``x``."""
    found = np.zeros(n_statistics(example))
    reduce_all(arrays, x, effects, found)
    return found


def completed(arrays: NonlinearArrays, statistics: np.ndarray, x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """The complete-data log-likelihood with gradient and Hessian."""
    n = len(x)
    gradient, hessian = np.full(n, np.nan), np.full((n, n), np.nan)
    return evaluate_complete(arrays, statistics, x, gradient, hessian), gradient, hessian
