"""How far a posterior hangs on its priors, by power scaling.

Kallioinen, Paananen, Bürkner & Vehtari (2023), Detecting and diagnosing prior and likelihood sensitivity with
power-scaling, Statistics and Computing 34, 57. The prior density, or the likelihood, is raised to a power near one; the
posterior that belongs to it has the draws that there are, with Pareto-smoothed importance weights, and the change of a
marginal distribution is measured by the cumulative Jensen-Shannon distance for each doubling of the power.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from saem.fitting.result import Fit

THRESHOLD = 0.05  # of Kallioinen et al.: a standard normal whose mean moves by 0.3 standard deviations a doubling
DELTA = 0.01  # powers 1 / (1 + DELTA) and 1 + DELTA
LARGEST_K = 0.7  # of the Pareto shape, above which the importance weights are not to be relied on


@dataclass(frozen=True, eq=False)
class PriorSensitivity:
    """Sensitivity of the posterior of every parameter.

    Attributes
    ----------
    table : DataFrame
        Indexed by `parameter`: `prior` and `likelihood`, the distance for each doubling of the power of all priors and
        of the likelihood; `most`, the prior on which it hangs most, and `alone`, the distance when that is scaled
        alone; `diagnosis`, in a few words. Parameters that do not vary are left out.
    pareto_k : mapping of str to float
        Shape of the largest importance weights, for "prior" and "likelihood"; above 0.7 distances are not reliable.
    """

    table: pd.DataFrame
    pareto_k: Mapping[str, float]

    @property
    def findings(self) -> list[str]:
        """Sentences, one for each kind of finding; one that says so where there is none."""
        found = []
        for words, meaning in MEANINGS.items():
            names = self.table.index[self.table["diagnosis"] == words]
            if len(names):
                listed = ", ".join(f"{name} ({self.table.loc[name, 'prior']:.2f})" for name in names)
                found.append(f"{words}: {listed}. {meaning}")
        if not found:
            found = [f"no parameter hangs on its priors: all distances are below {THRESHOLD:g}"]
        found += [
            f"the importance weights of the {name} are not reliable (Pareto k {k:.2f} > {LARGEST_K:g})"
            for name, k in self.pareto_k.items()
            if k > LARGEST_K
        ]
        return found


#: What a diagnosis means, in a sentence.
MEANINGS = {
    "prior and data disagree, or share the say": (
        "The posterior moves when either the priors or the data count for more: look whether the prior is meant"
    ),
    "the prior is strong, or the data say little": (
        "The posterior moves with the priors and not with the data: what it says is largely the prior"
    ),
}


def prior_sensitivity(fit: Fit) -> PriorSensitivity:
    """Power-scaling sensitivity of a posterior to its priors and to the likelihood.

    Parameters
    ----------
    fit : Fit
        By "bayes", with its table.

    Raises
    ------
    ModelError
        When the fit has no draws, or was saved without its table.
    """
    import pandas as pd

    from saem.errors import ModelError
    from saem.estep.integration.settling import refined
    from saem.inference.rows import posed, rows_of
    from saem.mstep.solver import Solver
    from saem.system.optional import quiet_import

    if fit.posterior is None:
        raise ModelError(f"only a fit by 'bayes' has priors to be sensitive to; this one is by {fit.method!r}")
    posterior = fit.posterior
    draws = posterior.draws
    _, data = rows_of(fit)
    problem = posed(fit, data)
    refined(problem, fit.values)  # where it is integrated by rules
    solver = Solver(problem)  # that of the draws
    likelihood = np.array([solver.height(x) for x in posterior.pooled])
    likelihood = likelihood.reshape(draws.shape[:2])
    heights = log_priors(fit)
    arviz = quiet_import("arviz")
    moving = [name for name, rhat in zip(fit.parameters.names, posterior.rhat, strict=True) if np.isfinite(rhat)]
    of_draws = {name: draws[:, :, fit.parameters.index(name)] for name in moving}

    def distances(height: np.ndarray) -> np.ndarray:
        """Of all parameters (k,), when what has the logarithm ``height`` (chains, draws) is scaled."""
        both = arviz.from_dict(posterior=of_draws)
        both.add_groups({"log_prior": {"height": height}}, warn_on_custom_groups=False)
        found = arviz.psens(both, component="prior", delta=DELTA)
        return np.array([float(found[name]) for name in moving])

    by_prior, by_likelihood = distances(sum(heights.values(), np.zeros(draws.shape[:2]))), distances(likelihood)
    alone = {name: distances(height) for name, height in heights.items()}
    which = [max(alone, key=lambda name, k=k: alone[name][k]) for k in range(len(moving))]  # type: ignore[misc]
    table = pd.DataFrame(
        {
            "prior": by_prior,
            "likelihood": by_likelihood,
            "most": which,
            "alone": [alone[name][k] for k, name in enumerate(which)],
            "diagnosis": [diagnosis(*each) for each in zip(by_prior, by_likelihood, strict=True)],
        },
        index=pd.Index(moving, name="parameter", dtype="str"),
    )
    return PriorSensitivity(
        table,
        {
            "prior": pareto_shape(sum(heights.values(), np.zeros(draws.shape[:2]))),
            "likelihood": pareto_shape(likelihood),
        },
    )


def log_priors(fit: Fit) -> dict[str, np.ndarray]:
    """Log prior densities (chains, draws) of the independent parameters of a fit by "bayes"."""
    from saem.specification.priors import parse_prior

    assert fit.posterior is not None
    draws = fit.posterior.draws
    return {
        name: np.asarray(parse_prior(text).log_density(draws[:, :, fit.parameters.index(name)]))
        for name, text in fit.posterior.priors.items()
    }


def pareto_shape(height: np.ndarray) -> float:
    """Shape of the largest importance weights of the two powers, the larger of both."""
    from saem.system.optional import quiet_import

    arviz = quiet_import("arviz")
    powers = (DELTA, 1.0 / (1.0 + DELTA) - 1.0)
    return max(float(arviz.psislw((power * height).ravel())[1]) for power in powers)


def diagnosis(prior: float, likelihood: float) -> str:
    """What two distances say, in the words of `MEANINGS`; empty where the prior hardly matters."""
    if not prior >= THRESHOLD:
        return ""
    conflict, strong = MEANINGS
    return conflict if likelihood >= THRESHOLD else strong
