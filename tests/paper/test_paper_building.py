"""Figures, tables, numbers and the PDF are made of digests, and are the same bytes for the same digests."""

from __future__ import annotations

import csv
import io
import shutil

import pytest
from tiny_paper import MAIN, SECTION, install, numbers, results_in, text_in
from tiny_paper import digest as tiny
from typer.testing import CliRunner

import paper.pipeline.latex
from paper.digest import Digest
from paper.pipeline.building import build
from paper.pipeline.commands import app
from paper.pipeline.latex import compile_pdf, errors_in
from paper.pipeline.parts import all_numbers
from paper.shared.writing import Number
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
    row, bound = csv.DictReader(io.StringIO((tmp_path / "a" / "numbers.csv").read_text()))
    assert row == {
        "key": "bias.10",
        "value": "0.100 (0.010)",
        "cited": "main.tex:10 sections/one.tex:3",
        "module": "paper/numbers/one.py",
        "source": "headline: bias of ml, mu at size=10",
        "studies": "headline",
        "files": "experiments/studies/headline.toml",
        "configuration": "0123456789abcdef",
        "seed": "1",
        "command": "python -m paper run --studies headline",
    }
    assert (bound["key"], bound["cited"], bound["files"], bound["command"]) == ("bound", "main.tex:10", "", "")
    (row, *_) = csv.DictReader(io.StringIO((tmp_path / "a" / "manifest.csv").read_text()))
    assert row["command"] == "python -m paper run --studies headline" and row["cpu_minutes"] == "2.5"
    assert row["drawn_by"] == "python -m paper build --only picture" and row["replicates"] == "50"


def test_numbers_that_are_not_cited_are_listed_apart_and_known_to_the_checks(tmp_path, monkeypatch):
    install(monkeypatch)
    results, text = results_in(tmp_path / "results"), text_in(tmp_path / "text")
    built = build(results, tmp_path / "a", text=text, with_pdf=False, every_number=True)
    keys = {
        name: [row["key"] for row in csv.DictReader(io.StringIO((tmp_path / "a" / name).read_text()))]
        for name in ("numbers.csv", "numbers-all.csv")
    }
    assert keys == {"numbers.csv": ["bias.10", "bound"], "numbers-all.csv": ["bias.10", "bound", "bias.20"]}
    assert "bias.20" not in (tmp_path / "a" / "numbers.tex").read_text() and built.unused == ["bias.20"]
    own = text_in(tmp_path / "other", section=SECTION.replace("bias.10", "bias.200"))
    built = build(results, tmp_path / "a", text=own, with_pdf=False)
    assert built.errors == [r"sections/one.tex:3: \val{bias.200}: there is no such number (did you mean 'bias.20'?)"]
    assert built.forgotten == ["numbers-all.csv"] and not (tmp_path / "a" / "numbers-all.csv").exists()


def test_an_error_in_a_numbers_module_is_one_line_and_leaves_the_others(tmp_path, monkeypatch):
    from types import SimpleNamespace

    def broken(digests):
        yield Number("own", "1", "theory")
        raise KeyError("oops")

    install(monkeypatch, numbers={"broken": SimpleNamespace(numbers=broken), "one": SimpleNamespace(numbers=numbers)})
    results, text = results_in(tmp_path / "results"), text_in(tmp_path / "text")
    (error,) = build(results, tmp_path / "a", text=text, with_pdf=False).errors
    assert error.startswith("numbers broken: KeyError: 'oops' (test_paper_building.py:")
    assert r"\saemnumber{bias.10}{0.100 (0.010)}" in (tmp_path / "a" / "numbers.tex").read_text()
    lost = text_in(tmp_path / "other", section=SECTION.replace("bias.10", "lost"))
    first, second = build(results, tmp_path / "b", text=lost, with_pdf=False).errors
    assert first == error and second == "cited, and in no numbers since a module failed, or unknown: 'lost'"


def test_a_numbers_module_that_cannot_be_imported_leaves_the_others(tmp_path, monkeypatch):
    import importlib

    from paper.digest import Digests
    from paper.pipeline import manifest

    def imported(name):
        if name == "paper.numbers.scale":
            raise TypeError("a broken module")
        return real(name)

    real, results = importlib.import_module, Digests(manifest.RESULTS)
    (tmp_path / "numbers").mkdir()
    for name in ("scale", "identifiability"):
        (tmp_path / "numbers" / f"{name}.py").touch()
    monkeypatch.setattr(manifest, "PAPER", tmp_path)
    monkeypatch.setattr(importlib, "import_module", imported)
    found = all_numbers(results)
    (error,) = found.failed
    assert error.startswith("numbers scale: TypeError: a broken module (") and len(found) > 5
    assert set(found.home.values()) == {"identifiability"}


