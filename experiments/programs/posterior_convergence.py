"""How often do posteriors of few data converge? `python -m experiments.posterior_convergence [--quick]`.

Data sets of the peptide recipe with 3, 4 and 6 replicates an arm, default priors and default settings. The table has
the share whose status is `converged` with its 95 % interval (Clopper & Pearson 1934), how many fits were made anew by
smaller steps because draws diverged, and the medians of the effective draws (bulk or tail, smallest over the
parameters) and of the seconds of a fit.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

import saem
from saem.algorithms.bayes.algorithm import ACCEPTED, Bayes
from saem.cli.console import note, say, show
from saem.system.display import table

from ..names import COMMAND
from ..studies.peptide import TRUTH, peptide_design, peptide_model

SIZES = (3, 4, 6)


def fit_one(recipe: str, size: int, seed: int, method: Bayes) -> dict[str, object]:
    """One row: the status of a fit and what it is made of. Data are those of the posted link, whatever is fitted."""
    data = saem.simulate(peptide_model(), TRUTH, peptide_design(size), seed=seed)
    started = time.perf_counter()
    fit = saem.fit(peptide_model(recipe), data, method, seed=seed)
    posterior = fit.posterior
    assert posterior is not None
    return {
        "recipe": recipe,
        "size": size,
        "seed": seed,
        "status": str(fit.status),
        "divergences": posterior.divergences,
        "target_accept": posterior.target_accept,
        "rhat": float(np.nanmax(posterior.rhat)),  # nan for parameters that are fixed
        "ess": float(min(np.nanmin(posterior.ess_bulk), np.nanmin(posterior.ess_tail))),
        "seconds": time.perf_counter() - started,
        "message": fit.message,
    }


def run(recipes: Sequence[str], replicates: int, method: Bayes | None = None, path: Path | None = None) -> pd.DataFrame:
    """All fits, a row each; the sizes take turns, so that what there is after an interruption is balanced."""
    method = Bayes() if method is None else method
    rows = []
    for seed in range(replicates):
        rows += [fit_one(recipe, size, seed, method) for recipe in recipes for size in SIZES]
        if path is not None:
            pd.DataFrame(rows).to_csv(path, index=False)
            note(f"{seed + 1} of {replicates} ..")
    return pd.DataFrame(rows)


def summarise(found: pd.DataFrame, tried: float) -> list[list[str]]:
    """The rows of the table, by recipe and size; ``tried`` is the acceptance rate that every fit begins with."""
    from scipy.stats import binomtest

    rows = []
    for (recipe, size), part in found.groupby(["recipe", "size"], sort=False):
        good, n = int((part["status"] == "converged").sum()), len(part)
        interval = binomtest(good, n).proportion_ci()
        again = int((part["target_accept"] > tried + 1e-12).sum())
        rows.append(
            [
                str(recipe),
                str(size),
                f"{good} of {n}",
                f"{100 * interval.low:.0f} to {100 * interval.high:.0f} %",
                str(again),
                f"{part['ess'].median():.0f}",
                f"{part['seconds'].median():.2f}",
            ]
        )
    return rows


def main() -> None:
    """Print the table and write the fits."""
    parser = argparse.ArgumentParser(
        prog=f"{COMMAND}.posterior_convergence", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--replicates", type=int, default=100, help="data sets of each size (default: 100)")
    parser.add_argument("--quick", action="store_true", help="10 data sets of each size")
    parser.add_argument("--recipe", action="append", help="recipe to fit, repeatedly (default: peptide)")
    parser.add_argument("--output", type=Path, default=Path("posterior-convergence-output"))
    chosen = parser.parse_args()
    chosen.output.mkdir(parents=True, exist_ok=True)
    replicates = 10 if chosen.quick else chosen.replicates
    found = run(chosen.recipe or ["peptide"], replicates, path=chosen.output / "fits.csv")
    header = ["recipe", "replicates an arm", "converged", "95 % interval", "made anew", "ESS", "seconds"]
    show(table(header, summarise(found, ACCEPTED)))
    say(f"fits.csv is in {chosen.output}")


if __name__ == "__main__":
    main()
