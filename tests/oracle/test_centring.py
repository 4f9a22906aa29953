"""The centred latent data of the linear family: another augmentation of the same model.

Referees: the joint density of `naive`, which knows random effects only, and Fisher's identity.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import linear_family
import naive
import numpy as np
import pandas as pd
import pytest
from drawing import drawn, expected
from selecting import few

import saem
from experiments.studies.problems import subjects
from saem.algorithms.engine.placement import Placement
from saem.algorithms.exact_em import ExactEM
from saem.algorithms.fisher_gradient import FisherGradient
from saem.algorithms.minibatch_saem import MiniBatchSAEM
from saem.algorithms.px_saem import PXSAEM
from saem.algorithms.saem import SAEM
from saem.errors import ModelError
from saem.families import arrange, pose
from saem.families.linear import centring
from saem.families.problem import Problem
from saem.mstep.solver import Solver

Array = np.ndarray


def dense_model(example: linear_family.Example) -> naive.Dense:
    """An example written out row by row."""
    data, names = example.data, example.data.parameters.names
    where = zip(*np.nonzero(data.corr_index >= 0), strict=True)
    return naive.Dense(
        response=data.response,
        mean_design=data.mean_design,
        random_design=data.random_design,
        cluster=data.cluster,
        group=data.cluster_group,
        residual=data.residual_group,
        means=tuple(names[i] for i in data.mean_index),
        sds=tuple(tuple(names[i] for i in row) for row in data.sd_index),
        residual_sds=tuple(names[i] for i in data.residual_index),
        names=names,
        correlations={(int(g), int(j), int(k)): names[data.corr_index[g, j, k]] for g, j, k in where},
    )


EXAMPLES = linear_family.examples()


def placements(problem: Problem) -> list[Array]:
    """Every choice of terms to centre, of all variance groups."""
    return [np.array(each) for each in product((False, True), repeat=problem.arrays.sd_index.size)]


def placed(problem: Problem, placement: Array) -> Problem:
    """The problem with the latent data of a placement."""
    return replace(problem, arrays=problem.latent.augmentation.arrays(placement))


def located_statistics(example: linear_family.Example, placement: Array, phi: Array) -> Array:
    """The statistics of latent data ``phi`` (C, q), row by row and cluster by cluster."""
    model, data, arrays = dense_model(example), example.data, example.problem.arrays
    location = projections(example, placement)
    left = data.mean_design - np.einsum("rj,rjc->rc", data.random_design, location[data.cluster])
    r = example.residuals - np.sum(data.random_design * phi[data.cluster], axis=1)
    groups = [model.residual == h for h in range(len(model.residual_sds))]
    parts = [left[rows].T @ r[rows] for rows in groups] + [np.array([r[rows] @ r[rows]]) for rows in groups]
    within = [model.group == g for g in range(len(arrays.sd_index))]
    parts += [(phi[here].T @ phi[here]).ravel() for here in within]
    parts += [np.einsum("cj,cka->jka", phi[here], location[here]).ravel() for here in within]
    return np.concatenate(parts)


def projections(example: linear_family.Example, placement: Array) -> Array:
    """``W_c`` (C, q, p), by least squares for every cluster; of several, the shortest in columns of length one."""
    data = example.data
    q, p = data.random_design.shape[1], data.mean_design.shape[1]
    location = np.zeros((len(data.cluster_group), q, p))
    for c, g in enumerate(data.cluster_group):
        rows, terms = data.cluster == c, np.flatnonzero(placement.reshape(-1, q)[g])
        if len(terms):
            z = data.random_design[rows][:, terms]
            size = np.maximum(np.sqrt(np.sum(z**2, axis=0)), 1e-150)[:, None]
            location[c, terms] = np.linalg.lstsq(z / size.T, data.mean_design[rows], rcond=1e-8)[0] / size
    return location


@pytest.mark.parametrize("name", few(EXAMPLES, [name for name in EXAMPLES if name != "slopes by arm and device"]))
def test_the_complete_data_likelihood_is_the_joint_density(name: str) -> None:
    """At other parameters than those of the draws, too: there the same latent data are other random effects."""
    example, model = EXAMPLES[name], dense_model(EXAMPLES[name])
    rng = np.random.default_rng(3)
    reference, index = example.problem.arrays.beta_reference, example.data.mean_index
    for placement in placements(example.problem):
        location = projections(example, placement)
        phi = rng.normal(size=location.shape[:2])
        problem = placed(example.problem, placement)
        solver = Solver(problem)
        statistics = located_statistics(example, placement, phi)
        for x in (example.x, example.x * np.exp(0.1 * rng.normal(size=len(example.x)))):
            theta = phi - location @ (x[index] - reference)
            found = solver.derivatives(solver.complete(statistics), x)
            assert found.value == pytest.approx(float(naive.complete_data(model, x, theta)), rel=1e-9)

            def joint(point: Array, phi: Array = phi, location: Array = location) -> float:
                return naive.complete_data(model, point, phi - location @ (point[index] - reference))

            np.testing.assert_allclose(found.gradient, naive.gradient(joint, x), rtol=1e-7, atol=1e-6)
            np.testing.assert_allclose(found.hessian, naive.hessian(joint, x), rtol=1e-5, atol=1e-4)


def identity_error(example: linear_family.Example, placement: Array) -> float:
    """How far the score of the complete data, at expected statistics, is from that of the data."""
    problem = placed(example.problem, placement)
    solver, x = Solver(problem), example.x
    complete = solver.derivatives(solver.complete(expected(problem, x)), x).gradient
    observed = solver.derivatives(solver.observed(), x).gradient
    return float(np.max(np.abs(complete - observed)))


@pytest.mark.parametrize("name", list(EXAMPLES))
def test_fishers_identity_holds_for_every_placement(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    example = EXAMPLES[name]
    for placement in placements(example.problem):
        assert identity_error(example, placement) < 1e-7
    honest = centring.centred

    def mutant(arrays, groups):
        """Rows keep what the latent data already explain."""
        return honest(arrays, groups)._replace(left_zx=arrays.zx)

    monkeypatch.setattr(centring, "centred", mutant)
    assert identity_error(example, placements(example.problem)[-1]) > 1e-3


@pytest.mark.parametrize("name", ["balanced", "correlated slopes", "slopes by arm and device"])
def test_draws_have_the_expected_statistics(name: str) -> None:
    """Means of 4000 draws, within 4.9 standard errors: some 100 statistics, false alarms below 1e-4."""
    example = EXAMPLES[name]
    problem = placed(example.problem, placements(example.problem)[-1])
    draws = drawn(problem, example.x, 4000, seed=7)
    error = draws.std(axis=0) / np.sqrt(len(draws))
    moves = error > 1e-12
    away = (draws.mean(axis=0) - expected(problem, example.x))[moves] / error[moves]
    assert np.abs(away).max() < 4.9
    shifted = expected(problem, example.x * 1.05)  # a mutant: draws at other parameters
    assert np.abs((draws.mean(axis=0) - shifted)[moves] / error[moves]).max() > 8.0


def growth(seed: int, noise: float) -> pd.DataFrame:
    """25 children measured at nine ages, with intercepts and slopes of their own."""
    rng = np.random.default_rng(seed)
    age = np.linspace(-1.0, 1.0, 9)
    effects = rng.normal(size=(25, 2)) @ np.array([[8.0, 1.0], [0.0, 1.4]])
    y = 150.0 + 6.5 * age + effects[:, :1] + effects[:, 1:] * age + noise * rng.normal(size=(25, 9))
    return pd.DataFrame({"id": np.repeat(np.arange(25), 9), "t": np.tile(age, 25), "y": y.ravel()})


GROWTH = saem.Model(response="y", cluster="id", mean="y ~ t", random={"terms": {"i": "1", "t": "t"}})


def test_well_determined_random_effects_are_centred_and_the_fit_is_short() -> None:
    table = growth(1, 0.6)
    ml = saem.fit(GROWTH, table, "ml")
    fit = saem.fit(GROWTH, table, seed=1)
    assert fit.status == "converged" and len(fit.trace) < 600
    assert ml.loglik - fit.loglik < 1e-3
    assert np.abs((fit.values - ml.values) / fit.mcse).max() < 4.5  # six parameters: false alarms below 1e-4
    assert "centred" in fit.augmentation and "uncentred" not in fit.augmentation
    plain = saem.fit(GROWTH, table, SAEM(augmentation="uncentred", target=saem.Target(max_iterations=3000)), seed=1)
    assert plain.status == "not_converged" and plain.augmentation.startswith("uncentred")
    em = saem.fit(GROWTH, table, ExactEM(accelerate=False))
    assert em.status == "converged" and len(em.trace) < 300


def test_poorly_determined_random_effects_are_not_centred() -> None:
    problem = EXAMPLES["independent slopes"].problem
    x, nothing = EXAMPLES["independent slopes"].x.copy(), np.zeros(5, dtype=bool)
    names = problem.parameters.names
    sd = [names.index("sd_intercept"), names.index("sd_slope")]
    chooser = Placement(problem, "auto")
    x[sd] = 10.0
    assert chooser.choose(x, nothing).all()
    x[sd] = 1e-3
    assert not chooser.choose(x, nothing).any()
    x[sd] = 10.0, 1e-3
    assert chooser.choose(x, nothing).tolist() == [True, False]
    x[sd] = 10.0, 0.0  # an effect that is absent cannot be centred, whatever is wished
    assert Placement(problem, "centred").choose(x, nothing).tolist() == [True, False]
    assert not Placement(problem, "uncentred").choose(x, nothing).any()


def test_only_latent_data_that_are_not_centred_are_said_to_have_failed_to_be() -> None:
    """A later pass may have failed centred, whose end was not taken."""
    chooser = Placement(EXAMPLES["independent slopes"].problem, "auto")
    assert chooser.describe(np.array([True, False]), given_up=True).endswith("(least is missing)")
    assert chooser.describe(np.zeros(2, dtype=bool), given_up=True).endswith("(centred ones failed)")


def test_a_choice_is_kept_unless_another_is_clearly_better() -> None:
    problem, x = EXAMPLES["independent slopes"].problem, EXAMPLES["independent slopes"].x.copy()
    sd = [problem.parameters.names.index(name) for name in ("sd_intercept", "sd_slope")]
    chooser, nothing = Placement(problem, "auto"), np.zeros(5, dtype=bool)
    sizes = np.geomspace(0.05, 5.0, 40)

    def centred(size: float, current: Array | None) -> bool:
        x[sd] = size, 1e-3
        return bool(chooser.choose(x, nothing, current)[0])

    switches = [centred(size, None) for size in sizes]
    assert switches == sorted(switches) and 0 < sum(switches) < 40
    edge = sizes[switches.index(True)]
    none, both = np.zeros(2, dtype=bool), np.ones(2, dtype=bool)
    assert not centred(edge, none) and centred(edge, both)


def test_what_is_forced_is_checked() -> None:
    problem = EXAMPLES["balanced"].problem
    with pytest.raises(ModelError, match=r"must be 'auto', 'centred' or 'uncentred'; got 'center'"):
        SAEM(augmentation="center").run(problem)
    plain = subjects(50)
    other = pose(plain.model, arrange(plain.model, plain.table(1)))
    for method in (PXSAEM, FisherGradient, MiniBatchSAEM):
        with pytest.raises(ModelError, match="plain random effects; use augmentation 'uncentred'"):
            method(augmentation="centred").run(other)
    with pytest.raises(ModelError, match="use augmentation 'uncentred'"):
        SAEM(augmentation="centred", sampler="metropolis").run(problem)


def test_chains_are_pooled_over_the_same_latent_data() -> None:
    model, table = subjects(50).model, subjects(50).table(3)
    ml = saem.fit(model, table, "ml")
    fit = saem.fit(model, table, "chains", seed=2)
    assert fit.converged and ml.loglik - fit.loglik < 0.01
