"""A small file in which a process notes what it does, for whoever started it, should it die or stand still."""

from __future__ import annotations

import mmap
import os
import pickle
import struct
import time
from collections.abc import Sequence
from typing import Any

NAME, COUNT = 256, 8  # bytes for what is under way, and for the length of what follows
BEGUN = struct.Struct("d")  # when it began, by the clock of the machine, behind the name
HEAD = NAME + BEGUN.size
SIZE = 2**18  # bytes in all
SPOILED = 113  # exit code of a process whose files were closed by what it ran


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

    def begin(self, what: str, records: Sequence[Any] = ()) -> None:
        """Note what begins, and the records that were not yet sent."""
        if records:
            content = pickle.dumps(list(records))
            room = SIZE - HEAD - COUNT
            self._length(0)  # until all is there
            if len(content) <= room:
                self.map[HEAD + COUNT : HEAD + COUNT + len(content)] = content
                self._length(len(content))
            self.is_clear = False
        name = what.encode("utf-8", "replace")[:NAME].ljust(NAME, b"\0")
        self.map[:HEAD] = name + BEGUN.pack(time.monotonic())

    def clear(self) -> None:
        """Nothing is under way, and nothing was not sent."""
        self.map[:HEAD] = bytes(HEAD)
        if not self.is_clear:
            self._length(0)
            self.is_clear = True

    def _length(self, count: int) -> None:
        self.map[HEAD : HEAD + COUNT] = count.to_bytes(COUNT, "big")


def read(file: int) -> tuple[str | None, list[Any]]:
    """What was under way, and the records that were not yet sent."""
    content = os.pread(file, SIZE, 0)
    what = content[:NAME].rstrip(b"\0").decode(errors="replace") or None
    length = int.from_bytes(content[HEAD : HEAD + COUNT], "big")
    records: list[Any] = pickle.loads(content[HEAD + COUNT :][:length]) if length else []
    return what, records


def seconds_under_way(file: int) -> float:
    """How long what is under way has been so; 0 if nothing is."""
    (begun,) = BEGUN.unpack(os.pread(file, BEGUN.size, NAME))
    return time.monotonic() - begun if begun else 0.0
