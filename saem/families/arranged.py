"""A table arranged as arrays: what all families have, and what families with a design have."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from saem.specification.parameters import Parameters
from saem.system.deferred import Deferred

if TYPE_CHECKING:
    import pandas as pd

_Floats = NDArray[np.float64]
_Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Arranged:
    """n rows of C clusters in G variance groups, checked against a model.

    Parameters
    ----------
    parameters : Parameters
    response : (n,) ndarray
        As the family's code has it; `observed` is on the model's scale.
    term_names : tuple of str
        (q,) random terms.
    cluster : (n,) ndarray of int64
        0 to C - 1, in order of first appearance.
    cluster_labels : DataFrame
        (C,) rows with the cluster columns.
    cluster_group : (C,) ndarray of int64
        Variance group of each cluster.
    group_levels : tuple of str
        (G,) levels of the variance groups; ``("",)`` without `by`.
    warnings : tuple of str
    n_dropped : int
        Rows left out because of missing values.
    formula_state : dict
        Constants of the design of a formula (`saem.specification.formula.Design`), with the columns that it keeps.
    unclear : dict of str to str
        Parameter -> column of the design, for the names that do not tell it.
    table : DataFrame or None
        (n,) rows of the columns that the model reads, as the user has them.
    """

    parameters: Parameters
    response: _Floats
    term_names: tuple[str, ...]
    cluster: _Codes
    cluster_labels: Deferred[pd.DataFrame] = Deferred()
    cluster_group: _Codes
    group_levels: tuple[str, ...]
    warnings: tuple[str, ...]
    n_dropped: int
    formula_state: dict[str, Any] = field(default_factory=dict)
    unclear: dict[str, str] = field(default_factory=dict)
    table: Deferred[pd.DataFrame | None] = Deferred(None)

    @property
    def shift(self) -> _Floats | float:
        """What is added to `response` so that it is on the model's scale."""
        return 0.0

    @property
    def is_present(self) -> NDArray[np.bool_]:
        """Which terms (C, q) each cluster has."""
        return np.ones((len(self.cluster_group), len(self.term_names)), dtype=np.bool_)

    @property
    def rows_of_each(self) -> _Codes:
        """The number of rows (C,) of each cluster."""
        return np.bincount(self.cluster, minlength=len(self.cluster_group))

    def rows_in(self, cluster: int) -> NDArray[np.bool_]:
        """Which rows (n,) are in a cluster."""
        return np.asarray(self.cluster == cluster)

    def has_clusters_of(self, other: Arranged) -> bool:
        """Whether the rows of another model are in the same clusters, as far as it is not told by `check_nested`."""
        return np.array_equal(self.cluster, other.cluster)

    @property
    def observed(self) -> _Floats:
        """The response (n,) on the model's scale."""
        return self.response + self.shift


@dataclass(frozen=True, eq=False, kw_only=True)
class DesignedData(Arranged):
    """p columns of the fixed part and q random terms beside.

    Parameters
    ----------
    mean_design : (n, p) ndarray
        C-contiguous.
    random_design : (n, q) ndarray
        C-contiguous.
    mean_index : (p,) ndarray of int64
        Parameter of each column of `mean_design`.
    mean_labels : tuple of str
        (p,) where each mean acts, as the model or the formula says it.
    sd_index : (G, q) ndarray of int64
        Parameter of each random-effect SD.
    corr_index : (G, q, q) ndarray of int64
        Parameter of each correlation, symmetric; -1 where there is none.
    offset : (n,) ndarray or None
        What a formula adds to the fixed part with the coefficient 1.
    """

    mean_design: _Floats
    random_design: _Floats
    mean_index: _Codes
    mean_labels: tuple[str, ...]
    sd_index: _Codes
    corr_index: _Codes
    offset: _Floats | None = None

    @property
    def is_present(self) -> NDArray[np.bool_]:
        """See `Arranged.is_present`."""
        return np.asarray((self.sd_index >= 0)[self.cluster_group], dtype=np.bool_)

    def effect_covariance(self, x: _Floats) -> _Floats:
        """Covariance matrices (G, q, q) of the random effects at parameters (n_parameters,), by variance group."""
        sd = np.where(self.sd_index >= 0, x[self.sd_index], 0.0)  # no index: an effect that the group lacks
        correlation = np.where(self.corr_index >= 0, x[self.corr_index], 0.0) + np.eye(sd.shape[1])
        return np.asarray(sd[:, :, None] * sd[:, None, :] * correlation)
