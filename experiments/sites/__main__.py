"""What can be trusted on real sites? `python -m experiments.sites DATA [--output FOLDER]`.

DATA is a table of modification sites with the columns of the recipe `peptide` and one named `site`. For each site, by
maximum likelihood and by SAEM under each link: how does the fit end, and how far are the two apart; under the posted
link: is the maximum unique, which parameters have an interval, where do Wald and profile intervals disagree; and is a
link rejected in the model without the interactions that would let it hold always?
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import pandas as pd
from joblib import Parallel, delayed

from experiments.peptide import TREATMENTS
from experiments.sites.drawing import draw
from experiments.sites.examine import examine
from experiments.sites.saying import report
from saem.data import read_table

SEED = 1
FEWEST = 20  # samples that a bootstrap test takes


def main() -> None:
    """Examine all sites, print the tables and write the files."""
    parser = argparse.ArgumentParser(prog="python -m experiments.sites", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--draws", type=int, default=0, help="test the links by a bootstrap of so many samples, too")
    parser.add_argument("--seed", type=int, default=SEED, help="of SAEM and of the bootstrap")
    parser.add_argument("--workers", type=int, default=-1)
    parser.add_argument("--output", type=Path, help="write sites.csv, parameters.csv, run.json and sites.png here")
    chosen = parser.parse_args()
    if 0 < chosen.draws < FEWEST:
        parser.error(f"--draws must be 0, or {FEWEST} or more; got {chosen.draws}")
    rows = read_table(chosen.data)
    rows = rows[rows["treatment"].isin(TREATMENTS)]
    found = Parallel(n_jobs=chosen.workers)(
        delayed(examine)(str(site), own, chosen.draws, chosen.seed) for site, own in rows.groupby("site")
    )
    sites = pd.DataFrame([row for of_site in found for row in of_site.fits])
    parameters = pd.DataFrame([row for of_site in found for row in of_site.parameters])
    report(sites, parameters)
    if chosen.output is not None:
        chosen.output.mkdir(parents=True, exist_ok=True)
        sites.to_csv(chosen.output / "sites.csv", index=False)
        parameters.to_csv(chosen.output / "parameters.csv", index=False)
        content = hashlib.sha256(chosen.data.read_bytes()).hexdigest()
        run = {"data": content, "draws": chosen.draws, "seed": chosen.seed}
        (chosen.output / "run.json").write_text(json.dumps(run, indent=2) + "\n", encoding="utf-8")
        draw(sites, parameters).savefig(chosen.output / "sites.png", dpi=180)


if __name__ == "__main__":
    main()
