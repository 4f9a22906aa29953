"""Reading model files, and saying in words what is wrong with them."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from saem.errors import ModelError, nearest

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

MAX_BYTES = 64 * 1024
MAX_PROBLEMS = 30
TABLES = (".csv", ".tsv", ".gz", ".parquet", ".pq")


def text_of(path: Path) -> str:
    """Content of a model file.

    Parameters
    ----------
    path : Path

    Raises
    ------
    ModelError
        If it cannot be read, is too long or is no text.
    """
    if path.suffix.lower() in TABLES:
        raise ModelError(f"the model file {str(path)!r} is a table: the model file (TOML) comes first, then the table")
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # reading it might never end
            raise ModelError(f"the model file {str(path)!r} is a device or a pipe; write the model to a file first")
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except ModelError:
        raise
    except FileNotFoundError:
        raise ModelError(f"there is no model file {str(path)!r}; 'saem recipe NAME' writes one to start from") from None
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"the model file {str(path)!r:.300} cannot be read: {reason}") from None
    if len(content) > MAX_BYTES:
        raise ModelError(f"the model file {str(path)!r} is larger than {MAX_BYTES // 1024} kB; is it a model file?")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise ModelError(f"the model file {str(path)!r} is not UTF-8 text; save it as UTF-8") from None


def read_toml(text: str, source: str) -> dict[str, Any]:
    """Parse TOML of bounded size.

    Parameters
    ----------
    text : str
    source : str
        Where it came from, for messages.
    """
    text = text.removeprefix("\ufeff")
    if len(text) > MAX_BYTES:
        raise ModelError(f"{source} is longer than {MAX_BYTES} characters; is it a model file?")
    if any(line.count(".") > 200 or len(line) > 8000 for line in text.splitlines()):
        raise ModelError(f"{source} has a line that is too long, or with too many dots")
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "brackets are nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ModelError(
            f"{source} is not valid TOML: {reason}; texts such as expressions must be between quotes"
        ) from None


def explain(error: ValidationError, keys: Sequence[str]) -> ModelError:
    """Translate what pydantic found into one error that lists every mistake.

    Parameters
    ----------
    error : ValidationError
    keys : sequence of str
        The valid keys.

    Returns
    -------
    ModelError
        Of a more special class if it fits all mistakes.
    """
    problems: list[str] = []
    classes: set[type[ModelError]] = set()
    for item in error.errors(include_url=False):
        where = ".".join(str(part) for part in item["loc"] if part != "constraints")
        cause = item.get("ctx", {}).get("error")
        if isinstance(cause, ModelError):
            classes.add(type(cause))
            problems.extend(f"{where}: {problem}" if where else problem for problem in cause.problems)
        else:
            classes.add(ModelError)
            problems.append(_sentence(item, where, keys))
    problems = list(dict.fromkeys(problems))
    if len(problems) > MAX_PROBLEMS:
        problems = [*problems[:MAX_PROBLEMS], f"and {len(problems) - MAX_PROBLEMS} more mistakes"]
    return (classes.pop() if len(classes) == 1 else ModelError)("; ".join(problems), problems)


def _sentence(item: ErrorDetails, where: str, keys: Sequence[str]) -> str:
    """One mistake in words."""
    value = repr(item["input"])
    shown = value if len(value) <= 60 else value[:57] + "..."
    match item["type"]:
        case "extra_forbidden":
            return f"unknown key {where!r}{nearest(where, keys)}; the keys are {', '.join(keys)}"
        case "missing":
            return f"the key {where!r} is missing"
        case "literal_error":
            expected = str(item["ctx"]["expected"])
            choices = expected.replace("'", "").replace(" or ", ", ").split(", ")
            return f"{where} must be {expected}; got {shown}{nearest(str(item['input']), choices)}"
        case "string_type":
            return f"{where} must be a text in quotes; got {shown}"
        case "dict_type" | "model_type" | "model_attributes_type":
            return f"{where} must be a table of keys and values; got {shown}"
        case "float_type" | "finite_number":
            return f"{where} must be a finite number; got {shown}"
        case "tuple_type":
            return f"{where} must be the name of a column, or a list of names; got {shown}"
        case "string_too_short" | "too_short":
            return f"{where} must not be empty"
    return f"{where}: {item['msg']}; got {shown}"
