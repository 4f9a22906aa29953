"""The LaTeX text as the checks read it: lines without comments, commands and where they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from saem.errors import StorageError

COMMENT = re.compile(r"(?<!\\)((?:\\\\)*)%.*")


@dataclass(frozen=True)
class Place:
    """A line of a file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Line:
    """A line without its comment; `raw` is the whole."""

    place: Place
    text: str
    raw: str


@dataclass(frozen=True)
class Found:
    """What a command was given."""

    place: Place
    value: str


class Source:
    """The files of the text.

    Parameters
    ----------
    folder : Path
        All `**/*.tex` and `**/*.bib` in it are read.

    Attributes
    ----------
    lines : list of Line
    entries : set of str
        Keys of the bibliography.
    files : list of str
        Names of the files in LaTeX, from the folder.
    strays : list of str
        Those that are not put in from `main.tex`; their lines are left out.

    Raises
    ------
    StorageError
        When a file cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.lines: list[Line] = []
        self.entries: set[str] = set()
        self.files: list[str] = []
        try:
            for path in sorted(folder.rglob("*.tex")):
                self.files.append(path.relative_to(folder).as_posix())
                self.lines += lines_of(path.read_text(encoding="utf-8"), self.files[-1])
            for path in sorted(folder.rglob("*.bib")):
                self.entries |= set(
                    re.findall(r"^\s*@\w+\s*\{\s*([^\s,]+)\s*,", path.read_text(encoding="utf-8"), re.M)
                )
        except (OSError, UnicodeDecodeError) as error:
            raise StorageError(f"the text in {folder} cannot be read: {error}") from None
        reached = self._reached()
        self.strays = [name for name in self.files if name not in reached]
        self.lines = [line for line in self.lines if line.place.file in reached]

    def _reached(self) -> set[str]:
        """Files that are the text: `main.tex` and what it puts in; all where there is no `main.tex`."""
        if "main.tex" not in self.files:
            return set(self.files)
        put: dict[str, list[str]] = {}
        for found in self.given(["input", "include"]):
            put.setdefault(found.place.file, []).append(found.value.removesuffix(".tex") + ".tex")
        reached, ahead = {"main.tex"}, ["main.tex"]
        while ahead:
            new = [name for name in put.get(ahead.pop(), []) if name in self.files and name not in reached]
            reached.update(new)
            ahead += new
        return reached

    def given(self, commands: Iterable[str], lists: bool = False) -> Iterator[Found]:
        r"""What commands were given: `\ref{a}` gives "a"; with `lists`, `\cite{a,b}` gives "a" and "b".

        Stars and optional arguments may stand between; an argument may go over several lines.
        """
        names = "|".join(sorted(map(re.escape, commands), key=len, reverse=True))
        pattern = re.compile(rf"\\(?:{names})\*?\s*(?:\[[^\]]*\]\s*)*\{{([^{{}}]*)\}}")
        for file, text, starts in self._files:
            for match in pattern.finditer(text):
                for value in match[1].split(",") if lists else [match[1]]:
                    yield Found(Place(file, starts(match.start())), " ".join(value.split()))

    def environments(self, names: Iterable[str]) -> Iterator[tuple[Place, str, str]]:
        """Place, name and content of environments such as figures; with and without a star."""
        for name in names:
            pattern = re.compile(rf"\\begin\{{({re.escape(name)}\*?)\}}(.*?)\\end\{{\1\}}", re.S)
            for file, text, starts in self._files:
                for match in pattern.finditer(text):
                    yield Place(file, starts(match.start())), match[1], match[2]

    @property
    def _files(self) -> Iterator[tuple[str, str, Callable[[int], int]]]:
        """Name, text without comments, and what gives the line of a place in it."""
        by: dict[str, list[str]] = {}
        for line in self.lines:
            by.setdefault(line.place.file, []).append(line.text)
        for file, lines in by.items():
            text = "\n".join(lines)
            yield file, text, lambda at, text=text: text.count("\n", 0, at) + 1


def lines_of(text: str, file: str) -> list[Line]:
    """Lines without their comments."""
    return [
        Line(Place(file, number), COMMENT.sub(r"\1", raw), raw) for number, raw in enumerate(text.split("\n"), start=1)
    ]
