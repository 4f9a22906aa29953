"""`saem compare`: several methods on the same model and table, at their targets or at the same budget."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from saem.cli.options import DataFile, DropMissing, ModelFile, Where, optional, written_to

if TYPE_CHECKING:
    from saem.comparison import Comparison

FILES = "comparison, estimates and history as .csv and .parquet, comparison.png and cost.png"


def compare(
    model: ModelFile,
    data: DataFile,
    methods: Annotated[
        str,
        typer.Option(
            help="Methods, by commas, such as saem,mcem,chains,ml; or all that there are.", metavar="LIST|all"
        ),
    ] = "saem,em,mcem,stochastic_em,stochastic_newton,ml",
    where: Where = None,
    budget: Annotated[
        float | None,
        optional("Random effects that every Monte Carlo method draws, however precise it is by then; e.g. 1e6.", "N"),
    ] = None,
    seconds: Annotated[float | None, optional("Seconds that every Monte Carlo method takes, likewise.", "S")] = None,
    repeats: Annotated[
        int, typer.Option(help="Fits of every Monte Carlo method, with one seed after another.", metavar="R", min=1)
    ] = 1,
    seed: Annotated[
        int, typer.Option(help="Same seed, same result; the first of the repeats.", metavar="N", min=0)
    ] = 0,
    output: Annotated[Path | None, written_to("Write tables and figures here.")] = None,
    drop_missing: DropMissing = False,
) -> None:
    """Fit a model by several methods, and tell how near to the maximum each came and what it cost."""
    from saem.algorithms.registry import METHODS, resolve
    from saem.cli.console import note
    from saem.comparison import compare as compare_methods
    from saem.data import read_table
    from saem.data import where as rows_where
    from saem.errors import SaemWarning
    from saem.families import Model, arrange
    from saem.fitting import warmup
    from saem.system.files import make_folder

    specification = Model.from_toml(model)
    table = read_table(data, specification.text_columns)
    if where is not None:
        table = rows_where(table, where)
    names = [name.strip() for name in methods.split(",") if name.strip()]
    if names == ["all"]:
        names = list(METHODS)
    for name in names:
        resolve(name)
    if output is not None:
        make_folder(output)
    arrange(specification, table, drop_missing)  # bad input is refused before time is spent on compiling
    warmup.ensure(names, specification.family)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SaemWarning)  # they are in Fit.warnings
        found = compare_methods(
            specification, table, names, seed, drop_missing, budget=budget, budget_seconds=seconds, repeats=repeats
        )
    if repeats > 1:
        _show_seeds(found)
    else:
        _show(found)
    _show_remarks(found, repeats)
    if output is not None:
        _write(found, output, repeats)
        note(f"{FILES} are in {output}")


def _show(found: Comparison) -> None:
    """The table of the methods that found an estimate."""
    from saem.cli.console import show
    from saem.fitting.summary import status_words
    from saem.system.display import small, table

    rows = []
    for row in found.table.to_dict("records"):
        if row["method"] in found.failures:
            continue
        distance = small(row["largest_distance"])
        rows.append(
            [
                _short(row["method"]),
                status_words(row["status"]),
                small(row["deficit"]),
                f"{distance} ({row['parameter']})" if row["largest_distance"] > 0 else distance,
                small(row["largest_mcse_share"]),
                f"{row['iterations']:,}",
                _rounded(row["draws"]),
                small(row["seconds"]),
            ]
        )
    header = ["method", "status", "deficit", f"|x - {_short(found.reference)}|/se", "mcse/se", "iterations"]
    show(table([*header, "draws", "seconds"], rows, "llrrrrrr"))


def _show_seeds(found: Comparison) -> None:
    """The table over several seeds, errors after the numbers they belong to."""
    from saem.cli.console import show
    from saem.system.display import small, table

    def with_error(value: float, error: float) -> str:
        return small(value) if math.isnan(error) else f"{small(value)} ± {error:.1g}"

    rows = [
        [
            _short(row["method"]),
            f"{row['converged'] * row['fits']:.0f} of {row['fits']}",
            with_error(row["mean_deficit"], row["mean_deficit_error"]),
            with_error(row["rms_distance"], row["rms_distance_error"]),
            with_error(row["spread_over_mcse"], row["spread_over_mcse_error"]),
            _rounded(row["draws"]),
            small(row["seconds"]),
        ]
        for row in found.over_seeds.to_dict("records")
    ]
    header = ["method", "converged", "mean deficit", f"rms |x - {_short(found.reference)}|/se", "spread/mcse"]
    show(table([*header, "draws", "seconds"], rows))


def _show_remarks(found: Comparison, repeats: int) -> None:
    """The maximum, what each method says of itself where it did not converge, and why others have no estimate."""
    from saem.cli.console import STYLES, say
    from saem.fitting.summary import status_words
    from saem.system.display import number

    say()
    say(f"highest log-likelihood {number(found.maximum, 4)}; deficits are what is missing to it")
    if repeats > 1:
        say("± is one Monte Carlo standard error; spread/mcse is 1 where Monte Carlo errors are what they say")
    for name, each in found.fits.items() if repeats == 1 else ():
        if not each.converged or "less than the budget" in each.message:
            say(f"{_short(name)} {status_words(each.status)}. {each.message}", STYLES.get(str(each.status)))
    texts = [text for fits in found.repetitions.values() for each in fits for text in each.warnings]
    for text in dict.fromkeys(texts):
        say(f"warning: {text}", "yellow")
    for name, text in found.failures.items():
        if name in found.refused:
            say(f"{_short(name)} cannot be used: {text}", "yellow")
        else:
            say(f"{_short(name)} error. {text}", "red")


def _short(name: str) -> str:
    from saem.algorithms.registry import declaration_of

    return declaration_of(name).short or name.replace("_", " ")


def _rounded(draws: float) -> str:
    """Numbers of draws with three digits where they are long: `624`, `780,000`, `13.6 M`."""
    return f"{draws:,.0f}" if draws < 1e6 else f"{draws / 1e6:,.3g} M" if draws < 1e9 else f"{draws / 1e9:,.3g} G"


def _write(found: Comparison, folder: Path, repeats: int) -> None:
    from matplotlib.figure import Figure

    from saem.cli.write import write_figure
    from saem.plotting import plot_comparison, plot_cost
    from saem.plotting.comparison import comparison_height
    from saem.system.files import write_csv, write_parquet

    every = [each for fits in found.repetitions.values() for each in fits]
    tables = {"comparison": found.table, "estimates": found.to_frame(), "history": found.history}
    if repeats > 1:
        tables["over_seeds"] = found.over_seeds
    for name, table in tables.items():
        write_csv(table, folder / f"{name}.csv", index=False)
        write_parquet(table, folder / f"{name}.parquet")
    drawings = {"comparison": Figure(figsize=(7.0, comparison_height(found)), layout="constrained")}
    plot_comparison(found, drawings["comparison"].subplots())
    if any(each.drawn for each in every):  # exact methods have no cost to be shown
        drawings["cost"] = Figure(figsize=(10.0, 4.6), layout="constrained")
        plot_cost(found, drawings["cost"])
    for name, figure in drawings.items():
        write_figure(figure, folder / f"{name}.png")
