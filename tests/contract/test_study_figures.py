"""Figures of simulation studies: that they show the numbers of `performance`, all of them, and can be read."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from simulated_results import results_in, study_in, with_rows

from experiments.harness import figures
from experiments.harness.figures.choosing import MOST_METHODS, Choice
from experiments.harness.figures.gallery import all_traces
from experiments.harness.figures.limits import calm
from experiments.harness.figures.saving import written
from experiments.harness.figures.style import PAGE, cell_labels, look, named_by_levels, plain, shortened, symbol
from experiments.harness.figures.traces import TooSlow, quiet_replicate
from experiments.harness.figures.zip_plot import worst_covered
from experiments.harness.performance import COUNTED, WHOLE_FIT
from experiments.harness.results import Results
from experiments.harness.study.functions import functions_in
from experiments.harness.study.tasks import Task, run_task
from saem.errors import ModelError, StorageError

HUGE = "a_name_that_is_as_long_as_a_name_of_a_method_may_be_at_" + "most"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return results_in(tmp_path_factory.mktemp("made"))


def texts_of(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def of_performance(results: Results, measure: str, on: str = "complete") -> pd.DataFrame:
    table = results.complete if on == "complete" else results.pairs
    return table[table["measure"] == measure].set_index(["cell", "method", "estimand"])[["value", "mcse", "n"]]


# Numbers


@pytest.mark.parametrize("on", ["complete", "pairs"])
@pytest.mark.parametrize("measure", ["bias", "coverage", "rmse"])
def test_numbers_are_those_of_performance(results: Results, measure: str, on: str) -> None:
    for numbers in (figures.lolly_numbers, figures.nested_numbers):
        choice, table = numbers(results, measure, Choice(on=on))
        assert list(choice.estimands) == list(results.study.estimands) and len(table) == 4 * 3 * 2
        found = table.set_index(["cell", "method", "estimand"])
        expected = of_performance(results, measure, on).loc[found.index]
        for name in ("value", "mcse", "n"):
            np.testing.assert_array_equal(found[name], expected[name])
        np.testing.assert_allclose(found["upper"] - found["lower"], 2 * 1.96 * expected["mcse"])


def test_numbers_of_coverage_and_cost(results: Results) -> None:
    _, table = figures.coverage_numbers(results)
    found = table.set_index(["cell", "method", "estimand"])
    expected = of_performance(results, "coverage").loc[found.index]
    np.testing.assert_array_equal(found["value"], expected["value"])
    away = (expected["value"] - 0.95) / np.sqrt(0.95 * 0.05 / expected["n"])
    np.testing.assert_array_equal(found["mark"], np.sign(away) * (np.abs(away) > 2))
    assert set(found["mark"]) >= {0, -1}
    _, table = figures.cost_numbers(results, "draws", statistic="median")
    for measure in ("median_deficit", "median_draws"):
        own = table[table["measure"] == measure].set_index(["cell", "method", "estimand"])
        np.testing.assert_array_equal(own["value"], of_performance(results, measure).loc[own.index, "value"])
        assert set(table["estimand"]) == {WHOLE_FIT}


def test_numbers_of_bias_and_variance_add_up(results: Results) -> None:
    _, table = figures.bias_variance_numbers(results)
    np.testing.assert_allclose(table["squared_bias"] + table["variance"], table["mse"])
    of_reference = table[table["method"] == "ml"]
    np.testing.assert_array_equal(of_reference["unit"], of_reference["mse"])
    rows = results.rows[(results.rows["cell"] == "n=10, kind=a") & (results.rows["method"] == "saem")]
    rows = rows[(rows["estimand"] == "theta") & rows["status"].isin(COUNTED)]
    (own,) = table[
        (table["cell"] == "n=10, kind=a") & (table["method"] == "saem") & (table["estimand"] == "theta")
    ].to_dict("records")
    assert own["variance"] == pytest.approx(rows["estimate"].var(ddof=0))
    _, plain_table = figures.bias_variance_numbers(results, relative=False)
    assert (plain_table["unit"] == 1.0).all()


def test_numbers_of_a_zip_plot(results: Results) -> None:
    """Ranks are by distance, missing intervals are on top, and those that cover are as many as the coverage says."""
    choice, table, coverage = figures.zip_numbers(results, "theta")
    assert not table["exists"].all()
    for (cell, method), own in table.groupby(["cell", "method"]):
        value = of_performance(results, "coverage").loc[(cell, method, "theta")]
        assert len(own) == value["n"] and own["covers"].mean() == pytest.approx(value["value"])
        there = own[own["exists"]]
        assert (np.diff(there["z"]) >= 0.0).all() and own["centile"].is_monotonic_increasing
        assert not own["exists"].iloc[len(there) :].any()
        assert own["centile"].iloc[-1] == pytest.approx(100 * (1 - 0.5 / len(own)))
    assert len(coverage) == 12 and choice.estimands == ("theta",)


def test_a_cell_without_results_has_no_numbers(results: Results) -> None:
    part = with_rows(results, results.rows[results.rows["cell"] != "n=20, kind=b"])
    _, table = figures.lolly_numbers(part)
    empty = table["cell"] == "n=20, kind=b"
    assert empty.sum() == 6 and table.loc[empty, "value"].isna().all() and (table.loc[empty, "n"] == 0).all()
    assert table.loc[~empty, "value"].notna().all()


# Artists


def heads(axes: matplotlib.axes.Axes, marker: str) -> list[np.ndarray]:
    return [line.get_xydata() for line in axes.get_lines() if line.get_marker() == marker]


def test_lollipops(results: Results) -> None:
    figure = figures.lolly(results)
    (first, _), choice = figure.axes, figures.lolly_numbers(results)[0]
    table = of_performance(results, "bias")
    for k, method in enumerate(choice.methods):
        (drawn,) = heads(first, look(k)["marker"])
        np.testing.assert_array_equal(
            drawn[:, 0], table.loc[[(cell, method, "theta") for cell in choice.cells], "value"]
        )
    low = np.concatenate([ends[:, 0] for ends in heads(first, "$($")])
    high = np.concatenate([ends[:, 0] for ends in heads(first, "$)$")])
    errors = [table.loc[(cell, method, "theta"), "mcse"] for method in choice.methods for cell in choice.cells]
    np.testing.assert_allclose(high - low, 2 * 1.96 * np.array(errors))
    labels = [text.get_text() for text in first.get_yticklabels()]
    assert labels == ["ml", "saem", "em"] * 4 and "n=10, kind=a" in " ".join(texts_of(figure))


def test_lollipops_of_whole_fits(results: Results) -> None:
    figure = figures.lolly(results, "failure_rate", Choice(methods=["saem"]))
    (axes,) = figure.axes
    (drawn,) = heads(axes, "o")
    table = of_performance(results, "failure_rate")
    np.testing.assert_array_equal(drawn[:, 0], [table.loc[(c, "saem", ""), "value"] for c in results.levels.index])


def test_zip_plot_marks_those_that_miss(results: Results) -> None:
    figure = figures.zip_plot(results, "theta", Choice(cells=["n=10, kind=a"]))
    _, table, _ = figures.zip_numbers(results, "theta", Choice(cells=["n=10, kind=a"]))
    for axes, method in zip(figure.axes, results.study.methods, strict=True):
        own = table[(table["method"] == method) & table["exists"]]
        lines = [(one.get_label(), len(one.get_segments())) for one in axes.collections]
        assert lines == [("covers", own["covers"].sum()), ("misses", (~own["covers"]).sum())]
    value = of_performance(results, "coverage").loc[("n=10, kind=a", "ml", "theta")]
    assert any(
        text.startswith(f"{100 * value['value']:.1f} % ({100 * value['mcse']:.1f})") for text in texts_of(figure)
    )


def test_the_worst_estimand_is_zipped(results: Results) -> None:
    rows = results.rows.copy()
    rows.loc[rows["estimand"] == "sigma1", ["lower", "upper"]] += 5.0
    assert worst_covered(with_rows(results, rows)) == "sigma1"
    rows = results.rows.copy()
    rows.loc[rows["estimand"] == "theta", ["lower", "upper"]] += 5.0
    assert worst_covered(with_rows(results, rows)) == "theta"


def test_coverage_map_prints_numbers_and_marks(results: Results) -> None:
    figure = figures.coverage_map(results)
    _, table = figures.coverage_numbers(results)
    printed = texts_of(figure)
    for row in table.to_dict("records"):
        sign = {-1: "▼", 0: "", 1: "▲"}[row["mark"]]
        assert f"{sign}{100 * row['value']:.1f}\n({100 * row['mcse']:.1f})" in printed
    (image,) = figure.axes[0].get_images()
    np.testing.assert_array_equal(
        np.asarray(image.get_array()).ravel(), table.loc[table["estimand"] == "theta", "value"]
    )
    colours = image.cmap(image.norm(np.linspace(0.7, 1.0, 20)))[:, :3]
    assert (np.diff(colours @ [0.299, 0.587, 0.114]) > 0).all()  # in grey, lower is darker


def test_deficit_and_cost_on_logarithmic_axes(results: Results) -> None:
    figure = figures.deficit_cost(results, choice=Choice(cells=["n=10, kind=a"]))
    (axes,) = figure.axes
    table = of_performance(results, "deficit"), of_performance(results, "mean_seconds")
    (drawn,) = heads(axes, look(1)["marker"])
    key = ("n=10, kind=a", "saem", "")
    np.testing.assert_allclose(drawn[0], [table[1].loc[key, "value"], table[0].loc[key, "value"]])
    assert axes.get_xscale() == axes.get_yscale() == "log"
    (reference,) = heads(axes, look(0)["marker"])  # its deficit is zero: in the strip, which a tick names
    low, high = axes.get_ylim()
    assert low < reference[0, 1] < high and reference[0, 1] < drawn[0, 1]
    assert any("10^{-10}" in text.get_text() for text in axes.get_yticklabels())


def test_negative_deficits_are_told(results: Results) -> None:
    rows = results.rows.copy()
    rows.loc[rows["method"] == "saem", "deficit"] = -0.5
    figure = figures.deficit_cost(with_rows(results, rows), choice=Choice(cells=["n=10, kind=a"]))
    assert len(heads(figure.axes[0], "v")) == 1 and "-5.0e-01" in texts_of(figure)


def test_nested_loop_orders_cells_and_draws_stairs(results: Results) -> None:
    study, path = study_in(results.path.parent, cells={"n": [20, 10], "kind": ["b", "a"]})
    other = Results(study, path, results.folder, results.rows, ())
    choice, _ = figures.nested_numbers(other, "bias", Choice(cells=["n=10, kind=b", "n=20, kind=a", "n=20, kind=b"]))
    assert choice.cells == ("n=20, kind=b", "n=20, kind=a", "n=10, kind=b")
    figure = figures.nested_loop(results, "bias")
    stairs = [axes.patches[0].get_data().values for axes in figure.axes[-2:]]
    np.testing.assert_array_equal(stairs, [[0, 0, 1, 1], [0, 1, 0, 1]])
    values = figure.axes[0].patches[0].get_data().values
    table = of_performance(results, "bias")
    np.testing.assert_array_equal(values, [table.loc[(c, "ml", "theta"), "value"] for c in results.levels.index])


def test_bars_add_up_and_long_ones_are_cut(results: Results) -> None:
    figure = figures.bias_variance(results)
    bars = figure.axes[0].patches
    _, table = figures.bias_variance_numbers(results)
    own = table[table["estimand"] == "theta"]
    widths = sorted(bar.get_width() for bar in bars if bar.get_width() and bar.get_height() == 0.72)
    expected = sorted([*(own["squared_bias"] / own["unit"]), *(own["variance"] / own["unit"])])
    np.testing.assert_allclose(widths, expected)
    rows = results.rows.copy()
    rows.loc[rows["method"] == "saem", "estimate"] += 5.0
    figure = figures.bias_variance(with_rows(results, rows))
    assert figure.axes[0].get_xlim() == (0.0, 3.0) and any(text.endswith("▸") for text in texts_of(figure))


def test_traces_are_those_of_the_study(tmp_path: Path) -> None:
    """Paths of the same data and random numbers as in a run; methods without a path, or that fail, are named."""
    methods = {"ml": {}, "em": {"path": False}, "bad": {"fails": True}}
    study, path = study_in(tmp_path, methods=methods)
    paths = figures.paths_of(study, path, "n=20, kind=a", 3)
    from experiments.harness.running import job_of

    cell = next(cell for cell in study.design.all() if cell.name == "n=20, kind=a")
    record = run_task(job_of(study, path), Task(cell, 3, ("ml",))).records[0]
    own = paths.traces[(paths.traces["method"] == "ml") & (paths.traces["estimand"] == "theta")]
    assert list(own["iteration"]) == list(range(20)) and own["value"].iloc[-1] == record["numbers"][0][0]
    assert paths.without == ("em", "bad (RuntimeError: it cannot <b>be</b>)")
    assert dict(paths.truth) == functions_in(path.with_suffix(".py").resolve()).truth(cell)
    figure = figures.traces(study, path, "n=20, kind=a", 3)
    line = next(line for line in figure.axes[0].get_lines() if len(line.get_xdata()) == 19)
    np.testing.assert_array_equal(line.get_ydata(), own["value"].iloc[1:])
    level = [line.get_ydata()[0] for line in figure.axes[0].get_lines() if len(set(line.get_ydata())) == 1]
    assert record["numbers"][0][0] in level
    assert "without a path: em, bad" in " ".join(texts_of(figure))
    study, path = study_in(tmp_path, methods={"em": {"path": False}}, reference=None)
    with pytest.raises(ModelError, match="no method gives its path: em"):
        figures.traces(study, path)


def test_paths_that_end_elsewhere_than_in_the_store_are_told(tmp_path: Path) -> None:
    from experiments.harness.running import run_study

    study, path = study_in(tmp_path, cells={"n": [10]}, replicates=2, estimands=("theta",))
    run_study(study, path, tmp_path / "store")
    results = Results.read(study, path, tmp_path / "store")
    (own,) = all_traces(results)
    assert "elsewhere" not in own.caption and "replicate 0 of the cell n=10" in own.caption
    rows = results.rows.copy()
    rows.loc[rows["method"] == "saem", "estimate"] += 1e-3
    (own,) = all_traces(with_rows(results, rows))
    assert "Run again, saem ended elsewhere than the store has it" in own.caption


def test_a_quiet_replicate_is_one_that_all_methods_ended(results: Results) -> None:
    cell, replicate = quiet_replicate(results, 1e6)
    own = results.rows[(results.rows["cell"] == cell) & (results.rows["replicate"] == replicate)]
    assert cell == "n=10, kind=a" and not (own["status"] == "error").any() and own["method"].nunique() == 3
    with pytest.raises(TooSlow, match="at most 20 s"):
        quiet_replicate(with_rows(results, results.rows.assign(seconds=100.0)))


# What is shown


def test_names_are_checked(results: Results) -> None:
    for arguments, words in (
        ({"methods": ["sem"]}, "no method 'sem' (did you mean 'saem'?)"),
        ({"estimands": ["thta"]}, "no estimand 'thta'"),
        ({"cells": ["n=1"]}, "no cell 'n=1'"),
        ({"methods": []}, "at least one method"),
        ({"on": "some"}, "on must be"),
    ):
        with pytest.raises(ModelError) as caught:
            figures.lolly(results, choice=Choice(**arguments))
        assert words in str(caught.value)
    with pytest.raises(ModelError, match=r"no measure 'biass' \(did you mean 'bias'\?\)"):
        figures.lolly(results, "biass")
    with pytest.raises(ModelError, match="cost must be one of seconds, draws"):
        figures.deficit_cost(results, "money")
    with pytest.raises(ModelError, match="no estimand 'mu'"):
        figures.zip_plot(results, "mu")
    cell = results.study.design.all()[0].name
    for draw, choice, name in (
        (partial(figures.lolly, measure="failure_rate"), Choice(["theta"]), "estimands"),
        (partial(figures.nested_loop, measure="failure_rate"), Choice(["theta"]), "estimands"),
        (figures.deficit_cost, Choice(["theta"]), "estimands"),
        (figures.zip_plot, Choice(["theta"]), "estimands"),
        (figures.zip_plot, Choice(on="pairs"), "on"),
        (lambda found, choice: figures.traces(found.study, found.path, choice=choice), Choice(cells=[cell]), "cells"),
    ):
        with pytest.raises(ModelError, match=f"this figure has no {name} to choose; got .*: leave it out"):
            draw(results, choice=choice)


def test_pyplot_and_its_settings_are_left_alone(results: Results) -> None:
    import matplotlib.pyplot as plt

    before = dict(matplotlib.rcParams)
    figures.lolly(results)
    assert not plt.get_fignums() and dict(matplotlib.rcParams) == before


def small(results: Results) -> Figure:
    return figures.lolly(results, choice=Choice(["theta"], cells=["n=10, kind=a"]))


@pytest.mark.slow
def test_files_are_the_same_at_every_run(results: Results, tmp_path: Path) -> None:
    for form in ("png", "pdf", "svg"):
        contents = {written(small(results), form) for _ in range(2)}
        assert len(contents) == 1 and str(pd.Timestamp.now().year).encode() not in contents.pop()[:2000]
    names = [path.name for path in figures.save(small(results), tmp_path / "new", "bias")]
    assert names == ["bias.png", "bias.pdf"]
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="choose another folder"):
        figures.save(small(results), tmp_path / "file", "bias")
    with pytest.raises(ModelError, match="one of png, pdf, svg"):
        figures.save(small(results), tmp_path, "bias", ("gif",))


def test_symbols_and_names(tmp_path: Path) -> None:
    assert symbol("sigma1") == r"$\sigma_{1}$" and symbol("b21") == "$b_{21}$" and symbol("mu") == r"$\mu$"
    assert symbol("sd_intercept") == "sd_intercept" and symbol("alpha_2") == r"$\alpha_{2}$"
    assert plain("costs $5\nor $6") == r"costs \$5 or \$6"
    short = shortened([HUGE + "1", HUGE + "2", "x" * 40 + "a" + "y" * 20, "x" * 40 + "b" + "y" * 20], 12)
    assert len(set(short.values())) == 4 and max(map(len, short.values())) <= 12
    mixed = [{"clusters_of_rats": n, "ratio": ratio} for n in (3, 6) for ratio in (1, 2.5)]
    study, _ = study_in(tmp_path, cells={}, design={"cells": mixed})
    names = [cell.name for cell in study.design.all()]
    assert list(cell_labels(study, names, 60).values()) == names
    assert cell_labels(study, names, 12, lines=2)[names[1]] == "clusters_…=3\nratio=2.5"
    assert len(set(cell_labels(study, names, 4).values())) == 4
    looks = {(look(k)["marker"], look(k)["mfc"] == "white") for k in range(MOST_METHODS)}
    assert len(looks) == MOST_METHODS  # without colour, too


def boxes(figure: Figure, texts: list[Text]) -> list[matplotlib.transforms.Bbox]:
    return [
        text.get_window_extent(figure.canvas.get_renderer()) for text in texts if text.get_text() and text.get_visible()
    ]


def apart(found: list[matplotlib.transforms.Bbox]) -> bool:
    """Whether no two overlap by more than a pixel."""
    return not any(
        min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1
        for k, a in enumerate(found)
        for b in found[:k]
    )


def drawn(figure: Figure) -> Figure:
    FigureCanvasAgg(figure).draw()
    return figure


def test_cells_of_many_factors_are_named_by_their_levels(tmp_path: Path) -> None:
    """Where nothing would be left of the factors' names; the order of the levels is told then, and only then."""
    factors = {f"factor_{k}": ["low", "high"] for k in "abcd"}
    study, _ = study_in(tmp_path, design={"factors": factors})
    names = [cell.name for cell in study.design.all()]
    assert cell_labels(study, names, 20, lines=2)[names[1]] == "low / low\nlow / high"
    assert named_by_levels(study, names, 20, lines=2) == "factor_a / factor_b / factor_c / factor_d"
    assert list(cell_labels(study, names, 100).values()) == names and named_by_levels(study, names, 100) == ""


