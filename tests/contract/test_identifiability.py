"""What is said about models whose parameters the data and the constraints do not determine."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from designs import peptide_table
from selecting import few

import saem
from saem import Model, recipes

NAMES = ("mu", "c2", "alpha2", "b21", "b22", "sigma1", "sigma2", "sigma")
FREE = {"c2": 1.0, "b21": -1.0, "b22": -1.0}  # c2 + t, b21 - t, b22 - t


def peptide(recipe: str = "peptide", **changes: object) -> Model:
    return Model.from_text(recipes.text(recipe)).replace(**changes)


def table(seed: int = 1, **arguments: object) -> pd.DataFrame:
    return peptide_table(np.random.default_rng(seed), **{"replicates": (8, 8), **arguments})


def check_direction(direction: np.ndarray, expected: dict[str, float], names: tuple[str, ...] = NAMES) -> None:
    """The same direction, up to its length and sign."""
    vector = np.array([expected.get(name, 0.0) for name in names])
    pivot = int(np.argmax(np.abs(vector)))
    np.testing.assert_allclose(direction / direction[pivot], vector / vector[pivot], atol=1e-8)


def test_five_parameters_for_four_cells() -> None:
    """Without the link one direction is free: named, with its coefficients, and said in a sentence."""
    found = saem.identifiability(peptide(constraints={}), table())
    assert not found.locally_identified
    assert found.directions.shape == (1, len(NAMES))
    check_direction(found.directions[0], FREE)
    (sentence,) = found.null_directions
    assert all(name in sentence for name in FREE)
    assert not any(name in sentence for name in ("mu", "alpha2", "sigma"))
    assert (found.mean_rank, found.n_means) == (4, 5)


def test_mutant_directions_are_caught() -> None:
    found = saem.identifiability(peptide(constraints={}), table())
    for wrong in ({"c2": 1.0, "b21": -1.0}, {"c2": 1.0, "b21": 1.0, "b22": 1.0}, FREE | {"mu": 0.01}):
        with pytest.raises(AssertionError):
            check_direction(found.directions[0], wrong)


RECIPES = ["peptide", "peptide_log2", "peptide_conservation", "peptide_unconstrained"]


@pytest.mark.parametrize("recipe", few(RECIPES, ["peptide", "peptide_conservation"]))
def test_recipes_are_identified(recipe: str) -> None:
    for arguments in ({}, {"missing": 0.3}, {"replicates": (3, 5)}):
        found = saem.identifiability(peptide(recipe), table(**arguments))
        assert found.locally_identified
        assert found.null_directions == ()
        assert len(found.directions) == 0


@pytest.mark.parametrize("method", ["ml", "saem"])
def test_fit_without_the_link(method: str) -> None:
    """The fit says so, gives no standard error to what is free, and the right one to the rest."""
    data = table()
    fit = saem.fit(peptide(constraints={}), data, method)
    assert fit.status == "not_identified"
    assert not fit.converged
    assert all(name in fit.message for name in FREE)
    plain = saem.fit(peptide("peptide_unconstrained"), data, "ml")
    assert fit.loglik == pytest.approx(plain.loglik, abs=0.02 if method == "saem" else 1e-8)
    for name in NAMES:
        se = fit.estimates.loc[name, "se"]
        assert np.isnan(se) if name in FREE else se == pytest.approx(plain.estimates.loc[name, "se"], rel=0.05)


def test_constraint_that_identifies_nothing() -> None:
    """A constraint on the cells alone leaves the direction free; one that crosses it does not."""
    cells = peptide(constraints={"cells": "c2 + b21 == 2 * alpha2"})
    found = saem.identifiability(cells, table())
    assert not found.locally_identified
    check_direction(found.directions[0], FREE)
    assert saem.fit(cells, table(), "ml").status == "not_identified"
    crossing = peptide(constraints={"sum": "b21 + b22 == 0"})
    assert saem.identifiability(crossing, table()).locally_identified
    assert saem.fit(crossing, table(), "ml").status == "converged"


def test_fixed_parameter_identifies() -> None:
    assert saem.identifiability(peptide(constraints={}, fixed={"b21": 0.0}), table()).locally_identified


def test_empty_cell() -> None:
    """No modified peptide under treatment: b22 acts on nothing, or c2 and b21 cannot be told apart."""
    data = table()
    data = data[~((data["treatment"] == "CCCP") & (data["modification"] == "modified"))]
    with pytest.raises(saem.SaemError, match="b22"):
        saem.identifiability(peptide(), data)
    without = peptide(
        mean={name: text for name, text in peptide().mean.items() if name != "b22"},
        constraints={},
    )
    found = saem.identifiability(without, data)
    assert not found.locally_identified
    names = tuple(name for name in NAMES if name != "b22")
    assert len(found.directions) == 1
    check_direction(found.directions[0], {"c2": 1.0, "b21": -1.0}, names)
    fit = saem.fit(without, data, "ml")
    assert fit.status == "not_identified"
    assert "c2" in fit.message and "b21" in fit.message


def test_means_that_repeat_each_other() -> None:
    """Two directions: the table of cells, and a column twice."""
    means = dict(peptide().mean) | {"again": "modification == 'modified'"}
    found = saem.identifiability(peptide(mean=means, constraints={}), table())
    assert len(found.null_directions) == 2
    assert (found.mean_rank, found.n_means) == (4, 6)


def test_variances_that_cannot_be_told_apart() -> None:
    """A random intercept and a random term that is the same column."""
    model = Model(
        response="log2_intensity",
        cluster=["treatment", "replicate"],
        mean={"mu": "1", "alpha2": "modification == 'modified'"},
        random={"terms": {"one": "1", "two": "1"}, "covariance": "diagonal", "sd": {"one": "sd1", "two": "sd2"}},
        residual={"sd": "sigma"},
    )
    found = saem.identifiability(model, table())
    assert not found.locally_identified
    (sentence,) = found.null_directions
    assert "sd1" in sentence and "sd2" in sentence


@pytest.mark.parametrize("method", ["ml", "saem"])
def test_boundary_is_not_unidentified(method: str) -> None:
    """An SD of zero is an estimate: the parameter is identified, and the others have standard errors."""
    data = next(data for data in (table(seed, sigma1=0.0) for seed in range(100)) if has_zero(data))
    fit = saem.fit(peptide(), data, method, seed=1)
    assert fit.status == "boundary"
    assert fit.at_boundary == ("sigma1",)
    assert saem.identifiability(peptide(), data).locally_identified
    se = fit.estimates["se"]
    assert np.isnan(se["sigma1"])
    assert np.isfinite(se.drop("sigma1")).all()


def has_zero(data: pd.DataFrame) -> bool:
    """Whether the control's replicates vary less than their residuals explain, clearly."""
    wide = data[data["treatment"] == "Ctrl"].pivot(index="replicate", columns="modification", values="log2_intensity")
    centred = wide - wide.mean()
    return bool((centred["modified"] * centred["unmodified"]).mean() < -0.01)


