"""The text of `Fit.summary()`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from saem.algorithms.registry import declaration_of
from saem.system.display import UNKNOWN, an, count, decimals, number, plain, row_decimals, small, table

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from saem.algorithms.bayes.posterior import Posterior
    from saem.fitting.record import Record

FEW = 20  # clusters
WALD = 2.0  # standard errors from zero, within which an interval on the log scale says less than it seems to
T_TESTS = "t-tests of the means: Satterthwaite's degrees of freedom, standard errors from the expected information"


def summary(fit: Record, tested: pd.DataFrame | None = None) -> str:
    """The whole fit as plain text: estimates, constraints, solutions, likelihood, status and warnings.

    Parameters
    ----------
    fit : Record
    tested : DataFrame, optional
        The t-tests of the means, to be shown with the rest.
    """
    return plain(*summary_parts(fit, tested))


def summary_parts(fit: Record, tested: pd.DataFrame | None = None) -> list[str | Table]:
    """The lines and tables of `summary`, from top to bottom."""
    parts: list[str | Table] = [
        f"{declaration_of(fit.method).title or fit.method} fit of {an(fit.model.family)} model for "
        f"{fit.model.response}",
        f"{size_words(fit)}, {count(fit.n_free, 'free parameter')}",
        "",
        estimates_table(fit) if fit.posterior is None else posterior_table(fit, fit.posterior),
        *legend(fit),
    ]
    if fit.posterior is not None:
        return [*parts, *posterior_words(fit, fit.posterior)]
    if tested is not None:
        parts += ["", T_TESTS, t_tests_table(tested)]
    if fit.constraint_names:
        parts += ["", constraints_table(fit)]
    if len(fit.solutions) > 1:
        parts += ["", solutions_table(fit)]
    name = "restricted log-likelihood" if fit.method == "reml" else "log-likelihood"
    if fit.model.is_transformed:
        name += f" of {fit.model.response}"
    error = f" (simulated, MCSE {fit.loglik_mcse:.2g})" if fit.loglik_mcse > 0.0 else ""
    parts += ["", f"{name} {fit.loglik:.4f}{error}   AIC {fit.aic:.3f}   BIC {fit.bic:.3f}"]
    if fit.drawn:
        parts.append(f"{count(fit.iterations, 'iteration')}, {count(fit.drawn, 'random effect')} drawn")
    if fit.augmentation:
        parts.append(f"latent data: {fit.augmentation}")
    parts += [status_line(fit), *wald_fails(fit), *(f"warning: {text}" for text in fit.warnings)]
    return parts


def legend(fit: Record) -> list[str]:
    """What the parameters stand for whose names do not tell it, a line each."""
    if not fit.unclear:
        return []
    return ["", "names in the words of the formula:", *(f"  {name}: {label}" for name, label in fit.unclear.items())]


def size_words(fit: Record) -> str:
    """The numbers of rows and clusters: `240 rows, 120 clusters (treatment, replicate)`."""
    numbers = fit.model.numbers(fit.cluster_labels)
    words = [f"{n:,} of {factor}" for factor, n in numbers.items() if factor]
    words = words or list(map(str, fit.cluster_labels.columns))
    return f"{count(fit.n_rows, 'row')}, {count(fit.n_clusters, fit.model.label_word)} ({', '.join(words)})"


def status_line(fit: Record) -> str:
    """The status with its advice."""
    return f"status: {status_words(fit.status)}. {fit.message or fit.status.advice}"


def wald_fails(fit: Record) -> list[str]:
    """Lines on where Wald intervals are not to be relied on: by few clusters, and near a standard deviation of zero.

    Their quantiles are those of a normal distribution, which are too near with few clusters; and on the log scale
    they never reach zero, whatever the data say.
    """
    few, numbers = [], fit.model.numbers(fit.cluster_labels)
    if min(numbers.values()) < FEW and np.isfinite(fit.se).any():
        words = ", ".join(f"{n} of {factor}" if factor else str(n) for factor, n in numbers.items() if n < FEW)
        few = [f"Wald intervals by normal quantiles are too short with so few {fit.model.label_word}s ({words})"]
    domains = fit.parameters.domains
    with np.errstate(invalid="ignore"):
        close = domains.can_vanish & ~fit.parameters.fixed & (fit.values < WALD * fit.se)
    names = [name for name, is_close in zip(fit.parameters.names, close, strict=True) if is_close]
    if not names:
        return few
    own = "its Wald interval leaves" if len(names) == 1 else "their Wald intervals leave"
    words = f"zero is within {WALD:g} standard errors of {', '.join(names)}: {own} it out; use profile intervals"
    return [*few, words]


def status_words(status: str) -> str:
    """A status such as `several_solutions` as people write it."""
    return str(status).replace("_", " ")


def estimates_table(fit: Record) -> Table:
    """Estimates with their errors and 95 % intervals; the Monte Carlo error only where the method has one."""
    intervals = fit.to_numpy()[:, 3:]
    simulated = bool((np.isnan(fit.mcse) & np.isfinite(fit.se)).any() or np.nansum(fit.mcse) > 0.0)
    notes = [note(fit, name) for name in fit.parameters.names]
    lines = []
    for i, (name, words) in enumerate(zip(fit.parameters.names, notes, strict=True)):
        fixed = words == "fixed"
        places = row_decimals(fit.se[i], fit.se)
        cells = [name, number(fit.values[i], places, fit.se[i]), UNKNOWN if fixed else number(fit.se[i], places)]
        if simulated:
            share = fit.mcse[i] / fit.se[i] if fit.se[i] > 0.0 else math.nan
            cells += [UNKNOWN, UNKNOWN] if fixed else [small(fit.mcse[i]), small(share)]
        cells += [number(bound, places, fit.se[i]) for bound in intervals[i]]
        lines.append([*cells, words] if any(notes) else cells)
    header = ["parameter", "estimate", "se", *(["mcse", "mcse/se"] if simulated else []), "2.5 %", "97.5 %"]
    align = "l" + "r" * (len(header) - 1)
    return table([*header, "note"], lines, align + "l") if any(notes) else table(header, lines, align)


def t_tests_table(found: pd.DataFrame) -> Table:
    """What `saem.t_tests` gives as a table for people."""
    lines = []
    for quantity, row in found.iterrows():
        places = row_decimals(row["se"], found["se"])
        shown = {key: number(row[key], places) for key in ("estimate", "se", "lower", "upper")}
        tested = [number(row["df"], 2), number(row["t"], 3), UNKNOWN if math.isnan(row["p"]) else f"{row['p']:.3g}"]
        lines.append([str(quantity), shown["estimate"], shown["se"], *tested, shown["lower"], shown["upper"]])
    return table(["quantity", *found.columns], lines)


def note(fit: Record, name: str) -> str:
    """Why a parameter has no standard error: `fixed`, `at the boundary`, `not identified`, or nothing."""
    i = fit.parameters.index(name)
    if fit.parameters.fixed[i]:
        return "fixed"
    if name in fit.at_boundary:
        return "at the boundary"
    if fit.status == "not_identified" and math.isnan(fit.se[i]):
        return "no standard error" if fit.parameters.domains.is_real[i] and fit.method == "reml" else "not identified"
    return ""


def posterior_table(fit: Record, posterior: Posterior) -> Table:
    """Posterior means, standard deviations and quantiles, with what the simulation leaves open, and the priors."""
    lines = []
    for i, (name, row) in enumerate(zip(fit.parameters.names, fit.to_numpy(), strict=True)):
        places = row_decimals(fit.se[i], fit.se)
        if fit.parameters.fixed[i]:
            lines.append([name, number(row[0], places), *[UNKNOWN] * 7, "fixed"])
            continue
        origin = posterior.priors.get(name) or f"determined by {posterior.determined.get(name, UNKNOWN)}"
        sizes = [f"{posterior.ess_bulk[i]:.0f}", f"{posterior.ess_tail[i]:.0f}"]
        cells = [number(row[0], places, row[1]), number(row[1], places), small(row[2])]
        cells += [number(bound, places, row[1]) for bound in row[3:]]
        lines.append([name, *cells, f"{posterior.rhat[i]:.3f}", *sizes, origin])
    header = ["parameter", "mean", "sd", "mcse", "2.5 %", "97.5 %", "R-hat", "ESS bulk", "ESS tail", "prior"]
    return table(header, lines, "lrrrrrrrrl")


def posterior_words(fit: Record, posterior: Posterior) -> list[str]:
    """Constraints, sampler, log-likelihood, status and warnings of a posterior."""
    chains, draws, _ = posterior.draws.shape
    lines = ["", *(f"constraint {name}, in every draw: {text}" for name, text in fit.model.constraints.items())]
    lines += [
        f"{name}, which {posterior.determined.get(name, UNKNOWN)} determines: by the priors alone 95 % between "
        f"{low:.3g} and {high:.3g}"
        for name, (low, high) in posterior.implied.items()
    ]
    lines.append(
        f"{chains} chains of {draws:,} draws after {posterior.tune:,} of tuning; "
        f"{count(posterior.divergences, 'divergence')} at a target acceptance of {posterior.target_accept:g}"
    )
    lines.append(f"log-likelihood at the posterior means {fit.loglik:.4f}")
    return [*lines, status_line(fit), *(f"warning: {text}" for text in fit.warnings)]


def constraints_table(fit: Record) -> Table:
    """Constraints with what is left between their two sides, and their Lagrange multipliers."""
    columns = (fit.constraint_names, fit.constraint_residuals, fit.multipliers)
    lines = [
        [name, small(residual), UNKNOWN if math.isnan(lam) else f"{lam:.4g}", fit.model.constraints.get(name, "")]
        for name, residual, lam in zip(*columns, strict=True)
    ]
    return table(["constraint", "residual", "multiplier", "equation"], lines, "lrrl")


def solutions_table(fit: Record) -> Table:
    """The distinct maximisers: the parameters in which they differ, and their log-likelihoods."""
    solutions = fit.solutions
    spread = solutions.max(axis=0) - solutions.min(axis=0)
    different = [i for i in range(len(spread)) if spread[i] > 1e-6 * (1.0 + abs(solutions[0, i]))]
    places = {i: decimals(np.diff(np.unique(solutions[:, i].round(9)))) for i in different}
    lines = [
        [str(k + 1), *(number(float(solutions[k, i]), places[i]) for i in different), f"{fit.solution_logliks[k]:.4f}"]
        for k in range(len(solutions))
    ]
    return table(["solution", *(fit.parameters.names[i] for i in different), "log-likelihood"], lines)
