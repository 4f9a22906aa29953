"""What stands in a store, checked as it is read: a file may be damaged, or come from somebody else."""

from __future__ import annotations

import json
import re
from typing import Any

from experiments.study.records import ENDED, FAILED, OF_FIT, Record
from saem.errors import StorageError

HASH = re.compile(r"[0-9a-f]{16}")


def parsed(text: Any, kind: type, what: str) -> Any:
    """A JSON text as what it must be.

    Raises
    ------
    StorageError
        When it is no JSON, or of another kind.
    """
    try:
        found = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        raise damaged(what) from None
    if not isinstance(found, kind):
        raise damaged(what)
    return found


def damaged(what: str) -> StorageError:
    """That something in a store is not what a run writes."""
    return StorageError(
        f"the store is damaged: {what} cannot be read. Use a copy, or run the study into another folder"
    )


def record_in(payload: Any, cell: Any, replicate: Any, status: Any) -> Record:
    """A record.

    Raises
    ------
    StorageError
        When it is not what a run writes.
    """
    what = f"a record of replicate {replicate!r:.20}"
    record: Record = parsed(payload, dict, what)
    try:
        good = (
            isinstance(cell, str)
            and isinstance(replicate, int)
            and replicate >= 0
            and record["status"] == status
            and status in (*ENDED, *FAILED)
            and isinstance(record["method"], str)
            and isinstance(record["message"], str)
            and isinstance(record["warnings"], list)
            and all(isinstance(text, str) for text in record["warnings"])
            and HASH.fullmatch(record.get("data") or "0" * 16) is not None
        )
        for name in (*OF_FIT, "seconds"):
            record[name] = number(record[name])
        record["numbers"] = [[number(value) for value in own] for own in record["numbers"]]
        good = good and all(len(own) == 5 for own in record["numbers"])
    except (KeyError, TypeError, ValueError, OverflowError):
        good = False
    if not good:
        raise damaged(what)
    return record


def number(value: Any) -> float:
    """A number as it is computed with.

    Raises
    ------
    TypeError, OverflowError
    """
    if type(value) is float:
        return value
    if type(value) is not int:
        raise TypeError
    return float(value)


def levels_in(text: Any) -> dict[str, Any]:
    """The levels of a cell.

    Raises
    ------
    StorageError
        When they are not what a run writes.
    """
    found: dict[str, Any] = parsed(text, dict, "a cell")
    if not all(isinstance(level, str | int | float) for level in found.values()):
        raise damaged("a cell")
    return found
