"""Bayesian fits of nonlinear and generalised linear mixed models as users meet them."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import saem
from saem import Bayes, Model
from saem.errors import FitError, ModelError
from saem.families import arrange, pose
from saem.specification.priors import parse_prior

pytestmark = pytest.mark.skipif(importlib.util.find_spec("nutpie") is None, reason="the extra 'bayes' is not installed")
QUICK = Bayes(chains=2, tune=200, draws=150)
CURVE: dict[str, Any] = {
    "family": "nonlinear",
    "response": "y",
    "cluster": "id",
    "columns": ["time"],
    "individual": {"A": "lognormal(A_pop, omega_A)", "k": "lognormal(k_pop, omega_k)"},
    "outcome": {"distribution": "normal", "mean": "A * (1 - exp(-k * time))", "sd": "a"},
    "constraints": {"known_mean": "log(A_pop) + omega_A**2 / 2 == log(10)"},
}


@lru_cache
def curves() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    table = pd.DataFrame({"id": np.repeat(np.arange(10), 4), "time": np.tile([0.5, 1.0, 3.0, 8.0], 10)})
    a, k = 9.6 * np.exp(0.3 * rng.standard_normal(10)), 0.5 * np.exp(0.2 * rng.standard_normal(10))
    mean = a[table["id"]] * (1.0 - np.exp(-k[table["id"]] * table["time"]))
    return table.assign(y=mean + 0.4 * rng.standard_normal(40))


@lru_cache
def quick_fit() -> saem.Fit:
    """Too short to be of use."""
    return saem.fit(Model(**CURVE, priors={"a": "half_normal(1)"}), curves(), QUICK, seed=1)


def test_the_fit_knows_its_priors_its_draws_and_its_random_effects(tmp_path: Path) -> None:
    fit = quick_fit()
    assert fit.posterior is not None and fit.posterior.draws.shape == (2, 150, 5)
    priors = dict(fit.posterior.priors)
    assert priors.pop("a") == "half_normal(1)" and priors.pop("k_pop").startswith("lognormal(")
    assert priors == {"omega_A": "half_normal(1)", "omega_k": "half_normal(1)"}
    assert dict(fit.posterior.determined) == {"A_pop": "known_mean"}
    problem = pose(fit.model, arrange(fit.model, fit.table))
    assert np.abs([problem.constraints.evaluate(x)[0] for x in fit.posterior.pooled]).max() < 1e-12
    assert fit.random_effects.shape == (10, 2) and np.all(fit.random_effect_sds > 0.0)
    assert np.isfinite(fit.loglik) and "half_normal(1)" in fit.summary()
    fit.save(tmp_path)
    again = saem.load(tmp_path)
    assert again.posterior.draws.tobytes() == fit.posterior.draws.tobytes() and again.summary() == fit.summary()
    assert again.random_effects.tobytes() == fit.random_effects.tobytes()
    assert again.posterior.effect_draws.tobytes() == fit.posterior.effect_draws.tobytes()
    assert again.posterior.effect_quantiles.tobytes() == fit.posterior.effect_quantiles.tobytes()
    assert again.posterior.effect_covariances.tobytes() == fit.posterior.effect_covariances.tobytes()


def test_draws_of_random_effects_are_those_of_the_same_draws_as_the_parameters() -> None:
    """Data tell the rates of all clusters together better than their mean and their deviations from it.

    A mutant takes the random effects of other draws.
    """
    fit = quick_fit()
    k_pop = np.log(fit.posterior.draws[:, :, fit.parameters.index("k_pop")])
    deviations = fit.posterior.effect_draws[:, :, :, 1].mean(axis=2)
    assert (k_pop + deviations).std() < 0.6 * (k_pop + deviations[:, ::-1]).std()


def test_random_effects_and_individual_parameters_go_to_arviz(tmp_path: Path) -> None:
    """By cluster and term, by the names of the model; the same of a fit that was saved."""
    fit = quick_fit()
    fit.save(tmp_path)
    effects = fit.posterior.effect_draws
    assert effects.shape == (2, 150, 10, 2) and effects.dtype == np.float32
    for each in (fit, saem.load(tmp_path)):
        posterior = each.to_arviz().posterior
        assert set(posterior) == {*fit.parameters.names, "random_effects", "A", "k"}
        assert posterior["random_effects"].dims == ("chain", "draw", "cluster", "term")
        assert posterior["A"].dims == ("chain", "draw", "cluster")
        assert posterior["cluster"].values.tolist() == list(range(10))
        own = posterior["random_effects"].sel(cluster=7, term="k").values
        assert own.tobytes() == effects[:, :, 7, 1].tobytes()
        twin = fit.posterior.draws[:, :, fit.parameters.index("k_pop")] * np.exp(own.astype(float))
        np.testing.assert_allclose(posterior["k"].sel(cluster=7).values, twin, rtol=1e-12)


def test_several_columns_make_the_label_of_a_cluster() -> None:
    table = curves().assign(site=lambda t: t["id"] // 5, who=lambda t: "s" + (t["id"] % 5).astype(str))
    model = Model(**CURVE | {"cluster": ["site", "who"], "priors": {"a": "half_normal(1)"}})
    posterior = saem.fit(model, table, QUICK, seed=1).to_arviz().posterior
    assert posterior["cluster"].values.tolist() == [f"{site}, s{who}" for site in range(2) for who in range(5)]


def test_random_effects_of_a_posterior_are_those_that_were_drawn() -> None:
    fit = quick_fit()
    pooled = fit.posterior.effect_draws.reshape(300, 10, 2).astype(float)
    found = saem.random_effects(fit, draws=300, seed=2)
    assert found.modes is None and "mode" not in found.table
    np.testing.assert_allclose(found.mean, pooled.mean(axis=0), atol=1e-6)
    for c in range(10):
        np.testing.assert_allclose(found.covariance[c], np.cov(pooled[:, c], rowvar=False), rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(fit.random_effect_sds, pooled.std(axis=0, ddof=1), rtol=1e-5)
    ends = np.quantile(pooled, [0.025, 0.25, 0.5, 0.75, 0.975], axis=0)
    np.testing.assert_allclose(fit.posterior.effect_quantiles, ends, rtol=1e-5, atol=1e-7)
    assert not np.array_equal(found.draws, pooled)
    np.testing.assert_array_equal(np.sort(found.draws, axis=0), np.sort(pooled, axis=0))
    np.testing.assert_array_equal(saem.random_effects(fit, draws=20, seed=2).draws, found.draws[:20])
    with pytest.raises(ModelError, match=r"keeps 300 draws of the random effects; got draws = 301"):
        saem.random_effects(fit, draws=301)


def test_draws_of_random_effects_that_take_too_much_memory_are_not_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """All else is the same, bit for bit."""
    import saem.algorithms.bayes.effects as of_effects

    whole = quick_fit()
    monkeypatch.setattr(of_effects, "MOST_KEPT", 2 * 150 * 20 * 4 - 1)
    saem.fit(Model(**CURVE, priors={"a": "half_normal(1)"}), curves(), QUICK, seed=1).save(tmp_path)
    fit = saem.load(tmp_path)
    assert fit.posterior.effect_draws.shape == (0, 0, 10, 2) and not whole.warnings
    assert fit.posterior.draws.tobytes() == whole.posterior.draws.tobytes()
    for name in ("effect_covariances", "effect_quantiles"):
        assert getattr(fit.posterior, name).tobytes() == getattr(whole.posterior, name).tobytes()
    assert fit.random_effects.tobytes() == whole.random_effects.tobytes()
    assert "draws of the random effects would take" in fit.warnings[0]
    data = fit.to_arviz()
    assert set(data.posterior) == set(fit.parameters.names)
    assert "too much memory" in data.attrs["random_effects"]
    assert np.array_equal(saem.random_effects(fit).covariance, whole.posterior.effect_covariances)
    with pytest.raises(ModelError, match=r"keeps 0 draws of the random effects, for they would take too much"):
        saem.random_effects(fit, draws=1)


def test_of_very_many_random_effects_every_so_many_th_draw_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws of the parameters are the same; means are those of the first of three draws, of each three."""
    import saem.algorithms.bayes.effects as of_effects

    whole = quick_fit()
    monkeypatch.setattr(of_effects, "MOST_HELD", 2 * 150 * 20 * 8 // 3)
    fit = saem.fit(Model(**CURVE, priors={"a": "half_normal(1)"}), curves(), QUICK, seed=1)
    assert fit.posterior.draws.tobytes() == whole.posterior.draws.tobytes()
    assert fit.posterior.effect_draws.shape == (0, 0, 10, 2)
    held = whole.posterior.effect_draws[:, ::3].astype(float)
    np.testing.assert_allclose(fit.random_effects, held.mean(axis=(0, 1)), atol=1e-6)
    assert np.abs(fit.random_effects - whole.random_effects).max() > 1e-3


def test_a_draw_that_is_given_twice_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random effects would be those of other draws."""
    from saem.algorithms.bayes import nuts
    from saem.algorithms.bayes.native import BLOCK

    def model_of(*arguments: Any) -> Any:
        made = real(*arguments)
        made.user_data[BLOCK + nuts.SEEN] = 1.0
        return made

    real = nuts.model_of
    monkeypatch.setattr(nuts, "model_of", model_of)
    with pytest.raises(FitError, match="has not given each draw once"):
        saem.fit(Model(**CURVE), curves(), QUICK, seed=1)


def test_the_random_effects_have_a_say_in_the_verdict() -> None:
    from saem.algorithms.bayes.diagnosis import Diagnosis, verdict
    from saem.algorithms.bayes.effects import effects_found

    good = Diagnosis(*np.array([[1.001], [900.0], [700.0], [0.01]]))
    draws = np.random.default_rng(0).standard_normal((4, 500, 3, 2))
    found = effects_found(draws, 1)
    assert found.means.shape == (3, 2) and found.rhat < 1.05 and found.ess > 1000
    assert verdict(("a",), good, 0, 2000, 1, found)[0] == "converged"
    draws[0, :, 2, 0] += 3.0
    status, message = verdict(("a",), good, 0, 2000, 1, effects_found(draws, 1))
    assert status == "not_converged" and "random effects of some cluster" in message
    assert effects_found(np.empty((4, 500, 0, 0)), 1) is None


def test_correlated_pairs_are_known_and_more_are_not() -> None:
    outcome = CURVE["outcome"] | {"mean": "b + A * (1 - exp(-k * time))"}
    individual = CURVE["individual"] | {"b": "normal(b_pop, omega_b)"}
    three = CURVE | {"outcome": outcome, "individual": individual}
    with pytest.raises(ModelError, match=r"correlations of two random effects; got 3 correlated terms"):
        saem.fit(Model(**three, random={"correlated": [["A", "k", "b"]]}), curves(), QUICK)
    pair = saem.fit(Model(**three, random={"correlated": [["A", "b"]]}), curves(), QUICK)
    assert pair.posterior.priors["corr_A_b"] == "lkj(1)" and np.isfinite(pair.se).all()


def test_default_priors_are_on_the_scale_of_the_data() -> None:
    """Responses and times in other units: priors of what has a unit move with them, the others stay."""

    def defaults(table: pd.DataFrame) -> dict[str, Any]:
        model = Model(**CURVE | {"constraints": {}})
        problem = pose(model, arrange(model, table))
        return dict(zip(problem.parameters.names, map(parse_prior, problem.priors.default()), strict=True))

    plain = defaults(curves())
    moved = defaults(curves().assign(y=100.0 * curves()["y"], time=curves()["time"] / 10.0))
    assert moved["A_pop"].numbers[0] == pytest.approx(plain["A_pop"].numbers[0] + np.log(100.0), abs=1e-2)
    assert moved["k_pop"].numbers[0] == pytest.approx(plain["k_pop"].numbers[0] + np.log(10.0), abs=1e-2)
    assert moved["a"].numbers[0] == pytest.approx(100.0 * plain["a"].numbers[0], rel=1e-2)
    assert moved["omega_A"] == plain["omega_A"] == parse_prior("half_normal(1)")


def test_a_binary_model_by_its_coefficients() -> None:
    """Of a slope of x: 2.5 times what one row leaves, which for a probability of 1/2 is 2 / rms(x)."""
    table = pd.DataFrame({"id": np.repeat(np.arange(8), 6), "x": np.tile([-2.0, -1.0, -0.5, 0.5, 1.0, 2.0], 8)})
    table["y"] = np.random.default_rng(1).integers(0, 2, 48)
    model = Model(family="glmm", cluster="id", predictor="y ~ x", outcome={"distribution": "bernoulli"})
    problem = pose(model, arrange(model, table))
    priors = dict(zip(problem.parameters.names, problem.priors.default(), strict=True))
    slope = parse_prior(priors["x"])
    assert slope.name == "student_t" and slope.numbers[:2] == (3.0, 0.0)
    assert slope.numbers[2] == pytest.approx(5.0 / np.sqrt(np.mean(table["x"] ** 2)), rel=0.15)
    spread = parse_prior(priors["sd_intercept"])
    assert spread.name == "half_student_t" and spread.numbers == (3.0, pytest.approx(5.0, rel=0.15))


def test_a_model_without_random_effects() -> None:
    """Least squares: the posterior mean of the rate is within its SD of the estimate."""
    plain = {"individual": {"m": "A * (1 - exp(-k * time))"}, "constraints": {}}
    outcome = {"distribution": "normal", "mean": "m", "sd": "a"}
    model = Model(**CURVE | plain | {"outcome": outcome})
    fit, ml = saem.fit(model, curves(), QUICK), saem.fit(model, curves(), "ml")
    assert fit.random_effects.shape == (10, 0) and np.all(np.abs(fit.values - ml.values) < ml.se)


@pytest.mark.slow
def test_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "model.toml").write_text(Model(**CURVE).to_toml())
    curves().to_csv(tmp_path / "data.csv", index=False)
    command = [sys.executable, "-c", "import saem.cli; saem.cli.main()"]
    arguments = ["fit", "model.toml", "data.csv", "--method", "bayes", "-o", "out"]
    done = subprocess.run([*command, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True)
    for words in ("Bayesian (NUTS)", "4 chains of 1,000 draws", "determined by known_mean", "status: conv"):
        assert words in done.stdout
    done = subprocess.run([*command, "prior", "model.toml", "data.csv"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "lognormal(" in done.stdout
