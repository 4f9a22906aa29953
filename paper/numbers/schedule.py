"""Numbers of why the textbook schedule fails: absorption at a variance of zero, and slow directions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

import pandas as pd

from paper.digest import Absent, Digest, Entry
from paper.shared.designs import full_levels, full_methods
from paper.shared.keys import extremes, keyed, whole
from paper.shared.methods import DIRECT
from paper.shared.pooling import counted
from paper.shared.writing import Number, both, computed, latex, measured, percent, plain, significant

STUDIES = ("headline", "remedies", "schedules")
SIMULATED = ("textbook", "saem", "mcem")
FEW = 6  # replicates of a real experiment at most
SCHEDULES = ("one_over_k", "two_thirds", "averaged_067", "averaged_055")
SHOWN = ("b22", "sigma2")  # from slow to fast


def numbers(digests: Mapping[str, Digest]) -> Iterator[Number]:
    """All of them."""
    headline, remedies = digests["headline"], digests["remedies"]
    yield from absorption(headline, SIMULATED, "absorption", "deficit")
    yield from claims(headline)
    yield from absorption(remedies, full_methods(remedies.name, DIRECT), "remedy.lost", "remedy.deficit")
    for method in full_methods(remedies.name, DIRECT):
        where, key = {"replicates": 3, "ratio": 1}, keyed("remedy.seconds", method, 3, 1)
        yield measured(key, plain, remedies, "median_seconds", method, **where)
    yield from distances(digests["schedules"])


def absorption(digest: Digest, methods: Iterable[str], share: str, deficit: str) -> Iterator[Number]:
    """Variances that are lost, and what it costs; `share` and `deficit` begin the keys."""
    name = digest.name
    for method in methods:
        for replicates in full_levels(name, "replicates"):
            for ratio in full_levels(name, "ratio"):
                where = {"replicates": replicates, "ratio": ratio}
                parts = (method, replicates, ratio)
                yield measured(keyed(share, *parts), percent, digest, "collapse_rate", method, **where)
                yield measured(keyed(deficit, *parts), both, digest, "reference_deficit", method, **where)
        lost, said = digest.select("collapse_rate", method), f"{name}: collapse_rate of {method}"
        few, where_few = lost[lost["replicates"] <= FEW], f"{said} with at most {FEW} replicates"
        yield from extremes(keyed(share, method, "few"), percent, few, where_few, name)
        for k, word in enumerate(("lost", "fits")):
            key = keyed(share, method, word)
            yield whole(key, partial(count, lost, k), f"{said}: {word} in all cells", name)
        for word, fewest in (("least", min), ("most", max)):
            key = keyed(share, method, "interior", word)
            source = f"{said}: data sets with an interior maximum, {word} over cells"
            yield whole(key, partial(data_sets, lost, fewest), source, name)


def claims(digest: Digest) -> Iterator[Number]:
    """Who claims to have converged."""
    name = digest.name
    for method in SIMULATED:
        rates, key = digest.select("convergence_rate", method), keyed("headline.claims", method)
        yield from extremes(key, percent, rates, f"{name}: convergence_rate of {method}", name)


def count(table: pd.DataFrame, k: int) -> int:
    """Successes (0) or all (1) of a share, in all cells."""
    if not len(table):
        raise Absent("no cell has it")
    return counted(table)[k]


def data_sets(table: pd.DataFrame, choose: Callable[[Iterable[int]], int]) -> int:
    """The least or the most of the numbers of fits behind a measure, over cells."""
    if not len(table):
        raise Absent("no cell has it")
    return choose(int(n) for n in table["n"])


def distances(digest: Digest) -> Iterator[Number]:
    """EM's rates, the exponents that they imply, and the distances that were measured."""
    from experiments.studies.problems import problems
    from experiments.studies.schedules import BURN_IN, schedule_of
    from paper.theory.step_sizes import rates_of, rms_distances

    name = digest.name
    levels = full_levels(name, "iterations")
    rates = rates_of(problems()[str(full_levels(name, "problem")[0])])
    source = "EM's rate matrix through the constraint at the truth, expected information, parameters of the study"
    for word, rate in zip(("slowest", "second", "third"), rates.rates[::-1], strict=False):
        yield Number(keyed("rate", word), significant(float(rate), 3), source)
        yield Number(keyed("exponent", word), significant(1.0 - float(rate), 2), f"one less it: {source}")
    smallest = 1.0 - float(rates.rates[-1])
    for word, nearer in (("halving", 2.0), ("factor", 10.0)):
        text = significant(nearer ** (1.0 / smallest), 1)
        yield Number(f"rate.{word}", text, f"{nearer:g}^(1/a) with a the smallest share: {source}")
    yield Number("rate.slow", str(int((rates.rates > 0.5).sum())), f"rates above 1/2: {source}")
    yield Number("rate.directions", str(len(rates.rates)), f"directions: {source}")
    for parameter in ("b21", "b22"):
        part = 100.0 * float(rates.of(parameter)[-1])
        yield Number(
            keyed("rate.share", parameter), rf"{part:.0f}\,\%", f"variance of {parameter} along the slowest; {source}"
        )
    for schedule in SCHEDULES:
        predicted = rms_distances(rates, schedule_of(schedule, int(max(levels))).steps(1))[BURN_IN:]
        for parameter in SHOWN:
            theory = predicted[:, rates.parameters.index(parameter)]
            for iterations in (levels[0], levels[-1]):
                key, where = keyed("distance", schedule, parameter, iterations), {"iterations": iterations}
                yield measured(key, both, digest, "rms_distance", schedule, parameter, **where)
            said = f"{name}: rms_distance of {schedule}, {parameter}: exponent, {levels[0]} to {levels[-1]} iterations"
            yield computed(keyed("slope", schedule, parameter), partial(slope, digest, schedule, parameter), said, name)
            fall = math.log(theory[levels[0] - 1] / theory[levels[-1] - 1]) / math.log(levels[-1] / levels[0])
            yield Number(keyed("slope.theory", schedule, parameter), latex(f"{fall:.2f}"), f"linear theory; {source}")


def slope(digest: Digest, schedule: str, parameter: str) -> str:
    """a of k^-a between the fewest and the most iterations of the full form, errors taken as independent."""
    levels = full_levels(digest.name, "iterations")
    first, last = (digest.at("rms_distance", schedule, parameter, iterations=k) for k in (levels[0], levels[-1]))
    span = math.log(levels[-1] / levels[0])
    error = math.hypot(first.mcse / first.value, last.mcse / last.value) / span
    return both(Entry(math.log(first.value / last.value) / span, error, min(first.n, last.n)))
