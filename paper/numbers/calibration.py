"""Numbers of Monte Carlo errors and the rule to stop: are they what they say?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from paper.digest import Absent, Digest, Entry
from paper.pooling import counted, extreme, full_levels, full_methods, keyed, size_of, whole
from paper.writing import Number, both, computed, measured, percent, percentage, significant

STUDIES = ("calibration", "calibration_slopes")
IDEAL = {"spread": 1.0, "mean": 0.0}
EXACT = "ml"


def numbers(digests: Mapping[str, Digest]) -> Iterator[Number]:
    """All of them."""
    for name in STUDIES:
        yield from size_of(name, digests[name])
        yield from of_claims(keyed(name), [digests[name]])
        yield from of_errors(keyed(name), [digests[name]])
        yield from by_method(digests[name])
    both_studies = [digests[name] for name in STUDIES]
    yield from of_claims("rule", both_studies)
    yield from of_errors("rule", both_studies)
    slopes = digests["calibration_slopes"]
    for method in ("chains", "px_saem"):
        for subjects in full_levels(slopes.name, "subjects"):
            key = keyed(slopes.name, "bias", method, subjects)
            yield measured(key, both, slopes, "mcse_calibration_mean", method, "sigma", subjects=subjects)


def of_claims(prefix: str, digests: list[Digest]) -> Iterator[Number]:
    """Fits of simulating methods, those that claim to have converged, and those of them that did not."""
    names = tuple(digest.name for digest in digests)
    said = ", ".join(names)
    rate = pd.concat([simulating(digest, "convergence_rate") for digest in digests])
    met = pd.concat([digest.select("targets_met") for digest in digests])
    yield whole(f"{prefix}.simulated", lambda: counted(rate)[1], f"{said}: fits of simulating methods", *names)
    yield whole(f"{prefix}.claims", lambda: counted(rate)[0], f"{said}: those that claim to have converged", *names)
    yield whole(f"{prefix}.judged", lambda: counted(met)[1], f"{said}: claims with a maximum to compare with", *names)
    yield whole(
        f"{prefix}.broken", lambda: counted(met)[1] - counted(met)[0], f"{said}: claims that miss targets_met", *names
    )
    yield computed(f"{prefix}.met", lambda: counted_share(met), f"{said}: targets_met, all claims", *names)
    yield computed(f"{prefix}.met.least", lambda: percent(extreme(met, False)), f"{said}: least targets_met", *names)


def of_errors(prefix: str, digests: list[Digest]) -> Iterator[Number]:
    """Spread and mean of (estimate - maximum) / MCSE over all methods, problems and parameters."""
    names = tuple(digest.name for digest in digests)
    for word, ideal in IDEAL.items():
        measure = f"mcse_calibration_{word}"
        table = pd.concat([digest.select(measure, estimand=None) for digest in digests])
        table = table[table["mcse"] > 0.0]
        z = (table["value"] - ideal) / table["mcse"]
        said = f"{', '.join(names)}: {measure}"
        key = f"{prefix}.{word}"
        yield whole(f"{key}.count", lambda t=table: len(t), f"{said}: combinations", *names)
        for which, largest in (("least", False), ("most", True)):
            yield computed(f"{key}.{which}", lambda t=table, w=largest: both(extreme(t, w)), f"{said}, {which}", *names)
        yield computed(
            f"{key}.average", lambda t=table: significant(known(t["value"].mean()), 3), f"{said}, mean", *names
        )
        yield computed(
            f"{key}.mcse", lambda t=table: significant(known(t["mcse"].median()), 2), f"{said}, median MCSE", *names
        )
        yield computed(
            f"{key}.z.mean",
            lambda z=z: significant(known(z.mean()), 2),
            f"{said}: mean of ({word} - {ideal:g}) / MCSE",
            *names,
        )
        yield computed(
            f"{key}.z.sd",
            lambda z=z: significant(known(z.std()), 3),
            f"{said}: SD of ({word} - {ideal:g}) / MCSE",
            *names,
        )
        yield computed(
            f"{key}.z.most",
            lambda z=z: significant(known(z.abs().max()), 2),
            f"{said}: largest absolute ({word} - {ideal:g}) / MCSE",
            *names,
        )
        yield computed(
            f"{key}.beyond",
            lambda z=z: rf"{significant(100.0 * known((z.abs() > 1.96).mean()), 2)}\,\%",
            f"{said}: share of them beyond 1.96",
            *names,
        )


def by_method(digest: Digest) -> Iterator[Number]:
    """The cost of the rule, and who claims what, by method and problem."""
    factor, name = digest.factors[0], digest.name
    for method in full_methods(name):
        spread = digest.select("mcse_calibration_spread", method, None)
        if method != EXACT:
            said = f"{name}: mcse_calibration_spread of {method}, mean over cells and parameters; error: mean of theirs"
            yield computed(keyed(name, "spread", method), lambda t=spread: both(cautious(t)), said, name)
        for level in full_levels(name, factor):
            where = {factor: level}
            parts = (method, level)
            yield measured(keyed(name, "seconds", *parts), significant_2, digest, "median_seconds", method, **where)
            if method == EXACT:
                continue
            yield measured(keyed(name, "claims", *parts), percent, digest, "convergence_rate", method, **where)
            yield measured(keyed(name, "met", *parts), percent, digest, "targets_met", method, **where)
            yield measured(keyed(name, "distance", *parts), both, digest, "largest_distance", method, **where)
            yield measured(keyed(name, "draws", *parts), significant_2, digest, "median_draws", method, **where)
        distance = digest.select("largest_distance", method)
        if method != EXACT:
            for which, largest in (("least", False), ("most", True)):
                yield computed(
                    keyed(name, "distance", method, which),
                    lambda t=distance, w=largest: both(extreme(t, w)),
                    f"{name}: largest_distance of {method}, {which} over problems",
                    name,
                )


def simulating(digest: Digest, measure: str) -> pd.DataFrame:
    """A measure of all methods but the exact one."""
    table = digest.select(measure)
    found: pd.DataFrame = table[table["method"] != EXACT]
    return found


def cautious(table: pd.DataFrame) -> Entry:
    """The mean of measures that depend on one another, with the mean of their errors, which is not too small."""
    table = table[table["mcse"].notna()]
    if not len(table):
        raise Absent("no cell has it")
    return Entry(float(table["value"].mean()), float(table["mcse"].mean()), int(table["n"].min()))


def counted_share(table: pd.DataFrame) -> str:
    """Of all that were counted."""
    good, of = counted(table)
    if not of:
        raise Absent("nothing was counted")
    return percentage(good / of, float(np.sqrt(good / of * (1.0 - good / of) / of)))


def known(value: float) -> float:
    """A number that is one."""
    if not np.isfinite(value):
        raise Absent("no cell has it")
    return float(value)


def significant_2(entry: Entry) -> str:
    """Two digits of the value."""
    return significant(entry.value, 2)
