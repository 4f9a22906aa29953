"""Numbers of Monte Carlo errors and the rule to stop: are they what they say?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
import pandas as pd

from experiments.performance.proportions import QUANTILE
from paper.digest import Absent, Digest, Entry
from paper.shared.designs import full_methods
from paper.shared.keys import extremes, keyed, size_of, stated, whole
from paper.shared.methods import EXACT
from paper.shared.pooling import counted, least
from paper.shared.writing import Number, both, computed, percent, significant

STUDIES = ("calibration", "calibration_slopes")
IDEAL = {"spread": 1.0, "mean": 0.0}


def numbers(digests: Mapping[str, Digest]) -> Iterator[Number]:
    """`rule.WORD` of both studies together, and `STUDY.WORD.METHOD`."""
    for name in STUDIES:
        yield from size_of(name, digests[name])
        yield from by_method(digests[name])
    both_studies = [digests[name] for name in STUDIES]
    yield from of_claims(both_studies)
    yield from of_errors(both_studies)


def of_claims(digests: list[Digest]) -> Iterator[Number]:
    """Counts of fits of simulating methods, of those that claim to have converged, and of those of them that did not.

    Not the share of claims that are true over all methods: these have the same data sets, so that its error would have
    to be by data sets, which a digest does not hold. The least share is of one method in one cell.
    """
    names = tuple(digest.name for digest in digests)
    said = ", ".join(names)
    rate = pd.concat([simulating(digest, "convergence_rate") for digest in digests])
    met = pd.concat([simulating(digest, "targets_met") for digest in digests])
    for word, count, source in (
        ("methods", lambda: rate["method"].nunique(), "convergence_rate: simulating methods"),
        ("simulated", lambda: counted(rate)[1], "convergence_rate: fits of simulating methods"),
        ("claims", lambda: counted(rate)[0], "convergence_rate: those that claim to have converged"),
        ("judged", lambda: counted(met)[1], "targets_met: claims with a maximum to compare with"),
        ("broken", lambda: broken(met), "claims that miss targets_met"),
    ):
        yield whole(f"rule.{word}", count, f"{said}: {source}", *names)
    yield stated("rule.met.least", percent, least, met, f"{said}: targets_met, least over methods and cells", *names)


def of_errors(digests: list[Digest]) -> Iterator[Number]:
    """Spread and mean of (estimate - maximum) / MCSE of fits that claim, over all methods, problems and parameters."""
    names = tuple(digest.name for digest in digests)
    for word, ideal in IDEAL.items():
        measure = f"mcse_calibration_{word}_claimed"
        table = pd.concat([digest.select(measure, estimand=None) for digest in digests])
        table = table[table["mcse"] > 0.0]
        z = (table["value"] - ideal) / table["mcse"]
        said, key = f"{', '.join(names)}: {measure}", f"rule.{word}"
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
    """How right the errors of each method are, and how far from the maximum its claims are."""
    name = digest.name
    for method in full_methods(name, *EXACT):
        spread = digest.select("mcse_calibration_spread_claimed", method, None)
        said = f"{name}: mcse_calibration_spread_claimed of {method}, mean over what it has; error: mean of theirs"
        yield stated(keyed(name, "spread", method), both, cautious, spread, said, name)
        distance, said = digest.select("largest_distance", method), f"{name}: largest_distance of {method}"
        yield from extremes(keyed(name, "distance", method), both, distance, said, name)


def simulating(digest: Digest, measure: str) -> pd.DataFrame:
    """A measure of all methods that simulate."""
    table = digest.select(measure)
    found: pd.DataFrame = table[~table["method"].isin(EXACT)]
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


def known(value: float, digits: int, unit: str = "") -> str:
    """A number that is one, with its unit."""
    if not np.isfinite(value):
        raise Absent("no cell has it")
    return significant(float(value), digits) + unit
