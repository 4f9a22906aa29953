"""The report of a study: one page that needs no other file, says all, and lets no text of a user be code."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from simulated_results import results_in, with_rows

from experiments.harness.performance import paired
from experiments.harness.provenance import provenance
from experiments.harness.report import page
from experiments.harness.report.content import commands, content_of
from experiments.harness.report.table import MOST_ROWS, Table
from experiments.harness.results import Results
from experiments.harness.running import run_study
from experiments.harness.study import load_study
from experiments.harness.study.functions import functions_in
from experiments.harness.tables import with_error
from saem.errors import ModelError, StorageError

VOID = {"meta", "img", "br", "link"}
HOSTILE = """<script>alert("1")</script> & {{ 7 * 7 }} {% for %} ' " <img src=x onerror=alert(1)>"""


class Page(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.tables: list[list[list[str]]] = []
        self.words = ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "action", "data", "srcset")]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data
        if "style" not in self.open:
            self.words += data

    @property
    def text(self) -> str:
        return " ".join(self.words.split())

    def rows(self, *header: str) -> list[dict[str, str]]:
        """Of all tables whose header begins like this."""
        return [
            dict(zip(table[0], row, strict=True))
            for table in self.tables
            if table[0][: len(header)] == list(header)
            for row in table[1:]
        ]


def read(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def report_of(results: Results, folder: Path, replay: bool = False) -> Page:
    return read(page.write_report(results, folder / "report.html", replay=replay))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return results_in(tmp_path_factory.mktemp("reported"), cells={"n": [10, 20]}, estimands=("theta",))


@pytest.fixture(scope="module")
def whole(results: Results, tmp_path_factory: pytest.TempPathFactory) -> Page:
    return report_of(results, tmp_path_factory.mktemp("page"), replay=True)


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "draw", lambda results, replay: ([], {}))


# One page


def test_nothing_is_loaded_and_nothing_runs(whole: Page) -> None:
    assert whole.links and all(link.startswith(("#", "data:image/png;base64,")) for link in whole.links)
    assert not {"script", "iframe", "object", "embed", "form", "link"} & set(whole.tags)
    assert not any(name.startswith("on") for name in whole.attributes)
    targets = [link for link in whole.links if link.startswith("#")]
    assert len(targets) > 5 and whole.tags.count("img") == 8


def test_no_style_loads_anything(results: Results) -> None:
    template = (Path(page.__file__).parent / page.TEMPLATE).read_text()
    assert "url(" not in template and "@import" not in template and "http" not in template and "|safe" not in template


@pytest.mark.usefixtures("no_figures")
def test_texts_are_escaped(tmp_path: Path) -> None:
    """Title, aims, words of estimands and methods, levels, messages, warnings, provenance: all are text."""
    runs = ({"command": HOSTILE, "commit": HOSTILE, "extra": {HOSTILE: HOSTILE}},)
    odd = results_in(
        tmp_path, cells={"level": [HOSTILE, "b"]}, title=HOSTILE, aims=HOSTILE, data=HOSTILE, runs=runs,
        methods={"ml": {"what": HOSTILE, "option": HOSTILE}}, replicates=5, estimands=("theta",),
    )  # fmt: skip
    rows = odd.rows.copy()
    rows["status"] = rows["status"].astype(str)
    rows["message"], rows["warnings"] = HOSTILE, HOSTILE
    rows.loc[rows["replicate"] < 2, "status"] = "error"
    found = report_of(with_rows(odd, rows), tmp_path)
    assert "script" not in found.tags and "img" not in found.tags and "onerror" not in found.attributes
    words = " ".join(HOSTILE.split())
    assert found.text.count(words) > 10 and "49" not in words
    messages = {row["message"] for row in found.rows("level", "method", "status", "fits", "% of all")}
    assert messages == {HOSTILE}


