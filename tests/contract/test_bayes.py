"""Bayesian fits as users meet them: results, files, figures, the command line, refusals."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from designs import random_case
from effort import PATIENCE
from linear_family import example_table
from matplotlib.figure import Figure
from scipy import stats

import saem
from saem import Bayes, Model, recipes
from saem.errors import ModelError
from saem.families import arrange, pose
from saem.plotting import marginal_densities, plot_posterior, plot_trace

MODEL = Model.from_text(recipes.text("peptide"))
needs_sampler = pytest.mark.skipif(
    importlib.util.find_spec("nutpie") is None, reason="the extra 'bayes' is not installed"
)
QUICK = Bayes(chains=2, tune=200, draws=150)


@lru_cache
def quick_fit() -> saem.Fit:
    """Too short to be of use, with a fixed parameter, a determined one and a prior of its own."""
    model = MODEL.replace(fixed={"alpha2": -1.0}, priors={"sigma2": "half_normal(1)", "b22": "normal(1, 1/2)"})
    return saem.fit(model, example_table(12, 1), QUICK, seed=2)


# What a fit has


@needs_sampler
def test_the_fit_knows_its_priors_and_diagnostics() -> None:
    fit = quick_fit()
    posterior = fit.posterior
    assert posterior is not None and fit.method == "bayes"
    assert posterior.draws.shape == (2, 150, 8) and not posterior.draws.flags.writeable
    assert set(posterior.priors) == set(fit.parameters.names) - {"c2", "alpha2"}
    assert posterior.priors["sigma2"] == "half_normal(1)" and posterior.priors["b22"] == "normal(1, 1/2)"
    assert posterior.priors["mu"].startswith("student_t(3, ")
    assert dict(posterior.determined) == {"c2": "g"}
    assert set(posterior.stats) >= {"lp", "diverging", "energy", "tree_depth", "n_steps"}
    assert all(values.shape == (2, 150) for values in posterior.stats.values())
    alpha2 = fit.parameters.index("alpha2")
    assert np.isnan(posterior.rhat[alpha2]) and fit.values[alpha2] == -1.0 and fit.se[alpha2] == 0.0
    assert np.isfinite(np.delete(posterior.rhat, alpha2)).all() and np.isfinite(fit.mcse).all()
    assert fit.n_free == 6 and np.isnan(fit.aic) and np.isnan(fit.bic)
    assert fit.provenance["nutpie"] and fit.provenance["arviz"]
    constraints = [pose(fit.model, arrange(fit.model, fit.table)).constraints.evaluate(x)[0] for x in posterior.pooled]
    assert np.abs(constraints).max() < 1e-12


@needs_sampler
def test_what_was_missed_is_named() -> None:
    fit = quick_fit()
    assert fit.status == "not_converged" and not fit.converged
    assert "effective sample size is below 400" in fit.message and "take more draws" in fit.message
    text = fit.summary()
    for words in (
        "R-hat",
        "ESS bulk",
        "2.5 %",
        "97.5 %",
        "determined by g",
        "c2, which g determines: by the priors alone 95 % between",
        "half_normal(1)",
        "fixed",
        "in every draw",
    ):
        assert words in text
    assert "2 chains of 150 draws after 200 of tuning" in text and "AIC" not in text


@needs_sampler
def test_the_verdict_names_what_is_wrong() -> None:
    from saem.algorithms.bayes.diagnosis import Diagnosis, diagnose, verdict

    good = Diagnosis(*np.array([[1.001, np.nan], [900.0, np.nan], [700.0, np.nan], [0.01, np.nan]]))
    names = ("a", "b")
    assert verdict(names, good, 0, 4000, 1)[0] == "converged"
    assert "3 draws of 4,000 diverged" in verdict(names, good, 3, 4000, 1)[1]
    for field, value, words in (
        ("rhat", 1.02, "R-hat is above 1.01 (a 1.02)"),
        ("ess_bulk", 390.0, "bulk effective sample size is below 400 (a 390)"),
        ("ess_tail", 20.0, "tail effective sample size is below 400 (a 20)"),
    ):
        status, message = verdict(names, good._replace(**{field: np.array([value, np.nan])}), 0, 4000, 1)
        assert status == "not_converged" and words in message
    moving = np.random.default_rng(0).normal(size=(4, 1000))
    draws = np.stack([moving, np.ones((4, 1000)) * np.arange(4)[:, None], np.ones((4, 1000))], axis=2)
    found = diagnose(draws, np.array([False, False, True]))
    assert found.rhat[0] < 1.01 < found.rhat[1] and found.ess_bulk[0] > 3000 and np.isnan(found.rhat[2])
    still = diagnose(np.ones((4, 1000, 1)), np.array([False]))
    assert still.rhat[0] == np.inf and verdict(("a",), still, 0, 4000, 1)[0] == "not_converged"
    apart = good._replace(rhat=np.array([1.9, np.nan]))
    assert "3 maxima" in verdict(names, apart, 0, 4000, 3)[1]


@needs_sampler
def test_a_saved_fit_is_the_same(tmp_path: Path) -> None:
    fit = quick_fit()
    fit.save(tmp_path)
    again = saem.load(tmp_path)
    assert again.posterior is not None and fit.posterior is not None
    assert again.posterior.draws.tobytes() == fit.posterior.draws.tobytes()
    for name, values in fit.posterior.stats.items():
        assert again.posterior.stats[name].dtype == values.dtype
        np.testing.assert_array_equal(again.posterior.stats[name], values)
    assert (again.posterior.priors, again.posterior.determined) == (fit.posterior.priors, fit.posterior.determined)
    assert dict(again.posterior.implied) == dict(fit.posterior.implied) and set(fit.posterior.implied) == {"c2"}
    assert again.summary() == fit.summary()
    pd.testing.assert_frame_equal(again.intervals(0.5), fit.intervals(0.5))
    assert json.loads((tmp_path / "fit.json").read_text())["posterior"]["priors"]["sigma2"] == "half_normal(1)"
    import pickle

    assert pickle.loads(pickle.dumps(fit)).posterior.draws.tobytes() == fit.posterior.draws.tobytes()


@needs_sampler
def test_to_arviz() -> None:
    fit = quick_fit()
    data = fit.to_arviz()
    for i, name in enumerate(fit.parameters.names):
        np.testing.assert_array_equal(data.posterior[name].values, fit.posterior.draws[:, :, i])
    assert {"lp", "diverging", "energy"} <= set(data.sample_stats)
    np.testing.assert_array_equal(data.observed_data["log2_intensity"], fit.table["log2_intensity"])
    import arviz

    own = arviz.summary(data, var_names=["mu", "c2"], round_to="none")
    np.testing.assert_allclose(own["mean"], fit.values[:2], rtol=1e-12)
    np.testing.assert_allclose(own["r_hat"], fit.posterior.rhat[:2], rtol=1e-12)
    with pytest.raises(ModelError, match="only a fit by 'bayes'"):
        saem.fit(MODEL, example_table(4, 1), "ml").to_arviz()


# What is done with a fit


@needs_sampler
def test_inference_from_the_maximum_is_refused() -> None:
    fit = quick_fit()
    ml = saem.fit(fit.model, fit.table, "ml")
    for refused in (
        lambda: saem.profile(fit),
        lambda: saem.bootstrap(fit, 20),
        lambda: saem.likelihood_ratio(fit, ml),
        lambda: saem.likelihood_ratio(ml, fit),
        lambda: saem.compare_models({"one": ml, "other": fit}),
        lambda: saem.bootstrap_test(fit, ml, 20),
        lambda: saem.fisher_information(fit),
        lambda: saem.predict(fit),
        lambda: saem.npde(fit),
        lambda: saem.influence(fit),
    ):
        with pytest.raises(ModelError, match="a fit by 'bayes' is a posterior; fit the same model by 'ml'"):
            refused()
    with pytest.raises(ModelError, match="cannot be gone on with"):
        fit.resume()
    found = saem.compare(fit.model, fit.table, ["ml", QUICK])
    assert "no distance to the maximum" in found.failures["bayes"] and list(found.fits) == ["ml"]


@needs_sampler
def test_derived_quantities_have_their_own_draws() -> None:
    fit = quick_fit()
    row = saem.derive(fit, {"ratio": "sigma2 / sigma1"}, level=0.8).loc["ratio"]
    draws = fit.posterior.pooled
    ratio = draws[:, fit.parameters.index("sigma2")] / draws[:, fit.parameters.index("sigma1")]
    np.testing.assert_allclose(row, [ratio.mean(), ratio.std(ddof=1), *np.quantile(ratio, [0.1, 0.9])], rtol=1e-12)
    with pytest.raises(ModelError, match="no value in"):
        saem.derive(fit, {"none": "log(b21 - mu)"})


@needs_sampler
def test_residuals_are_those_at_the_posterior_means() -> None:
    fit = quick_fit()
    found = saem.residuals(fit)
    np.testing.assert_allclose(found["marginal"] + found["fitted_marginal"], fit.table["log2_intensity"])


@needs_sampler
def test_figures() -> None:
    fit = quick_fit()
    ml = saem.fit(fit.model, fit.table, "ml")
    axes = plot_posterior(fit, maximum=ml, figure=Figure(layout="constrained"))
    assert [each.get_title() for each in axes] == [n for n in fit.parameters.names if n != "alpha2"]
    numbers = marginal_densities(fit, ["sigma2", "c2"])
    assert set(numbers["chain"]) == {0, 1}
    for (name, chain), curve in numbers.groupby(["parameter", "chain"]):
        assert np.trapezoid(curve["density"], curve["value"]) == pytest.approx(1.0, abs=0.02), (name, chain)
        assert np.isnan(curve["prior"]).all() == (name == "c2")
    sigma2 = numbers[numbers["parameter"] == "sigma2"]
    np.testing.assert_allclose(sigma2["prior"], stats.halfnorm.pdf(sigma2["value"]), rtol=1e-12)
    drawn = next(each for each in axes if each.get_title() == "sigma2").get_lines()[0]
    np.testing.assert_array_equal(drawn.get_ydata(), sigma2.loc[sigma2["chain"] == 0, "density"])
    assert len(plot_trace(fit, ["mu"], Figure())[0].get_lines()) >= 2  # one a chain
    with pytest.raises(ModelError, match="only a fit by 'bayes'"):
        plot_posterior(ml)


# Few data


def test_the_acceptance_rate_falls_as_more_is_drawn_at_once() -> None:
    from saem.algorithms.bayes.algorithm import acceptance

    assert [acceptance(d) for d in (8, 100, 400, 1600, 10**6)] == [0.95, 0.95, 0.9, 0.8, 0.8]


@needs_sampler
def test_divergences_make_the_steps_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    """All draws are made anew, at most twice; the same seed gives the same bits."""
    import saem.algorithms.bayes.algorithm as algorithm

    asked: list[float] = []
    cured_at = 0.99

    def sample(*arguments: Any) -> Any:
        found = real(*arguments)
        target_accept = arguments[-2]
        asked.append(target_accept)
        found.stats["diverging"] = np.zeros_like(found.stats["diverging"])
        found.stats["diverging"][0, 0] = target_accept < cured_at
        return found

    real = algorithm.sample
    monkeypatch.setattr(algorithm, "sample", sample)
    table = example_table(6, 1)
    fit = saem.fit(MODEL, table, QUICK, seed=2)
    assert asked == pytest.approx([0.95, 0.99]) and fit.posterior.target_accept == pytest.approx(0.99)
    assert fit.posterior.divergences == 0 and "at a target acceptance of 0.99" in fit.summary()
    again = saem.fit(MODEL, table, QUICK, seed=2)
    assert again.posterior.draws.tobytes() == fit.posterior.draws.tobytes()
    asked.clear()
    cured_at = 1.0
    lost = saem.fit(MODEL, table, QUICK, seed=2)
    assert asked == pytest.approx([0.95, 0.99, 0.998]) and "1 draw of 300 diverged" in lost.message


@needs_sampler
def test_any_set_of_means_and_standard_deviations_has_a_frame() -> None:
    """No mean left, no standard deviation left, and one of each between bounds."""
    table = example_table(6, 1)
    means, sds = {"mu": 10.0, "alpha2": -1.0, "b21": 0.5, "b22": 1.2}, {"sigma1": 0.4, "sigma2": 0.7, "sigma": 0.3}
    bounded = {"b22": "uniform(-5, 5)", "sigma2": "uniform(0.05, 3)"}
    for model in (MODEL.replace(fixed=means), MODEL.replace(fixed=sds), MODEL.replace(priors=bounded)):
        fit = saem.fit(model, table, Bayes(chains=2, tune=300, draws=300), seed=1)
        assert fit.posterior.divergences == 0 and np.nanmax(fit.posterior.rhat) < 1.05


@needs_sampler
@pytest.mark.slow
def test_few_data_converge_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """3 data sets of each size, where 100 of 100 converge; in the coordinates of before, without a rerun, few do."""
    import saem.algorithms.bayes.algorithm as algorithm
    from experiments.programs import posterior_convergence
    from saem.algorithms.bayes.framing import frame_at

    assert (posterior_convergence.run(["peptide"], 3)["status"] == "converged").all()

    def plain(density: Any, solver: Any, u: np.ndarray) -> Any:
        frame = frame_at(density, solver, u)
        still = {name: np.zeros_like(getattr(frame, name)) for name in ("shear", "spreads", "size")}
        return frame._replace(centre=u, base=np.eye(len(frame.means)), **still)

    monkeypatch.setattr(algorithm, "frame_of", plain)
    monkeypatch.setattr(algorithm, "RAISES", 0)
    assert (posterior_convergence.run(["peptide"], 3)["status"] == "converged").mean() < 0.7


# What is refused, and the command line


def test_without_nutpie_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import saem.algorithms.bayes.nuts as nuts

    monkeypatch.setattr(nuts, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="pip install nutpie arviz"):
        saem.fit(MODEL, example_table(4, 1), "bayes")


@pytest.mark.parametrize(
    "settings", [{"chains": 1}, {"draws": 10}, {"tune": 0}, {"target_accept": 1.0}, {"draws": 1e3}, {"chains": True}]
)
def test_settings_are_checked(settings: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=next(iter(settings))):
        Bayes(**settings)


@needs_sampler
def test_what_the_data_leave_to_the_priors_is_said() -> None:
    model = MODEL.replace(constraints={})
    fit = saem.fit(model, example_table(12, 1), QUICK, seed=1)
    assert any("without a change of the fit" in text and "is the prior" in text for text in fit.warnings)
    assert np.isfinite(fit.se).all() and fit.n_free == 7


@needs_sampler
def test_problems_that_the_method_does_not_know() -> None:
    case = random_case(3, terms=3, covariance="full")
    with pytest.raises(ModelError, match="3 correlated terms"):
        saem.fit(Model(**case.model), case.table, "bayes")
    with pytest.raises(ModelError, match="takes no callback"):
        saem.fit(MODEL, example_table(4, 1), "bayes", callback=lambda progress: False)


@needs_sampler
def test_levels_are_fitted_by_bayes_too() -> None:
    from saem.batch import fit_by

    table = pd.concat([example_table(6, k).assign(site=f"s{k}") for k in (1, 2)], ignore_index=True)
    batch = fit_by(MODEL, table, "site", [QUICK], workers=1)
    assert len(batch.estimates) == 16 and set(batch.fits["status"]) <= {"converged", "not_converged"}
    assert np.isfinite(batch.estimates[["estimate", "se", "mcse", "lower", "upper"]].to_numpy()).all()


@needs_sampler
@pytest.mark.slow
def test_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "model.toml").write_text(recipes.text("peptide"))
    example_table(60, 1).to_csv(tmp_path / "data.csv", index=False)
    command = [
        sys.executable,
        "-c",
        "import saem.cli; saem.cli.main()",
        "fit",
        "model.toml",
        "data.csv",
        "--method",
        "bayes",
        "--chains",
        "3",
    ]
    done = subprocess.run([*command, "-o", "out"], cwd=tmp_path, capture_output=True, text=True, check=True)
    for words in (
        "Bayesian (NUTS)",
        "3 chains of 1,000 draws",
        "R-hat",
        "determined by g",
        "student_t(3",
        "status: conv",
    ):
        assert words in done.stdout
    names = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*")}
    assert {"estimates.csv", "bayes/fit.json", "bayes/arrays.npz", "bayes/posterior.png", "bayes/trace.png"} <= names
    assert saem.load(tmp_path / "out" / "bayes").posterior.draws.shape == (3, 1000, 8)
    refused = subprocess.run([*command, "--mcse", "0.1"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert refused.returncode != 0 and "--mcse is for SAEM and its relatives" in refused.stderr


@needs_sampler
@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGINT") or os.name == "nt", reason="needs signals")
def test_ctrl_c_ends_it(tmp_path: Path) -> None:
    example_table(60, 1).to_csv(tmp_path / "data.csv", index=False)
    code = (
        "import signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a job in the background is born deaf to Ctrl-C
        "import pandas as pd, saem\n"
        "from saem import recipes\n"
        "model = saem.Model.from_text(recipes.text('peptide'))\n"
        "table = pd.read_csv('data.csv')\n"
        "saem.fit(model, table, saem.Bayes(chains=2, tune=100, draws=100))\n"
        "try:\n    print('go', flush=True)\n    saem.fit(model, table, saem.Bayes(draws=500_000))\n"
        "except KeyboardInterrupt:\n    print('interrupted', flush=True)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stdout.readline() == "go\n"
    time.sleep(2.0)
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=PATIENCE)
    assert out == "interrupted\n" and child.returncode == 0
