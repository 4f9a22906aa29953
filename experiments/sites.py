"""What can be trusted on real sites? `python -m experiments.sites DATA [--output FOLDER]`.

DATA is a table of modification sites with the columns of the recipe `peptide` and one named `site`. For each site, by
maximum likelihood under the posted link: is the maximum unique, which parameters have an interval, where do Wald and
profile intervals disagree; and is the link rejected in the additive model, where it can be tested?
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from matplotlib.figure import Figure

import saem
from experiments.figures.style import new_page, styled, symbol
from experiments.peptide import TREATMENTS, TRUTH, peptide_model
from saem.cli.console import say, show
from saem.data import read_table
from saem.display import table
from saem.errors import SaemError, SaemWarning
from saem.plotting.style import look_of

APART = 0.5  # standard errors, between the ends of two intervals that disagree
ADDITIVE = {"b21": 0.0, "b22": 0.0}


def examine(site: str, rows: pd.DataFrame, draws: int) -> tuple[dict[str, object], list[dict[str, object]]]:
    """One site: what holds for it, and for each of its parameters."""
    warnings.simplefilter("ignore", SaemWarning)
    model = peptide_model()
    found: dict[str, object] = {"site": site, "rows": len(rows), "status": "error", "p": np.nan}
    parameters: list[dict[str, object]] = []
    try:
        fit = saem.fit(model, rows, "ml")
    except SaemError as error:
        return found | {"message": str(error)}, []
    found |= {"status": str(fit.status), "message": fit.message}
    checked = saem.identifiability(model, rows)
    found |= {"unique": checked.unique, "condition": checked.condition_number, "n_maxima": len(checked.maxima)}
    found |= {"share_several": checked.structure.share_several}
    try:
        intervals = saem.profile(fit).intervals
    except SaemError as error:
        intervals = None
        found |= {"message": str(error)}
    for name, estimate, se in zip(fit.parameters.names, fit.values, fit.se, strict=True):
        row: dict[str, object] = {"site": site, "parameter": name, "estimate": estimate, "se": se}
        if intervals is not None:
            ends = intervals.loc[name, ["lower", "upper", "wald_lower", "wald_upper"]].to_numpy(float)
            apart = np.max(np.abs(ends[:2] - ends[2:])) / se if np.isfinite(ends).all() else np.nan
            row |= {"lower": ends[0], "upper": ends[1], "apart": apart, "note": intervals.loc[name, "note"]}
            row |= {"interval": bool(np.isfinite(ends[:2]).all()), "wald": bool(np.isfinite(ends[2:]).all())}
        parameters.append(row)
    means = {name: text for name, text in dict(model.mean).items() if name not in ADDITIVE}
    try:
        free = saem.fit(model.replace(mean=means, constraints={}), rows, "ml")
        link = {"g": model.constraints["g"].replace("2**b22", "1").replace("2**b21", "1")}
        tied = saem.fit(model.replace(mean=means, constraints=link), rows, "ml")
        found |= {"p": saem.likelihood_ratio(tied, free).p}
        if draws:
            found |= {"p_bootstrap": saem.bootstrap_test(tied, free, draws, workers=1).p}
    except SaemError as error:
        found |= {"untested": str(error)}
    return found, parameters


@styled
def draw(sites: pd.DataFrame, parameters: pd.DataFrame) -> Figure:
    """How far the ends of both intervals lie apart, by parameter; and the p-values of the link."""
    figure = new_page(7.2, 2.85)
    left, right = figure.subplots(1, 2)
    for k, name in enumerate(TRUTH):
        own = np.sort(parameters.loc[parameters["parameter"] == name, "apart"].dropna())
        look = look_of(k) | {"marker": "none"}
        left.step(own, np.arange(1, len(own) + 1) / max(1, len(own)), label=symbol(name), where="post", **look)
    left.axvline(APART, color="0.6", lw=0.8)
    left.set_xscale("log")
    left.set_xlabel("largest distance of the ends of Wald and profile intervals (SE)")
    left.set_ylabel("share of sites with both")
    left.legend(fontsize=6, ncols=2)
    p = sites["p"].dropna().to_numpy()
    bins = np.linspace(0, 1, 21)
    right.hist(p, bins=bins, color="#6fa5d6", edgecolor="white", label="chi-square")
    if "p_bootstrap" in sites:
        own = sites["p_bootstrap"].dropna()
        right.hist(own, bins=bins, histtype="step", color="black", lw=1.2, label="bootstrap")
        right.legend(fontsize=6)
    right.axhline(len(p) / 20, color="0.3", lw=0.8, ls="--")
    right.set_xlabel("p-value of the link in the additive model")
    right.set_ylabel(f"sites (of {len(p)})")
    return figure


def main() -> None:
    """Examine all sites and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m experiments.sites", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--draws", type=int, default=0, help="test the link by a bootstrap of so many samples, too")
    parser.add_argument("--workers", type=int, default=-1)
    parser.add_argument("--output", type=Path, help="write sites.csv, parameters.csv and sites.png here")
    chosen = parser.parse_args()
    rows = read_table(chosen.data)
    rows = rows[rows["treatment"].isin(TREATMENTS)]
    found = Parallel(n_jobs=chosen.workers)(
        delayed(examine)(str(site), own, chosen.draws) for site, own in rows.groupby("site")
    )
    sites = pd.DataFrame([site for site, _ in found])
    parameters = pd.DataFrame([row for _, of_site in found for row in of_site])
    say(f"{len(sites)} sites: " + ", ".join(f"{n} {status}" for status, n in sites["status"].value_counts().items()))
    fitted = sites[sites["status"] != "error"]
    say(f"one highest maximum and no free direction: {int(fitted['unique'].sum())} of {len(fitted)} that were fitted")
    several = int((fitted["n_maxima"] > 1).sum())
    say(f"lower maxima besides: {several}; condition number: median {fitted['condition'].median():.0f}")
    body = []
    for name in TRUTH:
        own = parameters[parameters["parameter"] == name]
        both = own[own["apart"].notna()]
        body.append(
            [name, str(int(own["se"].notna().sum())), str(int(own["wald"].fillna(False).astype(bool).sum()))]
            + [str(int(own["interval"].fillna(False).astype(bool).sum())), str(int((both["apart"] > APART).sum()))]
            + [f"{both['apart'].median():.2f}"]
        )
    header = ["parameter", "SE", "Wald interval", "profile interval", f"ends > {APART} SE apart", "median distance"]
    show(table(header, body))
    for law, column in {"chi-square": "p", "bootstrap": "p_bootstrap"}.items():
        p = sites[column].dropna() if column in sites else pd.Series(dtype=float)
        if len(p):
            say(
                f"the link in the additive model, by {law}: tested on {len(p)} sites, rejected at 5 % on "
                f"{int((p < 0.05).sum())}, at 1 % on {int((p < 0.01).sum())}"
            )
    if chosen.output is not None:
        chosen.output.mkdir(parents=True, exist_ok=True)
        sites.to_csv(chosen.output / "sites.csv", index=False)
        parameters.to_csv(chosen.output / "parameters.csv", index=False)
        draw(sites, parameters).savefig(chosen.output / "sites.png", dpi=180)


if __name__ == "__main__":
    main()
