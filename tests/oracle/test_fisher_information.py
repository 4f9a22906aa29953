"""Information matrices beside dense twins, published numbers and quadrature; standard errors that follow from them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
import pytest
from bernoulli_family import bernoulli, simulated
from bernoulli_referee import Marginal
from designs import peptide_columns, peptide_dense, random_case
from linear_family import PEPTIDE, peptide_design
from naive import Dense, gradient, hessian, marginal, random_covariance, row_variances
from selecting import few
from test_reference_lmm import fitted

import saem
from saem import Model, recipes
from saem.families import arrange, pose
from saem.fitting.result import Fit
from saem.inference.fisher_information import information_at

Array = np.ndarray
NAMES = ("mu", "c2", "alpha2", "b21", "b22", "sigma1", "sigma2", "sigma")
KINDS = ("observed", "expected", "louis", "score", "sandwich")
DELATTRE_KUHN = Model(
    response="y", cluster="c", mean={"beta": "1"}, random={"sd": "eta"}, residual={"sd": "sigma"}
)  # beta = 3, eta^2 = 2, sigma^2 = 5, twelve rows in a cluster


def balanced(n: int) -> pd.DataFrame:
    return pd.DataFrame({"c": np.repeat(np.arange(n), 12), "j": np.tile(np.arange(12), n)})


@cache
def example() -> tuple[Fit, pd.DataFrame]:
    model = Model.from_text(recipes.text("peptide"))
    table = saem.simulate(model, PEPTIDE, peptide_design(40, keep=0.9, seed=3), 4)
    return saem.fit(model, table, "ml"), table


def full(u: Array) -> Array:
    """All parameters at the free ones: c2 is the link."""
    mu, alpha2, b21, b22, s1, s2, s = u
    c2 = np.exp(np.log(2.0) ** 2 / 2 * (s2**2 - s1**2)) * (1 + 2.0**b22) / (1 + 2.0**b21)
    return np.array([mu, c2, alpha2, b21, b22, s1, s2, s])


def test_delattre_and_kuhn() -> None:
    """Fisher's information of one cluster in (beta, eta^2, sigma^2), as printed in their section 4.1."""
    table = balanced(10).assign(y=np.random.default_rng(0).normal(size=120))
    problem = pose(DELATTRE_KUHN, arrange(DELATTRE_KUHN, table))
    x = np.array([3.0, np.sqrt(2.0), np.sqrt(5.0)])
    by_variance = np.diag([1.0, 0.5 / x[1], 0.5 / x[2]])
    found = by_variance @ problem.likelihood.fisher_information(x) @ by_variance / 10
    published = [[0.413793, 0, 0], [0, 0.085612, 0.007134], [0, 0.007134, 0.220595]]
    np.testing.assert_allclose(found, published, atol=5.1e-7)


def dense_information(model: Dense, x: Array, is_unit: bool = False) -> Array:
    """``m_a'V^-1 m_b + 1/2 tr(V^-1 V_a V^-1 V_b)`` with the whole covariance matrix of the responses, or with V = 1."""
    same = model.cluster[:, None] == model.cluster[None, :]

    def covariance(point: Array) -> Array:
        omega = random_covariance(model, point)[model.group[model.cluster]]
        z = model.random_design
        return np.einsum("ri,rij,sj->rs", z, omega, z) * same + np.diag(row_variances(model, point))

    n, inverse = len(x), np.eye(len(model.response)) if is_unit else np.linalg.inv(covariance(x))
    slopes = [np.imag(covariance(x + 1e-30j * e)) / 1e-30 for e in np.eye(n)]
    means = np.zeros((len(model.response), n))
    np.add.at(means.T, model.mean_at, model.mean_design.T)
    spread = [inverse @ slope for slope in slopes]
    return means.T @ inverse @ means + 0.5 * np.array([[np.sum(a * b.T) for b in spread] for a in spread])


@pytest.mark.parametrize(
    "arguments",
    [{}, {"terms": 2, "covariance": "full"}, {"terms": 3, "arms": 2, "kinds": 2, "covariance": "full"}],
)
@pytest.mark.parametrize("shared", ["", "arms kinds residual"])
def test_expected_information_by_dense_matrices(arguments: dict, shared: str) -> None:
    if "kinds" in shared and arguments.get("kinds", 1) < 2:
        arguments = {**arguments, "arms": 2, "kinds": 2}
    case = random_case(7, shared=shared, **arguments)
    model = Model(**case.model)
    problem = pose(model, arrange(model, case.table))
    names = problem.parameters.names
    x = case.point(names, np.random.default_rng(2))
    for found, is_unit in (
        (problem.likelihood.fisher_information(x), False),
        (problem.likelihood.expected_information(x), True),
    ):
        expected = dense_information(case.dense.with_names(names), x, is_unit)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


