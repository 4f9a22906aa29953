"""Draws from posteriors against integration on a grid, another program, and large samples."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from functools import lru_cache

import naive
import numpy as np
import pandas as pd
import pytest
from designs import exact_peptide_table, peptide_columns, peptide_dense, peptide_table
from linear_family import example_table
from overidentified import g
from scipy import stats

import saem
from saem import Bayes, Model, recipes
from saem.fitting.fit import METHODS
from saem.system.optional import quiet_import

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("nutpie") is None or importlib.util.find_spec("arviz") is None,
    reason="the extra 'bayes' is not installed",
)

Array = np.ndarray
PEPTIDE = Model.from_text(recipes.text("peptide"))
HELD = {"mu": 10.0, "alpha2": -1.0, "b21": 0.5, "sigma1": 0.4, "sigma": 0.3}
NAMES = ("mu", "c2", "alpha2", "b21", "b22", "sigma1", "sigma2", "sigma")
#: 2 free parameters, few data: a skewed posterior; c2 is determined by the constraint
SMALL = PEPTIDE.replace(fixed=HELD, priors={"b22": "normal(0, 1.5)", "sigma2": "half_student_t(3, 0.5)"})


@lru_cache
def small_table() -> pd.DataFrame:
    return peptide_table(np.random.default_rng(4), (3, 4), c2=1.7)


@lru_cache
def small_fit() -> saem.Fit:
    return saem.fit(SMALL, small_table(), Bayes(draws=2000), seed=1)


def moments(b22: Array, sigma2: Array, c2: Array) -> list[Array]:
    return [b22, b22**2, sigma2, sigma2**2, np.log(sigma2), c2]


@dataclass(frozen=True)
class Target:
    """What is integrated: the right posterior, or a mutant of it."""

    scale: float = 0.5  # of the prior of sigma2
    jacobian: bool = True
    linked: bool = True  # whether c2 moves with sigma2


def solved(b22: float, sigma2: float, linked: bool = True) -> dict[str, float]:
    x = HELD | {"b22": b22, "sigma2": sigma2}
    return x | {"c2": float(g(x if linked else x | {"sigma2": 0.7}))}


@lru_cache
def likelihood_on_grid(linked: bool) -> tuple[Array, Array, Array, Array]:
    """On a grid of b22 and log(sigma2) (k,): the dense marginal log-likelihood, and the parameters."""
    table = small_table()
    dense = peptide_dense(table, peptide_columns(table), NAMES)
    grid = np.meshgrid(np.linspace(-3.5, 5.0, 46), np.linspace(-5.5, 3.5, 46), indexing="ij")
    points = [solved(b22, float(np.exp(v)), linked) for b22, v in zip(grid[0].ravel(), grid[1].ravel(), strict=True)]
    values = np.array([naive.marginal(dense, np.array([x[name] for name in NAMES])) for x in points])
    return values, *(np.array([x[name] for x in points]) for name in ("b22", "sigma2", "c2"))


def expectations(target: Target) -> Array:
    """Of the moments, by the trapezoidal rule on the grid, which is exact to many digits for smooth functions."""
    values, b22, sigma2, c2 = likelihood_on_grid(target.linked)
    heights = values + stats.norm(0.0, 1.5).logpdf(b22) + stats.t(3.0, 0.0, target.scale).logpdf(sigma2)
    heights = heights + target.jacobian * np.log(sigma2)
    weights = np.exp(heights - heights.max())
    edge = np.isin(b22, [b22.min(), b22.max()]) | np.isin(sigma2, [sigma2.min(), sigma2.max()])
    assert not target.jacobian or weights[edge].max() < 2e-3
    return np.array([np.sum(weights * m) / np.sum(weights) for m in moments(b22, sigma2, c2)])


def check_moments(fit: saem.Fit, expected: Array) -> None:
    """6 means within 4.5 Monte Carlo errors: a false alarm in 4e-5."""
    arviz = quiet_import("arviz")
    draws = {name: fit.posterior.draws[:, :, i] for i, name in enumerate(fit.parameters.names)}
    for values, truth in zip(moments(draws["b22"], draws["sigma2"], draws["c2"]), expected, strict=True):
        error = float(arviz.mcse(arviz.convert_to_dataset({"m": values}))["m"])
        assert abs(values.mean() - truth) < 4.5 * error


def test_means_are_those_of_the_integral() -> None:
    check_moments(small_fit(), expectations(Target()))


@pytest.mark.parametrize("mutant", [Target(jacobian=False), Target(scale=0.8), Target(linked=False)], ids=str)
def test_mutants_of_the_posterior_are_caught(mutant: Target) -> None:
    """The same draws do not pass for a density without its Jacobian, with another prior, or without the link."""
    with pytest.raises(AssertionError):
        check_moments(small_fit(), expectations(mutant))


def test_errors_intervals_and_likelihood_are_those_of_the_draws() -> None:
    fit = small_fit()
    assert fit.converged and fit.posterior is not None
    b22 = fit.parameters.index("b22")
    own = fit.posterior.pooled
    np.testing.assert_allclose(fit.values, own.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(fit.se[b22], own[:, b22].std(ddof=1), rtol=1e-12)
    np.testing.assert_allclose(fit.intervals(0.8).loc["b22"], np.quantile(own[:, b22], [0.1, 0.9]), rtol=1e-12)
    assert fit.posterior.draws.shape == (4, 2000, len(fit.values))
    assert np.isnan(fit.estimates.loc["mu", "lower"]) and fit.se[fit.parameters.index("mu")] == 0.0
    # the likelihood at the means of b22 and sigma2, with the c2 that belongs to them
    x = solved(*(float(fit.values[fit.parameters.index(name)]) for name in ("b22", "sigma2")))
    dense = peptide_dense(small_table(), peptide_columns(small_table()), NAMES)
    assert fit.loglik == pytest.approx(naive.marginal(dense, np.array([x[name] for name in NAMES])), rel=1e-10)
    highest = saem.fit(SMALL, small_table(), "ml").loglik
    assert highest - 1.0 < fit.loglik < highest


def test_the_seed_decides_the_draws() -> None:
    """Bit for bit; and more chains change none of the first."""
    short = Bayes(chains=2, tune=200, draws=150)
    first, again, other = (saem.fit(SMALL, small_table(), short, seed=seed) for seed in (3, 3, 4))
    assert first.posterior.draws.tobytes() == again.posterior.draws.tobytes()
    assert first.posterior.draws.tobytes() != other.posterior.draws.tobytes()
    more = saem.fit(SMALL, small_table(), Bayes(chains=3, tune=200, draws=150), seed=3)
    assert more.posterior.draws[:2].tobytes() == first.posterior.draws.tobytes()


def three_solutions() -> pd.DataFrame:
    """The link has the solutions b21 = -3.4, 0 and 3.4 where C = 10 and b22 - b21 = -5, all as likely."""
    rise = 10.0 * (1.0 + 2.0**-5) / 2.0
    sigma2 = float(np.sqrt(0.16 + np.log(10.0) * 2.0 / np.log(2.0) ** 2))
    return exact_peptide_table(np.array([[10.0, 9.0], [10.0 + rise, 4.0 + rise]]), 0.4, sigma2, 0.3, n=2000)


@pytest.mark.slow
def test_chains_at_several_solutions_say_so() -> None:
    fit = saem.fit(PEPTIDE, three_solutions(), Bayes(chains=3, tune=300, draws=300), seed=1)
    assert fit.status == "not_converged"
    assert "3 maxima" in fit.message and "R-hat" in fit.message and "effective sample size" in fit.message
    means = fit.posterior.draws[:, :, fit.parameters.index("b21")].mean(axis=1)
    assert np.ptp(means) > 2.0  # they have stayed where they started
    kept = PEPTIDE.replace(priors={"b21": "normal(-4, 0.5)"})  # a prior that tells the solutions apart
    assert "maxima" not in saem.fit(kept, three_solutions(), Bayes(chains=2, tune=400, draws=400), seed=1).message


@pytest.mark.slow
def test_an_implicit_constraint_has_the_same_posterior() -> None:
    """8 means within 4.5 errors of their differences: a false alarm in 6e-5; a link without variances is told apart."""
    table = example_table(12, 1)
    implicit = "c2 * (1 + 2**b21) == exp(log(2)**2/2 * (sigma2**2 - sigma1**2)) * (1 + 2**b22)"
    texts = {"explicit": PEPTIDE.constraints["g"], "implicit": implicit, "other": "c2 == (1 + 2**b22) / (1 + 2**b21)"}
    fits = {
        name: saem.fit(PEPTIDE.replace(constraints={"g": text}), table, Bayes(draws=800), seed=seed)
        for seed, (name, text) in enumerate(texts.items())
    }
    assert fits["implicit"].warnings == ()

    def distance(name: str) -> float:
        a, b = fits["explicit"], fits[name]
        return float(np.max(np.abs(a.values - b.values) / np.hypot(a.mcse, b.mcse)))

    assert distance("implicit") < 4.5 < distance("other")


@pytest.mark.slow
def test_large_samples_have_the_estimates_of_maximum_likelihood() -> None:
    """Bernstein & von Mises: means within 0.15 SE at 500 replicates an arm and within 0.1 at 2000, SDs within 8 %.

    Posterior means of standard deviations are larger than maxima of the likelihood, by an amount of the order 1 / n:
    for sigma about (3/4 + 1) / 1000 of its size, which is 0.08 SE at 500 replicates. Monte Carlo errors are some
    0.015 SE of a mean and 1 % of a standard deviation.
    """
    for replicates, most in ((500, 0.15), (2000, 0.1)):
        table = example_table(replicates, 2)
        ml, fit = saem.fit(PEPTIDE, table, "ml"), saem.fit(PEPTIDE, table, Bayes(draws=4000), seed=1)
        assert fit.status == "converged"
        assert np.max(np.abs(fit.values - ml.values) / ml.se) < most
        np.testing.assert_allclose(fit.se / ml.se, 1.0, atol=0.08)
    few = saem.fit(PEPTIDE, table[table["replicate"] < 100], Bayes(), seed=1)
    assert np.max(np.abs(few.values - ml.values) / ml.se) > 0.15  # a mutant: other data
    assert np.max(np.abs(few.se / ml.se - 1.0)) > 0.08


@pytest.mark.slow
def test_another_program_has_the_same_means() -> None:
    """NumPyro with the random effects drawn, not integrated out: 8 means within 3 combined errors (false alarm 2 %)."""
    numpyro = pytest.importorskip("numpyro", reason="the extra 'referee' is not installed")
    import jax
    from numpyro import distributions
    from numpyro.infer import MCMC, NUTS

    jax.config.update("jax_enable_x64", True)
    table = example_table(20, 3)
    y = table["log2_intensity"].to_numpy()
    treated = (table["treatment"] == "CCCP").to_numpy().astype(int)
    modified = (table["modification"] == "modified").to_numpy().astype(int)
    cluster, labels = pd.factorize(table["treatment"] + table["replicate"].astype(str))
    arm = np.array([label.startswith("CCCP") for label in labels]).astype(int)
    model = PEPTIDE.replace(
        priors={
            "mu": "normal(10, 5)",
            "alpha2": "normal(0, 3)",
            "b21": "normal(0, 2)",
            "b22": "normal(0, 2)",
            "sigma1": "half_normal(1)",
            "sigma2": "half_normal(1)",
            "sigma": "half_normal(1)",
        }
    )

    def by_hand() -> None:
        np_ = jax.numpy
        mu = numpyro.sample("mu", distributions.Normal(10.0, 5.0))
        alpha2 = numpyro.sample("alpha2", distributions.Normal(0.0, 3.0))
        b21 = numpyro.sample("b21", distributions.Normal(0.0, 2.0))
        b22 = numpyro.sample("b22", distributions.Normal(0.0, 2.0))
        sigma1, sigma2, sigma = (
            numpyro.sample(name, distributions.HalfNormal(1.0)) for name in ("sigma1", "sigma2", "sigma")
        )
        ratio = np_.exp(np_.log(2.0) ** 2 / 2.0 * (sigma2**2 - sigma1**2))
        c2 = numpyro.deterministic("c2", ratio * (1.0 + 2.0**b22) / (1.0 + 2.0**b21))
        with numpyro.plate("clusters", len(arm)):
            z = numpyro.sample("z", distributions.Normal(0.0, 1.0))
        theta = np_.where(arm == 1, sigma2, sigma1) * z
        mean = mu + alpha2 * modified + treated * (c2 + np_.where(modified == 1, b22, b21)) + theta[cluster]
        numpyro.sample("y", distributions.Normal(mean, sigma), obs=y)

    chains = MCMC(NUTS(by_hand, target_accept_prob=0.9), num_warmup=1000, num_samples=4000, num_chains=1)
    chains.run(jax.random.PRNGKey(1))
    fit = saem.fit(model, table, Bayes(draws=2000), seed=1)
    wrong = model.replace(constraints={"g": "c2 == (1 + 2**b22) / (1 + 2**b21)"})
    mutant = saem.fit(wrong, table, Bayes(draws=2000), seed=1)
    theirs = {k: np.asarray(v)[None] for k, v in chains.get_samples().items() if k in fit.parameters.names}
    arviz = quiet_import("arviz")
    errors = arviz.mcse(arviz.convert_to_dataset(theirs))

    def distance(own: saem.Fit) -> float:
        rows = [
            (own.values[i] - theirs[name].mean()) / np.hypot(own.mcse[i], float(errors[name]))
            for i, name in enumerate(own.parameters.names)
        ]
        return float(np.max(np.abs(rows)))

    assert distance(fit) < 3.0 < distance(mutant)
    spread = np.array([theirs[name].std() for name in fit.parameters.names])
    np.testing.assert_allclose(fit.se / spread, 1.0, atol=0.1)


@pytest.mark.slow
def test_ranks_of_the_truth_are_uniform() -> None:
    """40 data sets, 9 chi-square tests at 1e-4: a false alarm in 9e-4. Draws that are too narrow do not pass."""
    from experiments.programs import sbc

    def too_narrow(model: Model, data: pd.DataFrame, seed: int) -> saem.Fit:
        fit = sbc.posterior(model, data, seed)
        assert fit.posterior is not None
        draws = fit.values + 0.4 * (fit.posterior.draws - fit.values)
        return replace(fit, posterior=replace(fit.posterior, draws=draws))

    assert sbc.calibrate(40, seed=1).table["p"].min() > 1e-4
    assert sbc.calibrate(40, seed=1, draw=too_narrow).table["p"].min() < 1e-4


def test_it_is_a_method_by_name() -> None:
    assert METHODS["bayes"] is Bayes and saem.Bayes is Bayes
