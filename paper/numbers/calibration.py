"""Numbers of Monte Carlo errors and the rule to stop: are they what they say?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
import pandas as pd

from experiments.performance.proportions import QUANTILE
from paper.digest import Absent, Digest, Entry
from paper.shared.pooling import (
    counted,
    extremes,
    full_levels,
    full_methods,
    keyed,
    least,
    most,
    size_of,
    stated,
    two_digits,
    whole,
)
from paper.shared.writing import Number, both, computed, measured, percent, significant

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
            yield measured(key, both, slopes, "mcse_calibration_mean_claimed", method, "sigma", subjects=subjects)


def of_claims(prefix: str, digests: list[Digest]) -> Iterator[Number]:
    """Fits of simulating methods, those that claim to have converged, and those of them that did not."""
    names = tuple(digest.name for digest in digests)
    said = ", ".join(names)
    rate = pd.concat([simulating(digest, "convergence_rate") for digest in digests])
    met = pd.concat([simulating(digest, "targets_met") for digest in digests])
    yield whole(
        f"{prefix}.simulated", lambda: counted(rate)[1], f"{said}: convergence_rate: fits of simulating methods", *names
    )
    yield whole(
        f"{prefix}.claims",
        lambda: counted(rate)[0],
        f"{said}: convergence_rate: those that claim to have converged",
        *names,
    )
    yield whole(
        f"{prefix}.judged",
        lambda: counted(met)[1],
        f"{said}: targets_met: claims with a maximum to compare with",
        *names,
    )
    yield whole(f"{prefix}.broken", lambda: broken(met), f"{said}: claims that miss targets_met", *names)
    yield stated(f"{prefix}.met", percent, of_all, met, f"{said}: targets_met, all claims", *names)
    yield stated(f"{prefix}.met.least", percent, least, met, f"{said}: targets_met, least over cells", *names)


def of_errors(prefix: str, digests: list[Digest]) -> Iterator[Number]:
    """Spread and mean of (estimate - maximum) / MCSE of fits that claim, over all methods, problems and parameters."""
    names = tuple(digest.name for digest in digests)
    for word, ideal in IDEAL.items():
        measure = f"mcse_calibration_{word}_claimed"
        table = pd.concat([digest.select(measure, estimand=None) for digest in digests])
        table = table[table["mcse"] > 0.0]
        z = (table["value"] - ideal) / table["mcse"]
        said, key = f"{', '.join(names)}: {measure}", f"{prefix}.{word}"
        standard = f"{said}: ({word} - {ideal:g}) / MCSE"
        yield whole(f"{key}.count", partial(len, table), f"{said}: combinations", *names)
        yield from extremes(key, both, table, said, *names)
        for name, value, digits, source in (
            ("average", table["value"].mean(), 3, f"{said}, mean"),
            ("mcse", table["mcse"].median(), 2, f"{said}, median MCSE"),
            ("z.mean", z.mean(), 2, f"{standard}, mean"),
            ("z.sd", z.std(), 3, f"{standard}, SD"),
            ("z.most", z.abs().max(), 2, f"{standard}, largest absolute value"),
        ):
            yield computed(f"{key}.{name}", partial(known, value, digits), source, *names)
        beyond = 100.0 * (z.abs() > QUANTILE).mean()
        yield computed(f"{key}.beyond", partial(known, beyond, 2, r"\,\%"), f"{standard}: share beyond 1.96", *names)


def by_method(digest: Digest) -> Iterator[Number]:
    """The cost of the rule, and who claims what, by method and problem."""
    factor, name = digest.factors[0], digest.name
    for method in full_methods(name):
        for level in full_levels(name, factor):
            where, parts = {factor: level}, (method, level)
            yield measured(keyed(name, "seconds", *parts), two_digits, digest, "median_seconds", method, **where)
            if method == EXACT:
                continue
            yield measured(keyed(name, "claims", *parts), percent, digest, "convergence_rate", method, **where)
            yield measured(keyed(name, "met", *parts), percent, digest, "targets_met", method, **where)
            yield measured(keyed(name, "distance", *parts), both, digest, "largest_distance", method, **where)
            yield measured(keyed(name, "draws", *parts), two_digits, digest, "median_draws", method, **where)
        if method == EXACT:
            continue
        spread = digest.select("mcse_calibration_spread_claimed", method, None)
        said = f"{name}: mcse_calibration_spread_claimed of {method}, mean over what it has; error: mean of theirs"
        yield stated(keyed(name, "spread", method), both, cautious, spread, said, name)
        for level in full_levels(name, factor):
            key, own = keyed(name, "spread", method, level), spread[spread[factor] == level]
            yield stated(key, both, cautious, own, f"{said}, at {level}", name)
            yield stated(f"{key}.most", both, most, own, f"{name}: the largest over parameters at {level}", name)
        distance, said = digest.select("largest_distance", method), f"{name}: largest_distance of {method}"
        yield from extremes(keyed(name, "distance", method), both, distance, said, name)


def simulating(digest: Digest, measure: str) -> pd.DataFrame:
    """A measure of all methods but the exact one."""
    table = digest.select(measure)
    found: pd.DataFrame = table[table["method"] != EXACT]
    return found


def broken(table: pd.DataFrame) -> int:
    """Failures of a share, in all cells."""
    good, of = counted(table)
    return of - good


def cautious(table: pd.DataFrame) -> Entry:
    """The mean of measures that depend on one another, with the mean of their errors, which is not too small."""
    table = table[table["mcse"].notna()]
    if not len(table):
        raise Absent("no cell has it")
    return Entry(float(table["value"].mean()), float(table["mcse"].mean()), int(table["n"].min()))


def of_all(table: pd.DataFrame) -> Entry:
    """The share of all that were counted."""
    good, of = counted(table)
    if not of:
        raise Absent("nothing was counted")
    return Entry(good / of, float(np.sqrt(good / of * (1.0 - good / of) / of)), of)


def known(value: float, digits: int, unit: str = "") -> str:
    """A number that is one, with its unit."""
    if not np.isfinite(value):
        raise Absent("no cell has it")
    return significant(float(value), digits) + unit
