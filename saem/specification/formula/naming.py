"""Names of parameters: identifiers that tell which column of a design is meant."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from saem.expressions.grammar import MAX_NAME, RESERVED

_WORDS = {
    " ": "space", "-": "minus", "+": "plus", ".": "dot", ",": "comma", "/": "slash", "<": "less", ">": "greater",
    "=": "equals", "%": "percent", "$": "dollar", "&": "and", "*": "star", "#": "hash", "@": "at", "!": "not",
    "?": "question", "(": "open", ")": "close", "[": "open", "]": "close", "'": "quote", '"': "quotes", ":": "colon",
    ";": "semicolon", "|": "bar", "~": "tilde", "^": "hat", "\\": "backslash", "\n": "newline", "\t": "tab",
    "\r": "return", "°": "degrees", "±": "plusminus", "≤": "at_most", "≥": "at_least",
}  # fmt: skip


def level_names(levels: Sequence[str]) -> list[str]:
    """A part of a name for each of several levels: letters and digits, with signs in words where these are alike.

    ``a b`` alone is ``a_b``; beside ``a-b`` it is ``a_space_b``, and the other ``a_minus_b``. Letters lose their
    accents and Greek ones are spelt out.

    Parameters
    ----------
    levels : sequence of str

    Returns
    -------
    list of str
        ASCII letters, digits and ``_``. Equal only where words do not tell levels apart, either.
    """
    plain = [identifier(level) for level in levels]
    count = Counter(plain)
    return [
        name if name and (count[name] == 1 or name == level) else spelt_out(level)
        for name, level in zip(plain, levels, strict=True)
    ]


def tells(level: str) -> bool:
    """Whether the letters of a level are those of its name, but for accents and the Greek alphabet."""
    plain = unicodedata.normalize("NFKD", level)
    return not any(c.isalpha() and not c.isascii() and "GREEK" not in unicodedata.name(c, "") for c in plain)


def identifier(text: str) -> str:
    """Letters without accents and digits; every run of other characters becomes ``_``; may be empty."""
    return re.sub(r"[^A-Za-z0-9]+", "_", in_ascii(text)).strip("_")


def spelt_out(text: str) -> str:
    """A text with its signs in words: ``<5`` becomes ``less_5``."""
    if not text:
        return "empty"
    parts: list[str] = []
    for character in text:
        if character.isascii() and (character.isalnum() or character == "_"):
            if not parts or parts[-1].startswith(" "):
                parts.append("")
            parts[-1] += character
        else:
            parts.append(" " + _WORDS.get(character, _word(character)))
    return "_".join(part.strip() for part in parts)


def _word(character: str) -> str:
    name = unicodedata.name(character, f"character {ord(character):x}").lower()
    return re.sub(r"[^a-z0-9]+", "_", name.replace("latin small letter ", "").replace("latin capital letter ", "cap "))


def distinct(names: Sequence[str]) -> tuple[tuple[str, ...], list[int]]:
    """Names that may be parameters, all different.

    Parameters
    ----------
    names : sequence of str
        (p,) identifiers, but for their first character and their length.

    Returns
    -------
    names : tuple of str
        (p,) where one occurs again it gets ``_2``, ``_3`` and so on.
    unclear : list of int
        Positions of those that do not tell what they stand for: those that occur again, and those that were cut.
    """
    found: list[str] = []
    short: list[str] = []
    for name in names:
        if name[:1].isdigit() or name in RESERVED or name in ("lambda", "None", ""):
            name = f"x_{name}" if name else "x"
        short.append(name[: MAX_NAME - 6])
    count = Counter(short)
    taken = set(short)
    for name in short:
        unique, k = name, 1
        while unique in found or (k > 1 and unique in taken):
            k += 1
            unique = f"{name}_{k}"
        found.append(unique)
    unclear = [i for i, name in enumerate(short) if count[name] > 1 or len(names[i]) > len(name)]
    return tuple(found), unclear


def in_ascii(text: str) -> str:
    """Letters without their accents, and others by the last word of their name: ``5 µM`` becomes ``5 muM``."""
    plain = []
    for character in unicodedata.normalize("NFKD", text):
        if character.isascii():
            plain.append(character)
        elif character.isalpha():
            plain.append(unicodedata.name(character, "x").split()[-1].lower())
    return "".join(plain)


def shown(level: str) -> str:
    """A level as labels show it, on one line and without what a terminal would take for an order."""
    return level if level.isprintable() else repr(level)[1:-1]
