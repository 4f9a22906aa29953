"""What failed in a study, by message."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .study.records import FAILED

if TYPE_CHECKING:
    from .store import Store


@dataclass
class Failure:
    """Fits of one method in one cell that failed in one way.

    Attributes
    ----------
    cell, method, status, message : str
    times : int
    first : int
        The first replicate.
    """

    cell: str
    method: str
    status: str
    message: str
    times: int
    first: int


def kind_of(message: str) -> str:
    """A message without its numbers, in which those of one kind differ."""
    return re.sub(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?", "#", message)


def failures_in(store: Store) -> list[Failure]:
    """The failures of a store, the most frequent first; messages that differ in numbers alone are one kind."""
    cells = store.cells()
    found: dict[tuple[str, str, str, str], Failure] = {}
    for key, replicate, record in store.records(statuses=FAILED):
        where = f" ({record['where']})" if record.get("where") else ""
        message = record["message"] + where
        place = cells[key].name, record["method"], record["status"]
        kind = (*place, kind_of(message))
        if kind in found:
            found[kind].times += 1
        else:
            found[kind] = Failure(*place, message, 1, replicate)
    return sorted(found.values(), key=lambda failure: -failure.times)
