"""The random effects of every cluster given its data: their law, and draws from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from saem.inference.arguments import whole
from saem.inference.conditional import effects_of
from saem.inference.rows import inside, rows_of
from saem.system.streams import check_seed, stream

if TYPE_CHECKING:
    import pandas as pd

    from saem.fitting.result import Fit

Array = np.ndarray
NOTHING = 1e-12  # of a variance: what is left of it by rounding


@dataclass(frozen=True, eq=False)
class ConditionalEffects:
    """The law p(theta | y) of the random effects of C clusters with q terms, at the estimate.

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
        Independent draws from the law.
    """

    fit: Fit
    mean: Array
    covariance: Array
    marginal: Array
    draws: Array

    @property
    def table(self) -> pd.DataFrame:
        """One row a cluster and term, indexed by the cluster columns and `term`.

        Columns: `mean` (the mode, too), `sd`, a column `cov_<term>` for every term, and `standardised`, the mean by its
        standard deviation over samples, ``sqrt(Omega - covariance)``: standard normal if the model is right, but for
        the estimation; nan where the random effect is absent.
        """
        import pandas as pd

        terms = list(self.fit.term_names)
        count, q = self.mean.shape
        variance = np.einsum("cii->ci", self.covariance)
        prior = np.einsum("cii->ci", self.marginal)
        spread = np.where(prior - variance > NOTHING * prior, prior - variance, np.nan)
        columns = {"mean": self.mean.ravel(), "sd": np.sqrt(np.maximum(variance, 0.0)).ravel()}
        columns |= {f"cov_{term}": self.covariance[:, :, k].ravel() for k, term in enumerate(terms)}
        columns["standardised"] = (self.mean / np.sqrt(spread)).ravel()
        labels = self.fit.cluster_labels
        levels = [labels[name].repeat(q).to_numpy() for name in labels.columns]
        index = pd.MultiIndex.from_arrays([*levels, np.tile(terms, count)], names=[*labels.columns, "term"])
        return pd.DataFrame(columns, index=index)


def random_effects(fit: Fit, draws: int = 0, seed: int = 0) -> ConditionalEffects:
    """The random effects of every cluster given its data, at the estimate.

    Parameters
    ----------
    fit : Fit
    draws : int
        How many draws from p(theta | y) to make, independent of each other.
    seed : int
        Same seed, same draws; more of them change none of the first.

    Raises
    ------
    ModelError
        When the fit has no table, or `draws` is no number of draws.
    """
    draws = whole(draws, "draws", 0)
    check_seed(seed)
    _, data = rows_of(fit)
    within = inside(fit, data)
    place = within.place
    law = effects_of(fit, data, within)
    normal = stream(seed, "random effects", "given the data").standard_normal((draws, *law.mean.shape))
    made = law.mean + np.einsum("cij,dcj->dci", root_of(law.covariance), normal)
    spreads = place.spreads(law.covariance), place.spreads(law.marginal)
    return ConditionalEffects(fit, place.effects(law.mean), *spreads, place.effects(made))


def root_of(covariance: Array) -> Array:
    """Matrices (C, q, q) whose products with their transposes are covariances (C, q, q), singular ones too.

    In units of the standard deviations, so that a term with a small one keeps its digits.
    """
    sd = np.sqrt(np.maximum(np.einsum("cii->ci", covariance), 0.0))
    unit = np.where(sd > 0.0, sd, 1.0)
    values, vectors = np.linalg.eigh(covariance / (unit[:, :, None] * unit[:, None, :]))
    return np.asarray(sd[:, :, None] * vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :])
