"""The site: every public name, recipe and figure has its place, and what is wrong with a page is found."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from documented import ROOT

import saem
from saem import batch, data, datasets, plotting, recipes, schedules

DOCS = ROOT / "docs"
GALLERY = sorted((ROOT / "examples" / "gallery").rglob("plot_*.py"))
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))
PLAIN = {"SHADE", "LATEST", "__version__"}  # a colour and two numbers

spec = importlib.util.spec_from_file_location("check", DOCS / "check.py")
assert spec is not None and spec.loader is not None
check = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check)


@pytest.mark.parametrize(
    "module", [saem, batch, data, datasets, plotting, schedules], ids=lambda module: module.__name__
)
def test_every_public_name_is_in_the_reference(module: object) -> None:
    listed: dict[str, set[str]] = {}
    for path in (DOCS / "reference").glob("*.rst"):
        for part in path.read_text(encoding="utf-8").split(".. currentmodule:: ")[1:]:
            name, *lines = part.splitlines()
            listed.setdefault(name, set()).update(line.strip() for line in lines)
    public = {name for name in module.__all__ if not isinstance(getattr(module, name), ModuleType)}  # type: ignore[attr-defined]
    assert sorted(public - listed[module.__name__] - PLAIN) == []  # type: ignore[attr-defined]


def test_the_gallery_shows_every_recipe_and_every_figure() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in GALLERY)
    drawn = [name for name in plotting.__all__ if name.startswith("plot_")]
    assert [name for name in drawn if f"{name}(" not in text] == []
    assert [name for name in recipes.names() if f'recipes.text("{name}")' not in text] == []


@pytest.mark.parametrize("path", GALLERY, ids=lambda path: path.stem)
def test_an_example_of_the_gallery_has_a_title_and_words_for_its_figures(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.match(r'"""\n.+\n=+\n\n', text)
    words = re.findall(r'^# sphinx_gallery_alt = "(.+)"$', text, flags=re.M)
    assert words and all(len(each.split()) >= 8 for each in words)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_kept_without_outputs(path: Path) -> None:
    cells = [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert cells and not [cell for cell in cells if cell["outputs"] or cell["execution_count"] is not None]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(path, 4)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in shown)


def test_pages_that_are_spoken_of_are_there() -> None:
    """Code, tests and other texts name pages by their paths."""
    folders = ("saem", "experiments", "benchmarks", "tests", "paper", "examples")
    files = [path for name in folders for path in (ROOT / name).rglob("*.*") if path.suffix in (".py", ".toml", ".md")]
    files += [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
    named = {found for path in files for found in re.findall(r"docs/[\w-]+\.md", path.read_text(encoding="utf-8"))}
    assert "docs/studies.md" in named and sorted(name for name in named if not (ROOT / name).is_file()) == []


GOOD = '<p id="a"><img src="x.png" alt="a curve that falls"><a href="#a">here</a> <a href="index.html#a">there</a></p>'


@pytest.mark.parametrize(
    ("page", "wrong"),
    [
        (GOOD, None),
        (GOOD.replace('alt="a curve that falls"', 'alt="x"'), "the image x.png has no words"),
        (GOOD.replace("#a", "#b", 1), "#b has no such place"),
        (GOOD.replace("index.html", "gone.html"), "gone.html#a leads nowhere"),
        (GOOD + '<script src="https://elsewhere.org/a.js"></script>', "is loaded from elsewhere"),
    ],
)
def test_what_looks_at_the_site_finds_what_is_wrong(tmp_path: Path, page: str, wrong: str | None) -> None:
    (tmp_path / "index.html").write_text(page)
    (tmp_path / "x.png").touch()
    found = check.problems(tmp_path)
    assert found == [] if wrong is None else len(found) == 1 and wrong in found[0]


sys.path.insert(0, str(DOCS / "_ext"))


@pytest.mark.parametrize(
    ("latex", "text"),
    [(r"49 (4)\,\%", "49 (4) %"), (r"2{\,}787", "2\u202f787"), (r"\ensuremath{-}0.39", "−0.39")],
)
def test_numbers_of_the_paper_are_plain_on_a_page(latex: str, text: str) -> None:
    from latex_as_text import plain

    assert plain(latex) == text
    with pytest.raises(ValueError, match="no plain form"):
        plain(r"\frac{1}{2}")
