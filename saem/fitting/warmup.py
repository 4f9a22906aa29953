"""Compile the kernels on a machine's first use, on two cores.

The kernels of SAEM and those of direct maximum likelihood take about a quarter of a minute each. With an empty cache,
another process compiles the second half while this one compiles the first.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from saem.system.cache import SAID, cache_folder

MODEL = """
family = "linear"
response = "y"
cluster = "cluster"
[mean]
mu = "1"
[random]
sd = "omega"
[residual]
sd = "sigma"
"""


def ensure(methods: Iterable[str], family: str) -> None:
    """Compile the kernels if a method other than ML and Bayes needs them and there are none; says so on a terminal.

    They are those of the linear family: others compile their own when they are fitted.
    """
    marker = _marker()
    if (
        f'family = "{family}"' not in MODEL
        or set(methods) <= {"ml", "reml", "bayes"}
        or marker is None
        or marker.exists()
    ):
        return
    if sys.stderr.isatty():
        print("compiling for the first time: about a quarter of a minute, once", file=sys.stderr)
    quiet = os.environ | {SAID: "1"}  # what is wrong with the cache is said here
    other = subprocess.Popen([sys.executable, "-m", "saem.fitting.warmup"], stdin=subprocess.DEVNULL, env=quiet)
    try:
        compile_half("saem")
    finally:
        other.wait()
    if other.returncode == 0:
        with suppress(OSError):
            marker.touch()


def _marker() -> Path | None:
    """A file in the cache folder that says that everything is compiled; None where nothing can be kept."""
    folder = cache_folder()
    return None if folder is None else folder / "compiled"


def compile_half(half: str) -> None:
    """Compile the kernels of the M-step and the loop ("saem"), or those of the marginal likelihood ("ml")."""
    import numpy as np
    import pandas as pd

    from saem.algorithms.accuracy.error import weights_of
    from saem.algorithms.engine.loop import MAX_NEWTON, State, run_block
    from saem.families import Model, arrange, pose
    from saem.mstep.solver import Solver

    table = pd.DataFrame({"cluster": [1, 1, 2, 2, 3, 3], "y": [1.0, 1.1, 2.0, 2.3, 2.9, 3.1]})
    problem = pose(Model.from_text(MODEL), arrange(Model.from_text(MODEL), table))
    solver = Solver(problem)
    if half == "ml":
        solver.derivatives(solver.observed(), problem.starts.first)
        return
    state = State(problem.starts.first.copy(), *np.zeros((3, problem.latent.n_statistics)))
    weights_of(np.ones(2), np.ones(1), 0)
    run_block(
        problem.arrays,
        problem.arrays,
        problem.constraints.address,
        solver.free,
        solver.domains.low,
        solver.domains.high,
        solver.no_floor,
        np.random.Generator(np.random.SFC64(0)),
        np.ones(1),
        np.ones(1, dtype=np.int64),
        0,
        1,
        1e-6,
        MAX_NEWTON,
        state,
        solver.constrained,
        np.empty((1, len(state.x))),
    )


if __name__ == "__main__":
    compile_half("ml")
