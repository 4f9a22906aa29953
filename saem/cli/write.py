"""The files of a single fit: tables, the saved fit of each method, and its figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from saem.batch.store import FILE
from saem.batch.tables import assemble, write_tables
from saem.batch.work import record_of
from saem.cli.console import complain
from saem.errors import StorageError
from saem.system.files import make_folder, replacing

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from saem.fitting.result import Fit


def check_folder(folder: Path) -> None:
    """Refuse, before anything is computed, a folder that cannot be written or that holds a run with --by."""
    make_folder(folder)
    if (folder / FILE).exists():
        raise StorageError(f"{folder} holds the results of a run with --by; use another folder for a single fit")


def keep_fits(folder: Path | None, fits: Sequence[Fit], others: Mapping[str, Fit] | None = None) -> StorageError | None:
    """Write fits as soon as they are made, where there is a folder, whatever becomes of what is done with them.

    Returns
    -------
    StorageError or None
        What stood in the way, such as a full disk: to be raised after the fits were shown, so that they are not lost.
    """
    if folder is None:
        return None
    try:
        write_fits(folder, fits, others)
    except StorageError as error:
        return error
    return None


def write_fits(folder: Path, fits: Sequence[Fit], others: Mapping[str, Fit] | None = None) -> None:
    """Write every fit to `folder`/<method>, and the tables to `folder`.

    Parameters
    ----------
    folder : Path
    fits : sequence of Fit
    others : mapping of str to Fit, optional
        What other folders in `folder` hold: listed in the tables by the names of these folders, and not written.
    """
    import pandas as pd

    for fit in fits:
        own = folder / fit.method
        if own.is_symlink():  # in a folder that somebody else has made it may lead anywhere
            raise StorageError(f"{own} is a link to another place; remove it, or choose another folder")
        fit.save(own)
    records = [record_of(fit, fit.method) for fit in fits]
    records += [record_of(fit, name) for name, fit in (others or {}).items()]
    write_tables(folder, *assemble(pd.DataFrame(), [(0, record) for record in records]))


def draw_fits(folder: Path, fits: Sequence[Fit]) -> None:
    """Draw the figures of fits that were written; one that cannot be drawn is told, and stops nothing."""
    for fit in fits:
        for name, draw in _figures(fit).items():
            try:
                write_figure(draw(), folder / fit.method / name)
            except StorageError:
                raise
            except Exception as error:  # of matplotlib, with whatever names the data have
                complain("Warning", f"{name} could not be drawn ({type(error).__name__}: {error})", "yellow")


def _figures(fit: Fit) -> dict[str, Callable[[], Figure]]:
    """What draws the figures of a fit, by file."""
    from matplotlib.figure import Figure

    from saem.plotting import plot_cluster_acceptance, plot_posterior, plot_random_effects, plot_trace
    from saem.plotting.effects import terms_of

    n = int((~fit.parameters.fixed).sum())

    def trace() -> Figure:
        figure = Figure(figsize=(10.8, 0.8 + 1.9 * -(-n // 3)), layout="constrained")
        plot_trace(fit, figure=figure)
        return figure

    def posterior() -> Figure:
        figure = Figure(figsize=(10.8, 0.8 + 2.2 * -(-n // 3)), layout="constrained")
        plot_posterior(fit, figure=figure)
        return figure

    def random_effects() -> Figure:
        height = min(max(1.0 + 0.16 * fit.n_clusters, 2.5), 9.0)
        terms = terms_of(fit)
        figure = Figure(figsize=(4.8 * len(terms), height), layout="constrained")
        grid = figure.subplots(1, len(terms), squeeze=False)[0]
        for axes, term in zip(grid, terms, strict=True):
            plot_random_effects(fit, axes, term)
        return figure

    def acceptance() -> Figure:
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        plot_cluster_acceptance(fit, figure.subplots())
        return figure

    found = {"trace.png": trace}
    if np.isfinite(fit.acceptance_rates).any():
        found["acceptance.png"] = acceptance
    if fit.posterior is not None:
        found["posterior.png"] = posterior
    if fit.term_names:
        found["random_effects.png"] = random_effects
    return found


def write_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, in one step."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)


def beside(table: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Rows with what was found of them, in order; a column of the data that has a name of these gets "data_"."""
    renamed = table.rename(columns={name: f"data_{name}" for name in found.columns})
    return renamed.assign(**{str(name): found[name].to_numpy() for name in found.columns})
