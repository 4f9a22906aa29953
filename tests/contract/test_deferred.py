"""Fields that are computed when they are first read, and what is numbered by a dictionary or by pandas."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, dataclass, replace

import numpy as np
import pandas as pd
import pytest

import saem
from experiments.studies.peptide import peptide_model, peptide_table
from saem.system import codes
from saem.system.deferred import Deferred, as_given, replaced


@dataclass(frozen=True, kw_only=True)
class Holder:
    number: Deferred[int] = Deferred()
    text: Deferred[str | None] = Deferred(None)


class Counter:
    """A function that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> int:
        self.calls += 1
        return 7


def test_made_once_and_only_when_read():
    make = Counter()
    holder = Holder(number=make)
    assert make.calls == 0 and holder.text is None
    assert holder.number == 7 and holder.number == 7 and make.calls == 1


def test_a_value_is_itself():
    assert Holder(number=3, text="a").text == "a"
    with pytest.raises(TypeError, match="number"):
        Holder()
    with pytest.raises(FrozenInstanceError):
        Holder(number=3).number = 4


def test_handed_on_unread():
    make = Counter()
    holder = replaced(Holder(number=make), text="new")
    assert make.calls == 0 and holder.text == "new" and as_given(holder, "number") is make
    assert replace(holder, text="newer").number == 7 and make.calls == 1


def test_the_table_of_a_fit_is_that_of_its_day():
    """What is done to a table after a fit does not reach it, though its rows were not yet read."""
    table = peptide_table(6, seed=1).assign(unused=1.0)
    before = table.copy(deep=True)
    fit = saem.fit(peptide_model(), table, method="ml")
    again = pickle.loads(pickle.dumps(fit))
    table.loc[3, "log2_intensity"] = np.nan
    table["treatment"] = "none"
    del table["replicate"]
    used = before[["log2_intensity", "treatment", "replicate", "modification"]]
    for one in (fit, again):
        pd.testing.assert_frame_equal(one.table, used)
        labels = before[["treatment", "replicate"]].drop_duplicates().reset_index(drop=True)
        pd.testing.assert_frame_equal(one.cluster_labels, labels)


def test_the_table_of_a_fit_lacks_the_rows_left_out():
    table = peptide_table(6, seed=1)
    table.loc[3, "log2_intensity"] = np.nan
    fit = saem.fit(peptide_model(), table, method="ml", drop_missing=True)
    assert list(fit.table.index) == [i for i in range(len(table)) if i != 3]


@pytest.mark.parametrize("n", [1, 40, codes.SMALL, codes.SMALL + 1, 5000])
def test_codes_are_those_of_a_loop(n):
    rng = np.random.default_rng(n)
    columns = [rng.integers(0, 3, n), rng.choice([0.0, -0.0, 0.1, 1e300], n), rng.integers(0, 2, n).astype(np.int8)]
    seen: list[tuple[float, ...]] = []
    wanted = []
    for row in zip(*columns, strict=True):
        if row not in seen:
            seen.append(row)
        wanted.append(seen.index(row))
    found = codes.codes_of(*columns)
    assert found.dtype == np.int64 and found.tolist() == wanted
    constant = np.zeros(n)
    assert codes.codes_of(columns[0], constant).tolist() == codes.codes_of(columns[0]).tolist()


@pytest.mark.parametrize("values", [[3, 1, 3, 2], [True, False, True], [2**63, 5]])
def test_levels_of_whole_numbers_short_and_long(values):
    """A dictionary and pandas number the levels of a column alike."""
    from saem.expressions.columns import _SMALL, factorize

    short = factorize(pd.Series(values))
    long = factorize(pd.Series(values * _SMALL))
    assert short.levels == long.levels == tuple(dict.fromkeys(map(str, values)))
    assert short.codes.tolist() == long.codes[: len(values)].tolist()
