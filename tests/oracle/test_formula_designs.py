"""Designs of formulas against R's `model.matrix`, `poly`, `splines` and mgcv, against formulae, and by hand."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest

from saem.errors import SaemError
from saem.expressions.columns import column_of
from saem.specification.formula import Design, design

X = np.array([0.5, 1.0, 2.0, 3.5, 5.0, 7.0, 8.0, 9.5])
Y = np.array([3.1, 2.7, 4.4, 5.2, 4.9, 6.8, 6.1, 8.0])


def made(formula: str, table: pd.DataFrame, state: dict[str, Any] | None = None) -> Design:
    return design(formula, {name: column_of(table, name) for name in table}, len(table), state)


def factorial(n: int = 200, seed: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "a": rng.choice(list("uvw"), n),
            "b": rng.random(n) < 0.5,
            "c": rng.choice(["p", "q"], n),
            "k": rng.choice([1, 2, 10], n),
            "x": rng.uniform(1, 9, n),
            "z": rng.normal(size=n),
        }
    )


def same_space(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether the columns of both span the same space, and each has full rank."""
    ranks = [np.linalg.matrix_rank(m) for m in (a, b, np.column_stack([a, b]))]
    return len({*ranks, a.shape[1], b.shape[1]}) == 1


# Against R 4.2.2.

R_POLY = [
    [-0.4564354646, 0.4269376914, -0.3911104458],
    [-0.4002587920, 0.2308521178, -0.0163582084],
    [-0.2879054469, -0.0895493314, 0.3964057907],
    [-0.1193754292, -0.3907272599, 0.3944537000],
    [0.0491545885, -0.4765960940, 0.0003888631],
    [0.2738612788, -0.2561626149, -0.4481966566],
    [0.3862146239, -0.0024064790, -0.3746567262],
    [0.5547446416, 0.5576519701, 0.4390736831],
]
R_BS = [
    [0.0, 0.0, 0.0, 0.0, 0.0],
    [0.5210331633, 0.0559013605, 0.0011904762, 0.0, 0.0],
    [0.6000382653, 0.3521938776, 0.0321428571, 0.0, 0.0],
    [0.1743744454, 0.5871162378, 0.2331854481, 0.0053238687, 0.0],
    [0.0181721384, 0.4051197870, 0.4935226264, 0.0831854481, 0.0],
    [0.0, 0.0783208020, 0.4442497220, 0.4680986697, 0.0093308062],
    [0.0, 0.0169172932, 0.2177624512, 0.6195264080, 0.1457938475],
    [0.0, 0.0, 0.0, 0.0, 1.0],
]


def test_polynomials_and_b_splines_are_those_of_r() -> None:
    table = pd.DataFrame({"x": X})
    np.testing.assert_allclose(made("~ 0 + poly(x, 3)", table).matrix, R_POLY, atol=1e-9)
    np.testing.assert_allclose(made("~ 0 + bs(x, df=5)", table).matrix, R_BS, atol=1e-9)
    new = pd.DataFrame({"x": [4.0, 6.0]})
    expected = [
        [0.0973913043, 0.5571635611, 0.3274770778, 0.0179680568, 0.0],
        [0.0002839397, 0.2141052943, 0.5573498965, 0.2282608696, 0.0],
    ]
    state = made("~ 0 + bs(x, df=5)", table).state
    np.testing.assert_allclose(made("~ 0 + bs(x, df=5)", new, state).matrix, expected, atol=1e-9)
    assert not np.allclose(made("~ 0 + bs(x, df=5)", table.assign(x=X[::-1] ** 2)).matrix, R_BS, atol=1e-3)


