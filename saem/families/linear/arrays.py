"""The data of the linear family as arrays, and how its parameters are laid out.

Model: ``y_r = x_r' beta + z_r' theta_c + e_r`` for row ``r`` of cluster ``c``; ``theta_c ~ N(0, Omega_g)`` for the
variance group ``g`` of the cluster; ``e_r ~ N(0, sigma_h^2)`` for the residual group ``h`` of the row.

Clusters with the same design (rows with equal covariates, in any order) and variance group form a *pattern*. Within
a pattern the marginal likelihood depends on the responses only through the mean and the scatter matrix of the
reduced responses ``w_c = (Z_1' y_1, .., Z_H' y_H)`` (one block for each residual group). The scatter is kept as a
sum of outer products, so that a pattern is a few *columns*: its mean, with the number of clusters as weight, and the
factors of its scatter, with weight one and no mean. A million clusters of one design cost as much as one.

Responses are centred by a least-squares fit (``beta_reference``), so that no sum of squares cancels.

The latent data are ``phi_c = theta_c + W_c (beta - beta_reference)``. With ``W = 0`` they are the random effects
themselves; elsewhere some terms are *centred*, see `centring`. The marginal likelihood does not depend on it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class LinearArrays(NamedTuple):
    """Arrays of the linear family (p mean columns, q terms, G variance groups, H residual groups, P patterns).

    The type by which Numba chooses this family's functions of the contract.
    """

    mean_index: np.ndarray  # (p,) int64, parameter of each column of the mean design
    basis: np.ndarray  # (r,) int64, free columns of the mean design that span all of them, for REML
    sd_index: np.ndarray  # (G, q) int64, parameter of each standard deviation of a random effect
    corr_index: np.ndarray  # (G, q, q) int64, parameter of each correlation, -1 where there is none
    slot_index: np.ndarray  # (G, L) int64, parameter of each covariance slot: the q SDs, then the correlations
    slot_terms: np.ndarray  # (L, 2) int64, the two terms of a slot (equal for a standard deviation)
    residual_index: np.ndarray  # (H,) int64, parameter of each residual standard deviation
    beta_reference: np.ndarray  # (p,) coefficients by which the responses are centred
    log_weight: float  # 1/2 sum log w of the prior weights, by whose roots the rows are scaled
    n_rows: np.ndarray  # (H,) float64
    xx: np.ndarray  # (H, p, p) X'X
    xy: np.ndarray  # (H, p) X'y
    yy: np.ndarray  # (H,) y'y
    n_clusters: np.ndarray  # (G,) float64
    pattern_group: np.ndarray  # (P,) int64, variance group
    pattern_size: np.ndarray  # (P,) float64, number of clusters
    pattern_start: np.ndarray  # (P + 1,) int64, first cluster of each pattern in `reduced`
    zz: np.ndarray  # (P, H, q, q) Z'Z
    zx: np.ndarray  # (P, H, q, p) Z'X
    column_start: np.ndarray  # (P + 1,) int64, first column of each pattern; the first column is the mean
    columns: np.ndarray  # (K, H * q)
    reduced: np.ndarray  # (C, H * q) reduced responses of the clusters, in the order of the patterns
    constants: np.ndarray  # (2,) what to add to the log-likelihood, and beyond that to the restricted one
    variates: int  # how the draws of an iteration depend on each other (`variates`)
    is_centred: np.ndarray  # (G,) bool, variance groups in which W is not zero
    location: np.ndarray  # (P, q, p) W
    left_xx: np.ndarray  # (H, p, p) (X - ZW)'(X - ZW)
    left_xy: np.ndarray  # (H, p) (X - ZW)'y
    left_zx: np.ndarray  # (P, H, q, p) Z'(X - ZW)
    location_moment: np.ndarray  # (G, q, q, p, p) sum over clusters of W_ja W_kb
