"""Units do not matter: a fit of raw columns beside one whose columns were centred and scaled by hand.

The hand's way back is written out here, with numerical derivatives for the delta method: it shares nothing with
`saem.families.linear.coordinates`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import saem
from saem.families import arrange, pose
from saem.families.linear.coordinates import LinearCoordinates
from saem.inference.replicates import draw_responses

Array = np.ndarray
CENTRE, UNIT = 2014.5, 1.0
N, K = 24, 6


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Clusters with their own level and slope in the years 2012 to 2017, and a grouping."""
    rng = np.random.default_rng(20261)
    g, x = np.repeat(np.arange(N), K), np.tile(np.arange(K) - 2.5, N)
    own = rng.multivariate_normal([0.0, 0.0], [[1.0, 0.15], [0.15, 0.25]], size=N)
    y = 5.0 + own[g, 0] + (0.3 + own[g, 1]) * x + 0.5 * rng.normal(size=N * K)
    return pd.DataFrame({"g": g, "x": x, "year": x + CENTRE, "arm": np.where(g % 2, "a", "b"), "y": y})


def model(column: str, covariance: str = "full", **more: Any) -> saem.Model:
    random = {"terms": {"i": "1", "s": column}, "covariance": covariance, **more.pop("random", {})}
    mean = more.pop("mean", {"a": "1", "b": column})
    return saem.Model(response="y", cluster="g", mean=mean, random=random, **more)


def by_hand(values: Array, shift: float, unit: float) -> Array:
    """Means, two standard deviations, their correlation and sigma, of ``column = (original - shift) / unit``."""
    a, b, sd_i, sd_s, rho, sigma = values
    omega = np.array([[sd_i**2, rho * sd_i * sd_s], [rho * sd_i * sd_s, sd_s**2]])
    turn = np.array([[1.0, -shift / unit], [0.0, 1.0 / unit]])
    omega = turn @ omega @ turn.T
    sds = np.sqrt(np.diag(omega))
    return np.array([a - b * shift / unit, b / unit, *sds, omega[0, 1] / np.prod(sds), sigma])


def delta(values: Array, covariance: Array, back: Callable[[Array], Array]) -> Array:
    """Standard errors by differences."""
    moves = 1e-4 * np.diag(np.maximum(np.abs(values), 0.1))
    jacobian = np.array([(back(values + m) - back(values - m)) / (2 * m.max()) for m in moves]).T
    return np.asarray(np.sqrt(np.diag(jacobian @ covariance @ jacobian.T)))


def agree(raw: saem.Fit, hand: saem.Fit, back: Callable[[Array], Array]) -> None:
    """Where an estimate is simulated, its errors are those at the exact maximum beside it."""
    rtol = 1e-5 if not raw.mcse.any() else 2e-3
    assert raw.status == hand.status == "converged"
    np.testing.assert_allclose(raw.values, back(hand.values), rtol=1e-6)
    np.testing.assert_allclose(raw.se, delta(hand.values, hand.covariance, back), rtol=rtol)


@pytest.mark.parametrize("method", ["ml", "reml", "saem", "em"])
def test_years(table: pd.DataFrame, method: str) -> None:
    raw, hand = saem.fit(model("year"), table, method), saem.fit(model("x"), table, method)
    assert raw.loglik == pytest.approx(hand.loglik, abs=1e-8)
    agree(raw, hand, lambda values: by_hand(values, CENTRE, UNIT))
    if method == "saem":
        assert raw.mcse[1] == pytest.approx(hand.mcse[1], rel=1e-6)
        assert hand.mcse[1] * CENTRE == pytest.approx(raw.mcse[0], rel=0.05)
        np.testing.assert_allclose(raw.trace["b"], hand.trace["b"], rtol=1e-6)


def forgets_the_shift(self: LinearCoordinates, x: Array) -> Array:
    return np.asarray(x) * self.factors


def forgets_the_jacobian(self: LinearCoordinates, x: Array) -> Array:
    """Takes correlations and standard deviations for those of the original columns."""
    jacobian = np.diag(self.factors)
    jacobian[np.ix_(self.mean_index, self.mean_index)] = self.unit * self.means.forward
    return jacobian


