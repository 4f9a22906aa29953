"""The study of tests of a link, its table and its numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest
from simulated_digest import simulated_digest

from experiments.harness.study.cells import Cell
from experiments.studies import link_tests as study
from paper.digest import Digest
from paper.numbers.link_tests import numbers
from paper.shared.writing import NOT_THERE
from paper.tables.link_tests import table
from saem.errors import SaemError

METHODS = {"chi_square": {"draws": 0}, "bootstrap": {"draws": 39}}


def p_values(drawn_from: str, tested: str, n: int = 60) -> np.ndarray:
    """p-values by chi-square of one link in data of another."""
    data = [study.generate(Cell({"link": drawn_from, "replicates": 30}), seed) for seed in range(n)]
    cell = Cell({"link": tested, "replicates": 30})
    return np.array([study.estimate(one, cell, METHODS["chi_square"], 0).numbers["p"][0] for one in data])


@pytest.mark.slow
@pytest.mark.parametrize(("link", "other"), [("posted", "log2"), ("conservation", "posted")])
def test_p_values_are_uniform_where_the_link_holds_and_there_are_many_replicates(link: str, other: str) -> None:
    """Kolmogorov and Smirnov's test of 60 p-values at 1e-4; the mutant tests another link than that of the data."""
    assert kstest(p_values(link, link), "uniform").pvalue > 1e-4
    assert kstest(p_values(link, other), "uniform").pvalue < 1e-4


@pytest.mark.slow
def test_both_methods_test_the_same_statistic_and_the_bootstrap_has_a_stream_of_its_own() -> None:
    cell = Cell({"link": "log2", "replicates": 4})
    data = study.generate(cell, 3)
    first, again, other = (study.estimate(data, cell, METHODS["bootstrap"], seed).numbers["p"][0] for seed in (1, 1, 2))
    assert first == again != other
    assert round(40 * first, 9).is_integer() and first >= 0.025, "of 39 samples and the data"


def test_what_cannot_be_tested_is_an_error() -> None:
    cell = Cell({"link": "posted", "replicates": 4})
    data = study.generate(cell, 3)
    response = next(name for name in data if pd.api.types.is_float_dtype(data[name]))
    with pytest.raises(SaemError):
        study.estimate(data.assign(**{response: 1.0}), cell, METHODS["chi_square"], 0)


def test_the_share_of_rejections_counts_tests_that_were_made() -> None:
    p = [0.05, 0.051, 0.01, np.nan, 0.5]
    rows = pd.DataFrame({"cell": "a", "method": "chi_square", "replicate": range(5), "estimate": p})
    found = study.performance(rows).set_index("measure")
    assert found.loc["rejected_5", ["value", "n"]].tolist() == [0.5, 4]
    assert found.loc["rejected_1", "value"] == 0.25
    assert found.loc["rejected_5", "mcse"] == pytest.approx(np.sqrt(0.5 * 0.5 / 4))


def digest(quick: bool) -> Digest:
    """Shares that tell which cell, method and measure they are of."""
    own = simulated_digest("link_tests", quick)
    rows = own.measures[own.measures["measure"] == "targets_met"]
    parts = [rows.assign(measure=name, value=0.1 + 0.2 * k, mcse=0.01) for k, name in enumerate(study.LEVELS)]
    return Digest("link_tests", pd.concat(parts, ignore_index=True), own.provenance)


def test_the_table_has_a_row_for_each_cell_and_the_numbers_the_extremes() -> None:
    full, quick = ({"link_tests": digest(form)} for form in (False, True))
    assert [table(one).count(r" \\") - 2 for one in (full, quick)] == [3, 2]
    assert table(full).count("10 (1)") == table(full).count("30 (1)") == 6
    found = {number.key: number.text for number in numbers(full)}
    assert found["size.bootstrap.1.4.most"] == r"30 (1)\,\%" and found["size.chi-square.5.4.least"] == r"10 (1)\,\%"
    own = full["link_tests"].measures
    less = {"link_tests": Digest("link_tests", own[own["method"] == "chi_square"], {"replicates": 50})}
    missing = {number.key: number.text for number in numbers(less)}
    assert list(missing) == list(found) and missing["size.bootstrap.1.4.most"] == NOT_THERE
    assert "--" in table(less)
