"""What the design of real sites changes: `python -m experiments.shared_subjects DATA`.

DATA is the table of `experiments.sites`, with a column `subject`: runs of all treatments are from the same biological
subjects, which are therefore crossed with treatments, and the unmodified value of a run is that of the protein, which
its sites share. Fitted by maximum likelihood, for two treatments:

* each complete site under the posted link, without and with a random effect of the subjects;
* all sites of a protein together, each unmodified value once, with effects of runs and subjects that they share,
  beside each site by itself.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import typer

import saem
from saem import recipes
from saem.cli.console import friendly, heading, note, show
from saem.data import read_table
from saem.errors import DataError, SaemError, listing
from saem.system.display import table

from ..names import COMMAND
from ..studies.peptide import TREATMENTS

RUN = '[random.run]\ncluster = ["treatment", "replicate"]\nby = "treatment"\n'
SUBJECT = '\n[random.subject]\ncluster = "subject"\n'
TOGETHER = 'response = "log2_intensity"\nmean = "log2_intensity ~ 0 + kind + kind:treated"\n\n' + RUN
OF_PROTEIN = "unmodified"
FEWEST = 3  # values in each cell of a complete site


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog=f"{COMMAND}.shared_subjects", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("data", type=Path)
    try:
        with friendly():
            rows = read_table(parser.parse_args().data, ("site", "protein", "treatment", "replicate", "subject"))
            missing = {"site", "protein", "subject"} - set(rows.columns)
            if missing:
                raise DataError(
                    f"the table has no column {listing(sorted(missing))}; see the help for what it must have"
                )
            rows = rows[rows["treatment"].isin(TREATMENTS)]
            tell("Each site by itself, under the posted link: the effect b22 with its standard error", alone(rows))
            tell("Sites of a protein together: mean standard error of the effects of the treatment", together(rows))
    except typer.Exit as end:
        sys.exit(end.exit_code)


def tell(title: str, found: pd.DataFrame) -> None:
    """A heading and a table."""
    heading(title)
    lines = [[value if isinstance(value, str) else f"{value:.4g}" for value in row] for row in found.to_numpy()]
    show(table(list(found.columns), lines, "l" + "r" * (len(found.columns) - 1)))


def crossed(text: str) -> str:
    """The recipe with blocks for runs and for subjects."""
    head, rest = text.split("[random]", 1)
    head = "\n".join(line for line in head.split("\n") if not line.startswith("cluster"))
    tables, others = rest.split("[residual]", 1)
    return f"{head}{RUN}{tables.split(chr(10), 2)[2]}{SUBJECT}\n[residual]{others}"


def alone(rows: pd.DataFrame) -> pd.DataFrame:
    """The complete sites by themselves, without and with subjects."""
    text = recipes.text("peptide")
    without, beside = saem.Model.from_text(text), saem.Model.from_text(crossed(text))
    found = []
    for site, own in rows.groupby("site"):
        counts = own.groupby(["treatment", "modification"]).size()
        if len(counts) < 4 or counts.min() < FEWEST:
            continue
        try:
            fits = saem.fit(without, own, "ml"), saem.fit(beside, own, "ml")
        except SaemError as error:
            note(f"{site}: {error}")
            continue
        one, two = (fit.to_frame().set_index("parameter") for fit in fits)
        found.append(
            {
                "site": site,
                "b22": one.loc["b22", "estimate"],
                "se": one.loc["b22", "se"],
                "with subjects": two.loc["b22", "estimate"],
                "se ": two.loc["b22", "se"],
                "SD of subjects": two.loc["sd_subject", "estimate"],
                "2 log ratio": round(2.0 * (fits[1].loglik - fits[0].loglik), 6) + 0.0,
            }
        )
    return pd.DataFrame(found)


def together(rows: pd.DataFrame) -> pd.DataFrame:
    """Proteins with several sites: the effect of the treatment on each, with the others and by itself."""
    model, plain = saem.Model.from_text(TOGETHER + SUBJECT), saem.Model.from_text(TOGETHER)
    found = []
    for protein, own in rows.groupby("protein"):
        rows_of_it = own.assign(
            kind=np.where(own["modification"] == "modified", own["site"], OF_PROTEIN),
            treated=(own["treatment"] == TREATMENTS[1]).astype(float),
        ).drop_duplicates(["kind", "treatment", "replicate"])
        cells = rows_of_it.groupby(["kind", "treatment"]).size().unstack(fill_value=0)
        kept = cells.index[(cells >= FEWEST).all(axis=1)]
        rows_of_it = rows_of_it[rows_of_it["kind"].isin(kept)]
        if len(kept) < 3 or OF_PROTEIN not in kept:
            continue
        size, subjects = fitted(model, rows_of_it)
        each = [
            fitted(plain, rows_of_it[rows_of_it["kind"].isin([kind, OF_PROTEIN])])[0]
            for kind in kept
            if kind != OF_PROTEIN
        ]
        record = {"protein": protein, "sites": len(kept) - 1, "rows": len(rows_of_it), "SD of subjects": subjects}
        found.append(record | {"se, together": size, "se, each alone": float(np.nanmean(each))})
    return pd.DataFrame(found)


def fitted(model: saem.Model, rows: pd.DataFrame) -> tuple[float, float]:
    """The mean standard error of the effects of the treatment on sites, and the SD of subjects."""
    estimates = saem.fit(model, rows, "ml").to_frame().set_index("parameter")
    effects = [name for name in estimates.index if name.endswith("treated") and OF_PROTEIN not in name]
    return float(estimates.loc[effects, "se"].mean()), float(estimates["estimate"].get("sd_subject", np.nan))


if __name__ == "__main__":
    main()
