"""How many sets of parameters there are, beside the exact roots of the link and the bound that makes them one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import referee
from designs import exact_peptide_table, peptide_table
from linear_family import PEPTIDE, peptide_design

import saem
from saem import Model, recipes
from saem.errors import FitError
from saem.families import arrange, pose
from saem.inference.structure import structure_of
from saem.plotting import plot_solutions

PEPTIDE_MODEL = Model.from_text(recipes.text("peptide"))
LOG2 = np.log(2.0)
NAMES = ("mu", "c2", "alpha2", "b21", "b22", "sigma1", "sigma2", "sigma")


def coefficients(row) -> tuple[float, float, float]:  # type: ignore[no-untyped-def]
    """``m21 - m11``, d and C of a point."""
    c = np.exp(LOG2**2 / 2 * (row["sigma2"] ** 2 - row["sigma1"] ** 2))
    return row["c2"] + row["b21"], row["b22"] - row["b21"], c


def test_structure_counts_all_roots_of_the_link() -> None:
    """At 400 random points without data: as many solutions as the exact intervals of monotony have roots."""
    table = peptide_design(6).assign(log2_intensity=np.random.default_rng(0).standard_normal(24))
    problem = pose(PEPTIDE_MODEL, arrange(PEPTIDE_MODEL, table))
    around = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 1.5, 0.5])
    found = structure_of(problem, around, 400)
    assert len(found.points) == 400 and found.share_identified == 1.0
    counts = []
    for _, row in found.points.iterrows():
        m, d, c = coefficients(row)
        counts.append(len(referee.roots_of_link(m, d, c)))
        if c * (1.0 - 2.0**d) <= 4.0 / LOG2:
            assert row["n_solutions"] == 1  # the bound of the design notes
    np.testing.assert_array_equal(found.points["n_solutions"], counts)
    assert counts.count(3) > 5 and found.share_several == np.mean(np.array(counts) > 1)
    # mutant: a count that trusts Newton's method from each point
    with pytest.raises(AssertionError):
        np.testing.assert_array_equal(np.ones(400), counts)


def test_the_design_alone() -> None:
    """Without a response: what holds for any, also around a truth that is planned with."""
    found = saem.identifiability(PEPTIDE_MODEL, peptide_design(6))
    assert found.locally_identified and found.n_maximisers == 0 and len(found.maxima) == 0
    assert "by design" in found.summary() and "globally" not in found.summary()
    free = saem.identifiability(PEPTIDE_MODEL.replace(constraints={}), peptide_design(6))
    assert not free.locally_identified and free.structure.share_identified == 0.0
    assert np.isnan(free.structure.points["n_solutions"]).all()
    far = {**PEPTIDE, "c2": 0.0, "b21": 0.0, "b22": -9.0, "sigma1": 0.1, "sigma2": 3.5}  # C = 19: beyond the bound
    several = saem.identifiability(PEPTIDE_MODEL, peptide_design(6), around=far)
    assert several.structure.share_several > 0.1
    log2 = saem.identifiability(Model.from_text(recipes.text("peptide_log2")), peptide_design(6), around=far)
    assert log2.structure.share_several == 0.0  # that map is one-to-one


def test_three_maximisers() -> None:
    """The example of the design notes: roots -0.425, 0 and 0.425, of one likelihood."""
    sigma2 = np.sqrt(1.0 + 2.0 * np.log(6.0) / LOG2**2)
    table = exact_peptide_table([[10.0, 9.0], [13.09375, 7.09375]], 1.0, sigma2, 0.5)
    found = saem.identifiability(PEPTIDE_MODEL, table)
    assert found.locally_identified and not found.unique and found.n_maximisers == 3
    np.testing.assert_allclose(np.sort(found.maxima["b21"]), [-0.425, 0.0, 0.425], atol=5e-4)
    assert np.ptp(found.maxima["loglik"]) < 1e-8
    assert "3 sets of parameters have the same" in found.summary()
    link = found.link
    b, d = link["b21"].to_numpy(), -5.0
    h = b + 6.0 * (1.0 + 2.0 ** (b + d)) / (1.0 + 2.0**b)
    np.testing.assert_allclose(link["residual"], 3.09375 - h, atol=1e-8)  # the equation of the design notes
    axes = plot_solutions(found)
    assert len(axes.texts) == 3 and axes.get_xlabel().startswith(("b21", "b22", "c2"))
    with pytest.raises(saem.SaemError, match="sigma does not move"):
        plot_solutions(found, parameter="sigma")
    with pytest.raises(saem.SaemError, match="nothing to draw"):
        plot_solutions(saem.identifiability(PEPTIDE_MODEL.replace(fixed={"b21": 0.0}), table))


@pytest.mark.parametrize("seed", range(4))
def test_unique_where_the_bound_holds(seed: int) -> None:
    table = peptide_table(np.random.default_rng(seed), replicates=(8, 8))
    found = saem.identifiability(PEPTIDE_MODEL, table)
    assert found.unique and len(found.maxima) == 1
    fit = saem.fit(PEPTIDE_MODEL, table, "ml")
    np.testing.assert_allclose(found.maxima[list(NAMES)].to_numpy()[0], fit.values, rtol=1e-6, atol=1e-8)


def test_lower_maxima_of_a_contradiction() -> None:
    """b21 = b22 = 0 against data with a large effect: the highest of them is that of direct ML."""
    model = PEPTIDE_MODEL.replace(fixed={"b21": 0.0, "b22": 0.0})
    free = Model.from_text(recipes.text("peptide_unconstrained"))
    table = saem.simulate(free, {**PEPTIDE, "b21": 4.5, "b22": 5.0}, peptide_design(8), 3)
    found = saem.identifiability(model, table)
    assert found.unique and (np.diff(found.maxima["below"]) >= 0.0).all()
    assert found.maxima["loglik"].iloc[0] == pytest.approx(saem.fit(model, table, "ml").loglik, abs=1e-7)


def test_condition_and_weakest_direction() -> None:
    """By the eigenvalues of the correlation-scaled information of the seven free parameters; a move of one SE."""
    table = saem.simulate(PEPTIDE_MODEL, PEPTIDE, peptide_design(20), 1)
    model = Model.from_text(recipes.text("peptide_unconstrained"))
    fit = saem.fit(model, table, "ml")
    information = np.linalg.inv(fit.covariance)
    scale = 1.0 / np.sqrt(np.diag(information))
    values, vectors = np.linalg.eigh(information * np.outer(scale, scale))
    found = saem.identifiability(model, table)
    assert found.condition_number == pytest.approx(values[-1] / values[0], rel=1e-6)
    move = scale * vectors[:, 0] / np.sqrt(values[0])
    assert found.weakest
    for name, size in found.weakest.items():
        assert abs(size) == pytest.approx(abs(move[fit.parameters.index(name)]), rel=1e-6)


def test_a_likelihood_that_does_not_fall() -> None:
    """A saturating effect, tanh(k), near one: beyond some size of k the means do not change, so k has no upper end."""
    table = exact_peptide_table([[10.0, 9.0], [10.93, 9.93]], 0.4, 0.4, 0.3, n=10)
    means = {"mu": "1", "alpha2": "modification == 'modified'", "c2": "treatment == 'CCCP'", "k": "treatment == 'CCCP'"}
    model = PEPTIDE_MODEL.replace(mean=means, constraints={"saturation": "c2 == tanh(k) - k"})
    found = saem.identifiability(model, table)
    assert found.unique and "k" in found.flat and not {"mu", "alpha2", "sigma"} & set(found.flat)
    assert "k has no end on a side" in found.summary()
    beyond = saem.identifiability(model, exact_peptide_table([[10.0, 9.0], [11.2, 10.2]], 0.4, 0.4, 0.3, n=10))
    assert not beyond.unique and "highest it is flat" in beyond.notes[0]  # an effect above one: at infinity


def test_boundary_is_determined() -> None:
    """A zero is an estimate: no direction, no note, and one maximum."""
    tables = (saem.simulate(PEPTIDE_MODEL, {**PEPTIDE, "sigma1": 0.0}, peptide_design(8), seed) for seed in range(20))
    table = next(table for table in tables if saem.fit(PEPTIDE_MODEL, table, "ml").at_boundary == ("sigma1",))
    found = saem.identifiability(PEPTIDE_MODEL, table)
    assert found.unique and found.notes == () and found.flat == ()
    assert found.maxima["sigma1"].iloc[0] == 0.0


def test_what_cannot_be_examined(monkeypatch: pytest.MonkeyPatch) -> None:
    table = saem.simulate(PEPTIDE_MODEL, PEPTIDE, peptide_design(4), 1)
    for arguments, words in (({"starts": -1}, "starts must be"), ({"around": {"mu": 1.0}}, "needs a value for c2")):
        with pytest.raises(saem.SaemError, match=words):
            saem.identifiability(PEPTIDE_MODEL, table, **arguments)

    def failing(*arguments: object, **options: object) -> None:
        raise FitError("no search ended in a maximum")

    monkeypatch.setattr("saem.fitting.fit.fit", failing)
    found = saem.identifiability(PEPTIDE_MODEL, table)
    assert found.locally_identified and found.n_maximisers == 0 and not found.unique
    assert "could not be examined: no search" in found.notes[0]


def two_roots() -> tuple[Model, saem.Fit]:
    """The product of two means of one cell is one: each may be the larger."""
    means = {"a1": "x == 0", "a2": "x == 0", "b": "x == 1"}
    model = Model(response="y", cluster="id", mean=means, random={"sd": "s"}, constraints={"g": "a1 * a2 == 1"})
    rng, rows = np.random.default_rng(1), np.tile([0, 1], 30)
    noise = np.repeat(rng.normal(size=30), 2) + 0.5 * rng.normal(size=60)
    table = pd.DataFrame({"id": np.repeat(np.arange(30), 2), "x": rows, "y": np.where(rows == 0, 3.0, 4.0) + noise})
    return model, saem.fit(model, table, "ml")


def test_inference_from_one_of_several_solutions() -> None:
    """A bootstrap would mix them; a profile is that of one, and says so."""
    _, fit = two_roots()
    assert fit.status == "several_solutions"
    with pytest.raises(saem.SaemError, match="several sets of parameters"):
        saem.bootstrap(fit, 20, workers=1)
    notes = saem.profile(fit).intervals["note"]
    other = fit.solutions[1][fit.parameters.index("a1")]
    assert f"others with the same likelihood: {other:.4g}" in notes["a1"] and notes["sigma"] == ""


def test_saddles_are_no_solutions() -> None:
    """Two products of one: four maxima, and stationary points between them."""
    means = {"a1": "x == 0", "a2": "x == 0", "b1": "x == 1", "b2": "x == 1"}
    _, fit = two_roots()
    links = {"g": "a1 * a2 == 1", "h": "b1 * b2 == 1"}
    model = Model(response="y", cluster="id", mean=means, random={"sd": "s"}, constraints=links)
    found = saem.fit(model, fit.table, "ml")
    assert len(found.solutions) == 4 and np.ptp(found.solution_logliks) < 1e-7
