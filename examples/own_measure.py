"""A performance measure of one's own: `python -m experiments run examples/own_measure.toml`, then `summarise`.

`performance(rows)` gets the rows of the study and returns measures that stand beside those of the harness. Where the
project is installed and not checked out, `experiments` is called `saem_experiments`.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from experiments.study.functions import Outcome

FAR = 1.0  # from the true value


def truth(cell):
    """The centre, whatever the share."""
    return {"location": 1.0}


def generate(cell, seed):
    """A sample."""
    rng = np.random.default_rng(seed)
    return rng.normal(1.0, np.where(rng.random(20) < cell["share"], 10.0, 1.0))


def estimate(data, cell, options, seed):
    """An average, without a standard error."""
    value = float(getattr(np, options["function"])(data))
    return Outcome({"location": (value, math.nan, math.nan, math.nan, math.nan)})


def performance(rows: pd.DataFrame) -> pd.DataFrame:
    """`far_off`: the share of estimates that are further than `FAR` from the true value, with its standard error."""
    far = rows.assign(far=(rows["estimate"] - rows["truth"]).abs() > FAR)
    found = far.groupby(["cell", "method", "estimand"], observed=True)["far"].agg(value="mean", n="size").reset_index()
    found["mcse"] = np.sqrt(found["value"] * (1.0 - found["value"]) / found["n"])
    return found.assign(measure="far_off")
