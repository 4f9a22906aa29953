"""From a model and a table to a `Fit`."""

from __future__ import annotations

import logging
import time
import warnings

from saem.algorithms.registry import METHODS, Algorithm, resolve
from saem.data.frames import Table, as_frame
from saem.errors import ModelError, SaemWarning
from saem.families import Model, arrange
from saem.fitting.concluding import conclude
from saem.fitting.kept import keep
from saem.fitting.progress import Callback
from saem.fitting.result import Fit
from saem.fitting.running import pose_for, run
from saem.fitting.several import check_starts, run_from_several
from saem.maxima.attainable import check_attainable
from saem.system.sharing import check_threads, sharing
from saem.system.streams import check_seed

__all__ = ["METHODS", "Algorithm", "check_model", "fit", "resolve"]


def fit(
    model: Model,
    table: Table,
    method: str | Algorithm = "saem",
    seed: int = 0,
    drop_missing: bool = False,
    callback: Callback | None = None,
    starts: int = 1,
    threads: int = 1,
) -> Fit:
    """Fit a model to a table.

    Parameters
    ----------
    model : Model
    table : DataFrame
        Of pandas, or of polars, pyarrow and others that share tables by Arrow.
    method : str or method object
        A name of `METHODS`, such as "saem" (stochastic-approximation EM), "ml" (direct maximum likelihood), "reml"
        (restricted, for models whose constraints involve no mean), "em" (exact EM), "stochastic_newton" or "bayes" (the
        posterior by the No-U-Turn sampler; the estimates are posterior means), or an object such as
        ``SAEM(schedule=AveragedSchedule(iterations=4000))``.
    seed : int
        The same seed gives the same estimates, bit for bit.
    drop_missing : bool
        Leave out rows with missing or infinite values (and count them) instead of refusing them.
    callback : callable, optional
        Called with a `saem.fitting.progress.Progress` between blocks of iterations; never by the exact methods, which
        have none. Where it returns True the fit ends there, and `Fit.resume` can go on with it. It changes no bit of
        the result. Ctrl-C is a KeyboardInterrupt, as everywhere.
    starts : int
        Fit from so many starts, the first of which is the usual one: at other maxima of the likelihood without random
        effects, where there are any, and scattered about the first. The highest maximum is the fit, its message says
        how many starts led to which, and `Fit.solutions` lists all. Budgets are for each.
    threads : int
        Threads that share the clusters of a nonlinear model, or of one by ``family = "glmm"``, that has more than 1000:
        random effects are drawn and integrated out block by block, with the same bits for any number of threads. All
        other problems are the work of one thread, whatever the number.

    Raises
    ------
    ModelError, DataError, ConstraintError
        When model and table do not fit each other, or the constraints cannot be satisfied.
    FitError
        When no estimate was found.
    """
    started = time.perf_counter()
    check_seed(seed)
    check_starts(starts)
    check_threads(threads)
    check_model(model)
    rows = as_frame(table)
    algorithm, name = resolve(method)
    data = arrange(model, rows, drop_missing)
    for text in data.warnings:
        warnings.warn(text, SaemWarning, stacklevel=2)
    with sharing(threads):
        problem = pose_for(algorithm, model, data, restricted=name == "reml")
        check_attainable(problem, model.constraints)
        if starts > 1:
            outcome = run_from_several(algorithm, problem, seed, starts, callback)
        else:
            outcome = run(algorithm, problem, seed, callback)
        result = Fit.of(conclude(model, data, problem, outcome, algorithm, name, seed, started, starts))
    keep(result, data, problem)
    logging.getLogger("saem").info(
        "fit by %s of %d rows: %s after %.2f s, log-likelihood %.4f",
        *(name, result.n_rows, result.status, result.seconds, result.loglik),
    )
    return result


def check_model(model: object) -> None:
    """Refuse what is no model, such as its path."""
    if not isinstance(model, Model):
        raise ModelError(f"model must be a saem.Model, such as Model.from_toml('peptide.toml'); got {model!r:.80}")
