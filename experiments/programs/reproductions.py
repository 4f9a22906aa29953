"""Published estimates beside ours: `python -m experiments.reproductions`.

Booth & Hobert (1999), section 4: 150 binary outcomes in 10 clusters, whose logit is `beta x` and a random intercept
with variance `sigma^2`. They give the maximum likelihood estimates 6.132 and 1.766 by numerical integration, which
their automated Monte Carlo EM is to find. Plan et al. (2012) is the study `plan`; examples of saemix and nlme are
`python -m benchmarks peers`. The data do not come with the project (docs/studies.md).
"""

from __future__ import annotations

import argparse
import sys

import pandas as pd

import saem
from saem.cli.console import say, show
from saem.errors import DataError
from saem.system.display import table

from ..names import COMMAND
from ..studies.elsewhere import published

MODEL = saem.Model(
    family="nonlinear",
    response="y",
    cluster="cluster",
    columns=["x"],
    individual={"u": "normal(0, sigma)"},
    outcome={"distribution": "bernoulli", "probability": "expit(beta * x + u)"},
)
BOOTH_HOBERT = {"beta": 6.132, "sigma^2": 1.766}
METHODS = ("ml", "saem", "booth_hobert", "mcem", "laplace")


def booth_hobert(rows: pd.DataFrame) -> list[list[str]]:
    """A line for each method: estimates, with Monte Carlo errors where there are some, and how it ended."""
    found = [["published", *(f"{value:.3f}" for value in BOOTH_HOBERT.values()), "", ""]]
    for method in METHODS:
        fit = saem.fit(MODEL, rows, method, seed=1)
        at = fit.estimates
        sd, error = at.loc["sigma", "estimate"], at.loc["sigma", "mcse"]
        values = [(at.loc["beta", "estimate"], at.loc["beta", "mcse"]), (sd**2, 2.0 * sd * error)]
        shown = [f"{value:.4f}" + (f" ({own:.2g})" if own > 0.0 else "") for value, own in values]
        found.append([method, *shown, f"{fit.loglik:.5f}", str(fit.status)])
    return found


def main() -> None:
    """Print the table."""
    summary = (__doc__ or "").split("\n")[0]
    argparse.ArgumentParser(prog=f"{COMMAND}.reproductions", description=summary).parse_args()
    try:
        rows = pd.read_csv(published("booth_hobert.csv"))
    except DataError as error:
        say(str(error), "red")
        sys.exit(1)
    say("Booth & Hobert (1999); Monte Carlo errors in brackets")
    show(table(["", *BOOTH_HOBERT, "log-likelihood", ""], booth_hobert(rows), "lrrrl"))


if __name__ == "__main__":
    main()
