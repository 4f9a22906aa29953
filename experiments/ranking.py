"""All algorithms at equal draws: `python -m experiments.ranking [--draws 2e6] [--repeats 10] [--problems ...]`.

For each of the six problems and every method that the model admits: the mean deficit (log-likelihood below the exact
maximum) with its standard error over the seeds, the root-mean-square distance to the maximum in standard errors of
the parameter that is worst, and the ratio of the deficit to that of the best method. Draws are those of single random
effects.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np

import saem
from experiments.linear_problems import LinearProblem, six_problems
from saem.cli.console import heading, note, say, show
from saem.display import table
from saem.errors import SaemWarning
from saem.fitting import METHODS

EXACT = ("ml", "reml", "em")


def rank(problem: LinearProblem, methods: list[str], draws: float, repeats: int) -> list[list[str]]:
    """One row a method, the best first."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SaemWarning)
        found = saem.compare(problem.model, problem.table, [*methods, "ml"], budget=int(draws), repeats=repeats)
    ml = found.fits["ml"]
    known = ml.se > 0.0
    rows = []
    for name in methods:
        fits = found.repetitions.get(name, ())
        if not fits:
            rows.append((np.inf, [name, "", "", "", "", found.failures.get(name, "")[:60]]))
            continue
        deficits = np.array([ml.loglik - fit.loglik for fit in fits])
        distance = np.array([(fit.values - ml.values)[known] / ml.se[known] for fit in fits])
        rms = float(np.sqrt(np.mean(distance**2, axis=0)).max())
        mean, se = float(deficits.mean()), float(deficits.std(ddof=1) / np.sqrt(len(deficits)))
        used = float(np.mean([fit.drawn for fit in fits]))
        seconds = float(np.median([fit.seconds for fit in fits]))
        rows.append((mean, [name, f"{mean:.2g}", f"{se:.1g}", f"{rms:.3f}", f"{used:.3g}", f"{seconds:.2g} s"]))
    rows.sort(key=lambda row: row[0])
    best = rows[0][0]
    return [[*cells, f"{mean / best:.2f}" if np.isfinite(mean) else ""] for mean, cells in rows]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m experiments.ranking", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--draws", type=float, default=2e6)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--problems", default=",".join(six_problems()))
    parser.add_argument("--methods", default=",".join(name for name in METHODS if name not in EXACT))
    chosen = parser.parse_args()
    for name in chosen.problems.split(","):
        problem = six_problems()[name]
        note(f"{name} ..")
        heading(f"{name}: {problem.what}")
        header = ["method", "mean deficit", "its se", "rms distance", "draws", "time", "deficit / best"]
        show(table(header, rank(problem, chosen.methods.split(","), chosen.draws, chosen.repeats), "lrrrrrr"))
    say(f"{chosen.repeats} seeds, {chosen.draws:g} random effects drawn by each fit")


if __name__ == "__main__":
    main()
