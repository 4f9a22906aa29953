"""`saem compare`: several methods on the same model and table."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from saem.cli.options import DataFile, DropMissing, ModelFile, Where

if TYPE_CHECKING:
    from saem.comparison import Comparison


def compare(
    model: ModelFile,
    data: DataFile,
    methods: Annotated[
        str, typer.Option(help="Methods, by commas: saem, em, mcem, stochastic_em, ml, reml.", metavar="LIST")
    ] = "saem,em,mcem,stochastic_em,ml",
    where: Where = None,
    seed: Annotated[int, typer.Option(help="Same seed, same result.", metavar="N", min=0)] = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write the tables and a figure here.", show_default=False, metavar="FOLDER"
        ),
    ] = None,
    drop_missing: DropMissing = False,
) -> None:
    """Fit a model by several methods, and tell how near to the maximum each came and what it cost."""
    from saem import warmup
    from saem.cli.console import note
    from saem.comparison import compare as compare_methods
    from saem.data import arrange, read_table
    from saem.data import where as rows_where
    from saem.errors import SaemWarning
    from saem.specification import Model
    from saem.storage import make_folder

    specification = Model.from_toml(model)
    table = read_table(data)
    if where is not None:
        table = rows_where(table, where)
    names = [name.strip() for name in methods.split(",") if name.strip()]
    if output is not None:
        make_folder(output)
    arrange(specification, table, drop_missing)  # bad input is refused before time is spent on compiling
    warmup.ensure(names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SaemWarning)  # they are in Fit.warnings
        found = compare_methods(specification, table, names, seed, drop_missing)
    _show(found)
    if output is not None:
        _write(found, output)
        note(f"comparison.csv, estimates.csv and comparison.png are in {output}")


def _show(found: Comparison) -> None:
    """The table of the methods, and what each says of itself where it did not converge."""
    from saem.cli.console import STYLES, say, show
    from saem.cli.report import SHORT
    from saem.display import number, small, table
    from saem.summary import status_words

    rows = []
    for row in found.table.to_dict("records"):
        distance = small(row["largest_distance"])
        rows.append(
            [
                SHORT.get(row["method"], row["method"]),
                status_words(row["status"]),
                number(row["loglik"], 4),
                small(row["deficit"]),
                f"{distance} ({row['parameter']})" if row["largest_distance"] > 0 else distance,
                small(row["largest_mcse_share"]),
                f"{row['iterations']:,}",
                f"{row['draws']:,}",
                number(row["seconds"], 3),
            ]
        )
    reference = SHORT.get(found.reference, found.reference)
    header = ["method", "status", "log-likelihood", "deficit", f"largest |x - {reference}|/se", "mcse/se"]
    show(table([*header, "iterations", "draws", "seconds"], rows, "llrrrrrrr"))
    for name, each in found.fits.items():
        if not each.converged:
            say(f"{SHORT.get(name, name)} {status_words(each.status)}. {each.message}", STYLES.get(str(each.status)))
    for text in dict.fromkeys(text for each in found.fits.values() for text in each.warnings):
        say(f"warning: {text}", "yellow")
    for name, text in found.failures.items():
        say(f"{SHORT.get(name, name)} error. {text}", "red")


def _write(found: Comparison, folder: Path) -> None:
    import pandas as pd
    from matplotlib.figure import Figure

    from saem.plotting import plot_comparison
    from saem.storage import replacing

    estimates = pd.concat([each.to_frame() for each in found.fits.values()], ignore_index=True)
    for name, table in (("comparison", found.table), ("estimates", estimates)):
        with replacing(folder / f"{name}.csv") as path:
            table.to_csv(path, index=False)
    n = len(found.fits[found.reference].parameters)
    figure = Figure(figsize=(7.0, 1.2 + 0.14 * n * len(found.fits)), layout="constrained")
    plot_comparison(found, figure.subplots())
    with replacing(folder / "comparison.png") as path:
        figure.savefig(path, format="png", dpi=150)
