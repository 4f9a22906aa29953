"""Step sizes and numbers of draws: one file for each schedule, and `contract.py` for what any schedule has."""

from saem.schedules.averaged import AveragedSchedule
from saem.schedules.contract import Densable, Extendable, Schedule, Slowable, Steps
from saem.schedules.growing import GrowingSchedule
from saem.schedules.newton import NewtonSchedule
from saem.schedules.robbins_monro import RobbinsMonroSchedule
from saem.schedules.stochastic import StochasticSchedule
from saem.schedules.writing import LATEST, draws_for, power_steps

__all__ = [
    "LATEST",
    "AveragedSchedule",
    "Densable",
    "Extendable",
    "GrowingSchedule",
    "NewtonSchedule",
    "RobbinsMonroSchedule",
    "Schedule",
    "Slowable",
    "Steps",
    "StochasticSchedule",
    "draws_for",
    "power_steps",
]
