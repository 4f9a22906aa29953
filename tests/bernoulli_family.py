"""A family drawn by Metropolis-Hastings: the Bernoulli outcome with a random intercept (Booth & Hobert 1999).

    logit P(y_ij = 1) = eta_ij = beta x_ij + u_i,    u_i ~ N(0, sigma^2)

In beta this is no exponential family with statistics of finite length. With a second latent variable it is one:
given u, omega_ij ~ PG(1, eta_ij) (Polson, Scott & Windle 2013), and with kappa = y - 1/2

    log p(y, omega, u) = sum (kappa eta - omega eta^2 / 2) - n log sigma - sum u^2 / (2 sigma^2) + terms in omega alone

is linear in S = (sum (kappa - omega u) x, sum omega x^2, sum u^2). Since omega is drawn, and not replaced by its
expectation, Fisher's and Louis' identities hold for draws of S. The chain's state is u alone, with omega integrated
out: its likelihood is that of the model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from parameterkinds import slots_of

from saem.expressions.constraint import compile_constraints
from saem.families import contract
from saem.families.problem import Boundary, Clusters, LatentData, Problem, Starts
from saem.specification.parameters import Parameters
from saem.system.jit import entry, inlined, kernel

TRUNCATION = 0.64  # where Devroye's sampler changes from one series to the other
SPREAD = 2.4  # of proposals, in conditional standard deviations (Gelman, Roberts & Gilks 1996)


class Bernoulli(NamedTuple):
    """Data of N rows, sorted by cluster, and the state of the chain."""

    y: np.ndarray  # (N,) zero or one
    covariate: np.ndarray  # (N,)
    first: np.ndarray  # (n_clusters + 1,) int64, rows of cluster i: first[i] to first[i + 1]
    latent: np.ndarray  # (n_clusters,) random intercepts
    acceptance: np.ndarray  # (2,) moves accepted and proposed


# The sampler is in this file and not in one of its own, since the cache on disk notices changes of this file only.


@kernel
def series(n, v):
    """The n-th coefficient of the alternating series for the density of J*(1, 0)."""
    a = n + 0.5
    if v > TRUNCATION:
        return math.pi * a * math.exp(-0.5 * (a * math.pi) ** 2 * v)
    return math.pi * a * (2.0 / (math.pi * v)) ** 1.5 * math.exp(-2.0 * a * a / v)


@kernel
def truncated_inverse_gaussian(z, rng):
    """A draw from the inverse Gaussian law with mean 1/z and shape 1, given that it is at most `TRUNCATION`."""
    t = TRUNCATION
    if z * t < 1.0:  # the mean is above: from the law for z = 0, which is 1 / chi-square, and accepted or not
        while True:
            e = rng.standard_exponential()
            while e * e > 2.0 * rng.standard_exponential() / t:
                e = rng.standard_exponential()
            v = t / (1.0 + t * e) ** 2
            if rng.random() <= math.exp(-0.5 * z * z * v):
                return v
    mean = 1.0 / z
    while True:  # Michael, Schucany & Haas (1976)
        w = 0.5 * mean * rng.standard_normal() ** 2
        v = mean / (1.0 + w + math.sqrt(w * (w + 2.0)))
        if rng.random() * (mean + v) > mean:
            v = mean * mean / v
        if v <= t:
            return v


@kernel
def polya_gamma(c, rng):
    """An exact draw from PG(1, c) by Devroye's method (Polson, Scott & Windle 2013, section 4 and algorithm 1)."""
    t, z = TRUNCATION, 0.5 * abs(c)
    rate = math.pi**2 / 8.0 + 0.5 * z * z
    right = 0.5 * math.pi / rate * math.exp(-rate * t)
    root = math.sqrt(2.0 * t)
    left = math.exp(-z) * math.erfc((1.0 - t * z) / root) + math.exp(z) * math.erfc((1.0 + t * z) / root)
    while True:
        if rng.random() * (left + right) < right:
            v = t + rng.standard_exponential() / rate
        else:
            v = truncated_inverse_gaussian(z, rng)
        total = series(0, v)
        height = rng.random() * total
        n = 0
        while True:  # partial sums lie below and above the density in turn
            n += 1
            if n % 2 == 1:
                total -= series(n, v)
                if height <= total:
                    return 0.25 * v
            else:
                total += series(n, v)
                if height > total:
                    break


@entry
def fill_polya_gamma(c, rng, values):
    """Write a draw from PG(1, c) for each of the c (n,)."""
    for k in range(len(c)):
        values[k] = polya_gamma(c[k], rng)


@kernel
def log_density(arrays, i, beta, sd, u):
    """log p(y_i, u) of a cluster, up to a constant, with omega integrated out."""
    value = -0.5 * (u / sd) ** 2
    for row in range(arrays.first[i], arrays.first[i + 1]):
        eta = beta * arrays.covariate[row] + u
        value += arrays.y[row] * eta - max(eta, 0.0) - math.log1p(math.exp(-abs(eta)))
    return value


@kernel
def proposal_sd(arrays, i, beta, sd):
    """From the curvature at u = 0: it must not depend on the state, or the proposals would not be symmetric."""
    precision = 1.0 / sd**2
    for row in range(arrays.first[i], arrays.first[i + 1]):
        precision += 0.25 / math.cosh(0.5 * beta * arrays.covariate[row]) ** 2
    return SPREAD / math.sqrt(precision)


