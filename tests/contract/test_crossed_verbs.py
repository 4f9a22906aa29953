"""What is done with a fit of several grouping factors: where it lists clusters it lists the levels of each factor."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import saem
from saem import Fit, Model
from saem.errors import ModelError, SaemError
from saem.inference.curves import column_along, curves
from saem.plotting import plot_individual

MODEL = {"response": "y", "mean": {"mu": "1"}, "random": {"plate": {"cluster": "plate"}, "run": {"cluster": "run"}}}
AT = {"mu": 3.0, "sd_plate": 0.8, "sd_run": 1.2, "sigma": 0.5}


@lru_cache(maxsize=1)
def table() -> pd.DataFrame:
    """Twelve plates and six runs, every run on every plate."""
    plates, runs = np.divmod(np.arange(72), 6)
    design = pd.DataFrame({"plate": [f"p{i}" for i in plates], "run": [f"r{i}" for i in runs]})
    return saem.simulate(Model(**MODEL), AT, design, seed=3)


@lru_cache(maxsize=1)
def fitted() -> Fit:
    """The maximum of the likelihood."""
    return saem.fit(Model(**MODEL), table(), "ml")


def covariances() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Designs (72, 18) of all levels, their prior variances (18,) and V (72, 72), at the estimate."""
    x = fitted().estimates["estimate"]
    z = np.hstack(
        [pd.get_dummies(table()[name], dtype=float)[list(dict.fromkeys(table()[name]))] for name in MODEL["random"]]
    )
    prior = np.repeat([x["sd_plate"] ** 2, x["sd_run"] ** 2], [12, 6])
    return z, prior, z * prior @ z.T + x["sigma"] ** 2 * np.eye(72)


def test_random_effects_are_listed_by_factor_and_level() -> None:
    found = saem.random_effects(fitted()).table
    assert list(found.index.names) == ["factor", "level", "term"]
    assert found.index[0] == ("plate", "p0", "intercept")
    assert found.index[12] == ("run", "r0", "intercept")
    z, prior, v = covariances()
    gain = prior[:, None] * z.T @ np.linalg.inv(v)
    x = fitted().estimates["estimate"]
    np.testing.assert_allclose(found["mean"], gain @ (table()["y"] - x["mu"]), atol=1e-8)
    spread = np.diag(prior) - gain @ z * prior
    np.testing.assert_allclose(found["sd"] ** 2, np.diag(spread), atol=1e-8)


def test_a_summary_counts_the_levels_of_each_factor() -> None:
    assert "72 rows, 18 levels (12 of plate, 6 of run)" in fitted().summary()
    assert "too short with so few levels (12 of plate, 6 of run)" in fitted().summary()
    rows = pd.concat([table().assign(plate=table()["plate"] + end) for end in "ab"], ignore_index=True)
    assert "too short with so few levels (6 of run)" in saem.fit(Model(**MODEL), rows, "ml").summary()


def test_draws_are_of_all_levels_together() -> None:
    """Their squared lengths by the covariance of all 18 effects: 4,000 of chi² (18); false alarms 6e-7."""
    z, prior, v = covariances()
    gain = prior[:, None] * z.T @ np.linalg.inv(v)
    spread = np.diag(prior) - gain @ z * prior
    mean = gain @ (table()["y"] - fitted().estimates.loc["mu", "estimate"])

    def excess(draws: np.ndarray) -> float:
        """Of the mean squared length, in standard errors."""
        off = draws - mean
        lengths = np.einsum("di,ij,dj->d", off, np.linalg.inv(spread), off) / 18
        return float((lengths.mean() - 1) / np.sqrt(2 / (18 * len(draws))))

    found = saem.random_effects(fitted(), draws=4000, seed=5)
    assert abs(excess(found.draws[:, :, 0])) < 5
    np.testing.assert_array_equal(saem.random_effects(fitted(), draws=3, seed=5).draws, found.draws[:3])
    apart = np.random.default_rng(5).standard_normal((4000, 18)) * np.sqrt(np.diag(spread))
    assert excess(mean + apart) > 5  # the mutant: every level by itself


def test_a_level_has_the_terms_of_its_own_factor() -> None:
    rows = table().assign(x=np.tile([0.0, 1.0, 2.0], 24))
    fit = saem.fit(Model.from_formula("y ~ x + (1 | plate) + (x | run)"), rows, "ml")
    found = saem.random_effects(fit, draws=2)
    terms = {factor: list(own.index.unique("term")) for factor, own in found.table.groupby(level="factor")}
    assert terms == {"plate": ["intercept"], "run": ["intercept", "x"]}
    assert np.array_equal(found.table["cov_x"].isna(), found.table.index.get_level_values("factor") == "plate")
    assert np.all(found.draws[:, :12, 1] == 0.0)


