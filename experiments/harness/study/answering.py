"""What the process of `experiments.study.asking` does: call functions of a study, and answer with plain values."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saem.errors import ModelError, SaemError

from ..process.inside import Inside
from ..process.memory import allowed, limit_memory
from .blame import blamed, failed
from .cells import Cell
from .functions import Functions, functions_in
from .records import few, in_words
from .surroundings import surroundings
from .tasks import Job, generated, method_seed, same_process
from .truths import NoNumber, is_number

if TYPE_CHECKING:
    import pandas as pd

    from .asking import Request

LOADING = "its import"


def main() -> None:
    """Answer requests until there are no more."""
    inside = Inside()
    while True:
        request: Request = inside.requests.get()
        limit_memory(allowed(request.memory))
        answer: Any
        with warnings.catch_warnings(record=True) as raised:
            warnings.simplefilter("default")
            for kind in (DeprecationWarning, PendingDeprecationWarning, FutureWarning, ImportWarning):
                warnings.simplefilter("ignore", kind)  # not of what the study computes
            try:
                with inside.watch(LOADING, request.limit), same_process():
                    functions = functions_in(request.path, request.digest)
                raised.clear()
                with inside.watch(request.what, request.limit), same_process(), surroundings(0):
                    value = ANSWERS[request.name](functions, request.path, *request.arguments)
                    said = raised if request.name in HEARD else []
                    answer = value, few(f"{type(one.message).__name__}: {one.message}" for one in said)
                    pickle.dumps(answer)  # what cannot be handed over is an error of its own
            except SaemError as error:
                answer = ModelError(str(error))
            except BaseException as error:
                answer = ModelError(failed(f"{request.path}: {request.what}", error, request.path))
        inside.send(answer)
        inside.note.clear()


def loaded(functions: Functions, path: Path) -> bool:
    """Whether there is a function `performance`, of a file that can be imported."""
    return functions.performance is not None


def truth(functions: Functions, path: Path, cell: Cell) -> dict[str, float | NoNumber]:
    """The true values of a cell."""
    try:
        given = functions.truth(cell)
    except SaemError as error:
        raise ModelError(f"truth: {error}") from None
    except BaseException as error:
        raise ModelError(failed("truth", error, path)) from None
    if not isinstance(given, Mapping):
        raise ModelError(f"truth: it must return a mapping of numbers by estimand; got {given!r:.60}")
    return {str(name): plain(value) for name, value in given.items()}


def plain(value: Any) -> float | NoNumber:
    """A true value as a number, or as it is printed."""
    return float(value) if is_number(value) else NoNumber(f"{value!r:.40}")


def performance(
    functions: Functions, path: Path, rows: pd.DataFrame, known: Mapping[str, Collection[str]]
) -> pd.DataFrame:
    """The measures that `performance` makes of rows; see `experiments.own_measures`."""
    from ..own_measures import checked

    assert functions.performance is not None
    with blamed(f"the function performance of {path.name} failed", path):
        found = functions.performance(rows)
    try:
        return checked(found, known)
    except ModelError as error:
        raise ModelError(f"the function performance of {path.name} must return {error}") from None


def traced(
    functions: Functions, path: Path, job: Job, cell: Cell, replicate: int, method: str
) -> tuple[dict[str, tuple[float, float]], pd.DataFrame | None]:
    """Estimate and Monte Carlo error by estimand of a method on a data set, and its path, if it has one."""
    seed, options = method_seed(job, cell, replicate, method), dict(job.methods)[method]
    try:
        data = generated(job, cell, replicate)
        with warnings.catch_warnings(), surroundings(seed):
            warnings.simplefilter("ignore")
            outcome = functions.estimate(*copy.deepcopy((data, cell, options)), seed)
            trace = outcome.trace
    except BaseException as error:  # in one line, since a caption has it
        raise ModelError(in_words(error)) from None
    numbers = {name: outcome.numbers[name] for name in job.estimands}
    columns = [name for name in job.estimands if trace is not None and name in trace]
    ends = {name: (float(own[0]), float(own[4])) for name, own in numbers.items()}
    return ends, None if trace is None or not columns else trace[columns].reset_index(drop=True)


HEARD = ("truth", "performance")  # whose warnings are passed on: those of fits are in their records
ANSWERS = {"import": loaded, "truth": truth, "performance": performance, "traced": traced}


if __name__ == "__main__":
    main()
