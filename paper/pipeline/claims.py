"""Where the claims of the abstract come from: number, figure, study, configuration and seed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from paper.digest import Digest
from paper.pipeline.checks import in_abstract
from paper.pipeline.manifest import label_of, modules, read_manifest
from paper.pipeline.parts import origin
from paper.pipeline.source import Source
from paper.pipeline.watching import Key, entries_of, used_by
from paper.shared.writing import Number


class Claim(NamedTuple):
    """A number of the abstract, and what it can be followed to."""

    key: str
    text: str
    label: str  # of a figure or a table that shows the same entries, or at least the same study
    studies: tuple[str, ...]
    configuration: str
    seed: str
    source: str


def claims(source: Source, numbers: Mapping[str, Number], digests: Mapping[str, Digest]) -> list[Claim]:
    """The claims in the order of the abstract."""
    cited = [numbers[key] for key, _ in in_abstract(source) if key in numbers]
    labels = {item.value for item in source.given(["label"])}
    by_module = entries_of(digests, {number.key for number in cited})
    entries = {key: own for made in by_module.values() for key, own in made.items()}
    shown = shown_by(cited, digests, labels)
    found = []
    for number in cited:
        told = origin(number.studies, digests)
        label = nearest(entries.get(number.key, set()), shown, number)
        found.append(
            Claim(number.key, number.text, label, number.studies, told["configuration"], told["seed"], number.source)
        )
    return found


def shown_by(
    cited: Sequence[Number], digests: Mapping[str, Digest], labels: Collection[str]
) -> dict[str, tuple[frozenset[str], set[Key]]]:
    """The studies and the entries of the figures and tables that show some study of the numbers, by label."""
    studies = {study for number in cited for study in number.studies}
    everything = max(2, len(read_manifest().sources))  # what is about all studies shows no result
    found = {}
    for kind, name, _ in read_manifest().shown():
        module, label = modules(kind).get(name), label_of(kind, name)
        own = frozenset(module.STUDIES) if module is not None else frozenset()
        if own & studies and label in labels and name != "claims" and len(own) < everything:
            try:
                found[label] = own, used_by(module.draw if kind == "figures" else module.table, digests)
            except Exception:  # an error of that module, of which the build says so
                continue
    return found


def nearest(entries: set[Key], shown: Mapping[str, tuple[frozenset[str], set[Key]]], number: Number) -> str:
    """The label of the figure or table that shows most of a number's entries; none, where that is not half of them.

    Of a number whose entries are unknown it is that of its studies.
    """

    def rank(label: str) -> tuple[int, int]:
        own, used = shown[label]
        return -len(entries & used), -len(own & set(number.studies))

    candidates = [label for label, (own, _) in shown.items() if own & set(number.studies)]
    best = min(candidates, key=rank, default="")
    return best if best and 2 * len(entries & shown[best][1]) >= len(entries) else ""
