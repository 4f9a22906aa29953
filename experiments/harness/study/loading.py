"""From the files of a study to a validated `Study`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from saem.errors import ModelError, listing, nearest

from ...names import FOLDER
from .asking import IMPORT, Ended, ask
from .specification import Study, printable
from .truths import Truths, is_number

STUDIES = FOLDER / "studies"  # those that come with the project
QUICK = "quick"  # the table of what the quick form changes
LARGEST = 1_000_000  # bytes of a TOML file
DOTTED = re.compile(r"""(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){50}""")  # a key of so many parts


def load_study(path: Path, quick: bool = False, changes: Mapping[str, Any] | None = None) -> Study:
    """Read a study, in its quick or its full form.

    Parameters
    ----------
    path : Path
        Of the TOML file; the functions are in the file of the same name that ends in ``.py``.
    quick : bool
        Whether the table ``[quick]`` is laid over the rest.
    changes : mapping, optional
        Laid over that, such as ``{"run": {"replicates": 100}}``.

    Raises
    ------
    ModelError
        Listing all mistakes with their paths, estimands without a true value among them.
    """
    content = content_of(path)
    faster = content.pop(QUICK, {})
    if not isinstance(faster, Mapping):
        raise ModelError(f"{path} is not a valid study: quick must be a table of what the quick form changes")
    content = laid_over(content, faster if quick else {})
    content = laid_over(content, changes or {})
    try:
        study = Study(**content)
    except ValidationError as error:
        problems = list(dict.fromkeys(line for item in error.errors(include_url=False) for line in sentences(item)))
        raise ModelError(listed(path, problems), problems) from None
    except RecursionError:
        raise ModelError(f"{path} is not a valid study: its lists or tables are nested too deeply") from None
    ask(path.with_suffix(".py").resolve(), study.run, IMPORT)
    problems = problems_of_truth(path, study)
    if problems:
        raise ModelError(listed(path, problems), problems)
    return study


def content_of(path: Path) -> dict[str, Any]:
    """What the TOML file of a study holds.

    Raises
    ------
    ModelError
        When it is missing, too large, or no TOML.
    """
    name = f"the study {str(path)!r}"
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST + 1)
        if len(text) > LARGEST:
            raise ModelError(f"{name} must be a file of at most {LARGEST:,} bytes")
        words = text.decode().removeprefix("\ufeff")  # as some editors begin a file
        if DOTTED.search(words):  # `tomllib` would take time with the square of their number
            raise RecursionError
        return tomllib.loads(words)
    except FileNotFoundError:
        raise ModelError(f"there is no study {str(path)!r}") from None
    except RecursionError:
        raise ModelError(f"{name} cannot be read: its lists or tables are nested too deeply") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ModelError(f"{name} cannot be read: {printable(str(error))}") from None


def laid_over(content: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Nested tables with the changes in place of what they name; None takes it out."""
    merged = dict(content)
    for key, value in changes.items():
        below = merged.get(key)
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(below, Mapping):
            merged[key] = laid_over(below, value)
        else:
            merged[key] = value
    return merged


def sentences(item: Any) -> list[str]:
    """Mistakes in words, with their paths."""
    place = list(item["loc"])
    if item["type"] == "value_error":  # of a table as a whole
        text = item["msg"].removeprefix("Value error, ")
        where = ".".join(map(str, place))
        return [f"{where}: {line}" if where else line for line in text.split("\n")]
    is_level = place[:1] == ["design"] and place[-1] in ("str", "int", "float", "bool")
    where = ".".join(map(str, place[:-1] if is_level else place)) or "study"
    where = printable(where)
    got = f"; got {item['input']!r:.60}"
    if item["type"] == "extra_forbidden":
        known = [*Study.model_fields] if len(place) == 1 else []
        return [f"{where}: unknown key{nearest(str(place[-1]), known)}"]
    if item["type"] == "missing":
        return [f"{where}: is missing"]
    if is_level:
        return [f"{where}: a level must be a text, a number, true or false{got}"]
    if item["type"] == "string_pattern_mismatch":
        return [f"{where}: a name must have letters, digits and _ only, and not begin with a digit{got}"]
    return [f"{where}: {item['msg']}{got}"]


def listed(path: Path, problems: list[str]) -> str:
    """A message with one line a mistake."""
    return printable(f"{path} is not a valid study:\n" + "\n".join(f"  - {problem}" for problem in problems))


def problems_of_truth(path: Path, study: Study) -> list[str]:
    """Estimands that have no true value in some cell."""
    problems: dict[str, list[str]] = {}  # and the cells that have it
    truths = Truths(path, study.run)
    for cell in study.design.all():
        try:
            known = truths.of(cell)
        except Ended:  # in every other cell it may do so, too
            raise
        except ModelError as error:
            problems.setdefault(str(error), []).append(cell.name)
            continue
        for name in study.estimands:
            value = known.get(name)
            if not is_number(value):
                what = "gives it no value" if value is None else f"gives {value}, and must give a number, or nan"
                problems.setdefault(f"estimands.{name}: truth {what}", []).append(cell.name)
    found = []
    for what, cells in problems.items():
        first, line, rest = what.partition("\n")  # the lines below are of a traceback
        found.append(f"{first} (in {listing(cells, 3)}){line}{rest}")
    return found