def test_expected_is_the_mean_of_observed() -> None:
    """At the truth, over 200 data sets: within 4 standard errors for all 28 entries (false alarm below 0.2 %)."""
    model = Model.from_text(recipes.text("peptide_unconstrained"))
    design = peptide_design(10)
    x = np.array(list(PEPTIDE.values()))
    found = []
    for seed in range(200):
        problem = pose(model, arrange(model, saem.simulate(model, PEPTIDE, design, seed)))
        found.append(information_at(problem, x, np.zeros(len(x), bool), "observed")[0])
    assert problem.likelihood.fisher_information is not None
    mean, se = np.mean(found, axis=0), np.std(found, axis=0) / np.sqrt(len(found))
    assert np.all(np.abs(mean - problem.likelihood.fisher_information(x)) <= 4 * se + 1e-8 * np.abs(mean).max())


def by_elimination(table: pd.DataFrame, x: Array) -> tuple[Array, Array, Array]:
    """Of the likelihood in the seven free parameters: Hessian, scores of the clusters (C, 7), and ``dx/du`` (8, 7)."""
    dense = peptide_dense(table, peptide_columns(table), NAMES)
    u = np.delete(x, 1)
    curvature = hessian(lambda v: marginal(dense, full(v)), u)
    scores = []
    for c in range(len(dense.group)):
        own = table[dense.cluster == c]
        alone = peptide_dense(own, peptide_columns(own), NAMES)
        scores.append(gradient(lambda v, alone=alone: marginal(alone, full(v)), u))
    slopes = np.array([np.imag(full(u + 1e-30j * e)) / 1e-30 for e in np.eye(7)]).T
    return curvature, np.array(scores), slopes


def test_constrained_covariances_by_elimination() -> None:
    """With c2 substituted, and no multiplier: observed, score and sandwich. Mutants: each in place of another."""
    fit, table = example()
    curvature, scores, slopes = by_elimination(table, fit.values)
    bread = np.linalg.inv(-curvature)
    expected = {
        "observed": slopes @ bread @ slopes.T,
        "score": slopes @ np.linalg.inv(scores.T @ scores) @ slopes.T,
        "sandwich": slopes @ bread @ scores.T @ scores @ bread @ slopes.T,
    }
    for kind, covariance in expected.items():
        found = saem.fisher_information(fit, kind)
        np.testing.assert_allclose(found.covariance, covariance, rtol=1e-6, atol=1e-9)
        assert not found.mcse.any()
        for other in expected:
            if other != kind:
                assert np.max(np.abs(expected[other] / covariance - 1)) > 0.01
    np.testing.assert_allclose(saem.fisher_information(fit).covariance, fit.covariance, rtol=1e-7, atol=1e-10)


def test_expected_information_under_the_constraint() -> None:
    fit, table = example()
    dense = peptide_dense(table, peptide_columns(table), NAMES)
    slopes = by_elimination(table, fit.values)[2]
    expected = slopes @ np.linalg.inv(slopes.T @ dense_information(dense, fit.values) @ slopes) @ slopes.T
    np.testing.assert_allclose(saem.fisher_information(fit, "expected").covariance, expected, rtol=1e-6, atol=1e-9)


def spread_of(simulated: Callable[[int], tuple[Array, Array]], exact: Array, seeds: int) -> tuple[Array, Array]:
    """Means and standard deviations of (simulated SE - exact SE) / MCSE."""
    z = []
    for seed in range(seeds):
        se, mcse = simulated(seed)
        z.append((se - exact)[mcse > 1e-9] / mcse[mcse > 1e-9])
    return np.mean(z, axis=0), np.std(z, axis=0)


@pytest.mark.parametrize("kind", few(["louis", "score", "sandwich"], ["score", "sandwich"]))
def test_simulated_information_has_the_error_that_it_states(kind: str) -> None:
    """60 seeds: means within 0.52 and spreads within 0.63 to 1.37: 4 standard errors, some 8 parameters each."""
    fit, _ = example()
    exact = saem.fisher_information(fit, "observed" if kind == "louis" else kind).se

    def once(seed: int) -> tuple[Array, Array]:
        found = saem.fisher_information(fit, kind, draws=16_000 if kind == "louis" else 200, seed=seed)
        return found.se, found.mcse

    mean, spread = spread_of(once, exact, 60)
    assert np.all(np.abs(mean) < 0.52), mean
    assert np.all((spread > 0.63) & (spread < 1.37)), spread


