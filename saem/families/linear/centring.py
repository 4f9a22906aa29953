"""Where the means are put: the latent data of a variance group, centred or not, term by term.

Not centred, the latent data are the random effects ``theta_c``, and the means are in the rows' law. Centred, they are
``phi_c = theta_c + W_c (beta - reference)`` with ``W_c = Z_c^+ X_c``, the projection of the mean design on that of the
random effects (hierarchical centring: Gelfand, Sahu & Carlin 1995, Biometrika 82, 479-488): what of the means the
random effects' columns explain is in the law of ``phi_c``, and ``X_c - Z_c W_c`` stays in the rows'. Both augment the
same model to an exponential family.

EM is slow in the means where much of their complete information is missing: not centred where the data determine the
random effects well, centred where they do not. The expected complete information on the means is, pattern by pattern,

    (X - ZW)' R^-1 (X - ZW) + W' Omega^-1 W.

Those terms are centred for which its trace against the covariance of the means, through the constraints, is smallest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from itertools import product
from typing import ClassVar, NamedTuple

import numpy as np

from saem.families.linear.arrays import LinearArrays

Array = np.ndarray
Terms = tuple[bool, ...]

EXPLAINED = 1e-12  # of a column's sum of squares: nothing is left of it
DEPENDENT = 1e-10  # eigenvalue of a design of random effects whose columns have length one
BETTER = 0.9  # of the trace: what a change must bring it down to
ENUMERATED = 6  # terms of which every choice is looked at; of more, all or none


class Located(NamedTuple):
    """What centring some terms of a variance group changes, summed over its clusters."""

    location: Array  # (P_g, q, p) W, pattern by pattern
    xx: Array  # (H, p, p) (X - ZW)'(X - ZW) - X'X
    xy: Array  # (H, p) -(ZW)'y
    moment: Array  # (q, q, p, p) sum of W_ja W_kb


@dataclass(frozen=True, eq=False)
class Centring:
    """The augmentations of the linear family; see `saem.families.problem.Augmentation`.

    A *placement* (G * q,) bool says which terms are centred, variance group by variance group.
    """

    plain: LinearArrays
    labels: tuple[str, ...]  # (G * q,) of the terms of each variance group
    known: dict[tuple[int, Terms], Located] = field(default_factory=dict)
    weighs: ClassVar[bool] = True

    def arrays(self, placement: Array) -> LinearArrays:
        """The arrays with some terms centred."""
        terms = placement.reshape(self.plain.sd_index.shape)
        return centred(self.plain, {int(g): self.located(int(g), terms[g]) for g in np.flatnonzero(terms.any(axis=1))})

    def uncentred(self, x: Array) -> Array:
        """No term is centred."""
        return np.zeros(self.plain.sd_index.size, dtype=bool)

    def centred(self, x: Array) -> Array:
        """All terms whose standard deviation at ``x`` is not zero are centred."""
        return np.asarray(x[self.plain.sd_index].ravel() > 0.0)

    def describe(self, placement: Array) -> str:
        """Which terms are centred, in words."""
        if placement.all():
            return "centred on the means"
        if not placement.any():
            return "uncentred random effects"
        inside = ", ".join(label for label, chosen in zip(self.labels, placement, strict=True) if chosen)
        return f"centred on the means: {inside}; the other random effects uncentred"

    def choose(self, x: Array, covariance: Array, current: Array | None = None) -> Array:
        """The placement for which least of the information on the means is missing."""
        plain = self.plain
        weight = covariance[np.ix_(plain.mean_index, plain.mean_index)]
        able = self.centred(x).reshape(plain.sd_index.shape)
        inverses = [inverse_covariance(plain, x, g) for g in range(len(able))]
        residual = x[plain.residual_index] ** -2.0

        def cost(group: int, terms: Terms) -> float:
            """Trace of the information of a group's clusters against ``weight``, less that without centring."""
            inverse = inverses[group]
            if not any(terms):
                return 0.0
            if inverse is None:
                return np.inf
            change = self.located(group, np.array(terms))
            value = residual @ np.sum(change.xx * weight, axis=(1, 2))
            value += np.sum(inverse * np.sum(change.moment * weight, axis=(2, 3)))
            return float(value) if np.isfinite(value) else np.inf

        best = [min(choices(row), key=partial(cost, g)) for g, row in enumerate(able)]
        if current is not None:
            kept: list[Terms] = [tuple(row) for row in (current.reshape(able.shape) & able).tolist()]
            rest = float(residual @ np.sum(plain.xx * weight, axis=(1, 2)))
            before, after = (rest + sum(cost(g, terms) for g, terms in enumerate(each)) for each in (kept, best))
            if not after < BETTER * before:
                best = kept
        return np.array(best, dtype=bool).ravel()

    def located(self, group: int, terms: Array) -> Located:
        """What centring some terms (q,) of a group changes; it does not depend on the parameters."""
        key = group, tuple(terms.tolist())
        if key not in self.known:
            self.known[key] = locate(self.plain, group, terms)
        return self.known[key]


