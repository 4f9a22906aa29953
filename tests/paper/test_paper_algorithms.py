"""The paper's figures, tables and numbers of algorithms: from full and quick digests, and the theory beside them."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from selecting import few
from simulated_digest import simulated_digest
from simulated_results import results_in

from experiments.harness.figures.saving import written
from experiments.studies.problems import problems
from paper.digest import Absent, Digest, Entry, claimed
from paper.shared import bars
from paper.shared.designs import full_levels, full_methods
from paper.shared.pooling import counted, pooled, ratio_of, share_of_all
from paper.shared.writing import NOT_THERE
from paper.theory.step_sizes import Rates, rates_of, rms_distances, typical_table
from saem.algorithms.accuracy.error import weights_of
from saem.schedules import AveragedSchedule, RobbinsMonroSchedule, Steps

FIGURES = ("absorption", "step_sizes", "calibration", "equal_cost", "equal_cost_slopes", "scale")
TABLES = ("stopping", "stopping_slopes", "msteps")
NUMBERS = ("schedule", "calibration", "msteps", "algorithms", "scale")
KEY = re.compile(r"[A-Za-z0-9.-]+")


@cache
def digest_of(name: str, quick: bool) -> Digest:
    return simulated_digest(name, quick)


def digests_of(module: ModuleType, quick: bool) -> Mapping[str, Digest]:
    return {name: digest_of(name, quick) for name in module.STUDIES}


# Everything is made, of full and of quick forms


@pytest.mark.parametrize(
    ("name", "quick"),
    few([*((name, True) for name in FIGURES), ("calibration", False)], [("calibration", True), ("step_sizes", True)]),
)
def test_figures_are_drawn_at_their_width(name: str, quick: bool) -> None:
    module = importlib.import_module(f"paper.figures.{name}")
    figure = module.draw(digests_of(module, quick))
    assert figure.get_figwidth() == 6.3
    assert figure.get_figheight() < 8.0
    figure.draw_without_rendering()


@pytest.mark.slow
def test_a_figure_is_the_same_bytes_at_every_run() -> None:
    module = importlib.import_module("paper.figures.calibration")
    first, second = (written(module.draw(digests_of(module, True)), "pdf") for _ in range(2))
    assert first == second


def test_bars_that_are_cut_have_arrows() -> None:
    """On a logarithmic axis: those alone that go on below a tenth of the value, along either axis; scores never do."""
    from matplotlib.figure import Figure

    table = pd.DataFrame({"value": [1.0, 2.0, 3.0, 0.0], "mcse": [0.1, 1.5, 1.3, 0.2], "n": 50})
    x, y, errors = np.arange(1.0, 5.0), table["value"].to_numpy(), bars.of_mean_cut(table)
    assert y[1] - errors[0, 1] == pytest.approx(bars.CUT * 2.0) and errors[0, 2] == pytest.approx(1.96 * 1.3, rel=1e-4)
    for across, ends in ((False, [[2.0], [0.2]]), (True, [[0.2], [2.0]])):
        axes = Figure().subplots()
        bars.cut_ends(axes, *((y, x) if across else (x, y)), errors, "black", across)
        assert np.array_equal(axes.lines[0].get_data(), ends)
    once = pd.DataFrame({"value": [1e-4, 0.02, 0.0], "n": [10_000, 50, 50]})
    axes = Figure().subplots()
    bars.cut_ends(axes, x[:3], once["value"].to_numpy(), bars.of_share(once), "black")
    assert not axes.lines[0].get_xdata().size


@pytest.mark.parametrize("quick", few([False, True], [False]))
@pytest.mark.parametrize("name", TABLES)
def test_tables_have_as_many_entries_in_every_row(name: str, quick: bool) -> None:
    module = importlib.import_module(f"paper.tables.{name}")
    text = module.table(digests_of(module, quick))
    assert text.startswith(r"\begin{tabular}") and text.endswith("\\end{tabular}\n")
    columns = len(re.sub(r"@\{\}", "", re.match(r"\\begin\{tabular\}\{(.*)\}", text)[1]))  # type: ignore[index]
    for line in text.splitlines():
        if line.endswith(r"\\"):
            spans = [int(k) - 1 for k in re.findall(r"\\multicolumn\{(\d+)\}", line)]
            assert line.count("&") + 1 + sum(spans) == columns, line
    assert "nan" not in text


@cache
def numbers_of(name: str, quick: bool) -> dict[str, str]:
    module = importlib.import_module(f"paper.numbers.{name}")
    found = {}
    for number in module.numbers(digests_of(module, quick)):
        assert KEY.fullmatch(number.key), number.key
        assert number.key not in found, number.key
        assert "nan" not in number.text and "inf" not in number.text, number
        assert (number.text == NOT_THERE) == bool(number.why), number
        assert number.source
        found[number.key] = number.text
    return found


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_have_the_same_keys_in_all_forms(name: str) -> None:
    full, quick = numbers_of(name, False), numbers_of(name, True)
    assert list(full) == list(quick)
    assert sum(text == NOT_THERE for text in quick.values()) > 0 or name in ("msteps", "calibration")
    assert not [key for key, text in full.items() if text == NOT_THERE]


def test_keys_of_modules_do_not_clash() -> None:
    keys = [key for name in NUMBERS for key in numbers_of(name, True)]
    assert len(keys) == len(set(keys))


def test_what_a_digest_lacks_is_not_there() -> None:
    module = importlib.import_module("paper.numbers.schedule")
    digests = dict(digests_of(module, False))
    table = digests["headline"].measures
    digests["headline"] = replace(digests["headline"], measures=table[table["measure"] != "collapse_rate"])
    found = {number.key: number for number in module.numbers(digests)}
    assert found["absorption.textbook.3.1"].text == NOT_THERE
    assert found["absorption.textbook.few.most"].text == NOT_THERE
    assert found["deficit.textbook.3.1"].text != NOT_THERE


# What the numbers are


def test_numbers_are_those_of_the_digest() -> None:
    digest = digest_of("headline", False)
    entry = digest.at("reference_deficit", "saem", replicates=3, ratio=2)
    text = numbers_of("schedule", False)["deficit.saem.3.2"]
    value, error = re.fullmatch(r"([\d.]+) \(([\d.e-]+)\)", text).groups()  # type: ignore[union-attr]
    assert abs(float(value) - entry.value) <= 0.05 * entry.mcse
    assert abs(float(error) - entry.mcse) <= 0.05 * entry.mcse


def test_pooling_gives_cells_equal_weights_and_combines_errors() -> None:
    table = pd.DataFrame({"value": [0.2, 0.6], "mcse": [0.03, 0.04], "n": [10, 30]})
    assert pooled(table) == pytest.approx(Entry(0.4, 0.025, 40))
    assert counted(table) == (20, 40)
    assert share_of_all(table) == pytest.approx(Entry(0.5, 0.5 / 40**0.5, 40))
    with pytest.raises(Absent):
        share_of_all(table[:0])
    with pytest.raises(Absent):
        pooled(table[:0])
    found = ratio_of([Entry(2.0, 0.2, 9), Entry(8.0, 0.0, 9)], [Entry(1.0, 0.0, 9), Entry(1.0, 0.0, 9)])
    assert found.value == pytest.approx(4.0)
    assert found.mcse == pytest.approx(4.0 * 0.1 / 2.0)
    with pytest.raises(Absent):
        ratio_of([Entry(0.0, 0.1, 9)], [Entry(1.0, 0.1, 9)])


def test_the_full_form_gives_the_keys() -> None:
    assert full_levels("headline", "replicates") == (3, 6, 12, 30, 100)
    assert "ml" not in full_methods("scale", "ml")
    assert len(full_methods("scale")) == 6


def test_measures_of_claims_are_of_the_fits_that_claim(tmp_path: Path) -> None:
    results = results_in(tmp_path)
    found = claimed(results).set_index(["cell", "method", "estimand", "measure"])
    rows = results.rows
    is_ml = (rows["method"] == "ml") & rows["status"].isin(["ok", "boundary"])
    claims = (rows["method"] == "saem") & rows["status"].isin(["ok", "boundary"]) & (rows["estimand"] == "theta")
    cell = str(rows["cell"].iloc[0])
    pairs = rows[claims].merge(rows[is_ml], on=["cell", "replicate", "estimand"], suffixes=("", "_ml"))
    z = ((pairs["estimate"] - pairs["estimate_ml"]) / pairs["mcse"])[pairs["cell"] == cell]
    for measure, value in (("spread", z.std()), ("mean", z.mean())):
        entry = found.loc[cell, "saem", "theta", f"mcse_calibration_{measure}_claimed"]
        assert entry["value"] == pytest.approx(value)
        assert entry["n"] == len(z)


# Linear theory


@cache
def rates() -> Rates:
    return rates_of(problems()["posted"])


def test_rates_of_means_are_the_shrinkage_factors() -> None:
    """In a balanced design the mean of an arm has the rate sigma_i^2 / (sigma_i^2 + sigma^2 / 2), a contrast none."""
    truth, known = problems()["posted"].truth, rates()
    for arm in ("sigma1", "sigma2"):
        factor = truth[arm] ** 2 / (truth[arm] ** 2 + truth["sigma"] ** 2 / 2.0)
        assert np.min(np.abs(known.rates - factor)) < 1e-10
    assert np.sum(known.rates < 1e-10) == 2
    assert known.rates[-1] == pytest.approx(0.49 / 0.535)
    np.testing.assert_allclose(known.shares.sum(axis=1), 1.0, atol=1e-12)


def test_the_typical_table_has_its_maximum_at_the_truth() -> None:
    import saem

    problem = problems()["posted"]
    fit = saem.fit(problem.model, typical_table(problem), "ml")
    for name in fit.parameters.names:
        assert fit.estimates.loc[name, "estimate"] == pytest.approx(problem.truth[name], abs=1e-6)


def exponent_of(distance: np.ndarray, start: int) -> float:
    """a of k^-a, from an iteration to the last."""
    return float(np.log(distance[start - 1] / distance[-1]) / np.log(len(distance) / start))


def one_direction(rate: float) -> Rates:
    return Rates(("theta",), np.array([rate]), np.ones((1, 1)))


@pytest.mark.parametrize("rate", [0.2, 0.7, 0.9])
def test_the_distance_falls_like_the_slower_of_noise_and_start(rate: float) -> None:
    n = 10_000
    last = rms_distances(one_direction(rate), RobbinsMonroSchedule(200, n, 1.0, draws=1).steps(1))[200:, 0]
    assert exponent_of(last, n // 10) == pytest.approx(min(0.5, 1.0 - rate), abs=0.03)
    schedule = AveragedSchedule(200, n, 0.55, 200, draws=1, clock=0.0)
    average = rms_distances(one_direction(rate), schedule.steps(1))[200:, 0]
    assert exponent_of(average, n // 10) == pytest.approx(0.5, abs=0.05)
    assert average[-1] == pytest.approx(np.sqrt(rate / (1.0 - rate) / n), rel=0.1)  # V Gamma V / K


def simulated(rate: float, steps: Steps, seeds: int, wrong: bool) -> np.ndarray:
    """Distances (seeds,) after the last iteration; `wrong` forgets to average."""
    rng = np.random.default_rng(1)
    e, total = np.zeros(seeds), np.zeros(seeds)
    for k, gamma in enumerate(steps.step_sizes):
        e = (1.0 - gamma * (1.0 - rate)) * e + gamma * np.sqrt(rate) * rng.standard_normal(seeds)
        total += e * (k >= steps.averaging_from)
    averaged = steps.averaging_from < len(steps.step_sizes) and not wrong
    return np.asarray((total / (len(steps.step_sizes) - steps.averaging_from) if averaged else e) * np.sqrt(1.0 - rate))


def test_the_path_has_the_law_that_the_software_has_for_its_end() -> None:
    for schedule in (AveragedSchedule(50, 300, 0.55, 20, draws=2), RobbinsMonroSchedule(50, 300, 1.0, draws=2)):
        steps, r = schedule.steps(10), rates().rates
        weights = weights_of(steps.step_sizes, 1.0 - r, min(steps.averaging_from, len(steps.step_sizes) - 1))
        variance = np.sum(weights[1:] ** 2 / steps.draws[:, None], axis=0) * r / (1.0 - r)
        expected = np.sqrt(rates().shares @ variance)
        np.testing.assert_allclose(rms_distances(rates(), steps)[-1], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("wrong", [False, True])
def test_predicted_distances_are_those_of_simulated_recursions(wrong: bool) -> None:
    """False alarms: 4.5 standard errors, below 1e-5; the mutant that takes the last iterate fails."""
    seeds = 4000
    steps = AveragedSchedule(50, 300, 0.55, 20, draws=1, clock=0.0).steps(1)
    predicted = rms_distances(one_direction(0.8), steps)[-1, 0]
    found = np.mean(simulated(0.8, steps, seeds, wrong) ** 2)
    z = (found / predicted**2 - 1.0) / np.sqrt(2.0 / seeds)
    assert (abs(z) < 4.5) != wrong
