"""`saem fit`: one fit, two side by side, or one for every level of a column."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from saem.algorithms.registry import DECLARED
from saem.cli.methods import tailored
from saem.cli.options import (
    AugmentationName,
    DataFile,
    DropMissing,
    MaxDraws,
    MaxIterations,
    MaxSeconds,
    Mcse,
    ModelFile,
    MStep,
    SamplerName,
    Threads,
    TTests,
    Where,
    optional,
    target_options,
    written_to,
)

if TYPE_CHECKING:
    import pandas as pd

    from saem.algorithms.registry import Algorithm
    from saem.errors import FitError
    from saem.families import Model
    from saem.fitting.result import Fit


class Method(StrEnum):
    """What --method takes."""

    SAEM = "saem"
    ML = "ml"
    REML = "reml"
    LAPLACE = "laplace"
    EM = "em"
    MCEM = "mcem"
    BOOTH_HOBERT = "booth_hobert"
    ASCENT_MCEM = "ascent_mcem"
    STOCHASTIC_EM = "stochastic_em"
    ANNEALED_SAEM = "annealed_saem"
    PX_SAEM = "px_saem"
    MINIBATCH_SAEM = "minibatch_saem"
    STOCHASTIC_NEWTON = "stochastic_newton"
    FISHER_GRADIENT = "fisher_gradient"
    CHAINS = "chains"
    BAYES = "bayes"
    BOTH = "both"

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods to run, in this order."""
        return ("saem", "ml") if self is Method.BOTH else (self.value,)


def fit(
    model: ModelFile,
    data: DataFile,
    method: Annotated[
        Method,
        typer.Option(
            help="saem, ml (direct maximum likelihood), reml, em (exact), mcem (Monte Carlo), bayes (posterior), ..; "
            "both is saem and ml."
        ),
    ] = Method.SAEM,
    mstep: MStep = None,
    sampler: SamplerName = None,
    augmentation: AugmentationName = None,
    by: Annotated[
        list[str] | None,
        optional(
            "Fit one model for every level of this column; several columns by commas, or by repeating the option.",
            "COLUMN",
        ),
    ] = None,
    where: Where = None,
    seed: Annotated[int, typer.Option(help="Same seed, same result.", metavar="N", min=0)] = 0,
    output: Annotated[Path | None, written_to("Write tables (and, without --by, the fit and figures) here.")] = None,
    mcse: Mcse = None,
    max_iterations: MaxIterations = None,
    max_draws: MaxDraws = None,
    max_seconds: MaxSeconds = None,
    chains: Annotated[
        int | None,
        optional(
            "Run so many independent chains, pool them, and say whether they agree; budgets are for each.", "N", min=2
        ),
    ] = None,
    starts: Annotated[
        int,
        typer.Option(
            help="Fit from so many starts, report the maxima that they lead to, and keep the highest.",
            metavar="N",
            min=1,
        ),
    ] = 1,
    threads: Threads = 1,
    workers: Annotated[
        int | None, optional("Processes for --by; as many as there are cores if omitted.", "N", min=1)
    ] = None,
    drop_missing: DropMissing = False,
    derive: Annotated[
        list[str] | None,
        optional(
            'Also a function of the parameters with its standard error, "name = expression"; may be repeated.',
            "QUANTITY",
        ),
    ] = None,
    t_tests: TTests = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="With --by: discard what an earlier run left in the folder.")
    ] = False,
) -> None:
    """Fit a model to a table and report estimates, errors and what became of the constraints."""
    from saem.cli.derive import read_quantities
    from saem.data import read_table
    from saem.errors import SaemError
    from saem.families import Model

    quantities = read_quantities(derive or [])
    if t_tests and method is Method.BAYES:
        raise SaemError("--t-tests is for an estimate with its standard errors, and 'bayes' gives a posterior")
    specification = Model.from_toml(model)
    target = target_options(mcse, max_iterations, max_draws, max_seconds)
    methods = [tailored(name, target, chains, mstep, sampler, augmentation) for name in method.methods[:1]]
    methods += [tailored(name, {}, None, mstep, None) for name in method.methods[1:]]  # exact, beside the simulated one
    columns = [name.strip() for part in by or [] for name in part.split(",") if name.strip()]
    table = read_table(data, [*specification.text_columns, *columns])
    if by and not columns:
        raise SaemError("--by needs the name of a column; got an empty text")
    if columns:
        if quantities:
            raise SaemError("--derive belongs to a single fit; leave it out with --by")
        if t_tests:
            raise SaemError("--t-tests belongs to a single fit; leave it out with --by")
        if starts > 1:
            raise SaemError("--starts belongs to a single fit; leave it out with --by")
        if threads > 1:
            raise SaemError("--threads belongs to a single fit; with --by, --workers says how many fits run at once")
        options = {"where": where, "seed": seed, "drop_missing": drop_missing, "workers": workers, "restart": restart}
        _fit_levels(specification, table, columns, methods, output, options)
    else:
        if workers is not None or restart:
            raise SaemError(f"{'--restart' if restart else '--workers'} belongs to --by COLUMN; leave it out")
        several: dict[str, Any] = {
            name: value for name, value in (("starts", starts), ("threads", threads)) if value > 1
        }
        _fit_once(specification, table, methods, where, seed, output, drop_missing, quantities, t_tests, several)