def test_far_but_feasible_constraints() -> None:
    """Means of some hundred residual standard deviations, tied: feasible, and determined."""
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"cluster": np.repeat(np.arange(20), 4), "t": np.tile(np.arange(4.0), 20)})
    data["y"] = 100.0 + 50.0 * data["t"] + rng.normal(size=20)[data["cluster"]] + rng.normal(size=80)
    model = Model(response="y", cluster="cluster", mean={"mu": "1", "slope": "t"}, constraints={"g": "slope == mu / 2"})
    assert saem.identifiability(model, data).locally_identified
    assert saem.fit(model, data, "ml").status == "converged"
    tiny = data.assign(y=data["y"] * 1e-10)
    assert saem.identifiability(model, tiny).locally_identified
    with pytest.raises(saem.SaemError, match="no parameters that satisfy"):
        saem.identifiability(model.replace(constraints={"g": "slope**2 + mu**2 == -1"}), data)


def test_of_endless_solutions_the_nearest_are_listed() -> None:
    model = peptide("peptide_unconstrained").replace(mean=dict(peptide().mean), constraints={"g": "sin(5 * c2) == 0.3"})
    data = table()
    found = saem.identifiability(model, data).solutions
    assert len(found) == 32
    period = 2 * np.pi / 5
    roots = np.concatenate([np.arcsin(0.3) / 5 + k * period for k in (np.arange(-40, 40),)])
    roots = np.sort(np.concatenate([roots, np.pi / 5 - np.arcsin(0.3) / 5 + period * np.arange(-40, 40)]))
    centre = saem.fit(peptide("peptide_unconstrained"), data, "ml").estimates
    assert np.ptp(np.sort(found["c2"])) == pytest.approx(np.ptp(roots[:32]), rel=0.1), "they lie side by side"
    assert np.min(np.abs(found["c2"].to_numpy()[:, None] - roots), axis=1).max() < 1e-9
    assert centre.loc["mu", "estimate"] == pytest.approx(found["mu"].iloc[0], abs=1e-6)


def test_solutions_are_listed() -> None:
    """One row for a unique solution; none where the constraint restricts the likelihood."""
    assert len(saem.identifiability(peptide(), table()).solutions) == 1
    assert len(saem.identifiability(peptide(fixed={"b21": 0.0}), table()).solutions) == 0
