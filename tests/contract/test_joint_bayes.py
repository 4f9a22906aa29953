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
from saem.errors import ModelError
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
    assert set(again.to_arviz().posterior) == set(fit.parameters.names)


def test_random_effects_that_take_too_much_memory_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The draws of the parameters are the same; random effects are then those at the posterior means."""
    import saem.algorithms.bayes.algorithm as algorithm

    monkeypatch.setattr(algorithm, "MOST_KEPT", 2 * 350 * 20 - 1)
    fit = saem.fit(Model(**CURVE, priors={"a": "half_normal(1)"}), curves(), QUICK, seed=1)
    assert fit.posterior.draws.tobytes() == quick_fit().posterior.draws.tobytes()
    assert fit.random_effects.shape == (10, 2)
    assert 0.0 < np.abs(fit.random_effects - quick_fit().random_effects).max() < 0.15


def test_the_random_effects_have_a_say_in_the_verdict() -> None:
    from saem.algorithms.bayes.diagnosis import Diagnosis, diagnose_effects, verdict

    good = Diagnosis(*np.array([[1.001], [900.0], [700.0], [0.01]]))
    draws = np.random.default_rng(0).standard_normal((4, 500, 6))
    found = diagnose_effects(draws, 3)
    assert found.means.shape == (3, 2) and found.rhat < 1.05 and found.ess > 1000
    assert verdict(("a",), good, 0, 2000, 1, found)[0] == "converged"
    draws[0, :, 4] += 3.0
    status, message = verdict(("a",), good, 0, 2000, 1, diagnose_effects(draws, 3))
    assert status == "not_converged" and "random effects of some cluster" in message
    assert diagnose_effects(np.empty((4, 500, 0)), 3) is None


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
