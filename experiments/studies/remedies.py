"""The functions of the study `remedies`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

import saem
from saem.algorithms.annealed_saem import AnnealedSAEM
from saem.fitting.fit import Algorithm
from saem.schedules import RobbinsMonroSchedule, draws_for

from ..harness.study.cells import Cell
from ..harness.study.functions import Outcome
from .headline import generate, model, performance, truth
from .peptide import TREATMENTS
from .uncentred import SCHEDULE, uncentred

__all__ = ["estimate", "generate", "performance", "truth"]

ENOUGH = 50  # clusters in an iteration, below which saemix draws several times
LATENT = SCHEDULE.latent
ONCE = saem.Target(max_iterations=0)
BURN_IN, SMOOTHING = 300, 100  # of saemix 3, as the annealing: half of the burn-in, a factor of 0.97 a variance
ANNEALING, FACTOR = 150, 0.97


def algorithm(schedule: str, replicates: int) -> Algorithm:
    """SAEM by a schedule that a method names, gone through once."""
    clusters = len(TREATMENTS) * replicates  # each has one random effect
    several = math.ceil(ENOUGH / clusters)
    if schedule == "programs":
        steps = RobbinsMonroSchedule(BURN_IN, SMOOTHING, 1.0, draws=several)
        return AnnealedSAEM(
            schedule=steps,
            target=ONCE,
            search=False,
            tau=FACTOR,
            annealing=ANNEALING,
            inflation=1.0,
            augmentation="uncentred",
        )
    if schedule in ("averaged", "once"):
        return uncentred(replace(SCHEDULE, draws=1 if schedule == "averaged" else None), target=ONCE, search=False)
    draws = {"textbook": 1, "several": several, "many": draws_for(clusters, LATENT)}[schedule]
    return uncentred(RobbinsMonroSchedule(500, 500, 1.0, draws=draws), target=ONCE, search=False)


def estimate(data: pd.DataFrame, cell: Cell, options: Mapping[str, Any], seed: int) -> Outcome:
    """Fit by direct maximum likelihood, or go through a schedule once."""
    schedule = str(options["schedule"])
    method = "ml" if schedule == "none" else algorithm(schedule, int(cell["replicates"]))
    return Outcome.of(saem.fit(model(), data, method, seed))
