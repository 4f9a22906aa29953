"""The files of a single fit: tables, the saved fit of each method, and its figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from saem.batch.store import FILE
from saem.batch.tables import assemble, write_tables
from saem.batch.work import record_of
from saem.errors import StorageError
from saem.storage import make_folder, replacing

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from saem.result import Fit


def check_folder(folder: Path) -> None:
    """Refuse, before anything is computed, a folder that cannot be written or that holds a run with --by."""
    make_folder(folder)
    if (folder / FILE).exists():
        raise StorageError(f"{folder} holds the results of a run with --by; use another folder for a single fit")


def write_fits(folder: Path, fits: Sequence[Fit]) -> None:
    """Write the tables to `folder`, and every fit with its figures to `folder`/<method>."""
    import pandas as pd
    from matplotlib.figure import Figure

    from saem.plotting import plot_posterior, plot_random_effects, plot_trace

    write_tables(folder, *assemble(pd.DataFrame(), [(0, record_of(fit, fit.method)) for fit in fits]))
    for fit in fits:
        own = folder / fit.method
        fit.save(own)
        n = int((~fit.parameters.fixed).sum())
        figure = Figure(figsize=(10.8, 0.8 + 1.9 * -(-n // 3)), layout="constrained")
        plot_trace(fit, figure=figure)
        write_figure(figure, own / "trace.png")
        if fit.posterior is not None:
            figure = Figure(figsize=(10.8, 0.8 + 2.2 * -(-n // 3)), layout="constrained")
            plot_posterior(fit, figure=figure)
            write_figure(figure, own / "posterior.png")
        if fit.term_names:
            height = min(max(1.0 + 0.16 * fit.n_clusters, 2.5), 9.0)
            figure = Figure(figsize=(4.8 * len(fit.term_names), height), layout="constrained")
            for axes, term in zip(
                figure.subplots(1, len(fit.term_names), squeeze=False)[0], fit.term_names, strict=True
            ):
                plot_random_effects(fit, axes, term)
            write_figure(figure, own / "random_effects.png")


def write_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, in one step."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)


def beside(table: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Rows with what was found of them, in order; a column of the data that has a name of these gets "data_"."""
    renamed = table.rename(columns={name: f"data_{name}" for name in found.columns})
    return renamed.assign(**{str(name): found[name].to_numpy() for name in found.columns})