@pytest.mark.usefixtures("no_figures")
def test_a_mutant_that_does_not_escape_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import jinja2

    real = jinja2.Environment
    monkeypatch.setattr(jinja2, "Environment", lambda **options: real(**(options | {"autoescape": False})))
    odd = results_in(tmp_path, title=HOSTILE, replicates=3)
    text = page.write_report(odd, tmp_path / "report.html").read_text()
    assert "<script>alert" in text


# What it says


def test_the_frame_is_told(results: Results, whole: Page) -> None:
    for text in ("A study", "To test.", "Normals.", "what theta is", "the best", "path = True"):
        assert text in whole.text
    cells = whole.rows("n", "data sets")
    assert cells == [{"n": n, "data sets": "20", "planned": "20"} for n in ("10", "20")]
    truth = functions_in(results.path.with_suffix(".py").resolve()).truth(results.study.design.all()[0])["theta"]
    (row,) = whole.rows("estimand", "what", "true value")
    assert row["true value"] == f"{truth:g}" and row["hypothesis tested"] == "1"
    assert "not complete" not in whole.text and "40 replicates" not in whole.text


def test_true_values_are_by_what_they_depend_on(tmp_path: Path) -> None:
    study = load_study(Path(__file__).parents[2] / "experiments" / "studies" / "headline.toml", quick=True)
    from experiments.harness.report.content import estimands_table

    path = Path(__file__).parents[2] / "experiments" / "studies" / "headline.toml"
    table = estimands_table(Results(study, path, tmp_path, None, ()))  # type: ignore[arg-type]
    values = {row[0]: row[2] for row in table.rows}
    assert values["sigma2"] == "0.4 (ratio=1); 0.8 (ratio=2)" and values["mu"] == "10"


def test_tables_have_the_numbers_of_performance(results: Results, whole: Page) -> None:
    table = results.complete.set_index(["cell", "method", "estimand", "measure"])
    rows = whole.rows("n", "method", "replicates", "bias")
    assert len(rows) == 6
    for row in rows:
        for label, measure in (("bias", "bias"), ("coverage", "coverage"), ("empirical SE", "empirical_se")):
            value = table.loc[(f"n={row['n']}", row["method"], "theta", measure)]
            assert row[label] == with_error(value["value"], value["mcse"])
            assert row["replicates"] == str(int(value["n"]))
    on_pairs = results.pairs.set_index(["cell", "method", "estimand", "measure"])["value"]
    everything = whole.rows("estimand", "n", "method", "replicates")
    bias = {row["bias"] for row in everything}
    assert len(everything) == 12 and with_error(on_pairs["n=10", "saem", "theta", "bias"], np.nan)[:4] in str(bias)


def test_comparisons_are_paired(results: Results, whole: Page) -> None:
    expected = paired(results.rows, "saem", "ml").set_index(["cell", "estimand", "measure"])
    rows = [row for row in whole.rows("n", "estimand", "pairs") if row["estimand"] == "theta"]
    value = expected.loc[("n=10", "theta", "mse_ratio")]
    assert rows[0]["ratio of MSE"] == with_error(value["value"], value["mcse"]) and rows[0]["pairs"] == str(value["n"])


def test_statuses_add_up(results: Results, whole: Page) -> None:
    fits = results.rows.drop_duplicates(["cell", "replicate", "method"])
    rows = whole.rows("n", "method", "fits", "ok")
    assert len(rows) == 6
    for row in rows:
        own = fits[(fits["cell"] == f"n={row['n']}") & (fits["method"] == row["method"])]
        counts = own["status"].astype(str).value_counts()
        assert int(row["error"]) == counts.get("error", 0) and int(row["ok"]) == counts["ok"] and row["fits"] == "20"
        assert row["failure, %"].split(" ")[0] == f"{100 * counts.get('error', 0) / 20:.1f}"


