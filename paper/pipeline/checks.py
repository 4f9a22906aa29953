r"""What the text must keep to, told without LaTeX.

Every ``\val{key}`` is a number; every reference has its label, every citation its entry; no result is typed by hand;
every figure and table is shown once, with caption and label; and what the abstract claims can be traced.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from paper.pipeline.manifest import Manifest
from paper.pipeline.source import Source
from paper.shared.writing import Number
from saem.errors import nearest

REFERENCES = ("ref", "eqref", "pageref", "autoref", "cref", "Cref", "nameref")
CITATIONS = ("cite", "citep", "citet", "citealp", "citealt", "citeauthor", "citeyear", "citeyearpar", "Citet", "nocite")
ALLOW = "lint: allow"
# what may hold digits that are no results: names, lengths, options, and what is chosen: \setting{5\,\%}
OWN = re.compile(r"theory|a setting", re.IGNORECASE)  # the source of a number that comes from no study
SKIPPED = re.compile(
    r"\\(?:val|setting|label|ref|eqref|pageref|autoref|[cC]ref|nameref|cite\w*|Citet|nocite|includegraphics|input|url|href|path"
    r"|usepackage|documentclass|bibliography\w*|vspace|hspace|addvspace|setlength|addtolength|geometry|hypersetup"
    r"|definecolor|linespread)\*?\s*(?:\[[^\]]*\]\s*)*(?:\{[^{}]*\}\s*)+"
)
LENGTH = re.compile(
    r"\d*\.?\d+(?:pt|em|ex|mm|cm|in|bp|mu|sp|\s*\\(?:text|line|column|paper)(?:width|height)|\s*\\baselineskip)(?![a-z])"
)
# what is the same in every paper: the normal quantile of error bars, and the level of intervals
CONSTANT = re.compile(
    r"(?<![\d.])1\.96(?!\d)|(?<![\d.])95\s*(?:\\,|~)?\s*\\%(?=[\s~-]+(?:(?!of\b|the\b)\w+[\s~-]+){0,2}intervals?\b)"
)
TYPED = re.compile(
    r"\d[\d.]*\}?\s*(?:\\,|~|\\ |\\;|\\thinspace|\{\})*\s*\\%|\d+(?:\.|\{[.,]\})\d+|(?<!\d)\.\d+"
    r"|\d[\d.]*\$?[\s~]+per\s?cent\b"
)


@dataclass
class Verdict:
    """What was found.

    Attributes
    ----------
    errors : list of str
        Each with file and line.
    unused : list of str
        Keys of numbers that the text does not cite.
    cited : dict of str to list of str
        Keys that it does, in order, and where: file and line, or the generated table.
    """

    errors: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    cited: dict[str, list[str]] = field(default_factory=dict)


def check(
    source: Source, numbers: Mapping[str, Number], manifest: Manifest, tables: Mapping[str, str] | None = None
) -> Verdict:
    """Hold the text against numbers and manifest.

    Parameters
    ----------
    source : Source
    numbers : mapping of str to Number
    manifest : Manifest
    tables : mapping of str to str, optional
        LaTeX that the build writes, by name, whose labels, references and numbers count, too.
    """
    tables = tables or {}
    cited, generated = cited_in(source, tables), "\n".join(tables.values())
    errors = [*_numbers(source, numbers), *_references(source, generated), *_typed(source)]
    errors += [*_files(source), *_floats(source, manifest), *_abstract(source, numbers)]
    return Verdict(errors, [key for key in numbers if key not in cited], cited)


def cited_in(source: Source, tables: Mapping[str, str]) -> dict[str, list[str]]:
    """Keys of numbers that text and generated tables cite, in order, and where."""
    found: dict[str, list[str]] = {}
    for one in source.given(["val"]):
        found.setdefault(one.value, []).append(str(one.place))
    for name, text in tables.items():
        for key in dict.fromkeys(re.findall(r"\\val\s*\{([^{}]*)\}", text)):
            found.setdefault(key, []).append(f"tables/{name}.tex")
    return found


def _numbers(source: Source, numbers: Mapping[str, Number]) -> Iterator[str]:
    for found in source.given(["val"]):
        if found.value not in numbers:
            yield rf"{found.place}: \val{{{found.value}}}: there is no such number{nearest(found.value, numbers)}"


def _references(source: Source, generated: str) -> Iterator[str]:
    labels: dict[str, str] = {name: "a generated table" for name in re.findall(r"\\label\{([^{}]*)\}", generated)}
    for found in source.given(["label"]):
        if found.value in labels:
            yield rf"{found.place}: \label{{{found.value}}} is there already, in {labels[found.value]}"
        labels[found.value] = str(found.place)
    for found in source.given(REFERENCES, lists=True):
        if found.value not in labels:
            yield f"{found.place}: a reference to {found.value!r}, which has no label{nearest(found.value, labels)}"
    for found in source.given(CITATIONS, lists=True):
        if found.value not in source.entries and found.value != "*":
            near = nearest(found.value, source.entries)
            yield f"{found.place}: a citation of {found.value!r}, which has no entry in the bibliography{near}"


def typed_in(text: str) -> str | None:
    """A decimal number or a percentage that is typed in a line without comments, where there is one."""
    found = TYPED.search(CONSTANT.sub(" ", LENGTH.sub(" ", SKIPPED.sub(" ", text))))
    return found[0] if found else None


def _typed(source: Source) -> Iterator[str]:
    begun: set[str] = set()
    for line in source.lines:
        file = line.place.file
        if "/" in file or r"\begin{document}" in line.text:  # sections and floats, and not the preamble
            begun.add(file)
        if file not in begun or ALLOW in line.raw[len(line.text) :]:
            continue
        value = typed_in(line.text)
        if value is not None:
            yield (
                rf"{line.place}: {value} is typed by hand; a result is cited as \val{{key}}, what is chosen, not "
                rf"found, is put in \setting{{...}}, or its line ends in '% {ALLOW}'"
            )


def _files(source: Source) -> Iterator[str]:
    yield from (f"{name}: nothing in the text has \\input of it" for name in source.strays)
    for found in source.given(["input", "include"]):
        name = found.value.removesuffix(".tex") + ".tex"
        if name not in source.files and name != "numbers.tex" and not name.startswith("tables/"):
            yield f"{found.place}: there is no file {name!r} in the text{nearest(name, source.files)}"


def _floats(source: Source, manifest: Manifest) -> Iterator[str]:
    for place, name, content in source.environments(["figure", "table"]):
        yield from (
            f"{place}: this {name} has no \\{need}" for need in ("caption", "label") if f"\\{need}" not in content
        )
    referred = {found.value for found in source.given(REFERENCES, lists=True)}
    for place, name, content in source.environments(["figure", "table"]):
        labels = re.findall(r"\\label\{([^{}]*)\}", content)
        if labels and not referred & set(labels):
            yield f"{place}: nothing in the text refers to this {name}, {labels[0]!r}"
    drawn, put = list(source.given(["includegraphics"])), list(source.given(["input"]))
    tables = [(found.place, found.value.removeprefix("tables/").removesuffix(".tex")) for found in put]
    tables = [one for one, found in zip(tables, put, strict=True) if found.value.startswith("tables/")]
    shown = {"figure": [(one.place, one.value.removesuffix(".pdf")) for one in drawn], "table": tables}
    for kind, known in (("figure", manifest.figures), ("table", manifest.tables)):
        places: dict[str, str] = {}
        for place, name in shown[kind]:
            if name not in known:
                yield f"{place}: there is no {kind} {name!r} in manifest.toml{nearest(name, known)}"
            if name in places:
                yield f"{place}: the {kind} {name!r} is there already, at {places[name]}"
            places[name] = str(place)
        yield from (
            f"manifest.toml: the text does not show the {kind} {name!r}" for name in known if name not in places
        )


def in_abstract(source: Source) -> list[tuple[str, str]]:
    r"""Keys that the abstract cites, each once, and where."""
    found: dict[str, str] = {}
    for place, _, content in source.environments(["abstract"]):
        for line, text in enumerate(content.split("\n")):
            for key in re.findall(r"\\val\s*\{([^{}]*)\}", text):
                found.setdefault(" ".join(key.split()), f"{place.file}:{place.line + line}")
            for name in re.findall(r"\\input\s*\{([^{}]*)\}", text):
                own = [
                    one
                    for one in source.given(["val"])
                    if one.place.file.removesuffix(".tex") == name.removesuffix(".tex")
                ]
                for one in own:
                    found.setdefault(one.value, str(one.place))
    return list(found.items())


def _abstract(source: Source, numbers: Mapping[str, Number]) -> Iterator[str]:
    for key, place in in_abstract(source):
        number = numbers.get(key)
        if number is not None and not number.why and not number.studies and not OWN.search(number.source):
            yield (
                rf"{place}: \val{{{key}}} of the abstract comes from no study; give its studies, or say in its source "
                "that it is theory"
            )
