"""The functions of a study, from the Python file beside its TOML file."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saem.errors import ModelError
from saem.system.deferred import Deferred

from ...names import FOLDER, PACKAGE
from .blame import failed
from .cells import Cell
from .sources import digest_of

if TYPE_CHECKING:
    import pandas as pd

    from saem.fitting.result import Fit

OK = "ok"
ARGUMENTS = {
    "generate": ("cell", "seed"),
    "estimate": ("data", "cell", "options", "seed"),
    "truth": ("cell",),
    "performance": ("rows",),
}
OPTIONAL = "performance"
REPLICATE = "replicate"  # a third argument that `generate` may have


@dataclass(frozen=True)
class Outcome:
    """What a method makes of one data set.

    Attributes
    ----------
    numbers : mapping of str to (estimate, se, lower, upper, mcse)
        By estimand; nan where the method gives none.
    status : str
        "ok", "boundary", "not_converged", "several_solutions" or "not_identified".
    loglik, draws, iterations : float
        nan where there is none.
    message : str
    trace : DataFrame, optional
        The path of the method, a row for each iteration, a column for each estimand; for figures, not kept.
    """

    numbers: Mapping[str, tuple[float, float, float, float, float]]
    status: str = OK
    loglik: float = float("nan")
    draws: float = float("nan")
    iterations: float = float("nan")
    message: str = ""
    trace: Deferred[pd.DataFrame | None] = Deferred(None)

    @classmethod
    def of(cls, fit: Fit) -> Outcome:
        """From a fit, with its parameters as the estimands."""
        numbers = dict(zip(fit.parameters.names, map(tuple, fit.to_numpy().tolist()), strict=True))
        order = (0, 1, 3, 4, 2)
        return cls(
            numbers={name: tuple(row[k] for k in order) for name, row in numbers.items()},  # type: ignore[misc]
            status=OK if fit.status == "converged" else str(fit.status),
            loglik=fit.loglik,
            draws=float(fit.drawn),
            iterations=float(fit.iterations),
            message="" if fit.status == "converged" else fit.message,
            trace=partial(getattr, fit, "trace"),
        )


@dataclass(frozen=True)
class Functions:
    """What a study's Python file defines.

    Attributes
    ----------
    generate : callable
        ``generate(cell, seed)``: a data set, of a cell without the factors of the analysis. With a third argument
        ``replicate`` it is told the number of the replicate, from 0 on: for data sets that are there already.
    estimate : callable
        ``estimate(data, cell, options, seed)``: an `Outcome`, with the options of a method.
    truth : callable
        ``truth(cell)``: the true value of every estimand; nan where the model has none (a wrong model).
    performance : callable, optional
        ``performance(rows)``: more measures than those of `experiments.performance`, as a table of the same columns.
    """

    generate: Callable[..., Any]
    estimate: Callable[[Any, Cell, Mapping[str, Any], int], Outcome]
    truth: Callable[[Cell], Mapping[str, float]]
    performance: Callable[[pd.DataFrame], pd.DataFrame] | None = None

    def data(self, cell: Cell, seed: int, replicate: int) -> Any:
        """What `generate` gives for a replicate of a cell."""
        return self.generate(cell, seed, **({REPLICATE: replicate} if takes_replicate(self.generate) else {}))


def takes_replicate(function: Callable[..., Any]) -> bool:
    """Whether `generate` asks for the number of the replicate."""
    try:
        return REPLICATE in inspect.signature(function).parameters
    except (TypeError, ValueError):  # such as one that is built in
        return False


def functions_in(path: Path, digest: str = "") -> Functions:
    """Load a study's functions; once in a process.

    Parameters
    ----------
    path : Path
    digest : str
        What `digest_of` must give: a process that starts late must not run what was changed meanwhile.

    Raises
    ------
    ModelError
        When the file is missing, cannot be imported, lacks a function, or has changed.
    """
    now = digest_of(path)
    if digest and now != digest:
        raise ModelError(f"{path}, or a file that it imports, is not what it was when the run began; run it again")
    return loaded(path, now)


@lru_cache(maxsize=8)
def loaded(path: Path, digest: str) -> Functions:
    """The functions of a file with this content."""
    name = f"saem_study_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}"
    if path.is_relative_to(FOLDER):  # its relative imports are those of its place
        name = ".".join([PACKAGE, *path.relative_to(FOLDER).parent.parts, name])
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # for modules beside the study
    try:
        specification.loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise ModelError(failed(f"{path} cannot be imported", error, path)) from error
    for name, arguments in ARGUMENTS.items():
        check_function(path, name, getattr(module, name, None), arguments)
    return Functions(module.generate, module.estimate, module.truth, getattr(module, "performance", None))


def check_function(path: Path, name: str, function: Any, arguments: tuple[str, ...]) -> None:
    """Refuse a function that is not there, or cannot be called with what it will be given.

    Raises
    ------
    ModelError
    """
    call = f"{name}({', '.join(arguments)})"
    if function is None and name == OPTIONAL:
        return
    if not callable(function):
        raise ModelError(f"{path} must define the function {name}, called as {call}")
    if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
        raise ModelError(f"{path}: {name} must be a plain function that returns its result; it has yield or async")
    try:
        own = inspect.signature(function)
    except (TypeError, ValueError):  # such as one that is built in
        return
    told = {REPLICATE: 0} if name == "generate" and REPLICATE in own.parameters else {}
    try:
        own.bind(*arguments, **told)
    except TypeError as error:
        raise ModelError(f"{path}: {name} must be defined so that it can be called as {call}; {error}") from None
