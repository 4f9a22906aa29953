"""Numbers of constrained maximisers compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from paper.digest import Digest, Entry
from paper.shared.designs import full_levels
from paper.shared.keys import keyed, stated, whole
from paper.shared.pooling import counted, least, pooled
from paper.shared.problems import MAXIMISERS
from paper.shared.writing import Number, computed, percent, plain, significant

STUDIES = ("msteps",)
NAME = "msteps"
FASTEST = "sqp"


def numbers(digests: Mapping[str, Digest]) -> Iterator[Number]:
    """All of them."""
    digest = digests[NAME]
    wrong, own = digest.select("wrong_claims"), digest.select("maximum_rate", FASTEST)
    yield whole("msteps.claims", lambda: counted(wrong)[1], "msteps: claims to have converged, all maximisers", NAME)
    yield whole("msteps.wrong", lambda: counted(wrong)[0], "msteps: those that are wrong", NAME)
    yield whole("msteps.each", lambda: counted(own)[1], "msteps: searches of one maximiser", NAME)
    for start in full_levels(NAME, "start"):
        for method in MAXIMISERS:
            yield from of_maximiser(digest, method, start)


def of_maximiser(digest: Digest, method: str, start: str) -> Iterator[Number]:
    """How often it is there, and its cost, from one of the starts."""
    key, where = (method, start), f"of {method} from {start}"
    mean = f"{where}, mean over cells with equal weights"
    reached = digest.select("maximum_rate", method, start=start)
    seconds = digest.select("median_seconds", method, start=start)
    yield stated(keyed(NAME, "reached", *key), percent, pooled, reached, f"msteps: maximum_rate {mean}", NAME)
    said = f"msteps: maximum_rate {where}, least over cells"
    yield stated(keyed(NAME, "reached", *key, "least"), percent, least, reached, said, NAME)
    said = f"msteps: median_seconds {mean}, in ms"
    yield stated(keyed(NAME, "ms", *key), plain, milliseconds, seconds, said, NAME)
    if method != FASTEST:
        fastest = digest.select("median_seconds", FASTEST, start=start)
        said = f"msteps: median_seconds {mean}, over that of {FASTEST}"
        yield computed(
            keyed(NAME, "slower", *key),
            lambda: significant(pooled(seconds).value / pooled(fastest).value, 2),
            said,
            NAME,
        )


def milliseconds(table: pd.DataFrame) -> Entry:
    """Of seconds in several cells."""
    found = pooled(table)
    return Entry(1e3 * found.value, 1e3 * found.mcse, found.n)