@pytest.mark.parametrize(("name", "mutant"), [("to_user", forgets_the_shift), ("jacobian", forgets_the_jacobian)])
def test_mutants_are_found(
    table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, name: str, mutant: Callable[..., Array]
) -> None:
    hand = saem.fit(model("x"), table, "ml")
    monkeypatch.setattr(LinearCoordinates, name, mutant)
    with pytest.raises(AssertionError):
        agree(saem.fit(model("year"), table, "ml"), hand, lambda values: by_hand(values, CENTRE, UNIT))


@settings(max_examples=12, deadline=None)
@given(
    shift=st.floats(-1e4, 1e4),
    unit=st.floats(-12, 12).map(lambda p: 10.0**p),
    level=st.floats(-1e6, 1e6),
    size=st.floats(-9, 9).map(lambda p: 10.0**p),
)
def test_any_unit(table: pd.DataFrame, shift: float, unit: float, level: float, size: float) -> None:
    """The likelihood but for the response's unit, and the slopes, of ``unit (x + shift)`` and ``size (y + level)``."""
    hand = saem.fit(model("x"), table, "ml")
    moved = table.assign(x=unit * (table["x"] + shift), y=size * (table["y"] + level))
    raw = saem.fit(model("x"), moved, "ml")
    assert raw.status == "converged"
    # what a table of such numbers leaves of the response is its 16 digits
    assert raw.loglik + len(table) * np.log(size) == pytest.approx(hand.loglik, abs=1e-5)
    np.testing.assert_allclose(raw.values[[1, 3]] * unit / size, hand.values[[1, 3]], rtol=1e-5)
    np.testing.assert_allclose(raw.se[[1, 3]] * unit / size, hand.se[[1, 3]], rtol=1e-5)
    assert raw.values[5] / size == pytest.approx(hand.values[5], rel=1e-5)


@pytest.mark.parametrize("method", ["ml", "saem", "reml"])
def test_a_response_far_from_zero(table: pd.DataFrame, method: str) -> None:
    """Around 1e12 with a standard deviation of one, the table itself has four decimals."""
    far = table.assign(y=np.round(table["y"], 3) + 1e12)
    near = saem.fit(model("x"), far.assign(y=far["y"] - 1e12), method)
    fit = saem.fit(model("x"), far, method)
    assert fit.status == "converged"
    assert fit.loglik == pytest.approx(near.loglik, abs=1e-6)
    np.testing.assert_allclose(fit.values[1:], near.values[1:], rtol=1e-6)
    assert fit.values[0] - 1e12 == pytest.approx(near.values[0], abs=3e-4)
    np.testing.assert_allclose(fit.se, near.se, rtol=1e-6)
    assert f"{1e12 + round(near.values[0], 1):.1f}" in fit.summary()


@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_the_restricted_likelihood_is_that_of_the_columns_as_they_are(table: pd.DataFrame, unit: float) -> None:
    """``-1/2 log |X'V^-1 X|`` depends on the unit of a column, and the value is the user's."""
    hand = saem.fit(model("x"), table, "reml")
    raw = saem.fit(model("x"), table.assign(x=unit * table["x"]), "reml")
    assert raw.loglik == pytest.approx(hand.loglik - np.log(unit), abs=1e-7)
    scaled = saem.fit(model("x"), table.assign(y=unit * table["y"]), "reml")
    assert scaled.loglik == pytest.approx(hand.loglik - (len(table) - 2) * np.log(unit), abs=1e-7)


@pytest.mark.parametrize("method", ["ml", "saem"])
def test_a_diagonal_covariance_is_not_centred(table: pd.DataFrame, method: str) -> None:
    """Independent effects at year 0 are another model than at the mean year: only their column's unit may change."""
    raw = saem.fit(model("year", "diagonal"), table, method)
    scaled = saem.fit(model("days", "diagonal"), table.assign(days=365.25e6 * table["year"]), method)
    assert raw.loglik == pytest.approx(scaled.loglik, abs=1e-3)
    np.testing.assert_allclose(raw.values[1:4:2], 365.25e6 * scaled.values[1:4:2], rtol=1e-2)
    assert raw.loglik < saem.fit(model("x", "diagonal"), table, method).loglik - 1.0


