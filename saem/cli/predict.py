"""`saem predict`: predictions of a saved fit for a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saem.cli.options import Where, written_to
from saem.cli.saved import SavedFit, fit_to_examine

SHOWN = 12  # rows


def predict(
    folder: SavedFit,
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="Table with the columns of the model; the response is not needed.")
    ],
    level: Annotated[float, typer.Option(help="Of the intervals of a new observation.", metavar="SHARE")] = 0.95,
    refuse_new: Annotated[
        bool, typer.Option("--refuse-new", help="Stop at clusters that the fit does not know.")
    ] = False,
    where: Where = None,
    output: Annotated[
        Path | None, written_to("Write the table with its predictions to this file: .csv or .parquet.", "FILE")
    ] = None,
) -> None:
    """Predict the rows of a table from a saved fit.

    Rows of clusters that the fit knows have their own mean, those of new ones, or with an empty cluster column, the
    mean over clusters; `se` is of that mean, the interval of a new observation.
    """
    from saem.cli.console import note, show
    from saem.cli.simulate import check_output, write_table
    from saem.cli.write import beside
    from saem.data import read_table
    from saem.data import where as rows_where
    from saem.inference.prediction import predict as predicted
    from saem.system.display import count, decimals, number, table

    if output is not None:
        check_output(output)
    fit = fit_to_examine(folder)
    rows = read_table(data, fit.model.text_columns)
    if where is not None:
        rows = rows_where(rows, where)
    found = predicted(fit, rows, level, "refuse" if refuse_new else "marginal")
    if fit.model.is_transformed:
        note(f"predictions are of {fit.model.response}, the scale of the model")
    absent = [name for name in fit.model.cluster if name not in rows]
    if absent:
        note(f"the table has no column {' or '.join(absent)}: all rows are predicted as of new {fit.model.label_word}s")
    if output is not None:
        write_table(beside(rows, found), output)
        note(f"{count(len(found), 'row')} written to {output}")
        return
    places = decimals(found["se"])
    columns = ["predicted", "se", "lower", "upper"]
    labels = [name for name in fit.model.all_columns if name in rows and name not in fit.model.response_columns]
    shown = [
        [str(index), *(str(rows[name].iloc[k]) for name in labels), "yes" if row["known"] else "no"]
        + [number(row[name], places) for name in columns]
        for k, (index, row) in enumerate(found.head(SHOWN).iterrows())
    ]
    header = ["index", *map(str, labels), "known", *columns]
    show(table(header, shown, "l" * (2 + len(labels)) + "rrrr"))
    if len(found) > SHOWN:
        note(f"and {count(len(found) - SHOWN, 'row')} more; --output FILE writes all")
