"""Numbers of fits with a million clusters: seconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from paper.digest import Digest
from paper.shared.designs import full_levels, full_methods
from paper.shared.keys import keyed
from paper.shared.writing import Number, measured, plain

STUDIES = ("scale",)
NAME = "scale"


def numbers(digests: Mapping[str, Digest]) -> Iterator[Number]:
    """`scale.seconds.METHOD.CLUSTERS` with the most clusters."""
    clusters = max(full_levels(NAME, "clusters"))
    for method in full_methods(NAME):
        key = keyed(NAME, "seconds", method, clusters)
        yield measured(key, plain, digests[NAME], "median_seconds", method, clusters=clusters)