def test_mutants_of_louis(monkeypatch: pytest.MonkeyPatch) -> None:
    """The complete-data information, without the covariance of the scores; and that covariance added."""
    fit, _ = example()
    exact = saem.fisher_information(fit).se
    from saem.inference import fisher_information as module

    right = module.louis_moments
    for factor in (0.0, -1.0):

        def wrong(problem, x, draws, seed, factor=factor):  # type: ignore[no-untyped-def]
            moments, s, n = right(problem, x, draws, seed), problem.latent.n_statistics, len(x)
            score = moments[:, s + n * n :]
            product = score[:, :, None] * score[:, None, :]
            second = moments[:, s : s + n * n].reshape(-1, n, n)
            moments[:, s : s + n * n] = (product + factor * (second - product)).reshape(len(moments), -1)
            return moments

        monkeypatch.setattr(module, "louis_moments", wrong)
        found = saem.fisher_information(fit, "louis", draws=4000)
        assert np.max(np.abs(found.se - exact)[[3, 4]] / found.mcse[[3, 4]]) > 10


@pytest.mark.slow
def test_louis_without_a_closed_form() -> None:
    """Bernoulli outcomes drawn by Metropolis-Hastings, beside quadrature; 4 MCSE (false alarm below 0.1 %)."""
    problem, referee = bernoulli(simulated()), Marginal.of(simulated())
    x = referee.maximum()
    exact = np.sqrt(np.diag(np.linalg.inv(referee.information(x))))
    _, covariance, mcse, _ = information_at(problem, x, np.zeros(2, bool), "louis", draws=100_000)
    se = np.sqrt(np.diag(covariance))
    assert np.all(mcse < 0.05 * exact)
    assert np.all(np.abs(se - exact) < 4 * mcse)
    complete = np.sqrt(np.diag(np.linalg.inv(referee.complete_information(x))))
    assert np.any(np.abs(complete - exact) > 8 * mcse)
    for kind in ("observed", "expected", "score", "sandwich"):
        with pytest.raises(saem.SaemError, match="louis"):
            information_at(problem, x, np.zeros(2, bool), kind)


def test_kinds_agree_for_many_clusters() -> None:
    """All five estimate one limit: within 6 % at 4,000 replicates an arm."""
    model = Model.from_text(recipes.text("peptide"))
    fit = saem.fit(model, saem.simulate(model, PEPTIDE, peptide_design(4000), 1), "ml")
    ses = [saem.fisher_information(fit, kind, 4000 if kind == "louis" else 0).se for kind in KINDS]
    for se in ses[1:]:
        np.testing.assert_allclose(se, ses[0], rtol=0.06)


def test_boundary_and_fixed() -> None:
    """A zero has no standard error in any of them, and the others take it as known."""
    model = Model.from_text(recipes.text("peptide")).replace(fixed={"b21": 0.0})
    tables = (saem.simulate(model, {**PEPTIDE, "b21": 0.0, "sigma1": 0.0}, peptide_design(12), s) for s in range(20))
    fit = next(fit for fit in (saem.fit(model, table, "ml") for table in tables) if fit.at_boundary == ("sigma1",))
    for kind in KINDS:
        found = saem.fisher_information(fit, kind, draws=0)
        known = [name for name, se in zip(NAMES, found.se, strict=True) if np.isfinite(se)]
        assert known == [name for name in NAMES if name != "sigma1"]
        assert found.se[3] == 0.0
        assert np.isnan(found.table().loc["sigma1", "lower"])


def test_derived_by_another_information() -> None:
    """A variance has twice the standard deviation times its standard error."""
    fit, _ = example()
    robust = saem.fisher_information(fit, "sandwich")
    found = saem.variances(fit, information=robust)
    assert list(found.index) == ["sigma1**2", "sigma2**2", "sigma**2"]
    np.testing.assert_allclose(found["estimate"], fit.values[5:] ** 2)
    np.testing.assert_allclose(found["se"], 2 * fit.values[5:] * robust.se[5:])
    with pytest.raises(saem.SaemError, match="another fit"):
        saem.derive(fitted("sleepstudy", "ml"), {"v": "sigma**2"}, information=robust)


