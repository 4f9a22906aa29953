"""Product rules with more and more nodes for each cluster, until those that follow each other agree."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from saem.errors import FitError
from saem.estep.integration.marginal import parts_of
from saem.estep.integration.placing import Placing

Array = np.ndarray

LADDER = (3, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97)  # numbers of nodes in each direction that are tried
CHANCE = 10.0  # times what two rules may differ by: what the two before may, or they agree by chance


class Asked(NamedTuple):
    """What is asked of the rules of some clusters."""

    above: int  # they are tried from two before the first with more points than this on,
    most: int  # up to so many points
    tolerance: float  # what two that agree differ by at most
    exact: bool = False  # whether those that agree count as exact; else what the last one changes is a standard error


def up_the_ladder(
    arrays: object, placing: Placing, clusters: Array, x: Array, asked: Asked
) -> tuple[Placing, Array, Array]:
    """Give clusters (k,) the first number of nodes that agrees with the next ones, by their numbers of effects.

    The last two must agree, and the one before them nearly so, lest two agree by chance; where no more than two are
    possible, these do. What the last one says is kept as a correction.

    Returns
    -------
    placing : Placing
    left : ndarray
        The clusters for which no two agree; they have the most nodes.
    change : ndarray
        The differences by the last two of each of these; infinite where no two were tried.

    Raises
    ------
    FitError
        When there is no log-likelihood at ``x``.
    """
    effects, left, change = placing.effects[clusters], clusters[:0], np.empty(0)
    for d in np.unique(effects):
        placing, still, last = up_one_ladder(arrays, placing, clusters[effects == d], x, asked)
        left, change = np.concatenate([left, still]), np.concatenate([change, last])
    order = np.argsort(left)
    return placing, left[order], change[order]


def up_one_ladder(
    arrays: object, placing: Placing, clusters: Array, x: Array, asked: Asked
) -> tuple[Placing, Array, Array]:
    """`up_the_ladder` for clusters (k,) with the same number of random effects."""
    nodes, variance, before = placing.nodes.copy(), placing.variance.copy(), np.full(len(clusters), np.nan)
    placing = replace(placing, correction=np.where(np.isin(np.arange(len(nodes)), clusters), 0.0, placing.correction))
    correction = placing.correction.copy()
    change, left = np.full(len(clusters), np.inf), clusters
    effects = max(1, int(placing.effects[clusters[0]]))
    ladder = [count for count in LADDER if count**effects <= asked.most]
    ladder = ladder[max(0, sum(count**effects <= asked.above for count in ladder) - 2) :]
    if placing.is_beyond_products[clusters[0]] or len(ladder) < 2:
        return placing, left, change  # nothing to compare it with
    third = min(2, len(ladder) - 1)  # before that, rules of skewed integrals agree by chance
    last, earlier = np.full(len(clusters), np.inf), before
    for step, count in enumerate(ladder):
        trial = nodes.copy()
        trial[left] = count
        after = parts_of(replace(placing, nodes=trial).objective(arrays), x, left)
        if not np.isfinite(after).all():
            raise FitError(
                "the likelihood cannot be integrated at these parameters: it is zero, or the random effects of a "
                "cluster have no mode that is found; give other starting values"
            )
        change = np.abs(after - before)
        if step:
            if not asked.exact:
                variance[left] = change**2
            done = (change <= asked.tolerance) & ((last <= CHANCE * asked.tolerance) | (third < 2)) & (step >= third)
            are_three = done & (last <= asked.tolerance)
            correction[left[done]] = np.where(are_three, after - earlier, after - before)[done]
            nodes[left[are_three]] = ladder[step - 2]
            left, after, before, change = (each[~done] for each in (left, after, before, change))
        last, earlier, before = change, before, after
        nodes[left] = count
        if not len(left):
            break
    return replace(placing, nodes=nodes, correction=correction, variance=variance), left, change
