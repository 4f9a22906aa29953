"""LaTeX: whether it is there, the PDF, and what its log says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from paper.pipeline.source import Source

PACKAGES = "latexmk texlive-latex-base texlive-latex-recommended texlive-fonts-recommended lmodern"  # of Debian
NAME = "paper"  # of the PDF
EPOCH = "946684800"  # 2000-01-01, the date that the PDF says it was made
LEAST = 1.0  # pt: boxes that are less too full are let be
SECONDS = 600.0
# no identity of the run, and no names of included files, in the PDF: the same content is the same bytes
BEFORE = r"\pdftrailerid{}\pdfsuppressptexinfo=-1 "


class Pdf(NamedTuple):
    """What came of it.

    Attributes
    ----------
    path : Path or None
        Of the PDF.
    errors : list of str
        From the log, with file and line where it says them.
    lacking : str
        What has to be installed first; empty if all is there.
    """

    path: Path | None
    errors: list[str]
    lacking: str = ""


def lacking(text: Path) -> str:
    """What has to be installed for a text, in words; empty if all is there."""
    advice = f"on Debian or Ubuntu: sudo apt-get install {PACKAGES}"
    missing = [program for program in ("latexmk", "pdflatex") if shutil.which(program) is None]
    if missing:
        return f"{' and '.join(missing)} cannot be found; {advice}"
    if shutil.which("kpsewhich") is None:
        return ""
    wanted = [f"{one.value}.cls" for one in Source(text).given(["documentclass"])]
    wanted += [f"{one.value}.sty" for one in Source(text).given(["usepackage", "RequirePackage"], lists=True)]
    own = [name for name in dict.fromkeys(wanted) if not (text / name).exists()]
    strange = [name for name in own if not _known(name)]
    return f"LaTeX lacks {', '.join(strange)}; {advice}" if strange else ""


def _known(name: str) -> bool:
    """Whether TeX knows a file."""
    return subprocess.run(["kpsewhich", name], capture_output=True, check=False, timeout=60).returncode == 0


def compile_pdf(text: Path, output: Path, main: str = "main") -> Pdf:
    """Make `output/paper.pdf` of `text/main.tex`, whose figures, tables and numbers are in `output`.

    Returns
    -------
    Pdf
        Of LaTeX's errors, undefined references and citations, missing files, and boxes too full by more than `LEAST`.
    """
    if not (text / f"{main}.tex").is_file():
        return Pdf(None, [f"{text / main}.tex is not there"])
    missing = lacking(text)
    if missing:
        return Pdf(None, [], missing)
    output, text = output.resolve(), text.resolve()
    pdf, log = output / f"{NAME}.pdf", output / f"{NAME}.log"
    pdf.unlink(missing_ok=True)  # what is there at the end was made now
    log.unlink(missing_ok=True)
    paths = os.pathsep.join([".", str(output), str(output / "figures"), ""])
    environment = os.environ | {"TEXINPUTS": paths, "BIBINPUTS": f".{os.pathsep}", "max_print_line": "10000"}
    environment |= {"SOURCE_DATE_EPOCH": EPOCH, "FORCE_SOURCE_DATE": "1", "openout_any": "a", "LC_ALL": "C"}
    command = ["latexmk", "-norc", "-pdf", "-g", "-interaction=nonstopmode", "-file-line-error"]
    command += [f"-usepretex={BEFORE}", f"-outdir={output}", f"-jobname={NAME}", f"{main}.tex"]
    try:
        ran = subprocess.run(
            command,
            cwd=text,
            env=environment,
            capture_output=True,
            timeout=SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return Pdf(None, [f"latexmk was given up after {SECONDS:g} s; see {log}"])
    if not log.exists():
        return Pdf(None, [f"latexmk: {ran.stderr.decode(errors='replace').strip()[-500:]}"])
    errors = errors_in(log.read_text(encoding="utf-8", errors="replace"))
    blg = output / f"{NAME}.blg"
    if blg.exists():
        found = re.findall(r"^(?:Warning--.*|.*---line \d+ of file .*)$", blg.read_text(errors="replace"), re.M)
        errors += [f"bibliography: {line}" for line in found]
    if not pdf.exists() or (ran.returncode and not errors):
        errors.append(f"latexmk ended with code {ran.returncode}; see {log}")
    if not pdf.exists():  # stopped on its way: nothing was defined yet
        errors = [error for error in errors if not UNDONE.search(error)]
    return Pdf(pdf if pdf.exists() else None, errors)


UNDEFINED = re.compile(
    r"^(?:LaTeX|Package \w+) Warning: ((?:Reference|Citation) [`'].*?' .*?undefined|.*multiply.defined.*)"
)
UNDONE = re.compile(r": (?:Reference|Citation) [`'].*' on page \d+ undefined$")
OVERFULL = re.compile(r"^Overfull \\([hv])box \(([\d.]+)pt too (?:wide|high)\)(.*)")
BROKEN = re.compile(r"^(\S*?\.\w+):(\d+): (.*)")


def errors_in(log: str) -> list[str]:
    """What a log complains about, with file and line."""
    errors: list[str] = []
    stack: list[str] = []
    for line in log.split("\n"):
        file = next((name for name in reversed(stack) if name), "main.tex").removeprefix("./")
        if found := BROKEN.match(line):
            errors.append(f"{found[1].removeprefix('./')}:{found[2]}: {found[3]}")
            continue
        if found := UNDEFINED.match(line):
            at = re.search(r"input line (\d+)", line)
            errors.append(f"{file}:{at[1] if at else '?'}: {found[1].strip()}")
        elif found := OVERFULL.match(line):
            if float(found[2]) > LEAST:
                at = re.search(r"at lines? (\d+)", found[3])
                way = "wide" if found[1] == "h" else "high"
                errors.append(
                    f"{file}:{at[1] if at else '?'}: a box is {found[2]} pt too {way}{'' if at else found[3]}"
                )
            continue  # brackets in what follows are text
        elif line.startswith(("! ", "!pdf")):
            errors.append(f"{file}: {line[1:].strip()}")
        elif re.match(r"^(?:LaTeX|pdfTeX) (?:Warning|Font Warning): (?!There were).*(?:not found|undefined)", line):
            errors.append(f"{file}: {line}")
        _follow(line, stack)
    return list(dict.fromkeys(errors))


def _follow(line: str, stack: list[str]) -> None:
    """Files that are opened and closed in a line of a log: `(./name.tex` and `)`."""
    for sign in re.finditer(r"\((\.{0,2}/?[^\s()<>{}\[\]]+\.\w+)?|\)", line):
        if sign[0] == ")":
            if stack:
                stack.pop()
        else:
            stack.append(sign[1] or "")
