"""Direct ML against SciPy's SLSQP on the same compiled likelihood, gradient and constraint."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.optimize import minimize

from benchmarks.problems import peptide_problem
from benchmarks.timing import Row, interleaved, ratio, timed
from saem.algorithms.direct_ml import DirectML
from saem.families.problem import Problem
from saem.mstep.solver import Solver

REPEATS = 25


def slsqp(problem: Problem) -> np.ndarray:
    """The constrained maximum by SLSQP from the first start."""
    solver = Solver(problem)

    def negative(x: np.ndarray) -> tuple[float, np.ndarray]:
        at = solver.derivatives(solver.observed(), x)
        return -at.value, -at.gradient

    sds = problem.parameters.domains.can_vanish
    found = minimize(
        negative,
        problem.starts.first,
        jac=True,
        method="SLSQP",
        bounds=[(1e-6 * scale if sd else None, None) for sd, scale in zip(sds, problem.scale, strict=True)],
        constraints={
            "type": "eq",
            "fun": lambda x: problem.constraints.evaluate(x)[0],
            "jac": lambda x: problem.constraints.evaluate(x)[1],
        },
        options={"ftol": 1e-12, "maxiter": 500},
    )
    return np.asarray(found.x)


def measure() -> Iterator[Row]:
    """Time ratio and distance of the answers."""
    problem = peptide_problem(60)
    solver = Solver(problem)
    seconds = interleaved({"ml": lambda: DirectML().run(problem), "slsqp": lambda: slsqp(problem)}, REPEATS)
    yield timed("DirectML, all its starts", seconds["ml"], "ms")
    yield timed("SLSQP, one start", seconds["slsqp"], "ms")
    yield ratio("SLSQP / DirectML", seconds["slsqp"], seconds["ml"])
    ours, theirs = (solver.derivatives(solver.observed(), x).value for x in (DirectML().run(problem).x, slsqp(problem)))
    yield Row("log-likelihood of DirectML minus that of SLSQP", ours - theirs, "", None, None, "0 or more")