@pytest.mark.parametrize(
    ("formula", "fitted", "predicted"),
    [
        (  # R: lm(y ~ ns(x, 3))
            "~ ns(x, df=3)",
            [2.7705391227, 3.2662572781, 4.1652077151, 4.9935126353, 5.3623634261, 6.0642815764, 6.7069919995,
             7.8708462469],
            [1.2718239222, 5.1412303953, 9.8855240559],
        ),
        (  # mgcv: lm on smoothCon(s(x, bs = "cr", k = 5), absorb.cons = TRUE)
            "~ cr(x, df=4)",
            [2.7138761905, 3.3003649907, 4.2564753626, 4.9269840357, 5.3081795688, 6.1192488998, 6.7344080818,
             7.8404628703],
            [0.9270800838, 5.0490077662, 9.7527902195],
        ),
    ],
)  # fmt: skip
def test_natural_splines_fit_and_go_on_as_in_r(formula: str, fitted: list[float], predicted: list[float]) -> None:
    """At -1 and 12, beyond the data, and at 4; a mutant that makes its knots anew from these rows does not."""
    found = made(formula, pd.DataFrame({"x": X}))
    coefficients = np.linalg.lstsq(found.matrix, Y, rcond=None)[0]
    np.testing.assert_allclose(found.matrix @ coefficients, fitted, atol=1e-8)
    new = pd.DataFrame({"x": [-1.0, 4.0, 12.0, 2.0, 3.0]})
    state = json.loads(json.dumps(found.state))  # plain data: nothing is lost
    np.testing.assert_allclose((made(formula, new, state).matrix @ coefficients)[:3], predicted, atol=1e-8)
    assert np.max(np.abs((made(formula, new).matrix @ coefficients)[:3] - predicted)) > 0.1


@pytest.mark.parametrize(
    ("contrast", "expected"),
    [
        ("Treatment", np.eye(4)[:, 1:]),
        ("contr.treatment(base='l2')", np.eye(4)[:, [0, 2, 3]]),
        ("Sum", np.vstack([np.eye(3), -np.ones(3)])),
        ("Sum('l1')", np.vstack([-np.ones(3), np.eye(3)])),
        ("Helmert", [[-1, -1, -1], [1, -1, -1], [0, 2, -1], [0, 0, 3]]),
        ("contr.sdif", [[-0.75, -0.5, -0.25], [0.25, -0.5, -0.25], [0.25, 0.5, -0.25], [0.25, 0.5, 0.75]]),
        (
            "Poly",
            [
                [-0.6708203932, 0.5, -0.2236067977],
                [-0.2236067977, -0.5, 0.6708203932],
                [0.2236067977, -0.5, -0.6708203932],
                [0.6708203932, 0.5, 0.2236067977],
            ],
        ),
    ],
)
def test_contrasts_are_those_of_r(contrast: str, expected: Any) -> None:
    table = pd.DataFrame({"f": ["l3", "l1", "l4", "l2"]})
    found = made(f"~ C(f, {contrast})", table).matrix
    np.testing.assert_allclose(found[:, 1:], np.array(expected)[[2, 0, 3, 1]], atol=1e-9)
    np.testing.assert_array_equal(made("~ C(f)", table, made("~ C(f)", table).state).matrix, made("~ f", table).matrix)


def test_scale_is_r_s_and_standardize_divides_by_the_population_sd() -> None:
    r = [-1.207615, -1.058985, -0.7617262, -0.3158377, 0.1300508, 0.7245688, 1.021828, 1.467716]
    table = pd.DataFrame({"x": X})
    np.testing.assert_allclose(made("~ 0 + scale(x)", table).matrix[:, 0], r, rtol=1e-6)
    np.testing.assert_allclose(made("~ 0 + standardize(x)", table).matrix[:, 0], (X - X.mean()) / X.std(), rtol=1e-12)
    np.testing.assert_allclose(made("~ 0 + center(x)", table).matrix[:, 0], X - X.mean(), rtol=1e-12)


# By hand: the cells that a formula tells apart.


def dummies(*columns: pd.Series[Any]) -> np.ndarray:
    """One column for each combination of levels."""
    combinations = product(*(sorted(column.unique()) for column in columns))
    return np.column_stack(
        [np.all([c == v for c, v in zip(columns, values, strict=True)], axis=0) for values in combinations]
    ).astype(float)


