"""Deficit and Monte Carlo error are told against cost, along the way to an estimate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from saem.algorithms.accuracy.precision import Precision, bias_left, errors
from saem.algorithms.engine.chain import Run, Snapshot
from saem.algorithms.engine.passes import Engine
from saem.errors import FitError, ModelError
from saem.estep.integration.settling import roughly
from saem.mstep.solver import Solver

Array = np.ndarray

#: What is known at every look: iterations and draws of random effects so far, seconds, the log-likelihood of the
#: estimate if the run had ended there and how far it is below the maximum, the largest MCSE/SE, the acceptance rate.
COLUMNS = ("iteration", "draws", "seconds", "loglik", "deficit", "mcse_share", "acceptance")


def history_of(engine: Engine, run: Run, precision: Precision, loglik: float) -> Array:
    """The looks of an engine at its runs (k, 7), with the columns `COLUMNS`; nan where something is not known.

    Parameters
    ----------
    run : Run
        The last one.
    loglik : float
        Its log-likelihood.
    """
    rows = np.full((len(engine.history), len(COLUMNS)), np.nan)
    height = heights(engine, run, loglik)
    for row, look in zip(rows, engine.history, strict=True):
        row[:3] = look.iterations, look.drawn * engine.problem.latent.size, look.seconds
        row[6] = look.acceptance
        if engine.problem.likelihood.is_available:
            row[3] = height(look.x)
            row[4] = loglik + precision.deficit - row[3]
        if look.number == run.chain.number:
            row[5] = share_at(engine, run, precision, look)
    return rows


def heights(engine: Engine, run: Run, loglik: float) -> Callable[[Array], float]:
    """The log-likelihood along the way: by quadrature roughly, up to a constant that makes that of the end exact."""
    try:
        rough = roughly(engine.problem, run.x)
    except (ModelError, FitError):
        rough = engine.problem
    if rough is engine.problem:
        return engine.iteration.loglik
    solver = Solver(rough)
    constant = loglik - solver.height(run.x)
    return lambda x: solver.height(x) + constant


def share_at(engine: Engine, run: Run, precision: Precision, look: Snapshot) -> float:
    """The largest MCSE/SE that the run had at a look."""
    k = look.done - run.chain.skipped
    if np.isnan(precision.ratio) or k <= 0 or (0 < run.averaging_from and k <= run.first):
        return np.nan
    draws = float(run.made[run.first : k].sum()) if run.averaging_from else np.nan
    then = replace(run, draws=draws, step_sizes=run.step_sizes[:k], made=run.made[:k])
    covariance, _ = engine.iteration.error(then, precision.information, precision.missing, precision.noise, precision.x)
    if covariance is None:
        return np.nan
    left, fixed = bias_left(run, precision.x), engine.problem.parameters.fixed
    return float(errors(then, precision.information, covariance, left, fixed)[1].max())