def test_designs_of_all_kinds(table: pd.DataFrame) -> None:
    """Interactions, powers, columns without an intercept, variance groups: each as with the column centred."""
    arm = {"a1": "arm == 'a'", "a2": "arm == 'b'"}
    designs: list[tuple[Callable[[str], saem.Model], int]] = [
        (lambda c: model(c, mean=f"y ~ {c} * arm", random={"by": "arm"}), 0),
        (lambda c: model(c, mean={"a": "1", "b": c, "c": f"{c}**2", "d": f"{c}**3"}), 0),
        (lambda c: model(c, mean={"b": c, "a": "1"}), 0),
        (lambda c: model(c, mean={**arm, "b1": f"{c} * (arm == 'a')", "b2": f"{c} * (arm == 'b')"}), 0),
        (lambda c: model(c, residual={"by": "arm"}), 0),
    ]
    for make, _ in designs:
        raw, hand = saem.fit(make("year"), table, "ml"), saem.fit(make("x"), table, "ml")
        assert raw.status == hand.status == "converged"
        assert raw.loglik == pytest.approx(hand.loglik, abs=1e-7)
        restricted = [saem.fit(make(column), table, "reml").loglik for column in ("year", "x")]
        assert restricted[0] == pytest.approx(restricted[1], abs=1e-7)  # such a change has determinant one
        residual = [name for name in raw.parameters.names if name.startswith("sigma")]
        np.testing.assert_allclose(raw.estimates.loc[residual], hand.estimates.loc[residual], rtol=1e-6)


def test_constraints_and_fixed_values_are_the_users(table: pd.DataFrame) -> None:
    """An equation of parameters at year 0 holds for what comes back, and is that of the parameters at the centre."""
    raw = model("year", constraints={"g": "a + 2014.5*b == 5 + sd_s", "h": "sd_s == sigma"})
    hand = model("x", constraints={"g": "a == 5 + sd_s", "h": "sd_s == sigma"})
    for method in ("ml", "saem"):
        one, other = saem.fit(raw, table, method), saem.fit(hand, table, method)
        assert one.status == other.status == "converged"
        assert one.loglik == pytest.approx(other.loglik, abs=1e-6)
        assert one.values[0] + CENTRE * one.values[1] == pytest.approx(5.0 + one.values[3], abs=1e-8)
        np.testing.assert_allclose(one.se[[1, 3, 5]], other.se[[1, 3, 5]], rtol=1e-5)
    sds = saem.fit(model("year", constraints={"i": "sd_i == 900 * exp(0 * b)"}), table, "ml")
    assert sds.values[2] == pytest.approx(900.0, rel=1e-9)
    for fixed in ({"b": 0.25}, {"a": -600.0}):
        fit = saem.fit(model("year", fixed=fixed), table, "ml")
        name, value = next(iter(fixed.items()))
        assert fit.estimates.loc[name, "estimate"] == value and fit.estimates.loc[name, "se"] == 0.0
        equal = saem.fit(model("year", constraints={"g": f"{name} == {value}"}), table, "ml")
        assert fit.loglik == pytest.approx(equal.loglik, abs=1e-6)
        np.testing.assert_allclose(fit.values, equal.values, rtol=1e-5)


