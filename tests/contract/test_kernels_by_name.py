"""The Markov kernels that are used where there are no exact draws: by name, and what becomes of their acceptance."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from handmade import storable_fit

import saem
from saem.errors import ModelError
from saem.estep.kernel_state import ADAPTING, COMPONENTWISE, INDEPENDENT, MIXTURE, NAMES, TELLING, WALK
from saem.estep.samplers import arrays_of, drawing_of, settled_rates
from saem.families import arrange, pose
from saem.fitting.concluding import stuck
from saem.plotting import plot_cluster_acceptance

KINDS = {"mixture": MIXTURE, "independent": INDEPENDENT, "walk": WALK, "componentwise": COMPONENTWISE}


def nonlinear():
    text = (
        'family = "nonlinear"\nresponse = "y"\ncluster = "id"\n[individual]\nb = "normal(mu, omega)"\n[outcome]\n'
        'distribution = "normal"\nmean = "b"\nsd = "a"\n[start]\nmu = 0.5\na = 1.0\nomega = 1.0\n'
    )
    model = saem.Model.from_text(text)
    table = pd.DataFrame({"id": np.repeat(np.arange(5), 3), "y": np.random.default_rng(1).normal(size=15)})
    return pose(model, arrange(model, table))


@pytest.mark.parametrize("name", KINDS)
def test_a_kernel_by_its_name(name):
    drawing = arrays_of(name, nonlinear())
    assert drawing.only == KINDS[name] and drawing.latent.shape == (5, 1)


def test_the_mixture_is_what_is_used_without_a_name():
    assert drawing_of(nonlinear()).only == MIXTURE


def test_a_kernel_that_is_not_there():
    with pytest.raises(ModelError, match=r"no sampler 'wlk' .* 'mixture', 'independent', 'walk', 'componentwise'"):
        arrays_of("wlk", nonlinear())


def test_rates_of_single_clusters_are_known_once_adaptation_stops():
    drawing = drawing_of(nonlinear())
    counts = drawing.kernel.counts
    counts[:, INDEPENDENT] = 7.0, 9.0
    assert len(settled_rates(drawing)) == 0
    drawing.adapt(False)
    assert not counts.any() and drawing.kernel.clock[ADAPTING] == 0
    counts[:, INDEPENDENT, 1] = TELLING / 2, TELLING, TELLING, TELLING, 0
    counts[:, WALK, 1] = TELLING
    counts[:, WALK, 0] = 0, 1, TELLING, 0, 0
    counts[0] /= 2
    np.testing.assert_allclose(settled_rates(drawing), [np.nan, 0.005, 0.5, 0.0, 0.0])
    drawing.adapt(False)  # again: nothing is forgotten
    assert counts.any()


def test_stuck_clusters_are_named_by_their_labels():
    data = arrange(
        saem.Model.from_text('response = "y"\ncluster = ["arm", "s"]\n[mean]\nmu = "1"\n[residual]\nsd = "e"\n'),
        pd.DataFrame({"arm": list("aabb") * 2, "s": [1, 2, 1, 2] * 2, "y": np.arange(8.0)}),
    )
    (words,) = stuck(data, np.array([0.5, 0.01, np.nan, 0.0]))
    assert "stuck in 2 clusters of 4" in words and "(arm, s: b, 2 (0 %); a, 2 (1 %))" in words
    assert stuck(data, np.array([0.5, 0.3, np.nan, 0.02])) == [] and stuck(data, np.empty(0)) == []


def test_rates_are_saved_loaded_and_drawn(tmp_path):
    rates = np.array([0.4, 0.01, 0.7, np.nan, 0.3, 0.6])
    fit = dataclasses.replace(storable_fit(), acceptance_rates=rates)
    fit.save(tmp_path)
    loaded = saem.load(tmp_path)
    np.testing.assert_array_equal(loaded.acceptance_rates, rates)
    axes = plot_cluster_acceptance(loaded)
    drawn = np.sort(np.concatenate([line.get_ydata() for line in axes.lines[1:]]))
    np.testing.assert_array_equal(drawn, np.sort(rates[np.isfinite(rates)]))
    assert len(axes.texts) == 1  # the one that is stuck
    with pytest.raises(ModelError, match="no acceptance rates by cluster"):
        plot_cluster_acceptance(storable_fit())


def test_names_of_kinds_and_kernels_agree():
    assert {NAMES[kind]: kind for kind in KINDS.values() if kind != MIXTURE} == {
        name: kind for name, kind in KINDS.items() if kind != MIXTURE
    }