def test_failures_have_their_first_replicate(results: Results, whole: Page) -> None:
    fits = results.rows.drop_duplicates(["cell", "replicate", "method"])
    failed = fits[fits["status"] == "error"]
    rows = whole.rows("n", "method", "status", "fits", "% of all")
    assert sum(int(row["fits"]) for row in rows) == len(failed) > 0
    for row in rows:
        own = failed[(failed["cell"] == f"n={row['n']}") & (failed["method"] == row["method"])]
        assert row["message"] == f"RuntimeError: <b>{row['method']}</b> is lost"
        assert int(row["first replicate"]) == own["replicate"].min() and f"n={row['n']} " in row["to see it"]
    assert "UserWarning: look at 3.5" in whole.text


def test_figures_are_numbered_and_named(whole: Page) -> None:
    assert whole.text.count("Figure 1.") == 1 and "Figure 8." in whole.text and "Without a path: em." in whole.text


# Where it comes from


@pytest.mark.usefixtures("no_figures")
def test_provenance_of_several_runs(results: Results, tmp_path: Path) -> None:
    """What is the same once, what differs by run; dirty files and other versions are warned of."""
    first = provenance(results.study, results.path, {"engine": "local", "workers": 2}) | {
        "commit": "a" * 40,
        "dirty": False,
    }
    first["threads"] = {"OMP_NUM_THREADS": "1"}
    first["command"] = "python -m experiments run made.toml --shard 1/2"
    second = first | {"began": "2030-01-01T00:00:00+00:00", "saem": "9.9", "dirty": True, "command": "python -m other"}
    runs: list[dict[str, Any]] = [first, second]
    found = report_of(Results(results.study, results.path, results.folder, results.rows, runs), tmp_path)
    same = {row[""]: row["all runs"] for row in found.rows("", "all runs")}
    assert same["processor"] == first["processor"] and same["seed"] == "0" and same["threads.OMP_NUM_THREADS"] == "1"
    assert same["configuration"] == first["configuration"] and "saem" not in same
    assert [row["saem"] for row in found.rows("run", "began")] == [first["saem"], "9.9"]
    assert "Files differed from the commit" in found.text and "different versions of saem" in found.text
    assert "describes the study as it is now" not in found.text
    for command in (first["command"], "python -m other", f"git checkout {'a' * 40}"):
        assert command in found.text
    commented = [first | {"configuration": "0" * 16}]
    found = report_of(Results(results.study, results.path, results.folder, results.rows, commented), tmp_path)
    assert "describes the study as it is now" not in found.text, "settings are the same"
    changed = [first | {"settings": "0" * 16}]
    found = report_of(Results(results.study, results.path, results.folder, results.rows, changed), tmp_path)
    assert "describes the study as it is now" in found.text and "Files differed" not in found.text


@pytest.mark.usefixtures("no_figures")
def test_without_notes_of_runs(results: Results, tmp_path: Path) -> None:
    found = report_of(results, tmp_path)
    assert "The store has no note of the runs" in found.text and "--replicates 20" in found.text


def test_commands_name_the_form_of_the_study(tmp_path: Path) -> None:
    path = Path(__file__).parents[2] / "experiments" / "studies" / "headline.toml"
    for quick in (True, False):
        own = Results(load_study(path, quick), path, tmp_path, None, ())  # type: ignore[arg-type]
        (tables,) = (command for what, command in commands(own, np.empty(0)) if what == "the tables")  # type: ignore[arg-type]
        assert tables.startswith("python -m experiments summarise headline") and ("--quick" in tables) == quick


# What lacks something


@pytest.mark.usefixtures("no_figures")
def test_a_study_that_still_runs(results: Results, tmp_path: Path) -> None:
    rows = results.rows
    part = with_rows(results, rows[(rows["cell"] == "n=10") & (rows["replicate"] < 7)])
    found = report_of(part, tmp_path)
    assert "not complete: 7 of 40 planned replicates are in (17 %)" in found.text
    assert "nothing yet of 1 cell: n=20" in found.text
    (ten, twenty) = found.rows("n", "data sets")
    assert ten["data sets"] == "7" and twenty["data sets"] == "0"
    empty = [row for row in found.rows("n", "method", "replicates", "bias") if row["n"] == "20"]
    assert len(empty) == 3 and all(row["bias"] == "–" and row["replicates"] == "0" for row in empty)


