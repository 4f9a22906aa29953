"""What occasions add to individual parameters, against the marginal law of a linear model in closed form."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from occasions_model import occasions
from scipy.stats import multivariate_normal

import saem

TEXT = occasions()
TIED = '[constraints]\ntie = "b0 + (omega**2 + gamma**2) / 2 == 2.5"\n'


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng, rows = np.random.default_rng(1), []
    for i in range(30):
        own = rng.normal(0.0, 1.0)
        for visit in range(2 + (i % 3 == 0)):  # clusters differ in their numbers of occasions
            here = own + rng.normal(0.0, 0.7)
            for _ in range(3):
                x = rng.normal()
                rows.append((i, f"v{visit}", x, 2.0 + 0.5 * x + here + rng.normal(0.0, 0.5)))
    return pd.DataFrame(rows, columns=["id", "visit", "x", "y"])


def closed_form(table: pd.DataFrame, p: dict[str, float]) -> float:
    total = 0.0
    for _, own in table.groupby("id"):
        visit = own["visit"].to_numpy()
        same = visit[:, None] == visit
        law = p["omega"] ** 2 + p["gamma"] ** 2 * same + p["sigma"] ** 2 * np.eye(len(own))
        total += multivariate_normal.logpdf(own["y"] - p["b0"] - p["b1"] * own["x"], cov=law)
    return total


@pytest.mark.parametrize("tie", ["", TIED])
def test_direct_maximum_likelihood_is_that_of_the_nested_linear_model(table, tie):
    fit = saem.fit(saem.Model.from_text(TEXT + tie), table, method="ml")
    at = fit.estimates["estimate"].to_dict()
    assert fit.loglik == pytest.approx(closed_form(table, at), abs=1e-6)
    for name in () if tie else at:  # a maximum: it falls by the square of a step, whatever the sign
        up, down = ({**at, name: at[name] + step} for step in (1e-3, -1e-3))
        slope = (closed_form(table, up) - closed_form(table, down)) / 2e-3
        assert abs(slope) < 1e-2, name
    if tie:
        assert at["b0"] + (at["omega"] ** 2 + at["gamma"] ** 2) / 2 == pytest.approx(2.5, abs=1e-8)


@pytest.mark.parametrize("tie", ["", TIED])
def test_saem_agrees_with_direct_maximum_likelihood(table, tie):
    # At the seed it is deterministic; over seeds 4 MCSE leave less than 1 in 1000 for each parameter. Where the M-step
    # counts the occasions that clusters lack, gamma goes to zero.
    model = saem.Model.from_text(TEXT + tie)
    exact = saem.fit(model, table, method="ml").estimates["estimate"]
    fit = saem.fit(model, table, seed=1)
    assert fit.converged
    error = (fit.estimates["estimate"] - exact).abs() / fit.estimates["mcse"]
    assert error.max() < 4.0, error


def test_predictions_know_occasions(table):
    fit = saem.fit(saem.Model.from_text(TEXT), table, method="ml")
    new = pd.DataFrame({"id": [0, 0, 0, 99], "visit": ["v0", "v1", "v9", "v0"], "x": 0.0})
    found = saem.predict(fit, new)
    p, own = fit.estimates["estimate"], table[table["id"] == 0]
    visit = own["visit"].to_numpy()
    law = p["omega"] ** 2 + p["gamma"] ** 2 * (visit[:, None] == visit) + p["sigma"] ** 2 * np.eye(len(own))
    weights = np.linalg.solve(law, own["y"] - p["b0"] - p["b1"] * own["x"])
    expected = [p["b0"] + (p["omega"] ** 2 + p["gamma"] ** 2 * (visit == v)) @ weights for v in ("v0", "v1", "v9")]
    np.testing.assert_allclose(found["predicted"], [*expected, p["b0"]], atol=2e-3)  # means over 512 points
    assert found["known"].tolist() == [True, True, True, False]


def test_draws_of_responses_have_one_effect_for_each_occasion(table):
    # The covariance of two rows of a cluster is omega^2 + gamma^2 in one occasion, omega^2 in two. Of 400 tables with
    # 30 clusters, these are within 6 standard errors (a false alarm in 10^8). Drawn once a cluster, both are equal.
    model = saem.Model.from_text(TEXT)
    at = {"b0": 0.0, "b1": 0.0, "omega": 0.6, "gamma": 1.0, "sigma": 0.5}
    y = np.array([saem.simulate(model, at, table, seed=k)["y"].to_numpy() for k in range(400)])
    first = np.array([own.index[0] for _, own in table.groupby("id")])
    near, far = np.mean(y[:, first] * y[:, first + 1]), np.mean(y[:, first] * y[:, first + 3])
    error = 6.0 * (0.36 + 1.0 + 0.25) * np.sqrt(2.0 / (400 * 30))
    assert near == pytest.approx(1.36, abs=error)
    assert far == pytest.approx(0.36, abs=error)


def test_intervals_of_new_occasions_have_the_variance_of_occasions(table):
    # In closed form with the estimate as known: a new occasion of a known subject has the variance of its own effect
    # given the data, gamma^2 and sigma^2; its expected response has an error without these two. Quantiles of 512 points
    # vary by some 4 % of the width, their means over 60 rows with noise of their own are within 3 %. Where a new
    # occasion has no effect, the width is a quarter too small; where its variance counts as an error of the mean,
    # `se` is twice.
    free = saem.fit(saem.Model.from_text(TEXT), table, method="ml").estimates["estimate"]
    fixed = free.drop("b1").to_dict()
    fit = saem.fit(saem.Model.from_text(TEXT).replace(fixed=fixed), table, method="ml")
    p, own = fit.estimates["estimate"], table[table["id"] == 0]
    new = pd.DataFrame({"id": [0, 0, 99], "visit": ["v0", "v9", "v0"], "x": 0.0})
    many = saem.predict(fit, pd.concat([new] * 60, ignore_index=True), level=0.8)
    found = many.groupby(np.tile(np.arange(3), 60)).mean()
    visit = own["visit"].to_numpy()
    law = p["omega"] ** 2 + p["gamma"] ** 2 * (visit[:, None] == visit) + p["sigma"] ** 2 * np.eye(len(own))
    here = np.column_stack([p["omega"] ** 2 + p["gamma"] ** 2 * (visit == v) for v in ("v0", "none")])
    known = np.array([p["omega"] ** 2 + p["gamma"] ** 2, p["omega"] ** 2]) - np.diag(
        here.T @ np.linalg.solve(law, here)
    )
    se = np.sqrt([*known, 0.0])
    np.testing.assert_allclose(found["se"][:2], se[:2], rtol=0.03)
    more = np.array([0.0, p["gamma"] ** 2, p["omega"] ** 2 + p["gamma"] ** 2]) + p["sigma"] ** 2
    width = 2.0 * 1.2815515655446004 * np.sqrt(se**2 + more)
    np.testing.assert_allclose(found["upper"] - found["lower"], width, rtol=0.03)
    marginal = 2.0 * 1.2815515655446004 * np.sqrt(p["omega"] ** 2 + p["gamma"] ** 2 + p["sigma"] ** 2)
    np.testing.assert_allclose(found["marginal_upper"] - found["marginal_lower"], marginal, rtol=0.03)


def test_occasions_in_variance_groups_are_predicted(table):
    grouped = TEXT.replace(
        "[outcome]", '[random]\nby = "half"\n[random.sd]\nomega = { a = "omega_a", b = "omega_b" }\n[outcome]'
    )
    rows = table.assign(half=np.where(table["id"] % 2 == 0, "a", "b"))  # clusters of both with two and three occasions
    fit = saem.fit(saem.Model.from_text(grouped), rows, method="ml")
    again = saem.predict(fit, rows)
    pd.testing.assert_frame_equal(again, saem.predict(fit))
    assert np.isfinite(again.to_numpy(dtype=float)).all()