def choices(able: Array) -> list[Terms]:
    """What may be centred in a group, where some terms (q,) are able to."""
    none, every = (False,) * len(able), tuple(bool(each) for each in able)
    if np.sum(able) > ENUMERATED:
        return [none, every]
    return list(product(*((False, True) if each else (False,) for each in able)))


def inverse_covariance(arrays: LinearArrays, x: Array, group: int) -> Array | None:
    """``Omega^-1`` (q, q) of a group, zero for absent effects; None where it is singular."""
    sd, index = x[arrays.sd_index[group]], arrays.corr_index[group]
    omega = (np.where(index >= 0, x[index], 0.0) + np.eye(len(sd))) * np.outer(sd, sd)
    present = np.ix_(sd > 0.0, sd > 0.0)
    inverse = np.zeros_like(omega)
    try:
        inverse[present] = np.linalg.inv(omega[present])
    except np.linalg.LinAlgError:
        return None
    return inverse


def projection(zz: Array, zx: Array, terms: Array) -> Array:
    """``W`` (P, q, p): the projection of the mean design on the columns of some terms (q,), zero in other rows."""
    location = np.zeros_like(zx)
    at = np.flatnonzero(terms)
    size = np.sqrt(np.maximum(np.einsum("pjj->pj", zz)[:, at], 1e-300))
    scaled = zz[:, at[:, None], at] / (size[:, :, None] * size[:, None, :])
    inverse = np.linalg.pinv(scaled, rcond=DEPENDENT, hermitian=True)
    location[:, at] = (inverse @ (zx[:, at] / size[:, :, None])) / size[:, :, None]
    return location


def locate(arrays: LinearArrays, group: int, terms: Array) -> Located:
    """See `Centring.located`."""
    here = arrays.pattern_group == group
    size, zz, zx = arrays.pattern_size[here], arrays.zz[here], arrays.zx[here]
    location = projection(zz.sum(axis=1), zx.sum(axis=1), terms)
    weighted = size[:, None, None] * location
    cross = np.einsum("pjc,phjd->hcd", weighted, zx)
    square = np.einsum("pjc,phjd->hcd", weighted, zz @ location[:, None])
    means = arrays.columns[arrays.column_start[:-1]][here].reshape(zz.shape[:3])
    return Located(
        location=location,
        xx=square - cross - np.swapaxes(cross, 1, 2),
        xy=-np.einsum("pjc,phj->hc", weighted, means),
        moment=np.einsum("pja,pkb->jkab", weighted, location),
    )


def centred(arrays: LinearArrays, groups: dict[int, Located]) -> LinearArrays:
    """The arrays of the model with some variance groups centred."""
    location, moment = np.zeros_like(arrays.location), np.zeros_like(arrays.location_moment)
    left_xx, left_xy, left_zx = arrays.xx.copy(), arrays.xy.copy(), arrays.zx.copy()
    is_centred = np.zeros_like(arrays.is_centred)
    for group, change in groups.items():
        here = arrays.pattern_group == group
        is_centred[group] = True
        location[here], moment[group] = change.location, change.moment
        left_xx += change.xx
        left_xy += change.xy
        left_zx[here] -= arrays.zz[here] @ change.location[:, None]
    for h in range(len(left_xx)):
        gone = np.diag(left_xx[h]) <= EXPLAINED * np.diag(arrays.xx[h])  # the rest is rounding
        left_xx[h][gone] = 0.0
        left_xx[h][:, gone] = 0.0
        left_xy[h][gone] = 0.0
        left_zx[:, h, :, gone] = 0.0
    return arrays._replace(
        is_centred=is_centred,
        location=location,
        left_xx=left_xx,
        left_xy=left_xy,
        left_zx=left_zx,
        location_moment=moment,
    )
