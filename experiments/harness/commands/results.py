"""Commands that make something of results: tables, figures, a report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import app
from .options import Folder, Into, Quick, StudyName, folder_of, path_of, study_in

if TYPE_CHECKING:
    import pandas as pd

    from ..results import Results

OF_MISSING = ("no_estimate", "no_interval", "no_se")
SHOWN = ("bias", "coverage", "rejection", "distance", *OF_MISSING)
RATES = ("convergence_rate", "boundary_rate", "several_solutions_rate", "not_converged_rate", "failure_rate")
OF_FITS = (*RATES, "deficit", "median_seconds", "median_draws")
Measures = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,...", help="Of estimands, in place of bias, coverage, rejection and distance; all are in the CSV."
    ),
]


def results_of(study: str, quick: bool, output: Path | None) -> Results:
    """What the store of a study holds."""
    from saem.cli.console import complain, note

    from ..results import Results

    path, folder = path_of(study), folder_of(study, quick, output)
    found = Results.read(study_in(path, quick, folder), path, folder)
    for text in found.warnings:
        complain("Warning", text, "yellow")
    if found.changed:
        note(
            f"careful: the study changed since the results were made ({', '.join(found.changed)}); true values and "
            "settings are those of now"
        )
    return found


@app.command()
def summarise(
    study: StudyName,
    quick: Quick = False,
    output: Folder = None,
    into: Into = None,
    measures: Measures = None,
    short: Annotated[bool, typer.Option("--short", help="Show the table of whole fits only.")] = False,
) -> None:
    """Performance of all methods with Monte Carlo standard errors, also written as CSV and Parquet."""
    from saem.cli.console import friendly, note, say, show
    from saem.system.display import table
    from saem.system.files import write_csv

    from ..levels import with_levels
    from ..rows import with_streams
    from ..store.export import can_write, write_parquet

    with friendly():
        results = results_of(study, quick, output)
        folder = into or results.folder
        tables = {"performance": results.complete, "performance_on_pairs": results.pairs, "paired": results.paired}
        written = into is not None or can_write(folder)
        if written:
            for name, found in tables.items():
                write_csv(with_levels(in_order(found, results), results.levels), folder / f"{name}.csv", index=False)

            def completed(part: pd.DataFrame) -> pd.DataFrame:
                return with_levels(with_streams(part, results.study), results.levels)

            write_parquet(results.rows, folder / "rows.parquet", completed)
        for title, header, rows, alignment in shown_tables(results, measures):
            if title and short:
                continue
            if title:
                say(title, "bold")
            show(table(header, rows, alignment))
            say()
        say("Monte Carlo standard errors in brackets; measures are explained in the report")
        if written:
            note(f"{', '.join(f'{name}.csv' for name in tables)} and rows.parquet are in {folder}")
        else:
            note(f"{folder} cannot be written, so that no files are; '--into FOLDER' writes them elsewhere")


def shown_tables(results: Results, measures: str | None) -> Iterator[tuple[str, list[str], list[list[str]], str]]:
    """Title, header, rows and alignment: one table for each measure of estimands, and one for the fits."""
    from saem.errors import ModelError, listing, nearest

    from ..performance import MEASURES, WHOLE_FIT, wide
    from ..tables import table_of

    wanted = (
        (*SHOWN, *results.own_measures) if measures is None else tuple(name.strip() for name in measures.split(","))
    )
    known = [*MEASURES, *results.own_measures]
    for name in wanted:
        if name not in known:
            raise ModelError(f"there is no measure {name!r}{nearest(name, known)}; there are {listing(known, 60)}")
    found = in_order(results.complete, results)
    of_estimands = found[found["estimand"] != WHOLE_FIT]
    for name in wanted:
        part = of_estimands[of_estimands["measure"] == name]
        known_in = set(part.loc[part["value"].notna(), "estimand"])
        if name in OF_MISSING and measures is None and not (part["value"] > 0.0).any():
            continue  # what never happened needs no table
        if known_in:
            columns = [column for column in dict.fromkeys(part["estimand"]) if column in known_in]
            side = wide(part[part["estimand"].isin(columns)], across="estimand")
            yield name, *table_of(side, columns, results)
    found = found[found["value"].notna()]
    part = found[(found["estimand"] == WHOLE_FIT) & found["measure"].isin([*OF_FITS, *results.own_measures, *wanted])]
    never = part.groupby("measure")["value"].transform("max") == 0.0
    part = part[~(never & part["measure"].isin(RATES[1:]))]  # what never happened needs no column
    present = [name for name in (*OF_FITS, *results.own_measures) if name in set(part["measure"])]
    if present:
        yield "", *table_of(wide(part, present), present, results)


def in_order(measures: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Measures in the order of the study: cells, methods, estimands."""
    places = {
        "cell": [cell.name for cell in results.study.design.all()],
        "method": list(results.study.methods),
        "estimand": list(results.study.estimands),
    }
    ranks = {name: {label: k for k, label in enumerate(labels)} for name, labels in places.items()}
    return measures.sort_values(
        list(places), key=lambda column: column.astype(str).map(ranks[str(column.name)]), kind="stable"
    )


@app.command()
def plot(study: StudyName, quick: Quick = False, output: Folder = None, into: Into = None) -> None:
    """Draw the figures that apply to a study, as PNG and PDF."""
    from saem.cli.console import friendly, note

    from ..figures.gallery import draw_all
    from ..store.export import check_folder

    with friendly():
        folder = (into or folder_of(study, quick, output)) / "figures"
        results = results_of(study, quick, output)
        check_folder(folder)
        gallery = draw_all(results, folder)
        for name, why in gallery.left_out.items():
            note(f"no {name}: {why}")
        note(f"{len(gallery)} figures are in {folder}, as PNG and PDF")


@app.command()
def report(study: StudyName, quick: Quick = False, output: Folder = None, into: Into = None) -> None:
    """Write all of it as one page: aims, design, tables, figures, failures, provenance."""
    from saem.cli.console import friendly, note

    from ..report import write_report
    from ..store.export import check_folder

    with friendly():
        folder = into or folder_of(study, quick, output)
        results = results_of(study, quick, output)
        check_folder(folder)
        note(f"the report is {write_report(results, folder / 'report.html')}")
