"""Numbers of algorithms at equal cost, against direct maximum likelihood."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from paper.digest import Absent, Digest
from paper.shared.pooling import (
    difference,
    full_levels,
    full_methods,
    keyed,
    most,
    one_digit,
    ratio_of,
    size_of,
    stated,
    two_digits,
)
from paper.shared.style import METHODS
from paper.shared.writing import Number, both, computed, measured, percent

STUDIES = ("algorithms", "algorithms_slopes")
MEDIAN, MEAN = "median_reference_deficit", "reference_deficit"
AGAINST = "saem"
EXACT = ("ml", "em")


def numbers(digests: Mapping[str, Digest]) -> Iterator[Number]:
    """All of them."""
    for name in STUDIES:
        digest = digests[name]
        yield from size_of(name, digest)
        yield from deficits(digest)
        yield from relative(digest)
        yield from exact(digest)
    yield from expansion(digests["algorithms_slopes"])


def deficits(digest: Digest) -> Iterator[Number]:
    """Of every method that simulates, in every cell; the nearest method and the furthest one."""
    name, factor = digest.name, digest.factors[0]
    methods = full_methods(name, *EXACT)
    for level in full_levels(name, factor):
        for budget in full_levels(name, "budget"):
            where = {factor: level, "budget": budget}
            for method in methods:
                parts = (method, level, budget)
                yield measured(keyed(name, "median", *parts), both, digest, MEDIAN, method, **where)
                yield measured(keyed(name, "mean", *parts), both, digest, MEAN, method, **where)
                yield measured(keyed(name, "met", *parts), percent, digest, "deficit_met", method, **where)
            for word, largest in (("best", False), ("worst", True)):
                said = f"{name}: method with the {'largest' if largest else 'smallest'} {MEDIAN} at {level}, {budget}"
                yield computed(
                    keyed(name, word, level, budget), partial(at_the_end, digest, where, largest), said, name
                )


def relative(digest: Digest) -> Iterator[Number]:
    """The median deficit of a method over that of SAEM, geometric mean over the problems."""
    name, factor = digest.name, digest.factors[0]
    for budget in full_levels(name, "budget"):
        for method in full_methods(name, *EXACT):
            if method == AGAINST:
                continue
            said = (
                f"{name}: {MEDIAN} of {method} over that of {AGAINST} with {budget} random effects, "
                f"geometric mean over {factor}; errors taken as independent"
            )
            yield computed(
                keyed(name, "relative", method, budget),
                partial(ratio_over, digest, method, budget),
                said,
                name,
            )


def ratio_over(digest: Digest, method: str, budget: int) -> str:
    """Over the problems that the digest has."""
    factor = digest.factors[0]
    wheres = [{factor: level, "budget": budget} for level in digest.levels(factor, budget=budget)]
    top = [digest.at(MEDIAN, method, **where) for where in wheres]
    return both(ratio_of(top, [digest.at(MEDIAN, AGAINST, **where) for where in wheres]))


def exact(digest: Digest) -> Iterator[Number]:
    """Seconds, beside those of direct maximum likelihood; and how far exact EM is below the maximum."""
    name, factor = digest.name, digest.factors[0]
    for method in (*EXACT, *full_methods(name, *EXACT)):
        for level in full_levels(name, factor):
            for budget in full_levels(name, "budget"):
                where = {factor: level, "budget": budget}
                key = keyed(name, "seconds", method, level, budget)
                yield measured(key, two_digits, digest, "median_seconds", method, **where)
    table = digest.select(MEAN, "em")
    yield stated(keyed(name, "em.most"), one_digit, most, table, f"{name}: {MEAN} of em, most over cells", name)


def expansion(digest: Digest) -> Iterator[Number]:
    """What parameter expansion gains: log-likelihood above that of SAEM on the same data, and as a ratio."""
    name, factor = digest.name, digest.factors[0]
    for level in full_levels(name, factor):
        for budget in full_levels(name, "budget"):
            where = {factor: level, "budget": budget}
            said = f"{name}: {MEAN} of saem less that of px_saem at {level}, {budget}; errors taken as independent"
            yield computed(
                keyed(name, "px", level, budget),
                partial(gain, digest, where),
                said,
                name,
            )


def gain(digest: Digest, where: Mapping[str, Any]) -> str:
    """The mean deficit of SAEM less that with parameter expansion."""
    return both(difference(digest.at(MEAN, "saem", **where), digest.at(MEAN, "px_saem", **where)))


def at_the_end(digest: Digest, where: Mapping[str, Any], largest: bool) -> str:
    """The printed name of the method with the smallest or the largest median deficit in a cell."""
    table = digest.select(MEDIAN, **where)
    table = table[~table["method"].isin(EXACT)]
    if not len(table):
        raise Absent(f"{digest.name} has no cell {dict(where)}")
    value = table["value"].to_numpy(float)
    name = str(table["method"].iloc[int(value.argmax() if largest else value.argmin())])
    return METHODS.get(name, name)