def test_what_is_not_there_is_an_error_unless_results_are_partial(tmp_path, monkeypatch):
    install(monkeypatch)
    results, text = results_in(tmp_path / "results", cells=(30,)), text_in(tmp_path / "text")
    built = build(results, tmp_path / "a", text=text, with_pdf=False)
    assert any(r"\val{bias.10}: headline: 0 cells" in error for error in built.errors)
    assert any("table listing" in error for error in built.errors)
    built = build(results, tmp_path / "b", text=text, with_pdf=False, partial=True)
    assert built.errors == [] and len(built.made.missing) == 2
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
    found = all_numbers(digests)
    assert found["bias.10"].text == "0.100 (0.010)"
    assert found.failed == [
        "paper/numbers/two.py: 'bias.10' is 7, and 0.100 (0.010) in one.py; a key must have one value"
    ]
    other = SimpleNamespace(numbers=lambda digests: [replace(next(numbers(digests)), key="a b")])
    install(monkeypatch, numbers={"one": other, "two": one})
    found = all_numbers(digests)
    assert list(found) == ["bias.10", "bias.20", "bound"] and "the key 'a b' must be letters" in found.failed[0]


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
    assert "the figures 'picture' and the tables 'listing'" in " ".join(told.output.split())


@pytest.mark.parametrize("option", ["--partial", "--no-pdf", "--pdf", "--all-numbers"])
def test_one_figure_and_what_is_for_all_are_not_asked_for_together(tmp_path, monkeypatch, option):
    install(monkeypatch)
    results, output = results_in(tmp_path / "results"), tmp_path / "a"
    arguments = ["build", "--results", str(results), "--output", str(output), "--only", "picture", option]
    told = CliRunner().invoke(app, arguments)
    assert told.exit_code == 2 and "--only makes one figure or table" in told.output and option in told.output
    assert not output.exists()


def test_one_table_that_the_results_lack_leaves_the_one_that_is_there(tmp_path, monkeypatch):
    install(monkeypatch)
    good, lacking, output = results_in(tmp_path / "good"), results_in(tmp_path / "bad", cells=(30,)), tmp_path / "a"
    ends = {
        results: CliRunner().invoke(
            app, ["build", "--results", str(results), "--output", str(output), "--only", "listing"]
        )
        for results in (good, lacking)
    }
    assert [told.exit_code for told in ends.values()] == [0, 1]
    assert "Not there: table listing" in ends[lacking].output and "tables/listing.tex" not in ends[lacking].output
    assert "0.050 (0.010)" in (output / "tables" / "listing.tex").read_text()
    assert ends[good].output.split() == [str(output / "tables/listing.tex")]


def test_ctrl_c_does_not_say_that_nothing_was_written(tmp_path, monkeypatch):
    from types import SimpleNamespace

    def interrupting(digests):
        raise KeyboardInterrupt

    install(monkeypatch, tables={"listing": SimpleNamespace(STUDIES=(), table=interrupting)})
    results, output = results_in(tmp_path / "results"), tmp_path / "a"
    told = CliRunner().invoke(app, ["build", "--results", str(results), "--output", str(output)])
    assert told.exit_code == 130 and (output / "figures" / "picture.pdf").exists()
    assert "nothing was written" not in told.output and "may hold new files beside older ones" in told.output


@pytest.mark.parametrize("option", [["--no-pdf"], []])
def test_an_older_pdf_does_not_stay_beside_new_numbers(tmp_path, monkeypatch, option):
    install(monkeypatch)
    results, output = results_in(tmp_path / "results"), tmp_path / "a"
    own = text_in(tmp_path / "text")
    monkeypatch.setattr(paper.pipeline.latex.shutil, "which", lambda program: None)
    monkeypatch.setattr(paper.pipeline.building, "check", lambda *_: paper.pipeline.checks.Verdict())
    monkeypatch.setattr(paper.pipeline.building, "compile_pdf", lambda text, output: compile_pdf(own, output))
    output.mkdir()
    (output / "paper.pdf").write_text("old")
    arguments = ["build", "--results", str(results), "--output", str(output), *option]
    told = CliRunner().invoke(app, arguments)
    assert told.exit_code == 0 and not (output / "paper.pdf").exists()
    assert "paper.pdf was of an earlier build, and is deleted" in " ".join(told.output.split())
    assert "earlier build" not in CliRunner().invoke(app, arguments).output


@pytest.mark.parametrize("name", ["n", "value", "measure"])
def test_a_factor_named_as_a_column_of_the_measures_is_refused(name):
    whole = tiny()
    columns = [name if column == "size" else column for column in whole.measures.columns]
    with pytest.raises(ModelError, match=f"give the factor '{name}' another name"):
        Digest(whole.name, whole.measures.set_axis(columns, axis=1), whole.provenance)


def test_a_study_with_a_factor_named_as_a_column_is_refused(tmp_path):
    from simulated_results import results_in as simulated

    with pytest.raises(ModelError, match="give the factor 'n' another name"):
        Digest.of(simulated(tmp_path, cells={"n": [10, 20]}))


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
