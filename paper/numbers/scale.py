"""Numbers of fits with 10 to a million clusters: seconds, memory, and how far below the maximum they end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from paper.digest import Digest, Entry
from paper.shared.designs import full_levels, full_methods
from paper.shared.keys import extremes, keyed, size_of
from paper.shared.methods import DIRECT, EXACT
from paper.shared.pooling import ratio_of
from paper.shared.writing import Number, both, computed, measured, plain, significant

STUDIES = ("scale",)
NAME = "scale"
BYTES = 2.0**20


def numbers(digests: Mapping[str, Digest]) -> Iterator[Number]:
    """`scale.WORD.METHOD.CLUSTERS` with the most clusters; extremes over numbers of clusters."""
    digest = digests[NAME]
    yield from size_of(NAME, digest)
    clusters = max(full_levels(NAME, "clusters"))
    for method in full_methods(NAME):
        for word, form, measure in (
            ("seconds", plain, "median_seconds"),
            ("memory", plain, "mean_memory_mib"),
            ("bytes", partial(per_cluster, clusters=clusters), "mean_memory_mib"),
        ):
            yield measured(keyed(NAME, word, method, clusters), form, digest, measure, method, clusters=clusters)
        if method != DIRECT:
            said = f"{NAME}: median_seconds of {method} over that of {DIRECT} with {clusters} clusters"
            yield computed(
                keyed(NAME, "slower", method, clusters), partial(slower, digest, method, clusters), said, NAME
            )
        if method not in EXACT:
            table, said = digest.select("reference_deficit", method), f"{NAME}: reference_deficit of {method}"
            yield from extremes(keyed(NAME, "deficit", method), both, table, said, NAME)


def slower(digest: Digest, method: str, clusters: int) -> str:
    """How many times the seconds of direct maximum likelihood a fit takes."""
    own, other = (digest.at("median_seconds", name, clusters=clusters) for name in (method, DIRECT))
    return plain(ratio_of([own], [other]))


def per_cluster(entry: Entry, clusters: int) -> str:
    """Bytes of memory a cluster."""
    return significant(entry.value * BYTES / clusters, 2)
