"""Profile likelihoods, beside lme4's, a dense twin, and the theory of one-sided intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from linear_family import PEPTIDE, example_table, peptide_design
from parameterkinds import kinds_of
from scipy.optimize import minimize
from scipy.stats import chi2
from test_reference_lmm import fitted

import saem
from saem import Model, recipes
from saem.inference.profile_likelihood import Curve
from saem.inference.surface import Surface

MODEL = Model.from_text(recipes.text("peptide"))
KEYS = ("intercept", "Days", "sd_intercept", "sd_days", "corr_intercept_days", "sigma")
#: confint(lmer(Reaction ~ Days + (Days | Subject), sleepstudy)) as printed in the documentation of lme4
LME4 = {
    "sd_intercept": (14.3813, 37.7160),
    "corr_intercept_days": (-0.4815, 0.6850),
    "sd_days": (3.8012, 8.7534),
    "sigma": (22.8983, 28.8580),
    "intercept": (237.6807, 265.1295),
    "Days": (7.3587, 13.5759),
}


def check_lme4(intervals: pd.DataFrame) -> None:
    for name, ends in LME4.items():
        np.testing.assert_allclose(intervals.loc[name, ["lower", "upper"]].to_numpy(float), ends, rtol=5e-5, atol=1e-4)


def test_intervals_are_those_of_lme4() -> None:
    fit = fitted("sleepstudy", "ml")
    check_lme4(saem.profile(fit).intervals)
    with pytest.raises(AssertionError):  # a mutant: Wald intervals
        check_lme4(fit.intervals())


def test_the_ends_are_those_of_a_general_optimiser() -> None:
    """At an end the likelihood, maximised over the others by SciPy under the constraint, is lower by chi-square / 2."""
    fit = saem.fit(MODEL, example_table(12, 1), "ml")
    surface = Surface.of(fit)
    found = saem.profile(fit, ["c2", "sigma1"], level=0.9)
    problem = surface.problem
    from saem.mstep.solver import Solver

    solver = Solver(problem)

    def value(x: np.ndarray) -> tuple[float, np.ndarray]:
        at = solver.derivatives(solver.observed(), x)
        return -at.value, -at.gradient

    for name in ("c2", "sigma1"):
        i = surface.index(name)
        for which in ("lower", "upper"):
            end = float(found.intervals.loc[name, which])
            start = surface.top.x.copy()
            start[i] = end
            constraints: list[dict[str, Any]] = [
                {"type": "eq", "fun": lambda x: problem.constraints.evaluate(x)[0]},
                {"type": "eq", "fun": lambda x, i=i, end=end: x[i] - end},
            ]
            best = minimize(value, start, jac=True, method="SLSQP", constraints=constraints, options={"ftol": 1e-14})
            drop = 2.0 * (surface.top.loglik + best.fun)
            assert drop == pytest.approx(chi2.ppf(0.9, 1), abs=2e-5)


def test_the_slope_is_the_derivative_of_zeta() -> None:
    surface = Surface.of(saem.fit(MODEL, example_table(12, 1), "ml"))
    for name in ("mu", "c2", "b22", "sigma2"):
        i = surface.index(name)
        curve = Curve(surface, i)
        value, h = 1.1 * surface.top.x[i] + 0.02, 1e-5
        here, ahead, behind = (curve.at(value + step, surface.top) for step in (0.0, h, -h))
        assert here is not None and ahead is not None and behind is not None
        assert here.slope == pytest.approx((ahead.zeta - behind.zeta) / (2 * h), rel=1e-5)


def test_a_boundary_has_one_side() -> None:
    """The maximum is zero: the interval begins there, and ends where D is the 95 % quantile of chi-square."""
    table = saem.simulate(MODEL, PEPTIDE | {"sigma1": 0.0}, peptide_design(8), 5003)
    fit = saem.fit(MODEL, table, "ml")
    assert fit.at_boundary == ("sigma1",)
    found = saem.profile(fit, "sigma1")
    lower, upper, note = found.intervals.loc["sigma1", ["lower", "upper", "note"]]
    assert lower == 0.0 and upper > 0.0 and note == "lower: at the boundary"
    there = saem.fit(MODEL.replace(fixed={"sigma1": float(upper)}), table, "ml")
    assert 2 * (fit.loglik - there.loglik) == pytest.approx(chi2.ppf(0.95, 1), abs=1e-4)


def test_an_interior_maximum_near_zero_reaches_the_boundary() -> None:
    """Zero is not excluded, so the interval begins at zero, where a random effect and its correlation are absent."""
    intervals = saem.profile(fitted("Orthodont, by sex", "ml"), ["sd_age", "corr_intercept_age"]).intervals
    assert intervals.loc["sd_age", "lower"] == 0.0 and "boundary" in intervals.loc["sd_age", "note"]
    assert intervals.loc["corr_intercept_age", "upper"] == 1.0


def test_a_simulated_fit_has_the_intervals_of_the_maximum() -> None:
    table = example_table(12, 1)
    by_ml, by_saem = (saem.profile(saem.fit(MODEL, table, method), "c2").intervals for method in ("ml", "saem"))
    columns = ["estimate", "lower", "upper"]
    np.testing.assert_allclose(by_saem[columns].to_numpy(float), by_ml[columns].to_numpy(float), rtol=1e-6)


def test_a_saved_fit_can_be_profiled(tmp_path) -> None:
    fit = saem.fit(MODEL, example_table(12, 1), "ml")
    fit.save(tmp_path)
    again = saem.profile(saem.load(tmp_path), "sigma").intervals
    pd.testing.assert_frame_equal(again, saem.profile(fit, "sigma").intervals)


def test_a_flat_direction_is_endless() -> None:
    """Without the constraint c2, b21 and b22 move together: the likelihood never falls."""
    free = Model.from_text(recipes.text("peptide")).replace(constraints={})
    fit = saem.fit(free, example_table(12, 1), "ml")
    assert fit.status == "not_identified"
    found = saem.profile(fit, "c2").intervals.loc["c2"]
    assert found["lower"] == -np.inf and found["upper"] == np.inf and "endless" in found["note"]


def test_the_points_are_a_curve() -> None:
    fit = saem.fit(MODEL, example_table(12, 1), "ml")
    found = saem.profile(fit, "sigma1")
    points = found.points
    assert (np.diff(points["value"]) > 0).all() and (np.diff(points["zeta"]) > 0).all()
    np.testing.assert_allclose(points["zeta"] ** 2, 2 * (fit.loglik - points["loglik"]), atol=1e-8)
    np.testing.assert_array_equal(points["value"], points["sigma1"])
    assert abs(points["zeta"].iloc[0]) >= 1.95996 - 1e-5 and points["zeta"].iloc[-1] >= 1.95996 - 1e-5


def test_a_correlation_of_one_at_the_maximum() -> None:
    """The curves begin at the singular maximum: no end is one of infeasible constraints, for there are none."""
    slopes = Model.from_text(recipes.text("random_slopes"))
    rng = np.random.default_rng(1)
    effects = rng.normal(size=(10, 1)) @ [[25.0, 5.0]]
    rows = pd.DataFrame([(f"s{i}", float(d)) for i in range(10) for d in range(5)], columns=["Subject", "Days"])
    who = np.repeat(np.arange(10), 5)
    rows["Reaction"] = 250 + (10 + effects[who, 1]) * rows["Days"] + effects[who, 0] + 15 * rng.normal(size=50)
    fit = saem.fit(slopes, rows, "ml")
    name = next(name for name in fit.parameters.names if name.startswith("corr"))
    assert fit.values[fit.parameters.index(name)] == 1.0
    found = saem.profile(fit)
    assert found.intervals.loc[name, "upper"] == 1.0 and -1.0 <= found.intervals.loc[name, "lower"] < 1.0
    assert not found.intervals["note"].str.contains("constraints").any()
    z = found.points.groupby("parameter")["zeta"].agg(["min", "max"])
    means = [n for n, kind in zip(fit.parameters.names, kinds_of(fit.parameters), strict=True) if kind == "mean"]
    assert (z.loc[means, "max"] > 1.95).all() and (z.loc[means, "min"] < -1.95).all()


def test_a_parameter_named_twice_is_shown_once() -> None:
    fit = saem.fit(MODEL, example_table(12, 1), "ml")
    assert list(saem.profile(fit, ["sigma", "sigma"]).intervals.index) == ["sigma"]
    with pytest.raises(saem.SaemError, match="at least one"):
        saem.profile(fit, [])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"parameters": "sgma"}, "sgma.*did you mean 'sigma'"),
        ({"parameters": ["b21"]}, "b21 is fixed at 0"),
        ({"level": 1.0}, "between 0 and 1; got 1.0"),
    ],
)
def test_bad_input(arguments: dict[str, Any], words: str) -> None:
    fit = saem.fit(MODEL.replace(fixed={"b21": 0.0}), example_table(12, 1), "ml")
    with pytest.raises(saem.SaemError, match=words):
        saem.profile(fit, **arguments)
