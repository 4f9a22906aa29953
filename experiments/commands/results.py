"""Commands that make something of results: tables, figures, a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from experiments.commands import app
from experiments.commands.options import Folder, Quick, StudyName, folder_of, path_of

if TYPE_CHECKING:
    from experiments.results import Results

SHOWN = ("bias", "empirical_se", "model_se", "coverage", "distance")
OF_FITS = ("convergence_rate", "boundary_rate", "failure_rate", "deficit", "median_seconds", "median_draws")


def results_of(study: str, quick: bool, output: Path | None) -> Results:
    """What the store of a study holds."""
    from experiments.results import Results
    from experiments.study import load_study

    path = path_of(study)
    return Results.read(load_study(path, quick), path, folder_of(study, quick, output))


@app.command()
def summarise(study: StudyName, quick: Quick = False, output: Folder = None) -> None:
    """Performance of all methods with Monte Carlo standard errors, also written as CSV and Parquet."""
    from experiments.performance import WHOLE_FIT, wide
    from experiments.store.export import write_csv, write_parquet
    from experiments.tables import table_of
    from saem.cli.console import friendly, note, say, show
    from saem.display import table

    with friendly():
        results = results_of(study, quick, output)
        write_parquet(results.rows, results.folder / "rows.parquet")
        tables = {"performance": results.complete, "performance_on_pairs": results.pairs, "paired": results.paired}
        for name, measures in tables.items():
            write_csv(measures, results.folder / f"{name}.csv")
        for whole, names in ((False, SHOWN), (True, OF_FITS)):
            part = results.complete[(results.complete["estimand"] == WHOLE_FIT) == whole]
            known = set(part.loc[part["value"].notna(), "measure"])
            present = [name for name in (*names, *results.own_measures) if name in known]
            if present:
                show(table(*table_of(wide(part, present), present, whole)))
                say()
        say("Monte Carlo standard errors in brackets")
        note(f"{', '.join(f'{name}.csv' for name in tables)} and rows.parquet are in {results.folder}")


@app.command()
def plot(study: StudyName, quick: Quick = False, output: Folder = None) -> None:
    """Draw the figures that apply to a study, as PNG and PDF."""
    from experiments.figures.gallery import draw_all
    from saem.cli.console import friendly, note

    with friendly():
        results = results_of(study, quick, output)
        draw_all(results, results.folder / "figures")
        note(f"figures are in {results.folder / 'figures'}")


@app.command()
def report(study: StudyName, quick: Quick = False, output: Folder = None) -> None:
    """Write all of it as one page: aims, design, tables, figures, failures, provenance."""
    from experiments.report import write_report
    from saem.cli.console import friendly, note

    with friendly():
        results = results_of(study, quick, output)
        note(f"the report is {write_report(results, results.folder / 'report.html')}")
