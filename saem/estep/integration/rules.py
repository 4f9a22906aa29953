"""Rules of integration over the random effects of a cluster: points and weights in coordinates of unit curvature.

The integral of ``exp f(w)`` is about ``sum_k exp(f(w_k) + l_k)``.

* Product rules of Gauss-Hermite, for as many nodes in each direction.
* Points of a multivariate t distribution by randomised quasi-Monte Carlo: Sobol sequences, each scrambled on its own
  (Owen 1997; `scipy.stats.qmc`), so that what they differ by tells the error. They are weighted by the density that
  they come from: importance sampling. Seeds are fixed, so that a rule is always the same.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np

Array = np.ndarray

FREEDOM = 5.0  # of the t distribution, as in saemix and Monolix
SCRAMBLES = 8  # sequences of a rule
VARIANTS = 16  # of a rule: errors by points that all clusters shared would add up
MOST_EFFECTS = 6  # of which product rules are formed: for more, two that can be compared have too many points
EDGE = 1e-12  # probabilities that are nearer to zero or one have no quantile


class Rule(NamedTuple):
    """Points and logarithms of their weights."""

    points: Array  # (K, d)
    log_weights: Array  # (K,)


class Kind(NamedTuple):
    """Which rule: of how many nodes in each direction, or else of how many points of a t distribution."""

    nodes: int
    draws: int
    effects: int  # d
    variant: int = 0


def nodes_in_one_dimension(nodes: int) -> tuple[Array, Array]:
    """Nodes (k,) and logarithms of weights (k,) for ``int f(w) dw``, exact for polynomials times ``exp(-w^2 / 2)``."""
    points, weights = np.polynomial.hermite.hermgauss(nodes)
    return np.sqrt(2.0) * points, np.log(weights) + points**2 + 0.5 * np.log(2.0)


@cache
def product_rule(nodes: int, effects: int) -> Rule:
    """The product rule with so many nodes in each of so many directions."""
    if effects == 0:
        return Rule(np.zeros((1, 0)), np.zeros(1))
    points, log_weights = nodes_in_one_dimension(nodes)
    places = np.indices((nodes,) * effects).reshape(effects, -1).T
    return Rule(points[places], log_weights[places].sum(axis=1))


@cache
def t_rule(draws: int, effects: int, variant: int = 0) -> Rule:
    """So many points of a t distribution, of which each of the `SCRAMBLES` parts is a rule of its own."""
    from scipy.special import gammaincinv, ndtri
    from scipy.stats.qmc import Sobol

    each, seeds = draws // SCRAMBLES, range(variant * SCRAMBLES, (variant + 1) * SCRAMBLES)
    uniform = np.concatenate([Sobol(effects + 1, seed=seed).random(each) for seed in seeds])
    uniform = np.clip(uniform, EDGE, 1.0 - EDGE)
    squares = 2.0 * gammaincinv(0.5 * FREEDOM, uniform[:, -1]) / FREEDOM
    points = ndtri(uniform[:, :-1]) / np.sqrt(squares)[:, None]
    log_density = math.lgamma(0.5 * (FREEDOM + effects)) - math.lgamma(0.5 * FREEDOM)
    log_density -= 0.5 * effects * math.log(FREEDOM * math.pi)
    log_densities = log_density - 0.5 * (FREEDOM + effects) * np.log1p(np.sum(points**2, axis=1) / FREEDOM)
    return Rule(points, -log_densities - math.log(len(points)))


def rule_of(kind: Kind) -> Rule:
    """The rule of a kind."""
    return t_rule(kind.draws, kind.effects, kind.variant) if kind.draws else product_rule(kind.nodes, kind.effects)


def part_of(rule: Rule, kind: Kind, part: int) -> Rule:
    """A part of a rule that is a rule of its own; of a product rule, all of it."""
    if not kind.draws:
        return rule
    each = len(rule.points) // SCRAMBLES
    own = slice(part * each, (part + 1) * each)
    return Rule(rule.points[own], rule.log_weights[own] + math.log(SCRAMBLES))


class Table(NamedTuple):
    """Rules one after the other, for compiled functions."""

    points: Array  # (K, d), of all rules
    log_weights: Array  # (K,)
    begins: Array  # (R + 1,) int64, where the points of each rule begin, and the last end


def table_of(rules: list[Rule]) -> Table:
    """Rules, of any numbers of points and directions, one after the other."""
    begins = np.cumsum([0, *(len(rule.log_weights) for rule in rules)])
    effects = max((rule.points.shape[1] for rule in rules), default=0)
    found = Table(np.zeros((begins[-1], effects)), np.zeros(begins[-1]), begins.astype(np.int64))
    for rule, begin, end in zip(rules, begins[:-1], begins[1:], strict=True):
        found.points[begin:end, : rule.points.shape[1]], found.log_weights[begin:end] = rule
    return found