def test_levels_of_several_columns_are_told_apart_whatever_they_are_called() -> None:
    parts = [("a : b", "c"), ("a", "b : c"), ("a :", "c"), ("a", ": c"), ("12:30", "c"), ('"a', "c")]
    rows = pd.DataFrame(parts * 12, columns=["u", "v"]).assign(plate=np.repeat(np.arange(12), 6).astype(str))
    rows["y"] = table()["y"]
    fit = saem.fit(Model.from_formula("y ~ 1 + (1 | u:v) + (1 | plate)"), rows, "ml")
    labels = saem.random_effects(fit).table.loc["u_v"].index.get_level_values("level").tolist()
    assert labels == ['"a : b" : c', 'a : "b : c"', '"a :" : c', 'a : ": c"', "12:30 : c", '"\\"a" : c']
    np.testing.assert_allclose(saem.predict(fit, rows)["predicted"], saem.residuals(fit)["fitted_conditional"])


def test_predictions_know_that_effects_of_different_factors_go_together() -> None:
    """The variance of a sum of effects is not the sum of their variances: what one has the other has not."""
    z, prior, v = covariances()
    x = fitted().estimates["estimate"]
    one = np.linalg.inv(v) @ np.ones(72)
    gain = z * prior @ z.T @ np.linalg.inv(v)
    error = np.diag(z * prior @ z.T - gain @ (z * prior @ z.T))
    error = error + (1 - gain @ np.ones(72)) ** 2 / one.sum()  # what the mean is not known to; variances count as known
    found = saem.predict(fitted(), table())
    np.testing.assert_allclose(found["predicted"], x["mu"] + gain @ (table()["y"] - x["mu"]), atol=1e-8)
    assert np.all(found["se"] ** 2 >= error * (1 - 1e-8))
    np.testing.assert_allclose(found["se"] ** 2, error, rtol=0.25)  # the SDs' own errors are in it, and are small


def test_new_levels_have_no_effect_and_all_of_its_variance() -> None:
    rows = pd.DataFrame({"plate": ["p0", "new", "new"], "run": ["new", "r0", "other"]})
    x, found = fitted().estimates["estimate"], saem.predict(fitted(), rows)
    assert not found["known"].any()
    assert found["predicted"][2] == pytest.approx(x["mu"])
    effects = saem.random_effects(fitted()).table["mean"]
    assert found["predicted"][0] == pytest.approx(x["mu"] + effects["plate", "p0", "intercept"])
    assert found["predicted"][1] == pytest.approx(x["mu"] + effects["run", "r0", "intercept"])
    width = (found["upper"] - found["lower"])[2] / (2 * 1.959963984540054)
    variance = x["sd_plate"] ** 2 + x["sd_run"] ** 2 + x["sigma"] ** 2
    assert width**2 == pytest.approx(variance + found["se"][2] ** 2)


def test_a_factor_without_a_column_has_new_levels() -> None:
    rows = pd.DataFrame({"plate": ["p0", "p3"]})
    alone, beside = (saem.predict(fitted(), each) for each in (rows, rows.assign(run="new")))
    pd.testing.assert_frame_equal(alone, beside)
    with pytest.raises(SaemError, match="needs column 'run' \\(did you mean 'runs'"):
        saem.predict(fitted(), rows.assign(runs="r0"))


def test_curves_are_those_of_levels() -> None:
    """Each through the predictions of the rows of the level; every row is of one plate and one run alone."""
    rows = table().assign(x=np.arange(72.0))
    fit = saem.fit(Model.from_formula("y ~ x + (1 | plate) + (1 | run)"), rows, "ml")
    assert column_along(fit) == "x"
    found = curves(fit, points=72)  # at the values of x themselves
    predicted = saem.predict(fit, rows)["predicted"]
    for level, own in ((3, rows["plate"] == "p3"), (12 + 2, rows["run"] == "r2")):
        here = found.iloc[72 * level : 72 * (level + 1)].reset_index(drop=True)
        np.testing.assert_allclose(here["individual"][own], predicted[own])
        assert set(here["plate" if level == 3 else "run"]) == {"p3" if level == 3 else "r2"}
    assert len(plot_individual(fit, figure=Figure(), clusters=[0, 13])) == 2


def test_normalised_residuals_are_independent() -> None:
    """``|L^-1 r|^2 = r'V^-1 r``, and each has the sign and size of the twin's."""
    _, _, v = covariances()
    residual = table()["y"].to_numpy() - fitted().estimates.loc["mu", "estimate"]
    expected = np.linalg.solve(np.linalg.cholesky(v), residual)
    np.testing.assert_allclose(saem.residuals(fitted())["normalised"], expected, atol=1e-8)


def test_influence_is_that_of_a_level() -> None:
    found = saem.influence(fitted(), workers=1)
    assert len(found.table) == 18
    rest = table()[table()["run"] != "r0"]
    again = saem.fit(Model(**MODEL), rest, "ml").estimates["estimate"]
    np.testing.assert_allclose(found.estimates.loc[("run", "r0")], again, rtol=1e-5)


def test_a_fit_is_kept(tmp_path: Path) -> None:
    fitted().save(tmp_path / "fit")
    again = saem.load(tmp_path / "fit")
    pd.testing.assert_frame_equal(again.estimates, fitted().estimates)
    pd.testing.assert_frame_equal(saem.random_effects(again).table, saem.random_effects(fitted()).table)


