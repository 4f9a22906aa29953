"""What a fit keeps in the process that made it: its rows and its problem are not made again, and no bit is another."""

from __future__ import annotations

import gc
import pickle
import weakref
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pandas as pd
import pytest

import saem
from experiments.studies.peptide import peptide_model, peptide_table
from saem.fitting import kept
from saem.inference.rows import posed, rows_of


def refuse(*args, **options):
    raise AssertionError("this was made once, for the fit")


@pytest.fixture
def nothing_is_made_again(monkeypatch):
    monkeypatch.setattr(kept, "arrange", refuse)
    monkeypatch.setattr(kept, "pose", refuse)


@pytest.fixture(scope="module")
def fit():
    return saem.fit(peptide_model(), peptide_table(8, seed=1), "ml")


def test_right_after_a_fit_nothing_is_posed_again(fit, nothing_is_made_again):
    saem.predict(fit)
    saem.profile(fit, "mu")
    saem.t_tests(fit)
    assert fit.summary(t_tests=True).count("t-tests of the means") == 1
    with pytest.raises(AssertionError, match="made once"):
        saem.predict(pickle.loads(pickle.dumps(fit)))
    with pytest.raises(AssertionError, match="made once"):
        saem.predict(replace(fit, seconds=1.0))


def test_a_fit_that_was_loaded_is_posed_once(fit, tmp_path, monkeypatch):
    fit.save(tmp_path)
    loaded = saem.load(tmp_path)
    saem.profile(loaded, "mu")
    monkeypatch.setattr(kept, "arrange", refuse)
    monkeypatch.setattr(kept, "pose", refuse)
    saem.predict(loaded)


def test_the_same_bits_as_of_a_fit_that_is_posed_anew(fit, tmp_path):
    fit.save(tmp_path)
    for other in (saem.load(tmp_path), pickle.loads(pickle.dumps(fit))):
        pd.testing.assert_frame_equal(saem.predict(fit).reset_index(drop=True), saem.predict(other), check_exact=True)
        ours, theirs = (saem.profile(each, ["mu", "sigma"]).intervals for each in (fit, other))
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
        pd.testing.assert_frame_equal(saem.t_tests(fit), saem.t_tests(other), check_exact=True)


def test_a_fit_that_went_on_keeps_its_problem(nothing_is_made_again):
    fit = saem.fit(peptide_model(), peptide_table(8, seed=1), "saem")
    saem.predict(fit.resume(saem.Target(mcse=0.04)))


def test_rows_of_another_table_are_not_mistaken_for_those_of_the_fit(fit):
    other = replace(fit, table=fit.table.iloc[:-8], n_rows=len(fit.table) - 8)
    assert len(rows_of(other)[1].response) == len(fit.table) - 8
    with pytest.raises(saem.SaemError, match="saved without its table"):
        saem.predict(replace(fit, table=None))


def test_who_asks_for_the_problem_finds_nothing_that_another_has_left(fit):
    """What is kept by the problem that it belongs to is another's of each; the arrays are made once."""
    data = rows_of(fit)[1]
    first, second = posed(fit, data), posed(fit, data)
    assert first is not second and first.arrays is second.arrays


def test_what_is_kept_goes_with_the_fit():
    fit = saem.fit(peptide_model(), peptide_table(8, seed=2), "ml")
    saem.predict(fit)
    rows = weakref.ref(kept._KEPT[fit])
    assert rows() is not None
    del fit
    gc.collect()
    assert rows() is None


def test_parts_share_arrays_that_nobody_can_write_to(fit):
    again = replace(fit, seconds=0.0)
    assert again.covariance is fit.covariance and not fit.covariance.flags.writeable
    mine = np.zeros_like(fit.values)
    changed = replace(fit, values=mine)
    mine[0] = 5.0
    assert changed.values[0] == 0.0
    mine.flags.writeable = False
    view = mine[:]
    for name in ("values", "table", "note"):
        with pytest.raises(FrozenInstanceError, match=f"fit, {name}="):
            setattr(fit, name, mine)
    assert replace(fit, values=view).values is not view
