"""Numbers of the text: how each is written in LaTeX, and where it comes from."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from experiments.harness.performance import WHOLE_FIT
from experiments.harness.tables import with_error
from paper.digest import Absent, Digest, Entry

NOT_THERE = r"\notthere"  # what the text shows for a number that a quick form lacks


@dataclass(frozen=True)
class Number:
    r"""A number of the text, cited as ``\val{key}``.

    Attributes
    ----------
    key : str
        Letters, digits, dots and hyphens: "absorption.textbook.3".
    text : str
        In LaTeX, for text and mathematics alike.
    source : str
        Study, measure, method and cell; or the formula.
    studies : tuple of str
        That it comes from; none for what follows from theory.
    why : str
        Why it is not there; empty for one that is.
    """

    key: str
    text: str
    source: str
    studies: tuple[str, ...] = ()
    why: str = ""


def computed(key: str, compute: Callable[[], str], source: str, *studies: str) -> Number:
    """A number by a function that returns LaTeX; where it lacks results, the number is not there."""
    try:
        return Number(key, compute(), source, studies)
    except Absent as error:
        return Number(key, NOT_THERE, source, studies, str(error))


def measured(
    key: str,
    form: Callable[[Entry], str],
    digest: Digest,
    measure: str,
    method: str,
    estimand: str = WHOLE_FIT,
    **levels: Any,
) -> Number:
    """A measure of a method in one cell, written by one of the functions below."""
    where = ", ".join(f"{name}={level}" for name, level in levels.items())
    of = f"{method}, {estimand}" if estimand != WHOLE_FIT else method
    source = f"{digest.name}: {measure} of {of}" + (f" at {where}" if where else "")
    return computed(key, lambda: form(digest.at(measure, method, estimand, **levels)), source, digest.name)


def both(entry: Entry) -> str:
    """`0.125 (0.004)`: a value with its Monte Carlo error, as many digits as the error has two of."""
    return latex(with_error(entry.value, entry.mcse))


def plain(entry: Entry) -> str:
    """The value alone, with two significant digits."""
    return significant(entry.value, 2)


def size(entry: Entry) -> str:
    """The value with one."""
    return significant(entry.value, 1)


def percent(entry: Entry) -> str:
    r"""`62 (3)\,\%`: a share, in per cent."""
    return percentage(entry.value, entry.mcse)


def percentage(value: float, mcse: float) -> str:
    r"""`62 (3)\,\%` of a share and its error; a share of 0 or 1 has no error."""
    if mcse > 0.0:
        places = max(0, -math.floor(math.log10(100.0 * mcse)))
        return rf"{100.0 * value:.{places}f} ({100.0 * mcse:.{places}f})\,\%"
    return rf"{latex(f'{100.0 * value:.4g}')}\,\%"


def known_share(value: float) -> str:
    r"""`62.3\,\%`: a share that is known exactly."""
    return rf"{100.0 * value:.{1 if 0.00095 < value < 0.9995 else 0}f}\,\%"


def significant(value: float, digits: int = 2) -> str:
    """So many significant digits, without an exponent where that reads well, thousands apart."""
    if value == 0.0 or not math.isfinite(value):
        return latex(f"{value:g}")
    exponent = math.floor(math.log10(abs(value)))
    if -5 < exponent < 9:
        short = round(value, digits - 1 - exponent)
        return latex(f"{short:,.{max(0, digits - 1 - exponent)}f}")
    return latex(f"{value:.{digits - 1}e}")


def exact(value: float) -> str:
    """A setting as it is, thousands apart."""
    return latex(f"{value:,}" if isinstance(value, int) else f"{value:.6g}")


def latex(text: str) -> str:
    r"""Thousands as `10\,000`, powers of ten, minus signs, in text and mathematics alike."""
    mantissa, e, exponent = text.partition("e")
    if e and " (" not in text and exponent.lstrip("+-").isdigit():
        return rf"\ensuremath{{{mantissa}\times 10^{{{int(exponent)}}}}}"
    text = text.replace(",", r"{\,}")
    return rf"\ensuremath{{-}}{text[1:]}" if text.startswith("-") else text
