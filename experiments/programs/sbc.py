"""Are posteriors calibrated? `python -m experiments.sbc [--model NAME] [--replicates 500] [--output FOLDER]`.

Simulation-based calibration (Talts, Betancourt, Simpson, Vehtari & Gelman 2018): draw parameters from proper priors,
draw data from the model at them, and draw from the posterior. The rank of a parameter among its draws then has a
uniform distribution. `MODELS` has a linear model, whose random effects are integrated out, and a nonlinear and a binary
one, whose random effects are drawn; the first two have means that are tied to variances.

Draws are thinned to `RANKS - 1` nearly independent ones. The table has a chi-square test of uniformity for every
parameter and for the log-likelihood, which notices what single parameters do not (Modrák et al. 2023); the figure has
the histograms of the ranks.
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

RANKS = 100
BINS = 10
Draw = Callable[[saem.Model, pd.DataFrame, int], saem.Fit]
Values = dict[str, float]


@dataclass(frozen=True, eq=False)
class Case:
    """A model to calibrate.

    Attributes
    ----------
    model : callable
        Makes the model, without priors.
    priors : dict of str to str
    solve : callable
        Makes all parameters of those that have priors.
    design : callable
        From a size to a table without a response.
    quantities : tuple of str
        That are ranked: all parameters, and the log-likelihood.
    size : int
        Of data sets, unless another is asked for.
    """

    model: Callable[[], saem.Model]
    priors: dict[str, str]
    solve: Callable[[Values], Values]
    design: Callable[[int], pd.DataFrame]
    quantities: tuple[str, ...]
    size: int


def saturation() -> saem.Model:
    """A curve with two log-normal parameters, of which one has a known mean, which ties its median to its variance."""
    return saem.Model(
        family="nonlinear",
        response="y",
        cluster="id",
        columns=["time"],
        individual={"A": "lognormal(A_pop, omega_A)", "k": "lognormal(k_pop, omega_k)"},
        outcome={"distribution": "normal", "mean": "A * (1 - exp(-k * time))", "sd": "a"},
        constraints={"known_mean": f"log(A_pop) + omega_A**2 / 2 == log({MEAN})"},
    )


def logistic() -> saem.Model:
    """Zero or one, with a random intercept."""
    return saem.Model(
        family="glmm",
        cluster="id",
        predictor="y ~ x",
        outcome={"distribution": "bernoulli"},
    )


def rows(clusters: int, name: str, values: list[float]) -> pd.DataFrame:
    """The same values of a column in each cluster."""
    return pd.DataFrame({"id": np.repeat(np.arange(clusters), len(values)), name: np.tile(values, clusters)})


MEAN = 10.0
MODELS = {
    "peptide": Case(
        model=peptide_model,
        priors={
            "mu": "normal(10, 1)",
            "alpha2": "normal(-1, 0.5)",
            "b21": "normal(0.5, 0.5)",
            "b22": "normal(1.2, 0.5)",
            "sigma1": "lognormal(log(0.4), 0.3)",
            "sigma2": "lognormal(log(0.7), 0.3)",
            "sigma": "lognormal(log(0.3), 0.3)",
        },
        solve=lambda x: {**x, "c2": g(x["b21"], x["b22"], x["sigma1"], x["sigma2"])},
        design=peptide_design,
        quantities=("mu", "c2", "alpha2", "b21", "b22", "sigma1", "sigma2", "sigma", "loglik"),
        size=4,
    ),
    "saturation": Case(
        model=saturation,
        priors={
            "k_pop": "lognormal(log(0.5), 0.4)",
            "omega_A": "lognormal(log(0.3), 0.5)",
            "omega_k": "lognormal(log(0.3), 0.5)",
            "a": "lognormal(log(0.7), 0.4)",
        },
        solve=lambda x: {**x, "A_pop": MEAN * float(np.exp(-(x["omega_A"] ** 2) / 2.0))},
        design=lambda clusters: rows(clusters, "time", [0.5, 1.0, 3.0, 8.0]),
        quantities=("A_pop", "k_pop", "omega_A", "omega_k", "a", "loglik"),
        size=8,
    ),
    "logistic": Case(
        model=logistic,
        priors={
            "intercept": "normal(0, 1)",
            "x": "normal(0.5, 1)",
            "sd_intercept": "lognormal(0, 0.6)",
        },
        solve=dict,
        design=lambda clusters: rows(clusters, "x", [-1.0, -0.5, 0.0, 0.5, 1.0]),
        quantities=("intercept", "x", "sd_intercept", "loglik"),
        size=12,
    ),
}


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

        tests = []
        for name in self.ranks:
            counts = np.bincount(self.ranks[name].to_numpy() * BINS // RANKS, minlength=BINS)
            found = chisquare(counts)
            tests.append([found.statistic, found.pvalue, (self.ranks[name].mean() + 0.5) / RANKS])
        index = pd.Index(list(self.ranks.columns), name="quantity", dtype="str")
        return pd.DataFrame(tests, index=index, columns=["chi2", "p", "mean"])


def from_prior(case: Case, seed: int, replicate: int) -> Values:
    """Parameters drawn from the priors, with those that the constraint demands."""
    rng = stream(seed, "sbc", "prior", str(replicate))
    return case.solve({name: float(parse_prior(text).quantile(rng.uniform())) for name, text in case.priors.items()})


def posterior(model: saem.Model, data: pd.DataFrame, seed: int) -> saem.Fit:
    """Two chains, long enough to be thinned to nearly independent draws."""
    return saem.fit(model, data, Bayes(chains=2, tune=300, draws=500), seed)


def rank_of(
    case: Case, fit: saem.Fit, truth: Mapping[str, float], logliks: Callable[[np.ndarray], np.ndarray]
) -> list[int]:
    """Ranks of the truth of all quantities among thinned draws."""
    draws: Any = fit.posterior.pooled if fit.posterior is not None else None
    thinned = draws[np.linspace(0, len(draws) - 1, RANKS - 1).astype(int)]
    x = np.array([truth[name] for name in fit.parameters.names])
    every = np.column_stack([thinned, logliks(thinned)])
    own = np.append(x, logliks(x[None]))
    names = [*fit.parameters.names, "loglik"]
    return [int(np.sum(every[:, names.index(name)] < own[names.index(name)])) for name in case.quantities]


def calibrate(
    replicates: int,
    size: int | None = None,
    seed: int = 0,
    draw: Draw = posterior,
    progress: bool = False,
    name: str = "peptide",
) -> Ranks:
    """Rank the truth in posteriors of data of a size: replicates an arm, or clusters.

    Parameters
    ----------
    name : str
        One of `MODELS`.
    draw : callable
        From a model with priors, a table and a seed to a fit by "bayes"; another one is a mutant.
    """
    from saem.families import arrange, pose
    from saem.mstep.solver import Solver

    case = MODELS[name]
    model, design = case.model().replace(priors=case.priors), case.design(case.size if size is None else size)
    found, statuses = [], dict[str, int]()
    for replicate in range(replicates):
        truth = from_prior(case, seed, replicate)
        data = saem.simulate(model, truth, design, derived_seed(seed, "sbc", "data", str(replicate)))
        fit = draw(model, data, derived_seed(seed, "sbc", "draws", str(replicate)))
        solver = Solver(pose(model, arrange(model, data)))

        def logliks(points: np.ndarray, solver: Solver = solver) -> np.ndarray:
            return np.array([solver.height(x) for x in points])

        found.append(rank_of(case, fit, truth, logliks))
        statuses[str(fit.status)] = statuses.get(str(fit.status), 0) + 1
        if progress and (replicate + 1) % 20 == 0:
            note(f"{replicate + 1} of {replicates} ..")
    return Ranks(pd.DataFrame(found, columns=list(case.quantities)), statuses)


def draw_histograms(found: Ranks, path: Path) -> None:
    """One histogram a quantity, with the band that holds 99 % of the counts of a uniform distribution."""
    from matplotlib.figure import Figure
    from scipy.stats import binom

    count = len(found.ranks)
    low, high = binom(count, 1.0 / BINS).ppf([0.005, 0.995])
    figure = Figure(figsize=(9.0, 6.6), layout="constrained")
    panels = figure.subplots(-(-found.ranks.shape[1] // 3), 3, squeeze=False).ravel()
    for axes in panels[found.ranks.shape[1] :]:
        axes.set_visible(False)
    for axes, name in zip(panels, found.ranks, strict=False):
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
    parser.add_argument("--model", choices=list(MODELS), default="peptide")
    parser.add_argument("--replicates", type=int, default=500)
    parser.add_argument("--size", type=int, help="replicates in each arm of a data set, or clusters")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("sbc-output"))
    chosen = parser.parse_args()
    found = calibrate(chosen.replicates, chosen.size, chosen.seed, progress=True, name=chosen.model)
    lines = [[name, *(f"{value:.3g}" for value in row)] for name, row in found.table.iterrows()]
    show(table(["quantity", f"chi-square ({BINS - 1})", "p", "mean rank / all"], lines))
    say(f"{chosen.replicates} data sets of the model {chosen.model}; statuses: {dict(found.statuses)}")
    chosen.output.mkdir(parents=True, exist_ok=True)
    found.ranks.to_csv(chosen.output / "ranks.csv", index=False)
    found.table.to_csv(chosen.output / "sbc.csv")
    draw_histograms(found, chosen.output / "sbc.png")
    say(f"sbc.csv, ranks.csv and sbc.png are in {chosen.output}")


if __name__ == "__main__":
    main()
