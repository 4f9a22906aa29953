"""Which parameters of a nonlinear model are not determined is found from responses that it draws, and named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import saem
from saem.maxima import drawn_information

ABSORPTION = saem.Model.from_text("""
family   = "nonlinear"
response = "y"
cluster  = "id"
columns  = ["t"]

[individual]
ka = "lognormal(ka_pop, omega_ka)"
V  = "lognormal(V_pop, omega_V)"
CL = "lognormal(CL_pop, omega_CL)"

[outcome]
distribution = "normal"
mean = "dose * ka / (V * ka - CL) * (exp(-CL / V * t) - exp(-ka * t))"
sd = "a"

[parameters]
dose = "positive"

[start]
ka_pop = 1.5
V_pop = 0.5
CL_pop = 0.05
dose = 4
a = 0.7
""")
ADDED = saem.Model.from_text("""
family   = "nonlinear"
response = "y"
cluster  = "id"
columns  = ["t"]

[individual]
u = "normal(0, omega_u)"
v = "normal(0, omega_v)"

[outcome]
distribution = "bernoulli"
probability = "expit(b0 + b1 * t + u + v)"
""")
TIMES = np.array([0.25, 1.0, 2.0, 5.0, 12.0])


def design(clusters: int = 12) -> pd.DataFrame:
    """Rows without a response: what is found is of the design."""
    return pd.DataFrame({"id": np.repeat(np.arange(clusters), len(TIMES)), "t": np.tile(TIMES, clusters)})


def found(model: saem.Model, table: pd.DataFrame, **arguments: Any) -> saem.Identifiability:
    return saem.identifiability(model, table, **{"points": 1, "starts": 0, **arguments})


@pytest.mark.parametrize("clusters", [12, 6, 4])
def test_a_design_without_a_start_is_looked_at_where_its_curve_is_none_too_flat(clusters: int) -> None:
    """A search on no response ended where ka is 3e-5, and six clusters were said to leave three directions free."""
    what = found(ABSORPTION.replace(fixed={"dose": 4.0}, start={}), design(clusters), points=2)
    assert what.locally_identified and what.structure.points["n_null"].tolist() == [0, 0]


def test_amount_and_scale() -> None:
    """Volume, clearance and dose enter as ratios: they can grow together, by the same factor."""
    what = found(ABSORPTION, design(), points=2)
    assert what.is_known
    assert not what.locally_identified
    assert what.structure.points["n_null"].tolist() == [1, 1]
    (sentence,), (direction,) = what.null_directions, what.directions
    moved = {name for name, move in zip(what.maxima.columns[2:], direction, strict=True) if abs(move) > 1e-6}
    assert moved == {"V_pop", "CL_pop", "dose"}
    assert all(name in sentence for name in moved)


@pytest.mark.slow  # `test_a_fit_says_so` has the known dose, the next test a constraint
@pytest.mark.parametrize(
    "change", [{"fixed": {"dose": 4.0}, "start": {}}, {"constraints": {"g": "V_pop == 0.1 * dose"}}]
)
def test_what_determines_them(change: dict[str, Any]) -> None:
    """With the dose known, or tied to the volume, nothing is free; the constraint alone leaves the clearance."""
    what = found(ABSORPTION.replace(**change), design())
    assert what.is_known
    assert what.locally_identified == ("fixed" in change)
    assert what.structure.points["n_null"].tolist() == [0 if "fixed" in change else 1]


def test_constraint_that_determines() -> None:
    what = found(ABSORPTION.replace(constraints={"g": "dose == 3 + omega_V"}), design())
    assert what.locally_identified
    assert what.structure.points["n_null"].tolist() == [0]


def test_effects_that_are_added() -> None:
    """The integral alone does not tell them apart, the integrand does: a rule of few nodes is not enough."""
    what = found(ADDED, design())
    (sentence,) = what.null_directions
    assert "omega_u" in sentence
    assert "omega_v" in sentence
    assert "b0" not in sentence


def test_mutant_few_nodes_miss_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawn_information, "most_nodes", lambda effects, rows: 3)
    assert found(ADDED, design()).locally_identified


def test_slope_and_intercept_are_told_apart() -> None:
    outcome = {"distribution": "bernoulli", "probability": "expit(b0 + b1 * t + u + v * t)"}
    assert found(ADDED.replace(outcome=outcome), design()).locally_identified


def test_mutant_every_direction_is_null(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were weak directions called free, this one would be: the test above could fail."""
    monkeypatch.setattr(drawn_information, "NULL", 1.0)
    monkeypatch.setattr(drawn_information, "CLEAR", 1.0)
    outcome = {"distribution": "bernoulli", "probability": "expit(b0 + b1 * t + u + v * t)"}
    assert not found(ADDED.replace(outcome=outcome), design()).locally_identified


def test_one_cluster_of_many_tells() -> None:
    """Of a large table some clusters are looked at first; what they leave free, all may determine."""
    table = design(60).assign(treated=0.0)
    table.loc[table["id"] == 1, "treated"] = 1.0
    outcome = {"distribution": "poisson", "rate": "exp(b0 + b1 * treated + u)"}
    model = ADDED.replace(columns=["treated"], individual={"u": "normal(0, omega_u)"}, outcome=outcome)
    assert found(model, table).locally_identified
    nobody = found(model, table.assign(treated=0.0))
    assert nobody.null_directions == ("b1 can take any value: nothing in the data depends on it.",)


def test_density_of_ones_own_draws_nothing() -> None:
    outcome = {"log_density": "y * log_expit(b0 + u) + (1 - y) * log_expit(-b0 - u)"}
    what = found(ADDED.replace(individual={"u": "normal(0, omega_u)"}, columns=[], outcome=outcome), design())
    assert not what.is_known
    assert "No response can be drawn" in what.notes[0]


def test_a_fit_says_so() -> None:
    """Its status is no "converged" without standard errors; with a known dose it converges, and has them."""
    known = ABSORPTION.replace(fixed={"dose": 4.0}, start={"ka_pop": 1.5, "V_pop": 0.5, "CL_pop": 0.05, "a": 0.3})
    at = {"ka_pop": 1.5, "V_pop": 0.5, "CL_pop": 0.05, "a": 0.3, "omega_ka": 0.5, "omega_V": 0.3, "omega_CL": 0.3}
    table = saem.simulate(known, at, design(), seed=1)
    fit = saem.fit(known, table, "ml")
    assert fit.status == "converged"
    assert np.isfinite(fit.se).all()
    free = saem.fit(ABSORPTION, table, "ml")
    assert free.status == "not_identified"
    assert free.loglik == pytest.approx(fit.loglik, abs=1e-4)
    for name in ("V_pop", "CL_pop", "dose"):
        assert name in free.message
        assert np.isnan(free.estimates.loc[name, "se"])
    for name in ("ka_pop", "a", "omega_V"):
        assert free.estimates.loc[name, "se"] == pytest.approx(fit.estimates.loc[name, "se"], rel=1e-2)