def test_the_likelihood_ratio_of_a_factor() -> None:
    without = saem.fit(Model(**MODEL, fixed={"sd_run": 0.0}), table(), "ml")
    found = saem.likelihood_ratio(without, fitted())
    assert found.statistic == pytest.approx(2 * (fitted().loglik - without.loglik))


def test_the_likelihood_ratio_of_a_factor_that_is_left_out() -> None:
    """The same, with the same law, as where its standard deviation is held at zero; factors may stand in any order."""
    blocks = MODEL["random"]
    held = saem.likelihood_ratio(saem.fit(Model(**MODEL, fixed={"sd_plate": 0.0}), table(), "ml"), fitted())
    small = saem.fit(Model(**MODEL | {"random": {"run": blocks["run"]}}), table(), "ml")
    turned = saem.fit(Model(**MODEL | {"random": dict(reversed(blocks.items()))}), table(), "ml")
    for large in (fitted(), turned):
        found = saem.likelihood_ratio(small, large)
        assert found.statistic == pytest.approx(held.statistic, abs=1e-6)
        assert found.weights == held.weights == {0: 0.5, 1: 0.5}
    other = saem.fit(Model.from_formula("y ~ 1 + (1 | plate)"), table(), "ml")
    with pytest.raises(
        ModelError, match=r"with values in \[fixed\], such as a standard deviation of 0, or with \[random"
    ):
        saem.likelihood_ratio(other, fitted())
    both = saem.compare_models({"one factor": other, "two": fitted()})
    assert both.loc["one factor", "delta_aic"] == pytest.approx(other.aic - fitted().aic)


def test_a_term_is_looked_for_in_every_block_of_its_columns() -> None:
    rng = np.random.default_rng(4)
    rows = table().assign(x=rng.normal(size=72), z=rng.normal(size=72))
    small, large = (
        saem.fit(Model.from_formula(f"y ~ 1 + {text}"), rows, "ml")
        for text in ("(1 + x | plate) + (0 + z | plate)", "(1 + x | plate) + (0 + z | plate) + (1 | run)")
    )
    found = saem.likelihood_ratio(small, large)
    assert found.weights == {0: 0.5, 1: 0.5}


def test_levels_that_share_less_are_not_nested() -> None:
    rows = table().assign(half=np.where(np.arange(72) < 36, "a", "b"))
    plate = {"cluster": "plate", "by": "half"}
    small, large = (
        saem.fit(Model(**MODEL | {"random": {"plate": plate | {"sd": sd}, "run": run}}), rows, "ml")
        for sd, run in (
            ({"a": "one", "b": "two"}, {"cluster": "run", "sd": "two"}),
            (
                {"a": "one", "b": "one"},
                {"cluster": "run", "by": "run", "sd": dict.fromkeys(rows["run"], "two") | {"r0": "x", "r1": "x"}},
            ),
        )
    )
    with pytest.raises(ModelError, match="shared in another way"):
        saem.likelihood_ratio(small, large)


@pytest.mark.parametrize("residual", [{"sd": "sigma * abs(mean)**delta"}, {"correlation": "ar1(phi)"}, {"df": "nu"}])
def test_what_is_there_with_one_factor_alone_is_refused_in_words(residual: dict[str, str]) -> None:
    with pytest.raises(ModelError, match="are there with one clustering factor, not beside"):
        Model(**MODEL, residual=residual)


def test_automatic_names_of_two_factors_are_no_shared_parameter() -> None:
    rows = table().assign(cask=np.arange(72) % 3)
    with pytest.raises(ModelError, match="'plate' and 'plate_cask' would both have a parameter 'sd_plate_cask'"):
        saem.fit(Model.from_formula("y ~ 1 + (cask | plate) + (1 | plate:cask)"), rows, "ml")
    counts = Model.from_formula("n ~ 1 + (cask | plate) + (1 | plate:cask)", distribution="poisson")
    with pytest.raises(ModelError, match="would both have a parameter 'sd_plate_cask'"):
        saem.fit(counts, rows.assign(n=rows["cask"]), "ml")


def test_levels_whose_rows_never_show_a_term_do_not_spoil_the_start():
    """Half of the levels of b have rows with x = 0 alone; their least-squares slopes are none."""
    rng = np.random.default_rng(1)
    rows = pd.DataFrame({"a": np.tile(np.arange(10), 24), "b": np.repeat(np.arange(24), 10)})
    rows["x"] = np.where(rows["b"] % 2 == 0, 0.0, rng.integers(0, 2, len(rows)))
    effects = (
        rng.normal(size=10)[rows["a"]] + rng.normal(size=24)[rows["b"]] + rng.normal(size=24)[rows["b"]] * rows["x"]
    )
    rows["y"] = 2.0 + effects + rng.normal(size=len(rows))
    fit = saem.fit(saem.Model.from_formula("y ~ x + (1 | a) + (x | b)"), rows, "ml")
    assert str(fit.status) == "converged"
    assert 0.3 < fit.estimates.loc["sd_b_x", "estimate"] < 3.0
