"""SAEM with uncentred random effects, by the step sizes and draws of the default or others.

The default of `saem` centres random effects where that leaves less information missing. What step sizes do to a
variance or to a slow direction is studied on plain random effects, as other programs draw them.
"""

from __future__ import annotations

from typing import Any

from saem.algorithms.saem import SAEM
from saem.schedules import AveragedSchedule, Schedule

SCHEDULE = AveragedSchedule()


def uncentred(schedule: Schedule = SCHEDULE, **settings: Any) -> SAEM:
    """SAEM with a schedule, on uncentred random effects."""
    return SAEM(schedule=schedule, augmentation="uncentred", **settings)
