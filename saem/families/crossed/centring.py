"""Where the means are put: in the rows' law, or column by column in that of the random effects of one factor.

Centred, the latent data are ``phi = u + W (beta - reference)``. A column of the mean design is centred in one factor:
that column of ``W`` is its projection on the factor's random effects, unit by unit, and zero for all others. What they
do not explain of it stays in the rows' law. See `saem.families.linear.centring` for when EM is fast: of an intercept,
which every factor can take up, the factor that tells least of it should.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
from scipy import sparse

from saem.families.crossed.arrays import CrossedArrays
from saem.families.crossed.data import CrossedData
from saem.families.crossed.rows import design_of, order_of
from saem.families.linear.centring import BETTER, EXPLAINED, projection

Array = np.ndarray

UNEXPLAINED = 1.0 - 1e-6  # of a column's sum of squares: nothing of it is explained
SAME = 1e-9  # of a column's sum of squares: two factors explain as much of it
SWEEPS = 10  # through the columns, at most, in search of the best choice


class Candidates(NamedTuple):
    """Every column centred in every one of F factors, or, in place F, in none."""

    location: Array  # (F + 1, Q, p) W
    zz: list[sparse.csr_array]  # Z'W_hZ
    xx: Array  # (H, F + 1, p, F + 1, p) products of what is left in the rows
    moment: Array  # (B, q, q, p, p) sum of W_ja W_kb, unit by unit
    rank: Array  # (F, p) from 0, the factors from that which is first to take a column up
    able: Array  # (F, p) bool, whether it explains anything of it


@dataclass(frozen=True, eq=False)
class Centring:
    """The augmentations of the family; see `saem.families.problem.Augmentation`.

    A *placement* (F * p,) bool says, factor by factor, which columns of the mean design may be centred in it. Of
    several for one column it is that which explains most of it, of equals that with the fewest units.
    """

    plain: CrossedArrays
    data: CrossedData
    weighs: ClassVar[bool] = True

    @cached_property
    def factor_of(self) -> Array:
        """The factor (B,) of each block."""
        unit = self.data.unit
        factor = np.searchsorted(unit.max(axis=0), np.arange(len(self.data.cluster_group)))
        found = np.empty(len(self.plain.block_size), dtype=np.int64)
        found[self.data.cluster_group] = factor
        return found

    @cached_property
    def candidates(self) -> Candidates:
        """They do not depend on the parameters."""
        return candidates(self.plain, self.data, self.factor_of)

    def arrays(self, placement: Array) -> CrossedArrays:
        """The arrays with some columns centred."""
        return centred(self.plain, self.candidates, self.factor_of, self.chosen(placement))

    def uncentred(self, x: Array) -> Array:
        """No column is centred."""
        return np.zeros(self.candidates.able.size, dtype=bool)

    def centred(self, x: Array) -> Array:
        """All columns, in all factors that have no standard deviation of zero at ``x``."""
        present = np.ones(len(self.candidates.able), dtype=bool)
        for b, d in enumerate(self.plain.block_size):
            present[self.factor_of[b]] &= bool(np.all(x[self.plain.sd_index[b, :d]] > 0.0))
        return np.asarray((self.candidates.able & present[:, None]).ravel())

    def describe(self, placement: Array) -> str:
        """Which columns are centred in which factor, in words."""
        chosen = self.chosen(placement)
        names, labels = list(dict.fromkeys(each.partition(" where ")[0] for each in self.data.group_levels)), []
        for f, name in enumerate(names):
            own = [self.data.parameters.names[i] for i in self.plain.mean_index[chosen == f]]
            labels += [f"{', '.join(own)} in {name}"] if own else []
        return "uncentred random effects" if not labels else f"centred on means: {'; '.join(labels)}"

    def chosen(self, placement: Array) -> Array:
        """The factor (p,) that each column is centred in; F for none."""
        able, rank = self.candidates.able, self.candidates.rank
        place = np.where(placement.reshape(able.shape) & able, rank, len(able))
        return np.where(place.min(axis=0) < len(able), place.argmin(axis=0), len(able))

    def choose(self, x: Array, covariance: Array, current: Array | None = None) -> Array:
        """The placement for which least of the information on the means is missing."""
        able = self.centred(x).reshape(self.candidates.able.shape)
        none, columns = len(able), np.arange(len(self.plain.mean_index))
        weight = covariance[np.ix_(self.plain.mean_index, self.plain.mean_index)]
        information = self.information(x, able)

        def cost(choice: Array) -> float:
            """Trace of the information of the complete data against ``weight``."""
            at = choice * len(columns) + columns
            return float(np.sum(information[np.ix_(at, at)] * weight))

        def improved(choice: Array) -> Array:
            """A choice after no change of a single column of which there is a better one."""
            for _ in range(SWEEPS):
                before = choice.copy()
                for c in columns:
                    for f in np.flatnonzero(able[:, c]).tolist() + [none]:
                        other = choice.copy()
                        other[c] = f
                        if cost(other) < cost(choice):
                            choice = other
                if np.array_equal(choice, before):
                    break
            return choice

        first = [np.full(len(columns), none)]
        first += [np.where(able[f], f, none) for f in range(none)]
        best = min((improved(choice) for choice in first), key=cost)
        if current is not None:
            kept = self.chosen(current & able.ravel())
            if not cost(best) < BETTER * cost(kept):
                best = kept
        placement: Array = np.arange(none)[:, None] == best
        return placement.ravel()

    def information(self, x: Array, able: Array) -> Array:
        """The expected complete information ((F + 1) p, (F + 1) p) on the means, of each centred in each factor.

        Makes columns not ``able`` (F, p) whose factor has a singular covariance at ``x``.
        """
        plain, known = self.plain, self.candidates
        found = np.tensordot(x[plain.residual_index] ** -2.0, known.xx, axes=1)
        for b, d in enumerate(plain.block_size):
            f, sd, index = self.factor_of[b], x[plain.sd_index[b, :d]], plain.corr_index[b, :d, :d]
            if not able[f].any():
                continue
            omega = (np.where(index >= 0, x[index], 0.0) + np.eye(d)) * np.outer(sd, sd)
            try:
                inverse = np.linalg.inv(omega)
            except np.linalg.LinAlgError:
                able[f] = False
                continue
            found[f, :, f] += np.einsum("jk,jkab->ab", inverse, known.moment[b, :d, :d])
        return np.asarray(found.reshape(able.shape[1] * (len(able) + 1), -1))


def candidates(arrays: CrossedArrays, data: CrossedData, factor_of: Array) -> Candidates:
    """See `Candidates`."""
    order = order_of(data)
    design = design_of(data, order)
    weights = np.ones(len(data.response)) if data.weights is None else data.weights
    zz = []
    for h in range(len(arrays.xy)):
        own = np.flatnonzero(data.residual_group == h)
        zz.append((design[own].T @ (design[own] * weights[own, None])).tocsr())
    total, all_zx = sum(zz[1:], zz[0]), arrays.zx.sum(axis=0)
    factors, (size, p), q = int(factor_of.max()) + 1, all_zx.shape, arrays.sd_index.shape[1]
    location = np.zeros((factors + 1, size, p))
    moment = np.zeros((len(factor_of), q, q, p, p))
    for b, d in enumerate(arrays.block_size):
        at = order.start[data.cluster_group == b][:, None] + np.arange(d)
        products = np.empty((len(at), d, d))
        for j in range(d):
            for k in range(d):
                products[:, j, k] = total[at[:, j], at[:, k]]
        own = projection(products, all_zx[at], np.ones(d, dtype=bool))
        location[factor_of[b], at] = own
        moment[b, :d, :d] = np.einsum("uja,ukb->jkab", own, own)
    wide = location.transpose(1, 0, 2).reshape(size, -1)
    shape = (len(location), p, len(location), p)
    xx = np.empty((len(zz), *shape))
    for h, each in enumerate(zz):
        mixed = (wide.T @ arrays.zx[h]).reshape(len(location), p, 1, p)
        xx[h] = arrays.xx[h][None, :, None] - mixed - mixed.transpose(2, 3, 0, 1)
        xx[h] += (wide.T @ (each @ wide)).reshape(shape)
    all_of = np.einsum("hpp->hp", arrays.xx)
    for h, f, c in np.argwhere(np.einsum("hfcfc->hfc", xx) <= EXPLAINED * all_of[:, None]):
        xx[h, f, c] = 0.0  # the rest is rounding
        xx[h, :, :, f, c] = 0.0
    share = np.einsum("hfcfc->fc", xx)[:factors] / np.maximum(all_of.sum(axis=0), 1e-300)
    units = np.bincount(factor_of, weights=arrays.n_units)
    rank = np.argsort(
        np.lexsort((np.broadcast_to(units[:, None], share.shape), np.round(share / SAME)), axis=0), axis=0
    )
    return Candidates(location, zz, xx, moment, rank, share < UNEXPLAINED)


def centred(arrays: CrossedArrays, known: Candidates, factor_of: Array, choice: Array) -> CrossedArrays:
    """The arrays with the columns centred in the factors of a choice (p,)."""
    columns = np.arange(len(choice))
    location = np.ascontiguousarray(known.location[choice, :, columns].T)
    here = choice == factor_of[:, None]  # (B, p)
    moment = known.moment * (here[:, :, None] & here[:, None])[:, None, None]
    left_xx = known.xx[:, choice, columns][:, :, choice, columns]
    left_xy = arrays.xy - arrays.zy @ location
    left_zx = np.stack([each - zz @ location for each, zz in zip(arrays.zx, known.zz, strict=True)])
    for h, c in np.argwhere(np.einsum("hcc->hc", left_xx) == 0.0):
        left_xy[h, c] = 0.0
        left_zx[h, :, c] = 0.0
    return arrays._replace(
        is_centred=here.any(axis=1),
        location=location,
        location_moment=moment,
        left_xx=np.ascontiguousarray(left_xx),
        left_xy=left_xy,
        left_zx=left_zx,
    )
