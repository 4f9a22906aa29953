"""`saem prior` and `saem sensitivity`: what priors expect, and how far a posterior hangs on them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saem.cli.options import DataFile, DropMissing, Level, ModelFile, Where, written_to
from saem.cli.saved import SavedFit


def prior(
    model: ModelFile,
    data: DataFile,
    where: Where = None,
    drop_missing: DropMissing = False,
    draws: Annotated[int, typer.Option(help="Data sets to draw.", metavar="N", min=100)] = 1000,
    seed: Annotated[int, typer.Option(help="Same seed, same draws.", metavar="N", min=0)] = 0,
    level: Level = 0.95,
    output: Annotated[
        Path | None, written_to("Write prior.csv, parameters.csv, statistics.csv and prior.png here.")
    ] = None,
) -> None:
    """What data the priors expect, beside the data: the prior predictive check.

    And what they say of every parameter, those included that a constraint determines.
    """
    from saem.cli.check import without_missing
    from saem.cli.console import complain, heading, note, say, show
    from saem.cli.write import write_figure
    from saem.data import read_table
    from saem.data import where as rows_where
    from saem.families import Model
    from saem.inference.prior_predictive import prior_predictive
    from saem.system.display import count, table
    from saem.system.files import make_folder, write_csv

    specification = Model.from_toml(model)
    rows = read_table(data)
    rows = rows if where is None else rows_where(rows, where)
    rows = without_missing(specification, rows) if drop_missing else rows
    if output is not None:
        make_folder(output)
    found = prior_predictive(specification, rows, draws, seed)
    percent = f"{100 * level:g} %"
    heading("What the priors say of the parameters")
    implied = found.implied(level)
    cells = [[str(name), *map(short, row[:3]), str(row.iloc[3])] for name, row in implied.iterrows()]
    show(table(["parameter", "median", f"{percent} from", "to", "prior"], cells, "lrrrl"))
    heading(f"Data that they expect ({count(len(found.responses), 'data set')}), and the data")
    summaries = found.table(level)
    cells = [[str(name), *map(short, row[:4]), f"{row['share']:.3f}"] for name, row in summaries.iterrows()]
    header = ["summary", "the data", "median", f"{percent} from", "to", "share below the data"]
    show(table(header, cells, "lrrrrr"))
    if found.failed:
        say(f"{count(found.failed, 'draw')} left out: the constraints have no solution, or the data are not finite")
    for text in found.findings:
        complain("Warning", text, "yellow")
    if output is None:
        return
    from matplotlib.figure import Figure

    from saem.plotting import plot_prior_predictive

    write_csv(summaries, output / "prior.csv")
    write_csv(implied, output / "parameters.csv")
    write_csv(found.statistics, output / "statistics.csv", index=False)
    figure = Figure(figsize=(10.8, 5.2), layout="constrained")
    plot_prior_predictive(found, figure)
    write_figure(figure, output / "prior.png")
    note(f"written to {output}")


def short(value: float) -> str:
    """A number of any size, in four digits."""
    return f"{value:.4g}"


def sensitivity(
    folder: SavedFit, output: Annotated[Path | None, written_to("Write sensitivity.csv here.")] = None
) -> None:
    """How far a saved posterior hangs on its priors, and on the likelihood, by power scaling."""
    from saem.cli.console import note, say, show
    from saem.cli.saved import posterior_to_examine
    from saem.inference.prior_sensitivity import prior_sensitivity
    from saem.system.display import table
    from saem.system.files import make_folder, write_csv

    fit = posterior_to_examine(folder)
    if output is not None:
        make_folder(output)
    found = prior_sensitivity(fit)
    rows = [
        [
            str(name),
            f"{row['prior']:.3f}",
            f"{row['likelihood']:.3f}",
            f"{row['most']} ({row['alone']:.3f})",
            row["diagnosis"],
        ]
        for name, row in found.table.iterrows()
    ]
    show(table(["parameter", "prior", "likelihood", "most by the prior of", "diagnosis"], rows, "lrrll"))
    say("distance (cumulative Jensen-Shannon) for each doubling of the power of all priors, and of the likelihood")
    for text in found.findings:
        say(f"{text[0].upper()}{text[1:]}.")
    if output is not None:
        write_csv(found.table, output / "sensitivity.csv")
        note(f"written to {output}")
