"""Examples of the linear family, which together use all of its code, and their dense matrices."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

import saem
from saem import recipes
from saem.families import Model, arrange, pose
from saem.families.linear.data import LinearData
from saem.families.problem import Problem

PEPTIDE = {"mu": 10.0, "alpha2": -1.0, "b21": 0.5, "b22": 1.2, "sigma1": 0.4, "sigma2": 0.7, "sigma": 0.3}


@dataclass(frozen=True, eq=False)
class Example:
    """A model with data simulated from it.

    Attributes
    ----------
    model : Model
    table : DataFrame
    data : LinearData
    problem : Problem
    x : (n,) ndarray
        The parameters of the simulation.
    """

    model: Model
    table: pd.DataFrame
    data: LinearData
    problem: Problem
    x: np.ndarray

    @property
    def residuals(self) -> np.ndarray:
        """Responses (n,), centred as the arrays of the family are."""
        return self.data.response - self.data.mean_design @ self.problem.arrays.beta_reference


def peptide_design(n: int, keep: float = 1.0, seed: int = 0) -> pd.DataFrame:
    """Two treatments, ``n`` replicates of each, two modifications; rows are kept with probability ``keep``."""
    rows = [(t, r, m) for t in ("Ctrl", "CCCP") for r in range(n) for m in ("unmodified", "modified")]
    table = pd.DataFrame(rows, columns=["treatment", "replicate", "modification"])
    return table[np.random.default_rng(seed).random(len(table)) < keep].reset_index(drop=True)


def example_table(replicates: int, seed: int) -> pd.DataFrame:
    """Data of the example of the design notes."""
    return saem.simulate(Model.from_text(recipes.text("peptide")), PEPTIDE, peptide_design(replicates), seed)


def slopes_design() -> pd.DataFrame:
    """14 subjects in two arms, with 2 to 5 visits at times of their own; every third visit by another device."""
    rng = np.random.default_rng(5)
    visits = [(s, s % 2, t) for s in range(14) for t in rng.uniform(0, 2, size=2 + s % 4).round(1)]
    table = pd.DataFrame(visits, columns=["subject", "arm", "time"])
    return table.assign(arm=table["arm"].map({0: "a", 1: "b"}), device=np.where(np.arange(len(table)) % 3, "x", "y"))


def crossed_design() -> pd.DataFrame:
    """20 subjects in two designs of three rows each: patterns with several clusters and two residual groups."""
    rows = [(s, t, "xy"[t == s % 2]) for s in range(20) for t in range(3)]
    return pd.DataFrame(rows, columns=["subject", "time", "device"])


MEAN = {"mu": "1", "slope": "time"}
SLOPES = {"intercept": "1", "slope": "time"}
BY_DEVICE = {"by": "device", "sd": {"x": "sigma_x", "y": "sigma_y"}}


@cache
def examples() -> dict[str, Example]:
    """Examples by name."""
    unconstrained = Model.from_text(recipes.text("peptide_unconstrained"))
    means = {name: value for name, value in PEPTIDE.items() if name != "c2"}
    by_arm = {name: {term: f"sd_{term}_{name}" for term in SLOPES} for name in "ab"}
    correlated = {"mu": 1.0, "slope": 0.3, "sd_intercept": 0.8, "sd_slope": 0.5, "corr_intercept_slope": -0.4}
    grouped = {f"{name}_{arm}": value for name, value in correlated.items() if "_" in name for arm in "ab"}
    grouped |= {"mu": 1.0, "slope": 0.3, "sd_slope_b": 0.9, "corr_intercept_slope_b": 0.6}
    devices = {"sigma_x": 0.4, "sigma_y": 0.9}
    subject = {"response": "y", "cluster": "subject", "mean": MEAN}
    return {
        "balanced": build(Model.from_text(recipes.text("peptide")), PEPTIDE, peptide_design(3)),
        "unbalanced": build(unconstrained, means, peptide_design(6, keep=0.7, seed=2)),
        "shared SD": build(
            Model(**subject, random={"sd": "tau"}, residual=BY_DEVICE | {"sd": {"x": "tau", "y": "sigma"}}),
            {"mu": 1.0, "slope": 0.3, "tau": 0.6, "sigma": 0.4},
            crossed_design(),
        ),
        "two residual groups": build(
            Model(**subject, random={"sd": "sd_intercept"}, residual=BY_DEVICE),
            {"mu": 1.0, "slope": 0.3, "sd_intercept": 0.6} | devices,
            crossed_design(),
        ),
        "correlated slopes": build(
            Model(**subject, random={"terms": SLOPES}), correlated | {"sigma": 0.5}, crossed_design()
        ),
        "slopes by arm and device": build(
            Model(**subject, random={"terms": SLOPES, "by": "arm", "sd": by_arm}, residual=BY_DEVICE),
            grouped | devices,
            slopes_design(),
        ),
        "independent slopes": build(
            Model(**subject, random={"terms": SLOPES, "covariance": "diagonal"}),
            {name: value for name, value in correlated.items() if "corr" not in name} | {"sigma": 0.5},
            slopes_design(),
        ),
    }


def build(model: Model, parameters: dict[str, float], design: pd.DataFrame, seed: int = 1) -> Example:
    """Simulate data and pose the problem."""
    table = saem.simulate(model, parameters, design, seed)
    data = arrange(model, table)
    x = np.array([parameters.get(name, 0.0) for name in data.parameters.names])
    return Example(model, table, data, pose(model, data), x)


def problems() -> dict[str, Problem]:
    """Examples, for the checks that every family is held to."""
    return {name: example.problem for name, example in [*examples().items(), ("prior weights", weighted())]}


def weighted() -> Example:
    """Correlated slopes with prior weights, two residual groups and patterns of several clusters."""
    design = crossed_design()
    model = Model(
        response="y", cluster="subject", mean=MEAN, random={"terms": SLOPES}, residual=BY_DEVICE | {"weights": "w"}
    )
    x = {"mu": 1.0, "slope": 0.3, "sd_intercept": 0.8, "sd_slope": 0.5, "corr_intercept_slope": -0.4}
    rng = np.random.default_rng(6)
    design["w"] = np.where(design["subject"] < 8, 2.0, rng.uniform(0.2, 5.0, len(design)))
    return build(model, x | {"sigma_x": 0.4, "sigma_y": 0.9}, design)


@dataclass(frozen=True, eq=False)
class Dense:
    """The model as matrices that nobody would use, but that are obviously right.

    Attributes
    ----------
    y : (n,) ndarray
        Centred responses.
    z : (n, C * q) ndarray
        Design of all random effects, cluster by cluster.
    omega : (C * q, C * q) ndarray
    noise : (n,) ndarray
        Residual variances.
    mean, covariance : (C * q,) and (C * q, C * q) ndarray
        Of all random effects given the data.
    """

    example: Example
    y: np.ndarray
    z: np.ndarray
    omega: np.ndarray
    noise: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray


def dense(example: Example, x: np.ndarray) -> Dense:
    """All matrices at parameters ``x``."""
    data = example.data
    n, q = data.random_design.shape
    clusters = len(data.cluster_group)
    z = np.zeros((n, clusters * q))
    omega = np.zeros((clusters * q, clusters * q))
    for row, cluster in enumerate(data.cluster):
        z[row, cluster * q : cluster * q + q] = data.random_design[row]
    for cluster, group in enumerate(data.cluster_group):
        sd, index = x[data.sd_index[group]], data.corr_index[group]
        correlation = np.where(index >= 0, x[index], 0.0)
        np.fill_diagonal(correlation, 1.0)
        block = slice(cluster * q, cluster * q + q)
        omega[block, block] = correlation * np.outer(sd, sd)
    noise = x[data.residual_index][data.residual_group] ** 2
    y = example.residuals
    shift = data.mean_design @ (x[data.mean_index] - example.problem.arrays.beta_reference)
    gain = omega @ z.T @ np.linalg.inv(z @ omega @ z.T + np.diag(noise))
    return Dense(example, y, z, omega, noise, gain @ (y - shift), omega - gain @ z @ omega)
