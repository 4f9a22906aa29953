"""What a family promises that knows its clusters one by one: they add up to the whole."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import complete_by_cluster, drawn_clusters, expected
from parameterkinds import kinds_of
from test_families import cases, check_expectation, places, problems_of

from saem.families.problem import Problem
from saem.mstep.solver import Solver


def everywhere(problem: Problem) -> list[np.ndarray]:
    """Parameters at which to look, also with the first standard deviation that may be zero at zero."""
    absent = problem.starts.first.copy()
    kinds = np.array(kinds_of(problem.parameters))
    first = np.flatnonzero(problem.boundary.collapsible & (kinds == "sd") & (problem.boundary.at_zero == 0.0))
    if len(first) == 0:
        return places(problem)
    absent[first[0]] = 0.0
    absent[list(problem.boundary.dependents.get(int(first[0]), ()))] = 0.0
    return [*places(problem), absent]


clusterwise = cases(lambda problem: problem.clusters.clusterwise is not None)


@clusterwise
def test_expected_statistics_add_up(family, name):
    problem = problems_of(family)[name]
    for x in everywhere(problem):
        each = drawn_clusters(problem, x, range(problem.clusters.count), 1, m=0)[0]
        whole = expected(problem, x)
        np.testing.assert_allclose(each.sum(axis=0), whole, rtol=1e-10, atol=1e-10 * np.abs(each).sum(axis=0).max())


@clusterwise
def test_complete_likelihoods_add_up(family, name):
    problem = problems_of(family)[name]
    solver = Solver(problem)
    rng = np.random.default_rng(1)
    for x in everywhere(problem):
        each = drawn_clusters(problem, x, range(problem.clusters.count), 1, m=3, seed=4)[0]
        x = x * np.exp(0.1 * rng.standard_normal(len(x)))  # at other parameters than those of the draws
        found = complete_by_cluster(problem, x, each)
        at = solver.derivatives(solver.complete(each.sum(axis=0)), x)
        size = np.sqrt(np.maximum(np.abs(np.diag(at.hessian)), 1e-8))
        values, gradients, hessian = found
        assert values.sum() == pytest.approx(at.value, rel=1e-10)
        np.testing.assert_allclose(gradients.sum(axis=0) / size, at.gradient / size, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(hessian / np.outer(size, size), at.hessian / np.outer(size, size), atol=1e-9)
        for part, alone in zip(found, complete_by_cluster(problem, x, each, one_by_one=True), strict=True):
            np.testing.assert_allclose(alone, part, rtol=1e-12, atol=1e-12 * np.abs(part).max())


@clusterwise
def test_draws_of_each_cluster_have_their_expectation(family, name):
    """At most 20 clusters of 14 statistics at 4 places, |z| < 5: false alarms below 10^-3 for each example."""
    problem = problems_of(family)[name]
    clusters = range(problem.clusters.count)
    for x in everywhere(problem):
        sample = drawn_clusters(problem, x, clusters, 4000, m=2, seed=1).reshape(4000, -1)
        check_expectation(sample, drawn_clusters(problem, x, clusters, 1, m=0).ravel())
    with pytest.raises(AssertionError):  # mutant: each cluster's draws are those of its neighbour
        other = np.roll(sample, problem.latent.n_statistics, axis=1)
        check_expectation(other, drawn_clusters(problem, x, clusters, 1, m=0).ravel())


@clusterwise
def test_clusters_may_come_in_any_order_and_one_by_one(family, name):
    problem = problems_of(family)[name]
    x = problem.starts.first
    order = np.random.default_rng(2).permutation(np.repeat(np.arange(problem.clusters.count), 2))
    each = drawn_clusters(problem, x, range(problem.clusters.count), 1, m=0)[0]
    np.testing.assert_array_equal(drawn_clusters(problem, x, order, 1, m=0)[0], each[order])
    together = drawn_clusters(problem, x, order, 3, m=2, seed=7)
    np.testing.assert_array_equal(drawn_clusters(problem, x, order, 3, m=2, seed=7, one_by_one=True), together)


@clusterwise
def test_outside_the_domain_every_cluster_says_so(family, name):
    problem = problems_of(family)[name]
    each = drawn_clusters(problem, problem.starts.first, range(problem.clusters.count), 1, m=0)[0]
    for i in np.flatnonzero(np.array(kinds_of(problem.parameters)) == "sd"):
        x = problem.starts.first.copy()
        x[i] = -x[i]
        assert complete_by_cluster(problem, x, each)[0].sum() == -np.inf
