"""Commands that compute: a run, one replicate again, and shards made one."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import app
from .options import (
    By,
    Folder,
    Kind,
    Quick,
    Scheduler,
    StudyName,
    Workers,
    cell_named,
    executor_of,
    folder_of,
    path_of,
    seconds_of,
    study_in,
    warm_up,
)

if TYPE_CHECKING:
    from ..running import Progress


class Retry(StrEnum):
    """What is made again."""

    ERRORS = "errors"
    TIMEOUTS = "timeouts"
    DAMAGED = "damaged"
    ALL = "all"

    @property
    def statuses(self) -> tuple[str, ...]:
        """The statuses of fits that are made again, or what takes their place."""
        from ..running import DAMAGED
        from ..study.records import ERROR, FAILED, TIMEOUT

        found = {"errors": (ERROR,), "timeouts": (TIMEOUT,), "damaged": (DAMAGED,), "all": (*FAILED, DAMAGED)}
        return found[self.value]


@app.command()
def run(
    study: StudyName,
    quick: Quick = False,
    output: Folder = None,
    workers: Workers = None,
    executor: By = Kind.LOCAL,
    scheduler: Scheduler = None,
    replicates: Annotated[
        int | None, typer.Option(help="In place of those of the study.", metavar="N", min=1, show_default=False)
    ] = None,
    budget: Annotated[
        str | None, typer.Option(help="Time for this run, shared among the cells: 90s, 30m, 2h.", metavar="TIME")
    ] = None,
    fixed: Annotated[bool, typer.Option("--fixed", help="Run all replicates, whatever the precision.")] = False,
    shard: Annotated[
        str | None,
        typer.Option(help="Only every N-th replicate, into a folder of its own (see merge).", metavar="i/N"),
    ] = None,
    retry: Annotated[
        Retry | None,
        typer.Option(help="Make again what failed: errors, timeouts, damaged records, or all.", show_default=False),
    ] = None,
    accept: Annotated[
        bool,
        typer.Option(
            "--accept-changes", help="Keep the results that are there, though functions or options changed since."
        ),
    ] = False,
    report: Annotated[bool, typer.Option("--report", help="Then summarise, plot and report.")] = False,
) -> None:
    """Run what is missing of a study; the same command goes on after an interruption.

    The exit code is 1 if no fit succeeded.
    """
    from saem.cli.console import complain, friendly, note
    from saem.cli.signals import Stopped
    from saem.cli.watching import counting

    from ..agenda import Shard
    from ..running import run_study
    from ..study.records import ENDED

    with friendly():
        changes: dict[str, Any] = {}
        if replicates is not None:
            changes["replicates"] = replicates
        if budget is not None:
            changes["budget"] = seconds_of(budget)
        by = executor_of(executor, workers, scheduler)
        path, folder = path_of(study), folder_of(study, quick, output)
        own = None if shard is None else Shard.of(shard)
        if own is not None and own.count > 1:
            folder = folder / shard_folder(own)
        found = study_in(path, quick, folder, {"run": changes} | ({"precision": None} if fixed else {}))
        warm_up(found, path)
        last: list[Progress] = []
        try:
            with counting(path.stem) as bar:

                def progress(state: Progress) -> None:
                    last[:] = [state]
                    for text in state.tally.warnings():
                        complain("Warning", text, "yellow")
                    if bar is not None:
                        bar(state.done, state.total)

                state = run_study(
                    found, path, folder, executor=by, shard=own, progress=progress,
                    retried=() if retry is None else retry.statuses, accept=accept,
                )  # fmt: skip
        except KeyboardInterrupt:
            done = f"{last[0].done} of {last[0].total} replicates are" if last else "what was done before is"
            complain("Interrupted", f"{done} kept in {folder}; the same command goes on.", "yellow")
            raise typer.Exit(Stopped.code()) from None
        new, rate = state.done - state.begun, (state.done - state.begun) / max(state.seconds, 1e-9)
        note(
            f"{state.done} of {state.total} replicates are in {folder}"
            + (f" ({new} in {state.seconds:.1f} s, {rate:.3g} a second)" if new else "")
        )
        if state.dropped:
            note(f"{state.dropped:,} damaged records were dropped, to be made again")
        if state.done < state.total:
            note("the time is up; the same command goes on")
        fits = sum(state.counts.values())
        note(f"{fits:,} fits: " + ", ".join(f"{n:,} {status}" for status, n in sorted(state.counts.items())))
        for text in state.tally.lines():
            complain("Warning", text, "yellow")
        if state.mixed:
            complain("Warning", f"in {state.mixed:,} replicates not all methods saw the same data: no pairs", "yellow")
        for name, shortfall in state.shortfalls.items():
            note(f"too few replicates for the precision in {name}: {shortfall}")
        if fits and not any(state.counts.get(status) for status in ENDED):
            complain("Error", f"none of {fits:,} fits succeeded; 'failures' tells why, 'replay' shows where", "red")
            raise typer.Exit(1)
    if report:
        from .results import plot, summarise
        from .results import report as write_report

        summarise(study, quick, folder, short=True)
        note("drawing figures ..")
        plot(study, quick, folder)
        note("writing the report ..")
        write_report(study, quick, folder)


def shard_folder(shard: Any) -> str:
    """The name of a shard's folder."""
    return f"shard-{shard.number}-of-{shard.count}"