def test_effects_without_a_density() -> None:
    """A correlation of one: exact derivatives of the observed likelihood only."""
    model = Model.from_text(recipes.text("random_slopes"))
    rows = pd.DataFrame({"Subject": np.repeat(np.arange(8), 4), "Days": np.tile(np.arange(4.0), 8)})
    truth = {"intercept": 250.0, "Days": 10.0, "sd_intercept": 20.0, "sd_days": 5.0, "corr_intercept_days": 1.0}
    tables = (saem.simulate(model, {**truth, "sigma": 30.0}, rows, seed) for seed in range(30))
    fits = (saem.fit(model, table, "ml") for table in tables)
    fit = next(fit for fit in fits if fit.at_boundary == ("corr_intercept_days",))
    assert np.isfinite(saem.fisher_information(fit, "expected").se[:4]).all()
    for kind in ("louis", "score", "sandwich"):
        with pytest.raises(saem.SaemError, match="have no density"):
            saem.fisher_information(fit, kind)


def test_refusals() -> None:
    fit, _ = example()
    with pytest.raises(saem.SaemError, match="did you mean 'score'"):
        saem.fisher_information(fit, "scores")
    with pytest.raises(saem.SaemError, match="draws must be"):
        saem.fisher_information(fit, "louis", draws=5)
    with pytest.raises(saem.SaemError, match="draws nothing"):
        saem.fisher_information(fit, "observed", draws=500)
    with pytest.raises(saem.SaemError, match="restricted"):
        saem.fisher_information(fitted("sleepstudy", "reml"), "score")
    few = saem.fit(fit.model, saem.simulate(fit.model, PEPTIDE, peptide_design(3), 2), "ml")
    with pytest.raises(saem.SaemError, match="more clusters than free parameters"):
        saem.fisher_information(few, "sandwich")


@pytest.mark.slow
def test_coverage_of_delattre_and_kuhn() -> None:
    """Their 95 % intervals of (beta, eta^2, sigma^2) at n = 20, 500 replicates: within 3 standard errors.

    Theirs and ours are binomial with 500 each, so the difference of two shares p has the variance 2 p (1 - p) / 500:
    six comparisons, false alarm 1.6 %. Mutant: intervals of the complete-data information, much too narrow.
    """
    truth, design = {"beta": 3.0, "eta": np.sqrt(2.0), "sigma": np.sqrt(5.0)}, balanced(20)
    target = np.array([3.0, 2.0, 5.0])
    hits: dict[str, list[Array]] = {"score": [], "observed": [], "complete": []}
    for seed in range(500):
        fit = saem.fit(DELATTRE_KUHN, saem.simulate(DELATTRE_KUHN, truth, design, seed), "ml")
        for kind in ("score", "observed"):
            own = saem.derive(
                fit,
                {"beta": "beta", "eta2": "eta**2", "sigma2": "sigma**2"},
                information=saem.fisher_information(fit, kind),
            )
            hits[kind].append((own["lower"] <= target) & (target <= own["upper"]))
        eta2, sigma2 = fit.values[1] ** 2, fit.values[2] ** 2
        complete = np.sqrt([eta2 / 20 * 0.5, 2 * eta2**2 / 20 * 0.25, 2 * sigma2**2 / 240 * 0.5])
        hits["complete"].append(np.abs([fit.values[0] - 3.0, eta2 - 2.0, sigma2 - 5.0]) <= 1.96 * complete)
    published = {"score": np.array([0.948, 0.902, 0.948]), "observed": np.array([0.928, 0.876, 0.944])}
    for kind, p in published.items():
        share = np.mean(hits[kind], axis=0)
        assert np.all(np.abs(share - p) < 3 * np.sqrt(2 * p * (1 - p) / 500)), (kind, share)
    p = published["observed"]
    assert np.any(np.abs(np.mean(hits["complete"], axis=0) - p) > 6 * np.sqrt(2 * p * (1 - p) / 500))


@pytest.mark.slow
def test_sandwich_holds_under_a_wrong_law() -> None:
    """Random effects with a long tail: the spread of 200 estimates of eta is that of the sandwich, not the observed.

    The ratio of spread to mean standard error has itself an error of some 6 % here (tails); bounds at 0.85 and 1.2.
    """
    design, rng = balanced(200), np.random.default_rng(5)
    estimates, ses = [], {"observed": [], "sandwich": []}
    for _ in range(200):
        effects = rng.choice([-1.0, 1.0], 200) * rng.gamma(0.5, 1.0, 200)  # kurtosis well above 3
        table = design.assign(y=3.0 + effects[design["c"]] + rng.normal(size=len(design)))
        fit = saem.fit(DELATTRE_KUHN, table, "ml")
        estimates.append(fit.values[1])
        for kind, found in ses.items():
            found.append(saem.fisher_information(fit, kind).se[1])
    ratio = {kind: np.std(estimates) / np.mean(found) for kind, found in ses.items()}
    assert 0.85 < ratio["sandwich"] < 1.2, ratio
    assert ratio["observed"] > 1.35, ratio