def _fit_once(
    model: Model,
    table: pd.DataFrame,
    methods: list[str | Algorithm],
    where: str | None,
    seed: int,
    output: Path | None,
    drop: bool,
    quantities: Mapping[str, str],
    t_tests: bool,
    several: Mapping[str, Any],
) -> None:
    """One fit by each method: written to a folder and shown."""
    from saem.cli.console import complain, note
    from saem.cli.derive import check_quantities, report_derived, report_t_tests
    from saem.cli.report import show_comparison, show_fit
    from saem.cli.write import check_folder, draw_fits, keep_fits
    from saem.data import where as rows_where
    from saem.errors import FitError, SaemWarning
    from saem.families import arrange, family_of
    from saem.fitting import fit as fitting
    from saem.fitting import warmup
    from saem.system.display import method_name

    if output is not None:
        check_folder(output)
    if where is not None:
        table = rows_where(table, where)
    data = arrange(model, table, drop)  # bad input is refused before time is spent on compiling ..
    if family_of(model).takes_time:  # .. and what is weakly determined is said; it is in the report, too
        for text in data.warnings:
            complain("Warning", text, "yellow")
    check_quantities(quantities, data.parameters.names)
    warmup.ensure([method_name(method) for method in methods], model.family)
    fits: list[Fit] = []
    failures: list[tuple[str, FitError]] = []
    for method in methods:
        name = method_name(method)
        with _watched(name) as options, warnings.catch_warnings():
            warnings.simplefilter("ignore", SaemWarning)  # they are in Fit.warnings, and in the report
            try:
                found = fitting.fit(model, table, method=method, seed=seed, drop_missing=drop, **several, **options)
                fits.append(found)
            except FitError as error:  # what the other method finds is not lost
                failures.append((name, error))
        stopped = options and options["callback"].interrupted
        if stopped:
            break
    if not fits:
        raise failures[-1][1]
    for name, failure in failures:
        note(f"no fit by {name}: {failure}")
    unsaved = keep_fits(output, fits)
    if len(fits) == 1:
        show_fit(fits[0])
    else:
        show_comparison(fits[0], fits[1])
    if unsaved is not None:
        raise unsaved
    if t_tests:
        report_t_tests(fits, quantities, output)
    if quantities:
        report_derived(fits, quantities, output)
    if output is not None:
        draw_fits(output, fits)
        note(f"written to {output}")
    if stopped:
        interrupted(output)


def interrupted(output: Path | None) -> None:
    """Say what became of a fit that Ctrl-C, SIGTERM or SIGHUP ended, and end with its exit code."""
    from saem.cli.console import complain
    from saem.cli.signals import Stopped

    kept = "without --output FOLDER it is not kept" if output is None else f"`saem resume {output}` goes on with it"
    complain("Interrupted", f"this is the fit so far; {kept}.", "yellow")
    raise typer.Exit(Stopped.code())


def _fit_levels(
    model: Model,
    table: pd.DataFrame,
    by: list[str],
    methods: list[str | Algorithm],
    output: Path | None,
    options: dict[str, Any],
) -> None:
    """One fit for every level: written to a folder, and summed up."""
    from saem.batch import fit_by
    from saem.cli.console import note
    from saem.cli.report import show_levels, show_run
    from saem.cli.watching import counting

    with counting(" × ".join(by)) as progress:
        batch = fit_by(model, table, by, methods, output=output, progress=progress, **options)
    if output is None:
        show_levels(batch, by)
    show_run(batch, by)
    if output is not None:
        note(f"estimates.csv, fits.csv and the same as .parquet are in {output}")
    else:
        note("nothing was written: --output FOLDER keeps the tables")
    if batch.fits["status"].isin(["error", "crashed"]).all():
        note("no level was fitted")
        raise typer.Exit(1)


@contextmanager
def _watched(name: str) -> Iterator[dict[str, Any]]:
    """What `saem.fit` is to take besides: a callback, for methods that work in blocks of iterations."""
    if not DECLARED[name].takes_callback:
        with _spinner(f"fitting by {name}"):
            yield {}
    else:
        from saem.cli.watching import watching

        with watching(f"fitting by {name}") as watcher:
            yield {"callback": watcher}


@contextmanager
def _spinner(text: str) -> Iterator[None]:
    """Shows on a terminal that something is under way."""
    from saem.cli.console import console

    err = console(stderr=True)
    if err.is_terminal:
        with err.status(text):
            yield
    else:
        yield
