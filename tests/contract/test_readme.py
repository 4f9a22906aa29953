"""The README fits on a page, and whoever follows it sees what it says."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest
from commandline import invoke
from documented import ROOT, fenced

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    (saem .*)$", README, flags=re.M)


def test_it_fits_on_a_page() -> None:
    assert len(README.splitlines()) <= 100
    assert all(len(block.splitlines()) <= 10 for block in fenced(README, "text"))
    assert README.count("![") == 1


def test_what_it_links_to_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)", README)
    assert len(links) > 10 and not [link for link in links if not (ROOT / link).is_file()]


def test_its_targets_are_those_of_make() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.M))
    asked = set(re.findall(r"(?:^    |`)make ([a-z-]+)", README, flags=re.M))
    assert {"study", "test", "docs"} <= asked <= targets


def test_it_can_be_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commands, in one folder, print its transcript; its model file is the recipe's; its Python runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    assert [line.split()[1] for line in COMMANDS] == ["recipe", "check", "fit"]
    printed = [invoke(*shlex.split(line)[1:]).output for line in COMMANDS]
    (transcript,) = fenced(README, "text")
    assert transcript in re.sub(r" +$", "", printed[-1], flags=re.M)
    written = {" ".join(line.split("#")[0].split()) for line in (tmp_path / "peptide.toml").read_text().splitlines()}
    (heart,) = fenced(README, "toml")
    assert [line for line in heart.splitlines() if " ".join(line.split()) not in written] == []
    (code,) = fenced(README)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(code, {})
    assert "converged" in said.getvalue()
