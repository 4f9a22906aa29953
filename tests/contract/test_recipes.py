"""The model files that are shipped."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tree_values import value

from saem import recipes
from saem.errors import ModelError
from saem.expressions.columns import Factor
from saem.expressions.constraint import compile_constraints
from saem.families import Model, arrange

NAMES = ("peptide", "peptide_conservation", "peptide_log2", "peptide_unconstrained")
AT = {"mu": 10.0, "alpha2": -1.0, "b21": 0.5, "b22": 1.2, "sigma1": 0.4, "sigma2": 0.7, "sigma": 0.3}


def link(name: str) -> float:
    """The treatment effect that a recipe's constraint demands at AT."""
    model = Model.from_text(recipes.text(name))
    names = model.parameter_names or ()
    values, jacobian, _ = compile_constraints(model.constraints, names).evaluate([AT.get(n, 0.0) for n in names])
    assert jacobian[0, names.index("c2")] == 1.0
    return float(-values[0])


#: Nonlinear recipes, with the parameters that each has.
NONLINEAR = {
    "clearance_equal_means": "V_pop CL_ill CL_control a omega_V omega_control omega_ill",
    "emax": "E0_pop Emax_pop ED50_pop gamma_pop b omega_E0 omega_Emax omega_ED50 corr_Emax_ED50",
    "logistic": "eta_intercept eta_treatment_B eta_time eta_treatment_B_x_time sd_b sd_s corr_b_s",
    "logistic_growth": "limit_pop middle_pop tau_pop a omega_limit omega_middle",
    "ordinal": "slope effect c1 c2 c3 c4 omega",
    "poisson_lognormal": "rate_pop omega",
    "theophylline": "ka_pop V_pop CL_pop beta a omega_ka omega_V omega_CL",
    "weibull": "scale_pop effect shape_pop omega",
}


def table_of(name: str, rows: int = 12) -> pd.DataFrame:
    """A table that a nonlinear recipe can read: two clusters."""
    model = Model.from_text(recipes.text(name))
    known = {
        "group": ["control", "ill"], "treatment": ["A", "B"] if name == "logistic" else [0, 1], "status": [1, 0],
        "concentration": [0.5, 2.0], "Concentration": [0.5, 2.0], "response": [2.0, 3.0], "pain": [1, 5],
        "infected": [0, 1], "count": [0, 3],
    }  # fmt: skip
    if name == "weibull":
        known["treatment"] = ["control", "treated"]
    columns = {column: np.resize(known.get(column, [0.5, 1.0, 3.0]), rows) for column in model.all_columns}
    cluster = np.repeat([1, 2], rows // 2)
    if name == "clearance_equal_means":
        columns["group"] = np.repeat(["control", "ill"], rows // 2)
        cluster = np.repeat([1, 2, 3, 4], rows // 4)
    return pd.DataFrame(columns | {model.cluster[0]: cluster})


def test_names() -> None:
    assert recipes.names() == tuple(
        sorted(["binomial", *NAMES, "crossed_equal_means", "poisson_equal_means", "random_slopes", *NONLINEAR])
    )


@pytest.mark.parametrize("name", NONLINEAR)
def test_each_nonlinear_one_is_a_model_with_advice_whose_density_can_be_evaluated(name: str) -> None:
    text = recipes.text(name)
    data: Any = arrange(Model.from_text(text), table_of(name))
    names = data.parameters.names
    assert " ".join(names) == NONLINEAR[name]
    at = {f"z.{effect.name}": 0.1 for effect in data.structure.effects} | data.structure.start
    at = dict(zip(names, np.linspace(0.5, 1.5, len(names)), strict=True)) | at
    columns = {name: np.array(c.levels)[c.codes] if isinstance(c, Factor) else c for name, c in data.columns.items()}
    assert np.isfinite(value(data.structure.log_density, at | columns)).all()
    assert "# To edit:" in text
    assert max(map(len, text.splitlines())) <= 120


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
        ModelError, match=r"no recipe 'peptid' \(did you mean 'peptide'\?\); the recipes are binomial, .*peptide, "
    ):
        recipes.text("peptid")
    with pytest.raises(ModelError, match="no recipe"):
        recipes.text("../recipes/peptide")
