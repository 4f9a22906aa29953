"""Figures, tables, numbers and the PDF are made of digests, and are the same bytes for the same digests."""

from __future__ import annotations

import csv
import io
import shutil

import pytest
from tiny_paper import MAIN, SECTION, install, numbers, results_in, text_in
from typer.testing import CliRunner

import paper.pipeline.latex
from paper.pipeline.building import build
from paper.pipeline.commands import app
from paper.pipeline.latex import compile_pdf, errors_in
from paper.pipeline.parts import all_numbers
from saem.errors import ModelError

HAS_LATEX = shutil.which("latexmk") is not None and shutil.which("pdflatex") is not None


def content(folder):
    kinds = (".tex", ".csv", ".pdf", ".png")
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.suffix in kinds}


def test_a_build_is_whole_and_the_same_bytes_again(tmp_path, monkeypatch):
    install(monkeypatch)
    results, text = results_in(tmp_path / "results"), text_in(tmp_path / "text")
    built = build(results, tmp_path / "a", text=text, with_pdf=False)
    assert built.errors == [] and built.unused == ["bias.20"]
    assert len(built.stale) == 1 and built.stale[0].endswith(
        "of 0123456789abcdef: 'python -m paper run --studies headline'"
    )
    build(results, tmp_path / "elsewhere" / "b", text=text, with_pdf=False)
    first, second = content(tmp_path / "a"), content(tmp_path / "elsewhere" / "b")
    assert first == second
    names = "figures/picture.pdf figures/picture.png manifest.csv numbers.csv numbers.tex tables/listing.tex"
    assert [str(path) for path in first] == names.split()


def test_lists_say_where_everything_comes_from(tmp_path, monkeypatch):
    install(monkeypatch)
    build(results_in(tmp_path / "results"), tmp_path / "a", text=text_in(tmp_path / "text"), with_pdf=False)
    lines = (tmp_path / "a" / "numbers.tex").read_text().splitlines()
    assert lines[1] == r"\saemnumber{bias.10}{0.100 (0.010)}% headline: bias of ml, mu at size=10"
    (row, *_) = csv.DictReader(io.StringIO((tmp_path / "a" / "numbers.csv").read_text()))
    assert (row["study"], row["configuration"], row["seed"]) == ("headline", "0123456789abcdef", "1")
    (row, *_) = csv.DictReader(io.StringIO((tmp_path / "a" / "manifest.csv").read_text()))
    assert row["command"] == "python -m paper run --studies headline" and row["cpu_minutes"] == "2.5"
    assert row["drawn_by"] == "python -m paper build --only picture" and row["replicates"] == "50"


def test_what_is_not_there_is_an_error_unless_results_are_partial(tmp_path, monkeypatch):
    install(monkeypatch)
    results, text = results_in(tmp_path / "results", cells=(30,)), text_in(tmp_path / "text")
    built = build(results, tmp_path / "a", text=text, with_pdf=False)
    assert any(r"\val{bias.10}: headline: 0 cells" in error for error in built.errors)
    assert any("table listing" in error for error in built.errors)
    built = build(results, tmp_path / "b", text=text, with_pdf=False, partial=True)
    assert built.errors == [] and len(built.made.missing) == 3
    assert r"\saemnumber{bias.10}{\notthere}" in (tmp_path / "b" / "numbers.tex").read_text()


def test_an_error_in_a_module_leaves_the_rest(tmp_path, monkeypatch):
    from types import SimpleNamespace

    install(monkeypatch, figures={"picture": SimpleNamespace(STUDIES=(), draw=lambda digests: 1 / 0)})
    results, text = results_in(tmp_path / "results"), text_in(tmp_path / "text")
    (error,) = build(results, tmp_path / "a", text=text, with_pdf=False).errors
    assert error.startswith("figure picture: ZeroDivisionError: division by zero (test_paper_building.py:")
    assert (tmp_path / "a" / "tables" / "listing.tex").exists()


def test_results_of_another_size_than_the_manifest_says_are_an_error(tmp_path, monkeypatch):
    install(monkeypatch)
    results = results_in(tmp_path / "results", replicates=49)
    built = build(results, tmp_path / "a", text=text_in(tmp_path / "text"), with_pdf=False)
    assert [error for error in built.errors if "headline has 49 replicates" in error and "not 50" in error]


