"""Random effects of several levels, translated into coordinates of clusters."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from occasions_model import occasions

import saem
from saem.errors import DataError, ModelError
from saem.families import arrange
from saem.families.levels import Indices, connected, patterns_of, spread, units_of

TEXT = occasions()
CROSSED = """
family = "glmm"
response = "y"
[predictor]
b0 = "1"
[outcome]
distribution = "poisson"
[random.plate]
cluster = "plate"
[random.sample]
cluster = "sample"
"""


def test_components_connect_rows_that_share_a_level_of_any_factor():
    a, b = np.array([0, 0, 1, 2, 3]), np.array([0, 1, 1, 2, 3])
    assert connected([a, b]).tolist() == [0, 0, 0, 1, 2]
    assert connected([b[::-1].copy(), a[::-1].copy()]).tolist() == [0, 1, 2, 2, 2]


def test_units_are_counted_within_clusters_in_order_of_appearance():
    units = units_of(np.array([0, 1, 0, 1, 0]), np.array([2, 2, 0, 2, 2]))
    assert units.position.tolist() == [0, 0, 1, 0, 0]
    assert units.counts.tolist() == [2, 1]
    assert units.first.tolist() == [0, 1, 2]


def test_clusters_lack_the_effects_of_units_that_they_do_not_have():
    units = units_of(np.array([0, 0, 1]), np.array([0, 1, 0]))
    patterns = patterns_of(np.zeros(2, dtype=np.int64), 1, [units])
    none = Indices(np.array([[5]]), np.array([[[-1]]]))
    found = spread(patterns, none, [Indices(np.array([[7, 8]]), np.array([[[-1, 9], [9, -1]]]))])
    assert found.sd[patterns.of_cluster].tolist() == [[5, 7, 8, 7, 8], [5, 7, 8, -1, -1]]
    assert found.corr[0, 1, 2] == found.corr[0, 3, 4] == 9
    assert np.all(found.corr[patterns.of_cluster[1], 3] == -1)
    assert found.corr[0, 1, 4] == -1  # units are independent of each other


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('occasion = "visit"\n', ""), ["A has an occasion_sd", "add occasion"]),
        ((", occasion_sd=gamma", ""), ["occasion = 'visit'", "no law"]),
        (("occasion_sd=gamma", "occasion_sd=omega"), ["two names"]),
        (("occasion_sd=gamma", "visit_sd=gamma"), ["have no names"]),
        (('occasion = "visit"', 'occasion = "y"'), ["occasion must not name the response 'y'"]),
    ],
)
def test_occasions_that_say_nothing_are_refused(change, words):
    with pytest.raises(ModelError) as error:
        saem.Model.from_text(TEXT.replace(*change))
    for word in words:
        assert word in str(error.value)


def test_tables_in_which_occasions_say_nothing_are_refused():
    table = pd.DataFrame({"id": [0, 0, 1, 1], "visit": [1, 1, 2, 2], "x": [0.0, 1, 0, 1], "y": [1.0, 2, 3, 5]})
    model = saem.Model.from_text(TEXT)
    with pytest.raises(DataError, match="no cluster has more than one occasion"):
        arrange(model, table)
    many = pd.DataFrame(
        {"id": np.repeat([0, 1], 70), "visit": np.tile(np.arange(70), 2), "x": 0.0, "y": np.arange(140.0)}
    )
    with pytest.raises(DataError, match="71 random effects; 60 is the most"):
        arrange(model, many)


def test_blocks_of_a_glmm_are_read_by_the_family_of_several_factors():
    model = saem.Model.from_text(CROSSED)
    assert model.cluster == ("plate", "sample")
    assert model.parameter_names == ("b0", "sd_plate", "sd_sample")
    assert saem.Model.from_text(model.to_toml()) == model
    with pytest.raises(ModelError, match="leave cluster out"):
        saem.Model.from_text(CROSSED.replace('response = "y"', 'response = "y"\ncluster = "plate"'))
    with pytest.raises(ModelError, match="variance groups of a factor"):
        saem.Model.from_text(CROSSED + 'by = "lab"\n')


def test_each_component_has_the_effects_of_all_levels_in_it():
    table = pd.DataFrame({"plate": [1, 1, 2, 3, 3], "sample": ["a", "b", "a", "c", "c"], "y": [1, 2, 0, 4, 3]})
    data = arrange(saem.Model.from_text(CROSSED), table)
    assert data.cluster.tolist() == [0, 0, 0, 1, 1]
    assert data.term_names == ("plate[1]", "plate[2]", "sample[1]", "sample[2]")
    assert data.random_design.tolist() == [[1, 0, 1, 0], [1, 0, 0, 1], [0, 1, 1, 0], [1, 1, 0, 0], [1, 1, 0, 0]]
    assert (data.sd_index[data.cluster_group] >= 0).tolist() == [[True] * 4, [True, True, False, False]]
    assert data.sd_index[data.cluster_group][1, :2].tolist() == [1, 2]  # what a component lacks takes no dimension


def test_fits_of_occasions_and_of_crossed_factors_are_read_again(tmp_path):
    """Their random effects are those of the data, not of the model alone."""
    import crossed_glmm_family

    rng = np.random.default_rng(3)
    rows = pd.DataFrame({"i": np.repeat(np.arange(12), 6), "t": np.tile(np.arange(6), 12)})
    rows["v"], rows["y"] = rows["t"] // 2, 5 + rng.normal(size=12)[rows["i"]] + rng.normal(size=72)
    occasions = saem.Model.from_text(
        'family = "nonlinear"\nresponse = "y"\ncluster = "i"\noccasion = "v"\n'
        '[individual]\nA = "normal(a, w, occasion_sd=g)"\n'
        '[outcome]\ndistribution = "normal"\nmean = "A"\nsd = "s"\n'
    )
    crossed = saem.Model.from_text(crossed_glmm_family.TEXT)
    for name, model, table, method in (
        ("occasions", occasions, rows, "ml"),
        ("crossed", crossed, crossed_glmm_family.table(), "laplace"),
    ):
        fit = saem.fit(model, table, method)
        fit.save(tmp_path / name)
        again = saem.load(tmp_path / name)
        assert again.loglik == fit.loglik
        pd.testing.assert_frame_equal(saem.predict(again, table.head(3)), saem.predict(fit, table.head(3)))
