"""Commands that look at a study, before, while and after it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from ...names import COMMAND
from . import app
from .options import Folder, Quick, StudyName, folder_of, path_of, study_in, warm_up


@app.command(name="list")
def list_studies() -> None:
    """The studies that come with the project."""
    from saem.cli.console import friendly, show
    from saem.system.display import table

    from ..study import STUDIES, load_study

    with friendly():
        studies = {path.stem: load_study(path) for path in sorted(STUDIES.glob("*.toml"))}
        rows = [
            [name, study.title, str(len(study.design.all())), str(len(study.methods)), f"{study.run.replicates:,}"]
            for name, study in studies.items()
        ]
        show(table(["study", "title", "cells", "methods", "replicates"], rows, "llrrr"))


@app.command()
def check(study: StudyName, quick: Quick = False) -> None:
    """Read a study, and say what it is, or all that is wrong with it.

    Its Python file is run: the true values of all cells, their data (twice), and every method once.
    """
    from saem.cli.console import complain, friendly, say, show
    from saem.errors import ModelError
    from saem.system.display import table

    from ..study import load_study
    from ..trying import tried

    with friendly():
        load_study(path_of(study), not quick)  # a mistake in the other form is one, too
        found = load_study(path_of(study), quick)
        say(found.title, "bold")
        say(f"aims: {found.aims}")
        say(f"data: {found.data}")
        cells = found.design.all()
        say(f"{len(cells)} cells of {found.run.replicates} replicates each:")
        for cell in cells:
            say(f"  {cell.name}")
        say(f"estimands: {', '.join(found.estimands)}")
        say(f"methods: {', '.join(found.methods)}; reference: {found.reference or 'none'}")
        for measure, target in found.precision.items():
            say(f"precision: MCSE of {measure} at most {target:g}, looked at from {found.run.minimum} replicates on")
        warm_up(found, path_of(study))
        trial = tried(found, path_of(study))
        if trial.records:
            say(f"one replicate of {cells[0].name}:")
            rows = [
                [name, own["status"], f"{own['seconds']:.3g}", own["message"]] for name, own in trial.records.items()
            ]
            show(table(["method", "status", "seconds", "message"], rows, "llrl"))
        for text in trial.warnings:
            complain("Warning", text, "yellow")
        if trial.problems:
            problems = "\n".join(f"  - {text}" for text in trial.problems)
            raise ModelError(f"{path_of(study)} cannot be run as it is ('replay' shows where it fails):\n{problems}")


@app.command()
def plan(
    study: StudyName,
    quick: Quick = False,
    workers: Annotated[int | None, typer.Option(help="Processes; all cores if omitted.", metavar="N", min=1)] = None,
    pilot: Annotated[int, typer.Option(help="Replicates of each cell that are timed.", metavar="N", min=2)] = 5,
) -> None:
    """How many replicates each cell needs, and how long it takes, from a few that are run and thrown away."""
    import os

    from saem.cli.console import complain, friendly, say, show
    from saem.cli.watching import counting
    from saem.system.display import table

    from ..planning import planned
    from ..study import load_study

    with friendly():
        path = path_of(study)
        found = load_study(path, quick)
        cores = workers or os.cpu_count() or 1
        warm_up(found, path)
        with counting("pilot") as bar:
            plans = planned(found, path, pilot, bar)
        rows = [
            [row.cell.name, f"{row.seconds:.3g}", str(row.replicates), in_time(row.replicates * row.seconds), row.why]
            for row in plans
        ]
        header = ["cell", "seconds a replicate", "replicates", "time on one core", "which is for"]
        show(table(header, rows, "lrrrl"))
        total = sum(row.replicates * row.seconds for row in plans)
        count = sum(row.replicates for row in plans)
        for row in plans:
            for method, why in row.failures.items():
                complain("Warning", f"{method} gave nothing in {row.cell.name}: {why}", "yellow")
        say(f"{count:,} replicates, {in_time(total)} on one core, some {in_time(total / cores)} on {cores}")
        share = 100 * (0.95 * 0.05 / min(row.replicates for row in plans)) ** 0.5
        say(f"a coverage of 95 % will have a Monte Carlo standard error of at most {share:.2g} %")
        if found.run.budget is not None and total / cores > found.run.budget:
            say(f"the budget of {in_time(found.run.budget)} ends it before")


def in_time(seconds: float) -> str:
    """Seconds, minutes, hours or days, whichever reads best."""
    for unit, size in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2.0 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.2g} s"


@app.command()
def status(study: StudyName, quick: Quick = False, output: Folder = None) -> None:
    """How far a study is, also while it runs elsewhere."""
    from saem.cli.console import friendly, say, show
    from saem.system.display import table

    from ..agenda import agenda_of
    from ..store import Store

    with friendly():
        folder = folder_of(study, quick, output)
        found = study_in(path_of(study), quick, folder)
        with Store(folder) as store:
            counts, runs, running = store.counts(), store.runs(), store.is_written_to()
            goals = agenda_of(store, found, path_of(study), again=False).goals()
        statuses = list(dict.fromkeys(status for _, _, status, _ in sorted(counts, key=lambda row: -row[3])))
        rows = []
        for cell in found.design.all():
            for method in found.methods:
                own = {status: n for key, name, status, n in counts if (key, name) == (cell.key, method)}
                rows.append([cell.name, method, str(sum(own.values())), *(str(own.get(s, 0)) for s in statuses)])
        show(table(["cell", "method", "done", *statuses], rows, "ll" + "r" * (1 + len(statuses))))
        wanted = len(found.methods) * sum(goals.values())
        done = sum(int(row[2]) for row in rows)
        say(f"{done:,} fits of {wanted:,} that are wanted; {'a run is writing' if running else 'no run is under way'}")
        for run in runs[-1:]:
            say(f"last run: began {run['began']}, {'ended ' + run['ended'] if 'ended' in run else 'has not ended'}")


@app.command()
def failures(study: StudyName, quick: Quick = False, output: Folder = None) -> None:
    """What failed, and why: errors, timeouts, crashes, by message."""
    from saem.cli.console import friendly, say, show
    from saem.system.display import table

    from ..failures import failures_in
    from ..store import Store

    with friendly(), Store(folder_of(study, quick, output)) as store:
        found = failures_in(store)
        if not found:
            say("nothing failed")
            return
        rows = [[f.cell, f.method, f.status, str(f.times), str(f.first), f.message] for f in found]
        show(table(["cell", "method", "status", "times", "first replicate", "message"], rows, "lllrrl"))
        say(f"'{COMMAND} replay STUDY CELL REPLICATE METHOD' runs one of them again, 'run --retry errors' all of them")


@app.command()
def sources(study: StudyName, quick: Quick = False, output: Folder = None) -> None:
    """What changed in the files of a study since its results were made; the store keeps them."""
    from difflib import unified_diff

    from saem.cli.console import friendly, say
    from saem.errors import StorageError

    from ..running import files_of
    from ..store import Store

    with friendly():
        folder = folder_of(study, quick, output)
        with Store(folder) as store:
            kept = store.sources()
        if not kept:
            raise StorageError(f"{folder} has kept no files: an earlier version of this program made it")
        now = files_of(path_of(study))
        for name in dict.fromkeys([*kept, *now]):
            before, after = (files.get(name, "").splitlines() for files in (kept, now))
            for line in unified_diff(before, after, f"{name} (kept)", f"{name} (now)", lineterm=""):
                say("".join(letter if letter.isprintable() or letter == "\t" else "?" for letter in line))
        if kept == now:
            say("nothing changed")