def test_a_real_study(tmp_path: Path) -> None:
    """From the store, with an estimand's hypothesis, as the command does it."""
    path = Path(__file__).parents[1] / "studies" / "faulty.toml"
    own = load_study(path, quick=True)
    run_study(own, path, tmp_path / "store")
    results = Results.read(own, path, tmp_path / "store")
    found = report_of(results, tmp_path)
    assert "A study whose replicates fail" in found.text and "No fit failed." in found.text
    assert found.tags.count("img") >= 5


@pytest.mark.parametrize(
    "changes",
    [
        {"failures": 1.0, "replicates": 3},
        {"known": False, "reference": None, "replicates": 2, "failures": 0.0},
        pytest.param({"methods": {"ml": {}}, "replicates": 1, "cells": {"n": [1]}}, marks=pytest.mark.slow),
        pytest.param({"cells": {}, "design": {"cells": [{}]}, "replicates": 3}, marks=pytest.mark.slow),
    ],
    ids=["all failed", "no truth and no reference", "one of all", "no factor"],
)
def test_odd_studies_have_a_report(tmp_path: Path, changes: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "written", lambda figure, form: b"")
    odd = results_in(tmp_path, **({"estimands": ("theta",)} | changes))
    found = report_of(odd, tmp_path)
    if changes.get("failures") == 1.0:
        rows = found.rows("n", "kind", "method", "fits")
        assert {row["failure, %"] for row in rows if "failure, %" in row} == {"100.0 (0.0)"}
        assert not re.search(r"\bnan\b", found.text)
    if "reference" in changes:
        assert "The study names no reference method." in found.text and "unknown" in found.text


def test_what_cannot_be_written(results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "draw", lambda results, replay: ([], {}))
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="choose another folder"):
        page.write_report(results, tmp_path / "file" / "report.html")
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ModelError, match="pip install jinja2"):
        page.write_report(results, tmp_path / "report.html")


def test_large_tables_say_what_they_leave_out() -> None:
    table = Table.of(["a"], [["x"]] * (MOST_ROWS + 5), "l")
    assert len(table.rows) == MOST_ROWS and table.left_out == 5


@pytest.mark.parametrize(
    ("value", "mcse", "text"),
    [
        (0.12345, 0.0041, "0.1235 (0.0041)"),
        (1226700.0, 121499.0, "1,230,000 (120,000)"),
        (1.0, 2e-8, "1.000000 (2e-08)"),
        (0.0, 4e-16, "0 (4e-16)"),
        (3e-9, 2e-9, "3.0e-09 (2e-09)"),
        (np.nan, 0.1, "-"),
        (0.25, np.nan, "0.25"),
        (1.0, 0.0, "1"),
        (1359000.0, 0.0, "1,360,000"),
        (np.inf, 1.0, "inf"),
    ],
)
def test_numbers_with_their_errors(value: float, mcse: float, text: str) -> None:
    assert with_error(value, mcse) == text


def test_content_is_text(results: Results) -> None:
    """Every cell of a table is a string: nothing depends on how the template prints a number."""

    def tables(found: Any) -> list[Table]:
        if isinstance(found, Table):
            return [found]
        parts = found.values() if isinstance(found, dict) else found if isinstance(found, list | tuple) else ()
        return [table for part in parts for table in tables(part)]

    found = tables(content_of(results))
    assert len(found) > 8
    for table in found:
        assert all(isinstance(text, str) for row in table.rows for text in row)
        assert {len(row) for row in table.rows} <= {len(table.header)} and len(table.align) == len(table.header)
