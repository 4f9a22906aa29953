"""Fit one model for every level: split, fit what is not done, keep records as they come, and write the tables."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from saem.batch.levels import Levels, split
from saem.batch.pool import run
from saem.batch.store import FILE, Store
from saem.batch.tables import assemble, write_tables
from saem.batch.work import Case, FitFunction, Task
from saem.data import where as rows_where
from saem.data.intake import with_all_levels
from saem.errors import SaemError, SaemWarning, StorageError
from saem.fitting import warmup
from saem.fitting.provenance import versions
from saem.system.display import method_name
from saem.system.files import make_folder
from saem.system.streams import check_seed, derived_seed

if TYPE_CHECKING:
    import pandas as pd

    from saem.families import Model

LEVELS_PER_WORKER = 16  # below this, starting another process takes longer than it saves


class Batch(NamedTuple):
    """The two tables of a run, with the levels in order of first appearance.

    Attributes
    ----------
    estimates : DataFrame
        The by-columns, `method, parameter, estimate, se, mcse, lower, upper`; none for levels that were not fitted.
    fits : DataFrame
        The by-columns, `method, status, loglik, n_rows, n_clusters, seconds, message`; one row per level and method.
    """

    estimates: pd.DataFrame
    fits: pd.DataFrame


class Interrupted(KeyboardInterrupt):
    """Ctrl-C (on the command line SIGTERM and SIGHUP, too) during `fit_by`, after what was done has been written.

    Attributes
    ----------
    done, total : int
        Levels that are done, and all levels.
    folder : Path or None
        Where the results are kept; None if nothing was kept.
    """

    def __init__(self, done: int, total: int, folder: Path | None) -> None:
        super().__init__(f"{done} of {total} levels are done")
        self.done, self.total, self.folder = done, total, folder


def fit_by(
    model: Model,
    table: pd.DataFrame,
    by: str | Sequence[str],
    methods: str | Sequence[Any] = ("saem",),
    *,
    where: str | None = None,
    seed: int = 0,
    drop_missing: bool = False,
    workers: int | None = None,
    output: str | Path | None = None,
    restart: bool = False,
    progress: Callable[[int, int], None] | None = None,
    fit: FitFunction | None = None,
    origin: str | None = None,
) -> Batch:
    """Fit a model to every level of one or several columns.

    A level that cannot be fitted becomes a row of `fits` with status "error" and the reason as its message; one whose
    process was killed has the status "crashed". The results depend on the seed, not on the number of workers.

    Parameters
    ----------
    model : Model
    table : DataFrame
    by : str or sequence of str
        Columns; every combination of their levels that occurs is a level. Rows where one is empty are left out.
    methods : str or sequence
        What `saem.fit` takes as its method: one, or several to be compared.
    where : str, optional
        Use only the rows that satisfy this condition, such as ``"treatment in ['Ctrl', 'CCCP']"``.
    seed : int
        Root of the seeds of all fits, each of which is derived from its level and method.
    drop_missing : bool
        Leave out rows with missing values instead of refusing them.
    workers : int, optional
        Processes; as many as there are cores, if there are levels enough for them, if omitted.
    output : str or Path, optional
        Folder for `estimates` and `fits`, each as CSV and Parquet, and for the progress of the run: the same call
        goes on from there after an interruption.
    restart : bool
        Discard the progress in `output`.
    progress : callable, optional
        Called with the number of levels done and of all levels, at the start and after each level.
    fit : callable, optional
        Used instead of `saem.fit`, with the same arguments.
    origin : str, optional
        What determines the table level by level, in place of its content: then a run goes on also where there are more
        levels than before, after the earlier ones.

    Raises
    ------
    Interrupted
        On Ctrl-C, after what is done has been written to `output`.
    """
    by = [by] if isinstance(by, str) else list(by)
    methods = (methods,) if isinstance(methods, str) else tuple(methods)
    names = [method_name(method) for method in methods]
    if not names or len(set(names)) < len(names):
        raise SaemError(f"methods must be one or several different methods; got {names}")
    seed = check_seed(seed)
    if where is not None:
        table = rows_where(table, where)
    levels = split(with_all_levels(model, table), by)
    if levels.n_dropped:
        _warn(f"{levels.n_dropped} rows have no value in {' or '.join(by)} and belong to no level: they are left out")
    workers = number_of_workers(workers, len(levels))
    task = Task(model, methods, drop_missing, fit)
    folder = None if output is None else Path(output)
    if folder is not None:
        _check_folder(folder, restart)
    if fit is None:
        warmup.ensure(names, model.family)  # here, or every worker would compile

    def case(level: int) -> Case:
        meaning = levels.meaning(level)
        return Case(level, levels.table(level), tuple(derived_seed(seed, "by", meaning, name) for name in names))

    content = table_digest(table) if origin is None else origin
    identity = _identity(model, content, where, by, methods, seed, drop_missing)
    with Store(folder, identity, restart) as store:
        try:
            n_done = _work_off(task, store, levels, case, workers, progress)
        except KeyboardInterrupt:
            n_done = len([level for level in store.done() if level < len(levels)])
            if folder is not None:
                write_tables(folder, *assemble(levels.keys, store.records(len(levels))))
            raise Interrupted(n_done, len(levels), folder) from None
        batch = Batch(*assemble(levels.keys, store.records(len(levels))))
    if folder is not None:
        write_tables(folder, *batch)
    return batch


def _check_folder(folder: Path, restart: bool) -> None:
    """Make the folder; refuse one with tables that belong to no earlier run with --by."""
    make_folder(folder)
    if (folder / "estimates.csv").exists() and not (folder / FILE).exists() and not restart:
        raise StorageError(f"{folder} holds the tables of a single fit; use another folder, or --restart to discard it")


def _work_off(
    task: Task,
    store: Store,
    levels: Levels,
    case: Callable[[int], Case],
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> int:
    """Fit the levels that the store does not have yet; return the number that it has in the end."""
    done = {level for level in store.done() if level < len(levels)}
    n_done = len(done)
    if progress:
        progress(n_done, len(levels))
    with closing(run(task, [i for i in range(len(levels)) if i not in done], case, workers)) as results:
        for level, records in results:
            store.add(level, records)
            n_done += 1
            if progress:
                progress(n_done, len(levels))
    return n_done


def number_of_workers(workers: int | None, n_levels: int) -> int:
    """The number asked for, or else the cores, if there are levels enough for them."""
    if workers is None:
        from joblib import cpu_count

        return max(1, min(int(cpu_count()), n_levels // LEVELS_PER_WORKER))
    if workers < 1:
        raise SaemError(f"workers must be 1 or more; got {workers}")
    return min(workers, n_levels)


def _identity(
    model: Model,
    content: str,
    where: str | None,
    by: Sequence[str],
    methods: Sequence[Any],
    seed: int,
    drop_missing: bool,
) -> dict[str, str]:
    """Everything that the results depend on, in words that a message can use."""
    return {
        "the model": model.digest,
        "the table": content,
        "--where": where or "",
        "--by": ", ".join(by),
        "--method": ", ".join(method if isinstance(method, str) else repr(method) for method in methods),
        "--seed": str(seed),
        "--drop-missing": str(drop_missing),
        "the version of saem": versions()["saem"],
    }


def table_digest(table: pd.DataFrame) -> str:
    """Hash of the names, types and values of all columns, and of the row labels."""
    import pandas as pd

    digest = hashlib.sha256()
    for name, kind in table.dtypes.items():
        digest.update(f"{name!r} {kind}\n".encode())
    digest.update(pd.util.hash_pandas_object(table, index=True).to_numpy().tobytes())
    return digest.hexdigest()[:16]


def _warn(text: str) -> None:
    import warnings

    warnings.warn(text, SaemWarning, stacklevel=3)
