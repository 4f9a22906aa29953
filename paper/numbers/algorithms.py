"""Numbers of algorithms at equal cost, against direct maximum likelihood."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from paper.digest import Digest
from paper.shared.designs import full_levels, full_methods
from paper.shared.keys import keyed, stated
from paper.shared.methods import EXACT
from paper.shared.pooling import difference, most, ratio_of
from paper.shared.writing import Number, both, computed, measured, plain, size

STUDIES = ("algorithms", "algorithms_slopes")
MEDIAN, MEAN = "median_reference_deficit", "reference_deficit"
AGAINST = "saem"
TIMED: dict[str, Any] = {"problem": "posted", "budget": 1_000_000}  # where seconds are told


def numbers(digests: Mapping[str, Digest]) -> Iterator[Number]:
    """All of them."""
    for name in STUDIES:
        digest = digests[name]
        yield from relative(digest)
        said = f"{name}: {MEAN} of em, most over cells"
        yield stated(keyed(name, "em.most"), size, most, digest.select(MEAN, "em"), said, name)
    yield from seconds(digests["algorithms"])
    yield from expansion(digests["algorithms_slopes"])


def relative(digest: Digest) -> Iterator[Number]:
    """The median deficit of a method over that of SAEM, geometric mean over the problems."""
    name, factor = digest.name, digest.factors[0]
    for budget in full_levels(name, "budget"):
        for method in full_methods(name, *EXACT, AGAINST):
            said = (
                f"{name}: {MEDIAN} of {method} over that of {AGAINST} with {budget} random effects, "
                f"geometric mean over {factor}; errors taken as independent"
            )
            yield computed(
                keyed(name, "relative", method, budget), partial(ratio_over, digest, method, budget), said, name
            )


def ratio_over(digest: Digest, method: str, budget: int) -> str:
    """Over the problems that the digest has."""
    factor = digest.factors[0]
    wheres = [{factor: level, "budget": budget} for level in digest.levels(factor, budget=budget)]
    top = [digest.at(MEDIAN, method, **where) for where in wheres]
    return both(ratio_of(top, [digest.at(MEDIAN, AGAINST, **where) for where in wheres]))


def seconds(digest: Digest) -> Iterator[Number]:
    """Of all methods, beside those of direct maximum likelihood."""
    for method in full_methods(digest.name):
        key = keyed(digest.name, "seconds", method, *TIMED.values())
        yield measured(key, plain, digest, "median_seconds", method, **TIMED)


def expansion(digest: Digest) -> Iterator[Number]:
    """What parameter expansion gains: log-likelihood above that of SAEM on the same data."""
    name, factor = digest.name, digest.factors[0]
    for level in full_levels(name, factor):
        for budget in full_levels(name, "budget"):
            where = {factor: level, "budget": budget}
            said = f"{name}: {MEAN} of saem less that of px_saem at {level}, {budget}; errors taken as independent"
            yield computed(keyed(name, "px", level, budget), partial(gain, digest, where), said, name)


def gain(digest: Digest, where: Mapping[str, Any]) -> str:
    """The mean deficit of SAEM less that with parameter expansion."""
    return both(difference(digest.at(MEAN, "saem", **where), digest.at(MEAN, "px_saem", **where)))