T = factorial()
ONE = np.ones(len(T))
CELLS = {
    "~ a/c": dummies(T["a"], T["c"]),
    "~ a*c": dummies(T["a"], T["c"]),
    "~ a:c": dummies(T["a"], T["c"]),
    "~ b:a": dummies(T["b"], T["a"]),  # six columns for a truth value, as in R
    "~ b*a": dummies(T["b"], T["a"]),
    "~ 0 + b:a": dummies(T["b"], T["a"]),
    "~ b": dummies(T["b"]),
    "~ C(k)*b": dummies(T["k"], T["b"]),
    "~ (a + b + C(k))**3": dummies(T["a"], T["b"], T["k"]),
    "~ (a + c + b)**2 - a:c": np.column_stack([dummies(T["a"], T["b"]), dummies(T["c"], T["b"])[:, :2]]),
    "~ a:x": np.column_stack([ONE, dummies(T["a"]) * T[["x"]].to_numpy()]),
    "~ a + a:x - 1": np.column_stack([dummies(T["a"]), dummies(T["a"]) * T[["x"]].to_numpy()]),
    "~ a*x": np.column_stack([dummies(T["a"]), dummies(T["a"]) * T[["x"]].to_numpy()]),
    "~ x + I(x**2)": np.column_stack([ONE, T["x"], T["x"] ** 2]),
    "~ poly(x, 2)": np.column_stack([ONE, T["x"], T["x"] ** 2]),
    "~ poly(x, 2)*a": np.column_stack([dummies(T["a"]) * T[["x"]].to_numpy() ** k for k in range(3)]),
    "~ I(x > 4)": np.column_stack([ONE, T["x"] > 4]),
    "~ I(a == 'u') + log(x / 2)": np.column_stack([ONE, T["a"] == "u", np.log(T["x"] / 2)]),
    "~ sin(2*pi*x) + as.factor(k)": np.column_stack([np.sin(2 * np.pi * T["x"]), dummies(T["k"])]),
    "~ x^2": np.column_stack([ONE, T["x"]]),
    "~ a %in% c": dummies(T["a"], T["c"]),
    "~ x*x + x:x - z": np.column_stack([ONE, T["x"]]),
    "~ -1 + x": T[["x"]].to_numpy(),
    "~ relevel(a, ref='v'):z": np.column_stack([ONE, dummies(T["a"]) * T[["z"]].to_numpy()]),
}  # fmt: skip


@pytest.mark.parametrize("formula", CELLS)
def test_the_space_of_a_formula_is_that_by_hand(formula: str) -> None:
    found = made(formula, T).matrix
    assert same_space(found, CELLS[formula])


def test_a_mutant_that_takes_truth_values_for_numbers() -> None:
    numeric = T.assign(b=T["b"].astype(float))
    assert made("~ b:a", numeric).matrix.shape[1] == 4
    assert not same_space(made("~ b:a", numeric).matrix, CELLS["~ b:a"])


FORMULAS = ["a*c", "a:c", "a*x", "a:x + c", "0 + a + x", "(a + c + x)**2", "C(k)*x", "log(x) + a", "center(x)*a", "a/x"]


@pytest.mark.parametrize("formula", FORMULAS)
def test_the_space_of_a_formula_is_that_of_formulae(formula: str) -> None:
    formulae = pytest.importorskip("formulae", reason="the package formulae is a referee here")
    common = formulae.design_matrices(f"y ~ {formula}", T.assign(y=1.0), extra_namespace={"log": np.log}).common
    assert same_space(made(f"~ {formula}", T).matrix, np.asarray(common.design_matrix, dtype=float))


def test_r_s_order_of_terms() -> None:
    """By their number of factors; otherwise as written."""
    labels = made("~ c:x + x + a*c", T).labels
    assert labels == (
        "Intercept", "x", "a[v]", "a[w]", "c[q]", "c[q]:x", "a[v]:c[q]", "a[w]:c[q]"
    )  # fmt: skip


@pytest.mark.parametrize(
    "formula",
    ["~ a*poly(x, 3)", "~ bs(x, df=4):c + k", "~ scale(x)*C(k, Sum)", "~ cr(z, df=3) + ns(x, df=2)", "~ center(x)"],
)  # fmt: skip
def test_any_rows_have_the_design_that_they_have_among_all(formula: str) -> None:
    """With constants that went through JSON; and not with constants made anew, the mutant."""
    whole = made(formula, T)
    state = json.loads(json.dumps(whole.state))
    for rows in ([5], [40, 2, 7], list(np.flatnonzero(T["a"] == "v"))):
        some = T.iloc[rows].reset_index(drop=True)
        np.testing.assert_array_equal(made(formula, some, state).matrix, whole.matrix[rows])
    some = T[T["x"] > 3].reset_index(drop=True)
    try:
        anew = made(formula, some).matrix
    except SaemError:
        return
    assert anew.shape != whole.matrix[T["x"] > 3].shape or not np.allclose(anew, whole.matrix[T["x"] > 3])
