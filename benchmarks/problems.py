"""The posed problems that the benchmarks run on, and the compiled loop without what is around it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd

import saem
from experiments.studies.peptide import MODIFICATIONS, TREATMENTS, TRUTH, peptide_model, peptide_table
from saem.algorithms.engine.iteration import Iteration
from saem.families import arrange, pose
from saem.families.problem import Problem


def large_table(replicates: int, seed: int = 0) -> pd.DataFrame:
    """As `peptide_table`, for millions of rows: made from arrays, with categories instead of text."""
    n = 2 * replicates
    rng = np.random.default_rng(seed)
    arm = np.repeat(np.arange(2), replicates)
    sd = np.array([TRUTH["sigma1"], TRUTH["sigma2"]])
    theta = sd[arm] * rng.standard_normal(n)
    unmodified = TRUTH["mu"] + arm * (TRUTH["c2"] + TRUTH["b21"])
    modified = TRUTH["mu"] + TRUTH["alpha2"] + arm * (TRUTH["c2"] + TRUTH["b22"])
    response = np.stack([unmodified, modified], axis=1) + theta[:, None]
    response += TRUTH["sigma"] * rng.standard_normal(response.shape)
    return pd.DataFrame(
        {
            "treatment": pd.Categorical.from_codes(np.repeat(arm, 2).astype(np.int8), pd.Index(TREATMENTS)),
            "replicate": np.repeat(np.tile(np.arange(replicates, dtype=np.int32), 2), 2),
            "modification": pd.Categorical.from_codes(np.tile(np.arange(2, dtype=np.int8), n), pd.Index(MODIFICATIONS)),
            "log2_intensity": response.ravel(),
        }
    )


@lru_cache(maxsize=4)
def peptide_problem(replicates: int, recipe: str = "peptide") -> Problem:
    """The posed problem of the peptide data of a size."""
    table = large_table(replicates) if replicates > 1000 else peptide_table(replicates, seed=1)
    model: saem.Model = peptide_model(recipe)
    return pose(model, arrange(model, table))


def at_truth(problem: Problem) -> np.ndarray:
    """The truth as the vector of a problem's parameters."""
    return np.array([TRUTH[name] for name in problem.parameters.names])


def take_turns(problem: Problem, x: np.ndarray, rng: np.random.Generator, m: int, iterations: int) -> np.ndarray:
    """Iterations of the compiled loop from ``x`` with ``m`` draws: a burn-in of 30 %, then ``k ** -0.55``."""
    iteration = Iteration(problem, 1e-6, rng)
    burn_in = int(0.3 * iterations)
    steps = np.concatenate([np.ones(burn_in), np.arange(1, iterations - burn_in + 1) ** -0.55])
    chain = iteration.begin(x)
    iteration.iterate(chain, steps, np.full(iterations, m, dtype=np.int64), burn_in)
    return chain.state.x
