"""The model files that are shipped."""

from __future__ import annotations

import math

import numpy as np
import pytest

from saem import recipes
from saem.errors import ModelError
from saem.expressions.constraint import compile_constraints
from saem.families import Model

NAMES = ("peptide", "peptide_conservation", "peptide_log2", "peptide_unconstrained")
AT = {"mu": 10.0, "alpha2": -1.0, "b21": 0.5, "b22": 1.2, "sigma1": 0.4, "sigma2": 0.7, "sigma": 0.3}


def link(name: str) -> float:
    """The treatment effect that a recipe's constraint demands at AT."""
    model = Model.from_text(recipes.text(name))
    names = model.parameter_names or ()
    values, jacobian, _ = compile_constraints(model.constraints, names).evaluate([AT.get(n, 0.0) for n in names])
    assert jacobian[0, names.index("c2")] == 1.0
    return float(-values[0])


def test_names() -> None:
    assert recipes.names() == ("binomial", *NAMES, "poisson_equal_means", "random_slopes")


@pytest.mark.parametrize("name", NAMES)
def test_each_is_a_model_with_advice_on_editing(name: str) -> None:
    text = recipes.text(name)
    model = Model.from_text(text)
    means = ("mu", "alpha2", "b21", "b22") if name == "peptide_unconstrained" else ("mu", "c2", "alpha2", "b21", "b22")
    assert model.parameter_names == (*means, "sigma1", "sigma2", "sigma")
    assert len(model.constraints) == (0 if name == "peptide_unconstrained" else 1)
    assert "# To edit:" in text
    assert "[fixed]" in text
    assert max(map(len, text.splitlines())) <= 120


def test_the_posted_link() -> None:
    difference = AT["sigma2"] ** 2 - AT["sigma1"] ** 2
    posted = math.exp(math.log(2) ** 2 / 2 * difference) * (1 + 2 ** AT["b22"]) / (1 + 2 ** AT["b21"])
    assert link("peptide") == pytest.approx(posted, rel=1e-14)


def test_the_log2_link_is_log2_of_the_posted_one() -> None:
    assert link("peptide_log2") == pytest.approx(math.log2(link("peptide")), rel=1e-13)


def test_conservation_equates_the_expected_totals() -> None:
    c2 = link("peptide_conservation")

    def total(means: list[float], sd: float) -> float:
        variance = sd**2 + AT["sigma"] ** 2
        return float(np.sum(np.exp2(means)) * np.exp(np.log(2) ** 2 / 2 * variance))

    mu, alpha2, b21, b22 = (AT[name] for name in ("mu", "alpha2", "b21", "b22"))
    control = total([mu, mu + alpha2], AT["sigma1"])
    treated = total([mu + c2 + b21, mu + c2 + alpha2 + b22], AT["sigma2"])
    assert control == pytest.approx(treated, rel=1e-13)


def test_an_unknown_recipe() -> None:
    with pytest.raises(
        ModelError, match=r"no recipe 'peptid' \(did you mean 'peptide'\?\); the recipes are binomial, peptide, "
    ):
        recipes.text("peptid")
    with pytest.raises(ModelError, match="no recipe"):
        recipes.text("../recipes/peptide")
