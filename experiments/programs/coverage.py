"""How often do 95 % intervals cover the truth? `python -m experiments.coverage [--replicates 1000] [--sizes 6,20,60]`.

Data sets from the peptide model with the posted link, fitted by maximum likelihood; for every parameter the coverage of
its Wald interval, its profile-likelihood interval, and the percentile, bias-corrected and basic intervals of a
parametric bootstrap, with Monte Carlo standard errors. An interval that does not exist (a Wald interval of an estimate
at the boundary, a profile that cannot be followed) does not cover; how often that happens is a column of its own.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from matplotlib.figure import Figure

import saem
from saem.algorithms.direct_ml import DirectML
from saem.cli.console import note, say, show
from saem.errors import SaemError
from saem.families import arrange, pose
from saem.families.linear.simulate import draw_response
from saem.fitting.result import Fit
from saem.inference.bootstrap import Bootstrap
from saem.plotting.style import look_of
from saem.system.display import table
from saem.system.streams import stream

from ..harness.figures.style import new_page, styled, symbol
from ..names import COMMAND
from ..studies.peptide import TRUTH, peptide_design, peptide_model

LEVEL = 0.95
KINDS = ("Wald", "profile", "percentile", "corrected", "basic")
CHUNK = 20
LOWEST = 0.6  # of the figure


def bootstrap_of(fit: Fit, data_seed: int, draws: int) -> Bootstrap:
    """`saem.bootstrap` without its processes and files, for small fits inside a worker."""
    assert fit.table is not None
    data, method = arrange(fit.model, fit.table), DirectML(max_path=0)
    found = []
    for k in range(draws):
        streams = (stream(data_seed, "coverage", str(k), part) for part in ("effects", "residuals"))
        response = draw_response(data, fit.values, *streams)
        try:
            problem = pose(fit.model, replace(data, response=response))
            x = method.run(problem).x
        except SaemError:
            continue
        inner = np.where(problem.boundary.has_stand_in & (x == problem.boundary.at_zero), 0.0, x)
        found.append(problem.coordinates.to_user(inner))
    return Bootstrap(fit, pd.DataFrame(found, columns=list(fit.parameters.names)), pd.DataFrame())


def intervals_of(size: int, replicate: int, draws: int) -> list[tuple[int, int, str, str, float, float, float]]:
    """The intervals of one data set: size, replicate, kind, parameter, estimate, lower and upper."""
    model = peptide_model()
    free = {name: value for name, value in TRUTH.items() if name != "c2"}
    try:
        fit = saem.fit(model, saem.simulate(model, free, peptide_design(size), seed=replicate), "ml")
    except SaemError:
        return [(size, replicate, kind, name, np.nan, np.nan, np.nan) for kind in KINDS for name in TRUTH]
    tables = {"Wald": fit.intervals(LEVEL)}
    try:
        tables["profile"] = saem.profile(fit, level=LEVEL).intervals[["lower", "upper"]]
    except SaemError:
        tables["profile"] = tables["Wald"] * np.nan
    if draws:
        drawn = bootstrap_of(fit, replicate, draws)
        tables |= {kind: drawn.intervals(LEVEL, kind) for kind in KINDS[2:]}
    return [
        (size, replicate, kind, str(name), estimate, float(lower), float(upper))
        for kind, found in tables.items()
        for name, estimate, (lower, upper) in zip(found.index, fit.values, found.to_numpy(float), strict=True)
    ]


def summarise(intervals: pd.DataFrame) -> pd.DataFrame:
    """Coverage with its Monte Carlo standard error, misses on either side, and the share without an interval."""
    truth = intervals["parameter"].map(TRUTH)
    exists = intervals["lower"].notna() & intervals["upper"].notna()
    above, below = exists & (truth < intervals["lower"]), exists & (truth > intervals["upper"])
    columns = {"coverage": exists & ~above & ~below, "too_high": above, "too_low": below, "none": ~exists}
    keys = ["size", "kind", "parameter"]
    found = intervals[keys].assign(**columns, width=intervals["upper"] - intervals["lower"])
    groups = found.groupby(keys, sort=False)
    result = groups[list(columns)].mean()
    result.insert(1, "mcse", np.sqrt(result["coverage"] * (1 - result["coverage"]) / groups.size()))
    result["median_width"] = groups["width"].median()
    return result


@styled
def draw(summary: pd.DataFrame) -> Figure:
    """Coverage against the number of replicates, a panel a parameter."""
    figure = new_page(7.5, 3.8)
    grid = figure.subplots(2, 4, sharex=True, sharey=True)
    sizes = list(dict.fromkeys(summary.index.get_level_values("size")))
    for axes, name in zip(grid.ravel(), TRUTH, strict=True):
        axes.axhline(LEVEL, color="0.6", lw=0.8)
        for k, kind in enumerate(dict.fromkeys(summary.index.get_level_values("kind"))):
            own = summary.xs((kind, name), level=("kind", "parameter"))
            at = np.arange(len(sizes)) + 0.07 * (k - 2)
            axes.errorbar(at, own["coverage"], 2 * own["mcse"], label=kind, ms=4, lw=1, **look_of(k))
        axes.set_title(symbol(name))
        axes.set_ylim(LOWEST, 1.0)
        axes.set_xticks(np.arange(len(sizes)), [str(size) for size in sizes])
    figure.supxlabel("replicates an arm")
    figure.supylabel("coverage of 95 % intervals")
    grid[0, 0].legend(fontsize=6, loc="lower right")
    return figure


def main() -> None:
    """Run the study and print the table."""
    parser = argparse.ArgumentParser(prog=f"{COMMAND}.coverage", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--replicates", type=int, default=1000, help="data sets of each size")
    parser.add_argument("--sizes", default="6,20,60", help="replicates an arm")
    parser.add_argument("--draws", type=int, default=199, help="bootstrap samples of each data set; 0 for none")
    parser.add_argument("--workers", type=int, default=-1)
    parser.add_argument("--output", type=Path, help="write intervals.parquet, coverage.csv and coverage.png here")
    chosen = parser.parse_args()
    sizes = [int(size) for size in chosen.sizes.split(",")]
    tasks = [
        (size, first, min(first + CHUNK, chosen.replicates))
        for size in sizes
        for first in range(0, chosen.replicates, CHUNK)
    ]

    def some(size: int, first: int, last: int) -> list[tuple[int, int, str, str, float, float, float]]:
        return [row for replicate in range(first, last) for row in intervals_of(size, replicate, chosen.draws)]

    rows: list[tuple[int, int, str, str, float, float, float]] = []
    work = Parallel(n_jobs=chosen.workers, return_as="generator")(delayed(some)(*task) for task in tasks)
    try:
        for done, part in enumerate(work, start=1):
            rows += part
            note(f"{done} of {len(tasks)} batches")
    except KeyboardInterrupt:
        note("interrupted: this is what was done so far")
    columns = ["size", "replicate", "kind", "parameter", "estimate", "lower", "upper"]
    intervals = pd.DataFrame(rows, columns=columns)
    summary = summarise(intervals)
    wide = summary["coverage"].unstack("kind")[list(dict.fromkeys(intervals["kind"]))]
    wide = wide.reindex(pd.MultiIndex.from_product([sizes, TRUTH], names=["size", "parameter"])).dropna(how="all")
    none = summary["none"].unstack("kind").reindex(wide.index)
    none = none[[kind for kind in wide.columns if none[kind].any()]]
    shares = np.hstack([wide.to_numpy(), none.to_numpy()])
    cells = [
        [str(size), name, *(f"{100 * share:.1f}" for share in row)]
        for (size, name), row in zip(wide.index, shares, strict=True)
    ]
    header = ["replicates", "parameter", *wide.columns, *(f"no {kind}" for kind in none.columns)]
    show(table(header, cells, "rl" + "r" * shares.shape[1]))
    n = len(intervals) / len(wide.columns) / len(wide)
    say(f"per cent of some {n:.0f} data sets; Monte Carlo standard error {100 * np.sqrt(0.95 * 0.05 / n):.1f} at 95")
    if chosen.output is not None:
        chosen.output.mkdir(parents=True, exist_ok=True)
        intervals.to_parquet(chosen.output / "intervals.parquet")
        summary.to_csv(chosen.output / "coverage.csv")
        draw(summary).savefig(chosen.output / "coverage.png", dpi=180)
        note(f"written to {chosen.output}")


if __name__ == "__main__":
    main()
