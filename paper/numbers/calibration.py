"""Numbers of Monte Carlo errors and the rule to stop: are they what they say?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
import pandas as pd

from experiments.harness.performance.proportions import QUANTILE
from paper.digest import Absent, Digest, Entry
from paper.shared.designs import full_methods
from paper.shared.keys import extremes, keyed, stated, whole
from paper.shared.methods import EXACT
from paper.shared.pooling import counted
from paper.shared.writing import Number, both, computed, significant

STUDIES = ("calibration", "calibration_slopes")
SPREAD = "mcse_calibration_spread_claimed"


def numbers(digests: Mapping[str, Digest]) -> Iterator[Number]:
    """`rule.WORD` of both studies together, and `STUDY.WORD.METHOD`."""
    for name in STUDIES:
        yield from by_method(digests[name])
    both_studies = [digests[name] for name in STUDIES]
    yield from of_claims(both_studies)
    yield from of_errors(both_studies)


def of_claims(digests: list[Digest]) -> Iterator[Number]:
    """Counts of fits of simulating methods, of those that claim to have converged, and of those of them that did not.

    Not the share of claims that are true over all methods: these have the same data sets, so that its error would have
    to be by data sets, which a digest does not hold.
    """
    names = tuple(digest.name for digest in digests)
    said = ", ".join(names)
    rate = pd.concat([simulating(digest, "convergence_rate") for digest in digests])
    met = pd.concat([simulating(digest, "targets_met") for digest in digests])
    for word, count, source in (
        ("methods", lambda: rate["method"].nunique(), "convergence_rate: simulating methods"),
        ("simulated", lambda: counted(rate)[1], "convergence_rate: fits of simulating methods"),
        ("claims", lambda: counted(rate)[0], "convergence_rate: those that claim to have converged"),
        ("broken", lambda: broken(met), "claims that miss targets_met"),
    ):
        yield whole(f"rule.{word}", count, f"{said}: {source}", *names)


def of_errors(digests: list[Digest]) -> Iterator[Number]:
    """Spread of (estimate - maximum) / MCSE of fits that claim, over all methods, problems and parameters."""
    names = tuple(digest.name for digest in digests)
    table = pd.concat([digest.select(SPREAD, estimand=None) for digest in digests])
    table, said = table[table["mcse"] > 0.0], f"{', '.join(names)}: {SPREAD}"
    yield whole("rule.spread.count", partial(len, table), f"{said}: combinations", *names)
    yield from extremes("rule.spread", both, table, said, *names)
    yield computed("rule.spread.average", partial(known, table["value"].mean(), 3), f"{said}, mean", *names)
    beyond = 100.0 * (((table["value"] - 1.0) / table["mcse"]).abs() > QUANTILE).mean()
    source = f"{said}: (spread - 1) / MCSE: share beyond 1.96"
    yield computed("rule.spread.beyond", partial(known, beyond, 2, r"\,\%"), source, *names)


def by_method(digest: Digest) -> Iterator[Number]:
    """How right the errors of each method are."""
    name = digest.name
    for method in full_methods(name, *EXACT):
        spread = digest.select(SPREAD, method, None)
        said = f"{name}: {SPREAD} of {method}, mean over what it has; error: mean of theirs"
        yield stated(keyed(name, "spread", method), both, cautious, spread, said, name)


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
