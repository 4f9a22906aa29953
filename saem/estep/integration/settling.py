"""The rules by which the marginal likelihood of a problem is integrated are chosen, cluster by cluster.

What is tried, until three rules agree: more and more nodes at the mode; then, where these are many, more and more
nodes where mean and covariance of the random effects are; and where no number of nodes does, points of a mixture of t
distributions, whose error is known. The first suits most clusters; the second, skewed distributions; the last, ridges.
"""

from __future__ import annotations

import hashlib
import math
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np

from saem.errors import FitError, ModelError
from saem.estep.integration.ladder import LADDER, Asked, up_the_ladder
from saem.estep.integration.marginal import Quadrature, parts_of
from saem.estep.integration.matching import held, match
from saem.estep.integration.mixtures import better, fit_mixtures
from saem.estep.integration.placing import Placing, numbers_of_effects
from saem.estep.integration.rules import SCRAMBLES
from saem.families.problem import Clusters, Problem

Array = np.ndarray

FEW_POINTS, MANY_POINTS, MOST_POINTS = 350, 8_000, 36_000  # of a product rule: at the mode, matched, and at most
SOME_POINTS = 2_500  # where it is matched far from the maximum
COSTLY = 400_000  # points of all rules with more than these, for which few steps of Newton's method must do
DRAWS = (1_024, 4_096, 16_384, 65_536)  # points of a mixture that are tried
MANY_DRAWS = 16_384  # before more, a better mixture is looked for
MANY_CLUSTERS = 100
FAR = 0.05  # of a parameter: what it has moved by when rules are looked at again
NEAR = 0.01  # of it: no need to look again
LITTLE = 1e-4  # of the log-likelihood: rules that agree so well stay the same
QUARTER = 0.25  # of the square of what four times as many points change, which is mostly the error of the few
SAME = 3.0  # standard errors by which two rules may differ that agree


@dataclass(frozen=True)
class Accuracy:
    """How well the log-likelihood of all clusters is to be known.

    Attributes
    ----------
    few, many, most : float
        Difference by two numbers of nodes, one after the other, below which they agree: where few points suffice,
        where many are needed, and what is put up with where these do not.
    dear, left : float
        The same where they have more points than many: below the first they agree, the second is put up with.
    simulated : float
        Standard error by points of a mixture.
    believed : float
        The largest at which it is believed.
    points, dear_points : int
        Of a product rule: many, and at most.
    draws : tuple of int
        Numbers of points of a mixture that are tried.
    exact : bool
        Whether rules that agree count as exact, and move with the parameters, unless they are costly all together.
    """

    few: float = 1e-4
    many: float = 1e-3
    most: float = 5e-3
    dear: float = 1e-2
    left: float = 0.05
    simulated: float = 0.05
    believed: float = 1.0
    points: int = MANY_POINTS
    dear_points: int = MOST_POINTS
    draws: tuple[int, ...] = DRAWS
    exact: bool = True


FINE = Accuracy()
FINEST = Accuracy(few=1e-4, many=3e-4)  # beside rules that have an error
GOOD = Accuracy(few=0.01, many=0.01)  # beside what is left to simulation
COARSE = Accuracy(  # far from the maximum
    few=0.1,
    many=0.1,
    most=1.0,
    simulated=1.0,
    believed=np.inf,
    points=SOME_POINTS,
    dear_points=SOME_POINTS,
    draws=(1_024,),
    exact=False,
)


@dataclass(frozen=True, eq=False)
class Settled:
    """The objective of a problem, with the rules that it consists of."""

    objective: Quadrature
    placing: Placing
    chosen: Array  # (n,) where the rules were chosen
    x: Array  # (n,) where they were last looked at
    accuracy: Accuracy | None = None  # with which they were chosen and looked at, if not at a start

    @cached_property
    def key(self) -> bytes:
        """The same for the same rules only."""
        digest = hashlib.blake2b()
        for values in vars(self.placing).values():
            digest.update(np.ascontiguousarray(values).tobytes())
        return digest.digest()


#: Of problems in use; the rules may become finer, see `refined`.
_SETTLED: WeakKeyDictionary[Clusters, Settled] = WeakKeyDictionary()


def settled_of(problem: Problem) -> Settled:
    """The marginal likelihood of a problem with its rules, which suffice at its first start.

    Problems that differ in their constraints, or in which latent data are drawn, share it.
    """
    clusters, likelihood = problem.clusters, problem.likelihood
    if clusters not in _SETTLED:
        assert clusters.joint is not None
        arrays, x = clusters.joint(), problem.starts.first
        effects, first = numbers_of_effects(arrays, x, clusters.count), likelihood.first_nodes
        if likelihood.nodes:
            placing = Placing.at_modes(effects, likelihood.nodes)
        elif first:
            few = float(first) ** effects <= FEW_POINTS
            placing = Placing.at_modes(effects, np.where(few, first, 1))  # of many effects: Laplace's approximation
        else:
            placing = settled(arrays, clusters.count, x)
        _SETTLED[clusters] = Settled(placing.objective(arrays, clusters.constant), placing, x, x)
    return _SETTLED[clusters]


