"""The peptide experiment once through: simulate, fit by SAEM and by ML, compare both with the truth.

`python -m experiments.demo --help` lists its options.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import pandas as pd

import saem
from saem import recipes
from saem.cli.console import note, say, show
from saem.fitting import warmup
from saem.fitting.summary import size_words, status_line
from saem.system.display import UNKNOWN, decimals, number, small, table

from ..names import COMMAND
from ..studies.peptide import TRUTH, peptide_model, peptide_table
from .demo_figure import save_figure, save_picture


def main() -> None:
    """Run the demonstration."""
    parser = argparse.ArgumentParser(prog=f"{COMMAND}.demo", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--replicates", type=int, default=60, help="clusters in each arm (default: 60)")
    parser.add_argument("--seed", type=int, default=1, help="of the data and of SAEM (default: 1)")
    parser.add_argument("--output", type=Path, default=Path("demo-output"), help="folder (default: demo-output)")
    parser.add_argument("--picture", type=Path, help="also write the small picture of the README to this file")
    options = parser.parse_args()

    warmup.ensure(["saem", "ml"], "linear")
    model = peptide_model()
    try:
        data = peptide_table(options.replicates, options.seed)
        for method in ("saem", "ml"):
            saem.fit(model, data, method=method)  # so that loading the compiled code is not in the times below
        by_saem = saem.fit(model, data, method="saem", seed=options.seed)
        by_ml = saem.fit(model, data, method="ml")
    except saem.SaemError as error:
        sys.exit(f"Error: {error}")

    report(by_saem, by_ml)
    write(options.output, data, by_saem, by_ml)
    note(f"demo.png, estimates.csv, data.csv and the model peptide.toml are in {options.output}")
    if options.picture:
        save_picture(options.picture, by_saem, by_ml, TRUTH)
        note(f"{options.picture} written")


def report(by_saem: saem.Fit, by_ml: saem.Fit) -> None:
    """Print both fits beside the truth."""
    say(f"A peptide with c2 = g: {size_words(by_ml)}", "bold")
    for equation in by_ml.model.constraints.values():
        say(f"  {equation}")
    say()
    places = decimals(by_ml.se)
    header = ["parameter", "truth", "SAEM", "ML", "SE", "MCSE", "(SAEM - ML)/SE", "(ML - truth)/SE"]
    rows = []
    for name, by_s, by_m, se, mcse in zip(
        by_ml.parameters.names, by_saem.values, by_ml.values, by_ml.se, by_saem.mcse, strict=True
    ):
        values = [number(value, places) for value in (TRUTH[name], by_s, by_m, se)]
        rows.append([name, *values, small(mcse), signed((by_s - by_m) / se, 3), signed((by_m - TRUTH[name]) / se, 2)])
    show(table(header, rows))
    say()
    rows = [
        ["log-likelihood", f"{by_saem.loglik:.5f}", f"{by_ml.loglik:.5f}"],
        ["below the maximum by", small(by_ml.loglik - by_saem.loglik), "0"],
        ["left side - right side of c2 = g", *(small(abs(f.constraint_residuals).max()) for f in (by_saem, by_ml))],
        ["milliseconds", f"{1e3 * by_saem.seconds:.1f}", f"{1e3 * by_ml.seconds:.1f}"],
    ]
    show(table(["", "SAEM", "ML"], rows))
    say()
    for method, fit in (("SAEM", by_saem), ("ML", by_ml)):
        say(f"{method} {status_line(fit)}")
    say("SE: distance to the truth that the data leave. MCSE: distance to ML that SAEM's simulation leaves.", "dim")


def signed(value: float, places: int) -> str:
    """A number with its sign."""
    return f"{value:+.{places}f}" if math.isfinite(value) else UNKNOWN


def write(folder: Path, data: pd.DataFrame, by_saem: saem.Fit, by_ml: saem.Fit) -> None:
    """Write model, data, estimates and figure."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "peptide.toml").write_text(recipes.text("peptide"), encoding="utf-8")
    data.to_csv(folder / "data.csv", index=False)
    pd.concat([by_saem.to_frame(), by_ml.to_frame()]).to_csv(folder / "estimates.csv", index=False)
    save_figure(folder / "demo.png", by_saem, by_ml, TRUTH)


if __name__ == "__main__":
    main()