def test_no_text_of_a_narrow_figure_is_cut_off(results: Results) -> None:
    one = Choice(cells=["n=10, kind=a"], methods=["ml"])
    theta = replace(one, estimands=["theta"])
    for figure in (
        figures.lolly(results, choice=theta),
        figures.zip_plot(results, "theta", one),
        figures.coverage_map(results, theta),
        figures.bias_variance(results, theta),
        figures.nested_loop(results, choice=theta),
        figures.deficit_cost(results, choice=one),
        figures.traces(results.study, results.path, choice=Choice(["theta"], ["ml"])),
    ):
        own = [
            *figure.texts,
            *(axes.title for axes in figure.axes),
            *(t for key in figure.legends for t in key.get_texts()),
        ]
        page = figure.bbox
        for box in boxes(drawn(figure), own):
            assert box.x0 > -1 and box.x1 < page.x1 + 1 and box.y0 > -1 and box.y1 < page.y1 + 1


@pytest.mark.slow
def test_large_studies_can_be_read(tmp_path: Path) -> None:
    """30 cells, 15 methods with long names and 10 estimands: a page at most, no label over another or cut off."""
    methods = {f"{HUGE[:-2]}{k:02d}": {} for k in range(15)}
    large = results_in(
        tmp_path, cells={"number_of_clusters": [1, 2, 3, 4, 5], "ratio": [1, 2, 3, 4, 5, 6]}, methods=methods,
        estimands=tuple(f"sigma{k}" for k in range(9)) + (HUGE,), reference=next(iter(methods)), replicates=10,
    )  # fmt: skip
    for figure in (
        figures.lolly(large),
        figures.zip_plot(large),
        figures.coverage_map(large),
        figures.bias_variance(large),
        figures.nested_loop(large),
        figures.deficit_cost(large),
    ):
        drawn(figure)
        assert figure.get_figheight() <= PAGE + 0.4 and figure.get_figwidth() <= 7.2
        page = figure.bbox
        for axes in figure.axes:
            for labels in (axes.get_xticklabels(), axes.get_yticklabels(), axes.texts):
                found = boxes(figure, labels)
                assert apart(found)
                assert all(box.x0 > -1 and box.y0 > -1 and box.y1 < page.y1 + 1 for box in found)
        titles = boxes(figure, [axes.title for axes in figure.axes])
        assert apart(titles)
        for legend in figure.legends:
            own = boxes(figure, legend.get_texts())
            assert apart(own) and all(box.x0 > -1 and box.x1 < page.x1 + 1 for box in own)
            assert apart([legend.get_window_extent(), *titles])


