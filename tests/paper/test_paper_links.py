"""Sections 3 and 7 of the paper: closed forms against numerical ones, and modules on digests with cells missing."""

from __future__ import annotations

import importlib
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from selecting import few

import experiments
import saem
from experiments.harness.figures.saving import written
from experiments.harness.performance import WHOLE_FIT
from experiments.harness.performance.proportions import QUANTILE, adjusted
from experiments.harness.study import load_study
from experiments.studies.links import BORDER, NO_LINK, SCENES, design_of, model_of, solutions_of_posted
from paper.digest import Digest
from paper.shared import bars
from paper.shared.writing import NOT_THERE
from paper.theory.clusters import cluster_covariance, differences, information
from paper.theory.links import Setting, setting
from paper.theory.uniqueness import band, border_of_d, gain_of, height, roots, steepness, turning_point, width
from saem.system.streams import stream

RNG = stream(1, "paper links")
PATH = Path(experiments.__file__).parent / "studies" / "constraints.toml"
QUICK = load_study(PATH, quick=True)


# Uniqueness

CASES = [(float(c), float(d)) for c, d in zip(10 ** RNG.uniform(-1, 3, 60), RNG.uniform(-8, 2, 60), strict=True)]
STEEP = [(c, d) for c, d in CASES if steepness(c, d) > 1.01 * BORDER]


def slope(b: float, c: float, d: float, h: float = 1e-6) -> float:
    """The derivative of the link's equation as it is defined, by central differences."""

    def posted(at: float) -> float:
        return at + c * (1 + 2 ** (at + d)) / (1 + 2**at)

    return (posted(b + h) - posted(b - h)) / (2 * h)


def test_height_is_the_equation_of_the_link() -> None:
    """In its odd form, too; and odd it is. With the wrong centre it is not (mutant)."""
    for (c, d), b in product(CASES, (-3.0, 0.4, 5.0)):
        assert height(b, c, d) == pytest.approx(b + c * (1 + 2 ** (b + d)) / (1 + 2**b), rel=1e-11, abs=1e-11)
        assert height(b, c, d) + height(-b, c, d) == pytest.approx(c * (1 + 2**d), rel=1e-11)
    assert any(abs(height(0.0, c, d) - c / 2) > 1e-3 for c, d in CASES)


def test_turning_points_are_where_the_slope_vanishes() -> None:
    """And it is negative between them. Those for half the steepness are elsewhere (mutant)."""
    assert len(STEEP) > 15

    def holds(beta: float, c: float, d: float) -> bool:
        return all(abs(slope(b, c, d)) < 1e-4 for b in (-beta, beta)) and slope(0.9 * beta, c, d) < 0.0

    for c, d in STEEP:
        assert holds(turning_point(steepness(c, d)), c, d)
    mutants = [(c, d) for c, d in STEEP if steepness(c, d) > 2.1 * BORDER]
    assert mutants and not any(holds(turning_point(steepness(c, d) / 2), c, d) for c, d in mutants)


def test_width_is_how_far_h_falls() -> None:
    """On a fine grid; a bound without the turning points is wider (mutant)."""
    for c, d in STEEP:
        b = np.linspace(0.0, 1.5 * turning_point(steepness(c, d)), 20_001)
        fall = 2.0 * float(np.max(height(0.0, c, d) - height(b, c, d)))
        low, high = band(c, d)
        assert width(steepness(c, d)) == pytest.approx(fall, rel=1e-5, abs=1e-9)
        assert high - low == pytest.approx(fall, rel=1e-5, abs=1e-9)
        assert steepness(c, d) - fall > 1e-3


def test_roots_are_all_there() -> None:
    """Three within the band, one outside and up to the border; as many as sign changes on a fine grid."""
    for c, d in CASES:
        low, high = band(c, d)
        for share in (-0.2, 0.01, 0.3, 0.5, 0.99, 1.2):
            m = low + share * (high - low) if low == low else float(height(RNG.uniform(-4, 4), c, d))
            found = roots(m, c, d)
            assert len(found) == (3 if low == low and 0 < share < 1 else 1)
            np.testing.assert_allclose(height(np.array(found), c, d), m, rtol=1e-9, atol=1e-9)
    assert roots(3.09375, 6.0, -5.0) == pytest.approx([-0.4252391, 0.0, 0.4252391], abs=1e-7)


