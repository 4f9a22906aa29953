"""SAEM with uncentred random effects and 1300 iterations: the schedule of the studies of step sizes, and of the paper.

The default of `saem` is shorter, and centres random effects where that leaves less information missing. What step sizes
do to a variance or to a slow direction is studied on plain random effects, as other programs draw them.
"""

from __future__ import annotations

from typing import Any

from saem.algorithms.saem import SAEM
from saem.schedules import AveragedSchedule, Schedule

SCHEDULE = AveragedSchedule(burn_in=200, iterations=1100, transient=100, latent=600)


def uncentred(schedule: Schedule = SCHEDULE, **settings: Any) -> SAEM:
    """SAEM with a schedule, on uncentred random effects."""
    return SAEM(schedule=schedule, augmentation="uncentred", **settings)
