"""Numbers of fits with 10 to a million clusters: seconds, memory, and how far below the maximum they end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from paper.digest import Digest, Entry
from paper.shared.pooling import extremes, full_levels, full_methods, keyed, ratio_of, size_of, two_digits
from paper.shared.writing import Number, both, computed, measured, percent, significant

STUDIES = ("scale",)
NAME = "scale"
EXACT = ("ml", "em")
BYTES = 2.0**20
AGAINST = "ml"


def numbers(digests: Mapping[str, Digest]) -> Iterator[Number]:
    """All of them."""
    digest = digests[NAME]
    yield from size_of(NAME, digest)
    for method in full_methods(NAME):
        for clusters in full_levels(NAME, "clusters"):
            where, parts = {"clusters": clusters}, (method, clusters)
            yield measured(keyed(NAME, "seconds", *parts), two_digits, digest, "median_seconds", method, **where)
            yield measured(keyed(NAME, "memory", *parts), two_digits, digest, "mean_memory_mib", method, **where)
            yield measured(
                keyed(NAME, "bytes", *parts),
                partial(per_cluster, clusters=clusters),
                digest,
                "mean_memory_mib",
                method,
                **where,
            )
            if method in EXACT:
                continue
            yield measured(keyed(NAME, "deficit", *parts), both, digest, "reference_deficit", method, **where)
            yield measured(keyed(NAME, "claims", *parts), percent, digest, "convergence_rate", method, **where)
            yield measured(keyed(NAME, "draws", *parts), two_digits, digest, "median_draws", method, **where)
        for clusters in full_levels(NAME, "clusters"):
            if method != AGAINST:
                said = f"{NAME}: median_seconds of {method} over that of {AGAINST} with {clusters} clusters"
                yield computed(
                    keyed(NAME, "slower", method, clusters),
                    partial(slower, digest, method, clusters),
                    said,
                    NAME,
                )
        if method not in EXACT:
            table = digest.select("reference_deficit", method)
            said = f"{NAME}: reference_deficit of {method}"
            yield from extremes(keyed(NAME, "deficit", method), both, table, said, NAME)


def slower(digest: Digest, method: str, clusters: int) -> str:
    """How many times the seconds of direct maximum likelihood a fit takes."""
    own, other = (digest.at("median_seconds", name, clusters=clusters) for name in (method, AGAINST))
    return two_digits(ratio_of([own], [other]))


def per_cluster(entry: Entry, clusters: int) -> str:
    """Bytes of memory a cluster."""
    return significant(entry.value * BYTES / clusters, 2)
