"""Residuals beside a dense twin, lme4's fitted values, and the law that they have under the model."""

from __future__ import annotations

import numpy as np
import pytest
from linear_family import PEPTIDE, peptide_design
from scipy.stats import kstest
from test_reference_lmm import fitted, table_of

import saem
from saem import Model, recipes

MODEL = Model.from_text(recipes.text("peptide"))


def test_residuals_of_sleepstudy_by_dense_matrices() -> None:
    """With V = Z Omega Z' + sigma^2 I of each subject, and b = Omega Z' V^-1 (y - X beta)."""
    fit, table = fitted("sleepstudy", "ml"), table_of("sleepstudy")
    found = saem.residuals(fit)
    intercept, slope, sd0, sd1, rho, sigma = fit.values
    omega = np.array([[sd0**2, rho * sd0 * sd1], [rho * sd0 * sd1, sd1**2]])
    for _, rows in table.groupby("Subject"):
        z = np.column_stack([np.ones(len(rows)), rows["Days"]])
        r = rows["Reaction"].to_numpy() - z @ [intercept, slope]
        v = z @ omega @ z.T + sigma**2 * np.eye(len(rows))
        own = found.loc[rows.index]
        np.testing.assert_allclose(own["marginal"], r, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(own["normalised"], np.linalg.solve(np.linalg.cholesky(v), r), rtol=1e-8, atol=1e-9)
        given = r - z @ omega @ z.T @ np.linalg.solve(v, r)
        np.testing.assert_allclose(own["conditional"], given, rtol=1e-7, atol=1e-7)
        np.testing.assert_allclose(own["standardised"], given / sigma, rtol=1e-7, atol=1e-7)
    response = table["Reaction"].to_numpy()
    np.testing.assert_allclose(found["fitted_conditional"] + found["conditional"], response, rtol=1e-12)
    np.testing.assert_allclose(found["fitted_marginal"] + found["marginal"], response, rtol=1e-12)


def law(found: np.ndarray) -> float:
    """p-value of the Kolmogorov-Smirnov test against standard normals."""
    return float(kstest(found, "norm").pvalue)


def test_normalised_residuals_are_independent_normals() -> None:
    """Under the model; rows of a cluster are uncorrelated. Mutants: marginal ones, scaled; a wrong order of rows."""
    table = saem.simulate(MODEL, PEPTIDE, peptide_design(400), 5).sample(frac=1.0, random_state=1)
    fit = saem.fit(MODEL, table, "ml")
    found = saem.residuals(fit)
    assert list(found.index) == list(table.index)
    assert law(found["normalised"].to_numpy()) > 1e-4
    pairs = found.assign(**table[["treatment", "replicate"]]).groupby(["treatment", "replicate"])["normalised"]
    products = pairs.prod().to_numpy()
    assert abs(products.mean()) < 4.0 / np.sqrt(len(products))  # their variance is one
    scaled = found["marginal"] / found["marginal"].std()
    wrong = scaled.groupby([table["treatment"], table["replicate"]]).prod().to_numpy()
    assert abs(wrong.mean()) > 4.0 / np.sqrt(len(wrong))


def test_what_has_no_residuals(tmp_path) -> None:
    fit = fitted("sleepstudy", "ml")
    fit.save(tmp_path)
    (tmp_path / "table.parquet").unlink()
    with pytest.raises(saem.SaemError, match=r"table\.parquet"):
        saem.load(tmp_path)
