"""The saturated peptide models: the exact answer is known without any optimiser (DESIGN, section 1).

Four means for four cells: the link only renames the parameters of the plain mixed model, whose maximum has a closed
form where the table is balanced. How many solutions the equation for ``b21`` has is known too.

A program that ignores the link in its M-step and transforms back afterwards passes all this: see `test_overidentified`.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd
import pytest
import referee
from designs import exact_peptide_table, peptide_table
from selecting import few

import saem
from saem import Fit, Model, recipes

RECIPES = ("peptide", "peptide_log2", "peptide_unconstrained")
LIMIT = 4.0 / np.log(2.0)  # of C (1 - 2^d), up to which the solution is unique


def model_of(recipe: str) -> Model:
    return Model.from_text(recipes.text(recipe))


@lru_cache(maxsize=512)
def data(seed: int, balanced: bool) -> tuple[pd.DataFrame, np.ndarray]:
    """A random table and the exact maximum of the plain mixed model on it."""
    rng = np.random.default_rng([2024, seed, balanced])
    spread = rng.random() < 0.5  # a large variance in one arm makes several solutions possible
    n, other = map(int, rng.integers(8 if spread else 3, 15, size=2))
    sigma1, sigma2 = rng.uniform(0.1, 1.0), rng.uniform(2.8, 3.4) if spread else rng.uniform(0.1, 1.0)
    b21 = rng.uniform(-1.5, 1.5)
    b22 = b21 + rng.normal(-4.0 if spread else 0.0, 1.5)
    c2 = np.exp(np.log(2.0) ** 2 / 2.0 * (sigma2**2 - sigma1**2)) * (1.0 + 2.0**b22) / (1.0 + 2.0**b21)
    table = peptide_table(
        rng,
        replicates=(n, n if balanced else other),
        missing=0.0 if balanced else 0.25,
        c2=c2,
        b21=b21,
        b22=b22,
        sigma1=sigma1,
        sigma2=sigma2,
        sigma=rng.uniform(0.1, 0.6),
    )
    return table, referee.balanced_maximum(table) if balanced else referee.unconstrained_maximum(table)[0]


def check_solutions(
    names: tuple[str, ...],
    found: np.ndarray,
    logliks: np.ndarray,
    solutions: list[dict[str, float]],
    tolerance: float = 1e-8,
) -> None:
    """Each exact solution is found once, nothing else is, and all have the same likelihood."""
    expected = np.array([[solution[name] for name in names] for solution in solutions])
    assert len(found) == len(expected)
    order, expected_order = np.argsort(found[:, names.index("b21")]), np.argsort(expected[:, names.index("b21")])
    np.testing.assert_allclose(found[order], expected[expected_order], rtol=tolerance, atol=tolerance)
    assert np.ptp(logliks) <= 1e-9 * (1.0 + abs(logliks[0]))


def check_fit(fit: Fit, estimates: np.ndarray, recipe: str, tolerance: float = 1e-7) -> None:
    """Estimates, solutions, status and boundary."""
    solutions = referee.saturated_solutions(recipe, estimates)
    tied = fit.solution_logliks > np.max(fit.solution_logliks) - 1e-8
    check_solutions(fit.parameters.names, fit.solutions[tied], fit.solution_logliks[tied], solutions, tolerance)
    assert any(np.array_equal(fit.values, solution) for solution in fit.solutions[tied])
    zero = tuple(name for name in ("sigma1", "sigma2") if solutions[0][name] == 0.0)
    assert fit.at_boundary == zero
    assert all(fit.values[fit.parameters.index(name)] == 0.0 for name in zero)
    expected = "several_solutions" if len(solutions) > 1 else "boundary" if zero else "converged"
    assert fit.status == expected
    assert np.max(np.abs(fit.constraint_residuals), initial=0.0) < 1e-10
    assert fit.gradient_norm < 1e-8


def check_recipe(recipe: str, seeds: range, balanced: bool) -> None:
    """Fit a recipe to many tables."""
    model = model_of(recipe)
    for seed in seeds:
        table, estimates = data(seed, balanced)
        try:
            check_fit(saem.fit(model, table, "ml"), estimates, recipe)
        except (AssertionError, saem.SaemError) as error:
            raise AssertionError(f"{recipe}, data set {seed}, balanced {balanced}: {error}") from error


@pytest.mark.parametrize("balanced", few([True, False], [False]))
@pytest.mark.parametrize("recipe", RECIPES)
def test_saturated(recipe: str, balanced: bool) -> None:
    check_recipe(recipe, range(8), balanced)


@pytest.mark.slow
@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize("recipe", RECIPES)
def test_saturated_on_many(recipe: str, balanced: bool) -> None:
    check_recipe(recipe, range(100), balanced)


@pytest.mark.slow
def test_the_referees_agree() -> None:
    """Closed form and optimiser on balanced tables, intervals of monotony and dense scan for the roots."""
    boundary = 0
    for seed in range(12):
        table, exact = data(seed, True)
        np.testing.assert_allclose(referee.unconstrained_maximum(table)[0], exact, rtol=1e-8, atol=1e-8)
        boundary += (exact[4:6] == 0.0).any()
    assert boundary > 0
    rng = np.random.default_rng(5)
    counts = []
    for _ in range(300):
        b, d, c = rng.normal(0.0, 1.0), rng.normal(-4.0, 3.0), np.exp(rng.normal(2.0, 1.0))
        m = b + c * (1.0 + 2.0 ** (b + d)) / (1.0 + 2.0**b)
        roots, scan = referee.roots_of_link(m, d, c), referee.roots_by_scan(m, d, c)
        np.testing.assert_allclose(roots, scan, atol=1e-2 * (1.0 + c))
        assert np.min(np.abs(roots - b)) < 1e-9 * (1.0 + c)
        counts.append(len(roots))
        if len(roots) > 1:
            assert c * (1.0 - 2.0**d) > LIMIT
    assert set(counts) == {1, 3}
    assert 50 < counts.count(3) < 250


THREE = {"c": 6.0, "d": -5.0, "m": 3.09375}


def table_with(
    m: float, d: float, c: float, sigma1: float = 1.0, sigma: float = 0.5, n: int = 6, seed: int = 0
) -> pd.DataFrame:
    """A table whose unconstrained estimates give exactly these coefficients of the equation for b21."""
    sigma2 = np.sqrt(sigma1**2 + 2.0 * np.log(c) / np.log(2.0) ** 2)
    m11, m12 = 10.0, 9.0
    return exact_peptide_table([[m11, m12], [m11 + m, m12 + m + d]], sigma1, sigma2, sigma, n, seed)


def test_three_solutions() -> None:
    """The example of DESIGN: C = 6, d = -5, m21 - m11 = 3.09375 has the roots -0.425, 0 and 0.425."""
    table = table_with(**THREE)
    estimates = referee.balanced_maximum(table)
    fit = saem.fit(model_of("peptide"), table, "ml")
    check_fit(fit, estimates, "peptide")
    assert fit.status == "several_solutions"
    assert len(fit.solutions) == 3
    np.testing.assert_allclose(np.sort(fit.solutions[:, fit.parameters.index("b21")]), [-0.425, 0.0, 0.425], atol=5e-4)
    assert fit.estimates.loc["sigma2", "estimate"] == pytest.approx(2.908, abs=1e-3)
    assert len(saem.identifiability(model_of("peptide"), table).solutions) == 3


def test_three_solutions_by_saem() -> None:
    """Where the three lie far apart, SAEM finds them, each within 5.5 Monte Carlo errors (false alarms: 3e-7 for 8)."""
    table = table_with(6.1875, -5.0, 12.0, n=20)
    solutions = referee.saturated_solutions("peptide", referee.balanced_maximum(table))
    fit = saem.fit(model_of("peptide"), table, "saem", seed=1)
    assert fit.status == "several_solutions"
    assert len(fit.solutions) == len(solutions) == 3
    assert np.ptp(fit.solution_logliks) < 1e-9 * abs(fit.solution_logliks[0])
    names = fit.parameters.names
    nearest = min(solutions, key=lambda solution: abs(solution["b21"] - fit.values[names.index("b21")]))
    error = fit.values - np.array([nearest[name] for name in names])
    np.testing.assert_array_less(np.abs(error), 5.5 * fit.mcse + 1e-4 * fit.se)


@pytest.mark.parametrize("seed", range(6))
def test_saem_reaches_the_maximum_beside_a_fold(seed: int) -> None:
    """Near the example of DESIGN two of three solutions vanish at a small change of the means: a fold of the link.

    Wherever the noise pushes the statistics, the M-step has a solution, and the maximum has to be reached.
    """
    table = table_with(**THREE)
    exact = saem.fit(model_of("peptide"), table, "ml")
    fit = saem.fit(model_of("peptide"), table, "saem", seed=seed)
    assert exact.loglik - 0.02 < fit.loglik < exact.loglik + 1e-8
    assert fit.status == "several_solutions" and len(fit.solutions) == 3
    # saturated: the link leaves the variances alone, and their standard errors as well
    free = saem.fit(model_of("peptide_unconstrained"), table, "ml")
    for name in ("sigma1", "sigma2", "sigma"):
        own = fit.estimates.loc[name, "se"]
        at_the_fold = name != "sigma" and np.isnan(own)  # where two solutions merge the information is singular
        assert at_the_fold or own == pytest.approx(free.estimates.loc[name, "se"], rel=0.02)


@pytest.mark.parametrize("unit", [1e-6, 1e-2, 1e2, 1e6])
def test_a_change_of_units_loses_no_solution(unit: float) -> None:
    """The three of DESIGN, with responses (and the link) in other units."""
    table = table_with(**THREE)
    model = model_of("peptide")
    g = f"c2 / {unit} == 6 * (1 + 2**(b22 / {unit})) / (1 + 2**(b21 / {unit}))"
    scaled = table.assign(log2_intensity=unit * table["log2_intensity"])
    reference = saem.fit(model.replace(constraints={"g": g.replace(f"/ {unit}", "/ 1.0")}), table, "ml")
    fit = saem.fit(model.replace(constraints={"g": g}), scaled, "ml")
    assert fit.status == reference.status == "several_solutions"
    assert len(fit.solutions) == len(reference.solutions) == 3
    np.testing.assert_allclose(
        np.sort(fit.solutions[:, 3]) / unit, np.sort(reference.solutions[:, 3]), rtol=1e-6, atol=1e-8
    )
    assert len(saem.identifiability(model.replace(constraints={"g": g}), scaled).solutions) == 3


@pytest.mark.parametrize("shift", [-0.01, -0.003, -0.001, 0.001, 0.003, 0.01])
def test_near_three_solutions(shift: float) -> None:
    """The number of solutions drops from three to one where a pair of roots merges."""
    table = table_with(THREE["m"] + shift, THREE["d"], THREE["c"])
    estimates = referee.balanced_maximum(table)
    fit = saem.fit(model_of("peptide"), table, "ml")
    assert len(referee.saturated_solutions("peptide", estimates)) == (3 if abs(shift) <= 0.001 else 1)
    check_fit(fit, estimates, "peptide")


@pytest.mark.parametrize("k", [0.5, 0.9, 0.999])
def test_unique_up_to_the_limit(k: float) -> None:
    """``C (1 - 2^d) <= 4 / ln 2``: one solution, wherever the cell means are."""
    d = -5.0
    c = k * LIMIT / (1.0 - 2.0**d)
    for m in np.linspace(c * 2.0**d - 2.0, c + 2.0, 7):
        table = table_with(m, d, c)
        fit = saem.fit(model_of("peptide"), table, "ml")
        assert fit.status == "converged"
        check_fit(fit, referee.balanced_maximum(table), "peptide")


def test_random_links() -> None:
    """Random coefficients of the equation, most of them with three solutions."""
    rng = np.random.default_rng(8)
    model, counts = model_of("peptide"), []
    for _ in range(30):
        b, d, c = rng.uniform(-2.0, 2.0), rng.normal(-4.0, 1.0), np.exp(rng.uniform(1.5, 3.5))
        table = table_with(b + c * (1.0 + 2.0 ** (b + d)) / (1.0 + 2.0**b), d, c, sigma1=rng.uniform(0.2, 1.0))
        estimates = referee.balanced_maximum(table)
        check_fit(saem.fit(model, table, "ml"), estimates, "peptide")
        counts.append(len(referee.saturated_solutions("peptide", estimates)))
    assert counts.count(3) >= 15
    assert counts.count(1) >= 3


def test_large_links() -> None:
    """A large variance in one arm makes C hundreds: the solutions are far from all starts, and still exact."""
    rng = np.random.default_rng(0)
    model, wrong = model_of("peptide"), []
    for seed in range(60):
        c, d, m = np.exp(rng.uniform(3.0, 7.0)), rng.normal(-4.0, 1.0), rng.uniform(2.0, 12.0)
        n, sigma1, sigma = int(rng.integers(4, 12)), rng.uniform(0.1, 1.0), rng.uniform(0.1, 0.6)
        table = table_with(m, d, c, sigma1, sigma, n, seed)
        try:
            # a relative error of the variances is multiplied by about C in b21 and c2
            check_fit(saem.fit(model, table, "ml"), referee.balanced_maximum(table), "peptide", tolerance=1e-6)
        except (AssertionError, saem.SaemError) as error:
            wrong.append(f"data set {seed}, C = {c:.0f}: {error}")
    assert not wrong, "\n".join(wrong)


def test_mutants_are_caught() -> None:
    """A link with the variances exchanged, a lost solution, a doubled one, the ML variance over n - 1."""
    table = table_with(**THREE)
    fit = saem.fit(model_of("peptide"), table, "ml")
    estimates = referee.balanced_maximum(table)
    names = fit.parameters.names
    right = referee.saturated_solutions("peptide", estimates)
    check_solutions(names, fit.solutions, fit.solution_logliks, right)
    exchanged = estimates[[0, 1, 2, 3, 5, 4, 6]]
    unbiased = estimates * np.array([1, 1, 1, 1, 1.1, 1.1, 1.1])
    for wrong in (
        referee.saturated_solutions("peptide", exchanged),
        referee.saturated_solutions("peptide", unbiased),
        referee.saturated_solutions("peptide_log2", estimates),
        right[:2],
        [*right, right[0]],
    ):
        with pytest.raises(AssertionError):
            check_solutions(names, fit.solutions, fit.solution_logliks, wrong)
    log_model = model_of("peptide_log2").constraints["g"]
    other = saem.fit(model_of("peptide").replace(constraints={"g": log_model}), table, "ml")
    with pytest.raises(AssertionError):
        check_fit(other, estimates, "peptide")


@pytest.mark.slow
@pytest.mark.parametrize("balanced", [True, False])
def test_saem_on_saturated(balanced: bool) -> None:
    """No failure, no wrong boundary, and the likelihood of direct ML: 95 % within 0.02 and half within 0.002."""
    model, deficits = model_of("peptide"), []
    for seed in range(100):
        table, _ = data(seed, balanced)
        exact, fit = saem.fit(model, table, "ml"), saem.fit(model, table, "saem", seed=seed)
        assert fit.at_boundary == exact.at_boundary
        deficits.append(exact.loglik - fit.loglik)
    assert np.min(deficits) > -1e-8
    assert np.median(deficits) < 0.002
    assert np.quantile(deficits, 0.95) < 0.02


@pytest.mark.parametrize("method", ["ml", "saem"])
def test_conservation_without_its_fixed_parameter(method: str) -> None:
    """The equation is a statement about the cells: c2, b21 and b22 can move together, and the fit says so."""
    model = model_of("peptide_conservation").replace(fixed={})
    fit = saem.fit(model, peptide_table(np.random.default_rng(3)), method)
    assert fit.status == "not_identified"
    for name in ("c2", "b21", "b22"):
        assert name in fit.message
        assert np.isnan(fit.estimates.loc[name, "se"])
    for name in ("mu", "alpha2", "sigma1", "sigma2", "sigma"):
        assert np.isfinite(fit.estimates.loc[name, "se"])
    found = saem.identifiability(model, peptide_table(np.random.default_rng(3)))
    assert not found.locally_identified
    assert len(found.null_directions) == 1
    direction = found.directions[0] / found.directions[0][fit.parameters.index("c2")]
    expected = np.array([{"c2": 1.0, "b21": -1.0, "b22": -1.0}.get(name, 0.0) for name in fit.parameters.names])
    np.testing.assert_allclose(direction, expected, atol=1e-9)
