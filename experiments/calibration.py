"""Is the Monte Carlo error as large as reported? `python -m experiments.calibration [--seeds 500] [--methods ...]`.

For each problem and method: the spread of (estimate - exact maximum) / MCSE over the seeds, which should be 1, from
its smallest to its largest over the parameters; the largest mean in absolute value, which should be 0; the share of
runs that claim to have converged, and of these the share that met both targets. Parameters that no missing information
touches have no Monte Carlo error and are left out.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np

import saem
from experiments.linear_problems import LinearProblem, six_problems
from saem.cli.console import note, say, show
from saem.data import arrange
from saem.display import table
from saem.fitting import resolve
from saem.models import pose

SMALL = 1e-6  # of a standard error: a Monte Carlo error that is none
MCSE, DEFICIT = 0.05, 0.01  # the default targets


@dataclass(frozen=True)
class Calibration:
    """What was found for a problem and a method.

    Attributes
    ----------
    spread, mean : (p,) ndarray
        Standard deviation and mean of the standardised errors by parameter.
    claimed : float
        Share of the runs with the status converged.
    met : float
        Share of those whose Monte Carlo error and deficit met their targets.
    seconds : float
        Median of a run.
    """

    spread: np.ndarray
    mean: np.ndarray
    claimed: float
    met: float
    seconds: float


def calibrate(problem: LinearProblem, method: str, seeds: int) -> Calibration:
    """Run a method with many seeds on one data set."""
    ml = saem.fit(problem.model, problem.table, "ml")
    posed = pose(problem.model, arrange(problem.model, problem.table))
    algorithm, _ = resolve(method)
    z, claims, met, seconds = [], [], [], []
    for seed in range(seeds):
        start = time.perf_counter()
        outcome = algorithm.run(posed, seed)
        seconds.append(time.perf_counter() - start)
        mcse = np.asarray(outcome.mcse)
        touched = np.flatnonzero((ml.se > 0.0) & ~(mcse <= SMALL * ml.se))
        z.append((outcome.x - ml.values)[touched] / mcse[touched])
        deficit = ml.loglik - outcome.solution_logliks[0]
        claims.append(outcome.status in ("converged", "several_solutions"))
        met.append(bool(np.nanmax(mcse[touched] / ml.se[touched]) <= MCSE and deficit <= DEFICIT))
    errors = np.array(z)
    claimed = np.array(claims)
    return Calibration(
        errors.std(axis=0, ddof=1),
        errors.mean(axis=0),
        float(claimed.mean()),
        float(np.array(met)[claimed].mean()) if claimed.any() else float("nan"),
        float(np.median(seconds)),
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.calibration", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--seeds", type=int, default=500)
    parser.add_argument("--methods", default="saem,stochastic_newton")
    parser.add_argument("--problems", default=",".join(six_problems()))
    chosen = parser.parse_args()
    rows = []
    for name in chosen.problems.split(","):
        problem = six_problems()[name]
        for method in chosen.methods.split(","):
            note(f"{name}, {method} ..")
            found = calibrate(problem, method, chosen.seeds)
            largest = np.abs(found.mean).max()
            rows.append(
                [name, method, f"{found.spread.min():.2f}", f"{found.spread.max():.2f}", f"{largest:.2f}"]
                + [f"{100 * found.claimed:.1f} %", f"{100 * found.met:.1f} %", f"{1000 * found.seconds:.0f} ms"]
            )
            note("  ".join(rows[-1]))
    se = 1 / np.sqrt(2 * chosen.seeds)
    say(f"{chosen.seeds} seeds: standard errors of a spread {se:.3f}, of a mean {np.sqrt(2) * se:.3f}")
    header = ["problem", "method", "spread from", "to", "largest |mean|", "claim", "of these met", "time"]
    show(table(header, rows, "llrrrrrr"))
    for problem in six_problems().values():
        say(f"{problem.name}: {problem.what}", "dim")


if __name__ == "__main__":
    main()
