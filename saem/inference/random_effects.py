"""The random effects of every cluster given its data: their law, and draws from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from saem.errors import ModelError
from saem.families import family_of
from saem.inference.arguments import whole
from saem.inference.conditional import effects_of
from saem.inference.rows import inside, posed, rows_of
from saem.system.streams import check_seed, stream

if TYPE_CHECKING:
    import pandas as pd

    from saem.families.levels import Listed
    from saem.fitting.result import Fit

Array = np.ndarray
NOTHING = 1e-12  # of a variance: what is left of it by rounding


@dataclass(frozen=True, eq=False)
class ConditionalEffects:
    """The law p(theta | y) of the random effects of C clusters with q terms, at the estimate.

    Of a fit by "bayes" that drew them with the parameters it is their posterior, so that what the parameters are not
    known to is in it.

    Attributes
    ----------
    fit : Fit
    mean : (C, q) ndarray
        Conditional means; the law is Gaussian, so that they are the conditional modes (lme4's ``ranef``), which
        `Fit.random_effects` has.
    covariance : (C, q, q) ndarray
        Conditional covariances; zero for terms whose standard deviation is zero. The estimate is taken as the truth:
        what its own error adds is in the standard errors of `saem.predict`.
    marginal : (C, q, q) ndarray
        Covariances without the data, of each cluster's variance group.
    draws : (draws, C, q) ndarray
        Independent draws from the law, of all clusters together; of a posterior, draws of the sampler, chosen at random
        without repetition.
    present : (C, q) ndarray of bool
        Which terms each cluster has: where there are several grouping factors, a level has those of its own.
    modes : (C, q) ndarray or None
        Conditional modes, where the law is not Gaussian; draws are then those of a Gaussian one with the same means and
        covariances. None for a posterior.
    listed : Listed or None
        Where the random effects are, of models in which a cluster has those of several units: occasions, or levels of
        factors.
    """

    fit: Fit
    mean: Array
    covariance: Array
    marginal: Array
    draws: Array
    present: Array
    modes: Array | None = None
    listed: Listed | None = None

    @property
    def shrinkage(self) -> pd.DataFrame:
        """Of every term, by variance group: one minus the variance of the conditional means over that of the effects.

        Near 0 where the data tell the effect of each cluster, near 1 where they do not: then conditional means, and
        all that is plotted of them, say little. nan where the random effect is absent, or a group has one cluster.
        """
        import pandas as pd

        group = self.fit.cluster_group if len(self.fit.cluster_group) else np.zeros(len(self.mean), dtype=np.int64)
        levels = self.fit.group_levels or ("",)
        if self.listed is not None:
            at = self.listed.cluster, self.listed.coordinate
            means, marginal = self.mean[at], np.einsum("cii->ci", self.marginal)[at]
            rows = pd.DataFrame(
                {"mean": means, "prior": marginal, "group": np.array(levels, dtype=object)[group[at[0]]]}
            )
            rows["term"] = self.listed.index.get_level_values("term")
            if "factor" in self.listed.index.names:
                rows["group"] = self.listed.index.get_level_values("factor")
            both = rows.groupby(["group", "term"], sort=False)
            known = both["prior"].first()
            shares: pd.DataFrame = (1.0 - both["mean"].var() / known.where(known > 0.0)).unstack("term")
            return shares
        found = np.full((len(levels), self.mean.shape[1]), np.nan)
        for g in range(len(levels)):
            own = group == g
            if own.sum() > 1:
                prior = np.diag(self.marginal[own][0])
                spread = self.mean[own].var(axis=0, ddof=1)
                found[g] = np.where(prior > 0.0, 1.0 - spread / np.where(prior > 0.0, prior, 1.0), np.nan)
        return pd.DataFrame(found, index=pd.Index(levels, name="group"), columns=list(self.fit.term_names))

    @property
    def table(self) -> pd.DataFrame:
        """One row a cluster and a term that it has, indexed by the cluster columns and `term`.

        Where clusters have the random effects of several units, one row a unit and term: of occasions, indexed by the
        columns of clusters and of occasions, where the effects of a cluster itself have the occasion nan and those of
        occasions terms such as ``CL[visit]``; of several grouping factors by `factor`, `level` and `term`. There are no
        columns of covariances then: see `covariance` and `listed`.

        Columns: `mean` (also the mode, unless `mode` is there), `sd`, a column `cov_<term>` for every term, and
        `standardised`, the mean by its standard deviation over samples, ``sqrt(Omega - covariance)``: standard normal
        if the model is right, but for the estimation; nan where the random effect is absent.
        """
        import pandas as pd

        terms = list(self.fit.term_names)
        count, q = self.mean.shape
        variance = np.einsum("cii->ci", self.covariance)
        prior = np.einsum("cii->ci", self.marginal)
        spread = np.where(prior - variance > NOTHING * prior, prior - variance, np.nan)
        if self.listed is not None:
            at = self.listed.cluster, self.listed.coordinate
            found = {"mean": self.mean[at]} | ({} if self.modes is None else {"mode": self.modes[at]})
            found |= {"sd": np.sqrt(np.maximum(variance[at], 0.0)), "standardised": self.mean[at] / np.sqrt(spread[at])}
            return pd.DataFrame(found, index=self.listed.index)
        columns = {"mean": self.mean.ravel()}
        if self.modes is not None:
            columns["mode"] = self.modes.ravel()
        columns |= {"sd": np.sqrt(np.maximum(variance, 0.0)).ravel()}
        shared = np.where(self.present[:, None, :], self.covariance, np.nan)  # with a term that is not there
        columns |= {f"cov_{term}": shared[:, :, k].ravel() for k, term in enumerate(terms)}
        columns["standardised"] = (self.mean / np.sqrt(spread)).ravel()
        labels = self.fit.cluster_labels
        levels = [labels[name].repeat(q).to_numpy() for name in labels.columns]
        index = pd.MultiIndex.from_arrays([*levels, np.tile(terms, count)], names=[*labels.columns, "term"])
        return pd.DataFrame(columns, index=index)[self.present.ravel()]


def random_effects(fit: Fit, draws: int = 0, seed: int = 0) -> ConditionalEffects:
    """The random effects of every cluster given its data, at the estimate.

    Parameters
    ----------
    fit : Fit
    draws : int
        How many draws from p(theta | y) to make, independent of each other; of a posterior at most those that it has.
    seed : int
        Same seed, same draws; more of them change none of the first.

    Raises
    ------
    ModelError
        When the fit has no table, or `draws` is no number of draws, or a posterior has not as many.
    """
    draws = whole(draws, "draws", 0)
    check_seed(seed)
    _, data = rows_of(fit)
    within = inside(fit, data)
    coordinates = within.coordinates
    law = effects_of(fit, data, within)
    listed = listed_effects(fit)
    if fit.posterior is not None and fit.posterior.effect_covariances.size:
        return replace(
            drawn_effects(fit, coordinates.spreads(law.marginal), draws, seed, data.is_present), listed=listed
        )
    rng = stream(seed, "random effects", "given the data")
    made = family_of(fit.model).draw_effects(within.data, within.x, draws, rng)
    if made is None:
        normal = rng.standard_normal((draws, *law.mean.shape))
        made = law.mean + np.einsum("cij,dcj->dci", root_of(law.covariance), normal)
    spreads = coordinates.spreads(law.covariance), coordinates.spreads(law.marginal)
    from saem.estep.conditional import conditional_law  # compiled code

    modes = None
    if family_of(fit.model).effects(within.data, within.x) is None:
        modes = fit.random_effects if fit.posterior is None else conditional_law(posed(fit, data), within.x)[0]
    made = coordinates.effects(made)
    return ConditionalEffects(fit, coordinates.effects(law.mean), *spreads, made, data.is_present, modes, listed)


def listed_effects(fit: Fit) -> Listed | None:
    """Where random effects of several units of a cluster are; None for other models, and for a fit without a table."""
    return None if fit.table is None else family_of(fit.model).listed(fit.model, rows_of(fit)[1], fit.table)


def drawn_effects(fit: Fit, marginal: Array, draws: int, seed: int, present: Array) -> ConditionalEffects:
    """The random effects of a fit that drew them, with their covariances (C, q, q) without the data."""
    assert fit.posterior is not None
    made = fit.posterior.effect_draws
    pooled = made.reshape(-1, *made.shape[2:])
    if draws > len(pooled):
        why = "" if len(pooled) else ", for they would take too much memory"
        raise ModelError(
            f"this fit keeps {len(pooled)} draws of the random effects{why}; got draws = {draws}: ask for fewer, or "
            "fit again with another number of draws"
        )
    chosen = stream(seed, "random effects", "of a posterior").permutation(len(pooled))[:draws]
    covariances = fit.posterior.effect_covariances
    return ConditionalEffects(fit, fit.random_effects, covariances, marginal, pooled[chosen].astype(float), present)


def root_of(covariance: Array) -> Array:
    """Matrices (C, q, q) whose products with their transposes are covariances (C, q, q), singular ones too.

    In units of the standard deviations, so that a term with a small one keeps its digits.
    """
    sd = np.sqrt(np.maximum(np.einsum("cii->ci", covariance), 0.0))
    unit = np.where(sd > 0.0, sd, 1.0)
    values, vectors = np.linalg.eigh(covariance / (unit[:, :, None] * unit[:, None, :]))
    return np.asarray(sd[:, :, None] * vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :])
