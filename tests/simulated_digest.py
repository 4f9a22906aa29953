"""Digests of the studies of algorithms with invented measures, in full and quick form, for the tests of the paper."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from experiments.harness.commands.options import path_of
from experiments.harness.performance import WHOLE_FIT
from experiments.harness.study import load_study
from paper.digest import Digest, rounded

SHARES = ("collapse_rate", "convergence_rate", "maximum_rate", "wrong_claims", "targets_met", "deficit_met")
SIZES = (
    *("reference_deficit", "median_reference_deficit", "largest_distance", "rms_largest_distance"),
    *("median_seconds", "median_draws", "median_iterations", "median_residual", "mean_memory_mib"),
)
OF_ESTIMANDS = {"mcse_calibration_spread_claimed": 1.0, "mcse_calibration_mean_claimed": 0.0, "rms_distance": 0.1}
REPLICATES = 50


def simulated_digest(name: str, quick: bool = False, seed: int = 0) -> Digest:
    """A digest with the cells, methods and estimands of a study; every measure that any of the studies has."""
    study, rng = load_study(path_of(name), quick), np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for cell in study.design.all():
        for method in study.methods:
            key = {"cell": cell.name, **cell.levels, "method": method}
            for measure in SHARES:
                p = float(rng.binomial(REPLICATES, rng.choice([0.0, 0.3, 1.0])) / REPLICATES)
                error = float(np.sqrt(p * (1.0 - p) / REPLICATES))
                rows.append(key | {"estimand": WHOLE_FIT, "measure": measure, "value": p, "mcse": error})
            for measure in SIZES:
                if method == study.reference and measure in SIZES[:4]:
                    continue
                value = float(10.0 ** rng.normal(-2.0, 1.0))
                error = value * float(rng.uniform(0.05, 0.6))
                rows.append(key | {"estimand": WHOLE_FIT, "measure": measure, "value": value, "mcse": error})
            if method == study.reference:
                continue
            for estimand in study.estimands:
                for measure, ideal in OF_ESTIMANDS.items():
                    value = ideal + float(rng.normal(0.0, 0.02))
                    rows.append(key | {"estimand": estimand, "measure": measure, "value": value, "mcse": 0.02})
    table = pd.DataFrame(rows).assign(n=REPLICATES)
    for column in ("value", "mcse"):
        table[column] = rounded(table[column].to_numpy(float))
    counts = {"replicates": REPLICATES, "cells": len(study.design.all()), "fits": 10_000, "failed": 0}
    return Digest(name, table, counts)
