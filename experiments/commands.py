"""The commands of `python -m experiments`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import pandas as pd

    from experiments.running import Progress
    from experiments.study import Cell, Study

STUDIES = Path(__file__).parent / "studies"
SHOWN = ("bias", "empirical_se", "model_se", "coverage", "distance")
OF_FITS = ("convergence_rate", "boundary_rate", "failure_rate", "deficit", "median_seconds", "median_draws")

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="Name of a study (see list), or its TOML file.")]
Quick = Annotated[bool, typer.Option("--quick", help="The quick form.")]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FOLDER", help="Of the results; results/STUDY if omitted.", show_default=False
    ),
]


def path_of(name: str) -> Path:
    """The TOML file of a study by name or path."""
    return Path(name) if name.endswith(".toml") else STUDIES / f"{name}.toml"


def folder_of(name: str, quick: bool, output: Path | None) -> Path:
    """Where a study's results are."""
    return output or Path("results") / (path_of(name).stem + ("-quick" if quick else ""))


@app.command(name="list")
def list_studies() -> None:
    """The studies that come with the project."""
    from experiments.study import load_study
    from saem.cli.console import friendly, show
    from saem.display import table

    with friendly():
        studies = {path.stem: load_study(path) for path in sorted(STUDIES.glob("*.toml"))}
        rows = [
            [name, study.title, str(len(study.design.all())), str(len(study.methods))]
            for name, study in studies.items()
        ]
        show(table(["study", "title", "cells", "methods"], rows, "llrr"))


@app.command()
def check(study: StudyName, quick: Quick = False) -> None:
    """Read a study and say what it is, or all that is wrong with it."""
    from experiments.study import load_study
    from saem.cli.console import friendly, say

    with friendly():
        found = load_study(path_of(study), quick)
        say(found.title, "bold")
        say(f"aims: {found.aims}")
        say(f"data: {found.data}")
        cells = found.design.all()
        say(f"{len(cells)} cells, such as {cells[0].name}; {found.run.replicates} replicates each")
        say(f"estimands: {', '.join(found.estimands)}")
        say(f"methods: {', '.join(found.methods)}; reference: {found.reference or 'none'}")


@app.command()
def run(
    study: StudyName,
    quick: Quick = False,
    output: Folder = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Processes; as many as there are cores if omitted, 0 for this one alone.", metavar="N", min=0
        ),
    ] = None,
    replicates: Annotated[
        int | None, typer.Option(help="In place of those of the study.", metavar="N", min=1, show_default=False)
    ] = None,
    shard: Annotated[
        str | None, typer.Option(help="Only every N-th replicate, from the i-th on.", metavar="i/N", show_default=False)
    ] = None,
) -> None:
    """Run what is missing of a study; the same command goes on after an interruption."""
    from experiments.running import Shard, run_study
    from experiments.study import load_study
    from saem.cli.console import complain, friendly, note
    from saem.cli.watching import counting

    with friendly():
        changes = {} if replicates is None else {"run": {"replicates": replicates}}
        path, found = path_of(study), load_study(path_of(study), quick, changes)
        folder = folder_of(study, quick, output)
        cores = (os.cpu_count() or 1) if workers is None else workers
        own = None if shard is None else Shard.of(shard)
        last: list[Progress] = []
        try:
            with counting(path.stem) as bar:

                def progress(state: Progress) -> None:
                    last[:] = [state]
                    if bar is not None:
                        bar(state.done, state.total)

                state = run_study(found, path, folder, workers=cores, shard=own, progress=progress)
        except KeyboardInterrupt:
            done = f"{last[0].done} of {last[0].total} replicates are" if last else "nothing is"
            complain("Interrupted", f"{done} kept in {folder}; the same command goes on.", "yellow")
            raise typer.Exit(130) from None
        note(f"{state.done} of {state.total} replicates are in {folder} ({state.seconds:.1f} s)")


@app.command()
def status(study: StudyName, quick: Quick = False, output: Folder = None) -> None:
    """How far a study is, also while it runs elsewhere."""
    from experiments.store import Store
    from experiments.study import load_study
    from saem.cli.console import friendly, show
    from saem.display import table

    with friendly():
        found = load_study(path_of(study), quick)
        with Store(folder_of(study, quick, output)) as store:
            counts = store.counts()
        statuses = list(dict.fromkeys(status for _, _, status, _ in sorted(counts, key=lambda row: -row[3])))
        rows = []
        for cell in found.design.all():
            for method in found.methods:
                own = {status: n for key, name, status, n in counts if (key, name) == (cell.key, method)}
                rows.append([cell.name, method, str(sum(own.values())), *(str(own.get(s, 0)) for s in statuses)])
        show(table(["cell", "method", "done", *statuses], rows, "ll" + "r" * (1 + len(statuses))))


