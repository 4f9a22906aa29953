"""Means in the centres of the random effects, so that little of the complete information on them is missing.

With ``y_c = X_c beta + Z_c theta_c + e_c`` the latent data are ``phi_c = theta_c + A_c beta``, whose law has the centre
``A_c beta`` while ``X_c - Z_c A_c`` is left in the rows (partial centring: Papaspiliopoulos, Roberts & Skold 2003,
Bayesian Statistics 7, 307-326). The complete information on ``beta``,

    A_c' Omega^-1 A_c + (X_c - Z_c A_c)' W_c (X_c - Z_c A_c),

is smallest, and equal to the observed, for ``A_c = (Z_c' W_c Z_c + Omega^-1)^-1 Z_c' W_c X_c``. Any ``A_c`` is right;
this is taken where the search starts.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from saem.families.extended.columns import carried_column
from saem.families.extended.data import ExtendedData
from saem.families.extended.start import Start

Array = np.ndarray


def carried(data: ExtendedData, start: Start) -> ExtendedData:
    """The data with all means in the centres, as far as is best at a start."""
    where = shares(data, start)
    columns = {
        carried_column(data.parameters.names[i], effect.name): where[:, k, j]
        for k, effect in enumerate(data.structure.effects)
        for j, i in enumerate(data.mean_index)
    }
    return replace(
        data,
        structure=replace(data.carried, start=data.structure.start),
        columns={**data.columns, **columns},
        constant_columns=data.constant_columns | frozenset(columns),
    )


def shares(data: ExtendedData, start: Start) -> Array:
    """``A_c`` (n, q, p), for each row that of its cluster."""
    design, random, omega = data.mean_design, data.random_design, start.omega
    found = np.empty((len(design), random.shape[1], design.shape[1]))
    order = np.argsort(data.cluster, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(data.cluster[order])) + 1):
        z = random[rows]
        covariance = z @ omega @ z.T + np.diag(start.sds[rows] ** 2)
        found[rows] = omega @ z.T @ np.linalg.solve(covariance, design[rows])
    return found
