"""`saem resume`: more iterations for a fit that was saved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from saem.cli.options import MaxDraws, MaxIterations, MaxSeconds, Mcse, target_options

if TYPE_CHECKING:
    from saem.result import Fit


def resume(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="What `saem fit --output FOLDER` wrote, or the folder of one method in it (FOLDER/saem).",
        ),
    ],
    mcse: Mcse = None,
    max_iterations: MaxIterations = None,
    max_draws: MaxDraws = None,
    max_seconds: MaxSeconds = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Write tables, the fit and figures here, as `saem fit` does; the same FOLDER replaces its fit.",
            show_default=False,
            metavar="FOLDER",
        ),
    ] = None,
) -> None:
    """Go on with a saved fit to a smaller Monte Carlo error, from where it stopped.

    The result is that of a fit that was never interrupted, bit for bit. What is not given stays as it was; budgets
    count from the start of the fit.
    """
    from dataclasses import replace

    from saem import warmup
    from saem.cli.console import note
    from saem.cli.fit import interrupted
    from saem.cli.report import show_fit
    from saem.cli.watching import watching
    from saem.cli.write import check_folder, write_fits
    from saem.resuming import method_of

    fit = saved_fit(folder)
    target = replace(method_of(fit).target, **target_options(mcse, max_iterations, max_draws, max_seconds))
    if output is not None:
        check_folder(output)
    warmup.ensure([fit.method])
    with watching(f"going on by {fit.method}") as watcher:
        result = fit.resume(target, callback=watcher)
    show_fit(result)
    if output is None:
        note("nothing was written: --output FOLDER keeps the fit; it may be the same folder")
    else:
        write_fits(output, [result, *others(output, result)])
        note(f"written to {output}")
    if watcher.interrupted:
        interrupted(output)


def saved_fit(folder: Path) -> Fit:
    """The fit in a folder, or the only one in its folders that can go on.

    Raises
    ------
    StorageError
        When there is none, or several.
    """
    from saem.errors import StorageError, listing
    from saem.storage import FIT_FILE, load

    if (folder / FIT_FILE).is_file() or not folder.is_dir():
        return load(folder)
    found = {path.parent.name: load(path.parent) for path in sorted(folder.glob(f"*/{FIT_FILE}"))}
    able = {name: fit for name, fit in found.items() if fit.continuation is not None}
    if len(able) == 1:
        return next(iter(able.values()))
    if not able:
        what = f"those of {listing(found)} are exact, or of an earlier saem" if found else "there is no saved fit"
        raise StorageError(f"no fit in {folder} can go on: {what}; `saem fit --output FOLDER` without --by saves one")
    folders = listing([str(folder / name) for name in able])
    raise StorageError(f"{folder} holds several fits that can go on; give one of {folders}")


def others(output: Path, result: Fit) -> list[Fit]:
    """Fits by other methods that a folder holds, and that its tables go on to list."""
    from saem.storage import FIT_FILE, load

    return [load(path.parent) for path in sorted(output.glob(f"*/{FIT_FILE}")) if path.parent.name != result.method]
