"""Numbers of the tests of a link that holds, with few replicates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from experiments.studies.link_tests import LEVELS
from paper.digest import Digest
from paper.shared.designs import full_levels, full_methods
from paper.shared.keys import extremes, keyed
from paper.shared.writing import Number, percent

STUDIES = ("link_tests",)


def numbers(digests: Mapping[str, Digest]) -> Iterator[Number]:
    """`size.METHOD.LEVEL.REPLICATES.least` and `.most`, over the links."""
    digest = digests["link_tests"]
    for method in full_methods(digest.name):
        for measure, level in LEVELS.items():
            for replicates in full_levels(digest.name, "replicates"):
                table = digest.select(measure, method, replicates=replicates)
                key = keyed("size", method, f"{100 * level:g}", replicates)
                yield from extremes(
                    key, percent, table, f"{digest.name}: {measure} of {method}, {replicates=}", digest.name
                )
