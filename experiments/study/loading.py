"""From the files of a study to a validated `Study`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from experiments.study.functions import functions_in
from experiments.study.specification import Study
from saem.errors import ModelError, nearest

STUDIES = Path(__file__).parents[1] / "studies"  # those that come with the project
QUICK = "quick"  # the table of what the quick form changes


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
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"there is no study {str(path)!r}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ModelError(f"the study {str(path)!r} cannot be read: {error}") from None
    faster = content.pop(QUICK, {})
    content = laid_over(content, faster if quick else {})
    content = laid_over(content, changes or {})
    try:
        study = Study(**content)
    except ValidationError as error:
        problems = [sentence(item) for item in error.errors(include_url=False)]
        raise ModelError(listed(path, problems), problems) from None
    problems = problems_of_truth(path, study)
    if problems:
        raise ModelError(listed(path, problems), problems)
    return study


def laid_over(content: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Nested tables with the changes in place of what they name."""
    merged = dict(content)
    for key, value in changes.items():
        below = merged.get(key)
        both = isinstance(value, Mapping) and isinstance(below, Mapping)
        merged[key] = laid_over(below, value) if both else value  # type: ignore[arg-type]
    return merged


def sentence(item: Any) -> str:
    """One mistake in words, with its path."""
    where = ".".join(str(part) for part in item["loc"]) or "study"
    if item["type"] == "extra_forbidden":
        known = [*Study.model_fields] if len(item["loc"]) == 1 else []
        return f"{where}: unknown key{nearest(str(item['loc'][-1]), known)}"
    if item["type"] == "missing":
        return f"{where}: is missing"
    got = repr(item["input"])
    text = item["msg"].removeprefix("Value error, ")
    return f"{where}: {text}" + ("" if item["type"] == "value_error" else f"; got {got:.60}")


def listed(path: Path, problems: list[str]) -> str:
    """A message with one line a mistake."""
    return f"{path} is not a valid study:\n" + "\n".join(f"  - {problem}" for problem in problems)


def problems_of_truth(path: Path, study: Study) -> list[str]:
    """Estimands that have no true value in some cell."""
    functions = functions_in(path.with_suffix(".py"))
    problems = []
    for cell in study.design.all():
        try:
            known = functions.truth(cell)
        except Exception as error:
            problems.append(f"truth({cell.name}): {type(error).__name__}: {error}")
            continue
        for name in study.estimands:
            value = known.get(name)
            if not isinstance(value, int | float | np.number):
                problems.append(f"estimands.{name}: truth({cell.name}) gives it no value")
    return problems
