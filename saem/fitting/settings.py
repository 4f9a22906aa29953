"""A method as plain values for a file, and back: its class by name, and its settings.

Only classes that the caller lists are made again, so that a file can neither name code nor contain any.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from saem.errors import ModelError

CLASS, NUMBER = "class", "number"  # keys of what JSON has no word for


def describe(value: Any) -> Any:
    """A frozen dataclass, its nested ones included, as what JSON knows.

    Raises
    ------
    ModelError
        When it is not of this package, or contains something else than numbers, texts and such dataclasses.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {NUMBER: str(value)}
    if is_dataclass(value) and not isinstance(value, type) and type(value).__module__.startswith("saem."):
        settings = {entry.name: describe(getattr(value, entry.name)) for entry in fields(value) if entry.init}
        return {CLASS: type(value).__name__, **settings}
    raise ModelError(f"{value!r:.80} cannot be written to a file: it is no setting of this package")


def _fits(value: Any, declared: str) -> bool:
    """Whether a plain value is of the type that a field declares; of others their class decides."""
    words = set(re.findall(r"\w+", declared))
    plain = {bool: {"bool"}, int: {"int", "float"}, float: {"float"}, str: {"str", "Literal"}, type(None): {"None"}}
    if type(value) in plain:
        return bool(words & plain[type(value)])
    return not isinstance(value, list) and not words <= {"int", "float", "bool", "str", "None"}


def rebuild(description: Any, classes: Mapping[str, type]) -> Any:
    """What `describe` described.

    Parameters
    ----------
    description : object
    classes : dict of str to type
        What may be made, by name.

    Raises
    ------
    ModelError
        When a class is not listed, or does not take these settings.
    """
    if not isinstance(description, dict):
        return description
    if NUMBER in description:
        return float(description[NUMBER])
    name = str(description.get(CLASS))
    if name not in classes:
        raise ModelError(f"the saved method has a part {name!r} that this saem does not know")
    settings = {key: rebuild(part, classes) for key, part in description.items() if key != CLASS}
    for entry in fields(classes[name]):
        if entry.name in settings and not _fits(settings[entry.name], str(entry.type)):
            raise ModelError(
                f"the saved settings of {name} do not fit this saem: {entry.name} must be {entry.type}; "
                f"got {settings[entry.name]!r:.40}"
            )
    try:
        return classes[name](**settings)
    except TypeError as error:
        raise ModelError(f"the saved settings of {name} do not fit this saem: {error}") from error
