"""`saem bootstrap`: bias, standard errors and intervals of a saved fit from data that it draws itself."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from saem.cli.options import Level, Replicates, Seed, Workers, written_to
from saem.cli.saved import SavedFit, fit_to_examine

FITS = "fits"  # the folder of the progress, within that of the tables


class Interval(StrEnum):
    """What --interval takes."""

    PERCENTILE = "percentile"
    CORRECTED = "corrected"
    BASIC = "basic"


def bootstrap(
    folder: SavedFit,
    replicates: Replicates = 1000,
    seed: Seed = 0,
    workers: Workers = None,
    interval: Annotated[
        Interval,
        typer.Option(
            help="percentile: quantiles of the replicates; corrected: for their bias; basic: reflected at the "
            "estimate, SDs on the log scale."
        ),
    ] = Interval.PERCENTILE,
    level: Level = 0.95,
    output: Annotated[
        Path | None,
        written_to(
            "Write estimates.csv (of the replicates), bootstrap.csv (the table) and bootstrap.png here; the same "
            "command goes on from there after an interruption."
        ),
    ] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Discard what an earlier run left in the folder.")] = False,
) -> None:
    """Parametric bootstrap of a saved fit: bias, standard errors and intervals by direct maximum likelihood."""
    from saem.cli.console import note, say, show
    from saem.cli.watching import counting
    from saem.cli.write import write_figure
    from saem.fitting.summary import legend
    from saem.inference.bootstrap import bootstrap as bootstrapped
    from saem.system.display import UNKNOWN, count, decimals, number, table
    from saem.system.files import write_csv

    fit = fit_to_examine(folder)
    fit.intervals(level)  # a level that is no good is refused before time is spent
    check_folder(output)
    own = None if output is None else output / FITS
    with counting("bootstrap") as progress:
        found = bootstrapped(fit, replicates, seed, workers=workers, output=own, restart=restart, progress=progress)
    ends = found.intervals(level, interval.value)
    whole = found.table.join(ends)
    rows = []
    for name, row in whole.iterrows():
        places = decimals([row["se"]])
        numbers = [number(row[key], places) for key in ("estimate", "bias", "se", "lower", "upper")]
        zero = UNKNOWN if row["at_zero"] != row["at_zero"] else f"{100 * row['at_zero']:.3g} %"
        rows.append([str(name), *numbers, zero, str(int(row["undefined"])) if row["undefined"] else UNKNOWN])
    show(table(["parameter", "estimate", "bias", "se", "lower", "upper", "at zero", "undefined"], rows))
    for line in legend(fit):
        say(line)
    say()
    n_failed = len(found.fits) - len(found.estimates)
    say(f"{count(len(found.estimates), 'replicate')}; {n_failed} failed; {interval.value} intervals, {100 * level:g} %")
    if output is None:
        note("nothing was written: --output FOLDER keeps the replicates")
        return
    from matplotlib.figure import Figure

    from saem.plotting import plot_bootstrap

    for file, frame in (("estimates.csv", found.estimates), ("bootstrap.csv", whole)):
        write_csv(frame, output / file)
    n = int((~fit.parameters.fixed).sum())
    figure = Figure(figsize=(3.6 * min(3, n), 0.8 + 2.2 * -(-n // 3)), layout="constrained")
    plot_bootstrap(found, level=level, figure=figure)
    write_figure(figure, output / "bootstrap.png")
    note(f"written to {output}")


def check_folder(output: Path | None) -> None:
    """Make the folder; refuse one with the tables of something else.

    Raises
    ------
    StorageError
        When it holds tables, and no progress of a bootstrap.
    """
    from saem.errors import StorageError
    from saem.system.files import make_folder

    if output is None:
        return
    make_folder(output)
    if (output / "estimates.csv").exists() and not (output / FITS).is_dir():
        raise StorageError(f"{output} holds the tables of a fit; use another folder for the bootstrap")
