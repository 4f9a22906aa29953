"""Examples of extended linear models: a variance function of the fitted value, and correlated residuals."""

from __future__ import annotations

import numpy as np
import pandas as pd

import saem
from saem.estep.samplers import drawing_of
from saem.families import arrange, pose
from saem.families.problem import Problem


def posed(**residual: str) -> Problem:
    """The problem of eight clusters of four rows."""
    rng = np.random.default_rng(5)
    cluster = np.repeat(np.arange(8), 4)
    table = pd.DataFrame({"c": cluster, "t": np.tile([0.0, 1.0, 3.0, 4.0], 8), "x": rng.uniform(1.0, 3.0, 32)})
    table["y"] = 5.0 + table.x + rng.normal(size=8)[cluster] + rng.normal(size=32)
    model = saem.Model(
        family="extended", response="y", cluster="c", mean={"a": "1", "b": "x"}, random={"terms": {"u": "1"}},
        residual=residual,
    )  # fmt: skip
    found = pose(model, arrange(model, table))
    return Problem(**(vars(found) | {"arrays": drawing_of(found)}))


def problems() -> dict[str, Problem]:
    """Examples by name."""
    return {
        "an SD that depends on the fitted value": posed(sd="sigma * exp(delta * mean)"),
        "serial correlation": posed(correlation="exponential(span, t)"),
    }
