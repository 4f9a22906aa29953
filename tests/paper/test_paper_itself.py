"""The paper of this project: manifest, modules, text and committed results go together, and mutants of it do not."""

from __future__ import annotations

import shutil

import pytest

from paper.pipeline.building import build
from paper.pipeline.checks import check
from paper.pipeline.manifest import KINDS, PAPER, RESULTS, TEXT, modules, read_manifest
from paper.pipeline.source import Source
from paper.pipeline.watching import used_by


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """All but the PDF, from the committed results, and what takes long and is in the slow tests' builds.

    That is: figures are not drawn (some are in the tests of what they show), nor made into files; the table of claims,
    which draws them to see what they use, has no rows; and nobody asks whether studies have changed, which is no
    error.
    """
    folder = tmp_path_factory.mktemp("paper")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("experiments.harness.figures.saving.save", lambda figure, folder, name: ())
        for figure in modules("figures").values():
            patch.setattr(figure, "draw", lambda digests: None)
        patch.setattr("paper.tables.claims.claims", lambda *_: [])
        patch.setattr("paper.tables.claims.all_numbers", lambda digests: {})
        patch.setattr("paper.pipeline.building.changed_since", lambda digests: [])
        return build(RESULTS, folder, with_pdf=False), folder


def test_all_that_the_text_shows_and_cites_is_in_the_results_and_all_that_is_listed_is_shown(built):
    assert built[0].errors == []


@pytest.mark.parametrize(
    ("mutant", "error"),
    [
        (r"\val{there.is.no.such.number}", "there is no such number"),
        (r"\ref{there.is.no.such.label}", "has no label"),
        (r"\cite{nobody1900}", "has no entry in the bibliography"),
        ("It was 12.5 times as fast.", "12.5 is typed by hand"),
        (r"\includegraphics{nothing}", "there is no figure 'nothing'"),
    ],
)
def test_a_mutant_of_the_text_fails(built, tmp_path, mutant, error):
    text = tmp_path / "text"
    shutil.copytree(TEXT, text)
    section = next(iter(sorted((text / "sections").glob("*.tex"))))
    section.write_text(section.read_text(encoding="utf-8") + f"\n{mutant}\n", encoding="utf-8")
    generated = {path.stem: path.read_text(encoding="utf-8") for path in (built[1] / "tables").glob("*.tex")}
    before, after = (
        check(Source(folder), built[0].made.numbers, read_manifest(), generated).errors for folder in (TEXT, text)
    )
    errors = [error for error in after if error not in before]
    assert len(errors) == 1 and error in errors[0] and section.name in errors[0]


def test_the_committed_results_are_small():
    assert sum(path.stat().st_size for path in RESULTS.rglob("*") if path.is_file()) < 4 * 2**20


def test_no_module_holds_a_name_of_a_study_that_the_manifest_lacks():
    for kind in KINDS[:2]:
        for name, module in modules(kind).items():
            assert set(module.STUDIES) <= set(read_manifest().sources), (kind, name)


@pytest.mark.slow
def test_figures_use_results_of_the_studies_that_they_name():
    from paper.digest import Digests

    digests = Digests(RESULTS)
    for kind, name, _ in read_manifest().shown():
        module = modules(kind)[name]
        used = {key.study for key in used_by(module.draw if kind == "figures" else module.table, digests)}
        assert used <= set(module.STUDIES), name


@pytest.mark.slow
def test_the_paper_is_the_same_bytes_again(tmp_path):
    for name in ("first", "second"):
        assert build(RESULTS, tmp_path / name, with_pdf=False).errors == []
    written = sorted((tmp_path / "first").rglob("*.*"))
    assert {path.suffix for path in written} >= {".pdf", ".png", ".tex", ".csv"}
    for path in written:
        assert path.read_bytes() == (tmp_path / "second" / path.relative_to(tmp_path / "first")).read_bytes(), path


def test_the_folder_says_how_it_is_used():
    told = (PAPER / "README.md").read_text(encoding="utf-8")
    for command in ("make paper", "make paper-quick", "make paper-full", "make paper-verify", "python -m paper adopt"):
        assert command in told