@pytest.mark.parametrize(
    ("file", "change", "error"),
    [
        ("provenance.json", lambda own: "[]", "they lack 'study', 'configuration', 'seed', 'replicates'"),
        ("provenance.json", lambda own: own.replace('"seed"', '"sead"'), "they lack 'seed'"),
        ("provenance.json", lambda own: own.replace('"headline"', '"scale"'), "holds results of 'scale'"),
        ("provenance.json", lambda own: own[:9], "holds no results of the paper"),
        ("measures.parquet", lambda table: table.drop(columns="mcse"), "they lack 'mcse'"),
        ("measures.parquet", lambda table: table[:0], "they have no measure"),
    ],
)
def test_damaged_results_are_told(tmp_path, file, change, error):
    import pandas as pd

    from paper.digest import Digest
    from saem.errors import StorageError

    place = results_in(tmp_path / "results") / "headline" / file
    if place.suffix == ".json":
        place.write_text(change(place.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        change(pd.read_parquet(place)).to_parquet(place)
    with pytest.raises(StorageError, match=error):
        Digest.read(place.parent)


def test_a_folder_without_results_is_told_at_once(tmp_path, monkeypatch):
    from saem.errors import StorageError

    install(monkeypatch)
    with pytest.raises(StorageError, match="holds no results of any study"):
        build(tmp_path / "nowhere", tmp_path / "a", text=text_in(tmp_path / "text"), with_pdf=False)
    assert not (tmp_path / "a").exists()


def test_a_key_has_one_value(tmp_path, monkeypatch):
    from dataclasses import replace
    from types import SimpleNamespace

    from paper.digest import Digests

    digests = Digests(results_in(tmp_path / "results"))
    one, same = SimpleNamespace(numbers=numbers), SimpleNamespace(numbers=numbers)
    install(monkeypatch, numbers={"one": one, "two": same})
    assert list(all_numbers(digests)) == ["bias.10", "bias.20", "bound"]
    other = SimpleNamespace(numbers=lambda digests: [replace(next(numbers(digests)), text="7")])
    install(monkeypatch, numbers={"one": one, "two": other})
    with pytest.raises(ModelError, match=r"'bias\.10' is 7, and 0\.100 \(0\.010\) in one\.py"):
        all_numbers(digests)


def test_the_command_says_plainly_when_latex_is_missing(tmp_path, monkeypatch):
    install(monkeypatch)
    results = results_in(tmp_path / "results")
    monkeypatch.setattr(paper.pipeline.latex.shutil, "which", lambda program: None)
    monkeypatch.setattr(paper.pipeline.building, "check", lambda *_: paper.pipeline.checks.Verdict())
    monkeypatch.setattr(paper.pipeline.building, "compile_pdf", lambda text, output: compile_pdf(own, output))
    own = text_in(tmp_path / "text")
    told = CliRunner().invoke(app, ["build", "--results", str(results), "--output", str(tmp_path / "a")])
    assert told.exit_code == 0
    assert "PDF not built" in told.output and "apt-get install latexmk" in told.output
    assert (tmp_path / "a" / "figures" / "picture.pdf").exists()


def test_one_figure_is_made_alone(tmp_path, monkeypatch):
    install(monkeypatch)
    results, output = results_in(tmp_path / "results"), tmp_path / "a"
    arguments = ["build", "--results", str(results), "--output", str(output), "--only"]
    assert CliRunner().invoke(app, [*arguments, "picture"]).exit_code == 0
    assert sorted(path.name for path in output.rglob("*.*")) == ["picture.pdf", "picture.png"]
    told = CliRunner().invoke(app, [*arguments, "pictures"])
    assert told.exit_code == 2 and "did you mean 'picture'?" in told.output


@pytest.mark.skipif(not HAS_LATEX, reason="LaTeX is not installed")
def test_the_pdf_is_the_same_bytes_again(tmp_path, monkeypatch):
    install(monkeypatch)
    results, text = results_in(tmp_path / "results"), text_in(tmp_path / "text")
    pdfs = [build(results, tmp_path / where, text=text).pdf for where in ("a", "elsewhere/b")]
    assert [pdf.errors for pdf in pdfs] == [[], []]
    first, second = (pdf.path.read_bytes() for pdf in pdfs)
    assert first == second and len(first) > 10_000


@pytest.mark.skipif(not HAS_LATEX, reason="LaTeX is not installed")
def test_what_latex_complains_about_is_an_error_with_its_place(tmp_path, monkeypatch):
    install(monkeypatch)
    bad = SECTION + "\\ref{nowhere}\n\\hbox to 10cm{\\hskip 20cm}x\n\\undefinedcommand\n\\cite{nobody}\n"
    bad += "\\noindent\\rule{50cm}{1pt}\n\n"
    text = text_in(tmp_path / "text", MAIN, bad)
    errors = build(results_in(tmp_path / "results"), tmp_path / "a", text=text).pdf.errors
    for expected in ("one.tex:8: Reference `nowhere'", "one.tex:10: Undefined control sequence", "Citation `nobody'"):
        assert any(expected in error for error in errors), (expected, errors)
    assert any("pt too wide" in error and "sections/one.tex" in error for error in errors)


def test_the_log_is_read_with_the_file_that_is_open():
    log = (
        "(./main.tex (/usr/share/a.sty)\n(./sections/one.tex\n"
        "Overfull \\hbox (0.5pt too wide) in paragraph at lines 1--2\n"
        "Overfull \\hbox (12.3pt too wide) in paragraph at lines 5--8\n[]\\T1/cmr/m/n/10 (an open bracket\n)\n)\n"
        "LaTeX Warning: Reference `a' on page 1 undefined on input line 9.\n"
    )
    first, second = errors_in(log)
    assert first == "sections/one.tex:5: a box is 12.3 pt too wide"
    assert second == "main.tex:9: Reference `a' on page 1 undefined"