@kernel
def sweep(arrays, x, rng):
    """One random-walk Metropolis move of every random intercept."""
    beta, sd = x[0], x[1]
    for i in range(arrays.latent.shape[0]):
        if sd == 0.0:
            arrays.latent[i] = 0.0
            continue
        u = arrays.latent[i]
        proposal = u + proposal_sd(arrays, i, beta, sd) * rng.standard_normal()
        gain = log_density(arrays, i, beta, sd, proposal) - log_density(arrays, i, beta, sd, u)
        arrays.acceptance[1] += 1.0
        if -rng.standard_exponential() < gain:
            arrays.latent[i] = proposal
            arrays.acceptance[0] += 1.0


@kernel
def draw_bernoulli(arrays, x, rng, m, statistics):
    """The mean of the statistics over m sweeps, each with an omega of its own; nan for m = 0."""
    statistics[:] = 0.0 if m > 0 else np.nan
    for _ in range(m):
        sweep(arrays, x, rng)
        for i in range(arrays.latent.shape[0]):
            u = arrays.latent[i]
            statistics[2] += u * u / m
            for row in range(arrays.first[i], arrays.first[i + 1]):
                z = arrays.covariate[row]
                omega = polya_gamma(x[0] * z + u, rng)
                statistics[0] += (arrays.y[row] - 0.5 - omega * u) * z / m
                statistics[1] += omega * z * z / m


@kernel
def complete_bernoulli(arrays, statistics, x, gradient, hessian):
    """Complete-data log-likelihood, up to terms without beta and sigma."""
    beta, sd, n = x[0], x[1], arrays.latent.shape[0]
    if not sd >= 0.0:
        return -np.inf
    value = statistics[0] * beta - 0.5 * statistics[1] * beta**2
    gradient[0] = statistics[0] - statistics[1] * beta
    gradient[1] = 0.0
    hessian[:] = 0.0
    hessian[0, 0] = -statistics[1]
    if sd > 0.0:  # an effect of variance zero is absent
        value -= n * math.log(sd) + 0.5 * statistics[2] / sd**2
        gradient[1] = statistics[2] / sd**3 - n / sd
        hessian[1, 1] = n / sd**2 - 3.0 * statistics[2] / sd**4
    return value


@kernel
def log_joint_bernoulli(arrays, x, cluster, effects, values):
    """log p(y_i, v) of u = sigma v, with v standard normal."""
    values[:] = -np.inf
    if not x[1] >= 0.0:
        return
    for k in range(values.shape[0]):
        v = effects[k, 0] if effects.shape[1] > 0 else 0.0
        values[k] = -0.5 * v * v - 0.5 * math.log(2.0 * math.pi) * effects.shape[1]
        for row in range(arrays.first[cluster], arrays.first[cluster + 1]):
            eta = x[0] * arrays.covariate[row] + x[1] * v
            values[k] += arrays.y[row] * eta - max(eta, 0.0) - math.log1p(math.exp(-abs(eta)))


@inlined
def count_effects(arrays, x, cluster):
    """None where the standard deviation is zero."""
    return 1 if x[1] > 0.0 else 0


contract.supply(contract.n_effects, Bernoulli, count_effects)
contract.supply(contract.log_joint, Bernoulli, log_joint_bernoulli)
contract.supply(contract.draw, Bernoulli, draw_bernoulli)
contract.supply(contract.complete, Bernoulli, complete_bernoulli)


def bernoulli(table: Mapping[str, Any], **constraints: str) -> Problem:
    """The problem for the columns ``cluster``, ``x`` and ``y``, with constraints on ``beta`` and ``sigma``."""
    cluster = np.asarray(table["cluster"])
    order = np.argsort(cluster, kind="stable")
    _, sizes = np.unique(cluster, return_counts=True)
    covariate = np.asarray(table["x"], dtype=float)[order]
    parameters = Parameters.build(slots_of(("beta", "mean"), ("sigma", "sd")), {})
    arrays = Bernoulli(
        y=np.asarray(table["y"], dtype=float)[order],
        covariate=covariate,
        first=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        latent=np.zeros(len(sizes)),
        acceptance=np.zeros(2),
    )
    return Problem(
        parameters=parameters,
        arrays=arrays,
        constraints=compile_constraints(constraints, parameters.names),
        scale=np.array([1.0 / np.sqrt(np.mean(covariate**2)), 1.0]),
        starts=Starts((np.ones(2),)),
        boundary=Boundary(np.array([False, True]), {}, np.zeros(2)),
        latent=LatentData(size=len(sizes), n_statistics=3),
        clusters=Clusters(len(sizes), joint=lambda: arrays),
    )


def booth_hobert(table: str | PathLike[str] | Mapping[str, Any], **constraints: str) -> Problem:
    """The problem for a file, or a table, with the columns of Booth & Hobert's simulated benchmark."""
    columns = pd.read_csv(table) if isinstance(table, str | PathLike) else table
    return bernoulli(columns, **constraints)


@cache
def simulated() -> dict[str, np.ndarray]:
    """Twelve clusters of 5 to 15 outcomes, drawn with beta = 2 and sigma = 1.2."""
    rng = np.random.default_rng(7)
    cluster = np.repeat(np.arange(12), rng.integers(5, 16, size=12))
    x = rng.uniform(-1.0, 1.5, size=len(cluster))
    u = 1.2 * rng.standard_normal(12)
    return {"cluster": cluster, "x": x, "y": rng.random(len(cluster)) < 1.0 / (1.0 + np.exp(-2.0 * x - u[cluster]))}


def problems() -> dict[str, Problem]:
    """Examples, for the checks that every family is held to."""
    return {"free": bernoulli(simulated()), "constrained": bernoulli(simulated(), g="beta == 1 + sigma**2")}
