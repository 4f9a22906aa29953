"""What people write in formulas, what is said of it, and what is refused in one true sentence."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from parameterkinds import kinds_of
from tampering import tamper

import saem
from saem import Model
from saem.batch import fit_by
from saem.errors import DataError, SaemWarning, StorageError
from saem.families import arrange
from saem.specification.formula import design
from saem.specification.formula.naming import distinct, level_names


def rows(**columns: Any) -> pd.DataFrame:
    """Eight clusters of six rows."""
    rng = np.random.default_rng(8)
    x = rng.uniform(1, 9, 48).round(2)
    cluster = np.repeat(np.arange(8), 6)
    y = np.exp(0.1 * x + 0.3 * rng.normal(size=8)[cluster] + 0.2 * rng.normal(size=48))
    table = pd.DataFrame({"s": cluster, "x": x, "z": rng.normal(size=48), "y": y})
    return table.assign(a=np.resize(list("uvw"), 48), b=np.resize(list("ppqqp"), 48), **columns)


def fit(mean: Any, table: pd.DataFrame | None = None, **model: Any) -> saem.Fit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SaemWarning)  # they are in Fit.warnings
        return saem.fit(Model(**{"cluster": "s", "mean": mean} | model), rows() if table is None else table, "ml")


def means(found: saem.Fit) -> tuple[str, ...]:
    kinds = zip(found.parameters.names, kinds_of(found.parameters), strict=True)
    return tuple(name for name, kind in kinds if kind == "mean")


# Names.


def test_names_of_levels() -> None:
    assert level_names(["CCCP", "Ctrl", "5 µM"]) == ["CCCP", "Ctrl", "5_muM"]
    assert level_names(["a b", "a_b", "a-b", "a.b"]) == ["a_space_b", "a_b", "a_minus_b", "a_dot_b"]
    assert level_names(["5", "<5", ">5", "-5"]) == ["5", "less_5", "greater_5", "minus_5"]
    assert level_names(["", "+", "$", "\n", "é", "e"]) == ["empty", "plus", "dollar", "newline", "e_with_acute", "e"]
    assert level_names(["007", "7"]) == ["007", "7"]


def test_names_that_collide_are_told_apart_and_said_to_be_unclear() -> None:
    names, unclear = distinct(["a", "log", "2", "a", "a_2", "b" * 70, ""])
    assert names == ("a", "x_log", "x_2", "a_3", "a_2", "b" * 58, "x") and unclear == [0, 3, 5]


@pytest.mark.parametrize("levels", [["a b", "a_b", "a-b"], ["1,5 ", "1.5 ", "15"], ["да", "нет", "ок"]])
def test_levels_can_be_told_apart_wherever_parameters_are_printed(levels: list[str]) -> None:
    """The names are different, and either spell the level or stand in the legend."""
    found = fit("y ~ f", rows(f=np.resize(levels, 48)))
    assert len(set(means(found))) == 3
    for name in means(found)[1:]:
        if not any(level_names(levels)[i] == name[2:] and level.isascii() for i, level in enumerate(levels)):
            assert f"{name}: f[" in found.summary()


def test_parts_of_a_table_name_levels_as_the_whole_does() -> None:
    """``f_a_b`` is the level ``a_b`` on every site, also on one that has only ``a b``; alone that has the name."""
    table = rows(f=["a b", "c"] * 12 + ["a_b", "c"] * 12, site=np.repeat(["s", "t"], 24))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SaemWarning)
        found = fit_by(Model(cluster="s", mean="y ~ C(f, Treatment('c'))"), table, "site", ["ml"], workers=1).estimates
    names = {site: list(part["parameter"])[:2] for site, part in found.groupby("site")}
    assert names == {"s": ["intercept", "f_a_space_b"], "t": ["intercept", "f_a_b"]}
    assert means(fit("y ~ C(f, Treatment('c'))", table[table["site"] == "s"])) == ("intercept", "f_a_b")


def test_a_legend_is_saved(tmp_path: Path) -> None:
    found = fit("y ~ f", rows(f=np.resize(["да", "нет"], 48)))
    assert "names in the words of the formula:" in found.summary() and "f[нет]" in found.summary()
    found.save(tmp_path)
    assert saem.load(tmp_path).summary() == found.summary()


def test_names_that_are_no_words() -> None:
    odd = rows().rename(columns={"y": "my.y", "x": "my.x", "a": "class", "b": "if"})
    plain = fit("y ~ x + a*b")
    for formula in ("my.y ~ my.x + class*if", "`my.y` ~ `my.x` + `class` * `if`"):
        found = fit(formula, odd)
        assert means(found)[:3] == ("intercept", "my_x", "class_v") and found.loglik == plain.loglik
    assert means(fit("y ~ größe", rows().rename(columns={"x": "größe"}))) == ("intercept", "grose")


def test_columns_that_are_called_as_standard_deviations() -> None:
    table = rows().rename(columns={"x": "sigma", "z": "sd_intercept"})
    found = fit("y ~ sigma + sd_intercept", table)
    assert found.parameters.names == ("intercept", "x_sigma", "x_sd_intercept", "sd_intercept", "sigma")
    assert found.loglik == fit("y ~ x + z").loglik and "x_sigma: sigma" in found.summary()


# What is said.


def test_a_power_of_a_column_is_the_column_and_said() -> None:
    found = fit("y ~ x + x**2")
    assert means(found) == ("intercept", "x") and any("its square is I(x**2)" in text for text in found.warnings)
    assert fit("y ~ (a + b)**2").loglik == fit("y ~ a*b").loglik
    assert not fit("y ~ (a + b)**2 + I(x**2)").warnings


@pytest.mark.parametrize(("a", "b", "lost"), [("u", "p", "'a[w]:b[q]'"), ("v", "q", "'a[v]:b[q]'")])
def test_a_combination_without_rows_is_named(a: str, b: str, lost: str) -> None:
    """The reference combination as any other: the mean of each of the five cells that there are is estimated."""
    table = rows()
    table = table[(table["a"] != a) | (table["b"] != b)]
    found = fit("y ~ a*b", table)
    cells = fit("y ~ 0 + ab", table.assign(ab=table["a"] + table["b"]))
    assert found.converged and found.loglik == pytest.approx(cells.loglik, abs=1e-8) and len(means(found)) == 5
    text = " ".join(found.warnings)
    assert lost in text and "left out of the model" in text and (a == "v" or "a = 'u' and b = 'p'" in text)
    with pytest.raises(DataError, match="its mean is not known"):
        saem.predict(found, table.iloc[[0]].assign(a=a, b=b))
    seen = table.iloc[[0]].assign(a="w", b="q")
    np.testing.assert_allclose(
        saem.predict(found, seen)["marginal"], cells.estimates.loc["ab_wq", "estimate"], rtol=1e-6
    )


def test_a_constraint_may_determine_what_the_rows_do_not() -> None:
    table = rows()
    table = table[(table["a"] != "u") | (table["b"] != "p")]
    found = fit("y ~ a*b", table, constraints={"c": "a_v_x_b_q == 0"})
    assert len(means(found)) == 6 and found.converged


def test_nested_levels_with_names_of_their_own() -> None:
    """lme4 drops the columns of combinations that cannot be, and so does this: nine cells, nine means."""
    table = rows()
    table["inner"] = table["a"] + np.resize(["1", "2", "3"], 48)[np.argsort(np.arange(48) % 9, kind="stable")]
    found, cells = fit("y ~ a/inner", table), fit("y ~ 0 + inner", table)
    assert found.converged and len(means(found)) == len(means(cells))
    assert found.loglik == pytest.approx(cells.loglik, abs=1e-8)


# Booleans, offsets, responses.


def test_truth_values_are_factors() -> None:
    table = rows(t=np.resize([True, False, False, True, True], 48))
    assert means(fit("y ~ t:a", table)) == (
        "intercept", "a_v", "a_w", "t_True_x_a_u", "t_True_x_a_v", "t_True_x_a_w"
    )  # fmt: skip
    with_gaps = table.assign(t=table["t"].astype(object).where(table.index > 3, None))
    data = arrange(Model(cluster="s", mean="y ~ t + x"), with_gaps, drop_missing=True)
    assert data.n_dropped == 4 and data.parameters.names[1] == "t_True"


def test_an_offset_and_a_transformed_response_are_as_by_hand() -> None:
    """Log-likelihood, residuals, predictions and simulated data; a mutant that forgets the offset is far off."""
    table = rows()
    found, by_hand = fit("log(y) ~ x + offset(z)", table), fit("r ~ x", table.assign(r=np.log(table["y"]) - table["z"]))
    np.testing.assert_array_equal(found.values, by_hand.values)
    assert found.loglik == by_hand.loglik and "log-likelihood of log(y)" in found.summary()
    z = table["z"].to_numpy()
    for ours, theirs, moved in (
        (
            saem.predict(found),
            saem.predict(by_hand),
            ["predicted", "lower", "upper", "marginal", "marginal_lower", "marginal_upper"],
        ),
        (saem.residuals(found), saem.residuals(by_hand), ["fitted_marginal", "fitted_conditional"]),
    ):
        for name in ours.columns:
            shift = z if name in moved else 0.0
            np.testing.assert_allclose(ours[name].astype(float), theirs[name].astype(float) + shift, atol=1e-12)
    assert abs(fit("log(y) ~ x", table).loglik - found.loglik) > 1.0
    values = dict(zip(found.parameters.names, found.values.tolist(), strict=True))
    drawn = saem.simulate(found.model, values, table.drop(columns="y"), seed=1)
    other = saem.simulate(by_hand.model, values, table, seed=1)
    np.testing.assert_allclose(np.log(drawn["y"]) - z, other["r"], atol=1e-12)
    again = saem.bootstrap(found, 20, seed=2, workers=1).estimates
    np.testing.assert_allclose(again, saem.bootstrap(by_hand, 20, seed=2, workers=1).estimates, atol=1e-9)


def test_likelihoods_of_other_scales_are_not_compared() -> None:
    logged = fit("log(y) ~ x")
    assert logged.model.response == "log(y)" and logged.model.response_columns == ("y",)
    for formula in ("y ~ x", "log2(y) ~ x"):
        with pytest.raises(saem.SaemError, match="the same response, on the same scale"):
            saem.compare_models({"a": logged, "b": fit(formula)})
    saem.compare_models({"a": logged, "b": fit("log(y) ~ x + offset(z)")})


def test_what_a_response_is_made_of() -> None:
    assert Model(cluster="s", mean="I(y - z) ~ z").response_columns == ("y", "z")
    with pytest.raises(saem.SaemError, match="must not use the response 'y' itself"):
        Model(cluster="s", mean="log(y) ~ x + y")
    with pytest.raises(DataError, match=r"log\(z\) is not a finite number in \d+ of 48 rows"):
        fit("log(z) ~ x")
    for formula in ("sqrt(y) ~ x", "I(y / 100) ~ x", "log(y + 1) ~ x", "I(2 - y) ~ x", "logit(y / 10) ~ x"):
        model = Model(cluster="s", mean=formula)
        values = {"intercept": 1.0, "x": 0.1, "sd_intercept": 0.1, "sigma": 0.1}
        drawn = saem.simulate(model, values, rows(), seed=3)
        plain = saem.simulate(model.plain(), values, rows(), seed=3)
        np.testing.assert_allclose(arrange(model, drawn).response, plain[model.response], rtol=1e-12)
    with pytest.raises(DataError, match="does not tell its column"):
        saem.simulate(Model(cluster="s", mean="I(y**2) ~ x"), values, rows())


# Dates, numbers that are text, and many levels.


@pytest.mark.parametrize("as_time", [False, True])
def test_dates_count_days_from_the_first(as_time: bool) -> None:
    days = np.resize([0, 3, 10, 31, 60], 48)
    dates = pd.Timestamp("2024-02-25") + pd.to_timedelta(days, unit="D")
    table = rows(d=dates if as_time else dates.strftime("%Y-%m-%d"), days=days)
    found, by_hand = fit("y ~ d", table), fit("y ~ days", table)
    np.testing.assert_array_equal(found.values, by_hand.values)
    assert "counts days since 2024-02-25" in found.warnings[0]
    terms = {"i": "1", "slope": "d"}
    random = fit({"m": "1", "t": "d"}, table, response="y", random={"terms": terms, "covariance": "diagonal"})
    assert "counts days since 2024-02-25" in random.warnings[0]
    later = pd.DataFrame({"d": ["2024-05-25", "2024-03-06"]})  # 90 and 10 days on
    np.testing.assert_allclose(
        saem.predict(found, later)["predicted"], saem.predict(by_hand, pd.DataFrame({"days": [90, 10]}))["predicted"]
    )
    assert len(means(fit("y ~ C(d)", table))) == 5
    with pytest.raises(DataError, match="has the level"):
        saem.predict(fit("y ~ C(d)", table), later)


def test_texts_that_only_look_like_dates_are_levels() -> None:
    assert len(means(fit("y ~ d", rows(d=np.resize(["2024-02-30", "2024-02-01"], 48))))) == 2
    assert len(means(fit("y ~ d", rows(d=np.resize(["2024-02-01", "later"], 48))))) == 2


def test_numbers_with_commas_are_no_levels() -> None:
    table = rows(c=np.resize(["1,5", "2,25", "3"], 48))
    with pytest.raises(DataError, match="column 'c' holds numbers with a comma, such as '1,5', which are text"):
        fit("y ~ c", table)
    assert len(means(fit("y ~ C(c)", table))) == 3


def test_more_than_200_levels() -> None:
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"f": np.repeat([f"k{i:03}" for i in range(203)], 2), "s": np.resize(np.arange(10), 406)})
    table["y"] = rng.normal(size=406)
    data = arrange(Model(cluster="s", mean="y ~ f"), table)
    assert data.mean_design.shape == (406, 203) and data.parameters.names[202] == "f_k202"
    wide = pd.concat([table.assign(f=table["f"] + str(k)) for k in range(10)])
    with pytest.raises(DataError, match="at most 2000"):
        arrange(Model(cluster="s", mean="y ~ f"), wide)


# Constants of the fit.


def test_a_saved_fit_has_the_constants_of_its_design(tmp_path: Path) -> None:
    """As JSON, and used: changed constants change the prediction."""
    table = rows(d="2024-02-25")
    table.loc[5:, "d"] = "2024-03-01"
    found = fit("y ~ poly(x, 2)*a + scale(z) + d", table)
    found.save(tmp_path)
    content = json.loads((tmp_path / "fit.json").read_text())
    assert content["formula_state"]["scale(z)"]["mean"] == table["z"].mean()
    loaded = saem.load(tmp_path)
    new = table.iloc[[3, 30]].assign(x=[0.0, 12.0], d="2025-01-01")
    pd.testing.assert_frame_equal(saem.predict(loaded, new), saem.predict(found, new))
    mean = content["formula_state"]["scale(z)"]["mean"] + 1.0
    tamper(tmp_path, lambda content: content["formula_state"]["scale(z)"].update(mean=mean))
    shift = saem.predict(saem.load(tmp_path), new)["marginal"] - saem.predict(found, new)["marginal"]
    expected = -found.estimates.loc["scale_z", "estimate"] / table["z"].std()
    np.testing.assert_allclose(shift, expected, rtol=1e-9)


@pytest.mark.parametrize(
    "change",
    [
        {"poly(x, 2)": {"degree": 10**9, "raw": True}},
        {"poly(x, 2)": {"degree": 2, "raw": False, "alpha": [], "norm2": []}},
        {"poly(x, 2)": 3},
        {"a": {"levels": ["u"], "names": {}}},
        {"kept": [0, 99]},
        {"kept": ["x"]},
    ],
)
def test_constants_that_were_changed_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    fit("y ~ poly(x, 2)*a").save(tmp_path)
    tamper(tmp_path, lambda content: content["formula_state"].update(change))
    with pytest.raises(StorageError, match="formula_state"):
        saem.load(tmp_path)


def test_a_prediction_needs_no_cluster_column() -> None:
    found = fit("y ~ x")
    new = pd.DataFrame({"x": [1.0, 2.0]})
    predicted = saem.predict(found, new)
    pd.testing.assert_frame_equal(predicted, saem.predict(found, new.assign(s=[np.nan, "new"])))
    assert not predicted["known"].any()
    with pytest.raises(DataError, match="clusters that the fit does not know"):
        saem.predict(found, new, new_clusters="refuse")
    two = fit("y ~ x", cluster=["s", "b"])
    with pytest.raises(DataError, match="needs column 'b'"):
        saem.predict(two, new.assign(s=1))


def test_effects_that_share_an_sd_need_no_second_cluster() -> None:
    """Crossed random effects of subjects and items as terms of one cluster; a single term needs more clusters."""
    table = rows(one=1, i=np.resize([0, 1, 2], 48))
    terms = {f"s{k}": f"s == {k}" for k in range(8)} | {f"i{k}": f"i == {k}" for k in range(3)}
    random = {"terms": terms, "sd": {name: name[0] for name in terms}, "covariance": "diagonal"}
    found = fit("y ~ x", table, cluster="one", random=random)
    z = np.column_stack(
        [table["s"].to_numpy()[:, None] == np.arange(8), table["i"].to_numpy()[:, None] == np.arange(3)]
    )
    variances = np.repeat([found.estimates.loc["s", "estimate"], found.estimates.loc["i", "estimate"]], [8, 3]) ** 2
    covariance = (z * variances) @ z.T + found.estimates.loc["sigma", "estimate"] ** 2 * np.eye(48)
    r = table["y"] - found.values[0] - found.values[1] * table["x"]
    loglik = -0.5 * (48 * np.log(2 * np.pi) + np.linalg.slogdet(covariance)[1] + r @ np.linalg.solve(covariance, r))
    assert found.converged and found.loglik == pytest.approx(loglik, abs=1e-8)
    with pytest.raises(DataError, match="cannot be estimated from one cluster"):
        fit("y ~ x", table, cluster="one")


def test_a_value_that_is_missing_in_a_column_of_one_term() -> None:
    table = rows()
    table.loc[[1, 7], "z"] = np.nan
    with pytest.raises(DataError, match="missing or infinite values in column 'z': 2 of 48 rows"):
        fit("y ~ x + poly(z, 2):a", table)
    whole = table.dropna().reset_index(drop=True)
    model = Model(cluster="s", mean="y ~ x + poly(z, 2):a")
    np.testing.assert_array_equal(
        arrange(model, table, drop_missing=True).mean_design, arrange(model, whole).mean_design
    )


@pytest.mark.parametrize("name", ["True", "None", "nan"])
def test_a_column_whose_name_is_a_constant_elsewhere_is_used(name: str) -> None:
    """As under any other name."""
    table = rows()
    found = fit(f"y ~ x + {name}", table.rename(columns={"z": name}))
    assert found.loglik == pytest.approx(fit("y ~ x + z", table).loglik, abs=1e-8)
    assert len(means(found)) == 3 and f"{name}" in means(found)[2]


def test_what_a_formula_lacks_is_told_in_our_words_alone(capfd: pytest.CaptureFixture[str]) -> None:
    """A level that is not there: nothing is printed beside the error."""
    for level in ("5", "'V'"):
        with pytest.raises(DataError, match=r"there is no level .*; the levels are 'u', 'v', 'w'"):
            fit(f"y ~ C(a, Treatment({level}))")
    assert capfd.readouterr() == ("", "")


def test_a_formula_runs_no_code(tmp_path: Path) -> None:
    marker = tmp_path / "owned"
    for text in (
        f"y ~ I(__import__('os').system('touch {marker}'))",
        f"y ~ open('{marker}', 'w')",
        "y ~ (lambda: x)()",
        "y ~ x.__class__(a)",
        "y ~ C(a, Treatment(exec('1')))",
        "y ~ np.log(x)",
        "y ~ poly(x, exec)",
    ):
        with pytest.raises(saem.SaemError):
            Model(cluster="s", mean=text)
    with pytest.raises(DataError):
        arrange(Model(cluster="s", mean="y ~ x.__class__"), rows())  # a column that is not there
    assert not marker.exists()
    assert design("~ x", {"x": np.arange(3.0)}, 3).matrix.tolist() == [[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]]
