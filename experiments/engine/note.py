"""A small file in which a process notes what it does, for whoever started it, should it die."""

from __future__ import annotations

import mmap
import os
import pickle
from collections.abc import Sequence

from experiments.study.records import Record

NAME, COUNT = 256, 8  # bytes for what is under way, and for the length of what follows
SIZE = 2**18  # bytes in all


class Note:
    """The note of this process.

    Parameters
    ----------
    file : int
        Descriptor of a file of `SIZE` bytes, which another process has, too.
    """

    def __init__(self, file: int) -> None:
        self.map = mmap.mmap(file, SIZE)
        self.is_clear = True

    def begin(self, what: str, records: Sequence[Record]) -> None:
        """Note what begins, and the records that were not yet sent."""
        if records:
            content = pickle.dumps(list(records))
            room = SIZE - NAME - COUNT
            self._length(0)  # until all is there
            if len(content) <= room:
                self.map[NAME + COUNT : NAME + COUNT + len(content)] = content
                self._length(len(content))
            self.is_clear = False
        self.map[:NAME] = what.encode()[:NAME].ljust(NAME, b"\0")

    def clear(self) -> None:
        """Nothing is under way, and nothing was not sent."""
        self.map[:NAME] = bytes(NAME)
        if not self.is_clear:
            self._length(0)
            self.is_clear = True

    def _length(self, count: int) -> None:
        self.map[NAME : NAME + COUNT] = count.to_bytes(COUNT, "big")


def read(file: int) -> tuple[str | None, list[Record]]:
    """What was under way, and the records that were not yet sent."""
    content = os.pread(file, SIZE, 0)
    what = content[:NAME].rstrip(b"\0").decode(errors="replace") or None
    length = int.from_bytes(content[NAME : NAME + COUNT], "big")
    records: list[Record] = pickle.loads(content[NAME + COUNT :][:length]) if length else []
    return what, records
