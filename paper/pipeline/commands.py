"""The commands of `python -m paper`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.harness.commands.options import By, Kind, Scheduler, Workers, executor_of

if TYPE_CHECKING:
    from paper.digest import Digest

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="The paper: built from the committed results; its studies run anew; a rerun held against what is committed.",
)

Quick = Annotated[bool, typer.Option("--quick", help="The quick forms of the studies.")]
Studies = Annotated[
    str | None, typer.Option(metavar="A,B", help="Only these, separated by commas; all if omitted.", show_default=False)
]
SHOWN = 40  # problems that are listed


def names_in(studies: str | None) -> list[str] | None:
    """Names between commas."""
    return None if studies is None else [name.strip() for name in studies.split(",") if name.strip()]


@contextmanager
def interrupted(kept: str) -> Iterator[None]:
    """At Ctrl-C or SIGTERM say what it left behind, and end."""
    from saem.cli.console import complain
    from saem.cli.signals import Stopped, terminated_as_interrupted

    try:
        with terminated_as_interrupted():
            yield
    except KeyboardInterrupt:
        complain("Interrupted", kept, "yellow")
        raise typer.Exit(Stopped.code()) from None


@app.command()
def build(
    results: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Of digests; the committed ones if omitted.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="paper/build if omitted.", show_default=False),
    ] = None,
    only: Annotated[str | None, typer.Option(metavar="NAME", help="Make this figure or table and no more.")] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Results may lack something, as quick forms do: it is shown as not there.")
    ] = False,
    pdf: Annotated[
        bool | None, typer.Option("--pdf/--no-pdf", help="Whether to make the PDF; yes if omitted.", show_default=False)
    ] = None,
    all_numbers: Annotated[
        bool, typer.Option("--all-numbers", help="List the numbers that the text does not cite, too: numbers-all.csv.")
    ] = False,
) -> None:
    """Figures, tables and numbers from digests, the checks of the text, and the PDF where LaTeX is installed."""
    from paper.digest import Digests
    from paper.pipeline.building import build as build_all
    from paper.pipeline.latex import NAME
    from paper.pipeline.manifest import BUILD, RESULTS
    from paper.pipeline.parts import ALL_NUMBERS, make
    from saem.cli.console import complain, friendly, note, say
    from saem.errors import ModelError

    results, output = results or RESULTS, output or BUILD
    with friendly(), interrupted(f"{output} may hold new files beside older ones; the same command builds all anew."):
        if only is not None:
            others = {"--partial": partial, "--pdf or --no-pdf": pdf is not None, "--all-numbers": all_numbers}
            strange = [name for name, is_given in others.items() if is_given]
            if strange:
                raise ModelError(f"--only makes one figure or table and no more; leave out {' and '.join(strange)}")
            made = make(Digests(results), output, only)
            for why in made.missing:
                complain("Not there", why, "yellow")
            places = [f"figures/{name}.pdf" for name in made.figures] + [f"tables/{name}.tex" for name in made.tables]
            for place in places:
                say(str(output / place))
            raise typer.Exit(1 if made.missing else 0)
        built = build_all(results, output, partial=partial, with_pdf=pdf is not False, every_number=all_numbers)
    made = built.made
    say(
        f"{len(made.figures)} figures, {len(made.tables)} tables and {len(made.numbers) - len(built.unused)} numbers "
        f"from {results} are in {output}"
    )
    if built.unused:
        where = f"{ALL_NUMBERS} has them" if all_numbers else f"--all-numbers lists them in {ALL_NUMBERS}"
        note(f"{len(built.unused)} more numbers are not cited; {where}")
    if built.pdf.path is None and f"{NAME}.pdf" in built.forgotten:
        note(f"{output / NAME}.pdf was of an earlier build, and is deleted")
    if partial and made.missing:
        note(f"{len(made.missing)} not in these results:")
        for why in made.missing[:SHOWN]:
            note(f"  {why}")
    for line in built.stale:
        complain("Changed since", line, "yellow")
    for error in built.errors:
        complain("Error", error, "red")
    if built.pdf.lacking:
        complain("PDF not built", built.pdf.lacking + "; all else is built", "yellow")
    elif built.pdf.path is not None:
        say(f"the paper is {os.path.relpath(built.pdf.path)}")
    if built.errors:
        complain("Failed", f"{len(built.errors)} errors, listed above", "red")
        raise typer.Exit(1)


@app.command()
def run(
    quick: Quick = False,
    studies: Studies = None,
    executor: By = Kind.LOCAL,
    scheduler: Scheduler = None,
    workers: Workers = None,
    data: Annotated[
        Path | None, typer.Option(metavar="CSV", help="The ubiquitin data; looked for beside the project if omitted.")
    ] = None,
) -> None:
    """Run what is missing of the studies, into results/paper or results/paper-quick; the same command goes on."""
    from paper.pipeline.manifest import read_manifest
    from paper.pipeline.rerunning import borrow, chosen, data_of, folder_of, rerun, rerun_sites
    from saem.cli.console import friendly, note
    from saem.cli.watching import counting
    from saem.errors import StorageError

    with friendly():
        by, names, table = executor_of(executor, workers, scheduler), chosen(names_in(studies)), data_of(data)
        for k, name in enumerate(names):
            note(f"{name}: {k + 1} of {len(names)}" + (f"; then {', '.join(names[k + 1 :])}" if names[k + 1 :] else ""))
            with interrupted(f"in {name}; what was done is kept in {folder_of(quick)}; the same command goes on."):
                if name in read_manifest().studies:
                    with counting(name) as bar:
                        state = rerun(name, quick, by, None if bar is None else lambda now: bar(now.done, now.total))
                    new = state.done - state.begun
                    note(
                        f"  {state.done} of {state.total} replicates are in {folder_of(quick) / name}"
                        + (f" ({new} in {state.seconds:.1f} s)" if new else "; nothing was missing")
                    )
                elif table is not None:
                    rerun_sites(table, quick, by.workers)
                    note(f"  {table} examined; tables are in {folder_of(quick) / name}")
                elif told := borrow(name, quick):
                    note(f"  no data table is there (--data CSV gives one): {told}")
                else:
                    raise StorageError(
                        f"{name!r} needs its data (--data CSV), and there are no committed results of it"
                    )
        note(f"digests are in {folder_of(quick) / 'digests'}")


@app.command()
def adopt(studies: Studies = None) -> None:
    """Copy the digests of a full rerun to paper/results, which are committed."""
    from paper.pipeline.manifest import RESULTS
    from paper.pipeline.rerunning import adopt as adopt_all
    from saem.cli.console import friendly, say

    with friendly():
        say(f"{', '.join(adopt_all(names_in(studies)))} copied to {RESULTS}")


def how_many(digests: Mapping[str, Digest], committed: Mapping[str, Digest]) -> str:
    """How many of the committed studies were run anew."""
    own = [name for name in digests if name in committed and not digests[name].borrowed]
    return f"{len(own)} of {len(committed)} studies"


@app.command()
def verify(
    rerun: Annotated[
        Path | None,
        typer.Option(
            "--rerun",
            "--results",
            metavar="FOLDER",
            help="Digests of a rerun; those of results/paper, else of results/paper-quick, if omitted.",
            show_default=False,
        ),
    ] = None,
    committed: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="paper/results if omitted.", show_default=False)
    ] = None,
) -> None:
    """Hold a rerun against the committed results: which figure or table disagrees beyond Monte Carlo error?"""
    from paper.digest import Digests
    from paper.pipeline.agreement import RATE
    from paper.pipeline.manifest import RESULTS
    from paper.pipeline.rerunning import folder_of
    from paper.pipeline.verifying import identical, sentence, worst
    from paper.pipeline.verifying import verify as verify_all
    from saem.cli.console import complain, friendly, note, say
    from saem.errors import StorageError

    with friendly():
        places = [rerun] if rerun else [folder_of(quick) / "digests" for quick in (False, True)]
        known = [digests for digests in map(Digests, places) if len(digests)]
        if not known:
            where = " or ".join(map(str, places))
            raise StorageError(f"there are no digests in {where}; 'python -m paper run --quick' makes them")
        found, kept = known[0], Digests(committed or RESULTS)
        note(f"{found.folder}, with {how_many(found, kept)}, is judged against {kept.folder}")
        for other in known[1:]:
            note(f"{other.folder} has {how_many(other, kept)}: '--rerun {other.folder}' judges it instead")
        for name in found:
            if found[name].borrowed:
                note(f"{name}: not compared, since it was not run anew: its committed results were taken")
        shown, agreements = verify_all(kept, found)
    for agreement in agreements:
        n = agreement.entries[["n_a", "n_b"]].max()
        note(
            f"{agreement.study}: {len(agreement.entries)} entries in both (up to {n['n_a']:.0f} and "
            f"{n['n_b']:.0f} replicates), "
            f"{identical(agreement)} of them identical"
        )
        for line in agreement.notes:
            note(f"  {line}")
        for line in agreement.absent:
            complain("Absent", line, "red")
    lost = [finding.name for finding in shown if not finding.judged]
    if lost:
        note(f"not compared, since what they use depends on the machine or is not in the rerun: {', '.join(lost)}")
    for finding in shown:
        if finding.judged:
            say(sentence(finding))
        for line in [] if finding.agrees else worst(finding):
            say(f"    {line}")
    shown = [finding for finding in shown if finding.judged]
    wrong = [finding.name for finding in shown if not finding.agrees]
    say(
        f"{len(shown) - len(wrong)} of {len(shown)} agree. Were nothing changed, each would disagree with a "
        f"probability of at most some {RATE:g}, any of them {RATE * len(shown):.2g}."
    )
    absent = [f"study {agreement.study}" for agreement in agreements if agreement.absent]
    if wrong or absent:
        complain("Disagree", ", ".join([*wrong, *absent]), "red")
        raise typer.Exit(1)
