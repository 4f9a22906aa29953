"""`saem diagnose`: whether a saved fit is one to believe, in tables and figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from saem.cli.options import optional, written_to
from saem.cli.saved import SavedFit, fit_to_examine

if TYPE_CHECKING:
    import pandas as pd

    from saem.fitting.result import Fit
    from saem.inference.influence import Influence
    from saem.inference.prediction_errors import PredictionErrors
    from saem.inference.random_effects import ConditionalEffects

SHOWN = 5  # clusters and rows
WRITTEN = (
    "residuals.csv",
    "residuals.png",
    "npde.csv",
    "npde_tests.csv",
    "npde.png",
    "influence.csv",
    "influence.png",
    "random_effects.csv",
    "random_effects.png",
    "individual.png",
    "visual_check.csv",
    "visual_check.png",
)
Found = TypeVar("Found")


def diagnose(
    folder: SavedFit,
    output: Annotated[
        Path | None,
        written_to(
            "Write residuals.csv, npde.csv, npde_tests.csv, influence.csv, random_effects.csv, visual_check.csv and "
            "figures here."
        ),
    ] = None,
    along: Annotated[
        str | None,
        optional(
            "Column of numbers for the curves of single clusters and the visual predictive check; the one of most "
            "values that varies within clusters if omitted.",
            "COLUMN",
        ),
    ] = None,
    draws: Annotated[
        int, typer.Option(help="Sets of data that are drawn for the npde and the visual check.", metavar="N", min=100)
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Of these draws.", metavar="N", min=0)] = 0,
    workers: Annotated[
        int | None,
        optional(
            "Processes for the fits without each cluster; one, or more where that saves time, if omitted.", "N", min=1
        ),
    ] = None,
) -> None:
    """Residuals, prediction errors, influence of clusters and random effects of a saved fit.

    Prints the tests of the normalised prediction distribution errors, the most influential clusters, the largest
    residuals and the shrinkage of the random effects; draws curves of single clusters and a visual predictive check.
    """
    from saem.cli.console import note
    from saem.inference.curves import column_along
    from saem.inference.influence import influence as influence_of
    from saem.inference.prediction_errors import npde
    from saem.inference.random_effects import random_effects
    from saem.inference.residuals import residuals as residuals_of
    from saem.inference.rows import rows_of
    from saem.system.files import make_folder

    fit = fit_to_examine(folder)
    rows_of(fit)  # without a table there is nothing to diagnose
    if output is not None:
        make_folder(output)
    residuals = attempt("residuals", lambda: residuals_of(fit))
    errors = attempt("prediction errors", lambda: npde(fit, draws, seed))
    influence = attempt("influence", lambda: influence_of(fit, workers))
    effects = attempt("random effects", lambda: random_effects(fit)) if fit.term_names else None
    if errors is not None:
        show_tests(errors)
    if influence is not None:
        show_influence(influence)
    if residuals is not None:
        show_residuals(fit, residuals)
    if effects is not None:
        show_shrinkage(effects)
    if along is not None:
        column_along(fit, along)  # is refused before anything is written
    if output is not None:
        write(output, fit, residuals, errors, influence, effects)
        write_along(output, fit, along, draws, seed)
        note(f"written to {output}")


def attempt(what: str, compute: Callable[[], Found]) -> Found | None:
    """The result, or None with the reason on stderr: one diagnosis that is not possible stops no other."""
    from saem.cli.console import complain
    from saem.errors import FitError, ModelError

    try:
        return compute()
    except (FitError, ModelError) as error:
        complain("Warning", f"no {what}: {error}", "yellow")
        return None


def show_tests(errors: PredictionErrors) -> None:
    """The tests of the prediction errors."""
    from saem.cli.console import heading, show
    from saem.system.display import number, table

    heading(f"normalised prediction distribution errors ({errors.draws} draws; N(0, 1) if the model is right)")
    rows = [[str(name), number(row["value"], 3), f"{row['p']:.2g}"] for name, row in errors.tests.iterrows()]
    show(table(["test", "value", "p"], rows))


def show_influence(found: Influence) -> None:
    """The most influential clusters."""
    from saem.cli.console import heading, say, show
    from saem.system.display import count, number, table

    fitted = found.table[found.table["cooks_distance"].notna()].sort_values("cooks_distance", ascending=False)
    heading(f"most influential {found.fit.model.label_word}s")
    rows = [
        [named(key), number(row["cooks_distance"], 3), number(row["displacement"], 3), row["largest"]]
        + [f"{row['change']:+.2f}"]
        for key, row in fitted.head(SHOWN).iterrows()
    ]
    columns = ", ".join(map(str, found.fit.cluster_labels.columns))
    if rows:
        show(table([columns, "Cook's distance", "displacement", "moves most", "by (SE)"], rows, "lrrlr"))
    missing = found.table[found.table["cooks_distance"].isna()]
    if len(missing):
        first, note = named(missing.index[0]), missing["note"].iloc[0]
        say(f"{count(len(missing), 'cluster')} cannot be left out, the first is {first}: {note}")


def show_residuals(fit: Fit, residuals: pd.DataFrame) -> None:
    """The rows with the largest residuals."""
    from saem.cli.console import heading, show
    from saem.system.display import decimals, number, table

    assert fit.table is not None  # there are residuals
    places = decimals([float(residuals["conditional"].std())])
    labels = list(fit.model.cluster)
    response = residuals["fitted_conditional"] + residuals["conditional"]
    rows = []
    kinds = scaled_kinds(residuals)
    for at in residuals[kinds[-1]].abs().to_numpy().argsort(kind="stable")[::-1][:SHOWN]:
        row = residuals.iloc[int(at)]
        rows.append(
            [str(residuals.index[int(at)]), ", ".join(str(fit.table[name].iloc[int(at)]) for name in labels)]
            + [number(float(value), places) for value in (response.iloc[int(at)], row["fitted_conditional"])]
            + [number(row[kind], 2) for kind in kinds]
        )
    heading("largest residuals")
    header = ["index", ", ".join(map(str, labels)), fit.model.response, "fitted", *kinds]
    show(table(header, rows, "ll" + "r" * (2 + len(kinds))))


def show_shrinkage(effects: ConditionalEffects) -> None:
    """How much of the variance of the random effects their conditional means do not show."""
    from saem.cli.console import heading, show
    from saem.system.display import number, table

    found = effects.shrinkage
    heading("shrinkage of the random effects (0: the data of a cluster tell its effect; 1: they say nothing)")
    several = len(found) > 1
    rows = [
        [*([str(group)] if several else []), *(number(value, 3) for value in row)]
        for group, row in zip(found.index, found.to_numpy(), strict=True)
    ]
    show(table([*(["group"] if several else []), *map(str, found.columns)], rows))


def write_along(folder: Path, fit: Fit, along: str | None, draws: int, seed: int) -> None:
    """The curves of single clusters and the visual predictive check, where the model has a column for them."""
    from matplotlib.figure import Figure

    from saem.cli.write import write_figure
    from saem.errors import ModelError
    from saem.families import family_of
    from saem.inference.curves import column_along
    from saem.inference.rows import rows_of
    from saem.inference.visual_check import visual_check
    from saem.plotting import plot_individual, plot_visual_check
    from saem.system.files import write_csv

    timed = family_of(fit.model).events(fit.model, rows_of(fit)[1]) is not None
    if not timed:
        try:
            along = column_along(fit, along)
        except ModelError:  # nothing to draw along: no fault of the fit
            return

        def individual() -> Figure:
            rows = -(-min(fit.n_clusters, 12) // 3)
            figure = Figure(figsize=(10.8, 0.8 + 2.4 * rows), layout="constrained")
            plot_individual(fit, along, figure)
            return figure

        drawn = attempt("curves of single clusters", individual)
        if drawn is not None:
            write_figure(drawn, folder / "individual.png")
    check = attempt("visual check", lambda: visual_check(fit, None if timed else along, draws, seed))
    if check is not None:
        write_csv(check.table, folder / "visual_check.csv", index=False)
        panels = len(set(check.table["quantity"])) if check.kind == "shares" else 2
        figure = Figure(figsize=(3.6 * min(panels, 3), 0.8 + 3.4 * -(-panels // 3)), layout="constrained")
        plot_visual_check(check, figure)
        write_figure(figure, folder / "visual_check.png")


def scaled_kinds(residuals: pd.DataFrame) -> list[str]:
    """The kinds of residuals on a standard scale that the family has, the best last."""
    return [kind for kind in ("standardised", "normalised") if kind in residuals]


def named(key: object) -> str:
    """A cluster in words."""
    return ", ".join(map(str, key)) if isinstance(key, tuple) else str(key)


def write(
    folder: Path,
    fit: Fit,
    residuals: pd.DataFrame | None,
    errors: PredictionErrors | None,
    influence: Influence | None,
    effects: ConditionalEffects | None,
) -> None:
    """The tables and figures of what there is."""
    from matplotlib.figure import Figure

    from saem.cli.write import beside, write_figure
    from saem.plotting import (
        plot_effect_quantiles,
        plot_influence,
        plot_npde,
        plot_observed,
        plot_quantiles,
        plot_residuals,
    )
    from saem.plotting.effects import panels
    from saem.system.files import write_csv

    assert fit.table is not None  # see `diagnose`
    for name in WRITTEN:  # what is not written this time is not to stand beside what is
        (folder / name).unlink(missing_ok=True)

    def figure(width: float, height: float) -> Figure:
        return Figure(figsize=(width, height), layout="constrained")

    if residuals is not None:
        write_csv(beside(fit.table, residuals), folder / "residuals.csv", index_label="index")
        *_, best = kinds = scaled_kinds(residuals)
        drawn = figure(11.4, 7.6)
        grid = drawn.subplots(2, 2).ravel()
        for axes, kind in zip(grid, kinds, strict=False):
            plot_residuals(residuals, axes, kind=kind)
        plot_quantiles(residuals[best], grid[len(kinds)], label=f"{best} residual")
        plot_observed(fit, residuals, grid[len(kinds) + 1])
        for axes in grid[len(kinds) + 2 :]:
            axes.remove()
        write_figure(drawn, folder / "residuals.png")
    if errors is not None:
        write_csv(beside(fit.table, errors.table), folder / "npde.csv", index_label="index")
        write_csv(errors.tests, folder / "npde_tests.csv")
        drawn = figure(11.4, 3.6)
        plot_npde(errors, drawn)
        write_figure(drawn, folder / "npde.png")
    if influence is not None:
        write_csv(influence.table.join(influence.changes.add_prefix("change_")), folder / "influence.csv")
        drawn = figure(8.0, 4.0)
        plot_influence(influence, drawn.subplots())
        write_figure(drawn, folder / "influence.png")
    if effects is not None:
        write_csv(effects.table, folder / "random_effects.csv")
        known = effects.table[effects.table["standardised"].notna()]
        terms = list(dict.fromkeys(panels(known.index)))
        if terms:
            drawn = figure(4.6 * len(terms), 4.2)
            for axes, term in zip(drawn.subplots(1, len(terms), squeeze=False)[0], terms, strict=True):
                plot_effect_quantiles(effects, axes, term)
            write_figure(drawn, folder / "random_effects.png")
