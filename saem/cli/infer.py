"""`saem profile`, `saem test`, `saem models`: inference from saved fits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saem.cli.options import Level
from saem.cli.saved import SavedFit, fit_to_examine


def profile(
    folder: SavedFit,
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this parameter; may be repeated. All that are free if omitted.",
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
    level: Level = 0.95,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Write intervals.csv, points.csv and profile.png here.",
            show_default=False,
            metavar="FOLDER",
        ),
    ] = None,
) -> None:
    """Profile-likelihood intervals of a saved fit, beside its Wald intervals.

    One-sided where the estimate is at a boundary. A simulated fit has the intervals of the maximum beside it.
    """
    from saem import profile as profiled
    from saem.cli.console import note, show
    from saem.cli.write import write_figure
    from saem.display import decimals, number, table
    from saem.storage import make_folder

    found = profiled(fit_to_examine(folder), parameter, level)
    rows = []
    for name, row in found.intervals.iterrows():
        ends = [row[key] for key in ("estimate", "lower", "upper", "wald_lower", "wald_upper")]
        places = decimals([abs(row["upper"] - row["lower"]) / 4])
        rows.append([str(name), *(number(end, places) for end in ends), row["note"]])
    show(table(["parameter", "estimate", "lower", "upper", "Wald lower", "Wald upper", "note"], rows, "lrrrrrl"))
    if output is None:
        return
    from matplotlib.figure import Figure

    from saem.plotting import plot_profile

    make_folder(output)
    found.intervals.to_csv(output / "intervals.csv")
    found.points.to_csv(output / "points.csv", index=False)
    figure = Figure(figsize=(3.6 * min(3, len(rows)), 0.8 + 2.2 * -(-len(rows) // 3)), layout="constrained")
    plot_profile(found, figure)
    write_figure(figure, output / "profile.png")
    note(f"written to {output}")


def test(
    smaller: Annotated[Path, typer.Argument(metavar="SMALLER", help="Folder of the fit of the smaller model.")],
    larger: Annotated[Path, typer.Argument(metavar="LARGER", help="Folder of the fit of the larger model.")],
) -> None:
    """Likelihood-ratio test of a model within a larger one, from two saved fits.

    Where one standard deviation of random effects is zero in the smaller model, by the mixture of chi-squares.
    """
    from saem import likelihood_ratio
    from saem.cli.console import say, show
    from saem.display import number, table

    fits = {"smaller": fit_to_examine(smaller), "larger": fit_to_examine(larger)}
    found = likelihood_ratio(fits["smaller"], fits["larger"])
    rows = [
        [label, str(each.n_free), number(each.loglik, 3), number(each.aic, 3), number(each.bic, 3)]
        for label, each in fits.items()
    ]
    show(table(["model", "parameters", "log-likelihood", "AIC", "BIC"], rows))
    law = " + ".join(
        f"{'' if weight == 1.0 else f'{weight:g} '}chi-square({df})" for df, weight in found.weights.items()
    )
    say()
    say(f"likelihood ratio {found.statistic:.4g} on {law}: p = {found.p:.3g}")
    if found.note:
        say(found.note)


def models(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Folders of fits of different models.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write models.csv here.", show_default=False, metavar="FOLDER"),
    ] = None,
) -> None:
    """Fits of several models, such as several g, to the same rows: log-likelihood, parameters, AIC and BIC.

    Parameters are counted net of constraints. The lowest AIC comes first.
    """
    from saem import compare_models
    from saem.cli.console import note, show
    from saem.display import number, table
    from saem.storage import make_folder

    found = compare_models({str(folder): fit_to_examine(folder) for folder in folders})
    rows = [
        [str(model), row["status"], number(row["loglik"], 3), str(row["n_free"])]
        + [number(row[key], 3) for key in ("aic", "delta_aic", "bic", "delta_bic")]
        for model, row in found.iterrows()
    ]
    header = ["model", "status", "log-likelihood", "parameters", "AIC", "difference", "BIC", "difference"]
    show(table(header, rows, "llrrrrrr"))
    if output is not None:
        make_folder(output)
        found.to_csv(output / "models.csv")
        note(f"written to {output}")
