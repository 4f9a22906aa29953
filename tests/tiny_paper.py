"""A paper of one study, one figure, one table and three numbers, for the tests of its machinery."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd

from paper.digest import Digest
from paper.pipeline.manifest import Manifest
from paper.shared.writing import Number, both, computed, measured

STUDY = "headline"
PROVENANCE = {"study": STUDY, "configuration": "0123456789abcdef", "seed": 1, "replicates": 50, "cpu_minutes": 2.5}
MANIFEST = {
    "studies": {STUDY: {"replicates": 50}},
    "figures": {"picture": {"what": "the bias by sample size"}},
    "tables": {"listing": {"what": "the bias by method"}},
}
MAIN = r"""
\documentclass{article}
\usepackage{graphicx,booktabs,array,longtable}
\newcommand{\saemnumber}[2]{\expandafter\gdef\csname saem@#1\endcsname{#2}}
\newcommand{\val}[1]{\csname saem@#1\endcsname}
\newcommand{\setting}[1]{#1}
\newcommand{\notthere}{(not there)}
\input{numbers}
\begin{document}
\begin{abstract}The bias is \val{bias.10} with \val{bound}.\end{abstract}
\input{sections/one}
\end{document}
"""
SECTION = r"""
\section{One}\label{sec:one} % 3.14 in a comment
See Figure~\ref{fig:picture} and \ref{tab:listing}: \val{bias.10}, p.\,\pageref{sec:one}.
\begin{figure}\centering\includegraphics{picture}\caption{A picture.}\label{fig:picture}\end{figure}
\begin{table}\caption{A listing.}\label{tab:listing}\input{tables/listing}\end{table}
The exponent is 0.55. % lint: allow
The level is \setting{5\,\%}.
"""


def digest(name: str = STUDY, shift: float = 0.0, cells: tuple[int, ...] = (10, 20), **provenance: Any) -> Digest:
    """Biases of two methods by sample size."""
    rows = [
        (f"n={n}", n, method, "mu", "bias", 0.1 * k + 1.0 / n + shift, 0.01, 50)
        for n in cells
        for k, method in enumerate(("ml", "saem"))
    ]
    columns = ["cell", "n", "method", "estimand", "measure", "value", "mcse"]
    frame = pd.DataFrame([row[:7] for row in rows], columns=columns).assign(n_=[row[7] for row in rows])
    frame = frame.rename(columns={"n": "size", "n_": "n"})
    return Digest(name, frame, PROVENANCE | provenance)


def draw(digests: Mapping[str, Digest]) -> Any:
    """The figure."""
    from experiments.harness.figures.style import new_page

    table = digests[STUDY].select("bias", estimand="mu")
    figure = new_page(3.3, 2.0)
    figure.subplots().errorbar(table["size"], table["value"], table["mcse"], fmt="o")
    return figure


def table(digests: Mapping[str, Digest]) -> str:
    """The table."""
    entry = digests[STUDY].at("bias", "ml", "mu", size=20)
    return rf"\begin{{tabular}}{{lr}}\toprule ml & {both(entry)} \\ \bottomrule\end{{tabular}}"


def numbers(digests: Mapping[str, Digest]) -> Iterator[Number]:
    """A measured number for each of two cells, and a bound from theory."""
    for size in (10, 20):
        yield measured(f"bias.{size}", both, digests[STUDY], "bias", "ml", "mu", size=size)
    yield computed("bound", lambda: "5.77", "theory: 4 / ln 2")


def install(monkeypatch: Any, **changes: Any) -> Manifest:
    """Let the machinery see this paper in place of the real one; `changes` replace modules by kind."""
    from paper.pipeline import building, claims, manifest, parts, verifying, watching

    small = Manifest(**MANIFEST)
    kinds = {
        "figures": {"picture": SimpleNamespace(STUDIES=(STUDY,), draw=draw)},
        "tables": {"listing": SimpleNamespace(STUDIES=(STUDY,), table=table)},
        "numbers": {"one": SimpleNamespace(numbers=numbers)},
    } | changes
    for module in (manifest, parts, claims, verifying, building, watching):
        if hasattr(module, "modules"):
            monkeypatch.setattr(module, "modules", kinds.__getitem__)
        if hasattr(module, "read_manifest"):
            monkeypatch.setattr(module, "read_manifest", lambda *_: small)
    monkeypatch.setattr(building, "problems_of_manifest", lambda cited: [])
    return small


def text_in(folder: Path, main: str = MAIN, section: str = SECTION) -> Path:
    """The text."""
    (folder / "sections").mkdir(parents=True)
    (folder / "main.tex").write_text(main, encoding="utf-8")
    (folder / "sections" / "one.tex").write_text(section, encoding="utf-8")
    return folder


def results_in(folder: Path, **changes: Any) -> Path:
    """Committed results."""
    digest(**changes).save(folder / STUDY)
    return folder
