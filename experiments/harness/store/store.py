"""One SQLite file for a study (or a shard of it): written by one driver, readable by others while it runs.

A row is one method on one data set. Rows are kept as they come, a transaction for each batch of tasks; nothing that was
committed is lost when the driver is killed.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

import numpy as np

from saem.errors import StorageError

from ..study.cells import Cell
from ..study.records import CRASHED, TIMEOUT, Record
from ..study.tasks import FOREVER, Result
from .connecting import FILE, UNREADABLE, finish, reading, taken, unreadable, writing
from .content import cell_in, damaged, number, parsed, record_in
from .identity import ACCEPTABLE, changes, refusal
from .sealing import sealed

PLACE = "cell = ? AND replicate = ? AND method = ?"


class Store:
    """The records of a study.

    Parameters
    ----------
    folder : Path
        Made where it is not there.
    identity : mapping of str to str, optional
        What the records depend on, part by part: a part that differs from what is there is refused, a new part is
        added. Without it the store is opened for reading, also while a run writes to it, or where nothing can be
        written.
    accept : bool
        Whether functions, options of methods and the code of saem may differ: the records of before stay then.

    Attributes
    ----------
    accepted : tuple of str
        The parts that differed and were accepted.

    Raises
    ------
    StorageError
        When there is no store to read, it belongs to another study, another run writes to it, or the disk refuses.
    """

    def __init__(self, folder: Path, identity: Mapping[str, str] | None = None, accept: bool = False) -> None:
        self.folder = folder
        self.lock: sqlite3.Connection | None = None
        self.copy: TemporaryDirectory[str] | None = None
        self.accepted: tuple[str, ...] = ()
        if identity is None:
            self.db, self.copy = reading(folder)
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.lock = taken(folder)
            self.db = writing(folder)
        except (OSError, sqlite3.DatabaseError) as error:
            self.close()
            raise StorageError(f"{folder} cannot be written: {error}; choose another folder") from error
        self.file = identity_of_file(folder)
        try:
            self.claim(identity, accept)
        except UNREADABLE as error:
            self.close()
            raise unreadable(folder, error) from error

    def claim(self, identity: Mapping[str, str], accept: bool) -> None:
        """Refuse another study, and note what is new."""
        changed = changes(self.identity(), identity)
        if changed and not self.db.execute("SELECT COUNT(*) FROM records").fetchone()[0]:
            self.db.execute("DELETE FROM identity")  # nothing depends on it yet
            changed = []
        if changed and not (accept and all(part.startswith(ACCEPTABLE) for part in changed)):
            self.close()
            raise refusal(self.folder, changed, accept)
        with self.transaction():
            self.db.executemany("DELETE FROM identity WHERE part = ?", [(part,) for part in changed])
            self.db.executemany("INSERT OR IGNORE INTO identity VALUES (?, ?)", identity.items())
        self.accepted = tuple(changed)

    def done(
        self,
        methods: Iterable[str],
        replicates: int,
        limit: float,
        again: bool = True,
        retried: Collection[str] = (),
    ) -> dict[str, np.ndarray]:
        """What need not be run again: by cell, whether (n_methods, n_replicates) are there.

        What was killed is tried again, and what did not end within less time than the limit now; or not, if `again` is
        false. So is what has a status of `retried`.
        """
        place = {method: k for k, method in enumerate(methods)}
        found: dict[str, np.ndarray] = {}
        query = "SELECT cell, replicate, method, status FROM records WHERE replicate >= 0 AND replicate < ?"
        for cell, replicate, method, status in self.db.execute(query, (replicates,)):
            is_open = (again and status == CRASHED) or status in retried
            if again and status == TIMEOUT and not is_open:
                is_open = self.limit_of(cell, replicate, method) < min(limit, FOREVER)
            if method in place and not is_open:
                own = found.setdefault(cell, np.zeros((len(place), replicates), dtype=bool))
                own[place[method], replicate] = True
        return found

    def limit_of(self, *place: object) -> float:
        """The seconds within which a fit did not end."""
        ((payload,),) = self.db.execute(f"SELECT payload FROM records WHERE {PLACE}", place)
        limit = parsed(payload, dict, "a record", *place[:2]).get("limit")
        return number(limit) if isinstance(limit, int | float) else 0.0

    def drop_damaged(self) -> int:
        """Forget the records that are not as they were written, and return how many there were."""
        bad = []
        for row in self.db.execute("SELECT cell, replicate, method, status, payload FROM records"):
            cell, replicate, method, status, payload = row
            try:
                record_in(payload, cell, replicate, method, status)
            except StorageError:
                bad.append((cell, replicate, method))
        with self.transaction():
            self.db.executemany(f"DELETE FROM records WHERE {PLACE}", bad)
        return len(bad)

    def add(self, results: Iterable[Result]) -> None:
        """Keep the records of some tasks, all or none."""
        results = [result for result in results if result.records]
        if not results:
            return
        with self.transaction():
            self.add_cells({result.task.cell for result in results})
            for result in results:
                place = result.task.cell.key, result.task.replicate
                for record in result.records:
                    row = (*place, record["method"], record["status"], sealed(record, *place))
                    self.db.execute("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?)", row)
                    self.add_data(*place, record)

    def add_cells(self, cells: Iterable[Cell]) -> None:
        """Note cells, within a transaction."""
        rows = [(cell.key, json.dumps(dict(cell.levels))) for cell in cells]
        self.db.executemany("INSERT OR IGNORE INTO cells VALUES (?, ?)", rows)

    def add_data(self, cell: str, replicate: int, record: Record) -> None:
        """Note which data a method saw, within a transaction: others of the replicate may have seen other ones."""
        if known := record.get("data"):
            self.db.execute(
                "INSERT INTO data VALUES (?, ?, ?, 0) ON CONFLICT DO UPDATE SET mixed = mixed OR hash != excluded.hash",
                (cell, replicate, known),
            )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of a block is kept, or nothing of it."""
        if identity_of_file(self.folder) != self.file:
            raise StorageError(
                f"{self.folder / FILE} was removed or replaced while it was written to, perhaps by what a method does; "
                "what it held is lost. Run the same command again"
            )
        try:
            self.db.execute("BEGIN IMMEDIATE")
            yield
            self.db.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            raise StorageError(
                f"{self.folder / FILE} cannot be written: {error}. What it holds so far is kept; make room, and run "
                "the same command again"
            ) from error
        finally:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")

    def cells(self) -> dict[str, Cell]:
        """By key."""
        return {key: cell_in(key, levels) for key, levels in self.db.execute("SELECT key, levels FROM cells")}

    def counts(self) -> list[tuple[str, str, str, int]]:
        """Cell, method, status, and how many records."""
        query = "SELECT cell, method, status, COUNT(*) FROM records GROUP BY cell, method, status"
        return list(self.db.execute(query))

    def records(
        self,
        cells: Iterable[str] | None = None,
        replicates: int | None = None,
        statuses: Collection[str] | None = None,
    ) -> Iterator[tuple[str, int, Record]]:
        """Cell, replicate and record, in the order of the keys; of some cells, first replicates, or statuses only.

        They are read as they are needed.
        """
        query = "SELECT cell, replicate, method, status, payload FROM records WHERE cell = ? AND replicate < ?"
        for key in sorted(self.cells() if cells is None else cells):
            rows = self.db.execute(f"{query} ORDER BY replicate, method", (key, replicates or sys.maxsize))
            with closing(rows):  # also at an error, whose traceback would keep the file locked
                for cell, replicate, method, status, payload in rows:
                    if statuses is None or status in statuses:
                        yield cell, replicate, record_in(payload, cell, replicate, method, status)

    def rows_of(self, table: str, condition: str = "1") -> list[tuple[Any, ...]]:
        """The rows of a table; none where an earlier version made the store without it."""
        there = self.db.execute("SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = ?", (table,))
        return list(self.db.execute(f"SELECT * FROM {table} WHERE {condition}")) if there.fetchone()[0] else []

    def mixed(self) -> set[tuple[str, int]]:
        """Keys of cells and replicates whose methods did not all see the same data."""
        return {(cell, replicate) for cell, replicate, *_ in self.rows_of("data", "mixed")}

    def truths(self, syntax: str) -> dict[str, dict[str, float]]:
        """The true values that a function `truth` of this syntax gave, by the cell's key."""
        kept = {cell: content for own, cell, content in self.rows_of("truths") if own == syntax}
        what = "the true values"
        found = {str(cell): parsed(content, dict, what, syntax, cell) for cell, content in kept.items()}
        if not all(isinstance(value, int | float) for values in found.values() for value in values.values()):
            raise damaged("the true values")
        return found

    def keep_truths(self, syntax: str, truths: Mapping[str, Mapping[str, float]]) -> None:
        """Keep true values, by the cell's key."""
        rows = [(syntax, cell, sealed(values, syntax, cell)) for cell, values in truths.items()]
        with self.transaction():
            self.db.executemany("INSERT OR REPLACE INTO truths VALUES (?, ?, ?)", rows)

    def sources(self) -> dict[str, str]:
        """The last files of the study that were kept, by name."""
        rows = self.rows_of("sources")
        return parsed(rows[-1][2], dict, "the files of the study", rows[-1][1]) if rows else {}

    def keep_sources(self, digest: str, files: Mapping[str, str]) -> None:
        """Keep the files of a study; the same ones once."""
        with self.transaction():
            self.db.execute("DELETE FROM sources WHERE digest = ?", (digest,))
            self.db.execute("INSERT INTO sources (digest, files) VALUES (?, ?)", (digest, sealed(files, digest)))

    def is_written_to(self) -> bool:
        """Whether a run, of any process, has the store."""
        try:
            taken(self.folder).close()
        except StorageError:
            return True
        except sqlite3.OperationalError:  # a folder that cannot be written
            return False
        return False

    def begin(self, provenance: Mapping[str, Any]) -> int:
        """Note a run that begins, and return its number; `end` completes it."""
        with self.transaction():
            number = self.db.execute("INSERT INTO runs (provenance) VALUES (?)", (sealed(provenance),)).lastrowid
        return int(number or 0)

    def end(self, number: int, provenance: Mapping[str, Any]) -> None:
        """Note how a run ended."""
        with self.transaction():
            self.db.execute("UPDATE runs SET provenance = ? WHERE number = ?", (sealed(provenance), number))

    def runs(self) -> list[dict[str, Any]]:
        """The provenance of the runs, in order."""
        texts = self.db.execute("SELECT provenance FROM runs ORDER BY number")
        return [parsed(text, dict, "the note of a run") for (text,) in texts]

    def identity(self) -> dict[str, str]:
        """What the records depend on."""
        return dict(self.db.execute("SELECT part, value FROM identity"))

    def close(self) -> None:
        """Close the file; what is in it stays."""
        db = getattr(self, "db", None)
        if db is not None and self.lock is not None:
            finish(db)
        for connection in (db, self.lock):
            if connection is not None:
                connection.close()
        if self.copy is not None:
            self.copy.cleanup()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if isinstance(error, UNREADABLE):
            raise unreadable(self.folder, error) from error


def identity_of_file(folder: Path) -> tuple[int, int] | None:
    """What tells the file of a store from another one of the same name; None where there is none."""
    try:
        found = (folder / FILE).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
