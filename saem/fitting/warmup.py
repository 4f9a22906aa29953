"""Compile what fits need: on a machine's first use, on two cores, or all of it ahead.

The kernels of SAEM and those of direct maximum likelihood take about a quarter of a minute each. With an empty cache,
another process compiles the second half while this one compiles the first.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from saem.errors import ModelError, listing
from saem.system.cache import COMPILING_SAID, SAID, cache_folder

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
    """Compile the kernels if a method other than ML and Bayes needs them and there are none.

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
    quiet = os.environ | {SAID: "1", COMPILING_SAID: "1"}  # all is said here
    other = subprocess.Popen([sys.executable, "-m", "saem.fitting.warmup"], stdin=subprocess.DEVNULL, env=quiet)
    try:
        compile_half("saem")
    finally:
        other.wait()
    if other.returncode == 0:
        with suppress(OSError):
            marker.touch()


#: Recipes whose fits to their tables need all that others of their family do.
EXAMPLES = {"linear": ("peptide", "random_slopes"), "glmm": ("binomial",), "nonlinear": ("theophylline",)}


def warmup(
    families: str | Sequence[str] = tuple(EXAMPLES),
    methods: str | Sequence[str] = ("saem", "ml"),
    progress: Callable[[str], object] | None = None,
) -> int:
    """Compile ahead what fits need, by fits of examples; about a minute where nothing is compiled yet.

    Compiled code is kept for all later processes of this user, until the package changes.

    Parameters
    ----------
    families : str or sequence of str
        Among "linear", "glmm" and "nonlinear".
    methods : str or sequence of str
        Names of methods, as `saem.fit` takes them.
    progress : callable, optional
        Called with a line of text before each fit.

    Returns
    -------
    int
        The number of functions that were compiled; 0 where all was there.

    Raises
    ------
    ModelError
        For an unknown family or method, or a method that none of the examples admits.
    """
    from saem import datasets, recipes
    from saem.algorithms.registry import resolve
    from saem.families import Model
    from saem.fitting.fit import fit
    from saem.system.compiling import LISTENER

    families = (families,) if isinstance(families, str) else families
    methods = (methods,) if isinstance(methods, str) else methods
    for family in families:
        if family not in EXAMPLES:
            raise ModelError(f"there is nothing to compile for the family {family!r}; there are {listing(EXAMPLES)}")
    before = LISTENER.functions
    for method in methods:
        resolve(method)
    names = [name for family in families for name in EXAMPLES[family]]
    with silent():
        for method in methods:
            refused = []
            for name in names:
                model = Model.from_text(recipes.text(name))
                if progress is not None:
                    progress(f"{model.family} models by {method}")
                try:
                    fit(model, datasets.load(recipes.DATA[name]), method)
                except ModelError as error:  # REML takes no constraint between means
                    refused.append(error)
            if len(refused) == len(names):
                raise refused[0]
    marker = _marker()
    if marker is not None and "linear" in families and {"saem", "ml"} <= set(methods):
        with suppress(OSError):
            marker.touch()
    return LISTENER.functions - before


@contextmanager
def silent() -> Iterator[None]:
    """Nobody is told that something is compiled who asks for it."""
    before = os.environ.get(COMPILING_SAID)
    os.environ[COMPILING_SAID] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[COMPILING_SAID]
        else:
            os.environ[COMPILING_SAID] = before


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
