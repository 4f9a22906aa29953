"""Numbers of the section on the real sites."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from experiments.programs.sites.drawing import APART
from experiments.studies.examine import METHODS, POSTED
from experiments.studies.links import RECIPES
from paper.digest import Absent, Digest, Entry
from paper.real_data import NAME, STATUSES
from paper.shared.sites import LAWS, LEVELS, counted
from paper.shared.writing import Number, both, computed, exact, significant

ML, SAEM = METHODS


def numbers(digests: Mapping[str, Digest]) -> Iterator[Number]:
    """`sites.n`, `sites.draws`, `sites.LINK.METHOD.STATUS`, `sites.tests.`, `sites.intervals.`, `sites.distance.`"""
    digest = digests[NAME]
    sites = digest.cells["site"].nunique()
    found = {"n": sites, "draws": digest.provenance["draws"]}
    for word, value in found.items():
        yield Number(f"sites.{word}", exact(value), f"{NAME}: {word}", (NAME,))
    yield from statuses(digest)
    yield from agreement(digest)
    yield from tests(digest)
    yield from intervals(digest)
    yield from effects(digest)


def effects(digest: Digest) -> Iterator[Number]:
    """The effect of the treatment, mean of both forms, beside what the links demand where all else is alike: 0 or 1."""
    effects = [digest.select("estimate", ML, name, link=POSTED) for name in ("c2", "b21", "b22")]
    rows = pd.concat(effects).pivot(index="site", columns="estimand", values="value")
    unknown = digest.select("is_not_identified", ML, link=POSTED).set_index("site")["value"]
    rows = rows[unknown.reindex(rows.index) == 0.0]
    effect = rows["c2"] + 0.5 * (rows["b21"] + rows["b22"])  # the saturated link leaves the cell means free
    said = "mean of c2 + b21 and c2 + b22 by ml, saturated posted link"
    yield computed("sites.effect.median", lambda: significant(middle(effect), 2), f"{NAME}: median {said}", NAME)
    near = int((effect < 0.5).sum())
    yield counting("sites.effect.nearer-zero", near, len(effect), f"sites with an effect nearer to 0 than to 1: {said}")
    yield counting("sites.effect.n", len(effect), len(effect), f"sites with an effect: {said}")


def statuses(digest: Digest) -> Iterator[Number]:
    """How many fits by ML ended how, under the posted link."""
    for status in STATUSES:
        rows = digest.select(f"is_{status}", ML, link=POSTED)
        key = f"sites.{POSTED}.{ML}.{status.replace('_', '-')}"
        yield counting(key, int(rows["value"].sum()), len(rows), f"sites with is_{status} under {POSTED}, {ML}")
    rows = digest.select("is_error", ML, link=POSTED)
    fitted = int((rows["value"] == 0.0).sum())
    yield counting(f"sites.{POSTED}.{ML}.fitted", fitted, len(rows), f"sites that {ML} fitted under {POSTED}")


def counting(key: str, value: int, of: int, source: str) -> Number:
    """A count; not there where there was nothing to count."""

    def text() -> str:
        if not of:
            raise Absent(f"{NAME}: nothing to count for {key}")
        return exact(value)

    return computed(key, text, f"{NAME}: {source}", NAME)


def middle(values: object) -> float:
    """The median of what is finite."""
    own = np.asarray(values, float)
    if not np.isfinite(own).any():
        raise Absent(f"{NAME}: no values")
    return float(np.median(own[np.isfinite(own)]))


def agreement(digest: Digest) -> Iterator[Number]:
    """How far SAEM is from ML, in standard errors, and where both have the same status, under the posted link."""
    rows = digest.select("largest_distance", SAEM, link=POSTED)
    far, source = rows["value"].to_numpy(), f"{NAME}: largest |SAEM - ML| / SE of a site under {POSTED}"
    yield computed(f"sites.distance.{POSTED}.median", lambda: significant(middle(far), 2), f"{source}, median", NAME)
    done = set(digest.select("is_not_converged", SAEM, link=POSTED).query("value == 0.0")["site"])
    claimed = rows.loc[rows["site"].isin(done), "value"].to_numpy()
    where = f"{source}, largest where SAEM met its target"
    yield computed(f"sites.distance.{POSTED}.claimed", lambda: significant(most(claimed), 2), where, NAME)
    source = f"{NAME}: root mean square of (SAEM - ML) / MCSE under {POSTED}, by sites left out one at a time"
    yield computed(f"sites.calibration.{POSTED}", lambda: both(calibration(digest, POSTED)), source, NAME)
    same = sum(together(digest, f"is_{status}", POSTED) for status in STATUSES if status != "error")
    said = f"sites that can be fitted, with the same status by both under {POSTED}"
    yield counting(f"sites.same-status.{POSTED}", same, len(far), said)


def calibration(digest: Digest, link: str) -> Entry:
    """Root mean square of (SAEM - ML) / MCSE over sites and parameters; 1 if the errors are what they say."""
    keys = ["site", "estimand"]
    distance = digest.select("distance", SAEM, None, link=link).set_index(keys)["value"]  # in SE of ML
    se = digest.select("se", ML, None, link=link).set_index(keys)["value"].reindex(distance.index)
    mcse = digest.select("estimate", SAEM, None, link=link).set_index(keys)["mcse"].reindex(distance.index)
    z = distance * se / mcse.where(mcse > 0.0)
    squares = (z[np.isfinite(z)] ** 2).groupby(level="site").agg(["sum", "count"])
    total, n = squares["sum"].sum(), squares["count"].sum()
    if len(squares) < 2:
        raise Absent(f"{NAME}: fewer than two sites with both estimates")
    without = np.sqrt((total - squares["sum"]) / (n - squares["count"]))
    error = math.sqrt((len(squares) - 1) / len(squares) * float(((without - without.mean()) ** 2).sum()))
    return Entry(math.sqrt(total / n), error, len(squares))


def most(values: np.ndarray) -> float:
    """The largest."""
    if not len(values):
        raise Absent(f"{NAME}: no values")
    return float(values.max())


def together(digest: Digest, measure: str, link: str) -> int:
    """Sites where a 0/1 measure is 1 for both methods."""
    one, other = (digest.select(measure, method, link=link).set_index("site")["value"] for method in METHODS)
    return int((one.eq(1.0) & other.reindex(one.index).eq(1.0)).sum())


def tests(digest: Digest) -> Iterator[Number]:
    """`sites.tests.LINK.LAW.LEVEL`: rejections; the Monte Carlo error of a bootstrap p-value of 5 %."""
    for link in RECIPES:
        for measure in LAWS:
            p = digest.select(measure, ML, link=link)["value"]
            law = "bootstrap" if measure == "p_bootstrap" else "chi-square"
            yield counting(f"sites.tests.{link}.{law}.n", len(p), len(p), f"sites where {link} was tested by {law}")
            for level in LEVELS:
                key = f"sites.tests.{link}.{law}.{100 * level:g}"
                yield counting(key, int((p <= level).sum()), len(p), f"sites that reject {link} at {level:g} by {law}")
    draws = digest.provenance["draws"]
    if draws:
        at_level = math.sqrt(0.05 * 0.95 / draws)
        yield Number("sites.tests.mcse-at-5", significant(at_level, 2), "sqrt(0.05 0.95 / draws)", (NAME,))


def intervals(digest: Digest) -> Iterator[Number]:
    """`sites.intervals.c2.WORD`: at how many sites there are both kinds, and where they disagree; by ML."""
    _, apart = counted(digest, "c2")
    for word, value in {"apart": int((apart > APART).sum()), "both": len(apart)}.items():
        yield counting(f"sites.intervals.c2.{word}", value, 1, f"sites with {word} of c2, posted link")
