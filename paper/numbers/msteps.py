"""Numbers of constrained maximisers compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from paper.digest import Digest
from paper.pooling import counted, extreme, full_levels, keyed, pooled, size_of, whole
from paper.problems import MAXIMISERS
from paper.writing import Number, computed, percent, significant

STUDIES = ("msteps",)
NAME = "msteps"
FASTEST = "sqp"


def numbers(digests: Mapping[str, Digest]) -> Iterator[Number]:
    """All of them."""
    digest = digests[NAME]
    yield from size_of(NAME, digest)
    wrong, searches = digest.select("wrong_claims"), digest.select("maximum_rate")
    yield whole("msteps.claims", lambda: counted(wrong)[1], "msteps: claims to have converged, all maximisers", NAME)
    yield whole("msteps.wrong", lambda: counted(wrong)[0], "msteps: those that are wrong", NAME)
    yield whole("msteps.searches", lambda: counted(searches)[1], "msteps: searches of all maximisers", NAME)
    yield whole(
        "msteps.each",
        lambda: counted(digest.select("maximum_rate", FASTEST))[1],
        "msteps: searches of one maximiser",
        NAME,
    )
    for start in full_levels(NAME, "start"):
        for method in MAXIMISERS:
            where = f"of {method} from {start}, mean over cells with equal weights"
            reached = digest.select("maximum_rate", method, start=start)
            seconds = digest.select("median_seconds", method, start=start)
            iterations = digest.select("median_iterations", method, start=start)
            key = (method, start)
            yield computed(
                keyed(NAME, "reached", *key),
                lambda t=reached: percent(pooled(t)),
                f"msteps: maximum_rate {where}",
                NAME,
            )
            yield computed(
                keyed(NAME, "reached", *key, "least"),
                lambda t=reached: percent(extreme(t, False)),
                f"msteps: maximum_rate of {method} from {start}, least over cells",
                NAME,
            )
            yield computed(
                keyed(NAME, "ms", *key),
                lambda t=seconds: significant(1e3 * pooled(t).value),
                f"msteps: median_seconds {where}, in ms",
                NAME,
            )
            yield computed(
                keyed(NAME, "iterations", *key),
                lambda t=iterations: significant(pooled(t).value),
                f"msteps: median_iterations {where}",
                NAME,
            )
            if method != FASTEST:
                own = digest.select("median_seconds", FASTEST, start=start)
                yield computed(
                    keyed(NAME, "slower", *key),
                    lambda t=seconds, o=own: significant(pooled(t).value / pooled(o).value),
                    f"msteps: median_seconds {where}, over that of {FASTEST}",
                    NAME,
                )
    near, apart = digest.select("largest_distance"), digest.select("median_residual")
    yield computed(
        "msteps.distance.most",
        lambda: significant(extreme(near, True).value, 1),
        "msteps: largest largest_distance, in standard errors",
        NAME,
    )
    yield computed(
        "msteps.residual.most",
        lambda: significant(extreme(apart, True).value, 1),
        "msteps: largest median_residual",
        NAME,
    )
