"""A checksum in each JSON text of a store, so that bytes which were damaged are noticed though the text is still JSON.

It stands in the text itself, as its last key, and covers where the text belongs as well. Texts of earlier versions have
none, and are taken as they are.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

SEAL = "#seal"  # which no estimand, file or package is called
ENDING = re.compile(r', "#seal": "([0-9a-f]{16})"\}$')


def sealed(content: Mapping[str, Any], *place: object) -> str:
    """A JSON text with its checksum.

    Parameters
    ----------
    content : mapping
        Not empty.
    place
        Where in the store it belongs.
    """
    text = json.dumps(dict(content))
    return f'{text[:-1]}, "{SEAL}": "{checksum(text, place)}"}}' if content else text


def is_whole(text: str, *place: object) -> bool:
    """Whether a text is as it was written, as far as it tells."""
    found = ENDING.search(text)
    return found is None or checksum(text[: found.start()] + "}", place) == found[1]


def checksum(text: str, place: tuple[object, ...]) -> str:
    """16 hexadecimal digits."""
    words = "\0".join([*map(str, place), text])
    return hashlib.blake2b(words.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
