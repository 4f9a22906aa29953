"""What goes into the text: figures drawn, tables and numbers written, with what is not there shown as such."""

from __future__ import annotations

import csv
import io
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.store.export import replacing
from paper.digest import Absent, Digest
from paper.pipeline.manifest import command_of, modules, read_manifest
from paper.shared.style import COLUMN
from paper.shared.writing import NOT_THERE, Number
from saem.errors import ModelError, StorageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KEY = r"[A-Za-z0-9][A-Za-z0-9.\-_]*"


@dataclass
class Made:
    """What was written.

    Attributes
    ----------
    figures, tables : list of str
    numbers : dict of str to Number
        By key, in the order of the modules.
    missing : list of str
        What the results lack: one sentence each.
    failed : list of str
        What could not be made for another reason, an error in a module.
    """

    figures: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    numbers: dict[str, Number] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def all_numbers(digests: Mapping[str, Digest]) -> dict[str, Number]:
    """The numbers of the text by key.

    Raises
    ------
    ModelError
        When a key has two values, or is not made of letters, digits, dots, hyphens and underscores.
    """
    import re

    found: dict[str, Number] = {}
    home: dict[str, str] = {}
    for name, module in modules("numbers").items():
        for number in _those_there(module.numbers, digests, name):
            if number.key in found and found[number.key].text != number.text:
                raise ModelError(
                    f"paper/numbers/{name}.py: {number.key!r} is {number.text}, and {found[number.key].text} in "
                    f"{home[number.key]}.py; a key must have one value"
                )
            if not re.fullmatch(KEY, number.key):
                raise ModelError(f"paper/numbers/{name}.py: the key {number.key!r} must be letters, digits, . - and _")
            if number.key not in found:
                found[number.key], home[number.key] = number, name
    return found


def _those_there(numbers: Callable[[Any], Iterable[Number]], digests: Any, name: str) -> Iterable[Number]:
    """The numbers of a module, as far as there are results of its studies."""
    try:
        yield from numbers(digests)
    except (Absent, StorageError) as error:
        yield Number(f"{name.replace('_', '-')}.not-there", NOT_THERE, f"all further numbers of {name}", why=str(error))


def make(digests: Mapping[str, Digest], output: Path, only: str | None = None) -> Made:
    """Write figures, tables, numbers and lists of where they come from.

    Parameters
    ----------
    digests : mapping of str to Digest
    output : Path
        Figures go to `figures/NAME.pdf` and `.png`, tables to `tables/NAME.tex` in it.
    only : str, optional
        The figure or table to make; both where they have one name.

    Raises
    ------
    ModelError
        When there is no such figure or table, or numbers are not valid.
    StorageError
        When the folder cannot be written.
    """
    from experiments.figures.saving import save

    made = Made()
    figures, tables = modules("figures"), modules("tables")
    if only is not None and only not in {*figures, *tables}:
        from saem.errors import listing, nearest

        known = [*figures, *tables]
        raise ModelError(f"there is no figure or table {only!r}{nearest(only, known)}; there are {listing(known, 40)}")
    for name, module in figures.items():
        if only in (None, name):
            figure = _tried(module.draw, digests, f"figure {name}", made, only is None)
            save(_empty() if figure is None else figure, output / "figures", name)
            made.figures.append(name)
    for name, module in tables.items():
        if only in (None, name):
            text = _tried(module.table, digests, f"table {name}", made, only is None)
            empty = rf"\begin{{tabular}}{{l}}{NOT_THERE}\end{{tabular}}"
            write(output / "tables" / f"{name}.tex", empty if text is None else text)
            made.tables.append(name)
    if only is None:
        made.numbers = all_numbers(digests)
        made.missing += [f"number {number.key}: {number.why}" for number in made.numbers.values() if number.why]
        write(output / "numbers.tex", numbers_tex(made.numbers.values()))
        write(output / "numbers.csv", numbers_csv(made.numbers.values(), digests))
        write(output / "manifest.csv", manifest_csv(digests))
    return made


def _tried(function: Callable[[Any], Any], digests: Any, what: str, made: Made, go_on: bool) -> Any:
    """What a function gives; None, and noted why, where it gives nothing. Its own errors are raised unless to go on."""
    try:
        return function(digests)
    except (Absent, StorageError) as error:
        made.missing.append(f"{what}: {error}")
    except Exception as error:
        if not go_on:
            raise
        last = traceback.extract_tb(error.__traceback__)[-1]
        made.failed.append(f"{what}: {type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})")
    return None


def _empty() -> Figure:
    """In place of a figure that the results lack."""
    from experiments.figures.style import new_page

    figure = new_page(COLUMN, 1.0)
    figure.text(0.5, 0.5, "not in these results", ha="center", va="center", fontsize=8)
    return figure


def write(path: Path, text: str) -> None:
    """A text file, whole or not at all; with one line's end at its end."""
    with replacing(path) as stream:
        stream.write((text.rstrip("\n") + "\n").encode())


def numbers_tex(numbers: Iterable[Number]) -> str:
    r"""A line `\saemnumber{key}{text}% source` for each."""
    lines = ["% written by 'python -m paper build': change nothing here"]
    for number in numbers:
        source = " ".join(f"{number.source}; {number.why}".split() if number.why else number.source.split())
        lines.append(rf"\saemnumber{{{number.key}}}{{{number.text}}}% {source}")
    return "\n".join(lines)


def numbers_csv(numbers: Iterable[Number], digests: Mapping[str, Digest]) -> str:
    """key, value, source, study, configuration, seed."""
    rows = [["key", "value", "source", "study", "configuration", "seed"]]
    for number in numbers:
        known = [digests[name].provenance for name in number.studies if name in digests]
        rows.append(
            [number.key, number.text, number.source, " ".join(number.studies)]
            + [" ".join(str(own.get(name, "")) for own in known) for name in ("configuration", "seed")]
        )
    return as_csv(rows)


def origin(studies: Iterable[str], digests: Mapping[str, Digest]) -> dict[str, str]:
    """Where something comes from: configurations, seeds, replicates, minutes and commands, a text each."""
    names = [name for name in studies if name in digests]
    known = [digests[name].provenance for name in names]
    minutes = [float(own["cpu_minutes"]) for own in known if "cpu_minutes" in own]
    told = {key: " ".join(str(own.get(key, "-")) for own in known) for key in ("configuration", "seed", "replicates")}
    return told | {
        "cpu_minutes": f"{sum(minutes):.1f}" if minutes else "",
        "command": "; ".join(command_of(name) for name in names),
    }


def manifest_csv(digests: Mapping[str, Digest]) -> str:
    """Every figure and table: what it shows, and where it comes from."""
    header = ["name", "kind", "what", "studies", "configuration", "seed", "replicates", "cpu_minutes", "command"]
    rows = [[*header, "drawn_by"]]
    for kind, name, shown in read_manifest().shown(appendix=True):
        module = modules(kind).get(name)
        studies = () if module is None else tuple(module.STUDIES)
        told = origin(studies, digests)
        rows.append(
            [name, kind.removesuffix("s"), shown.what, " ".join(studies)]
            + [told[key] for key in header[4:]]
            + [f"python -m paper build --only {name}"]
        )
    return as_csv(rows)


def as_csv(rows: Iterable[Iterable[str]]) -> str:
    """Lines that end in one character on every system."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()
