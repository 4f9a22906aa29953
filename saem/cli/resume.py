"""`saem resume`: more iterations for a fit that was saved."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saem.cli.options import MaxDraws, MaxIterations, MaxSeconds, Mcse, Threads, target_options, written_to


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
    threads: Threads = 1,
    output: Annotated[
        Path | None,
        written_to("Write tables, the fit and figures here, as `saem fit` does; the same FOLDER replaces its fit."),
    ] = None,
) -> None:
    """Go on with a saved fit to a smaller Monte Carlo error, from where it stopped.

    The result is that of a fit that was never interrupted, bit for bit. What is not given stays as it was; budgets
    count from the start of the fit.
    """
    from dataclasses import replace

    from saem.cli.console import note
    from saem.cli.fit import interrupted
    from saem.cli.report import show_fit
    from saem.cli.saved import fit_to_resume, others
    from saem.cli.watching import watching
    from saem.cli.write import check_folder, draw_fits, keep_fits
    from saem.fitting import warmup
    from saem.fitting.resuming import method_of

    fit = fit_to_resume(folder)
    target = replace(method_of(fit).target, **target_options(mcse, max_iterations, max_draws, max_seconds))
    beside = {}
    if output is not None:
        check_folder(output)
        beside = others(output, fit.method)  # before time is spent: one of them may be damaged
    warmup.ensure([fit.method], fit.model.family)
    with watching(f"going on by {fit.method}") as watcher:
        result = fit.resume(target, callback=watcher, threads=threads)
    unsaved = keep_fits(output, [result], beside)
    show_fit(result)
    if unsaved is not None:
        raise unsaved
    if output is None:
        note("nothing was written: --output FOLDER keeps the fit; it may be the same folder")
    else:
        draw_fits(output, [result])
        note(f"written to {output}")
    if watcher.interrupted:
        interrupted(output)