def test_no_counterexample_to_the_border() -> None:
    """A search for two solutions at a steepness up to the border finds none, and does beyond it (mutant)."""

    def falls(c: float, d: float) -> bool:
        b = np.linspace(-6.0, 6.0, 4001)
        return bool(np.any(np.diff(b + c * (1 + 2 ** (b + d)) / (1 + 2**b)) < 0.0))

    below = [
        (a / (1 - 2.0**d), d) for a, d in zip(RNG.uniform(0, BORDER, 300), RNG.uniform(-9, -0.01, 300), strict=True)
    ]
    assert not any(falls(c, d) for c, d in below)
    assert all(falls(1.02 * BORDER / (1 - 2.0**d), d) for _, d in below)


def test_the_border_in_the_plane_and_the_study_agree() -> None:
    """`experiments.links` counts solutions by a formula of its own."""
    for v in (7.5, 9.0, 14.0):
        d = float(border_of_d(np.array(v)))
        assert steepness(gain_of(v), d) == pytest.approx(BORDER, rel=1e-12)
        x = {"b21": 0.0, "sigma1": 0.4, "sigma2": (v + 0.16) ** 0.5}
        for off, expected in ((-0.05, 3), (0.05, 1)):
            own = x | {"b22": d + off}
            own["c2"] = float(height(0.0, gain_of(v), d + off))
            assert solutions_of_posted(own) == expected == len(roots(own["c2"], gain_of(v), d + off))
    assert np.isnan(border_of_d(np.array(7.0)))


# Links

OVER = [
    ("interaction", "posted"),
    ("interaction", "conservation"),
    ("additive", "log2"),
    ("three_forms", "conservation"),
]


def shaken(own: Setting, seed: int) -> Setting:
    """The same setting at other parameters."""
    rng = stream(seed, "shaken")
    truth = own.truth + 0.1 * rng.standard_normal(len(own.truth))
    return Setting(own.names, truth, own.x, own.replicates, own.link, own.held)


@pytest.mark.parametrize(("scene", "link"), OVER)
def test_information_is_the_curvature_of_the_divergence(scene: str, link: str) -> None:
    """At random parameters; so are its slope and, in the truth, the covariance of the score. Half is not (mutant)."""
    own = shaken(setting(scene, link, 0.7, 3), len(scene))
    steps = np.full(len(own.truth), 1e-5)
    curvature = differences(own.divergence_slope, own.truth, steps)
    matrix = information(own.truth, own.x, own.names, 3)
    np.testing.assert_allclose(matrix, curvature, atol=1e-5 * np.abs(matrix).max())
    np.testing.assert_allclose(own.score_covariance(own.truth), matrix, rtol=1e-9, atol=1e-9)
    away = own.truth + 0.05
    numeric = differences(lambda t: np.array([own.divergence(t)]), away, steps)[0]
    np.testing.assert_allclose(own.divergence_slope(away), numeric, rtol=1e-5, atol=1e-5)
    assert own.divergence(own.truth) == pytest.approx(0.0, abs=1e-10)
    assert not np.allclose(matrix / 2, curvature, rtol=0.1)


def test_information_is_that_of_the_fits() -> None:
    """`saem.fisher_information` is other code; that of other numbers of replicates differs (mutant)."""
    table = saem.simulate(
        model_of("additive", NO_LINK).replace(fixed={}),
        {"mu": 10.0, "c2": 1.0, "alpha2": -1.0, "b21": 0.0, "b22": 0.0, "sigma1": 0.4, "sigma2": 0.7, "sigma": 0.3},
        design_of("additive", 15),
        seed=4,
    )
    fit = saem.fit(model_of("additive", NO_LINK), table, "ml")
    own = setting("additive", "posted", 0.7, 15)
    places = [fit.parameters.index(name) for name in own.names]
    expected = saem.fisher_information(fit, "expected").covariance[np.ix_(places, places)]
    found = np.linalg.inv(information(fit.values[places], own.x, own.names, 15))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
    assert not np.allclose(found * 15 / 16, expected, rtol=1e-3)


