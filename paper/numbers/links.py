"""Numbers of the section on links: what one gains, what a wrong one costs, and what the test of it sees."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from experiments.studies.links import scene_named
from paper.digest import Absent, Digest, Entry
from paper.shared.designs import full_cells
from paper.shared.keys import stated
from paper.shared.links import AT_BORDER, ESTIMANDS, LINKED, Cell, theory_of
from paper.shared.pooling import share_of_all
from paper.shared.writing import Number, both, computed, measured, percent, significant

if TYPE_CHECKING:
    import pandas as pd

STUDY = "constraints"
DELTA = 0.25  # of the departures, that which the text is about: it destroys coverage, and the test hardly sees it


def numbers(digests: Mapping[str, Digest]) -> Iterator[Number]:
    """`gain.` and `departure.` of cells, with scene, link, sigma2 and replicates; the others over cells."""
    digest, cells = digests[STUDY], [cell for cell in full_cells(STUDY) if cell["scene"] != AT_BORDER]
    held = [cell for cell in cells if cell["departure"] == 0.0]
    over = [cell for cell in held if not scene_named(cell["scene"]).saturated]
    yield from gains(digest, held, over)
    yield from sizes(digest, over)
    yield from departures(digest, [cell for cell in cells if cell["departure"] == DELTA])


def kind_of(cell: Cell) -> str:
    """`additive.posted.0.7`: the part of a key that says which cell, but the replicates."""
    return f"{cell['scene']}.{cell['link']}.{cell['sigma2']:g}"


def gains(digest: Digest, cells: Sequence[Cell], over: Sequence[Cell]) -> Iterator[Number]:
    """`gain.KIND.ESTIMAND.REPLICATES` and `gain.KIND.ESTIMAND.theory`, in per cent; the largest of saturated scenes."""
    done = set()
    for cell in cells:
        for estimand, weights in ESTIMANDS.items():
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
        own = among(rows, saturated=True)
        if not len(own):
            raise Absent("there is no saturated scene")
        return rf"{significant(float(own['value'].abs().max()), 1)}\,\%"

    source = f"{STUDY}: the largest precision_gain_to_free, in absolute value, of {LINKED} in saturated scenes"
    yield computed("gain.saturated.largest", largest, source, STUDY)
    for n in dict.fromkeys(cell["replicates"] for cell in over):
        yield computed(
            f"gain.agreement.{n}",
            partial(agreement, digest, [cell for cell in over if cell["replicates"] == n]),
            f"{STUDY}: root mean square of (precision_gain_to_free - theory) / mcse, over-identified, replicates={n}",
            STUDY,
        )


def agreement(digest: Digest, cells: Sequence[Cell]) -> str:
    """The root mean square distance of measured gains to those of theory, in Monte Carlo errors."""
    squares = []
    for cell in cells:
        for estimand, weights in ESTIMANDS.items():
            found = digest.at("precision_gain_to_free", LINKED, estimand, **cell)
            if found.mcse > 0.0:
                squares.append(((found.value - theory_of(cell).gain(weights)) / found.mcse) ** 2)
    if not squares:
        raise Absent(f"{STUDY}: no gain has an error in {len(cells)} cells")
    return significant(math.sqrt(sum(squares) / len(squares)), 2)


def in_percent(entry: Entry) -> str:
    """A value that is in per cent already."""
    return rf"{both(entry)}\,\%"


def sizes(digest: Digest, cells: Sequence[Cell]) -> Iterator[Number]:
    """`test.size.REPLICATES`, `test.size.all`: rejections of a link that holds, over all cells (other data in each)."""
    table = among(digest.select("rejection", LINKED, "lr", departure=0.0), saturated=False)
    for n in [*dict.fromkeys(cell["replicates"] for cell in cells), None]:
        own = table if n is None else table[table["replicates"] == n]
        where = "all" if n is None else str(n)
        source = f"{STUDY}: rejection of lr by {LINKED}, over the cells with a link that holds ({where} replicates)"
        yield stated(f"test.size.{where}", percent, share_of_all, own, source, STUDY)


def departures(digest: Digest, cells: Sequence[Cell]) -> Iterator[Number]:
    """`departure.KIND.REPLICATES.DELTA.WORD`: where the truth departs from the link by so much."""
    for cell in cells:
        key = f"departure.{kind_of(cell)}.{cell['replicates']}.{DELTA:g}"
        yield measured(f"{key}.bias", both, digest, "bias", LINKED, "c2", **cell)
        yield measured(f"{key}.coverage", percent, digest, "coverage", LINKED, "c2", **cell)
        yield measured(f"{key}.power", percent, digest, "rejection", LINKED, "lr", **cell)
        yield measured(f"{key}.mse", both, digest, "mse_ratio_to_free", LINKED, "c2", **cell)


def among(table: pd.DataFrame, saturated: bool) -> pd.DataFrame:
    """The rows of scenes that are saturated, or of those that are not; without the one at the border of uniqueness."""
    chosen = [scene != AT_BORDER and scene_named(scene).saturated == saturated for scene in table["scene"]]
    return table[chosen]
