"""The functions of the study `plan_ratio`: intervals by likelihood ratios at the truth, on published data sets."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

import saem
from saem.errors import SaemError

from ..harness.study.cells import Cell
from ..harness.study.functions import Outcome
from .dose_response import NOTHING, Scenario, completed, maximum_of, performance, scenario_of
from .exact_maximum import Maximum
from .plan import Z, generate, truth

__all__ = ["estimate", "generate", "performance", "truth"]


def estimate(data: tuple[int, pd.DataFrame], cell: Cell, options: Mapping[str, Any], seed: int) -> Outcome:
    """The exact maximum with Wald intervals, or with those by the likelihood ratio at the truth."""
    scenario, (_, table) = scenario_of(cell["scenario"]), data
    top = maximum_of(scenario, table)
    outcome = completed(Outcome.of(top.fit), NOTHING, NOTHING, top.seconds)
    if options["interval"] == "wald":
        return outcome
    began = time.process_time()
    found = {name: by_ratio(scenario, table, top, name) for name in scenario.truth}
    outcome = replace(outcome, numbers={**outcome.numbers, **found})
    spent = (time.process_time() - began, *(NOTHING,) * 4)
    return replace(outcome, numbers={**outcome.numbers, "cpu_seconds": spent})


def by_ratio(
    scenario: Scenario, table: pd.DataFrame, top: Maximum, name: str
) -> tuple[float, float, float, float, float]:
    """Estimate, SE and interval of a parameter by twice the log-likelihood that is lost where it is held at the truth.

    The signed root of it is taken to be a straight line between the two: whether the interval covers the truth is what
    the likelihood ratio says, and its length is that of a profile with such a root. Where the likelihood cannot be
    maximised with the parameter held, there is none.
    """
    values = dict(zip(top.fit.parameters.names, top.fit.values.tolist(), strict=True))
    true, value = scenario.truth[name], values[name]
    start = {other: x for other, x in values.items() if other != name and x != 0.0}
    try:
        held = saem.fit(scenario.model.replace(fixed={name: true}, start=start), table, "ml")
    except SaemError:
        return (value, *(NOTHING,) * 4)
    lost, error = top.deficit(dict(zip(held.parameters.names, held.values.tolist(), strict=True)))
    se = abs(value - true) / math.sqrt(max(lost, 1e-12))
    return value, se, value - Z * se, value + Z * se, error