def test_what_is_inferred(table: pd.DataFrame) -> None:
    """Predictions, residuals, random effects, likelihoods, profiles and influence, as of the centred column."""
    raw, hand = saem.fit(model("year"), table, "ml"), saem.fit(model("x"), table, "ml")
    new = pd.DataFrame({"g": [3, 77], "x": [9.5, 9.5], "year": [9.5 + CENTRE] * 2})
    for rows in (None, new):
        one, other = saem.predict(raw, rows), saem.predict(hand, rows)
        np.testing.assert_allclose(one.drop(columns="known"), other.drop(columns="known"), rtol=1e-7)
    np.testing.assert_allclose(saem.residuals(raw), saem.residuals(hand), rtol=1e-6, atol=1e-8)
    effects = [saem.random_effects(fit, draws=3) for fit in (raw, hand)]
    np.testing.assert_allclose(effects[0].draws @ [1.0, CENTRE], effects[1].draws[..., 0], atol=1e-7)
    np.testing.assert_allclose(effects[0].mean, raw.random_effects, rtol=1e-9)
    np.testing.assert_allclose(raw.random_effect_sds[:, 1], hand.random_effect_sds[:, 1], rtol=1e-7)
    scaled = saem.fit(model("x"), table.assign(y=1e9 * table["y"]), "ml")
    for method in ("exact", "quadrature", "importance"):
        values = [saem.log_likelihood(fit, method, nodes=5).value for fit in (raw, hand, scaled)]
        assert values[0] == pytest.approx(values[1], abs=1e-7)
        assert values[2] == pytest.approx(values[1] - len(table) * np.log(1e9), abs=1e-6)
    one, other = saem.profile(raw).intervals, saem.profile(hand).intervals
    np.testing.assert_allclose(
        one.loc[["b", "sd_s", "sigma"]].iloc[:, :5], other.loc[["b", "sd_s", "sigma"]].iloc[:, :5], rtol=1e-4
    )
    # beside the profiles at year 0, those of a model whose intercept is there by a small step of the year
    assert one.loc["a", "lower"] < raw.values[0] < one.loc["a", "upper"]
    at_zero = model("year", mean={"a": "1 - year/2014.5", "m": "year/2014.5"})
    moved = saem.profile(saem.fit(at_zero, table, "ml"), "a").intervals
    np.testing.assert_allclose(
        one.loc["a", ["lower", "upper"]].astype(float), moved.loc["a", ["lower", "upper"]].astype(float), rtol=1e-4
    )
    influences = [saem.influence(fit) for fit in (raw, hand)]
    np.testing.assert_allclose(influences[0].changes["b"], influences[1].changes["b"], rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(influences[0].table["cooks_distance"], influences[1].table["cooks_distance"], rtol=1e-5)
    for kind in ("observed", "expected", "sandwich"):
        ses = [saem.fisher_information(fit, kind).se for fit in (raw, hand)]
        np.testing.assert_allclose(ses[0][[1, 3, 5]], ses[1][[1, 3, 5]], rtol=1e-6)
    observed = saem.fisher_information(raw, "observed")
    np.testing.assert_allclose(observed.se, raw.se, rtol=1e-6)
    found = saem.identifiability(model("year"), table, starts=2, points=2)
    assert found.unique and found.condition_number < 100.0


def test_a_singular_covariance(table: pd.DataFrame) -> None:
    """Without variation of the levels at the mean year the two effects are one: at year 0 their correlation is -1."""
    rng = np.random.default_rng(0)
    own, noise = rng.normal(size=N)[table["g"]], rng.normal(size=(N, K))
    noise -= noise.mean(axis=1, keepdims=True)
    flat = table.assign(y=5.0 + own * table["x"] + 0.5 * noise.ravel())
    raw, hand = saem.fit(model("year"), flat, "ml"), saem.fit(model("x"), flat, "ml")
    assert raw.status == hand.status == "boundary"
    assert raw.loglik == pytest.approx(hand.loglik, abs=1e-7)
    assert hand.at_boundary == ("sd_i",)
    assert raw.at_boundary == ("corr_i_s",) and raw.values[4] == -1.0
    assert raw.values[2] == pytest.approx(CENTRE * hand.values[3], rel=1e-6)
    assert raw.se[2] == pytest.approx(CENTRE * hand.se[3], rel=1e-5)
    assert np.isnan(raw.se[4]) and raw.se[3] == pytest.approx(hand.se[3], rel=1e-5)


def test_effects_that_are_one_at_any_year(table: pd.DataFrame) -> None:
    """Levels and slopes in proportion: the correlation is one inside, and minus one at year 0."""
    rng = np.random.default_rng(0)
    own, noise, x = rng.normal(size=N)[table["g"]], rng.normal(size=(N, K)), table["x"].to_numpy()[:K]
    noise -= noise.mean(axis=1, keepdims=True)
    noise -= np.outer(noise @ x, x) / (x @ x)
    one = table.assign(y=5.0 + own * (1.0 + 0.4 * table["x"]) + 0.5 * noise.ravel())
    raw, hand = saem.fit(model("year"), one, "ml"), saem.fit(model("x"), one, "ml")
    assert raw.status == hand.status == "boundary"
    assert raw.loglik == pytest.approx(hand.loglik, abs=1e-7)
    assert raw.at_boundary == hand.at_boundary == ("corr_i_s",)
    assert hand.values[4] == 1.0 and raw.values[4] == -1.0
    slope = np.array([1.0, -CENTRE])  # of ``sd_i - 2014.5 sd_s``
    assert raw.values[2] == pytest.approx(-slope @ hand.values[2:4], rel=1e-6)
    assert raw.se[2] == pytest.approx(np.sqrt(slope @ hand.covariance[2:4, 2:4] @ slope), rel=1e-5)
    assert np.isnan(raw.se[4]) and raw.se[3] == pytest.approx(hand.se[3], rel=1e-5)


def test_a_fit_that_was_saved_goes_on_to_the_bit(table: pd.DataFrame, tmp_path: Any) -> None:
    fit = saem.fit(model("year"), table, "saem")
    fit.save(tmp_path / "fit")
    loaded = saem.load(tmp_path / "fit")
    target = saem.Target(mcse=0.6 * float(np.nanmax(fit.mcse / fit.se)))
    again, direct = loaded.resume(target), fit.resume(target)
    assert again.iterations > fit.iterations
    np.testing.assert_array_equal(again.values, direct.values)
    np.testing.assert_array_equal(again.covariance, direct.covariance)
    np.testing.assert_array_equal(again.path[: len(fit.path) - 1], fit.path[:-1])
    np.testing.assert_array_equal(saem.predict(loaded)["se"], saem.predict(fit)["se"])


def test_progress_is_told_on_the_users_scale(table: pd.DataFrame) -> None:
    seen: list[Array] = []
    fit = saem.fit(model("year"), table, "saem", callback=lambda progress: seen.append(progress.estimate))
    np.testing.assert_allclose(seen[-1][[0, 2]], fit.values[[0, 2]], rtol=0.05)


def test_plain_tables_are_left_alone(table: pd.DataFrame) -> None:
    """The user's coordinates, to the bit, where nothing is gained by others."""
    for make in (model("x"), model("x", "diagonal"), model("x", mean="y ~ x * arm")):
        assert pose(make, arrange(make, table)).coordinates.is_users
    assert len(saem.fit(model("x"), table, "ml").inner) == 0


def test_priors_are_about_the_users_parameters(table: pd.DataFrame) -> None:
    """The Bayesian posterior is in the user's coordinates; columns that do not allow that are refused."""
    with pytest.raises(saem.SaemError, match="subtract a typical value"):
        saem.fit(model("seconds"), table.assign(seconds=table["year"] * 3e7), "bayes")
    with pytest.raises(saem.SaemError, match=r"'bayes' works on the columns as they are.*subtract a typical value"):
        saem.fit(model("year", mean={"a": "1"}), table, "bayes")


def test_a_long_equation_leaves_its_parameters_by_themselves(table: pd.DataFrame) -> None:
    """Rewritten, this one would be beyond the bounds of the language; the other columns are still centred."""
    near = table.assign(col=table["x"] + 60.0)
    for repeats, alone in ((1, False), (3, True)):
        text = " + ".join([f"0.{k} * a * a" for k in range(1, 10)] * repeats) + " == 4.5 * b"
        long = model("year", mean={"a": "1", "b": "col"}, constraints={"g": text})
        place = pose(long, arrange(long, near)).coordinates
        assert isinstance(place, LinearCoordinates)
        assert place.random.mixes and place.means.mixes != alone


@pytest.mark.parametrize("shift", [2.0, 30.0, 2014.5, 1e6, 1e9])
def test_the_error_of_a_correlation_near_one(table: pd.DataFrame, shift: float) -> None:
    """By rational arithmetic of high precision, where doubles hold no digit of ``1 - rho^2``."""
    from mpmath import mp, mpf

    fit = saem.fit(model("x"), table, "ml")
    raw = saem.fit(model("x"), table.assign(x=table["x"] + shift), "ml")
    with mp.workdps(80):

        def correlation(values: list[Any]) -> Any:
            sd_i, sd_s, rho = values
            level = sd_i**2 - 2 * mpf(shift) * rho * sd_i * sd_s + (mpf(shift) * sd_s) ** 2
            return (rho * sd_i * sd_s - mpf(shift) * sd_s**2) / mp.sqrt(level) / sd_s

        at, step = [mpf(float(value)) for value in fit.values[2:5]], mpf(10) ** -30
        slopes = [
            float((correlation([v + step * (k == j) for k, v in enumerate(at)]) - correlation(at)) / step)
            for j in range(3)
        ]
    slope = np.array(slopes)
    assert raw.se[4] == pytest.approx(np.sqrt(slope @ fit.covariance[2:5, 2:5] @ slope), rel=1e-5)


LEVEL, DAYS = 1e9, 365.25  # of a response; of a year


@pytest.fixture(scope="module")
def weighted() -> pd.DataFrame:
    """Rows of several precisions, an offset, a response far from zero and what is left of it by hand."""
    rng = np.random.default_rng(20262)
    g, x = np.repeat(np.arange(N), K), np.tile(np.arange(K) - 2.5, N)
    own = rng.multivariate_normal([0.0, 0.0], [[1.0, 0.15], [0.15, 0.25]], size=N)
    w, o = rng.uniform(0.2, 5.0, N * K), np.round(rng.normal(size=N * K) * 1024.0) / 1024.0
    left = 5.0 + own[g, 0] + (0.3 + own[g, 1]) * x + 0.5 * rng.normal(size=N * K) / np.sqrt(w)
    left = np.round(left * 2.0**20) / 2.0**20
    table = pd.DataFrame({"g": g, "x": x, "year": x + CENTRE, "w": w, "o": o, "left": left, "y": left + o + LEVEL})
    return table.assign(days=735_000.0 + DAYS * x, two=2.0 * table["year"])


def formula(response: str, right: str, weights: str | None = "w") -> saem.Model:
    random = {"terms": {"i": "1", "s": right.split()[0]}, "covariance": "full"}
    return saem.Model(cluster="g", mean=f"{response} ~ {right}", random=random, residual={"weights": weights})


@pytest.mark.parametrize("method", ["ml", "reml", "saem"])
def test_weights_and_offsets(weighted: pd.DataFrame, method: str) -> None:
    """All that reads rows, beside a response without offset and level, and a centred column, by hand."""
    raw = saem.fit(formula("y", "year + offset(o)"), weighted, method)
    hand = saem.fit(formula("left", "x"), weighted, method)
    assert len(raw.inner) and not len(hand.inner)
    assert raw.loglik == pytest.approx(hand.loglik, abs=1e-7)
    np.testing.assert_allclose(raw.values[[1, 3, 5]], hand.values[[1, 3, 5]], rtol=1e-6)
    shift = weighted["o"].to_numpy() + LEVEL
    ends = ("predicted", "lower", "upper", "marginal", "marginal_lower", "marginal_upper")
    for look, levels in ((saem.predict, ends), (saem.residuals, ("fitted_marginal", "fitted_conditional"))):
        ours, theirs = look(raw), look(hand)
        for name in ours.columns.drop("known", errors="ignore"):
            more = shift if name in levels else 0.0
            np.testing.assert_allclose(ours[name] - more, theirs[name], rtol=1e-5, atol=2e-6, err_msg=name)
    if method != "reml":
        ours, theirs = (draw_responses(fit, 20, 1, "test") for fit in (raw, hand))
        np.testing.assert_allclose(ours - shift, theirs, atol=1e-5)
    ours = saem.t_tests(raw, {"slope": "year", "middle": f"intercept + {CENTRE} * year"})
    theirs = saem.t_tests(hand, {"slope": "x", "middle": "intercept"})
    np.testing.assert_allclose(ours[["se", "df"]], theirs[["se", "df"]], rtol=1e-5)
    np.testing.assert_allclose(ours["estimate"] - [0.0, LEVEL], theirs["estimate"], atol=1e-5)
    plain = saem.fit(formula("y", "year + offset(o)", None), weighted, method)  # the mutant without weights
    assert abs(plain.loglik - raw.loglik) > 1.0


def test_restricted_likelihoods_of_columns_in_other_units(weighted: pd.DataFrame) -> None:
    """REML in days since a far day beside years since their middle: the same model, once the columns are counted."""
    fits = {column: saem.fit(formula("left", column), weighted, "reml") for column in ("x", "days")}
    assert len(fits["days"].inner)
    assert fits["days"].loglik - fits["x"].loglik == pytest.approx(-np.log(DAYS), abs=1e-7)  # a mutant compares these
    table = saem.compare_models(fits)
    assert table["delta_aic"].max() == pytest.approx(0.0, abs=1e-6)
    less = formula("left", "days").replace(random={"terms": {"i": "1"}})
    both = [saem.likelihood_ratio(saem.fit(less, weighted, "reml"), fits["days"])]
    both.append(saem.likelihood_ratio(saem.fit(less.replace(mean="left ~ x"), weighted, "reml"), fits["x"]))
    assert both[0].statistic == pytest.approx(both[1].statistic, abs=1e-6) and both[0].statistic > 1.0
    with pytest.raises(saem.SaemError, match="different means"):
        saem.compare_models({"days": fits["days"], "none": saem.fit(less.replace(mean="left ~ 1"), weighted, "reml")})


def test_what_columns_leave_free(weighted: pd.DataFrame) -> None:
    """Twice the year beside the year: the level keeps its standard error, and t-tests tell what is determined."""
    means = {"a": "1", "b": "year", "d": "two"}
    free = saem.fit(saem.Model(response="left", cluster="g", mean=means), weighted, "ml")
    tied = saem.fit(saem.Model(response="left", cluster="g", mean={"a": "1", "b": "year"}), weighted, "ml")
    assert free.status == "not_identified" and len(free.inner)
    assert free.se[0] == pytest.approx(tied.se[0], rel=1e-6) and np.isnan(free.se[1:3]).all()
    assert free.message.startswith("b and d can move together (b by -1, d by +0.5)")
    ours, theirs = saem.t_tests(free), saem.t_tests(tied)
    np.testing.assert_allclose(ours.loc["a"], theirs.loc["a"], rtol=1e-5)
    assert ours.loc["b", ["se", "df", "p"]].isna().all()


@pytest.mark.parametrize(("constraint", "words"), [("sigma == -1", "sigma = -1"), ("corr_i_s == 2", "corr_i_s = 2")])
def test_constraints_out_of_range_are_named_as_written(table: pd.DataFrame, constraint: str, words: str) -> None:
    with pytest.raises(saem.SaemError) as raised:
        saem.fit(model("year", constraints={"k": constraint}), table, "ml")
    assert f"'k' ({constraint}) cannot be met" in str(raised.value) and f"it asks for {words}," in str(raised.value)


def test_rows_that_are_fitted_exactly_are_named_as_they_are(table: pd.DataFrame) -> None:
    flat = table.assign(y=np.where(table["arm"] == "a", 7.0, table["y"]) + LEVEL)
    residual = {"by": "arm", "sd": {"a": "sa", "b": "sb"}}
    with pytest.raises(saem.SaemError, match="the response is 1000000007 in all of its 72 rows"):
        saem.fit(saem.Model(response="y", cluster="g", mean={"a": "1", "b": "year"}, residual=residual), flat, "ml")
