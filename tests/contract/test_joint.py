"""What a family promises that has joint densities of single clusters: they integrate to the marginal likelihood."""

from __future__ import annotations

import numpy as np
import pytest
from integrating import dimension, joint_at
from parameterkinds import kinds_of
from test_clusterwise import everywhere
from test_families import cases, problems_of

from saem.estep.integration.settling import FINE, refined
from saem.inference.log_likelihood import log_likelihood_at
from saem.mstep.solver import Solver

# of `glmm`, whose integrals take half a minute to compile, `test_marginal` and `test_glmm` have the likelihood
joint = cases(lambda problem: problem.clusters.joint is not None, slow=["glmm"])


@joint
def test_values_do_not_depend_on_those_beside_them(family, name):
    problem = problems_of(family)[name]
    rng = np.random.default_rng(1)
    for x in everywhere(problem):
        for cluster in range(problem.clusters.count):
            d = dimension(problem, x, cluster)
            effects = rng.standard_normal((5, d))
            together = joint_at(problem, x, cluster, effects)
            alone = [joint_at(problem, x, cluster, effects[k : k + 1])[0] for k in range(5)]
            np.testing.assert_array_equal(together, alone)
            assert np.isfinite(joint_at(problem, x, cluster, np.zeros((1, d)))).all()


@joint
def test_outside_the_domain_nothing_is_likely(family, name):
    problem = problems_of(family)[name]
    x = problem.starts.first.copy()
    x[list(kinds_of(problem.parameters)).index("sd")] = -0.1
    assert log_likelihood_at(problem, x, "quadrature").value == -np.inf


@joint
def test_quadrature_and_importance_sampling_agree(family, name):
    """And with the closed form, where there is one. 4.5 errors at four places: a false alarm in 3 of 10^5."""
    problem = problems_of(family)[name]
    for x in everywhere(problem):
        fine = log_likelihood_at(problem, x, "quadrature", nodes=40)
        assert log_likelihood_at(problem, x, "quadrature", nodes=25).value == pytest.approx(fine.value, abs=1e-5)
        sampled = log_likelihood_at(problem, x, "importance", draws=2000)
        assert abs(sampled.value - fine.value) <= 4.5 * sampled.mcse + 1e-9
        if problem.likelihood.is_available:
            refined(problem, x)  # with nodes that are enough here
            exact = problem.likelihood.kind == "closed" or problem.likelihood.nodes > 0
            solver, error = Solver(problem), 1e-8 if exact else 2.0 * FINE.few
            assert solver.derivatives(solver.observed(), x).value == pytest.approx(fine.value, abs=error)
        if problem.clusters.observed is not None:
            parts = log_likelihood_at(problem, x).contributions["loglik"]
            np.testing.assert_allclose(parts, fine.contributions["loglik"], atol=1e-8)