@pytest.mark.parametrize(("scene", "link"), OVER)
def test_the_covariance_under_a_link_is_that_along_it(scene: str, link: str) -> None:
    """By a basis of the tangent space in place of the formula; without the link it is larger (mutant)."""
    own = setting(scene, link, 0.7, 5)
    tangent = np.linalg.svd(own.gradient[None, :])[2][1:].T
    inner = tangent.T @ np.linalg.inv(own.covariance) @ tangent
    along = tangent @ np.linalg.inv(inner) @ tangent.T
    np.testing.assert_allclose(own.linked_covariance, along, rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(own.covariances_at_limit[0], along, rtol=1e-3, atol=1e-6)  # the limit is the truth
    np.testing.assert_allclose(own.covariances_at_limit[1], along, rtol=1e-3, atol=1e-6)
    assert not np.allclose(own.covariance, along, rtol=0.1)


def test_a_saturated_link_gains_nothing() -> None:
    """And its coverage is nominal; in the additive model there is a gain (mutant)."""
    own = setting("saturated", "posted", 0.7, 12)
    assert own.gain({"c2": 1.0}) == 0.0 and own.coverage({"c2": 1.0}) == pytest.approx(0.95)
    assert setting("additive", "posted", 0.7, 12).gain({"c2": 1.0}) > 1000.0


@pytest.mark.parametrize("departure", [0.01, 0.5, 2.0])
def test_limits_are_nearest_under_the_link(departure: float) -> None:
    """They satisfy it and are stationary along it; to first order they are the formula's. Not for -sign (mutant)."""
    own = setting("additive", "posted", 0.7, 1, departure)

    def along(theta: np.ndarray) -> float:
        g, s = own.equation(theta)[1], own.divergence_slope(theta)
        return float(np.linalg.norm(s - (s @ g) / (g @ g) * g))

    assert own.equation(own.limit)[0] == pytest.approx(0.0, abs=1e-8)
    assert along(own.limit) < 1e-4
    rng = stream(2, "limits")
    for _ in range(200):  # other parameters under the link, near and far
        other = own.limit + rng.choice([0.05, 0.5]) * rng.standard_normal(len(own.limit))
        other[own.names.index("c2")] -= own.equation(other)[0]
        assert own.divergence(other) >= own.divergence(own.limit) - 1e-9
    assert own.equation(own.truth)[0] == pytest.approx(departure)
    if departure < 0.1:
        np.testing.assert_allclose(own.limit - own.truth, own.first_order_bias, atol=0.02 * departure)
        reach = own.gradient @ own.covariance @ own.gradient
        assert own.noncentrality == pytest.approx(departure**2 / reach, rel=0.02)
        assert not np.allclose(own.limit - own.truth, -own.first_order_bias, atol=0.02 * departure)


def test_the_covariance_of_the_score_away_from_the_truth() -> None:
    """By quadrature, exact for polynomials of fourth degree; that in the truth is another (mutant)."""
    own = setting("additive", "posted", 0.7, 1, 0.5)
    theta = own.limit
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    found = np.zeros((len(theta), len(theta)))
    for arm in (0, 1):
        s0 = cluster_covariance(own.truth, own.names, arm, 2)
        root, off = np.linalg.cholesky(s0), own.x[arm] @ own.truth
        scores, w = [], []
        for (a, wa), (b, wb) in product(zip(nodes, weights, strict=True), repeat=2):
            y = off + root @ np.array([a, b])

            def loglik(t: np.ndarray, y: np.ndarray = y, arm: int = arm) -> np.ndarray:
                s, e = cluster_covariance(t, own.names, arm, 2), y - own.x[arm] @ t
                return np.array([-0.5 * np.linalg.slogdet(s)[1] - 0.5 * e @ np.linalg.solve(s, e)])

            scores.append(differences(loglik, theta, np.full(len(theta), 1e-5))[0])
            w.append(wa * wb / (2 * np.pi))
        centred = np.array(scores) - np.array(w) @ np.array(scores)
        found += (centred.T * np.array(w)) @ centred
    np.testing.assert_allclose(own.score_covariance(theta), found, rtol=1e-5, atol=1e-5)
    assert not np.allclose(own.score_covariance(own.truth), found, rtol=0.1)


def test_links_that_are_fitted_by_mistake_are_known() -> None:
    """Every scene that a link restricts has a departure from its other link."""
    for scene, own in SCENES.items():
        if not own.saturated:
            link, other = own.links[0], own.links[1]
            assert abs(setting(scene, link, 0.7, 1, fitted=other).departure) > 0.05
            assert setting(scene, link, 0.7, 1).departure == pytest.approx(0.0, abs=1e-12)


# Modules of the paper


def test_error_bars_have_a_length_where_all_replicates_agree() -> None:
    """Those of shares stay within 0 and 1; plain ones would be empty (mutant); those of ratios are factors."""
    p, n = np.array([0.0, 0.3, 1.0]), 20
    shares = pd.DataFrame({"value": p, "mcse": np.sqrt(p * (1.0 - p) / n), "n": n})
    below, above = bars.of_share(shares)
    assert (p + above)[0] > 0.1 and (p - below)[2] < 0.9 and (p - below >= 0.0).all() and (p + above <= 1.0).all()
    assert (bars.of_mean(shares)[:, [0, 2]] == 0.0).all()
    below, above = bars.of_ratio(pd.DataFrame({"value": [2.0], "mcse": [0.5]}))
    assert (2.0 + above) / 2.0 == pytest.approx(2.0 / (2.0 - below))
    assert (bars.of_mean(pd.DataFrame({"value": [1.0], "mcse": [np.nan]})) == 0.0).all()


def test_bars_of_shares_are_the_shares_that_a_score_test_does_not_reject() -> None:
    """At both ends the observed share is 1.96 of the end's own errors away; Agresti and Coull's fail it (mutant)."""
    p, n = np.array([0.02, 0.3, 0.9]), 50.0
    below, above = bars.of_share(pd.DataFrame({"value": p, "n": n}))
    for end in (p - below, p + above):
        np.testing.assert_allclose(np.abs(end - p) / np.sqrt(end * (1.0 - end) / n), QUANTILE, rtol=1e-9)
    centre, error = adjusted(p, n)
    end = centre + QUANTILE * error
    assert (np.abs(np.abs(end - p) / np.sqrt(end * (1.0 - end) / n) - QUANTILE) > 1e-3).all()


FIGURES = ("uniqueness", "border", "gain", "wrong_link")
OF_FITS = ("several_solutions_rate", "not_converged_rate", "deficit", "median_seconds")
OF_ESTIMANDS = ("bias", "coverage", "rmse", "rejection", "precision_gain_to_free")
ESTIMANDS = ("effect1", "effect2", "c2", "b21", "b21_nearest", "sigma2", "lr")


def made(keep: slice) -> Digest:
    """A digest of some cells of the quick form, with shares and values that nothing was simulated for."""
    rng, rows = stream(5, "made"), []
    for cell in list(QUICK.design.all())[keep]:
        for method in ("free", "linked", "wrong", "saem"):
            keys = [(WHOLE_FIT, name) for name in OF_FITS] + list(product(ESTIMANDS, OF_ESTIMANDS))
            for estimand, measure in keys:
                value = rng.uniform() if "to_free" not in measure else rng.uniform(-20.0, 400.0)
                numbers = {
                    "method": method,
                    "estimand": estimand,
                    "measure": measure,
                    "value": value,
                    "mcse": 0.04,
                    "n": 9,
                }
                rows.append({"cell": cell.name, **cell.levels, **numbers})
    return Digest("constraints", pd.DataFrame(rows), {"study": "constraints", "replicates": 9})


@pytest.mark.parametrize("keep", few([slice(None), slice(1, None, 3)], [slice(1, None, 3)]), ids=["quick", "some"])
def test_modules_of_constraints_take_what_there_is(keep: slice) -> None:
    """Figures, the table and the numbers, with cells missing; what lacks results is said not to be there."""
    digests = {"constraints": made(keep)}
    for name in FIGURES:
        module = importlib.import_module(f"paper.figures.{name}")
        assert set(module.STUDIES) <= set(digests)
        assert written(module.draw(digests), "png")[1:4] == b"PNG"
    table = importlib.import_module("paper.tables.wrong_link").table(digests)
    assert table.startswith(r"\begin{tabular}") and "nan" not in table
    found = [
        number
        for name in ("identifiability", "links")
        for number in importlib.import_module(f"paper.numbers.{name}").numbers(digests)
    ]
    keys = [number.key for number in found]
    assert len(set(keys)) == len(keys)
    there = {number.key: number.text != NOT_THERE for number in found}
    assert there["departure.additive.posted.0.7.12.0.25.bias"] == (keep == slice(None))
    assert not there["gain.additive.posted.0.7.effect1.200"] and there["gain.additive.posted.0.7.effect1.theory"]
    assert all(number.why for number in found if number.text == NOT_THERE)
    assert not any("nan" in number.text for number in found)


@pytest.mark.slow
def test_figures_are_the_same_bytes() -> None:
    """Drawn twice."""
    digests = {"constraints": made(slice(None))}
    module = importlib.import_module("paper.figures.wrong_link")
    assert written(module.draw(digests), "pdf") == written(module.draw(digests), "pdf")
