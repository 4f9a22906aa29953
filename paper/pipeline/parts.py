"""What goes into the text: figures drawn, tables and numbers written, with what is not there shown as such."""

from __future__ import annotations

import csv
import io
import re
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paper.digest import Absent, Digest
from paper.pipeline.manifest import command_of, file_of, modules, read_manifest
from paper.shared.style import COLUMN
from paper.shared.writing import NOT_THERE, Number
from saem.errors import ModelError, StorageError, listing, nearest
from saem.system.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ALL_NUMBERS = "numbers-all.csv"
KEY = r"[A-Za-z0-9][A-Za-z0-9.\-_]*"


class Numbers(dict[str, Number]):
    """The numbers of the text by key, in the order of the modules.

    Attributes
    ----------
    home : dict of str to str
        The module that makes each, by key.
    failed : list of str
        Errors of modules, a line each: a module has no more numbers after one that it cannot make.
    """

    def __init__(self) -> None:
        super().__init__()
        self.home: dict[str, str] = {}
        self.failed: list[str] = []


@dataclass
class Made:
    """What was written.

    Attributes
    ----------
    figures, tables : list of str
    numbers : Numbers
    missing : list of str
        Figures and tables that the results lack: one sentence each.
    failed : list of str
        What could not be made for another reason, an error in a module.
    """

    figures: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    numbers: Numbers = field(default_factory=Numbers)
    missing: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def all_numbers(digests: Mapping[str, Digest]) -> Numbers:
    """The numbers of all modules; whatever goes wrong in one leaves the others their numbers."""
    found = Numbers()
    for name, module in modules("numbers").items():
        try:
            for number in module.numbers(digests):
                if problem := _against(number, found, name):
                    found.failed.append(problem)
                elif number.key not in found:
                    found[number.key], found.home[number.key] = number, name
        except (Absent, StorageError) as error:
            key = f"{name.replace('_', '-')}.not-there"
            found[key] = Number(key, NOT_THERE, f"all further numbers of {name}", why=str(error))
            found.home[key] = name
        except Exception as error:
            found.failed.append(_told(f"numbers {name}", error))
    return found


def _against(number: Number, found: Numbers, name: str) -> str:
    """What is wrong with a number of a module beside those that there are; empty if nothing is."""
    if not re.fullmatch(KEY, number.key):
        return f"paper/numbers/{name}.py: the key {number.key!r} must be letters, digits, . - and _"
    other = found.get(number.key)
    if other is not None and other.text != number.text:
        return (
            f"paper/numbers/{name}.py: {number.key!r} is {number.text}, and {other.text} in "
            f"{found.home[number.key]}.py; a key must have one value"
        )
    return ""


def make(digests: Mapping[str, Digest], output: Path, only: str | None = None) -> Made:
    """Write figures and tables, and the list of where they come from; compute the numbers, see `write_numbers`.

    Parameters
    ----------
    digests : mapping of str to Digest
    output : Path
        Figures go to `figures/NAME.pdf` and `.png`, tables to `tables/NAME.tex` in it.
    only : str, optional
        The figure or table to make; both where they have one name. What the results lack is not written then: a
        figure that is there stays.

    Raises
    ------
    ModelError
        When there is no such figure or table.
    StorageError
        When the folder cannot be written.
    """
    from experiments.harness.figures.saving import save

    made = Made()
    figures, tables = modules("figures"), modules("tables")
    if only is not None and only not in {*figures, *tables}:
        near = nearest(only, [*figures, *tables])
        raise ModelError(
            f"there is no figure or table {only!r}{near}; there are the figures {listing(figures, 40)} and the tables "
            f"{listing(tables, 40)}"
        )
    for name, module in figures.items():
        if only in (None, name):
            figure = _tried(module.draw, digests, f"figure {name}", made, only is None)
            if figure is None and only is not None:
                continue
            save(_empty() if figure is None else figure, output / "figures", name)
            made.figures.append(name)
    for name, module in tables.items():
        if only in (None, name):
            text = _tried(module.table, digests, f"table {name}", made, only is None)
            if text is None and only is not None:
                continue
            empty = rf"\begin{{tabular}}{{l}}{NOT_THERE}\end{{tabular}}"
            write(output / "tables" / f"{name}.tex", empty if text is None else text)
            made.tables.append(name)
    if only is None:
        made.numbers = all_numbers(digests)
        made.failed += made.numbers.failed
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
        made.failed.append(_told(what, error))
    return None


def _told(what: str, error: Exception) -> str:
    """An error of a module in one line, with where it was raised."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    words = " ".join(str(error).split())
    return f"{what}: {type(error).__name__}: {words} ({Path(last.filename).name}:{last.lineno})"


def _empty() -> Figure:
    """In place of a figure that the results lack."""
    from experiments.harness.figures.style import new_page

    figure = new_page(COLUMN, 1.0)
    figure.text(0.5, 0.5, "not in these results", ha="center", va="center", fontsize=8)
    return figure


def write(path: Path, text: str) -> None:
    """A text file, whole or not at all; with one line's end at its end."""
    with replacing(path) as temporary:
        temporary.write_bytes((text.rstrip("\n") + "\n").encode())


def numbers_tex(numbers: Iterable[Number]) -> str:
    r"""A line `\saemnumber{key}{text}% source` for each."""
    lines = ["% written by 'python -m paper build': change nothing here"]
    for number in numbers:
        source = " ".join(f"{number.source}; {number.why}".split() if number.why else number.source.split())
        lines.append(rf"\saemnumber{{{number.key}}}{{{number.text}}}% {source}")
    return "\n".join(lines)


def write_numbers(
    made: Made, places: Mapping[str, Sequence[str]], digests: Mapping[str, Digest], output: Path, every: bool = False
) -> None:
    """Write `numbers.tex` and `numbers.csv` of what is cited, in the order of the text.

    Parameters
    ----------
    made : Made
    places : mapping of str to sequence of str
        By key, where the text cites it.
    digests : mapping of str to Digest
    output : Path
    every : bool
        Whether to write `numbers-all.csv`, too: the numbers that are cited, then all others.
    """
    cited = [made.numbers[key] for key in places if key in made.numbers]
    write(output / "numbers.tex", numbers_tex(cited))
    write(output / "numbers.csv", numbers_csv(cited, made.numbers.home, places, digests))
    if every:
        cited += [number for key, number in made.numbers.items() if key not in places]
        write(output / ALL_NUMBERS, numbers_csv(cited, made.numbers.home, places, digests))


def numbers_csv(
    numbers: Iterable[Number],
    home: Mapping[str, str],
    places: Mapping[str, Sequence[str]],
    digests: Mapping[str, Digest],
) -> str:
    """Every number: where it is cited, what makes it, and the studies, their files, seeds and commands behind it."""
    header = ["key", "value", "cited", "module", "source", "studies", "files", "configuration", "seed", "command"]
    rows = [header]
    for number in numbers:
        module = f"paper/numbers/{home[number.key]}.py" if number.key in home else ""
        told = origin(number.studies, digests)
        rows.append(
            [number.key, number.text, " ".join(places.get(number.key, ())), module, number.source]
            + [" ".join(number.studies), " ".join(map(file_of, number.studies))]
            + [told[key] for key in header[7:]]
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
