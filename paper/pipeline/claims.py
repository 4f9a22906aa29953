"""Where the claims of the abstract come from: number, figure, study, configuration and seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from paper.digest import Digest
from paper.pipeline.checks import in_abstract
from paper.pipeline.manifest import Manifest, label_of, modules, read_manifest
from paper.pipeline.parts import origin
from paper.pipeline.source import Source
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
    manifest, found = read_manifest(), []
    labels = {item.value for item in source.given(["label"])}
    for key, _ in in_abstract(source):
        number = numbers.get(key)
        if number is not None:
            told = origin(number.studies, digests)
            label = shown_in(number, manifest, labels)
            found.append(
                Claim(key, number.text, label, number.studies, told["configuration"], told["seed"], number.source)
            )
    return found


def shown_in(number: Number, manifest: Manifest, labels: set[str]) -> str:
    """The label of the first figure or table of the text that shows a number's studies; empty where there is none.

    One that shows all of them goes before one that shows some.
    """
    candidates: list[tuple[int, str]] = []
    for kind, name, _ in manifest.shown():
        label = label_of(kind, name)
        module = modules(kind).get(name)
        shared = len(set(number.studies) & set(module.STUDIES)) if module else 0
        if shared and label in labels:
            candidates.append((-shared, label))
    return min(candidates, key=lambda one: one[0])[1] if candidates else ""