def test_what_does_not_fit_is_told(tmp_path: Path) -> None:
    large = results_in(tmp_path, cells={"n": list(range(30))}, replicates=2, estimands=tuple("abcdefghij"))
    choice, _ = figures.lolly_numbers(large)
    assert choice.cells[0] == "n=0" and choice.cells[-1] == "n=29" and len(choice.cells) < 30
    assert "4 of 10 estimands" in choice.note() and f"{len(choice.cells)} of 30 cells" in choice.note()
    assert len(figures.lolly_numbers(large, choice=Choice(cells=list(large.levels.index)))[0].cells) == 30


# Studies that lack something


def draws(results: Results, *names: str) -> dict[str, str]:
    """Draw all; the figures whose names begin with these are drawn, and all others left out for a reason."""
    found, left_out = figures.draw(results)
    for one in found:
        drawn(one.figure)
        assert one.caption
    kinds = {"bias", "coverage", "zip", "bias_variance", "nested_loop", "deficit_seconds", "deficit_draws", "traces"}
    assert {one.name for one in found} == set(names) and {one.name for one in found} >= kinds - set(left_out) - {"bias"}
    return left_out


def test_all_figures_of_a_study(tmp_path: Path) -> None:
    own = results_in(
        tmp_path, cells={"n": [10, 20]}, replicates=6, estimands=("theta",), methods={"ml": {}, "em": {"path": False}}
    )
    gallery = figures.draw_all(own, tmp_path / "drawn")
    names = ["bias", "coverage", "zip", "bias_variance", "nested_loop", "deficit_seconds", "deficit_draws", "traces"]
    assert [one.name for one in gallery] == names
    assert not gallery.left_out and all(file.stat().st_size > 1000 for one in gallery for file in one.files)
    assert all("6 replicates" in one.caption for one in gallery if one.name != "traces")
    assert "Without a path: em." in gallery[-1].caption


