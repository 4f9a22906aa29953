"""Plain text as LaTeX."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

SIGNS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\ensuremath{<}",
    ">": r"\ensuremath{>}",
    "|": r"\ensuremath{|}",
    "×": r"\ensuremath{\times}",
    "±": r"\ensuremath{\pm}",
    "−": r"\ensuremath{-}",
    "–": "--",
    "—": "---",
    "≤": r"\ensuremath{\le}",
    "≥": r"\ensuremath{\ge}",
    "’": "'",
    "…": r"\ldots{}",
} | {letter: rf"\ensuremath{{\{name}}}" for letter, name in zip(
    "αβγδθλμπρσψωΓΔΩ",
    "alpha beta gamma delta theta lambda mu pi rho sigma psi omega Gamma Delta Omega".split(),
    strict=True,
)}  # fmt: skip


def escaped(text: str) -> str:
    """Text with the signs that mean something to LaTeX as themselves; white space as one blank."""
    return "".join(SIGNS.get(sign, sign) for sign in " ".join(str(text).split()))


def code(text: str) -> str:
    """In typewriter letters, with places where a line may end after dots, underscores, hyphens and slashes."""
    shown = escaped(text)
    for sign in (r"\_", ".", "-", "/", "="):
        shown = shown.replace(sign, sign + r"\allowbreak{}")
    return rf"\texttt{{{shown}}}"


def longtable(
    widths: Sequence[float], header: Sequence[str], rows: Iterable[Sequence[str] | str], caption: str, label: str
) -> str:
    r"""A table that may go over several pages, of `\footnotesize`, with caption and label.

    Parameters
    ----------
    widths : sequence of float
        Of the columns, without the room between them, as shares of the line.
    header : sequence of str
        LaTeX; none where it is empty.
    rows : iterable
        LaTeX of the cells; or of a whole row.
    caption, label : str
    """
    gap = f"{2 * (len(widths) - 1) / len(widths):.4f}"
    columns = "".join(
        rf">{{\raggedright\arraybackslash}}p{{\dimexpr {width:.4f}\linewidth-{gap}\tabcolsep\relax}}"
        for width in widths
    )
    head = (" & ".join(header) + r" \\" + "\n" + r"\midrule") if header else ""
    lines = [r"{\footnotesize\setlength{\LTcapwidth}{\linewidth}", rf"\begin{{longtable}}{{@{{}}{columns}@{{}}}}"]
    lines += [rf"\caption{{{caption}}}\label{{{label}}}\\", r"\toprule", head, r"\endfirsthead"]
    lines += [r"\toprule", head, r"\endhead", r"\bottomrule", r"\endlastfoot"]
    lines += [row if isinstance(row, str) else " & ".join(row) + r" \\" for row in rows]
    return "\n".join(line for line in [*lines, r"\end{longtable}", "}"] if line)
