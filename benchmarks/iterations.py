"""A thousand iterations of SAEM at 60 + 60 clusters: the compiled loop with its M-steps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.e_step import bare_normals
from benchmarks.problems import at_truth, peptide_problem, take_turns
from benchmarks.timing import Row, interleaved, ratio, timed
from saem.families.problem import Problem
from saem.schedules import AveragedSchedule

ITERATIONS = 1000
REPEATS = 25


def measure() -> Iterator[Row]:
    """Times for the default number of draws and for one draw."""
    problem = peptide_problem(60)
    default = int(AveragedSchedule().steps(problem.latent.size).draws[0])
    yield from measure_at(problem, default, f"{default} draws (the default)")
    yield from measure_at(problem, 1, "1 draw")


def measure_at(problem: Problem, m: int, draws: str) -> Iterator[Row]:
    """Time and ratio for a number of draws."""
    x = at_truth(problem)
    rng = np.random.Generator(np.random.SFC64(1))
    seconds = interleaved(
        {
            "bare": lambda: bare_normals(rng, ITERATIONS * m * problem.latent.size),
            "loop": lambda: take_turns(problem, x, rng, m, ITERATIONS),
        },
        REPEATS,
    )
    yield timed(f"1000 iterations, {draws}", seconds["loop"], "ms", 12.0)
    yield ratio("  the same", seconds["loop"], seconds["bare"], None, "times the bare normals")