def test_studies_without_truth_intervals_or_reference(tmp_path: Path) -> None:
    unknown = results_in(tmp_path, known=False, cells={"n": [1]}, reference=None, replicates=5, failures=0.0)
    left_out = draws(unknown, "empirical_se", "traces")
    assert left_out["coverage"] == "there are no intervals of estimands whose true value is known"
    assert left_out["deficit_seconds"] == "the study has no reference method"
    assert (
        left_out["nested_loop"] == "the design has one cell only"
        and left_out["bias_variance"] == "no true value is known"
    )
    with pytest.raises(ModelError, match="needs a reference"):
        figures.deficit_cost(unknown)
    with pytest.raises(ModelError, match="needs intervals and true values"):
        figures.zip_plot(unknown)


def test_studies_where_all_failed(tmp_path: Path) -> None:
    failed = results_in(tmp_path, cells={"n": [1, 2]}, replicates=3, failures=1.0)
    left_out = draws(failed)
    assert left_out["bias"] == "no estimand has an estimate" and "in which no method failed" in left_out["traces"]
    for draw in (figures.lolly, figures.nested_loop, figures.bias_variance):
        assert texts_of(drawn(draw(failed))).count("not known") == 2
    assert "–" in texts_of(drawn(figures.coverage_map(failed)))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"methods": {"ml": {}}, "cells": {"n": [1]}}, marks=pytest.mark.slow),
        {
            "methods": {HUGE: {}, "other": {}},
            "reference": HUGE,
            "replicates": 1,
            "failures": 0.0,
            "cells": {"text": ["$x", "a_{b}$ of <b>" + "long " * 30]},
        },
    ],
    ids=["one method and cell", "one replicate, odd names"],
)
def test_odd_studies_are_drawn(tmp_path: Path, changes: dict) -> None:
    odd = results_in(tmp_path, **({"replicates": 4, "estimands": ("theta",)} | changes))
    found, _ = figures.draw(odd)
    assert {"bias", "coverage", "zip"} <= {one.name for one in found}
    for one in found:
        drawn(one.figure)


