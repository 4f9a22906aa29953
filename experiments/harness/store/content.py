"""What stands in a store, checked as it is read: a file may be damaged, or come from somebody else."""

from __future__ import annotations

import json
import re
from typing import Any

from saem.errors import StorageError
from saem.system.display import printable

from ..study.cells import Cell
from ..study.records import ENDED, FAILED, OF_FIT, Record
from .sealing import SEAL, is_whole

HASH = re.compile(r"[0-9a-f]{16}")


WHAT_TO_DO = "Use a copy, or run the study into another folder"
KEYS = {  # of a record; a damaged name would hide what it names, or the checksum
    *("method", "status", "message", "warnings", "seconds", "numbers", *OF_FIT),
    *("data", "where", "limit"),
}


def parsed(text: Any, kind: type, what: str, *place: object) -> Any:
    """A JSON text as what it must be, without its checksum; see `experiments.store.sealing`.

    Raises
    ------
    StorageError
        When it is no JSON, of another kind, or not as it was written.
    """
    try:
        found = json.loads(text)
        good = isinstance(found, kind) and is_whole(text, *place)
    except (TypeError, ValueError, RecursionError):
        good = False
    if not good:
        raise damaged(what)
    if isinstance(found, dict):
        found.pop(SEAL, None)
    return found


def damaged(what: str, remedy: str = WHAT_TO_DO) -> StorageError:
    """That something in a store is not what a run writes."""
    return StorageError(f"the store is damaged: {what} cannot be read, or is not as it was written. {remedy}")


def damaged_record(cell: Any, replicate: Any, method: Any) -> StorageError:
    """That a record is not what a run writes."""
    return damaged(
        f"the record of {printable(f'{method!s:.60}')}, replicate {printable(f'{replicate!s:.20}')}, in the cell with "
        f"the key {printable(f'{cell!s:.16}')}",
        f"'run --retry damaged' drops such records and makes them again; or {WHAT_TO_DO[0].lower() + WHAT_TO_DO[1:]}",
    )


def record_in(payload: Any, cell: Any, replicate: Any, method: Any, status: Any) -> Record:
    """A record.

    Raises
    ------
    StorageError
        When it is not what a run writes, or not at its place.
    """
    try:
        record: Record = parsed(payload, dict, "", cell, replicate)
        good = (
            isinstance(cell, str)
            and isinstance(replicate, int)
            and replicate >= 0
            and record["status"] == status
            and status in (*ENDED, *FAILED)
            and record["method"] == method
            and isinstance(record["method"], str)
            and isinstance(record["message"], str)
            and isinstance(record["warnings"], list)
            and all(isinstance(text, str) for text in record["warnings"])
            and HASH.fullmatch(record.get("data") or "0" * 16) is not None
            and record.keys() <= KEYS
        )
        for name in (*OF_FIT, "seconds"):
            record[name] = number(record[name])
        record["numbers"] = [[number(value) for value in own] for own in record["numbers"]]
        good = good and all(len(own) == 5 for own in record["numbers"])
    except (KeyError, TypeError, ValueError, OverflowError):  # also what `parsed` raises
        good = False
    if not good:
        raise damaged_record(cell, replicate, method)
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


def cell_in(key: Any, text: Any) -> Cell:
    """A cell, whose key is a checksum of its levels.

    Raises
    ------
    StorageError
        When they are not what a run writes.
    """
    found: dict[str, Any] = parsed(text, dict, "a cell")
    if not all(isinstance(level, str | int | float) for level in found.values()):
        raise damaged("a cell")
    cell = Cell(found)
    if cell.key != key:
        raise damaged("a cell")
    return cell
