"""A number that is written for LaTeX, as text."""

from __future__ import annotations

import re

SIGNS = {
    r"{\,}": "\u202f",
    r"\,": " ",
    r"\%": "%",
    "{,}": ",",
    r"\times": "×",
    r"\leq": "≤",
    r"\ ": " ",
    "--": "–",
    "$": "",
    "~": " ",
}


def plain(latex: str) -> str:
    """What a number in LaTeX is in a page.

    Raises
    ------
    ValueError
        When something of LaTeX is left.
    """
    text = re.sub(r"10\^\{(-?\d+)\}", lambda found: f"10^{found[1]}", latex)
    for sign, word in SIGNS.items():
        text = text.replace(sign, word)
    text = re.sub(r"\\(?:ensuremath|text|mathrm)\{([^{}]*)\}", r"\1", text).replace("-", "−")
    if re.search(r"[\\{}]", text):
        raise ValueError(f"no plain form of {latex!r}")
    return text
