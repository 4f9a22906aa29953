"""Numbers of the section on the real sites."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from experiments.links import RECIPES
from experiments.sites.drawing import APART
from experiments.sites.examine import METHODS, POSTED
from paper.digest import Absent, Digest, Entry
from paper.real_data import NAME, STATUSES
from paper.shared.sites import LAWS, LEVELS, SYMBOLS, counted
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
    """How many fits ended how; where an SD of random effects is zero; where the maximum is unique."""
    for link in RECIPES:
        for method in METHODS:
            for status in STATUSES:
                key = f"sites.{link}.{method}.{status.replace('_', '-')}"
                rows = digest.select(f"is_{status}", method, link=link)
                yield counting(
                    key, int(rows["value"].sum()), len(rows), f"sites with is_{status} under {link}, {method}"
                )
            rows = digest.select("is_error", method, link=link)
            fitted = int((rows["value"] == 0.0).sum())
            yield counting(
                f"sites.{link}.{method}.fitted", fitted, len(rows), f"sites that {method} fitted under {link}"
            )
    unique = digest.select("unique", ML, link=POSTED)["value"]
    yield counting("sites.unique", int(unique.sum()), len(unique), "sites with one highest maximum, posted link")
    maxima = digest.select("n_maxima", ML, link=POSTED)["value"]
    yield counting("sites.maxima", int((maxima > 1).sum()), len(maxima), "sites with lower maxima besides, posted link")
    condition = digest.select("condition", ML, link=POSTED)["value"]
    yield computed(
        "sites.condition", lambda: significant(middle(condition), 2), f"{NAME}: median condition number", NAME
    )


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
    """How far SAEM is from ML, in standard errors and in log-likelihood, and where both have the same status."""
    for link in RECIPES:
        far = digest.select("largest_distance", SAEM, link=link)["value"].to_numpy()
        deficit = digest.select("deficit", SAEM, link=link)["value"].to_numpy()
        source = f"{NAME}: largest |SAEM - ML| / SE of a site under {link}"
        yield computed(
            f"sites.distance.{link}.median", lambda x=far: significant(middle(x), 2), f"{source}, median", NAME
        )
        yield computed(
            f"sites.distance.{link}.largest", lambda x=far: significant(most(x), 2), f"{source}, largest", NAME
        )
        done = set(digest.select("is_not_converged", SAEM, link=link).query("value == 0.0")["site"])
        rows = digest.select("largest_distance", SAEM, link=link)
        claimed = rows.loc[rows["site"].isin(done), "value"].to_numpy()
        where = f"{source}, largest where SAEM met its target"
        yield computed(f"sites.distance.{link}.claimed", lambda x=claimed: significant(most(x), 2), where, NAME)
        source = f"{NAME}: root mean square of (SAEM - ML) / MCSE under {link}, by sites left out one at a time"
        yield computed(f"sites.calibration.{link}", lambda link=link: both(calibration(digest, link)), source, NAME)
        within = int((far <= 0.05).sum())
        yield counting(
            f"sites.distance.{link}.within", within, len(far), f"sites where it is at most 0.05, of {len(far)}"
        )
        source = f"{NAME}: log-likelihood of ML less that of SAEM under {link}"
        yield computed(
            f"sites.deficit.{link}.largest", lambda x=deficit: significant(most(x), 2), f"{source}, largest", NAME
        )
        same = sum(together(digest, f"is_{status}", link) for status in STATUSES if status != "error")
        said = f"sites that can be fitted, with the same status by both under {link}"
        yield counting(f"sites.same-status.{link}", same, len(far), said)


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
    """`sites.tests.LINK.LAW.LEVEL`: rejections; the smallest bootstrap p-value that there can be, and its errors."""
    for link in RECIPES:
        for measure in LAWS:
            p = digest.select(measure, ML, link=link)["value"]
            law = "bootstrap" if measure == "p_bootstrap" else "chi-square"
            yield counting(f"sites.tests.{link}.{law}.n", len(p), len(p), f"sites where {link} was tested by {law}")
            for level in LEVELS:
                key = f"sites.tests.{link}.{law}.{100 * level:g}"
                yield counting(key, int((p <= level).sum()), len(p), f"sites that reject {link} at {level:g} by {law}")
            expected = LEVELS[0] * len(p)
            yield counting(
                f"sites.tests.{link}.{law}.chance", round(expected), len(p), "5 per cent of the sites tested"
            )
    error = digest.select("p_bootstrap", ML)["mcse"]
    largest = f"{NAME}: largest Monte Carlo error of a bootstrap p-value"
    yield computed("sites.tests.mcse", lambda: significant(most(error.to_numpy()), 2), largest, NAME)
    draws = digest.provenance["draws"]
    if draws:
        at_level = math.sqrt(0.05 * 0.95 / draws)
        yield Number("sites.tests.mcse-at-5", significant(at_level, 2), "sqrt(0.05 0.95 / draws)", (NAME,))


def intervals(digest: Digest) -> Iterator[Number]:
    """`sites.intervals.PARAMETER.WORD`: how many sites have each, and where both kinds disagree; by ML."""
    for name in SYMBOLS:
        (se, wald, profile), apart = counted(digest, name)
        counts = {"se": se, "wald": wald, "profile": profile, "apart": int((apart > APART).sum()), "both": len(apart)}
        for word, value in counts.items():
            yield counting(f"sites.intervals.{name}.{word}", value, 1, f"sites with {word} of {name}, posted link")
        yield computed(
            f"sites.intervals.{name}.median",
            lambda x=apart: significant(middle(x), 2),
            f"{NAME}: median over the sites of how far the ends of both intervals of {name} are apart, in SE",
            NAME,
        )
