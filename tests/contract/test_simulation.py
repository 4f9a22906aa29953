"""Simulated data: the distribution that the model says, and the constraints solved for what is left out."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
import pytest

import saem
from saem import recipes
from saem.errors import DataError, ModelError, SaemWarning
from saem.families import Model, arrange
from saem.families.designed_draws import covariance_root
from saem.simulation import complete, simulate

TRUTH = {"mu": 10, "alpha2": -1, "b21": 0.5, "b22": 1.2, "sigma1": 0.4, "sigma2": 0.7, "sigma": 0.3}
C2 = math.exp(math.log(2) ** 2 / 2 * (0.7**2 - 0.4**2)) * (1 + 2**1.2) / (1 + 2**0.5)
PEPTIDE = Model.from_text(recipes.text("peptide"))


def peptide_design(n=5):
    levels = [["Ctrl", "CCCP"], range(1, n + 1), ["unmodified", "modified"]]
    index = pd.MultiIndex.from_product(levels, names=["treatment", "replicate", "modification"])
    return index.to_frame(index=False)


def two_terms(**changes):
    content = {
        "response": "y",
        "cluster": "subject",
        "mean": {"intercept": "1", "slope": "time"},
        "random": {"terms": {"intercept": "1", "time": "time"}},
        "residual": {"by": "device", "sd": {"old": "sigma_old", "new": "sigma_new"}},
    }
    return Model(**(content | changes))


VALUES = {
    "intercept": 2.0,
    "slope": -1.0,
    "sd_intercept": 2.0,
    "sd_time": 0.5,
    "corr_intercept_time": 0.8,
    "sigma_old": 1.5,
    "sigma_new": 0.5,
}


def two_terms_design(n):
    time = np.tile([0.0, 1.0, 2.0], n)
    device = np.where(np.arange(3 * n) % 2, "old", "new")
    return pd.DataFrame({"subject": np.repeat(np.arange(n), 3), "time": time, "device": device})


# The distribution


def test_means_and_covariances_are_those_of_the_model():
    n = 40_000
    design = two_terms_design(n)
    table = simulate(two_terms(), VALUES, design, seed=1)
    y = table["y"].to_numpy().reshape(n, 3)
    z = np.column_stack([np.ones(3), [0.0, 1.0, 2.0]])
    omega = np.array([[4.0, 0.8], [0.8, 0.25]])
    # rows alternate between the devices, so that odd and even subjects have them the other way round
    for parity in (0, 1):
        part = y[parity::2]
        sigma = np.where((np.arange(3) + parity) % 2, 1.5, 0.5)
        expected = z @ omega @ z.T + np.diag(sigma**2)
        mean_error = (part.mean(0) - z @ [2.0, -1.0]) / np.sqrt(np.diag(expected) / len(part))
        assert np.abs(mean_error).max() < 4
        variance_of = (expected**2 + np.outer(np.diag(expected), np.diag(expected))) / len(part)
        assert (np.abs(np.cov(part.T) - expected) / np.sqrt(variance_of)).max() < 4


def test_a_transposed_covariance_root_would_be_noticed():
    data = arrange(two_terms(), two_terms_design(5).assign(y=np.arange(15.0)))
    values = complete(two_terms(), data.parameters, VALUES)
    root = covariance_root(data, values, 0)
    np.testing.assert_allclose(root @ root.T, [[4.0, 0.8], [0.8, 0.25]], atol=1e-14)
    assert np.abs(root.T @ root - [[4.0, 0.8], [0.8, 0.25]]).max() > 0.1


def test_variance_groups_have_their_own_standard_deviation():
    n = 4000
    table = simulate(PEPTIDE, TRUTH, peptide_design(n), seed=2)
    wide = table.pivot(index=["treatment", "replicate"], columns="modification", values="log2_intensity")
    for treatment, sigma, mean in (("Ctrl", 0.4, (10.0, 9.0)), ("CCCP", 0.7, (10.5 + C2, 10.2 + C2))):
        part = wide.loc[treatment]
        covariance = part["unmodified"].cov(part["modified"])
        total = sigma**2 + 0.09
        assert abs(covariance - sigma**2) < 4 * math.sqrt((total**2 + sigma**4) / n)
        assert abs(part["unmodified"].mean() - mean[0]) < 4 * math.sqrt(total / n)
        assert abs(part["modified"].mean() - mean[1]) < 4 * math.sqrt(total / n)


def test_standard_deviations_of_zero_and_perfect_correlations():
    quiet = VALUES | {"sigma_old": 0.0, "sigma_new": 0.0, "sd_time": 0.0}
    y = simulate(two_terms(), quiet, two_terms_design(10)).y.to_numpy().reshape(10, 3)
    np.testing.assert_allclose(np.diff(y, axis=1), -1.0)
    perfect = VALUES | {"sigma_old": 0.0, "sigma_new": 0.0, "corr_intercept_time": -1.0}
    y = simulate(two_terms(), perfect, two_terms_design(10)).y.to_numpy().reshape(10, 3)
    np.testing.assert_allclose((y[:, 0] - 2.0) / 2.0, -(np.diff(y, axis=1)[:, 0] + 1.0) / 0.5)


# Seeds


def test_the_same_seed_gives_the_same_bits_and_another_does_not():
    a, b, c = (simulate(PEPTIDE, TRUTH, peptide_design(), seed=seed) for seed in (3, 3, 4))
    pd.testing.assert_frame_equal(a, b, check_exact=True)
    assert not np.isclose(a["log2_intensity"], c["log2_intensity"]).any()


def test_rows_added_at_the_end_change_none_before_them():
    design = two_terms_design(20)
    few, many = (simulate(two_terms(), VALUES, design.head(k), seed=5)["y"] for k in (30, 60))
    pd.testing.assert_series_equal(few, many.head(30), check_exact=True)


def test_neither_the_global_state_nor_the_design_is_touched():
    design, before = peptide_design(), np.random.get_state()[1].copy()  # noqa: NPY002
    copy = design.copy()
    simulate(PEPTIDE, TRUTH, design)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    pd.testing.assert_frame_equal(design, copy)


def test_a_response_that_is_there_is_replaced_and_other_columns_stay():
    design = peptide_design().assign(log2_intensity=99.0, note="x")
    table = simulate(PEPTIDE, TRUTH, design)
    assert list(table.columns) == list(design.columns) and (table["log2_intensity"] < 50).all()
    pd.testing.assert_frame_equal(table, saem.simulate(PEPTIDE, TRUTH, design))


# Parameters


def values_of(model, given, design=None):
    design = peptide_design() if design is None else design
    data = arrange(model, design.assign(**{model.response: np.arange(float(len(design)))}))
    return dict(zip(data.parameters.names, complete(model, data.parameters, given), strict=True))


def test_what_is_left_out_is_computed_from_the_constraint():
    assert values_of(PEPTIDE, TRUTH)["c2"] == pytest.approx(C2, rel=1e-12)


def test_a_standard_deviation_is_computed_as_a_positive_number():
    given = {name: value for name, value in TRUTH.items() if name != "sigma2"} | {"c2": C2}
    assert values_of(PEPTIDE, given)["sigma2"] == pytest.approx(0.7, rel=1e-8)


def test_a_given_value_that_violates_the_constraint_is_kept_with_a_warning():
    with pytest.warns(SaemWarning, match=r"violate the constraint 'g'.*left side minus right side is -1\.4785"):
        assert values_of(PEPTIDE, TRUTH | {"c2": 0.0})["c2"] == 0.0


def test_a_given_value_that_satisfies_the_constraint_up_to_rounding_is_no_violation():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values_of(PEPTIDE, TRUTH | {"c2": round(C2, 12)})


def test_fixed_parameters_have_their_value_unless_given():
    model = PEPTIDE.replace(fixed={"b21": 0.25})
    without = {name: value for name, value in TRUTH.items() if name != "b21"}
    assert values_of(model, without)["b21"] == 0.25
    with pytest.warns(SaemWarning, match=r"'b21' is simulated at 0\.5, although the model fixes it at 0\.25"):
        assert values_of(model, TRUTH)["b21"] == 0.5


def cubic(text):
    return PEPTIDE.replace(constraints={"g": text})


@pytest.mark.parametrize(
    ("model", "given", "message"),
    [
        (PEPTIDE, {"mu": 1.0}, "no value for the parameters 'alpha2', 'sigma'; give each by --set alpha2=VALUE"),
        (PEPTIDE, TRUTH | {"sgima": 1.0}, r"no parameter 'sgima' \(did you mean 'sigma'\?\)"),
        (PEPTIDE, TRUTH | {"sigma": -1.0}, "'sigma' is a standard deviation, which must be 0 or larger; got -1"),
        (PEPTIDE, TRUTH | {"mu": math.nan}, "'mu' must be a finite number; got nan"),
        (PEPTIDE, {k: v for k, v in TRUTH.items() if k != "b22"}, "do not determine 'c2', 'b22'"),
        (cubic("c2**3 - c2 == 0*b21"), TRUTH, "several solutions for 'c2': c2=-1, or c2=.*, or c2=1; give the one"),
        (cubic("exp(c2) == -1 - b21**2"), TRUTH, "no solution for 'c2'"),
    ],
)
def test_parameters_that_cannot_be_used(model, given, message):
    with pytest.raises(ModelError, match=message):
        simulate(model, given, peptide_design())


def test_a_correlation_outside_its_range():
    with pytest.raises(ModelError, match=r"a correlation, which must lie in \[-1, 1\]; got 1\.2"):
        simulate(two_terms(), VALUES | {"corr_intercept_time": 1.2}, two_terms_design(4))


def test_correlations_that_contradict_each_other():
    model = two_terms(random={"terms": {"intercept": "1", "time": "time", "square": "time * time"}})
    corr = {"corr_intercept_time": 0.9, "corr_intercept_square": 0.9, "corr_time_square": -0.9}
    with pytest.raises(ModelError, match="contradict each other"):
        simulate(model, VALUES | {"sd_square": 1.0} | corr, two_terms_design(4))


def test_designs_that_do_not_fit():
    with pytest.raises(DataError, match="at least 2 rows"):
        simulate(PEPTIDE, TRUTH, peptide_design().head(1))
    with pytest.raises(DataError, match="needs column 'modification'"):
        simulate(PEPTIDE, TRUTH, peptide_design().rename(columns={"modification": "modifcation"}))
