"""Going on with a fit to a smaller Monte Carlo error, bit for bit as if it had not ended."""

from __future__ import annotations

import pkgutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import is_dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

import saem.schedules as schedules
from saem.algorithms.engine.truncation import Truncation
from saem.algorithms.registry import METHODS, Algorithm, declaration_of
from saem.errors import ModelError, SaemError, StorageError
from saem.fitting.concluding import conclude
from saem.fitting.kept import arranged, keep
from saem.fitting.restoring import check_checkpoint, check_settings
from saem.fitting.running import pose_for, run
from saem.fitting.settings import rebuild
from saem.mstep import methods
from saem.stopping import Target
from saem.system.deferred import replaced
from saem.system.display import method_name
from saem.system.sharing import check_threads, sharing

if TYPE_CHECKING:
    from saem.algorithms.engine.continuation import Continuation
    from saem.fitting.progress import Callback
    from saem.fitting.record import Record


def resume(
    fit: Record,
    target: Target | None = None,
    *,
    callback: Callback | None = None,
    method: Algorithm | None = None,
    threads: int = 1,
) -> Record:
    """Go on with a fit, as `Fit.resume` describes it."""
    started = time.perf_counter() - fit.seconds
    check_threads(threads)
    continuation = continuation_of(fit)
    if fit.table is None:
        raise ModelError("the table of this fit could not be saved, for its columns are no plain ones; fit again")
    if method is not None and method_name(method) != fit.method:
        raise ModelError(
            f"a fit by {fit.method!r} cannot go on by {method_name(method)!r:.80}; hand over the method that made it, "
            "or fit again by the other"
        )
    algorithm = aimed(method_of(fit) if method is None else method, target)
    data = arranged(fit)
    with sharing(threads):
        with of_a_file(continuation):
            problem = pose_for(algorithm, fit.model, data)
            if continuation.method is None:
                check_checkpoint(algorithm, problem, continuation.checkpoint)
            outcome = run(algorithm, problem, fit.seed, callback, continuation.checkpoint)
        again = conclude(fit.model, data, problem, outcome, algorithm, fit.method, fit.seed, started)
    again = replaced(again, table=fit.table, warnings=fit.warnings)
    keep(again, data, problem)
    return again


@contextmanager
def of_a_file(continuation: Continuation) -> Iterator[None]:
    """Say of errors in a method or a state that were read from a file that they are not what a fit has.

    Raises
    ------
    StorageError
        In place of the errors of Python, NumPy and Numba, which cannot be foreseen one by one.
    """
    try:
        yield
    except SaemError:
        raise
    except Exception as error:
        if continuation.method is not None:  # made in this process: a mistake of the program
            raise
        raise StorageError(
            f"the saved fit cannot go on: its method or its state was changed ({type(error).__name__}: {error})"
        ) from error


def continuation_of(fit: Record) -> Continuation:
    """What a fit goes on from.

    Raises
    ------
    ModelError
        When there is nothing.
    """
    if declaration_of(fit.method).is_exact:
        raise ModelError(
            f"method {fit.method!r} is exact: there is no Monte Carlo error that more iterations would make smaller"
        )
    if fit.posterior is not None:
        raise ModelError(
            "the draws of a posterior cannot be gone on with; fit again with more, such as "
            f"saem.fit(model, table, Bayes(draws={2 * fit.posterior.draws.shape[1]}))"
        )
    if fit.continuation is None:
        raise ModelError(
            "this fit does not know where it stopped (it was saved by an earlier saem, or its method gives no "
            "checkpoint); fit again with the target, such as saem.fit(model, table, SAEM(target=Target(mcse=0.01)))"
        )
    return fit.continuation


def method_of(fit: Record) -> Any:
    """The method of a fit, made anew from its settings where the fit was loaded.

    Raises
    ------
    ModelError
        When it is a method from outside of the package, or the fit cannot go on.
    """
    continuation = continuation_of(fit)
    if continuation.method is not None:
        return continuation.method
    if continuation.settings is None:
        raise ModelError(
            f"the method {fit.method!r} is not one of this package, or has parts that are not; hand it over as it was: "
            "fit.resume(target, method=MyMethod(...))"
        )
    with of_a_file(continuation):
        check_settings(continuation.settings)
        method = rebuild(continuation.settings, known_classes())
    if not callable(getattr(method, "run", None)):
        raise StorageError(f"the saved fit cannot go on: its method is {method!r:.40}, which is none")
    return method


def aimed(method: Any, target: Target | None) -> Any:
    """A method with another target, if there is one.

    Raises
    ------
    ModelError
        When the method has no target, or cannot go on.
    """
    if not declaration_of(method).can_resume:
        raise ModelError(
            f"the method {method!r:.60} cannot go on: its 'run' takes no 'resume', or its declaration does not say "
            "can_resume=True"
        )
    if target is None:
        return method
    if not isinstance(target, Target):
        raise ModelError(f"the target must be a saem.Target, such as saem.Target(mcse=0.01); got {target!r:.60}")
    if hasattr(method, "aiming_at"):
        return method.aiming_at(target)
    if not is_dataclass(method) or isinstance(method, type) or not hasattr(method, "target"):
        raise ModelError(f"the method {method!r:.60} has no target; hand it over with another: method=MyMethod(...)")
    return replace(method, target=target)


def known_classes() -> dict[str, type]:
    """What a saved method may consist of, by name: methods, schedules, targets, M-steps, all of this package."""
    parts = [part.name for part in pkgutil.iter_modules(methods.__path__)]
    modules = [schedules, *(import_module(f"{methods.__name__}.{part}") for part in parts)]
    found = [value for module in modules for value in vars(module).values() if isinstance(value, type)]
    mine = [value for value in found if is_dataclass(value) and value.__module__.startswith("saem.")]
    algorithms = [value for value in METHODS.values() if isinstance(value, type)]
    return {each.__name__: each for each in [*mine, Target, Truncation, *algorithms]}
