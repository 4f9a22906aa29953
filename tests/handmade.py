"""A fit made by hand, for the tests of what is done with a fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from parameterkinds import domains_of

from saem.families import Model
from saem.fitting.result import Fit
from saem.specification.parameters import Parameters
from saem.stopping import Status

NAMES = ("mu", "c2", "alpha2", "b21", "sigma1", "sigma2", "rho", "sigma")
KINDS = ("mean", "mean", "mean", "mean", "sd", "sd", "corr", "sd")


def handmade_model(**changes: Any) -> Model:
    """A small model with one constraint and one fixed parameter."""
    content: dict[str, Any] = {
        "response": "y",
        "cluster": ("treatment", "replicate"),
        "mean": {
            "mu": "1",
            "c2": "treatment == 'CCCP'",
            "alpha2": "modification == 'modified'",
            "b21": "treatment == 'CCCP' and modification == 'unmodified'",
        },
        "random": {"by": "treatment", "sd": {"Ctrl": "sigma1", "CCCP": "sigma2"}},
        "residual": {"sd": "sigma"},
        "constraints": {"g": "c2 == sigma2**2 - sigma1**2"},
        "fixed": {"b21": 0.0},
    }
    return Model(**(content | changes))


def handmade_fit(**changes: Any) -> Fit:
    """A fit with a fixed mean and the SD sigma1 at the boundary."""
    n, n_clusters, rng = len(NAMES), 6, np.random.default_rng(1)
    fixed = np.array([name == "b21" for name in NAMES])
    covariance = np.diag([0.04, 0.01, 0.09, 0.0, np.nan, 0.0025, 0.01, 0.0004])
    covariance[0, 1] = covariance[1, 0] = 0.005
    covariance[4, :] = covariance[:, 4] = np.nan
    values = np.array([10.0, 0.49, -1.0, 0.0, 0.0, 0.7, 0.5, 0.3])
    content: dict[str, Any] = {
        "model": handmade_model(),
        "method": "saem",
        "parameters": Parameters(NAMES, domains_of(KINDS), fixed, np.where(fixed, 0.0, np.nan)),
        "values": values,
        "covariance": covariance,
        "mcse": np.array([0.001, 0.002, 0.0, 0.0, 0.0, 0.0005, 0.001, 0.0001]),
        "loglik": -123.4567891234567,
        "n_rows": 12,
        "n_clusters": n_clusters,
        "n_free": 5,
        "status": Status.BOUNDARY,
        "message": "sigma1 is zero.",
        "at_boundary": ("sigma1",),
        "constraint_names": ("g",),
        "constraint_residuals": np.array([1.2e-16]),
        "multipliers": np.array([-2.5]),
        "path": values + rng.normal(size=(101, n)) / np.arange(1, 102)[:, None],
        "burn_in": 30,
        "averaging_from": 60,
        "solutions": values[None, :],
        "solution_logliks": np.array([-123.4567891234567]),
        "random_effects": rng.normal(size=(n_clusters, 1)),
        "random_effect_sds": np.full((n_clusters, 1), 0.2),
        "cluster_labels": pd.DataFrame({"treatment": ["Ctrl"] * 3 + ["CCCP"] * 3, "replicate": [1, 2, 3, 1, 2, 3]}),
        "term_names": ("intercept",),
        "seed": 7,
        "seconds": 0.0123,
        "warnings": ("rows 3 and 4 are the same",),
        "provenance": {"saem": "0.1.0", "model": "0123456789abcdef"},
        "gradient_norm": 1e-9,
        "cluster_group": np.array([0, 0, 0, 1, 1, 1]),
        "group_levels": ("Ctrl", "CCCP"),
    }
    return Fit(**(content | changes))


def storable_fit(**changes: Any) -> Fit:
    """The same without the correlation, which its model does not have: `saem.load` takes no other parameters."""
    fit = handmade_fit()
    kept = np.array([name != "rho" for name in NAMES])
    own = {
        "parameters": Parameters(
            tuple(name for name in NAMES if name != "rho"),
            domains_of([kind for kind in KINDS if kind != "corr"]),
            fit.parameters.fixed[kept],
            fit.parameters.fixed_values[kept],
        ),
        "drawn": 606,
        "covariance": fit.covariance[np.ix_(kept, kept)],
        **{name: getattr(fit, name)[..., kept] for name in ("values", "mcse", "path", "solutions")},
    }
    return handmade_fit(**(own | changes))