def test_one_replicate_has_no_error(tmp_path: Path) -> None:
    """The bias is drawn, brackets are not."""
    single = results_in(tmp_path, replicates=1, failures=0.0)
    axes = figures.lolly(single).axes[0]
    assert np.isfinite(heads(axes, "o")[0]).all() and np.isnan(heads(axes, "$($")[0][:, 0]).all()


# Values that are wild


def test_one_wild_value_does_not_flatten_an_axis(results: Results) -> None:
    """It has its number at the end of the axis; all others are told apart there."""
    rows = results.rows.copy()
    wild = (rows["cell"] == "n=20, kind=b") & (rows["method"] == "em") & (rows["replicate"] == 3)
    rows.loc[wild, ["estimate", "upper"]] = 1e9
    spoiled = with_rows(results, rows)
    (calm_axes, *_), (axes, *_) = (figures.lolly(one).axes for one in (results, spoiled))
    low, high = axes.get_xlim()
    assert high - low < 3 * np.diff(calm_axes.get_xlim())[0]
    assert any("▸" in text.get_text() for text in axes.texts)
    axes = figures.nested_loop(spoiled).axes[0]
    assert np.diff(axes.get_ylim())[0] < 100.0 and any("▸" in text.get_text() for text in axes.texts)
    for own, before in zip(
        figures.zip_plot(spoiled, "theta").axes, figures.zip_plot(results, "theta").axes, strict=True
    ):
        assert np.diff(own.get_xlim())[0] < 3 * np.diff(before.get_xlim())[0]
    absolute = figures.bias_variance(spoiled, relative=False).axes[0]
    assert absolute.get_xlim()[1] < 100.0


def test_axes_end_where_values_are_wild() -> None:
    assert calm(np.array([1.0, 2.0, 3.0, 4.0, 5.0])) is None, "none is"
    assert calm(np.array([0.0, 0.0, 0.0, 1e6])) is None, "there is nothing else to tell apart"
    assert calm(np.array([1.0, 1e6])) is None, "nobody can say which"
    low, high = calm(np.array([0.10, 0.11, 0.12, 1e6, np.inf, np.nan]), 0.0) or (0.0, 0.0)
    assert low < 0.0 and 0.12 < high < 0.2