def objective_of(problem: Problem) -> Quadrature:
    """The marginal likelihood of a problem by the rules of the moment; see `settled_of`."""
    return settled_of(problem).objective


def keep(problem: Problem, placing: Placing, x: Array) -> None:
    """Integrate by other rules from now on, which were chosen for parameters (n,)."""
    clusters = problem.clusters
    assert clusters.joint is not None
    _SETTLED[clusters] = Settled(placing.objective(clusters.joint(), clusters.constant), placing, x, x)


def refined(problem: Problem, x: Array, accuracy: Accuracy = FINE) -> bool:
    """Whether at ``x`` (n,) other rules were needed; the objective of the problem has them from now on.

    Raises
    ------
    ModelError, FitError
        See `settled`.
    """
    clusters, likelihood = problem.clusters, problem.likelihood
    if likelihood.kind != "quadrature" or likelihood.nodes:
        return False
    x, now = np.array(x, dtype=float), settled_of(problem)
    if now.accuracy in (accuracy, FINE) and not is_far(problem, now.x, x, NEAR):
        return False
    arrays, every = now.objective.arrays, np.arange(clusters.count)
    placing = settled(arrays, clusters.count, x, accuracy)
    new = Settled(placing.objective(arrays, clusters.constant), placing, x, x, accuracy)
    off = parts_of(new.objective, x, every) - parts_of(now.objective, x, every)
    # two rules that are each good enough may differ by what either may be wrong by
    error = (accuracy.few + accuracy.many) * share_of(clusters.count)
    error = error + SAME * np.sqrt(now.placing.variance + placing.variance)
    with np.errstate(invalid="ignore"):
        agree = (np.abs(off) <= error) & ((now.placing.draws == 0) | (now.placing.draws >= placing.draws))
    exact = (now.placing.variance == 0.0) & (placing.variance == 0.0)
    keeps = now.accuracy is not None and np.all(agree) and abs(off[exact].sum()) <= LITTLE
    _SETTLED[clusters] = replace(now, x=x, accuracy=accuracy) if keeps else new
    return not keeps


def look_finely(problem: Problem, x: Array) -> None:
    """Give a problem the rules that a maximum at ``x`` (n,) needs, if there are any, and it is not simulated."""
    if problem.likelihood.kind != "quadrature" or problem.likelihood.nodes:
        return
    with suppress(ModelError, FitError):  # where it is not known, who needs it says so
        if settled_of(problem).placing.mcse == 0.0:
            refined(problem, x)


def rules_of(problem: Problem) -> Array | None:
    """Parameters (2, n) at which the rules of a problem were chosen, and last looked at; None before they were."""
    now = settled_of(problem)
    return None if now.accuracy is None else np.vstack([now.chosen, now.x])


def choose_again(problem: Problem, rules: Array, accuracy: Accuracy) -> None:
    """Give a problem the rules that it had when `rules_of` gave these parameters (2, n)."""
    clusters, (chosen, x) = problem.clusters, np.array(rules, dtype=float)
    arrays = settled_of(problem).objective.arrays
    placing = settled(arrays, clusters.count, chosen, accuracy)
    _SETTLED[clusters] = Settled(placing.objective(arrays, clusters.constant), placing, chosen, x, accuracy)


def roughly(problem: Problem, x: Array) -> Problem:
    """The same problem with rules that tell its likelihood around ``x`` (n,) roughly, at a fraction of the cost.

    One in closed form, or with numbers of nodes that were asked for, is what it was.

    Raises
    ------
    ModelError, FitError
        See `settled`.
    """
    if problem.likelihood.kind != "quadrature" or problem.likelihood.nodes:
        return problem
    arrays, clusters, x = settled_of(problem).objective.arrays, replace(problem.clusters), np.array(x, dtype=float)
    placing = settled(arrays, clusters.count, x, COARSE)
    _SETTLED[clusters] = Settled(placing.objective(arrays, clusters.constant), placing, x, x)
    return replace(problem, clusters=clusters)


def has_moved(problem: Problem, x: Array) -> bool:
    """Whether parameters (n,) are far from where the rules of a problem were last looked at."""
    return is_far(problem, settled_of(problem).x, x, FAR)


def is_far(problem: Problem, before: Array, x: Array, share: float) -> bool:
    """Whether a parameter (n,) has moved by more than a share of its size."""
    return bool(np.any(np.abs(x - before) > share * sizes(problem, before)))


def sizes(problem: Problem, x: Array) -> Array:
    """What a move of parameters at ``x`` (n,) is small or large beside, each (n,) by its domain.

    A value is its own measure where it is positive; but not where it has two bounds: a correlation may well be zero.
    """
    domains = problem.parameters.domains
    with np.errstate(invalid="ignore"):
        half = 0.5 * (domains.high - domains.low)
    kinds = [domains.is_positive, domains.is_between]
    return np.select(kinds, [np.abs(x), half], np.maximum(np.abs(x), problem.scale))


