"""Priors in the model file: how they are read, what is refused, and what is taken where there are none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from designs import random_case
from linear_family import example_table

import saem
from saem import Model, recipes
from saem.errors import ModelError
from saem.families import arrange, pose
from saem.specification.priors import DISTRIBUTIONS, Prior, parse_prior

MODEL = Model.from_text(recipes.text("peptide"))


def test_priors_are_read_from_the_model_file() -> None:
    text = recipes.text("peptide") + '\n[priors]\nsigma1 = "half_normal(1)"\nb21 = " normal( 0, sqrt(4) ) "\n'
    model = Model.from_text(text)
    assert model.priors == {"sigma1": "half_normal(1)", "b21": " normal( 0, sqrt(4) ) "}
    assert Model.from_text(model.to_toml()) == model
    assert model.digest != MODEL.digest
    assert MODEL.replace(priors={}).digest == MODEL.digest
    assert "priors" not in MODEL.to_toml()
    problem = pose(model, arrange(model, example_table(4, 1)))
    assert problem.priors.named == model.priors


def test_numbers_may_be_computed() -> None:
    assert parse_prior("lognormal(log(0.4), 1/2)").numbers == (float(np.log(0.4)), 0.5)
    assert str(parse_prior("student_t(3, -1, 2.5)")) == "student_t(3, -1, 2.5)"


WRONG = {
    "norml(0, 1)": "did you mean 'normal'",
    "normal(0)": "has 2 numbers; got 1",
    "normal(0, 1, 2)": "has 2 numbers; got 3",
    "normal(0, -1)": "sd of normal must be positive",
    "gamma(0, 1)": "shape of gamma must be positive",
    "uniform(2, 1)": "lower < upper",
    "normal(mu, 1)": "must be numbers",
    "normal(0, 1 < 2)": "must be numbers",
    "normal(0, 1/0)": "not a finite real number",
    "normal(0, 1); import os": "must be written",
    "__import__('os').system('true')": "there is no distribution",
    "normal(__import__('os'), 1)": "there is no function",
    "normal(0, 9**9**9)": "exponent",
    "0.5": "must be written",
    "normal": "must be written",
    "normal(0, 1" + "0" * 3000 + ")": "at most 2000 characters",
}


@pytest.mark.parametrize("text", WRONG, ids=lambda text: text[:30])
def test_what_is_no_prior_is_refused(text: str) -> None:
    with pytest.raises(ModelError) as caught:
        MODEL.replace(priors={"mu": text})
    assert caught.value.problems[0].startswith("priors: mu: ")
    assert WRONG[text] in str(caught.value)


def test_every_mistake_is_told_at_once() -> None:
    wrong = {
        "sigma1": ("normal(0, 1)", "half_normal"),
        "sigma2": ("uniform(-1, 1)", "lies in (0, inf)"),
        "mu": ("lkj(1)", "lkj is for correlations"),
        "sigm": ("half_normal(1)", "did you mean 'sigma'"),
        "c2": ("normal(0, 1)", "the constraint 'g' determines it"),
        "b21": ("normal(0, 1)", "it is fixed at 0"),
    }
    with pytest.raises(ModelError) as caught:
        MODEL.replace(fixed={"b21": 0.0}, priors={name: text for name, (text, _) in wrong.items()})
    assert len(caught.value.problems) == len(wrong)
    for name, (_, words) in wrong.items():
        assert any(p.startswith(f"priors.{name}: ") and words in p for p in caught.value.problems)
    slopes = Model(response="y", cluster="s", mean={"mu": "1"}, random={"terms": {"a": "1", "b": "x"}})
    with pytest.raises(ModelError, match="correlation must be lkj"):
        slopes.replace(priors={"corr_a_b": "normal(0, 1)"})
    assert slopes.replace(priors={"corr_a_b": "uniform(-0.5, 1)"}).priors


def test_names_that_come_from_the_data_are_checked_with_them() -> None:
    model = Model(cluster="subject", mean="y ~ t", priors={"tt": "normal(0, 1)"})
    table = random_case(1).table
    with pytest.raises(ModelError, match=r"priors.tt: there is no parameter 'tt'"):
        saem.fit(model, table, "ml")
    fit = saem.fit(model.replace(priors={"t": "normal(0, 1)"}), table, "ml")  # not used by other methods
    assert fit.values.tobytes() == saem.fit(model.replace(priors={}), table, "ml").values.tobytes()


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_densities_and_quantiles_belong_together(name: str) -> None:
    numbers = {"uniform": (-1.0, 2.0), "lkj": (2.0,)}.get(name, (1.5, 0.7, 1.2)[: len(DISTRIBUTIONS[name])])
    prior = Prior(name, numbers)
    q = np.linspace(0.05, 0.95, 2001)
    x = prior.quantile(q)
    np.testing.assert_allclose(prior.density((x[1:] + x[:-1]) / 2), np.diff(q) / np.diff(x), rtol=1e-4)
    low, high = prior.support
    assert low <= x.min() and x.max() <= high
    assert parse_prior(str(prior)) == prior


def test_default_priors_follow_the_scale_of_the_data() -> None:
    """In other units of the response and of a column, the priors are those of the other units."""
    model = Model(
        response="y",
        cluster="s",
        mean={"mu": "1", "slope": "x"},
        random={"terms": {"i": "1", "d": "x"}},
        residual={"sd": "sigma"},
    )
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"s": np.repeat(range(10), 4), "x": rng.uniform(20, 30, 40), "y": rng.normal(5, 2, 40)})

    def scales(data: pd.DataFrame) -> dict[str, Prior]:
        problem = pose(model, arrange(model, data))
        assert problem.priors.default is not None
        texts = problem.priors.default()
        return {k: parse_prior(text) for k, text in zip(problem.parameters.names, texts, strict=True)}

    first, other = scales(table), scales(table.assign(y=100 * table["y"], x=table["x"] / 1000))
    sd, sx = table["y"].std(), table["x"].std(ddof=0)
    assert first["slope"].numbers == pytest.approx((0.0, 2.5 * sd / sx), rel=1e-3)
    assert first["sigma"] == parse_prior(f"half_normal({sd:.4g})")
    assert first["sd_d"].numbers[0] == pytest.approx(sd / np.sqrt(np.mean(table["x"] ** 2)), rel=1e-3)
    wider = np.sqrt(1.0 + (table["x"].mean() / sx) ** 2)  # the intercept is far from the data
    assert first["mu"].numbers == pytest.approx((3.0, table["y"].median(), 2.5 * sd * wider), rel=1e-3)
    assert first["corr_i_d"] == parse_prior("lkj(1)")
    factor = {"mu": 100.0, "slope": 1e5, "sd_i": 100.0, "sd_d": 1e5, "sigma": 100.0}
    for name, by in factor.items():
        np.testing.assert_allclose(other[name].numbers[-1], by * first[name].numbers[-1], rtol=2e-3)
    cells = model.replace(mean={"a": "x > 25", "b": "x <= 25"}, random={"sd": "tau"})
    found = arrange(cells, table)
    texts = pose(cells, found).priors.default()  # type: ignore[misc]
    level = np.sqrt(np.mean(table["y"] ** 2))  # without a constant column the cell means carry the level
    share = float(np.mean(table["x"] > 25))
    assert parse_prior(texts[0]).numbers[1] == pytest.approx(2.5 * level / np.sqrt(share * (1 - share)), rel=1e-3)
