"""What can be trusted on real sites? `python -m experiments.sites DATA [--output FOLDER]`.

DATA is a table of modification sites with the columns of the recipe `peptide` and one named `site`. For each site, by
maximum likelihood and by SAEM under each link: how does the fit end, and how far are the two apart; under the posted
link: is the maximum unique, which parameters have an interval, where do Wald and profile intervals disagree; and is a
link rejected in the model without the interactions that would let it hold always?
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import pandas as pd
import typer
from joblib import Parallel, delayed, effective_n_jobs

from saem.cli.console import friendly, note
from saem.cli.watching import counting
from saem.data import read_table
from saem.errors import DataError, StorageError, listing

from ...names import COMMAND
from ...studies.examine import ERROR, Examined, examine
from ...studies.peptide import TREATMENTS
from .drawing import draw
from .origin import origin_of
from .saying import report

SEED = 1
FEWEST = 20  # samples that a bootstrap test takes
NEEDED = ("site", "treatment")  # columns, besides those that a fit asks for


def main() -> None:
    """Examine all sites, print the tables and write the files."""
    parser = argparse.ArgumentParser(prog=f"{COMMAND}.sites", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--draws", type=int, default=0, help="test the links by a bootstrap of so many samples, too")
    parser.add_argument("--seed", type=int, default=SEED, help="of SAEM and of the bootstrap")
    parser.add_argument("--workers", type=int, default=-1)
    parser.add_argument("--output", type=Path, help="write sites.csv, parameters.csv, run.json and sites.png here")
    chosen = parser.parse_args()
    if chosen.draws and chosen.draws < FEWEST:
        parser.error(f"--draws must be 0, or {FEWEST} or more; got {chosen.draws}")
    if not chosen.workers:
        parser.error("--workers must be 1 or more, or -1 for as many as there are cores; got 0")
    try:
        with friendly():
            run(chosen)
    except typer.Exit as end:
        sys.exit(end.exit_code)


def run(chosen: argparse.Namespace) -> None:
    """As the arguments say.

    Raises
    ------
    DataError
        When the table is none of sites, or no site of it can be fitted.
    StorageError
        When the output cannot be written.
    """
    rows = sites_in(chosen.data)
    origin = origin_of(chosen.data, chosen.draws, chosen.seed)  # of the code that is about to run
    if chosen.output is not None:
        try:
            chosen.output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"--output {chosen.output} cannot be made: {error.strerror}") from None
    found = examined(rows, chosen)
    sites = pd.DataFrame([row for of_site in found for row in of_site.fits])
    parameters = pd.DataFrame([row for of_site in found for row in of_site.parameters])
    if (sites["status"] == ERROR).all():
        raise DataError(f"no site in {str(chosen.data)!r} can be fitted; the first: {sites['message'].iloc[0]}")
    report(sites, parameters)
    if chosen.output is not None:
        try:
            sites.to_csv(chosen.output / "sites.csv", index=False)
            parameters.to_csv(chosen.output / "parameters.csv", index=False)
            (chosen.output / "run.json").write_text(json.dumps(origin, indent=2) + "\n", encoding="utf-8")
            draw(sites, parameters).savefig(chosen.output / "sites.png", dpi=180)
        except OSError as error:
            raise StorageError(f"the files in {chosen.output} cannot be written: {error.strerror}") from None


def sites_in(path: Path) -> pd.DataFrame:
    """The rows of a table of sites that have one of the treatments."""
    rows = read_table(path)
    lacking = [name for name in NEEDED if name not in rows]
    if lacking:
        raise DataError(f"{str(path)!r} lacks the column {listing(lacking)}; it has {listing(list(rows.columns), 20)}")
    own = rows[rows["treatment"].isin(TREATMENTS) & rows["site"].notna()]
    if not len(own):
        seen = listing(list(map(str, rows["treatment"].unique())))
        raise DataError(f"no row of {str(path)!r} has a treatment of {listing(TREATMENTS)} and a site; got {seen}")
    return own


def examined(rows: pd.DataFrame, chosen: argparse.Namespace) -> list[Examined]:
    """Every site, in order; how many are done is shown on a terminal."""
    tests = f"{chosen.draws} bootstrap samples for each test of a link" if chosen.draws else "no bootstrap"
    total, workers = rows["site"].nunique(), effective_n_jobs(chosen.workers)
    note(f"{total} sites, {tests}, {workers} {'process' if workers == 1 else 'processes'}")
    found: list[Examined] = []
    with counting("sites") as bar:
        tasks = (delayed(examine)(str(site), own, chosen.draws, chosen.seed) for site, own in rows.groupby("site"))
        for one in Parallel(n_jobs=chosen.workers, return_as="generator")(tasks):
            found.append(one)
            if bar is not None:
                bar(len(found), total)
    return found


if __name__ == "__main__":
    main()
