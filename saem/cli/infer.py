"""`saem profile`, `saem test`, `saem models`: inference from saved fits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from saem.cli.options import Level, optional, written_to
from saem.cli.saved import SavedFit, fit_to_examine

if TYPE_CHECKING:
    from saem.fitting.result import Fit


def profile(
    folder: SavedFit,
    parameter: Annotated[
        list[str] | None, optional("Only this parameter; may be repeated. All that are free if omitted.", "NAME")
    ] = None,
    level: Level = 0.95,
    output: Annotated[Path | None, written_to("Write intervals.csv, points.csv and profile.png here.")] = None,
) -> None:
    """Profile-likelihood intervals of a saved fit, beside its Wald intervals.

    One-sided where the estimate is at a boundary. A simulated fit has the intervals of the maximum beside it.
    """
    from saem.cli.console import note, say, show
    from saem.cli.write import write_figure
    from saem.fitting.summary import legend
    from saem.inference.profile_likelihood import profile as profiled
    from saem.system.display import decimals, number, table
    from saem.system.files import make_folder, write_csv

    fit = fit_to_examine(folder)
    if output is not None:
        make_folder(output)
    found = profiled(fit, parameter, level)
    rows = []
    for name, row in found.intervals.iterrows():
        ends = [row[key] for key in ("estimate", "lower", "upper", "wald_lower", "wald_upper")]
        places = decimals([abs(row["upper"] - row["lower"]) / 4])
        rows.append([str(name), *(number(end, places) for end in ends), row["note"]])
    show(table(["parameter", "estimate", "lower", "upper", "Wald lower", "Wald upper", "note"], rows, "lrrrrrl"))
    for line in legend(fit):
        say(line)
    if fit.method not in ("ml", "reml", "em"):
        say("estimate, lower and upper are of the maximum beside the simulated estimate; Wald intervals of that itself")
    if output is None:
        return
    from matplotlib.figure import Figure

    from saem.plotting import plot_profile

    write_csv(found.intervals, output / "intervals.csv")
    write_csv(found.points, output / "points.csv", index=False)
    figure = Figure(figsize=(3.6 * min(3, len(rows)), 0.8 + 2.2 * -(-len(rows) // 3)), layout="constrained")
    plot_profile(found, figure)
    write_figure(figure, output / "profile.png")
    note(f"written to {output}")


def test(
    smaller: Annotated[Path, typer.Argument(metavar="SMALLER", help="Folder of the fit of the smaller model.")],
    larger: Annotated[Path, typer.Argument(metavar="LARGER", help="Folder of the fit of the larger model.")],
    bootstrap: Annotated[
        int | None, optional("Not by a chi-square, but by so many data sets that the smaller fit draws.", "N", min=20)
    ] = None,
    seed: Annotated[int | None, optional("With --bootstrap: same seed, same result (0).", "N")] = None,
    workers: Annotated[
        int | None, optional("Processes for --bootstrap; as many as there are cores if omitted.", "N", min=1)
    ] = None,
    output: Annotated[
        Path | None, written_to("With --bootstrap: write replicates.csv here; the same command goes on from there.")
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="With --bootstrap: discard what an earlier run left in the folder.")
    ] = False,
) -> None:
    """Likelihood-ratio test of a model within a larger one, from two saved fits.

    Where one standard deviation of random effects is zero in the smaller model, by the mixture of chi-squares; where
    several are, or in small samples, by --bootstrap.
    """
    from saem.cli.console import say, show
    from saem.errors import SaemError
    from saem.inference.likelihood_ratio import comparable, likelihood_ratio, loglik_of
    from saem.system.display import number, table

    for name, value in (("seed", seed), ("workers", workers), ("output", output), ("restart", restart or None)):
        if value is not None and bootstrap is None:
            raise SaemError(f"--{name} belongs to --bootstrap N; leave it out")
    fits = {"smaller": fit_to_examine(smaller), "larger": fit_to_examine(larger)}
    found = likelihood_ratio(fits["smaller"], fits["larger"]) if bootstrap is None else None
    rows, moved = [], []
    coding = comparable(fits["larger"]) - loglik_of(fits["larger"])  # restricted ones are shown in that of its means
    for label, each in fits.items():
        moved += [label] if loglik_of(each) > each.loglik + 1e-3 else []
        loglik = comparable(each) - coding  # of a simulated fit at the maximum beside it
        own = -2.0 * (loglik - each.loglik)
        rows.append([label, str(each.n_free), *(number(v, 3) for v in (loglik, each.aic + own, each.bic + own))])
    if bootstrap is not None:
        line = bootstrap_line(fits["smaller"], fits["larger"], bootstrap, seed or 0, workers, output, restart)
    show(table(["model", "parameters", "log-likelihood", "AIC", "BIC"], rows))
    if moved:
        say(f"of the {' and the '.join(moved)} model at the maximum beside its simulated estimate")
    say()
    if found is None:
        say(line)
        return
    law = " + ".join(
        f"{'' if weight == 1.0 else f'{weight:g} '}chi-square({df})" for df, weight in found.weights.items()
    )
    say(f"likelihood ratio {found.statistic:.4g} on {law}: p = {found.p:.3g}")
    if found.note:
        say(found.note)


def bootstrap_line(
    smaller: Fit, larger: Fit, replicates: int, seed: int, workers: int | None, output: Path | None, restart: bool
) -> str:
    """The result of a bootstrap test in words, its replicates written to a folder."""
    from saem.cli.console import note
    from saem.cli.watching import counting
    from saem.inference.bootstrap_ratio import bootstrap_test
    from saem.system.files import make_folder, write_csv

    if output is not None:
        make_folder(output)
    with counting("bootstrap") as progress:
        found = bootstrap_test(
            smaller, larger, replicates, seed, workers=workers, output=output, restart=restart, progress=progress
        )
    if output is not None:
        write_csv(found.replicates, output / "replicates.csv")
        note(f"written to {output}")
    line = f"likelihood ratio {found.statistic:.4g} by {len(found.ratios)} replicates: "
    line += f"p = {found.p:.3g}, Monte Carlo error {found.p_mcse:.1g}"
    if found.failed:
        low, high = found.p_bounds
        line += f"; {found.failed} more failed, which could make it {low:.3g} to {high:.3g}"
    return line


def models(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Folders of fits of different models.")],
    output: Annotated[Path | None, written_to("Write models.csv here.")] = None,
) -> None:
    """Fits of several models, such as several g, to the same rows: log-likelihood, parameters, AIC and BIC.

    Parameters are counted net of constraints. The lowest AIC comes first.
    """
    from saem.cli.console import note, show
    from saem.inference.likelihood_ratio import compare_models
    from saem.system.display import number, table
    from saem.system.files import make_folder, write_csv

    if output is not None:
        make_folder(output)
    found = compare_models({str(folder): fit_to_examine(folder) for folder in folders})
    rows = [
        [str(model), row["status"], number(row["loglik"], 3), str(row["n_free"])]
        + [number(row[key], 3) for key in ("aic", "delta_aic", "bic", "delta_bic")]
        for model, row in found.iterrows()
    ]
    header = ["model", "status", "log-likelihood", "parameters", "AIC", "difference", "BIC", "difference"]
    show(table(header, rows, "llrrrrrr"))
    if output is not None:
        write_csv(found, output / "models.csv")
        note(f"written to {output}")