def settled(arrays: object, n_clusters: int, x: Array, accuracy: Accuracy = FINE) -> Placing:
    """For each cluster the first rule that agrees with those after it about its integral; see `up_the_ladder`.

    Parameters
    ----------
    arrays : NamedTuple
        With `log_complete`.
    n_clusters : int
    x : (n,) ndarray
        Rules chosen at a start should be looked at again at the estimate.
    accuracy : Accuracy

    Raises
    ------
    ModelError
        When the log-likelihood is known no better than it must be to be believed.
    FitError
        When there is no log-likelihood at ``x``.
    """
    x = np.array(x, dtype=float)
    return held(arrays, chosen(arrays, n_clusters, x, accuracy), x)


def chosen(arrays: object, n_clusters: int, x: Array, accuracy: Accuracy) -> Placing:
    """The rules of `settled`, at modes that move."""
    placing = Placing.at_modes(numbers_of_effects(arrays, x, n_clusters), LADDER[0])
    share, every, exact = share_of(n_clusters), np.arange(n_clusters), accuracy.exact
    placing, left, _ = up_the_ladder(arrays, placing, every, x, Asked(0, FEW_POINTS, share * accuracy.few, exact))
    if not len(left):
        return placing
    placing = match(arrays, placing, left, x)
    placing, left, change = up_the_ladder(arrays, placing, left, x, Asked(0, accuracy.points, share * accuracy.many))
    if exact:
        points = np.where(placing.is_beyond_products, 0.0, placing.nodes.astype(float) ** placing.effects)
        is_costly = (points > SOME_POINTS) & (points[points > SOME_POINTS].sum() > COSTLY)
        placing = replace(placing, variance=np.where(is_costly, placing.variance, 0.0))
        placing = replace(placing, correction=np.where(is_costly, 0.0, placing.correction))
    if change.sum() <= accuracy.most:
        return placing
    left, change = left[change > share * accuracy.most], change[change > share * accuracy.most]
    if accuracy.dear_points > accuracy.points:
        asked = Asked(accuracy.points, accuracy.dear_points, share * accuracy.dear)
        placing, left, change = up_the_ladder(arrays, placing, left, x, asked)
        placing = replace(placing, correction=np.where(placing.variance > 0.0, 0.0, placing.correction))
        left = left[change > share * accuracy.left]
    return by_points(arrays, placing, left, x, accuracy) if len(left) else placing


def share_of(n_clusters: int) -> float:
    """The part of what the log-likelihood may be wrong by that a cluster may be.

    The errors of rules mostly have one sign: up to `MANY_CLUSTERS`, all may add up to what is allowed. Of more, they
    may to as much beside the standard deviation of the log-likelihood: estimates are off by the same share of their
    standard errors.
    """
    return 1.0 / max(1.0, min(n_clusters, math.sqrt(MANY_CLUSTERS * n_clusters)))


def by_points(arrays: object, placing: Placing, clusters: Array, x: Array, accuracy: Accuracy) -> Placing:
    """Give clusters (k,) so many points of a mixture that the error of the log-likelihood is small."""
    placing = fit_mixtures(arrays, placing, clusters, x)
    left, limit = clusters, accuracy.simulated**2 / len(placing.nodes)
    nodes, draws, variance = placing.nodes.copy(), placing.draws.copy(), placing.variance.copy()
    nodes[clusters], before = 0, np.full(len(clusters), np.nan)
    for count in accuracy.draws:
        if count > MANY_DRAWS:
            placing = better(arrays, placing, left, x)
        draws[left] = count
        tried = replace(placing, nodes=nodes, draws=draws)
        parts = np.array([parts_of(tried.objective(arrays, part=part), x, left) for part in range(SCRAMBLES)])
        top = parts.max(axis=0)
        shares = np.exp(parts - top)
        mean, own = top + np.log(shares.mean(axis=0)), shares.var(axis=0, ddof=1) / SCRAMBLES / shares.mean(axis=0) ** 2
        # parts that all miss what weighs most differ little: more points must say the same
        change = (mean - before) ** 2
        agree = change <= SAME**2 * (own + variance[left])
        part = np.where(agree, QUARTER, 1.0) * np.nan_to_num(change)
        variance[left] = np.maximum(own, part)
        is_open = ~(agree & (own <= limit))
        left, before = left[is_open], mean[is_open]
        if not len(left):
            break
    found = replace(placing, nodes=nodes, draws=draws, variance=variance)
    if not found.mcse <= accuracy.believed:
        worst = int(np.argmax(np.nan_to_num(variance, nan=np.inf)))
        raise ModelError(
            f"the integral over the {placing.effects[worst]} random effects of a cluster is not known well enough: "
            f"with up to {accuracy.draws[-1]:,} points a cluster the log-likelihood has a standard error of "
            f"{found.mcse:.3g}, where {accuracy.believed:g} is the most that is believed, and most of it comes from "
            f"cluster {worst + 1}"
        )
    return found
