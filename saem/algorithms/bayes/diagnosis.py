"""What draws are worth: R-hat, effective sample sizes, Monte Carlo errors, and the status that follows.

Thresholds are those of Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021), Rank-normalization, folding, and
localization: an improved R-hat for assessing convergence of MCMC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from saem.stopping import Status
from saem.system.display import count
from saem.system.optional import quiet_import

if TYPE_CHECKING:
    from saem.algorithms.bayes.effects import EffectsFound

Array = np.ndarray

RHAT, ESS = 1.01, 400.0
RHAT_OF_EFFECTS, ESS_OF_EFFECTS = 1.05, 100.0  # of the worst of hundreds, which are above 1.01 by chance


class Diagnosis(NamedTuple):
    """Of each parameter (n,); nan where it does not vary."""

    rhat: Array
    ess_bulk: Array
    ess_tail: Array
    mcse: Array


def diagnose(draws: Array, fixed: Array) -> Diagnosis:
    """The diagnostics of draws (chains, draws, n), by ArviZ."""
    arviz = quiet_import("arviz")
    free = np.flatnonzero(~fixed)
    varying = arviz.convert_to_dataset({"x": draws[:, :, free]})
    found = np.full((4, draws.shape[2]), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        found[:, free] = [
            arviz.rhat(varying)["x"].values,
            arviz.ess(varying, method="bulk")["x"].values,
            arviz.ess(varying, method="tail")["x"].values,
            arviz.mcse(varying, method="mean")["x"].values,
        ]
    stuck = ~fixed & np.isnan(found[0])  # chains that do not move
    found[:3, stuck] = np.array([[np.inf], [0.0], [0.0]])
    return Diagnosis(*found)


def verdict(
    names: tuple[str, ...],
    found: Diagnosis,
    divergences: int,
    draws: int,
    several: int,
    effects: EffectsFound | None = None,
) -> tuple[Status, str]:
    """Whether the draws can be used, and what to do where not.

    Parameters
    ----------
    draws : int
        Of all chains.
    several : int
        Maxima of the likelihood at which chains were started, of nearly the same posterior density.
    effects : EffectsFound, optional
        Random effects, where they were drawn.
    """
    missed = []
    if divergences:
        missed.append(
            f"{count(divergences, 'draw')} of {draws:,} diverged, although smaller steps were tried, so a part of the "
            "posterior was not explored: give narrower priors, above all to standard deviations on which a mean hangs, "
            "or a larger target_accept still, such as Bayes(target_accept=0.9995)."
        )
    wild = [i for i in np.argsort(-np.nan_to_num(found.rhat)) if found.rhat[i] > RHAT]
    if wild:
        worst = ", ".join(f"{names[i]} {found.rhat[i]:.3g}" for i in wild[:5])
        modes = (
            f" They were started at {several} maxima of the likelihood, nearly as high as each other, and do not visit "
            "them in the right proportions. Change the constraint, or give priors that tell the solutions apart."
            if several > 1
            else " If longer chains (tune, draws) do not cure it, the posterior has several modes: look at "
            "`plot_posterior`, and at `Fit.solutions` of a fit by 'ml'."
        )
        missed.append(f"The chains disagree: R-hat is above {RHAT} ({worst}).{modes}")
    for label, sizes in (("bulk", found.ess_bulk), ("tail", found.ess_tail)):
        few = [i for i in np.argsort(np.nan_to_num(sizes, nan=np.inf)) if sizes[i] < ESS]
        if few:
            worst = ", ".join(f"{names[i]} {sizes[i]:.0f}" for i in few[:5])
            missed.append(f"The {label} effective sample size is below {ESS:.0f} ({worst}): take more draws.")
    if effects is not None and not (effects.rhat <= RHAT_OF_EFFECTS and effects.ess >= ESS_OF_EFFECTS):
        missed.append(
            f"The random effects of some cluster are not known: the largest R-hat is {effects.rhat:.3g}, the smallest "
            f"effective sample size {effects.ess:.0f}. Take more draws (tune, draws); if that does not cure it, a "
            "cluster has several modes."
        )
    if missed:
        return Status.NOT_CONVERGED, " ".join(missed)
    return Status.CONVERGED, "The chains agree, and their draws suffice for means and 95 % intervals."
