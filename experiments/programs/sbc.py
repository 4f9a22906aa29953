"""Are posteriors calibrated? `python -m experiments.sbc [--replicates 500] [--output FOLDER]`.

Simulation-based calibration (Talts, Betancourt, Simpson, Vehtari & Gelman 2018): draw parameters from proper priors,
draw data from the model at them, and draw from the posterior. The rank of a parameter among its draws then has a
uniform distribution. Draws are thinned to `RANKS - 1` nearly independent ones. The table has a chi-square test of
uniformity for every parameter and for the log-likelihood, which notices what single parameters do not (Modrák et al.
2023); the figure has the histograms of the ranks.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import saem
from saem.algorithms.bayes.algorithm import Bayes
from saem.cli.console import note, say, show
from saem.specification.priors import parse_prior
from saem.system.display import table
from saem.system.streams import derived_seed, stream

from ..names import COMMAND
from ..studies.peptide import g, peptide_design, peptide_model

PRIORS = {
    "mu": "normal(10, 1)",
    "alpha2": "normal(-1, 0.5)",
    "b21": "normal(0.5, 0.5)",
    "b22": "normal(1.2, 0.5)",
    "sigma1": "lognormal(log(0.4), 0.3)",
    "sigma2": "lognormal(log(0.7), 0.3)",
    "sigma": "lognormal(log(0.3), 0.3)",
}
RANKS = 100
BINS = 10
QUANTITIES = ("mu", "c2", "alpha2", "b21", "b22", "sigma1", "sigma2", "sigma", "loglik")
Draw = Callable[[saem.Model, pd.DataFrame, int], saem.Fit]


@dataclass(frozen=True)
class Ranks:
    """Ranks of the truth among posterior draws.

    Attributes
    ----------
    ranks : DataFrame
        One row a replicate, a column for every quantity; 0 to `RANKS` - 1.
    statuses : dict of str to int
        How many fits ended how.
    """

    ranks: pd.DataFrame
    statuses: Mapping[str, int]

    @property
    def table(self) -> pd.DataFrame:
        """`chi2` of the counts in `BINS` bins, its p-value `p`, and the mean rank as a share `mean`, by quantity."""
        from scipy.stats import chisquare

        rows = []
        for name in self.ranks:
            counts = np.bincount(self.ranks[name].to_numpy() * BINS // RANKS, minlength=BINS)
            found = chisquare(counts)
            rows.append([found.statistic, found.pvalue, (self.ranks[name].mean() + 0.5) / RANKS])
        index = pd.Index(list(self.ranks.columns), name="quantity", dtype="str")
        return pd.DataFrame(rows, index=index, columns=["chi2", "p", "mean"])


def from_prior(seed: int, replicate: int) -> dict[str, float]:
    """Parameters drawn from the priors, with the c2 that the constraint demands."""
    rng = stream(seed, "sbc", "prior", str(replicate))
    x = {name: float(parse_prior(text).quantile(rng.uniform())) for name, text in PRIORS.items()}
    return {**x, "c2": g(x["b21"], x["b22"], x["sigma1"], x["sigma2"])}


def posterior(model: saem.Model, data: pd.DataFrame, seed: int) -> saem.Fit:
    """Two chains, long enough to be thinned to nearly independent draws."""
    return saem.fit(model, data, Bayes(chains=2, tune=300, draws=500), seed)


def rank_of(fit: saem.Fit, truth: Mapping[str, float], logliks: Callable[[np.ndarray], np.ndarray]) -> list[int]:
    """Ranks of the truth of all quantities among thinned draws."""
    draws: Any = fit.posterior.pooled if fit.posterior is not None else None
    thinned = draws[np.linspace(0, len(draws) - 1, RANKS - 1).astype(int)]
    x = np.array([truth[name] for name in fit.parameters.names])
    every = np.column_stack([thinned, logliks(thinned)])
    own = np.append(x, logliks(x[None]))
    names = [*fit.parameters.names, "loglik"]
    return [int(np.sum(every[:, names.index(name)] < own[names.index(name)])) for name in QUANTITIES]


def calibrate(replicates: int, size: int = 4, seed: int = 0, draw: Draw = posterior, progress: bool = False) -> Ranks:
    """Rank the truth in posteriors of data with `size` replicates an arm.

    Parameters
    ----------
    draw : callable
        From a model with priors, a table and a seed to a fit by "bayes"; another one is a mutant.
    """
    from saem.families import arrange, pose
    from saem.mstep.solver import Solver

    model = peptide_model().replace(priors=PRIORS)
    rows, statuses = [], dict[str, int]()
    for replicate in range(replicates):
        truth = from_prior(seed, replicate)
        data = saem.simulate(model, truth, peptide_design(size), derived_seed(seed, "sbc", "data", str(replicate)))
        fit = draw(model, data, derived_seed(seed, "sbc", "draws", str(replicate)))
        solver = Solver(pose(model, arrange(model, data)))

        def logliks(points: np.ndarray, solver: Solver = solver) -> np.ndarray:
            return np.array([solver.derivatives(solver.observed(), x).value for x in points])

        rows.append(rank_of(fit, truth, logliks))
        statuses[str(fit.status)] = statuses.get(str(fit.status), 0) + 1
        if progress and (replicate + 1) % 20 == 0:
            note(f"{replicate + 1} of {replicates} ..")
    return Ranks(pd.DataFrame(rows, columns=list(QUANTITIES)), statuses)


def draw_histograms(found: Ranks, path: Path) -> None:
    """One histogram a quantity, with the band that holds 99 % of the counts of a uniform distribution."""
    from matplotlib.figure import Figure
    from scipy.stats import binom

    count = len(found.ranks)
    low, high = binom(count, 1.0 / BINS).ppf([0.005, 0.995])
    figure = Figure(figsize=(9.0, 6.6), layout="constrained")
    for axes, name in zip(figure.subplots(3, 3).ravel(), found.ranks, strict=True):
        axes.axhspan(low, high, color="#e7e5e4", lw=0)
        axes.axhline(count / BINS, color="0.4", lw=0.8)
        axes.hist(found.ranks[name], bins=np.linspace(0, RANKS, BINS + 1), color="#1f5a8a", rwidth=0.92, alpha=0.85)
        axes.set_title(f"{name}, p = {found.table.loc[name, 'p']:.2g}", fontsize=10)
        axes.set_xlim(0, RANKS)
        axes.tick_params(labelsize=8)
    figure.supxlabel(f"rank of the truth among {RANKS - 1} posterior draws; band: 99 % if uniform", fontsize=9)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Print the table; write it, the ranks and the figure where a folder is given."""
    parser = argparse.ArgumentParser(prog=f"{COMMAND}.sbc", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--replicates", type=int, default=500)
    parser.add_argument("--size", type=int, default=4, help="replicates in each arm of a data set")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("sbc-output"))
    chosen = parser.parse_args()
    found = calibrate(chosen.replicates, chosen.size, chosen.seed, progress=True)
    rows = [[name, *(f"{value:.3g}" for value in row)] for name, row in found.table.iterrows()]
    show(table(["quantity", f"chi-square ({BINS - 1})", "p", "mean rank / all"], rows))
    say(f"{chosen.replicates} data sets of {chosen.size} replicates an arm; statuses: {dict(found.statuses)}")
    chosen.output.mkdir(parents=True, exist_ok=True)
    found.ranks.to_csv(chosen.output / "ranks.csv", index=False)
    found.table.to_csv(chosen.output / "sbc.csv")
    draw_histograms(found, chosen.output / "sbc.png")
    say(f"sbc.csv, ranks.csv and sbc.png are in {chosen.output}")


if __name__ == "__main__":
    main()
