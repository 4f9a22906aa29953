"""The text is held to numbers, labels, entries and results, without LaTeX; every mutant of a good text is caught."""

from __future__ import annotations

import pytest
from tiny_paper import MAIN, SECTION, digest, install, numbers, text_in

from paper.pipeline.checks import check, in_abstract, typed_in
from paper.pipeline.claims import claims
from paper.pipeline.source import Source

DIGESTS = {"headline": digest()}
NUMBERS = {number.key: number for number in numbers(DIGESTS)}


def errors_of(folder, monkeypatch, main=MAIN, section=SECTION):
    manifest = install(monkeypatch)
    return check(Source(text_in(folder / "text", main, section)), NUMBERS, manifest).errors


def test_a_good_text_passes(tmp_path, monkeypatch):
    assert errors_of(tmp_path, monkeypatch) == []


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (
            r"\val{bias.10}",
            r"\val{bias.11}",
            r"sections/one.tex:3: \val{bias.11}: there is no such number (did you mean",
        ),
        (
            r"\ref{fig:picture}",
            r"\ref{fig:pictures}",
            "sections/one.tex:3: a reference to 'fig:pictures', which has no",
        ),
        (r"\pageref{sec:one}", r"\citep[see][p. 3]{rubin}", "a citation of 'rubin', which has no entry"),
        (r"\caption{A picture.}", "", r"this figure has no \caption"),
        (r"\label{tab:listing}", "", r"this table has no \label"),
        (r"{picture}\cap", r"{pictures}\cap", "there is no figure 'pictures'"),
        (r"\input{tables/listing}", "", "the text does not show the table 'listing'"),
        ("% lint: allow", "", "sections/one.tex:6: 0.55 is typed by hand"),
        ("See Figure", r"In 95\,\% see Figure", r"95\,\% is typed by hand"),
        (r"\section{One}", r"\section{One}\label{fig:picture}", "is there already"),
        (r"\section{One}", r"0.5\,\%", r"0.5\,\% is typed"),
        (r"Figure~\ref{fig:picture} and", "", "nothing in the text refers to this figure, 'fig:picture'"),
        (r"\section{One}", r"\input{sections/two}", "sections/one.tex:2: there is no file 'sections/two.tex'"),
    ],
)
def test_a_mutant_is_caught(tmp_path, monkeypatch, old, new, error):
    assert old in SECTION
    errors = errors_of(tmp_path, monkeypatch, section=SECTION.replace(old, new))
    assert any(error in one for one in errors), errors


def test_the_abstract_is_traced(tmp_path, monkeypatch):
    manifest = install(monkeypatch)
    source = Source(text_in(tmp_path / "text"))
    assert in_abstract(source) == [("bias.10", "main.tex:10"), ("bound", "main.tex:10")]
    first, second = claims(source, NUMBERS, DIGESTS)
    assert first[:6] == ("bias.10", "0.100 (0.010)", "fig:picture", ("headline",), "0123456789abcdef", "1")
    assert second.studies == () and second.label == ""
    from dataclasses import replace

    lost = NUMBERS | {"bound": replace(NUMBERS["bound"], source="somewhere")}
    (error,) = check(source, lost, manifest).errors
    assert "main.tex:10" in error and "comes from no study" in error


def test_the_abstract_may_be_a_file_of_its_own(tmp_path):
    text = text_in(
        tmp_path / "text", MAIN.replace(r"The bias is \val{bias.10} with \val{bound}.", r"\input{sections/one}")
    )
    assert in_abstract(Source(text))[0] == ("bias.10", "sections/one.tex:3")


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("3.5 times", "3.5"),
        (r"\(k^{-.55}\)", ".55"),
        (r"12\%", r"12\%"),
        (r"\vspace{1.5em}\includegraphics[width=0.5\linewidth]{a.b} \label{x1.5}", None),
        (r"\hspace{.5em} a box 0.25\textwidth wide, 1.5pt", None),
        (r"\val{a.1.2}, Section 2. In 10 cells", None),
        (r"\citep[p.~3]{a2.5} and \(n = 10\), p.\ 3", None),
        ("1.5 percent of 2", "1.5"),
        (r"a test at \setting{5\,\%} with \(k^{-\setting{0.55}}\)", None),
        (r"1.96 errors, 95\,\% confidence intervals and 95~\% intervals", None),
        (r"11.96 and 1.965", "11.96"),
        (r"covered in 95\,\% of fits", r"95\,\%"),
        (r"95\,\% of the intervals cover", r"95\,\%"),
        ("a power of 0.80 in small samples, 1.5 mm", "0.80"),
        ("$0{.}5$", "0{.}5"),
        ("in 62 per cent of the fits", "62 per cent"),
        ("in $62$ percent", "62$ percent"),
        (r"\newcommand{\found}{62\,\%}", r"62\,\%"),
    ],
)
def test_numbers_typed_by_hand_are_told_from_names_and_lengths(text, typed):
    assert typed_in(text) == typed


def test_files_that_are_not_put_in_are_told(tmp_path, monkeypatch):
    manifest, text = install(monkeypatch), text_in(tmp_path / "text")
    (text / "floats").mkdir()
    (text / "floats" / "lost.tex").write_text(r"\val{nothing}", encoding="utf-8")
    (error,) = check(Source(text), NUMBERS, manifest).errors
    assert error == r"floats/lost.tex: nothing in the text has \input of it"


def test_comments_are_no_text(tmp_path):
    (tmp_path / "a.tex").write_text("\\val{a} 5\\% % \\val{b}\n%\\val{c}\n\\\\% \\val{d}\n", encoding="utf-8")
    assert [(str(one.place), one.value) for one in Source(tmp_path).given(["val"])] == [("a.tex:1", "a")]