@app.command()
def failures(study: StudyName, quick: Quick = False, output: Folder = None) -> None:
    """What failed, and why: errors, timeouts, crashes, by message."""
    from collections import Counter

    from experiments.store import Store
    from experiments.study.tasks import FAILED
    from saem.cli.console import friendly, say, show
    from saem.display import table

    with friendly(), Store(folder_of(study, quick, output)) as store:
        cells = store.cells()
        found: Counter[tuple[str, str, str, str]] = Counter()
        first: dict[tuple[str, str, str, str], int] = {}
        for key, replicate, record in store.records():
            if record["status"] in FAILED:
                kind = cells[key].name, record["method"], record["status"], record["message"]
                found[kind] += 1
                first.setdefault(kind, replicate)
        if not found:
            say("nothing failed")
            return
        rows = [
            [cell, method, state, str(n), str(first[cell, method, state, text]), text]
            for (cell, method, state, text), n in found.most_common()
        ]
        show(table(["cell", "method", "status", "times", "first replicate", "message"], rows, "lllrrl"))


@app.command()
def replay(
    study: StudyName,
    cell: Annotated[str, typer.Argument(metavar="CELL", help='As others print it, "replicates=6, ratio=2".')],
    replicate: Annotated[int, typer.Argument(metavar="REPLICATE", min=0)],
    method: Annotated[str, typer.Argument(metavar="METHOD")],
    quick: Quick = False,
    debug: Annotated[bool, typer.Option("--debug", help="Start the debugger where it fails.")] = False,
) -> None:
    """Run one method on one data set again, in this process, and show what it gives."""
    from experiments.running import job_of
    from experiments.study import load_study
    from experiments.study.functions import functions_in
    from experiments.study.tasks import generated, method_seed
    from saem.cli.console import friendly, say
    from saem.errors import ModelError, listing

    with friendly():
        path = path_of(study)
        found = load_study(path, quick)
        chosen = cell_named(found, cell)
        if method not in found.methods:
            raise ModelError(f"there is no method {method!r}; there are {listing(found.methods)}")
    job, functions = job_of(found, path), functions_in(path.with_suffix(".py").resolve())
    try:
        data = generated(job, chosen, replicate)
        seed = method_seed(job, chosen, replicate, method)
        outcome = functions.estimate(data, chosen, found.methods[method].options, seed)
    except Exception:
        if not debug:
            raise
        import pdb

        pdb.post_mortem(sys.exc_info()[2])
        raise typer.Exit(1) from None
    say(f"{outcome.status}, log-likelihood {outcome.loglik:.6g}. {outcome.message}")
    for name in found.estimands:
        estimate, se, lower, upper, mcse = outcome.numbers[name]
        say(f"{name}: {estimate:.6g}, se {se:.3g}, {lower:.6g} to {upper:.6g}, mcse {mcse:.2g}")


def cell_named(study: Study, name: str) -> Cell:
    """The cell of a name.

    Raises
    ------
    ModelError
        When there is none.
    """
    from saem.errors import ModelError, nearest

    cells = {cell.name: cell for cell in study.design.all()}
    if name not in cells:
        raise ModelError(f"there is no cell {name!r}{nearest(name, cells)}; 'check' and 'status' list them")
    return cells[name]


@app.command()
def summarise(study: StudyName, quick: Quick = False, output: Folder = None) -> None:
    """Performance of all methods with Monte Carlo standard errors; written to performance.csv and rows.parquet."""
    from experiments.performance import WHOLE_FIT, wide
    from experiments.results import Results
    from experiments.study import load_study
    from saem.cli.console import friendly, note, say, show
    from saem.display import table

    with friendly():
        path = path_of(study)
        found, folder = load_study(path, quick), folder_of(study, quick, output)
        results = Results.read(found, path, folder)
        measures = results.complete
        measures.to_csv(folder / "performance.csv", index=False)
        results.rows.to_parquet(folder / "rows.parquet")
        for whole, names in ((False, SHOWN), (True, OF_FITS)):
            part = measures[(measures["estimand"] == WHOLE_FIT) == whole]
            present = [name for name in names if name in set(part["measure"])]
            show(table(*table_of(wide(part, present), present, whole)))
            say()
        note(f"performance.csv and rows.parquet are in {folder}")


def table_of(values: pd.DataFrame, measures: list[str], whole: bool) -> tuple[list[str], list[list[str]], str]:
    """Header, rows and alignment of a wide table, Monte Carlo standard errors in brackets."""
    from experiments.tables import with_error

    keys = [name for name in ("cell", "method", "estimand") if not (whole and name == "estimand")]
    rows = []
    for key, row in values.iterrows():
        named = dict(zip(values.index.names, key, strict=True))
        numbers = [with_error(row[name, "value"], row[name, "mcse"]) for name in measures]
        rows.append([*(str(named[name]) for name in keys), *numbers])
    return [*keys, *measures], rows, "l" * len(keys) + "r" * len(measures)
