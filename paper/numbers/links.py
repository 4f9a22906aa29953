"""Numbers of the section on links: what one gains, what a wrong one costs, and what the test of it sees."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from experiments.links import scene_named
from paper.digest import Absent, Digest, Entry
from paper.figures.gain import ESTIMANDS, LINKED, WITHOUT
from paper.figures.wrong_link import C2
from paper.shared.designs import cells_of
from paper.shared.writing import Number, both, computed, measured, percent, percentage, significant
from paper.theory.links import Setting, setting

STUDY = "constraints"
WRONG, FREE = "wrong", "free"
Cell = Mapping[str, Any]


def numbers(digests: Mapping[str, Digest]) -> Iterator[Number]:
    """For every cell, `gain.`, `test.`, `departure.` or `wrong.` with scene, link, sigma2, replicates and a word."""
    digest, cells = digests[STUDY], [cell for cell in cells_of(STUDY) if cell["scene"] != WITHOUT]
    held = [cell for cell in cells if cell["departure"] == 0.0]
    yield from gains(digest, held)
    yield from sizes(digest, held)
    for cell in cells:
        if not scene_named(cell["scene"]).saturated:
            yield from departures(digest, cell)
    for cell in held:
        if scene_named(cell["scene"]).saturated:
            yield from same_effects(digest, cell)
        else:
            yield from wrong_links(digest, cell)


def name_of(cell: Cell) -> str:
    """`additive.posted.0.7.12`: the part of a key that says which cell."""
    return f"{kind_of(cell)}.{cell['replicates']}"


def kind_of(cell: Cell) -> str:
    """`additive.posted.0.7`: without the replicates."""
    return f"{cell['scene']}.{cell['link']}.{cell['sigma2']:g}"


def theory_of(cell: Cell, fitted: str | None = None) -> Setting:
    """What theory has of a cell."""
    return setting(
        cell["scene"], cell["link"], cell["sigma2"], cell["replicates"], departure=cell["departure"], fitted=fitted
    )


def gains(digest: Digest, cells: list[Cell]) -> Iterator[Number]:
    """`gain.KIND.ESTIMAND.REPLICATES` and `gain.KIND.ESTIMAND.theory`, in per cent; the largest of saturated scenes."""
    done = set()
    for cell in cells:
        for estimand, (_, weights) in ESTIMANDS.items():
            key = f"gain.{kind_of(cell)}.{estimand}"
            if key not in done:
                text = rf"{significant(theory_of(cell).gain(weights), 2)}\,\%"
                yield Number(f"{key}.theory", text, "theory: V - V G'(G V G')^-1 G V at the truth")
                done.add(key)
            yield measured(
                f"{key}.{cell['replicates']}", in_percent, digest, "precision_gain_to_free", LINKED, estimand, **cell
            )

    def largest() -> str:
        rows = digest.select("precision_gain_to_free", LINKED, None)
        own = rows[rows["scene"].map(lambda scene: scene != WITHOUT and scene_named(scene).saturated)]
        if not len(own):
            raise Absent("there is no saturated scene")
        return rf"{significant(float(own['value'].abs().max()), 1)}\,\%"

    source = f"{STUDY}: the largest precision_gain_to_free, in absolute value, of {LINKED} in saturated scenes"
    yield computed("gain.saturated.largest", largest, source, STUDY)
    over = [cell for cell in cells if not scene_named(cell["scene"]).saturated]
    for n in dict.fromkeys(cell["replicates"] for cell in over):
        yield computed(
            f"gain.agreement.{n}",
            lambda n=n: agreement(digest, [cell for cell in over if cell["replicates"] == n]),
            f"{STUDY}: root mean square of (precision_gain_to_free - theory) / mcse, over-identified, replicates={n}",
            STUDY,
        )


def agreement(digest: Digest, cells: list[Cell]) -> str:
    """The root mean square distance of measured gains to those of theory, in Monte Carlo errors."""
    squares = []
    for cell in cells:
        for estimand, (_, weights) in ESTIMANDS.items():
            found = digest.at("precision_gain_to_free", LINKED, estimand, **cell)
            if found.mcse > 0.0:
                squares.append(((found.value - theory_of(cell).gain(weights)) / found.mcse) ** 2)
    if not squares:
        raise Absent(f"{STUDY}: no gain has an error in {len(cells)} cells")
    return significant(math.sqrt(sum(squares) / len(squares)), 2)


def in_percent(entry: Entry) -> str:
    """A value that is in per cent already."""
    return rf"{both(entry)}\,\%"


def sizes(digest: Digest, cells: list[Cell]) -> Iterator[Number]:
    """`test.size.REPLICATES`, `test.size.all`: rejections of a link that holds, over all cells (other data in each)."""
    over = [cell for cell in cells if not scene_named(cell["scene"]).saturated]

    def pooled(chosen: list[Cell]) -> str:
        found = [digest.select("rejection", LINKED, "lr", **cell) for cell in chosen]
        rows = [row for table in found for row in table[["value", "n"]].itertuples(index=False)]
        total = sum(int(row.n) for row in rows)
        if not total:
            raise Absent("no cell where the link holds")
        share = sum(row.value * row.n for row in rows) / total
        return percentage(share, math.sqrt(share * (1.0 - share) / total))

    for n in [*dict.fromkeys(cell["replicates"] for cell in over), None]:
        own = [cell for cell in over if n is None or cell["replicates"] == n]
        where = "all" if n is None else str(n)
        source = f"{STUDY}: rejection of lr by {LINKED}, over the cells with a link that holds ({where} replicates)"
        yield computed(f"test.size.{where}", lambda own=own: pooled(own), source, STUDY)


def departures(digest: Digest, cell: Cell) -> Iterator[Number]:
    """`departure.CELL.DELTA.WORD`: under the link that the truth departs from by delta (0 where it holds)."""
    key, own = f"departure.{name_of(cell)}.{cell['departure']:g}", theory_of(cell)
    yield measured(f"{key}.bias", both, digest, "bias", LINKED, "c2", **cell)
    yield measured(f"{key}.coverage", percent, digest, "coverage", LINKED, "c2", **cell)
    yield measured(f"{key}.power", percent, digest, "rejection", LINKED, "lr", **cell)
    yield measured(f"{key}.mse", both, digest, "mse_ratio_to_free", LINKED, "c2", **cell)
    if cell["departure"]:
        yield from limits(key, own)
        first = float(own.first_order_bias[own.names.index("c2")])
        yield Number(f"{key}.bias.first", significant(first, 2), "theory: -V G'(G V G')^-1 delta")


def limits(key: str, own: Setting) -> Iterator[Number]:
    """What large samples do: the limits of c2 and sigma2, coverage, and power."""
    for name in ("c2", "sigma2"):
        at = own.names.index(name)
        word = "bias" if name == "c2" else "bias-sigma2"
        source = "theory: the parameters under the link that are nearest by Kullback and Leibler, less the truth"
        yield Number(f"{key}.{word}.limit", significant(float(own.limit[at] - own.truth[at]), 2), source)
    source = "theory: of normal intervals around the limit"
    yield Number(f"{key}.coverage.limit", share(own.coverage(C2)), source)
    yield Number(f"{key}.power.limit", share(own.power), "theory: non-central chi-square, twice the divergence")


def share(value: float) -> str:
    """A share that is known exactly, in per cent."""
    return rf"{100.0 * value:.{1 if 0.00095 < value < 0.9995 else 0}f}\,\%"


def wrong_links(digest: Digest, cell: Cell) -> Iterator[Number]:
    """`wrong.CELL.WORD`: under another link than that of the truth."""
    key, other = f"wrong.{name_of(cell)}", other_link(cell)
    yield measured(f"{key}.bias", both, digest, "bias", WRONG, "c2", **cell)
    yield measured(f"{key}.bias-sigma2", both, digest, "bias", WRONG, "sigma2", **cell)
    yield measured(f"{key}.coverage", percent, digest, "coverage", WRONG, "c2", **cell)
    yield measured(f"{key}.coverage-sigma2", percent, digest, "coverage", WRONG, "sigma2", **cell)
    yield measured(f"{key}.power", percent, digest, "rejection", WRONG, "lr", **cell)
    yield from limits(key, theory_of(cell, other))


def same_effects(digest: Digest, cell: Cell) -> Iterator[Number]:
    """`saturated.CELL.WORD`: coverage of effects and of c2 under another link, and rejections of no effect."""
    key = f"saturated.{name_of(cell)}"
    for word, method, estimand in (
        ("coverage", LINKED, "effect1"),
        ("coverage-wrong", WRONG, "effect1"),
        ("coverage-wrong-c2", WRONG, "c2"),
        ("coverage-wrong-b21", WRONG, "b21"),
    ):
        yield measured(f"{key}.{word}", percent, digest, "coverage", method, estimand, **cell)
    if cell["scene"] == "null":
        for method in (FREE, LINKED):
            yield measured(f"{key}.rejection-{method}", percent, digest, "rejection", method, "effect1", **cell)


def other_link(cell: Cell) -> str:
    """The link that the method `wrong` fits."""
    return next(link for link in scene_named(cell["scene"]).links if link != cell["link"])
