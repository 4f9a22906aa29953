"""From digests to the paper: figures, tables and numbers, the checks of the text, the PDF."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from paper.digest import Digests
from paper.pipeline.checks import check
from paper.pipeline.latex import NAME as PDF
from paper.pipeline.latex import Pdf, compile_pdf
from paper.pipeline.manifest import KINDS, TEXT, command_of, modules, problems_of_manifest, read_manifest
from paper.pipeline.parts import ALL_NUMBERS, Made, make, write_numbers
from paper.pipeline.source import Source
from paper.real_data import NAME as SITES
from paper.real_data import configuration_now
from paper.shared.writing import NOT_THERE, Number
from saem.errors import StorageError, listing

SHOWN = 20  # keys that an error lists


@dataclass
class Built:
    """What came of a build.

    Attributes
    ----------
    made : Made
    errors : list of str
        Any of them makes the build fail; the rest is built all the same.
    stale : list of str
        Studies that have changed since their results were made: one sentence each.
    unused : list of str
        Keys of numbers that the text does not cite.
    pdf : Pdf
    forgotten : list of str
        Files of an earlier build that were deleted.
    """

    made: Made
    errors: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    pdf: Pdf = field(default_factory=lambda: Pdf(None, []))
    forgotten: list[str] = field(default_factory=list)


def build(
    results: Path,
    output: Path,
    *,
    partial: bool = False,
    text: Path = TEXT,
    with_pdf: bool = True,
    every_number: bool = False,
) -> Built:
    """Build the paper.

    Parameters
    ----------
    results : Path
        Of digests.
    output : Path
    partial : bool
        Whether results may lack what a quick form leaves out: it is shown as not there then. Else it is an error.
    text : Path
        Of `main.tex`.
    with_pdf : bool
    every_number : bool
        Whether to list the numbers that the text does not cite, too.

    Raises
    ------
    SaemError
        When results cannot be read, the output cannot be written, or modules and manifest are not valid.
    """
    digests = Digests(results)
    if not len(digests):
        raise StorageError(f"{results} holds no results of any study; 'python -m paper run' makes them")
    for kind in KINDS:
        modules(kind)  # where they are not valid, nothing is deleted
    forgotten = forget(output)
    made = make(digests, output)
    built = Built(made, list(made.failed), forgotten=forgotten)
    if not partial:
        built.errors += [f"not in {results}: {what}" for what in made.missing]
        cited = {study for number in made.numbers.values() for study in number.studies}
        built.errors += problems_of_manifest(cited)
        built.errors += problems_of_results(digests)
        built.stale = changed_since(digests)
    source = Source(text)
    unknown = _fill(source, made) if partial or made.numbers.failed else []
    tables = {name: (output / "tables" / f"{name}.tex").read_text(encoding="utf-8") for name in made.tables}
    verdict = check(source, made.numbers, read_manifest(), tables)
    built.errors += verdict.errors
    lost = [made.numbers[key] for key in verdict.cited if key in made.numbers and made.numbers[key].why]
    if partial:
        made.missing += [f"number {number.key}: {number.why}" for number in lost]
    else:
        built.errors += [
            rf"not in {results}: \val{{{number.key}}}: {number.why}" for number in lost if number.key not in unknown
        ]
        if unknown:
            built.errors.append(
                f"cited, and in no numbers since a module failed, or unknown: {listing(unknown, SHOWN)}"
            )
    write_numbers(made, verdict.cited, digests, output, every_number)
    built.unused = verdict.unused
    if with_pdf:
        built.pdf = compile_pdf(text, output)
        built.errors += built.pdf.errors
    return built


def forget(output: Path) -> list[str]:
    """Delete what an earlier build left and this one may not write again: it would stand beside other numbers."""
    found = [output / name for name in (f"{PDF}.pdf", ALL_NUMBERS) if (output / name).is_file()]
    for path in found:
        try:
            path.unlink()
        except OSError as error:
            raise StorageError(f"{path} is of an earlier build and cannot be deleted: {error.strerror}") from None
    return [path.name for path in found]


def _fill(source: Source, made: Made) -> list[str]:
    """Make numbers that the text cites and no module gave, as partial results and failed modules do, not there."""
    unknown = list(dict.fromkeys(one.value for one in source.given(["val"]) if one.value not in made.numbers))
    for key in unknown:
        made.numbers[key] = Number(key, NOT_THERE, "unknown in these results", why="not in these results")
    return unknown


def problems_of_results(digests: Digests) -> list[str]:
    """Where the results are not those that the manifest says: studies, replicates."""
    manifest, problems = read_manifest(), []
    for name in manifest.sources:
        if name not in digests:
            problems.append(f"{digests.folder} has no results of {name!r}, which manifest.toml names")
    for name in digests:
        if name not in manifest.sources:
            problems.append(f"{digests.folder / name} is not in manifest.toml")
    for name, study in manifest.studies.items():
        if name in digests and digests[name].provenance["replicates"] != study.replicates:
            found = digests[name].provenance["replicates"]
            problems.append(f"manifest.toml: {name} has {found} replicates in {digests.folder}, not {study.replicates}")
    return problems


def changed_since(digests: Digests) -> list[str]:
    """Studies whose settings or functions are not those of their results, and the real sites likewise."""
    from experiments.harness.provenance import configuration_hash
    from experiments.harness.study import STUDIES, load_study

    found = []
    for name in read_manifest().sources:
        path = STUDIES / f"{name}.toml"
        if name in digests and (name == SITES or path.exists()):
            known, own = digests[name].provenance, digests[name].configurations
            now = configuration_now(known) if name == SITES else configuration_hash(load_study(path), path)
            if now not in own:
                found.append(
                    f"{name} is {now} now, and its results are of {known.get('configuration')}: '{command_of(name)}'"
                )
    return found
