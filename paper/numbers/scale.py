"""Numbers of fits with 10 to a million clusters: seconds, memory, and how far below the maximum they end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from paper.digest import Digest, Entry
from paper.pooling import extreme, full_levels, full_methods, keyed, ratio_of, size_of
from paper.writing import Number, both, computed, measured, percent, significant

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
                lambda e, c=clusters: per_cluster(e, c),
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
                    lambda m=method, c=clusters: significant(slower(digest, m, c).value),
                    said,
                    NAME,
                )
        if method not in EXACT:
            table = digest.select("reference_deficit", method)
            for word, largest in (("least", False), ("most", True)):
                said = f"{NAME}: reference_deficit of {method}, {word} over the numbers of clusters"
                yield computed(
                    keyed(NAME, "deficit", method, word), lambda t=table, w=largest: both(extreme(t, w)), said, NAME
                )


def slower(digest: Digest, method: str, clusters: int) -> Entry:
    """How many times the seconds of direct maximum likelihood a fit takes."""
    return ratio_of(
        [digest.at("median_seconds", method, clusters=clusters)],
        [digest.at("median_seconds", AGAINST, clusters=clusters)],
    )


def two_digits(entry: Entry) -> str:
    """The value alone."""
    return significant(entry.value, 2)


def per_cluster(entry: Entry, clusters: int) -> str:
    """Bytes of memory a cluster."""
    return significant(entry.value * BYTES / clusters, 2)
