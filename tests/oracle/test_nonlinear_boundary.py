"""A nonlinear fit whose maximum has a correlation of one: the linear family, in closed form, is the referee."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import saem

NONLINEAR = saem.Model.from_text("""
family = "nonlinear"
response = "y"
cluster = "id"
columns = ["t"]
[individual]
b = "normal(b0, omega_b)"
c = "normal(c0, omega_c)"
[random]
correlated = [["b", "c"]]
[outcome]
distribution = "normal"
mean = "b + c * t"
sd = "sigma"
""")
LINEAR = saem.Model.from_text("""
family = "linear"
response = "y"
cluster = "id"
[mean]
b0 = "1"
c0 = "t"
[random]
terms = { b = "1", c = "t" }
covariance = "full"
[residual]
sd = "sigma"
""")


def table() -> pd.DataFrame:
    """Slopes that are twice the intercepts, of six clusters: the correlation is estimated as one."""
    rng = np.random.default_rng(2)
    rows = pd.DataFrame({"id": np.repeat(np.arange(6), 5), "t": np.tile(np.arange(5.0), 6)})
    effect = rng.standard_normal(6)[rows["id"]]
    return rows.assign(y=1.0 + effect + (0.5 + 0.4 * effect) * rows["t"] + rng.standard_normal(30))


@pytest.mark.parametrize("method", ["ml"])
def test_correlation_of_one(method: str) -> None:
    """The search starts anew from a point with a correlation of exactly one, when the quadrature gets more nodes."""
    linear, fit = saem.fit(LINEAR, table(), "ml"), saem.fit(NONLINEAR, table(), method)
    assert linear.status == fit.status == "boundary"
    assert linear.at_boundary[0].startswith("corr")
    assert fit.at_boundary == ("corr_b_c",)
    assert fit.loglik == pytest.approx(linear.loglik, abs=1e-7)
    for name in ("b0", "c0", "sigma"):
        assert fit.estimates.loc[name, "estimate"] == pytest.approx(linear.estimates.loc[name, "estimate"], rel=1e-4)


def test_search_from_a_correlation_of_one() -> None:
    """It ends at the maximum, whether that lies there or inside."""
    from saem.families import arrange, pose
    from saem.maxima.boundary import climb
    from saem.mstep import sqp
    from saem.mstep.solver import Solver

    rng = np.random.default_rng(5)
    rows = table()
    inside = rows.assign(y=rng.standard_normal(6)[rows["id"]] + rng.standard_normal(6)[rows["id"]] * rows["t"])
    inside["y"] += 0.3 * rng.standard_normal(30)
    for data, ends_there in ((rows, True), (inside, False)):
        problem = pose(NONLINEAR, arrange(NONLINEAR, data))
        start = problem.starts.first.copy()
        start[problem.parameters.index("corr_b_c")] = 1.0
        _, pinned, result = climb(problem, Solver(problem), start)
        assert result.status == sqp.CONVERGED
        assert pinned.any() == ends_there
        assert result.value == pytest.approx(saem.fit(LINEAR, data, "ml").loglik, abs=1e-6)