@app.command()
def merge(
    study: StudyName,
    shards: Annotated[
        list[Path] | None, typer.Argument(metavar="[FOLDER]...", help="Of the shards; all shard-* if omitted.")
    ] = None,
    quick: Quick = False,
    output: Folder = None,
) -> None:
    """Put the results of shards into the folder of the study; also of some now, and of others later."""
    from saem.cli.console import friendly, note
    from saem.errors import StorageError

    from ..running import identity_of, job_of
    from ..store import Store
    from ..store.merging import merge as merge_store

    with friendly():
        path, folder = path_of(study), folder_of(study, quick, output)
        job = job_of(study_in(path, quick, folder), path)
        sources = shards or sorted(folder.glob("shard-*-of-*"))
        if not sources:
            raise StorageError(f"there are no shards in {folder}; 'run --shard i/N' makes them, or name their folders")
        for source in sources:
            Store(source).close()  # before anything is made
        with Store(folder, identity_of(job)) as store:
            for source in sources:
                note(f"{merge_store(store, source)} fits from {source}")


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
    from saem.cli.console import complain, friendly, say
    from saem.errors import ModelError, listing

    from ..running import job_of
    from ..study import load_study
    from ..study.blame import users_frames
    from ..study.functions import functions_in
    from ..study.records import in_words, record_of
    from ..study.surroundings import kept_alive, surroundings
    from ..study.tasks import generated, method_seed

    with friendly():
        path = path_of(study)
        found = load_study(path, quick)
        chosen = cell_named(found, cell)
        if method not in found.methods:
            raise ModelError(f"there is no method {method!r}; there are {listing(found.methods)}")
        job = job_of(found, path)
        with kept_alive():
            functions = functions_in(job.functions)
    seed = method_seed(job, chosen, replicate, method)
    try:
        with kept_alive():
            data = generated(job, chosen, replicate)
            with surroundings(seed):
                outcome = functions.estimate(data, chosen, found.methods[method].options, seed)
            numbers = record_of(method, outcome, tuple(found.estimands), [], 0.0)["numbers"]
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        say("".join(users_frames(error, job.functions)).rstrip())
        complain("Error", in_words(error), "red")
        if debug:
            import pdb

            pdb.post_mortem(error.__traceback__)
        raise typer.Exit(1) from None
    say(f"{outcome.status}, log-likelihood {outcome.loglik:.6g}. {in_words(str(outcome.message))}")
    for name, (estimate, se, lower, upper, mcse) in zip(found.estimands, numbers, strict=True):
        say(f"{name}: {estimate:.6g}, se {se:.3g}, {lower:.6g} to {upper:.6g}, mcse {mcse:.2g}")
