"""The same seed gives the same bits: in one process or another, from a saved fit, whatever was done before."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from linear_family import PEPTIDE, examples, peptide_design

import saem
from saem import recipes
from saem.algorithms.direct_ml import DirectML
from saem.algorithms.engine import passes
from saem.algorithms.saem import SAEM
from saem.families import Model
from saem.schedules import AveragedSchedule
from saem.stopping import Target

MODEL = Model.from_text(recipes.text("peptide"))
ARRAYS = ("values", "covariance", "mcse", "path", "multipliers", "solutions", "random_effects", "random_effect_sds")


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return saem.simulate(MODEL, PEPTIDE, peptide_design(8, keep=0.9), 4)


def fingerprint(fit: saem.Fit) -> str:
    """All numbers of a fit but the time it took, to the last bit."""
    digest = hashlib.sha256()
    for name in ARRAYS:
        digest.update(np.ascontiguousarray(getattr(fit, name)).tobytes())
    digest.update(f"{fit.loglik.hex()} {fit.status} {fit.message} {fit.seed}".encode())
    return digest.hexdigest()


def test_the_fingerprint_sees_the_last_bit(table):
    fit = saem.fit(MODEL, table, "ml")
    values = fit.values.copy()
    values[3] = np.nextafter(values[3], np.inf)
    assert fingerprint(dataclasses.replace(fit, values=values)) != fingerprint(fit)


@pytest.mark.parametrize("method", ["saem", "ml"])
def test_the_same_seed_gives_the_same_bits(table, method):
    first = fingerprint(saem.fit(MODEL, table, method, seed=3))
    np.random.seed(5)  # noqa: NPY002  # the global state is nobody's business
    saem.fit(MODEL, table, "saem", seed=99)
    assert fingerprint(saem.fit(MODEL, table, method, seed=3)) == first
    assert fingerprint(saem.fit(MODEL, table.copy(), method, seed=np.int64(3))) == first


def test_the_fit_touches_neither_the_table_nor_the_global_stream(table):
    before, state = table.copy(deep=True), np.random.get_state()[1].copy()  # noqa: NPY002
    saem.fit(MODEL, table)
    pd.testing.assert_frame_equal(table, before)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_different_seeds_differ_and_exact_methods_do_not(table):
    fits = [saem.fit(MODEL, table, seed=seed) for seed in range(4)]
    assert len({fit.values.tobytes() for fit in fits}) == 4
    assert not np.array_equal(fits[0].path, fits[1].path)
    exact = [saem.fit(MODEL, table, "ml", seed=seed).values.tobytes() for seed in range(3)]
    assert len(set(exact)) == 1


CODE = """
import sys
import pandas as pd
import saem
from reproducibility.test_fit import MODEL, fingerprint
table = pd.read_parquet(sys.argv[1])
print(*(fingerprint(saem.fit(MODEL, table, method, seed=11)) for method in ("saem", "ml")))
"""


def test_another_process_gives_the_same_bits(table, tmp_path):
    """With other hashes of strings and another number of threads."""
    table.to_parquet(tmp_path / "table.parquet")
    here = [fingerprint(saem.fit(MODEL, table, method, seed=11)) for method in ("saem", "ml")]
    path = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, sys.path)])
    other = {"PYTHONPATH": path, "PYTHONHASHSEED": "7", "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", CODE, str(tmp_path / "table.parquet")]
    result = subprocess.run(command, env=os.environ | other, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-800:]
    assert result.stdout.split() == here


@pytest.mark.parametrize("length", [37, 1300, 10_000])
def test_the_blocks_of_the_compiled_loop_leave_no_trace(table, monkeypatch, length):
    """Python looks at the loop every 250 iterations; how often it looks changes nothing."""
    expected = fingerprint(saem.fit(MODEL, table, seed=2))
    monkeypatch.setattr(passes, "BLOCK", length)
    assert fingerprint(saem.fit(MODEL, table, seed=2)) == expected


# What must not matter


@pytest.mark.parametrize("name", list(examples()))
def test_the_order_of_the_rows_does_not_matter_for_ml(name):
    model, table = examples()[name].model, examples()[name].table
    fit = saem.fit(model, table, "ml")
    for seed in range(3):
        shuffled = saem.fit(model, table.sample(frac=1, random_state=seed), "ml")
        np.testing.assert_allclose(shuffled.values, fit.values, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(shuffled.se, fit.se, rtol=1e-6)
        assert shuffled.loglik == pytest.approx(fit.loglik, abs=1e-9)
        assert shuffled.status == fit.status


def test_the_order_of_the_rows_matters_for_saem_only_within_its_error(table):
    """Other clusters get other draws: 3 tables, 8 parameters at 5 MCSE (of a difference); false alarms below 1e-4."""
    fit = saem.fit(MODEL, table)
    for seed in range(3):
        shuffled = saem.fit(MODEL, table.sample(frac=1, random_state=seed))
        assert np.all(np.abs(shuffled.values - fit.values) < 5 * np.sqrt(2) * fit.mcse + 1e-9)


def test_other_columns_and_other_names_of_clusters_change_no_bit(table):
    fit = fingerprint(saem.fit(MODEL, table, seed=1))
    renamed = table.assign(replicate=table["replicate"].map("animal {}".format), note="x")
    assert fingerprint(saem.fit(MODEL, renamed[renamed.columns[::-1]], seed=1)) == fit


# Saved fits and method objects


@pytest.mark.parametrize("method", ["saem", "ml"])
def test_a_saved_fit_is_the_same_fit(table, tmp_path, method):
    fit = saem.fit(MODEL, table, method, seed=6)
    fit.save(tmp_path / "fit")
    loaded = saem.load(tmp_path / "fit")
    assert fingerprint(loaded) == fingerprint(fit)
    assert loaded.model == fit.model and loaded.provenance == fit.provenance
    pd.testing.assert_frame_equal(loaded.estimates, fit.estimates)
    pd.testing.assert_frame_equal(loaded.trace, fit.trace)
    assert loaded.summary() == fit.summary()
    again = saem.fit(loaded.model, table, loaded.method, seed=loaded.seed)
    assert fingerprint(again) == fingerprint(fit)


def test_nothing_in_a_saved_fit_is_a_pickle(table, tmp_path, monkeypatch):
    """Neither written nor read: unpickling anything, or an array of objects, would fail."""
    fit = saem.fit(MODEL, table.assign(replicate=table["replicate"].map("animal {}".format)))
    fit.save(tmp_path)
    with zipfile.ZipFile(tmp_path / "arrays.npz") as archive:
        for name in archive.namelist():
            with archive.open(name) as stream:
                version = np.lib.format.read_magic(stream)
                assert version == (1, 0)
                assert not np.lib.format.read_array_header_1_0(stream)[2].hasobject

    def refuse(*arguments, **options):
        raise AssertionError("something was unpickled")

    monkeypatch.setattr(pickle, "load", refuse)
    monkeypatch.setattr(pickle, "loads", refuse)
    assert fingerprint(saem.load(tmp_path)) == fingerprint(fit)


def test_method_objects_are_methods(table):
    assert fingerprint(saem.fit(MODEL, table, SAEM(), seed=2)) == fingerprint(saem.fit(MODEL, table, "saem", seed=2))
    assert fingerprint(saem.fit(MODEL, table, DirectML())) == fingerprint(saem.fit(MODEL, table, "ml"))
    short = SAEM(schedule=AveragedSchedule(burn_in=50, iterations=100, transient=20), target=Target(max_iterations=0))
    fits = [saem.fit(MODEL, table, short, seed=2) for _ in range(2)]
    assert fingerprint(fits[0]) == fingerprint(fits[1]) != fingerprint(saem.fit(MODEL, table, seed=2))
    assert fits[0].method == "saem" and len(fits[0].path) == 152
    assert (fits[0].burn_in, fits[0].averaging_from) == (50, 70)
