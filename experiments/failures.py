"""What failed in a study, by message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from experiments.study.records import FAILED

if TYPE_CHECKING:
    from experiments.store import Store


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


def failures_in(store: Store) -> list[Failure]:
    """The failures of a store, the most frequent first."""
    cells = store.cells()
    found: dict[tuple[str, str, str, str], Failure] = {}
    for key, replicate, record in store.records(statuses=FAILED):
        kind = cells[key].name, record["method"], record["status"], record["message"]
        if kind in found:
            found[kind].times += 1
        else:
            found[kind] = Failure(*kind, 1, replicate)
    return sorted(found.values(), key=lambda failure: -failure.times)
