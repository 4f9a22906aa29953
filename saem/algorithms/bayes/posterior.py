"""Draws from a posterior distribution, and what they are worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from saem.errors import SaemError

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Posterior:
    """What a Bayesian fit has besides the summaries that every fit has. Arrays are read-only.

    Attributes
    ----------
    draws : (chains, draws, n) ndarray
        All parameters on their natural scales, those included that are fixed or that the constraints determine.
    stats : dict of str to (chains, draws) ndarray
        Of the sampler: `lp` (log posterior density in the sampler's coordinates), `diverging`, `energy`, `tree_depth`,
        `n_steps`, `acceptance_rate`, `step_size`.
    priors : dict of str to str
        The prior of every independent parameter, as it was used.
    determined : dict of str to str
        The other parameters that are not fixed, by the constraint that determines each.
    rhat, ess_bulk, ess_tail : (n,) ndarray
        Rank-normalised split R-hat and effective sample sizes (Vehtari et al. 2021); nan for fixed parameters.
    tune : int
        Draws of each chain by which the sampler was tuned; they are not kept.
    target_accept : float
        Mean acceptance rate that the step size was tuned to, when these draws were made.
    implied : dict of str to (float, float)
        Where the priors expect what the constraints determine: 2.5 and 97.5 % quantiles, before the data.
    effect_draws : (chains, draws, C, q) ndarray
        The random effects of every cluster, in the order of `Fit.cluster_labels` and `Fit.term_names`, of the same
        draws, in single precision. (0, 0, C, q) where they would take more than 64 megabytes; (0, 0, 0, 0) where the
        random effects were integrated out.
    effect_covariances : (C, q, q) ndarray
        Their posterior covariances in every cluster, whether or not draws are kept; their means are
        `Fit.random_effects`. (0, 0, 0) where the random effects were integrated out, and so for the next.
    effect_quantiles : (5, C, q) ndarray
        Their 2.5, 25, 50, 75 and 97.5 % quantiles.
    """

    draws: Floats
    stats: Mapping[str, NDArray[np.generic]]
    priors: Mapping[str, str]
    determined: Mapping[str, str]
    rhat: Floats
    ess_bulk: Floats
    ess_tail: Floats
    tune: int
    target_accept: float
    implied: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    effect_draws: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0, 0, 0), np.float32))
    effect_covariances: Floats = field(default_factory=lambda: np.empty((0, 0, 0)))
    effect_quantiles: Floats = field(default_factory=lambda: np.empty((0, 0, 0)))

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if isinstance(value, np.ndarray):
                object.__setattr__(self, entry.name, read_only(value))
        object.__setattr__(self, "stats", MappingProxyType({k: read_only(v) for k, v in self.stats.items()}))
        for name in ("priors", "determined", "implied"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    @property
    def pooled(self) -> Floats:
        """The draws of all chains, (chains * draws, n) ndarray."""
        return self.draws.reshape(-1, self.draws.shape[-1])

    @property
    def divergences(self) -> int:
        """How many draws ended in a divergence."""
        return int(np.sum(self.stats["diverging"]))

    def bounds(self, level: float) -> Floats:
        """Equal-tailed intervals, (n, 2) ndarray; nan for parameters that do not vary."""
        if not 0.0 < level < 1.0:
            raise SaemError(f"the level of an interval must lie between 0 and 1; got {level!r}")
        tail = (1.0 - level) / 2.0
        found = np.quantile(self.pooled, [tail, 1.0 - tail], axis=0).T
        return np.where(np.isnan(self.rhat)[:, None], np.nan, found)

    def __reduce__(self) -> tuple[object, ...]:
        content = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return _again, ({name: dict(v) if isinstance(v, MappingProxyType) else v for name, v in content.items()},)


def _again(content: dict[str, object]) -> Posterior:
    return Posterior(**content)  # type: ignore[arg-type]


def read_only(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """A copy that cannot be changed."""
    array = array.copy()
    array.flags.writeable = False
    return array
